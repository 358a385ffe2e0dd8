/** The made-up world behind the real paths. */
import type { Answer, Caps, NewTask, PlanBody, Priority, SayBody } from '../src/api/types';
import { Refused } from './plans.ts';
import { fill, templatesFor } from './templates.ts';
import type { World } from './world.ts';

export interface Reply {
  status: number;
  body: unknown;
}

const found = (body: unknown): Reply =>
  body === undefined
    ? problem(404, 'not_found', 'There is nothing under this address.')
    : { status: 200, body };

const none: Reply = { status: 204, body: null };

const problem = (status: number, code: string, detail: string): Reply => ({
  status,
  body: { type: `docs/errors.md#${code}`, code, title: detail, detail, status },
});

export function answer(world: World, method: string, url: string, body: unknown): Reply {
  const { pathname, searchParams } = new URL(url, 'http://localhost');
  const parts = pathname
    .replace(/^\/api\/v1\//, '')
    .split('/')
    .map(decodeURIComponent);
  const sent = (body ?? {}) as Record<string, unknown>;
  const [head, id = '', tail = '', which = ''] = parts;
  try {
    switch (`${method} ${head}`) {
      case 'GET board':
        return found(world.board());
      case 'GET projects':
        return found(world.projects);
      case 'POST projects':
        if (id === 'inspect') {
          return String(sent.path) === '/'
            ? problem(
                422,
                'folder_refused',
                '/ is not a project folder. Choose a folder below your home folder.',
              )
            : found(world.inspect(String(sent.path)));
        }
        return found(world.trust(String(sent.path)));
      case 'POST practice':
        return found(world.practice());
      case 'GET kpis':
        return found(world.kpis());
      case 'GET trash':
        return found(world.trash);
      case 'POST trash':
        return found(world.restoreTrash(id));
      case 'GET doctor':
        return found(world.doctor());
      case 'GET keys':
        return found(world.keyring);
      case 'PUT keys':
        world.keyring = [
          ...world.keyring.filter((key) => key.name !== id),
          { name: id, last_four: String(sent.value).slice(-4), source: 'keychain' },
        ];
        return found(world.keyring.find((key) => key.name === id));
      case 'DELETE keys':
        world.keyring = world.keyring.filter((key) => key.name !== id);
        return none;
      case 'GET approvals':
        return found(world.questions());
      case 'GET rules':
        return found(world.allowed);
      case 'DELETE rules':
        world.revokeRule(Number(id));
        return none;
      case 'GET today':
        return found(world.today);
      case 'PUT today':
        return found(world.capDay(sent as unknown as Caps));
      case 'POST accounts':
        world.retry();
        return none;
      case 'POST stop':
        world.stop();
        return none;
      case 'POST approvals':
        return found(world.answer(id, sent as Answer));
      case 'DELETE tasks': {
        const task = world.find(id);
        return found(task && world.revokeGrant(task, which));
      }
      case 'GET team':
        return found(world.team());
      case 'GET templates':
        return found(templatesFor(searchParams.get('folder') ?? ''));
      case 'POST templates':
        return found(fill(id, String(sent.folder), (sent.fields ?? {}) as Record<string, string>));
      case 'POST tasks': {
        const task = world.find(id);
        if (task && tail === 'sessions') return found(world.replaceSession(task, which));
        if (task && tail === 'messages') return found(world.say(task, sent as SayBody));
        if (task && tail === 'unchain') return found(world.unchain(task));
        if (task && tail === 'priority') {
          return found(world.setPriority(task, sent.priority as Priority));
        }
        return id === ''
          ? { status: 201, body: world.create(sent as unknown as NewTask) }
          : found(world.command(id, tail, sent));
      }
      case 'PUT tasks': {
        const task = world.find(id);
        if (task && tail === 'plan') return found(world.setPlan(task, sent as PlanBody));
        return found(world.command(id, tail, sent));
      }
      case 'GET tasks':
        if (!world.find(id)) return found(undefined);
        if (tail === 'plan') return found(world.task(id)?.plan);
        if (tail === 'timeline') return found(world.timeline(id));
        if (tail === 'messages') return found(world.messages(id));
        if (tail === 'diff') return found(world.diff(searchParams.get('path') ?? undefined));
        return found(world.task(id));
      default:
        return found(undefined);
    }
  } catch (error) {
    if (error instanceof Refused) return problem(error.status, error.code, error.message);
    return problem(409, 'not_now', error instanceof Error ? error.message : String(error));
  }
}
