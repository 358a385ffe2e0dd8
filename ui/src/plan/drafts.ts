/**
 * Plans that are being edited, by task. They belong to this window: they survive a change of tab
 * and a reload, and are gone when they were saved or dropped.
 */
import { create } from 'zustand';
import { isChanged, type PlanDraft } from './draft';

const KEY = 'nexus.plans';
/** More than one edits at a time; older ones were forgotten. */
const KEPT = 6;

type Drafts = Record<string, PlanDraft>;

function kept(): Drafts {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? '{}') as Drafts;
  } catch {
    // No storage, or one that something else wrote: no draft is as good.
    return {};
  }
}

export const useDrafts = create<Drafts>()(kept);

/** Keeps the draft of a task, or drops it with `null`. */
export function keepDraft(task: string, draft: PlanDraft | null) {
  const { [task]: _, ...others } = useDrafts.getState();
  const last = Object.entries(others).slice(1 - KEPT);
  const next = Object.fromEntries(draft ? [...last, [task, draft]] : last);
  useDrafts.setState(next, true);
  try {
    localStorage.setItem(KEY, JSON.stringify(next));
  } catch {
    // It still lives in memory for as long as the window does.
  }
}

/** Why the plan on record is not to be approved yet: the person has another one in hand. */
export function useUnsaved(task: string): string | null {
  return useDrafts((drafts) => {
    const draft = drafts[task];
    return draft && isChanged(draft) ? 'Save or drop your changes to it first' : null;
  });
}
