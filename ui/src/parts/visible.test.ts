import { expect, it } from 'vitest';
import { visible } from './visible';

it('leaves ordinary text alone, in any script', () => {
  const text = 'cargo test -- "naïve 名前"\n\tsecond line';
  expect(visible(text)).toBe(text);
});

it.each([
  ['rm \u202egnp.exe', 'rm ⟨U+202E⟩gnp.exe'],
  ['ls\u0000', 'ls⟨U+0000⟩'],
  ['a\u200bb', 'a⟨U+200B⟩b'],
  ['echo ok\rrm -rf x', 'echo ok⟨U+000D⟩rm -rf x'],
  ['\u001b[8mhidden', '⟨U+001B⟩[8mhidden'],
])('shows what hides in %j', (text, shown) => expect(visible(text)).toBe(shown));
