"""Whose leverage a symbol has: at a venue it belongs to the account, not to a strategy, so two may want two (B3).

A strategy that entered with a leverage holds on to it while it has a parent at work or a position there; a second
value is refused until then, never the last writer's. Who asked for what is in the journal with every intent, and this
is a fold of it, so a restart gives the same answer, also about parents that are forgotten.

A strategy's position is what its own parents have traded. Others may have closed it since (by hand, by liquidation),
so it counts only while the venue does not say that the account is flat there.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from sor.desk import BookKey, Desk, key_of
from sor.ids import StrategyId
from sor.orders import Action, PositionSide
from sor.own_book import OwnBook
from sor.parent import Parent


class Claim(msgspec.Struct, frozen=True, gc=False):
    """A strategy that holds on to a leverage."""

    strategy: StrategyId
    leverage: Decimal


class Share:
    """What one strategy has on one symbol.

    leverage    as it asked for last; None while it has asked for none that counts.
    parents     its parents that are not retired, by number.
    lots        what those that are have traded, signed, by position side.
    """

    __slots__ = ("leverage", "lots", "parents")

    def __init__(self) -> None:
        self.leverage: Decimal | None = None
        self.parents: dict[int, Parent] = {}
        self.lots: dict[PositionSide, int] = {}

    def trade(self, parent: Parent, lots: int) -> None:
        """A retired parent has traded this."""
        side = parent.order.position_side
        self.lots[side] = self.lots.get(side, 0) + parent.side * lots

    def holds(self, book: OwnBook | None) -> bool:
        """Whether it has a parent at work or a position."""
        lots = dict(self.lots)
        for parent in self.parents.values():
            if not parent.ended or parent.open_children:
                return True
            side = parent.order.position_side
            lots[side] = lots.get(side, 0) + parent.side * parent.ledger.cum_lots
        flat = book is not None and bool(book.positions) and not any(book.positions.values())
        return any(lots.values()) and not flat


class LeverageClaims:
    """Who holds on to which leverage: a function of the parents, in their order, and of the positions."""

    __slots__ = ("_desk", "shares")

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.shares: dict[BookKey, dict[StrategyId, Share]] = {}

    def against(self, key: BookKey, *, strategy: StrategyId, leverage: Decimal) -> Claim | None:
        """The first claim of another strategy that `leverage` would break, or None.

        Leverages are compared as venues have them, in whole numbers: 2.5 breaks no claim to 2.
        """
        book = self._desk.books.get(key)
        for other, share in self.shares.get(key, {}).items():
            claimed = share.leverage
            if other == strategy or claimed is None or _whole(claimed) == _whole(leverage):
                continue
            if share.holds(book):
                return Claim(other, claimed)
        return None

    def enter(self, parent: Parent) -> None:
        """A parent was submitted."""
        order, intent = parent.order, parent.intent
        shares = self.shares.setdefault(key_of(parent), {})
        share = shares.get(order.strategy)
        if share is None:
            share = shares[order.strategy] = Share()
        share.parents[parent.no] = parent
        if intent is None or intent.leverage is None or intent.action is Action.EXIT:
            return
        share.leverage = intent.leverage
        for other in shares.values():
            if other is share or other.leverage is None or _whole(other.leverage) == _whole(intent.leverage):
                continue
            # It was let through, so the others held nothing then; what they seem to have, somebody else closed.
            other.leverage = None
            other.parents.clear()
            other.lots.clear()

    def retire(self, parent: Parent) -> None:
        """A parent leaves working memory: what it has traded stays."""
        share = self.shares[key_of(parent)][parent.order.strategy]
        if share.parents.pop(parent.no, None) is not None:
            share.trade(parent, parent.ledger.cum_lots)

    def filled_late(self, parent: Parent, lots: int) -> None:
        """A parent that had been retired has filled more."""
        self.shares[key_of(parent)][parent.order.strategy].trade(parent, lots)


def _whole(leverage: Decimal) -> int:
    return max(1, int(leverage))
