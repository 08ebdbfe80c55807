"""What BingX says about orders, in all its spellings, as one value: `OrderNews`.

The same order comes as an acknowledgement (inputs as numbers, ids twice), as a row of a query (everything as text), as
a leg of a cancel, a batch or a replace, and as a push (`push`). What it means for the router, and which of it is new,
is decided in `reports`. Nothing is taken from fields that are known to lie: `cumQuote` is rounded to whole units,
`price` of a MARKET order is a reference, times of ended orders have no milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from sor.adapter import OpenOrder
from sor.errors import VenueFault
from sor.ids import ClOrdId, Symbol, VenueOrderId
from sor.orders import OrdStatus, Provenance, Side
from venues.bingx.codec import ABSENT, data_of, flag_of, ms_to_ns, text_of
from venues.bingx.listings import Listing, Listings
from venues.bingx.steps import plain

_SIDES = {"BUY": Side.BUY, "SELL": Side.SELL}
_STATUS: Mapping[str, OrdStatus] = {
    "NEW": OrdStatus.NEW,
    "PENDING": OrdStatus.NEW,
    "WORKING": OrdStatus.NEW,
    "RUNNING": OrdStatus.NEW,
    "PARTIALLY_FILLED": OrdStatus.PARTIALLY_FILLED,
    "FILLED": OrdStatus.FILLED,
    "CANCELED": OrdStatus.CANCELED,
    "CANCELLED": OrdStatus.CANCELED,
    "FAILED": OrdStatus.CANCELED,
    "EXPIRED": OrdStatus.EXPIRED,
}
_LIMIT = "LIMIT"


class OrderNews(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One statement of BingX's about one order. What it does not say has the value in brackets.

    cl_ord_id      lower-case, as BingX makes it (""). order_id ("").
    status         None when it is not said or not one of the words that are known; `word` is it to the letter.
    final          an end that this says is to be believed. The answers to a cancel and to a new order are evidence
                   of an end, not proof: fills may still be on their way to them (B10).
    order_lots     total quantity (0). price_ticks: limit, 0 for MARKET (0).
    cum_lots       filled so far (-1); avg_ticks: at this average, in ticks, exact (0).
    last_lots      the trade this tells of (0), at last_ticks (0).
    last_value     its value in lots x ticks as BingX rounds it (0), known to `last_value_slack`.
    fee_atoms      positive is a cost (None), in `fee_asset`; `fee_is_total`: of the whole order so far.
    created_ns     when the order was made (0). venue_ns: of this news (0).
    """

    listing: Listing
    source: Provenance
    recv_ns: int
    side: Side
    cl_ord_id: ClOrdId = ClOrdId("")
    order_id: VenueOrderId = VenueOrderId("")
    status: OrdStatus | None = None
    word: str = ""
    final: bool = True
    order_lots: int = 0
    price_ticks: int = 0
    cum_lots: int = -1
    avg_ticks: Decimal = Decimal(0)
    last_lots: int = 0
    last_ticks: int = 0
    last_value: float = 0.0
    last_value_slack: float = 0.0
    fee_atoms: int | None = None
    fee_asset: str = ""
    fee_is_total: bool = False
    created_ns: int = 0
    venue_ns: int = 0

    @property
    def symbol(self) -> Symbol:
        """Our name of the contract."""
        return self.listing.instrument.symbol


class OrderRow(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """An order object of the REST interface, whichever call it came from."""

    symbol: str
    side: str
    type: str = ""
    order_id: msgspec.Raw = ABSENT
    order_id_text: msgspec.Raw = msgspec.field(default=ABSENT, name="orderID")
    client_order_id: str | None = None
    client_order_id_again: str | None = msgspec.field(default=None, name="clientOrderID")
    price: msgspec.Raw = ABSENT
    quantity: msgspec.Raw = ABSENT
    orig_qty: msgspec.Raw = ABSENT
    executed_qty: msgspec.Raw = ABSENT
    avg_price: msgspec.Raw = ABSENT
    commission: msgspec.Raw = ABSENT
    status: str | None = None
    time: msgspec.Raw = ABSENT
    update_time: msgspec.Raw = ABSENT


def side_of(word: str) -> Side:
    """BUY or SELL in any case. Raises `VenueFault`."""
    side = _SIDES.get(word.upper())
    if side is None:
        raise VenueFault(f"BingX sent {word!r} as the side of an order")
    return side


def status_of(word: str | None) -> OrdStatus | None:
    """A status word in any case and spelling; None for those that say nothing or are not known."""
    return _STATUS.get((word or "").upper())


def order_id_of(*spellings: msgspec.Raw) -> VenueOrderId:
    """The first order id among these; 0 is none. `VenueFault` when one is no whole number: a float has lost digits."""
    for raw in spellings:
        text = text_of(raw)
        if text and text != "0":
            if not (text.isascii() and text.isdigit()):
                raise VenueFault(f"BingX sent {text!r} as an order id")
            return VenueOrderId(text)
    return VenueOrderId("")


def client_id_of(*spellings: str | None) -> ClOrdId:
    """The first client id among these, lower-case as BingX makes it."""
    return ClOrdId(next((one for one in spellings if one), "").lower())


def news(row: OrderRow, listing: Listing, source: Provenance, *, recv_ns: int, final: bool) -> OrderNews:
    """An order object as news. Raises `VenueFault` for numbers that are none or off their step."""
    status = status_of(row.status)
    executed, total = text_of(row.executed_qty), text_of(row.orig_qty) or text_of(row.quantity)
    commission = text_of(row.commission)
    instrument = listing.instrument
    fee_atoms = instrument.atoms(-plain(commission)) if commission else None
    return OrderNews(
        listing=listing,
        source=source,
        recv_ns=recv_ns,
        side=side_of(row.side),
        cl_ord_id=client_id_of(row.client_order_id_again, row.client_order_id),
        order_id=order_id_of(row.order_id_text, row.order_id),
        status=status,
        word=row.status or "",
        final=final,
        order_lots=listing.lots[total] if total else 0,
        price_ticks=listing.order_ticks(text_of(row.price), limit=row.type.upper() == _LIMIT),
        cum_lots=listing.lots[executed] if executed else -1,
        avg_ticks=listing.in_ticks(text_of(row.avg_price)),
        fee_atoms=fee_atoms,
        fee_asset=instrument.settle if commission else "",
        fee_is_total=bool(commission),
        created_ns=ms_to_ns(row.time),
        venue_ns=ms_to_ns(row.update_time),
    )


# --- answers about one order ------------------------------------------------------------------------------------------


class _One(msgspec.Struct, frozen=True, gc=False):
    order: OrderRow


_ONE = msgspec.json.Decoder(_One)


def read_ack(body: bytes, listings: Listings, recv_ns: int) -> OrderNews:
    """The answer of `OrderWire.place`. A MARKET order may already be filled in it; never count on it."""
    row = data_of(body, _ONE, "an acknowledgement").order
    filled = status_of(row.status) is OrdStatus.FILLED
    return news(row, listings.stated(row.symbol), Provenance.ACK, recv_ns=recv_ns, final=filled)


def read_test(body: bytes) -> str:
    """The answer of `OrderWire.test`: the symbol it was about. The order id in it belongs to no order."""
    return data_of(body, _ONE, "an answer to a test order").order.symbol


def read_canceled(body: bytes, listings: Listings, recv_ns: int) -> OrderNews:
    """The answer of `wire.cancel`: evidence, not truth. Query the order, or await the push."""
    row = data_of(body, _ONE, "an answer to a cancel").order
    return news(row, listings.stated(row.symbol), Provenance.ACK, recv_ns=recv_ns, final=False)


def read_order(body: bytes, listings: Listings, recv_ns: int) -> OrderNews:
    """The answer of `wire.query`: the truth about an order, as of the moment."""
    row = data_of(body, _ONE, "an order").order
    return news(row, listings.stated(row.symbol), Provenance.QUERY, recv_ns=recv_ns, final=True)


class _Amended(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    symbol: str
    quantity: msgspec.Raw
    order_id: msgspec.Raw = ABSENT
    client_order_id: str | None = None


class Amended(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A confirmed new total quantity."""

    symbol: Symbol
    cl_ord_id: ClOrdId
    order_id: VenueOrderId
    order_lots: int


_AMENDED = msgspec.json.Decoder(_Amended)


def read_amended(body: bytes, listings: Listings) -> Amended:
    """The answer of `wire.amend`."""
    amended = data_of(body, _AMENDED, "an answer to an amend")
    listing = listings.stated(amended.symbol)
    return Amended(
        symbol=listing.instrument.symbol,
        cl_ord_id=client_id_of(amended.client_order_id),
        order_id=order_id_of(amended.order_id),
        order_lots=listing.lots[text_of(amended.quantity)],
    )


class _Replaced(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    cancel_result: msgspec.Raw
    replace_result: msgspec.Raw
    cancel_msg: str | None = None
    replace_msg: str | None = None
    cancel_response: OrderRow | None = None
    new_order_response: OrderRow | None = None


class Replaced(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The two halves of a cancel-replace, each with its own outcome.

    old    the old order as it was before: its status is not what became of it. None when nothing was said of it.
    """

    canceled: bool
    placed: bool
    cancel_text: str
    place_text: str
    old: OrderNews | None
    new: OrderNews | None


_REPLACED = msgspec.json.Decoder(_Replaced)


def read_replaced(body: bytes, listings: Listings, recv_ns: int) -> Replaced:
    """The answer of `wire.cancel_replace`."""
    answer = data_of(body, _REPLACED, "an answer to a cancel-replace")
    old, new = answer.cancel_response, answer.new_order_response
    return Replaced(
        canceled=flag_of(answer.cancel_result),
        placed=flag_of(answer.replace_result),
        cancel_text=answer.cancel_msg or "",
        place_text=answer.replace_msg or "",
        old=_leg(old, listings, recv_ns) if old is not None else None,
        new=_leg(new, listings, recv_ns) if new is not None else None,
    )


def _leg(row: OrderRow, listings: Listings, recv_ns: int) -> OrderNews:
    return news(row, listings.stated(row.symbol), Provenance.ACK, recv_ns=recv_ns, final=False)


# --- answers about several --------------------------------------------------------------------------------------------


class _Failure(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    order_id: msgspec.Raw = ABSENT
    client_order_id: str | None = None
    client_order_id_again: str | None = msgspec.field(default=None, name="clientOrderID")
    error_code: msgspec.Raw = ABSENT
    code: msgspec.Raw = ABSENT
    error_message: str | None = None
    msg: str | None = None


class Failure(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One leg of a batch that was refused: to be judged as any other refusal (`errors.judge_code`)."""

    cl_ord_id: ClOrdId
    order_id: VenueOrderId
    code: str
    text: str


class Many(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The legs of one answer. A leg that is in neither list is in doubt.

    unlisted    symbols of orders that could not be expressed: their contract is not routable, or their numbers are off
                its steps. An order of ours is never among them.
    """

    orders: tuple[OrderNews, ...]
    failed: tuple[Failure, ...] = ()
    unlisted: tuple[str, ...] = ()


class _Batch(msgspec.Struct, frozen=True, gc=False):
    orders: list[OrderRow] | None = None
    errors: list[_Failure] | None = None


class _Canceled(msgspec.Struct, frozen=True, gc=False):
    success: list[OrderRow] | None = None
    failed: list[_Failure] | None = None


_BATCH = msgspec.json.Decoder(_Batch)
_CANCELED = msgspec.json.Decoder(_Canceled | None)


def read_batch(body: bytes, listings: Listings, recv_ns: int) -> Many:
    """The answer of `wire.place_batch`; how it tells of a leg that failed is unverified, so look every leg up."""
    batch = data_of(body, _BATCH, "an answer to a batch")
    return _many(batch.orders, batch.errors, listings, Provenance.ACK, recv_ns=recv_ns, final=False)


def read_canceled_many(body: bytes, listings: Listings, recv_ns: int) -> Many:
    """The answer of `wire.cancel_batch` and `wire.cancel_all`; nothing to cancel is an empty answer."""
    answer = data_of(body, _CANCELED, "an answer to a cancel")
    if answer is None:
        return Many(orders=())
    return _many(answer.success, answer.failed, listings, Provenance.ACK, recv_ns=recv_ns, final=False)


def read_orders(body: bytes, listings: Listings, recv_ns: int) -> Many:
    """The answer of `wire.open_orders` and `wire.order_history`; conditional orders are among them."""
    batch = data_of(body, _ORDERS, "the orders")
    rows = batch.orders if batch is not None else None
    return _many(rows, None, listings, Provenance.QUERY, recv_ns=recv_ns, final=True)


_ORDERS = msgspec.json.Decoder(_Batch | None)


def _many(
    rows: list[OrderRow] | None,
    failures: list[_Failure] | None,
    listings: Listings,
    source: Provenance,
    *,
    recv_ns: int,
    final: bool,
) -> Many:
    orders: list[OrderNews] = []
    unlisted: dict[str, None] = {}
    for row in rows or []:
        listing = listings.known(row.symbol)
        try:
            if listing is not None:
                orders.append(news(row, listing, source, recv_ns=recv_ns, final=final))
                continue
        except VenueFault:  # one order that cannot be read must not hide the others
            pass
        unlisted[row.symbol] = None
    failed = [
        Failure(
            cl_ord_id=client_id_of(one.client_order_id, one.client_order_id_again),
            order_id=order_id_of(one.order_id),
            code=text_of(one.error_code) or text_of(one.code),
            text=one.error_message or one.msg or "",
        )
        for one in failures or []
    ]
    return Many(orders=tuple(orders), failed=tuple(failed), unlisted=tuple(unlisted))


def open_order(one: OrderNews) -> OpenOrder | None:
    """An order that rests, as the router wants it; None when it has ended or its quantity is not known."""
    if one.status not in {OrdStatus.NEW, OrdStatus.PARTIALLY_FILLED} or not one.order_lots:
        return None
    return OpenOrder(
        cl_ord_id=one.cl_ord_id,
        venue_order_id=one.order_id,
        symbol=one.symbol,
        side=one.side,
        price_ticks=one.price_ticks,
        leaves_lots=one.order_lots - max(0, one.cum_lots),
        created_ns=one.created_ns,
    )
