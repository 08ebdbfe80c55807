"""Signed endpoints that place, change and cancel orders."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from venues.bingx.emulator.calls import Call, needed
from venues.bingx.emulator.exchange import Canceled, Replaced
from venues.bingx.emulator.order_asks import read_ask, read_batch, read_key, read_keys
from venues.bingx.emulator.orders import OrderAsk, OrderKey, OrderRow, State, TimeInForce
from venues.bingx.emulator.parameters import Parameters, Refused
from venues.bingx.emulator.refusals import Refusal, invalid, paused
from venues.bingx.emulator.render import (
    Echo,
    Json,
    acknowledgement,
    canceled_order,
    fixed,
    number,
    replaced_order,
)

_EVERYTHING = Decimal(10) ** 9
_FILL_KEYS = ("status", "avgPrice", "executedQty")


# --- placing ----------------------------------------------------------------------------------------------------------


def place(call: Call) -> Json:
    """POST v2/trade/order."""
    ask, echo = read_ask(call.parameters)
    return {"order": _acknowledged(call, needed(_placed(call, ask)), echo)}


def place_test(call: Call) -> Json:
    """POST v2/trade/order/test: judged and not carried out."""
    ask, echo = read_ask(call.parameters)
    row = needed(call.exchange.check(call.account, ask))
    return {"order": acknowledgement(row, call.contract(row.symbol), echo, tested=True)}


def place_batch(call: Call) -> Json:
    """POST v2/trade/batchOrders.

    How a batch that fails in part is told of is unverified: here with `errors` beside the orders, and as one error
    with all texts when every order failed.
    """
    orders: list[Json] = []
    errors: list[Json] = []
    refusals: list[Refusal] = []
    for said in read_batch(call.parameters):
        try:
            ask, echo = read_ask(said)
            orders.append(_acknowledged(call, needed(_placed(call, ask)), echo))
        except Refused as error:
            refusals.append(error.refusal)
            errors.append(
                {
                    "clientOrderId": said.text("clientOrderId", "clientOrderID"),
                    "symbol": said.text("symbol"),
                    "errorCode": error.refusal.code,
                    "errorMessage": error.refusal.msg,
                }
            )
    if not orders:
        raise Refused(Refusal(refusals[0].code, ";".join([one.msg for one in refusals])))
    return {"orders": orders, "errors": errors} if errors else {"orders": orders}


def _placed(call: Call, ask: OrderAsk) -> OrderRow | Refusal:
    faults, switches, symbol = call.faults, call.exchange.switches, ask.symbol
    if faults.is_on("symbol-paused", symbol=symbol):
        return paused(symbol)
    account = call.account
    kept = switches.duplicate_code, switches.post_only_async
    code = faults.is_on("duplicate-code", on=call.where, account=account.name, symbol=symbol)
    if code is not None:
        switches.duplicate_code = code.whole("code")
    late = ask.tif == TimeInForce.POST_ONLY and faults.strikes(
        "post-only-late", on=call.where, account=account.name, symbol=symbol
    )
    if late:
        switches.post_only_async = True
    try:
        row = call.exchange.place(account, ask)
        if late and isinstance(row, OrderRow) and row.state is State.CANCELED:
            return msgspec.structs.replace(row, state=State.NEW)  # only the push tells
        return row
    finally:
        switches.duplicate_code, switches.post_only_async = kept


def _acknowledged(call: Call, row: OrderRow, echo: Echo) -> dict[str, Json]:
    contract, faults = call.contract(row.symbol), call.faults
    found = acknowledgement(row, contract, echo)
    about = {"on": call.where, "account": call.account.name, "symbol": row.symbol}
    if faults.strikes("ack-bare", **about):
        for key in (*_FILL_KEYS, "orderID"):
            del found[key]
    elif found["status"] == "NEW" and faults.strikes("ack-pending", **about):
        found["status"] = "PENDING"
    elif faults.strikes("ack-lacks-fill", **about):
        found |= {
            "status": "NEW",
            "avgPrice": fixed(Decimal(0), contract.price_precision),
            "executedQty": fixed(Decimal(0), contract.qty_precision),
        }
    return found


# --- cancelling -------------------------------------------------------------------------------------------------------


def _race(call: Call, key: OrderKey) -> None:
    """Fill an order that is about to be cancelled, if that fault strikes."""
    row = call.exchange.history.open_order(call.account, key)
    if isinstance(row, Refusal):
        return
    if call.faults.strikes("cancel-races-fill", on=call.where, account=call.account.name, symbol=row.symbol):
        pit = needed(call.exchange.pit(row.symbol))
        pit.trade_as_crowd(row.side.opposite, qty=_EVERYTHING, price=row.price)


def cancel(call: Call) -> Json:
    """DELETE v2/trade/order."""
    key = read_key(call.parameters)
    _race(call, key)
    row = needed(call.exchange.cancel(call.account, key))
    return {"order": canceled_order(row, call.contract(row.symbol))}


def cancel_batch(call: Call) -> Json:
    """DELETE v2/trade/batchOrders."""
    keys = read_keys(call.parameters)
    for key in keys:
        _race(call, key)
    return _mass(call, call.exchange.cancel_many(call.account, keys))


def cancel_all(call: Call) -> Json:
    """DELETE v2/trade/allOpenOrders."""
    symbol = call.parameters.text("symbol")
    for row in call.exchange.history.open_orders(call.account, symbol=symbol):
        _race(call, OrderKey(symbol=row.symbol, order_id=row.order_id))
    found = call.exchange.cancel_all(call.account, symbol=symbol, kind=call.parameters.text("type"))
    return _mass(call, needed(found))


def _mass(call: Call, found: Canceled) -> Json:
    failed: list[Json] = [
        {
            "orderId": one.order_id,
            "clientOrderId": one.client_id,
            "errorCode": one.refusal.code,
            "errorMessage": one.refusal.msg,
        }
        for one in found.failed
    ]
    return {
        "success": [canceled_order(row, call.contract(row.symbol)) for row in found.done],
        "failed": failed or None,
    }


def cancel_all_after(call: Call) -> Json:
    """POST v2/trade/cancelAllAfter: whole seconds in, whole seconds out."""
    wish = call.parameters.needed("type")
    if wish not in {"ACTIVATE", "CLOSE"}:
        raise Refused(invalid("type must be ACTIVATE or CLOSE"))
    timeout_s = call.parameters.whole("timeOut", default=0) if wish == "ACTIVATE" else 0
    if wish == "ACTIVATE" and not 10 <= timeout_s <= 120:
        raise Refused(invalid("timeOut must be from 10 to 120"))
    armed = needed(call.exchange.cancel_all_after(call.account, timeout_s=timeout_s))
    return {
        "triggerTime": armed.trigger_ms // 1000,
        "status": "ACTIVATED" if armed.active else "CLOSED",
        "note": "All your perpetual futures orders will be closed automatically" if armed.active else "",
    }


# --- replacing --------------------------------------------------------------------------------------------------------


def cancel_replace(call: Call) -> Json:
    """POST v1/trade/cancelReplace: two steps, each with its own outcome."""
    return _replaced(call, call.parameters, message_key="replaceMsg")


def batch_cancel_replace(call: Call) -> Json:
    """POST v1/trade/batchCancelReplace: one key is spelled with a capital."""
    return [_replaced(call, said, message_key="ReplaceMsg") for said in read_batch(call.parameters)]


def _replaced(call: Call, said: Parameters, *, message_key: str) -> dict[str, Json]:
    mode = said.needed("cancelReplaceMode")
    if mode not in {"STOP_ON_FAILURE", "ALLOW_FAILURE"}:
        raise Refused(invalid("cancelReplaceMode must be STOP_ON_FAILURE or ALLOW_FAILURE"))
    client_keys = ("cancelClientOrderId", "cancelClientOrderID")
    key = read_key(said, id_key="cancelOrderId", client_keys=client_keys)
    ask, echo = read_ask(said)
    _race(call, key)
    found: Replaced = call.exchange.cancel_replace(
        call.account,
        key,
        ask,
        stop_on_failure=mode == "STOP_ON_FAILURE",
        restriction=said.text("cancelRestrictions"),
    )
    canceled, placed = found.canceled, found.placed
    old: Json = None
    new: Json = None
    if isinstance(canceled, OrderRow):
        old = replaced_order(
            canceled, call.contract(canceled.symbol), one_way=call.one_way, asked_client_id=said.text(*client_keys)
        )
    if isinstance(placed, OrderRow):
        new = _acknowledged(call, placed, echo)
    return {
        "cancelResult": "true" if isinstance(canceled, OrderRow) else "false",
        "cancelMsg": canceled.msg if isinstance(canceled, Refusal) else "",
        "cancelResponse": old,
        "replaceResult": "true" if isinstance(placed, OrderRow) else "false",
        message_key: placed.msg if isinstance(placed, Refusal) else "",
        "newOrderResponse": new,
    }


def amend(call: Call) -> Json:
    """POST v1/trade/amend: quantity only."""
    key = read_key(call.parameters)
    qty = call.parameters.number("quantity")
    if qty is None:
        raise Refused(invalid("quantity is required"))
    row = needed(call.exchange.amend(call.account, key, qty))
    return {
        "orderId": row.order_id,
        "clientOrderId": row.client_id,
        "symbol": row.symbol,
        "quantity": number(row.qty),
    }


# --- closing positions ------------------------------------------------------------------------------------------------


def close_all_positions(call: Call) -> Json:
    """POST v2/trade/closeAllPositions."""
    rows = call.exchange.close_positions(call.account, symbol=call.parameters.text("symbol"))
    done: list[Json] = [row.order_id for row in rows if isinstance(row, OrderRow)]
    failed: list[Json] = [{"errorCode": row.code, "errorMessage": row.msg} for row in rows if isinstance(row, Refusal)]
    return {"success": done, "failed": failed or None}


def close_position(call: Call) -> Json:
    """POST v1/trade/closePosition."""
    position_id = call.parameters.whole("positionId", default=0)
    row = needed(call.exchange.close_position(call.account, position_id))
    return {
        "orderId": row.order_id,
        "positionId": str(position_id),
        "symbol": row.symbol,
        "side": row.side.name,
        "type": row.kind.value,
        "positionSide": row.position_side.name,
        "origQty": fixed(row.qty, call.contract(row.symbol).qty_precision),
    }
