"""Orders and the accounts that own them, as the engine keeps them: mutable, shared by reference, no ids to look up."""

from __future__ import annotations

import msgspec

from sor.adapter import SelfTrade
from sor.orders import OrdType, Side, Tif


class Account:
    """A ledger of one instrument, in exact integers, and how the engine treats its orders.

    Over all accounts of an engine positions and costs sum to zero, and fees to what the engine collected.

    owner            accounts of one owner do not trade with each other unless `self_trade` allows it: hedge mode is two
                     accounts, long and short, of one owner. The taker's rule decides.
    silent           no events that its orders were accepted, canceled or expired: for a crowd that nobody asks about.
    position_lots    signed, long positive.
    cost_lot_ticks   sum of side x lots x ticks over its trades: what was paid less what was received, fees apart.
    fees_atoms       paid so far in money atoms of the instrument, negative when rebates prevail.
    reducing         its resting reduce-only orders by id, oldest first; the engine's own index.
    """

    __slots__ = (
        "cost_lot_ticks",
        "fees_atoms",
        "maker_fee_e8",
        "name",
        "owner",
        "position_lots",
        "reducing",
        "self_trade",
        "silent",
        "taker_fee_e8",
    )

    def __init__(
        self,
        name: str,
        *,
        owner: str = "",
        maker_fee_e8: int = 0,
        taker_fee_e8: int = 0,
        self_trade: SelfTrade = SelfTrade.ALLOWED,
        silent: bool = False,
    ) -> None:
        self.name = name
        self.owner = owner or name
        self.maker_fee_e8 = maker_fee_e8
        self.taker_fee_e8 = taker_fee_e8
        self.self_trade = self_trade
        self.silent = silent
        self.position_lots = 0
        self.cost_lot_ticks = 0
        self.fees_atoms = 0
        self.reducing: dict[int, Order] = {}


class Order(msgspec.Struct, eq=False):
    """One order as the engine keeps it: the caller makes it, from there on the engine alone changes it.

    order_id      unique per engine; the caller numbers its orders.
    order_lots    total quantity; falls when the order is amended or a reduce-only order is cut.
    price_ticks   0 for MARKET.
    leaves_lots   still open, 0 before it is placed and once it has ended; with `filled_lots` it makes `order_lots`
                  while the order rests.
    sign          of the side, set when the order is placed.
    level         where it rests, None while it does not; `older` and `newer` are its neighbours there.
    """

    order_id: int
    account: Account
    side: Side
    ord_type: OrdType
    order_lots: int
    price_ticks: int = 0
    tif: Tif = Tif.GTC
    post_only: bool = False
    reduce_only: bool = False
    filled_lots: int = 0
    leaves_lots: int = 0
    sign: int = 0
    level: Level | None = None
    older: Order | None = None
    newer: Order | None = None

    def __repr__(self) -> str:
        """Without the neighbours, or one order would print its whole queue."""
        return (
            f"Order({self.order_id} {self.account.name} {self.side.name} {self.order_lots}@{self.price_ticks} "
            f"{self.ord_type} {self.tif} filled {self.filled_lots} leaves {self.leaves_lots})"
        )


class Level:
    """The queue at one price; `lots` is what it shows."""

    __slots__ = ("head", "key", "lots", "tail")

    def __init__(self, key: int) -> None:
        self.key = key
        self.lots = 0
        self.head: Order | None = None
        self.tail: Order | None = None
