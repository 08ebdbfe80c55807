"""What BingX says no with: a code and a text, as values. Texts that nobody has published are ours and say so here.

Codes are those of after 2025-10-16. Where one number stands for several things (109400, 101400) the text decides, as it
does at BingX.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec


class Refusal(msgspec.Struct, frozen=True, gc=False):
    """A business error; it comes with HTTP 200 and leaves no trace in any order."""

    code: int
    msg: str


# Texts seen in the wild.
DUPLICATE_CODE: Final = 101400
DUPLICATE_DOCUMENTED_CODE: Final = 101481
ONE_WAY_SIDE: Final = Refusal(
    109400, "Invalid parameters, err:In the One-way mode, the 'PositionSide' field can only be set to BOTH."
)
HEDGE_SIDE: Final = Refusal(
    109400, "Invalid parameters, err:In the Hedge mode, the 'PositionSide' field can only be set to LONG or SHORT."
)
HEDGE_REDUCE_ONLY: Final = Refusal(
    109400, "Invalid parameters, err:In the Hedge mode, the 'ReduceOnly' field can not be filled."
)
NOTHING_TO_CLOSE: Final = Refusal(101205, "No position to close")

# Texts of ours under documented codes.
SAME_ID_TOO_SOON: Final = Refusal(109201, "the same order number is only allowed to be submitted once within 1 second")
UNKNOWN_ORDER: Final = Refusal(109421, "order not exist")
ORDER_ENDED: Final = Refusal(109422, "the order is already FILLED or CANCELLED")
WOULD_TAKE: Final = Refusal(101215, "the maker (Post Only) order conflicts with existing orders and would be canceled")
REDUCE_TOO_MUCH: Final = Refusal(101290, "the Reduce Only order can only decrease the position")
SETTLING: Final = Refusal(101214, "funding fee settlement in progress, try again later")
TOO_MANY_ORDERS: Final = Refusal(101419, "the number of pending orders exceeds the limit")
MODE_IN_USE: Final = Refusal(104103, "the position mode cannot be switched with positions or pending orders")
MARGIN_TYPE_IN_USE: Final = Refusal(109400, "the margin type cannot be switched with positions or pending orders")
SEPARATE_IN_ONE_WAY: Final = Refusal(104108, "separate isolated margin is not supported in one-way mode")
COUNTDOWN_PURGING: Final = Refusal(109400, "cancelAllAfter is executing, try again later")
POSITION_GONE: Final = Refusal(109420, "position not exist")


def duplicate(code: int) -> Refusal:
    """An order id that was used before, under the code that is switched on."""
    if code == DUPLICATE_CODE:
        return Refusal(code, "clientOrderID unique check failed")
    return Refusal(code, "clientOrderId already exists")


def invalid(why: str) -> Refusal:
    """A parameter that makes no sense."""
    return Refusal(109400, f"Invalid parameters, err:{why}")


def unknown_symbol(symbol: str) -> Refusal:
    """No contract of that name."""
    return Refusal(109425, f"{symbol} is not exist")


def paused(symbol: str) -> Refusal:
    """A contract that is listed and does not trade."""
    return Refusal(109415, f"{symbol} is paused, trading is currently not available")


def no_opening(symbol: str) -> Refusal:
    """A contract on which positions may only be closed through the API."""
    return Refusal(101415, f"{symbol} is suspended from opening positions")


def no_closing(symbol: str) -> Refusal:
    """A contract on which the API may not close."""
    return Refusal(109418, f"{symbol} is offline for API closing")


def too_small(*, qty: Decimal, least: Decimal, asset: str) -> Refusal:
    """Below the minimum quantity."""
    return Refusal(101400, f"The minimum order amount is {least} {asset}, not {qty}")


def too_cheap(*, value: Decimal, least: Decimal, quote: str) -> Refusal:
    """Below the minimum notional."""
    return Refusal(101400, f"The minimum order value is {least} {quote}, not {value}")


def no_margin(available: Decimal, asset: str) -> Refusal:
    """Not enough, whatever is pending."""
    return Refusal(101204, f"Insufficient margin, available {available} {asset}")


def margin_reserved(available: Decimal, asset: str) -> Refusal:
    """Enough, were it not for the account's own pending orders."""
    return Refusal(101212, f"Insufficient available amount {available} {asset}, part of it is held by pending orders")


def more_than_available(available: Decimal, asset: str) -> Refusal:
    """A closing order for more than the position has that is not being closed already."""
    return Refusal(110424, f"The order size must be less than the available amount of {available} {asset}")


def position_limit(limit: Decimal, quote: str) -> Refusal:
    """The position would be worth more than its leverage allows."""
    return Refusal(101209, f"The maximum position value for this leverage is {limit} {quote}")


def outside_band(*, low: Decimal, high: Decimal) -> Refusal:
    """A limit price too far from the market."""
    return Refusal(101211, f"Order price should be higher than {low} and lower than {high}")


def leverage_too_high(most: int) -> Refusal:
    """Above the contract's maximum."""
    return Refusal(101414, f"The maximum leverage is {most}")
