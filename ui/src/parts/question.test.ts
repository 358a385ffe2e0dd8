import { expect, it } from 'vitest';
import type { Approval } from '../api/types';
import { heading, object } from './question';

const asked = (text: string, detail: string) => ({ text, detail }) as Approval;

it('does not say a command twice', () => {
  const run = asked('Beta wants to run: cargo test', 'cargo test\necho done');
  expect(heading(run)).toBe('Beta wants to run');
  expect(object(run)).toBe('cargo test');
});

it('keeps the sentence whole where the detail is something else', () => {
  const edit = asked('Code wants to use Write: src/a.rs', '{ "file_path": "src/a.rs" }');
  expect(heading(edit)).toBe('Code wants to use Write: src/a.rs');
  expect(object(edit)).toBe('src/a.rs');
});

it('takes a sentence without an object as it is', () => {
  const rounds = asked('Beta still says fail after 3 rounds. Go on?', 'a finding');
  expect(heading(rounds)).toBe(rounds.text);
  expect(object(rounds)).toBe(rounds.text);
});
