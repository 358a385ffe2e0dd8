/** What one may choose beyond the essentials. What is left alone is as usual. */
import { NativeSelect, SimpleGrid, Stack, TextInput } from '@mantine/core';
import { useMemo } from 'react';
import type { Planner, Priority, TaskCard } from '../api/types';
import { priorities } from '../app/commands';
import { type Draft, edit } from '../app/desk';
import { useLive } from '../live/store';
import { LinesField } from '../parts/LinesField';
import { NumberField } from '../parts/NumberField';
import { stateWords } from '../parts/Tag';
import { Ticks } from '../parts/Ticks';
import css from './Composer.module.css';
import type { Made } from './request';

export function MoreChoices({ draft, made }: { draft: Draft; made: Made }) {
  return (
    <Stack gap="sm">
      <SimpleGrid cols={{ base: 1, xs: 2 }} spacing="xs" verticalSpacing="sm">
        <TextInput
          label="Title"
          placeholder="Taken from the text"
          maxLength={200}
          value={draft.title}
          onChange={(event) => edit({ title: event.currentTarget.value })}
        />
        <NativeSelect
          label="Priority"
          value={made.priority}
          onChange={(event) => edit({ priority: event.currentTarget.value as Priority })}
          data={priorities}
          data-testid="composer-priority"
        />
        <NativeSelect
          label="Planner"
          value={draft.planner}
          onChange={(event) => edit({ planner: event.currentTarget.value as Planner })}
          data={[
            { value: 'standard', label: 'Standard pipeline' },
            { value: 'claude', label: 'Claude Code, reading only' },
            { value: 'openai', label: 'OpenAI-compatible model (needs a key)' },
          ]}
          data-testid="composer-planner"
        />
        <NumberField
          label="Agents of a role, side by side"
          placeholder="3"
          allowDecimal={false}
          min={1}
          max={9}
          value={draft.seats}
          onChange={(seats) => edit({ seats })}
          data-testid="composer-seats"
        />
      </SimpleGrid>
      <LinesField
        label="What has to be true of the result"
        description="One on each line. Beta judges it, and so do you"
        value={made.checklist}
        onChange={(checklist) => edit({ checklist })}
        data-testid="composer-checklist"
      />
      <Chain draft={draft} />
      <Limits draft={draft} />
    </Stack>
  );
}

/** Tasks that are not over, newest first. */
const open = (cards: Record<string, TaskCard>) =>
  Object.values(cards)
    .filter((card) => card.state !== 'done' && card.state !== 'cancelled')
    .sort((a, b) => b.created_at.localeCompare(a.created_at));

function Chain({ draft }: { draft: Draft }) {
  const cards = useLive((live) => live.cards);
  const options = useMemo(
    () =>
      open(cards).map(({ name, title, state }) => ({
        value: name,
        label: `${name} ${title} (${stateWords[state].toLowerCase()})`,
      })),
    [cards],
  );
  // A task that came to its end meanwhile is waited for no more.
  const after = draft.after.filter((name) => options.some(({ value }) => value === name));
  return (
    <div>
      <Ticks
        legend="Wait for"
        hint="It is begun when these are done."
        none="No task is open."
        options={options}
        chosen={after}
        onChange={(chosen) => edit({ after: chosen })}
      />
      {after.length > 0 ? (
        <label className={css.tick}>
          <input
            type="checkbox"
            checked={draft.shares}
            onChange={(event) => edit({ shares: event.currentTarget.checked })}
            data-testid="composer-shares"
          />
          Tell this team what they handed over
        </label>
      ) : null}
    </div>
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
    <SimpleGrid cols={{ base: 1, xs: 2 }} spacing="xs">
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
