"""Whose leverage a symbol has: at a venue it belongs to the account, not to a strategy, so two may want two (B3).

A strategy that entered with a leverage holds on to it while it has a parent at work or a position there; a second
value is refused until then, never the last writer's. Nothing is kept on disk for it: who asked for what is in the
journal with every intent, so a restart gives the same answer.

A strategy's position is what its own parents have traded. Others may have closed it since (by hand, by liquidation),
so it counts only while the venue does not say that the account is flat there.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from sor.desk import BookKey
from sor.ids import StrategyId
from sor.orders import Action, PositionSide
from sor.own_book import OwnBook
from sor.parent import Parent
from sor.router import Core


class Claim(msgspec.Struct, frozen=True, gc=False):
    """A strategy that holds on to a leverage."""

    strategy: StrategyId
    leverage: Decimal


class _Share:
    """What one strategy has on one symbol.

    leverage    as it asked for last; None while it has asked for none that counts.
    at_work     its parents that had not ended when they were looked at last.
    lots        what those that had ended have traded, signed, by position side.
    """

    __slots__ = ("at_work", "leverage", "lots")

    def __init__(self) -> None:
        self.leverage: Decimal | None = None
        self.at_work: list[Parent] = []
        self.lots: dict[PositionSide, int] = {}

    def holds(self, book: OwnBook | None) -> bool:
        """Whether it has a parent at work or a position."""
        at_work: list[Parent] = []
        for parent in self.at_work:
            if parent.ended and not parent.open_children:
                side = parent.order.position_side
                self.lots[side] = self.lots.get(side, 0) + parent.side * parent.ledger.cum_lots
            else:
                at_work.append(parent)
        self.at_work = at_work
        if at_work:
            return True
        flat = book is not None and bool(book.positions) and not any(book.positions.values())
        return any(self.lots.values()) and not flat


class LeverageClaims:
    """Who holds on to which leverage: a function of the core's parents, in their order, and of its positions.

    It remembers what it has seen only to be quick: one made anew from the same core answers alike.
    """

    __slots__ = ("_core", "_seen", "_shares")

    def __init__(self, core: Core) -> None:
        self._core = core
        self._seen = 0
        self._shares: dict[BookKey, dict[StrategyId, _Share]] = {}
        self._catch_up()

    def against(self, key: BookKey, *, strategy: StrategyId, leverage: Decimal) -> Claim | None:
        """The first claim of another strategy that `leverage` would break, or None.

        Leverages are compared as venues have them, in whole numbers: 2.5 breaks no claim to 2.
        """
        self._catch_up()
        book = self._core.desk.books.get(key)
        for other, share in self._shares.get(key, {}).items():
            claimed = share.leverage
            if other == strategy or claimed is None or _whole(claimed) == _whole(leverage):
                continue
            if share.holds(book):
                return Claim(other, claimed)
        return None

    def _catch_up(self) -> None:
        parents = self._core.parents
        for parent in parents[self._seen :]:
            self._enter(parent)
        self._seen = len(parents)

    def _enter(self, parent: Parent) -> None:
        order, intent = parent.order, parent.intent
        shares = self._shares.setdefault((parent.venue, order.account, parent.instrument.symbol), {})
        share = shares.get(order.strategy)
        if share is None:
            share = shares[order.strategy] = _Share()
        share.at_work.append(parent)
        if intent is None or intent.leverage is None or intent.action is Action.EXIT:
            return
        share.leverage = intent.leverage
        for other in shares.values():
            if other is share or other.leverage is None or _whole(other.leverage) == _whole(intent.leverage):
                continue
            # It was let through, so the others held nothing then; what they seem to have, somebody else closed.
            other.leverage = None
            other.at_work.clear()
            other.lots.clear()


def _whole(leverage: Decimal) -> int:
    return max(1, int(leverage))
