"""Where the orders of a parent stand in their queues, as far as its policy asks: worked out when it is read.

The estimate is that of `sor.standing`, which a live feed and the tape's keep; most policies never look at it.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from sor.ids import ClOrdId
from sor.lab.sweep.exchange import Sent
from sor.lab.sweep.ground import Bound
from sor.lab.sweep.kernel import Floats, Ints
from sor.lab.sweep.steps import ORDER, SIDE, TICKS
from sor.market import MarketView, Trust
from sor.snapshot import Resting

_OK: Final = Trust.OK
_NOTHING: Floats = np.zeros(1)


class _Place:
    """One order's place.

    told    what was said of the order since it was looked at: local time, side, price, whether at a new place, and
            whether some of it had been filled.
    """

    __slots__ = ("_ahead", "_state", "_steps", "told")

    def __init__(self, steps: Bound) -> None:
        self._steps = steps
        self._state: Ints | None = None
        self._ahead: Floats = _NOTHING
        self.told: list[tuple[int, int, int, bool, bool]] = []

    def ahead_lots(self, now_ns: int) -> int | None:
        """Lots ahead of it at `now_ns`, no earlier than before; None where that is not known."""
        state = self._state
        if state is None:
            state, self._ahead = np.zeros(ORDER, np.int64), np.zeros(1)
            self._state = state
        for told_ns, side, ticks, anew, filled in self.told:
            if anew:
                state[SIDE], state[TICKS] = side, ticks
                self._steps.stands(state, self._ahead, told_ns, filled)
            elif filled:
                self._steps.stood(state, self._ahead, told_ns)
                self._ahead[0] = 0.0
        self.told.clear()
        lots = int(self._steps.stood(state, self._ahead, now_ns))
        return None if lots < 0 else lots


class SeenResting(Resting, frozen=True, gc=False, array_like=True):
    """A `Resting` whose place in the queue is worked out when it is read; equal to it field by field."""

    place: _Place | None = None
    now_ns: int = 0

    @property  # type: ignore[misc]  # the field of the base is never read
    def ahead_lots(self) -> int | None:
        """As known then."""
        return None if self.place is None else self.place.ahead_lots(self.now_ns)


class Places:
    """Of one parent's orders."""

    def __init__(self, steps: Bound) -> None:
        self._steps = steps
        self._places: dict[ClOrdId, _Place] = {}

    def stand(self, sent: Sent, now_ns: int, *, anew: bool, filled: bool) -> None:
        """It rests under its terms, at a new place or where it stood; some of it has just been filled."""
        place = self._places.get(sent.cl_ord_id)
        if place is None:
            place, anew = _Place(self._steps), True
            self._places[sent.cl_ord_id] = place
        place.told.append((now_ns, sent.side, sent.price_ticks, anew, filled))

    def shown(self, sent: Sent, market: MarketView, now_ns: int) -> Resting:
        """What a view says of it, with its place, which is known while the book is sound."""
        return SeenResting(
            sent.cl_ord_id,
            market.venue,
            sent.price_ticks,
            sent.leaves_lots,
            sent.sent_ns,
            sent.expire_ns,
            place=self._places[sent.cl_ord_id] if market.trust is _OK else None,
            now_ns=now_ns,
        )
