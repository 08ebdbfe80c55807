"""A market unlike all that a set was fitted on: nothing new rests, and the record says in what it is unlike."""

from collections.abc import Mapping

import pytest

from sor.cli.words import possible
from sor.invariants import STRANGE_WIDTHS, Veto, apply
from sor.models.covariates import COVARIATES
from sor.orders import Side
from sor.params import Params
from sor.policy import Decision, Placement, Rest, Take
from sor.reasons import TimeoutBound
from sor.revisit import Revisit
from sor.snapshot import View
from sor.units import NS
from tests.fakes.views import NOW_NS, VENUE, market, params, resting, view

REST = Rest(VENUE, 100, 100_000, NOW_NS + 10 * NS, TimeoutBound.FIXED)
"""Joins the touch of the calm market: a thousand lots ahead, 500 lots per second against it."""
LOG_QUEUE_S = 0.7884573603642703
"""log(1100 / 500)."""
CROSSED = Take(VENUE, 100, 100_201)


def fitted(ranges: Mapping[str, tuple[float, float]] | None = None) -> Params:
    """The baseline with ranges that hold everything but for `ranges`."""
    every = dict.fromkeys(COVARIATES, (-1_000.0, 1_000.0)) | dict(ranges or {})
    values = {
        f"range.{name}_{end}": bounds[at] for name, bounds in every.items() for at, end in enumerate(("low", "high"))
    }
    return params(values)


def ruled(given: Params, *placements: Placement, seen: View | None = None) -> tuple[Decision, tuple[str, ...]]:
    found = apply(Decision(placements=placements, revisit=Revisit(), reason="any"), seen or view(), given)
    return found.decision, found.vetoes


def test_inside_of_its_ranges_and_a_little_beyond_it_rests() -> None:
    low = LOG_QUEUE_S + 2.0 * STRANGE_WIDTHS - 1e-9
    for given in (params(), fitted(), fitted({"log_queue_s": (low, low + 2.0)})):
        decision, vetoes = ruled(given, REST)
        assert (decision.placements, vetoes, decision.inputs) == ((REST,), (), ())


def test_far_below_a_range_it_crosses_at_the_collar_and_says_why() -> None:
    low = LOG_QUEUE_S + 2.0 * STRANGE_WIDTHS + 1e-9
    decision, vetoes = ruled(fitted({"log_queue_s": (low, low + 2.0)}), REST)
    assert (decision.placements, vetoes) == ((CROSSED,), (Veto.UNLIKE_FIT,))
    assert dict(decision.inputs) == pytest.approx({"fit_log_queue_s": LOG_QUEUE_S, "fit_log_queue_s_min": low})
    assert possible(decision) == "possible: rest or take"  # another order might rest


def test_far_above_it_too_and_every_covariate_is_named() -> None:
    decision, vetoes = ruled(fitted({"lean": (-3.0, -2.0), "behind": (-3.0, -2.0)}), REST)
    assert vetoes == (Veto.UNLIKE_FIT,)
    assert dict(decision.inputs) == {
        "fit_lean": 0.0,
        "fit_lean_max": -2.0,
        "fit_behind": 0.0,
        "fit_behind_max": -2.0,
    }


STRANGE = fitted({"lean": (5.0, 6.0)})


def test_what_rests_keeps_its_place_and_no_more() -> None:
    own = view(resting=(resting(100_000, 100),))
    assert ruled(STRANGE, REST, seen=own)[0].placements == (REST,)
    larger = view(resting=(resting(100_000, 99),))
    assert ruled(STRANGE, REST, seen=larger)[0].placements == (CROSSED,)
    elsewhere = view(resting=(resting(99_999, 100),))
    assert ruled(STRANGE, REST, seen=elsewhere)[0].placements == (CROSSED,)


def test_where_the_limit_forbids_to_cross_it_rests() -> None:
    assert ruled(STRANGE, REST, seen=view(limit_ticks=100_000)) == ruled(params(), REST, seen=view(limit_ticks=100_000))
    assert ruled(STRANGE, REST, seen=view(limit_ticks=100_001))[0].placements == (Take(VENUE, 100, 100_001),)


def test_what_takes_and_what_may_not_rest_anyway_are_left_alone() -> None:
    take = Take(VENUE, 100, 100_010)
    assert ruled(STRANGE, take) == ruled(params(), take)
    decision, vetoes = ruled(STRANGE, REST, seen=view(may_rest=False))
    assert (vetoes, decision.inputs) == ((Veto.MAY_NOT_REST,), ())


def test_a_set_that_lacks_one_range_says_nothing_of_them() -> None:
    values = {key: value for key, value in STRANGE.as_dict().items() if key != "range.lean_low"}
    assert Params(set_id="t", digest="d", values=values).ranges == ()


def test_both_sides_are_judged_in_their_own_terms() -> None:
    """Nobody sells, so a bid waits for ever, while an ask is soon done."""
    one_way = market(sell_flow=0.0)
    short = fitted({"log_queue_s": (-1.0, 3.0)})
    assert ruled(short, REST, seen=view(one_way))[1] == (Veto.UNLIKE_FIT,)
    ask = Rest(VENUE, 100, 100_001, NOW_NS + 10 * NS, TimeoutBound.FIXED)
    assert ruled(short, ask, seen=view(one_way, side=Side.SELL))[1] == ()


def test_a_market_that_is_not_measured_yet_is_not_unlike_anything() -> None:
    early = view(market(window_s=4.9))
    assert ruled(STRANGE, REST, seen=early) == ruled(params(), REST, seen=early)
    assert ruled(STRANGE, REST, seen=view(market(window_s=5.0)))[1] == (Veto.UNLIKE_FIT,)
