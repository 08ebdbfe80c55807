"""The market sockets: topics of contracts spread over as many as they need, and books that are begun anew when lost."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Final

from sor.errors import VenueFault
from sor.ids import Symbol
from sor.market import BookReset, BookUpdate, TradePrint
from sor.units import MS, NS
from venues.bingx import wire
from venues.bingx.codec import inflate
from venues.bingx.errors import TOPIC_REFUSALS
from venues.bingx.listings import Listing
from venues.bingx.market import (
    SILENCE_MAX_NS,
    TOPICS_MAX,
    BookChain,
    Channel,
    Ping,
    PremiumIndex,
    Step,
    TopicAnswer,
    TopicData,
    read_frame,
    read_topic,
    topic,
)
from venues.bingx.session import Session
from venues.plumbing.budget import Priority
from venues.plumbing.client import Trouble
from venues.plumbing.frames import Address
from venues.plumbing.inflate import Inflate, inflate_gzip
from venues.plumbing.socket import Acked, Data, Denied, Heard, Phase, Pinged, SocketRules, SocketSession

RULES: Final = SocketRules(silence_ns=SILENCE_MAX_NS, spacing_ns=120 * MS, topics_max=TOPICS_MAX)
"""Fewer than ten subscriptions a second; liveness is the venue's ping."""
RESYNC_EVERY_NS: Final = 2 * NS
"""A book is not asked for anew more often than this."""
DENIED_AGAIN_NS: Final = 30 * NS
"""A topic that was refused, or never answered for, is asked for again after this: a contract may only be paused."""
_SILENT_NS: Final = {Channel.BOOK: 120 * NS, Channel.TRADES: 0, Channel.MARK: 20 * NS}
"""A mark comes every second; a quiet book may say nothing for long, a quiet market has no trades at all."""
FUNDING_FIRST_NS: Final = 2 * NS
"""The first look at funding waits until what must be known has been asked for."""
FUNDING_EVERY_NS: Final = 300 * NS
"""The running rate moves slowly, and settlements are hours apart."""
FUNDING_WAIT_NS: Final = 10 * NS
CONFIRM_EVERY_NS: Final = 500 * MS
"""A book that nothing is said about is confirmed no more often than this."""
_PONG: Final = wire.PONG.encode()
_log = logging.getLogger(__name__)


class MarketDialect:
    """How the market socket speaks. `member`: what inflates a gzip member."""

    __slots__ = ("_member",)

    def __init__(self, member: Inflate = inflate_gzip) -> None:
        self._member = member

    def read(self, payload: bytes, recv_ns: int) -> Heard:
        """What a frame says. Raises `ValueError` when it cannot be read."""
        del recv_ns
        try:
            frame = read_frame(inflate(payload, self._member))
        except VenueFault as error:
            raise ValueError(str(error)) from error
        if isinstance(frame, TopicData):
            return Data(frame.topic, frame)
        if isinstance(frame, Ping):
            return Pinged(_PONG)
        return _answer(frame)

    def subscribe(self, topics: Sequence[str], no: int) -> bytes:
        """One topic, as BingX ignores lists."""
        return wire.subscribe(topics[0], request_id=str(no)).encode()

    def unsubscribe(self, topics: Sequence[str], no: int) -> bytes:
        """One topic."""
        return wire.unsubscribe(topics[0], request_id=str(no)).encode()


def _answer(answer: TopicAnswer) -> Heard:
    if not (answer.request_id.isascii() and answer.request_id.isdigit() and len(answer.request_id) <= 9):
        return None
    no = int(answer.request_id)
    if not answer.code:
        return Acked(no)
    why = TOPIC_REFUSALS.get(answer.code, "")
    return Denied(no=no, code=str(answer.code), text=f"{answer.text} {why}".strip())


class _Watched:
    """One contract that is followed; its book is `lost` until the next snapshot.

    told_ns     when its book was told, or confirmed, last. venue_ns: what BingX stamped that with.
    outdated    a trade has been printed that the book does not know of yet.
    """

    __slots__ = ("book", "chain", "lost", "outdated", "resync_ns", "socket", "symbol", "told_ns", "venue_ns")

    def __init__(self, symbol: Symbol, book: str, socket: SocketSession) -> None:
        self.symbol = symbol
        self.book = book
        self.chain = BookChain()
        self.socket = socket
        self.lost = False
        self.resync_ns = 0  # not before this
        self.told_ns = self.venue_ns = 0
        self.outdated = False


class MarketStreams:
    """The market of every contract that was asked for, told to the session's outlet.

    changed    told whether all sockets stand, with the reason, on every change.
    """

    def __init__(self, session: Session, changed: Callable[[bool, str], None]) -> None:
        self._session = session
        self._changed = changed
        self._sockets: list[SocketSession] = []
        self._topics: list[int] = []
        self._watched: dict[Symbol, _Watched] = {}
        self._by_topic: dict[str, _Watched] = {}
        self._silent_ns: dict[str, int] = {}
        self._up = False

    def start(self) -> None:
        """Open the first socket, also with nothing to follow yet."""
        if not self._sockets:
            self._add()

    def subscribe(self, listing: Listing) -> None:
        """Follow a contract: its book, its trades and its mark. Once is enough."""
        symbol = listing.instrument.symbol
        if symbol in self._watched:
            return
        names = {channel: topic(listing, channel) for channel in Channel}
        if not self._sockets or self._topics[-1] + len(names) > TOPICS_MAX:
            self._add()
        self._topics[-1] += len(names)
        watched = self._watched[symbol] = _Watched(symbol, names[Channel.BOOK], self._sockets[-1])
        for channel, name in names.items():
            self._by_topic[name] = watched
            self._silent_ns[name] = _SILENT_NS[channel]
            watched.socket.subscribe(name, silence_ns=_SILENT_NS[channel])
        self._ask_funding_at(symbol, self._session.now_ns() + FUNDING_FIRST_NS)

    def close(self) -> None:
        """End all sockets; nothing is told any more."""
        for socket in self._sockets:
            socket.close()

    # --- funding: no topic tells when it is -------------------------------------------------------------------------

    def _ask_funding_at(self, symbol: Symbol, at_ns: int) -> None:
        self._session.scheduler.call_at(at_ns, lambda: self._ask_funding(symbol))

    def _ask_funding(self, symbol: Symbol) -> None:
        """Ask when the next settlement is and at what rate, and again some time later."""
        session = self._session
        listing = session.listings.find(symbol)
        if session.closed or listing is None:
            return

        def answered(answer: PremiumIndex | Trouble) -> None:
            if session.closed:
                return
            if isinstance(answer, Trouble):
                _log.warning("the funding of %s is not known: %s", symbol, answer.text)
            elif answer.mark.symbol == symbol:
                session.outlet.market(answer.mark)

        now_ns = session.now_ns()
        rest = session.rest
        rest.call(
            rest.premium_index,
            wire.premium_index(listing),
            priority=Priority.READ,
            leave_by_ns=now_ns + FUNDING_WAIT_NS,
            on_answer=answered,
        )
        self._ask_funding_at(symbol, now_ns + FUNDING_EVERY_NS)

    def _add(self) -> None:
        session = self._session
        url = session.settings.place.socket
        carrier = session.links.carrier(lambda: Address(url))
        socket = SocketSession(
            rules=RULES,
            dialect=MarketDialect(),
            pipe=carrier,
            listener=self,
            scheduler=session.scheduler,
            draw=session.draw,
        )
        self._sockets.append(socket)
        self._topics.append(0)
        carrier.drive(socket)

    # --- what the sockets say -----------------------------------------------------------------------------------------

    def up(self) -> None:
        """A socket stands."""
        if not self._up and all(socket.phase is Phase.UP for socket in self._sockets):
            self._up = True
            self._changed(True, "")

    def down(self, why: str, again_ns: int) -> None:
        """A socket is lost, or did not come about; it tries again by itself."""
        del again_ns
        self._up = False
        self._changed(False, f"market socket: {self._session.secrets.scrub(why)}")

    def gap(self, topic: str, why: str) -> None:
        """Messages of a topic are missing: a book is no longer to be trusted."""
        del why
        watched = self._by_topic[topic]
        if topic == watched.book:
            watched.chain.restart()
            watched.lost = False
            self._reset(watched)

    def denied(self, topic: str, code: str, text: str) -> None:
        """BingX does not give a topic: not now, that is."""
        _log.error("BingX does not give %s: %s %s; it is asked again in %d s", topic, code, text, DENIED_AGAIN_NS // NS)
        at_ns = self._session.now_ns() + DENIED_AGAIN_NS
        self._session.scheduler.call_at(at_ns, lambda: self._ask_again(topic))

    def _ask_again(self, topic: str) -> None:
        if not self._session.closed:
            self._by_topic[topic].socket.subscribe(topic, silence_ns=self._silent_ns[topic])

    def data(self, topic: str, message: object, recv_ns: int) -> None:
        """A push of a topic."""
        assert isinstance(message, TopicData), message
        watched = self._by_topic[topic]
        session = self._session
        listing = session.listings.of(watched.symbol)
        outlet = session.outlet
        try:
            events = read_topic(message, listing, recv_ns)
        except VenueFault as error:
            _log.warning("%s: %s", topic, error)
            session.read_contracts_again()  # a price off the tick says that the terms have changed
            if topic == watched.book:
                self._lost(watched, str(error))
            return
        for event in events:
            if isinstance(event, BookUpdate):
                if not self._believed(watched, event):
                    continue
                watched.told_ns, watched.venue_ns = recv_ns, event.venue_ns
                watched.outdated = False
            elif isinstance(event, TradePrint) and event.venue_ns > watched.venue_ns:
                watched.outdated = True
            outlet.market(event)
        if topic != watched.book:
            self._confirm(watched, recv_ns)

    def _confirm(self, watched: _Watched, recv_ns: int) -> None:
        """Something else of a contract came, and no change of its book: it is as it was, and that is told.

        Marks come every second, so a book whose market sleeps stays known. A ping confirms nothing: sockets have been
        seen that ping on and say nothing else. After a trade the book must change, so until it does nothing is
        confirmed: its topic may be stuck while others go on.
        """
        if (
            recv_ns - watched.told_ns >= CONFIRM_EVERY_NS
            and not (watched.lost or watched.outdated)
            and watched.chain.sound
            and watched.socket.live(watched.book)
        ):
            watched.told_ns = recv_ns
            self._session.outlet.market(
                BookUpdate(symbol=watched.symbol, bids=(), asks=(), venue_ns=watched.venue_ns, recv_ns=recv_ns)
            )

    def _believed(self, watched: _Watched, update: BookUpdate) -> bool:
        """Whether an update may be told; sees to a new snapshot where it shows that the book is lost."""
        if watched.lost:
            if not update.snapshot:
                return False
            watched.lost = False
        step = watched.chain.judge(update)
        if step is Step.RESYNC:
            self._lost(watched, "updates that do not fit together")
        return step is Step.APPLY

    def _lost(self, watched: _Watched, why: str) -> None:
        """Ask for a book anew, now or as soon as that is decent."""
        now_ns = self._session.now_ns()
        if now_ns >= watched.resync_ns:
            watched.resync_ns = now_ns + RESYNC_EVERY_NS
            watched.socket.resync(watched.book, why)
        else:
            watched.lost = True
            self._reset(watched)
            self._session.scheduler.call_at(watched.resync_ns, lambda: self._still_lost(watched, why))

    def _still_lost(self, watched: _Watched, why: str) -> None:
        if watched.lost and not self._session.closed and self._session.now_ns() >= watched.resync_ns:
            self._lost(watched, why)

    def _reset(self, watched: _Watched) -> None:
        self._session.outlet.market(BookReset(symbol=watched.symbol, recv_ns=self._session.now_ns()))
