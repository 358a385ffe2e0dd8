/** Sets what a task, or a day, may use. At a cap work pauses and the person is asked. */
import { Button, Group, Loader, Modal, SimpleGrid, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { api } from '../api/client';
import type { Caps, Pause, Spent, TaskCard } from '../api/types';
import { run, say, sayProblem, take } from '../app/commands';
import { close } from '../app/desk';
import { useLive } from '../live/store';
import { Notice } from '../parts/Notice';
import { NumberField } from '../parts/NumberField';
import { type CapFields, capsOf, fieldsOf } from './caps';
import { usedWords } from './Used';

export function TaskCaps({ card, resume }: { card: TaskCard; resume: boolean }) {
  const query = useQuery({ queryKey: ['task', card.id], queryFn: () => api.task(card.id) });
  const save = async (caps: Caps) => {
    take(await api.caps(card.id, caps));
    if (resume) await run(card, 'resume');
  };
  return (
    <Modal opened onClose={close} title={`Caps of ${card.name}`}>
      {query.data ? (
        <Form
          spent={query.data.spent}
          caps={query.data.caps}
          reached={card.paused ?? null}
          note={`${card.name} pauses and asks at a cap. An empty field is no cap.`}
          act={resume ? 'Save and resume' : 'Save'}
          failed="The caps could not be changed"
          save={save}
        />
      ) : query.error ? (
        <Notice meaning="danger">{query.error.message}</Notice>
      ) : (
        <Loader size="sm" />
      )}
    </Modal>
  );
}

export function DayCaps({ resume }: { resume?: TaskCard | undefined }) {
  const today = useLive((live) => live.today);
  const save = async (caps: Caps) => {
    const set = await api.capDay(caps);
    useLive.setState({ today: set });
    if (resume) await run(resume, 'resume');
    else say('Caps of the day changed');
  };
  return (
    <Modal opened onClose={close} title="Caps of a day">
      {today ? (
        <Form
          spent={today.spent}
          caps={today.caps}
          reached={null}
          note="For all tasks together, on each day in UTC. At a cap they pause and ask. An empty field is no cap."
          act={resume ? `Save and resume ${resume.name}` : 'Save'}
          failed="The caps of the day could not be changed"
          save={save}
        />
      ) : (
        <Loader size="sm" />
      )}
    </Modal>
  );
}

interface FormProps {
  spent: Spent;
  caps: Caps;
  /** Which cap stopped the task: its field has the focus. */
  reached: Pause | null;
  note: string;
  act: string;
  failed: string;
  save(caps: Caps): Promise<void>;
}

function Form({ spent, caps, reached, note, act, failed, save }: FormProps) {
  const [fields, setFields] = useState<CapFields>(() => fieldsOf(caps));
  const [busy, setBusy] = useState(false);
  const submit = async () => {
    setBusy(true);
    try {
      await save(capsOf(fields, caps));
      close();
    } catch (error) {
      sayProblem(failed, error);
    } finally {
      setBusy(false);
    }
  };
  const used = usedWords(spent);
  const field = (name: keyof CapFields, focus: boolean) => ({
    placeholder: 'no cap',
    value: fields[name],
    onChange: (value: number | '') => setFields({ ...fields, [name]: value }),
    ...(focus ? { 'data-autofocus': true } : {}),
  });
  const first = reached !== 'tokens' && reached !== 'time' && reached !== 'turns';
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        void submit();
      }}
    >
      <SimpleGrid cols={2} spacing="sm">
        <NumberField
          label="Money"
          description={`${used.cost} used`}
          prefix="$"
          decimalScale={2}
          data-testid="cap-cost"
          {...field('cost', first)}
        />
        <NumberField
          label="Tokens"
          description={`${used.tokens} used`}
          allowDecimal={false}
          thousandSeparator=" "
          step={10_000}
          data-testid="cap-tokens"
          {...field('tokens', reached === 'tokens')}
        />
        <NumberField
          label="Minutes at work"
          description={`${used.time} used`}
          decimalScale={2}
          data-testid="cap-minutes"
          {...field('minutes', reached === 'time')}
        />
        <NumberField
          label="Turns (prompts to agents)"
          description={`${used.turns} used`}
          allowDecimal={false}
          data-testid="cap-turns"
          {...field('turns', reached === 'turns')}
        />
      </SimpleGrid>
      <Text size="xs" mt="sm" c="dimmed">
        {note}
        {spent.at_least
          ? ' “≥” means at least: what a turn that was cut off has used is not known.'
          : ''}
      </Text>
      <Group justify="flex-end" gap="xs" mt="md">
        <Button variant="default" onClick={close}>
          Back
        </Button>
        <Button type="submit" loading={busy} data-testid="caps-save">
          {act}
        </Button>
      </Group>
    </form>
  );
}
