"""Instruments: what one venue lists, and the exact way between its decimals and our integers.

Versioned, because venues change ticks, steps and fees; a child order names the version it was priced with.
Nothing here rounds silently: off the step is a `CallerError`, and the two roundings that are allowed (flooring an
intent's quantity, rounding a passive price away from the market) have names of their own.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal, DecimalException
from fractions import Fraction
from functools import lru_cache

import msgspec

from sor.errors import CallerError
from sor.ids import Symbol, VenueName

_RATE_DIGITS = 8
"""Fee rates are whole numbers of 10**-8 of notional."""
EXPONENT_MAX = 1_000
"""Beyond 10**1000 either way a number is a slip of the finger, and written out as an integer it may fill the memory."""


@lru_cache(maxsize=1_024)
def canonical_symbol(spelling: str) -> Symbol:
    """One name for every spelling: `btc-usdt`, `BTC_USDT`, `BTC/USDT` and `BTCUSDT` are the same instrument (B8).

    Raises `CallerError` when nothing is left after dropping separators.
    """
    symbol = "".join(character for character in spelling if character.isalnum()).upper()
    if not symbol:
        raise CallerError(f"{spelling!r} is not a symbol; nothing was sent. Name one like BTCUSDT or BTC-USDT")
    return Symbol(symbol)


class Instrument(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One listed contract, as of one version.

    tick_size      price step in quote units; every price is a whole number of ticks.
    lot_size       quantity step in the venue's quantity unit (base coin or contracts); every quantity is whole lots.
    multiplier     linear: base units in one quantity unit. inverse: quote units (the contract's face value) in one.
    inverse        True for coin-margined contracts, whose notional in quote does not depend on the price.
    min_qty_lots   smallest order. max_qty_lots: largest, 0 when the venue names none.
    min_notional   smallest order value in quote units, 0 when the venue names none.
    fees           signed 1e-8 of notional, negative is a rebate; the account's own where known.
    settle         the asset in which fees and profit are paid.
    money_exp      derived: decimal places of one money atom, so that rate x notional of any fill is whole atoms.
    unit_atoms     derived: atoms per lot-tick (per lot when inverse) and 1e-8 of rate.
    unit_value     derived: quote units per lot-tick (per lot when inverse), for limits and other estimates.
    min_value_units    derived: least lots x ticks (lots when inverse) of an order, from `min_notional`.
    """

    symbol: Symbol
    venue: VenueName
    version: int = 1
    base: str = ""
    quote: str = ""
    settle: str = ""
    tick_size: Decimal
    lot_size: Decimal
    multiplier: Decimal = Decimal(1)
    inverse: bool = False
    min_qty_lots: int = 1
    max_qty_lots: int = 0
    min_notional: Decimal = Decimal(0)
    maker_fee_e8: int = 20_000
    taker_fee_e8: int = 50_000
    money_exp: int = -1
    unit_atoms: int = 0
    unit_value: float = 0.0
    min_value_units: int = 0

    def __post_init__(self) -> None:
        """Refuse an instrument whose steps are unknown or senseless: guessing them loses money."""
        for name, step in (("tick size", self.tick_size), ("lot size", self.lot_size), ("multiplier", self.multiplier)):
            if not step.is_finite() or step <= 0:
                raise CallerError(f"{self.symbol} on {self.venue}: {name} {step} is not positive; it is not routable")
        if self.min_qty_lots < 1 or self.max_qty_lots < 0 or self.min_notional < 0:
            raise CallerError(f"{self.symbol} on {self.venue}: a minimum or maximum is negative; it is not routable")
        unit = self.lot_size * self.multiplier * (1 if self.inverse else self.tick_size)
        exponent = unit.normalize().as_tuple().exponent
        assert isinstance(exponent, int)
        digits = max(0, -exponent)
        msgspec.structs.force_setattr(self, "money_exp", digits + _RATE_DIGITS)
        msgspec.structs.force_setattr(self, "unit_atoms", int(unit.scaleb(digits)))
        msgspec.structs.force_setattr(self, "unit_value", float(unit))
        least = -(-Fraction(self.min_notional) // Fraction(unit))
        msgspec.structs.force_setattr(self, "min_value_units", least)

    def ticks(self, price: Decimal) -> int:
        """Price in ticks. Raises `CallerError` when it is not positive or lies between two ticks."""
        return _whole(price, self.tick_size, what="price", unit=self.quote, symbol=self.symbol)

    def lots(self, quantity: Decimal) -> int:
        """Quantity in lots. Raises `CallerError` when it is not positive or lies between two steps."""
        return _whole(quantity, self.lot_size, what="quantity", unit="", symbol=self.symbol)

    def floor_lots(self, quantity: Decimal) -> int:
        """Quantity in lots, rounded down to the step (what an `Intent` asks for); may be 0."""
        if not quantity.is_finite() or quantity < 0:
            raise CallerError(f"{self.symbol}: quantity {quantity} is not a positive number; nothing was sent")
        _check_exponent(quantity, what="quantity", symbol=self.symbol)
        return int(Fraction(quantity) // Fraction(self.lot_size))

    def price(self, ticks: int) -> Decimal:
        """Ticks as a decimal price in quote units."""
        return ticks * self.tick_size

    def quantity(self, lots: int) -> Decimal:
        """Lots as a decimal quantity in the venue's unit."""
        return lots * self.lot_size

    def fee_atoms(self, lots: int, ticks: int, fee_e8: int) -> int:
        """Fee of a fill in atoms of 10**-money_exp quote units, exact; positive is a cost to us.

        lots, ticks    the fill, both > 0. For an inverse contract the fee is valued in quote, not in the coin paid.
        fee_e8         signed rate in 1e-8 of notional.
        """
        return lots * self.unit_atoms * fee_e8 * (1 if self.inverse else ticks)

    def notional(self, lots: int, ticks: int) -> Decimal:
        """Value of `lots` at `ticks` in quote units, exact."""
        if self.inverse:
            return lots * self.lot_size * self.multiplier
        return lots * self.lot_size * self.multiplier * (ticks * self.tick_size)

    def money(self, atoms: int) -> Decimal:
        """Atoms as decimal quote units."""
        return Decimal(atoms).scaleb(-self.money_exp)

    def atoms(self, amount: Decimal) -> int:
        """Decimal quote units as whole atoms, rounded half to even where a venue states more digits than are exact."""
        return int((Decimal(amount).scaleb(self.money_exp)).to_integral_value(ROUND_HALF_EVEN))

    def value(self, lots: int, ticks: int) -> float:
        """Value of `lots` at `ticks` in quote units, as an estimate for limits."""
        return lots * self.unit_value if self.inverse else lots * ticks * self.unit_value

    def most_lots(self, *, ticks: int, value_max: float) -> int:
        """The largest order at `ticks` that is worth no more than `value_max` quote units."""
        lots = int(value_max / self.value(1, ticks))
        return lots if self.value(lots, ticks) <= value_max else lots - 1

    def min_lots_at(self, ticks: int) -> int:
        """Smallest order at `ticks`, in lots, that satisfies both the minimum quantity and the minimum notional."""
        units = self.min_value_units
        return max(self.min_qty_lots, units if self.inverse else -(-units // ticks))

    def least_lots(self, *, touch_ticks: int | None, reduce_only: bool) -> int:
        """The smallest order that the venue takes now; the minimum value does not hold for what only closes.

        touch_ticks    the best price that it would take from, None where there is none.
        """
        return self.min_qty_lots if reduce_only or touch_ticks is None else self.min_lots_at(touch_ticks)


def _check_exponent(value: Decimal, *, what: str, symbol: str) -> None:
    """Raise `CallerError` for a number that no arithmetic should be done with."""
    if value and abs(value.adjusted()) > EXPONENT_MAX:
        raise CallerError(f"{symbol}: {what} {value} is beyond anything that trades; nothing was sent")


def _whole(value: Decimal, step: Decimal, *, what: str, unit: str, symbol: str) -> int:
    """`value / step` when that is a positive whole number, else `CallerError`."""
    try:
        whole, rest = divmod(value, step)  # exact: what would need more digits than the context has is signalled
    except DecimalException:
        pass
    else:
        if not rest and whole > 0 and value.adjusted() <= EXPONENT_MAX:
            return int(whole)
    if not value.is_finite() or value <= 0:
        raise CallerError(f"{symbol}: {what} {value} is not a positive number; nothing was sent")
    _check_exponent(value, what=what, symbol=symbol)
    count = Fraction(value) / Fraction(step)
    if count.denominator != 1:
        below = int(count) * step
        above = f"{(below + step).normalize():f}"
        near = f"nearest are {below.normalize():f} and {above}" if below else f"least is {above}"
        raise CallerError(
            f"{symbol}: {what} {value} is off the step of {step}{' ' + unit if unit else ''}; nothing was sent. "
            f"The {near}"
        )
    return int(count)
