"""`explore:NAME`: the choice is a hash, made once for a parent, with the propensity of what was done."""

import msgspec
import pytest

from policies.calm_market import CalmMarket
from policies.cost_aware import CostAware
from policies.cross import Cross
from policies.maker_first import MakerFirst
from sor.decide import decide
from sor.errors import CallerError
from sor.explore import Explore, uniform
from sor.ids import ParentId
from sor.orders import ParentOrder, Side
from sor.params import Params
from sor.plugins import Plugins
from sor.policy import Decision, Forceable, Rest, Take
from sor.snapshot import View
from sor.units import NS
from tests.fakes.views import ASKS, BIDS, NOW_NS, market, params, resting, view

SALT = 7.0
PINNED = (0.7644042877357687, 0.18354813466788822)
EXPLORER = Explore(MakerFirst())
WIDE = market(bids=((99_900, 1_000),), asks=((100_101, 1_000),))
"""A spread of 20 bps: `maker_first` crosses, and could rest."""


def given(epsilon: float = 0.2, salt: float = SALT) -> Params:
    return params({"explore.epsilon": epsilon, "explore.salt": salt})


def parent_that(explores: bool, epsilon: float = 0.2) -> ParentId:
    names = (ParentId(f"parent-{no}") for no in range(1_000))
    return next(name for name in names if (uniform(SALT, name) < epsilon) is explores)


def first(parent_id: ParentId, seen: View, epsilon: float = 0.2) -> Decision:
    return EXPLORER.decide(msgspec.structs.replace(seen, parent_id=parent_id), given(epsilon))


def test_the_number_is_spread_evenly_and_another_salt_draws_anew() -> None:
    names = [f"parent-{no}" for no in range(20_000)]
    drawn = [uniform(SALT, name) for name in names]
    assert all(0.0 <= one < 1.0 for one in drawn)
    for tenth in range(10):
        share = sum(tenth / 10 <= one < (tenth + 1) / 10 for one in drawn) / len(drawn)
        assert share == pytest.approx(0.1, abs=0.01)  # 4.7 standard errors
    both = sum(one < 0.2 and uniform(8.0, name) < 0.2 for one, name in zip(drawn, names, strict=True))
    assert both / len(names) == pytest.approx(0.04, abs=0.006)
    assert uniform(SALT, "parent-1") == uniform(SALT, "parent-1")


def test_the_number_is_the_same_for_good() -> None:
    """Pinned: another hash would make old journals decide otherwise."""
    assert (uniform(0.0, ""), uniform(7.0, "parent-1")) == PINNED


@pytest.mark.parametrize(
    ("seen", "own", "other"), [(view(), Rest, Take), (view(WIDE), Take, Rest)], ids=["rests", "crosses"]
)
def test_a_parent_goes_its_own_way_or_the_other(seen: View, own: type, other: type) -> None:
    usual = MakerFirst().decide(seen, given())
    stays = first(parent_that(explores=False), seen)
    (placement,) = stays.placements
    assert type(placement) is own
    assert (stays.placements, stays.reason, stays.note) == (usual.placements, usual.reason, usual.note)
    assert stays.propensity == pytest.approx(0.8)
    goes = first(parent_that(explores=True), seen)
    (placement,) = goes.placements
    assert type(placement) is other
    assert goes.reason == "told"
    assert goes.propensity == pytest.approx(0.2)
    assert goes.alternatives == usual.alternatives
    assert goes.note.endswith(f"({usual.reason}).")
    assert dict(goes.inputs)["explore_drawn"] == uniform(SALT, parent_that(explores=True))


def test_the_share_that_explores_is_epsilon() -> None:
    names = [ParentId(f"parent-{no}") for no in range(4_000)]
    told = [first(name, view(), 0.3) for name in names]
    explored = [one for one in told if one.reason == "told"]
    assert len(explored) / len(told) == pytest.approx(0.3, abs=0.03)  # 4 standard errors
    assert sum(1.0 / one.propensity for one in explored) / len(told) == pytest.approx(1.0, abs=0.1)


def test_epsilon_zero_is_the_policy_itself() -> None:
    for seen in (view(), view(WIDE)):
        told = first(parent_that(explores=True), seen, 0.0)
        assert told.placements == MakerFirst().decide(seen, given()).placements
        assert told.propensity == 1.0


@pytest.mark.parametrize(
    "seen",
    [view(WIDE, may_rest=False), view(WIDE, urgency=1.0), view(WIDE, due_ns=NOW_NS, deadline_ns=NOW_NS)],
    ids=["may not rest", "urgent", "too late"],
)
def test_where_nothing_else_is_possible_nothing_is_left_to_chance(seen: View) -> None:
    told = first(parent_that(explores=True), seen, 0.5)
    assert (told.propensity, dict(told.inputs)["explore_epsilon"]) == (1.0, 0.0)
    assert isinstance(told.placements[0], Take)


def test_what_the_invariants_would_change_is_no_alternative() -> None:
    wider = view(market(bids=((99_000, 1_000),), asks=((101_000, 1_000),)))  # 200 bps: nothing rests
    assert MakerFirst().decide_as(wider, given(), "rest") is not None
    assert first(parent_that(explores=True), wider, 0.5).propensity == 1.0


class Bold(MakerFirst):
    """Would rest whatever the spread."""

    name = "bold"

    def decide(self, seen: View, given_: Params) -> Decision:
        told = self.decide_as(seen, given_, "rest")
        assert told is not None
        return told


def test_an_alternative_to_what_the_invariants_made_of_it() -> None:
    """Where its order becomes a crossing anyway, telling it to cross is no other way."""
    wider = view(market(bids=((99_000, 1_000),), asks=((101_000, 1_000),)), parent_id=parent_that(explores=True))
    assert Explore(Bold()).decide(wider, given(0.5)).propensity == 1.0
    calm = view(parent_id=parent_that(explores=True))
    assert Explore(Bold()).decide(calm, given()).propensity == pytest.approx(0.2)


class Versatile(MakerFirst):
    """Rests by itself, and can be told to cross, to cross half of it after resting, or to do nothing."""

    name = "versatile"
    ways: tuple[str, ...] = ("cross", "both", "nothing")

    def decide_as(self, seen: View, given_: Params, way: str) -> Decision | None:
        told = super().decide_as(seen, given_, "cross")
        assert told is not None
        (take,) = told.placements
        half = msgspec.structs.replace(take, qty_lots=take.qty_lots // 2)
        return {
            "cross": told,
            "both": msgspec.structs.replace(told, placements=(half, half)),
            "nothing": msgspec.structs.replace(told, placements=()),
        }[way]


def test_several_alternatives_share_epsilon() -> None:
    done: dict[int, int] = {}
    for no in range(3_000):
        told = Explore(Versatile()).decide(view(parent_id=ParentId(f"parent-{no}")), given(0.3))
        arm = int(told.memory["explore.arm"])
        done[arm] = done.get(arm, 0) + 1
        assert told.propensity == pytest.approx(0.1 if arm else 0.7)
    assert {arm: count / 3_000 for arm, count in done.items()} == pytest.approx(
        {0: 0.7, 1: 0.1, 2: 0.1, 3: 0.1}, abs=0.03
    )


def test_nothing_is_chosen_before_something_is_placed() -> None:
    waiting = first(parent_that(explores=True), view(market(bids=(), asks=ASKS)))
    assert (waiting.placements, waiting.memory, waiting.propensity) == ((), {}, 1.0)
    chosen = first(parent_that(explores=True), view(memory=waiting.memory))
    assert chosen.reason == "told"


def test_later_decisions_follow_whatever_the_set_then_says() -> None:
    name = parent_that(explores=True)
    begun = first(name, view(WIDE))
    (rest,) = begun.placements
    assert isinstance(rest, Rest)
    own = resting(rest.price_ticks, rest.qty_lots, since_ns=NOW_NS, expire_ns=rest.expire_ns)
    later = view(WIDE, now_ns=NOW_NS + NS, resting=(own,), memory=begun.memory, parent_id=name)
    assert isinstance(MakerFirst().decide(later, given()).placements[0], Take)  # too wide for the policy
    kept = EXPLORER.decide(later, given(0.0, 99.0))
    assert (kept.placements[0].qty_lots, kept.reason, kept.propensity) == (rest.qty_lots, "keep", 1.0)
    over = EXPLORER.decide(msgspec.structs.replace(later, resting=(), timeouts=1, memory=kept.memory), given())
    assert isinstance(over.placements[0], Take)  # its one try is over: the policy goes on by itself
    assert over.reason == "timed_out"


def test_a_parent_on_its_own_way_stays_on_it() -> None:
    name = parent_that(explores=False)
    begun = first(name, view())
    again = EXPLORER.decide(view(memory=begun.memory, parent_id=name, timeouts=1), given(0.5, 99.0))
    assert (again.reason, again.propensity) == ("timed_out", 1.0)


def test_the_policy_sees_nothing_of_it_and_recomputing_gives_the_same() -> None:
    class Nosy(MakerFirst):
        """Looks into its memory."""

        def decide(self, seen: View, given_: Params) -> Decision:
            assert not [key for key in seen.memory if key.startswith("explore")]
            return super().decide(seen, given_)

    explorer = Explore(Nosy())
    begun = explorer.decide(view(), given())
    seen = view(memory=begun.memory)
    assert explorer.decide(seen, given()) == explorer.decide(seen, given())
    through, _ = decide(None, explorer, seen, given())  # type: ignore[arg-type]
    assert through.memory == explorer.decide(seen, given()).memory


@pytest.mark.parametrize("policy", [MakerFirst(), CalmMarket(), CostAware()], ids=lambda policy: policy.name)
def test_our_resting_policies_can_be_told_both_ways_whatever_they_think(policy: Forceable) -> None:
    for side in Side:
        for seen in (view(side=side), view(WIDE, side=side), view(market(volatility=50.0), side=side)):
            crossing = policy.decide_as(seen, given(), "cross")
            assert crossing is not None
            assert isinstance(crossing.placements[0], Take)
            resting_ = policy.decide_as(seen, given(), "rest")
            assert resting_ is not None
            (placement,) = resting_.placements
            assert isinstance(placement, Rest)
            assert {one.name for one in resting_.alternatives} == {"cross", "rest"}
    beyond = view(limit_ticks=BIDS[0][0])
    assert [policy.decide_as(beyond, given(), way) for way in policy.ways] == [None, None]


def test_by_name() -> None:
    plugins = Plugins.installed()
    explorer = plugins.policies["explore:maker_first"]
    assert (explorer.name, plugins.policies.get("explore:nothing")) == ("explore:maker_first", None)
    assert explorer.needs == (*MakerFirst.needs, "explore.epsilon", "explore.salt")
    assert "explore:maker_first" not in list(plugins.policies)
    with pytest.raises(CallerError, match=r"'cross' cannot be made to explore.*nothing was sent"):
        plugins.policies["explore:cross"]
    assert not isinstance(Cross(), Forceable)


def test_the_policy_s_own_refusals_at_the_door_count() -> None:
    class Picky(MakerFirst):
        """Takes no order."""

        def check(self, order: ParentOrder) -> None:
            raise CallerError(f"not {order.parent_id}")

    order = msgspec.convert(
        {"parent_id": "p", "symbol": "BTCUSDT", "side": 1, "quantity": "1"}, ParentOrder, strict=False
    )
    with pytest.raises(CallerError, match="not p"):
        Explore(Picky()).check(order)
    EXPLORER.check(order)
