/** What was used, beside what may be used. */
import type { Caps, Spent } from '../api/types';
import { duration, plural, tokens, usd } from '../parts/format';
import css from './Used.module.css';

/** Each in words. What is not known whole is written as the least it can be. */
export function usedWords(spent: Spent) {
  return {
    cost: usd(spent.cost_usd, spent.at_least),
    tokens: tokens(spent.tokens, spent.at_least),
    time: duration(spent.seconds * 1000),
    turns: plural(spent.turns, 'turn'),
  };
}

export function Used({ spent, caps }: { spent: Spent; caps: Caps }) {
  const used = usedWords(spent);
  return (
    <table className={css.table} data-testid="used">
      <thead>
        <tr>
          <th scope="col">
            <span className={css.hidden}>What</span>
          </th>
          <th scope="col">Used</th>
          <th scope="col">Cap</th>
        </tr>
      </thead>
      <tbody>
        <Row
          name="Money"
          used={used.cost}
          cap={caps.cost_usd == null ? null : usd(caps.cost_usd)}
          share={share(spent.cost_usd, caps.cost_usd)}
        />
        <Row
          name="Tokens"
          used={used.tokens}
          cap={caps.tokens == null ? null : tokens(caps.tokens)}
          share={share(spent.tokens, caps.tokens)}
        />
        <Row
          name="At work"
          used={used.time}
          cap={caps.seconds == null ? null : duration(caps.seconds * 1000)}
          share={share(spent.seconds, caps.seconds)}
        />
        <Row
          name="Turns"
          used={String(spent.turns)}
          cap={caps.turns == null ? null : String(caps.turns)}
          share={share(spent.turns, caps.turns)}
        />
      </tbody>
    </table>
  );
}

/** How much of a cap is used, from 0 to 1; `null` where there is none. */
export function share(used: number, cap: number | null): number | null {
  if (cap == null) return null;
  return cap <= 0 ? 1 : Math.min(1, used / cap);
}

function Row(props: { name: string; used: string; cap: string | null; share: number | null }) {
  return (
    <tr data-near={props.share != null && props.share >= 0.8}>
      <th scope="row">{props.name}</th>
      <td>{props.used}</td>
      <td>
        {props.cap ?? <span className={css.none}>no cap</span>}
        {props.share == null ? null : (
          <span className={css.share}> {Math.round(props.share * 100)} %</span>
        )}
      </td>
    </tr>
  );
}
