/** Where two versions of a line differ, so that a change of one word is seen as one word. */
import type { DiffLine } from './patch';

/** The changed part of a line: from `start` up to, not including, `end`. */
export interface Span {
  start: number;
  end: number;
}

/**
 * Pairs the removed lines of each run with the added lines after them, when there are as many,
 * and says for each which part differs. Lines that have nothing in common get no span: all of
 * such a line is new, and marking all of it says nothing.
 */
export function changedWords(lines: readonly DiffLine[]): Map<DiffLine, Span> {
  const spans = new Map<DiffLine, Span>();
  let at = 0;
  while (at < lines.length) {
    const removed = run(lines, at, 'removed');
    const added = run(lines, at + removed.length, 'added');
    if (removed.length > 0 && removed.length === added.length) {
      removed.forEach((before, index) => {
        const after = added[index];
        if (after) mark(spans, before, after);
      });
    }
    at += Math.max(1, removed.length + added.length);
  }
  return spans;
}

function run(lines: readonly DiffLine[], from: number, kind: DiffLine['kind']): DiffLine[] {
  let end = from;
  while (lines[end]?.kind === kind) end += 1;
  return lines.slice(from, end);
}

function mark(spans: Map<DiffLine, Span>, before: DiffLine, after: DiffLine) {
  const [a, b] = [before.text, after.text];
  const most = Math.min(a.length, b.length);
  let start = 0;
  while (start < most && a[start] === b[start]) start += 1;
  let tail = 0;
  while (tail < most - start && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail += 1;
  const shared = a.slice(0, start).trim().length + a.slice(a.length - tail).trim().length;
  if (shared === 0) return;
  spans.set(before, { start, end: a.length - tail });
  spans.set(after, { start, end: b.length - tail });
}
