/** The made-up world behind the real paths. */
import type { Answer, Caps, NewTask } from '../src/api/types';
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
      case 'POST tasks':
        if (tail === 'sessions') {
          const task = world.find(id);
          return found(task && world.replaceSession(task, which));
        }
        return id === ''
          ? { status: 201, body: world.create(sent as unknown as NewTask) }
          : found(world.command(id, tail, sent));
      case 'PUT tasks':
        return found(world.command(id, tail, sent));
      case 'GET tasks':
        if (!world.find(id)) return found(undefined);
        if (tail === 'timeline') return found(world.timeline(id));
        if (tail === 'messages') return found(world.messages(id));
        if (tail === 'diff') return found(world.diff(searchParams.get('path') ?? undefined));
        return found(world.task(id));
      default:
        return found(undefined);
    }
  } catch (error) {
    return problem(409, 'not_now', error instanceof Error ? error.message : String(error));
  }
}
