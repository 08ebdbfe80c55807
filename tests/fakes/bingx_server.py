"""The BingX emulator on loopback in a thread of its own, for clients that block or bring their own loop."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import anyio

from sor.clock import LoopScheduler
from tests.fakes.patience import PATIENCE_S
from venues.bingx.emulator.emulator import BingxEmulator, EmulatorSettings
from venues.bingx.emulator.market import start_quiet, start_synthetic
from venues.emulation.link_tcp import serve_tcp
from venues.emulation.server import Server


class Served:
    """An emulator that is up. Touch it only through its addresses: it lives in another thread."""

    def __init__(self) -> None:
        self.port = 0
        self.up = threading.Event()
        self.down = anyio.Event()
        self.problem: BaseException | None = None

    @property
    def rest(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def socket(self) -> str:
        return f"ws://127.0.0.1:{self.port}/swap-market"


@contextmanager
def serving(settings: EmulatorSettings | None = None, *, seed: str = "") -> Iterator[Served]:
    """Serve on a free port. seed: of a market that moves; "" for one that stands still."""
    served = Served()
    stop: list[anyio.CancelScope] = []
    token: list[anyio.lowlevel.EventLoopToken] = []

    async def serve() -> None:
        scheduler = LoopScheduler()
        app = BingxEmulator(scheduler, settings)
        if seed:
            start_synthetic(app.exchange, seed=seed)
        else:
            start_quiet(app.exchange)

        def started(port: int) -> None:
            served.port = port
            served.up.set()

        token.append(anyio.lowlevel.current_token())
        async with anyio.create_task_group() as tasks:
            stop.append(tasks.cancel_scope)
            tasks.start_soon(scheduler.run)
            try:
                await serve_tcp(Server(app, scheduler=scheduler, faults=app.byte_faults), port=0, started=started)
            finally:
                scheduler.stop()

    def run() -> None:
        try:
            anyio.run(serve)
        finally:
            served.up.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert served.up.wait(PATIENCE_S)
    assert served.port, "the emulator did not start"
    try:
        yield served
    finally:
        anyio.from_thread.run_sync(stop[0].cancel, token=token[0])
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
