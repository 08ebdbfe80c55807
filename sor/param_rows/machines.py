"""What the machines and the invariants read: `market.*`, `risk.*`, `recovery.*`, `deadline.*`."""

from __future__ import annotations

from sor.definition import Unit, number

ROWS = (
    number("market.stale_ms_max", Unit.MS, "50", "10000", "A book that has said nothing for longer is not acted on."),
    number(
        "risk.collar_bps",
        Unit.BPS,
        "0.1",
        "500",
        "Worst price that any taking order may have, from the touch: the gate denies what is beyond.",
    ),
    number("risk.order_notional_max", Unit.QUOTE, "0", "1000000000", "Largest value of one order."),
    number("risk.open_notional_max", Unit.QUOTE, "0", "1000000000", "Largest value of all open orders on one symbol."),
    number(
        "risk.position_notional_max", Unit.QUOTE, "0", "1000000000", "Largest value of the position that would result."
    ),
    number("risk.orders_per_s_max", Unit.PER_S, "0.1", "1000", "Most orders per second to one venue."),
    number(
        "risk.cancels_per_s_max",
        Unit.PER_S,
        "0.1",
        "1000",
        "Cancels and amends per second to one venue beyond which nothing new rests there.",
    ),
    number(
        "risk.cancel_ratio_max",
        Unit.RATIO,
        "1",
        "1000000",
        "Cancels and amends for each order that filled, beyond which nothing new rests at a venue.",
    ),
    number(
        "risk.cancel_ratio_window_s", Unit.S, "10", "3600", "Over how long they are counted; in steps of ten seconds."
    ),
    number(
        "risk.cancel_ratio_count_min", Unit.COUNT, "1", "1000000", "Fewer cancels and amends than this are no ratio."
    ),
    number(
        "risk.daily_loss_max",
        Unit.QUOTE,
        "0",
        "1000000000",
        "What our fills may lose on a day of UTC, fees in, before only what reduces goes on. Not given: no limit.",
    ),
    number("risk.rejects_max", Unit.COUNT, "1", "1000", "Refusals by the venue in a row before a parent gives up."),
    number(
        "risk.breaker_rejects",
        Unit.COUNT,
        "1",
        "10000",
        "Refusals in a row on one symbol, over all parents, before it is halted.",
    ),
    number("recovery.ack_timeout_ms", Unit.MS, "10", "60000", "A request without an answer is in doubt after this."),
    number("recovery.query_first_ms", Unit.MS, "1", "60000", "Wait before an order in doubt is first looked up."),
    number("recovery.query_ms_max", Unit.MS, "1", "600000", "Longest wait between two lookups."),
    number("recovery.backoff_factor", Unit.RATIO, "1", "10", "Each wait between lookups is this much longer."),
    number(
        "recovery.doubt_alarm_checks", Unit.COUNT, "1", "1000", "Lookups without a result before somebody is alarmed."
    ),
    number(
        "recovery.retry_first_ms", Unit.MS, "1", "60000", "Wait before a denied or refused placement is tried again."
    ),
    number("recovery.retry_ms_max", Unit.MS, "1", "600000", "Longest such wait."),
    number(
        "deadline.margin_ms", Unit.MS, "0", "60000", "Time that the last crossing keeps in hand before the deadline."
    ),
    number("deadline.cross_attempts_max", Unit.COUNT, "1", "100", "Crossings tried once time is up."),
)
