"""State out of a journal: the same facts give the same wishes, or recovery says where they do not."""

import msgspec
import pytest

from sor.commands import Decided, Ended, Place
from sor.decide import Checked, Recorded, decide
from sor.errors import ReplayDiverged
from sor.ids import ParentId
from sor.parent import Parent
from sor.policy import POLICY_FAULT, Decision, Placement
from sor.recovery import fold
from sor.snapshot import View
from sor.units import MS, NS
from tests.fakes.bench import A, Bench, parent_order, state_of
from tests.fakes.policies import ScriptedPolicy, Wanting, ask_policy, decision, rest, take

P1 = ParentId("P1")


def worked(bench: Bench) -> Parent:
    """A parent that rested, timed out, and was crossed by the machine at its deadline."""
    parent = bench.submit(parent_order(deadline_s=10.0))
    bench.ack(parent.children[0])
    bench.run_for(5 * NS)
    bench.canceled(parent.children[0], 10)
    bench.run_for(4_500 * MS)
    bench.trade(parent.children[-1], 90, 10_001)
    assert parent.ended
    return parent


def rested() -> Bench:
    wanting = Wanting()
    wanting.wishes[P1] = lambda view: decision(*rests(view))
    return Bench(wanting)


def rests(view: View) -> list[Placement]:
    """Rest for five seconds once."""
    return [] if view.timeouts else [rest(A, view.open_lots, 9_999, until_ns=view.now_ns + 5 * NS)]


def folded(bench: Bench, decisions: Recorded | None = None) -> list[object]:
    core = fold(
        bench.journal,
        policies=bench.policies,
        schedules=bench.schedules,
        decisions=Recorded() if decisions is None else decisions,
    )
    return state_of(core)


def test_a_journal_gives_the_state_back() -> None:
    bench = rested()
    worked(bench)
    assert folded(bench) == state_of(bench.core)


def test_any_beginning_of_a_journal_folds() -> None:
    bench = rested()
    worked(bench)
    whole = bench.journal
    for turns in range(len(whole)):
        bench.journal = whole[:turns]
        folded(bench)


def test_another_wish_is_named() -> None:
    bench = rested()
    worked(bench)
    for turn in bench.journal:
        for at, record in enumerate(turn):
            if isinstance(record, Place):
                turn[at] = msgspec.structs.replace(record, expire_ns=record.expire_ns + 1)
    with pytest.raises(ReplayDiverged, match=r"turn \d+: the journal records Place\(.*, the fold makes Place\("):
        folded(bench)


def test_a_wish_too_many_or_too_few_is_counted() -> None:
    bench = rested()
    worked(bench)
    turn = next(turn for turn in bench.journal if any(isinstance(record, Ended) for record in turn))
    turn[:] = [record for record in turn if not isinstance(record, Ended)]
    with pytest.raises(ReplayDiverged, match=r"the journal records 0 wishes, the fold makes 1"):
        folded(bench)


def test_a_missing_decision_is_named() -> None:
    bench = rested()
    worked(bench)
    for turn in bench.journal:
        turn[:] = [record for record in turn if not isinstance(record, Decided)]
    with pytest.raises(ReplayDiverged, match="holds no decision of parent 'P1'"):
        folded(bench)


def scripted(*decisions: Decision) -> Bench:
    return Bench(ask_policy, policies={"scripted": ScriptedPolicy(decisions)})


def test_a_newer_policy_does_not_change_what_was_decided_but_a_check_tells() -> None:
    bench = scripted(decision(take(A, 60, 10_001)))
    bench.submit(parent_order())
    bench.policies = {"scripted": ScriptedPolicy([decision(take(A, 50, 10_001), reason="newer")])}
    assert folded(bench) == state_of(bench.core)
    with pytest.raises(ReplayDiverged, match="decided 'scripted' then and decides 'newer' now"):
        folded(bench, Checked())


def test_a_policy_that_is_gone_is_not_missed_by_a_fold() -> None:
    bench = scripted(decision(take(A, 60, 10_001)))
    bench.submit(parent_order())
    bench.policies = {}
    assert folded(bench) == state_of(bench.core)


def test_a_policy_that_is_gone_ends_its_parent_when_it_is_asked_again() -> None:
    bench = Bench(decide, policies={"scripted": ScriptedPolicy([decision(take(A, 10, 10_001))])})
    parent = bench.submit(parent_order())
    bench.policies = {}
    bench.restart()
    bench.up()
    bench.trade(parent.children[0], 10, 10_001)
    after = bench.core.by_id[P1]
    assert after.end_text == "policy 'scripted' raised CallerError: policy 'scripted' is not installed any more"
    assert after.ended


def test_a_fault_folds_as_a_fault() -> None:
    bench = scripted(decision(reason=POLICY_FAULT))
    parent = bench.submit(parent_order())
    assert parent.ended
    assert folded(bench) == state_of(bench.core)
