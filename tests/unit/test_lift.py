"""Halts and their end, from another process: what is refused, what a router that runs does, and the next one."""

import json
from pathlib import Path

import anyio
import pytest

from sor.cli.main import run
from sor.engine import Router
from sor.errors import CallerError, VenueFault
from sor.events import HaltLifted
from sor.journal import Environment, Journal, turns
from sor.journal.wanted import LiftAsked, ask_router
from sor.settings import Settings
from tests.fakes.patience import until
from tests.unit.test_engine import ladder, order
from venues.simulated.adapter import SimulatedVenue

pytestmark = pytest.mark.anyio
Said = pytest.CaptureFixture[str]
REASON = "the venue explained itself"


async def overfilled(router: Router) -> None:
    """A venue that fills more than was asked, and then no more."""
    handle = await router.submit(order("one"))
    await until(lambda: any(alarm.halts for alarm in router.alarms()))
    await handle.result()


def lift(journal: Path, *words: str) -> int:
    return run(["--json", "lift", *words, "--journal", str(journal)])


async def test_a_router_that_runs_takes_it_up_and_has_the_reason_on_record(tmp_path: Path, capsys: Said) -> None:
    venue, journal = ladder(**{"fault.overfill": "1"}), tmp_path / "j"
    async with Router(Settings(journal=journal, switch_poll_s=0.01), venues=[venue]) as router:
        await overfilled(router)
        with pytest.raises(VenueFault, match="is halted"):
            await router.submit(order("two"))
        assert isinstance(venue, SimulatedVenue)
        venue.calm()
        assert await anyio.to_thread.run_sync(lift, journal) == 0
        (told,) = json.loads(capsys.readouterr().out)["halted"]
        assert (told["venue"], told["symbol"], "beyond its quantity" in told["why"]) == ("simulated", "BTCUSDT", True)
        assert await anyio.to_thread.run_sync(lift, journal, "btc-usdt", "--reason", REASON) == 0
        assert json.loads(capsys.readouterr().out)["heeded"] is True
        assert router.alarms()[-1].text == f"BTCUSDT on simulated is halted no more: {REASON}"
        assert (await (await router.submit(order("two"))).result()).filled_lots > 0
        assert await anyio.to_thread.run_sync(lift, journal, "btc-usdt", "--reason", REASON) == 1  # it is not halted
    lifted = [record for turn in turns(journal) for record in turn.records if isinstance(record, HaltLifted)]
    assert [(one.symbol, one.reason) for one in lifted] == [("BTCUSDT", REASON)]


async def test_where_no_router_runs_the_next_one_lifts_it(tmp_path: Path, capsys: Said) -> None:
    journal = tmp_path / "j"
    async with Router(Settings(journal=journal), venues=[ladder(**{"fault.overfill": "1"})]) as router:
        await overfilled(router)
    async with Router(Settings(journal=journal), venues=[ladder()]) as router:
        with pytest.raises(VenueFault, match="is halted"):  # a restart alone changes nothing
            await router.submit(order("two"))
    assert await anyio.to_thread.run_sync(lift, journal, "BTCUSDT", "--reason", REASON) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["router"], said["heeded"]) == (None, False)
    async with Router(Settings(journal=journal), venues=[ladder()]) as router:
        assert (await (await router.submit(order("three"))).result()).filled_lots > 0


async def test_it_stays_halted_while_an_order_of_it_is_not_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    venue, journal = ladder(**{"fault.overfill": "1"}), tmp_path / "j"
    async with Router(Settings(journal=journal, switch_poll_s=0.01), venues=[venue]) as router:
        await overfilled(router)
        (parent,) = router.core.parents
        router.core.parents.at_work[parent.no] = parent  # as if it had not ended
        with pytest.raises(CallerError, match="BTCUSDT on simulated stays halted, nothing was changed: parent one is"):
            router.lift_halt(venue.name, "BTCUSDT", reason=REASON)
        ask_router(journal, LiftAsked(venue="simulated", symbol="BTCUSDT", reason=REASON))
        await until(lambda: "what was asked for is refused: BTCUSDT" in router.alarms()[-1].text)
        del router.core.parents.at_work[parent.no]
        assert router.core.desk.book_of(parent).halted


def test_what_makes_no_sense_is_refused(tmp_path: Path, capsys: Said) -> None:
    journal = tmp_path / "j"
    Journal.create(journal, epoch=7, environment=Environment.SIMULATED).close()
    assert lift(journal) == 0
    assert json.loads(capsys.readouterr().out) == {"halted": []}
    assert lift(journal, "BTCUSDT") == 2
    assert "--reason says" in capsys.readouterr().err
    assert lift(journal, "BTCUSDT", "--reason", REASON) == 1
    assert "BTCUSDT on any venue is not halted; nothing was changed. Halted is: nothing" in capsys.readouterr().err
    assert lift(tmp_path / "none", "BTCUSDT", "--reason", REASON) == 1
