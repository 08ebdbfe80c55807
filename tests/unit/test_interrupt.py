"""Ctrl-C in a live strategy, on both loops: a real signal to a real process."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sor.journal import verify
from tests.fakes.patience import PATIENCE_S

REPO = Path(__file__).resolve().parents[2]
STRATEGY = """
import os
import signal
import sys
from decimal import Decimal
from pathlib import Path

import anyio

from sor.engine import Router, Settings
from sor.ids import ParentId
from sor.orders import ParentOrder, Side
from venues.simulated.adapter import SimulatedVenue
from venues.simulated.options import read

class Interrupting(SimulatedVenue):
    async def connect(self, sink, scheduler):
        self.scheduler = scheduler
        await super().connect(sink, scheduler)

    def submit(self, order):
        super().submit(order)
        if sys.argv[3] == "turn" and order.cl_ord_id.endswith("k-0001e"):  # the twentieth
            self.interrupt()

    def interrupt(self):
        os.kill(os.getpid(), signal.SIGINT)


venue = Interrupting(read({"market": "ladder", "latency": "near"}))


async def main():
    async with Router(Settings(journal=Path(sys.argv[1])), venues=[venue]) as router:
        for no in range(20):
            await router.submit(
                ParentOrder(
                    parent_id=ParentId(f"rest-{no}"), symbol="BTCUSDT", side=Side.BUY, quantity=Decimal("0.1"),
                    policy="plain_limit", limit=Decimal(59990), deadline_s=600.0,
                )
            )
        while sum(one.leaves_lots for one in venue.audit()) < 2000:
            await anyio.sleep(0.01)
        print("resting", flush=True)
        if sys.argv[3] == "timer":
            venue.scheduler.call_at(venue.scheduler.now_ns(), venue.interrupt)
        await anyio.sleep_forever()


try:
    anyio.run(main, backend=sys.argv[2])
finally:
    print("left", sum(one.leaves_lots for one in venue.audit()), flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("strikes", ["anywhere", "timer", "turn"])
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_ctrl_c_withdraws_everything(tmp_path: Path, backend: str, strikes: str) -> None:
    """Whether it comes from outside at any time, or while a timer of the router's runs, or in the middle of a turn."""
    process = subprocess.Popen(
        [sys.executable, "-c", STRATEGY, str(tmp_path / "journal"), backend, strikes],
        env={**os.environ, "PYTHONPATH": str(REPO)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    if strikes == "anywhere":
        assert process.stdout.readline() == "resting\n"
        process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert out.splitlines()[-1] == "left 0"
    assert "KeyboardInterrupt" in err.splitlines()[-1]
    assert verify(tmp_path / "journal").faults == ()


@pytest.mark.slow
def test_a_kill_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """`kill -9`: the journal verifies, and holds every parent that `submit` had returned for."""
    process = subprocess.Popen(
        [sys.executable, "-c", STRATEGY, str(tmp_path / "journal"), "asyncio", "never"],
        env={**os.environ, "PYTHONPATH": str(REPO)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "resting\n"
    process.kill()
    process.communicate(timeout=PATIENCE_S)
    found = verify(tmp_path / "journal")
    assert found.faults == ()
    assert found.records > 60  # 20 parents, each at least submitted, decided and placed
