/** Accounts on which nothing is begun for now: why, until when, and what to do about it. */
import { Button } from '@mantine/core';
import { Hourglass } from 'lucide-react';
import { useState } from 'react';
import { Link } from 'wouter';
import { api } from '../api/client';
import type { Hold } from '../api/types';
import { say, sayProblem } from '../app/commands';
import { useCountdown } from '../live/clock';
import { useLive } from '../live/store';
import { Tag } from '../parts/Tag';
import css from './Holds.module.css';

export const holdNames: Record<Hold['why'], string> = {
  limit: 'Usage limit',
  service: 'Model service fails',
  login: 'Not logged in',
  credit: 'No credit',
};

/** What helps where waiting does not. */
const fixes: Record<Hold['why'], string> = {
  limit: 'NEXUS was not told when it lifts. Try again when you know that it has.',
  service: 'Try again when the service works.',
  login: 'Log in first: run claude once and log in, or keep an API key under Doctor.',
  credit: 'Add credit to the account first.',
};

/** On a card and above a task: the reason, and the time that is left. */
export function HoldTag({ hold }: { hold: Hold }) {
  return (
    <>
      <Tag meaning="warning">
        <span title={hold.text}>{holdNames[hold.why]}</span>
      </Tag>
      <span className={css.when}>
        {hold.until ? (
          <>
            goes on <Countdown until={hold.until} />
          </>
        ) : (
          'waits for you'
        )}
      </span>
    </>
  );
}

export function Countdown({ until }: { until: string }) {
  const left = useCountdown(until);
  return (
    <time className={css.left} dateTime={until} data-testid="countdown">
      {left}
    </time>
  );
}

/** Lies on the lower edge of the board, so that nothing moves when an account closes or opens. */
export function HoldsBanner() {
  const holds = useLive((live) => live.holds);
  if (holds.length === 0) return null;
  return (
    <section className={css.banner} data-testid="holds" aria-label="Nothing is begun for now">
      <Hourglass size={16} className={css.glyph} aria-hidden />
      <div className={css.what}>
        {holds.map((hold) => (
          <p key={hold.why} className={css.hold}>
            <strong>
              {holdNames[hold.why]}:{' '}
              {hold.until ? (
                <>
                  work goes on <Countdown until={hold.until} />
                </>
              ) : (
                'nothing is begun until you did something about it'
              )}
              .
            </strong>{' '}
            {hold.until ? 'No attempt is used up meanwhile.' : fixes[hold.why]}{' '}
            <span className={css.told}>{hold.text}</span>
          </p>
        ))}
      </div>
      {holds.some((hold) => hold.why === 'login') ? (
        <Link href="/doctor" className={css.link}>
          Doctor
        </Link>
      ) : null}
      <TryNow />
    </section>
  );
}

function TryNow() {
  const [busy, setBusy] = useState(false);
  const retry = async () => {
    setBusy(true);
    try {
      await api.retryAccount();
      say('Trying again', 'If the account is still closed, work rests again.');
    } catch (error) {
      sayProblem('It could not be tried again', error);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Button variant="default" loading={busy} onClick={() => void retry()} data-testid="try-now">
      Try now
    </Button>
  );
}
