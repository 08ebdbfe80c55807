"""G1, G2, G3: one order after another over a loopback connection, routed by us or sent by hand or by a peer.

Ours is a parent order with everything on: the checks at the door, the parent, the look at the market, the policy, the
invariants, the risk gate, the child, the journal on disk, the rate budget, the signature, the request, its reply, the
report and the journal again. The others send one limit order: they build its parameters, sign them, send them, read the
acknowledgement and check its code and client id.

All arms are on uvloop in this process, the server is another process on the same processor (`order_server`), so that
waking a processor up is no part of a figure. Every arm is measured in every round, the first one a different one each
time. Read is the processor time of this process, all its threads, from the call to the return of each order, and the
wall time beside it. What an arm does between two orders (our cancel of the last one) is not in it.
"""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from decimal import Decimal
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median

import anyio
import anyio.lowlevel
import httpx
import msgspec

from benchmarks import order_server
from benchmarks.order_venue import BEST_BID_TICKS, KEY, SECRET, LaneVenue
from benchmarks.rig import EPOCH, PARAM_SET, WrongWork, param_text
from benchmarks.rows import Bar, Row, alone, figure, p99, spread
from policies.immediate import Immediate
from policies.plain_limit import PlainLimit
from sor.clock import LoopScheduler
from sor.commands import Happening
from sor.decide import decide
from sor.dispatch import Dispatcher
from sor.events import AnyFact, CancelAsked, ParamsAdopted, SessionStarted, Submitted
from sor.ids import ClOrdId, ParentId
from sor.intake import admit
from sor.journal import Environment, Journal, verify
from sor.market import MarketView, Trust
from sor.orders import ExecType, ExecutionReport, ParentOrder, Side
from sor.params import parse
from sor.parent import Parent
from sor.router import Core
from sor.units import US
from venues.plumbing.keys import HmacSha256, Secret

LIMIT = Decimal(BEST_BID_TICKS - 5) / 10
QUANTITY = Decimal("0.0100")
WARM_ORDERS = 30
IN_FLIGHT = 8
ARM_S_MAX = 120.0
"""An arm that takes longer hangs: the run fails instead of waiting for ever."""
ORDER_PATH = "/openApi/swap/v2/trade/order"
CCXT = "ccxt 4.5.90"

Opened = Callable[[int], AbstractAsyncContextManager["Hand"]]


class Hand(msgspec.Struct, frozen=True):
    """What an arm offers: one order until it is acknowledged, and what tidies up afterwards, unmeasured."""

    send: Callable[[], Awaitable[None]]
    tidy: Callable[[], Awaitable[None]] | None = None


# --- orders by hand ---------------------------------------------------------------------------------------------------


class _Order(msgspec.Struct):
    client_id: str = msgspec.field(name="clientOrderId")


class _Data(msgspec.Struct):
    order: _Order


class _Answer(msgspec.Struct):
    code: int
    data: _Data


class ByHand:
    """The least that an order takes: parameters from a template, a signature, the answer's code and client id."""

    def __init__(self) -> None:
        self._sign = HmacSha256(Secret(SECRET)).hex
        self._decoder = msgspec.json.Decoder(_Answer)
        self._numbers = count()
        self.client_id = ""

    def target(self) -> str:
        """Path and signed query of the next order."""
        self.client_id = client_id = f"hand-{next(self._numbers)}"
        query = (
            f"clientOrderId={client_id}&positionSide=BOTH&price=59999.5&quantity=0.0100&recvWindow=5000&side=BUY"
            f"&symbol=BTC-USDT&timeInForce=PostOnly&timestamp={time.time_ns() // 1_000_000}&type=LIMIT"
        )
        return f"{ORDER_PATH}?{query}&signature={self._sign(query.encode())}"

    def request(self, port: int) -> bytes:
        """The next order's request, as bytes."""
        head = f"Host: 127.0.0.1:{port}\r\nX-BX-APIKEY: {KEY}\r\nContent-Length: 0"
        return f"POST {self.target()} HTTP/1.1\r\n{head}\r\n\r\n".encode()

    def check(self, body: bytes) -> None:
        """Raise unless it is the acknowledgement of the order that was last made."""
        answer = self._decoder.decode(body)
        if answer.code or answer.data.order.client_id != self.client_id:
            raise WrongWork(f"an order was answered with {body!r}")


def whole(data: bytes) -> bytes | None:
    """The body of a reply that has a length, once all of it is there."""
    head, gap, body = data.partition(b"\r\n\r\n")
    if not gap:
        return None
    length = int(head.rpartition(b"Content-Length: ")[2].partition(b"\r\n")[0])
    return body if len(body) >= length else None


@asynccontextmanager
async def by_socket(port: int) -> AsyncIterator[Hand]:
    """A blocking socket."""
    hand = ByHand()
    with socket.create_connection(("127.0.0.1", port)) as raw:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        async def send() -> None:
            raw.sendall(hand.request(port))
            data = raw.recv(65_536)
            while (body := whole(data)) is None:
                data += raw.recv(65_536)
            hand.check(body)

        yield Hand(send)


class _Raw(asyncio.Protocol):
    def __init__(self) -> None:
        self.data = b""
        self.waiter: asyncio.Future[bytes] | None = None

    def data_received(self, data: bytes) -> None:
        self.data += data
        body = whole(self.data)
        if body is not None and self.waiter is not None:
            self.data = b""
            self.waiter.set_result(body)


@asynccontextmanager
async def by_protocol(port: int) -> AsyncIterator[Hand]:
    """The floor: a protocol written for this one exchange."""
    hand = ByHand()
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_connection(_Raw, "127.0.0.1", port)

    async def send() -> None:
        waiter = protocol.waiter = loop.create_future()
        transport.write(hand.request(port))
        hand.check(await waiter)

    yield Hand(send)
    transport.close()


@asynccontextmanager
async def by_httpx(port: int) -> AsyncIterator[Hand]:
    """An httpx client as it is used: one `post` an order."""
    hand = ByHand()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers={"X-BX-APIKEY": KEY}) as client:

        async def send() -> None:
            response = await client.post(hand.target())
            hand.check(response.content)

        yield Hand(send)


@asynccontextmanager
async def by_ccxt(port: int) -> AsyncIterator[Hand]:
    """The peer's `create_order`: one market known beforehand, its rate limiter off."""
    import ccxt.async_support as ccxt

    exchange = ccxt.bingx({"apiKey": KEY, "secret": SECRET, "enableRateLimit": False})
    url = f"http://127.0.0.1:{port}/openApi"
    exchange.urls["api"] = dict.fromkeys(exchange.urls["api"], url)
    exchange.set_markets([CCXT_MARKET])
    numbers = count()

    async def send() -> None:
        client_id = f"ccxt-{next(numbers)}"
        order = await exchange.create_order(
            "BTC/USDT:USDT",
            "limit",
            "buy",
            0.01,
            59999.5,
            {"clientOrderId": client_id, "postOnly": True, "hedged": False},
        )
        if order["clientOrderId"] != client_id:
            raise WrongWork(f"an order was answered with {order}")

    try:
        yield Hand(send)
    finally:
        await exchange.close()


CCXT_MARKET = {
    "id": "BTC-USDT",
    "symbol": "BTC/USDT:USDT",
    "base": "BTC",
    "quote": "USDT",
    "settle": "USDT",
    "baseId": "BTC",
    "quoteId": "USDT",
    "settleId": "USDT",
    "type": "swap",
    "active": True,
    "contractSize": 1,
    "spot": False,
    "swap": True,
    "future": False,
    "option": False,
    "contract": True,
    "linear": True,
    "inverse": False,
    "taker": 0.0005,
    "maker": 0.0002,
    "precision": {"amount": 0.0001, "price": 0.1},
    "limits": {"amount": {"min": 0.0001}, "cost": {"min": 2}, "price": {}, "leverage": {}},
}


# --- ours -------------------------------------------------------------------------------------------------------------


class Lane:
    """A router on this loop, connected to the server; its journal is verified at the end."""

    def __init__(self, core: Core, scheduler: LoopScheduler) -> None:
        self.core = core
        self.post: Callable[[AnyFact], None] = _nowhere
        self.canceled: Callable[[ClOrdId, str], None] = _unheard
        self.untrusted: Callable[[], bool] = bool
        self.quiet: Callable[[], Awaitable[None]] = anyio.lowlevel.checkpoint
        self.scheduler = scheduler
        self.waiting: dict[int, asyncio.Future[ExecutionReport]] = {}
        self._loop = asyncio.get_running_loop()
        self._numbers = count()
        self._resting: list[Parent] = []

    def tell(self, happening: Happening) -> None:
        """Hears of everything; the first report of a parent answers who waits for it."""
        if happening.report is not None:
            waiter = self.waiting.pop(happening.parent_no, None)
            if waiter is not None:
                waiter.set_result(happening.report)

    def submit(self, *, may_rest: bool = True) -> asyncio.Future[ExecutionReport]:
        """Route one parent; its first report comes to the future."""
        order = ParentOrder(
            parent_id=ParentId(f"lane-{next(self._numbers)}"),
            symbol="BTC-USDT",
            side=Side.BUY,
            quantity=QUANTITY,
            limit=LIMIT,
            policy="plain_limit",
            deadline_s=600.0,
            may_rest=may_rest,
        )
        venue = admit(self.core, order)
        assert not isinstance(venue, Parent)
        no = len(self.core.parents) + 1
        waiter = self.waiting[no] = self._loop.create_future()
        self.post(Submitted(now_ns=self.scheduler.now_ns(), order=order, venue=venue))
        self._resting.append(self.core.parents[no - 1])
        return waiter

    async def send(self) -> None:
        """Route one parent and come back when its order is acknowledged."""
        acknowledged(await self.submit())

    async def tidy(self) -> None:
        """Withdraw what rests."""
        for parent in self._resting:
            order = parent.children[-1].order
            self.post(CancelAsked(now_ns=self.scheduler.now_ns(), parent_no=parent.no))
            self.canceled(order.cl_ord_id, parent.children[-1].venue_order_id)
            if not parent.ended:
                raise WrongWork(f"a parent did not end when it was canceled: {parent.status}")
        self._resting.clear()
        await self.quiet()


def _nowhere(fact: AnyFact) -> None:
    raise WrongWork(f"the lane is not connected yet and cannot take {fact}")


def _unheard(cl_ord_id: ClOrdId, order_id: str) -> None:
    raise WrongWork(f"the lane is not connected yet and cannot end {cl_ord_id} ({order_id})")


def _sound(market: MarketView) -> bool:
    return market.trust is Trust.OK and bool(market.asks) and market.mark_ticks is not None


def acknowledged(report: ExecutionReport) -> None:
    """Raise unless it is the acknowledgement of an order."""
    if report.exec_type is not ExecType.NEW:
        raise WrongWork(f"an order was answered with {report}")


@asynccontextmanager
async def lane(port: int, directory: Path, *, lean: bool, market: bool = False) -> AsyncIterator[Lane]:
    """A lane that journals into the new directory `directory`."""
    core = Core(policies={"plain_limit": PlainLimit()}, schedules={"immediate": Immediate()}, decider=decide)
    params = parse(param_text(), where=PARAM_SET)
    scheduler = LoopScheduler()
    ours = Lane(core, scheduler)
    with Journal.create(directory, epoch=EPOCH, environment=Environment.SIMULATED) as journal:
        async with anyio.create_task_group() as tasks:
            dispatcher = Dispatcher(core, scheduler=scheduler, recorder=journal, tell=ours.tell)
            ours.post = dispatcher.post
            tasks.start_soon(scheduler.run)
            now_ns = scheduler.now_ns()
            dispatcher.post(SessionStarted(now_ns=now_ns, epoch=EPOCH, version="benchmark", default_set=PARAM_SET))
            dispatcher.post(ParamsAdopted(now_ns=now_ns, name=PARAM_SET, digest=params.digest, text=params.text))
            venue = LaneVenue(f"http://127.0.0.1:{port}", lean=lean, market=market)
            try:
                await venue.connect(dispatcher.sink(venue), scheduler)
                dispatcher.connected(venue)
                ours.canceled, ours.quiet = venue.canceled, venue.quiet
                ours.untrusted = lambda: not _sound(dispatcher.look(venue.name, "BTC-USDT"))
                yield ours
            finally:
                await venue.disconnect()
                scheduler.stop()
        turns = journal.last_turn
    verified = verify(directory)
    if verified.faults or verified.turns != turns:
        raise WrongWork(f"the journal of the lane does not verify: {verified}")


@asynccontextmanager
async def by_us(port: int, *, lean: bool) -> AsyncIterator[Hand]:
    """A parent order, routed."""
    with tempfile.TemporaryDirectory() as directory:
        async with lane(port, Path(directory) / "journal", lean=lean) as ours:
            yield Hand(ours.send, ours.tidy)


# --- arms -------------------------------------------------------------------------------------------------------------

BATCH = 64
"""Orders between two tidyings."""


class Taken(msgspec.Struct, frozen=True):
    """One repetition of an arm, in microseconds: processor time of each order (or an order's share), and wall time."""

    cpu: Sequence[float]
    wall: Sequence[float]


def one_by_one(opened: Opened, port: int, orders: int) -> Taken:
    """Orders one after another, each timed by itself."""

    async def run() -> Taken:
        cpu: list[float] = []
        wall: list[float] = []
        async with opened(port) as hand:
            send = hand.send
            for number in range(WARM_ORDERS + orders):
                if hand.tidy is not None and number % BATCH == 0:
                    await hand.tidy()
                begun_ns, worked_ns = time.perf_counter_ns(), time.process_time_ns()
                await send()
                cpu.append((time.process_time_ns() - worked_ns) / US)
                wall.append((time.perf_counter_ns() - begun_ns) / US)
            if hand.tidy is not None:
                await hand.tidy()
        return Taken(cpu[WARM_ORDERS:], wall[WARM_ORDERS:])

    return on_uvloop(run)


def in_batches(opened: Opened, port: int, orders: int, *, in_flight: int) -> Taken:
    """Orders with so many in flight; processor time is shared out over each batch."""

    async def run() -> Taken:
        cpu: list[float] = []
        wall: list[float] = []

        async def worker(send: Callable[[], Awaitable[None]]) -> None:
            for _ in range(BATCH // in_flight):
                begun_ns = time.perf_counter_ns()
                await send()
                wall.append((time.perf_counter_ns() - begun_ns) / US)

        async with opened(port) as hand:
            for number in range(1 + max(1, orders // BATCH)):
                worked_ns = time.process_time_ns()
                await asyncio.gather(*(worker(hand.send) for _ in range(in_flight)))
                cpu.append((time.process_time_ns() - worked_ns) / US / BATCH)
                if hand.tidy is not None:
                    await hand.tidy()
                if not number:  # to warm up
                    cpu.clear()
                    wall.clear()
        return Taken(cpu, wall)

    return on_uvloop(run)


def on_uvloop(run: Callable[[], Coroutine[object, object, Taken]]) -> Taken:
    """Run one repetition on a loop of its own."""
    import uvloop

    async def bounded() -> Taken:
        async with asyncio.timeout(ARM_S_MAX):
            return await run()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(bounded())


@contextmanager
def on_one_processor() -> Iterator[None]:
    """This process, and what it starts, on the first of its processors only, where the system lets one say so."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Runs:
    """What every arm took, round by round."""

    def __init__(self) -> None:
        self.taken: dict[str, list[Taken]] = {}

    def take(self, arms: Mapping[str, Callable[[], Taken]], *, rounds: int, progress: Callable[[str], None]) -> None:
        """Let the arms take turns; one round more is run first and dropped."""
        names = list(arms)
        for number in range(rounds + 1):
            progress(f"lane: round {number} of {rounds}" if number else "lane: warming up")
            first = number % len(names)
            for name in names[first:] + names[:first]:
                taken = alone(arms[name])
                if number:
                    self.taken.setdefault(name, []).append(taken)

    def row(self, name: str, ours: str, theirs: str, *, what: str, baseline: str, bar: Bar | None = None) -> Row:
        """One arm's processor time against another's."""
        mine, other = self.taken[ours], self.taken[theirs]
        checked = f"every acknowledgement; wall time {_wall(mine)} against {_wall(other)}"
        cpu = [taken.cpu for taken in mine], [taken.cpu for taken in other]
        unit = "us of processor an order"
        return _row(name, *cpu, what=what, baseline=baseline, bar=bar, unit=unit, checked=checked)

    def wall(self, name: str, ours: str, theirs: str, *, what: str, baseline: str, bar: Bar | None = None) -> Row:
        """One arm's wall time against another's."""
        mine, other = self.taken[ours], self.taken[theirs]
        spent = [figure(median([one for taken in arm for one in taken.cpu])) for arm in (mine, other)]
        checked = f"every acknowledgement; processor time {spent[0]} us against {spent[1]}"
        wall = [taken.wall for taken in mine], [taken.wall for taken in other]
        return _row(name, *wall, what=what, baseline=baseline, bar=bar, unit="us", checked=checked)

    def tail(self, name: str, arm: str, *, what: str, bar: Bar) -> Row:
        """99th percentile of an arm's wall time against its median."""
        rounds = self.taken[arm]
        figures = [(percentile(taken.wall), median(taken.wall)) for taken in rounds]
        return Row(
            name=name,
            what=f"{what}: 99th percentile of the wall time of an order",
            baseline="its median",
            unit="us",
            rounds=len(figures),
            ratio=spread([a / b for a, b in figures]),
            ours=spread([a for a, _ in figures]),
            theirs=spread([b for _, b in figures]),
            bar=bar,
            checked="every acknowledgement",
        )


def _row(
    name: str,
    mine: Sequence[Sequence[float]],
    other: Sequence[Sequence[float]],
    *,
    what: str,
    baseline: str,
    bar: Bar | None,
    unit: str,
    checked: str,
) -> Row:
    figures = [(median(a), median(b)) for a, b in zip(mine, other, strict=True)]
    return Row(
        name=name,
        what=what,
        baseline=baseline,
        unit=unit,
        rounds=len(figures),
        ratio=spread([a / b for a, b in figures]),
        ours=spread([a for a, _ in figures]),
        theirs=spread([b for _, b in figures]),
        bar=bar,
        ours_p99=p99([one for taken in mine for one in taken], len(figures)),
        theirs_p99=p99([one for taken in other for one in taken], len(figures)),
        checked=checked,
    )


def percentile(values: Sequence[float]) -> float:
    """The 99th of `values`, which are not empty."""
    return sorted(values)[min(len(values) - 1, len(values) * 99 // 100)]


def _wall(rounds: Sequence[Taken]) -> str:
    every = [one for taken in rounds for one in taken.wall]
    return f"{figure(median(every))} us, p99 {figure(percentile(every))}"


def rows(*, orders: int, rounds: int, progress: Callable[[str], None]) -> list[Row]:
    """Everything about one order, or eight at once."""
    runs = Runs()
    with on_one_processor(), order_server.running() as port:
        openers: dict[str, Opened] = {
            "socket": by_socket,
            "raw": by_protocol,
            "httpx": by_httpx,
            "ccxt": by_ccxt,
            "ours": partial(by_us, lean=False),
            "lean": partial(by_us, lean=True),
        }
        arms = {name: partial(one_by_one, opened, port, orders) for name, opened in openers.items()}
        for name in ("ours", "lean"):
            for many in (1, IN_FLIGHT):
                arms[f"{name}-{many}"] = partial(in_batches, openers[name], port, orders, in_flight=many)
        runs.take(arms, rounds=rounds, progress=progress)
    over_httpx, over_lean = "a parent routed over httpx", "a parent routed over the lean transport"
    floor = "a protocol by hand: template, signature, write, read, decode"
    eight = f"{IN_FLIGHT} in flight"
    return [
        runs.row("g1", "lean", "ccxt", what=over_lean, baseline=f"{CCXT} create_order", bar=Bar(0.20)),
        runs.row("g1-floor", "lean", "raw", what=over_lean, baseline=floor),
        runs.row("g1-socket", "raw", "socket", what=floor, baseline="the same on a blocking socket"),
        runs.row("g2", "ours", "httpx", what=over_httpx, baseline="httpx.AsyncClient.post by hand", bar=Bar(1.10)),
        runs.row("g2-ccxt", "ours", "ccxt", what=over_httpx, baseline=f"{CCXT} create_order"),
        runs.row("g3", f"ours-{IN_FLIGHT}", "ours-1", what=f"{over_httpx}, {eight}", baseline="one", bar=Bar(1.10)),
        runs.tail("g3-tail", f"ours-{IN_FLIGHT}", what=f"{over_httpx}, {eight}", bar=Bar(3.0)),
        runs.row("g3-lean", f"lean-{IN_FLIGHT}", "lean-1", what=f"{over_lean}, {eight}", baseline="one", bar=Bar(1.10)),
        runs.tail("g3-lean-tail", f"lean-{IN_FLIGHT}", what=f"{over_lean}, {eight}", bar=Bar(3.0)),
    ]
