"""Where a resting order stands in its queue, estimated from price-level data alone.

A recording of price levels says how much rests at a price, not whose turn it is. An order joins behind everything
that is displayed. Trades at its price are certain: they come off the front. What leaves a level without a trade was
cancelled, ahead of us or behind us; the models differ only in how they split it. `risk_averse` puts every cancel
behind us as long as the level can hold it; the others move the front by a share that depends on where we stand.

    front       lots ahead of us, a float: a share of a cancel need not be whole lots
    cum_trade   lots traded at our price since its displayed size last changed, so that the next change, which
                contains them, is not counted twice

These are the models of hftbacktest (nkaz001/hftbacktest, `backtest/models/queue.rs`) and the values in
tests/unit/test_queue_models.py are common to both. Two edges are ours: the front is never less than nobody, and one
trade never fills more than its own size. Neither model knows hidden size or a venue that does not match in time order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import floor, log1p
from types import MappingProxyType
from typing import Protocol

from sor.errors import CallerError

Behind = Callable[[float, float], float]
"""Probability that a cancel came from behind us, given lots ahead and lots behind, both > 0."""


class QueueModel(Protocol):
    """How changes of the displayed size move our place."""

    def front_after(self, front: float, *, cum_trade: int, prev_lots: int, sizes: Sequence[int]) -> float:
        """Lots ahead of us after our level's displayed size went from `prev_lots` through `sizes`, without trades.

        front        lots ahead of us before, trades since the last change already taken off; may be negative.
        cum_trade    lots traded at our price since that change, >= 0.
        sizes        at least one.
        """


class RiskAverse:
    """Only trades bring us forward, and a level that shrank below what was ahead of us: the pessimistic bound."""

    __slots__ = ()

    def front_after(self, front: float, *, cum_trade: int, prev_lots: int, sizes: Sequence[int]) -> float:
        """The front, cut to the least that was displayed."""
        del cum_trade, prev_lots
        least = min(sizes)
        return front if front < least else float(least)


class Shared:
    """Cancels are shared between those ahead and those behind us by a probability.

    behind    the probability that a cancel came from behind; one of the functions below.
    """

    __slots__ = ("_behind",)

    def __init__(self, behind: Behind) -> None:
        self._behind = behind

    def front_after(self, front: float, *, cum_trade: int, prev_lots: int, sizes: Sequence[int]) -> float:
        """The front less its share of what was cancelled, and less what those behind could not have cancelled."""
        behind = self._behind
        size = prev_lots
        gone = size - cum_trade
        for new_lots in sizes:
            gone -= new_lots
            if gone > 0 and front > 0.0:
                back = size - front
                share = behind(front, back) if back > 0.0 else 0.0
                spare = back - share * gone
                front -= (1.0 - share) * gone
                if spare < 0.0:
                    front += spare
                front = max(front, 0.0)
            if front > new_lots:
                front = float(new_lots)
            gone = size = new_lots
        return front


def power(exponent: float) -> Behind:
    """back^n / (back^n + front^n)."""

    def behind(front: float, back: float) -> float:
        weight: float = back**exponent
        other: float = front**exponent
        return weight / (weight + other)

    return behind


def logarithm(front: float, back: float) -> float:
    """log(1+back) / (log(1+back) + log(1+front))."""
    weight = log1p(back)
    return weight / (weight + log1p(front))


def power_2(exponent: float) -> Behind:
    """back^n / (front + back)^n. Not a proper split for n > 1: the two shares add up to less than one."""

    def behind(front: float, back: float) -> float:
        return float((back / (front + back)) ** exponent)

    return behind


def logarithm_2(front: float, back: float) -> float:
    """log(1+back) / log(1+front+back). Not a proper split: the two shares add up to more than one."""
    return log1p(back) / log1p(front + back)


def power_3(exponent: float) -> Behind:
    """1 - (front / (front + back))^n."""

    def behind(front: float, back: float) -> float:
        return float(1.0 - (front / (front + back)) ** exponent)

    return behind


EXACT = "exact"
"""The name of no model: where a recording has every order by its id, whom an own order waits for is known."""
QUEUES: Mapping[str, QueueModel] = MappingProxyType(
    {
        "risk_averse": RiskAverse(),
        "moderate": Shared(power(2.0)),  # n = 2 is the usual choice of hftbacktest's users
        "power": Shared(power(1.0)),
        "log": Shared(logarithm),
        "power_2": Shared(power_2(1.0)),
        "log_2": Shared(logarithm_2),
        "power_3": Shared(power_3(2.0)),
    }
)
"""Queue models by name. Report a result under `risk_averse` and `moderate`; the rest are for parity with others."""


def queue_model(name: str) -> QueueModel:
    """The model of that name. Raises `CallerError` for an unknown one: nothing was opened."""
    model = QUEUES.get(name)
    if model is None:
        raise CallerError(f"{name!r} is no queue model; nothing was opened. Use one of {', '.join(QUEUES)}")
    return model


class Place:
    """One order's place in the queue at its price."""

    __slots__ = ("cum_trade", "front")

    def __init__(self, *, front: float, cum_trade: int = 0) -> None:
        self.front = front
        self.cum_trade = cum_trade

    def copy(self) -> Place:
        """The same place, to be walked on separately."""
        return Place(front=self.front, cum_trade=self.cum_trade)

    def trade(self, lots: int, *, ours: int = 0) -> int:
        """Lots of a trade at our price that reach us; the caller caps them by what the order still wants.

        lots    size of the trade, > 0.
        ours    how much of it own orders ahead of this one took; it was not in the displayed size, so it does not
                bring us forward.
        """
        reach = lots - ours
        self.cum_trade += lots
        self.front -= reach
        over = floor(0.5 - self.front)
        if over <= 0:
            return 0
        self.front = 0.0
        return min(reach, over)

    def changes(self, model: QueueModel, *, displayed_lots: int, sizes: Sequence[int]) -> None:
        """The displayed size at our price went from `displayed_lots` through `sizes`, at least one."""
        self.front = model.front_after(self.front, cum_trade=self.cum_trade, prev_lots=displayed_lots, sizes=sizes)
        self.cum_trade = 0
