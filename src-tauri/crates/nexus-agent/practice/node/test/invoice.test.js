import assert from "node:assert/strict";
import test from "node:test";

import { Invoice, written } from "../src/index.js";

const line = (text, quantity, unitCents) => ({ text, quantity, unitCents });

test("lines are added up", () => {
  const invoice = new Invoice([line("pencil", 10, 120), line("paper", 2, 650)]);
  assert.equal(invoice.net(), 2500);
});

test("the discount comes off before the tax", () => {
  const invoice = new Invoice([line("desk", 1, 20000)], { discountPercent: 10 });
  assert.equal(invoice.net(), 18000);
  assert.equal(invoice.tax(), 3420);
  assert.equal(invoice.total(), 21420);
});

test("the tax is rounded to the nearest cent", () => {
  const invoice = new Invoice([line("lamp", 1, 1999)]);
  assert.equal(invoice.tax(), 380);
});

test("amounts are written with two places", () => {
  assert.equal(written(2005), "20.05");
  assert.equal(written(-5), "-0.05");
});
