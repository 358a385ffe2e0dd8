/** Where the steps of a plan stand when it is drawn from left to right. */
import { Graph, layout } from '@dagrejs/dagre';
import type { PlanRow } from './rows';

export const NODE_WIDTH = 164;
const NODE_HEIGHT = 98;
/** A line more, for what is not as it should be. */
const NOTE_HEIGHT = 24;

export interface Placed {
  row: PlanRow;
  x: number;
  y: number;
  height: number;
}

export interface Arrow {
  from: number;
  to: number;
  /** It leads to a step that mends the one it comes from. */
  mends: boolean;
}

export const hasNote = (row: PlanRow) => row.merge !== null || row.mends !== null || row.flags > 0;

export function arrows(rows: readonly PlanRow[]): Arrow[] {
  const known = new Set(rows.map((row) => row.id));
  return rows.flatMap((row) =>
    [...new Set(row.after)]
      .filter((from) => known.has(from) && from !== row.id)
      .map((from) => ({ from, to: row.id, mends: row.mends === from })),
  );
}

export function place(rows: readonly PlanRow[]): Placed[] {
  const graph = new Graph();
  graph.setGraph({ rankdir: 'LR', nodesep: 12, ranksep: 28 });
  const height = (row: PlanRow) => NODE_HEIGHT + (hasNote(row) ? NOTE_HEIGHT : 0);
  for (const row of rows) {
    graph.setNode(String(row.id), { width: NODE_WIDTH, height: height(row) });
  }
  for (const { from, to } of arrows(rows)) graph.setEdge(String(from), String(to), {});
  layout(graph);
  return rows.map((row) => {
    const { x = 0, y = 0 } = graph.node(String(row.id)) as { x?: number; y?: number };
    return { row, x: x - NODE_WIDTH / 2, y: y - height(row) / 2, height: height(row) };
  });
}
