/**
 * Asks once per folder for trust, and shows exactly what trusting means: the commands that would
 * run, what is copied, and which files are quoted. Looking at a folder runs nothing.
 */
import { Button, Group, Loader, Modal, Text, TextInput } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { type ReactNode, useEffect, useState } from 'react';
import { api } from '../api/client';
import type { Folder } from '../api/types';
import { sayProblem } from '../app/commands';
import { close, compose, show } from '../app/desk';
import { Notice } from '../parts/Notice';
import css from './FolderSheet.module.css';

export function FolderSheet({ path }: { path: string }) {
  const look = useQuery({
    queryKey: ['folder', path],
    queryFn: () => api.inspect(path),
    retry: false,
    staleTime: 0,
    gcTime: 0,
  });
  const folder = look.data;
  const known = folder?.trusted === true && !look.isFetching;
  useEffect(() => {
    if (known && folder) compose(folder.path);
  }, [known, folder]);
  return (
    <Modal
      opened
      onClose={close}
      size="lg"
      title={folder ? `Trust ${folder.name}?` : 'Looking at the folder'}
    >
      {look.error ? (
        <Notice meaning="danger" title="This folder cannot be used">
          <code>{path}</code>
          <br />
          {look.error.message}
        </Notice>
      ) : folder ? (
        <Trust folder={folder} />
      ) : (
        <Group gap="xs">
          <Loader size="xs" />
          <Text size="sm">{path}</Text>
        </Group>
      )}
    </Modal>
  );
}

function Trust({ folder }: { folder: Folder }) {
  const [busy, setBusy] = useState(false);
  const trust = async () => {
    setBusy(true);
    try {
      const project = await api.trust(folder.path);
      compose(project.path);
    } catch (error) {
      sayProblem('The folder could not be added', error);
      setBusy(false);
    }
  };
  return (
    <div className={css.sheet} data-testid="trust-sheet">
      <p className={css.path}>{folder.path}</p>
      <p className={css.lead}>
        Nothing in this folder has been run. If you trust it, NEXUS works on a copy of it and does
        this there:
      </p>
      <dl className={css.facts}>
        <Fact name="Run to set the copy up" none="Nothing">
          {folder.setup ? <Command text={folder.setup} /> : null}
        </Fact>
        <Fact
          name="Run as checks"
          note={
            folder.checks_from === 'detected'
              ? 'detected from its files'
              : `from ${folder.checks_from}`
          }
          none="No checks were found. A result can then only be judged by reading it."
        >
          {folder.checks.map((check) => (
            <Command key={check} text={check} />
          ))}
        </Fact>
        <Fact name="Commands agents may run beside the checks" none="None">
          {folder.allowed_commands.map((command) => (
            <Command key={command} text={command} />
          ))}
        </Fact>
        <Fact name="Copied along although ignored" none="Nothing">
          {folder.copied.map((name) => (
            <Command key={name} text={name} />
          ))}
        </Fact>
        <Fact name="Quoted to the agents" none="No instructions file">
          {folder.instructions.map((name) => (
            <Command key={name} text={name} />
          ))}
        </Fact>
      </dl>
      {folder.git ? null : (
        <p className={css.note}>This is not a Git repository. NEXUS keeps its own snapshots.</p>
      )}
      {folder.warnings.map((warning) => (
        <Notice key={warning} meaning="warning">
          {warning}
        </Notice>
      ))}
      <Group justify="flex-end" gap="xs" mt="md">
        <Button variant="default" onClick={close} data-autofocus>
          Do not add it
        </Button>
        <Button loading={busy} onClick={() => void trust()} data-testid="trust-folder">
          Trust this folder
        </Button>
      </Group>
    </div>
  );
}

function Fact(props: { name: string; note?: string; none: string; children: ReactNode }) {
  const empty = Array.isArray(props.children) ? props.children.length === 0 : !props.children;
  return (
    <div className={css.fact}>
      <dt>
        {props.name}
        {props.note && !empty ? <span className={css.note}> {props.note}</span> : null}
      </dt>
      <dd>{empty ? <span className={css.note}>{props.none}</span> : props.children}</dd>
    </div>
  );
}

const Command = ({ text }: { text: string }) => <code className={css.command}>{text}</code>;

/** Browsers give pages no paths, so there the path is typed. */
export function PathDialog() {
  const [path, setPath] = useState('');
  const usable = path.trim() !== '';
  return (
    <Modal opened onClose={close} title="Add a project folder">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (usable) show({ type: 'folder', path: path.trim() });
        }}
      >
        <TextInput
          label="Path of the folder"
          description="On the computer where NEXUS runs. A browser does not tell pages where files are."
          placeholder="/home/me/project"
          value={path}
          onChange={(event) => setPath(event.currentTarget.value)}
          data-autofocus
          data-testid="folder-path"
        />
        <Group justify="flex-end" gap="xs" mt="md">
          <Button variant="default" onClick={close}>
            Cancel
          </Button>
          <Button type="submit" disabled={!usable} data-testid="folder-look">
            Look at it
          </Button>
        </Group>
      </form>
    </Modal>
  );
}
