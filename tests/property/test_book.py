"""Whatever comes, the book equals the naive one: gaps, snapshots, empty and crossed books, silences, late looks."""

from operator import itemgetter

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from sor.book import Book
from sor.features import FEATURE_NAMES
from sor.market import BookReset, BookUpdate, LateLevels, Levels, MarketEvent, MarkUpdate, TradePrint, Trust
from sor.orders import Side
from sor.units import MS, NS
from tests.property.naive_book import SYMBOL, VENUE, view_of

START_NS = 1_000 * NS
WAITS_NS = (0, 1, 400 * MS, NS, 3 * NS, 10 * NS, 65 * NS)


@st.composite
def levels(draw: st.DrawFn, base: int, *, side: Side, most: int) -> Levels:
    """Levels around `base`; sometimes the sides overlap, so that books cross, and sizes of 0 empty them."""
    over = draw(st.sampled_from([-1, -1, -1, 2]))
    offset = st.integers(-12, over) if side is Side.BUY else st.integers(-over, 12)
    found = draw(st.lists(st.tuples(offset, st.integers(0, 4)), max_size=most))
    return tuple((base + away, lots) for away, lots in found)


@st.composite
def histories(draw: st.DrawFn) -> list[MarketEvent]:
    base = draw(st.sampled_from([100, 10_000]))
    now_ns, seq = START_NS + draw(st.integers(0, 2)) * 500 * MS, 10
    chained = draw(st.booleans())
    events: list[MarketEvent] = []
    for kind in draw(st.lists(st.sampled_from("uuuuuuttssmr"), min_size=draw(st.sampled_from([0, 8])), max_size=24)):
        now_ns += draw(st.sampled_from(WAITS_NS))
        if kind == "t":
            side, lots = draw(st.sampled_from(Side)), draw(st.integers(1, 9))
            events.append(
                TradePrint(symbol=SYMBOL, side=side, price_ticks=base, qty_lots=lots, venue_ns=now_ns, recv_ns=now_ns)
            )
        elif kind == "m":
            events.append(MarkUpdate(symbol=SYMBOL, mark_ticks=base + 0.5, venue_ns=now_ns, recv_ns=now_ns))
        elif kind == "r":
            events.append(BookReset(symbol=SYMBOL, recv_ns=now_ns))
        else:
            snapshot = kind == "s"
            most = 16 if snapshot else 4
            before = seq - draw(st.sampled_from([0, 0, 0, 0, 0, 0, 1, 2, -1]))
            seq = before + draw(st.sampled_from([1, 1, 1, 1, 3, 0, -4]))
            events.append(
                BookUpdate(
                    symbol=SYMBOL,
                    bids=draw(levels(base, side=Side.BUY, most=most)),
                    asks=draw(levels(base, side=Side.SELL, most=most)),
                    venue_ns=now_ns - 5,
                    recv_ns=now_ns,
                    snapshot=snapshot,
                    seq=draw(st.sampled_from([seq, seq, seq, -1])) if snapshot else seq,
                    prev_seq=before if chained and not snapshot else -1,
                )
            )
    return events


def lately(event: MarketEvent, fraction: float) -> MarketEvent:
    """A snapshot with its sides as floats; `fraction` of a lot is cut off each level, and a level of 0 is only that."""
    if not isinstance(event, BookUpdate) or not event.snapshot:
        return event
    return msgspec.structs.replace(
        event,
        bids=late_side(tuple(event.bids), fraction, best_is_high=True),
        asks=late_side(tuple(event.asks), fraction, best_is_high=False),
    )


def late_side(levels: Levels, fraction: float, *, best_is_high: bool) -> Levels | LateLevels:
    held = {price: lots for price, lots in dict(levels).items() if lots}
    if not held or (not fraction and not all(lots for _, lots in levels)):
        return levels
    best = max(held) if best_is_high else min(held)
    rows = [(price / 10, (lots + fraction) / 1_000) for price, lots in levels]
    rows.sort(key=itemgetter(0), reverse=best_is_high)
    return LateLevels((best, held[best]), rows, 10.0, 1_000.0)


def feed(book: Book, event: MarketEvent) -> None:
    match event:
        case BookUpdate():
            book.apply(event)
        case TradePrint():
            book.trade(event)
        case MarkUpdate():
            book.mark(event)
        case BookReset():
            book.reset(event)


@settings(max_examples=150)
@given(events=histories(), late=st.sampled_from([None, 0.0, 0.9]), looks=st.data())
def test_the_book_is_the_naive_book(events: list[MarketEvent], late: float | None, looks: st.DataObject) -> None:
    book = Book(venue=VENUE, symbol=SYMBOL)
    for number, event in enumerate(events):
        feed(book, event if late is None else lately(event, late))
        next_ns = events[number + 1].recv_ns if number + 1 < len(events) else event.recv_ns + 70 * NS
        # Looking must change nothing, so only some moments are looked at, and not only those of events.
        if looks.draw(st.booleans(), label="look"):
            now_ns = looks.draw(st.sampled_from([event.recv_ns, (event.recv_ns + next_ns) // 2, next_ns]))
            view = view_of(events[: number + 1], now_ns)
            values = [book.feature(name, now_ns) for name in FEATURE_NAMES] if looks.draw(st.booleans()) else None
            assert book.view(now_ns) == view
            assert book.mid_hticks() == (view.mid_hticks if view.trust is Trust.OK else 0)
            if values is not None:
                assert values == [getattr(view.features, name, None) for name in FEATURE_NAMES]
