import { expect, it } from 'vitest';
import { parts } from './Fix';

it('finds the commands of a sentence', () => {
  expect(parts('Run `claude` once and log in, or `nexus keys set anthropic`')).toEqual([
    { command: false, text: 'Run ' },
    { command: true, text: 'claude' },
    { command: false, text: ' once and log in, or ' },
    { command: true, text: 'nexus keys set anthropic' },
  ]);
  expect(parts('Unlock the keychain')).toEqual([{ command: false, text: 'Unlock the keychain' }]);
});
