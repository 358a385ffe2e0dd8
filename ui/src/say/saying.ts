/** What is being written to the teams, by task. It belongs to this window, as every draft does. */
import { create } from 'zustand';
import type { Recipient } from './words';

export interface Saying {
  to: Recipient;
  text: string;
  urgent: boolean;
  files: string[];
}

const nothing: Saying = { to: 'team', text: '', urgent: false, files: [] };

const store = create<Record<string, Saying>>()(() => ({}));

export const useSaying = (task: string) => store((all) => all[task] ?? nothing);

export const saying = (task: string): Saying => store.getState()[task] ?? nothing;

export function keepSaying(task: string, part: Partial<Saying>) {
  store.setState((all) => ({ [task]: { ...(all[task] ?? nothing), ...part } }));
}

/** After it was sent: whom one wrote to stays, the rest begins anew. */
export function clearSaying(task: string) {
  keepSaying(task, { ...nothing, to: saying(task).to });
}
