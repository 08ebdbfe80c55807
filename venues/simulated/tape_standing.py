"""The place of an own order in its queue as the strategy can estimate it on a recording, by local time.

`sor.standing` has the rules and the live feed tells it each event; here it is told those at its own price alone, when
somebody asks. At one instant trades come before book changes, as they do on the tape.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from sor.adapter import OwnRest
from sor.ids import ClOrdId
from sor.lab.columns import TRUSTS
from sor.market import Trust
from sor.standing import Standing
from venues.simulated.tape_conditions import NEVER
from venues.simulated.tape_market import TapeMarket

_STRETCH = 1 << 8
"""Events at our price that are walked ahead together."""
_OK = TRUSTS.index(Trust.OK)


class TapeStanding:
    """One order's place, and how far along the recording it has come."""

    __slots__ = ("_change", "_change_end", "_market", "_place", "_trade", "_trade_end")

    def __init__(self, market: TapeMarket, key: int, own: OwnRest, *, now_ns: int) -> None:
        """Begin behind what is displayed at `now_ns`, local time."""
        self._market = market
        self._place = place = Standing(key, own)
        group = bisect_right(market.group_local_ns, now_ns) - 1
        first, last = market.changes_at(own.side, own.price_ticks)
        self._change = bisect_right(market.change_group, group, first, last)
        self._change_end = last
        lots = market.change_lots[self._change - 1] if self._change > first else 0
        first, last = market.trades_at(own.side, own.price_ticks)
        self._trade = bisect_left(market.price_trade, bisect_right(market.trade_local_ns, now_ns), first, last)
        self._trade_end = last
        if group >= 0:
            place.join(lots, inside=self._inside(lots, group), venue_ns=market.group_ns[group])

    @property
    def cl_ord_id(self) -> ClOrdId:
        """Of the order."""
        return self._place.own.cl_ord_id

    @property
    def key(self) -> int:
        """Whose order it is."""
        return self._place.key

    @property
    def ahead_lots(self) -> int | None:
        """Lots ahead of it as of where it has come to."""
        return self._place.ahead_lots

    def change(self, own: OwnRest) -> None:
        """It keeps its place under these terms."""
        self._place.change(own)

    def advance(self, now_ns: int) -> None:
        """Go on to local time `now_ns`."""
        while self._next_ns() <= now_ns:
            self._step()

    def next_below(self, below_lots: int, now_ns: int) -> int:
        """When less than this is ahead of it while the book is sound, or where the stretch walked ends; `NEVER` if not.

        At once where it is so at `now_ns`.
        """
        self.advance(now_ns)
        if self._is_below(below_lots, now_ns):
            return now_ns
        walk = self._copy()
        at_ns = NEVER
        for _ in range(_STRETCH):
            at_ns = walk._next_ns()
            if at_ns >= NEVER:
                break
            walk.advance(at_ns)
            if walk._is_below(below_lots, at_ns):
                break
        return at_ns

    def _is_below(self, below_lots: int, now_ns: int) -> bool:
        ahead = self._place.ahead_lots
        if ahead is None or ahead >= below_lots:
            return False
        market = self._market
        group = bisect_right(market.group_local_ns, now_ns) - 1
        return market.columns.trust.item(group) == _OK

    def _next_ns(self) -> int:
        """Local time of the next event at its price."""
        return min(self._change_ns(), self._trade_ns())

    def _change_ns(self) -> int:
        market = self._market
        if self._change == self._change_end:
            return NEVER
        return market.group_local_ns[market.change_group[self._change]]

    def _trade_ns(self) -> int:
        market = self._market
        return market.trade_local_ns[market.price_trade[self._trade]] if self._trade < self._trade_end else NEVER

    def _step(self) -> None:
        """Take in the next event at its price."""
        market, place = self._market, self._place
        trade_ns = self._trade_ns()
        if trade_ns <= self._change_ns():
            trade = market.price_trade[self._trade]
            self._trade += 1
            group = bisect_left(market.group_local_ns, trade_ns) - 1
            late = group >= 0 and 0 < market.trade_ns[trade] <= market.group_ns[group]
            place.traded(market.trade_lots[trade], late=late)
        else:
            change = self._change
            self._change += 1
            group, lots = market.change_group[change], market.change_lots[change]
            place.sees(lots, inside=self._inside(lots, group), venue_ns=market.group_ns[group])

    def _inside(self, lots: int, group: int) -> bool:
        own = self._place.own
        return lots > 0 or self._market.deeper(own.side, own.price_ticks, group=group)

    def _copy(self) -> TapeStanding:
        other = TapeStanding.__new__(TapeStanding)
        other._market = self._market
        other._place = self._place.copy()
        other._change = self._change
        other._change_end = self._change_end
        other._trade = self._trade
        other._trade_end = self._trade_end
        return other
