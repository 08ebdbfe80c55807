"""The exit ladder: which rung a slice has come to, by each of its rules."""

import pytest

from policies.case import Case, Why, begin
from policies.cost_aware import CostAware
from policies.ladder import NEEDS, Rung, rung_of
from sor.param_table import TABLE
from sor.policy import Rest, Take
from sor.snapshot import View
from sor.units import MS, NS
from tests.fakes.views import BASELINE, NOW_NS, market, params, resting, view

RUNGS = ("rest", "join", "improve")
SINCE = {
    "due_ns": float(view().due_ns),
    "since_ns": float(NOW_NS),
    "timeouts": 0.0,
    "requotes": 0.0,
    "refusals": 0.0,
    "filled": 0.0,
}


def stands(seen: View, changes: dict[str, float] | None = None) -> tuple[Rung, Why | None]:
    case = begin(seen, params(changes))
    assert isinstance(case, Case)
    return rung_of(case)


def later(seconds: float, **changes: object) -> View:
    """So long after the slice began; 59.4 s of it are all the time that an order may rest."""
    now_ns = NOW_NS + round(seconds * NS)
    return view(market(recv_ns=now_ns), now_ns=now_ns, memory=SINCE, **changes)


def test_every_rule_of_every_rung_is_a_parameter_with_a_value() -> None:
    assert len(NEEDS) == 12
    assert set(NEEDS) <= set(TABLE)
    assert not BASELINE.missing(NEEDS)


def test_a_slice_begins_on_the_first_rung() -> None:
    assert stands(view()) == (Rung.REST, None)


@pytest.mark.parametrize(
    ("seconds", "rung"),
    [(0.0, Rung.REST), (14.8, Rung.REST), (14.9, Rung.JOIN), (29.8, Rung.IMPROVE), (59.5, Rung.CROSS)],
)
def test_each_rung_has_its_share_of_the_time(seconds: float, rung: Rung) -> None:
    found, ended = stands(later(seconds), {"ladder.rest.until": 0.25, "ladder.join.until": 0.5})
    assert (found, ended) == (rung, None if rung is Rung.REST else Why.TOO_LATE)


def test_a_rung_without_time_is_skipped() -> None:
    assert stands(view(), {"ladder.rest.until": 0.0}) == (Rung.JOIN, Why.TOO_LATE)
    assert stands(view(), {f"ladder.{rung}.until": 0.0 for rung in RUNGS}) == (Rung.CROSS, Why.TOO_LATE)


def test_a_slice_that_falls_behind_goes_on_to_the_next() -> None:
    # At half time 30 of 100 are done: a fifth behind the straight line.
    behind = later(29.7, filled_lots=30, open_lots=70)
    assert stands(behind, {"ladder.rest.behind_max": 0.21}) == (Rung.REST, None)
    assert stands(behind, {"ladder.rest.behind_max": 0.2}) == (Rung.JOIN, Why.BEHIND)
    caught_up = later(29.7, filled_lots=31, open_lots=69)
    assert stands(caught_up, {"ladder.rest.behind_max": 0.2}) == (Rung.REST, None)


def test_what_was_filled_before_the_slice_does_not_count() -> None:
    memory = {**SINCE, "filled": 30.0}
    now_ns = NOW_NS + 29_700 * MS
    seen = view(market(recv_ns=now_ns), now_ns=now_ns, memory=memory, filled_lots=30, open_lots=70)
    assert stands(seen, {"ladder.rest.behind_max": 0.49}) == (Rung.JOIN, Why.BEHIND)


@pytest.mark.parametrize(
    ("refusals", "rung"), [(1, Rung.REST), (2, Rung.JOIN), (3, Rung.IMPROVE), (4, Rung.IMPROVE), (5, Rung.CROSS)]
)
def test_refusals_climb_the_ladder_and_end_in_a_crossing(refusals: int, rung: Rung) -> None:
    seen = view(refusals=refusals, memory=SINCE)
    assert stands(seen)[0] is rung
    decision = CostAware().decide(seen, BASELINE)
    (placement,) = decision.placements
    assert isinstance(placement, Take if rung is Rung.CROSS else Rest)
    assert (decision.reason is Why.REFUSED) == (rung is Rung.CROSS)


def test_a_timeout_ends_the_rungs_that_allow_one() -> None:
    assert stands(view(timeouts=1, memory=SINCE)) == (Rung.CROSS, Why.TIMED_OUT)
    assert stands(view(timeouts=1, memory=SINCE), {"ladder.improve.timeouts_max": 2.0}) == (Rung.IMPROVE, Why.TIMED_OUT)


WIDE = market(bids=((100_000, 1_000),), asks=((100_004, 1_000),))


def test_what_a_rung_demands_of_an_order_that_rests() -> None:
    old = NOW_NS - 10 * NS
    on = {rung: {f"ladder.{done}.until": 0.0 for done in RUNGS[:no]} for no, rung in enumerate(RUNGS)}
    behind = view(WIDE, resting=(resting(99_998, 100, since_ns=old),))
    at_touch = view(WIDE, resting=(resting(100_000, 100, since_ns=old),))
    inside = view(WIDE, resting=(resting(100_001, 100, since_ns=old),))
    reasons = {
        rung: [CostAware().decide(seen, params(changes)).reason for seen in (behind, at_touch, inside)]
        for rung, changes in on.items()
    }
    assert reasons == {
        "rest": [Why.KEEP, Why.KEEP, Why.KEEP],
        "join": [Why.CHASE, Why.KEEP, Why.KEEP],
        "improve": [Why.CHASE, Why.CHASE, Why.KEEP],
    }


def test_the_last_rung_weighs_only_the_maker_price() -> None:
    names = [one.name for one in CostAware().decide(view(WIDE), BASELINE).alternatives]
    assert names == ["cross", "join", "improve"]
    last = params({"ladder.rest.until": 0.0, "ladder.join.until": 0.0})
    decision = CostAware().decide(view(WIDE), last)
    assert [one.name for one in decision.alternatives] == ["cross", "improve"]
    (placement,) = decision.placements
    assert isinstance(placement, Rest)
    assert placement.price_ticks == 100_001
