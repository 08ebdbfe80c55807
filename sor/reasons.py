"""Closed sets of reasons: every absorbed fact, refusal, denial and end is one of these, so they can be counted."""

from __future__ import annotations

from enum import StrEnum


class TimeoutBound(StrEnum):
    """Which term of the timeout rule was the least (methods 6.2)."""

    HAZARD = "hazard"
    EXCURSION = "excursion"
    TIME_LEFT = "time_left"
    SCHEDULE = "schedule"
    FIXED = "fixed"
    NONE = "none"


class Why(StrEnum):
    """Why a machine absorbed or refused an event."""

    ALREADY_KNOWN = "already_known"
    ACKED_AFTER_DONE = "acked_after_done"
    DUPLICATE_END = "duplicate_end"
    LATE_ANSWER = "late_answer"
    NOTHING_PENDING = "nothing_pending"
    ALREADY_ENDED = "already_ended"
    NOT_YET_EVIDENCE = "not_yet_evidence"
    ANSWERED_ALREADY = "answered_already"
    REJECT_OF_LIVE = "reject_of_live"
    REJECT_OF_DONE = "reject_of_done"
    REVIVED = "revived"
    UNSENT_BUT_KNOWN = "unsent_but_known"
    NOT_ALLOWED_NOW = "not_allowed_now"


class Denial(StrEnum):
    """Why the risk gate did not let a placement through."""

    NO_MARKET = "no_market"
    COLLAR = "collar"
    LIMIT_PRICE = "limit_price"
    WOULD_TAKE = "would_take"
    MIN_QTY = "min_qty"
    MIN_NOTIONAL = "min_notional"
    MAX_QTY = "max_qty"
    ORDER_NOTIONAL = "order_notional"
    OPEN_NOTIONAL = "open_notional"
    POSITION_NOTIONAL = "position_notional"
    ORDER_RATE = "order_rate"
    CANCEL_RATE = "cancel_rate"
    CANCEL_RATIO = "cancel_ratio"
    SELF_TRADE = "self_trade"
    NOTHING_TO_REDUCE = "nothing_to_reduce"
    POSITION_UNKNOWN = "position_unknown"
    KILL_SWITCH = "kill_switch"
    REDUCE_ONLY_MODE = "reduce_only_mode"
    SYMBOL_HALTED = "symbol_halted"
    VENUE_DOWN = "venue_down"
    REJECT_BREAKER = "reject_breaker"
    NOT_SUPPORTED = "not_supported"


class EndReason(StrEnum):
    """Why a parent ended as it did; its status says how."""

    COMPLETE = "complete"
    CALLER = "caller"
    SHUTDOWN = "shutdown"
    UNWOUND = "unwound"
    KILL_SWITCH = "kill_switch"
    DEADLINE = "deadline"
    LIMIT_PRICE = "limit_price"
    BELOW_MINIMUM = "below_minimum"
    NO_MARKET = "no_market"
    DENIED = "denied"
    VENUE_REJECTS = "venue_rejects"
    NOTHING_LEFT_TO_REDUCE = "nothing_left_to_reduce"
    POLICY_FAULT = "policy_fault"
    HALTED = "halted"
    DAILY_LOSS = "daily_loss"
