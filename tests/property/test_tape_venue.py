"""The recorded venue against a matcher that steps through every event, and what must hold of any replay."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sor.orders import Side, Tif
from tests.fakes.tape_script import NOW, Book, Print, Told, Trader, market_of
from venues.simulated.queues import QUEUES, Place, QueueModel
from venues.simulated.tape_market import TapeMarket
from venues.simulated.tape_settings import TapeSettings

BUY, SELL = Side.BUY, Side.SELL
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
    settings: TapeSettings | None = None,
    *,
    owner_of: Callable[[str], str] | None = None,
) -> Trader:
    market = events if isinstance(events, TapeMarket) else market_of(events)
    trader = Trader(market, settings, owner_of=owner_of)
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
