"""On real recordings the live book and the columns say the same, whole views, to the last bit (D8)."""

import gzip
from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import islice, pairwise
from pathlib import Path

import msgspec
import numpy as np
import pytest

from sor.book import Book
from sor.features import FEATURE_NAMES, Features
from sor.ids import Symbol, VenueName
from sor.instruments import Instrument
from sor.lab.columns import FeatureColumns, columns_of
from sor.market import BookUpdate, Levels, TradePrint, Trust
from sor.orders import Side
from sor.tape import Tape, open_tape
from sor.units import MS
from tests.replay.conftest import FILES, Recorded, beginning_of

VENUE = VenueName("binance")
SYMBOL = Symbol("BTCUSDT")
Event = BookUpdate | TradePrint


class _Data(msgspec.Struct, rename={"made_ms": "T", "seq": "u", "prev_seq": "pu", "bids": "b", "asks": "a"}):
    """A depth diff or a trade; the fields of the other are left at their defaults."""

    made_ms: int = 0
    seq: int = 0
    prev_seq: int = 0
    bids: list[tuple[str, str]] | str = []
    asks: list[tuple[str, str]] | str = []
    price: str = msgspec.field(name="p", default="")
    lots: str = msgspec.field(name="q", default="")
    buyer_rested: bool = msgspec.field(name="m", default=False)
    origin: str = msgspec.field(name="X", default="MARKET")


class _Line(msgspec.Struct):
    """A message of the combined stream, or the REST snapshot."""

    stream: str = ""
    data: _Data | None = None
    last_id: int = msgspec.field(name="lastUpdateId", default=-1)
    made_ms: int = msgspec.field(name="T", default=0)
    bids: list[tuple[str, str]] = []
    asks: list[tuple[str, str]] = []


def whole(text: str, decimals: int) -> int:
    """A decimal as the number of its last places: "61800.20" is 618002 with one."""
    digits, _, fraction = text.partition(".")
    assert not fraction[decimals:].strip("0")
    return int(digits + fraction[:decimals].ljust(decimals, "0"))


def levels(pairs: list[tuple[str, str]] | str, lot_decimals: int) -> Levels:
    assert not isinstance(pairs, str)
    return tuple([(whole(price, 1), whole(lots, lot_decimals)) for price, lots in pairs])


def events_of(path: Path, lot_decimals: int, *, lines_most: int) -> Iterator[Event]:
    """Depth and trades in the order of arrival, which for the diffs before the snapshot is after it."""
    decode = msgspec.json.Decoder(_Line).decode
    early: list[BookUpdate] = []
    begun = False
    with gzip.open(path, "rb") as lines:
        for line in islice(lines, lines_most):
            stamp, text = line.split(b" ", 1)
            if b"bookTicker" in text:
                continue
            recv_ns, message = int(stamp), decode(text)
            if message.data is None:
                yield BookUpdate(
                    symbol=SYMBOL,
                    bids=levels(message.bids, lot_decimals),
                    asks=levels(message.asks, lot_decimals),
                    venue_ns=message.made_ms * MS,
                    recv_ns=recv_ns,
                    snapshot=True,
                    seq=message.last_id,
                )
                yield from (msgspec.structs.replace(update, recv_ns=recv_ns) for update in early)
                begun = True
            elif message.stream.endswith("@trade"):
                if message.data.origin == "MARKET":
                    yield TradePrint(
                        symbol=SYMBOL,
                        side=Side.SELL if message.data.buyer_rested else Side.BUY,
                        price_ticks=whole(message.data.price, 1),
                        qty_lots=whole(message.data.lots, lot_decimals),
                        venue_ns=message.data.made_ms * MS,
                        recv_ns=recv_ns,
                    )
            else:
                update = BookUpdate(
                    symbol=SYMBOL,
                    bids=levels(message.data.bids, lot_decimals),
                    asks=levels(message.data.asks, lot_decimals),
                    venue_ns=message.data.made_ms * MS,
                    recv_ns=recv_ns,
                    seq=message.data.seq,
                    prev_seq=message.data.prev_seq,
                )
                if begun:
                    yield update
                else:
                    early.append(update)


def columns_from(events: list[Event]) -> FeatureColumns:
    """What the snapshot already holds is left out: a tape has no ids by which the columns could tell."""
    updates = [event for event in events if isinstance(event, BookUpdate)]
    trades = [event for event in events if isinstance(event, TradePrint)]
    first = next(update.seq for update in updates if update.snapshot)
    groups = [update for update in updates if update.snapshot or update.seq > first]
    changes = [
        (side, *level) for group in groups for side, levels in ((1, group.bids), (-1, group.asks)) for level in levels
    ]
    side, ticks, lots = np.array(changes, np.int64).T
    tape = Tape(
        name="recorded",
        digest="",
        instrument=Instrument(symbol=SYMBOL, venue=VENUE, tick_size=Decimal("0.1"), lot_size=Decimal(1)),
        group_venue_ns=np.array([group.venue_ns for group in groups]),
        group_recv_ns=np.array([group.recv_ns for group in groups]),
        group_first=np.cumsum([0, *(len(group.bids) + len(group.asks) for group in groups)]),
        group_snapshot=np.array([group.snapshot for group in groups], np.int8),
        level_side=side.astype(np.int8),
        level_ticks=ticks,
        level_lots=lots,
        trade_venue_ns=np.array([trade.venue_ns for trade in trades]),
        trade_recv_ns=np.array([trade.recv_ns for trade in trades]),
        trade_side=np.array([trade.side for trade in trades], np.int8),
        trade_ticks=np.array([trade.price_ticks for trade in trades]),
        trade_lots=np.array([trade.qty_lots for trade in trades]),
    )
    return columns_of(tape, group_local_ns=tape.group_recv_ns, trade_local_ns=tape.trade_recv_ns)


@pytest.mark.parametrize(
    ("name", "lot_decimals", "instants_least"),
    [
        ("binance-20240718-btc/usdm_btcusdt_20240718.gz", 3, 2_000),
        ("binance-20240808-btc/coinm_btcusd_perp_20240808.gz", 0, 3_000),
    ],
)
def test_on_raw_messages_book_and_columns_agree_at_every_event_and_between(
    recordings: Path, name: str, lot_decimals: int, instants_least: int
) -> None:
    # The book is given all, and finds its place in the chain of ids by itself.
    events = list(events_of(recordings / name, lot_decimals, lines_most=8_000))
    columns = columns_from(events)
    # Of one instant a tape puts trades first. Arrival may differ from that by nanoseconds only.
    events.sort(key=lambda event: (event.recv_ns, isinstance(event, BookUpdate)))
    instants = trusted = 0
    for now_ns, between_ns, book in looks(events):
        for at_ns in (now_ns, between_ns):
            view = book.view(at_ns)
            assert columns.at(at_ns) == view
        instants += 1
        trusted += book.trust is Trust.OK
    assert instants >= instants_least
    assert trusted > 0.9 * instants


@pytest.mark.parametrize("name", FILES)
def test_on_tapes_book_and_columns_agree_at_every_event(recorded: Mapping[str, Recorded], name: str) -> None:
    tape = msgspec.structs.replace(
        beginning_of(open_tape(recorded[name].path), groups=8_000),
        instrument=Instrument(symbol=SYMBOL, venue=VENUE, tick_size=Decimal("0.1"), lot_size=Decimal(1)),
    )
    columns = columns_of(tape, group_local_ns=tape.group_recv_ns, trade_local_ns=tape.trade_recv_ns)
    found: list[Features | None] = []
    instants: list[int] = []
    for at, (now_ns, between_ns, book) in enumerate(looks(played(tape))):
        view = book.view(now_ns)
        found.append(view.features)
        instants.append(now_ns)
        if at % 8 == 0:
            assert columns.at(now_ns) == view
            assert columns.at(between_ns) == book.view(between_ns)
    sound = [one for one in found if one is not None]
    assert len(sound) >= 6_000
    assert len(sound) > 0.95 * len(found)  # trades that came before the snapshot have no book
    for feature in FEATURE_NAMES:
        values = columns.values(feature, np.array(instants))
        assert values[np.isnan(values)].size == len(found) - len(sound)
        assert values[~np.isnan(values)].tolist() == [getattr(one, feature) for one in sound], feature


def looks(events: list[Event]) -> Iterator[tuple[int, int, Book]]:
    """A book that is given the events: after all of an instant, that instant and one on the way to the next."""
    book = Book(venue=VENUE, symbol=SYMBOL)
    for event, after in zip(events, [*events[1:], None], strict=True):
        if isinstance(event, BookUpdate):
            book.apply(event)
        else:
            book.trade(event)
        if after is None or after.recv_ns > event.recv_ns:
            until_ns = event.recv_ns + 15 * 1_000 * MS if after is None else after.recv_ns - 1
            yield event.recv_ns, (event.recv_ns + until_ns) // 2, book


def played(tape: Tape) -> list[Event]:
    """The events of a tape in order of local time; of one instant, trades come first."""
    levels = list(zip(tape.level_side.tolist(), tape.level_ticks.tolist(), tape.level_lots.tolist(), strict=True))
    events: list[Event] = []
    for at, (begin, end) in enumerate(pairwise(tape.group_first.tolist())):
        events.append(
            BookUpdate(
                symbol=SYMBOL,
                bids=tuple((ticks, lots) for side, ticks, lots in levels[begin:end] if side > 0),
                asks=tuple((ticks, lots) for side, ticks, lots in levels[begin:end] if side < 0),
                venue_ns=int(tape.group_venue_ns[at]),
                recv_ns=int(tape.group_recv_ns[at]),
                snapshot=bool(tape.group_snapshot[at]),
            )
        )
    for recv_ns, side, ticks, lots in zip(
        tape.trade_recv_ns.tolist(),
        tape.trade_side.tolist(),
        tape.trade_ticks.tolist(),
        tape.trade_lots.tolist(),
        strict=True,
    ):
        events.append(
            TradePrint(
                symbol=SYMBOL, side=Side(side), price_ticks=ticks, qty_lots=lots, venue_ns=recv_ns, recv_ns=recv_ns
            )
        )
    events.sort(key=lambda event: (event.recv_ns, isinstance(event, BookUpdate)))
    return events
