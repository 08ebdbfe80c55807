"""Frames of the account socket: order events as `OrderNews`, account and configuration changes, and the end of the key.

The socket loses messages, sends some twice and some late, and two sockets on one listen key may get different halves.
So nothing here is the truth by itself: `reports` takes an order event as one statement among others.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from sor.adapter import Position
from sor.errors import VenueFault
from sor.ids import ClOrdId, Symbol, VenueOrderId
from sor.orders import Provenance
from venues.bingx.account import position
from venues.bingx.codec import ABSENT, decoded, ms_to_ns, text_of, whole_of
from venues.bingx.listings import Listing, Listings
from venues.bingx.market import PING, Ping
from venues.bingx.orders import OrderNews, client_id_of, order_id_of, side_of, status_of
from venues.bingx.steps import plain

_VALUE_DIGIT = Decimal("0.1")
"""`tv`, the value of a trade, is rounded to about this."""
_VALUE_SHARE = 0.005


class OrderPush(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """An order event.

    execution    BingX's word for what happened: NEW, TRADE, CANCELED, EXPIRED, CALCULATED (liquidation or ADL).
    trade_id     "" when it was not stated.
    """

    news: OrderNews
    execution: str
    trade_id: str


class BalanceChange(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A wallet as it is after a change. `cross` is without what isolated positions hold."""

    asset: str
    wallet: Decimal
    cross: Decimal
    change: Decimal


class AccountPush(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Balances and positions that changed, and only those.

    reason      DEPOSIT, WITHDRAW, ORDER, FUNDING_FEE, or another word.
    unlisted    symbols whose position changed and cannot be expressed in lots.
    """

    reason: str
    balances: tuple[BalanceChange, ...]
    positions: tuple[Position, ...]
    unlisted: tuple[str, ...]
    venue_ns: int


class ConfigPush(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Leverage of one contract as it is now; on connect and every five seconds one for every contract (B1)."""

    venue_symbol: str
    long_leverage: int
    short_leverage: int
    isolated: bool


class KeyExpired(msgspec.Struct, frozen=True, gc=False):
    """The listen key is no longer good: get a new one and connect again, then look everything up."""


class Noise(msgspec.Struct, frozen=True, gc=False):
    """An event that nothing is done about: SNAPSHOT, and those that are not known. `event` is its word, "" for none."""

    event: str


class UnlistedOrder(msgspec.Struct, frozen=True, gc=False):
    """An order event of a contract that is not routable: somebody else's order."""

    venue_symbol: str


AccountEvent = Ping | OrderPush | AccountPush | ConfigPush | KeyExpired | Noise | UnlistedOrder


class _Kind(msgspec.Struct, frozen=True, gc=False):
    e: str = ""


class _Order(msgspec.Struct, frozen=True, gc=False):
    symbol: str = msgspec.field(name="s")
    side: str = msgspec.field(name="S")
    order_id: msgspec.Raw = msgspec.field(name="i")
    client_id: str | None = msgspec.field(name="c", default=None)
    type: str = msgspec.field(name="o", default="")
    qty: msgspec.Raw = msgspec.field(name="q", default=ABSENT)
    price: msgspec.Raw = msgspec.field(name="p", default=ABSENT)
    execution: str = msgspec.field(name="x", default="")
    status: str | None = msgspec.field(name="X", default=None)
    average: msgspec.Raw = msgspec.field(name="ap", default=ABSENT)
    filled: msgspec.Raw = msgspec.field(name="z", default=ABSENT)
    last_qty: msgspec.Raw = msgspec.field(name="l", default=ABSENT)
    last_price: msgspec.Raw = msgspec.field(name="L", default=ABSENT)
    fee: msgspec.Raw = msgspec.field(name="n", default=ABSENT)
    fee_asset: str | None = msgspec.field(name="N", default=None)
    trade_time: msgspec.Raw = msgspec.field(name="T", default=ABSENT)
    trade_id: msgspec.Raw = msgspec.field(name="td", default=ABSENT)
    trade_value: msgspec.Raw = msgspec.field(name="tv", default=ABSENT)


class _OrderFrame(msgspec.Struct, frozen=True, gc=False):
    o: _Order
    event_time: msgspec.Raw = msgspec.field(name="E", default=ABSENT)
    update_time: msgspec.Raw = msgspec.field(name="T", default=ABSENT)


class _Wallet(msgspec.Struct, frozen=True, gc=False):
    asset: str = msgspec.field(name="a")
    wallet: msgspec.Raw = msgspec.field(name="wb", default=ABSENT)
    cross: msgspec.Raw = msgspec.field(name="cw", default=ABSENT)
    change: msgspec.Raw = msgspec.field(name="bc", default=ABSENT)


class _Held(msgspec.Struct, frozen=True, gc=False):
    symbol: str = msgspec.field(name="s")
    amount: msgspec.Raw = msgspec.field(name="pa", default=ABSENT)
    label: str = msgspec.field(name="ps", default="BOTH")


class _Account(msgspec.Struct, frozen=True, gc=False):
    reason: str = msgspec.field(name="m", default="")
    balances: list[_Wallet] | None = msgspec.field(name="B", default=None)
    positions: list[_Held] | None = msgspec.field(name="P", default=None)


class _AccountFrame(msgspec.Struct, frozen=True, gc=False):
    a: _Account
    event_time: msgspec.Raw = msgspec.field(name="E", default=ABSENT)


class _Config(msgspec.Struct, frozen=True, gc=False):
    symbol: str = msgspec.field(name="s")
    long: msgspec.Raw = msgspec.field(name="l")
    short: msgspec.Raw = msgspec.field(name="S")
    margin: str = msgspec.field(name="mt", default="")


class _ConfigFrame(msgspec.Struct, frozen=True, gc=False):
    ac: _Config


_ORDER_EVENTS = frozenset({"ORDER_TRADE_UPDATE", "TRADE_UPDATE"})
"""One page of 2026 has the short one."""
_KIND = msgspec.json.Decoder(_Kind)
_ORDER = msgspec.json.Decoder(_OrderFrame)
_ACCOUNT = msgspec.json.Decoder(_AccountFrame)
_CONFIG = msgspec.json.Decoder(_ConfigFrame)


def read_push(message: bytes, listings: Listings, *, hedge: bool, recv_ns: int) -> AccountEvent:
    """One inflated frame of the account socket. Raises `VenueFault` when it cannot be read.

    hedge    the account's position mode: in one-way mode positions are labelled LONG and SHORT all the same.
    """
    if message == PING:
        return Ping()
    event = decoded(_KIND, message, "an account frame").e
    match event:
        case "ORDER_TRADE_UPDATE" | "TRADE_UPDATE":
            return _order(message, listings, recv_ns)
        case "ACCOUNT_UPDATE":
            return _account(message, listings, hedge=hedge)
        case "ACCOUNT_CONFIG_UPDATE":
            config = decoded(_CONFIG, message, "a change of configuration").ac
            return ConfigPush(
                venue_symbol=config.symbol,
                long_leverage=whole_of(config.long),
                short_leverage=whole_of(config.short),
                isolated=config.margin.lower() == "isolated",
            )
        case "listenKeyExpired":
            return KeyExpired()
        case _:
            return Noise(event)


class Named(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Which order an event is about: by our id or BingX's, either of which may be ""."""

    symbol: Symbol
    cl_ord_id: ClOrdId
    order_id: VenueOrderId


class _Name(msgspec.Struct, frozen=True, gc=False):
    symbol: str = msgspec.field(name="s")
    order_id: msgspec.Raw = msgspec.field(name="i", default=ABSENT)
    client_id: msgspec.Raw = msgspec.field(name="c", default=ABSENT)


class _NameFrame(msgspec.Struct, frozen=True, gc=False):
    o: _Name


_NAME = msgspec.json.Decoder(_NameFrame)


def about_orders(message: bytes) -> bool:
    """Whether a frame that `read_push` could not read may have been an order event."""
    try:
        event = decoded(_KIND, message, "an account frame").e
    except VenueFault:
        return True
    return event in _ORDER_EVENTS


def named(message: bytes, listings: Listings) -> Named | None:
    """Whose order a frame is about that `read_push` could not read; None where even that cannot be seen."""
    try:
        name = decoded(_NAME, message, "an order event").o
        listing = listings.known(name.symbol)
        cl_ord_id, order_id = client_id_of(text_of(name.client_id)), order_id_of(name.order_id)
    except VenueFault:
        return None
    if listing is None or not (cl_ord_id or order_id):
        return None
    return Named(symbol=listing.instrument.symbol, cl_ord_id=cl_ord_id, order_id=order_id)


def _order(message: bytes, listings: Listings, recv_ns: int) -> OrderPush | UnlistedOrder:
    frame = decoded(_ORDER, message, "an order event")
    order = frame.o
    listing = listings.known(order.symbol)
    if listing is None:
        return UnlistedOrder(order.symbol)
    total, filled, fee = text_of(order.qty), text_of(order.filled), text_of(order.fee)
    last_qty = text_of(order.last_qty)
    last_lots = listing.lots[last_qty] if last_qty else 0
    last_ticks = listing.in_ticks(text_of(order.last_price))  # an optional field loses nobody an event
    value, slack = _trade_value(text_of(order.trade_value), listing)
    status = status_of(order.status)
    trade_id = text_of(order.trade_id)
    found = OrderNews(
        listing=listing,
        source=Provenance.PUSH,
        recv_ns=recv_ns,
        side=side_of(order.side),
        cl_ord_id=client_id_of(order.client_id),
        order_id=order_id_of(order.order_id),
        status=status,
        word=order.status or "",
        final=True,
        order_lots=listing.lots[total] if total else 0,
        price_ticks=listing.order_ticks(text_of(order.price), limit=order.type.upper() == "LIMIT"),
        cum_lots=listing.lots[filled] if filled else -1,
        avg_ticks=listing.in_ticks(text_of(order.average)),
        last_lots=last_lots,
        last_ticks=int(last_ticks) if last_ticks == int(last_ticks) else 0,
        last_value=value,
        last_value_slack=slack,
        fee_atoms=listing.instrument.atoms(-plain(fee)) if fee and order.execution == "TRADE" else None,
        fee_asset=(order.fee_asset or listing.instrument.settle) if fee else "",
        # The trade's own time, else the update's, else the event's: older ones have 0 in the first.
        venue_ns=ms_to_ns(order.trade_time) or ms_to_ns(frame.update_time) or ms_to_ns(frame.event_time),
    )
    return OrderPush(news=found, execution=order.execution, trade_id="" if trade_id == "0" else trade_id)


def _trade_value(text: str, listing: Listing) -> tuple[float, float]:
    """The stated value of a trade and how far off it may be, both in lots x ticks; 0 when it is not stated."""
    value = plain(text) if text else Decimal(0)
    if value <= 0:
        return 0.0, 0.0
    unit = listing.instrument.unit_value
    stated = float(value) / unit
    return stated, _VALUE_SHARE * stated + float(_VALUE_DIGIT) / unit


def _account(message: bytes, listings: Listings, *, hedge: bool) -> AccountPush:
    frame = decoded(_ACCOUNT, message, "a change of the account")
    held: list[Position] = []
    unlisted: dict[str, None] = {}
    for one in frame.a.positions or []:
        listing = listings.known(one.symbol)
        if listing is None:
            unlisted[one.symbol] = None
        else:
            held.append(position(listing, text_of(one.amount), one.label, one_way=not hedge))
    return AccountPush(
        reason=frame.a.reason,
        balances=tuple(
            [
                BalanceChange(
                    asset=one.asset,
                    wallet=_money(one.wallet),
                    cross=_money(one.cross),
                    change=_money(one.change),
                )
                for one in frame.a.balances or []
            ]
        ),
        positions=tuple(held),
        unlisted=tuple(unlisted),
        venue_ns=ms_to_ns(frame.event_time),
    )


def _money(raw: msgspec.Raw) -> Decimal:
    text = text_of(raw)
    return plain(text) if text else Decimal(0)
