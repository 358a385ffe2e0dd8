/**
 * Takes pictures of the screens with the fake server behind them, to be looked at.
 * Use: `npm run dev:fake` in one terminal, `npm run shots [name…]` in another; they land in dev/shots/.
 */
import { mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

const base = process.env.NEXUS_UI_URL ?? 'http://127.0.0.1:1420';
/** Names of screens, and `light-1280` for one look only. */
const asked = process.argv.slice(2);
const looks = asked.filter((each) => /^(light|dark)-\d+$/.test(each));
const wanted = asked.filter((each) => !looks.includes(each));
const out = new URL('./shots/', import.meta.url).pathname;
mkdirSync(out, { recursive: true });

const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
const press = (key) => (page) => page.keyboard.press(key);
const graph = (page) => page.getByTestId('plan-graph').waitFor({ state: 'attached' });
const screens = [
  ['board', '/'],
  ['inbox', '/inbox'],
  ['doctor', '/doctor'],
  ['activity', '/t/T-16'],
  ['question', '/t/T-14'],
  ['open-question', '/t/T-13'],
  ['changes', '/t/T-11'],
  ['red', '/t/T-10'],
  ['summary', '/t/T-9'],
  ['flagged', '/t/T-23/summary'],
  ['chained', '/t/T-24'],
  ['messages', '/t/T-11/messages'],
  [
    'say',
    '/t/T-21/messages',
    async (page) => {
      await page.getByTestId('say-to').selectOption('code');
      await page.getByTestId('say-urgent').click();
      await page.getByText('Attach files').click();
      await page.getByTestId('say-text').fill('Points abroad are out of scope.');
    },
  ],
  ['failed', '/t/T-12'],
  ['composer', '/', press('c')],
  [
    'limits',
    '/',
    async (page) => {
      await page.keyboard.press('c');
      await page.getByTestId('composer-more').click();
      await page.getByTestId('composer-more').scrollIntoViewIfNeeded();
    },
  ],
  [
    'template',
    '/',
    async (page) => {
      await page.keyboard.press('c');
      await page.getByTestId('composer-template').selectOption('bug-fix');
      await page.getByTestId('field-symptom').fill('The menu blinks on every key.');
      await page.getByTestId('preview-toggle').click();
    },
  ],
  ['palette', '/', press('Control+k')],
  ['shortcuts', '/', press('?')],
  [
    'trust',
    '/',
    async (page) => {
      await page.getByTestId('add-folder').click();
      await page.getByTestId('folder-path').fill('/home/me/projects/web');
      await page.getByTestId('folder-look').click();
      await page.getByTestId('trust-folder').waitFor();
    },
  ],
  ['details', '/t/T-10/details'],
  ['details-running', '/t/T-14/details'],
  ['unsure', '/t/T-20'],
  ['capped', '/t/T-19'],
  ['agents', '/agents'],
  ['allowed', '/allowed'],
  ['insights', '/insights'],
  ['caps', '/', (page) => page.getByTestId('today').click()],
  ['card-menu', '/', (page) => page.getByLabel('Commands for T-24').click()],
  ['menu', '/', (page) => page.getByTestId('main-menu').click()],
  [
    'stopping',
    '/',
    async (page) => {
      await page.getByTestId('main-menu').click();
      await page.getByTestId('stop-all').click();
    },
  ],
  ['plan', '/t/T-21/plan', graph],
  ['plan-question', '/t/T-22', graph],
  [
    'plan-edit',
    '/t/T-22/plan',
    async (page) => {
      await page.getByTestId('plan-edit').click();
      await page.getByRole('button', { name: 'Edit step 3' }).click();
      await page.getByLabel('Title').fill('');
      await page.getByTestId('plan-save').click();
    },
  ],
  ['handed-in', '/t/T-26'],
  ['empty', '/', null, 'empty'],
];

const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ],
});
for (const [scheme, width] of [
  ['dark', 1440],
  ['light', 1440],
  ['light', 1280],
  ['dark', 900],
  ['light', 900],
  ['light', 640],
  ['dark', 420],
  ['light', 420],
]) {
  if (looks.length > 0 && !looks.includes(`${scheme}-${width}`)) continue;
  for (const [name, path, act, world = 'full'] of screens) {
    if (wanted.length > 0 && !wanted.includes(name)) continue;
    if (width !== 1440 && ['trust', 'palette', 'shortcuts', 'card-menu'].includes(name)) continue;
    if (width < 700 && name === 'caps') continue;
    const page = await browser.newPage({
      colorScheme: scheme,
      viewport: { width, height: 900 },
      reducedMotion: 'reduce',
    });
    const faults = [];
    page.on('console', (line) => line.type() === 'error' && faults.push(line.text()));
    page.on('pageerror', (error) => faults.push(error.message));
    await page.request.get(`${base}/fake/${world}`);
    await page.goto(base + path);
    await page.waitForSelector('[data-link="live"]');
    await page.waitForTimeout(700);
    await page.waitForFunction(() => !document.querySelector('main .mantine-Loader-root'));
    if (act) {
      await act(page);
      await page.waitForTimeout(500);
    }
    await page.screenshot({ path: `${out}${name}-${scheme}-${width}.png` });
    await page.addScriptTag({ path: axe });
    const { violations } = await page.evaluate(() => window.axe.run());
    for (const { id, nodes } of violations) {
      for (const node of nodes) faults.push(`axe ${id}: ${node.html.slice(0, 160)}`);
    }
    for (const fault of faults) process.stderr.write(`${name} ${scheme} ${width}: ${fault}\n`);
    await page.close();
  }
}
await browser.close();
