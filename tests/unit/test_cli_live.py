"""Signals as wishes, side by side without groups, warnings shown once: what connected commands stand on."""

import asyncio
import logging
import os
import signal
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from sor.cli.live import BEFORE_ORDERS, Interrupts, beside, run_live
from sor.cli.notes import Notes, noted, unsaid
from sor.cli.stopped import Stopped
from sor.cli.terms import orders
from sor.cli.venue import access_of
from sor.errors import CallerError, JournalFault, NotSent
from sor.journal import Environment
from tests.fakes import acme
from tests.fakes.patience import until


async def pressed(number: int, heard: Callable[[], bool]) -> None:
    """Send this process a signal and wait until it has been heard."""
    os.kill(os.getpid(), number)
    await until(heard)


def test_the_first_signal_stops_and_the_next_one_hurries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sor.cli.live.QUIET_S", 0.0)
    said: list[str] = []

    async def work(interrupts: Interrupts) -> str:
        interrupts.mean(stop=lambda: said.append("stop"), hurry=lambda: said.append("hurry"))
        await pressed(signal.SIGTERM, lambda: said == ["stop"])
        await pressed(signal.SIGINT, lambda: said == ["stop", "hurry"])
        interrupts.mean(stop=lambda: said.append("late"), hurry=lambda: None)
        return f"ended by {interrupts.number}"

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    assert run_live(work) == f"ended by {signal.SIGTERM.value}"
    assert said == ["stop", "hurry", "late"]
    assert {number: signal.getsignal(number) for number in before} == before


def test_a_signal_before_anything_is_ordered_ends_it() -> None:
    async def work(interrupts: Interrupts) -> None:
        assert interrupts.number == 0
        os.kill(os.getpid(), signal.SIGINT)
        await anyio.sleep_forever()

    with pytest.raises(Stopped) as stopped:
        run_live(work)
    assert (stopped.value.exit_code, stopped.value.text) == (130, BEFORE_ORDERS)


@pytest.mark.parametrize("times", [1, 2])
def test_a_signal_while_the_loop_is_taken_down(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """It takes away no answer; only who tries again ends what hangs there."""
    monkeypatch.setattr("sor.cli.stopped.QUIET_S", 0.0)
    close = asyncio.Runner.close

    def closed(runner: asyncio.Runner) -> None:
        close(runner)
        for _ in range(times):
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(asyncio.Runner, "close", closed)

    async def work(interrupts: Interrupts) -> str:
        return "answered"

    if times == 1:
        assert run_live(work) == "answered"
        return
    with pytest.raises(Stopped):
        run_live(work)


def test_what_is_ignored_stays_ignored() -> None:
    """As under nohup, or for a job in the background."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)

    async def work(interrupts: Interrupts) -> int:
        os.kill(os.getpid(), signal.SIGHUP)
        await anyio.sleep(0.01)
        return interrupts.number

    try:
        assert run_live(work) == 0
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_what_is_raised_comes_as_it_is() -> None:
    async def work(interrupts: Interrupts) -> None:
        raise NotSent(f"no line, {interrupts.number}")

    with pytest.raises(NotSent, match="no line, 0"):
        run_live(work)


@pytest.mark.anyio
async def test_side_by_side() -> None:
    done: list[str] = []

    async def quick() -> None:
        await anyio.sleep(0.001)
        done.append("quick")

    async def fails() -> None:
        await anyio.lowlevel.checkpoint()
        raise JournalFault("the disk is full")

    await beside(quick, anyio.sleep_forever)
    assert done == ["quick"]
    with pytest.raises(JournalFault, match="the disk is full"):
        await beside(anyio.sleep_forever, fails)
    with pytest.raises(JournalFault, match="the disk is full"):
        await beside(fails, anyio.sleep_forever)


def test_warnings_are_shown_once_and_information_is_not() -> None:
    said: list[str] = []
    log = logging.getLogger("tests.acme")
    with noted(said.append) as notes:
        log.info("all is well")
        for _ in range(3):
            log.warning("no connection: %s", "refused")
        notes.say = unsaid
        log.warning("nobody hears")
    log.debug("over")
    assert said == ["no connection: refused"]
    assert notes not in logging.getLogger().handlers
    alone = Notes(said.append)
    alone.emit(logging.makeLogRecord({"msg": "straight", "levelno": logging.ERROR}))
    assert said[-1] == "straight"


def test_orders_that_are_settled_by_hand() -> None:
    assert orders(["a=0", "b=0.5"]) == (("a", Decimal(0)), ("b", Decimal("0.5")))
    for pairs in (["a"], ["=1"], ["a=much"], ["a=-1"], ["a=nan"], ["a=1", "a=2"]):
        with pytest.raises(CallerError, match=r"--settle '.*': write each once, like ORDER=0\.01; nothing was done"):
            orders(pairs)


@pytest.mark.parametrize(
    ("venue", "env", "paper", "environment", "journal", "label"),
    [
        ("simulated", None, False, Environment.SIMULATED, "simulated", "simulated"),
        ("acme", None, False, Environment.DEMO, "acme-demo", "acme"),
        ("acme", "vst", False, Environment.DEMO, "acme-demo", "acme (vst)"),
        ("acme", "emulator", False, Environment.SIMULATED, "acme-emulator", "acme (emulator)"),
        ("acme", "live", False, Environment.LIVE, "acme-live", "acme (live)"),
        ("acme", "live", True, Environment.SIMULATED, "paper-acme", "paper on the market of acme (live)"),
    ],
)
def test_every_environment_has_a_journal_of_its_own(
    venue: str,
    env: str | None,
    paper: bool,
    environment: Environment,
    journal: str,
    label: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    acme.install(monkeypatch)
    access = access_of(venue, env=env, secrets=None, pairs=(), paper=paper)
    found = (access.environment, access.journal, access.label)
    assert found == (environment, Path(".sor") / "journals" / journal, label)
