import { expect, it } from 'vitest';
import { capsOf, fieldsOf, noCaps } from './caps';
import { share } from './Used';

it('keeps a cap that its field cannot show exactly, unless it is edited', () => {
  const before = { ...noCaps, seconds: 7_201 };
  expect(capsOf(fieldsOf(before), before)).toEqual(before);
  expect(capsOf({ ...fieldsOf(before), minutes: 90 }, before).seconds).toBe(5_400);
});

it('reads an empty field as no cap', () => {
  const before = { cost_usd: 5, tokens: 1_000, seconds: 60, turns: 3 };
  expect(capsOf({ cost: '', tokens: '', minutes: '', turns: '' }, before)).toEqual(noCaps);
});

it('has no share of a cap that is not there', () => {
  expect(share(3, null)).toBeNull();
  expect(share(3, 4)).toBe(0.75);
  expect(share(9, 4)).toBe(1);
});
