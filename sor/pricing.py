"""Arithmetic of one order's price: where a maker rests, how far a taker may reach, what crossing costs.

Everything is a whole number of ticks and lots. One definition each, for the policies, the invariants and whoever else
needs the same figure.
"""

from __future__ import annotations

from typing import Final

from sor.market import Levels
from sor.orders import Side
from sor.units import BPS

_BUY: Final = Side.BUY  # CPython 3.11 takes longer to read a member off its enum than to compare it


def maker_ticks(side: Side, *, bid_ticks: int, ask_ticks: int) -> int:
    """Price at which a post-only order of `side` rests (S1): one tick inside the touch, or at it in a one-tick market.

    bid_ticks, ask_ticks    the best prices, bid < ask.
    """
    room = ask_ticks - bid_ticks > 1
    return bid_ticks + room if side is _BUY else ask_ticks - room


def collar_ticks(side: Side, *, touch_ticks: int, collar_bps: float) -> int:
    """Worst price of a taking order: `collar_bps` beyond the touch that it takes from, rounded towards the touch.

    touch_ticks    best ask for a buy, best bid for a sell; > 0, and so is the result.
    """
    reach = int(touch_ticks * collar_bps / BPS)
    return touch_ticks + reach if side is _BUY else max(1, touch_ticks - reach)


def nearer_ticks(side: Side, price_ticks: int, limit_ticks: int | None) -> int:
    """`price_ticks`, or the limit where that is worse for us than the limit allows."""
    if limit_ticks is None:
        return price_ticks
    return min(price_ticks, limit_ticks) if side is _BUY else max(price_ticks, limit_ticks)


def sweep(ladder: Levels, want_lots: int) -> tuple[int, int]:
    """Cost of taking up to `want_lots` from one side of a book, best level first; displayed depth only (methods 4).

    Returns    (cost in tick-lots, filled lots); filled < want_lots means the ladder ran out.
    """
    cost = 0
    left = want_lots
    for price_ticks, qty_lots in ladder:
        if qty_lots >= left:
            return cost + price_ticks * left, want_lots
        cost += price_ticks * qty_lots
        left -= qty_lots
    return cost, want_lots - left
