"""The machine's own parameters, read once per param-set and scope: risk limits, time-outs and back-off as integers."""

from __future__ import annotations

from math import inf

import msgspec

from sor.invariants import stale_ns
from sor.params import Params
from sor.units import MS, NS


class Limits(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What the risk gate and the machines obey; every value comes from the param-set in force.

    collar_bps             worst price of any taking order, from the touch it saw.
    order_notional_max     of one order, quote units. open_notional_max: of all open orders on one symbol and account.
    position_notional_max  of the position that would result, quote units.
    orders_per_s_max       of one account to one venue. cancels_per_s_max: cancels and amends, beyond which nothing new
                           rests.
    cancel_ratio_max       cancels and amends for each order that filled, over cancel_ratio_window_ns and from
                           cancel_ratio_count_min of them on, beyond which nothing new rests at that venue.
    daily_loss_max         what our fills may lose on a day of UTC, quote units; infinite where nobody has set it.
    rejects_max            refusals in a row before a parent gives up.
    breaker_rejects        refusals in a row on one symbol, over all parents, before it is halted.
    ack_timeout_ns         an unanswered request is in doubt after this.
    query_first_ns, query_ns_max, backoff_factor    how fast doubt is looked into.
    doubt_alarm_checks     lookups without a result before somebody is alarmed.
    stale_ns               a book that has said nothing for longer is not what it was: no MARKET order goes by it.
    cross_margin_ns        how long before the deadline the machine starts to cross.
    cross_attempts_max     how often it tries.
    retry_first_ns, retry_ns_max    how fast a denied or refused placement is tried again.
    """

    collar_bps: float
    order_notional_max: float
    open_notional_max: float
    position_notional_max: float
    orders_per_s_max: float
    cancels_per_s_max: float
    cancel_ratio_max: float
    cancel_ratio_window_ns: int
    cancel_ratio_count_min: int
    daily_loss_max: float
    rejects_max: int
    breaker_rejects: int
    ack_timeout_ns: int
    query_first_ns: int
    query_ns_max: int
    backoff_factor: float
    doubt_alarm_checks: int
    stale_ns: int
    cross_margin_ns: int
    cross_attempts_max: int
    retry_first_ns: int
    retry_ns_max: int

    def backoff_ns(self, attempt: int) -> int:
        """How long to wait after lookup number `attempt` (from 1)."""
        return min(self.query_ns_max, round(self.query_first_ns * self.backoff_factor ** min(attempt - 1, 40)))

    def retry_ns(self, attempt: int) -> int:
        """How long to wait before a denied or refused placement is tried again, `attempt` from 1."""
        return min(self.retry_ns_max, self.retry_first_ns << min(attempt - 1, 20))


def limits_of(params: Params) -> Limits:
    """The machine's parameters out of a resolved param-set.

    A set in an old journal may lack what came later, and its parents are folded as they were: without that limit.
    """

    def later(param_id: str, without: float) -> float:
        return params[param_id] if not params.missing((param_id,)) else without

    return Limits(
        collar_bps=params["risk.collar_bps"],
        order_notional_max=params["risk.order_notional_max"],
        open_notional_max=params["risk.open_notional_max"],
        position_notional_max=params["risk.position_notional_max"],
        orders_per_s_max=params["risk.orders_per_s_max"],
        cancels_per_s_max=later("risk.cancels_per_s_max", inf),
        cancel_ratio_max=later("risk.cancel_ratio_max", inf),
        cancel_ratio_window_ns=round(later("risk.cancel_ratio_window_s", 0.0) * NS),
        cancel_ratio_count_min=int(later("risk.cancel_ratio_count_min", 1)),
        daily_loss_max=later("risk.daily_loss_max", inf),
        rejects_max=int(params["risk.rejects_max"]),
        breaker_rejects=int(params["risk.breaker_rejects"]),
        ack_timeout_ns=round(params["recovery.ack_timeout_ms"] * MS),
        query_first_ns=round(params["recovery.query_first_ms"] * MS),
        query_ns_max=round(params["recovery.query_ms_max"] * MS),
        backoff_factor=params["recovery.backoff_factor"],
        doubt_alarm_checks=int(params["recovery.doubt_alarm_checks"]),
        stale_ns=stale_ns(params),
        cross_margin_ns=round(params["deadline.margin_ms"] * MS),
        cross_attempts_max=int(params["deadline.cross_attempts_max"]),
        retry_first_ns=round(params["recovery.retry_first_ms"] * MS),
        retry_ns_max=round(params["recovery.retry_ms_max"] * MS),
    )
