"""The columns of any small tape are the live book, at every instant; and they skip to where the live feed wakes."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from math import isnan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sor.errors import CallerError
from sor.features import FEATURE_NAMES
from sor.feed import LiveFeed
from sor.instruments import Instrument
from sor.lab import columns
from sor.lab.columns import FeatureColumns, columns_of
from sor.market import BookUpdate, MarketView, TradePrint, Trust
from sor.orders import Side
from sor.revisit import Revisit, Trigger
from sor.tape import Tape
from sor.units import MS, NS
from tests.property.naive_book import SYMBOL, VENUE, view_of
from tests.property.test_book import START_NS, WAITS_NS, levels

INSTRUMENT = Instrument(symbol=SYMBOL, venue=VENUE, tick_size=Decimal(1), lot_size=Decimal(1))
Event = BookUpdate | TradePrint


@st.composite
def recordings_of(draw: st.DrawFn) -> list[Event]:
    """Events as a tape has them: no ids; of one instant, trades come first."""
    base = draw(st.sampled_from([100, 10_000, 5_000_000_000]))
    now_ns = START_NS + draw(st.integers(0, 2)) * 500 * MS
    events: list[Event] = []
    for kind in draw(st.lists(st.sampled_from("uuuuuutttsse"), min_size=draw(st.sampled_from([0, 8])), max_size=30)):
        now_ns += draw(st.sampled_from(WAITS_NS))
        if kind == "t":
            if events and isinstance(events[-1], BookUpdate) and events[-1].recv_ns == now_ns:
                now_ns += 1
            side, lots = draw(st.sampled_from(Side)), draw(st.integers(1, 9))
            events.append(
                TradePrint(symbol=SYMBOL, side=side, price_ticks=base, qty_lots=lots, venue_ns=now_ns, recv_ns=now_ns)
            )
        else:
            most = {"u": 4, "s": 16, "e": 0}[kind]
            events.append(
                BookUpdate(
                    symbol=SYMBOL,
                    bids=draw(levels(base, side=Side.BUY, most=most)),
                    asks=draw(levels(base, side=Side.SELL, most=most)),
                    venue_ns=now_ns - 5,
                    recv_ns=now_ns,
                    snapshot=kind != "u",
                )
            )
    return events


def tape_of(events: list[Event]) -> Tape:
    groups = [event for event in events if isinstance(event, BookUpdate)]
    trades = [event for event in events if isinstance(event, TradePrint)]
    changes = [(side, *level) for group in groups for side, level in _sided(group)]
    return Tape(
        name="small",
        digest="",
        instrument=INSTRUMENT,
        group_venue_ns=np.array([group.venue_ns for group in groups], np.int64),
        group_recv_ns=np.array([group.recv_ns for group in groups], np.int64),
        group_first=np.cumsum([0, *(len(group.bids) + len(group.asks) for group in groups)], dtype=np.int64),
        group_snapshot=np.array([group.snapshot for group in groups], np.int8),
        level_side=np.array([side for side, _, _ in changes], np.int8),
        level_ticks=np.array([ticks for _, ticks, _ in changes], np.int64),
        level_lots=np.array([lots for _, _, lots in changes], np.int64),
        trade_venue_ns=np.array([trade.venue_ns for trade in trades], np.int64),
        trade_recv_ns=np.array([trade.recv_ns for trade in trades], np.int64),
        trade_side=np.array([trade.side for trade in trades], np.int8),
        trade_ticks=np.array([trade.price_ticks for trade in trades], np.int64),
        trade_lots=np.array([trade.qty_lots for trade in trades], np.int64),
    )


def _sided(group: BookUpdate) -> Iterator[tuple[int, tuple[int, int]]]:
    yield from ((1, level) for level in group.bids)
    yield from ((-1, level) for level in group.asks)


def columns_from(events: list[Event]) -> FeatureColumns:
    tape = tape_of(events)
    return columns_of(tape, group_local_ns=tape.group_recv_ns, trade_local_ns=tape.trade_recv_ns)


@pytest.fixture(autouse=True, scope="module")
def _small_chunks() -> Iterator[None]:
    """So that a small tape has many chunks, runs out of prices, and is skipped through in several goes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(columns, "_CELLS", 12)
        patch.setattr(columns, "_WIDTH", 2)
        patch.setattr(columns, "_SCAN_FIRST", 1)
        patch.setattr(columns, "_SCAN_MOST", 4)
        yield


@settings(max_examples=100)
@given(events=recordings_of(), looks=st.lists(st.integers(-NS, 200 * NS), max_size=4))
def test_the_columns_are_the_book_at_every_instant(events: list[Event], looks: list[int]) -> None:
    found = columns_from(events)
    instants = {START_NS + look for look in looks}
    instants |= {event.recv_ns + late for event in events for late in (-1, 0, 1, 10 * NS)}
    views = [view_of([event for event in events if event.recv_ns <= now_ns], now_ns) for now_ns in sorted(instants)]
    for now_ns, view in zip(sorted(instants), views, strict=True):
        assert found.at(now_ns) == view
        assert found.mid_hticks(now_ns) == (view.mid_hticks if view.trust is Trust.OK else 0)
    for name in FEATURE_NAMES:
        values = found.values(name, np.array(sorted(instants), np.int64)).tolist()
        expected = [None if view.features is None else getattr(view.features, name) for view in views]
        assert [None if isnan(value) else value for value in values] == expected, name


class Woken:
    """A live feed that is given events one by one, to see when it wakes."""

    def __init__(self, events: list[Event], after_ns: int) -> None:
        self.keys: list[int] = []
        self.feed = LiveFeed(venue=VENUE, symbol=SYMBOL, wake=self.keys.append, scheduler=self)
        self.after_ns = after_ns
        self.later = [event for event in events if event.recv_ns > after_ns]
        for event in events:
            if event.recv_ns <= after_ns:
                self.feed.on_event(event)

    def now_ns(self) -> int:
        return self.after_ns

    def call_at(self, at_ns: int, action: Callable[[], object]) -> None:
        raise AssertionError(f"{action} at {at_ns}: what was seen is what is there, so nothing can be due")

    def when(self, revisit: Revisit, seen: MarketView) -> int | None:
        self.feed.watch(1, revisit, seen, self.after_ns)
        for event in self.later:
            self.feed.on_event(event)
            if self.keys:
                return event.recv_ns
        return None


@settings(max_examples=150)
@given(events=recordings_of(), draw=st.data())
def test_skipping_leads_to_where_the_live_feed_wakes(events: list[Event], draw: st.DataObject) -> None:
    found = columns_from(events)
    after_ns = draw.draw(st.sampled_from([START_NS - 1, *(event.recv_ns for event in events)]), label="after")
    seen = found.at(after_ns)

    changes = Woken(events, after_ns).when(Revisit(on_untrusted=True), seen)
    assert found.next_trust_change(after_ns, trust=seen.trust) == changes

    if seen.bids and seen.asks:
        far = draw.draw(st.integers(1, 4), label="far")
        if seen.trust is Trust.OK:
            moves = Woken(events, after_ns).when(Revisit(best_moved_ticks=far, on_untrusted=False), seen)
            bid, ask = seen.bids[0][0], seen.asks[0][0]
            assert found.next_best_move(after_ns, bid_ticks=bid, ask_ticks=ask, at_least_ticks=far) == moves

    feature = draw.draw(st.sampled_from(FEATURE_NAMES), label="feature")
    values = {getattr(found.at(event.recv_ns).features, feature, 0.0) for event in events} | {0.0}
    trigger = Trigger(feature, draw.draw(st.booleans()), draw.draw(st.sampled_from(sorted(values)), label="level"))
    wakes = Woken(events, after_ns).when(Revisit(triggers=(trigger,), on_untrusted=False), seen)
    from_ns: int | None = after_ns
    if _holds(trigger, seen):
        from_ns = found.next_trigger(after_ns, trigger, holds=False)
    # A trigger may become false and true again at events of one instant, where a skip by time cannot stop in between.
    if len({event.recv_ns for event in events}) == len(events):
        assert (None if from_ns is None else found.next_trigger(from_ns, trigger)) == wakes


def _holds(trigger: Trigger, view: MarketView) -> bool:
    if view.features is None:
        return False
    value = getattr(view.features, trigger.feature)
    return bool(value > trigger.level if trigger.above else value < trigger.level)


def test_an_empty_tape_is_an_empty_book() -> None:
    found = columns_from([])
    assert found.at(START_NS) == MarketView(VENUE, SYMBOL, Trust.EMPTY, 0, 0, (), (), None, None)
    assert found.mid_hticks(START_NS) == 0
    assert found.next_best_move(0, bid_ticks=1, ask_ticks=2, at_least_ticks=1) is None
    assert found.next_trust_change(0, trust=Trust.OK) is None
    assert [found.next_trigger(0, Trigger(name, above=True, level=-1.0)) for name in FEATURE_NAMES] == [None] * len(
        FEATURE_NAMES
    )


def test_local_times_that_cannot_be_are_refused() -> None:
    tape = tape_of([BookUpdate(symbol=SYMBOL, bids=(), asks=(), venue_ns=at, recv_ns=at) for at in (1, 2)])
    right, none = tape.group_recv_ns, tape.trade_recv_ns
    with pytest.raises(CallerError, match=r"group_local_ns must have shape \(2,\) for tape small, not \(0,\)"):
        columns_of(tape, group_local_ns=none, trade_local_ns=none)
    with pytest.raises(CallerError, match=r"trade_local_ns must have shape \(0,\) for tape small, not \(2,\)"):
        columns_of(tape, group_local_ns=right, trade_local_ns=right)
    with pytest.raises(CallerError, match="group_local_ns of tape small goes back in time"):
        columns_of(tape, group_local_ns=right[::-1], trade_local_ns=none)


def test_an_unknown_feature_is_the_caller_s_error() -> None:
    with pytest.raises(CallerError, match="no market feature is called 'spraed'"):
        columns_from([]).next_trigger(0, Trigger("spraed", above=True, level=0.0))
    with pytest.raises(CallerError, match=r"no market feature is called 'spraed'; name one of mid_hticks, .*window_s"):
        columns_from([]).values("spraed", np.zeros(1, np.int64))
