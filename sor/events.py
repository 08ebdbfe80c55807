"""Facts: the closed union of what the core is told. Each carries its time; nothing else moves a machine.

Every fact is journaled before the core sees it. `now_ns` is the shell's clock when it took the fact in.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import msgspec

from sor.adapter import Capabilities, MoneyCause, MoneyEntry, RequestFailed
from sor.experiment.assigned import Assigned
from sor.ids import AccountId, ClOrdId, ExecId, Symbol, VenueName, VenueOrderId
from sor.instruments import Instrument
from sor.market import MarketView
from sor.orders import ExecutionReport, Intent, ParentOrder, PositionSide, Side
from sor.policy import Decision
from sor.snapshot import Cause


class Fact(msgspec.Struct, frozen=True, gc=False, kw_only=True, array_like=True):
    """Base of all facts."""

    now_ns: int


class SessionStarted(Fact, frozen=True, gc=False, kw_only=True, array_like=True, tag="session"):
    """A router process opened the journal. `epoch` is the journal's ownership mark, drawn when it was created.

    same_accounts    somebody vouches that the venues' accounts are still those of before, whatever they identify as.
    last_ns          time of the journal's last record before, 0 for none: since then nobody has worked its parents.
    retire_ns        parents that are over leave working memory once nothing was heard of them for this long; 0: never.
    forget_ns        retired parents are forgotten after this; 0: never.
    """

    epoch: int
    version: str
    default_set: str
    same_accounts: bool = False
    last_ns: int = 0
    retire_ns: int = 0
    forget_ns: int = 0


class InstrumentAdopted(Fact, frozen=True, gc=False, kw_only=True, array_like=True, tag="instrument"):
    """A venue lists an instrument, or a new version of one."""

    instrument: Instrument


class ParamsAdopted(Fact, frozen=True, gc=False, kw_only=True, array_like=True, tag="params"):
    """A param-set is in force from now on under `name`; the whole text, so that the journal stands alone."""

    name: str
    digest: str
    text: str


class VenueUp(Fact, frozen=True, gc=False, kw_only=True, array_like=True, tag="up"):
    """Orders can be sent and reports arrive. `capabilities` are the session's, `identity` its account's, "" unknown."""

    venue: VenueName
    capabilities: Capabilities
    identity: str = ""


class VenueDown(Fact, frozen=True, gc=False, kw_only=True, array_like=True, tag="down"):
    """The link is lost: what was pending is not known."""

    venue: VenueName
    reason: str


class PositionKnown(Fact, frozen=True, gc=False, kw_only=True, array_like=True, tag="position"):
    """The baseline of a position, signed lots: the venue's word, taken while none of our orders could change it."""

    venue: VenueName
    account: AccountId
    symbol: Symbol
    position_side: PositionSide
    qty_lots: int


class Reading(StrEnum):
    """Which of the venue's books was read."""

    OPEN_ORDERS = "open_orders"
    FILLS = "fills"
    POSITIONS = "positions"
    WALLET = "wallet"
    MONEY = "money"
    """The list of what changed a wallet."""


class FlowCause(StrEnum):
    """What moved a position, other than an order of a parent of this journal (R5)."""

    STRAY = "stray"
    """An order that carries this journal's mark and that the journal does not know."""
    NEIGHBOUR = "neighbour"
    """An order that carries another journal's mark."""
    MANUAL = "manual"
    """An order without a mark: somebody's hand, or another program."""
    LIQUIDATION = "liquidation"
    ADL = "adl"
    UNEXPLAINED = "unexplained"
    """The venue states it twice, and no trade that it tells of accounts for it."""


class ForeignTrade(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One trade of the account that no parent of ours made; `venue_ns` is the venue's clock."""

    exec_id: ExecId
    cl_ord_id: ClOrdId
    venue_order_id: VenueOrderId
    side: Side
    lots: int
    ticks: int
    venue_ns: int


class PositionMoved(Fact, frozen=True, gc=False, kw_only=True, array_like=True, tag="moved"):
    """A foreign flow: what one reading tells of one cause that moved a position.

    qty_lots    signed. trades: what it consists of, each told once for ever; none for UNEXPLAINED.
    """

    venue: VenueName
    account: AccountId
    symbol: Symbol
    position_side: PositionSide
    cause: FlowCause
    by: Reading
    qty_lots: int
    trades: tuple[ForeignTrade, ...] = ()


class WalletKnown(Fact, frozen=True, gc=False, kw_only=True, array_like=True, tag="wallet"):
    """The baseline of a wallet: the venue's word, stated twice alike. venue_ns: its clock halfway between."""

    venue: VenueName
    account: AccountId
    asset: str
    amount: Decimal
    venue_ns: int


class WalletMoved(Fact, frozen=True, gc=False, kw_only=True, array_like=True, tag="money"):
    """A flow of money: what one reading tells of one cause that changed a wallet.

    amount     signed; of UNEXPLAINED what the venue states beyond all that is known. entries: what it consists of,
               each told once for ever; none for UNEXPLAINED.
    venue_ns   of UNEXPLAINED: the venue's clock halfway between the two readings that state it, else 0.
    """

    venue: VenueName
    account: AccountId
    cause: MoneyCause
    by: Reading
    amount: Decimal
    entries: tuple[MoneyEntry, ...] = ()
    venue_ns: int = 0


class StrayFound(Fact, frozen=True, gc=False, kw_only=True, array_like=True, tag="stray"):
    """An order rests that carries a mark which is ours to close, and nobody here works it."""

    venue: VenueName
    symbol: Symbol
    cl_ord_id: ClOrdId
    venue_order_id: VenueOrderId
    side: Side
    price_ticks: int
    leaves_lots: int


class NeighbourFound(Fact, frozen=True, gc=False, kw_only=True, array_like=True, tag="neighbour"):
    """Orders rest that carry the mark of another journal, which may have a router of its own."""

    venue: VenueName
    epoch: int
    cl_ord_ids: tuple[ClOrdId, ...]


class Contradicted(Fact, frozen=True, gc=False, kw_only=True, array_like=True, tag="contradicted"):
    """The venue's books say something else of an order of ours than has been told of it: it is looked up."""

    cl_ord_id: ClOrdId
    by: Reading
    text: str


class Submitted(Fact, frozen=True, gc=False, kw_only=True, array_like=True, tag="submit"):
    """A parent order at the door, checked against `venue`'s instrument; `intent` when it came as one.

    assigned    what the experiment that it named gave it; None where it named none.
    """

    order: ParentOrder
    venue: VenueName
    intent: Intent | None = None
    assigned: Assigned | None = None


class Looked(Fact, frozen=True, gc=False, kw_only=True, array_like=True, tag="look"):
    """The market as asked for by a `Look`. `ahead`: lots ahead of each resting order of which that is known."""

    parent_no: int
    cause: Cause
    market: MarketView
    ahead: tuple[tuple[ClOrdId, int], ...] = ()


class Reported(Fact, frozen=True, gc=False, kw_only=True, array_like=True, tag="report"):
    """An execution report, with our mid at that moment (half-ticks, 0 unknown)."""

    report: ExecutionReport
    mid_hticks: int


class RequestLost(Fact, frozen=True, gc=False, kw_only=True, array_like=True, tag="lost"):
    """A request without an answer from the venue."""

    venue: VenueName
    failed: RequestFailed


class Woke(Fact, frozen=True, gc=False, kw_only=True, array_like=True, tag="woke"):
    """A parent's time has come, or (`market`) a condition of its revisit has."""

    parent_no: int
    market: bool


class CancelAsked(Fact, frozen=True, gc=False, kw_only=True, array_like=True, tag="cancel_asked"):
    """Somebody wants a parent ended: nothing of it may rest any longer. `reason` is the caller's own words."""

    parent_no: int
    shutdown: bool = False
    reason: str = ""


class PauseAsked(Fact, frozen=True, gc=False, kw_only=True, array_like=True, tag="pause_asked"):
    """Withdraw what rests and wait; the deadline runs on."""

    parent_no: int


class ResumeAsked(Fact, frozen=True, gc=False, kw_only=True, array_like=True, tag="resume_asked"):
    """Go on after a pause."""

    parent_no: int


class AmendAsked(Fact, frozen=True, gc=False, kw_only=True, array_like=True, tag="amend_asked"):
    """New terms for a working parent; None leaves a term alone. `deadline_s` counts from now."""

    parent_no: int
    quantity: Decimal | None = None
    limit: Decimal | None = None
    deadline_s: float | None = None
    urgency: float | None = None


class TradingMode(StrEnum):
    """The kill switch (R8)."""

    ACTIVE = "active"
    REDUCE_ONLY = "reduce_only"
    HALTED = "halted"


class ModeSet(Fact, frozen=True, gc=False, kw_only=True, array_like=True, tag="mode"):
    """The kill switch was moved. HALTED ends every parent; REDUCE_ONLY ends those that are not reduce-only."""

    mode: TradingMode
    reason: str


class HaltLifted(Fact, frozen=True, gc=False, kw_only=True, array_like=True, tag="lifted"):
    """Somebody has looked at a halted symbol and takes responsibility. `reason` is in his own words."""

    venue: VenueName
    symbol: Symbol
    reason: str = ""


class FitContradicted(Fact, frozen=True, gc=False, kw_only=True, array_like=True, tag="fit_contradicted"):
    """Outcomes contradict what a policy predicted by the models of a set (`sor.fit_watch`): nothing new rests by them.

    digest    of the set: another content of the same name is another fit.
    orders    that ended with a known outcome; `filled` of them whole, `expected` by the predictions.
    text      all of it in words, for the alarm.
    """

    policy: str
    set_id: str
    digest: str
    orders: int
    filled: int
    expected: float
    text: str


class FitTrusted(Fact, frozen=True, gc=False, kw_only=True, array_like=True, tag="fit_trusted"):
    """Somebody has looked at a contradicted set and takes responsibility: what rests may rest by it again."""

    set_id: str
    reason: str


class ExperimentAdopted(Fact, frozen=True, gc=False, kw_only=True, array_like=True, tag="experiment"):
    """An experiment takes parents from now on; the whole text, so that the journal stands alone."""

    name: str
    digest: str
    text: str


class ArmStopped(Fact, frozen=True, gc=False, kw_only=True, array_like=True, tag="arm_stopped"):
    """An arm of an experiment, "" for all of them, takes no more parents; those that it has go on.

    guard    which one it has broken, "" where somebody asked for it.
    """

    experiment: str
    arm: str
    guard: str
    text: str


class Shadowed(Fact, frozen=True, gc=False, kw_only=True, array_like=True, tag="shadowed"):
    """What a shadow of an experiment would have done with the view that a parent was just decided on.

    The view's orders and fills are those of the parent, the memory is the shadow's own.
    """

    parent_no: int
    shadow: str
    policy: str
    set_id: str
    params_digest: str
    decision: Decision
    vetoes: tuple[str, ...] = ()


class Marked(Fact, frozen=True, gc=False, kw_only=True, array_like=True, tag="mark"):
    """The mid some time after a fill (half-ticks, 0 unknown), for markouts."""

    parent_no: int
    exec_id: ExecId
    horizon_ns: int
    mid_hticks: int


class EndMarked(Fact, frozen=True, gc=False, kw_only=True, array_like=True, tag="endmark"):
    """The market when a parent ended with something left, for what completing it would have cost."""

    parent_no: int
    market: MarketView


AnyFact = (
    SessionStarted
    | InstrumentAdopted
    | ParamsAdopted
    | VenueUp
    | VenueDown
    | PositionKnown
    | PositionMoved
    | WalletKnown
    | WalletMoved
    | StrayFound
    | NeighbourFound
    | Contradicted
    | Submitted
    | Looked
    | Reported
    | RequestLost
    | Woke
    | CancelAsked
    | PauseAsked
    | ResumeAsked
    | AmendAsked
    | ModeSet
    | HaltLifted
    | FitContradicted
    | FitTrusted
    | ExperimentAdopted
    | ArmStopped
    | Shadowed
    | Marked
    | EndMarked
)
