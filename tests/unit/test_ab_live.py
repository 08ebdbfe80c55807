"""`sor ab --live`: arms of an experiment, from its journal; the same is undecided, a planted difference is found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sor.cli.main import run
from sor.errors import CallerError
from sor.experiment.keeper import outcome_of
from sor.experiment.reading import named
from sor.lab.ab.family import Family
from sor.lab.ab.live import OVERLAP_MAX, compare_live, live_document
from sor.lab.ab.live_rows import reports_of, rows_of
from sor.lab.ab.live_several import compare_live_several
from sor.lab.ab.paired import Decision
from sor.orders import ParentOrder, ParentStatus
from sor.router import Core
from tests.fakes.experiments import buy_or_sell, experiment_text, run_trial
from tests.fakes.pages import read_page

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
    core = run_trial(journal, experiment_text(*APART), parents=70, every_s=6.0, options=ZI)
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
    turned = compare_live(core, named(core, None), a="b", b="a")
    assert turned.decision is Decision.A
    assert turned.mean == pytest.approx(-estimate["mean"])
    page = tmp_path / "page.html"
    assert run(["ab", "--live", str(journal), "--experiment", "trial", "--html", str(page)]) == 0
    told = capsys.readouterr().out
    reader = read_page(page.read_text(encoding="utf-8"))
    assert (reader.count["svg"], reader.count["details"]) == (4, 10)  # nobody wrote down where the mid went
    text = " ".join(reader.words)
    for said in ("trial: a against b", "The difference as it came", "holds at every look", "Filled by resting"):
        assert said in text
    assert text.count(f" --journal {journal}") == 10
    dearest = max(core.parents, key=lambda parent: outcome_of(parent, core).cost_bps or 0.0)
    assert f"sor explain {dearest.id} --journal {journal}" in text
    low, high = estimate["low"], estimate["high"]
    assert f"{low:+.4f} to {high:+.4f}" in text
    assert "size high" in text
    assert "Decision: b (b). B is cheaper, however often one has looked, and all guards hold." in told
    with pytest.raises(CallerError, match="trial has the arms a, b; nothing was compared"):
        compare_live(core, named(core, None), a="x", b=None)
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
    experiment = core.in_force.experiments["trial"].experiment
    rows = rows_of(core, experiment, "a", "b", reports_of(core, experiment))
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


@pytest.mark.slow
def test_several_arms_are_told_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    journal = tmp_path / "j"
    core = run_trial(journal, experiment_text(*APART, ALIKE[1]), parents=120, every_s=6.0, options=ZI)
    live = ("ab", "--live", str(journal))
    assert run([*live, "--family", "all", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [found["arms"][letter]["policy"] for letter in "abc"] == ["cross", "maker_first", "cross"]
    assert (found["design"], found["family"], found["experiment"]) == ("parents", "all", "trial")
    assert sum(arm["given"] for arm in found["arms"].values()) == found["n"] == 120
    pairs = {one["first"] + one["second"]: one for one in found["comparisons"]}
    assert {name: one["decision"] for name, one in pairs.items()} == {"ab": "b", "ac": "undecided", "bc": "b"}
    assert (found["decision"], found["cheapest"]) == ("b", ["b"]), found["why"]
    assert pairs["ab"]["sequential"]["e_value"] > 20.0
    assert [pairs[name]["sequential"]["listed"] for name in ("ab", "ac", "bc")] == [True, False, True]
    # Alone the same comparison has a narrower interval and sequence.
    running = named(core, None)
    alone = compare_live(core, running, a="a", b="b")
    assert alone.mean == pairs["ab"]["estimate_bps"]["mean"]
    assert alone.low is not None
    assert alone.low > pairs["ab"]["estimate_bps"]["low"]
    assert alone.looks is not None
    assert alone.looks.low[-1] > pairs["ab"]["sequential"]["low"]
    # Another control, and in words.
    page = tmp_path / "page.html"
    assert run([*live, "--a", "c", "--b", "b", "--b", "a", "--html", str(page)]) == 0
    told = capsys.readouterr().out
    reader = read_page(page.read_text(encoding="utf-8"))
    assert (reader.count["svg"], reader.count["details"]) == (6, 15)
    assert {"Differences, with intervals that hold all at once", "a - b overlap"} <= set(reader.words)
    assert "a c  cross@synthetic" in told
    assert "2 comparisons, each against a" in told
    assert "* found by e-BH" in told
    assert "b is cheaper than a; the cheapest may be b or c" in told
    with pytest.raises(CallerError, match="trial has the arms a, b, c; nothing was compared"):
        compare_live_several(core, running, family=Family.ALL, arms=("a", "a", "c"))
    assert run([*live, "--a", "explore:cross", "--b", "b"]) == 2
