"""What we send: REST calls as parameters to sign and send, and the frames of both sockets.

A `Call` is made when something is wanted; its moment is put in and signed when it leaves (`dialect`), so that a call
may wait for its rate budget. Orders are made from templates: per contract and kind of order everything but the client
id, the price and the quantity is ready text.

Parameters stand in ASCII order of their keys, which the venue does not demand: it takes them as received. Everything
travels in the query, also of POST, PUT and DELETE: of the three ways that POST has it is the one where no client ever
disagreed with the venue about what was signed.
"""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_letters, ascii_lowercase, digits
from typing import Final

import msgspec

from sor.adapter import NewOrder, OrderRef
from sor.errors import CallerError
from sor.orders import OrdType, PositionSide, Side, Tif
from venues.bingx import endpoints
from venues.bingx.endpoints import Endpoint
from venues.bingx.listings import Listing

RECV_WINDOW_MS: Final = 5_000
"""The largest window that all of BingX's pages agree on."""
BATCH_MAX = 5
CANCEL_BATCH_MAX = 10
COUNTDOWN_MIN_S = 10
COUNTDOWN_MAX_S = 120
DEPTHS = (5, 10, 20, 50, 100, 500, 1000)
TRADES_MAX = 1_000
HISTORY_MAX = 1_000
FORCED_MAX = 100
LEVERAGE_MAX = 150
CLIENT_ID_MAX = 40
MOMENT = "timestamp="
"""Where the time of leaving goes, in milliseconds on the venue's clock."""
PONG = "Pong"
"""The answer to a `Ping`, on both sockets; plain text, as is everything a client sends."""

_SAFE = frozenset(ascii_letters + digits + "._-")
"""What goes into a query as it is, so that nobody on the way can disagree about how to encode it."""
_CLIENT_ID_ALPHABET = frozenset(ascii_lowercase + digits + "-")


class Call(msgspec.Struct, frozen=True, gc=False):
    """One request without its moment.

    params    its parameters as they are signed, with an empty `timestamp` where that belongs.
    """

    endpoint: Endpoint
    params: str = ""


def _public(endpoint: Endpoint, **parameters: str) -> Call:
    """An unsigned call; parameters that are "" are left out."""
    return Call(endpoint, "&".join([f"{key}={value}" for key, value in sorted(parameters.items()) if value]))


def _signed(endpoint: Endpoint, **parameters: str) -> Call:
    """A signed call; parameters that are "" are left out."""
    parameters["recvWindow"] = str(RECV_WINDOW_MS)
    pairs = sorted((key, value) for key, value in parameters.items() if value)
    for key, value in pairs:
        if not _SAFE.issuperset(value) and (value[0] != "[" or "&" in value):
            raise CallerError(f"a BingX parameter is letters, digits, '.', '_' and '-', {key} is not; nothing was sent")
    return Call(endpoint, "&".join([f"{key}={value}" for key, value in sorted([*pairs, ("timestamp", "")])]))


# --- market data, unsigned ------------------------------------------------------------------------------------------


def server_time() -> Call:
    """Answered by `account.read_server_time`."""
    return Call(endpoints.SERVER_TIME)


def contracts() -> Call:
    """Every contract, some 600 KB. Answered by `listings.read_listings`."""
    return Call(endpoints.CONTRACTS)


def trading_rules(listing: Listing) -> Call:
    """Price bounds of one contract. Answered by `listings.read_trading_rules`."""
    return _public(endpoints.TRADING_RULES, symbol=listing.venue_symbol)


def depth(listing: Listing, *, levels: int = 1000) -> Call:
    """The book, without an id: it cannot be joined to the socket's updates. Answered by `market.read_depth`."""
    if levels not in DEPTHS:
        raise CallerError(f"BingX gives books of {DEPTHS} levels, not of {levels}; nothing was sent")
    return _public(endpoints.DEPTH, symbol=listing.venue_symbol, limit=str(levels))


def trades(listing: Listing, *, rows: int = 500) -> Call:
    """The last public trades. Answered by `market.read_trades`."""
    if not 1 <= rows <= TRADES_MAX:
        raise CallerError(f"BingX gives 1 to {TRADES_MAX} trades, not {rows}; nothing was sent")
    return _public(endpoints.TRADES, symbol=listing.venue_symbol, limit=str(rows))


def premium_index(listing: Listing) -> Call:
    """Mark, index and funding. Answered by `market.read_premium_index`."""
    return _public(endpoints.PREMIUM_INDEX, symbol=listing.venue_symbol)


# --- account --------------------------------------------------------------------------------------------------------


def balance() -> Call:
    """Answered by `account.read_balances`."""
    return _signed(endpoints.BALANCE)


def positions(listing: Listing | None = None) -> Call:
    """Answered by `account.read_positions`."""
    return _signed(endpoints.POSITIONS, symbol=listing.venue_symbol if listing else "")


def income(*, start_ms: int, end_ms: int) -> Call:
    """What changed the wallets, from `start_ms` to `end_ms`; of too many the newest. `income.read_income`."""
    return _signed(endpoints.INCOME, startTime=str(start_ms), endTime=str(end_ms), limit=str(HISTORY_MAX))


def commission_rate() -> Call:
    """The account's own fees. Answered by `account.read_fees`."""
    return _signed(endpoints.COMMISSION_RATE)


def position_mode() -> Call:
    """Answered by `account.read_position_mode`."""
    return _signed(endpoints.POSITION_MODE)


def set_position_mode(*, hedge: bool) -> Call:
    """The whole account's; refused while anything is open. Answered by `account.read_position_mode`."""
    return _signed(endpoints.SET_POSITION_MODE, dualSidePosition="true" if hedge else "false")


def leverage(listing: Listing) -> Call:
    """Answered by `account.read_leverage`."""
    return _signed(endpoints.LEVERAGE, symbol=listing.venue_symbol)


def set_leverage(listing: Listing, side: PositionSide, leverage: int) -> Call:
    """LONG or SHORT in hedge mode, BOTH in one-way mode; the other one is refused. See `account.read_leverage_set`."""
    if not 1 <= leverage <= LEVERAGE_MAX:
        raise CallerError(f"leverage {leverage} is not a whole number from 1 to {LEVERAGE_MAX}; nothing was sent")
    return _signed(endpoints.SET_LEVERAGE, symbol=listing.venue_symbol, side=side.value.upper(), leverage=str(leverage))


# --- orders ---------------------------------------------------------------------------------------------------------

_SIDES = {Side.BUY: "BUY", Side.SELL: "SELL"}
_TIFS = {Tif.GTC: "GTC", Tif.IOC: "IOC", Tif.FOK: "FOK"}
_CLOSES = {PositionSide.LONG: Side.SELL, PositionSide.SHORT: Side.BUY}
_Kind = tuple[Side, OrdType, Tif, bool, bool, PositionSide]
_Template = tuple[str, str]
"""What stands between client id and price, and after the quantity."""


class OrderWire:
    """Makes the orders of one contract; each kind of order is laid out once and then only filled in."""

    __slots__ = ("_listing", "_templates")

    def __init__(self, listing: Listing) -> None:
        self._listing = listing
        self._templates: dict[_Kind, _Template] = {}

    def place(self, order: NewOrder) -> Call:
        """A new order. Answered by `orders.read_ack`.

        Raises `CallerError` for what BingX has no words for, or would understand as something else.
        """
        kind = (order.side, order.ord_type, order.tif, order.post_only, order.reduce_only, order.position_side)
        template = self._templates.get(kind)
        if template is None:
            template = self._templates[kind] = self._template(order)
        middle, rest = template
        listing = self._listing
        _check_numbers(order)
        price = f"&price={listing.price_text(order.price_ticks)}" if order.ord_type is OrdType.LIMIT else ""
        quantity = listing.qty_text(order.qty_lots)
        return Call(endpoints.PLACE, f"clientOrderId={order.cl_ord_id}{middle}{price}&quantity={quantity}{rest}")

    def test(self, order: NewOrder) -> Call:
        """The same order, checked by the venue and not carried out. Answered by `orders.read_test`."""
        return msgspec.structs.replace(self.place(order), endpoint=endpoints.PLACE_TEST)

    def _template(self, order: NewOrder) -> _Template:
        terms = _terms(order, self._listing)
        middle = "".join([f"&{key}={value}" for key, value in terms if key < "price"])
        late = [*[(key, value) for key, value in terms if key > "quantity"], *_ALWAYS]
        return middle, "".join([f"&{key}={value}" for key, value in sorted(late)])


_ALWAYS = (("recvWindow", str(RECV_WINDOW_MS)), ("timestamp", ""))


def _terms(order: NewOrder, listing: Listing) -> list[tuple[str, str]]:
    """The constant parameters of an order, in ASCII order of the keys. Raises `CallerError`."""
    closing = _CLOSES.get(order.position_side)
    terms = {
        "symbol": listing.venue_symbol,
        "side": _SIDES[order.side],
        "positionSide": order.position_side.value.upper(),
        "type": "MARKET" if order.ord_type is OrdType.MARKET else "LIMIT",
    }
    if order.ord_type is OrdType.LIMIT:
        tif = "PostOnly" if order.post_only else _TIFS.get(order.tif)
        if tif is None or (order.post_only and order.tif is not Tif.GTC):
            raise CallerError(
                f"order {order.cl_ord_id}: BingX has no {order.tif.value}{' post-only' if order.post_only else ''} "
                "order; nothing was sent. It has gtc, ioc, fok, and post-only as gtc"
            )
        terms["timeInForce"] = tif
    elif order.post_only:
        raise CallerError(f"order {order.cl_ord_id} is MARKET and post-only, which contradict; nothing was sent")
    if order.reduce_only:
        if closing is None:
            terms["reduceOnly"] = "true"
        elif order.side is not closing:
            raise CallerError(
                f"order {order.cl_ord_id}: in hedge mode a {order.side.name} opens the {order.position_side.value} "
                f"position, so it cannot be reduce-only; nothing was sent. Closing it is a {closing.name}"
            )
        # In hedge mode closing is said by side and position side alone; the flag would be refused (109400).
    return sorted(terms.items())


def _check_numbers(order: NewOrder) -> None:
    if order.qty_lots < 1 or (order.ord_type is OrdType.LIMIT and order.price_ticks < 1):
        raise CallerError(f"order {order.cl_ord_id}: quantity and limit price must be positive; nothing was sent")
    if not 1 <= len(order.cl_ord_id) <= CLIENT_ID_MAX or not _CLIENT_ID_ALPHABET.issuperset(order.cl_ord_id):
        raise CallerError(
            f"client order id {order.cl_ord_id!r} is not 1 to {CLIENT_ID_MAX} of a-z, 0-9 and '-', which is what BingX "
            "gives back unchanged; nothing was sent"
        )


def _order_parameters(order: NewOrder, listing: Listing) -> dict[str, str]:
    """Every parameter of an order as text."""
    _check_numbers(order)
    parameters = dict(_terms(order, listing))
    parameters["clientOrderId"] = order.cl_ord_id
    parameters["quantity"] = listing.qty_text(order.qty_lots)
    if order.ord_type is OrdType.LIMIT:
        parameters["price"] = listing.price_text(order.price_ticks)
    return parameters


def place_batch(orders: Sequence[tuple[NewOrder, Listing]]) -> Call:
    """Up to `BATCH_MAX` orders in one call, which counts once; they match in any order. See `orders.read_batch`.

    Raises `CallerError` as `OrderWire.place` does, and for none or too many.
    """
    if not 1 <= len(orders) <= BATCH_MAX:
        raise CallerError(f"BingX takes batches of 1 to {BATCH_MAX} orders, not of {len(orders)}; nothing was sent")
    rows: list[dict[str, msgspec.Raw]] = []
    for order, listing in orders:
        rows.append(
            {
                # Numbers are literals of their own text: as floats they would lose what they say.
                key: msgspec.Raw(value.encode()) if key in {"price", "quantity"} else msgspec.Raw(_JSON.encode(value))
                for key, value in sorted(_order_parameters(order, listing).items())
            }
        )
    return _signed(endpoints.PLACE_BATCH, batchOrders=_JSON.encode(rows).decode())


_JSON = msgspec.json.Encoder()


def _name(ref: OrderRef, *, by_id: str = "orderId", by_client_id: str = "clientOrderId") -> dict[str, str]:
    """How an order is named: by BingX's id where it is known, else by ours (B10)."""
    if ref.venue_order_id:
        return {by_id: ref.venue_order_id}
    if ref.cl_ord_id:
        return {by_client_id: ref.cl_ord_id}
    raise CallerError("an order without the venue's id and without ours cannot be named; nothing was sent")


def cancel(ref: OrderRef, listing: Listing) -> Call:
    """The same order at most once a second (109201). Answered by `orders.read_canceled`."""
    return _signed(endpoints.CANCEL, symbol=listing.venue_symbol, **_name(ref))


def cancel_batch(refs: Sequence[OrderRef], listing: Listing) -> Call:
    """Up to `CANCEL_BATCH_MAX` orders of one contract. Answered by `orders.read_canceled_many`."""
    if not 1 <= len(refs) <= CANCEL_BATCH_MAX:
        raise CallerError(f"BingX cancels 1 to {CANCEL_BATCH_MAX} orders at a time, not {len(refs)}; nothing was sent")
    if all(ref.venue_order_id for ref in refs):
        ids = ",".join([ref.venue_order_id for ref in refs])
        return _signed(endpoints.CANCEL_BATCH, symbol=listing.venue_symbol, orderIdList=f"[{ids}]")
    names = _JSON.encode([_name(msgspec.structs.replace(ref, venue_order_id=""))["clientOrderId"] for ref in refs])
    return _signed(endpoints.CANCEL_BATCH, symbol=listing.venue_symbol, clientOrderIdList=names.decode())


def cancel_all(listing: Listing | None) -> Call:
    """Every order of one contract, or of the account, conditional and foreign ones too. See `read_canceled_many`."""
    return _signed(endpoints.CANCEL_ALL, symbol=listing.venue_symbol if listing else "")


def cancel_replace(ref: OrderRef, order: NewOrder, listing: Listing, *, even_if_not_canceled: bool = False) -> Call:
    """Cancel one order and place another: two steps, another id, the queue place is lost. See `orders.read_replaced`.

    even_if_not_canceled    place the new one also when the old one could not be cancelled: both may then live.
    """
    return _signed(
        endpoints.CANCEL_REPLACE,
        **_order_parameters(order, listing),
        **_name(ref, by_id="cancelOrderId", by_client_id="cancelClientOrderId"),
        cancelReplaceMode="ALLOW_FAILURE" if even_if_not_canceled else "STOP_ON_FAILURE",
    )


def amend(ref: OrderRef, listing: Listing, *, qty_lots: int) -> Call:
    """Another total quantity; there is no other amend. Answered by `orders.read_amended`."""
    if qty_lots < 1:
        raise CallerError(f"order {ref.cl_ord_id}: an amended quantity must be positive; nothing was sent")
    return _signed(endpoints.AMEND, symbol=listing.venue_symbol, quantity=listing.qty_text(qty_lots), **_name(ref))


def query(ref: OrderRef, listing: Listing) -> Call:
    """One order in any state. Answered by `orders.read_order`."""
    return _signed(endpoints.QUERY, symbol=listing.venue_symbol, **_name(ref))


def open_orders(listing: Listing | None = None) -> Call:
    """Answered by `orders.read_orders`."""
    return _signed(endpoints.OPEN_ORDERS, symbol=listing.venue_symbol if listing else "")


def order_history(*, start_ms: int, end_ms: int, listing: Listing | None = None, rows: int = 500) -> Call:
    """Orders in any state, at most seven days of them. Answered by `orders.read_orders`."""
    return _signed(
        endpoints.ORDER_HISTORY,
        symbol=listing.venue_symbol if listing else "",
        startTime=str(start_ms),
        endTime=str(end_ms),
        limit=str(_rows(rows)),
    )


def fill_history(*, start_ms: int, end_ms: int, listing: Listing, page: int = 1, rows: int = HISTORY_MAX) -> Call:
    """Fills later than `start_ms` and not later than `end_ms`, the last seven days. Answered by `fills.read_fills`."""
    if page < 1 or start_ms >= end_ms:
        raise CallerError("a fill history needs a start before its end and a page from 1 on; nothing was sent")
    return _signed(
        endpoints.FILL_HISTORY,
        symbol=listing.venue_symbol,
        startTs=str(start_ms),
        endTs=str(end_ms),
        pageIndex=str(page),
        pageSize=str(_rows(rows)),
    )


def forced_orders(listing: Listing, why: str) -> Call:
    """Orders by which BingX closed positions of its own accord, the newest hundred. Answered by `orders.read_orders`.

    why    LIQUIDATION or ADL: the answer does not say which.
    """
    return _signed(endpoints.FORCED_ORDERS, symbol=listing.venue_symbol, autoCloseType=why, limit=str(FORCED_MAX))


def _rows(rows: int) -> int:
    if not 1 <= rows <= HISTORY_MAX:
        raise CallerError(f"BingX gives 1 to {HISTORY_MAX} rows of history, not {rows}; nothing was sent")
    return rows


def countdown(timeout_s: int) -> Call:
    """Cancel every order of the account unless called again in time; 0 disarms. Answered by `account.read_countdown`.

    In whole seconds: a page that says milliseconds is wrong.
    """
    if timeout_s == 0:
        return _signed(endpoints.COUNTDOWN, type="CLOSE", timeOut="0")
    if not COUNTDOWN_MIN_S <= timeout_s <= COUNTDOWN_MAX_S:
        raise CallerError(
            f"BingX counts down from {COUNTDOWN_MIN_S} to {COUNTDOWN_MAX_S} s, not from {timeout_s} s; nothing was sent"
        )
    return _signed(endpoints.COUNTDOWN, type="ACTIVATE", timeOut=str(timeout_s))


# --- listen key -----------------------------------------------------------------------------------------------------


def new_listen_key() -> Call:
    """Good for 60 minutes. Answered by `account.read_listen_key`."""
    return _signed(endpoints.LISTEN_KEY)


def extend_listen_key(listen_key: str) -> Call:
    """Another 60 minutes from the call. HTTP status alone answers: 200 done, 404 unknown key; the body may be empty."""
    return _signed(endpoints.EXTEND_LISTEN_KEY, listenKey=_key(listen_key))


def close_listen_key(listen_key: str) -> Call:
    """End it. HTTP status alone answers."""
    return _signed(endpoints.CLOSE_LISTEN_KEY, listenKey=_key(listen_key))


def account_stream(listen_key: str) -> str:
    """Path and query of the account socket; nothing is subscribed there, and `{}` would be refused (80014)."""
    return f"{STREAM_PATH}?listenKey={_key(listen_key)}"


STREAM_PATH = "/swap-market"


def _key(listen_key: str) -> str:
    if not listen_key or not _SAFE.issuperset(listen_key):  # it is a secret: not shown
        raise CallerError("this is not a BingX listen key, which is letters and digits; nothing was sent")
    return listen_key


# --- market socket --------------------------------------------------------------------------------------------------


def subscribe(topic: str, *, request_id: str) -> str:
    """One topic per frame: a list would be ignored. Answered by `market.TopicAnswer` with the same id."""
    return _JSON.encode({"id": request_id, "reqType": "sub", "dataType": topic}).decode()


def unsubscribe(topic: str, *, request_id: str) -> str:
    """Answered by `market.TopicAnswer` with the same id."""
    return _JSON.encode({"id": request_id, "reqType": "unsub", "dataType": topic}).decode()
