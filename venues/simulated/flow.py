"""What a made-up market is to the venue: a crowd whose orders come by a clock of their own."""

from __future__ import annotations

from typing import Protocol

from venues.matching.events import Event


class Flow(Protocol):
    """One crowd, trading on one engine from one account. A seed decides it as far as nobody else trades.

    next_market_ns    when the next market order may come: the only events that can fill somebody else's resting order.
    """

    next_market_ns: int

    @property
    def next_ns(self) -> int:
        """When the next event may come; `advance` to it or later."""
        ...

    def start(self, now_ns: int, *, burn_in_s: float) -> None:
        """Fill the book and let the flow run from `burn_in_s` before `now_ns` to now. Once, before anything else."""
        ...

    def advance(self, until_ns: int) -> list[Event]:
        """Run the flow up to and including `until_ns`; what it did that the engine tells."""
        ...
