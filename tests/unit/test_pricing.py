import pytest

from sor.orders import Side
from sor.pricing import collar_ticks, maker_ticks, nearer_ticks, sweep


@pytest.mark.parametrize(
    ("side", "bid", "ask", "price"),
    [
        (Side.BUY, 100, 105, 101),
        (Side.SELL, 100, 105, 104),
        (Side.BUY, 100, 102, 101),
        (Side.SELL, 100, 102, 101),
        (Side.BUY, 100, 101, 100),  # a one-tick market: join the touch (S1)
        (Side.SELL, 100, 101, 101),
    ],
)
def test_a_maker_rests_one_tick_inside_where_there_is_room(side: Side, bid: int, ask: int, price: int) -> None:
    assert maker_ticks(side, bid_ticks=bid, ask_ticks=ask) == price


@pytest.mark.parametrize(
    ("side", "touch", "bps", "worst"),
    [
        (Side.BUY, 10_000, 20.0, 10_020),
        (Side.SELL, 10_000, 20.0, 9_980),
        (Side.BUY, 1_999, 10.0, 2_000),  # 1.999 ticks, rounded towards the touch
        (Side.SELL, 1_999, 10.0, 1_998),
        (Side.BUY, 99, 100.0, 99),
        (Side.SELL, 2, 9_999.0, 1),
    ],
)
def test_a_collar_reaches_from_the_touch_and_rounds_towards_it(side: Side, touch: int, bps: float, worst: int) -> None:
    assert collar_ticks(side, touch_ticks=touch, collar_bps=bps) == worst


def test_a_limit_only_ever_makes_a_price_better() -> None:
    assert [nearer_ticks(Side.BUY, 100, limit) for limit in (None, 99, 100, 101)] == [100, 99, 100, 100]
    assert [nearer_ticks(Side.SELL, 100, limit) for limit in (None, 99, 100, 101)] == [100, 100, 100, 101]


def test_a_sweep_walks_the_displayed_levels() -> None:
    ladder = ((100, 5), (101, 10), (103, 20))
    assert sweep(ladder, 3) == (300, 3)
    assert sweep(ladder, 5) == (500, 5)
    assert sweep(ladder, 18) == (500 + 1010 + 3 * 103, 18)
    assert sweep(ladder, 40) == (500 + 1010 + 2060, 35)
    assert sweep((), 4) == (0, 0)
