import { expect, it } from 'vitest';
import { readPatch } from './patch';

const text = (lines: string[]) => `${lines.join('\n')}\n`;

it('numbers the lines of both sides', () => {
  const [file] = readPatch(
    text([
      'diff --git a/src/a.rs b/src/a.rs',
      'index 1..2 100644',
      '--- a/src/a.rs',
      '+++ b/src/a.rs',
      '@@ -7,3 +7,3 @@ fn main() {',
      ' one',
      '-two',
      '+deux',
      ' three',
    ]),
  );
  expect(file?.path).toBe('src/a.rs');
  expect(file?.hunks[0]?.lines).toEqual([
    { kind: 'same', before: 7, after: 7, text: 'one' },
    { kind: 'removed', before: 8, after: null, text: 'two' },
    { kind: 'added', before: null, after: 8, text: 'deux' },
    { kind: 'same', before: 9, after: 9, text: 'three' },
  ]);
});

it('takes content for content, though it looks like a header', () => {
  const [file, ...others] = readPatch(
    text([
      'diff --git a/x b/x',
      '--- a/x',
      '+++ b/x',
      '@@ -1,2 +1,2 @@',
      '--- a/fake',
      '+++ b/fake',
      ' diff --git a/y b/y',
    ]),
  );
  expect(others).toEqual([]);
  expect(file?.path).toBe('x');
  expect(file?.hunks[0]?.lines.map((line) => line.text)).toEqual([
    '-- a/fake',
    '++ b/fake',
    'diff --git a/y b/y',
  ]);
});

it('names added, deleted, moved and binary files', () => {
  const files = readPatch(
    text([
      'diff --git a/new.txt b/new.txt',
      'new file mode 100644',
      '--- /dev/null',
      '+++ b/new.txt',
      '@@ -0,0 +1 @@',
      '+hello',
      'diff --git a/old.txt b/old.txt',
      'deleted file mode 100644',
      '--- a/old.txt',
      '+++ /dev/null',
      '@@ -1 +0,0 @@',
      '-bye',
      '\\ No newline at end of file',
      'diff --git a/here b/there',
      'similarity index 100%',
      'rename from here',
      'rename to there',
      'diff --git a/a b.png b/a b.png',
      'Binary files a/a b.png and b/a b.png differ',
    ]),
  );
  expect(files.map(({ path, from, binary }) => ({ path, from, binary }))).toEqual([
    { path: 'new.txt', from: null, binary: false },
    { path: 'old.txt', from: null, binary: false },
    { path: 'there', from: 'here', binary: false },
    { path: 'a b.png', from: null, binary: true },
  ]);
  expect(files[1]?.hunks[0]?.lines.at(-1)?.kind).toBe('note');
});

it('reads paths that git has quoted', () => {
  const [file] = readPatch(
    text([
      'diff --git "a/na\\303\\257ve \\"x\\".txt" "b/na\\303\\257ve \\"x\\".txt"',
      'Binary files differ',
    ]),
  );
  expect(file?.path).toBe('naïve "x".txt');
});

it('reads nothing from nothing, and from what is no diff', () => {
  expect(readPatch('')).toEqual([]);
  expect(readPatch('hello\n+++ b/x\n')).toEqual([]);
});
