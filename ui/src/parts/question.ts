/** A question's sentence is `Beta wants to run: cargo test`: who wants what, then to what. */
import type { Approval } from '../api/types';

/** The part before the colon, when the whole of what follows it is shown beside. */
export function heading({ text, detail }: Approval): string {
  const cut = text.indexOf(': ');
  if (cut < 0 || detail === '') return text;
  const object = text.slice(cut + 2);
  return detail.startsWith(object) ? text.slice(0, cut) : text;
}

/** The part after the colon: what it is about, in one line. */
export function object({ text }: Approval): string {
  const cut = text.indexOf(': ');
  return cut < 0 ? text : text.slice(cut + 2);
}
