/** Allowed requests as a list, each with the way to take it back. */
import { Button } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { Link } from 'wouter';
import { say, sayProblem } from '../app/commands';
import { useNow } from '../live/clock';
import { ago, moment } from '../parts/format';
import { visible } from '../parts/visible';
import css from './Allowed.module.css';

export interface Entry {
  key: string;
  tool: string;
  object: string;
  digest: string;
  made_at: string;
  where: string;
  href?: string;
  revoke(): Promise<unknown>;
}

export function AllowedList({ entries, empty }: { entries: Entry[]; empty: string }) {
  if (entries.length === 0) return <p className={css.none}>{empty}</p>;
  return (
    <ul className={css.list}>
      {entries.map((entry) => (
        <Row key={entry.key} entry={entry} />
      ))}
    </ul>
  );
}

function Row({ entry }: { entry: Entry }) {
  const queries = useQueryClient();
  const [busy, setBusy] = useState(false);
  const now = useNow(60_000);
  const revoke = async () => {
    setBusy(true);
    try {
      await entry.revoke();
      say('Taken back', `${entry.tool} asks again before it does this.`);
      await Promise.all([
        queries.invalidateQueries({ queryKey: ['allowed'] }),
        queries.invalidateQueries({ queryKey: ['task'] }),
      ]);
    } catch (error) {
      sayProblem('It could not be taken back', error);
    } finally {
      setBusy(false);
    }
  };
  return (
    <li className={css.row} data-testid={entry.key}>
      <div className={css.what}>
        <code className={css.object}>{visible(entry.object)}</code>
        <span className={css.note}>
          {entry.tool} ·{' '}
          {entry.href ? <Link href={entry.href}>{entry.where}</Link> : <span>{entry.where}</span>} ·
          allowed <time title={moment(entry.made_at)}>{ago(entry.made_at, now)}</time> ·{' '}
          <span title={`SHA-256 of the request: ${entry.digest}`}>
            request {entry.digest.slice(0, 8)}
          </span>
        </span>
      </div>
      <Button
        variant="default"
        loading={busy}
        onClick={() => void revoke()}
        aria-label={`Revoke ${entry.object}`}
      >
        Revoke
      </Button>
    </li>
  );
}
