/** Caps as a person sets them: money, tokens, minutes at work, prompts to agents. */
import type { Caps } from '../api/types';

export const noCaps: Caps = { cost_usd: null, tokens: null, seconds: null, turns: null };

/** What stands in the fields; an empty field is no cap. */
export interface CapFields {
  cost: number | '';
  tokens: number | '';
  minutes: number | '';
  turns: number | '';
}

export function fieldsOf(caps: Caps): CapFields {
  return {
    cost: caps.cost_usd ?? '',
    tokens: caps.tokens ?? '',
    minutes: caps.seconds == null ? '' : Math.round((caps.seconds / 60) * 100) / 100,
    turns: caps.turns ?? '',
  };
}

/** `before` keeps what its field cannot show: a cap of 90 seconds stays one unless it is edited. */
export function capsOf(fields: CapFields, before: Caps = noCaps): Caps {
  const shown = fieldsOf(before);
  return {
    cost_usd: given(fields.cost),
    tokens: given(fields.tokens),
    seconds:
      fields.minutes === shown.minutes
        ? before.seconds
        : fields.minutes === ''
          ? null
          : Math.round(fields.minutes * 60),
    turns: given(fields.turns),
  };
}

const given = (value: number | '') => (value === '' ? null : value);
