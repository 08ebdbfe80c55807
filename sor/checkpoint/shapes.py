"""What a checkpoint is made of: one frozen shape for each class of the router's state, typed throughout.

What is shared in the state is named here: orders by their client id, parents by number, instruments by their place in a
table. Where the order of a mapping can matter it is a list of pairs. The fingerprint of all of it is `layout`: a
program with another one does not read these bytes.
"""

from __future__ import annotations

from decimal import Decimal
from functools import cache

import msgspec

from sor.adapter import Capabilities, MoneyCause
from sor.child import Pending
from sor.commands import Decided
from sor.desk import BookKey
from sor.events import FitContradicted, FlowCause, Reading, TradingMode
from sor.fit_watch import Doubt, Fit
from sor.foreign import TradeKey
from sor.ids import AccountId, ClOrdId, ParentId, StrategyId, Symbol, VenueName, VenueOrderId
from sor.instruments import Instrument
from sor.journal.records import fingerprint_of
from sor.market import MarketView
from sor.orders import PositionSide, Side
from sor.packed import PackedChild, PackedParent
from sor.policy import Due, Memory
from sor.regime import Regime
from sor.revisit import Revisit
from sor.snapshot import Cause


class Shape(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Base of all shapes."""


# --- parents and orders -----------------------------------------------------------------------------------------------


class ChildShape(PackedChild, frozen=True, gc=False, array_like=True):
    """A `Child`: what is kept of one that is over, and what only one at work has."""

    pending: Pending
    stood: tuple[int, int, int] | None


class ParentShape(PackedParent, frozen=True, gc=False, array_like=True):
    """A `Parent` in working memory: what is kept of one that is over, `AT_WORK`, and what else is its own.

    instrument    its place in the table. open_children: places in `children`.
    """

    heard_ns: int
    recalled: bool
    wake_ns: int
    watching: bool
    arrival_market: MarketView | None
    end_market: MarketView | None
    market: MarketView | None
    decided: Decided | None
    due: Due | None
    looking: Cause | None
    memory: Memory
    replan: Cause | None
    retry_ns: int
    revisit: Revisit | None
    shadows: dict[str, Memory]
    no: int
    venue: VenueName
    instrument: int
    lots: tuple[int, ...]
    children: list[ChildShape]
    open_children: list[int]


OWN = ("no", "venue", "instrument", "lots", "children", "open_children")
"""The last fields of a `ParentShape`."""
assert ParentShape.__struct_fields__[-len(OWN) :] == OWN
AT_WORK = ParentShape.__struct_fields__[len(PackedParent.__struct_fields__) : -len(OWN)]
"""Fields of a parent that are not kept, or not as they are, of one that is over."""


class RetiredShape(Shape, frozen=True, gc=False, array_like=True):
    """A `Packed` parent and its number. instrument: its place in the table of the same piece."""

    no: int
    parent_id: ParentId
    venue: VenueName
    instrument: int
    since_ns: int
    patterned: bool
    content: bytes


# --- venues, books, money ---------------------------------------------------------------------------------------------


class TallyShape(Shape, frozen=True, gc=False, array_like=True):
    """A `Tally`."""

    steps: list[int]
    before: list[int]
    count: int


class PaceShape(Shape, frozen=True, gc=False, array_like=True):
    """A `Pace`, with its account."""

    account: AccountId
    sends: list[int]
    withdrawals: list[int]
    withdrawn: TallyShape
    traded: TallyShape


class VenueShape(Shape, frozen=True, gc=False, array_like=True):
    """A `VenueState`, with its name; the numbers of retired parents are in pieces of their own."""

    venue: VenueName
    capabilities: Capabilities
    identity: str
    here: bool
    up: bool
    paces: list[PaceShape]
    orders: list[tuple[VenueOrderId, ClOrdId]]


class RealisedShape(Shape, frozen=True, gc=False, array_like=True):
    """A `Realised`, with its side."""

    side: PositionSide
    net_lots: int
    cost_lot_ticks: int
    atoms: int
    day: int


class BookShape(Shape, frozen=True, gc=False, array_like=True):
    """An `OwnBook`, with its key."""

    key: BookKey
    rests: list[tuple[Side, list[ClOrdId]]]
    open_lots: list[tuple[Side, int]]
    positions: list[tuple[PositionSide, int]]
    baselines: list[tuple[PositionSide, tuple[int, int]]]
    flows: list[tuple[tuple[PositionSide, FlowCause], int]]
    filled_ns: int
    realised: list[RealisedShape]
    reducing: list[tuple[PositionSide, int]]
    crosser: list[tuple[Side, int]]
    halted: str
    rejects: int


class ShareShape(Shape, frozen=True, gc=False, array_like=True):
    """What a strategy has of a leverage: a `Share`, with its keys. parents: by number."""

    key: BookKey
    strategy: StrategyId
    leverage: Decimal | None
    parents: list[int]
    lots: list[tuple[PositionSide, int]]


class StrayShape(Shape, frozen=True, gc=False, array_like=True):
    """A `Stray`, with its client id."""

    cl_ord_id: ClOrdId
    venue_order_id: VenueOrderId
    found: int
    gone: bool


class ForeignShape(Shape, frozen=True, gc=False, array_like=True):
    """The state of `Foreign`."""

    strays: list[StrayShape]
    neighbours: list[tuple[tuple[VenueName, int], int]]
    reports: int
    suspects: list[tuple[ClOrdId, Reading]]
    missed_lots: int
    trades: list[TradeKey]


class WalletShape(Shape, frozen=True, gc=False, array_like=True):
    """A `Wallet`, with its keys."""

    venue: VenueName
    account: AccountId
    asset: str
    base: Decimal
    base_ns: int
    entries: list[str]
    expected: Decimal
    first_ns: int
    flows: list[tuple[MoneyCause, Decimal]]
    read_ns: int


# --- what is in force -------------------------------------------------------------------------------------------------


class ParamsShape(Shape, frozen=True, gc=False, array_like=True):
    """Resolved `Params`; what they give in a regime is of the same kind."""

    set_id: str
    digest: str
    values: dict[str, float]
    choices: dict[str, str]
    within: list[tuple[Regime, ParamsShape]]


class InUseShape(Shape, frozen=True, gc=False, array_like=True):
    """Values that parents were given, with what for."""

    name: str
    venue: VenueName
    symbol: Symbol
    params: ParamsShape


class RunningShape(Shape, frozen=True, gc=False, array_like=True):
    """A `Running` experiment, with its name; `text` is its definition."""

    name: str
    text: str
    since_ns: int
    stopped: list[tuple[str, str]]
    ended: str
    changed: list[str]


class InForceShape(Shape, frozen=True, gc=False, array_like=True):
    """The state of `InForce`. instruments: places in the table. sets: names and texts."""

    instruments: list[int]
    sets: list[tuple[str, str]]
    default_set: str
    experiments: list[RunningShape]
    doubted_fits: list[FitContradicted]
    in_use: list[InUseShape]


# --- how fits have done -----------------------------------------------------------------------------------------------


class FitWatchShape(Shape, frozen=True, gc=False, array_like=True):
    """A `FitWatch`, with its fit."""

    fit: Fit
    stakes: list[float]
    orders: int
    filled: int
    expected: float
    withdrawn: int
    alarms: int


class OpenOrderShape(Shape, frozen=True, gc=False, array_like=True):
    """An `OpenOrder`, with its client id."""

    cl_ord_id: ClOrdId
    fit: Fit
    probability: float
    left_lots: int
    expire_ns: int
    timed_out: bool


class FitsShape(Shape, frozen=True, gc=False, array_like=True):
    """The state of `FitWatches`."""

    now_ns: int
    predicted: list[tuple[int, tuple[Fit, float]]]
    open: list[OpenOrderShape]
    watches: list[FitWatchShape]
    unrecorded: list[Doubt]


# --- all of it --------------------------------------------------------------------------------------------------------


class Working(Shape, frozen=True, gc=False, array_like=True):
    """The first piece: everything but what grows with the parents that are over.

    instruments    the table. children: all orders in working memory, in the desk's order. first, pattern: the packer's.
    """

    now_ns: int
    epoch: int
    session: int
    instruments: list[Instrument]
    in_force: InForceShape
    mode: TradingMode
    mode_reason: str
    venues: list[VenueShape]
    books: list[BookShape]
    shares: list[ShareShape]
    foreign: ForeignShape
    wallets: list[WalletShape]
    retire_ns: int
    forget_ns: int
    over: list[tuple[int, int]]
    given: int
    parents: list[ParentShape]
    at_work: list[int]
    children: list[ClOrdId]
    first: list[bytes]
    pattern: bytes
    fits: FitsShape


class Retired(Shape, frozen=True, gc=False, array_like=True, tag="retired"):
    """A piece of the parents that are over and not forgotten, in the order in which they were packed."""

    instruments: list[Instrument]
    parents: list[RetiredShape]


class RetiredOrders(Shape, frozen=True, gc=False, array_like=True, tag="orders"):
    """A piece of their orders by a venue's ids, with the parents' numbers."""

    venue: VenueName
    orders: list[tuple[VenueOrderId, int]]


class Spent(Shape, frozen=True, gc=False, array_like=True, tag="spent"):
    """A piece of the digests of ids that are forgotten, ascending."""

    digests: list[int]


Later = Retired | RetiredOrders | Spent
"""The pieces after the first."""


@cache
def layout() -> bytes:
    """16 bytes that change when a field of the state, or the type of one, does."""
    return fingerprint_of(Working, Later)
