"""Links in a task of their own, on asyncio and trio: opened here, closed there, whatever scopes lie between."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from sor.adapter import RequestFailed
from sor.clock import LoopScheduler
from sor.errors import CallerError, NotSent
from sor.instruments import Instrument
from sor.market import BookReset, MarketEvent
from sor.orders import ExecutionReport
from sor.sim.world import VirtualScheduler
from tests.fakes.bingx_rig import BTC, Ear
from tests.fakes.bingx_server import serving
from venues.bingx.adapter import open_venue
from venues.plumbing.frames import Address
from venues.plumbing.jitter import jitter
from venues.plumbing.link_host import Host
from venues.plumbing.link_net import NetLinks
from venues.plumbing.outlet import Outlet

pytestmark = pytest.mark.anyio


class Rooms:
    """What was entered and left."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.poison = anyio.Event()

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
        raise AssertionError("a broken invariant")

    @asynccontextmanager
    async def locked(self) -> AsyncIterator[str]:
        if not self.told:
            raise CallerError("there is no door; nothing was sent")
        yield ""


async def test_a_block_is_entered_here_and_left_inside_another_scope() -> None:
    rooms = Rooms()
    lost: list[str] = []
    host = Host(rooms.block(), lost=lost.append)
    with anyio.CancelScope() as outer:
        assert await host.open() == "inside"
        outer.cancel()
        with anyio.CancelScope(shield=True):  # as a router that is interrupted leaves
            await host.close()
    assert rooms.told == ["in", "out"]
    assert lost == []


async def test_a_cancelled_caller_does_not_take_the_block_with_it() -> None:
    rooms = Rooms()
    host = Host(rooms.block(), lost=lambda _: None)
    with anyio.move_on_after(0.02):
        await host.open()
        await anyio.sleep_forever()
    assert rooms.told == ["in"]
    await host.close()
    assert rooms.told == ["in", "out"]


async def test_a_caller_that_is_cancelled_while_it_opens_leaves_nothing_behind() -> None:
    rooms = Rooms()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await Host(rooms.block(), lost=lambda _: None).open()
    assert rooms.told in ([], ["in", "out"])


async def test_a_block_that_cannot_be_entered_says_why() -> None:
    with pytest.raises(CallerError, match="no door"):
        await Host(Rooms().locked(), lost=lambda _: None).open()


async def test_a_block_that_ends_of_itself_is_told(caplog: pytest.LogCaptureFixture) -> None:
    rooms = Rooms()
    lost: list[str] = []
    host = Host(rooms.block(), lost=lost.append)
    await host.open()
    rooms.poison.set()
    with anyio.fail_after(5):
        while not lost:  # noqa: ASYNC110 - what is waited for is another task
            await anyio.sleep(0.001)
    assert lost[0].startswith("the links ended of themselves: ")
    assert "a broken invariant" in caplog.text
    await host.close()
    assert rooms.told == ["in", "out"]


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
            with anyio.fail_after(10):
                for _ in range(2):
                    await venue.connect(ear, scheduler)
                    assert (await venue.account()).asset == "USDT"
                    venue.subscribe(BTC)
                    ear.markets.clear()
                    while not ear.markets:  # noqa: ASYNC110 - what is waited for is another program's progress
                        await anyio.sleep(0.005)
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
        with anyio.fail_after(20), pytest.raises(NotSent, match="nothing was sent"):
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
