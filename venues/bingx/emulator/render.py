"""JSON as BingX writes it: which fields are numbers and which are strings, with how many digits, and in which words.

- What an answer to a new order echoes is numbers; what is read later is strings with the contract's decimals.
- `cumQuote` is rounded to whole units, commission is negative when paid, leverage is "20X" or "".
- REST says PENDING and CANCELLED where the socket says NEW and CANCELED.
- Orders that have ended are read with times cut to whole seconds; open ones, and the answers to cancels, have ms.
- `filledTm` shows the wall time of UTC+8 and a Z; `filledTime` has the right offset.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import TypeAlias

import msgspec

from venues.bingx.emulator.contracts import Contract
from venues.bingx.emulator.orders import LIVE, FillRow, Kind, OrderRow, State
from venues.bingx.emulator.refusals import Refusal

Json: TypeAlias = "bool | int | str | Decimal | Sequence[Json] | Mapping[str, Json] | None"
"""A JSON value; a `Decimal` is a number, with its own digits."""

_ENCODER = msgspec.json.Encoder(decimal_format="number")
_REST_STATES: Mapping[State, str] = {
    State.NEW: "PENDING",
    State.PARTIALLY_FILLED: "PARTIALLY_FILLED",
    State.FILLED: "FILLED",
    State.CANCELED: "CANCELLED",
    State.EXPIRED: "EXPIRED",
}
_PROTECTION: Mapping[str, Json] = {"type": "", "quantity": 0, "stopPrice": 0, "price": 0, "workingType": ""}


def encode(value: Json) -> bytes:
    """A message."""
    return _ENCODER.encode(value)


def number(value: Decimal) -> Decimal:
    """A number without trailing zeros and without an exponent."""
    return Decimal(f"{value.normalize():f}")


def fixed(value: Decimal, digits: int) -> str:
    """A number as text with so many decimals, half rounded away from zero; never a negative nought."""
    text = f"{value.quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_UP):f}"
    return text.removeprefix("-") if not text.strip("-0.") else text


def enveloped(data: Json) -> bytes:
    """A success."""
    return encode({"code": 0, "msg": "", "data": data})


def refusal_body(refusal: Refusal) -> bytes:
    """A business error."""
    return encode({"code": refusal.code, "msg": refusal.msg, "data": {}})


class Echo(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What the answer to a new order repeats of the request.

    id_key          the spelling of the client id that the request had.
    tif             as sent, GTC when it was not.
    """

    id_key: str = "clientOrderId"
    tif: str = "GTC"
    quote_qty: Decimal = Decimal(0)
    working_type: str = "MARK_PRICE"
    stop_loss: str = ""
    take_profit: str = ""


def acknowledgement(row: OrderRow, contract: Contract, echo: Echo, *, tested: bool = False) -> dict[str, Json]:
    """The order of an answer to a new order. tested: nothing was executed, and nothing is said about it."""
    found: dict[str, Json] = {
        "orderId": row.order_id,
        "orderID": str(row.order_id),
        "symbol": row.symbol,
        "positionSide": row.position_side.name,
        "side": row.side.name,
        "type": row.kind.value,
        "price": number(row.price) if row.kind is Kind.LIMIT else 0,
        "quantity": number(row.qty),
        "quoteOrderQty": number(echo.quote_qty),
        "stopPrice": 0,
        "workingType": echo.working_type,
        "clientOrderID": "",
        "clientOrderId": "",
        "timeInForce": echo.tif,
        "priceRate": 0,
        "stopLoss": echo.stop_loss,
        "takeProfit": echo.take_profit,
        "reduceOnly": row.reduce_only,
        "activationPrice": 0,
        "closePosition": "",
        "stopGuaranteed": "",
        "status": "" if tested else "NEW" if row.state is State.NEW else _REST_STATES[row.state],
        "avgPrice": "" if tested else fixed(row.avg_price, contract.price_precision),
        "executedQty": "" if tested else fixed(row.filled, contract.qty_precision),
    }
    found[echo.id_key] = row.client_id
    return found


def _order(row: OrderRow, contract: Contract, *, leverage: str, created_ms: int, updated_ms: int) -> dict[str, Json]:
    qty_digits, price_digits = contract.qty_precision, contract.price_precision
    return {
        "symbol": row.symbol,
        "orderId": row.order_id,
        "side": row.side.name,
        "positionSide": row.position_side.name,
        "type": row.kind.value,
        "origQty": fixed(row.qty, qty_digits),
        "price": fixed(row.price, price_digits),
        "executedQty": fixed(row.filled, qty_digits),
        "avgPrice": fixed(row.avg_price, price_digits),
        "cumQuote": fixed(row.cost, 0),
        "stopPrice": "",
        "profit": fixed(row.profit, 4),
        "commission": fixed(-row.fee, 6),
        "status": _REST_STATES[row.state],
        "time": created_ms,
        "updateTime": updated_ms,
        "clientOrderId": row.client_id,
        "leverage": leverage,
        "takeProfit": {**_PROTECTION, "stopGuaranteed": ""},
        "stopLoss": {**_PROTECTION, "stopGuaranteed": ""},
        "advanceAttr": 0,
        "positionID": 0,
        "takeProfitEntrustPrice": 0,
        "stopLossEntrustPrice": 0,
        "orderType": "",
        "workingType": "MARK_PRICE",
    }


def read_order(row: OrderRow, contract: Contract, *, one_way: bool) -> dict[str, Json]:
    """One order as GET trade/order and the histories give it."""
    created_ms, updated_ms = row.created_ms, row.updated_ms
    if row.state not in LIVE:
        created_ms, updated_ms = created_ms // 1000 * 1000, updated_ms // 1000 * 1000
    found = _order(row, contract, leverage=f"{row.leverage}X", created_ms=created_ms, updated_ms=updated_ms)
    found |= {
        "onlyOnePosition": one_way,
        "reduceOnly": row.reduce_only,
        "stopGuaranteed": False,
        "triggerOrderId": 0,
        "isTwap": False,
        "mainOrderId": "",
    }
    return found


def open_order(row: OrderRow, contract: Contract, *, one_way: bool) -> dict[str, Json]:
    """One order as GET trade/openOrders gives it."""
    found = _order(row, contract, leverage="", created_ms=row.created_ms, updated_ms=row.updated_ms)
    found |= {
        "takeProfit": {**_PROTECTION, "StopGuaranteed": ""},
        "stopLoss": {**_PROTECTION, "StopGuaranteed": ""},
        "trailingStopRate": 0,
        "trailingStopDistance": 0,
        "postOnly": row.tif.value == "PostOnly",
        "actPrice": 0,
        "priceRate": 0,
        "positionId": "0",
        "onlyOnePosition": one_way,
        "reduceOnly": row.reduce_only,
    }
    return found


def canceled_order(row: OrderRow, contract: Contract) -> dict[str, Json]:
    """One order as the answers to cancels give it."""
    return _order(row, contract, leverage="", created_ms=row.created_ms, updated_ms=row.updated_ms)


def replaced_order(row: OrderRow, contract: Contract, *, one_way: bool, asked_client_id: str) -> dict[str, Json]:
    """The order that was cancelled, as the answer to cancelReplace gives it: as it was, still open."""
    found = _order(row, contract, leverage=f"{row.leverage}X", created_ms=row.created_ms, updated_ms=row.updated_ms)
    for name in ("takeProfit", "stopLoss", "advanceAttr", "positionID", "orderType"):
        del found[name]
    del found["takeProfitEntrustPrice"], found["stopLossEntrustPrice"]
    return {
        "cancelClientOrderId": asked_client_id,
        "cancelOrderId": row.order_id,
        **found,
        "status": "PARTIALLY_FILLED" if row.filled else "PENDING",
        "onlyOnePosition": one_way,
        "reduceOnly": row.reduce_only,
    }


def fill_history_row(fill: FillRow, contract: Contract, asset: str) -> dict[str, Json]:
    """One fill as GET trade/fillHistory gives it: the only place with a trade id and a role."""
    qty = fixed(fill.qty, contract.qty_precision)
    return {
        "filledTm": utc8(fill.at_ms).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "volume": qty,
        "price": fixed(fill.price, contract.price_precision),
        "qty": qty,
        "quoteQty": fixed(fill.value, 4),
        "commission": fixed(-fill.fee, 4),
        "commissionAsset": asset,
        "orderId": str(fill.order_id),
        "tradeId": str(fill.trade_id),
        "filledTime": filled_time(fill.at_ms),
        "symbol": fill.symbol,
        "role": "maker" if fill.is_maker else "taker",
        "side": fill.side.name.lower(),
        "positionSide": fill.position_side.name.lower(),
        "realisedPNL": fixed(fill.profit, 4),
    }


def fill_order_row(fill: FillRow, contract: Contract, asset: str) -> dict[str, Json]:
    """One fill as GET trade/allFillOrders gives it: no trade id, no role."""
    return {
        "filledTm": utc8(fill.at_ms).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "volume": fixed(fill.qty, contract.qty_precision),
        "price": fixed(fill.price, contract.price_precision),
        "amount": fixed(fill.value, 4),
        "commission": fixed(-fill.fee, 4),
        "currency": asset,
        "orderId": str(fill.order_id),
        "liquidatedPrice": "0.00",
        "liquidatedMarginRatio": "0.00",
        "filledTime": filled_time(fill.at_ms),
        "clientOrderID": fill.client_id,
        "symbol": fill.symbol,
        "side": fill.side.name,
        "positionSide": fill.position_side.name,
        "type": "",
        "workingType": "MARK_PRICE",
    }


def utc8(at_ms: int) -> datetime:
    """The wall time that BingX's offices have, without an offset of its own."""
    return datetime.fromtimestamp(at_ms // 1000, UTC) + timedelta(hours=8)


def filled_time(at_ms: int) -> str:
    """The one right time of a fill, in whole seconds."""
    return utc8(at_ms).strftime("%Y-%m-%dT%H:%M:%S.000+0800")
