"""The account socket: what BingX pushes about our orders, the account and its settings, and when something was missed.

The link is up only while this socket stands: without it an order's fate is learned by asking alone. Whatever may have
been missed is told as a gap, and whoever hears of it looks everything up.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import msgspec

from sor.errors import VenueFault
from sor.units import MS, NS
from venues.bingx import wire
from venues.bingx.codec import inflate
from venues.bingx.listen_key import ListenKey
from venues.bingx.market import SILENCE_MAX_NS, Ping
from venues.bingx.push import AccountEvent, KeyExpired, Named, about_orders, named, read_push
from venues.bingx.session import Session
from venues.plumbing.backoff import Backoff
from venues.plumbing.socket import Data, Expired, Heard, Pinged, SocketRules, SocketSession

RULES: Final = SocketRules(
    acks=False,  # nothing is subscribed to: everything is pushed
    silence_ns=SILENCE_MAX_NS,
    backoff=Backoff(first_ns=200 * MS, most_ns=10 * NS),
)
_log = logging.getLogger(__name__)
_PONG: Final = wire.PONG.encode()


class Unread(msgspec.Struct, frozen=True):
    """A push that could not be read. `order`: whose order it is about, where at least that can be seen."""

    why: str
    order: Named | None


class AccountListener(Protocol):
    """Who is told. Plain calls."""

    def stream_up(self) -> None:
        """The socket stands: pushes come."""

    def stream_down(self, why: str) -> None:
        """The socket is lost; it comes back by itself."""

    def stream_gap(self, why: str) -> None:
        """The socket stands, and pushes may have been missed."""

    def pushed(self, event: AccountEvent | Unread, recv_ns: int) -> None:
        """One push."""


class AccountDialect:
    """How the account socket speaks. `expired` is called when BingX says that the listen key has ended."""

    def __init__(self, session: Session, *, hedge: Callable[[], bool], expired: Callable[[], None]) -> None:
        self._session = session
        self._hedge = hedge
        self._expired = expired
        self._warned = False

    def read(self, payload: bytes, recv_ns: int) -> Heard:
        """What a frame says. Raises `ValueError` for one that does not even inflate."""
        try:
            message = inflate(payload)
        except VenueFault as error:
            raise ValueError(str(error)) from error
        listings = self._session.listings
        event: AccountEvent | Unread
        try:
            event = read_push(message, listings, hedge=self._hedge(), recv_ns=recv_ns)
        except VenueFault as error:
            if not about_orders(message):
                # Money and settings are read when they are needed; hundreds of these may come at once.
                self._passed_over(str(error))
                return None
            event = Unread(str(error), named(message, listings))
        if isinstance(event, Ping):
            return Pinged(_PONG)
        if isinstance(event, KeyExpired):
            self._expired()
            return Expired("the listen key has expired")
        return Data("", event)

    def _passed_over(self, why: str) -> None:
        if not self._warned:
            self._warned = True
            _log.warning(
                "an account event of BingX could not be read, and is passed over like all of its kind: %s", why
            )

    def subscribe(self, topics: Sequence[str], no: int) -> bytes:
        """Never wanted: any frame but Pong is refused here (80014)."""
        raise NotImplementedError(f"the account socket has no topics to ask for, {topics} and {no} least of all")

    def unsubscribe(self, topics: Sequence[str], no: int) -> bytes:
        """Never wanted either."""
        return self.subscribe(topics, no)


class AccountStream:
    """The socket of one account, with its listen key."""

    def __init__(self, session: Session, listener: AccountListener, *, hedge: Callable[[], bool]) -> None:
        self._session = session
        self._listener = listener
        self._up = False
        self.key = ListenKey(session, lost=self._key_lost)
        carrier = session.links.carrier(self.key.address)
        self._socket = SocketSession(
            rules=RULES,
            dialect=AccountDialect(session, hedge=hedge, expired=self.key.spoil),
            pipe=carrier,
            listener=self,
            scheduler=session.scheduler,
            draw=session.draw,
            admit=self.key.admit,
        )
        self._carrier = carrier

    def start(self) -> None:
        """Connect, and stay connected."""
        self._socket.subscribe("")
        self._carrier.drive(self._socket)

    def close(self) -> None:
        """End it; nothing is told any more."""
        self._socket.close()

    def _key_lost(self, why: str) -> None:
        self._socket.reconnect(why)

    # --- what the socket says -----------------------------------------------------------------------------------------

    def up(self) -> None:
        """It stands."""
        self._up = True
        self._listener.stream_up()

    def down(self, why: str, again_ns: int) -> None:
        """It is lost, or did not come about."""
        del again_ns
        if not self._up:
            self.key.spoil()  # the key may be why
        self._up = False
        self._listener.stream_down(f"account socket: {self._session.secrets.scrub(why)}")

    def gap(self, topic: str, why: str) -> None:
        """Pushes may have been missed; on a lost connection `down` follows and says so itself."""
        del topic
        if self._socket.live(""):
            self._listener.stream_gap(f"account socket: {self._session.secrets.scrub(why)}")

    def denied(self, topic: str, code: str, text: str) -> None:
        """Never: nothing is asked for."""
        raise NotImplementedError(f"{topic!r} was not asked for, and yet denied: {code} {text}")

    def data(self, topic: str, message: object, recv_ns: int) -> None:
        """One push."""
        del topic
        self._listener.pushed(message, recv_ns)  # type: ignore[arg-type]  # the dialect above made it
