// @vitest-environment jsdom
import { act, screen, waitFor, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { TimelineItem } from '../src/api/types';
import { axe } from './axe';
import { FakePlatform, openPage, pretendLayout } from './harness';

const user = userEvent.setup({ delay: null });
const held = vi.hoisted(() => ({ platform: undefined as unknown as FakePlatform }));
vi.mock('../src/platform', () => ({
  platform: new Proxy({} as FakePlatform, {
    get: (_, name) => held.platform[name as keyof FakePlatform],
  }),
}));

let close = () => {};
let complaints = vi.spyOn(console, 'error');
const open = (path: string) => {
  close = openPage(path).close;
};
const sent = () => held.platform.commands();
const task = (name: string) => {
  const found = held.platform.world.find(name);
  if (!found) throw new Error(`there is no ${name}`);
  return found;
};
const card = async (name: string) => within(await screen.findByTestId(`card-${name}`));

beforeAll(pretendLayout);
beforeEach(() => {
  complaints = vi.spyOn(console, 'error');
  localStorage.clear();
  held.platform = new FakePlatform();
  held.platform.world.beat = 0;
});
afterEach(() => {
  close();
  expect(complaints.mock.calls).toEqual([]);
});

describe('a card', () => {
  it('says how far its task is, how many are at work, and what there is to look at', async () => {
    open('/');
    const lanes = await card('T-21');
    expect(lanes.getByText('2 of 8 steps')).toBeTruthy();
    expect(lanes.getByRole('progressbar').getAttribute('value')).toBe('0.2');
    expect(lanes.getByText('3 at work')).toBeTruthy();
    expect(lanes.getByText('1 to look at')).toBeTruthy();
    expect((await card('T-23')).getByText('2 to look at')).toBeTruthy();
  });

  it('marks what is more urgent than the rest, and nothing else', async () => {
    open('/');
    expect((await card('T-22')).getByText('‼ Critical')).toBeTruthy();
    expect((await card('T-21')).getByText('↑ High')).toBeTruthy();
    expect((await card('T-27')).queryByText(/Low|Normal/)).toBeNull();
  });

  it('says which task it waits for, and stops waiting when told to', async () => {
    open('/');
    const chained = await card('T-24');
    expect(chained.getByText('waits for T-12 (failed)')).toBeTruthy();
    await user.click(chained.getByRole('button', { name: 'Commands for T-24' }));
    await user.click(await screen.findByRole('menuitem', { name: 'Do not wait' }));
    await waitFor(() => expect(chained.queryByText(/waits for/)).toBeNull());
    expect(sent().map(({ path }) => path)).toEqual([`/tasks/${task('T-24').id}/unchain`]);
    expect(await screen.findByText('T-24 waits no more')).toBeTruthy();
  });

  it('says its place in the queue', async () => {
    open('/');
    expect((await card('T-27')).getByText('place 2 in the queue')).toBeTruthy();
  });

  it('becomes more urgent through its menu', async () => {
    open('/');
    const plain = await card('T-18');
    await user.click(plain.getByRole('button', { name: 'Commands for T-18' }));
    expect(
      within(await screen.findByRole('menuitem', { name: /^Normal/ })).getByLabelText('chosen'),
    ).toBeTruthy();
    await user.click(screen.getByRole('menuitem', { name: 'Critical' }));
    expect(await plain.findByText('‼ Critical')).toBeTruthy();
    expect(sent()).toEqual([
      {
        method: 'POST',
        path: `/tasks/${task('T-18').id}/priority`,
        body: { priority: 'critical' },
      },
    ]);
  });
});

describe('the summary', () => {
  it('lists what somebody has to look at, what lessens the proof first', async () => {
    open('/t/T-23/summary');
    const flags = within(await screen.findByTestId('flags')).getAllByRole('listitem');
    expect(flags[0]?.textContent).toMatch(
      /An assertion was deleted.*tests prove less.*tests\/import\.rs.*Alpha in step 3, round 1\. Beta was told\./,
    );
    expect(flags[1]?.textContent).toContain('A dependency was added');
    expect(await axe(document.body)).toEqual([]);
  });

  it('says that Beta will be told as long as she has not begun', async () => {
    open('/t/T-21/summary');
    expect((await screen.findByTestId('flags')).textContent).toContain(
      'Beta will be told when she judges.',
    );
    const lines = within(screen.getByTestId('checklist')).getAllByRole('listitem');
    expect(lines).toHaveLength(3);
    for (const line of lines) expect(line.textContent).toContain('Beta has not judged it yet.');
  });

  it('shows what Beta says of each line, as a claim', async () => {
    open('/t/T-23/summary');
    const lines = within(await screen.findByTestId('checklist')).getAllByRole('listitem');
    expect(lines.map((line) => line.textContent)).toEqual([
      expect.stringMatching(/addresses.*Beta says it is met: both old addresses/),
      expect.stringMatching(/closed for good.*Beta says it is not met: point 17/),
      expect.stringMatching(/taken back.*Beta has not judged it yet\./),
    ]);
    expect(await axe(document.body)).toEqual([]);
  });

  it('shows the milestones, reached or not', async () => {
    open('/t/T-21/summary');
    const all = within(await screen.findByTestId('milestones')).getAllByRole('listitem');
    expect(all.map((each) => each.dataset.reached)).toEqual([
      'true',
      'true',
      'true',
      'false',
      'false',
    ]);
    expect(all.at(-1)?.textContent).toContain('Ready for your reviewnot yet');
  });
});

describe('messages', () => {
  it('say in words what became of each', async () => {
    open('/t/T-21/messages');
    const marks = await screen.findAllByTestId('delivery');
    expect(marks.map((mark) => mark.textContent)).toEqual([
      '✓read by Aria',
      '✓read by Code',
      '…waiting: Alpha gets it when looking, or with the next prompt',
    ]);
    expect(await axe(document.body)).toEqual([]);
  });

  it('are sent to whom one chose, with files, and interrupt only when one says so', async () => {
    open('/t/T-21/messages');
    await user.selectOptions(await screen.findByTestId('say-to'), 'code');
    const form = screen.getByTestId('say-form');
    expect(form.textContent).toContain('Code reads it when looking for messages');
    await user.click(screen.getByTestId('say-urgent'));
    expect(form.textContent).toContain('Code stops in the middle of the turn');
    expect(screen.getByTestId('say-send').textContent).toContain('Interrupt and send');
    await user.click(screen.getByRole('button', { name: 'Attach files' }));
    await user.type(screen.getByTestId('say-files'), '/home/me/a.md{Enter}/home/me/b.md');
    await user.type(screen.getByTestId('say-text'), 'Leave the prices alone.');
    await user.keyboard('{Control>}{Enter}{/Control}');
    await waitFor(() =>
      expect(sent()).toEqual([
        {
          method: 'POST',
          path: `/tasks/${task('T-21').id}/messages`,
          body: {
            to: 'code',
            text: 'Leave the prices alone.',
            urgent: true,
            files: ['/home/me/a.md', '/home/me/b.md'],
          },
        },
      ]),
    );
    expect(await screen.findByText('Leave the prices alone.')).toBeTruthy();
    expect(screen.getByTestId<HTMLTextAreaElement>('say-text').value).toBe('');
    expect(screen.getByTestId<HTMLInputElement>('say-urgent').checked).toBe(false);
  });

  it('to Prime interrupt nobody', async () => {
    open('/t/T-21/messages');
    await user.click(await screen.findByTestId('say-urgent'));
    await user.selectOptions(screen.getByTestId('say-to'), 'prime');
    expect(screen.queryByTestId('say-urgent')).toBeNull();
    await user.type(screen.getByTestId('say-text'), 'Fewer steps');
    await user.click(screen.getByTestId('say-send'));
    await waitFor(() => expect(sent()[0]?.body).toMatchObject({ to: 'prime', urgent: false }));
  });

  it('are kept while they are written', async () => {
    open('/t/T-21/messages');
    await user.type(await screen.findByTestId('say-text'), 'Half a thought');
    await user.click(screen.getByTestId('tab-plan'));
    await user.click(screen.getByTestId('tab-messages'));
    expect(await screen.findByDisplayValue('Half a thought')).toBeTruthy();
  });

  it('are not written where nobody reads them', async () => {
    open('/t/T-9/messages');
    expect(await screen.findByText(/nobody reads messages here any more/)).toBeTruthy();
    expect(screen.queryByTestId('say-form')).toBeNull();
  });
});

describe('the agents', () => {
  const line = (part: Partial<TimelineItem>): TimelineItem => ({
    id: 't5.9',
    at: new Date(Date.now() + 1_000).toISOString(),
    role: 'code',
    turn: 5,
    kind: 'tool_started',
    text: 'Read src/checkout/choose.rs',
    ...part,
  });

  it('are reached by the keyboard, each seat with what it does', async () => {
    open('/');
    await screen.findByTestId('board');
    await user.keyboard('ga');
    expect(window.location.pathname).toBe('/agents');
    const second = await screen.findByTestId('seat-T-21-code-2');
    expect(second.textContent).toContain('Code 2');
    expect(second.textContent).toContain('using a tool');
    expect(second.textContent).toContain('Bash cargo test -p checkout');
    expect(second.textContent).toContain('Step 4: Choose a point at the checkout');
    expect(second.textContent).toMatch(/heard 1\d s ago/);
    expect(second.textContent).toContain('context 74k · 58k tok · $0.70');
    expect(screen.getByTestId('seat-T-25-aria').textContent).toContain('stalled');
    expect(screen.getByTestId('seat-alpha').textContent).toContain('idle');
    expect(await axe(document.body)).toEqual([]);
  });

  it('are heard in the stream, each lane by itself', async () => {
    open('/agents');
    const second = await screen.findByTestId('seat-T-21-code-2');
    act(() => held.platform.world.live(task('T-21').id, [line({})]));
    await waitFor(() => expect(second.textContent).toContain('Read src/checkout/choose.rs'));
    expect(second.textContent).toContain('heard just now');
    expect(screen.getByTestId('seat-T-21-code').textContent).toContain('Edit src/points/near.rs');
  });

  it('are asked after only where they are shown', async () => {
    open('/inbox');
    await screen.findByTestId('asked-T-14');
    const questions = () => held.platform.sent.filter(({ path }) => path === '/approvals').length;
    const before = questions();
    act(() => {
      held.platform.world.change(task('T-21').id, {}, 'A fact');
    });
    await waitFor(() => expect(questions()).toBeGreaterThan(before));
    expect(held.platform.sent.some(({ path }) => path === '/team')).toBe(false);
  });

  it('are written to from where they are seen', async () => {
    open('/agents');
    await user.click(await screen.findByRole('button', { name: 'Message… to Code 2 of T-21' }));
    expect(await screen.findByText('Write to the team of T-21')).toBeTruthy();
    expect(screen.getByTestId<HTMLSelectElement>('say-to').value).toBe('code');
    await user.type(screen.getByTestId('say-text'), 'Use the old form');
    await user.keyboard('{Control>}{Enter}{/Control}');
    await waitFor(() => expect(screen.queryByTestId('say-form')).toBeNull());
    expect(await screen.findByText('Sent to Code')).toBeTruthy();
    expect(sent()[0]?.body).toMatchObject({ to: 'code', text: 'Use the old form' });
  });

  it('stand on the board seat by seat', async () => {
    open('/');
    const strip = within(await screen.findByTestId('agent-T-21-code-3'));
    expect(strip.getByText('Code 3')).toBeTruthy();
    expect(strip.getByText('thinking')).toBeTruthy();
    expect(screen.getByTestId('agent-T-14-beta').textContent).toContain('cargo test --workspace');
  });

  it('stand on the board role by role where the seats cannot be read', async () => {
    vi.spyOn(held.platform.world, 'team').mockImplementation(() => {
      throw new Error('not there');
    });
    open('/');
    expect((await screen.findByTestId('agent-code')).textContent).toContain('working');
  });
});

describe('the palette', () => {
  it('knows what can be done with the task that is open', async () => {
    open('/t/T-24');
    await screen.findByTestId('tab-plan');
    await user.keyboard('{Control>}k{/Control}');
    await user.type(
      await screen.findByPlaceholderText('Search tasks, or run a command'),
      'T-24: do not wait',
    );
    await user.keyboard('{Enter}');
    await waitFor(() => expect(sent()[0]?.path).toMatch(/\/unchain$/));
  });

  it('goes to the agents', async () => {
    open('/');
    await screen.findByTestId('board');
    await user.keyboard('{Control>}k{/Control}');
    await user.type(
      await screen.findByPlaceholderText('Search tasks, or run a command'),
      'Go to the agents',
    );
    await user.keyboard('{Enter}');
    expect(await screen.findByTestId('team')).toBeTruthy();
  });
});
