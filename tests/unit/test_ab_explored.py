"""`sor ab --live` of an exploring policy: its own way beside the others, by the chances that the journal holds."""

import json
from pathlib import Path

import numpy as np
import pytest

from sor.cli.main import run
from sor.errors import CallerError
from sor.journal import turns
from sor.lab.ab.explored import bets_on, compare_explored, first_choices
from sor.lab.ab.page import render
from sor.lab.ab.page_explored import page_of_explored
from sor.lab.ab.paired import Decision
from sor.orders import ParentOrder
from sor.params import parse
from sor.recovery import folded
from tests.fakes.bench import BASELINE
from tests.fakes.experiments import buy_or_sell, experiment_text, run_trial
from tests.fakes.pages import read_page

ZI = {"market": "zi", "latency": "near", "seed": "3"}


def explore(journal: Path, *, epsilon: str, parents: int) -> None:
    """Parents that rest by themselves, and now and then cross."""
    content = json.loads(BASELINE.read_text(encoding="utf-8")) | {"set_id": "curious/2026-11-21"}
    for name, value in (("epsilon", epsilon), ("salt", "5")):
        content["records"].append(
            {
                "id": f"explore.{name}",
                "value": value,
                "unit": "ratio" if name == "epsilon" else "count",
                "bounds": ["0", "0.5"] if name == "epsilon" else ["0", "1000000"],
                "kind": "assumed",
                "source": "test",
                "observed": "2026-11-21",
            }
        )

    def order(number: int) -> ParentOrder:
        return buy_or_sell(number, policy="explore:maker_first", param_set="curious", experiment="")

    text = experiment_text(("cross", "baseline"), ("cross", "baseline"))
    sets = {"curious": parse(json.dumps(content), where="curious")}
    run_trial(journal, text, parents=parents, every_s=6.0, options=ZI, order=order, more_sets=sets)


def test_resting_is_cheaper_than_what_was_tried_instead(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    explore(tmp_path / "j", epsilon="0.4", parents=60)
    arguments = ["ab", "--live", str(tmp_path / "j"), "--a", "explore:maker_first", "--margin-bps", "1"]
    assert run([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["design"], found["decision"], found["n"]) == ("offpolicy", "a", 60)
    assert found["a"]["costed"] + found["b"]["costed"] == 60
    assert found["estimate_bps"]["low"] < found["estimate_bps"]["mean"] < found["estimate_bps"]["high"] < 0.0
    assert found["a"]["snips_bps"] == pytest.approx(found["a"]["dr_bps"], abs=0.2)
    assert run(arguments) == 0
    assert "Decision: a: a is cheaper, however often one has looked" in capsys.readouterr().out
    assert set(found["by_estimator"]) == {"ips", "snips", "dr"}
    assert found["by_estimator"]["dr"] == found["estimate_bps"]
    assert found["by_betting"]["low"] < found["sequential"]["low"] < found["sequential"]["high"]
    assert found["sequential"]["high"] < found["by_betting"]["high"]
    # With one chance for all every parent weighs the same.
    assert found["a"]["effective_n"] == pytest.approx(found["a"]["costed"])
    # With one chance for all the weighted mean is the plain one.
    core = folded(tmp_path / "j")
    records = [record for turn in turns(tmp_path / "j") for record in turn.records]
    assert {chance for chance, _ in first_choices(records, "explore:maker_first").values()} == {0.6}
    seen = compare_explored(core, records, "maker_first")
    means = seen.cost[seen.own].mean(), seen.cost[~seen.own].mean()
    assert [way.bps["snips"] for way in seen.ways] == pytest.approx(means)
    assert np.isfinite(seen.mean)


def test_the_betting_sequence_holds_the_difference_and_finds_one_that_is_large() -> None:
    rng = np.random.default_rng(3)
    chance = rng.choice([0.6, 0.8], 4_000)
    own = rng.random(4_000) < chance
    cost = np.where(own, 2.0, 14.0) + rng.standard_normal(4_000)
    found = bets_on(cost, own, chance)
    assert found.low[-1] < -12.0 < found.high[-1] < 0.0
    assert (found.low[:200].max(), found.high[:200].min()) == (found.low[199], found.high[199])
    nothing = bets_on(np.full(500, 2.0) + rng.standard_normal(500), own[:500], chance[:500])
    assert nothing.low[-1] < 0.0 < nothing.high[-1]


def test_the_page_shows_every_estimator_and_the_dearest_parents(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal, page = tmp_path / "j", tmp_path / "page.html"
    explore(journal, epsilon="0.4", parents=60)
    arguments = ["ab", "--live", str(journal), "--a", "explore:maker_first", "--margin-bps", "1"]
    assert run([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert run([*arguments, "--html", str(page)]) == 0
    told = capsys.readouterr().out
    reader = read_page(page.read_text(encoding="utf-8"))
    assert (reader.count["svg"], reader.count["details"]) == (6, 10)  # nobody wrote down where the mid went
    text = " ".join(reader.words)
    for name, title in (("ips", "IPS"), ("snips", "SNIPS"), ("dr", "doubly robust")):
        one = found["by_estimator"][name]
        assert (
            f"cost(a) - cost(b), {title}, one look {one['mean']:+.4f} ({one['low']:+.4f} to {one['high']:+.4f}) bps"
            in text
        )
        assert f"a, {title}" in text
        assert f"{title} {found['a'][name + '_bps']:+.3f}" in told
    for said in (
        "cost(a) - cost(b) by estimator",
        "Mean cost of each way",
        "The difference as it came",
        "holds at every",
    ):
        assert said in text
    for said in ("Cost of a parent", "Where the cost comes from", "Filled by resting", "size high", "buys", "weights"):
        assert said in text
    assert text.count(f" --journal {journal}") == 10
    assert f"However often one looks: {found['sequential']['low']:+.4f}" in told
    assert run([*arguments, "--html", str(tmp_path / "nowhere" / "page.html")]) == 1


def test_one_that_hardly_explored_concludes_nothing(tmp_path: Path) -> None:
    explore(tmp_path / "j", epsilon="0.06", parents=30)
    core = folded(tmp_path / "j")
    records = [record for turn in turns(tmp_path / "j") for record in turn.records]
    found = compare_explored(core, records, "explore:maker_first")
    assert found.decision is Decision.UNDECIDED
    assert found.why.startswith("nothing can be concluded: ")
    # The page says so, and gives no interval that the weights do not carry.
    assert [way.letter for way in found.ways if not way.intervals] == ["b"]
    text = " ".join(read_page(render(page_of_explored(found, str))).words)
    assert "Decision: " in text
    assert "Nothing can be concluded: " in text
    assert "BROKEN" in text
    with pytest.raises(CallerError, match="of 0 parents of explore:cross that had a choice"):
        compare_explored(core, records, "cross")
