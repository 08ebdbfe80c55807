"""The recorded venue against a matcher that steps through every event, and what must hold of any replay."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sor.adapter import Feed, OwnRest, Position
from sor.feed import LiveFeed
from sor.ids import ClOrdId
from sor.market import BookUpdate, MarketEvent, MarketView, TradePrint
from sor.models.queues import QUEUES, Place, QueueModel
from sor.orders import ExecType, ExecutionReport, Side, Tif
from sor.revisit import Revisit, Trigger
from sor.units import RATE_E8
from tests.fakes.clock import VirtualClock
from tests.fakes.tape_script import INSTRUMENT, NOW, SYMBOL, Book, Print, Told, Trader, at_once, market_of
from venues.simulated.tape_latency import Delay
from venues.simulated.tape_market import TapeMarket
from venues.simulated.tape_settings import TapeSettings

BUY, SELL = Side.BUY, Side.SELL
MODERATE = TapeSettings(queue="moderate", entry=NOW, response=NOW)
MIRROR = 2000
"""A price p becomes MIRROR - p: buys become sells, bids asks."""
Events = list[Book | Print]


# --- what is drawn ----------------------------------------------------------------------------------------------


KINDS = ("market", "ioc", "fok", "limit", "rest", "rest", "rest", "rest", "cancel", "amend", "amend")


class Ask(NamedTuple):
    """One request: an order, or what is to become of an earlier one."""

    at_ns: int
    kind: str
    name: str
    side: Side = BUY
    lots: int = 0
    ticks: int = 0
    tif: Tif = Tif.GTC
    post_only: bool = False


@st.composite
def recordings(draw: st.DrawFn) -> Events:
    """A few dozen events around 1000, many of them at the same instants, sometimes crossed, empty or a snapshot."""
    prices = st.integers(998, 1002)
    sizes = st.integers(0, 9)
    bids = draw(st.dictionaries(st.integers(997, 999), st.integers(1, 9), min_size=1, max_size=3))
    asks = draw(st.dictionaries(st.integers(1001, 1003), st.integers(1, 9), min_size=1, max_size=3))
    at_ns = 100
    events: Events = [Book(at_ns, bids, asks, snapshot=True)]
    for _ in range(draw(st.integers(0, 40))):
        at_ns += draw(st.sampled_from([0, 0, 1, 2, 3, 10]))
        kind = draw(st.sampled_from(["trade", "trade", "bids", "asks", "both", "snapshot"]))
        if kind == "trade":
            print_ = Print(at_ns, draw(st.sampled_from(Side)), draw(prices), draw(st.integers(1, 12)))
            # Trades of an instant come before its groups.
            at = len(events)
            while at > 1 and isinstance(events[at - 1], Book) and events[at - 1].at_ns == at_ns:
                at -= 1
            events.insert(at, print_)
        else:
            low = draw(st.dictionaries(st.integers(997, 1000), sizes, max_size=3)) if kind != "asks" else {}
            high = draw(st.dictionaries(st.integers(1000, 1003), sizes, max_size=3)) if kind != "bids" else {}
            if kind == "snapshot":
                low = {ticks: lots for ticks, lots in low.items() if lots}
                high = {ticks: lots for ticks, lots in high.items() if lots}
            events.append(Book(at_ns, low, high, snapshot=kind == "snapshot"))
    return events


@st.composite
def asked(draw: st.DrawFn) -> list[Ask]:
    """Requests at times within and around a recording, in the order of sending."""
    asks: list[Ask] = []
    at_ns = 99
    for number in range(draw(st.integers(1, 14))):
        at_ns += draw(st.sampled_from([0, 1, 2, 5, 10]))
        kind = draw(st.sampled_from(KINDS if number else KINDS[:-3]))
        name = f"o{number}"
        side = draw(st.sampled_from(Side))
        lots, ticks = draw(st.integers(1, 9)), draw(st.integers(997, 1003))
        if side * ticks > side * 1000 and draw(st.booleans()):
            ticks = MIRROR - ticks  # more often behind the market than through it
        match kind:
            case "rest":
                asks.append(Ask(at_ns, "place", name, side, lots, ticks, post_only=True))
            case "limit":
                asks.append(Ask(at_ns, "place", name, side, lots, ticks))
            case "ioc":
                asks.append(Ask(at_ns, "place", name, side, lots, ticks, Tif.IOC))
            case "fok":
                asks.append(Ask(at_ns, "place", name, side, lots, ticks, Tif.FOK))
            case "market":
                asks.append(Ask(at_ns, "place", name, side, lots, tif=Tif.IOC))
            case _:
                earlier = [ask for ask in asks if ask.kind == "place"]
                asks.append(draw(st.sampled_from(earlier))._replace(at_ns=at_ns, kind=kind, lots=lots, ticks=ticks))
    return asks


def send(trader: Trader, asks: Sequence[Ask]) -> None:
    for ask in asks:
        match ask.kind:
            case "place":
                trader.place(ask.at_ns, ask.name, ask.side, ask.lots, ask.ticks, tif=ask.tif, post_only=ask.post_only)
            case "cancel":
                trader.cancel(ask.at_ns, ask.name)
            case _:
                trader.amend(ask.at_ns, ask.name, ask.lots, ask.ticks)


def trader_on(
    events: Sequence[Book | Print] | TapeMarket,
    asks: Sequence[Ask],
    how: TapeSettings | None = None,
    *,
    owner_of: Callable[[str], str] | None = None,
) -> Trader:
    market = events if isinstance(events, TapeMarket) else market_of(events)
    trader = Trader(market, how, owner_of=owner_of)
    send(trader, asks)
    return trader


# --- the matcher that steps through everything ------------------------------------------------------------------


class Own:
    """One order of the stepping matcher."""

    def __init__(self, ask: Ask) -> None:
        self.name = ask.name
        self.side = ask.side
        self.ticks = ask.ticks
        self.total = self.leaves = ask.lots
        self.filled = 0
        self.post_only = ask.post_only
        self.place: Place | None = None
        self.overlaps = False

    @property
    def signed(self) -> int:
        return self.side * self.ticks


class Stepper:
    """Every event of the recording and every request, one after the other, for one owner without any delay."""

    def __init__(self, model: QueueModel) -> None:
        self.model = model
        self.books: dict[Side, dict[int, int]] = {BUY: {}, SELL: {}}
        self.taken: dict[tuple[Side, int], int] = {}
        self.open = False
        self.orders: dict[str, Own] = {}
        self.said: list[Told] = []

    def run(self, events: Sequence[Book | Print], asks: Sequence[Ask]) -> list[Told]:
        # Stable: at one instant the recording in its own order, trades before groups, then the requests.
        steps: list[Book | Print | Ask] = sorted([*events, *asks], key=lambda step: step.at_ns)
        for step in steps:
            match step:
                case Print():
                    self.trade(step)
                case Book():
                    self.group(step)
                case Ask():
                    self.request(step)
        return self.said

    def best(self, side: Side) -> int | None:
        """Signed in the side's own terms."""
        return max((side * ticks for ticks in self.books[side]), default=None)

    def resting(self) -> list[Own]:
        return [own for own in self.orders.values() if own.leaves and own.place is not None]

    def fill(self, own: Own, at_ns: int, lots: int, ticks: int, *, maker: bool) -> None:
        own.filled += lots
        own.leaves -= lots
        self.said.append(Told(at_ns, "trade", own.name, lots, ticks, maker))

    def trade(self, trade: Print) -> None:
        ours: dict[int, int] = {}
        for own in self.resting():
            if own.side is trade.side:
                continue
            if own.side * trade.ticks < own.signed and not own.overlaps:
                self.fill(own, trade.at_ns, own.leaves, own.ticks, maker=True)
            elif trade.ticks == own.ticks:
                assert own.place is not None
                lots = min(own.place.trade(trade.lots, ours=ours.get(own.signed, 0)), own.leaves)
                if lots:
                    ours[own.signed] = ours.get(own.signed, 0) + lots
                    self.fill(own, trade.at_ns, lots, own.ticks, maker=True)

    def group(self, group: Book) -> None:
        self.open = self.open or group.snapshot
        fresh: dict[Side, list[int]] = {BUY: [], SELL: []}
        for side, named in ((BUY, dict(group.bids)), (SELL, dict(group.asks))):
            book = self.books[side]
            fresh[side] = [ticks for ticks, lots in named.items() if lots]
            if group.snapshot:
                named |= {ticks: 0 for ticks in book if ticks not in named}
            for ticks, lots in named.items():
                before = book.pop(ticks, 0)
                if lots:
                    book[ticks] = lots
                self.taken.pop((side, ticks), None)
                for own in self.resting():
                    if own.side is side and own.ticks == ticks:
                        assert own.place is not None
                        own.place.changes(self.model, displayed_lots=before, sizes=[lots])
        for own in self.resting():
            here, there = self.best(own.side), self.best(own.side.opposite)
            if own.overlaps:
                hit = any(own.side * ticks <= own.signed for ticks in fresh[own.side.opposite])
            else:
                hit = there is not None and (here is None or here < -there) and -there <= own.signed
            if hit:
                self.fill(own, group.at_ns, own.leaves, own.ticks, maker=True)

    def request(self, ask: Ask) -> None:
        own = self.orders.get(ask.name)
        if ask.kind == "place":
            self.enter(ask)
        elif own is None:
            self.tell(ask, f"{ask.kind}_rejected:unknown_order")
        elif not own.leaves:
            self.tell(ask, f"{ask.kind}_rejected:too_late")
        elif ask.kind == "cancel":
            own.leaves = 0
            self.tell(ask, "canceled")
        else:
            self.amend(ask, own)

    def tell(self, ask: Ask, what: str) -> None:
        self.said.append(Told(ask.at_ns, what, ask.name))

    def can_take(self, side: Side, lots: int, limit: float) -> list[tuple[int, int]]:
        takes = []
        for signed, ticks in sorted((side * ticks, ticks) for ticks in self.books[side.opposite]):
            there = self.books[side.opposite][ticks] - self.taken.get((side.opposite, ticks), 0)
            if signed <= limit and there and lots:
                takes.append((ticks, min(there, lots)))
                lots -= takes[-1][1]
        return takes

    def crossing(self, side: Side, takes: list[tuple[int, int]], lots: int, limit: float, *, post_only: bool) -> str:
        """Why an order may not meet what it would meet, or nothing."""
        there = self.best(side.opposite)
        if post_only and there is not None and -there <= limit:
            return "would_take"
        reach = side * takes[-1][0] if lots == sum(got for _, got in takes) else limit
        if any(side * own.ticks <= reach for own in self.resting() if own.side is not side):
            return "self_trade"
        return ""

    def enter(self, ask: Ask) -> None:
        there = self.best(ask.side.opposite)
        if not self.open:
            self.tell(ask, "rejected:venue_closed")
            return
        if not ask.ticks and there is None:
            self.tell(ask, "rejected:no_liquidity")
            return
        limit = ask.side * ask.ticks if ask.ticks else float("inf")
        takes = self.can_take(ask.side, ask.lots, limit)
        if why := self.crossing(ask.side, takes, ask.lots, limit, post_only=ask.post_only):
            self.tell(ask, f"rejected:{why}")
            return
        own = self.orders[ask.name] = Own(ask)
        self.tell(ask, "new")
        if ask.tif is not Tif.FOK or sum(lots for _, lots in takes) == ask.lots:
            self.take(own, ask.at_ns, takes)
        if ask.tif is Tif.GTC:
            self.rest(own)
        elif own.leaves:
            own.leaves = 0
            self.tell(ask, "expired:no_liquidity")

    def take(self, own: Own, at_ns: int, takes: list[tuple[int, int]]) -> None:
        for ticks, lots in takes:
            key = own.side.opposite, ticks
            self.taken[key] = self.taken.get(key, 0) + lots
            self.fill(own, at_ns, lots, ticks, maker=False)

    def rest(self, own: Own) -> None:
        there = self.best(own.side.opposite)
        own.place = Place(front=float(self.books[own.side].get(own.ticks, 0)))
        own.overlaps = there is not None and -there <= own.signed

    def amend(self, ask: Ask, own: Own) -> None:
        if ask.lots <= own.filled:
            own.leaves = 0
            self.tell(ask, "canceled")
            return
        leaves = ask.lots - own.filled
        stays = ask.ticks == own.ticks and ask.lots <= own.total
        takes: list[tuple[int, int]] = []
        if not stays:
            limit = own.side * ask.ticks
            takes = self.can_take(own.side, leaves, limit)
            if why := self.crossing(own.side, takes, leaves, limit, post_only=own.post_only):
                self.tell(ask, f"amend_rejected:{why}")
                return
        self.tell(ask, "replaced")
        own.total, own.leaves, own.ticks = ask.lots, leaves, ask.ticks
        if not stays:
            # A new place is behind its owner's other orders too.
            self.orders[own.name] = self.orders.pop(own.name)
            self.take(own, ask.at_ns, takes)
            self.rest(own)


@pytest.mark.parametrize("queue", ["risk_averse", "moderate", "log"])
@given(events=recordings(), asks=asked())
def test_skipping_finds_what_stepping_finds(queue: str, events: Events, asks: list[Ask]) -> None:
    stepped = Stepper(QUEUES[queue]).run(events, asks)
    skipped = trader_on(events, asks, TapeSettings(queue=queue, entry=NOW, response=NOW)).run()
    # At one instant orders of different prices are served in no order that means anything.
    assert sorted(skipped, key=_by_order) == sorted(stepped, key=_by_order)
    assert [told.at_ns for told in skipped] == sorted(told.at_ns for told in skipped)


def _by_order(told: Told) -> tuple[str, int]:
    return told.order, told.at_ns


# --- what must hold of any replay -------------------------------------------------------------------------------


def mirrored(events: Events) -> Events:
    """The same recording seen from the other side."""
    return [
        Book(event.at_ns, _flipped(event.asks), _flipped(event.bids), event.snapshot)
        if isinstance(event, Book)
        else event._replace(side=event.side.opposite, ticks=MIRROR - event.ticks)
        for event in events
    ]


def _flipped(levels: Mapping[int, int]) -> dict[int, int]:
    return {MIRROR - ticks: lots for ticks, lots in levels.items()}


@settings(max_examples=50)
@given(events=recordings(), asks=asked())
def test_a_mirrored_recording_mirrors_every_result(events: Events, asks: list[Ask]) -> None:
    # A price of 0 is that of a MARKET order, which has none to mirror.
    back = [ask._replace(side=ask.side.opposite, ticks=ask.ticks and MIRROR - ask.ticks) for ask in asks]
    told = trader_on(mirrored(events), back, MODERATE).run()
    assert [one._replace(ticks=one.ticks and MIRROR - one.ticks) for one in told] == trader_on(
        events, asks, MODERATE
    ).run()


@given(events=recordings(), asks=asked(), queue=st.sampled_from(list(QUEUES)))
def test_fills_positions_and_money_add_up(events: Events, asks: list[Ask], queue: str) -> None:
    trader = trader_on(events, asks, TapeSettings(queue=queue, entry=NOW, response=NOW))
    trader.run()
    trader.clock.run_until(1_000)
    wants = {ask.name: ask.lots for ask in asks if ask.kind == "place"}
    trades: dict[str, list[ExecutionReport]] = {}
    position_lots = cash_atoms = 0
    sides = {ask.name: ask.side for ask in asks}
    for _, report in trader.reports:
        name = report.cl_ord_id
        if report.exec_type is ExecType.REPLACED:
            wants[name] = report.order_lots
        if report.exec_type is ExecType.TRADE:
            trades.setdefault(name, []).append(report)
            assert report.cum_lots == sum(one.last_lots for one in trades[name]) <= wants[name]
            assert report.fee_atoms == report.last_lots * report.last_ticks * (20_000 if report.is_maker else 50_000)
            signed_lots = sides[ClOrdId(name)] * report.last_lots
            position_lots += signed_lots
            cash_atoms -= signed_lots * report.last_ticks * RATE_E8 + report.fee_atoms
    assert {order.cl_ord_id: order.exec_ids for order in trader.venue.audit() if order.exec_ids} == {
        name: tuple(one.exec_id for one in reports) for name, reports in trades.items()
    }
    assert all(order.order_lots >= order.filled_lots + order.leaves_lots for order in trader.venue.audit())
    ids = [one.exec_id for reports in trades.values() for one in reports]
    assert len(ids) == len(set(ids))
    # What is left of the account once the position is valued at the mid is what came in and went out.
    account = at_once(trader.venue.account())
    market = trader.venue.market
    mid_hticks = market.mid_hticks(market.group_count - 1)
    if mid_hticks:
        worth_atoms = cash_atoms + position_lots * mid_hticks * RATE_E8 // 2
        assert account.equity - 1_000_000 == INSTRUMENT.money(worth_atoms)
    assert account.positions == ((Position(symbol=SYMBOL, qty_lots=position_lots),) if position_lots else ())


@settings(max_examples=50)
@given(events=recordings(), asks=asked())
def test_whatever_is_ordered_the_recording_stays_as_it_was(events: Events, asks: list[Ask]) -> None:
    market, untouched = market_of(events), market_of(events)
    trader_on(market, asks, MODERATE).run()
    for name in ("group_ns", "trade_ns", "trade_lots", "change_group", "change_lots", "best", "reach"):
        ours, theirs = getattr(market, name), getattr(untouched, name)
        if isinstance(ours, dict):
            ours, theirs = list(ours.values()), list(theirs.values())
        assert np.array_equal(ours, theirs), name


@settings(max_examples=25)
@given(events=recordings(), asks=asked(), seed=st.integers(0, 9))
def test_the_same_seed_gives_the_same_bytes(events: Events, asks: list[Ask], seed: int) -> None:
    drawn = TapeSettings(
        queue="moderate", seed=seed, entry=Delay(median_ns=3, sigma=1.0), response=Delay(median_ns=3, sigma=1.0)
    )
    first, second = trader_on(events, asks, drawn), trader_on(events, asks, drawn)
    first.run()
    second.run()
    assert msgspec.json.encode(first.reports) == msgspec.json.encode(second.reports)


@settings(max_examples=50)
@given(events=recordings(), mine=asked(), others=asked())
def test_an_owner_fares_as_if_it_were_alone(events: Events, mine: list[Ask], others: list[Ask]) -> None:
    # On one market object: neither what others take, nor what the venue looked up for them, is seen by anybody else.
    market = market_of(events)
    alone = trader_on(market, mine, MODERATE).run()
    strangers = [ask._replace(name=f"x{ask.name}") for ask in others]
    together = trader_on(market, sorted([*mine, *strangers], key=lambda ask: ask.at_ns), MODERATE, owner_of=_first)
    assert [told for told in together.run() if not told.order.startswith("x")] == alone


def _first(cl_ord_id: str) -> str:
    return cl_ord_id[0]


SLOW = 300_000_000
"""Events this many times further apart let the windows of the features move."""


@st.composite
def watches(draw: st.DrawFn) -> list[tuple[int, int, Revisit]]:
    """When the market was seen, when the watch is set, and for what."""
    found: list[tuple[int, int, Revisit]] = []
    for _ in range(draw(st.integers(1, 4))):
        seen = draw(st.integers(95, 160))
        triggers = draw(
            st.lists(
                st.builds(
                    Trigger,
                    feature=st.sampled_from(["spread_ticks", "imbalance", "mid_hticks", "sell_flow", "ofi_lots"]),
                    above=st.booleans(),
                    level=st.sampled_from([0.0, 0.5, 1.0, 2.0, 3.0, 1999.0, 2000.0]),
                ),
                max_size=2,
            )
        )
        revisit = Revisit(
            best_moved_ticks=draw(st.sampled_from([None, 0, 1, 2])),
            triggers=tuple(triggers),
            on_untrusted=draw(st.booleans()),
        )
        found.append((SLOW * seen, SLOW * (seen + draw(st.integers(0, 30))), revisit))
    return found


class Watcher:
    """Sets watches on a feed at given times, on what it saw before, and writes down when it is woken."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.woken: dict[int, int] = {}
        self.seen: dict[int, MarketView] = {}

    def wake(self, key: int) -> None:
        assert key not in self.woken
        self.woken[key] = self.clock.now_ns()

    def watch(self, feed: Feed, asked: list[tuple[int, int, Revisit]]) -> None:
        for key, (seen_ns, at_ns, revisit) in enumerate(asked):
            self.clock.call_at(seen_ns, partial(self._see, feed, key))
            self.clock.call_at(at_ns, partial(self._set, feed, key, revisit))

    def _see(self, feed: Feed, key: int) -> None:
        self.seen[key] = feed.view(self.clock.now_ns())

    def _set(self, feed: Feed, key: int, revisit: Revisit) -> None:
        feed.watch(key, revisit, self.seen[key], self.clock.now_ns())


@settings(max_examples=50)
@given(events=recordings(), asked=watches())
def test_the_recorded_feed_wakes_when_the_live_one_does(events: Events, asked: list[tuple[int, int, Revisit]]) -> None:
    slow: Events = [event._replace(at_ns=SLOW * event.at_ns) for event in events]
    slow.sort(key=lambda event: (event.at_ns, isinstance(event, Book)))  # as on a tape
    live = Watcher(VirtualClock())
    pushed = LiveFeed(venue=INSTRUMENT.venue, symbol=SYMBOL, wake=live.wake, scheduler=live.clock)
    for event in slow:
        live.clock.call_at(event.at_ns, partial(pushed.on_event, _message(event)))
    live.watch(pushed, asked)
    live.clock.run()
    trader = Trader(market_of(slow))
    recorded = Watcher(trader.clock)
    recorded.watch(trader.venue.feed(SYMBOL, recorded.wake), asked)
    trader.clock.run()
    assert recorded.seen == live.seen
    assert recorded.woken == live.woken


def _message(event: Book | Print) -> MarketEvent:
    if isinstance(event, Print):
        return TradePrint(
            symbol=SYMBOL,
            side=event.side,
            price_ticks=event.ticks,
            qty_lots=event.lots,
            venue_ns=event.at_ns,
            recv_ns=event.at_ns,
        )
    return BookUpdate(
        symbol=SYMBOL,
        bids=tuple(event.bids.items()),
        asks=tuple(event.asks.items()),
        venue_ns=event.at_ns,
        recv_ns=event.at_ns,
        snapshot=event.snapshot,
    )


# --- own orders -------------------------------------------------------------------------------------------------------


class Follower:
    """Has the places of orders followed, and writes down what is ahead of them at given times."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.found: list[tuple[int, tuple[tuple[ClOrdId, int], ...]]] = []

    def follow(self, feed: Feed, asked: list[tuple[int, Side, int]], looks: list[int]) -> None:
        for no, (at_ns, side, ticks) in enumerate(asked):
            own = OwnRest(ClOrdId(f"o{no}"), side, ticks, 5, at_ns, False, False)
            self.clock.call_at(at_ns, partial(self._stand, feed, own))
        for at_ns in looks:
            self.clock.call_at(at_ns, partial(self._look, feed))

    def _stand(self, feed: Feed, own: OwnRest) -> None:
        feed.stand(1, own, anew=True, now_ns=self.clock.now_ns())

    def _look(self, feed: Feed) -> None:
        now_ns = self.clock.now_ns()
        self.found.append((now_ns, feed.ahead(1, now_ns)))


@settings(max_examples=50)
@given(
    events=recordings(),
    asked=st.lists(
        st.tuples(st.integers(100, 130), st.sampled_from(Side), st.integers(997, 1003)), min_size=1, max_size=4
    ),
    looks=st.lists(st.integers(105, 160), min_size=3, max_size=8),
)
def test_the_recorded_feed_estimates_a_queue_like_the_live_one(
    events: Events, asked: list[tuple[int, Side, int]], looks: list[int]
) -> None:
    events.sort(key=lambda event: (event.at_ns, isinstance(event, Book)))  # as on a tape
    live = Follower(VirtualClock())
    pushed = LiveFeed(venue=INSTRUMENT.venue, symbol=SYMBOL, wake=print, scheduler=live.clock)
    for event in events:
        live.clock.call_at(event.at_ns, partial(pushed.on_event, _message(event)))
    live.follow(pushed, asked, looks)
    live.clock.run()
    trader = Trader(market_of(events))
    recorded = Follower(trader.clock)
    recorded.follow(trader.venue.feed(SYMBOL, print), asked, looks)
    trader.clock.run()
    assert recorded.found == live.found
