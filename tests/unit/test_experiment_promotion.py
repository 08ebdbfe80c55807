"""Taking a winner over, and going back: what the evidence must show, and what the new set says of itself."""

import json
from datetime import date
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import pytest

from sor.cli.main import run
from sor.errors import CallerError
from sor.events import ParamsAdopted
from sor.experiment.promotion import evidence_for, promoted, rolled_back
from sor.params import ParamSet, ParamStore, parse
from sor.recovery import folded
from sor.router import Core
from sor.sim.world import World
from tests.fakes.bench import BASELINE
from tests.fakes.experiments import experiment_text, run_trial

ZI = {"market": "zi", "latency": "near", "seed": "3"}


@cache
def won() -> tuple[Path, Core]:
    """Both arms of one policy with sets that differ in a tenfold patience, and another whose policy wins."""
    journal = Path(mkdtemp()) / "j"
    text = experiment_text(("cross", "baseline"), ("maker_first", "synthetic"), rule={"parents_min": 40})
    return journal, run_trial(journal, text, parents=120, options=ZI)


def base(set_id: str, **values: str) -> ParamSet:
    content = json.loads(BASELINE.read_text(encoding="utf-8")) | {"set_id": set_id}
    for record in content["records"]:
        record["value"] = values.get(record["id"].replace(".", "_"), record["value"])
    return parse(json.dumps(content), where=set_id)


def with_patience(set_id: str) -> ParamSet:
    """The baseline with one value more."""
    content = json.loads(base(set_id).text)
    extra = {"id": "acme.patience_s", "value": "4", "unit": "s", "bounds": ["0", "9"], "kind": "assumed"}
    content["records"].append({**extra, "source": "test", "observed": "2026-11-25"})
    return parse(json.dumps(content), where=set_id)


def test_a_clear_winner_of_another_policy_needs_a_reason() -> None:
    _, core = won()
    found = evidence_for(core, "trial", "b")
    assert found.against == ("its policy is maker_first, that of a cross: a set carries no policy",)
    with pytest.raises(CallerError, match=r"does not carry b of trial: its policy is .* Nothing was published"):
        promoted(core, found, set_id="patient/2027-01-20", reason="")
    made, text = promoted(core, found, set_id="patient/2027-01-20", reason="the desk names the policy")
    assert parse(text, where="x") == made
    origin = made.origin
    assert origin is not None
    assert (origin.what, origin.set_id, origin.arm, origin.reference) == ("promoted", "synthetic/2026-11-21", "b", "a")
    assert (origin.reason, origin.journal_epoch, origin.parents) == ("the desk names the policy", 7, 120)
    assert origin.gap_bps is not None
    mean, low, high = origin.gap_bps
    assert low < mean < high < 0
    source = core.in_force.sets["synthetic"]
    assert {record.key: record.value for record in made.records} == {one.key: one.value for one in source.records}


def test_a_set_that_won_by_the_same_policy_needs_no_reason(tmp_path: Path) -> None:
    """Under the first set the spread is never calm, so it crosses, which on this market is dearer."""
    strict = base("strict/2026-11-21", placement_calm_spread_max="0.01")
    text = experiment_text(("maker_first", "strict"), ("maker_first", "baseline"), rule={"parents_min": 40})
    core = run_trial(tmp_path / "j", text, parents=120, options=ZI, more_sets={"strict": strict})
    found = evidence_for(core, "trial", "b")
    assert found.against == ()
    made, _ = promoted(core, found, set_id="strict/2027-01-20", reason="")
    [spread] = [record for record in made.records if record.id == "placement.calm_spread_max"]
    assert (str(spread.value), spread.supersedes) == ("5", "strict/2026-11-21")
    assert [record.id for record in made.records if record.supersedes] == ["placement.calm_spread_max"]


def test_what_the_evidence_must_show() -> None:
    _, core = won()
    with pytest.raises(CallerError, match="a is what the other arms of trial are measured by; nothing was published"):
        evidence_for(core, "trial", "a")
    with pytest.raises(CallerError, match="trial has no arm 'z'; nothing was published"):
        evidence_for(core, "trial", "z")


def test_an_arm_that_is_the_same_is_not_promoted(tmp_path: Path) -> None:
    text = experiment_text(("cross", "baseline"), ("cross", "synthetic"))
    core = run_trial(tmp_path / "j", text, parents=80)
    against = evidence_for(core, "trial", "b").against
    assert any("which does not lie below zero" in one for one in against)
    assert any("parents with a cost, and 100 are asked for" in one for one in against)


def test_an_arm_whose_set_changed_is_a_mixture(tmp_path: Path) -> None:
    def publish(world: World) -> None:
        text = base("baseline/2026-11-22", placement_collar_bps="19").text
        world.dispatcher.post(ParamsAdopted(now_ns=world.scheduler.now_ns(), name="baseline", digest="", text=text))

    text = experiment_text(("cross", "baseline"), ("cross", "synthetic"))
    core = run_trial(tmp_path / "j", text, parents=4, meanwhile=publish)
    told = "the param-set of a changed while it ran, so its parents are a mixture"
    assert told in evidence_for(core, "trial", "b").against
    assert told in evidence_for(folded(tmp_path / "j"), "trial", "b").against


def test_a_set_that_gives_less_than_its_family_is_not_promoted() -> None:
    _, core = won()
    found = evidence_for(core, "trial", "b")
    core.in_force.sets["patient"] = with_patience("patient/2027-01-19")
    with pytest.raises(CallerError, match=r"lacks acme.patience_s, which patient/2027-01-19 gives, so no router would"):
        promoted(core, found, set_id="patient/2027-01-20", reason="so")
    del core.in_force.sets["patient"]


def test_going_back_is_a_new_set_that_gives_no_less() -> None:
    old, new = base("mine/2026-11-21"), base("mine/2026-11-25", placement_collar_bps="19")
    set_id, (made, _) = rolled_back((old, new), to=None, reason="it was dearer", today=date(2026, 11, 25))
    assert set_id == "mine/2026-11-26"  # the newest counts, and there is one a day
    assert made.origin is not None
    assert (made.origin.what, made.origin.set_id, made.origin.reason) == (
        "rolled_back",
        "mine/2026-11-21",
        "it was dearer",
    )
    [collar] = [record for record in made.records if record.id == "placement.collar_bps"]
    assert (str(collar.value), collar.supersedes) == ("20", "mine/2026-11-25")
    assert made.lost(new) == ()
    with pytest.raises(CallerError, match=r"no set before mine/2026-11-21 to go back to; nothing was published"):
        rolled_back((old,), to=None, reason="", today=date(2026, 11, 25))


def test_going_back_keeps_what_only_the_newest_gives() -> None:
    old, new = base("mine/2026-11-21"), with_patience("mine/2026-11-25")
    _, (made, _) = rolled_back((old, new), to="mine/2026-11-21", reason="", today=date(2026, 12, 1))
    assert made.set_id == "mine/2026-12-01"
    assert [str(record.value) for record in made.records if record.id == "acme.patience_s"] == ["4"]


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    journal, _ = won()
    sets = tmp_path / "sets"
    promote = ["experiment", "promote", "trial", "--arm", "b", "--journal", str(journal)]
    assert run([*promote, "--out", str(sets / "synthetic" / "2027-01-20.json")]) == 1
    assert "Nothing was published" in capsys.readouterr().err
    assert not sets.exists()
    out = sets / "synthetic" / "2027-01-20.json"
    assert run([*promote, "--out", str(out), "--force", "tried"]) == 0
    assert capsys.readouterr().out.startswith("synthetic/2027-01-20 (")
    store = ParamStore(sets)
    assert store.get("synthetic", now_ns=0).set_id == "synthetic/2027-01-20"
    assert run(["experiment", "rollback", "synthetic", "--param-dir", str(sets), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["restores"] == "synthetic/2026-11-21"
    store.reload()
    newest = store.get("synthetic", now_ns=0)
    assert newest.set_id == told["set"]
    assert {one.key: one.value for one in newest.records} == {
        one.key: one.value for one in store.get("synthetic/2026-11-21", now_ns=0).records
    }
