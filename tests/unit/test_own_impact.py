"""What a replay would have cost if own takes had moved the market: by hand, and through the commands."""

from __future__ import annotations

import json
from math import sqrt
from pathlib import Path

import msgspec
import numpy as np
import pytest

from sor.cli.main import run
from sor.errors import CallerError
from sor.lab.own_impact import Flow, Scenario, flow_of, paid_on_top_bps
from sor.lab.plan import Plan, synthetic_ground
from sor.orders import Side
from sor.tca import ParentRecord
from sor.units import BPS, NS
from tests.fakes.tapes import Group, Traded, tape_of
from tests.unit.test_tca import fill, known, parent

FLOW = Flow(volatility_bps=2.0, lots_per_s=100.0)
SCENARIO = Scenario(coefficient=1.0, half_life_s=10.0)


def pieces(*lives: tuple[int, int, bool], side: Side = Side.BUY, ended_s: int = 60) -> ParentRecord:
    """A parent of 100 lots with fills (second, lots, maker)."""
    fills = [
        fill(f"x{at}", lots, 10_000, 20_000, maker=maker, side=side, heard_ns=second * NS)
        for at, (second, lots, maker) in enumerate(lives)
    ]
    record = known(parent(*fills, side=side), decision=20_000, arrival=20_000, end=20_000)
    return msgspec.structs.replace(record, accepted_ns=0, ended_ns=ended_s * NS)


@pytest.mark.parametrize("side", list(Side))
def test_later_pieces_pay_what_earlier_ones_moved(side: Side) -> None:
    # 25 of 100 lots move it by 2 sqrt(1/4) = 1 bp; a half-life later 0.5 is left, which 75 of 100 lots pay.
    (on_top,) = paid_on_top_bps([pieces((1, 25, False), (11, 75, False), side=side)], SCENARIO, FLOW)
    assert on_top == pytest.approx(0.375)
    # The 75 add 2 sqrt(1) - 2 sqrt(1/4) = 1 bp to the 0.5; a half-life later a resting order pays half of that.
    record = msgspec.structs.replace(pieces((1, 25, False), (11, 75, False), (21, 40, True), side=side), qty_lots=140)
    (on_top,) = paid_on_top_bps([record], SCENARIO, FLOW)
    assert on_top == pytest.approx((75 * 0.5 + 40 * 0.75) / 140)


def test_one_sweep_and_resting_orders_move_nothing_for_themselves() -> None:
    at_once, resting = pieces((1, 50, False), (1, 50, False)), pieces((1, 50, True), (2, 50, True))
    assert paid_on_top_bps([at_once, resting], SCENARIO, FLOW).tolist() == [0.0, 0.0]


def test_what_is_left_is_completed_at_the_moved_price() -> None:
    (on_top,) = paid_on_top_bps([pieces((1, 25, False), ended_s=11)], SCENARIO, FLOW)
    assert on_top == pytest.approx(0.75 * 0.5)


def test_the_moves_of_all_pieces_add_up_to_the_law() -> None:
    slow = Scenario(coefficient=3.0, half_life_s=1e9)
    lots = (10, 20, 30, 39)
    taken = [(second, each, False) for second, each in enumerate(lots)]
    (on_top,) = paid_on_top_bps([pieces(*taken, (9, 1, True))], slow, FLOW)
    before = np.cumsum([0, *lots])
    paid = [3.0 * 2.0 * sqrt(each / 100.0) for each in before]
    expected = sum(each * at_price for each, at_price in zip((*lots, 1), paid, strict=True)) / 100
    assert on_top == pytest.approx(expected)


def test_together_one_moves_the_market_for_the_other() -> None:
    first, other, seller = pieces((1, 25, False)), pieces((11, 100, True)), pieces((11, 100, True), side=Side.SELL)
    first = msgspec.structs.replace(first, qty_lots=25)
    assert paid_on_top_bps([first, other, seller], SCENARIO, FLOW).tolist() == [0.0, 0.0, 0.0]
    assert paid_on_top_bps([first, other, seller], SCENARIO, FLOW, together=True) == pytest.approx([0.0, 0.5, -0.5])


def test_a_parent_that_has_not_ended_has_no_figure() -> None:
    record = msgspec.structs.replace(pieces((1, 25, False)), ended_ns=None)
    assert np.isnan(paid_on_top_bps([record], SCENARIO, FLOW)).tolist() == [True]


def test_flow_is_read_off_the_recording() -> None:
    """Twenty seconds in which the mid goes one tick up and one down by turns; 30 lots bought and 10 sold in each."""
    first = Group(0, 0, [(1, 9_999, 50), (-1, 10_001, 50)], snapshot=True)
    groups, trades = [first], []
    for second in range(1, 21):
        at = second * NS - NS // 2
        up = second % 2
        levels = [(1, 9_999, 0), (-1, 10_001, 0), (1, 10_000, 50), (-1, 10_002, 50)]
        back = [(1, 10_000, 0), (-1, 10_002, 0), (1, 9_999, 50), (-1, 10_001, 50)]
        groups.append(Group(at, at, levels if up else back))
        trades += [Traded(at - 1, at - 1, 1, 10_001, 30), Traded(at - 1, at - 1, -1, 9_999, 10)]
    found = flow_of(tape_of(groups, trades))
    assert found.volatility_bps == pytest.approx(BPS / 10_000, rel=1e-3)
    assert found.lots_per_s == pytest.approx(20.0, rel=0.06)  # the seconds begin and end between trades
    with pytest.raises(CallerError, match="has no trade or no move of the mid"):
        flow_of(tape_of(groups))


@pytest.mark.parametrize("wrong", [(0.0, 1.0), (11.0, 1.0), (1.0, 0.0), (1.0, 1e6), (float("nan"), 1.0)])
def test_a_scenario_out_of_bounds_is_refused(wrong: tuple[float, float]) -> None:
    with pytest.raises(CallerError, match="nothing was replayed"):
        Scenario(*wrong).check()


def test_a_market_that_reacts_takes_no_scenario() -> None:
    with pytest.raises(CallerError, match="reacts to own orders by itself; nothing was replayed"):
        synthetic_ground(Plan(policies=("cross",), impact=SCENARIO), start_ns=0, spacing_s=1.0)


@pytest.mark.slow
def test_both_commands_say_what_the_scenario_comes_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["tape", "record", "--out", "zi.tape", "--for", "200s", "--seed", "5"]) == 0
    terms = ["--parents", "20", "--impact", "2~30s", "--schedule", "twap", "--schedule-arg", "slices=3"]

    def say() -> str:
        return capsys.readouterr().out

    say()
    assert run(["replay", "zi.tape", "--policies", "cross,maker_first", *terms, "--json"]) == 0
    document = json.loads(say())
    impact = document["impact"]
    assert (impact["coefficient"], impact["half_life_s"]) == (2.0, 30.0)
    crossed, rested = (one["cost"]["mean"] for one in impact["policies"])
    plain = [one["cost_bps"]["mean"] for one in document["policies"]]
    # Who takes in three pieces pays for the earlier ones; who rests moves less.
    assert crossed - plain[0] > max(0.0, rested - plain[1])
    assert impact["policies"][1]["against_first"]["mean"] == pytest.approx(rested - crossed)
    assert run(["replay", "zi.tape", "--policies", "cross,maker_first", *terms]) == 0
    assert "A scenario, not a measurement" in say()

    assert run(["ab", "--a", "maker_first", "--b", "cross", "--tape", "zi.tape", *terms, "--together", "--json"]) == 0
    guard = json.loads(say())["guards"]["impact"]
    assert guard["holds"]
    assert "if own takes had moved the market" in guard["says"]
