"""A book as a few lines of text: the levels around the touch, our own orders on them, and what is ahead of those."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from sor.instruments import Instrument
from sor.market import Levels, MarketView

LEVELS = 3
"""Levels of each side that are drawn, besides those where an order of ours is."""
_BAR = 24
"""Columns of the largest size."""


class Standing(msgspec.Struct, frozen=True):
    """An order of ours at a price: what is left of it, and the lots ahead of it, None where that is not known."""

    price_ticks: int
    leaves_lots: int
    ahead_lots: int | None


def book_picture(instrument: Instrument, market: MarketView, own: tuple[Standing, ...]) -> tuple[str, ...]:
    """The lines, asks above bids, the best of both in the middle; none where a side is empty.

    A price where only an order of ours stands is drawn too: the book that we hold may not show it yet, or not so deep.
    """
    if not market.bids or not market.asks:
        return ()
    ask = market.asks[0][0]
    asks = _side(market.asks, [one.price_ticks for one in own if one.price_ticks >= ask])
    bids = _side(market.bids, [one.price_ticks for one in own if one.price_ticks < ask])
    rows = [("ask", price, asks[price]) for price in sorted(asks, reverse=True)]
    rows += [("bid", price, bids[price]) for price in sorted(bids, reverse=True)]
    most = max(lots for _, _, lots in rows)
    prices = [f"{instrument.price(price)}" for _, price, _ in rows]
    sizes = [f"{instrument.quantity(lots)}" for _, _, lots in rows]
    wide, long = max(map(len, prices)), max(map(len, sizes))
    lines: list[str] = []
    for at, (side, price, lots) in enumerate(rows):
        drawn = f"{_bar(lots, most):{_BAR}}{_ours(instrument, own, price)}"
        lines.append(f"{side} {prices[at]:>{wide}}  {sizes[at]:>{long}}  {drawn}".rstrip())
    return tuple(lines)


def _side(levels: Levels, own: list[int]) -> Mapping[int, int]:
    """Price -> lots of the levels to be drawn."""
    shown = dict(levels)
    return dict(levels[:LEVELS]) | {price: shown.get(price, 0) for price in own}


def _bar(lots: int, most: int) -> str:
    """A bar as long as the size, at least one mark where there is any."""
    return "#" * max(lots * _BAR // most, 1) if lots else ""


def _ours(instrument: Instrument, own: tuple[Standing, ...], price: int) -> str:
    return "".join(_told(instrument, one) for one in own if one.price_ticks == price)


def _told(instrument: Instrument, one: Standing) -> str:
    ahead = "" if one.ahead_lots is None else f", {instrument.quantity(one.ahead_lots)} ahead"
    return f"  < ours {instrument.quantity(one.leaves_lots)}{ahead}"


class OwnOrders:
    """What rests of a parent, followed through its records."""

    def __init__(self) -> None:
        self._left: dict[str, tuple[int, int]] = {}

    def placed(self, order_id: str, *, price_ticks: int, lots: int) -> None:
        """An order that may rest was sent."""
        self._left[order_id] = (price_ticks, lots)

    def filled(self, order_id: str, lots: int) -> None:
        """Part of it traded."""
        if order_id in self._left:
            price, left = self._left[order_id]
            if left > lots:
                self._left[order_id] = (price, left - lots)
            else:
                self.gone(order_id)

    def gone(self, order_id: str) -> None:
        """Nothing of it rests any more."""
        self._left.pop(order_id, None)

    def moved(self, order_id: str, price_ticks: int) -> None:
        """It rests at another price."""
        if order_id in self._left:
            self._left[order_id] = (price_ticks, self._left[order_id][1])

    def standing(self, ahead: Mapping[str, int]) -> tuple[Standing, ...]:
        """What rests, with what is ahead of it."""
        return tuple(_standings(self._left, ahead))


def _standings(left: Mapping[str, tuple[int, int]], ahead: Mapping[str, int]) -> Iterator[Standing]:
    for order_id, (price, lots) in left.items():
        yield Standing(price, lots, ahead.get(order_id))
