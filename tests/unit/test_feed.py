"""The live feed: what wakes, what does not, and what it costs when nobody watches."""

from collections.abc import Callable

import pytest

from sor.book import Book
from sor.errors import CallerError
from sor.features import FEATURE_NAMES
from sor.feed import LiveFeed
from sor.ids import Symbol, VenueName
from sor.market import BookReset, BookUpdate, Level, MarketView, MarkUpdate, TradePrint, Trust
from sor.orders import Side
from sor.revisit import Revisit, Trigger
from sor.units import NS

VENUE = VenueName("acme")
SYMBOL = Symbol("BTCUSDT")
T0 = 1_000 * NS
WIDE = Trigger("spread_ticks", above=True, level=2.0)
NARROW = Trigger("spread_ticks", above=False, level=2.0)


class Later:
    """A scheduler that holds what it was given until it is told to run it."""

    def __init__(self) -> None:
        self.actions: list[tuple[int, Callable[[], object]]] = []

    def now_ns(self) -> int:
        return T0

    def call_at(self, at_ns: int, action: Callable[[], object]) -> None:
        self.actions.append((at_ns, action))

    def run(self) -> None:
        actions, self.actions = self.actions, []
        for _, action in actions:
            action()


class Desk:
    """A feed with a book of bids 100 x 5, 99 x 7 and asks 102 x 3, 104 x 4, and what was woken."""

    def __init__(self) -> None:
        self.woken: list[int] = []
        self.later = Later()
        self.feed = LiveFeed(venue=VENUE, symbol=SYMBOL, wake=self.woken.append, scheduler=self.later)
        self.now_ns = T0
        self.update(bids=((100, 5), (99, 7)), asks=((102, 3), (104, 4)), snapshot=True)

    def update(self, *, bids: tuple[Level, ...] = (), asks: tuple[Level, ...] = (), snapshot: bool = False) -> None:
        self.now_ns += 1
        self.feed.on_event(
            BookUpdate(
                symbol=SYMBOL, bids=bids, asks=asks, venue_ns=self.now_ns, recv_ns=self.now_ns, snapshot=snapshot
            )
        )

    def trade(self, lots: int) -> None:
        self.now_ns += 1
        self.feed.on_event(
            TradePrint(
                symbol=SYMBOL,
                side=Side.BUY,
                price_ticks=102,
                qty_lots=lots,
                venue_ns=self.now_ns,
                recv_ns=self.now_ns,
            )
        )

    def reset(self) -> None:
        self.feed.on_event(BookReset(symbol=SYMBOL, recv_ns=self.now_ns))

    def view(self) -> MarketView:
        return self.feed.view(self.now_ns)

    def watch(self, key: int, revisit: Revisit, seen: MarketView | None = None) -> None:
        self.feed.watch(key, revisit, self.view() if seen is None else seen, self.now_ns)


def test_the_view_and_the_mid_are_the_book_s() -> None:
    desk = Desk()
    assert (desk.view().trust, desk.feed.mid_hticks(desk.now_ns)) == (Trust.OK, 202)
    desk.feed.on_event(MarkUpdate(symbol=SYMBOL, mark_ticks=101.5, venue_ns=T0, recv_ns=desk.now_ns))
    assert desk.view().mark_ticks == 101.5
    desk.reset()
    assert (desk.view().trust, desk.feed.mid_hticks(desk.now_ns)) == (Trust.GAP, 0)


@pytest.mark.parametrize(
    ("bids", "asks", "fires"),
    [
        (((101, 1),), (), False),
        ((), ((102, 9),), False),
        ((), ((101, 1),), False),
        ((), ((102, 0),), True),  # 104: two up
        (((100, 0), (99, 0), (98, 1)), (), True),
    ],
)
def test_a_best_price_far_enough_away_wakes_once(
    bids: tuple[Level, ...], asks: tuple[Level, ...], *, fires: bool
) -> None:
    desk = Desk()
    desk.watch(7, Revisit(best_moved_ticks=2, on_untrusted=False))
    desk.update(bids=bids, asks=asks)
    assert desk.woken == [7] * fires
    desk.update(bids=((90, 1),), asks=((130, 1),), snapshot=True)
    assert desk.woken == [7]


def test_a_price_of_a_crossed_book_moves_nobody() -> None:
    desk = Desk()
    desk.watch(7, Revisit(best_moved_ticks=2, on_untrusted=False))
    desk.update(bids=((104, 1),))
    assert desk.woken == []
    desk.update(asks=((102, 0), (104, 0), (106, 1)))
    assert desk.woken == [7]


def test_a_move_by_nothing_never_comes_true() -> None:
    desk = Desk()
    desk.watch(7, Revisit(best_moved_ticks=0, on_untrusted=False))
    desk.update(bids=((101, 1),))
    assert desk.woken == []


def test_a_trigger_wakes_when_it_comes_true() -> None:
    desk = Desk()
    desk.watch(7, Revisit(triggers=(WIDE,), on_untrusted=False))
    desk.update(bids=((100, 6),))  # exactly 2 is not above 2
    assert desk.woken == []
    desk.update(bids=((100, 0),))
    assert desk.woken == [7]


def test_a_trigger_that_held_when_seen_must_become_false_first() -> None:
    desk = Desk()
    desk.update(bids=((100, 0),))
    desk.watch(7, Revisit(triggers=(WIDE,), on_untrusted=False))
    desk.update(bids=((98, 1),))
    assert desk.woken == []
    desk.update(bids=((100, 1),))  # false, and armed
    assert desk.woken == []
    desk.update(bids=((100, 0),))
    assert desk.woken == [7]


def test_the_same_below() -> None:
    desk = Desk()
    desk.update(bids=((101, 1),))
    desk.watch(7, Revisit(triggers=(NARROW,), on_untrusted=False))
    desk.update(bids=((101, 2),))
    assert desk.woken == []
    desk.update(bids=((101, 0),))  # exactly 2 is not below 2
    assert desk.woken == []
    desk.update(bids=((101, 1),))
    assert desk.woken == [7]


def test_a_book_that_is_not_sound_satisfies_no_trigger_and_arms_it() -> None:
    desk = Desk()
    desk.update(bids=((100, 0),))
    desk.watch(7, Revisit(triggers=(WIDE,), on_untrusted=False))
    desk.update(bids=((102, 1),))
    assert desk.woken == []
    desk.update(bids=((102, 0),))
    assert desk.woken == [7]


def test_trades_move_what_trades_move() -> None:
    desk = Desk()
    desk.watch(7, Revisit(triggers=(Trigger("buy_flow", above=True, level=10.0),), on_untrusted=False))
    desk.trade(10)
    assert desk.woken == []
    desk.trade(1)
    assert desk.woken == [7]


def test_time_alone_wakes_nobody_until_an_event_comes() -> None:
    desk = Desk()
    desk.trade(10)
    desk.watch(7, Revisit(triggers=(Trigger("buy_flow", above=False, level=0.5),), on_untrusted=False))
    desk.now_ns += 11 * NS
    features = desk.view().features
    assert features is not None
    assert (features.buy_flow, desk.woken) == (0.0, [])
    desk.update(bids=((90, 1),))
    assert desk.woken == [7]


@pytest.mark.parametrize("watched", [True, False])
def test_trust_lost_and_regained(*, watched: bool) -> None:
    desk = Desk()
    desk.watch(7, Revisit(on_untrusted=watched))
    desk.update(bids=((100, 6),))
    assert desk.woken == []
    desk.reset()
    assert desk.woken == [7] * watched
    desk.watch(7, Revisit(on_untrusted=watched))
    desk.update(bids=((100, 6),))
    assert desk.woken == [7] * watched
    desk.update(bids=((100, 5),), asks=((102, 3),), snapshot=True)
    assert desk.woken == [7, 7] * watched


def test_what_came_true_since_it_was_seen_wakes_at_once_but_not_from_inside_watch() -> None:
    desk = Desk()
    seen = desk.view()
    desk.update(bids=((100, 0),))
    wide, moved = Revisit(triggers=(WIDE,), on_untrusted=False), Revisit(best_moved_ticks=1, on_untrusted=False)
    desk.watch(1, wide, seen)
    desk.watch(2, moved, seen)
    desk.watch(3, Revisit(), seen)
    assert (desk.woken, [at_ns for at_ns, _ in desk.later.actions]) == ([], [desk.now_ns] * 2)
    desk.later.run()
    assert desk.woken == [1, 2]
    desk.reset()
    desk.later.run()
    assert desk.woken == [1, 2, 3]
    desk.watch(4, Revisit(), seen)
    desk.watch(5, Revisit())
    desk.later.run()
    assert desk.woken == [1, 2, 3, 4]


def test_what_is_due_is_told_once_and_not_when_it_was_replaced_or_forgotten() -> None:
    desk = Desk()
    seen = desk.view()
    desk.update(bids=((100, 0),))
    for key in (1, 2, 3):
        desk.watch(key, Revisit(best_moved_ticks=1), seen)
    desk.watch(1, Revisit(best_moved_ticks=5))
    desk.feed.unwatch(2)
    desk.update(bids=((99, 0), (98, 1)))  # the third is due already
    assert desk.woken == []
    desk.later.run()
    assert desk.woken == [3]
    desk.update(bids=((98, 0), (94, 1)))
    assert desk.woken == [3, 1]


def test_what_held_when_seen_and_ended_since_is_armed() -> None:
    desk = Desk()
    desk.update(bids=((100, 0),))
    seen = desk.view()
    desk.update(bids=((100, 1),))
    desk.watch(7, Revisit(triggers=(WIDE,), on_untrusted=False), seen)
    desk.update(bids=((100, 0),))
    assert desk.woken == [7]


def test_a_later_watch_replaces_the_older_and_unwatch_forgets() -> None:
    desk = Desk()
    desk.watch(7, Revisit(best_moved_ticks=1, on_untrusted=False))
    desk.watch(7, Revisit(best_moved_ticks=3, on_untrusted=False))
    desk.update(bids=((101, 1),))
    assert desk.woken == []
    desk.feed.unwatch(7)
    desk.feed.unwatch(8)
    desk.update(bids=((101, 0), (100, 0), (99, 0), (90, 1)))
    assert desk.woken == []


def test_all_are_woken_in_the_order_they_came() -> None:
    desk = Desk()
    for key in (5, 3, 9):
        desk.watch(key, Revisit(best_moved_ticks=1 + key % 2))
    desk.update(bids=((101, 1),))
    assert desk.woken == []
    desk.update(bids=((100, 0), (101, 0)))
    assert desk.woken == []
    desk.update(bids=((99, 0), (98, 1)))
    assert desk.woken == [5, 3, 9]


def test_who_is_woken_may_watch_again_and_forget_others() -> None:
    feed: LiveFeed
    woken: list[tuple[int, int]] = []

    def wake(key: int) -> None:
        now_ns = T0 + len(woken)
        woken.append((key, feed.mid_hticks(now_ns)))
        feed.unwatch(2)
        if len(woken) < 9:
            feed.watch(key, Revisit(best_moved_ticks=1), feed.view(now_ns), now_ns)

    feed = LiveFeed(venue=VENUE, symbol=SYMBOL, wake=wake, scheduler=Later())
    for bid in (100, 101, 100):
        feed.on_event(
            BookUpdate(symbol=SYMBOL, bids=((bid, 1),), asks=((105, 1),), venue_ns=T0, recv_ns=T0, snapshot=True)
        )
        if not woken:
            for key in (1, 2, 3):
                feed.watch(key, Revisit(best_moved_ticks=1), feed.view(T0), T0)
    assert woken == [(1, 206), (3, 206), (1, 205), (3, 205)]


def test_an_unknown_feature_is_the_caller_s_error_and_the_older_watch_stays() -> None:
    desk = Desk()
    desk.watch(7, Revisit(best_moved_ticks=1))
    with pytest.raises(CallerError, match=r"no market feature is called 'spraed'; nothing was sent"):
        desk.watch(7, Revisit(triggers=(Trigger("spraed", above=True, level=1.0),)))
    desk.update(bids=((101, 1),))
    assert desk.woken == [7]


def test_what_nobody_watches_is_not_worked_out(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()
    asked: list[str] = []

    def refuse(self: Book, now_ns: int) -> MarketView:
        raise AssertionError(f"a view at {now_ns} of {self}")

    def note(name: str) -> Callable[[Book], float]:
        def read(book: Book) -> float:
            del book
            asked.append(name)
            return 0.0

        return read

    seen = desk.view()
    monkeypatch.setattr(Book, "view", refuse)
    monkeypatch.setattr("sor.feed.READERS", {name: note(name) for name in FEATURE_NAMES})
    desk.update(bids=((101, 1),))
    desk.trade(1)
    assert asked == []
    desk.watch(7, Revisit(triggers=(WIDE,)), seen)
    asked.clear()
    desk.update(bids=((101, 2),))
    desk.trade(1)
    assert asked == ["spread_ticks", "spread_ticks"]
    desk.feed.unwatch(7)
    desk.trade(1)
    desk.watch(8, Revisit(best_moved_ticks=9), seen)
    desk.trade(1)
    assert asked == ["spread_ticks", "spread_ticks"]


def test_many_watches_are_gone_through_only_when_one_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()
    for key in range(50):
        desk.watch(key, Revisit(best_moved_ticks=2 + key, triggers=(WIDE,)))
    rounds: list[int] = []
    fire = LiveFeed._fire

    def count(self: LiveFeed, now_ns: int) -> None:
        rounds.append(now_ns)
        fire(self, now_ns)

    monkeypatch.setattr(LiveFeed, "_fire", count)
    for lots in range(1, 20):
        desk.update(bids=((101, lots),))
        desk.trade(lots)
    assert (rounds, desk.woken) == ([], [])
    desk.update(bids=((101, 0), (100, 0)))
    assert (len(rounds), desk.woken) == (1, list(range(50)))
