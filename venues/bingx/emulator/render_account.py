"""Balances, positions and settings as BingX writes them, and every frame of the account socket."""

from __future__ import annotations

from decimal import Decimal

from sor.orders import PositionSide, Side
from venues.bingx.emulator.contracts import Contract
from venues.bingx.emulator.desk import BalanceRow, LeverageRow
from venues.bingx.emulator.events import (
    AccountChanged,
    ConfigChanged,
    Did,
    ListenKeyExpired,
    MarginType,
    OrderChanged,
    PositionRow,
)
from venues.bingx.emulator.income import IncomeRow
from venues.bingx.emulator.render import Json, fixed

_MONEY_DIGITS = 4
_PUSH_DIGITS = 8


def balance_row(row: BalanceRow) -> dict[str, Json]:
    """One asset.

    Two fields changed their spelling in the middle of 2026. Both are written: which one an account gets is not known.
    """
    realised, frozen = fixed(row.realised, _MONEY_DIGITS), fixed(row.frozen, _MONEY_DIGITS)
    return {
        "userId": str(row.user_id),
        "asset": row.asset,
        "balance": fixed(row.balance, _MONEY_DIGITS),
        "equity": fixed(row.equity, _MONEY_DIGITS),
        "unrealizedProfit": fixed(row.unrealised, _MONEY_DIGITS),
        "realisedProfit": realised,
        "realizedProfit": realised,
        "availableMargin": fixed(row.available, _MONEY_DIGITS),
        "usedMargin": fixed(row.used, _MONEY_DIGITS),
        "freezedMargin": frozen,
        "frozenMargin": frozen,
        "shortUid": str(row.user_id),
    }


def position_row(row: PositionRow, contract: Contract) -> dict[str, Json]:
    """One open position: labelled LONG or SHORT with a positive amount, in one-way mode too."""
    value = row.qty * row.mark
    return {
        "positionId": str(row.position_id),
        "symbol": row.symbol,
        "currency": contract.quote,
        "positionAmt": fixed(row.qty, contract.qty_precision),
        "availableAmt": fixed(row.available, contract.qty_precision),
        "positionSide": row.side.name,
        "isolated": row.margin_type is not MarginType.CROSSED,
        "avgPrice": fixed(row.avg_price, contract.price_precision),
        "initialMargin": fixed(row.margin, _MONEY_DIGITS),
        "margin": fixed(row.margin + row.unrealised, _MONEY_DIGITS),
        "leverage": row.leverage,
        "unrealizedProfit": fixed(row.unrealised, _MONEY_DIGITS),
        "realisedProfit": fixed(row.realised, _MONEY_DIGITS),
        "liquidationPrice": 0,
        "pnlRatio": fixed(row.unrealised / row.margin if row.margin else Decimal(0), _MONEY_DIGITS),
        "maxMarginReduction": "0.0000",
        "riskRate": "0.0000",
        "markPrice": fixed(row.mark, contract.price_precision),
        "positionValue": fixed(value, _MONEY_DIGITS),
        "onlyOnePosition": row.mode is PositionSide.BOTH,
        "updateTime": row.updated_ms,
    }


def leverage_row(row: LeverageRow, contract: Contract) -> dict[str, Json]:
    """Answer of GET trade/leverage."""
    return {
        "symbol": row.symbol,
        "longLeverage": row.long,
        "shortLeverage": row.short,
        "maxLongLeverage": row.long_max,
        "maxShortLeverage": row.short_max,
        **_room(row, contract),
    }


def leverage_set(row: LeverageRow, contract: Contract, leverage: int) -> dict[str, Json]:
    """Answer of POST trade/leverage."""
    return {"leverage": leverage, "symbol": row.symbol, **_room(row, contract)}


def _room(row: LeverageRow, contract: Contract) -> dict[str, Json]:
    digits = contract.qty_precision
    return {
        "availableLongVol": fixed(row.available_long_qty, digits),
        "availableShortVol": fixed(row.available_short_qty, digits),
        "availableLongVal": fixed(row.available_long_value, 1),
        "availableShortVal": fixed(row.available_short_value, 1),
        "maxPositionLongVal": fixed(row.position_long_max, 1),
        "maxPositionShortVal": fixed(row.position_short_max, 1),
    }


def income_row(row: IncomeRow) -> dict[str, Json]:
    """One row of user/income."""
    return {
        "symbol": row.symbol,
        "incomeType": row.type.value,
        "income": fixed(row.amount, _PUSH_DIGITS),
        "asset": row.asset,
        "info": "",
        "time": row.at_ms,
        "tranId": str(row.id),
        "tradeId": str(row.trade_id) if row.trade_id else "",
    }


def margin_tiers(contract: Contract) -> list[dict[str, Json]]:
    """Answer of maintMarginRatio: invented tiers that rise with the position's value."""
    step = contract.position_value_max / 4
    return [
        {
            "tier": f"Tier {tier}",
            "symbol": contract.symbol,
            "minPositionVal": fixed(step * (tier - 1), 0),
            "maxPositionVal": fixed(step * tier, 0),
            "maintMarginRatio": fixed(Decimal("0.004") * tier, 6),
            "maintAmount": "0.000000",
        }
        for tier in range(1, 5)
    ]


# --- the account socket -----------------------------------------------------------------------------------------------


def order_push(event: OrderChanged) -> dict[str, Json]:
    """ORDER_TRADE_UPDATE. Fee, profit, last quantity and price are those of the one trade."""
    order, fill = event.order, event.fill
    told: dict[str, Json] = {
        "s": order.symbol,
        "c": order.client_id,
        "i": order.order_id,
        "S": "BUY" if order.side is Side.BUY else "SELL",
        "o": "LIQUIDATION" if order.forced else order.kind.value,
        "q": fixed(order.qty, _PUSH_DIGITS),
        "p": fixed(order.price, _PUSH_DIGITS),
        "sp": fixed(Decimal(0), _PUSH_DIGITS),
        "ap": fixed(order.avg_price, _PUSH_DIGITS),
        "x": "CALCULATED" if order.forced and fill else event.did.value,
        "X": order.state.value,
        "l": fixed(fill.qty if fill else Decimal(0), _PUSH_DIGITS),
        "L": fixed(fill.price if fill else Decimal(0), _PUSH_DIGITS),
        "n": fixed(-fill.fee if fill else Decimal(0), _PUSH_DIGITS),
        "N": order.symbol.partition("-")[2],
        "T": event.at_ms,
        "wt": "MARK_PRICE",
        "ps": order.position_side.name,
        "rp": fixed(fill.profit if fill else Decimal(0), _PUSH_DIGITS),
        "z": fixed(order.filled, _PUSH_DIGITS),
        "sg": "false",
        "ti": 0,
        "ro": order.reduce_only,
        "td": fill.trade_id if fill else 0,
        "tv": fixed(fill.value if fill else Decimal(0), 1),
    }
    return {"e": "ORDER_TRADE_UPDATE", "E": event.at_ms, "T": event.at_ms, "o": told}


LATER_KEYS = ("l", "L", "td", "tv", "sg", "ti", "ro", "sp")
"""What order events did not have in 2023."""


def has_push(event: OrderChanged) -> bool:
    """Whether the stream has a word for it."""
    return event.did is not Did.RESIZED


def account_push(event: AccountChanged) -> dict[str, Json]:
    """ACCOUNT_UPDATE: only what changed."""
    wallet: dict[str, Json] = {
        "a": event.asset,
        "wb": fixed(event.wallet, _PUSH_DIGITS),
        "cw": fixed(event.cross, _PUSH_DIGITS),
        "bc": fixed(event.change, _PUSH_DIGITS),
    }
    positions = [_held(row) for row in event.positions]
    change: dict[str, Json] = {"m": event.reason.value, "B": [wallet], "P": positions}
    return {"e": "ACCOUNT_UPDATE", "E": event.at_ms, "T": event.at_ms, "a": change}


def _held(row: PositionRow) -> dict[str, Json]:
    one_way = row.mode is PositionSide.BOTH
    amount = -row.qty if one_way and row.side is PositionSide.SHORT else row.qty
    isolated = row.margin_type is not MarginType.CROSSED
    return {
        "s": row.symbol,
        "pa": fixed(amount, _PUSH_DIGITS),
        "ep": fixed(row.avg_price, _PUSH_DIGITS),
        "up": fixed(row.unrealised, _PUSH_DIGITS),
        "mt": "isolated" if isolated else "cross",
        "iw": fixed(row.margin if isolated else Decimal(0), _PUSH_DIGITS),
        "ps": row.mode.name,
        "cr": fixed(row.realised, _PUSH_DIGITS),
    }


def snapshot_push(balance: BalanceRow, positions: tuple[PositionRow, ...], now_ms: int) -> dict[str, Json]:
    """SNAPSHOT of money and positions, which stopped coming in July 2025."""
    wallet = fixed(balance.balance, _PUSH_DIGITS)
    held = [_held(row) for row in positions]
    nought = fixed(Decimal(0), _PUSH_DIGITS)
    money: dict[str, Json] = {"a": balance.asset, "wb": wallet, "cw": wallet, "bc": nought}
    return {"e": "SNAPSHOT", "E": now_ms, "a": {"m": "", "B": [money], "P": held}}


def config_push(event: ConfigChanged, word: str = "ACCOUNT_CONFIG_UPDATE") -> dict[str, Json]:
    """ACCOUNT_CONFIG_UPDATE, or a SNAPSHOT of the same."""
    config: dict[str, Json] = {
        "s": event.symbol,
        "l": event.long_leverage,
        "S": event.short_leverage,
        "mt": "cross" if event.margin_type is MarginType.CROSSED else "isolated",
    }
    return {"e": word, "E": event.at_ms, "ac": config}


def expired_push(event: ListenKeyExpired) -> dict[str, Json]:
    """The end of a key."""
    return {"e": "listenKeyExpired", "E": event.at_ms, "listenKey": event.listen_key}
