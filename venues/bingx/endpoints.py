"""Every REST endpoint that is used, with the budgets it counts against. Values: facts about BingX, 2025-10 to 2026-04.

BingX counts twice: per user and endpoint, and per IP and group. Its pages print `ip-rate-limitation: 1|2|3`, which is
the group's number, not a rate.
"""

from __future__ import annotations

from enum import IntEnum

import msgspec


class IpGroup(IntEnum):
    """The budget of an address that an endpoint counts against: `IP_LIMITS`."""

    MARKET = 1
    ACCOUNT = 2
    TRADE = 3


class IpLimit(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Calls within a fixed window of `window_s`; `endpoint_calls` of them for any one endpoint."""

    window_s: int
    group_calls: int
    endpoint_calls: int


IP_LIMITS = {
    IpGroup.MARKET: IpLimit(window_s=10, group_calls=500, endpoint_calls=500),
    IpGroup.ACCOUNT: IpLimit(window_s=10, group_calls=2_000, endpoint_calls=300),
    IpGroup.TRADE: IpLimit(window_s=10, group_calls=2_000, endpoint_calls=300),
}
REMAIN_HEADER = "X-RateLimit-Requests-Remain"
"""Calls left in the window; seen on public answers, on signed ones unverified."""
EXPIRE_HEADER = "X-RateLimit-Requests-Expire"
"""Milliseconds left of the window."""


class Endpoint(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One endpoint.

    per_s       calls a second and user, the smallest figure that was ever documented; 0: only the address counts.
    per_s_2026  the newest documented figure, for who dares.
    opens       it can open a position.
    """

    method: str
    path: str
    group: IpGroup
    signed: bool = True
    per_s: int = 5
    per_s_2026: int = 5
    opens: bool = False


def _public(path: str) -> Endpoint:
    return Endpoint(method="GET", path=path, group=IpGroup.MARKET, signed=False, per_s=0, per_s_2026=0)


def _account(method: str, path: str, *, per_s: int = 5, newest: int = 0) -> Endpoint:
    return Endpoint(method=method, path=path, group=IpGroup.ACCOUNT, per_s=per_s, per_s_2026=newest or per_s)


def _trade(method: str, path: str, *, per_s: int = 5, newest: int = 0, opens: bool = False) -> Endpoint:
    return Endpoint(method=method, path=path, group=IpGroup.TRADE, per_s=per_s, per_s_2026=newest or per_s, opens=opens)


SERVER_TIME = _public("/openApi/swap/v2/server/time")
CONTRACTS = _public("/openApi/swap/v2/quote/contracts")
DEPTH = _public("/openApi/swap/v2/quote/depth")
TRADES = _public("/openApi/swap/v2/quote/trades")
PREMIUM_INDEX = _public("/openApi/swap/v2/quote/premiumIndex")
TRADING_RULES = Endpoint(
    method="GET", path="/openApi/swap/v1/tradingRules", group=IpGroup.MARKET, signed=False, per_s=5, per_s_2026=5
)

BALANCE = _account("GET", "/openApi/swap/v3/user/balance")
POSITIONS = _account("GET", "/openApi/swap/v2/user/positions", newest=10)
INCOME = _account("GET", "/openApi/swap/v2/user/income")
COMMISSION_RATE = _account("GET", "/openApi/swap/v2/user/commissionRate")
POSITION_MODE = _account("GET", "/openApi/swap/v1/positionSide/dual", per_s=2)
SET_POSITION_MODE = _account("POST", "/openApi/swap/v1/positionSide/dual", per_s=2, newest=4)
LEVERAGE = _trade("GET", "/openApi/swap/v2/trade/leverage")
SET_LEVERAGE = _trade("POST", "/openApi/swap/v2/trade/leverage")

PLACE = _trade("POST", "/openApi/swap/v2/trade/order", newest=10, opens=True)
PLACE_TEST = _trade("POST", "/openApi/swap/v2/trade/order/test")
PLACE_BATCH = _trade("POST", "/openApi/swap/v2/trade/batchOrders", opens=True)
CANCEL = _trade("DELETE", "/openApi/swap/v2/trade/order", newest=10)
CANCEL_BATCH = _trade("DELETE", "/openApi/swap/v2/trade/batchOrders")
CANCEL_ALL = _trade("DELETE", "/openApi/swap/v2/trade/allOpenOrders")
CANCEL_REPLACE = _trade("POST", "/openApi/swap/v1/trade/cancelReplace", opens=True)
AMEND = _trade("POST", "/openApi/swap/v1/trade/amend")
QUERY = _trade("GET", "/openApi/swap/v2/trade/order", newest=30)
OPEN_ORDERS = _trade("GET", "/openApi/swap/v2/trade/openOrders")
ORDER_HISTORY = _trade("GET", "/openApi/swap/v1/trade/fullOrder")
FILL_HISTORY = _trade("GET", "/openApi/swap/v2/trade/fillHistory")
FORCED_ORDERS = _trade("GET", "/openApi/swap/v2/trade/forceOrders", newest=10)
COUNTDOWN = _trade("POST", "/openApi/swap/v2/trade/cancelAllAfter", per_s=1, newest=2)

LISTEN_KEY = _account("POST", "/openApi/user/auth/userDataStream", per_s=2)
EXTEND_LISTEN_KEY = _account("PUT", "/openApi/user/auth/userDataStream", per_s=2)
CLOSE_LISTEN_KEY = _account("DELETE", "/openApi/user/auth/userDataStream", per_s=2)

ALL = (
    SERVER_TIME,
    CONTRACTS,
    DEPTH,
    TRADES,
    PREMIUM_INDEX,
    TRADING_RULES,
    BALANCE,
    POSITIONS,
    INCOME,
    COMMISSION_RATE,
    POSITION_MODE,
    SET_POSITION_MODE,
    LEVERAGE,
    SET_LEVERAGE,
    PLACE,
    PLACE_TEST,
    PLACE_BATCH,
    CANCEL,
    CANCEL_BATCH,
    CANCEL_ALL,
    CANCEL_REPLACE,
    AMEND,
    QUERY,
    OPEN_ORDERS,
    ORDER_HISTORY,
    FILL_HISTORY,
    FORCED_ORDERS,
    COUNTDOWN,
    LISTEN_KEY,
    EXTEND_LISTEN_KEY,
    CLOSE_LISTEN_KEY,
)
"""Every endpoint."""
