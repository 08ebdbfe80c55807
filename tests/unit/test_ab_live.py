"""`sor ab --live`: arms of an experiment, from its journal; the same is undecided, a planted difference is found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sor.cli.main import run
from sor.errors import CallerError
from sor.experiment.reading import named
from sor.lab.ab.live import OVERLAP_MAX, compare_live, live_document, rows_of
from sor.lab.ab.paired import Decision
from sor.orders import ParentOrder, ParentStatus
from sor.router import Core
from tests.fakes.experiments import buy_or_sell, experiment_text, run_trial

ZI = {"market": "zi", "latency": "near", "seed": "3"}
LADDER = {"market": "ladder", "latency": "near"}
APART = (("cross", "baseline"), ("maker_first", "baseline"))
ALIKE = (("cross", "baseline"), ("cross", "synthetic"))
"""Crossing reads no more than the collar, which both sets have alike."""
PERIODS = {"by": "period", "eligible": {"venues": ["simulated"], "symbols": ["BTCUSDT"]}}


def held(core: Core, **terms: object) -> tuple[Decision, str, dict[str, bool]]:
    live = compare_live(core, named(core, None), a=None, b=None, **terms)  # type: ignore[arg-type]
    return live.decision, live.why, {guard.name: guard.holds for guard in live.guards}


def test_a_planted_difference_is_found_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    journal = tmp_path / "j"
    run_trial(journal, experiment_text(*APART), parents=70, every_s=6.0, options=ZI)
    assert run(["ab", "--live", str(journal), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["design"], found["decision"], found["n"], found["units"]) == ("parents", "b", 70, 70)
    assert (found["a"]["arm"], found["b"]["policy"]) == ("a", "maker_first")
    assert found["a"]["given"] + found["b"]["given"] == 70
    estimate, sequential = found["estimate_bps"], found["sequential"]
    assert 0.0 < estimate["low"] < estimate["mean"] < estimate["high"]
    assert 0.0 < sequential["low"] < sequential["high"]
    assert 30 <= sequential["stopped_at"] <= 70
    assert sequential["p_always_valid"] < 0.05
    assert all(guard["holds"] for guard in found["guards"].values())
    assert set(found["guards"]) == {"costed", "tail", "sample ratio", "overlap", "a_a"}
    # The other way round: the same, with the sign turned.
    assert run(["ab", "--live", str(journal), "--a", "b", "--b", "a", "--json"]) == 0
    turned = json.loads(capsys.readouterr().out)
    assert (turned["decision"], turned["estimate_bps"]["mean"]) == ("a", pytest.approx(-estimate["mean"]))
    assert run(["ab", "--live", str(journal), "--experiment", "trial"]) == 0
    told = capsys.readouterr().out
    assert "Decision: b (b). B is cheaper, however often one has looked, and all guards hold." in told
    assert run(["ab", "--live", str(journal), "--a", "x"]) == 1
    assert "trial has the arms a, b; nothing was compared" in capsys.readouterr().err
    assert run(["ab", "--live", str(journal), "--synthetic", "5m"]) == 2


def test_arms_that_do_the_same_are_not_told_apart_and_the_page_says_how_many_would(tmp_path: Path) -> None:
    core = run_trial(tmp_path / "j", experiment_text(*ALIKE), parents=120, every_s=2.0, options=LADDER)
    decision, why, guards = held(core, effect_bps=0.5)
    assert (decision, why) == (Decision.UNDECIDED, "the sequence that may be watched holds zero")
    assert guards["sample ratio"]
    document = live_document(compare_live(core, named(core, None), a=None, b=None, effect_bps=0.000001))
    assert isinstance(document["needed_n"], int)


def test_arms_that_are_the_same_are_never_decided_between(tmp_path: Path) -> None:
    core = run_trial(tmp_path / "j", experiment_text(APART[0], APART[0]), parents=40, options=LADDER)
    assert held(core)[:2] == (Decision.UNDECIDED, "both arms are the same: whatever differs is chance")


@pytest.mark.parametrize(("lag", "said"), [(0, "however often one has looked"), (2, "for one look at the end")])
def test_a_switchback_finds_it_by_its_coins(tmp_path: Path, lag: int, said: str) -> None:
    text = experiment_text(*APART, **PERIODS, period_s="5", lag=lag)  # type: ignore[arg-type]
    core = run_trial(tmp_path / "j", text, parents=80, every_s=6.0, options=ZI)
    live = compare_live(core, named(core, None), a=None, b=None, margin_bps=0.5)
    assert (live.design, live.decision) == ("switchback", Decision.B), live.why
    assert live.why == f"b is cheaper, {said}, and all guards hold"
    assert (live.looks is None) is bool(lag)
    assert live.units < live.blocks  # some periods had no parent
    assert live.low is not None
    assert 0.0 < live.low < live.mean


def test_parents_that_touch_each_other_decide_nothing(tmp_path: Path) -> None:
    def order(number: int) -> ParentOrder:
        return buy_or_sell(number, deadline_s=40.0)

    core = run_trial(tmp_path / "j", experiment_text(*APART), parents=8, every_s=0.05, options=ZI, order=order)
    rows = rows_of(core, core.experiments["trial"].experiment, "a", "b")
    assert rows.overlapping > OVERLAP_MAX
    decision, why, guards = held(core)
    assert decision is Decision.UNDECIDED
    assert why.endswith("are too few for an error that can be believed: it takes 10")
    assert not guards["overlap"]
    assert all(parent.status is ParentStatus.FILLED for parent in core.parents)


def test_an_arm_without_parents_is_said(tmp_path: Path) -> None:
    core = run_trial(tmp_path / "j", experiment_text(*APART), parents=1)
    with pytest.raises(CallerError, match="one arm has no parent with a cost yet; nothing was compared"):
        held(core)
