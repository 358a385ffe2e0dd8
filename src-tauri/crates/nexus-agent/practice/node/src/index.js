// Adds up invoices, in whole cents.

export { Invoice } from "./invoice.js";
export { share, written } from "./money.js";
