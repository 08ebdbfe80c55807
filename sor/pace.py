"""How often one account sends to one venue: what its rates and its cancel ratio are judged by.

Venues count by account, so this is kept by account as well: one for a live router, which trades on one; one for each
parent of a replay, which are alone (0011, 0106).
"""

from __future__ import annotations

from bisect import bisect_right

from sor.limits import Limits
from sor.tally import Tally
from sor.units import NS


class Pace:
    """Tell it in the order of time.

    sends       when orders and amends left, withdrawals: cancels and amends, of the last second.
    withdrawn   how often something was cancelled or amended, traded: how many orders have filled at all.
    """

    __slots__ = ("sends", "traded", "withdrawals", "withdrawn")

    def __init__(self) -> None:
        self.sends: list[int] = []
        self.withdrawals: list[int] = []
        self.withdrawn = Tally()
        self.traded = Tally()

    def rate_full(self, now_ns: int, per_s: float) -> bool:
        """Whether another order within this second would exceed `per_s`."""
        return _of_this_second(self.sends, now_ns) >= per_s

    def withdraw_rate_full(self, now_ns: int, per_s: float) -> bool:
        """Whether as many cancels and amends as `per_s` have left within this second."""
        return _of_this_second(self.withdrawals, now_ns) >= per_s

    def withdrawing(self, now_ns: int) -> None:
        """A cancel or an amend leaves."""
        _of_this_second(self.withdrawals, now_ns)
        self.withdrawals.append(now_ns)
        self.withdrawn.add(now_ns)

    def cancels_too_much(self, now_ns: int, limits: Limits) -> bool:
        """Whether more was cancelled or amended for each order that filled than is allowed, over the limits' window."""
        if self.withdrawn.fewer_than(max(limits.cancel_ratio_count_min, limits.cancel_ratio_max)):
            return False  # so few would be allowed even if only one had filled
        withdrawn = self.withdrawn.within(limits.cancel_ratio_window_ns, now_ns)
        if withdrawn < limits.cancel_ratio_count_min:
            return False
        return withdrawn > limits.cancel_ratio_max * max(1, self.traded.within(limits.cancel_ratio_window_ns, now_ns))


def _of_this_second(times: list[int], now_ns: int) -> int:
    """How many of `times` lie within the last second; older ones are forgotten."""
    if times and now_ns - times[0] >= NS:
        del times[: bisect_right(times, now_ns - NS)]
    return len(times)
