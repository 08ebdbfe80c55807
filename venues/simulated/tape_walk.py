"""Own orders that rest at one price, walked along a recording: which of them a trade reaches, and when.

A walk is about one price of one account. It stands between two events of the recording and moves from one trade at its
price to the next, taking in on the way what the displayed size did. It knows nothing of clocks and tells nobody
anything, so it may be copied and sent ahead to see when something will happen; whoever does so must not tell it before
that time has come.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from sor.models.queues import Place, QueueModel
from sor.orders import Side
from venues.simulated.tape_market import TapeMarket


class QueueWalk:
    """The places of own orders at one price, oldest first, and how far along the recording they have come.

    places    one per order; orders of one account queue behind each other, so a trade serves them in this order.
    """

    __slots__ = ("_change", "_change_end", "_displayed", "_market", "_model", "_trade", "_trade_end", "places")

    def __init__(
        self, market: TapeMarket, model: QueueModel, side: Side, *, price_ticks: int, group: int, trade: int
    ) -> None:
        """Begin after `group` and after the first `trade` trades of the recording."""
        self._market = market
        self._model = model
        first, last = market.changes_at(side, price_ticks)
        self._change = bisect_right(market.change_group, group, first, last)
        self._change_end = last
        self._displayed = market.change_lots[self._change - 1] if self._change > first else 0
        first, last = market.trades_at(side, price_ticks)
        self._trade = bisect_left(market.price_trade, trade, first, last)
        self._trade_end = last
        self.places: list[Place] = []

    def copy(self) -> QueueWalk:
        """The same walk, to be sent ahead."""
        other = QueueWalk.__new__(QueueWalk)
        other._market = self._market
        other._model = self._model
        other._change = self._change
        other._change_end = self._change_end
        other._displayed = self._displayed
        other._trade = self._trade
        other._trade_end = self._trade_end
        other.places = [place.copy() for place in self.places]
        return other

    def join(self) -> None:
        """One more order arrives, behind all that is displayed."""
        self.places.append(Place(front=float(self._displayed)))

    def next_trade(self) -> int:
        """Index of the next trade at this price; the number of trades of the recording when there is none."""
        market = self._market
        return market.price_trade[self._trade] if self._trade < self._trade_end else market.trade_count

    def step(self, wants: Sequence[int]) -> list[int] | None:
        """Go past the next trade. Returns the lots it gives each order, None when none reaches any.

        wants    lots each order still wants, in the order of `places`.
        """
        market = self._market
        trade = market.price_trade[self._trade]
        self._trade += 1
        # A trade meets the book as the group before its slot left it.
        self._see_changes(market.trade_slot[trade])
        lots = market.trade_lots[trade]
        ours = 0
        given: list[int] | None = None
        for at, place in enumerate(self.places):
            got = place.trade(lots, ours=ours)
            if got:
                got = min(got, wants[at])
                ours += got
                if given is None:
                    given = [0] * len(self.places)
                given[at] = got
        return given

    def seek(self, *, group: int, trade: int) -> None:
        """Go on to just after `group` and after the first `trade` trades; the caller knows that none reaches us."""
        nothing = [0] * len(self.places)
        while self.next_trade() < trade:
            self.step(nothing)
        self._see_changes(group + 1)

    def _see_changes(self, slot: int) -> None:
        """Take in the changes of the displayed size before group `slot`."""
        market = self._market
        start = self._change
        end = bisect_left(market.change_group, slot, start, self._change_end)
        if end == start:
            return
        sizes = market.change_lots[start:end]
        for place in self.places:
            place.changes(self._model, displayed_lots=self._displayed, sizes=sizes)
        self._displayed = sizes[-1]
        self._change = end
