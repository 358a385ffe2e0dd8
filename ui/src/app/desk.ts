/** What lies open on the screen: dialogs and the draft. It belongs to this window, not to NEXUS. */
import { create } from 'zustand';
import type { Permissions, Planner, Priority, Role, TaskCard, Team } from '../api/types';
import type { Recipient } from '../say/words';

export interface Draft {
  text: string;
  title: string;
  folder: string;
  team: Team;
  planner: Planner;
  permissions: Permissions;
  budget: number | '';
  tokens: number | '';
  /** Minutes at work; empty for the usual two hours, 0 for no cap. */
  minutes: number | '';
  turns: number | '';
  /** Hours in which a question has to be answered; empty for a day. */
  answerHours: number | '';
  /** The template it is made from; empty for free text. */
  template: string;
  /** What was filled into the template, by the names of its fields. */
  fields: Record<string, string>;
  /** `null` for what the template says, or the usual. */
  priority: Priority | null;
  /** The plan is to be looked at before anything is begun. */
  planFirst: boolean;
  /** How many agents of a role side by side; empty for the usual. */
  seats: number | '';
  /** `null` for what the template says. */
  checklist: string[] | null;
  /** Names of the tasks that have to be done first. */
  after: string[];
  /** What those handed over is told to the team. */
  shares: boolean;
}

export const emptyDraft: Draft = {
  text: '',
  title: '',
  folder: '',
  team: 'claude',
  planner: 'standard',
  permissions: 'workspace',
  budget: '',
  tokens: '',
  minutes: '',
  turns: '',
  answerHours: '',
  template: '',
  fields: {},
  priority: null,
  planFirst: false,
  seats: '',
  checklist: null,
  after: [],
  shares: false,
};

export type Dialog =
  | { type: 'composer' }
  | { type: 'folder'; path: string }
  | { type: 'path' }
  | { type: 'accept'; card: TaskCard }
  | { type: 'request_changes'; card: TaskCard }
  | { type: 'cancel'; card: TaskCard }
  /** `resume`: the task waits for a higher cap, and goes on with it. */
  | { type: 'caps'; card: TaskCard; resume?: boolean }
  | { type: 'today'; resume?: TaskCard }
  | { type: 'replace_session'; card: TaskCard; role: Role }
  /** Writing to the team of a task. */
  | { type: 'say'; card: TaskCard; to?: Recipient }
  | { type: 'shortcuts' };

interface Desk {
  dialog: Dialog | null;
  draft: Draft;
  /** The name of the task that was opened last. */
  opened: string | null;
}

const DRAFT_KEY = 'nexus.draft';

function keptDraft(): Draft {
  try {
    const kept = localStorage.getItem(DRAFT_KEY);
    return kept ? { ...emptyDraft, ...(JSON.parse(kept) as Partial<Draft>) } : emptyDraft;
  } catch {
    // No storage, or one that was written by something else: an empty draft is as good.
    return emptyDraft;
  }
}

export const useDesk = create<Desk>()(() => ({ dialog: null, draft: keptDraft(), opened: null }));

export const show = (dialog: Dialog) => useDesk.setState({ dialog });
export const close = () => useDesk.setState({ dialog: null });

export function edit(part: Partial<Draft>) {
  useDesk.setState(({ draft }) => {
    const next = { ...draft, ...part };
    try {
      localStorage.setItem(DRAFT_KEY, JSON.stringify(next));
    } catch {
      // The draft still lives in memory for as long as the window does.
    }
    return { draft: next };
  });
}

/** Opens the composer, for this folder if one is given. */
export function compose(folder?: string) {
  if (folder) edit({ folder });
  show({ type: 'composer' });
}
