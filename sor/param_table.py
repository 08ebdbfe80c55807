"""The definition table: every parameter that the router's own policies, invariants and machines read.

A published param-set gives the value, this table says what the value means and within which bounds any calibration
must stay. Ids are dotted, the first part says whose they are. The first parts that stand here are reserved: an id
under them that is not in the table is a spelling mistake and is refused. Other packages choose a first part of their
own (`acme.patience_s`) and document it themselves; their bounds are those in the record alone.

Not here, because no calibration may touch them: the limits in `sor.invariants`.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum

import msgspec


class Unit(StrEnum):
    """Closed set of units; a record in any other is refused."""

    BPS = "bps"
    BPS_PER_ROOT_S = "bps/sqrt(s)"
    MS = "ms"
    S = "s"
    PER_S = "1/s"
    RATIO = "ratio"
    COUNT = "count"
    QUOTE = "quote"


class Definition(msgspec.Struct, frozen=True, gc=False):
    """What one parameter means. `low` and `high` are inclusive; a record may only narrow them."""

    id: str
    unit: Unit
    low: Decimal
    high: Decimal
    meaning: str


def _table(*rows: tuple[str, Unit, str, str, str]) -> Mapping[str, Definition]:
    return {
        param_id: Definition(param_id, unit, Decimal(low), Decimal(high), meaning)
        for param_id, unit, low, high, meaning in rows
    }


TABLE: Mapping[str, Definition] = _table(
    ("market.stale_ms_max", Unit.MS, "50", "10000", "A book that has said nothing for longer is not acted on."),
    (
        "placement.collar_bps",
        Unit.BPS,
        "0.1",
        "200",
        "Worst price of a taking order: this far beyond the touch that it takes from.",
    ),
    ("placement.calm_spread_max", Unit.BPS, "0", "50", "Widest spread at which a market counts as calm."),
    ("placement.calm_volatility_max", Unit.BPS_PER_ROOT_S, "0", "100", "Highest volatility of a calm market."),
    (
        "placement.calm_imbalance_max",
        Unit.RATIO,
        "0.5",
        "1",
        "Largest share of our own side in the size at the touch: above, the book leans away from us.",
    ),
    (
        "placement.calm_exit_ratio",
        Unit.RATIO,
        "1",
        "5",
        "A resting order stays until spread or volatility exceeds its calm limit times this.",
    ),
    (
        "placement.window_s_min",
        Unit.S,
        "0",
        "10",
        "Flow and volatility count as measured once they rest on this much data.",
    ),
    (
        "placement.unmeasured_timeout_s",
        Unit.S,
        "0",
        "60",
        "Timeout of a resting order while flow and volatility are not measured yet.",
    ),
    (
        "placement.wait_ratio_max",
        Unit.RATIO,
        "0.01",
        "100",
        "Longest expected wait for the fill over the time left.",
    ),
    (
        "placement.fill_rate_scale",
        Unit.RATIO,
        "0.01",
        "10",
        "Rate of fills over taker flow / (queue ahead + own size).",
    ),
    (
        "placement.drift_scale",
        Unit.RATIO,
        "0",
        "5",
        "Adverse drift of an unfilled order over the most that its fill probability and a Gaussian mid allow.",
    ),
    (
        "placement.risk_weight",
        Unit.RATIO,
        "0",
        "10",
        "Price of one standard deviation of waiting, times urgency / (1 - urgency).",
    ),
    (
        "placement.excursion_tolerance",
        Unit.RATIO,
        "0.001",
        "0.5",
        "Probability with which waiting may exceed the parent's excursion budget.",
    ),
    ("placement.timeout_s_max", Unit.S, "0.1", "600", "Longest timeout of a resting order."),
    ("placement.timeouts_max", Unit.COUNT, "1", "100", "Resting orders that may time out before a slice is crossed."),
    (
        "placement.refusals_max",
        Unit.COUNT,
        "1",
        "100",
        "Post-only orders that the venue may not let rest before a slice is crossed.",
    ),
    (
        "placement.calm_depth_min",
        Unit.RATIO,
        "0",
        "1000",
        "Least depth near the touch of a calm market, on either side, over our order.",
    ),
    ("placement.requotes_max", Unit.COUNT, "0", "100", "Chases of a touch that ran away before a slice is crossed."),
    ("placement.dwell_ms", Unit.MS, "0", "60000", "A resting order is not chased before it is this old."),
    (
        "placement.chase_bps_min",
        Unit.BPS,
        "0",
        "50",
        "Distance of the touch, in its favour, that a resting order tolerates.",
    ),
    (
        "chase.cost_bps",
        Unit.BPS,
        "0",
        "10",
        "What moving an order costs besides its place: rate budget and risk of a race.",
    ),
    (
        "ladder.rest.until",
        Unit.RATIO,
        "0",
        "1",
        "Share of a slice's time during which an order may stay behind the touch.",
    ),
    ("ladder.rest.behind_max", Unit.RATIO, "0", "1", "Lag behind the straight line that ends rung rest, of a slice."),
    ("ladder.rest.timeouts_max", Unit.COUNT, "1", "100", "Timeouts of a slice that end rung rest."),
    ("ladder.rest.refusals_max", Unit.COUNT, "1", "100", "Post-only refusals in a slice that end rung rest."),
    (
        "ladder.join.until",
        Unit.RATIO,
        "0",
        "1",
        "Share of a slice's time during which an order stands at the touch or better.",
    ),
    ("ladder.join.behind_max", Unit.RATIO, "0", "1", "Lag behind the straight line that ends rung join, of a slice."),
    ("ladder.join.timeouts_max", Unit.COUNT, "1", "100", "Timeouts of a slice that end rung join."),
    ("ladder.join.refusals_max", Unit.COUNT, "1", "100", "Post-only refusals in a slice that end rung join."),
    (
        "ladder.improve.until",
        Unit.RATIO,
        "0",
        "1",
        "Share of a slice's time during which an order stands at the maker price.",
    ),
    (
        "ladder.improve.behind_max",
        Unit.RATIO,
        "0",
        "1",
        "Lag behind the straight line that ends rung improve, of a slice.",
    ),
    ("ladder.improve.timeouts_max", Unit.COUNT, "1", "100", "Timeouts of a slice that end rung improve."),
    ("ladder.improve.refusals_max", Unit.COUNT, "1", "100", "Post-only refusals in a slice that end rung improve."),
    (
        "risk.collar_bps",
        Unit.BPS,
        "0.1",
        "500",
        "Worst price that any taking order may have, from the touch: the gate denies what is beyond.",
    ),
    ("risk.order_notional_max", Unit.QUOTE, "0", "1000000000", "Largest value of one order."),
    ("risk.open_notional_max", Unit.QUOTE, "0", "1000000000", "Largest value of all open orders on one symbol."),
    ("risk.position_notional_max", Unit.QUOTE, "0", "1000000000", "Largest value of the position that would result."),
    ("risk.orders_per_s_max", Unit.PER_S, "0.1", "1000", "Most orders per second to one venue."),
    ("risk.rejects_max", Unit.COUNT, "1", "1000", "Refusals by the venue in a row before a parent gives up."),
    (
        "risk.breaker_rejects",
        Unit.COUNT,
        "1",
        "10000",
        "Refusals in a row on one symbol, over all parents, before it is halted.",
    ),
    ("recovery.ack_timeout_ms", Unit.MS, "10", "60000", "A request without an answer is in doubt after this."),
    ("recovery.query_first_ms", Unit.MS, "1", "60000", "Wait before an order in doubt is first looked up."),
    ("recovery.query_ms_max", Unit.MS, "1", "600000", "Longest wait between two lookups."),
    ("recovery.backoff_factor", Unit.RATIO, "1", "10", "Each wait between lookups is this much longer."),
    ("recovery.doubt_alarm_checks", Unit.COUNT, "1", "1000", "Lookups without a result before somebody is alarmed."),
    ("recovery.retry_first_ms", Unit.MS, "1", "60000", "Wait before a denied or refused placement is tried again."),
    ("recovery.retry_ms_max", Unit.MS, "1", "600000", "Longest such wait."),
    ("deadline.margin_ms", Unit.MS, "0", "60000", "Time that the last crossing keeps in hand before the deadline."),
    ("deadline.cross_attempts_max", Unit.COUNT, "1", "100", "Crossings tried once time is up."),
)
"""Definitions by id."""

ALWAYS: tuple[str, ...] = (
    *(param_id for param_id in TABLE if param_id.partition(".")[0] in {"market", "risk", "recovery", "deadline"}),
    "placement.collar_bps",
)
"""What the machines and the invariants read whichever policy places: no parent is taken in without all of them, and
no record of them may hold for a time only, as a limit that runs out is no limit."""

RESERVED = frozenset(param_id.partition(".")[0] for param_id in TABLE)
"""First parts of ids that belong to this package."""
