"""The kill switch from outside: the file that a router takes, what it forbids, and what is said of it."""

import json
from decimal import Decimal
from pathlib import Path

import pytest

from sor.adapter import OpenOrder
from sor.cli import stop as stopping
from sor.cli.main import run
from sor.engine import Router
from sor.events import TradingMode
from sor.ids import ClOrdId, ClOrdIdCodec, VenueOrderId
from sor.journal import Environment, Journal
from sor.journal.lock import lock_holder
from sor.journal.switch import SWITCH_NAME, SwitchAsked, ask_switch, switch_asked
from sor.kill import marked
from sor.orders import Side
from sor.settings import Settings
from tests.fakes.bench import BTC
from tests.fakes.patience import until
from tests.unit.test_engine import ladder, order, resting

pytestmark = pytest.mark.anyio
HALT = SwitchAsked(mode=TradingMode.HALTED, reason="drill")
CODEC = ClOrdIdCodec()


def rests(cl_ord_id: str) -> OpenOrder:
    return OpenOrder(
        cl_ord_id=ClOrdId(cl_ord_id),
        venue_order_id=VenueOrderId("v"),
        symbol=BTC,
        side=Side.BUY,
        leaves_lots=1,
        created_ns=0,
        price_ticks=1,
    )


def test_what_may_not_rest_is_told_by_its_mark() -> None:
    entry, leave = CODEC.encode(7, 1, 1, closing=False), CODEC.encode(7, 1, 2, closing=True)
    there = [rests(one) for one in (entry, leave, CODEC.encode(8, 1, 1, closing=False), "by-hand", "")]
    halted = marked(there, CODEC, epoch=7, mode=TradingMode.HALTED)
    assert [one.cl_ord_id for one in halted] == [entry, leave]
    assert [one.cl_ord_id for one in marked(there, CODEC, epoch=7, mode=TradingMode.REDUCE_ONLY)] == [entry]


async def test_a_running_router_heeds_the_file_and_says_what_is_left(tmp_path: Path) -> None:
    venue = ladder()
    async with Router(Settings(journal=tmp_path / "j", switch_poll_s=0.01), venues=[venue]) as router:
        handle = await router.submit(order("rest", policy="plain_limit", limit=Decimal(59990), deadline_s=600.0))
        await resting(router, handle)
        ask_switch(tmp_path / "j", HALT)
        await handle.result()
        await until(lambda: len(router.alarms()) > 1)
        assert switch_asked(tmp_path / "j") is None
        assert [alarm.text for alarm in router.alarms()] == [
            "trading is halted from now on, as was asked for: drill",
            "nothing is left that the switch forbids, by the venues' own word",
        ]
        ask_switch(tmp_path / "j", SwitchAsked(mode=TradingMode.ACTIVE, reason="over"))
        await until(lambda: router.core.breakers.mode is TradingMode.ACTIVE)


async def test_where_no_router_runs_the_next_one_heeds_it_before_it_connects(tmp_path: Path) -> None:
    Journal.create(tmp_path / "j", epoch=7, environment=Environment.SIMULATED).close()
    ask_switch(tmp_path / "j", HALT)
    async with Router(Settings(journal=tmp_path / "j"), venues=[ladder()]) as router:
        assert (router.core.breakers.mode, router.core.breakers.mode_reason) == (TradingMode.HALTED, "drill")
    async with Router(Settings(journal=tmp_path / "j"), venues=[ladder()]) as router:
        assert router.core.breakers.mode is TradingMode.HALTED  # it is in the journal now


async def test_a_file_that_cannot_be_read_halts(tmp_path: Path) -> None:
    async with Router(Settings(journal=tmp_path / "j", switch_poll_s=0.01), venues=[ladder()]) as router:
        (tmp_path / "j" / SWITCH_NAME).write_text("{")
        await until(lambda: router.core.breakers.mode is TradingMode.HALTED)
        assert "cannot be read" in router.core.breakers.mode_reason


async def test_killing_from_a_program_answers_with_what_is_left(tmp_path: Path) -> None:
    async with Router(Settings(journal=tmp_path / "j"), venues=[ladder()]) as router:
        handle = await router.submit(order("rest", policy="plain_limit", limit=Decimal(59990), deadline_s=600.0))
        await resting(router, handle)
        assert await router.kill("drill") == ()
        assert handle.parent.ended


def test_the_holder_of_a_journal_is_named_and_the_lock_stays_free(tmp_path: Path) -> None:
    home = tmp_path / "j"
    assert lock_holder(home) is None
    with Journal.create(home, epoch=7, environment=Environment.SIMULATED):
        assert int(lock_holder(home) or "0") > 0
    assert lock_holder(home) is None
    Journal.open(home, environment=Environment.SIMULATED).close()


def test_a_router_that_does_not_heed_it_is_said_to_be_dangerous(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stopping, "HEED_S", 0.05)
    home = tmp_path / "j"
    words = ("kill", "simulated", "--journal", str(home))
    assert run([*words]) == 1
    assert "there is no journal at" in capsys.readouterr().err
    with Journal.create(home, epoch=7, environment=Environment.SIMULATED):
        assert run([*words]) == 6
        assert "did not heed it within" in capsys.readouterr().out
    assert run([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["router"], told["heeded"], told["mode"]) == (None, False, "halted")
    with monkeypatch.context() as patch:
        patch.setattr("sor.cli.kill.say_json", _interrupted)
        assert run([*words, "--json"]) == 130
    assert capsys.readouterr().err.startswith(
        "sor: interrupted; the switch is moved, and orders may have been withdrawn"
    )
    with Journal.create(tmp_path / "demo", epoch=8, environment=Environment.DEMO):
        pass
    assert run(["kill", "simulated", "--journal", str(tmp_path / "demo")]) == 1
    assert "has demo orders, and simulated is simulated" in capsys.readouterr().err


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt
