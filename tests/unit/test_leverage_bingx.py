"""Leverage on the emulated BingX (B1, B2, B4), in virtual time."""

import logging
from decimal import Decimal
from pathlib import Path

import anyio
import pytest

from sor.adapter import LeverageSet
from sor.errors import CallerError, InDoubt, NotSent
from tests.fakes.bingx_rig import BTC, Meddler, Rig, in_time

pytestmark = pytest.mark.anyio
SET = "POST /openApi/swap/v2/trade/leverage"
ASK = "GET /openApi/swap/v2/trade/leverage"


@pytest.fixture
async def rig(tmp_path: Path) -> Rig:
    return await Rig(tmp_path).connect()


async def set_to(rig: Rig, leverage: str) -> LeverageSet:
    return await rig.wait(rig.venue.set_leverage(BTC, Decimal(leverage)))


async def test_b1_a_leverage_that_is_in_force_costs_nothing(rig: Rig) -> None:
    assert await set_to(rig, "2") == LeverageSet(asked=Decimal(2), in_force=2, sent=True)
    assert rig.requests() == [SET]
    assert await set_to(rig, "2") == LeverageSet(asked=Decimal(2), in_force=2, sent=False)
    assert rig.requests() == []


@pytest.mark.parametrize(
    ("asked", "got"), [("0.3", 1), ("1", 1), ("1.99", 1), ("2.5", 2), ("3", 3), ("3.01", 3), ("125", 3), ("1E+9", 3)]
)
async def test_b4_it_is_rounded_down_between_one_and_the_cap(rig: Rig, asked: str, got: int) -> None:
    done = await set_to(rig, asked)
    assert (done.in_force, done.clamped) == (got, Decimal(asked) != got)


@pytest.mark.parametrize("asked", ["0", "-1", "NaN", "Infinity"])
async def test_b4_what_is_no_leverage_is_refused(rig: Rig, asked: str) -> None:
    with pytest.raises(CallerError, match="nothing was sent"):
        await set_to(rig, asked)
    assert rig.requests() == []


async def test_b4_the_cap_is_an_option(tmp_path: Path) -> None:
    rig = await Rig(tmp_path, settings={"leverage_cap": "20"}).connect()
    assert (await set_to(rig, "50")).in_force == 20


async def test_b1_a_refused_post_leaves_what_is_known(rig: Rig) -> None:
    await set_to(rig, "2")
    rig.switch("refuse=code=101414,on=leverage")
    with pytest.raises(CallerError, match="101414"):
        await set_to(rig, "3")
    rig.requests()
    assert not (await set_to(rig, "2")).sent
    rig.switch("-refuse")
    assert (await set_to(rig, "3")).sent


async def test_b1_a_post_without_an_answer_is_doubt_and_tried_again(rig: Rig) -> None:
    await set_to(rig, "2")
    rig.switch("answer-never=on=leverage")
    with pytest.raises(InDoubt):
        await set_to(rig, "3")
    rig.switch("-answer-never")
    assert (await set_to(rig, "2")).sent  # whether 2 is still in force is not known


async def test_b1_it_survives_a_restart_of_the_process(rig: Rig) -> None:
    await set_to(rig, "2")
    await rig.wait(rig.venue.disconnect())
    rig.venue = rig.new_venue()
    await rig.connect()
    assert not (await set_to(rig, "2")).sent


async def test_b2_a_leverage_that_somebody_changed_is_found_on_connect_and_said_loudly(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    await set_to(rig, "2")
    await rig.wait(rig.venue.disconnect())
    second = rig.new_venue()
    rig.options["leverage_cache"] = str(rig.folder / "elsewhere")
    stranger = rig.new_venue()
    rig.run(1_500)  # the mode may be read twice a second
    await rig.wait(stranger.connect(rig.other_ear, rig.time))
    await rig.wait(stranger.set_leverage(BTC, Decimal(3)))
    await rig.wait(stranger.disconnect())
    rig.run(1_500)
    with caplog.at_level(logging.ERROR):
        await rig.wait(second.connect(rig.ear, rig.time))
    assert "is 3 at BingX and was remembered as 2: somebody else has changed it" in caplog.text
    assert not (await rig.wait(second.set_leverage(BTC, Decimal(3)))).sent
    assert (await rig.wait(second.set_leverage(BTC, Decimal(2)))).sent


async def test_b2_a_comparison_that_fails_drops_the_entry_and_blocks_nothing(rig: Rig) -> None:
    await set_to(rig, "2")
    await rig.wait(rig.venue.disconnect())
    rig.venue = rig.new_venue()
    rig.switch("rate-limited=on=trade/leverage,count=1")
    before_ns = rig.time.now_ns()
    await rig.wait(rig.venue.connect(rig.ear, rig.time))
    assert rig.time.now_ns() - before_ns < 5_000_000_000
    rig.run(301_000)
    assert (await set_to(rig, "2")).sent


async def test_b1_a_pushed_change_updates_what_is_known(tmp_path: Path) -> None:
    meddler = Meddler()
    rig = await Rig(tmp_path, wrap=meddler).connect()
    await set_to(rig, "2")
    rig.run(10_000)
    meddler.push({"e": "ACCOUNT_CONFIG_UPDATE", "E": 1, "ac": {"s": "BTC-USDT", "l": 3, "S": 3, "mt": "cross"}})
    meddler.push({"e": "ACCOUNT_CONFIG_UPDATE", "E": 1, "ac": {"s": "ETH-USDT", "l": 3, "S": 3, "mt": "cross"}})
    rig.run(10)
    assert not (await set_to(rig, "3")).sent
    assert (await rig.wait(rig.venue.set_leverage("ETHUSDT", Decimal(3)))).sent  # type: ignore[arg-type]


async def test_b1_in_hedge_mode_both_sides_are_set(tmp_path: Path) -> None:
    rig = await Rig(tmp_path, hedge=True).connect()
    assert (await set_to(rig, "2")).sent
    assert rig.requests() == [SET, SET]
    assert not (await set_to(rig, "2")).sent
    assert rig.requests() == []


async def test_b1_two_that_want_two_leverages_take_turns(rig: Rig) -> None:
    order: list[str] = []

    async def want(leverage: str) -> None:
        await rig.venue.set_leverage(BTC, Decimal(leverage))
        order.append(leverage)

    async def both() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(want, "2")
            tasks.start_soon(want, "3")

    await in_time(rig.time, both())
    assert rig.requests() == [SET, SET]
    assert len(order) == 2
    last = order[-1]
    assert not (await set_to(rig, last)).sent


async def test_b1_when_nobody_is_there_nothing_is_sent(rig: Rig) -> None:
    rig.net.refusing = True
    rig.links[0].drop()
    with pytest.raises(NotSent, match="nothing was sent"):
        await set_to(rig, "2")
