"""Orders as requests state them: from parameters, and from the JSON objects of a batch."""

from __future__ import annotations

import msgspec

from sor.orders import PositionSide, Side
from venues.bingx.emulator.orders import OrderAsk, OrderKey
from venues.bingx.emulator.parameters import Form, Parameters, Refused
from venues.bingx.emulator.refusals import invalid
from venues.bingx.emulator.render import Echo

BATCH_MAX = 5
CANCEL_BATCH_MAX = 10
CLIENT_ID_KEYS = ("clientOrderId", "clientOrderID")
"""Both spellings are understood; an answer repeats the id under the one that came."""

_OBJECTS = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_IDS = msgspec.json.Decoder(list[int | str])
_TEXT = msgspec.json.Decoder(str)


def read_ask(said: Parameters) -> tuple[OrderAsk, Echo]:
    """A new order, and what its answer repeats. Raises `Refused` (109400) for what cannot be understood."""
    symbol, side = said.needed("symbol"), said.needed("side")
    if side not in Side.__members__:
        raise Refused(invalid("side must be BUY or SELL"))
    position_side = said.text("positionSide")
    if position_side and position_side not in PositionSide.__members__:
        raise Refused(invalid("positionSide must be BOTH, LONG or SHORT"))
    for name in ("stopLoss", "takeProfit"):
        if said.text(name):  # carrying such an order out without its protection would be worse than a refusal
            raise Refused(invalid(f"{name} attached to an order is not emulated"))
    id_key = next((key for key in CLIENT_ID_KEYS if said.text(key)), CLIENT_ID_KEYS[0])
    ask = OrderAsk(
        symbol=symbol,
        side=Side[side],
        kind=said.needed("type"),
        position_side=PositionSide[position_side] if position_side else None,
        qty=said.number("quantity"),
        quote_qty=said.number("quoteOrderQty"),
        price=said.number("price"),
        tif=said.text("timeInForce"),
        reduce_only=said.flag("reduceOnly") if said.text("reduceOnly") else None,
        client_id=said.text(*CLIENT_ID_KEYS),
    )
    echo = Echo(
        id_key=id_key,
        tif=ask.tif or "GTC",
        quote_qty=ask.quote_qty or Echo().quote_qty,
        working_type=said.text("workingType", default="MARK_PRICE"),
    )
    return ask, echo


def read_batch(said: Parameters) -> list[Parameters]:
    """The members of `batchOrders`, each as if it were a request of its own."""
    text = said.needed("batchOrders")
    try:
        objects = _OBJECTS.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Refused(invalid("batchOrders must be a JSON array of objects")) from error
    if not 1 <= len(objects) <= BATCH_MAX:
        raise Refused(invalid(f"batchOrders takes 1 to {BATCH_MAX} orders"))
    found: list[Parameters] = []
    for one in objects:
        pairs = [(key, _plain(raw)) for key, raw in one.items()]
        found.append(Parameters(pairs, form=Form.JSON, signed=()))
    return found


def _plain(raw: msgspec.Raw) -> str:
    text = bytes(raw).decode()
    return _TEXT.decode(raw) if text.startswith('"') else "" if text == "null" else text


def read_key(said: Parameters, *, id_key: str = "orderId", client_keys: tuple[str, ...] = CLIENT_ID_KEYS) -> OrderKey:
    """The order that a request names. Raises `Refused` (109400) when it names none."""
    symbol = said.needed("symbol")
    order_id, client_id = said.whole(id_key, default=0), said.text(*client_keys)
    if not order_id and not client_id:
        raise Refused(invalid(f"one of {id_key} and {client_keys[0]} is required"))
    return OrderKey(symbol=symbol, order_id=order_id, client_id=client_id)


def read_keys(said: Parameters) -> tuple[OrderKey, ...]:
    """The orders of a batch to cancel: `orderIdList`, else one of two spellings of the other list."""
    symbol = said.needed("symbol")
    by_id = said.text("orderIdList")
    text = by_id or said.needed("clientOrderIdList", "clientOrderIDList")
    try:
        members = _IDS.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Refused(invalid("the list of orders must be a JSON array of ids")) from error
    if not 1 <= len(members) <= CANCEL_BATCH_MAX:
        raise Refused(invalid(f"the list of orders takes 1 to {CANCEL_BATCH_MAX} ids"))
    if not by_id:
        return tuple([OrderKey(symbol=symbol, client_id=str(one)) for one in members])
    if not all(str(one).isdigit() and len(str(one)) <= 20 for one in members):
        raise Refused(invalid("orderIdList must hold order ids"))
    return tuple([OrderKey(symbol=symbol, order_id=int(one)) for one in members])
