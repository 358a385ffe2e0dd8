/**
 * The API as functions. A request that is not met throws an {@link ApiError} with the server's
 * own words; nothing here knows how a request travels.
 */
import createClient from 'openapi-fetch';
import { platform } from '../platform';
import type { paths } from './schema';
import type {
  Action,
  Answer,
  Caps,
  NewTask,
  PlanBody,
  Priority,
  Problem,
  Role,
  SayBody,
} from './types';

export class ApiError extends Error {
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.detail || problem.title);
    this.name = 'ApiError';
    this.problem = problem;
  }
}

const { GET, POST, PUT, DELETE } = createClient<paths>({
  // The window's page has an address of its own scheme; only the path matters there.
  baseUrl: new URL('/', location.href).href,
  fetch: (request) => platform.fetch(request),
});

interface Outcome<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** What was asked for, or the problem as an error. */
async function met<T>(outcome: Promise<Outcome<T>>): Promise<T> {
  const { data, error, response } = await outcome;
  if (!response.ok) throw new ApiError(problemOf(response.status, error));
  return data as T;
}

function problemOf(status: number, error: unknown): Problem {
  if (typeof error === 'object' && error !== null && 'detail' in error) return error as Problem;
  return {
    type: 'about:blank',
    code: 'unreadable_answer',
    title: `The server answered ${status}`,
    detail:
      String(error ?? '').slice(0, 500) || `The server answered ${status} without saying why.`,
    status,
  };
}

/** The commands that need no body. */
export type PlainAction = Exclude<Action, 'accept' | 'request_changes'>;

const at = (id: string) => ({ params: { path: { id } } });

export const api = {
  board: () => met(GET('/api/v1/board')),
  task: (id: string) => met(GET('/api/v1/tasks/{id}', at(id))),
  timeline: (id: string) => met(GET('/api/v1/tasks/{id}/timeline', at(id))),
  messages: (id: string) => met(GET('/api/v1/tasks/{id}/messages', at(id))),
  say: (id: string, body: SayBody) => met(POST('/api/v1/tasks/{id}/messages', { ...at(id), body })),
  setPlan: (id: string, body: PlanBody) => met(PUT('/api/v1/tasks/{id}/plan', { ...at(id), body })),
  team: () => met(GET('/api/v1/team')),
  setPriority: (id: string, priority: Priority) =>
    met(POST('/api/v1/tasks/{id}/priority', { ...at(id), body: { priority } })),
  unchain: (id: string) => met(POST('/api/v1/tasks/{id}/unchain', at(id))),
  templates: (folder: string) => met(GET('/api/v1/templates', { params: { query: { folder } } })),
  fill: (name: string, folder: string, fields: Record<string, string>) =>
    met(
      POST('/api/v1/templates/{name}/fill', {
        params: { path: { name } },
        body: { folder, fields },
      }),
    ),
  diff: (id: string, path?: string) =>
    met(
      GET('/api/v1/tasks/{id}/diff', {
        params: { path: { id }, query: path === undefined ? {} : { path } },
      }),
    ),
  create: (body: NewTask) => met(POST('/api/v1/tasks', { body })),
  command: (id: string, action: PlainAction) => met(POST(`/api/v1/tasks/{id}/${action}`, at(id))),
  accept: (id: string, although_red: boolean) =>
    met(POST('/api/v1/tasks/{id}/accept', { ...at(id), body: { although_red } })),
  requestChanges: (id: string, text: string) =>
    met(POST('/api/v1/tasks/{id}/request-changes', { ...at(id), body: { text } })),
  caps: (id: string, body: Caps) => met(PUT('/api/v1/tasks/{id}/caps', { ...at(id), body })),
  replaceSession: (id: string, role: Role) =>
    met(POST('/api/v1/tasks/{id}/sessions/{role}/replace', { params: { path: { id, role } } })),
  revokeGrant: (id: string, digest: string) =>
    met(DELETE('/api/v1/tasks/{id}/grants/{digest}', { params: { path: { id, digest } } })),
  allowed: () => met(GET('/api/v1/rules')),
  revokeRule: (id: number) => met(DELETE('/api/v1/rules/{id}', { params: { path: { id } } })),
  capDay: (body: Caps) => met(PUT('/api/v1/today', { body })),
  retryAccount: () => met(POST('/api/v1/accounts/claude/retry')),
  stopAll: () => met(POST('/api/v1/stop')),
  approvals: () => met(GET('/api/v1/approvals')),
  answer: (approval: string, body: Answer) =>
    met(POST('/api/v1/approvals/{id}', { ...at(approval), body })),
  inspect: (path: string) => met(POST('/api/v1/projects/inspect', { body: { path } })),
  trust: (path: string) => met(POST('/api/v1/projects', { body: { path, trust: true } })),
  practice: () => met(POST('/api/v1/practice')),
  kpis: () => met(GET('/api/v1/kpis')),
  trash: () => met(GET('/api/v1/trash')),
  restoreTrash: (id: string) => met(POST('/api/v1/trash/{id}/restore', at(id))),
  doctor: () => met(GET('/api/v1/doctor')),
  keys: () => met(GET('/api/v1/keys')),
  setKey: (name: string, value: string) =>
    met(PUT('/api/v1/keys/{name}', { params: { path: { name } }, body: { value } })),
  removeKey: (name: string) => met(DELETE('/api/v1/keys/{name}', { params: { path: { name } } })),
};
