"""What was realised today, by numbers worked by hand."""

from decimal import Decimal

import msgspec
import pytest

from sor.instruments import Instrument
from sor.realised import DAY_NS, Realised
from tests.fakes.bench import BTC_A, START_NS

COIN = msgspec.structs.replace(BTC_A, inverse=True, multiplier=Decimal(100))
"""A contract of 100 quote units."""


def after(*fills: tuple[int, int], fee: int = 0, instrument: Instrument = BTC_A) -> Realised:
    """Signed lots at a price each, in turn."""
    realised = Realised()
    for lots, ticks in fills:
        realised.fill(lots, lots * ticks, fee, instrument=instrument, now_ns=START_NS)
    return realised


@pytest.mark.parametrize(
    ("fills", "net_lots", "gain"),
    [
        (((10, 100),), 10, 0),
        (((10, 100), (-4, 110)), 6, 40),
        (((-10, 100), (4, 90)), -6, 40),
        (((10, 100), (10, 120), (-20, 100)), 0, -200),
        (((10, 100), (-15, 90), (5, 100)), 0, -150),  # through zero: 10 lose 10 each, 5 sold short lose 10 each
        (((3, 100), (4, 101), (-1, 100), (-6, 100)), 0, -4),  # an average that is no whole number loses nothing
    ],
)
def test_fills_are_netted_at_average_cost(fills: tuple[tuple[int, int], ...], net_lots: int, gain: int) -> None:
    realised = after(*fills)
    assert (realised.net_lots, realised.today(BTC_A, START_NS)) == (net_lots, Decimal(gain))


def test_fees_count_at_once_and_a_correction_counts_when_it_comes() -> None:
    realised = after((10, 100), fee=BTC_A.atoms(Decimal("0.5")))
    assert realised.today(BTC_A, START_NS) == Decimal("-0.5")
    realised.fill(0, 10, 0, instrument=BTC_A, now_ns=START_NS)  # it had cost one more each
    assert realised.today(BTC_A, START_NS) == Decimal("-10.5")


def test_an_inverse_contract_is_paid_in_coin_and_valued_at_the_exit() -> None:
    """10 contracts of 100 at 50, out at 60: (1000 / 50 - 1000 / 60) coins, times 60, is 200."""
    assert after((10, 50), (-10, 60), instrument=COIN).today(COIN, START_NS) == 200
    assert after((-10, 50), (10, 60), instrument=COIN).today(COIN, START_NS) == -200


def test_a_new_day_begins_with_nothing_and_keeps_what_is_open() -> None:
    realised = after((10, 100), (-5, 90))
    tomorrow_ns = (START_NS // DAY_NS + 1) * DAY_NS
    assert realised.today(BTC_A, tomorrow_ns - 1) == -50
    assert realised.today(BTC_A, tomorrow_ns) == 0
    realised.fill(-5, -5 * 80, 0, instrument=BTC_A, now_ns=tomorrow_ns)
    assert realised.today(BTC_A, tomorrow_ns) == -100


@pytest.mark.parametrize(("position", "net_lots", "cost"), [(4, 4, 400), (0, 0, 0), (-7, 0, 0), (25, 10, 1_000)])
def test_what_the_venue_says_is_gone_is_forgotten(position: int, net_lots: int, cost: int) -> None:
    realised = after((10, 100))
    realised.bound(position)
    assert (realised.net_lots, realised.cost_lot_ticks, realised.atoms) == (net_lots, cost, 0)


def test_a_new_tick_keeps_the_money() -> None:
    realised = after((10, 100), (-5, 90))
    finer = msgspec.structs.replace(BTC_A, tick_size=Decimal("0.1"))
    realised.relist(BTC_A, finer)
    assert (realised.today(finer, START_NS), realised.net_lots) == (Decimal(-50), 0)
