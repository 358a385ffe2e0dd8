/**
 * The types that cross the wire, under the names the screens use.
 *
 * They mirror `nexus-api`'s views and will come from the generated schema.
 */
export type TaskState =
  | 'backlog'
  | 'planning'
  | 'working'
  | 'needs_you'
  | 'review'
  | 'done'
  | 'paused'
  | 'failed'
  | 'cancelled';
export type Role = 'prime' | 'aria' | 'code' | 'alpha' | 'beta';
export type Team = 'claude' | 'practice';
export type Planner = 'standard' | 'openai';
export type Permissions = 'ask' | 'workspace' | 'all';
export type Action =
  | 'start'
  | 'pause'
  | 'resume'
  | 'cancel'
  | 'accept'
  | 'discard'
  | 'restore'
  | 'request_changes';
export type StageState =
  | 'waiting'
  | 'running'
  | 'needs_you'
  | 'parked'
  | 'done'
  | 'failed'
  | 'skipped'
  | 'cancelled';
export type Standing = 'no_checks' | 'green' | 'broken_by_us' | 'red_before';
export type QuestionKind = 'tool' | 'open' | 'rounds';
export type AgentState = 'idle' | 'starting' | 'working' | 'needs_you' | 'parked' | 'stopping';
export type TimelineKind =
  | 'fact'
  | 'message'
  | 'question'
  | 'check'
  | 'text'
  | 'text_delta'
  | 'thinking'
  | 'tool_started'
  | 'tool_ended'
  | 'retry'
  | 'limit'
  | 'unknown';

export interface Board {
  seq: number;
  version: string;
  data_dir: string;
  projects: Project[];
  tasks: TaskCard[];
  agents: Agent[];
}
export interface Project {
  id: string;
  name: string;
  path: string;
  trusted: boolean;
  practice: boolean;
}
export interface Folder {
  path: string;
  name: string;
  git: boolean;
  trusted: boolean;
  checks: string[];
  checks_from: string;
  setup?: string | null;
  copied: string[];
  instructions: string[];
  warnings: string[];
}
export interface Stage {
  role: Role;
  state: StageState;
}
export interface TaskCard {
  id: string;
  name: string;
  title: string;
  project_id: string;
  project_name: string;
  state: TaskState;
  team: Team;
  note: string;
  active_role?: Role | null;
  stages: Stage[];
  question?: Approval | null;
  tokens: number;
  cost_usd?: number | null;
  budget_usd?: number | null;
  created_at: string;
  started_at?: string | null;
  updated_at: string;
  ended_at?: string | null;
  files_changed?: number | null;
  lines_added?: number | null;
  lines_removed?: number | null;
  standing?: Standing | null;
  actions: Action[];
}
export interface Task {
  card: TaskCard;
  text: string;
  folder: string;
  workspace?: string | null;
  scratchpads: string;
  planner: Planner;
  permissions: Permissions;
  not_contained: boolean;
  steps: Step[];
  baseline?: CheckRun | null;
  evidence?: CheckRun | null;
  standing_text: string;
  files: FileChange[];
  questions: Approval[];
  conflicts: string[];
  failure?: string | null;
  summary?: string | null;
  round: number;
  max_rounds: number;
}
export interface Step {
  id: number;
  role: Role;
  kind: string;
  title: string;
  state: StageState;
  attempts: number;
  tokens: number;
  cost_usd?: number | null;
  duration_ms: number;
  summary?: string | null;
  structured: boolean;
  verdict?: string | null;
  findings: Finding[];
  progress?: string | null;
  trouble?: string | null;
}
export interface Finding {
  problem: string;
  location?: string | null;
  severity: string;
  suggestion?: string | null;
}
export interface CheckRun {
  tree: string;
  checks: Evidence[];
}
export interface Evidence {
  command: string;
  ok: boolean;
  exit_code: number;
  output_sha256: string;
  output_tail: string;
  tree: string;
  started_at: string;
  duration_ms: number;
}
export interface FileChange {
  path: string;
  change: string;
  added?: number | null;
  removed?: number | null;
}
export interface Approval {
  id: string;
  task_id: string;
  role: Role;
  asked_at: string;
  kind: QuestionKind;
  text: string;
  detail: string;
  why: string;
  options: string[];
}
export type Answer =
  | { type: 'allow' }
  | { type: 'allow_for_task' }
  | { type: 'deny'; reason: string }
  | { type: 'text'; text: string };
export interface Agent {
  role: Role;
  name: string;
  state: AgentState;
  note: string;
  task_id?: string | null;
  task_name?: string | null;
  cost_usd?: number | null;
  tokens: number;
  queued: number;
}
export interface Message {
  id: string;
  at: string;
  from: string;
  to: string;
  kind: string;
  text: string;
  structured: boolean;
  json: unknown;
}
export interface TimelineItem {
  id: string;
  at: string;
  role?: Role | null;
  step?: number | null;
  turn?: number | null;
  kind: TimelineKind;
  text: string;
  detail?: string | null;
  ok?: boolean | null;
  call?: string | null;
}
export type Change =
  | { type: 'event'; seq: number; task_id: string; item: TimelineItem; card: TaskCard }
  | { type: 'live'; seq: number; task_id: string; items: TimelineItem[] }
  | { type: 'projects'; seq: number; projects: Project[] };
export interface NewTask {
  text: string;
  title?: string | null;
  folder: string;
  team: Team;
  planner: Planner;
  permissions: Permissions;
  budget_usd?: number | null;
  start: boolean;
}
export interface Diff {
  patch: string;
  truncated: boolean;
}
export interface Key {
  name: string;
  last_four: string;
  source: string;
}
export type DoctorState = 'ok' | 'warning' | 'broken';
export interface DoctorCheck {
  code: string;
  title: string;
  state: DoctorState;
  found: string;
  fix: string;
}
export interface Doctor {
  ready: boolean;
  checks: DoctorCheck[];
}
export interface Problem {
  type: string;
  code: string;
  title: string;
  detail: string;
  status: number;
}
