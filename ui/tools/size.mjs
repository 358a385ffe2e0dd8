/**
 * Measures what a first visit loads, and fails when it is over budget: the page's own script and
 * style, with everything they load at once. Lazy parts have a budget of their own.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

const KB = 1024;
const budgets = { 'first script': 270, 'first style': 45, 'lazy script': 250, graph: 80 };

const dist = new URL('../dist/', import.meta.url);
const gz = (path) => gzipSync(readFileSync(new URL(path, dist)), { level: 9 }).length;
const page = readFileSync(new URL('index.html', dist), 'utf8');
const first = new Set([...page.matchAll(/(?:src|href)="\/(assets\/[^"]+)"/g)].map((hit) => hit[1]));
if (first.size === 0) throw new Error('dist/index.html names no assets: run `npm run build` first');

const total = { 'first script': 0, 'first style': 0, 'lazy script': 0, graph: 0 };
for (const name of readdirSync(new URL('assets/', dist))) {
  const path = `assets/${name}`;
  if (name.endsWith('.js')) total[partOf(name, path)] += gz(path);
  if (name.endsWith('.css') && first.has(path)) total['first style'] += gz(path);
}

/** The graph library is on its own: only whoever looks at a plan loads it. */
function partOf(name, path) {
  if (first.has(path)) return 'first script';
  return name.startsWith('PlanGraph-') ? 'graph' : 'lazy script';
}

for (const [what, bytes] of Object.entries(total)) {
  const line = `${what}: ${(bytes / KB).toFixed(1)} of ${budgets[what]} KB`;
  process.stdout.write(`${line}\n`);
  if (bytes > budgets[what] * KB) {
    process.stderr.write(`over budget: ${line}\n`);
    process.exitCode = 1;
  }
}
