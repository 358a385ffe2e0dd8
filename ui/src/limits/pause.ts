/** Why a task is paused, and what helps. */
import type { Pause, TaskCard } from '../api/types';
import { give } from '../app/commands';
import { show } from '../app/desk';

/** In a tag, and in a sentence. */
export const pauseWords: Record<Pause, { short: string; long: string }> = {
  person: { short: 'Paused', long: 'You paused it' },
  budget: { short: 'Cost cap reached', long: 'It has cost what it may cost' },
  tokens: { short: 'Token cap reached', long: 'It has used the tokens it may use' },
  time: { short: 'Time cap reached', long: 'It was at work for as long as it may be' },
  turns: { short: 'Turn cap reached', long: 'It has taken the turns it may take' },
  day: { short: 'Cap of the day reached', long: 'All tasks together have used what a day may use' },
  unsure: {
    short: 'Not sure what ran',
    long: 'A command may have run, and nobody saw what it did',
  },
  plan: { short: 'Plan not approved', long: 'You did not say yes to its plan' },
};

export interface Act {
  name: string;
  run(): void;
}

/** The one thing that lets a paused task go on; `open` shows the task. */
export function wayOn(card: TaskCard, open: () => void): Act | null {
  switch (card.paused ?? 'person') {
    case 'budget':
    case 'tokens':
    case 'time':
    case 'turns':
      return { name: 'Raise the cap…', run: () => show({ type: 'caps', card, resume: true }) };
    case 'day':
      return { name: 'Raise the day’s cap…', run: () => show({ type: 'today', resume: card }) };
    case 'unsure':
      // What may have run has to be read first; the way on is beside it.
      return { name: 'Look', run: open };
    case 'plan':
      return { name: 'Look at the plan', run: open };
    case 'person':
      return card.actions.includes('resume')
        ? { name: 'Resume', run: () => void give(card, 'resume') }
        : null;
  }
}
