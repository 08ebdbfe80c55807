"""What a policy sees: the market, its order, the costs and the limits of the moment. Nothing else may move it."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from sor.ids import ClOrdId, ParentId, VenueName
from sor.instruments import Instrument
from sor.market import MarketView
from sor.orders import Side


class Cause(StrEnum):
    """Why the policy is asked."""

    START = "start"
    SLICE = "slice"
    FILL = "fill"
    TIMEOUT = "timeout"
    REVISIT = "revisit"
    ORDER_EVENT = "order_event"
    RESUMED = "resumed"
    AMENDED = "amended"
    RETRY = "retry"
    DEADLINE = "deadline"


class Resting(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One own order that is live at the venue.

    ahead_lots    before it in the queue at its price, an estimate (`sor.standing`); None while that is not known.
    """

    cl_ord_id: ClOrdId
    venue: VenueName
    price_ticks: int
    leaves_lots: int
    since_ns: int
    expire_ns: int
    ahead_lots: int | None = None


class Costs(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What the venue charges and how long it takes; durations are the router's current estimates."""

    maker_fee_bps: float
    taker_fee_bps: float
    submit_rtt_ns: int
    cancel_rtt_ns: int


class Contradiction(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What has contradicted a fit: `filled` of `orders` that rested were filled whole, where `expected` should be."""

    orders: int
    filled: int
    expected: float


class View(msgspec.Struct, frozen=True, gc=False):
    """Everything one decision may depend on.

    open_lots        due by the schedule and not yet done: what placements may add up to, own resting orders included.
    remaining_lots   of the whole parent.
    due_ns           by when `open_lots` must be done: the slice's end, at most the parent's deadline.
    arrival_hticks   mid when the parent was accepted.
    adverse_bps      how far the mid has moved against us since arrival, negative when it moved for us.
    timeouts         resting orders of this parent that ran out of time so far; requotes: that were moved; refusals:
                     that the venue did not let rest, as they would have taken.
    memory           what the policy returned last time.
    parent_id        for an experiment's hash; nothing else may depend on it.
    funding_s        until the next settlement of funding, negative once it has passed and nothing newer was said; None
                     where the venue does not say. The venue's clock against ours: good to a second, not to a trip.
    contradicted     what says that the models of the parent's set do not predict this policy's fills; None: nothing.
    """

    now_ns: int
    cause: Cause
    side: Side
    parent_lots: int
    open_lots: int
    remaining_lots: int
    filled_lots: int
    due_ns: int
    deadline_ns: int
    arrival_hticks: int
    adverse_bps: float
    limit_ticks: int | None
    may_rest: bool
    urgency: float
    holding_s: float | None
    mae_budget_bps: float | None
    max_participation: float | None
    reduce_only: bool
    resting: tuple[Resting, ...]
    timeouts: int
    requotes: int
    refusals: int
    market: MarketView
    instrument: Instrument
    costs: Costs
    memory: dict[str, float]
    parent_id: ParentId
    funding_s: float | None = None
    contradicted: Contradiction | None = None
