"""An invoice: its lines, a discount, the tax, and what is to be paid."""

from dataclasses import dataclass

from .money import share


@dataclass
class Line:
    """Something sold. A credit note has negative quantities."""

    text: str
    quantity: int
    unit_cents: int

    def cents(self):
        return self.quantity * self.unit_cents


@dataclass
class Invoice:
    lines: list
    discount_percent: int = 0
    tax_percent: int = 19

    def net(self):
        """What is left after the discount."""
        gross = sum(line.cents() for line in self.lines)
        return gross - share(gross, self.discount_percent)

    def tax(self):
        return share(self.net(), self.tax_percent)

    def total(self):
        return self.net() + self.tax()
