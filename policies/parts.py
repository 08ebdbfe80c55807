"""What the policies that cut an order into parts have in common: the smallest part."""

from __future__ import annotations

from policies.case import Case


def least_lots(case: Case) -> int:
    """The smallest part that the venue takes, whether it rests at the near touch or crosses at the other."""
    lower = min(case.near, case.touch)
    return case.view.instrument.least_lots(touch_ticks=lower, reduce_only=case.view.reduce_only)
