"""A param-set on its way into a running router: file, store, fact in the journal, core, decision."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from sor.clock import LoopScheduler
from sor.commands import Alarm, Decided
from sor.decide import Recorded
from sor.decide import decide as decide_for_real
from sor.engine import Router, Settings
from sor.errors import CallerError
from sor.events import ParamsAdopted
from sor.ids import ParentId
from sor.intake import admit
from sor.journal import turns
from sor.orders import ParentOrder, Side
from sor.plugins import Plugins
from sor.recovery import fold
from sor.units import NS
from tests.fakes.bench import BASELINE, START_NS, Bench, decided, param_text, parent_order
from tests.fakes.policies import Immediate, ScriptedPolicy, decision, rest
from venues.simulated.adapter import open_venue

# --- the core: a set is a fact ----------------------------------------------------------------------------------------


class Needy(ScriptedPolicy):
    """Needs one parameter of its own beside what the machines read."""

    needs: tuple[str, ...] = ("acme.patience_s",)


def bench(policy: ScriptedPolicy) -> Bench:
    return Bench(decide_for_real, policies={"scripted": policy}, schedules={"immediate": Immediate()})


def adopt(one: Bench, text: str) -> list[str]:
    """A set comes into force as `baseline`; the alarms it raises."""
    wishes = one.post(ParamsAdopted(now_ns=one.now_ns, name="baseline", digest="", text=text))
    return [wish.text for wish in wishes if isinstance(wish, Alarm)]


def with_record(text: str, **changes: object) -> str:
    """The set with one more value, `acme.patience_s`."""
    content = json.loads(text)
    record = {
        "id": "acme.patience_s",
        "value": "4.5",
        "unit": "s",
        "bounds": ["0", "10"],
        "kind": "assumed",
        "source": "test",
        "observed": "2026-01-02",
    }
    content["records"].append(record | changes)
    return json.dumps(content)


def test_a_new_set_counts_from_the_next_decision_of_a_parent_at_work() -> None:
    wait = decision(rest("acme", 100, 9_999, until_ns=START_NS + 50 * NS))
    one = bench(ScriptedPolicy([wait, wait]))
    parent = one.submit(parent_order())
    assert one.core.in_force.limits(parent, one.core.now_ns).collar_bps == 50.0
    assert adopt(one, param_text({"risk.collar_bps": "30"})) == []
    assert one.core.in_force.limits(parent, one.core.now_ns).collar_bps == 30.0
    one.ack(parent.open_children[0])
    [again] = decided(one.wake_by_market(parent))
    assert again.params_digest == one.core.in_force.sets["baseline"].digest


def test_a_set_that_gives_less_is_not_taken_and_somebody_is_told() -> None:
    one = bench(ScriptedPolicy())
    parent = one.submit(parent_order())
    before = one.core.in_force.sets["baseline"]
    [alarm] = adopt(one, param_text(without=("risk.collar_bps", "placement.dwell_ms")))
    assert alarm.startswith("param-set baseline: baseline/2026-11-21 stays, as ")
    assert alarm.endswith(" lacks placement.dwell_ms, risk.collar_bps")
    assert one.core.in_force.sets["baseline"] is before
    assert one.core.in_force.limits(parent, one.core.now_ns).collar_bps == 50.0


def test_a_set_that_lacks_what_the_machines_read_takes_nobody_in() -> None:
    one = bench(ScriptedPolicy())
    text = param_text(without=("risk.collar_bps",)).replace("baseline/2026-11-21", "part/2026-11-21")
    one.post(ParamsAdopted(now_ns=one.now_ns, name="part", digest="", text=text))
    with pytest.raises(
        CallerError,
        match=r"^param-set 'part' does not give risk.collar_bps for BTCUSDT on acme now, which the router needs; "
        r"nothing was sent. Add them to the set, or name another$",
    ):
        admit(one.core, parent_order(param_set="part"))


def test_what_the_policy_needs_is_asked_for_at_the_door() -> None:
    one = bench(Needy())
    with pytest.raises(CallerError, match=r"does not give acme.patience_s .* which 'scripted' needs; nothing was sent"):
        admit(one.core, parent_order())
    adopt(one, with_record(param_text()))
    assert admit(one.core, parent_order()) == "acme"


def test_a_value_that_runs_out_is_refused_at_the_door_and_kept_for_whoever_works() -> None:
    one = bench(Needy())
    until = "2027-01-15T08:00:10Z"  # ten seconds after the bench starts
    adopt(one, with_record(param_text(), valid_until=until))
    parent = one.submit(parent_order())
    one.run_for(11 * NS)
    with pytest.raises(CallerError, match=r"does not give acme.patience_s"):
        admit(one.core, parent_order("P2"))
    params, _ = one.core.in_force.resolved("baseline", parent.instrument, one.core.now_ns)
    assert params["acme.patience_s"] == 4.5


def test_a_value_that_follows_another_counts_from_its_first_moment() -> None:
    one = bench(Needy())
    until = "2027-01-15T08:00:10Z"
    later = {"value": "2", "scope": {"venue": "acme"}, "valid_from": until}
    adopt(one, with_record(with_record(param_text()), **later))
    parent = one.submit(parent_order())
    assert one.core.in_force.resolved("baseline", parent.instrument, one.core.now_ns)[0]["acme.patience_s"] == 4.5
    one.run_for(11 * NS)
    one.wake_by_market(parent)
    assert one.core.in_force.resolved("baseline", parent.instrument, one.core.now_ns)[0]["acme.patience_s"] == 2.0


# --- the router: a set is a file --------------------------------------------------------------------------------------


def write(root: Path, set_id: str, changes: dict[str, str] | None = None, **fields: object) -> Path:
    """The baseline under another name, with other values."""
    content = json.loads(BASELINE.read_text(encoding="utf-8")) | {"set_id": set_id} | fields
    for record in content["records"]:
        record["value"] = (changes or {}).get(record["id"], record["value"])
    file = root / f"{set_id}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content), encoding="utf-8")
    return file


def buy(name: str) -> ParentOrder:
    return ParentOrder(
        parent_id=ParentId(name), symbol="BTCUSDT", side=Side.BUY, quantity=Decimal("0.5"), policy="cross"
    )


@pytest.mark.anyio
async def test_a_changed_file_is_a_fact_in_the_journal_and_what_is_decided_by(tmp_path: Path) -> None:
    sets = tmp_path / "sets"
    file = write(sets, "mine/2026-01-02")
    settings = Settings(journal=tmp_path / "j", param_dirs=(sets,), default_set="mine", params_poll_s=0)
    async with Router(settings, venues=[open_venue({"market": "ladder", "latency": "near"})]) as router:
        await (await router.submit(buy("first"))).result()
        before = router.core.in_force.sets["mine"].digest
        write(sets, "mine/2026-01-02", {"placement.collar_bps": "19"})
        assert len(router.reload_params()) == 1
        after = router.core.in_force.sets["mine"].digest
        await (await router.submit(buy("second"))).result()
        file.write_text("{ not json", encoding="utf-8")
        assert len(router.reload_params()) == 1
        assert router.core.in_force.sets["mine"].digest == after
    records = [record for turn in turns(tmp_path / "j") for record in turn.records]
    adopted = [record.digest for record in records if isinstance(record, ParamsAdopted) and record.name == "mine"]
    assert adopted == [before, after]
    collars = {
        record.params_digest: [number for name, number in record.decision.inputs if name == "collar_ticks"]
        for record in records
        if isinstance(record, Decided) and record.by == "cross"
    }
    assert list(collars) == [before, after]
    assert collars[before] > collars[after]
    plugins = Plugins.installed()
    again = fold(
        (turn.records for turn in turns(tmp_path / "j")),
        policies=plugins.policies,
        schedules=plugins.schedules,
        decisions=Recorded(),
    )
    assert again.in_force.sets["mine"].digest == after


@pytest.mark.anyio
async def test_a_set_for_later_stops_nobody_and_comes_into_force_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead_ns = 0
    real = LoopScheduler.now_ns
    monkeypatch.setattr(LoopScheduler, "now_ns", lambda scheduler: real(scheduler) + ahead_ns)
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    sets = tmp_path / "sets"
    write(sets, "mine/2026-01-02")
    write(sets, "mine/2026-01-03", {"placement.collar_bps": "19"}, valid_from=tomorrow.isoformat())
    settings = Settings(journal=tmp_path / "j", param_dirs=(sets,), default_set="mine", params_poll_s=0)
    async with Router(settings, venues=[open_venue({"market": "ladder"})]) as router:
        assert router.core.in_force.sets["mine"].set_id == "mine/2026-01-02"
        assert "mine/2026-01-03" not in router.core.in_force.sets
        ahead_ns = 2 * 86_400 * NS
        assert router.reload_params() == []
        assert router.core.in_force.sets["mine"].set_id == "mine/2026-01-03"
        (sets / "mine").rename(tmp_path / "gone")
        assert router.reload_params() == []
        assert router.core.in_force.sets["mine"].set_id == "mine/2026-01-03"


@pytest.mark.anyio
async def test_an_unknown_default_set_ends_the_start_in_one_sentence(tmp_path: Path) -> None:
    settings = Settings(journal=tmp_path / "j", default_set="mine")
    with pytest.raises(CallerError, match=r"no param-set 'mine'; nothing was sent. There are: baseline/2026-11-21"):
        async with Router(settings, venues=[open_venue({"market": "ladder"})]):
            pass
