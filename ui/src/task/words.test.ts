import { expect, it } from 'vitest';
import type { DiffLine } from './patch';
import { changedWords } from './words';

const line = (kind: DiffLine['kind'], text: string): DiffLine => ({
  kind,
  text,
  before: null,
  after: null,
});
const marked = (lines: DiffLine[]) => {
  const spans = changedWords(lines);
  return lines.map((each) => {
    const span = spans.get(each);
    return span ? each.text.slice(span.start, span.end) : null;
  });
};

it('marks the word that changed', () => {
  const lines = [line('removed', 'let total = a + b;'), line('added', 'let sum = a + b;')];
  expect(marked(lines)).toEqual(['total', 'sum']);
});

it('marks what was put in', () => {
  expect(marked([line('removed', 'go(a)'), line('added', 'go(a, b)')])).toEqual(['', ', b']);
});

it('marks nothing where lines have nothing in common, or do not pair up', () => {
  expect(marked([line('removed', '  abc'), line('added', '  xyz')])).toEqual([null, null]);
  expect(
    marked([line('removed', 'same x'), line('added', 'same y'), line('added', 'same z')]),
  ).toEqual([null, null, null]);
});

it('does not pair what a line that stayed keeps apart', () => {
  const lines = [line('removed', 'same x'), line('same', '-'), line('added', 'same y')];
  expect(marked(lines)).toEqual([null, null, null]);
});
