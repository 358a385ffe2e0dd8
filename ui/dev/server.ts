/** A Vite plugin that answers the API from a made-up world. Only `npm run dev:fake` loads it. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Plugin } from 'vite';
import { answer } from './routes.ts';
import { World } from './world.ts';

export function fakeServer(): Plugin {
  return {
    name: 'nexus-fake-server',
    configureServer(server) {
      let world = process.env.NEXUS_FAKE === 'empty' ? World.empty() : new World();
      setInterval(() => think(world), 900).unref();
      server.middlewares.use((request, response, next) => {
        const url = request.url ?? '/';
        if (url === '/fake/empty' || url === '/fake/full') {
          world = url === '/fake/empty' ? World.empty() : new World();
          response.end('ok');
        } else if (url.startsWith('/api/v1/events')) {
          stream(world, url, request, response);
        } else if (url.startsWith('/api/')) {
          void reply(world, url, request, response);
        } else {
          next();
        }
      });
    },
  };
}

const thoughts =
  'Step 5 has written the model that step 3 reads. The hours are a column of their own, so nothing is lost when both are put together. Code 3 can mend it alone; nobody else has to wait. ';
let thought = 0;

/** Prime thinks aloud about T-21, a few words at a time. */
function think(world: World) {
  const task = world.find('T-21');
  const words = thoughts.split(/(?<= )/);
  if (task?.state !== 'working') return;
  const from = (thought++ * 4) % words.length;
  world.think(task.id, words.slice(from, from + 4).join(''));
}

function stream(world: World, url: string, request: IncomingMessage, response: ServerResponse) {
  const since = Number(new URL(url, 'http://localhost').searchParams.get('since') ?? 0);
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
  response.write(': hello\n\n');
  const stop = world.listen(since, (change) => {
    response.write(`id: ${change.seq}\ndata: ${JSON.stringify(change)}\n\n`);
  });
  request.on('close', stop);
}

async function reply(
  world: World,
  url: string,
  request: IncomingMessage,
  response: ServerResponse,
) {
  let text = '';
  for await (const chunk of request) text += chunk;
  const made = answer(
    world,
    request.method ?? 'GET',
    url,
    text === '' ? undefined : JSON.parse(text),
  );
  const type = made.status < 400 ? 'application/json' : 'application/problem+json';
  response.writeHead(made.status, { 'content-type': type });
  response.end(made.body === null ? undefined : JSON.stringify(made.body));
}
