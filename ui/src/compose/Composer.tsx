/** A new task: what is wanted, on which folder, by whom, and with which rights. */
import {
  Button,
  Collapse,
  Group,
  Modal,
  NativeSelect,
  Radio,
  SimpleGrid,
  Stack,
  Textarea,
  TextInput,
} from '@mantine/core';
import { useState } from 'react';
import { useLocation } from 'wouter';
import { api } from '../api/client';
import type { Permissions, Planner, Team } from '../api/types';
import { sayProblem, take } from '../app/commands';
import { close, type Draft, edit, useDesk } from '../app/desk';
import { useLive } from '../live/store';
import { Notice } from '../parts/Notice';
import { NumberField } from '../parts/NumberField';
import css from './Composer.module.css';
import { chooseFolder } from './folders';

/** What the server takes, so that a text that is too long is known before it is sent. */
export const TEXT_LIMIT = 256 * 1024;

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

/** What stops the draft from being sent, in words; `null` when nothing does. */
export function obstacle(draft: Draft, folders: readonly string[]): string | null {
  if (draft.text.trim() === '') return 'Write what you want first.';
  if (new TextEncoder().encode(draft.text).length > TEXT_LIMIT) {
    return 'The text is longer than 256 KB. Put the long part into a file of the folder.';
  }
  if (!folders.includes(draft.folder)) return 'Choose the folder to work on.';
  return null;
}

/** Limits are for one task: the next one begins with the usual ones. */
const usual = { tokens: '', minutes: '', turns: '', answerHours: '' } as const;

const chosenBelow = (draft: Draft) =>
  draft.title !== '' ||
  draft.planner !== 'standard' ||
  [draft.tokens, draft.minutes, draft.turns, draft.answerHours].some((each) => each !== '');

/** The caps of a new task. What is left empty is as usual. */
export function limitsOf(draft: Draft) {
  const given = (value: number | '', unit = 1) => (value === '' ? null : Math.round(value * unit));
  return {
    budget_usd: draft.budget === '' ? null : draft.budget,
    max_tokens: given(draft.tokens),
    max_seconds: given(draft.minutes, 60),
    max_turns: given(draft.turns),
    answer_within_seconds: given(draft.answerHours, 3_600),
  };
}

export function Composer() {
  const draft = useDesk((desk) => desk.draft);
  const projects = useLive((live) => live.projects);
  // A choice that was kept with the draft is not kept out of sight.
  const [more, setMore] = useState(() => chosenBelow(draft));
  const [busy, setBusy] = useState<'start' | 'keep' | null>(null);
  const [, go] = useLocation();
  const usable = projects.filter((project) => project.trusted);
  const folders = usable.map((project) => project.path);
  // A folder that is gone, or none yet: the first one is as good a guess as any.
  const folder = folders.includes(draft.folder) ? draft.folder : (folders[0] ?? '');
  const practice = usable.find((project) => project.path === folder)?.practice === true;
  const team: Team = practice ? 'practice' : draft.team;
  const stop = obstacle({ ...draft, folder }, folders);

  const send = async (start: boolean) => {
    if (stop || busy) return;
    setBusy(start ? 'start' : 'keep');
    try {
      take(
        await api.create({
          text: draft.text.trim(),
          title: draft.title.trim() || null,
          folder,
          team,
          planner: draft.planner,
          permissions: draft.permissions,
          ...limitsOf(draft),
          start,
        }),
      );
      edit({ text: '', title: '', ...usual });
      close();
      go('/');
    } catch (error) {
      sayProblem('The task could not be made', error);
    } finally {
      setBusy(null);
    }
  };

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
          {team === 'practice' ? (
            <Notice meaning="plain">
              Practice, no AI: a recorded run is played on the sample project. It changes real files
              in a copy and runs the real checks.
            </Notice>
          ) : (
            <>
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
              >
                {more ? 'Fewer choices' : 'Title, planner and limits'}
              </button>
              <Collapse expanded={more}>
                <Group gap="xs" grow align="flex-start">
                  <TextInput
                    label="Title"
                    placeholder="Taken from the text"
                    maxLength={200}
                    value={draft.title}
                    onChange={(event) => edit({ title: event.currentTarget.value })}
                  />
                  <NativeSelect
                    label="Planner"
                    value={draft.planner}
                    onChange={(event) => edit({ planner: event.currentTarget.value as Planner })}
                    data={[
                      { value: 'standard', label: 'Standard: analyse, implement, test, validate' },
                      { value: 'openai', label: 'OpenAI-compatible model (needs a key)' },
                    ]}
                  />
                </Group>
                <Limits draft={draft} />
              </Collapse>
            </>
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

/** At a cap the task pauses and asks. */
function Limits({ draft }: { draft: Draft }) {
  const field = (name: 'tokens' | 'minutes' | 'turns' | 'answerHours') => ({
    value: draft[name],
    onChange: (value: number | '') => edit({ [name]: value }),
    'data-testid': `composer-${name}`,
  });
  return (
    <SimpleGrid cols={{ base: 1, xs: 2 }} spacing="xs" mt="sm">
      <NumberField
        label="Tokens"
        description="Pauses and asks at so many"
        placeholder="no cap"
        allowDecimal={false}
        thousandSeparator=" "
        step={10_000}
        {...field('tokens')}
      />
      <NumberField
        label="Turns"
        description="Prompts to agents"
        placeholder="no cap"
        allowDecimal={false}
        {...field('turns')}
      />
      <NumberField
        label="Minutes at work"
        description="Empty: 120. With 0 there is no cap"
        placeholder="120"
        {...field('minutes')}
      />
      <NumberField
        label="Hours to answer"
        description="After that a question is a no. Empty: 24"
        placeholder="24"
        decimalScale={2}
        {...field('answerHours')}
      />
    </SimpleGrid>
  );
}
