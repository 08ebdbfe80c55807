"""What may go wrong on purpose: each switch is a probability, drawn from a seeded generator; all are off by default.

Whatever is lost or late, the venue answers truthfully when it is asked later. `duplicate` and `reorder` break the
adapter's own contract (each trade once, in the venue's order) and `overfill` breaks the venue's: they are there to see
that the router survives what it should never be given.
"""

from __future__ import annotations

from collections import Counter
from random import Random

import msgspec

from sor.units import MS


class Faults(msgspec.Struct, frozen=True, kw_only=True):
    """Probabilities in [0, 1] and the durations that go with them, in ms.

    lost_request    a request never arrives; after the timeout it is in doubt.
    late_request    a request arrives up to 2 x late_ms later than the others; past the timeout it is in doubt, and past
                    the receive window the venue refuses it.
    lost_ack        a request is carried out, but neither its answer nor a push tells; after the timeout it is in doubt.
    lost_push       a report that answers no request is lost until the order is looked up.
    duplicate       a report comes twice.
    late            a report, and all that follow it, come up to 2 x late_ms later.
    reorder         a report comes up to 2 x late_ms later, overtaken by those that follow it.
    not_found       a lookup within the declared lookup lag does not find an order that is live.
    rate_limit      a request starts a burst of up to 2 x burst_ms; it and all others until then are refused.
    cancel_race     somebody takes a resting order, wholly or in part, just before its cancel arrives.
    overfill        a filled order is filled once more.
    lost_market     a book update is lost: a gap, until the adapter has fetched a snapshot.
    link_down       per second: the session breaks for up to 2 x down_ms; what is on the way to us is lost.
    """

    lost_request: float = 0.0
    late_request: float = 0.0
    lost_ack: float = 0.0
    lost_push: float = 0.0
    duplicate: float = 0.0
    late: float = 0.0
    reorder: float = 0.0
    not_found: float = 0.0
    rate_limit: float = 0.0
    cancel_race: float = 0.0
    overfill: float = 0.0
    lost_market: float = 0.0
    link_down: float = 0.0
    late_ms: float = 200.0
    burst_ms: float = 1_000.0
    down_ms: float = 2_000.0


DURATIONS = ("late_ms", "burst_ms", "down_ms")
SWITCHES = tuple(name for name in Faults.__struct_fields__ if name not in DURATIONS)


class Chance:
    """Draws for the faults, from a generator of their own: with all switches off it is never asked.

    calm      every switch is off.
    struck    how often each has hit.
    """

    __slots__ = ("_faults", "_rng", "calm", "struck")

    def __init__(self, rng: Random, faults: Faults) -> None:
        self._rng = rng
        self.faults = faults
        self.struck = Counter[str]()

    @property
    def faults(self) -> Faults:
        """The switches in force; replace them to change what goes wrong from now on."""
        return self._faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._faults = faults
        self.calm = not any(getattr(faults, name) for name in SWITCHES)

    def hits(self, probability: float, name: str) -> bool:
        """Whether the fault `name`, of this probability, happens now; 0 draws nothing."""
        if probability > 0 and self._rng.random() < probability:
            self.struck[name] += 1
            return True
        return False

    def up_to_twice_ns(self, mean_ms: float) -> int:
        """A duration uniform in [0, 2 x mean]."""
        return int(2 * mean_ms * MS * self._rng.random())

    def part(self, whole: int) -> int:
        """A whole number from 1 to `whole`."""
        return self._rng.randint(1, whole)
