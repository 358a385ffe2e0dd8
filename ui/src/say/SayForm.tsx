/** Writing to an agent, to Prime, or to the whole team of a task. */
import { Button, NativeSelect, Switch, Textarea } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { Paperclip } from 'lucide-react';
import { useState } from 'react';
import { api } from '../api/client';
import type { TaskCard } from '../api/types';
import { sayProblem, take } from '../app/commands';
import { LinesField } from '../parts/LinesField';
import css from './SayForm.module.css';
import { clearSaying, keepSaying, saying, useSaying } from './saying';
import { type Recipient, readWords, recipients } from './words';

interface Props {
  card: TaskCard;
  /** The text has the focus at once, where the form was opened to write. */
  focus?: boolean;
  onSent?(): void;
}

export function SayForm({ card, focus = false, onSent }: Props) {
  const said = useSaying(card.id);
  const [attaching, setAttaching] = useState(said.files.length > 0);
  const { busy, send } = useSend(card, onSent);
  const urgent = said.urgent && said.to !== 'prime';
  const empty = said.text.trim() === '';
  return (
    <form
      className={css.form}
      aria-label={`Write to the team of ${card.name}`}
      onSubmit={(event) => {
        event.preventDefault();
        void send();
      }}
      onKeyDown={(event) => {
        if (event.key !== 'Enter' || !(event.ctrlKey || event.metaKey)) return;
        event.preventDefault();
        void send();
      }}
      data-testid="say-form"
    >
      <div className={css.row}>
        <NativeSelect
          label="To"
          classNames={{ root: css.inline ?? '', label: css.label ?? '' }}
          size="xs"
          value={said.to}
          onChange={(event) => keepSaying(card.id, { to: event.currentTarget.value as Recipient })}
          data={recipients}
          data-testid="say-to"
        />
        {said.to === 'prime' ? null : (
          <Switch
            size="xs"
            label="Interrupt"
            aria-describedby={`say-${card.id}`}
            checked={urgent}
            onChange={(event) => keepSaying(card.id, { urgent: event.currentTarget.checked })}
            data-testid="say-urgent"
          />
        )}
        <span id={`say-${card.id}`} className={css.meaning} data-urgent={urgent}>
          {readWords(said.to, urgent)}
        </span>
      </div>
      <Textarea
        aria-label="Message"
        placeholder="Say what should be known, or done differently"
        autosize
        minRows={2}
        maxRows={8}
        value={said.text}
        onChange={(event) => keepSaying(card.id, { text: event.currentTarget.value })}
        data-autofocus={focus || undefined}
        data-testid="say-text"
      />
      {attaching ? (
        <LinesField
          label="Files to go with it"
          description="Text files, as absolute paths, one a line"
          placeholder="/home/me/notes.md"
          value={said.files}
          onChange={(files) => keepSaying(card.id, { files })}
          data-testid="say-files"
        />
      ) : null}
      <div className={css.row}>
        <button
          type="button"
          className={css.attach}
          aria-expanded={attaching}
          onClick={() => {
            if (attaching) keepSaying(card.id, { files: [] });
            setAttaching(!attaching);
          }}
        >
          <Paperclip size={14} aria-hidden /> {attaching ? 'No files' : 'Attach files'}
        </button>
        <span className={css.gap} />
        <Button
          type="submit"
          variant={urgent ? 'filled' : 'default'}
          disabled={empty}
          loading={busy}
          data-testid="say-send"
        >
          {urgent ? 'Interrupt and send' : 'Send'} <kbd className={css.kbd}>Ctrl ⏎</kbd>
        </Button>
      </div>
    </form>
  );
}

function useSend(card: TaskCard, onSent?: () => void) {
  const queries = useQueryClient();
  const [busy, setBusy] = useState(false);
  const send = async () => {
    const { to, text, urgent, files } = saying(card.id);
    if (busy || text.trim() === '') return;
    setBusy(true);
    try {
      take(
        await api.say(card.id, { to, text: text.trim(), urgent: urgent && to !== 'prime', files }),
      );
      clearSaying(card.id);
      await queries.invalidateQueries({ queryKey: ['task', card.id, 'messages'] });
      onSent?.();
    } catch (error) {
      sayProblem('The message was not sent', error);
    } finally {
      setBusy(false);
    }
  };
  return { busy, send };
}
