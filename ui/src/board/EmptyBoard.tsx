/** A board without tasks: how to begin. */
import { Button } from '@mantine/core';
import { FolderDown, FolderOpen } from 'lucide-react';
import { useState } from 'react';
import { Link } from 'wouter';
import { api } from '../api/client';
import { sayProblem, take } from '../app/commands';
import { compose } from '../app/desk';
import { chooseFolder } from '../compose/folders';
import { useLive } from '../live/store';
import { platform } from '../platform';
import css from './EmptyBoard.module.css';

export function EmptyBoard() {
  const projects = useLive((live) => live.projects);
  return (
    <section className={css.empty} data-testid="empty-board">
      <FolderDown size={28} strokeWidth={1.5} aria-hidden />
      <h2 className={css.title}>
        {platform.watchDrops ? 'Drop a project folder here' : 'Add a project folder'}
      </h2>
      <p className={css.text}>
        The team works in a copy. Your folder changes only when you accept a result.
      </p>
      <div className={css.acts}>
        {projects.length > 0 ? (
          <Button size="sm" onClick={() => compose()}>
            New task
          </Button>
        ) : (
          <Button
            size="sm"
            leftSection={<FolderOpen size={15} aria-hidden />}
            onClick={() => void chooseFolder()}
            data-testid="pick-folder"
          >
            Choose a folder
          </Button>
        )}
        <PracticeButton />
      </div>
      <p className={css.hint}>
        The practice task plays a recorded run on a sample project. It needs no key and no network.
        Claude tasks need a little more: <Link href="/doctor">see what is there</Link>.
      </p>
    </section>
  );
}

export function PracticeButton() {
  const [busy, setBusy] = useState(false);
  const start = async () => {
    setBusy(true);
    try {
      take(await api.practice());
    } catch (error) {
      sayProblem('The practice task could not be started', error);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Button
      size="sm"
      variant="default"
      loading={busy}
      onClick={() => void start()}
      data-testid="empty-practice"
    >
      Run the practice task
    </Button>
  );
}
