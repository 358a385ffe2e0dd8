// @vitest-environment jsdom
import { act, screen, waitFor, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
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

describe('a closed account', () => {
  it('is said on the board with the time that is left, and on the card it holds', async () => {
    open('/');
    const banner = await screen.findByTestId('holds');
    expect(banner.textContent).toMatch(/^Usage limit: work goes on in 1 h 1\d min\./);
    const card = within(await screen.findByTestId('card-T-15'));
    expect(card.getByText('Usage limit')).toBeTruthy();
    expect(card.getByTestId('countdown').textContent).toMatch(/^in 1 h/);
  });

  it('that opens only by the person’s doing says what to do', async () => {
    const { world } = held.platform;
    world.holds = [{ why: 'login', until: null, text: 'not logged in: token expired' }];
    open('/');
    const banner = await screen.findByTestId('holds');
    expect(banner.textContent).toContain('Log in first: run claude once');
    expect(within(banner).queryByTestId('countdown')).toBeNull();
  });

  it('is tried again at once when the person says so', async () => {
    open('/');
    await user.click(await screen.findByTestId('try-now'));
    await waitFor(() => expect(screen.queryByTestId('holds')).toBeNull());
    expect(sent()).toEqual([{ method: 'POST', path: '/accounts/claude/retry', body: undefined }]);
    const card = within(screen.getByTestId('card-T-15'));
    expect(card.queryByText('Usage limit')).toBeNull();
  });
});

describe('stopping', () => {
  it('is said until it is true, of a card', async () => {
    open('/');
    await screen.findByTestId('card-T-16');
    const { world } = held.platform;
    const id = world.find('T-16')?.id ?? '';
    act(() => {
      world.change(id, { stopping: true, note: 'stopping…' }, 'Told to stop');
    });
    await waitFor(() => expect(screen.getByTestId('card-T-16').textContent).toContain('stopping…'));
    expect(screen.getByTestId('card-T-16').textContent).not.toContain('Paused');
    act(() => world.stopped(id));
    await waitFor(() => expect(screen.getByTestId('card-T-16').textContent).toContain('Paused'));
    expect(screen.getByTestId('card-T-16').textContent).not.toContain('stopping…');
  });

  it('all is called done when every task has stopped, and not before', async () => {
    open('/');
    await screen.findByTestId('card-T-16');
    await user.click(screen.getByTestId('main-menu'));
    await user.click(await screen.findByTestId('stop-all'));
    expect(await screen.findByText(/T-16.*: not stopped yet/)).toBeTruthy();
    const { world } = held.platform;
    for (const name of ['T-13', 'T-14', 'T-15', 'T-21', 'T-22', 'T-25', 'T-26', 'T-27']) {
      act(() => world.stopped(world.find(name)?.id ?? ''));
    }
    expect(await screen.findByText('T-16: not stopped yet')).toBeTruthy();
    expect(screen.queryByText('Everything has stopped')).toBeNull();
    act(() => world.stopped(world.find('T-16')?.id ?? ''));
    expect(await screen.findByText('Everything has stopped')).toBeTruthy();
    expect(sent().map(({ path }) => path)).toEqual(['/stop']);
  });
});

describe('caps', () => {
  it('of a task that reached one are raised, and it goes on', async () => {
    open('/');
    const card = within(await screen.findByTestId('card-T-19'));
    expect(card.getByText('Token cap reached')).toBeTruthy();
    await user.click(card.getByRole('button', { name: 'Raise the cap…' }));
    const field = await screen.findByTestId('cap-tokens');
    await user.clear(field);
    await user.type(field, '400000');
    await user.click(screen.getByTestId('caps-save'));
    await waitFor(() => expect(sent()).toHaveLength(2));
    const id = held.platform.world.find('T-19')?.id;
    expect(sent()).toEqual([
      {
        method: 'PUT',
        path: `/tasks/${id}/caps`,
        body: { cost_usd: null, tokens: 400_000, seconds: 7_200, turns: null },
      },
      { method: 'POST', path: `/tasks/${id}/resume`, body: undefined },
    ]);
  });

  it('of a day are shown beside what was used, and changed', async () => {
    open('/');
    const today = await screen.findByTestId('today');
    expect(today.textContent).toBe('≥ $3.52 of $10.00 today');
    await user.click(today);
    const field = await screen.findByTestId('cap-cost');
    await user.clear(field);
    await user.type(field, '25');
    await user.click(screen.getByTestId('caps-save'));
    await waitFor(() =>
      expect(screen.getByTestId('today').textContent).toBe('≥ $3.52 of $25.00 today'),
    );
    expect(sent()).toMatchObject([{ method: 'PUT', path: '/today', body: { cost_usd: 25 } }]);
  });
});

describe('a new task', () => {
  it('has the limits that were given, and the next one has not', async () => {
    open('/');
    await user.click(await screen.findByTestId('new-task'));
    await user.type(await screen.findByTestId('composer-text'), 'Sort the list');
    // A number that is not whole passes through half of itself while it is typed.
    await user.type(screen.getByTestId('composer-budget'), '2.50');
    await user.click(screen.getByTestId('composer-more'));
    await user.type(screen.getByTestId('composer-tokens'), '250000');
    await user.type(screen.getByTestId('composer-minutes'), '0');
    await user.type(screen.getByTestId('composer-turns'), '12');
    await user.type(screen.getByTestId('composer-answerHours'), '1.5');
    await user.click(screen.getByTestId('composer-keep'));
    await waitFor(() => expect(sent()).toHaveLength(1));
    expect(sent()[0]?.body).toMatchObject({
      budget_usd: 2.5,
      max_tokens: 250_000,
      max_seconds: 0,
      max_turns: 12,
      answer_within_seconds: 5_400,
    });
    await waitFor(() => expect(screen.queryByTestId('composer-text')).toBeNull());
    await user.click(screen.getByTestId('new-task'));
    await screen.findByTestId('composer-text');
    expect(screen.getByTestId<HTMLInputElement>('composer-tokens').value).toBe('');
  });
});

describe('key figures', () => {
  it('that were not measured have no number, and those that are 0 have one', async () => {
    open('/insights');
    const row = async (code: string) => (await screen.findByTestId(`kpi-${code}`)).textContent;
    expect(await row('test_coverage')).toContain('not measured yetno check’s output reports it');
    const unmeasured = screen.getByTestId('kpi-test_coverage').querySelectorAll('td');
    expect(unmeasured[0]?.textContent).not.toMatch(/\d/);
    expect(unmeasured[1]?.textContent).toBe('> 90 %');
    expect(await row('user_satisfaction')).toContain('not measured yet');
    expect(await row('bug_detection_rate')).toContain('0 %0 found by the checks and Beta');
    expect(await row('task_completion_rate')).toContain('96.43 %');
    expect(await row('task_completion_rate')).toContain('Accepted ÷ (accepted + failed');
    expect(await axe(document.body)).toEqual([]);
  });

  it('show what they are made of', async () => {
    open('/insights');
    const row = within(await screen.findByTestId('kpi-response_time'));
    await user.click(row.getByRole('button', { name: '2 parts' }));
    expect(screen.getByText('code: mean')).toBeTruthy();
    expect(screen.getByText('180.25 s')).toBeTruthy();
  });
});

describe('the doctor', () => {
  it('lists every difference with its code, and says how it is repaired', async () => {
    open('/doctor');
    const row = await screen.findByTestId('difference-process_left');
    for (const words of [
      'process_left',
      '48102',
      'It may still write into the copy of T-16.',
      'Repair: end it with everything it started',
    ]) {
      expect(row.textContent).toContain(words);
    }
    const left = screen.getByTestId('difference-session_file_missing');
    expect(left.textContent).not.toContain('Repair:');
    const repair = screen.getByTestId('repair');
    expect(repair.textContent).toContain('waits until NEXUS is closed');
    expect(within(repair).getByText('nexus doctor --fix')).toBeTruthy();
    expect(await axe(document.body)).toEqual([]);
  });

  it('brings back what was put aside', async () => {
    open('/doctor');
    const item = within(await screen.findByTestId(/^trash-/));
    await user.click(item.getByRole('button'));
    await waitFor(() => expect(screen.queryByTestId('trash')).toBeNull());
    expect(sent()[0]?.path).toMatch(/^\/trash\/.+\/restore$/);
  });
});

describe('what happened behind a task', () => {
  it('is four facts an attempt, newest first, and only what is verified looks like success', async () => {
    open('/t/T-11/details');
    const table = await screen.findByTestId('attempts');
    const heads = within(table).getAllByRole('columnheader');
    expect(heads.map((head) => head.textContent)).toEqual([
      'Attempt',
      'Process',
      'Turn',
      'Claim',
      'Verified',
      'Began',
    ]);
    const code = within(await screen.findByTestId('attempts-2'));
    const facts = code
      .getAllByRole('row')
      .slice(1)
      .map((row) => [...row.querySelectorAll('[data-side]')].map((cell) => cell.textContent));
    expect(facts).toEqual([
      ['closed when asked to', 'finished', 'says: done', 'checks pass'],
      ['gone with an earlier NEXUS', 'cut off: outcome not known', 'says nothing', 'not reached'],
    ]);
    expect(code.getByText('cut off: outcome not known').closest('td')?.title).toBe('output_lost');
    const green = [...table.querySelectorAll('[data-meaning="success"]')];
    expect(green.length).toBeGreaterThan(0);
    for (const mark of green) {
      expect(mark.closest('[data-side]')?.getAttribute('data-side')).toBe('verified');
    }
    expect(await axe(document.body)).toEqual([]);
  });

  it('can be begun anew, after one look at what that means', async () => {
    open('/t/T-14/details');
    const session = within(await screen.findByTestId('session-code'));
    expect(session.getByText(/parked/)).toBeTruthy();
    await user.click(session.getByRole('button'));
    expect(sent()).toEqual([]);
    await user.click(await screen.findByTestId('replace-confirm'));
    const id = held.platform.world.find('T-14')?.id;
    await waitFor(() =>
      expect(sent()).toEqual([
        { method: 'POST', path: `/tasks/${id}/sessions/code/replace`, body: undefined },
      ]),
    );
    expect(await within(screen.getByTestId('session-code')).findByText(/fresh/)).toBeTruthy();
  });

  it('says what is only the least', async () => {
    open('/t/T-16/details');
    const used = within(await screen.findByTestId('used'));
    expect(used.getByText('≥ $1.92')).toBeTruthy();
    expect(used.getByText('≥ 118k tok')).toBeTruthy();
  });
});

describe('what is allowed', () => {
  it('is listed and taken back', async () => {
    open('/allowed');
    const rule = within(await screen.findByTestId('rule-1'));
    expect(rule.getByText('npm run lint -- --fix')).toBeTruthy();
    expect(rule.getByText('in shop-api')).toBeTruthy();
    expect(await axe(document.body)).toEqual([]);
    await user.click(rule.getByRole('button'));
    await waitFor(() => expect(screen.queryByTestId('rule-1')).toBeNull());
    expect(screen.getByTestId('rule-2')).toBeTruthy();
    expect(sent()).toEqual([{ method: 'DELETE', path: '/rules/1', body: undefined }]);
  });

  it('for the rest of a task is taken back on its page', async () => {
    open('/t/T-14/details');
    const grant = within(await screen.findByTestId(/^grant-/));
    await user.click(grant.getByRole('button'));
    await waitFor(() => expect(screen.queryByTestId(/^grant-/)).toBeNull());
    expect(sent()[0]).toMatchObject({ method: 'DELETE' });
    expect(sent()[0]?.path).toMatch(/\/grants\/[0-9a-f]{64}$/);
  });
});

describe('the inbox', () => {
  const ready = (panel: HTMLElement) =>
    waitFor(() => expect(panel.querySelector('[data-ready="true"]')).toBeTruthy());

  it('shows every question whole, and answers exactly what was shown', async () => {
    open('/inbox');
    const asked = await screen.findByTestId('asked-T-14');
    expect(asked.textContent).toContain(
      'cargo test --workspace --all-features -- --include-ignored --test-threads=1 2>&1 | tee target/validation.log',
    );
    expect(asked.textContent).toMatch(/becomes a no in 2\d h/);
    await ready(asked);
    const question = held.platform.world.find('T-14')?.question;
    await user.click(within(asked).getByTestId('allow-for-project'));
    await waitFor(() => expect(screen.queryByTestId('asked-T-14')).toBeNull());
    expect(sent()).toEqual([
      {
        method: 'POST',
        path: `/approvals/${question?.id}`,
        body: { type: 'allow_for_project', digest: question?.digest },
      },
    ]);
    // What moved up takes no answer in the first moment.
    const other = screen.getByTestId('asked-T-13');
    expect(other.querySelector('[data-ready="false"]')).toBeTruthy();
    await ready(other);
  });

  it('says that an answer is kept for an agent that was interrupted', async () => {
    open('/inbox');
    expect(within(await screen.findByTestId('asked-T-13')).getByTestId('kept')).toBeTruthy();
    expect(within(screen.getByTestId('asked-T-14')).queryByTestId('kept')).toBeNull();
    expect(await axe(document.body)).toEqual([]);
  });

  it('denies with the reason', async () => {
    open('/inbox');
    const asked = await screen.findByTestId('asked-T-14');
    await ready(asked);
    await user.type(within(asked).getByPlaceholderText(/Reason/), 'Not with tee');
    await user.click(within(asked).getByTestId('deny'));
    await waitFor(() => expect(sent()).toHaveLength(1));
    expect(sent()[0]?.body).toMatchObject({ type: 'deny', reason: 'Not with tee' });
  });
});
