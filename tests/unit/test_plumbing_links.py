"""Links in a task of their own, on asyncio and trio: opened here, closed there, whatever scopes lie between."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from sor.adapter import Reach, RequestFailed
from sor.clock import LoopScheduler
from sor.errors import CallerError, NotSent
from sor.instruments import Instrument
from sor.market import BookReset, MarketEvent
from sor.orders import ExecutionReport
from sor.sim.world import VirtualScheduler
from tests.fakes.bingx_rig import BTC, Ear
from tests.fakes.bingx_server import serving
from tests.fakes.patience import PATIENCE_S, until
from venues.bingx.adapter import BingxVenue, open_venue
from venues.bingx.options import read
from venues.plumbing.frames import Address
from venues.plumbing.jitter import jitter
from venues.plumbing.link_host import AGAIN_MAX, Host
from venues.plumbing.link_lean_net import LeanLinks
from venues.plumbing.link_net import NetLinks
from venues.plumbing.outlet import Outlet
from venues.plumbing.relay import Relay
from venues.plumbing.transport import Broken, Cause, WireRequest

pytestmark = pytest.mark.anyio
LOST = "the links ended of themselves: AssertionError; they are opened again"


def ignore(told: object) -> None:
    """Nobody listens."""
    del told


class Rooms:
    """What was entered and left. deadly: its poison works every time."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.poison = anyio.Event()
        self.deadly = False

    @asynccontextmanager
    async def block(self) -> AsyncIterator[str]:
        self.told.append("in")
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._wait_for_poison)
                yield "inside"
                tasks.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.01)
                self.told.append("out")

    async def _wait_for_poison(self) -> None:
        await self.poison.wait()
        if not self.deadly:
            self.poison = anyio.Event()
        raise AssertionError("a broken invariant")

    @asynccontextmanager
    async def locked(self) -> AsyncIterator[str]:
        if not self.told:
            raise CallerError("there is no door; nothing was sent")
        yield ""


async def test_a_block_is_entered_here_and_left_inside_another_scope() -> None:
    rooms = Rooms()
    lost: list[str] = []
    host = Host(rooms.block, lost=lost.append, back=ignore)
    with anyio.CancelScope() as outer:
        assert await host.open() == "inside"
        outer.cancel()
        with anyio.CancelScope(shield=True):  # as a router that is interrupted leaves
            await host.close()
    assert rooms.told == ["in", "out"]
    assert lost == []


async def test_a_cancelled_caller_does_not_take_the_block_with_it() -> None:
    rooms = Rooms()
    host = Host(rooms.block, lost=ignore, back=ignore)
    with anyio.CancelScope() as scope:
        await host.open()
        scope.cancel()
        await anyio.sleep_forever()
    assert rooms.told == ["in"]
    await host.close()
    assert rooms.told == ["in", "out"]


async def test_a_caller_that_is_cancelled_while_it_opens_leaves_nothing_behind() -> None:
    rooms = Rooms()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await Host(rooms.block, lost=ignore, back=ignore).open()
    assert rooms.told in ([], ["in", "out"])


async def test_a_block_that_cannot_be_entered_says_why() -> None:
    with pytest.raises(CallerError, match="no door"):
        await Host(Rooms().locked, lost=ignore, back=ignore).open()


async def test_a_block_that_ends_of_itself_is_told_and_entered_again(caplog: pytest.LogCaptureFixture) -> None:
    rooms = Rooms()
    lost: list[str] = []
    back: list[str] = []
    host = Host(rooms.block, lost=lost.append, back=back.append)
    await host.open()
    rooms.poison.set()
    await until(lambda: bool(back))
    assert lost == ["the links ended of themselves: AssertionError; they are opened again"]
    assert "a broken invariant" in caplog.text
    assert rooms.told == ["in", "out", "in"]
    await host.close()
    assert rooms.told == ["in", "out", "in", "out"]
    assert (len(lost), back) == (1, ["inside"])


async def test_a_block_that_ends_again_and_again_stays_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("venues.plumbing.link_host.AGAIN_S", 0.001)
    rooms = Rooms()
    lost: list[str] = []
    host = Host(rooms.block, lost=lost.append, back=ignore)
    await host.open()
    rooms.deadly = True
    rooms.poison.set()
    await until(lambda: len(lost) == AGAIN_MAX + 1)
    await anyio.sleep(0.05)
    assert rooms.told == ["in", "out"] * (AGAIN_MAX + 1)
    assert [text.endswith("they are opened again") for text in lost] == [True] * AGAIN_MAX + [False]
    assert lost[-1].endswith("6 times in a row; they stay closed. Start the router again")
    await host.close()


async def test_a_block_that_waits_to_be_entered_again_can_be_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("venues.plumbing.link_host.AGAIN_S", 10 * PATIENCE_S)
    rooms = Rooms()
    lost: list[str] = []
    host = Host(rooms.block, lost=lost.append, back=ignore)
    await host.open()
    rooms.poison.set()
    await until(lambda: bool(lost))
    with anyio.fail_after(PATIENCE_S):
        await host.close()
    assert rooms.told == ["in", "out"]


async def stumble() -> None:
    """A bug in a task of the links."""
    raise AssertionError("a broken invariant")


def break_net(links: NetLinks) -> None:
    """One of its tasks raises what nobody catches."""
    assert links._session.inside is not None
    links._session.inside.tasks.start_soon(stumble)


def break_lean(links: LeanLinks) -> None:
    """A listener raises what nobody catches."""
    assert links._session.inside is not None
    links._session.inside.net.failed(AssertionError("a broken invariant"))


@pytest.mark.parametrize("kind", [NetLinks, LeanLinks])
async def test_an_adapter_whose_links_end_of_themselves_goes_on(
    tmp_path: Path, kind: type[NetLinks] | type[LeanLinks], anyio_backend_name: str
) -> None:
    if kind is LeanLinks and anyio_backend_name == "trio":
        pytest.skip("lean links need asyncio")
    with serving() as served:
        made: list[NetLinks | LeanLinks] = []

        def links() -> NetLinks | LeanLinks:
            made.append(kind())
            return made[-1]

        settings = {"env": "emulator", "url": served.rest, "symbols": "BTCUSDT", "leverage_cache": str(tmp_path)}
        venue = BingxVenue(read(settings), links)
        ear = Ear()
        scheduler = LoopScheduler()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(scheduler.run)
            await venue.connect(ear, scheduler)
            try:
                venue.subscribe(BTC)
                await until(lambda: bool(ear.markets))
                (link,) = made
                if isinstance(link, NetLinks):
                    break_net(link)
                else:
                    break_lean(link)
                await until(lambda: (False, LOST) in ear.links)
                await until(lambda: ear.links[-1] == (True, ""))
                assert (await venue.account()).asset == "USDT"
                ear.markets.clear()
                await until(lambda: bool(ear.markets))
            finally:
                await venue.disconnect()
                scheduler.stop()
                tasks.cancel_scope.cancel()
    assert len(made) == 1


async def test_net_links_open_once_and_take_host_addresses_alone() -> None:
    links = NetLinks()
    with pytest.raises(CallerError, match="not open"):
        links.carrier(lambda: Address("ws://127.0.0.1:1/"))
    scheduler = LoopScheduler()
    with pytest.raises(CallerError, match="a base address is"):
        await links.open("http://127.0.0.1:1/path", scheduler=scheduler, lost=lambda _: None)
    await links.open("http://127.0.0.1:1", scheduler=scheduler, lost=lambda _: None)
    with pytest.raises(CallerError, match="open already"):
        await links.open("http://127.0.0.1:1", scheduler=scheduler, lost=lambda _: None)
    await links.close()
    await links.close()


async def test_an_adapter_over_tcp_connects_trades_and_leaves(tmp_path: Path) -> None:
    with serving() as served:
        venue = open_venue(
            {"env": "emulator", "url": served.rest, "symbols": "BTCUSDT", "leverage_cache": str(tmp_path)}
        )
        ear = Ear()
        scheduler = LoopScheduler()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(scheduler.run)
            with anyio.fail_after(PATIENCE_S):
                for _ in range(2):
                    await venue.connect(ear, scheduler)
                    assert (await venue.account()).asset == "USDT"
                    venue.subscribe(BTC)
                    ear.markets.clear()
                    await until(lambda: bool(ear.markets))
                    await venue.disconnect()
                    await anyio.sleep(0.5)  # the mode may be read twice a second
            scheduler.stop()
            tasks.cancel_scope.cancel()
        assert ear.links[0] == (True, "")


async def test_an_adapter_that_finds_nobody_is_not_sent() -> None:
    venue = open_venue({"env": "emulator", "url": "http://127.0.0.1:9"})
    scheduler = LoopScheduler()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(scheduler.run)
        with anyio.fail_after(PATIENCE_S), pytest.raises(NotSent, match="nothing was sent"):
            await venue.connect(Ear(), scheduler)
        scheduler.stop()
        tasks.cancel_scope.cancel()


class Raising:
    """A sink that fails at everything."""

    def execution(self, event: ExecutionReport | RequestFailed) -> None:
        raise RuntimeError("execution")

    def market(self, event: MarketEvent) -> None:
        raise RuntimeError("market")

    def instrument(self, instrument: Instrument) -> None:
        raise RuntimeError("instrument")

    def link(self, up: bool, reason: str) -> None:
        raise RuntimeError("link")


def test_a_relay_sends_nothing_while_nothing_carries() -> None:
    told: list[object] = []
    relay = Relay()
    request = WireRequest(method="GET", target=b"/", deadline_ns=1)
    relay.send(request, told.append)
    assert [(one.reach, one.cause) for one in told if isinstance(one, Broken)] == [(Reach.NOT_SENT, Cause.CLOSED)]
    relay.inner = Relay()
    relay.send(request, told.append)
    assert len(told) == 2


def test_an_outlet_never_raises_and_its_scheduler_does() -> None:
    time = VirtualScheduler(0)
    outlet = Outlet(Raising(), time)
    outlet.link(True, "")
    outlet.market(BookReset(symbol=BTC, recv_ns=0))
    outlet.execution(RequestFailed(cl_ord_id="x", request="place", reach="in_doubt"))  # type: ignore[arg-type]
    outlet.instrument(None)  # type: ignore[arg-type]
    for what in ("link", "market", "execution", "instrument"):
        with pytest.raises(RuntimeError, match=what):
            time.run_until(0)
    outlet.close()
    outlet.link(True, "")
    time.run_until(0)


def test_jitter_is_uniform_and_a_function_of_its_seed() -> None:
    draws = [jitter(seed)() for seed in range(1_000)]
    assert all(0 <= draw < 1 for draw in draws)
    assert abs(sum(draws) / len(draws) - 0.5) < 0.03
    first, again = jitter(7), jitter(7)
    assert [first() for _ in range(5)] == [again() for _ in range(5)]
    assert len(set(draws)) == 1_000
    # The reference implementation's first output for seed 0, as a fraction of 2**64.
    assert jitter(0)() == pytest.approx(0xE220A8397B1DCDAF / 2**64, abs=1e-15)
