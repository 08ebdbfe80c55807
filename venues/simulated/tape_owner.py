"""What a recorded venue keeps of its owners, orders and money; plain state, changed by `venues.simulated.tape`.

`Holder`, `Held` and `Ledger` know nothing of recordings: the paper venue (`venues.paper`) keeps the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Generic, TypeVar

import msgspec

from sor.adapter import NewOrder, OpenOrder, VenueOrder
from sor.errors import CallerError
from sor.ids import ClOrdId, ClOrdIdCodec, Symbol, VenueOrderId
from sor.instruments import Instrument
from sor.orders import OrdStatus, Side
from sor.units import RATE_E8
from venues.simulated.tape_latency import Line
from venues.simulated.tape_level import Level
from venues.simulated.tape_market import FAR

CLIENT_IDS = ClOrdIdCodec()
"""What client order ids look like here."""
OwnerOf = Callable[[ClOrdId], str]
"""Whose order it is, by its client order id: orders of different owners know nothing of each other."""


def one_owner(cl_ord_id: ClOrdId) -> str:
    """Every order belongs to the same account, as at a real venue."""
    del cl_ord_id
    return ""


def parent_owner(cl_ord_id: ClOrdId) -> str:
    """The number of the order's parent; ids that are not ours belong together.

    Not the epoch: the name also seeds the owner's delays, and those must not depend on what else a replay runs.
    """
    owned = CLIENT_IDS.decode(cl_ord_id)
    return "" if owned is None else str(owned.parent_no)


OWNERS: Mapping[str, OwnerOf] = MappingProxyType({"one": one_owner, "parents": parent_owner})
"""The two ways by the names that configuration knows them by."""


def owners_named(name: str) -> OwnerOf:
    """What `OWNERS` has under that name. Raises `CallerError` for an unknown one: nothing was opened."""
    found = OWNERS.get(name)
    if found is None:
        raise CallerError(f"option owners: {name!r} is none; nothing was opened. Use one of {', '.join(OWNERS)}")
    return found


class Holder:
    """Who holds a position in one instrument, and how far away they are.

    taken       what they took from a displayed level: the level's version then, and lots.
    entry       the way of their requests; response: that of their reports.
    """

    __slots__ = ("entry", "position_lots", "response", "taken")

    def __init__(self, position_lots: int, *, entry: Line, response: Line) -> None:
        self.position_lots = position_lots
        self.entry = entry
        self.response = response
        self.taken: dict[int, tuple[int, int]] = {}

    def taken_lots(self, signed: int, version: int) -> int:
        """Lots already taken from a displayed level since it last changed; `signed` in the taker's terms."""
        taken = self.taken.get(signed)
        return taken[1] if taken is not None and taken[0] == version else 0

    def take(self, signed: int, *, lots: int, version: int) -> None:
        """So much more was taken from a displayed level."""
        self.taken[signed] = (version, self.taken_lots(signed, version) + lots)


class Owner(Holder):
    """What is kept per owner of orders on a recording.

    levels      its resting orders, by price and side.
    reducing    its resting reduce-only orders.
    """

    __slots__ = ("levels", "reducing")

    def __init__(self, position_lots: int, *, entry: Line, response: Line) -> None:
        super().__init__(position_lots, entry=entry, response=response)
        self.levels: dict[int, Level[OwnOrder]] = {}
        self.reducing: dict[ClOrdId, OwnOrder] = {}

    def nearest(self, side: Side) -> int:
        """Price of the own order that one of `side` would meet first, in its signed terms; beyond `FAR` for none."""
        return min((-level.signed for level in self.levels.values() if level.side is not side), default=FAR + 1)


HolderT_co = TypeVar("HolderT_co", bound=Holder, covariant=True)


class Held(Generic[HolderT_co]):
    """One order that a venue accepted, numbered from 1."""

    __slots__ = (
        "cl_ord_id",
        "cost_lot_ticks",
        "created_ns",
        "exec_ids",
        "filled_lots",
        "leaves_lots",
        "number",
        "order_lots",
        "owner",
        "post_only",
        "price_ticks",
        "reduce_only",
        "side",
        "status",
    )

    def __init__(self, order: NewOrder, owner: HolderT_co, *, number: int, created_ns: int) -> None:
        self.cl_ord_id = order.cl_ord_id
        self.number = number
        self.owner = owner
        self.side = order.side
        self.price_ticks = order.price_ticks
        self.post_only = order.post_only
        self.reduce_only = order.reduce_only
        self.created_ns = created_ns
        self.order_lots = order.qty_lots
        self.leaves_lots = order.qty_lots
        self.filled_lots = 0
        self.cost_lot_ticks = 0
        self.status = OrdStatus.NEW
        self.exec_ids: list[str] = []

    @property
    def venue_order_id(self) -> VenueOrderId:
        """Its number, as told."""
        return VenueOrderId(str(self.number))

    @property
    def avg_hticks(self) -> int:
        """Average fill price in half-ticks, 0 while there is none."""
        return round(2 * self.cost_lot_ticks / self.filled_lots) if self.filled_lots else 0

    def fill(self, lots: int, price_ticks: int) -> None:
        """One trade of it, with the next exec id, in its own sums and its owner's position."""
        self.filled_lots += lots
        self.leaves_lots -= lots
        self.cost_lot_ticks += lots * price_ticks
        self.exec_ids.append(f"{self.number}-{len(self.exec_ids) + 1}")
        self.owner.position_lots += self.side * lots
        self.status = OrdStatus.PARTIALLY_FILLED if self.leaves_lots else OrdStatus.FILLED

    def end(self, *, expired: bool) -> None:
        """It ends without being filled."""
        self.leaves_lots = 0
        self.status = OrdStatus.EXPIRED if expired else OrdStatus.CANCELED

    def audited(self, symbol: Symbol) -> VenueOrder:
        """What an oracle reads."""
        return VenueOrder(
            cl_ord_id=self.cl_ord_id,
            symbol=symbol,
            side=self.side,
            order_lots=self.order_lots,
            filled_lots=self.filled_lots,
            leaves_lots=self.leaves_lots,
            exec_ids=tuple(self.exec_ids),
        )

    def shown(self, symbol: Symbol) -> OpenOrder:
        """What a list of open orders says of it."""
        return OpenOrder(
            cl_ord_id=self.cl_ord_id,
            venue_order_id=self.venue_order_id,
            symbol=symbol,
            side=self.side,
            price_ticks=self.price_ticks,
            leaves_lots=self.leaves_lots,
            created_ns=self.created_ns,
        )


class OwnOrder(Held[Owner]):
    """One order on a recording; `level` is where it rests."""

    __slots__ = ("level",)

    def __init__(self, order: NewOrder, owner: Owner, *, number: int, created_ns: int) -> None:
        super().__init__(order, owner, number=number, created_ns=created_ns)
        self.level: Level[OwnOrder] | None = None


class Take(msgspec.Struct, frozen=True, gc=False):
    """What an order takes from one displayed level."""

    price_ticks: int
    lots: int
    version: int


class Ledger:
    """What the trades of a venue's owners have come to together, exact.

    instrument      whose fees are charged.
    lots            signed sum of what was traded.
    cost_lot_ticks  paid less received, fees apart.
    fees_atoms      paid, in the instrument's money atoms.
    """

    __slots__ = ("_coins", "cost_lot_ticks", "fees_atoms", "instrument", "last_ticks", "lots")

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.lots = 0
        self.cost_lot_ticks = 0
        self.fees_atoms = 0
        self.last_ticks = 0
        self._coins = Decimal(0)

    def trade(self, side: Side, *, lots: int, ticks: int, maker: bool) -> int:
        """Book one trade. Returns its fee in atoms."""
        instrument = self.instrument
        fee_atoms = instrument.fee_atoms(lots, ticks, instrument.maker_fee_e8 if maker else instrument.taker_fee_e8)
        self.lots += side * lots
        self.cost_lot_ticks += side * lots * ticks
        self.fees_atoms += fee_atoms
        self.last_ticks = ticks
        if instrument.inverse:
            paid = side * instrument.notional(lots, ticks) - instrument.money(fee_atoms)
            self._coins += paid / instrument.price(ticks)
        return fee_atoms

    def profit(self, mid_hticks: int) -> Decimal:
        """What the trades have made at a mid, fees paid, in the settlement asset; exact unless inverse.

        mid_hticks    0 while there is none: the last price traded at stands in.
        """
        instrument = self.instrument
        mid_hticks = mid_hticks or 2 * self.last_ticks
        if not mid_hticks:
            return Decimal(0)
        if instrument.inverse:
            held = self.lots * instrument.notional(1, 1)
            return self._coins - 2 * held / (mid_hticks * instrument.tick_size)
        value_lot_hticks = self.lots * mid_hticks - 2 * self.cost_lot_ticks
        return instrument.money(value_lot_hticks * instrument.unit_atoms * RATE_E8 // 2 - self.fees_atoms)
