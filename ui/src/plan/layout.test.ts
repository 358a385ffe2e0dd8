import { expect, it } from 'vitest';
import { pickUpPoints, planned } from '../../dev/plans';
import { World } from '../../dev/world';
import type { PlanStep, Task } from '../api/types';
import { whole } from './draft';
import { arrows, NODE_WIDTH, place } from './layout';
import { rowsOf } from './rows';

const task = new World().task('T-21') as Task;
const rows = (steps: PlanStep[]) => rowsOf({ ...task, steps: [] }, steps.map(whole));

it('puts every step to the right of those it waits for', () => {
  const placed = new Map(place(rows(pickUpPoints)).map((each) => [each.row.id, each]));
  for (const { from, to } of arrows(rows(pickUpPoints))) {
    expect(placed.get(to)?.x).toBeGreaterThanOrEqual((placed.get(from)?.x ?? 0) + NODE_WIDTH);
  }
});

it('lets no two steps lie on each other', () => {
  const placed = place(rowsOf(task));
  expect(placed).toHaveLength(9);
  for (const a of placed) {
    for (const b of placed) {
      if (a.row.id >= b.row.id) continue;
      const apart =
        Math.abs(a.x - b.x) >= NODE_WIDTH || a.y + a.height <= b.y || b.y + b.height <= a.y;
      expect(apart, `${a.row.id} and ${b.row.id}`).toBe(true);
    }
  }
});

it('draws no arrow from a step that is not there, and knows one that mends', () => {
  expect(arrows(rows([planned(2, 'tests', 'Alone', [7, 2])]))).toEqual([]);
  expect(arrows(rowsOf(task)).find(({ to }) => to === 9)).toEqual({ from: 5, to: 9, mends: true });
});
