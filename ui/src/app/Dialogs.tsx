/** The one dialog that is open, if any. */
import { Button, Group, Modal, Text, Textarea } from '@mantine/core';
import { lazy, Suspense, useState } from 'react';
import { ApiError, api } from '../api/client';
import type { Role, TaskCard } from '../api/types';
import { FolderSheet, PathDialog } from '../compose/FolderSheet';
import { DayCaps, TaskCaps } from '../limits/CapsDialog';
import { plural } from '../parts/format';
import { seats } from '../theme/tokens';
import { run, sayProblem, take } from './commands';
import { close, useDesk } from './desk';
import { shortcuts } from './shortcuts';

const Composer = lazy(() => import('../compose/Composer'));
const SayDialog = lazy(() => import('../say/SayDialog'));

export function Dialogs() {
  const dialog = useDesk((desk) => desk.dialog);
  switch (dialog?.type) {
    case undefined:
      return null;
    case 'composer':
      return (
        <Suspense>
          <Composer />
        </Suspense>
      );
    case 'folder':
      return <FolderSheet key={dialog.path} path={dialog.path} />;
    case 'path':
      return <PathDialog />;
    case 'accept':
      return <Accept card={dialog.card} />;
    case 'request_changes':
      return <RequestChanges card={dialog.card} />;
    case 'cancel':
      return <Cancel card={dialog.card} />;
    case 'caps':
      return <TaskCaps card={dialog.card} resume={dialog.resume === true} />;
    case 'today':
      return <DayCaps resume={dialog.resume} />;
    case 'replace_session':
      return <ReplaceSession card={dialog.card} role={dialog.role} />;
    case 'say':
      return (
        <Suspense>
          <SayDialog card={dialog.card} to={dialog.to} />
        </Suspense>
      );
    case 'shortcuts':
      return <Shortcuts />;
  }
}

/** Runs what a dialog is for; closes it when that worked. */
function useAct(failed: string) {
  const [busy, setBusy] = useState(false);
  const act = async (what: () => Promise<TaskCard>) => {
    setBusy(true);
    try {
      take(await what());
      close();
      return true;
    } catch (error) {
      sayProblem(failed, error);
      return false;
    } finally {
      setBusy(false);
    }
  };
  return { busy, act };
}

function Accept({ card }: { card: TaskCard }) {
  const [busy, setBusy] = useState(false);
  // The server may know more against it than the card shows, such as a verdict of Beta.
  const [against, setAgainst] = useState<string | null>(againstIt(card));
  const red = against !== null;
  const accept = async () => {
    setBusy(true);
    try {
      take(await api.accept(card.id, red));
      close();
    } catch (error) {
      if (!red && error instanceof ApiError && error.problem.code === 'checks_red') {
        setAgainst(error.message);
      } else {
        sayProblem(`${card.name} could not be accepted`, error);
      }
    } finally {
      setBusy(false);
    }
  };
  return (
    <Modal opened onClose={close} title={`Accept ${card.name}?`}>
      <Text size="sm">
        {plural(card.files_changed ?? 0, 'file')} of {card.project_name} will be changed (+
        {card.lines_added ?? 0} −{card.lines_removed ?? 0}). A file that you changed meanwhile is
        never overwritten: then nothing is applied, and you are told which.
      </Text>
      {red ? (
        <Text size="sm" mt="sm" c="var(--nx-danger-text)">
          {against}
        </Text>
      ) : null}
      {card.standing === 'no_checks' ? (
        <Text size="sm" mt="sm" c="var(--nx-warning-text)">
          The project has no checks, so nothing but your reading vouches for this change.
        </Text>
      ) : null}
      <Group justify="flex-end" gap="xs" mt="md">
        <Button variant="default" onClick={close} data-autofocus>
          Not yet
        </Button>
        <Button
          color={red ? 'red' : undefined}
          loading={busy}
          onClick={() => void accept()}
          data-testid="accept-confirm"
        >
          {red ? 'Accept although red' : 'Accept and apply'}
        </Button>
      </Group>
    </Modal>
  );
}

function againstIt(card: TaskCard): string | null {
  switch (card.standing) {
    case 'broken_by_us':
      return 'A check that passed before fails with this change.';
    case 'red_before':
      return 'The checks fail, as they did before this change.';
    default:
      return null;
  }
}

function RequestChanges({ card }: { card: TaskCard }) {
  const { busy, act } = useAct('The request could not be sent');
  const [text, setText] = useState('');
  const send = () => act(() => api.requestChanges(card.id, text.trim()));
  return (
    <Modal opened onClose={close} title={`Request changes to ${card.name}`} size="lg">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void send();
        }}
      >
        <Textarea
          label="What should be different?"
          description="The same team carries on in the same copy, with what it already knows."
          autosize
          minRows={4}
          maxRows={14}
          value={text}
          onChange={(event) => setText(event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key === 'Enter' && (event.ctrlKey || event.metaKey) && text.trim())
              void send();
          }}
          data-autofocus
          data-testid="changes-text"
        />
        <Group justify="flex-end" gap="xs" mt="md">
          <Button variant="default" onClick={close}>
            Back
          </Button>
          <Button
            type="submit"
            loading={busy}
            disabled={text.trim() === ''}
            data-testid="changes-send"
          >
            Send to the team
          </Button>
        </Group>
      </form>
    </Modal>
  );
}

function Cancel({ card }: { card: TaskCard }) {
  const [busy, setBusy] = useState(false);
  const cancel = async () => {
    setBusy(true);
    if (await run(card, 'cancel')) close();
    setBusy(false);
  };
  return (
    <Modal opened onClose={close} title={`Cancel ${card.name}?`}>
      <Text size="sm">
        Its agents are stopped, with everything they started. A snapshot of the work is kept. Your
        folder is not touched.
      </Text>
      <Group justify="flex-end" gap="xs" mt="md">
        <Button variant="default" onClick={close} data-autofocus>
          Keep working
        </Button>
        <Button color="red" loading={busy} onClick={() => void cancel()}>
          Cancel the task
        </Button>
      </Group>
    </Modal>
  );
}

function ReplaceSession({ card, role }: { card: TaskCard; role: Role }) {
  const { busy, act } = useAct('The session could not be begun anew');
  const { name } = seats[role];
  return (
    <Modal opened onClose={close} title={`Begin ${name}’s session in ${card.name} anew?`}>
      <Text size="sm">
        The conversation so far is given up. {name}’s next turn begins a new one and is told from
        the journal what was done and decided. The work itself and its copy stay as they are.
      </Text>
      <Group justify="flex-end" gap="xs" mt="md">
        <Button variant="default" onClick={close} data-autofocus>
          Keep the session
        </Button>
        <Button
          color="red"
          loading={busy}
          onClick={() => void act(() => api.replaceSession(card.id, role))}
          data-testid="replace-confirm"
        >
          Begin anew
        </Button>
      </Group>
    </Modal>
  );
}

function Shortcuts() {
  return (
    <Modal opened onClose={close} title="Keyboard shortcuts" size="sm">
      <table style={{ width: '100%', fontSize: 13 }}>
        <tbody>
          {shortcuts.map(([keys, what]) => (
            <tr key={keys}>
              <td style={{ padding: '4px 0' }}>
                <kbd>{keys}</kbd>
              </td>
              <td>{what}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Modal>
  );
}
