"""Signed endpoints about what is there: orders, fills, money, positions, settings, listen keys."""

from __future__ import annotations

from decimal import Decimal

from sor.orders import PositionSide
from venues.bingx.emulator.calls import Call, Plain, needed
from venues.bingx.emulator.events import MarginType
from venues.bingx.emulator.order_asks import read_key
from venues.bingx.emulator.orders import FillRow, OrderRow
from venues.bingx.emulator.parameters import Refused
from venues.bingx.emulator.refusals import UNKNOWN_ORDER, invalid
from venues.bingx.emulator.render import (
    Json,
    encode,
    enveloped,
    fill_history_row,
    fill_order_row,
    number,
    open_order,
    read_order,
)
from venues.bingx.emulator.render_account import (
    balance_row,
    income_row,
    leverage_row,
    leverage_set,
    margin_tiers,
    position_row,
)

HISTORY_MAX = 1_000
KEPT_MS = 7 * 86_400_000
"""Fills are kept for as long."""
TOP_UP = Decimal(100_000)


# --- orders and fills -------------------------------------------------------------------------------------------------


def order(call: Call) -> Json:
    """GET v2/trade/order: in any state."""
    row = needed(call.exchange.history.order(call.account, read_key(call.parameters)))
    return {"order": _found(call, row)}


def one_open_order(call: Call) -> Json:
    """GET v2/trade/openOrder."""
    row = needed(call.exchange.history.open_order(call.account, read_key(call.parameters)))
    return {"order": _found(call, row)}


def _found(call: Call, row: OrderRow) -> Json:
    if _lags(call, row):
        raise Refused(UNKNOWN_ORDER)
    return read_order(row, call.contract(row.symbol), one_way=call.one_way)


def _lags(call: Call, row: OrderRow) -> bool:
    """Whether a lookup does not see the order yet, because that fault is on."""
    strike = call.faults.is_on("lookup-lag", on=call.where, account=call.account.name, symbol=row.symbol)
    if strike is None or row.created_ms <= call.now_ms() - strike.whole("ms"):
        return False
    return call.faults.strikes("lookup-lag", on=call.where, account=call.account.name, symbol=row.symbol) is not None


def open_orders(call: Call) -> Json:
    """GET v2/trade/openOrders."""
    said = call.parameters
    rows = call.exchange.history.open_orders(call.account, symbol=said.text("symbol"), kind=said.text("type"))
    seen = [row for row in rows if not _lags(call, row)]
    return {"orders": [open_order(row, call.contract(row.symbol), one_way=call.one_way) for row in seen]}


def all_orders(call: Call) -> Json:
    """GET v2/trade/allOrders: ended ones."""
    return _orders(call, live=False)


def full_order(call: Call) -> Json:
    """GET v1/trade/fullOrder: in all states."""
    return _orders(call, live=True)


def _orders(call: Call, *, live: bool) -> Json:
    said = call.parameters
    rows = needed(
        call.exchange.history.orders(
            call.account,
            symbol=said.text("symbol"),
            order_id=said.whole("orderId", default=0),
            start_ms=said.whole("startTime", default=0),
            end_ms=said.whole("endTime", default=0),
            limit=_limit(call, default=500),
            live=live,
        )
    )
    before_ms = _history_end_ms(call)
    return {
        "orders": [
            read_order(row, call.contract(row.symbol), one_way=call.one_way)
            for row in rows
            if row.updated_ms <= before_ms
        ]
    }


def _limit(call: Call, *, default: int) -> int:
    limit = call.parameters.whole("limit", default=default)
    if not 1 <= limit <= HISTORY_MAX:
        raise Refused(invalid(f"limit: must be from 1 to {HISTORY_MAX}"))
    return limit


def _history_end_ms(call: Call) -> int:
    """Histories end here: now, or earlier because that fault is on."""
    strike = call.faults.strikes("history-lag", on=call.where, account=call.account.name)
    return call.now_ms() - (strike.whole("ms") if strike is not None else 0)


def all_fill_orders(call: Call) -> Json:
    """GET v2/trade/allFillOrders: without trade ids and roles."""
    said = call.parameters
    if said.needed("tradingUnit") not in {"COIN", "CONT"}:
        raise Refused(invalid("tradingUnit must be COIN or CONT"))
    said.needed("startTs")
    said.needed("endTs")
    asset = call.exchange.settings.settle
    return {"fill_orders": [fill_order_row(one, call.contract(one.symbol), asset) for one in _fills(call)]}


def fill_history(call: Call) -> Json:
    """GET v2/trade/fillHistory: oldest first, in pages."""
    said = call.parameters
    said.needed("symbol")
    said.needed("startTs")
    page, rows = said.whole("pageIndex", default=1), said.whole("pageSize", default=50)
    if page < 1 or not 1 <= rows <= HISTORY_MAX:
        raise Refused(invalid(f"pageIndex must be from 1 on and pageSize from 1 to {HISTORY_MAX}"))
    fills = _fills(call) if said.text("endTs") else []  # a start alone finds nothing
    asset = call.exchange.settings.settle
    return {
        "total": len(fills),
        "fill_history_orders": [
            fill_history_row(one, call.contract(one.symbol), asset) for one in fills[(page - 1) * rows : page * rows]
        ],
    }


def _fills(call: Call) -> list[FillRow]:
    """Fills of the span that is asked for, as far as they are kept: a longer one is no mistake."""
    said = call.parameters
    end_ms = said.whole("endTs", default=0)
    found = needed(
        call.exchange.history.fills(
            call.account,
            symbol=said.text("symbol"),
            order_id=said.whole("orderId", default=0),
            start_ms=max(said.whole("startTs", default=0), end_ms - KEPT_MS),
            end_ms=end_ms,
            last_fill_id=said.whole("lastFillId", default=0),
        )
    )
    before_ms = _history_end_ms(call)
    return [one for one in found if one.at_ms <= before_ms]


def force_orders(call: Call) -> Json:
    """GET v2/trade/forceOrders: orders by which the exchange closed positions."""
    said = call.parameters
    rows = call.exchange.history.forced(call.account, symbol=said.text("symbol"), why=said.text("autoCloseType"))
    return {"orders": [read_order(row, call.contract(row.symbol), one_way=call.one_way) for row in rows]}


# --- money and positions ----------------------------------------------------------------------------------------------


def balance_v2(call: Call) -> Json:
    """GET v2/user/balance: one object."""
    return {"balance": balance_row(call.exchange.desk.balance(call.account))}


def balance_v3(call: Call) -> Json:
    """GET v3/user/balance: an array."""
    return [balance_row(call.exchange.desk.balance(call.account))]


def positions(call: Call) -> Json:
    """GET v2/user/positions."""
    rows = call.exchange.desk.positions(call.account, symbol=call.parameters.text("symbol"))
    return [position_row(row, call.contract(row.symbol)) for row in rows]


def income(call: Call) -> Json:
    """GET v2/user/income."""
    said = call.parameters
    end_ms = _history_end_ms(call)
    rows = needed(
        call.exchange.history.income(
            call.account,
            symbol=said.text("symbol"),
            type=said.text("incomeType"),
            start_ms=said.whole("startTime", default=0),
            end_ms=min(said.whole("endTime", default=0) or end_ms, end_ms),
            limit=_limit(call, default=100),
        )
    )
    return [income_row(row) for row in rows]


def commission_rate(call: Call) -> Json:
    """GET v2/user/commissionRate: the account's, as numbers."""
    account = next(one for one in call.exchange.settings.accounts if one.name == call.account.name)
    return {
        "commission": {
            "takerCommissionRate": number(account.taker_fee),
            "makerCommissionRate": number(account.maker_fee),
        }
    }


def maint_margin_ratio(call: Call) -> Json:
    """GET v1/maintMarginRatio."""
    return margin_tiers(call.contract(call.parameters.needed("symbol")))


def get_vst(call: Call) -> Json:
    """POST trade/getVst: virtual money."""
    call.exchange.desk.top_up(call.account, TOP_UP)
    return {"amount": f"{TOP_UP:f}"}


# --- settings ---------------------------------------------------------------------------------------------------------


def leverage(call: Call) -> Json:
    """GET v2/trade/leverage."""
    symbol = call.parameters.needed("symbol")
    return leverage_row(needed(call.exchange.desk.leverage(call.account, symbol)), call.contract(symbol))


def set_leverage(call: Call) -> Json:
    """POST v2/trade/leverage."""
    symbol, side = call.parameters.needed("symbol"), call.parameters.needed("side")
    if side not in PositionSide.__members__:
        raise Refused(invalid("side must be LONG, SHORT or BOTH"))
    wanted = call.parameters.whole("leverage", default=0)
    if wanted < 1:
        raise Refused(invalid("leverage must be a positive integer"))
    row = needed(call.exchange.desk.set_leverage(call.account, symbol, PositionSide[side], wanted))
    return leverage_set(row, call.contract(symbol), wanted)


def margin_type(call: Call) -> Json:
    """GET v2/trade/marginType."""
    found = needed(call.exchange.desk.margin_type(call.account, call.parameters.needed("symbol")))
    return {"marginType": found.value}


def set_margin_type(call: Call) -> Plain:
    """POST v2/trade/marginType: the answer has no data."""
    symbol, wanted = call.parameters.needed("symbol"), call.parameters.needed("marginType")
    if wanted not in MarginType.__members__:
        raise Refused(invalid("marginType must be ISOLATED, CROSSED or SEPARATE_ISOLATED"))
    refusal = call.exchange.desk.set_margin_type(call.account, symbol, MarginType[wanted])
    if refusal is not None:
        raise Refused(refusal)
    return Plain(body=encode({"code": 0, "msg": ""}))


def position_mode(call: Call) -> Json:
    """GET v1/positionSide/dual: a string that says true or false."""
    return {"dualSidePosition": "true" if call.account.hedge else "false"}


def set_position_mode(call: Call) -> Json:
    """POST v1/positionSide/dual."""
    hedge = call.parameters.flag("dualSidePosition")
    call.parameters.needed("dualSidePosition")
    refusal = call.exchange.desk.set_mode(call.account, hedge=hedge)
    if refusal is not None:
        raise Refused(refusal)
    return {"dualSidePosition": "true" if hedge else "false"}


def asset_mode(_call: Call) -> Json:
    """GET v1/trade/assetMode."""
    return {"assetMode": "singleAssetMode"}


def set_asset_mode(call: Call) -> Json:
    """POST v1/trade/assetMode: only one asset is emulated."""
    if call.parameters.needed("assetMode") != "singleAssetMode":
        raise Refused(invalid("multiAssetsMode is not emulated"))
    return {"assetMode": "singleAssetMode"}


def no_coins(_call: Call) -> Json:
    """Deposits and withdrawals: clients that read all currencies ask for them; there are none."""
    return []


# --- listen keys ------------------------------------------------------------------------------------------------------


def new_listen_key(call: Call) -> Plain:
    """POST user/auth/userDataStream: bare, as clients know it, or in an envelope, as newer pages say."""
    key = call.exchange.listen_keys.create(call.account)
    found: dict[str, Json] = {"listenKey": key}
    wrapped = call.faults.is_on("listen-key-wrapped", account=call.account.name)
    return Plain(body=enveloped(found) if wrapped else encode(found))


def extend_listen_key(call: Call) -> Plain:
    """PUT user/auth/userDataStream: the HTTP status alone answers."""
    key = call.parameters.text("listenKey")
    return _key_answer(key, done=bool(key) and call.exchange.listen_keys.extend(call.account, key))


def close_listen_key(call: Call) -> Plain:
    """DELETE user/auth/userDataStream: the HTTP status alone answers."""
    key = call.parameters.text("listenKey")
    return _key_answer(key, done=bool(key) and call.exchange.listen_keys.close(call.account, key))


def _key_answer(key: str, *, done: bool) -> Plain:
    return Plain(status=200 if done else 404 if key else 204)
