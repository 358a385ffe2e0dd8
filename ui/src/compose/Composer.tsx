/** A new task: what is wanted, on which folder, by whom, and with which rights. */
import {
  Button,
  Collapse,
  Group,
  Modal,
  NativeSelect,
  Radio,
  Stack,
  Switch,
  Textarea,
} from '@mantine/core';
import { useState } from 'react';
import { useLocation } from 'wouter';
import { api } from '../api/client';
import type { Permissions, Project, Team, Template } from '../api/types';
import { sayProblem, take } from '../app/commands';
import { close, type Draft, edit, useDesk } from '../app/desk';
import { useLive } from '../live/store';
import { Notice } from '../parts/Notice';
import { NumberField } from '../parts/NumberField';
import css from './Composer.module.css';
import { chooseFolder } from './folders';
import { MoreChoices } from './MoreChoices';
import { chosenBelow, givenFields, madeOf, obstacle, requestOf, usual } from './request';
import { TemplateChoice, TemplateForm, useTemplates } from './TemplateForm';

const rights: { value: Permissions; label: string; description: string }[] = [
  {
    value: 'workspace',
    label: 'Work freely in the copy',
    description:
      'Edits in the task’s copy and the project’s own checks go through. Everything else asks you.',
  },
  {
    value: 'ask',
    label: 'Ask for everything',
    description: 'Every edit and every command waits for your answer.',
  },
  {
    value: 'all',
    label: 'Anything goes: not contained',
    description:
      'Any command runs with your rights on this machine, outside of the copy too. Nothing holds it back.',
  },
];

export default function Composer() {
  const kept = useDesk((desk) => desk.draft);
  const projects = useLive((live) => live.projects);
  const usable = projects.filter((project) => project.trusted);
  const folders = usable.map((project) => project.path);
  // A folder that is gone, or none yet: the first one is as good a guess as any.
  const folder = folders.includes(kept.folder) ? kept.folder : (folders[0] ?? '');
  const draft = { ...kept, folder };
  const practice = usable.find((project) => project.path === folder)?.practice === true;
  const team: Team = practice ? 'practice' : draft.team;
  const { data: templates } = useTemplates(practice ? '' : folder);
  const template = templates?.templates.find((each) => each.name === draft.template) ?? null;
  const stop = obstacle(draft, folders, template);
  const { busy, send } = useSend(draft, team, template, stop);

  return (
    <Modal opened onClose={close} size="lg" title="New task">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void send(true);
        }}
        onKeyDown={(event) => {
          if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
            event.preventDefault();
            void send(true);
          }
        }}
      >
        <Stack gap="sm">
          {team === 'practice' ? null : (
            <TemplateChoice all={templates} chosen={template?.name ?? ''} />
          )}
          {template ? (
            <TemplateForm key={template.name} template={template} draft={draft} />
          ) : (
            <Textarea
              label="What do you want?"
              placeholder="Say it as you would to a colleague: the goal, what must stay as it is, and how you will know that it is done."
              autosize
              minRows={5}
              maxRows={14}
              value={draft.text}
              onChange={(event) => edit({ text: event.currentTarget.value })}
              data-autofocus
              data-testid="composer-text"
            />
          )}
          <FolderChoice usable={usable} folder={folder} />
          <TeamChoice draft={draft} team={team} practice={practice} />
          {team === 'practice' ? (
            <Notice meaning="plain">
              Practice, no AI: a recorded run is played on the sample project. It changes real files
              in a copy and runs the real checks.
            </Notice>
          ) : (
            <Rights draft={draft} template={template} />
          )}
        </Stack>
        <Group justify="space-between" mt="md" gap="xs">
          <span className={css.hint} role="status">
            {stop ?? 'Your folder changes only when you accept the result.'}
          </span>
          <Group gap="xs">
            <Button
              variant="default"
              disabled={stop !== null}
              loading={busy === 'keep'}
              onClick={() => void send(false)}
              data-testid="composer-keep"
            >
              Add to backlog
            </Button>
            <Button
              type="submit"
              disabled={stop !== null}
              loading={busy === 'start'}
              data-testid="composer-start"
            >
              Start
              <kbd className={css.kbd}>Ctrl ⏎</kbd>
            </Button>
          </Group>
        </Group>
      </form>
    </Modal>
  );
}

function useSend(draft: Draft, team: Team, template: Template | null, stop: string | null) {
  const [busy, setBusy] = useState<'start' | 'keep' | null>(null);
  const [, go] = useLocation();
  const send = async (start: boolean) => {
    if (stop || busy) return;
    setBusy(start ? 'start' : 'keep');
    try {
      const filled = template
        ? await api.fill(template.name, draft.folder, givenFields(template, draft.fields))
        : null;
      const request = requestOf(draft, template, filled);
      take(await api.create({ ...request, folder: draft.folder, team, start }));
      edit(usual);
      close();
      go('/');
    } catch (error) {
      sayProblem('The task could not be made', error);
    } finally {
      setBusy(null);
    }
  };
  return { busy, send };
}

function FolderChoice({ usable, folder }: { usable: Project[]; folder: string }) {
  return (
    <Group gap="xs" align="flex-end" wrap="nowrap">
      <NativeSelect
        className={css.grow}
        label="Folder"
        value={folder}
        onChange={(event) => edit({ folder: event.currentTarget.value })}
        data={
          usable.length === 0
            ? [{ value: '', label: 'No folder yet' }]
            : usable.map((project) => ({
                value: project.path,
                label: project.practice
                  ? `${project.name} (practice, no AI)`
                  : `${project.name}: ${project.path}`,
              }))
        }
        data-testid="composer-folder"
      />
      <Button variant="default" h={36} onClick={() => void chooseFolder()}>
        Other folder…
      </Button>
    </Group>
  );
}

function TeamChoice(props: { draft: Draft; team: Team; practice: boolean }) {
  const { draft, team, practice } = props;
  return (
    <Group gap="xs" grow align="flex-start">
      <NativeSelect
        label="Team"
        value={team}
        onChange={(event) => edit({ team: event.currentTarget.value as Team })}
        data={[
          { value: 'claude', label: 'Claude Code agents', disabled: practice },
          { value: 'practice', label: 'Practice team (no AI)', disabled: !practice },
        ]}
        data-testid="composer-team"
      />
      <NumberField
        label="Cost cap"
        placeholder="none"
        prefix="$"
        decimalScale={2}
        value={draft.budget}
        onChange={(budget) => edit({ budget })}
        data-testid="composer-budget"
        disabled={team === 'practice'}
      />
    </Group>
  );
}

/** How freely the agents act, and what else may be chosen for them. */
function Rights({ draft, template }: { draft: Draft; template: Template | null }) {
  // A choice that was kept with the draft is not kept out of sight.
  const [more, setMore] = useState(() => chosenBelow(draft));
  return (
    <>
      <Switch
        size="xs"
        label="Look at the plan first"
        description="No agent begins before you have said yes to the plan"
        checked={draft.planFirst}
        onChange={(event) => edit({ planFirst: event.currentTarget.checked })}
        data-testid="composer-plan-first"
      />
      <Radio.Group
        label="What the agents may do"
        value={draft.permissions}
        onChange={(value) => edit({ permissions: value as Permissions })}
      >
        <Stack gap={6} mt={4}>
          {rights.map((right) => (
            <Radio
              key={right.value}
              value={right.value}
              label={right.label}
              description={right.description}
              size="xs"
            />
          ))}
        </Stack>
      </Radio.Group>
      <button
        type="button"
        className={css.more}
        aria-expanded={more}
        onClick={() => setMore(!more)}
        data-testid="composer-more"
      >
        {more ? 'Fewer choices' : 'More: title, priority, planner, checklist, order, limits'}
      </button>
      <Collapse expanded={more}>
        <MoreChoices draft={draft} made={madeOf(draft, template)} />
      </Collapse>
    </>
  );
}
