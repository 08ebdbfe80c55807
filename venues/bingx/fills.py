"""The fill history: what traded, with its fee and role, as BingX's archive has it.

Its quirks: two columns that may each be the quantity, a time in two spellings of which one lies about its zone, and
sides in lower case.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum

import msgspec

from sor.errors import VenueFault
from sor.ids import ExecId
from sor.orders import AccountFill, ExecType, ExecutionReport, FeeSource, PositionSide, Provenance
from venues.bingx.codec import ABSENT, data_of, text_of
from venues.bingx.listings import VENUE, Listing, Listings
from venues.bingx.orders import client_id_of, order_id_of, side_of
from venues.bingx.steps import plain


class FillColumn(StrEnum):
    """Which column of a fill is its quantity in base coins: BingX's own sample does not fit either way.

    PRODUCT takes the one whose product with the price is the stated value, and `volume` where both are or none is.
    """

    PRODUCT = "product"
    VOLUME = "volume"
    QTY = "qty"


class _FillRow(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    symbol: str
    order_id: msgspec.Raw
    trade_id: msgspec.Raw
    side: str
    price: str
    volume: msgspec.Raw = ABSENT
    qty: msgspec.Raw = ABSENT
    quote_qty: msgspec.Raw = ABSENT
    commission: msgspec.Raw = ABSENT
    commission_asset: str = ""
    role: str = ""
    position_side: str = ""
    filled_time: str = ""
    filled_tm: str = ""
    client_order_id: str | None = None


class _FillPage(msgspec.Struct, frozen=True, gc=False):
    fill_history_orders: list[_FillRow] | None = None
    total: msgspec.Raw = ABSENT


class FillPage(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One page of fills, oldest first. `rows` counts what BingX sent: fewer than were asked for is the last page."""

    fills: tuple[AccountFill, ...]
    unlisted: tuple[str, ...]
    rows: int


_LABELS = {"LONG": PositionSide.LONG, "SHORT": PositionSide.SHORT}
_FILLS = msgspec.json.Decoder(_FillPage | None)
_WALL = timezone(timedelta(hours=8))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read_fills(body: bytes, listings: Listings, recv_ns: int, *, column: FillColumn = FillColumn.PRODUCT) -> FillPage:
    """The answer of `wire.fill_history` as TRADE reports with settled fees.

    Their `exec_id` is the trade id. It is not the id under which `reports` tells the same trade while it happens (an
    acknowledgement has no trade id), so these are for history, never to be mixed into the stream.
    """
    page = data_of(body, _FILLS, "the fill history")
    rows = (page.fill_history_orders if page is not None else None) or []
    fills: list[AccountFill] = []
    unlisted: dict[str, None] = {}
    for row in rows:
        listing = listings.known(row.symbol)
        if listing is None:
            unlisted[row.symbol] = None
        else:
            fills.append(_fill(row, listing, recv_ns, column))
    fills.sort(key=_venue_ns)
    return FillPage(fills=tuple(fills), unlisted=tuple(unlisted), rows=len(rows))


def _venue_ns(report: ExecutionReport) -> int:
    return report.venue_ns


def _fill(row: _FillRow, listing: Listing, recv_ns: int, column: FillColumn) -> AccountFill:
    commission = text_of(row.commission)
    instrument = listing.instrument
    role = row.role.lower()
    return AccountFill(
        venue=VENUE,
        symbol=instrument.symbol,
        cl_ord_id=client_id_of(row.client_order_id),
        exec_type=ExecType.TRADE,
        provenance=Provenance.QUERY,
        venue_order_id=order_id_of(row.order_id),
        venue_ns=_moment_ns(row),
        recv_ns=recv_ns,
        exec_id=ExecId(text_of(row.trade_id)),
        last_lots=listing.lots[_quantity(row, column)],
        last_ticks=listing.ticks[row.price],
        is_maker={"maker": True, "taker": False}.get(role),
        fee_atoms=instrument.atoms(-plain(commission)) if commission else None,
        fee_asset=(row.commission_asset or instrument.settle) if commission else "",
        fee_source=FeeSource.REST_SETTLED if commission else None,
        side=side_of(row.side),
        position_side=_LABELS.get(row.position_side.upper(), PositionSide.BOTH),
    )


def _quantity(row: _FillRow, column: FillColumn) -> str:
    volume, qty, value = text_of(row.volume), text_of(row.qty), text_of(row.quote_qty)
    if column is FillColumn.QTY or not volume:
        return qty
    if column is FillColumn.VOLUME or not qty or not value:
        return volume
    price, stated = plain(row.price), plain(value)
    misses = [abs(plain(one) * price - stated) for one in (volume, qty)]
    return qty if misses[1] < misses[0] else volume


def _moment_ns(row: _FillRow) -> int:
    """When a fill was: `filledTime` has the right offset; `filledTm` ends in Z and yet is the wall clock of UTC+8."""
    text = row.filled_time or row.filled_tm
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise VenueFault(f"BingX sent {text!r} as the time of a fill") from error
    if not row.filled_time or moment.tzinfo is None:
        moment = moment.replace(tzinfo=_WALL)
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1_000
