/** Is everything there? Also the first thing a new person sees: what to mend, and how to begin. */
import { Button, Loader, PasswordInput } from '@mantine/core';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { FolderOpen, RefreshCw } from 'lucide-react';
import { useState } from 'react';
import { api } from '../api/client';
import type { DoctorCheck, DoctorState, Key } from '../api/types';
import { say, sayProblem } from '../app/commands';
import { PracticeButton } from '../board/EmptyBoard';
import { chooseFolder } from '../compose/folders';
import { useLive } from '../live/store';
import { Notice } from '../parts/Notice';
import { Tag } from '../parts/Tag';
import type { Meaning } from '../theme/tokens';
import { Differences, TrashList } from './Differences';
import css from './DoctorPage.module.css';
import { Fix } from './Fix';

export default function DoctorPage() {
  const doctor = useQuery({ queryKey: ['doctor'], queryFn: api.doctor, staleTime: 0 });
  const dataDir = useLive((live) => live.dataDir);
  return (
    <div className={css.page}>
      <header className={css.head}>
        <h1 className={css.title}>Doctor</h1>
        <Button
          variant="default"
          leftSection={<RefreshCw size={14} aria-hidden />}
          loading={doctor.isFetching}
          onClick={() => void doctor.refetch()}
        >
          Check again
        </Button>
      </header>
      {doctor.error ? (
        <Notice meaning="danger" title="The checks could not be made">
          {doctor.error.message}
        </Notice>
      ) : null}
      {doctor.data ? (
        <>
          <p className={css.lead} role="status">
            {doctor.data.ready
              ? 'Everything a task needs is there.'
              : 'Something a Claude task needs is missing. The practice task works without it.'}
          </p>
          <ul className={css.list}>
            {doctor.data.checks.map((check) => (
              <Check key={check.code} check={check} />
            ))}
          </ul>
          <Differences doctor={doctor.data} />
        </>
      ) : doctor.isPending ? (
        <Loader size="sm" />
      ) : null}
      <TrashList />
      <Keys />
      <section>
        <h2 className={css.group}>Begin</h2>
        <div className={css.acts}>
          <Button
            size="sm"
            variant="default"
            leftSection={<FolderOpen size={15} aria-hidden />}
            onClick={() => void chooseFolder()}
          >
            Add a project folder
          </Button>
          <PracticeButton />
        </div>
        <p className={css.note}>
          Practice needs no key, no program and no network.{' '}
          {dataDir ? `NEXUS keeps its data in ${dataDir}.` : ''}
        </p>
      </section>
    </div>
  );
}

const states: Record<DoctorState, [Meaning, string]> = {
  ok: ['success', 'fine'],
  warning: ['warning', 'limited'],
  broken: ['danger', 'missing'],
};

function Check({ check }: { check: DoctorCheck }) {
  const [meaning, word] = states[check.state];
  return (
    <li className={css.check} data-testid={`doctor-${check.code}`}>
      <span className={css.state}>
        <Tag meaning={meaning}>{word}</Tag>
      </span>
      <div className={css.what}>
        <span className={css.name}>{check.title}</span>
        <span className={css.note}>{check.found}</span>
        {check.fix ? <Fix text={check.fix} /> : null}
      </div>
    </li>
  );
}

const providers: [string, string, string][] = [
  ['anthropic', 'Anthropic API key', 'Optional. Without it the agents use your Claude login.'],
  ['openai', 'OpenAI API key', 'Only for the OpenAI-compatible planner.'],
];

function Keys() {
  const keys = useQuery({ queryKey: ['keys'], queryFn: api.keys });
  return (
    <section>
      <h2 className={css.group}>Keys</h2>
      {keys.error ? (
        <Notice meaning="warning" title="The keychain could not be read">
          {keys.error.message}
        </Notice>
      ) : null}
      <ul className={css.list}>
        {providers.map(([name, title, note]) => (
          <KeyRow
            key={name}
            name={name}
            title={title}
            note={note}
            stored={keys.data?.find((key) => key.name === name)}
          />
        ))}
      </ul>
    </section>
  );
}

interface KeyRowProps {
  name: string;
  title: string;
  note: string;
  stored: Key | undefined;
}

function KeyRow({ name, title, note, stored }: KeyRowProps) {
  const queries = useQueryClient();
  const [value, setValue] = useState('');
  const [busy, setBusy] = useState(false);
  const act = async (what: () => Promise<unknown>, done: string) => {
    setBusy(true);
    try {
      await what();
      say(done);
      // A key changes what the doctor finds.
      await Promise.all([
        queries.invalidateQueries({ queryKey: ['keys'] }),
        queries.invalidateQueries({ queryKey: ['doctor'] }),
      ]);
    } catch (error) {
      sayProblem(`${title}: that did not work`, error);
    } finally {
      setBusy(false);
    }
  };
  const save = () => {
    const secret = value.trim();
    // It leaves the page at once; only its last four characters ever come back.
    setValue('');
    void act(() => api.setKey(name, secret), `${title} kept in the keychain`);
  };
  return (
    <li className={css.check}>
      <div className={css.what}>
        <span className={css.name}>{title}</span>
        <span className={css.note}>
          {stored ? `Ends with ${stored.last_four}, from the ${stored.source}` : note}
        </span>
      </div>
      {stored?.source === 'environment' ? null : stored ? (
        <Button
          variant="default"
          loading={busy}
          onClick={() => void act(() => api.removeKey(name), `${title} removed`)}
        >
          Remove
        </Button>
      ) : (
        <form
          className={css.entry}
          onSubmit={(event) => {
            event.preventDefault();
            if (value.trim()) save();
          }}
        >
          <PasswordInput
            size="xs"
            aria-label={title}
            placeholder="Paste it here"
            autoComplete="off"
            value={value}
            onChange={(event) => setValue(event.currentTarget.value)}
            className={css.secret}
          />
          <Button type="submit" variant="default" loading={busy} disabled={value.trim() === ''}>
            Keep
          </Button>
        </form>
      )}
    </li>
  );
}
