// @vitest-environment jsdom
import { act, screen, waitFor, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { PlanBody, PlanStep } from '../src/api/types';
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
const steps = (name: string) => held.platform.world.task(name)?.plan.steps ?? [];
/** What the latest save sent. */
const saved = () => sent().findLast(({ method }) => method === 'PUT')?.body as PlanBody;

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

describe('a plan', () => {
  it('is a list of all that the graph shows', async () => {
    open('/t/T-21');
    await screen.findByTestId('tab-plan');
    await user.keyboard('vp');
    const list = await screen.findByTestId('plan-list');
    expect(window.location.pathname).toBe('/t/T-21/plan');
    const row = (id: number) => within(list).getByTestId(`step-${id}`).textContent;
    expect(row(2)).toContain('Keep pick-up points in the database');
    expect(row(2)).toContain('waits for step 1');
    expect(row(2)).toContain('1 thing to look at');
    expect(row(4)).toMatch(/Code 2.*running.*6 min · \$0\.70 \(guess 15 min · \$0\.90\)/);
    expect(row(5)).toContain('conflict is being mended');
    expect(row(9)).toContain('mends the conflict of step 5');
    expect(await screen.findByTestId('plan-graph')).toBeTruthy();
  });

  it('says what it is thought to take, and what is not known', async () => {
    open('/t/T-22');
    const guesses = await screen.findByTestId('estimate');
    expect(guesses.textContent).toContain('The planner’s guess: unknown');
    expect(guesses.textContent).toContain(
      'Usual here (23 steps before): 41 min of work, 27 min from start to end, $2.10',
    );
  });

  it('warns of steps that have to do with the same file', async () => {
    open('/t/T-21/plan');
    const warnings = await screen.findAllByTestId('overlap');
    expect(warnings.map((each) => each.textContent)).toEqual([
      '⚠ Steps 3 and 5 have both written src/points/model.rs',
      '⚠ Steps 3 and 4 both have to do with src/delivery/options.rs; one of them has written it',
    ]);
  });

  it('says who decided what, and that rules use no tokens', async () => {
    open('/t/T-21/plan');
    const rows = within(await screen.findByTestId('decisions')).getAllByRole('listitem');
    expect(rows.map((row) => row.textContent?.replace(/^[\d:]+/, ''))).toEqual([
      expect.stringMatching(/^YouStep 5 asked you/),
      expect.stringMatching(/^NEXUS PrimeStep 2 accepted/),
      expect.stringMatching(/^NEXUS PrimeStep 2 once more The migration/),
      expect.stringMatching(/^RulesStep 1 accepted/),
    ]);
    expect(screen.getByTestId('prime-used').textContent).toMatch(/the supervisor itself: 0/);
  });

  it('shows the end of what Prime thinks, until it has come to something', async () => {
    open('/t/T-21/plan');
    await screen.findByTestId('plan-list');
    const { world } = held.platform;
    act(() => {
      world.think(task('T-21').id, 'Step 5 and step 3 ');
      world.think(task('T-21').id, 'write the same file.');
    });
    const thinking = await screen.findByTestId('thinking');
    expect(thinking.textContent).toContain('NEXUS Prime is thinking…');
    expect(thinking.textContent).toContain('Step 5 and step 3 write the same file.');
    expect(thinking.querySelector('[aria-live="off"]')).toBeTruthy();
    act(() => {
      world.change(task('T-21').id, { active_role: 'prime' }, 'Prime decided');
    });
    await waitFor(() => expect(screen.queryByTestId('thinking')).toBeNull());
  });

  it.each(['/t/T-21/plan', '/t/T-22/plan'])(
    'passes the accessibility check at %s',
    async (path) => {
      open(path);
      await screen.findByTestId('plan-graph');
      expect(await axe(document.body)).toEqual([]);
    },
  );
});

describe('a plan that waits for a yes', () => {
  const ready = () =>
    waitFor(() => expect(screen.getByTestId('question').dataset.ready).toBe('true'));

  it('is shown with the question above it, and carried out after the yes', async () => {
    open('/t/T-22');
    expect((await screen.findByTestId('plan-guess')).textContent).toMatch(
      /^Plan v1 with 5 steps\. The planner’s guess: unknown\./,
    );
    expect(screen.getByTestId('tab-plan').getAttribute('aria-selected')).toBe('true');
    await ready();
    await user.click(screen.getByTestId('allow'));
    await waitFor(() => expect(screen.getByTestId('task-state').dataset.state).toBe('working'));
    expect(sent()[0]?.body).toMatchObject({ type: 'allow' });
  });

  it('pauses the task without one', async () => {
    open('/t/T-22');
    await screen.findByTestId('plan-guess');
    await ready();
    await user.click(screen.getByTestId('deny'));
    expect(await screen.findByText('You did not say yes to its plan')).toBeTruthy();
  });

  it('is not approved while another one is in hand', async () => {
    open('/t/T-22');
    await user.click(await screen.findByTestId('plan-edit'));
    await ready();
    expect(screen.getByTestId('allow').getAttribute('aria-disabled')).toBe('false');
    await user.click(screen.getByRole('button', { name: 'Remove step 4' }));
    expect(await screen.findByText('Save or drop your changes to it first')).toBeTruthy();
    await user.click(screen.getByTestId('allow'));
    expect(sent()).toEqual([]);
  });
});

describe('editing a plan', () => {
  const button = (name: string) => screen.getByRole('button', { name });

  it('is done with the keyboard alone', async () => {
    open('/t/T-22/plan');
    (await screen.findByTestId('plan-edit')).focus();
    await user.keyboard('{Enter}');
    // The keyboard goes on where the editing is.
    await waitFor(() => expect(document.activeElement?.textContent).toBe('Your draft of v1'));
    button('Edit step 3').focus();
    await user.keyboard('{Enter}');
    const title = await screen.findByLabelText('Title');
    expect(document.activeElement).toBe(title);
    await user.clear(title);
    await user.keyboard('Choose the text');
    await user.tab();
    await user.selectOptions(document.activeElement as HTMLElement, 'tests');
    await user.tab();
    await user.selectOptions(document.activeElement as HTMLElement, 'high');
    await user.tab();
    await user.keyboard('Ask for it once.');
    await user.tab();
    // The boxes: 1 is offered and not ticked, 2 is.
    await user.keyboard(' ');
    await user.tab();
    await user.tab();
    await user.keyboard('{End}{Enter}src/mail/text.rs');
    await user.tab();
    await user.tab();
    await user.clear(document.activeElement as HTMLElement);
    await user.keyboard('2.5');
    button('Move step 3 up').focus();
    await user.keyboard('{Enter}');
    expect(document.activeElement).toBe(button('Move step 3 up'));
    screen.getByTestId('plan-save').focus();
    await user.keyboard('{Enter}');
    await waitFor(() => expect(screen.queryByTestId('plan-editor')).toBeNull());
    expect(saved().version).toBe(1);
    expect(saved().steps.map((step) => step.id)).toEqual([1, 3, 2, 4, 5]);
    expect(saved().steps[1]).toMatchObject({
      title: 'Choose the text',
      kind: 'tests',
      priority: 'high',
      description: 'Ask for it once.',
      after: [1, 2],
      paths: ['src/mail/send.rs', 'src/mail/text.rs'],
      estimate_seconds: 150,
    });
    await waitFor(() => expect(document.activeElement).toBe(screen.getByTestId('plan-edit')));
    expect(screen.getByTestId('estimate').textContent).toContain('Plan v2');
  });

  it('offers nothing that would wait in a circle', async () => {
    open('/t/T-22/plan');
    await user.click(await screen.findByTestId('plan-edit'));
    await user.click(button('Edit step 2'));
    const boxes = within(await screen.findByRole('group', { name: 'Waits for' }));
    expect(boxes.getAllByRole('checkbox')).toHaveLength(1);
    expect(boxes.getByRole('checkbox', { name: /^1 Find/ })).toBeTruthy();
    expect(await axe(document.body)).toEqual([]);
  });

  it('adds a step and takes one out, closing the gap', async () => {
    open('/t/T-22/plan');
    await user.click(await screen.findByTestId('plan-edit'));
    await user.click(screen.getByTestId('step-add'));
    await user.type(await screen.findByLabelText('Title'), 'Say it in the handbook');
    await user.click(button('Remove step 3'));
    await user.click(screen.getByTestId('plan-save'));
    await waitFor(() => expect(screen.queryByTestId('plan-editor')).toBeNull());
    const after = new Map(saved().steps.map((step) => [step.id, step]));
    expect([...after.keys()]).toEqual([1, 2, 4, 6, 5]);
    expect(after.get(4)?.after).toEqual([2]);
    expect(after.get(6)).toMatchObject({ kind: 'implementation', title: 'Say it in the handbook' });
  });

  it('says of a begun step that it stays, and offers no way to change it', async () => {
    open('/t/T-21/plan');
    await user.click(await screen.findByTestId('plan-edit'));
    expect((await screen.findByTestId('edit-4')).textContent).toContain(
      'Begun (running), so it stays as it is.',
    );
    expect(screen.queryByRole('button', { name: 'Edit step 4' })).toBeNull();
    expect(button('Edit step 6')).toBeTruthy();
  });

  it('shows all that is wrong at once, each beside its step, and keeps the draft', async () => {
    open('/t/T-22/plan');
    await user.click(await screen.findByTestId('plan-edit'));
    for (const id of [2, 4]) {
      await user.click(button(`Edit step ${id}`));
      await user.clear(await screen.findByLabelText('Title'));
    }
    await user.click(screen.getByTestId('plan-save'));
    const wrong = await screen.findByTestId('plan-problems');
    expect(wrong.textContent).toContain('2 problems beside the steps below.');
    expect(screen.getByTestId('edit-2').textContent).toContain('step 2 has no title');
    expect(screen.getByTestId('edit-4').textContent).toContain('step 4 has no title');
    expect(screen.getByTestId('edit-3').textContent).not.toContain('has no title');
    expect(screen.getByText('Not saved: 2 changed')).toBeTruthy();
  });

  it('outlives a change of tab', async () => {
    open('/t/T-22/plan');
    await user.click(await screen.findByTestId('plan-edit'));
    await user.click(button('Remove step 4'));
    await user.click(screen.getByTestId('tab-summary'));
    await waitFor(() => expect(screen.queryByTestId('plan-editor')).toBeNull());
    await user.click(screen.getByTestId('tab-plan'));
    expect(await screen.findByText('Not saved: 1 changed, 1 removed')).toBeTruthy();
  });

  it('is dropped only as far as it can be brought back', async () => {
    open('/t/T-22/plan');
    await user.click(await screen.findByTestId('plan-edit'));
    await user.click(button('Remove step 4'));
    await user.click(screen.getByTestId('plan-drop'));
    await waitFor(() => expect(screen.queryByTestId('plan-editor')).toBeNull());
    await user.click(await screen.findByRole('button', { name: 'Undo' }));
    expect(await screen.findByText('Not saved: 1 changed, 1 removed')).toBeTruthy();
  });
});

describe('a plan that changed meanwhile', () => {
  const theirs = (): PlanStep[] =>
    steps('T-22').map((step) => (step.id === 2 ? { ...step, title: 'Prime wants it so' } : step));
  const retitle = async () => {
    open('/t/T-22/plan');
    await user.click(await screen.findByTestId('plan-edit'));
    await user.click(screen.getByRole('button', { name: 'Edit step 3' }));
    const title = await screen.findByLabelText('Title');
    await user.clear(title);
    await user.type(title, 'I want it so');
  };

  it('is shown, and the draft is put onto it', async () => {
    await retitle();
    act(() => held.platform.world.replan(task('T-22'), theirs()));
    expect((await screen.findByTestId('plan-conflict')).textContent).toBe(
      'v2 is shown, your draft of v1 is kept.',
    );
    expect(screen.getByTestId('step-2').textContent).toContain('Prime wants it so');
    await user.click(screen.getByTestId('draft-onto'));
    await user.click(await screen.findByTestId('plan-save'));
    await waitFor(() => expect(screen.queryByTestId('plan-editor')).toBeNull());
    expect(saved()).toMatchObject({ version: 2 });
    expect(
      saved()
        .steps.slice(1, 3)
        .map((step) => step.title),
    ).toEqual(['Prime wants it so', 'I want it so']);
  });

  it('is followed at once where nothing was changed yet', async () => {
    open('/t/T-22/plan');
    await user.click(await screen.findByTestId('plan-edit'));
    act(() => held.platform.world.replan(task('T-22'), theirs()));
    expect(await screen.findByText('Your draft of v2')).toBeTruthy();
    expect(screen.getByTestId('edit-2').textContent).toContain('Prime wants it so');
    expect(screen.queryByTestId('plan-conflict')).toBeNull();
  });

  it('is noticed when the save is refused, before the news has come', async () => {
    await retitle();
    const { world } = held.platform;
    // It is changed, and the stream is late to tell.
    const told = vi.spyOn(world, 'change').mockReturnValue(task('T-22'));
    world.replan(task('T-22'), theirs());
    told.mockRestore();
    await user.click(screen.getByTestId('plan-save'));
    expect(await screen.findByTestId('plan-conflict')).toBeTruthy();
    await user.click(screen.getByTestId('draft-drop'));
    await waitFor(() => expect(screen.queryByTestId('plan-conflict')).toBeNull());
    expect(screen.getByTestId('step-3').textContent).not.toContain('I want it so');
  });
});
