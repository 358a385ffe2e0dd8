/** Numbers and times as the screens write them. */
const compact = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });
const money = new Intl.NumberFormat('en', { style: 'currency', currency: 'USD' });

export function tokens(count: number, atLeast = false): string {
  const least = atLeast ? '≥ ' : '';
  if (count < 1000) return `${least}${count} tok`;
  if (count < 100_000) return `${least}${compact.format(count / 1000)}k tok`;
  if (count < 1_000_000) return `${least}${Math.round(count / 1000)}k tok`;
  return `${least}${compact.format(count / 1_000_000)}M tok`;
}

/** `null` while no price is known, which is not the same as free. */
export function usd(amount: number | null | undefined, atLeast = false): string {
  if (amount == null) return 'cost not known';
  return `${atLeast ? '≥ ' : ''}${money.format(amount)}`;
}

export function duration(ms: number): string {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 10) return `${compact.format(seconds)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`;
  const days = Math.floor(hours / 24);
  return days === 1 ? '1 day' : `${days} days`;
}

/** How long ago, coarse: `just now`, `4 min ago`. */
export function ago(at: string, now: number): string {
  const passed = now - Date.parse(at);
  return passed < 5_000 ? 'just now' : `${duration(Math.floor(passed / 1000) * 1000)} ago`;
}

/** From start to end, or to now while there is no end. */
export function elapsed(start: string, end: string | null | undefined, now: number): string {
  const ms = (end ? Date.parse(end) : now) - Date.parse(start);
  return ms < 1000 ? '0 s' : duration(Math.floor(ms / 1000) * 1000);
}

/**
 * How long until then: `in 1 h 12 min`, by the second in the last minute. Rounded up, so that it
 * never promises too early. `at any moment` once the time has come.
 */
export function remaining(until: string, now: number): string {
  const seconds = Math.ceil((Date.parse(until) - now) / 1000);
  if (seconds <= 0) return 'at any moment';
  if (seconds < 60) return `in ${seconds} s`;
  const minutes = Math.ceil(seconds / 60);
  if (minutes < 60) return `in ${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 === 0 ? `in ${hours} h` : `in ${hours} h ${minutes % 60} min`;
  return `in ${Math.ceil(hours / 24)} days`;
}

const time = new Intl.DateTimeFormat('en-GB', {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
});
const full = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'medium' });

export const clock = (at: string) => time.format(new Date(at));
export const moment = (at: string) => full.format(new Date(at));

export const plural = (count: number, one: string, many = `${one}s`) =>
  `${count} ${count === 1 ? one : many}`;

/** What the server says in the middle of a line, at the beginning of one. */
export const sentence = (text: string) => text.charAt(0).toUpperCase() + text.slice(1);
