"""Where an own order stands in its queue: by hand, in the live feed, and from the venue to the policy's view."""

from collections.abc import Sequence
from decimal import Decimal

import msgspec
import pytest

from sor.adapter import OwnRest
from sor.commands import Recorded
from sor.decide import Checked, decide
from sor.events import AnyFact, Looked
from sor.ids import ClOrdId, ParentId
from sor.orders import ParentOrder, Side
from sor.params import Params, ParamStore
from sor.plugins import Plugins
from sor.policy import Decision, Policy
from sor.recovery import fold
from sor.revisit import Revisit
from sor.router import Core
from sor.sim.world import World
from sor.snapshot import Cause, View
from sor.standing import Standing
from sor.units import MS, NS
from tests.fakes.bench import START_NS, Bench, book, parent_order
from tests.fakes.policies import ScriptedPolicy, ask_policy, decision, rest
from tests.fakes.tape_script import Book, Print, market_of
from tests.unit.test_feed import Desk as FeedDesk
from venues.simulated.adapter import SimulatedVenue
from venues.simulated.options import read
from venues.simulated.tape import TapeVenue
from venues.simulated.tape_latency import Delay
from venues.simulated.tape_settings import TapeSettings

BUY, SELL = Side.BUY, Side.SELL


def own(
    name: str = "a",
    *,
    side: Side = BUY,
    ticks: int = 100,
    lots: int = 10,
    venue_ns: int = 0,
    shown: bool = False,
    filled: bool = False,
) -> OwnRest:
    return OwnRest(ClOrdId(name), side, ticks, lots, venue_ns, shown, filled)


def standing(lots: int, terms: OwnRest | None = None, *, venue_ns: int = 1) -> Standing:
    """An order that has come to rest where so much is displayed."""
    found = Standing(1, terms or own())
    found.join(lots, inside=True, venue_ns=venue_ns)
    return found


def ahead(it: Standing) -> int | None:
    return it.ahead_lots


# --- the estimate ---------------------------------------------------------------------------------------------------


def test_it_joins_behind_everything_and_trades_bring_it_forward() -> None:
    it = standing(100)
    assert it.ahead_lots == 100
    it.traded(30, late=False)
    assert it.ahead_lots == 70
    it.sees(70, inside=True, venue_ns=2)  # just what was traded
    assert it.ahead_lots == 70
    it.traded(500, late=False)
    assert it.ahead_lots == 0


def test_a_level_that_shrinks_without_trades_is_shared_by_the_moderate_rule() -> None:
    it = standing(40)
    it.sees(100, inside=True, venue_ns=2)  # 60 came behind us
    it.sees(80, inside=True, venue_ns=3)
    assert it.ahead_lots == 34  # 33.8462 in methods 7.1: prev 100, front 40, new 80, power n=2
    it.sees(20, inside=True, venue_ns=4)
    assert it.ahead_lots == 13  # 12.8635, by the same rule
    it.sees(0, inside=True, venue_ns=5)
    assert it.ahead_lots == 0


def test_a_trade_that_comes_after_its_book_is_not_counted_twice() -> None:
    late, early = standing(100), standing(100)
    for it in (late, early):
        it.sees(140, inside=True, venue_ns=2)
    early.traded(60, late=False)
    early.sees(80, inside=True, venue_ns=3)
    late.sees(80, inside=True, venue_ns=3)
    late.traded(60, late=True)
    assert early.ahead_lots == late.ahead_lots == 40


def test_own_size_is_not_ahead_from_the_first_book_that_has_it() -> None:
    it = standing(50, own(lots=10, venue_ns=5, shown=True), venue_ns=4)
    assert it.ahead_lots == 50
    it.sees(60, inside=True, venue_ns=5)
    assert it.ahead_lots == 50
    it.sees(25, inside=True, venue_ns=6)
    assert it.ahead_lots == 15  # of 25 displayed, 10 are ours
    there_already = standing(60, own(lots=10, venue_ns=5, shown=True), venue_ns=5)
    assert there_already.ahead_lots == 50
    nameless = standing(60, own(lots=10, shown=True))  # it does not say when: from the next book on
    nameless.sees(60, inside=True, venue_ns=6)
    assert nameless.ahead_lots == 50


def test_a_fill_says_that_nobody_is_ahead() -> None:
    it = standing(50)
    it.change(own(lots=4, filled=True))
    assert it.ahead_lots == 0


def test_what_was_known_before_the_book_was_lost_stays_a_bound() -> None:
    it = standing(50)
    it.traded(20, late=False)
    it.lose()
    assert ahead(it) is None
    it.traded(5, late=False)  # says nothing about a place that is not known
    it.sees(0, inside=True, venue_ns=2)
    assert ahead(it) is None
    it.sees(90, inside=True, venue_ns=3)
    assert ahead(it) == 30
    it.sees(0, inside=False, venue_ns=4)  # beyond what the book shows
    assert ahead(it) is None
    it.sees(12, inside=True, venue_ns=5)
    assert ahead(it) == 12


def test_a_place_that_was_never_seen_is_bounded_by_what_is_displayed() -> None:
    it = Standing(1, own())
    it.join(0, inside=False, venue_ns=1)
    assert it.ahead_lots is None
    it.sees(40, inside=True, venue_ns=2)
    assert it.ahead_lots == 40


# --- the live feed --------------------------------------------------------------------------------------------------


def test_the_feed_follows_orders_of_either_side() -> None:
    desk = FeedDesk()  # bids 100 x 5, 99 x 7 and asks 102 x 3, 104 x 4
    desk.feed.stand(1, own("b", ticks=99), anew=True, now_ns=desk.now_ns)
    desk.feed.stand(2, own("s", side=SELL, ticks=102), anew=True, now_ns=desk.now_ns)
    desk.feed.stand(2, own("inside", side=SELL, ticks=101), anew=True, now_ns=desk.now_ns)
    desk.feed.stand(3, own("beyond", ticks=90), anew=True, now_ns=desk.now_ns)
    assert desk.feed.ahead(1, desk.now_ns) == (("b", 7),)
    assert desk.feed.ahead(2, desk.now_ns) == (("s", 3), ("inside", 0))
    assert desk.feed.ahead(3, desk.now_ns) == ()
    desk.trade(2)  # of buyers, at 102
    assert desk.feed.ahead(2, desk.now_ns) == (("s", 1), ("inside", 0))
    desk.update(bids=((99, 6),))
    assert desk.feed.ahead(1, desk.now_ns) == (("b", 6),)
    desk.reset()
    assert desk.feed.ahead(1, desk.now_ns) == ()
    desk.feed.gone(ClOrdId("inside"))
    desk.update(bids=((99, 9),), asks=((102, 9),), snapshot=True)
    assert [desk.feed.ahead(key, desk.now_ns) for key in (1, 2)] == [(("b", 6),), (("s", 1),)]


def test_terms_that_keep_the_place_and_terms_that_lose_it() -> None:
    desk = FeedDesk()
    desk.feed.stand(2, own(side=SELL, ticks=102), anew=True, now_ns=desk.now_ns)
    desk.trade(2)
    desk.feed.stand(2, own(side=SELL, ticks=102, lots=4), anew=False, now_ns=desk.now_ns)
    assert desk.feed.ahead(2, desk.now_ns) == (("a", 1),)
    desk.feed.stand(2, own(side=SELL, ticks=104, lots=4), anew=True, now_ns=desk.now_ns)
    assert desk.feed.ahead(2, desk.now_ns) == (("a", 4),)


def test_a_watch_wakes_when_so_little_is_ahead() -> None:
    desk = FeedDesk()
    desk.feed.stand(7, own(side=SELL, ticks=102), anew=True, now_ns=desk.now_ns)
    desk.feed.stand(8, own("other", side=SELL, ticks=102), anew=True, now_ns=desk.now_ns)
    desk.watch(7, Revisit(queue_ahead_below_lots=2, on_untrusted=False))
    desk.trade(1)
    assert desk.woken == []
    desk.trade(1)
    assert desk.woken == [7]
    desk.watch(7, Revisit(queue_ahead_below_lots=2, on_untrusted=False))  # so near it was when this was set
    desk.trade(1)
    assert desk.woken == [7]


def test_an_order_that_arrives_with_nobody_ahead_wakes_through_the_scheduler() -> None:
    desk = FeedDesk()
    desk.watch(7, Revisit(queue_ahead_below_lots=1, on_untrusted=False))
    desk.feed.stand(7, own(ticks=101), anew=True, now_ns=desk.now_ns)
    assert desk.woken == []
    desk.later.run()
    assert desk.woken == [7]


# --- from the desk to the view --------------------------------------------------------------------------------------


class Turns:
    """A journal in memory."""

    def __init__(self) -> None:
        self.turns: list[list[AnyFact | Recorded]] = []

    def append(self, records: Sequence[AnyFact | Recorded]) -> int:
        self.turns.append(list(records))
        return len(self.turns)


class Waits:
    """Rests at a price and waits until less than so much is ahead; then it holds. `views` has what it was shown."""

    name = "waits"
    needs: tuple[str, ...] = ()

    def __init__(self, ticks: int, below_lots: int) -> None:
        self.ticks = ticks
        self.below_lots = below_lots
        self.views: list[View] = []

    def decide(self, view: View, params: Params) -> Decision:
        del params
        self.views.append(view)
        until_ns = view.deadline_ns - 2 * NS
        want = rest(view.instrument.venue, view.open_lots, self.ticks, until_ns=until_ns)
        return decision(want, revisit=Revisit(queue_ahead_below_lots=self.below_lots, on_untrusted=False))


def world_of(policy: Policy, turns: Turns) -> World:
    plugins = Plugins.installed()
    core = Core(policies={"waits": policy}, schedules=plugins.schedules, decider=decide)
    world = World(core, start_ns=0, recorder=turns, horizons_ns=())
    world.open(epoch=7, version="0", sets={"baseline": ParamStore().get("baseline", now_ns=0)}, default_set="baseline")
    return world


def order_of(side: Side, quantity: str) -> ParentOrder:
    return ParentOrder(
        parent_id=ParentId("P"),
        symbol="BTCUSDT",
        side=side,
        quantity=Decimal(quantity),
        policy="waits",
        deadline_s=30.0,
    )


def seen(policy: Waits) -> list[tuple[int, Cause, list[int | None]]]:
    return [(view.now_ns, view.cause, [order.ahead_lots for order in view.resting]) for view in policy.views]


@pytest.mark.parametrize(("funding_ns", "funding_s"), [(START_NS + 60 * NS, 60.0), (START_NS - NS, -1.0), (0, None)])
def test_the_view_says_how_long_it_is_to_funding(funding_ns: int, funding_s: float | None) -> None:
    policy = ScriptedPolicy()
    bench = Bench(ask_policy, policies={"scripted": policy})
    bench.market = msgspec.structs.replace(book(), funding_ns=funding_ns)
    bench.submit(parent_order())
    assert [view.funding_s for view in policy.seen] == [funding_s]


def test_on_a_recording_the_view_says_what_is_ahead_and_the_journal_recomputes_it() -> None:
    market = market_of(
        [
            Book(0, {999_000: 900, 998_999: 5}, {999_002: 500}, snapshot=True),
            Print(2 * NS, SELL, 999_000, 600),
            Book(2 * NS, {999_000: 300}, {}),
            Print(3 * NS, SELL, 999_000, 250),
            Book(3 * NS, {999_000: 50}, {}),
            Book(40 * NS, {999_000: 60}, {}),
        ]
    )
    way = Delay(median_ns=10 * MS)
    venue = TapeVenue(market, TapeSettings(queue="moderate", entry=way, response=way))
    policy, turns = Waits(999_000, 100), Turns()
    world = world_of(policy, turns)
    world.scheduler.run_until(NS)
    world.connect(venue)
    world.submit(order_of(BUY, "0.005"))
    world.scheduler.run_until(5 * NS)
    assert seen(policy)[:2] == [(NS, Cause.START, []), (market.trade_local_ns[1], Cause.REVISIT, [50])]
    looks = [record for turn in turns.turns for record in turn if isinstance(record, Looked)]
    assert [[lots for _, lots in look.ahead] for look in looks[:2]] == [[], [50]]
    core = fold(
        turns.turns,
        policies={"waits": Waits(999_000, 100)},
        schedules=Plugins.installed().schedules,
        decisions=Checked(),
    )
    assert core.parents[0].decided is not None


def test_on_a_venue_whose_book_has_our_orders_they_are_not_ahead_of_us() -> None:
    venue = SimulatedVenue(read({"market": "ladder", "latency": "near", "ladder.level_lots": "800"}))
    policy, turns = Waits(0, 1), Turns()
    world = world_of(policy, turns)
    world.connect(venue)
    instrument = next(iter(world.core.in_force.instruments.values()))
    feed = world.dispatcher.feed(venue.name, instrument.symbol)
    world.scheduler.run_until(2 * NS)
    policy.ticks = feed.view(world.scheduler.now_ns()).bids[0][0]
    parent = world.submit(order_of(BUY, "0.5"))
    world.scheduler.run_until(4 * NS)
    (child,) = parent.open_children
    displayed = dict(feed.view(world.scheduler.now_ns()).bids)[policy.ticks]
    assert displayed == 800 + child.leaves_lots
    assert feed.ahead(parent.no, world.scheduler.now_ns()) == ((child.order.cl_ord_id, 800),)
