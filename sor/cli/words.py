"""Quantities and moments as a trader reads them, shared by the tables and the stories."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from sor.instruments import Instrument
from sor.units import NS


def unit_of(instrument: Instrument) -> str:
    """What quantities are counted in: the coin, or contracts and how much one is."""
    if instrument.inverse:
        return f"contracts of {instrument.multiplier} {instrument.quote}".rstrip()
    if instrument.multiplier != 1:
        return f"contracts of {instrument.multiplier} {instrument.base}".rstrip()
    return instrument.base or "units"


def short_unit(instrument: Instrument) -> str:
    """The same where there is no room for how much a contract is."""
    return unit_of(instrument).partition(" of ")[0]


def amount(instrument: Instrument, quantity: Decimal) -> str:
    """A quantity with its unit."""
    return f"{quantity:f} {unit_of(instrument)}"


def moment(at_ns: int) -> str:
    """A moment in UTC to the millisecond."""
    return datetime.fromtimestamp(at_ns // NS, UTC).strftime("%Y-%m-%d %H:%M:%S") + f".{at_ns % NS // 1_000_000:03d}"


def bps(value: float | None) -> str:
    """Basis points with their sign; a dash for what is not known."""
    return "-" if value is None else f"{value:+.3f}"


def count(number: int, noun: str) -> str:
    """`1 order`, `2 orders`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
