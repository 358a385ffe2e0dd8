"""Amounts of money, in whole cents."""


def share(cents, percent):
    """So many per cent of an amount."""
    return cents * percent // 100


def written(cents):
    """The amount as people write it: 1234 is "12.34"."""
    sign = "-" if cents < 0 else ""
    whole, rest = divmod(abs(cents), 100)
    return f"{sign}{whole}.{rest:02}"
