/** What the made-up NEXUS is made of: folders, cards, questions. */
import type {
  Action,
  Approval,
  Progress,
  Project,
  Role,
  Stage,
  StageState,
  TaskCard,
  TaskState,
} from '../src/api/types';

let count = 0;
export const uuid = () => `00000000-0000-4000-8000-${String(++count).padStart(12, '0')}`;
export const minute = 60_000;
export const ago = (minutes: number) => new Date(Date.now() - minutes * minute).toISOString();

export const crew: Role[] = ['aria', 'code', 'alpha', 'beta'];
export const sha = (seed: string) => seed.repeat(64).slice(0, 64);
export const names: Record<Role, string> = {
  prime: 'NEXUS Prime',
  aria: 'Aria',
  code: 'Code',
  alpha: 'Alpha',
  beta: 'Beta',
};

export function stages(active: number, now: StageState = 'running'): Stage[] {
  return crew.map((role, at) => ({
    role,
    state: at < active ? 'done' : at === active ? now : 'waiting',
  }));
}

export const shop: Project = {
  id: uuid(),
  name: 'shop-api',
  path: '/home/me/projects/shop-api',
  trusted: true,
  practice: false,
};
export const docs: Project = {
  id: uuid(),
  name: 'handbook',
  path: '/home/me/projects/handbook',
  trusted: true,
  practice: false,
};
export const sample: Project = {
  id: uuid(),
  name: 'sample-cart',
  path: '/home/me/.local/share/nexus/practice/sample-cart',
  trusted: true,
  practice: true,
};

export const allowed: Record<TaskState, Action[]> = {
  backlog: ['start', 'cancel', 'discard'],
  planning: ['pause', 'cancel'],
  working: ['pause', 'cancel'],
  needs_you: ['pause', 'cancel'],
  review: ['accept', 'request_changes', 'discard'],
  done: [],
  paused: ['resume', 'cancel', 'discard'],
  failed: ['resume', 'discard'],
  cancelled: ['restore'],
};

function progressOf(all: Stage[]): Progress {
  const done = all.filter((stage) => stage.state === 'done').length;
  const steps = all.length;
  return { steps_done: done, steps, share: steps > 0 ? done / steps : null };
}

export function card(part: Partial<TaskCard> & { state: TaskState }): TaskCard {
  const id = part.id ?? uuid();
  return {
    id,
    name: 'T-1',
    title: 'A task',
    project_id: shop.id,
    project_name: shop.name,
    team: 'claude',
    note: '',
    active_role: null,
    stages: stages(0, 'waiting'),
    question: null,
    tokens: 0,
    cost_usd: 0,
    at_least: false,
    budget_usd: null,
    stopping: false,
    hold: null,
    paused: part.state === 'paused' ? 'person' : null,
    queued: false,
    interrupted: false,
    created_at: ago(60),
    started_at: null,
    updated_at: ago(1),
    ended_at: null,
    files_changed: null,
    lines_added: null,
    lines_removed: null,
    standing: null,
    priority: 'normal',
    progress: progressOf(part.stages ?? []),
    at_work: 0,
    flags: 0,
    waits_for: [],
    queue_place: null,
    actions: allowed[part.state],
    ...part,
  };
}

export const later = (minutes: number) => ago(-minutes);

export const question = (task: string, part: Partial<Approval>): Approval => ({
  id: uuid(),
  task_id: task,
  role: 'beta',
  asked_at: ago(2),
  kind: 'tool',
  text: 'Beta wants to run: cargo test --workspace --all-features -- --include-ignored --test-threads=1 2>&1 | tee target/validation.log',
  detail:
    'cargo test --workspace --all-features -- --include-ignored --test-threads=1 2>&1 | tee target/validation.log',
  why: 'The command is not one of the detected checks, and one of its parts (tee) writes a file.',
  options: [],
  digest: sha('9c1'),
  expires_at: later(23 * 60),
  waiting: true,
  ...part,
});
