import { expect, it } from 'vitest';
import type { Delivery, Role } from '../api/types';
import { deliveryOf, partyName, readWords, seatOf } from './words';

const words = (to: string, delivery: Delivery, read_by: Role[] = []) =>
  deliveryOf({ to, delivery, read_by }).words;

it.each<[string, Delivery, Role[], string]>([
  ['person', 'shown', [], 'shown to you'],
  ['nexus_prime', 'shown', [], 'Prime reads it when it next decides'],
  ['code_developer', 'read', ['code'], 'read by Code'],
  ['code_developer', 'read', [], 'read'],
  ['team', 'read', ['aria', 'code'], 'read by Aria, Code'],
  ['code_developer', 'waiting', [], 'waiting: Code gets it when looking, or with the next prompt'],
  [
    'team',
    'waiting',
    ['aria'],
    'read by Aria, and waiting: they get it when looking, or with the next prompt',
  ],
  ['aria_coordinator', 'nobody', [], 'nobody will read it: Aria has nothing left to do'],
  [
    'team',
    'nobody',
    ['code'],
    'read by Code, and nobody else will read it: they have nothing left to do',
  ],
])('says of a message to %s that is %s: %s', (to, delivery, read_by, said) => {
  expect(words(to, delivery, read_by)).toBe(said);
});

it('tells the four apart without colour', () => {
  const all: Delivery[] = ['shown', 'read', 'waiting', 'nobody'];
  const glyphs = all.map((delivery) => deliveryOf({ to: 'code', delivery, read_by: [] }).glyph);
  expect(new Set(glyphs).size).toBe(4);
});

it('says what interrupting means', () => {
  expect(readWords('code', true)).toBe(
    'Code stops in the middle of the turn and reads this at once.',
  );
  expect(readWords('team', false)).toMatch(/^Everybody at work reads it when/);
  expect(readWords('prime', true)).toBe('Prime reads it when it next decides.');
});

it('knows whose seat a name is, and who is no agent', () => {
  expect(['beta_test_validator', 'nexus_prime', 'prime'].map(seatOf)).toEqual([
    'beta',
    'prime',
    'prime',
  ]);
  expect([seatOf('person'), seatOf('team')]).toEqual([null, null]);
  expect(partyName('person')).toBe('You');
  expect(partyName('nexus_team')).toBe('The whole team');
});
