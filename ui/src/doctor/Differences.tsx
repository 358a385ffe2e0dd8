/** Where what NEXUS has on record and what is there differ, and what lies in the trash. */
import { Button } from '@mantine/core';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { api } from '../api/client';
import type { Difference, Doctor, Trash } from '../api/types';
import { say, sayProblem } from '../app/commands';
import { moment, sentence } from '../parts/format';
import { Tag } from '../parts/Tag';
import { visible } from '../parts/visible';
import type { Meaning } from '../theme/tokens';
import css from './DoctorPage.module.css';
import { Fix } from './Fix';

const severities: Record<Difference['severity'], [Meaning | 'plain', string]> = {
  note: ['plain', 'note'],
  warning: ['warning', 'warning'],
  error: ['danger', 'error'],
};

export function Differences({ doctor }: { doctor: Doctor }) {
  const { differences, owned } = doctor;
  const open = differences.filter((each) => each.fix != null && !each.fixed);
  return (
    <section data-testid="differences">
      <h2 className={css.group}>On record, and really there</h2>
      {differences.length === 0 ? (
        <p className={css.note}>
          Tasks, copies, processes and session files are as NEXUS has them on record.
        </p>
      ) : (
        <>
          {open.length > 0 ? (
            <Repair count={open.length} total={differences.length} owned={owned} />
          ) : null}
          <ul className={css.list}>
            {differences.map((each) => (
              <Row key={`${each.code} ${each.what}`} difference={each} />
            ))}
          </ul>
        </>
      )}
    </section>
  );
}

/** Repairing needs the data folder for itself, so it is a command for when NEXUS is closed. */
function Repair(props: { count: number; total: number; owned: boolean }) {
  const { count, total, owned } = props;
  return (
    <div className={css.repair} data-testid="repair">
      <span>
        {count} of {total} can be repaired.{' '}
        {owned
          ? 'That waits until NEXUS is closed, so that nothing changes while it works. Nothing is deleted: what is in the way goes to the trash.'
          : 'Nothing is deleted: what is in the way goes to the trash.'}
      </span>
      <Fix
        text={owned ? 'Close NEXUS, then run `nexus doctor --fix`' : 'Run `nexus doctor --fix`'}
      />
    </div>
  );
}

function Row({ difference }: { difference: Difference }) {
  const [meaning, word] = severities[difference.severity];
  return (
    <li className={css.check} data-testid={`difference-${difference.code}`}>
      <span className={css.state}>
        {difference.fixed ? (
          <Tag meaning="success">repaired</Tag>
        ) : (
          <Tag meaning={meaning}>{word}</Tag>
        )}
      </span>
      <div className={css.what}>
        <span className={css.name}>
          {sentence(difference.code.replaceAll('_', ' '))}{' '}
          <code className={css.thing}>{visible(difference.what)}</code>
        </span>
        <span className={css.note}>{sentence(visible(difference.found))}</span>
        <span className={css.note}>{sentence(difference.explanation)}</span>
        <span className={css.fix}>
          {difference.fix == null ? (
            <span className={css.note}>Nothing to repair here by NEXUS itself.</span>
          ) : (
            <span>
              {difference.fixed ? 'Done: ' : 'Repair: '}
              {difference.fix}
            </span>
          )}
        </span>
      </div>
      <code className={css.code} title="Its name in docs/doctor.md">
        {difference.code}
      </code>
    </li>
  );
}

/** What was put aside, and the way back. */
export function TrashList() {
  const trash = useQuery({ queryKey: ['trash'], queryFn: api.trash, staleTime: 0 });
  if (!trash.data || trash.data.length === 0) return null;
  return (
    <section data-testid="trash">
      <h2 className={css.group}>Put aside</h2>
      <ul className={css.list}>
        {trash.data.map((item) => (
          <TrashRow key={item.id} item={item} />
        ))}
      </ul>
    </section>
  );
}

function TrashRow({ item }: { item: Trash }) {
  const queries = useQueryClient();
  const [busy, setBusy] = useState(false);
  const restore = async () => {
    setBusy(true);
    try {
      await api.restoreTrash(item.id);
      say('Brought back', item.from);
      await Promise.all([
        queries.invalidateQueries({ queryKey: ['trash'] }),
        queries.invalidateQueries({ queryKey: ['doctor'] }),
      ]);
    } catch (error) {
      sayProblem('It could not be brought back', error);
    } finally {
      setBusy(false);
    }
  };
  return (
    <li className={css.check} data-testid={`trash-${item.id}`}>
      <div className={css.what}>
        <code className={css.thing}>{visible(item.from)}</code>
        <span className={css.note}>
          {sentence(item.why)} · put aside {moment(item.at)} · lies in {item.path}
        </span>
      </div>
      <Button
        variant="default"
        loading={busy}
        onClick={() => void restore()}
        aria-label={`Bring back ${item.from}`}
      >
        Bring back
      </Button>
    </li>
  );
}
