"""Every endpoint that is emulated: where it is, who may call it and how often, and what carries it out.

Paths, groups and figures are BingX's of April 2026; the older figures stand beside them where they differ.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from venues.bingx.emulator import routes_account as account
from venues.bingx.emulator import routes_market as market
from venues.bingx.emulator import routes_orders as orders
from venues.bingx.emulator.calls import Handler, MarketHandler
from venues.bingx.emulator.limits import Group


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One endpoint.

    market     carries out a public call; signed ones have `signed` instead.
    per_s      calls a second and user in 2026, `per_s_oldest` in October 2025; 0: only the address counts.
    changes    a read-only key may not.
    keyed      an API key is enough, though a signature that is there must be right.
    """

    method: str
    path: str
    group: Group
    market: MarketHandler | None = None
    signed: Handler | None = None
    per_s: int = 5
    per_s_oldest: int = 5
    changes: bool = False
    keyed: bool = False


def _public(path: str, handler: MarketHandler) -> Route:
    return Route(method="GET", path=path, group=Group.MARKET, market=handler, per_s=0, per_s_oldest=0)


def _read(path: str, handler: Handler, *, per_s: int = 5, oldest: int = 0, group: Group = Group.ACCOUNT) -> Route:
    return Route(method="GET", path=path, group=group, signed=handler, per_s=per_s, per_s_oldest=oldest or per_s)


def _change(
    method: str, path: str, handler: Handler, *, per_s: int = 5, oldest: int = 0, group: Group = Group.TRADE
) -> Route:
    return Route(
        method=method,
        path=path,
        group=group,
        signed=handler,
        per_s=per_s,
        per_s_oldest=oldest or per_s,
        changes=True,
    )


def _key(method: str, handler: Handler) -> Route:
    path = "/openApi/user/auth/userDataStream"
    return Route(method=method, path=path, group=Group.ACCOUNT, signed=handler, per_s=2, per_s_oldest=2, keyed=True)


_V1, _V2, _V3 = "/openApi/swap/v1", "/openApi/swap/v2", "/openApi/swap/v3"
_TRADE = Group.TRADE

ROUTES: tuple[Route, ...] = (
    _public(f"{_V2}/server/time", market.server_time),
    _public(f"{_V2}/quote/contracts", market.contracts),
    _public(f"{_V1}/tradingRules", market.trading_rules),
    _public(f"{_V2}/quote/depth", market.quote_depth),
    _public(f"{_V2}/quote/trades", market.quote_trades),
    _public(f"{_V1}/market/historicalTrades", market.historical_trades),
    _public(f"{_V2}/quote/bookTicker", market.quote_book_ticker),
    _public(f"{_V2}/quote/ticker", market.quote_ticker),
    _public(f"{_V1}/ticker/price", market.ticker_price),
    _public(f"{_V2}/quote/premiumIndex", market.quote_premium_index),
    _public(f"{_V2}/quote/fundingRate", market.funding_rate),
    _public(f"{_V3}/quote/klines", market.klines),
    _public(f"{_V2}/quote/klines", market.klines),
    _public(f"{_V1}/market/markPriceKlines", market.mark_price_klines),
    _public(f"{_V2}/quote/openInterest", market.open_interest),
    # Other products, empty: clients read them along with the swaps.
    _public("/openApi/cswap/v1/market/contracts", market.no_rows),
    _public("/openApi/spot/v1/common/symbols", market.no_symbols),
    _read("/openApi/wallets/v1/capital/config/getall", account.no_coins),
    # Orders.
    _change("POST", f"{_V2}/trade/order", orders.place, per_s=10, oldest=5),
    _change("POST", f"{_V2}/trade/order/test", orders.place_test),
    _change("POST", f"{_V2}/trade/batchOrders", orders.place_batch),
    _change("DELETE", f"{_V2}/trade/order", orders.cancel, per_s=10, oldest=5),
    _change("DELETE", f"{_V2}/trade/batchOrders", orders.cancel_batch),
    _change("DELETE", f"{_V2}/trade/allOpenOrders", orders.cancel_all),
    _change("POST", f"{_V2}/trade/cancelAllAfter", orders.cancel_all_after, per_s=2, oldest=1),
    _change("POST", f"{_V1}/trade/cancelReplace", orders.cancel_replace),
    _change("POST", f"{_V1}/trade/batchCancelReplace", orders.batch_cancel_replace, per_s=2),
    _change("POST", f"{_V1}/trade/amend", orders.amend),
    _change("POST", f"{_V2}/trade/closeAllPositions", orders.close_all_positions),
    _change("POST", f"{_V1}/trade/closePosition", orders.close_position),
    _read(f"{_V2}/trade/order", account.order, per_s=30, oldest=5, group=_TRADE),
    _read(f"{_V2}/trade/openOrder", account.one_open_order, group=_TRADE),
    _read(f"{_V2}/trade/openOrders", account.open_orders, group=_TRADE),
    _read(f"{_V2}/trade/allOrders", account.all_orders, group=_TRADE),
    _read(f"{_V1}/trade/fullOrder", account.full_order, group=_TRADE),
    _read(f"{_V2}/trade/allFillOrders", account.all_fill_orders, group=_TRADE),
    _read(f"{_V2}/trade/fillHistory", account.fill_history, group=_TRADE),
    _read(f"{_V2}/trade/forceOrders", account.force_orders, per_s=10, group=_TRADE),
    # The account.
    _read(f"{_V2}/user/balance", account.balance_v2),
    _read(f"{_V3}/user/balance", account.balance_v3),
    _read(f"{_V2}/user/positions", account.positions, per_s=10, oldest=5),
    _read(f"{_V2}/user/income", account.income),
    _read(f"{_V2}/user/commissionRate", account.commission_rate),
    _read(f"{_V1}/maintMarginRatio", account.maint_margin_ratio),
    _read(f"{_V2}/trade/leverage", account.leverage, group=_TRADE),
    _change("POST", f"{_V2}/trade/leverage", account.set_leverage),
    _read(f"{_V2}/trade/marginType", account.margin_type, per_s=2, group=_TRADE),
    _change("POST", f"{_V2}/trade/marginType", account.set_margin_type, per_s=2),
    _read(f"{_V1}/positionSide/dual", account.position_mode, per_s=2),
    _change("POST", f"{_V1}/positionSide/dual", account.set_position_mode, per_s=4, oldest=2, group=Group.ACCOUNT),
    _read(f"{_V1}/trade/assetMode", account.asset_mode, per_s=2, group=_TRADE),
    _change("POST", f"{_V1}/trade/assetMode", account.set_asset_mode, per_s=2),
    _change("POST", f"{_V2}/trade/getVst", account.get_vst),
    _change("POST", f"{_V1}/trade/getVst", account.get_vst),
    _key("POST", account.new_listen_key),
    _key("PUT", account.extend_listen_key),
    _key("DELETE", account.close_listen_key),
)

BY_PLACE: Mapping[tuple[str, str], Route] = {(route.method, route.path): route for route in ROUTES}
PATHS = frozenset(route.path for route in ROUTES)
