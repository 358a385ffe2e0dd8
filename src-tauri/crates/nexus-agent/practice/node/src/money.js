// Amounts of money, in whole cents.

/** So many per cent of an amount. */
export function share(cents, percent) {
  return Math.floor((cents * percent) / 100);
}

/** The amount as people write it: 1234 is "12.34". */
export function written(cents) {
  const sign = cents < 0 ? "-" : "";
  const whole = Math.floor(Math.abs(cents) / 100);
  const rest = Math.abs(cents) % 100;
  return `${sign}${whole}.${String(rest).padStart(2, "0")}`;
}
