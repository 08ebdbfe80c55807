"""Money of the exchange: whole atoms of 10**-24 of the settlement asset, so that every fill is exact."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Final

from sor.instruments import Instrument
from sor.units import RATE_E8

_DIGITS: Final = 24
ONE: Final = 10**_DIGITS
"""Atoms in one unit of the asset."""


def atoms(amount: Decimal) -> int:
    """A decimal amount of at most 24 places in atoms."""
    scaled = Fraction(amount) * ONE
    assert scaled.denominator == 1, "an amount has at most 24 places"
    return scaled.numerator


def money(number: int) -> Decimal:
    """Atoms as a decimal, exact, without zeros at its end; `str` would write small ones with an exponent."""
    whole, part = divmod(abs(number), ONE)
    text = f"{whole}.{part:0{_DIGITS}d}".rstrip("0").rstrip(".")
    return Decimal(f"-{text}" if number < 0 else text)


def rate_atoms(instrument: Instrument) -> int:
    """Atoms per lot-tick and 1e-8 of a rate."""
    digits = _DIGITS - instrument.money_exp
    assert digits >= 0, "the steps of a contract have at most 16 places together"
    return int(instrument.unit_atoms) * int(10**digits)


def value_atoms(instrument: Instrument) -> int:
    """Atoms per lot-tick."""
    return rate_atoms(instrument) * RATE_E8


def up(number: int, by: int) -> int:
    """`number / by`, both positive, rounded up: margin is never too small."""
    return -(-number // by)
