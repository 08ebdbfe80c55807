"""G6: a frame of the book leaves the venue, until the order that it causes is acknowledged. Wall time, all on uvloop.

The server moves its best ask into reach and notes when (`order_server`); the client hears of it on its socket, decides
and sends, and notes when the acknowledgement has come back to who decided. Each reaction comes 1.5 ms after the one
before, so that nothing is warm that would not be. Client and server share one processor.

Ours is a parent that waits for its limit (`plain_limit`, which may not rest): socket, inflating, dialect, book and
features, the watch that comes true, the look, the policy, the invariants, the risk gate, the journal, the budget, the
signature, the request, its answer. By hand is a splitter of frames, `zlib`, a typed decode, one comparison, and the
order of the floor. ccxt.pro is `watch_order_book` and then `create_order`.
"""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
import time
import zlib
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path

import msgspec

from benchmarks import order_server
from benchmarks.order_lane import (
    CCXT,
    CCXT_MARKET,
    ByHand,
    Runs,
    Taken,
    acknowledged,
    lane,
    on_one_processor,
    on_uvloop,
    whole,
)
from benchmarks.order_venue import KEY, SECRET
from benchmarks.rig import WrongWork
from benchmarks.rows import Bar, Row
from sor.orders import ExecutionReport
from sor.units import US

PAUSE_S = 0.0015
WARM = 10
TOPIC = "BTC-USDT@depth20@200ms"
_NEAR = float(order_server.ASK_NEAR)


class Reactor(msgspec.Struct, frozen=True):
    """Get ready for the next book; the future is done when the order that it causes is acknowledged."""

    armed: Callable[[], Awaitable[asyncio.Future[None]]]


Opened = Callable[[int], AbstractAsyncContextManager[Reactor]]


class Trigger:
    """A connection of its own over which the server is told to move its ask; it blocks, and is read afterwards."""

    def __init__(self, port: int) -> None:
        self._raw = socket.create_connection(("127.0.0.1", port))
        self._raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def pull(self) -> None:
        """Move it."""
        self._raw.sendall(b"GET /next HTTP/1.1\r\n\r\n")

    def sent_ns(self) -> int:
        """When the last frame left."""
        data = b""
        while (body := whole(data)) is None:
            data += self._raw.recv(65_536)
        return int(body)

    def close(self) -> None:
        """Done."""
        self._raw.close()


def reactions(opened: Opened, port: int, count: int) -> Taken:
    """Reactions one after another: microseconds of wall time, and of this process's processor time."""

    async def run() -> Taken:
        cpu: list[float] = []
        wall: list[float] = []
        trigger = Trigger(port)
        async with opened(port) as reactor:
            for _ in range(WARM + count):
                acked = await reactor.armed()
                await asyncio.sleep(PAUSE_S)
                worked_ns = time.process_time_ns()
                trigger.pull()
                await acked
                done_ns = time.monotonic_ns()
                cpu.append((time.process_time_ns() - worked_ns) / US)
                wall.append((done_ns - trigger.sent_ns()) / US)
                trigger.pull()  # and back
                trigger.sent_ns()
                await asyncio.sleep(PAUSE_S)
        trigger.close()
        return Taken(cpu[WARM:], wall[WARM:])

    return on_uvloop(run)


# --- by hand ----------------------------------------------------------------------------------------------------------


class _Book(msgspec.Struct):
    asks: list[tuple[str, str]]


class _Push(msgspec.Struct):
    data: _Book | None = None


class _Socket(asyncio.Protocol):
    """Frames as servers send them, each a gzip member."""

    def __init__(self, push: Callable[[bytes], None]) -> None:
        self._push = push
        self._data = b""
        self._shaken = False

    def data_received(self, data: bytes) -> None:
        data = self._data + data
        if not self._shaken:
            head, gap, data = data.partition(b"\r\n\r\n")
            if not gap:
                self._data = head
                return
            self._shaken = True
        while len(data) >= 4:
            length, start = data[1] & 127, 2
            if length == 126:
                length, start = int.from_bytes(data[2:4], "big"), 4
            if len(data) < start + length:
                break
            self._push(data[start : start + length])
            data = data[start + length :]
        self._data = data


def _masked(text: bytes) -> bytes:
    mask = os.urandom(4)
    head = bytes([0x81, 0x80 | len(text)]) if len(text) < 126 else b"\x81\xfe" + len(text).to_bytes(2, "big")
    return head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(text))


class _OrderReply(asyncio.Protocol):
    def __init__(self, done: Callable[[bytes], None]) -> None:
        self._done = done
        self._data = b""

    def data_received(self, data: bytes) -> None:
        self._data += data
        body = whole(self._data)
        if body is not None:
            self._data = b""
            self._done(body)


@asynccontextmanager
async def by_hand(port: int) -> AsyncIterator[Reactor]:
    """The floor."""
    hand = ByHand()
    loop = asyncio.get_running_loop()
    decoder = msgspec.json.Decoder(_Push)
    waiting: list[asyncio.Future[None]] = []

    def done(body: bytes) -> None:
        hand.check(body)
        waiting.pop().set_result(None)

    def push(frame: bytes) -> None:
        book = decoder.decode(zlib.decompress(frame, 31)).data
        if book is not None and waiting and float(book.asks[0][0]) <= _NEAR:
            orders.write(hand.request(port))

    orders, _ = await loop.create_connection(lambda: _OrderReply(done), "127.0.0.1", port)
    market, _ = await loop.create_connection(lambda: _Socket(push), "127.0.0.1", port)
    key = b64encode(os.urandom(16)).decode()
    market.write(
        f"GET /swap-market HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    await asyncio.sleep(0.05)
    market.write(_masked(msgspec.json.encode({"id": "1", "reqType": "sub", "dataType": TOPIC})))
    await asyncio.sleep(0.05)

    async def armed() -> asyncio.Future[None]:
        waiting.append(loop.create_future())
        return waiting[0]

    yield Reactor(armed)
    orders.close()
    market.close()


# --- ours and the peer's ----------------------------------------------------------------------------------------------


@asynccontextmanager
async def by_us(port: int, *, lean: bool) -> AsyncIterator[Reactor]:
    """A parent that waits for its limit, routed."""
    with tempfile.TemporaryDirectory() as directory:
        async with lane(port, Path(directory) / "journal", lean=lean, market=True) as ours:
            loop = asyncio.get_running_loop()
            while ours.untrusted():  # noqa: ASYNC110 -- unmeasured, before anything begins
                await asyncio.sleep(0.01)

            async def armed() -> asyncio.Future[None]:
                await ours.tidy()
                acked = loop.create_future()

                def told(report: asyncio.Future[ExecutionReport]) -> None:
                    acknowledged(report.result())
                    acked.set_result(None)

                report = ours.submit(may_rest=False)
                report.add_done_callback(told)
                if report.done():
                    raise WrongWork("a parent that has to wait for its limit did not")
                return acked

            yield Reactor(armed)
            await ours.tidy()


@asynccontextmanager
async def by_ccxt(port: int) -> AsyncIterator[Reactor]:
    """The peer's book, then its order."""
    import ccxt.pro

    options = {"watchOrderBook": {"depth": 20}}
    exchange = ccxt.pro.bingx({"apiKey": KEY, "secret": SECRET, "enableRateLimit": False, "options": options})
    exchange.urls["api"] = {
        **dict.fromkeys(exchange.urls["api"], f"http://127.0.0.1:{port}/openApi"),
        "ws": {**exchange.urls["api"]["ws"], "linear": f"ws://127.0.0.1:{port}/swap-market"},
    }
    exchange.set_markets([CCXT_MARKET])
    loop = asyncio.get_running_loop()
    symbol = "BTC/USDT:USDT"

    async def react(acked: asyncio.Future[None]) -> None:
        book = await exchange.watch_order_book(symbol)
        while book["asks"][0][0] > _NEAR:
            book = await exchange.watch_order_book(symbol)
        params = {"timeInForce": "IOC", "hedged": False}
        order = await exchange.create_order(symbol, "limit", "buy", 0.01, 59999.5, params)
        if not order["id"]:
            raise WrongWork(f"an order was answered with {order}")
        acked.set_result(None)

    tasks: list[asyncio.Task[None]] = []

    async def armed() -> asyncio.Future[None]:
        acked = loop.create_future()
        tasks[:] = [loop.create_task(react(acked))]
        return acked

    try:
        await exchange.watch_order_book(symbol)
        yield Reactor(armed)
    finally:
        await exchange.close()


def rows(*, count: int, rounds: int, progress: Callable[[str], None]) -> list[Row]:
    """The goal's two rows."""
    runs = Runs()
    with on_one_processor(), order_server.running() as port:
        openers: dict[str, Opened] = {"hand": by_hand, "ccxt": by_ccxt, "lean": partial(by_us, lean=True)}
        arms = {name: partial(reactions, opened, port, count) for name, opened in openers.items()}
        runs.take(arms, rounds=rounds, progress=progress)
    ours = "a book's frame until the order it causes is acknowledged, wall time: routed, lean transport and pipe"
    hand = "the same by hand: splitter, zlib, typed decode, one comparison, the floor's order"
    return [
        runs.wall("g6", "lean", "hand", what=ours, baseline=hand, bar=Bar(2.0)),
        runs.wall(
            "g6-ccxt",
            "lean",
            "ccxt",
            what=ours,
            baseline=f"{CCXT} pro, watch_order_book, then create_order",
            bar=Bar(0.25),
        ),
    ]
