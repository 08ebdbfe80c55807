"""On real recordings the live book and the columns say the same, whole views, to the last bit (D8)."""

import gzip
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import msgspec
import numpy as np
import pytest

from sor.book import Book
from sor.ids import Symbol, VenueName
from sor.instruments import Instrument
from sor.lab.columns import FeatureColumns, columns_of
from sor.market import BookUpdate, Levels, TradePrint, Trust
from sor.orders import Side
from sor.tape import Tape
from sor.units import MS

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


def events_of(path: Path, lot_decimals: int) -> Iterator[Event]:
    """Depth and trades in the order of arrival, which for the diffs before the snapshot is after it."""
    decode = msgspec.json.Decoder(_Line).decode
    early: list[BookUpdate] = []
    begun = False
    with gzip.open(path, "rb") as lines:
        for line in lines:
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
    ("name", "lot_decimals", "views_least"),
    [("usdm_btcusdt_20240808.gz", 3, 50_000), ("coinm_btcusd_perp_20240808.gz", 0, 45_000)],
)
def test_book_and_columns_agree_at_every_event_and_between(
    recordings: Path, name: str, lot_decimals: int, views_least: int
) -> None:
    events = list(events_of(recordings / "binance-20240808-btc" / name, lot_decimals))
    columns = columns_from(events)
    # Of one instant a tape puts trades first. Arrival may differ from that by nanoseconds only.
    events.sort(key=lambda event: (event.recv_ns, isinstance(event, BookUpdate)))
    book = Book(venue=VENUE, symbol=SYMBOL)
    views = trusted = 0
    for event, after in zip(events, [*events[1:], None], strict=True):
        if isinstance(event, BookUpdate):
            book.apply(event)
        else:
            book.trade(event)
        if after is None or after.recv_ns > event.recv_ns:
            until_ns = event.recv_ns + 15 * 1_000 * MS if after is None else after.recv_ns - 1
            for now_ns in (event.recv_ns, (event.recv_ns + until_ns) // 2):
                view = book.view(now_ns)
                assert columns.at(now_ns) == view
                views += 1
                trusted += view.trust is Trust.OK
    assert views >= views_least
    assert trusted > 0.99 * views
