// @vitest-environment jsdom
import { act, screen, waitFor, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { World } from '../dev/world';
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

beforeAll(pretendLayout);
beforeEach(() => {
  complaints = vi.spyOn(console, 'error');
  localStorage.clear();
  held.platform = new FakePlatform();
  // Nothing moves by itself: a test says when.
  held.platform.world.beat = 0;
});
afterEach(() => {
  close();
  // A fault that a boundary caught is still a fault.
  expect(complaints.mock.calls).toEqual([]);
});

const column = async (name: string) => within(await screen.findByTestId(`column-${name}`));

describe('the board', () => {
  it('shows every task where it stands', async () => {
    open('/');
    expect((await column('needs_you')).getByTestId('card-T-14')).toBeTruthy();
    expect((await column('review')).getByTestId('card-T-11')).toBeTruthy();
    expect((await column('backlog')).getByTestId('card-T-17').textContent).toContain('Paused');
    expect(screen.queryByTestId('card-T-7')).toBeNull();
  });

  it('says of a practice task that it is one', async () => {
    open('/');
    const card = within(await screen.findByTestId('card-T-8'));
    expect(card.getByTestId('practice-label').textContent).toBe('practice, no AI');
  });

  it('moves a card when the stream says so', async () => {
    open('/');
    await screen.findByTestId('card-T-16');
    const { world } = held.platform;
    const task = world.find('T-16');
    act(() => {
      world.change(task?.id ?? '', { state: 'review', standing: 'green' }, 'Ready');
    });
    await waitFor(async () => {
      expect((await column('review')).getByTestId('card-T-16')).toBeTruthy();
    });
  });

  it('says aloud when a task needs the person, and when one is ready', async () => {
    open('/');
    await screen.findByTestId('card-T-16');
    const { world } = held.platform;
    const question = world.find('T-14')?.question ?? null;
    act(() => {
      world.change(world.find('T-16')?.id ?? '', { state: 'needs_you', question }, 'Asks');
      world.change(world.find('T-15')?.id ?? '', { state: 'review' }, 'Ready');
    });
    await waitFor(() =>
      expect(screen.getByTestId('said-at-once').textContent).toMatch(
        /^T-16 needs you: Beta wants to run: cargo test/,
      ),
    );
    expect(screen.getByTestId('said').textContent).toBe('T-15 is ready for your review');
  });

  it('gives the commands of a card through its menu', async () => {
    open('/');
    const card = within(await screen.findByTestId('card-T-16'));
    await user.click(card.getByRole('button', { name: 'Commands for T-16' }));
    await user.click(await screen.findByRole('menuitem', { name: 'Pause' }));
    await waitFor(async () => {
      expect((await column('backlog')).getByTestId('card-T-16')).toBeTruthy();
    });
  });

  it('never has more than one button for the next act', async () => {
    open('/');
    for (const card of await screen.findAllByTestId(/^card-T-/)) {
      const buttons = within(card)
        .queryAllByRole('button')
        .filter((button) => !button.getAttribute('aria-label')?.startsWith('Commands'));
      expect(buttons.length).toBeLessThanOrEqual(1);
    }
  });

  it('passes the accessibility check', async () => {
    open('/');
    await screen.findByTestId('card-T-16');
    expect(await axe(document.body)).toEqual([]);
  });

  it('begins with a practice task where there is nothing yet', async () => {
    held.platform.world = World.empty();
    held.platform.world.beat = 0;
    open('/');
    await user.click(await screen.findByTestId('empty-practice'));
    const card = within(await screen.findByTestId('card-T-1'));
    expect(card.getByTestId('practice-label')).toBeTruthy();
  });
});

describe('a lost stream', () => {
  it('says so, and carries on from the last change', async () => {
    open('/');
    await screen.findByTestId('board');
    act(() => held.platform.lose('the cable is out'));
    expect(await screen.findByText(/the cable is out/)).toBeTruthy();
    // What was known stays in sight.
    expect(screen.getByTestId('card-T-16')).toBeTruthy();
    held.platform.gone = false;
    await waitFor(() => expect(screen.queryByText(/the cable is out/)).toBeNull(), {
      timeout: 5_000,
    });
    expect(held.platform.since).toEqual([100, 100]);
  });
});

describe('the composer', () => {
  it('sends what was written and chosen, on Ctrl Enter', async () => {
    open('/');
    await user.click(await screen.findByTestId('new-task'));
    const text = await screen.findByTestId('composer-text');
    await user.type(text, 'Sort the list');
    await user.click(screen.getByLabelText('Ask for everything'));
    await user.type(text, '{Control>}{Enter}{/Control}');
    await waitFor(() => expect(screen.queryByTestId('composer-text')).toBeNull());
    expect(held.platform.commands()[0]).toEqual({
      method: 'POST',
      path: '/tasks',
      body: {
        text: 'Sort the list',
        title: null,
        folder: '/home/me/projects/shop-api',
        team: 'claude',
        planner: 'standard',
        permissions: 'ask',
        budget_usd: null,
        max_tokens: null,
        max_seconds: null,
        max_turns: null,
        answer_within_seconds: null,
        priority: 'normal',
        terms: {
          plan_first: false,
          seats: null,
          checklist: [],
          after: [],
          shares_context: false,
          template: null,
        },
        start: true,
      },
    });
  });

  it('cannot start an empty task, and says why', async () => {
    open('/');
    await user.click(await screen.findByTestId('new-task'));
    expect((await screen.findByTestId('composer-start')).hasAttribute('disabled')).toBe(true);
    expect(screen.getByText('Write what you want first.')).toBeTruthy();
    expect(await axe(document.body)).toEqual([]);
  });

  it('keeps the draft', async () => {
    open('/');
    await user.click(await screen.findByTestId('new-task'));
    await user.type(await screen.findByTestId('composer-text'), 'Half a thought');
    await user.keyboard('{Escape}');
    await waitFor(() => expect(screen.queryByTestId('composer-text')).toBeNull());
    await user.click(screen.getByTestId('new-task'));
    expect(await screen.findByDisplayValue('Half a thought')).toBeTruthy();
  });
});

describe('a new folder', () => {
  const look = async (path: string) => {
    open('/');
    await user.click(await screen.findByTestId('add-folder'));
    await user.type(await screen.findByTestId('folder-path'), path);
    await user.click(screen.getByTestId('folder-look'));
  };

  it('is trusted only after its commands were shown', async () => {
    await look('/home/me/projects/web');
    const sheet = await screen.findByTestId('trust-sheet');
    for (const words of ['npm ci', 'npm run check', 'npm test', '.env', 'CLAUDE.md']) {
      expect(within(sheet).getByText(words)).toBeTruthy();
    }
    expect(held.platform.commands().map(({ path }) => path)).toEqual(['/projects/inspect']);
    await user.click(screen.getByTestId('trust-folder'));
    await screen.findByTestId('composer-text');
    expect(held.platform.commands().at(-1)).toMatchObject({
      path: '/projects',
      body: { path: '/home/me/projects/web', trust: true },
    });
    await screen.findByDisplayValue(/\/home\/me\/projects\/web$/);
  });

  it('that cannot be used says why', async () => {
    await look('/');
    expect(await screen.findByText(/Choose a folder below your home folder/)).toBeTruthy();
    expect(screen.queryByTestId('trust-folder')).toBeNull();
  });
});

describe('a question', () => {
  // Of the world as it began: an answered question is gone.
  const digests = new Map(new World().questions().map((each) => [each.role, each.digest]));
  const digestOf = (name: 'T-13' | 'T-14') => digests.get(name === 'T-13' ? 'aria' : 'beta');
  const answered = () => held.platform.commands().filter(({ path }) => path.includes('approvals'));
  const settled = () =>
    waitFor(() => expect(screen.getByTestId('question').dataset.ready).toBe('true'));

  it('shows the whole command and where it would run', async () => {
    open('/t/T-14');
    const panel = await screen.findByTestId('question');
    await waitFor(() => expect(panel.textContent).toContain('/workspaces/T-14'));
    expect(panel.textContent).toContain(
      'cargo test --workspace --all-features -- --include-ignored --test-threads=1 2>&1 | tee target/validation.log',
    );
  });

  it('has the focus itself, and takes no answer in the first moment', async () => {
    open('/t/T-14');
    const panel = await screen.findByTestId('question');
    expect(document.activeElement).toBe(panel);
    await user.click(screen.getByTestId('allow'));
    await user.keyboard('{Escape}');
    expect(answered()).toEqual([]);
    await settled();
    await user.click(screen.getByTestId('allow'));
    await waitFor(() =>
      expect(answered().map(({ body }) => body)).toEqual([
        { type: 'allow', digest: digestOf('T-14') },
      ]),
    );
  });

  it('is denied by Esc, and the page stays', async () => {
    open('/t/T-14');
    const panel = await screen.findByTestId('question');
    await settled();
    panel.focus();
    await user.keyboard('{Escape}');
    await waitFor(() =>
      expect(answered().map(({ body }) => body)).toEqual([
        { type: 'deny', reason: '', digest: digestOf('T-14') },
      ]),
    );
    expect(window.location.pathname).toBe('/t/T-14');
  });

  it('takes an offered answer or any other', async () => {
    open('/t/T-13');
    await screen.findByTestId('question');
    await settled();
    await user.type(screen.getByTestId('answer-text'), 'Ask them first{Enter}');
    await waitFor(() =>
      expect(answered().map(({ body }) => body)).toEqual([
        { type: 'text', text: 'Ask them first', digest: digestOf('T-13') },
      ]),
    );
  });
});

describe('a result', () => {
  it('opens at its changes, with the evidence', async () => {
    open('/t/T-11');
    expect(await screen.findByText('use crate::clock::Clock;')).toBeTruthy();
    const evidence = within(screen.getByTestId('evidence'));
    expect(evidence.getByText('cargo test --workspace')).toBeTruthy();
    expect(screen.getByTestId('task-state').dataset.state).toBe('review');
    expect(await axe(document.body)).toEqual([]);
  });

  it('is accepted after one look at what that means', async () => {
    open('/t/T-11');
    await user.click(await screen.findByTestId('accept'));
    await user.click(await screen.findByTestId('accept-confirm'));
    await waitFor(() => expect(screen.getByTestId('task-state').dataset.state).toBe('done'));
    expect(held.platform.commands().at(-1)?.body).toEqual({ although_red: false });
  });

  it('that is red is accepted only as such', async () => {
    open('/t/T-10');
    await user.click(await screen.findByTestId('accept'));
    const confirm = await screen.findByTestId('accept-confirm');
    expect(confirm.textContent).toBe('Accept although red');
    await user.click(confirm);
    await waitFor(() =>
      expect(held.platform.commands().at(-1)?.body).toEqual({ although_red: true }),
    );
  });

  it('goes back to the team with what should be different', async () => {
    open('/t/T-11');
    await user.click(await screen.findByTestId('request-changes'));
    await user.type(await screen.findByTestId('changes-text'), 'Shorter names');
    await user.click(screen.getByTestId('changes-send'));
    await waitFor(() => expect(screen.getByTestId('task-state').dataset.state).toBe('working'));
  });

  it('that was discarded can be brought back', async () => {
    open('/t/T-11');
    await user.click(await screen.findByTestId('discard'));
    await user.click(await screen.findByRole('button', { name: 'Undo' }));
    await waitFor(() => expect(screen.getByTestId('task-state').dataset.state).toBe('review'));
  });
});

describe('what agents write', () => {
  it('is text: no HTML, no picture, no script link', async () => {
    open('/t/T-11/messages');
    const table = await screen.findByRole('table');
    expect(table.textContent).toContain('look the key up by id');
    const main = screen.getByRole('main');
    expect(main.querySelector('img, script, iframe')).toBeNull();
    const links = within(main).getAllByRole('link', { name: /standard|click/ });
    expect(links.map((link) => link.getAttribute('href'))).toEqual([
      'https://www.rfc-editor.org/rfc/rfc7519',
    ]);
    await user.click(links[0] as HTMLElement);
    expect(held.platform.opened).toEqual(['https://www.rfc-editor.org/rfc/rfc7519']);
  });
});

describe('the doctor', () => {
  it('says what is missing and how to mend it', async () => {
    open('/doctor');
    const row = within(await screen.findByTestId('doctor-login'));
    expect(row.getByText('missing')).toBeTruthy();
    expect(row.getByText('nexus keys set anthropic')).toBeTruthy();
    expect(await axe(document.body)).toEqual([]);
  });

  it('never shows a key again', async () => {
    open('/doctor');
    const field = await screen.findByLabelText('OpenAI API key');
    await user.type(field, 'dummy-key-1234{Enter}');
    expect(await screen.findByText('Ends with 1234, from the keychain')).toBeTruthy();
    expect(document.body.innerHTML).not.toContain('dummy-key');
  });
});

describe('the keyboard', () => {
  it('opens the composer, the list of keys and the screens', async () => {
    open('/');
    await screen.findByTestId('board');
    await user.keyboard('gi');
    expect(window.location.pathname).toBe('/inbox');
    await user.keyboard('gb');
    expect(window.location.pathname).toBe('/');
    await user.keyboard('n');
    expect(window.location.pathname).toMatch(/^\/t\/T-/);
    await user.keyboard('gb');
    await user.keyboard('?');
    expect(await screen.findByText('Filter the board')).toBeTruthy();
  });

  it('walks over the cards, and comes back to the one that was opened', async () => {
    open('/');
    await screen.findByTestId('board');
    const card = (name: string) => screen.getByTestId(`card-${name}`).parentElement;
    card('T-18')?.focus();
    await user.keyboard('j');
    expect(document.activeElement).toBe(card('T-17'));
    await user.keyboard('{ArrowRight}');
    expect(document.activeElement).toBe(card('T-21'));
    await user.keyboard('{Enter}');
    await screen.findByTestId('tab-changes');
    await user.keyboard('{Escape}');
    await screen.findByTestId('board');
    expect(document.activeElement).toBe(card('T-21'));
    await user.keyboard('s');
    await waitFor(async () => {
      expect((await column('backlog')).getByTestId('card-T-21')).toBeTruthy();
    });
  });

  it('leaves letters alone while one writes', async () => {
    open('/');
    const filter = await screen.findByLabelText('Filter tasks');
    await user.type(filter, 'cc');
    expect(screen.queryByTestId('composer-text')).toBeNull();
    expect((filter as HTMLInputElement).value).toBe('cc');
  });
});
