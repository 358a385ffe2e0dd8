import { expect, it } from 'vitest';
import { fill, templatesFor } from '../../dev/templates';
import type { Template } from '../api/types';
import { emptyDraft } from '../app/desk';
import { chosenBelow, givenFields, madeOf, obstacle, requestOf, usual } from './request';

const folder = '/home/me/projects/shop-api';
const template = (name: string) =>
  templatesFor(folder).templates.find((each) => each.name === name) as Template;
const bug = template('bug-fix');
const draft = { ...emptyDraft, folder };

it('does not send free text that is empty, or goes nowhere', () => {
  expect(obstacle(draft, [folder])).toBe('Write what you want first.');
  expect(obstacle({ ...draft, text: 'a' }, [])).toBe('Choose the folder to work on.');
  expect(obstacle({ ...draft, text: 'a' }, [folder])).toBeNull();
  expect(obstacle({ ...draft, text: 'ä'.repeat(200_000) }, [folder])).toMatch(/256 KB/);
});

it('names the fields of a template that are still empty, and needs no text beside them', () => {
  expect(obstacle(draft, [folder], bug)).toBe('Still empty: What goes wrong?');
  expect(obstacle({ ...draft, fields: { symptom: 'it blinks' } }, [folder], bug)).toBeNull();
});

it('counts what a template offers as filled in, until it is taken out', () => {
  const web = template('web-application');
  const some = { goal: 'a shop', requirements: 'fast' };
  expect(givenFields(web, some).technology).toBe('As the folder has it');
  expect(givenFields(web, { ...some, technology: '' }).technology).toBe('');
});

it('leaves out what was filled into another template', () => {
  expect(Object.keys(givenFields(bug, { symptom: 'a', goal: 'b' }))).toEqual([
    'symptom',
    'path',
    'reproduce',
    'priority',
  ]);
});

it('takes from the template what the person says nothing about', () => {
  expect(madeOf(draft, bug)).toEqual({ title: null, priority: 'high', checklist: bug.checklist });
  const own = { ...draft, priority: 'low' as const, checklist: [], title: 'Mine' };
  expect(madeOf(own, bug)).toEqual({ title: 'Mine', priority: 'low', checklist: [] });
  expect(madeOf(draft, null)).toEqual({ title: null, priority: 'normal', checklist: [] });
});

it('sends the text that the template makes, with what was filled in', () => {
  const fields = { symptom: 'The menu blinks' };
  const filled = fill('bug-fix', folder, givenFields(bug, fields));
  const request = requestOf({ ...draft, fields, planFirst: true, seats: 2 }, bug, filled);
  expect(request.text).toBe(filled.text);
  expect(request).toMatchObject({
    title: 'Mend a bug, with a test: The menu blinks',
    priority: 'high',
    fields: { symptom: 'The menu blinks', priority: 'high' },
    terms: { template: 'bug-fix', plan_first: true, seats: 2, checklist: bug.checklist },
  });
});

it('shares what was handed over only with a task that waits for another', () => {
  const shares = (after: string[]) =>
    requestOf({ ...draft, shares: true, after }, null, null).terms?.shares_context;
  expect(shares(['T-3'])).toBe(true);
  expect(shares([])).toBe(false);
});

it('keeps nothing hidden of what was chosen, and nothing for the next task', () => {
  expect(chosenBelow(emptyDraft)).toBe(false);
  for (const part of [{ seats: 2 }, { after: ['T-1'] }, { checklist: [] }, { title: 'x' }]) {
    expect(chosenBelow({ ...emptyDraft, ...part })).toBe(true);
  }
  const used = { ...emptyDraft, seats: 2, after: ['T-1'], template: 'x', planFirst: true };
  expect({ ...used, ...usual }).toEqual(emptyDraft);
});
