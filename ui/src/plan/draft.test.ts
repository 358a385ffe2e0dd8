import { expect, it } from 'vitest';
import { planned } from '../../dev/plans';
import type { Plan, PlanStep } from '../api/types';
import {
  added,
  begin,
  bodyOf,
  differenceWords,
  edited,
  isChanged,
  isOther,
  moved,
  offered,
  onto,
  problemsOf,
  removed,
  waitingFor,
} from './draft';

const plan = (steps: PlanStep[], version = 1): Plan => ({
  version,
  plan_first: true,
  waiting: true,
  editable: true,
  steps,
  estimate: null,
  usual: null,
});
/** 1 → 2 → 4 → 5, and 1 → 3 → 4. */
const diamond = [
  planned(1, 'analysis', 'Look', []),
  planned(2, 'implementation', 'Left', [1]),
  planned(3, 'implementation', 'Right', [1]),
  planned(4, 'tests', 'Both', [2, 3]),
  planned(5, 'validation', 'Judge', [4]),
];
const draft = () => begin(plan(diamond));
const ids = (steps: { id: number }[]) => steps.map((step) => step.id);
const step = (steps: readonly PlanStep[], id: number) => steps.find((each) => each.id === id);

it.each([
  [1, []],
  [2, [1, 3]],
  [3, [1, 2]],
  [4, [1, 2, 3]],
  [5, [1, 2, 3, 4]],
])('offers step %i no step to wait for that waits for it already', (id, may) => {
  expect(ids(offered(draft().steps, id))).toEqual(may);
});

it('never makes a circle, whatever of what is offered is chosen', () => {
  let now = draft();
  for (const { id } of diamond) {
    now = edited(now, id, { after: ids(offered(now.steps, id)) });
  }
  for (const { id } of diamond) expect(waitingFor(now.steps, id).has(id)).toBe(false);
});

it('ends although a plan that came has a circle', () => {
  const circle = begin(plan([planned(1, 'tests', 'a', [2]), planned(2, 'tests', 'b', [1])]));
  expect([...waitingFor(circle.steps, 1)].sort()).toEqual([1, 2]);
  expect(offered(circle.steps, 1)).toEqual([]);
});

it('lets another role take the step when its kind changes', () => {
  expect(step(edited(draft(), 2, { kind: 'tests' }).steps, 2)?.role).toBe('alpha');
});

it('leaves a begun step as it is', () => {
  const begun = begin(plan(diamond.map((each) => ({ ...each, begun: each.id <= 2 }))));
  expect(edited(begun, 2, { title: 'Other' })).toEqual(begun);
  expect(removed(begun, 1)).toBe(begun);
});

it('adds a step before those that judge, under a number that was never used', () => {
  const without = removed(draft(), 5);
  const { draft: now, id } = added(without);
  expect(id).toBe(6);
  expect(ids(added(draft()).draft.steps)).toEqual([1, 2, 3, 4, 6, 5]);
  expect(isOther(now, 6)).toBe(true);
});

it('closes the gap when a step is taken out', () => {
  expect(step(removed(draft(), 4).steps, 5)?.after).toEqual([2, 3]);
});

it('moves a step within the list and not beyond it', () => {
  expect(ids(moved(draft(), 3, -1).steps)).toEqual([1, 3, 2, 4, 5]);
  expect(moved(draft(), 1, -1).steps).toEqual(draft().steps);
  expect(moved(draft(), 5, 1).steps).toEqual(draft().steps);
});

it('says what was changed', () => {
  expect(isChanged(draft())).toBe(false);
  expect(differenceWords(draft())).toBe('nothing changed');
  const now = edited(added(removed(draft(), 3)).draft, 2, { title: 'Only one' });
  expect(differenceWords(now)).toBe('1 added, 2 changed, 1 removed');
  expect(differenceWords(moved(draft(), 3, -1))).toBe('another order');
  expect(isChanged(edited(edited(draft(), 2, { title: 'x' }), 2, { title: 'Left' }))).toBe(false);
});

it('sends the version that was edited', () => {
  expect(bodyOf(begin(plan(diamond, 7)))).toMatchObject({ version: 7 });
});

it('puts what was changed onto a newer plan, field by field', () => {
  const mine = edited(draft(), 2, { title: 'Mine', priority: 'high' });
  const theirs = diamond.map((each) =>
    each.id === 2 ? { ...each, title: 'Theirs', description: 'New' } : each,
  );
  const now = onto(mine, plan(theirs, 3));
  expect(now.version).toBe(3);
  expect(step(now.steps, 2)).toMatchObject({
    title: 'Mine',
    priority: 'high',
    description: 'New',
  });
  expect(differenceWords(now)).toBe('1 changed');
});

it('does not touch what was begun meanwhile', () => {
  const mine = removed(edited(draft(), 2, { title: 'Mine' }), 3);
  const theirs = diamond.map((each) => ({ ...each, begun: each.id <= 3 }));
  const now = onto(mine, plan(theirs, 2));
  expect(step(now.steps, 2)?.title).toBe('Left');
  expect(step(now.steps, 3)?.title).toBe('Right');
});

it('gives an added step another number when its own was taken meanwhile', () => {
  const { draft: with6 } = added(draft());
  const mine = edited(edited(with6, 6, { title: 'My own' }), 5, { after: [4, 6] });
  const theirs = [...diamond, planned(6, 'tests', 'Theirs', [4])];
  const now = onto(mine, plan(theirs, 2));
  expect(step(now.steps, 6)?.title).toBe('Theirs');
  expect(step(now.steps, 7)?.title).toBe('My own');
  expect(step(now.steps, 5)?.after).toEqual([4, 7]);
});

it('keeps out what was taken out, here or there, unless it was edited here', () => {
  const gone = diamond.filter((each) => each.id !== 3);
  expect(ids(onto(draft(), plan(gone, 2)).steps)).toEqual([1, 2, 4, 5]);
  expect(step(onto(draft(), plan(gone, 2)).steps, 4)?.after).toEqual([2]);
  const wanted = edited(draft(), 3, { title: 'Wanted' });
  expect(step(onto(wanted, plan(gone, 2)).steps, 3)?.title).toBe('Wanted');
  expect(ids(onto(removed(draft(), 3), plan(diamond, 2)).steps)).toEqual([1, 2, 4, 5]);
});

it('keeps the order that was chosen, and puts what is new where it stands there', () => {
  const theirs = [...diamond.slice(0, 2), planned(9, 'tests', 'New', [2]), ...diamond.slice(2)];
  expect(ids(onto(moved(draft(), 3, -1), plan(theirs, 2)).steps)).toEqual([1, 3, 2, 9, 4, 5]);
  expect(ids(onto(draft(), plan(theirs, 2)).steps)).toEqual([1, 2, 9, 3, 4, 5]);
});

it('puts each problem beside the step that it names', () => {
  const { steps, plan: general } = problemsOf(
    'the plan cannot be used: step 2 has no title; step 4 waits for step 9, which is not there; it has 70 steps, at most 64 fit; step 2 is there twice',
    draft().steps,
  );
  expect(steps.get(2)).toEqual(['step 2 has no title', 'step 2 is there twice']);
  expect(steps.get(4)).toEqual(['step 4 waits for step 9, which is not there']);
  expect(general).toEqual(['it has 70 steps, at most 64 fit']);
});

it('keeps a problem that it cannot read whole', () => {
  expect(problemsOf('something else is wrong', draft().steps).plan).toEqual([
    'something else is wrong',
  ]);
});
