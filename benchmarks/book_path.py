"""G4 and G5: from the bytes of a book's frame to a checked book, against ccxt.pro's own book on the same bytes.

A server in a process of its own pushes depth-20 snapshots of BingX over loopback. Ours is the way that a live router
has: link, socket session, BingX's dialect, decoding, the feed with its book, windows and one watch that does not come
true. It ends with a checked book: "one to which the message has been applied and whose levels that the default features
read are numbers" (the goals' words). After each message the best levels are ticks and lots, held to the tick, and every
other level is a number; whole numbers it becomes when something reads it, which `g4-read` does after each message.
ccxt's is `watch_order_book` on the same frames, in its own dialect, by its own client; it makes floats of all
levels and takes every message, also those that nobody waits for.

Each of ours has two forms: pure is asyncio, anyio and zlib; fast is uvloop, the lean pipe and isal (extra `fast`). ccxt
runs on the same event loop in each.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from decimal import Decimal
from functools import cache
from itertools import islice
from time import process_time_ns

import msgspec

from benchmarks.book_server import FIRST_MS, LEAD, LEAD_MS, LEVELS, STEP_MS, TOPICS, messages, serving
from benchmarks.rig import WrongWork
from benchmarks.rows import Bar, Row, measured
from sor.feed import LiveFeed
from sor.ids import Symbol, VenueName
from sor.instruments import Instrument
from sor.market import BookUpdate, Trust
from sor.revisit import Revisit, Trigger
from sor.units import MS, NS
from venues.bingx.listings import Listing
from venues.bingx.market import BookChain, Step, TopicData, read_topic
from venues.bingx.market_streams import RULES, MarketDialect
from venues.plumbing.frames import Address
from venues.plumbing.inflate import by_zlib
from venues.plumbing.link_pipe import StreamPipe
from venues.plumbing.link_socket import SocketLink
from venues.plumbing.socket import SocketSession

G4 = Bar(6.0, at_least=True)
G4_FAST = Bar(10.0, at_least=True)
G5 = Bar(10.0, at_least=True)
VENUE = VenueName("bingx")
SYMBOL = Symbol("BTCUSDT")
LIMIT_S = 120.0


class Clock:
    """Real time by the event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    def now_ns(self) -> int:
        """Nanoseconds."""
        return time.monotonic_ns()

    def call_at(self, at_ns: int, action: Callable[[], object]) -> None:
        """Run `action` then."""
        self._loop.call_later(max(0, at_ns - time.monotonic_ns()) / NS, action)


class Taker:
    """What an adapter does with a book's messages, and the feed that it tells."""

    def __init__(self, clock: Clock, last_ns: int, *, reads: bool) -> None:
        instrument = Instrument(symbol=SYMBOL, venue=VENUE, tick_size=Decimal("0.1"), lot_size=Decimal("0.0001"))
        self.listing = Listing(instrument, "BTC-USDT")
        self.feed = LiveFeed(venue=VENUE, symbol=SYMBOL, wake=self._woken, scheduler=clock)
        self.taken = 0
        self.begun_ns = 0
        self.taken_ns = 0
        self.done = asyncio.Event()
        self._chain = BookChain()
        self._last_ns = last_ns
        self._reads = reads
        calm = Revisit(
            triggers=(Trigger(feature="spread_ticks", above=True, level=1e9),),
            best_moved_ticks=1_000_000,
            on_untrusted=False,
        )
        self.feed.watch(1, calm, self.feed.view(0), 0)

    def up(self) -> None:
        """The socket stands."""

    def down(self, why: str, again_ns: int) -> None:
        """It should not."""
        del again_ns
        raise WrongWork(f"the socket was lost: {why}")

    def gap(self, topic: str, why: str) -> None:
        """There are none."""
        raise WrongWork(f"{topic} has a gap: {why}")

    def denied(self, topic: str, code: str, text: str) -> None:
        """Nothing is denied."""
        raise WrongWork(f"{topic} was denied: {code} {text}")

    def data(self, topic: str, message: object, recv_ns: int) -> None:
        """One push: decode it, judge it where ids say something, and put it into the book."""
        del topic
        assert isinstance(message, TopicData), message
        for event in read_topic(message, self.listing, recv_ns):
            assert isinstance(event, BookUpdate), event
            if event.seq >= 0 and self._chain.judge(event) is not Step.APPLY:
                raise WrongWork("an update that does not fit")
            self.feed.on_event(event)
            if self._reads:
                self.feed.view(recv_ns)
            self.taken += 1
            if self.taken == LEAD:
                self.begun_ns = process_time_ns()
            if event.venue_ns == self._last_ns:
                self.taken_ns = process_time_ns() - self.begun_ns
                self.done.set()

    def _woken(self, key: int) -> None:
        raise WrongWork(f"the watch {key} came true")


async def _ours(port: int, topic: str, count: int, *, fast: bool, reads: bool) -> float:
    """Messages a second of processor time, those of the lead left out."""

    async def locate() -> Address:
        return Address(f"ws://127.0.0.1:{port}/swap-market")

    pipe: type[SocketLink | StreamPipe] = StreamPipe if fast else SocketLink
    clock = Clock()
    taker = Taker(clock, (FIRST_MS + (count - 1) * STEP_MS) * MS, reads=reads)
    async with pipe.opened(locate) as link:
        session = SocketSession(
            rules=RULES,
            dialect=MarketDialect() if fast else MarketDialect(by_zlib),
            pipe=link,
            listener=taker,
            scheduler=clock,
            draw=lambda: 0.5,
        )
        session.subscribe(topic)
        link.drive(session)
        await asyncio.wait_for(taker.done.wait(), LIMIT_S)
    _check_ours(taker, topic, count)
    return (count - LEAD) / (taker.taken_ns / NS)


def _check_ours(taker: Taker, topic: str, count: int) -> None:
    view = taker.feed.view(time.monotonic_ns())
    found = [(price, lots) for side in (view.bids, view.asks) for price, lots in side]
    if taker.taken != count or view.trust is not Trust.OK or view.features is None:
        raise WrongWork(f"{taker.taken} of {count} messages were taken, and the book is {view.trust}")
    if topic != TOPICS["depth"]:
        return
    bids, asks = last_book(count)
    told = [(round(price * 10), round(qty * 10_000)) for side in (bids, asks) for price, qty in side[: len(view.bids)]]
    if found != told:
        raise WrongWork(f"the book holds {found[0]}, and {told[0]} was sent")


class _Side(msgspec.Struct):
    bids: list[tuple[float, float]]
    asks: list[tuple[float, float]]


class _Sent(msgspec.Struct):
    data: _Side


@cache
def last_book(count: int) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """Both sides of the last whole book that is sent, best first."""
    (text,) = islice(messages("depth", count), count - 1, count)
    sent = msgspec.json.decode(text, type=_Sent, strict=False)
    return sent.data.bids, sent.data.asks


MARKET = {
    "id": "BTC-USDT",
    "symbol": "BTC/USDT:USDT",
    "base": "BTC",
    "quote": "USDT",
    "settle": "USDT",
    "type": "swap",
    "swap": True,
    "spot": False,
    "linear": True,
    "inverse": False,
    "contract": True,
    "active": True,
    "precision": {"price": 0.1, "amount": 0.0001},
    "limits": {},
    "info": {},
}


async def _theirs(port: int, count: int) -> float:
    """Messages a second of processor time, those of the lead left out."""
    import ccxt.pro

    exchange = ccxt.pro.bingx({"options": {"watchOrderBook": {"depth": LEVELS}}})
    try:
        exchange.set_markets([MARKET])
        exchange.urls["api"]["ws"]["linear"] = f"ws://127.0.0.1:{port}/swap-market"
        last_ms = FIRST_MS + (count - 1) * STEP_MS
        async with asyncio.timeout(LIMIT_S):
            book = await exchange.watch_order_book("BTC/USDT:USDT")
            while book["timestamp"] < LEAD_MS:
                book = await exchange.watch_order_book("BTC/USDT:USDT")
            begun_ms: int = book["timestamp"]  # it is the lead's last, unless a stall of ours was longer than the rest
            begun_ns = process_time_ns()
            while book["timestamp"] != last_ms:
                book = await exchange.watch_order_book("BTC/USDT:USDT")
            taken_ns = process_time_ns() - begun_ns
        bids, asks = last_book(count)
        if [tuple(one) for one in book["bids"]] != bids or [tuple(one) for one in book["asks"]] != asks:
            raise WrongWork(f"ccxt's book holds {book['bids'][:1]}, and {bids[:1]} was sent")
    finally:
        await exchange.close()
    return (last_ms - begun_ms) / STEP_MS / (taken_ns / NS)


def _run(job: Coroutine[object, object, float], *, fast: bool) -> Sequence[float]:
    factory = None
    if fast:
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return [runner.run(job)]


def ours(port: int, kind: str, count: int, *, fast: bool, reads: bool = False) -> Sequence[float]:
    """One repetition of ours. `reads`: every level and every feature is read after each message."""
    return _run(_ours(port, TOPICS[kind], count, fast=fast, reads=reads), fast=fast)


def theirs(port: int, count: int, *, fast: bool) -> Sequence[float]:
    """One repetition of ccxt's."""
    return _run(_theirs(port, count), fast=fast)


class _Plan(msgspec.Struct, frozen=True):
    name: str
    packed: bool
    fast: bool
    bar: Bar | None
    kind: str = "depth"
    reads: bool = False


PLANS = (
    _Plan("g4", packed=True, fast=False, bar=G4),
    _Plan("g4-read", packed=True, fast=False, bar=None, reads=True),
    _Plan("g4-fast", packed=True, fast=True, bar=G4_FAST),
    _Plan("g5", packed=False, fast=False, bar=G5),
    _Plan("g5-fast", packed=False, fast=True, bar=G5),
    _Plan("g4-diff", packed=True, fast=False, bar=None, kind="diff"),
)


def rows(*, count: int, rounds: int, progress: Callable[[str], None]) -> list[Row]:
    """Both goals, in both forms; what reading everything adds; and the updates that the adapter asks for.

    count    messages that are timed in one repetition of an arm; `LEAD` more come before them.
    """
    import ccxt.pro  # noqa: F401 - without the peer there is nothing to measure, and no server to start

    return [_row(plan, count=count, rounds=rounds, progress=progress) for plan in PLANS]


def _row(plan: _Plan, *, count: int, rounds: int, progress: Callable[[str], None]) -> Row:
    with (
        serving(plan.kind, packed=plan.packed, count=LEAD + count) as mine,
        serving("depth", packed=plan.packed, count=LEAD + count) as peer,
    ):
        form = "gzip members" if plan.packed else "plain text"
        what = "depth-20 snapshots" if plan.kind == "depth" else "incrDepth updates of 20 levels a side"
        means = "uvloop, lean pipe, isal" if plan.fast else "asyncio, anyio, zlib"
        read = "all levels whole and all features read" if plan.reads else "a watch reads the spread"
        return measured(
            name=plan.name,
            what=f"{what}, {form}: link, session, dialect, decoding, feed, a checked book with every level a number, "
            f"{read} after each; {means}",
            baseline=f"ccxt.pro watch_order_book, depth-20 snapshots, {form}; {'uvloop' if plan.fast else 'asyncio'}",
            unit="messages/s",
            ours=lambda: ours(mine, plan.kind, LEAD + count, fast=plan.fast, reads=plan.reads),
            theirs=lambda: theirs(peer, LEAD + count, fast=plan.fast),
            rounds=rounds,
            checked=f"{count} messages a round each, every one taken; both books end as the last message says",
            progress=progress,
            bar=plan.bar,
        )
