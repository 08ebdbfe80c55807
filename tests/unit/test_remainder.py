"""What becomes of a part below the venue's minimum, by the rule of the param-set."""

from decimal import Decimal

import msgspec
import pytest

from policies.calm_market import CalmMarket
from policies.case import Why
from policies.cost_aware import CostAware
from policies.maker_first import MakerFirst
from sor.params import Params
from sor.policy import Policy, Rest, Take
from sor.reasons import TimeoutBound
from sor.snapshot import View
from sor.units import MS
from tests.fakes.views import BASELINE, NOW_NS, VENUE, resting, view

POLICIES: tuple[Policy, ...] = (MakerFirst(), CalmMarket(), CostAware())
LEAST = 40
"""The venue's minimum, lots."""


def ruled(rule: str) -> Params:
    return Params(set_id="t", digest="d", values=BASELINE.as_dict(), choices={"remainder.rule": rule})


def left(lots: int, **changes: object) -> View:
    """An order of ours of which so many lots are left, in a slice that began with 100."""
    seen = view(resting=(resting(100_000, lots),), open_lots=lots, filled_lots=100 - lots, **changes)
    memory = {"due_ns": float(seen.due_ns), "since_ns": float(NOW_NS)}
    memory |= dict.fromkeys(("timeouts", "requotes", "refusals", "filled"), 0.0)
    least = msgspec.structs.replace(seen.instrument, min_qty_lots=LEAST)
    return msgspec.structs.replace(seen, instrument=least, memory=memory)


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
@pytest.mark.parametrize("rule", ["carry", "round_up", "cross_early"])
def test_what_rests_below_the_minimum_stays_to_the_last(policy: Policy, rule: str) -> None:
    # Until the machine's margin of 500 ms, a cancel and a crossing before the deadline.
    decision = policy.decide(left(39), ruled(rule))
    assert decision.placements == (Rest(VENUE, 39, 100_000, NOW_NS + 59_400 * MS, TimeoutBound.NONE),)
    assert decision.reason is Why.KEEP
    # Not even a timeout withdraws it: what is withdrawn cannot be done any more.
    assert policy.decide(left(39, timeouts=1), ruled(rule)).placements == decision.placements


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
def test_it_is_withdrawn_where_the_rule_is_to_stop(policy: Policy) -> None:
    decision = policy.decide(left(39), ruled("stop"))
    assert (decision.placements, decision.reason) == ((), Why.REMAINDER)


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
@pytest.mark.parametrize(("lots", "crosses"), [(40, True), (79, True), (80, False)])
def test_it_is_crossed_while_enough_is_left_where_that_is_the_rule(policy: Policy, lots: int, crosses: bool) -> None:
    decision = policy.decide(left(lots), ruled("cross_early"))
    assert (decision.reason is Why.REMAINDER) == crosses
    if crosses:
        assert decision.placements == (Take(VENUE, lots, 100_201),)


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
def test_an_order_that_was_small_from_the_beginning_is_left_alone(policy: Policy) -> None:
    seen = left(60)
    whole = msgspec.structs.replace(seen, filled_lots=0, parent_lots=60, remaining_lots=60)
    assert policy.decide(whole, ruled("cross_early")).reason is Why.KEEP


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
def test_the_minimum_is_one_of_value_too_but_not_for_what_closes(policy: Policy) -> None:
    seen = left(39)
    # A lot is worth 10 USDT, so 500 USDT are 50 lots.
    worth = msgspec.structs.replace(seen.instrument, min_qty_lots=1, min_notional=Decimal(500))
    dear = msgspec.structs.replace(seen, instrument=worth)
    assert policy.decide(dear, ruled("stop")).reason is Why.REMAINDER
    closing = msgspec.structs.replace(dear, reduce_only=True)
    assert policy.decide(closing, ruled("stop")).reason is Why.KEEP
