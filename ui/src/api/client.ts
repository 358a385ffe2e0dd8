/**
 * The API as functions. A request that is not met throws an {@link ApiError} with the server's
 * own words; nothing here knows how a request travels.
 */
import { platform } from '../platform';
import type {
  Action,
  Answer,
  Board,
  Diff,
  Doctor,
  Folder,
  Key,
  Message,
  NewTask,
  Problem,
  Project,
  Task,
  TaskCard,
  TimelineItem,
} from './types';

export class ApiError extends Error {
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.detail || problem.title);
    this.name = 'ApiError';
    this.problem = problem;
  }
}

async function send<T>(method: string, path: string, body?: unknown): Promise<T> {
  const request = new Request(new URL(`/api/v1${path}`, location.href), {
    method,
    ...(body === undefined
      ? {}
      : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
  });
  const response = await platform.fetch(request);
  const text = await response.text();
  if (!response.ok) throw new ApiError(problemOf(response.status, text));
  return (text === '' ? undefined : JSON.parse(text)) as T;
}

function problemOf(status: number, text: string): Problem {
  try {
    return JSON.parse(text) as Problem;
  } catch {
    return {
      type: 'about:blank',
      code: 'unreadable_answer',
      title: `The server answered ${status}`,
      detail: text.slice(0, 500) || `The server answered ${status} without saying why.`,
      status,
    };
  }
}

const segment = encodeURIComponent;

/** The commands that need no body. */
export type PlainAction = Exclude<Action, 'accept' | 'request_changes'>;

export const api = {
  board: () => send<Board>('GET', '/board'),
  task: (id: string) => send<Task>('GET', `/tasks/${segment(id)}`),
  timeline: (id: string) => send<TimelineItem[]>('GET', `/tasks/${segment(id)}/timeline`),
  messages: (id: string) => send<Message[]>('GET', `/tasks/${segment(id)}/messages`),
  diff: (id: string, path?: string) =>
    send<Diff>('GET', `/tasks/${segment(id)}/diff${path ? `?path=${segment(path)}` : ''}`),
  create: (task: NewTask) => send<TaskCard>('POST', '/tasks', task),
  command: (id: string, action: PlainAction) =>
    send<TaskCard>('POST', `/tasks/${segment(id)}/${action}`),
  accept: (id: string, although_red: boolean) =>
    send<TaskCard>('POST', `/tasks/${segment(id)}/accept`, { although_red }),
  requestChanges: (id: string, text: string) =>
    send<TaskCard>('POST', `/tasks/${segment(id)}/request-changes`, { text }),
  budget: (id: string, budget_usd: number | null) =>
    send<TaskCard>('PUT', `/tasks/${segment(id)}/budget`, { budget_usd }),
  answer: (approval: string, answer: Answer) =>
    send<TaskCard>('POST', `/approvals/${segment(approval)}`, answer),
  projects: () => send<Project[]>('GET', '/projects'),
  inspect: (path: string) => send<Folder>('POST', '/projects/inspect', { path }),
  trust: (path: string) => send<Project>('POST', '/projects', { path, trust: true }),
  practice: () => send<TaskCard>('POST', '/practice'),
  doctor: () => send<Doctor>('GET', '/doctor'),
  keys: () => send<Key[]>('GET', '/keys'),
  setKey: (name: string, value: string) => send<Key>('PUT', `/keys/${segment(name)}`, { value }),
  removeKey: (name: string) => send<void>('DELETE', `/keys/${segment(name)}`),
};
