"""`python -m benchmarks.book_stages`: where the time of a book's frame goes, stage by stage, each by itself.

Stages are timed one after another on the same messages, many times over, and the least of each is kept: a machine that
others use is never quick by mistake. The unit beside the microseconds is what msgspec needs to make texts of the
message, the least that anybody pays; it is what carries over to another machine. No network: `book_path` has that.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Sequence
from decimal import Decimal
from time import process_time_ns

import msgspec

from benchmarks.book_server import framed, messages
from sor.feed import LiveFeed
from sor.ids import Symbol, VenueName
from sor.instruments import Instrument
from sor.market import MarketEvent
from sor.revisit import Revisit, Trigger
from sor.units import US
from venues.bingx.codec import FRAME_BYTES_MAX
from venues.bingx.listings import Listing
from venues.bingx.market import BookChain, TopicData, read_frame, read_topic
from venues.bingx.market_streams import MarketDialect
from venues.plumbing.frames import Address, Frames
from venues.plumbing.inflate import by_zlib, inflate_gzip
from venues.plumbing.socket import Data, SocketRules, SocketSession

COUNT = 500
CHUNK = 50
ROUNDS = 40
VENUE, SYMBOL = VenueName("bingx"), Symbol("BTCUSDT")


class _Side(msgspec.Struct, gc=False):
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]


class _Texts(msgspec.Struct, gc=False):
    data: _Side


class _Still:
    """A pipe, a scheduler and a listener that do nothing, so that only the session is timed."""

    def open(self, no: int) -> None:
        """Nothing."""

    def write(self, no: int, payload: bytes) -> None:
        """Nothing."""

    def ping(self, no: int) -> None:
        """Nothing."""

    def close(self, no: int) -> None:
        """Nothing."""

    def now_ns(self) -> int:
        """Now."""
        return process_time_ns()

    def call_at(self, at_ns: int, action: Callable[[], object]) -> None:
        """Never."""

    def up(self) -> None:
        """Nothing."""

    def down(self, why: str, again_ns: int) -> None:
        """Nothing."""

    def gap(self, topic: str, why: str) -> None:
        """Nothing."""

    def denied(self, topic: str, code: str, text: str) -> None:
        """Nothing."""

    def data(self, topic: str, message: object, recv_ns: int) -> None:
        """Nothing."""


class _Ready(MarketDialect):
    """A dialect that has read everything already."""

    _READY = Data("", None)

    def read(self, payload: bytes, recv_ns: int) -> Data:
        """Always the same."""
        del payload, recv_ns
        return self._READY


Stage = tuple[str, Callable[[int], object], int]
"""Its name, what to time for the n-th message, and how many messages that is."""


def stages(kind: str) -> list[Stage]:
    """Every stage of the way of one kind of message (`book_server.messages`), in order."""
    texts = list(messages(kind, COUNT))
    packed = [gzip.compress(text, 6, mtime=0) for text in texts]
    chunks = [
        b"".join([framed(text, packed=False) for text in texts[at : at + CHUNK]]) for at in range(0, COUNT, CHUNK)
    ]
    instrument = Instrument(symbol=SYMBOL, venue=VENUE, tick_size=Decimal("0.1"), lot_size=Decimal("0.0001"))
    listing = Listing(instrument, "BTC-USDT")
    pushes = [read for read in map(read_frame, texts) if isinstance(read, TopicData)]
    events = [read_topic(push, listing, number)[0] for number, push in enumerate(pushes)]
    still = _Still()
    session = SocketSession(
        rules=SocketRules(), dialect=_Ready(), pipe=still, listener=still, scheduler=still, draw=lambda: 0.5
    )
    session.subscribe("")
    session.start()
    session.opened(1)
    frames = Frames(Address("ws://127.0.0.1/"))
    frames.received(_accepted(frames.outgoing()))
    feed = LiveFeed(venue=VENUE, symbol=SYMBOL, wake=print, scheduler=still)
    watched = LiveFeed(venue=VENUE, symbol=SYMBOL, wake=print, scheduler=still)
    feed.on_event(events[0])
    watched.on_event(events[0])
    calm = Revisit(triggers=(Trigger(feature="spread_ticks", above=True, level=1e9),), best_moved_ticks=1_000_000)
    watched.watch(1, calm, watched.view(0), 0)
    chain = BookChain()
    decode = msgspec.json.Decoder(_Texts).decode
    found: list[Stage] = [
        ("texts of the message (the unit)", lambda at: decode(texts[at]), 1),
        ("cut frames out of what was read", lambda at: frames.received(chunks[at % len(chunks)]), CHUNK),
        ("inflate with zlib", lambda at: by_zlib(packed[at], FRAME_BYTES_MAX), 1),
        ("inflate with what is installed", lambda at: inflate_gzip(packed[at], FRAME_BYTES_MAX), 1),
        ("session", lambda at: session.received(1, texts[at]), 1),
        ("topic of the message", lambda at: read_frame(texts[at]), 1),
        ("message into an event", lambda at: read_topic(pushes[at], listing, at), 1),
        ("event into the feed", lambda at: feed.on_event(events[at]), 1),
        ("the same with a watch", lambda at: watched.on_event(events[at]), 1),
        ("from message to all features read", lambda at: _read(feed, read_topic(pushes[at], listing, at)[0]), 1),
    ]
    if kind == "diff":
        found.insert(-3, ("chain of updates", lambda at: chain.judge(events[at]), 1))  # type: ignore[arg-type]
    return found


def _read(feed: LiveFeed, event: MarketEvent) -> None:
    feed.on_event(event)
    feed.view(event.recv_ns)


def _accepted(request: bytes) -> bytes:
    """The answer that takes a handshake."""
    from websockets.server import ServerProtocol

    server = ServerProtocol()
    server.receive_data(request)
    (asked,) = server.events_received()
    server.send_response(server.accept(asked))  # type: ignore[arg-type]
    return b"".join(server.data_to_send())


def least(found: Sequence[Stage], rounds: int) -> list[tuple[str, float]]:
    """The least microseconds a message of each stage."""
    best = [float("inf")] * len(found)
    for _ in range(rounds):
        for number, (_, stage, size) in enumerate(found):
            begun_ns = process_time_ns()
            for at in range(COUNT // size):
                stage(at)
            best[number] = min(best[number], (process_time_ns() - begun_ns) / COUNT / US)
    return [(name, taken) for (name, *_), taken in zip(found, best, strict=True)]


def main() -> None:
    """Print both tables."""
    for kind in ("depth", "diff"):
        taken = least(stages(kind), ROUNDS)
        print(f"{kind}: microseconds a message, and in texts of the message")
        for name, us in taken:
            print(f"  {name:<36}{us:7.2f}{us / taken[0][1]:7.2f}")


if __name__ == "__main__":
    main()
