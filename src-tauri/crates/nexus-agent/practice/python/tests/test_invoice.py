import unittest

from invoices import Invoice, Line, written


class InvoiceTest(unittest.TestCase):
    def test_lines_are_added_up(self):
        invoice = Invoice([Line("pencil", 10, 120), Line("paper", 2, 650)])
        self.assertEqual(invoice.net(), 2500)

    def test_the_discount_comes_off_before_the_tax(self):
        invoice = Invoice([Line("desk", 1, 20000)], discount_percent=10)
        self.assertEqual(invoice.net(), 18000)
        self.assertEqual(invoice.tax(), 3420)
        self.assertEqual(invoice.total(), 21420)

    def test_the_tax_is_rounded_to_the_nearest_cent(self):
        invoice = Invoice([Line("lamp", 1, 1999)])
        self.assertEqual(invoice.tax(), 380)

    def test_amounts_are_written_with_two_places(self):
        self.assertEqual(written(2005), "20.05")
        self.assertEqual(written(-5), "-0.05")


if __name__ == "__main__":
    unittest.main()
