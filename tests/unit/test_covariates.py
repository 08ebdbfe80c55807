"""Covariates of a resting order: worked by hand, in the order's own terms, and the same for one order and for many."""

from math import log

import numpy as np
import pytest

from sor.features import Features
from sor.lab.covariates import covariate_columns
from sor.models.covariates import (
    BEHIND_MAX,
    COVARIATES,
    GAP_MIN,
    OFI_MAX,
    QUEUE_S_MAX,
    QUEUE_S_MIN,
    VOLATILITY_MAX,
    VOLATILITY_MIN,
    Terms,
    covariates_of,
    terms_of,
)
from sor.orders import Side

BUY, SELL = Side.BUY, Side.SELL
MARKET = Features(
    mid_hticks=20_004,
    spread_ticks=4,
    spread_bps=4.0,
    bid_touch_lots=30,
    ask_touch_lots=10,
    bid_near_lots=300,
    ask_near_lots=100,
    imbalance=0.75,
    micro_ticks=10_003.0,
    buy_flow=1.6,
    sell_flow=3.6,
    ofi_lots=-20,
    best_moves_per_s=0.5,
    volatility=1.0,
    window_s=10.0,
    ofi_1s_lots=8,
    buy_flow_1s=0.0,
    sell_flow_1s=0.0,
    buy_trades_per_s=0.3,
    sell_trades_per_s=0.7,
)
BID, ASK = 10_000, 10_004


def named(side: Side, price: int, *, ahead: float = 0.0, lots: int = 1, market: Features = MARKET) -> dict[str, float]:
    values = covariates_of(market, side, bid_ticks=BID, ask_ticks=ASK, price_ticks=price, ahead_lots=ahead, lots=lots)
    return dict(zip(COVARIATES, values, strict=True))


def changed(**values: float) -> Features:
    fields = {name: getattr(MARKET, name) for name in Features.__struct_fields__}
    return Features(**{**fields, **values})


def test_a_buy_at_the_touch() -> None:
    assert named(BUY, BID, ahead=30, lots=6) == {
        "log_queue_s": pytest.approx(log(36 / 3.6)),
        "lean": 0.5,
        "ofi_1s": 0.2,
        "ofi_10s": -0.5,
        "log_spread": pytest.approx(log(4)),
        "inside": 0.0,
        "log_gap": 0.0,
        "behind": 0.0,
        "log_behind": 0.0,
        "log_volatility": pytest.approx(log(0.25)),
        "log_flow_ratio": pytest.approx(log((1.6 + 0.4) / (3.6 + 0.4))),
        "log_trades": pytest.approx(log(1.7)),
        "log_moves": pytest.approx(log(1.5)),
    }


def test_a_sell_sees_the_same_market_from_the_other_side() -> None:
    assert named(SELL, ASK, ahead=10, lots=6) == {
        "log_queue_s": pytest.approx(log(16 / 1.6)),
        "lean": -0.5,
        "ofi_1s": -0.2,
        "ofi_10s": 0.5,
        "log_spread": pytest.approx(log(4)),
        "inside": 0.0,
        "log_gap": 0.0,
        "behind": 0.0,
        "log_behind": 0.0,
        "log_volatility": pytest.approx(log(0.25)),
        "log_flow_ratio": pytest.approx(log(4.0 / 2.0)),
        "log_trades": pytest.approx(log(1.3)),
        "log_moves": pytest.approx(log(1.5)),
    }


def test_inside_the_spread_and_behind_it_are_told_apart() -> None:
    # A tick is 1 bps; in a second the price moves 1 bps and a twentieth of a spread of 4.
    expected = {
        -2: (0.0, 0.0, pytest.approx(2 / 1.2), pytest.approx(log(1 + 2 / 1.2))),
        0: (0.0, 0.0, 0.0, 0.0),
        1: (1.0, pytest.approx(log(3 / 4)), 0.0, 0.0),
        3: (1.0, pytest.approx(log(1 / 4)), 0.0, 0.0),
    }
    for ticks, places in expected.items():
        for found in (named(BUY, BID + ticks), named(SELL, ASK - ticks)):
            assert (found["inside"], found["log_gap"], found["behind"], found["log_behind"]) == places


@pytest.mark.parametrize(
    ("name", "market", "price", "expected"),
    [
        ("log_queue_s", changed(sell_flow=0.0), BID, log(QUEUE_S_MAX)),
        ("log_queue_s", changed(sell_flow=1e9), BID, log(QUEUE_S_MIN)),
        ("ofi_1s", changed(ofi_1s_lots=100_000), BID, OFI_MAX),
        ("ofi_10s", changed(ofi_lots=-100_000), BID, -OFI_MAX),
        ("behind", MARKET, BID - 1_000, BEHIND_MAX),
        ("log_behind", MARKET, BID - 1_000, log(1 + BEHIND_MAX)),
        ("log_gap", MARKET, ASK, log(GAP_MIN)),
        ("log_volatility", changed(volatility=0.0), BID, log(VOLATILITY_MIN)),
        ("log_volatility", changed(volatility=1e6), BID, log(VOLATILITY_MAX)),
        ("log_flow_ratio", changed(buy_flow=0.0, sell_flow=0.0), BID, 0.0),
    ],
)
def test_nothing_is_infinite(name: str, market: Features, price: int, expected: float) -> None:
    assert named(BUY, price, ahead=30, market=market)[name] == pytest.approx(expected)


def test_one_order_and_many_have_the_same() -> None:
    rng = np.random.default_rng(3)
    orders: list[tuple[float, ...]] = []
    single: list[tuple[float, ...]] = []
    for _ in range(300):
        market = changed(
            spread_ticks=int(rng.integers(1, 9)),
            spread_bps=float(rng.uniform(0.01, 20)),
            bid_touch_lots=int(rng.integers(1, 900)),
            ask_touch_lots=int(rng.integers(1, 900)),
            buy_flow=float(rng.choice([0.0, rng.uniform(0, 900)])),
            sell_flow=float(rng.choice([0.0, rng.uniform(0, 900)])),
            ofi_lots=int(rng.integers(-5_000, 5_000)),
            ofi_1s_lots=int(rng.integers(-5_000, 5_000)),
            volatility=float(rng.choice([0.0, rng.uniform(0, 30)])),
            best_moves_per_s=float(rng.uniform(0, 9)),
        )
        side = Side(int(rng.choice([1, -1])))
        where = {
            "bid_ticks": BID,
            "ask_ticks": ASK,
            "price_ticks": int(rng.integers(BID - 9, ASK + 9)),
            "lots": int(rng.integers(1, 50)),
        }
        ahead = float(rng.uniform(0, 900))
        single.append(covariates_of(market, side, ahead_lots=ahead, **where))
        orders.append(terms_of(market, side, ahead_lots=ahead, **where))
    columns = Terms(*(np.array(column, np.float64) for column in zip(*orders, strict=True)))
    np.testing.assert_allclose(covariate_columns(columns), np.array(single), rtol=1e-14, atol=1e-15)
