/**
 * A field for a list, one entry on each line. The field keeps what is typed; empty lines are no
 * entries, but one has to be able to begin one.
 */
import { Textarea, type TextareaProps } from '@mantine/core';
import { useState } from 'react';

interface Props extends Omit<TextareaProps, 'value' | 'onChange' | 'defaultValue'> {
  value: readonly string[];
  onChange(value: string[]): void;
}

export const linesOf = (text: string) =>
  text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');

export function LinesField({ value, onChange, ...rest }: Props) {
  const [raw, setRaw] = useState(() => value.join('\n'));
  const shown = value.join('\n');
  return (
    <Textarea
      autosize
      minRows={2}
      maxRows={8}
      {...rest}
      value={linesOf(raw).join('\n') === shown ? raw : shown}
      onChange={(event) => {
        setRaw(event.currentTarget.value);
        onChange(linesOf(event.currentTarget.value));
      }}
    />
  );
}
