"""A relay: the transport of links that may be opened again, under one name.

Whoever makes requests keeps the relay; what carries them changes behind it. While nothing does, requests are not sent.
"""

from __future__ import annotations

from collections.abc import Callable

from sor.adapter import Reach
from venues.plumbing.transport import Broken, Cause, Outcome, Transport, WireRequest

AWAY = "the links have ended and are not open yet"
_AWAY = Broken(reach=Reach.NOT_SENT, cause=Cause.CLOSED, text=AWAY)


class Relay:
    """A `Transport`. `inner` is what carries requests now, None while nothing does."""

    __slots__ = ("inner",)

    def __init__(self) -> None:
        self.inner: Transport | None = None

    def send(self, request: WireRequest, on_outcome: Callable[[Outcome], None]) -> None:
        """Send a request; `on_outcome` is called exactly once, perhaps before this returns."""
        if self.inner is None:
            on_outcome(_AWAY)
        else:
            self.inner.send(request, on_outcome)
