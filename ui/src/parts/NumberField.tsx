/**
 * A field for a number that may be empty. While `1.` is being typed the field keeps it as it is
 * and says 1; reading it as nothing would make 1.50 a 50.
 */
import { NumberInput, type NumberInputProps } from '@mantine/core';
import { useState } from 'react';

type Given = number | '';

interface Props extends Omit<NumberInputProps, 'value' | 'onChange' | 'defaultValue'> {
  value: Given;
  onChange(value: Given): void;
}

function read(raw: number | string): Given {
  if (typeof raw === 'number') return raw;
  const number = Number(raw);
  return raw.trim() === '' || Number.isNaN(number) ? '' : number;
}

export function NumberField({ value, onChange, ...rest }: Props) {
  const [raw, setRaw] = useState<number | string>(value);
  return (
    <NumberInput
      min={0}
      allowNegative={false}
      {...rest}
      value={read(raw) === value ? raw : value}
      onChange={(next) => {
        setRaw(next);
        onChange(read(next));
      }}
    />
  );
}
