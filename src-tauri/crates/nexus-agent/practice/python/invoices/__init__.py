"""Adds up invoices, in whole cents."""

from .invoice import Invoice, Line
from .money import share, written

__all__ = ["Invoice", "Line", "share", "written"]
