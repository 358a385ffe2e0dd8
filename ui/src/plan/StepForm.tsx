/** The form of a step: what it is, who takes it, what it waits for, and what it may touch. */
import { NativeSelect, SimpleGrid, Textarea, TextInput } from '@mantine/core';
import { useEffect, useRef } from 'react';
import type { Priority, StepKind } from '../api/types';
import { priorities } from '../app/commands';
import { LinesField } from '../parts/LinesField';
import { NumberField } from '../parts/NumberField';
import { Ticks } from '../parts/Ticks';
import { edited, offered, type PlanDraft, type Planned, type StepEdit } from './draft';
import css from './StepForm.module.css';
import { kindNames } from './words';

interface Props {
  draft: PlanDraft;
  step: Planned;
  onChange(draft: PlanDraft): void;
}

export function StepForm({ draft, step, onChange }: Props) {
  const title = useRef<HTMLInputElement>(null);
  // Whoever opens a step is going to write.
  useEffect(() => {
    title.current?.focus();
  }, []);
  const set = (part: StepEdit) => onChange(edited(draft, step.id, part));
  return (
    <div className={css.form}>
      <TextInput
        ref={title}
        label="Title"
        value={step.title}
        maxLength={200}
        onChange={(event) => set({ title: event.currentTarget.value })}
      />
      <SimpleGrid type="container" cols={{ base: 1, '440px': 2 }} spacing="xs" verticalSpacing={10}>
        <NativeSelect
          label="Kind, and who takes it"
          value={step.kind}
          onChange={(event) => set({ kind: event.currentTarget.value as StepKind })}
          data={kindNames}
        />
        <NativeSelect
          label="Priority"
          value={step.priority}
          onChange={(event) => set({ priority: event.currentTarget.value as Priority })}
          data={priorities}
        />
      </SimpleGrid>
      <Textarea
        label="Description"
        autosize
        minRows={2}
        maxRows={8}
        value={step.description}
        onChange={(event) => set({ description: event.currentTarget.value })}
      />
      <Ticks
        legend="Waits for"
        hint="A step that waits for this one is not offered: they would wait in a circle."
        none="There is no step that it could wait for."
        options={offered(draft.steps, step.id).map((each) => ({
          value: each.id,
          label: `${each.id} ${each.title || 'no title yet'}`,
        }))}
        chosen={step.after}
        onChange={(after) => set({ after })}
      />
      <SimpleGrid type="container" cols={{ base: 1, '440px': 2 }} spacing="xs" verticalSpacing={10}>
        <LinesField
          label="May touch"
          description="Files and folders, one a line. Empty: anything"
          value={step.paths}
          onChange={(paths) => set({ paths })}
        />
        <LinesField
          label="Proven by"
          description="Commands, one a line. Told to the agent"
          value={step.checks}
          onChange={(checks) => set({ checks })}
        />
      </SimpleGrid>
      <SimpleGrid type="container" cols={{ base: 1, '440px': 2 }} spacing="xs" verticalSpacing={10}>
        <NumberField
          label="Guess, in minutes"
          placeholder="unknown"
          decimalScale={2}
          value={
            step.estimate_seconds == null
              ? ''
              : Math.round((step.estimate_seconds / 60) * 100) / 100
          }
          onChange={(minutes) =>
            set({ estimate_seconds: minutes === '' ? null : Math.round(minutes * 60) })
          }
        />
        <NumberField
          label="Guess, in dollars"
          placeholder="unknown"
          prefix="$"
          decimalScale={2}
          value={step.estimate_usd ?? ''}
          onChange={(cost) => set({ estimate_usd: cost === '' ? null : cost })}
        />
      </SimpleGrid>
    </div>
  );
}
