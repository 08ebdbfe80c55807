"""An experiment in a router: recorded with the parent, kept by a restart, stopped by its guards, asked for by files."""

import shutil
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from sor.adapter import VenueAdapter
from sor.cli.main import run
from sor.commands import Alarm, Decided, Happening, Place, Rehearse
from sor.engine import Router, Settings
from sor.errors import CallerError
from sor.events import ArmStopped, ExperimentAdopted, Shadowed, Submitted
from sor.experiment.keeper import outcome_of, watches_of
from sor.experiment.shadow import shadowed
from sor.journal import Record, turns
from sor.journal.wanted import StartAsked, StopAsked, ask_router, refusal_of, wanted
from sor.orders import ParentOrder, ParentStatus
from sor.params import Params
from sor.policy import Decision
from sor.recovery import folded
from sor.revisit import Revisit
from sor.sim.world import World
from sor.snapshot import View
from tests.fakes.experiments import buy_or_sell, experiment_text, run_trial
from tests.fakes.patience import until
from tests.fakes.views import view
from venues.simulated.adapter import open_venue

TWO = (("cross", "baseline"), ("maker_first", "baseline"))


def near_ladder() -> VenueAdapter:
    return open_venue({"market": "ladder", "latency": "near"})


def records(journal: Path) -> list[Record]:
    return [record for turn in turns(journal) for record in turn.records]


def test_the_journal_alone_says_who_got_what_and_by_which_chance(tmp_path: Path) -> None:
    core = run_trial(tmp_path / "j", experiment_text(*TWO), parents=40)
    facts = [record for record in records(tmp_path / "j") if isinstance(record, Submitted)]
    assert {fact.order.policy for fact in facts} == {"cross"}  # the order stays as it was handed in
    assert {fact.assigned.arm for fact in facts if fact.assigned is not None} == {"a", "b"}
    assert all(fact.assigned is not None and fact.assigned.propensity == 0.5 for fact in facts)
    for parent, fact in zip(core.parents, facts, strict=True):
        assert fact.assigned is not None
        assert (parent.policy, parent.set_name) == (fact.assigned.policy, fact.assigned.param_set)
        assert parent.policy == {"a": "cross", "b": "maker_first"}[fact.assigned.arm]
    by = {record.parent_no: record.by for record in records(tmp_path / "j") if isinstance(record, Decided)}
    assert all(by[parent.no] in (parent.policy, "deadline") for parent in core.parents)
    again = folded(tmp_path / "j")
    assert [parent.assigned for parent in again.parents] == [parent.assigned for parent in core.parents]
    live, read = watches_of(core)["trial"].arms["b"], watches_of(again)["trial"].arms["b"]
    assert (live.over, live.cost.total, live.gap.total) == (read.over, read.cost.total, read.gap.total)


def test_an_arm_that_does_harm_takes_no_more_parents_and_what_it_has_goes_on(tmp_path: Path) -> None:
    zi = {"market": "zi", "latency": "near", "seed": "3"}
    text = experiment_text(("maker_first", "baseline"), ("cross", "baseline"), guards={"harm_bps": "0.5"})
    core = run_trial(tmp_path / "j", text, parents=150, options=zi)
    [stop] = [record for record in records(tmp_path / "j") if isinstance(record, ArmStopped)]
    assert (stop.arm, stop.guard) == ("b", "harm")
    alarms = [record.text for record in records(tmp_path / "j") if isinstance(record, Alarm)]
    assert alarms[0].startswith("arm b of experiment trial takes no more parents, those that it has go on: guard harm")
    after = [parent for parent in core.parents if parent.accepted_ns > stop.now_ns]
    assert after
    assert {(parent.assigned.arm, parent.assigned.why) for parent in after if parent.assigned is not None} == {
        ("", "fewer than two arms are left")
    }
    assert {parent.policy for parent in after} == {"cross"}  # their own
    assert all(parent.ended for parent in core.parents)
    assert watches_of(core)["trial"].arms["b"].over == watches_of(core)["trial"].arms["b"].given
    assert folded(tmp_path / "j").in_force.experiments["trial"].stopped.keys() == {"b"}


def test_a_parent_is_costed_once_what_trades_has_been_carried_out(tmp_path: Path) -> None:
    seen: list[int] = []

    def watch(world: World) -> None:
        trial = world.keeper.watches["trial"]
        told = world.keeper.told

        def between(happening: Happening) -> None:
            before = sum(arm.over for arm in trial.arms.values())
            told(happening)
            seen.append(sum(arm.over for arm in trial.arms.values()) - before)

        world.keeper.told = between  # type: ignore[method-assign]

    core = run_trial(tmp_path / "j", experiment_text(TWO[0], TWO[0]), parents=10, meanwhile=watch)
    assert set(seen) == {0}
    assert sum(arm.over for arm in watches_of(core)["trial"].arms.values()) == 10


def test_a_record_that_contradicts_itself_has_no_cost_and_stops_nobody(tmp_path: Path) -> None:
    core = run_trial(tmp_path / "j", experiment_text(TWO[0], TWO[0]), parents=2)
    assert outcome_of(core.parents[0], core).cost_bps is not None
    core.parents[0].markouts.append(("E-1", 1, 0))
    assert outcome_of(core.parents[0], core).cost_bps is None


def test_shadows_decide_beside_and_nothing_of_them_reaches_a_venue(tmp_path: Path) -> None:
    shadow = {"name": "patient", "policy": "maker_first", "param_set": "baseline"}
    text = experiment_text(("cross", "baseline"), ("cross", "baseline"), shadows=[shadow])
    run_trial(tmp_path / "with", text, parents=10)
    run_trial(tmp_path / "without", experiment_text(("cross", "baseline"), ("cross", "baseline")), parents=10)
    told = [record for record in records(tmp_path / "with") if isinstance(record, Shadowed)]
    assert {record.policy for record in told} == {"maker_first"}
    assert {record.decision.reason for record in told} == {"rest"}
    assert {record.parent_no for record in told} == set(range(1, 11))
    with_it, without = (
        [record for record in records(tmp_path / name) if isinstance(record, Place)] for name in ("with", "without")
    )
    assert with_it == without
    assert not any(isinstance(record, Shadowed) for record in records(tmp_path / "without"))


class Counting:
    """Counts how often it was asked, by its memory alone."""

    name = "join_and_cross"
    needs = ()

    def decide(self, view: View, params: Params) -> Decision:
        """Nothing, and one more."""
        del params
        asked = view.memory.get("asked", 0.0) + 1.0
        return Decision(placements=(), revisit=Revisit(), reason="counting", memory={"asked": asked})


def test_a_shadow_is_handed_back_what_it_wants_to_remember_and_nothing_of_the_policy(tmp_path: Path) -> None:
    shadow = {"name": "other", "policy": "join_and_cross", "param_set": "baseline"}
    core = run_trial(tmp_path / "j", experiment_text(TWO[0], TWO[0], shadows=[shadow]), parents=1)
    parent = core.parents[0]
    parent.shadows.clear()
    core.deciding.policies = {"join_and_cross": Counting()}
    wish = Rehearse(parent.no, view(memory={"asked": 40.0}))
    for asked in (1.0, 2.0):
        [fact] = shadowed(core, wish, now_ns=core.now_ns)
        assert fact.decision.memory == {"asked": asked}
        core.step(fact)


def test_a_shadow_has_its_own_memory(tmp_path: Path) -> None:
    shadows = [
        {"name": "other", "policy": "join_and_cross", "param_set": "synthetic"},
        {
            "name": "mute",
            "policy": "explore:cost_aware",
            "param_set": "baseline",
        },  # which does not say how much to explore
    ]
    core = run_trial(tmp_path / "j", experiment_text(TWO[0], TWO[0], shadows=shadows), parents=3)
    assert all(parent.shadows.keys() == {"other"} and parent.shadows["other"] for parent in core.parents)
    assert all(not parent.memory for parent in core.parents)


def test_a_parent_that_an_arm_would_refuse_goes_by_its_own_terms(tmp_path: Path) -> None:
    def order(number: int) -> ParentOrder:
        return buy_or_sell(number)

    text = experiment_text(("cross", "baseline"), ("plain_limit", "baseline"))  # which wants a limit price
    core = run_trial(tmp_path / "j", text, parents=3, order=order)
    for parent in core.parents:
        assert parent.assigned is not None
        assert parent.assigned.why.startswith("arm b would refuse it: ")
        assert parent.policy == "cross"


def test_stopped_by_hand(tmp_path: Path) -> None:
    def stop(world: World) -> None:
        world.keeper.heed(StopAsked(experiment="trial", arm="", reason="enough"))
        with pytest.raises(CallerError, match="has ended, and one that goes on later is another one"):
            world.keeper.heed(StartAsked(text=experiment_text(*TWO), where="x"))
        with pytest.raises(CallerError, match=r"trial has no arm 'z'; nothing was changed\. It has a, b"):
            world.keeper.heed(StopAsked(experiment="trial", arm="z", reason="enough"))

    core = run_trial(tmp_path / "j", experiment_text(*TWO), parents=20, meanwhile=stop)
    arms = [parent.assigned.arm for parent in core.parents if parent.assigned is not None]
    assert [bool(arm) for arm in arms] == [True] * 11 + [False] * 9  # it was asked when the eleventh had come


def test_an_order_that_names_no_experiment_of_the_journal_is_refused(tmp_path: Path) -> None:
    def order(number: int) -> ParentOrder:
        return buy_or_sell(number, experiment="trail")

    with pytest.raises(CallerError, match=r"there is no experiment 'trail'; nothing was sent\. Started .*: trial$"):
        run_trial(tmp_path / "j", experiment_text(*TWO), parents=1, order=order)


@pytest.mark.parametrize(
    ("arm", "why"),
    [
        (("nobody", "baseline"), "names policy 'nobody', which is not installed; nothing was changed"),
        (("cross", "nowhere"), "names param-set 'nowhere', which is not loaded; nothing was changed"),
    ],
)
def test_an_arm_that_cannot_be_is_refused_at_the_start(tmp_path: Path, arm: tuple[str, str], why: str) -> None:
    with pytest.raises(CallerError, match=why):
        run_trial(tmp_path / "j", experiment_text(("cross", "baseline"), arm), parents=1)


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_router_takes_up_what_is_left_for_it_and_a_restart_goes_on(tmp_path: Path) -> None:
    journal = tmp_path / "j"
    settings = Settings(journal=journal, switch_poll_s=0.005)

    async with Router(settings, venues=[near_ladder()]) as router:
        path = ask_router(journal, StartAsked(text=experiment_text(TWO[0], TWO[0]), where="trial.json"))
        await until(lambda: not path.exists())
        first = await router.submit(buy_or_sell(1))
        await first.result()
        assert first.parent.assigned is not None
        assert first.parent.assigned.arm
        again = await router.submit(buy_or_sell(1))
        assert again.parent is first.parent  # the same order is the same parent (P4)
        bad = ask_router(journal, StartAsked(text="{", where="bad.json"))
        await until(lambda: not bad.exists())
        refused = refusal_of(bad)
        assert refused is not None
        assert refused.startswith("bad.json:1: column 2: this is not JSON")
        assert refusal_of(bad) is None
        assert any("bad.json" in alarm.text for alarm in router.alarms())
    left = ask_router(journal, StopAsked(experiment="trial", arm="", reason="enough"))
    assert wanted(journal) == [left]
    async with Router(settings, venues=[near_ladder()]) as router:
        assert wanted(journal) == []
        assert router.core.in_force.experiments["trial"].ended == "enough"
        assert router.core.parents[0].assigned == first.parent.assigned
        second = await router.submit(buy_or_sell(2))
        await second.result()
        assert second.parent.assigned is not None
        assert (second.parent.assigned.arm, second.parent.assigned.why) == ("", "enough")


@pytest.mark.anyio
async def test_a_parent_of_an_experiment_may_end_while_the_next_process_starts(tmp_path: Path) -> None:
    """It is paused, so that nothing of it is at the venue, and is not to go on: it ends before a venue is there."""
    first = tmp_path / "first"
    async with Router(Settings(journal=first), venues=[near_ladder()]) as router:
        path = ask_router(first, StartAsked(text=experiment_text(TWO[0], TWO[0]), where="trial.json"))
        await until(lambda: not path.exists())
        parent = (await router.submit(buy_or_sell(1, schedule="twap", deadline_s=600.0))).parent
        router.pause(parent.id)
        await until(lambda: not parent.open_children)
        shutil.copytree(first, tmp_path / "j")  # as a process that is killed leaves it
    async with Router(Settings(journal=tmp_path / "j", resume=()), venues=[near_ladder()]) as router:
        assert router.handle(parent.id).status is ParentStatus.CANCELED
    assigned = parent.assigned
    assert assigned is not None
    arm = watches_of(folded(tmp_path / "j"))["trial"].arms[assigned.arm]
    assert (arm.given, arm.over) == (1, 1)


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    journal, file = tmp_path / "j", tmp_path / "next.json"
    run_trial(journal, experiment_text(*TWO), parents=40)
    file.write_text(experiment_text(*TWO, name="next"), encoding="utf-8")
    assert run(["experiment", "start", str(file), "--journal", str(journal)]) == 0
    assert "is left for the journal's next router" in capsys.readouterr().out
    assert len(wanted(journal)) == 1
    file.write_text(experiment_text(*TWO), encoding="utf-8")
    assert run(["experiment", "start", str(file), "--journal", str(journal)]) == 1
    assert "experiment trial runs already; nothing was changed" in capsys.readouterr().err
    assert run(["experiment", "start", str(tmp_path / "none.json"), "--journal", str(journal)]) == 1
    assert "none.json cannot be read" in capsys.readouterr().err
    assert run(["experiment", "status", "--journal", str(journal)]) == 0
    told = capsys.readouterr().out
    assert told.startswith("trial (")
    assert "holds   b harm, limit 20 bps above a" in told
    assert run(["experiment", "status", "trial", "--json", "--journal", str(journal)]) == 0
    document = msgspec.json.decode(capsys.readouterr().out)
    [one] = document["experiments"]
    assert [(arm["name"], arm["given"], arm["over"]) for arm in one["arms"]] == [("a", 23, 23), ("b", 17, 17)]
    assert one["arms"][0]["gap_bps"] is None
    assert one["arms"][1]["gap_bps"]["n"] == 39
    assert run(["experiment", "status", "other", "--journal", str(journal)]) == 1
    assert (
        "there is no experiment 'other'; nothing was changed. Started on this journal: trial" in capsys.readouterr().err
    )
    assert run(["experiment", "stop", "trial", "--arm", "b", "--journal", str(journal)]) == 0
    assert "arm b of trial takes no more parents from the next start on" in capsys.readouterr().out


def test_what_is_adopted_is_the_whole_text(tmp_path: Path) -> None:
    run_trial(tmp_path / "j", experiment_text(*TWO), parents=1)
    [fact] = [record for record in records(tmp_path / "j") if isinstance(record, ExperimentAdopted)]
    again = folded(tmp_path / "j").in_force.experiments["trial"]
    assert (fact.digest, again.since_ns) == (again.experiment.digest, fact.now_ns)
    assert again.experiment.guards.harm_bps == Decimal(20)
