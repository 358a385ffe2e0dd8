/** A measured number with its unit, without more digits than it has meaning. */
const digits = new Intl.NumberFormat('en', { maximumFractionDigits: 2 });

export const amount = (value: number, unit: string) => `${digits.format(value)} ${unit}`.trim();
