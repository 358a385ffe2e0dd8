// @vitest-environment jsdom
import { screen, waitFor, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { NewTask } from '../src/api/types';
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
/** What was asked for. */
const made = () =>
  held.platform.commands().find(({ path }) => path === '/tasks')?.body as NewTask | undefined;
const compose = async () => {
  close = openPage('/').close;
  await user.click(await screen.findByTestId('new-task'));
  await screen.findByTestId('composer-text');
};
const choose = async (template: string) => {
  await screen.findByRole('option', { name: 'Connect a new carrier' });
  await user.selectOptions(screen.getByTestId('composer-template'), template);
};

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

describe('a template', () => {
  it('is one of the built-in ones or of the folder; one that is broken says why', async () => {
    await compose();
    await screen.findByRole('option', { name: 'Connect a new carrier' });
    const select = screen.getByTestId('composer-template');
    const groups = within(select).getAllByRole('group');
    expect(groups.map((group) => within(group).getAllByRole('option').length)).toEqual([5, 1]);
    expect(screen.getByText(/cannot be used: line 4: a field has no name/)).toBeTruthy();
  });

  it('is filled in, looked at and sent as the text that was shown', async () => {
    await compose();
    await choose('improve');
    expect(screen.getByText('Measures first, changes then, measures again.')).toBeTruthy();
    expect(
      screen.getByText('Still empty: What is too slow?, Target, Command that measures it'),
    ).toBeTruthy();
    await user.type(screen.getByTestId('field-focus'), 'The price list');
    await user.type(screen.getByTestId('field-files'), 'src/prices.rs{Enter}src/tax.rs');
    await user.type(screen.getByTestId('field-target'), 'half the time');
    await user.type(screen.getByTestId('field-measure'), 'cargo bench');
    await user.click(screen.getByTestId('preview-toggle'));
    await waitFor(() =>
      expect(screen.getByTestId('preview').textContent).toContain('- src/prices.rs\n- src/tax.rs'),
    );
    const shown = screen.getByTestId('preview').textContent;
    expect(await axe(document.body)).toEqual([]);
    await user.click(screen.getByTestId('composer-start'));
    await waitFor(() => expect(made()).toBeDefined());
    expect(made()).toMatchObject({
      text: shown,
      title: 'Review and make faster: The price list',
      fields: { focus: 'The price list', target: 'half the time', measure: 'cargo bench' },
      terms: { template: 'improve', checklist: expect.arrayContaining(['No test was changed']) },
    });
  });

  it('is gone with another folder that has it not', async () => {
    await compose();
    await choose('new-carrier');
    expect(screen.getByTestId('field-carrier')).toBeTruthy();
    await user.selectOptions(screen.getByTestId('composer-folder'), '/home/me/projects/handbook');
    expect(await screen.findByTestId('composer-text')).toBeTruthy();
  });

  it('says what it sets, and yields to what the person says', async () => {
    await compose();
    await choose('bug-fix');
    await user.click(screen.getByTestId('composer-more'));
    expect(screen.getByTestId<HTMLSelectElement>('composer-priority').value).toBe('high');
    await user.type(screen.getByTestId('field-symptom'), 'It blinks');
    await user.selectOptions(screen.getByTestId('composer-priority'), 'critical');
    await user.clear(screen.getByTestId('composer-checklist'));
    await user.type(screen.getByTestId('composer-checklist'), 'No blinking{Enter}No flicker');
    await user.click(screen.getByTestId('composer-keep'));
    await waitFor(() => expect(made()).toBeDefined());
    expect(made()).toMatchObject({
      priority: 'critical',
      terms: { checklist: ['No blinking', 'No flicker'] },
      start: false,
    });
  });
});

describe('a new task', () => {
  it('has its plan looked at first, by whom one chose, after the tasks one chose', async () => {
    await compose();
    await user.type(screen.getByTestId('composer-text'), 'Sort the list');
    await user.click(screen.getByTestId('composer-plan-first'));
    await user.click(screen.getByTestId('composer-more'));
    await user.selectOptions(screen.getByTestId('composer-planner'), 'claude');
    await user.type(screen.getByTestId('composer-seats'), '2');
    const tasks = within(screen.getByRole('group', { name: 'Wait for' }));
    // What is over is not waited for.
    expect(tasks.queryByRole('checkbox', { name: /^T-9 / })).toBeNull();
    expect(screen.queryByTestId('composer-shares')).toBeNull();
    await user.click(tasks.getByRole('checkbox', { name: /^T-16 .*\(working\)/ }));
    await user.click(screen.getByTestId('composer-shares'));
    expect(await axe(document.body)).toEqual([]);
    await user.click(screen.getByTestId('composer-start'));
    await waitFor(() => expect(made()).toBeDefined());
    expect(made()).toMatchObject({
      planner: 'claude',
      terms: { plan_first: true, seats: 2, after: ['T-16'], shares_context: true },
    });
    expect(await screen.findByText('waits for T-16 (working)')).toBeTruthy();
  });

  it('offers the practice team no choices that mean nothing to it', async () => {
    await compose();
    const sample = held.platform.world.projects.find((project) => project.practice);
    await user.selectOptions(screen.getByTestId('composer-folder'), sample?.path ?? '');
    expect(screen.queryByTestId('composer-template')).toBeNull();
    expect(screen.queryByTestId('composer-plan-first')).toBeNull();
  });
});
