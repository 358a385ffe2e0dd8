// An invoice: its lines, a discount, the tax, and what is to be paid.

import { share } from "./money.js";

export class Invoice {
  /** A line is `{ text, quantity, unitCents }`. A credit note has negative quantities. */
  constructor(lines, { discountPercent = 0, taxPercent = 19 } = {}) {
    this.lines = lines;
    this.discountPercent = discountPercent;
    this.taxPercent = taxPercent;
  }

  /** What is left after the discount. */
  net() {
    const gross = this.lines.reduce((sum, line) => sum + line.quantity * line.unitCents, 0);
    return gross - share(gross, this.discountPercent);
  }

  tax() {
    return share(this.net(), this.taxPercent);
  }

  total() {
    return this.net() + this.tax();
  }
}
