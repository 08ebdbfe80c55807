"""Exact money of one instrument: what price differences, fees and notionals are worth, before anything is rounded.

A linear contract's money is whole atoms of 10**-money_exp quote units. An inverse contract's profit is paid in coin,
lots x face x (1/benchmark - 1/price), so its money is Fractions of a coin. Both are lots x (price - benchmark) x scale
once a price is put as `worth` puts it, which is how one set of formulas serves both.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Context, Decimal
from fractions import Fraction

from sor.instruments import Instrument
from sor.units import RATE_E8

Exact = int | Fraction
"""Money before it is stated: atoms of 10**-money_exp for linear contracts, coins for inverse ones."""

COIN_DIGITS = 18
"""Decimal places to which amounts in coin are stated; 1/price has no last digit."""
_WIDE = Context(prec=200)


def worth(instrument: Instrument, hticks: int) -> Exact:
    """What a price does to money, up to the scale: rising and exact, linear or not."""
    return Fraction(-1, hticks) if instrument.inverse else hticks


def worth_if_known(instrument: Instrument, hticks: int | None) -> Exact | None:
    """`worth`, None for an unknown one."""
    return None if hticks is None else worth(instrument, hticks)


def scale_of(instrument: Instrument) -> Exact:
    """Money per lot and unit of `worth`: atoms per half-tick-lot, or coins x half-ticks per lot when inverse."""
    if not instrument.inverse:
        return instrument.unit_atoms * (RATE_E8 // 2)
    return 2 * Fraction(instrument.lot_size * instrument.multiplier) / Fraction(instrument.tick_size)


def from_quote(instrument: Instrument, atoms: int, ticks: int) -> Exact:
    """Quote atoms in exact money; for inverse contracts in coin at the price of the fill."""
    if not instrument.inverse:
        return atoms
    return Fraction(atoms, 10**instrument.money_exp * ticks) / Fraction(instrument.tick_size)


def stated_parts(instrument: Instrument, parts: Sequence[Exact]) -> list[Decimal]:
    """Amounts in the settlement asset that add up to their stated sum.

    Linear: exact. Inverse: rounded at the running sums, so that each is off by less than 10**-COIN_DIGITS coin and
    none of it gets lost.
    """
    each: list[Decimal] = []
    running: Exact = 0
    before = Decimal(0)
    for part in parts:
        running += part
        after = _whole_amount(instrument, running)
        each.append(_WIDE.subtract(after, before))
        before = after
    return each


def stated(instrument: Instrument, amount: Exact | None) -> Decimal | None:
    """One amount in the settlement asset."""
    return None if amount is None else _whole_amount(instrument, amount)


def _whole_amount(instrument: Instrument, amount: Exact) -> Decimal:
    """Atoms as a decimal, exact; coins as a decimal of COIN_DIGITS places."""
    if isinstance(amount, int) and not instrument.inverse:
        return Decimal(amount).scaleb(-instrument.money_exp, _WIDE)
    return Decimal(round(amount * 10**COIN_DIGITS)).scaleb(-COIN_DIGITS, _WIDE)


def bps_of(amount: Exact | None, notional: Exact | None) -> float | None:
    """Amount in bps of the notional; None when either is unknown."""
    if amount is None or notional is None:
        return None
    return float(10_000 * amount / notional)
