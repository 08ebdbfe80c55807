"""Orders as callers state them, and execution reports as venues answer them.

Callers speak decimals and seconds (`ParentOrder`, `Intent`); from the door inwards everything is ticks, lots and
nanoseconds. A report says what just happened (`ExecType`), never where the order stands: that is computed from the
child's life, its pending request and its ledger.
"""

from __future__ import annotations

from decimal import Decimal
from enum import IntEnum, StrEnum
from typing import Final

import msgspec

from sor.ids import AccountId, ClOrdId, ExecId, ParentId, StrategyId, Symbol, VenueName, VenueOrderId


class Side(IntEnum):
    """Direction; its value is the sign of the resulting position change and of every cost formula."""

    BUY = 1
    SELL = -1

    @property
    def opposite(self) -> Side:
        """The other side."""
        return _SELL if self is _BUY else _BUY


# By name: CPython 3.11 takes longer to read a member off its enum than to compare it.
_BUY: Final = Side.BUY
_SELL: Final = Side.SELL


class OrdType(StrEnum):
    """FIX OrdType 40."""

    MARKET = "market"
    LIMIT = "limit"


class Tif(StrEnum):
    """FIX TimeInForce 59."""

    GTC = "gtc"
    GTD = "gtd"
    IOC = "ioc"
    FOK = "fok"


class PositionSide(StrEnum):
    """Which position an order belongs to: BOTH in one-way mode, LONG or SHORT in hedge mode."""

    BOTH = "both"
    LONG = "long"
    SHORT = "short"


class OrdStatus(StrEnum):
    """FIX OrdStatus 39 and what FIX lacks: denied (by our own risk gate) and in doubt (not an end)."""

    PENDING_NEW = "pending_new"
    NEW = "new"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELED = "canceled"
    EXPIRED = "expired"
    REJECTED = "rejected"
    DENIED = "denied"
    IN_DOUBT = "in_doubt"
    PENDING_CANCEL = "pending_cancel"
    PENDING_REPLACE = "pending_replace"


TERMINAL = frozenset({OrdStatus.FILLED, OrdStatus.CANCELED, OrdStatus.EXPIRED, OrdStatus.REJECTED, OrdStatus.DENIED})
"""The statuses after which an order holds nothing at the venue."""


class ExecType(StrEnum):
    """What just happened to an order (FIX ExecType 150), and the answers a query can give."""

    NEW = "new"
    TRADE = "trade"
    CANCELED = "canceled"
    EXPIRED = "expired"
    REJECTED = "rejected"
    REPLACED = "replaced"
    CANCEL_REJECTED = "cancel_rejected"
    AMEND_REJECTED = "amend_rejected"
    STATUS = "status"
    """Answer to a query, or a repeated state: `ord_status`, `cum_lots` and `avg_hticks` say where the order stands."""
    NOT_FOUND = "not_found"
    """Answer to a query: the venue knows no such order (yet, or any more)."""


class Provenance(StrEnum):
    """How we learned of it; never a different event."""

    ACK = "ack"
    PUSH = "push"
    QUERY = "query"


class FeeSource(StrEnum):
    """Where a fee figure comes from (F2)."""

    ESTIMATED_TAKER = "ESTIMATED_TAKER"
    ESTIMATED_MAKER = "ESTIMATED_MAKER"
    WS_SETTLED = "WS_SETTLED"
    REST_SETTLED = "REST_SETTLED"


class RejectKind(StrEnum):
    """Why a venue refused, as far as the router has to tell refusals apart; its code and text travel beside."""

    NONE = ""
    RATE_LIMITED = "rate_limited"
    WOULD_TAKE = "would_take"
    NOTHING_TO_REDUCE = "nothing_to_reduce"
    NO_MARGIN = "no_margin"
    BAD_TERMS = "bad_terms"
    UNKNOWN_ORDER = "unknown_order"
    TOO_LATE = "too_late"
    DUPLICATE_ID = "duplicate_id"
    SELF_TRADE = "self_trade"
    NO_LIQUIDITY = "no_liquidity"
    VENUE_CLOSED = "venue_closed"
    OTHER = "other"
    NOT_NOW = "not_now"
    """It takes no orders for a moment: the same order may be taken then."""
    NOT_ALLOWED = "not_allowed"
    """The keys, the account's mode or the symbol do not permit it, and go on not to."""


class ExecutionReport(msgspec.Struct, frozen=True, gc=False, kw_only=True, array_like=True):
    """One thing that happened to one order of ours, whatever way it was learned (D10).

    venue_ns      the venue's clock, 0 when it did not say. recv_ns: ours, when the bytes arrived.
    last_*        the trade, for TRADE only: lots > 0, ticks > 0, `exec_id` unique per venue and symbol.
    cum_lots      total filled as the venue states it, -1 when it did not say.
    avg_hticks    average fill price in half-ticks as far as the venue states it, 0 when it did not.
    order_lots    total order quantity after a REPLACED, else 0. price_ticks likewise.
    fee_atoms     positive is a cost, in 10**-money_exp of `fee_asset`; None when the report carries no fee.
    is_maker      None when the venue does not say.
    code, text    the venue's own, kept to the letter.
    """

    venue: VenueName
    symbol: Symbol
    cl_ord_id: ClOrdId
    exec_type: ExecType
    provenance: Provenance = Provenance.PUSH
    venue_order_id: VenueOrderId = VenueOrderId("")
    venue_ns: int = 0
    recv_ns: int = 0
    exec_id: ExecId = ExecId("")
    last_lots: int = 0
    last_ticks: int = 0
    is_maker: bool | None = None
    fee_atoms: int | None = None
    fee_asset: str = ""
    fee_source: FeeSource | None = None
    cum_lots: int = -1
    avg_hticks: int = 0
    order_lots: int = 0
    price_ticks: int = 0
    ord_status: OrdStatus | None = None
    reject: RejectKind = RejectKind.NONE
    code: str = ""
    text: str = ""


class FillCause(StrEnum):
    """Why an account traded, by the venue's own marking."""

    ORDER = "order"
    LIQUIDATION = "liquidation"
    ADL = "adl"
    """Auto-deleveraging: the venue closed a position that was in profit against one that it had to liquidate."""


class AccountFill(ExecutionReport, frozen=True, gc=False, kw_only=True, array_like=True):
    """One trade of an account, whoever's order it was: a report, with what of our own orders is known anyhow.

    cl_ord_id    "" where the order had none; `venue_order_id` says whose it was then.
    cause        ORDER unless the venue says that it traded by itself.
    """

    side: Side
    position_side: PositionSide = PositionSide.BOTH
    cause: FillCause = FillCause.ORDER

    @classmethod
    def of(cls, report: ExecutionReport, side: Side) -> AccountFill:
        """A TRADE report of an order of that side, as a trade of the account."""
        return cls(side=side, **msgspec.structs.asdict(report))


class OnNoMarket(StrEnum):
    """What a parent does while book and mark are not known yet."""

    WAIT = "wait"
    REFUSE = "refuse"


class ParentOrder(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a strategy hands over: what to trade, how much, by when, how urgently (P3).

    quantity             in the venue's quantity unit, on the step; > 0.
    limit                worst price of any fill, on the tick; None for none. The end at the limit is `expired`.
    deadline_s           seconds from acceptance by which it must have ended; > 0.
    may_rest             False forbids waiting: every placement crosses.
    holding_s            how long the position will be held, for policies that weigh funding; None when unknown.
    mae_budget_bps       adverse move of the mid, from arrival, that waiting may cost at most; None for none.
    urgency              0 patient .. 1 now; what it means is the policy's.
    max_participation    own share of traded volume, (0, 1]; refused for now, as no schedule honours it.
    venues               allowed venues in order of preference; empty: any that lists the symbol.
    schedule, policy     names of plug-ins; `schedule_args` are the schedule's own parameters.
    param_set            name of a loaded param-set; empty: the router's default.
    experiment           name of an experiment that chooses policy and param-set instead; where it takes the parent not,
                         or no longer, its own terms count. Empty: none.
    unwind_after_s       where no process has worked it for longer than this, from the journal's last record on, it is
                         withdrawn and ends when one comes up again; None: it goes on where it was.
    decision_price       mid when the caller decided; None: the arrival mid stands in and the delay cost is 0.
    """

    parent_id: ParentId
    symbol: str
    side: Side
    quantity: Decimal
    strategy: StrategyId = StrategyId("default")
    account: AccountId = AccountId("default")
    limit: Decimal | None = None
    deadline_s: float = 60.0
    may_rest: bool = True
    holding_s: float | None = None
    mae_budget_bps: float | None = None
    urgency: float = 0.5
    max_participation: float | None = None
    venues: tuple[VenueName, ...] = ()
    schedule: str = "immediate"
    schedule_args: dict[str, float] = msgspec.field(default_factory=dict)
    policy: str = "cost_aware"
    param_set: str = ""
    reduce_only: bool = False
    position_side: PositionSide = PositionSide.BOTH
    decision_price: Decimal | None = None
    on_no_market: OnNoMarket = OnNoMarket.WAIT
    unwind_after_s: float | None = None
    experiment: str = ""


class Action(StrEnum):
    """What an intent does to a position."""

    ENTER = "enter"
    EXIT = "exit"


class Intent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """The other front door (P1, P2): open or close a long or a short of some size.

    size        target quantity in the venue's unit, floored to the step; to zero is refused.
    leverage    None: what the router's settings say (`intent_leverage`).
    metadata    free text for the caller, and `order_type: limit` with `limit_price` for a plain GTC limit order.
    """

    intent_id: ParentId
    action: Action
    side: PositionSide
    asset: str
    size: Decimal
    leverage: Decimal | None = None
    strategy: StrategyId = StrategyId("default")
    account: AccountId = AccountId("default")
    metadata: dict[str, str] = msgspec.field(default_factory=dict)


class ParentStatus(StrEnum):
    """Where a parent stands; the last seven are ends."""

    WAITING = "waiting"
    WORKING = "working"
    PAUSED = "paused"
    STOPPING = "stopping"
    FILLED = "filled"
    CANCELED = "canceled"
    EXPIRED = "expired"
    REJECTED = "rejected"
    DENIED = "denied"
    COMPLETED_BY_OTHERS = "completed_by_others"
    HALTED = "halted"


class Fill(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """One counted fill with its friction (F1); what is not known is None, never 0.

    mid_hticks       our mid when the fill reached us, half-ticks.
    fee_atoms        best known figure; `fee_estimated_atoms` keeps the first estimate beside a settled one (F2).
    slippage_bps     against `mark_at_submit_ticks`, positive is adverse on both sides (F3).
    inferred         True when the venue's cumulative quantity proves the fill but its own report never came; nobody
                     knows when, so `recv_ns` is then when its order was sent.
    """

    parent_id: ParentId
    cl_ord_id: ClOrdId
    exec_id: ExecId
    venue: VenueName
    symbol: Symbol
    side: Side
    lots: int
    ticks: int
    recv_ns: int
    submit_ns: int
    exchange_ns: int | None = None
    is_maker: bool | None = None
    fee_atoms: int | None = None
    fee_asset: str | None = None
    fee_source: FeeSource | None = None
    fee_estimated_atoms: int | None = None
    mid_hticks: int | None = None
    mark_at_submit_ticks: float | None = None
    slippage_bps: float | None = None
    inferred: bool = False


class ExecutionReceipt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer to an `Intent` (P2). `account_state` and `raw` are None where the venue gave none.

    fee            what the venue has stated of it, and our estimate of the rest; `fee_source` where it is one for all.
    fee_estimated  our estimate of all of it, which stays beside what is settled (F2).
    reject         why the venue refused last, None where it did not: rate limited is another thing than rejected (B12).
    raw            the venue's own code and words on that, or on a request that it did not answer.
    leverage       what the account has there, where the intent asked for one and this call saw to it.
    """

    ts_ns: int
    intent_id: ParentId
    status: ParentStatus
    symbol: Symbol
    side: Side
    action: Action
    quantity: Decimal
    price: Decimal | None = None
    cl_ord_ids: tuple[ClOrdId, ...] = ()
    venue_order_ids: tuple[VenueOrderId, ...] = ()
    fee: Decimal | None = None
    fee_asset: str | None = None
    slippage_bps: float | None = None
    arrival_cost_bps: float | None = None
    reason: str = ""
    raw: str | None = None
    account_state: str | None = None
    leverage: int | None = None
    fee_source: FeeSource | None = None
    fee_estimated: Decimal | None = None
    reject: RejectKind | None = None
