from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sor.errors import CallerError
from sor.ids import Symbol, VenueName
from sor.instruments import Instrument, canonical_symbol

A = VenueName("acme")


def linear(**terms: object) -> Instrument:
    """Ticks of 0.1, lots of 0.001."""
    known: dict[str, object] = {
        "symbol": Symbol("BTCUSDT"),
        "venue": A,
        "quote": "USDT",
        "tick_size": Decimal("0.1"),
        "lot_size": Decimal("0.001"),
        **terms,
    }
    return Instrument(**known)  # type: ignore[arg-type]


@pytest.mark.parametrize("spelling", ["BTCUSDT", "btc-usdt", "BTC_USDT", "Btc/Usdt", " btc usdt "])
def test_b8_one_name_for_every_spelling(spelling: str) -> None:
    assert canonical_symbol(spelling) == "BTCUSDT"


def test_steps() -> None:
    one = linear()
    assert (one.ticks(Decimal("60000.1")), one.lots(Decimal("0.5"))) == (600_001, 500)
    assert (one.price(600_001), one.quantity(500)) == (Decimal("60000.1"), Decimal("0.500"))
    assert [one.floor_lots(Decimal(text)) for text in ("0", "0.0009", "0.0019", "1.2345")] == [0, 0, 1, 1234]


@pytest.mark.parametrize("price", ["60000.15", "0", "-1", "NaN", "Infinity", "1e-30"])
def test_b8_off_the_tick_is_refused(price: str) -> None:
    with pytest.raises(CallerError, match="nothing was sent"):
        linear().ticks(Decimal(price))


@pytest.mark.parametrize("amount", ["1e999999999", "1e-999999999"])
def test_a_number_beyond_anything_is_refused_and_not_written_out(amount: str) -> None:
    """The small one once was 0 lots: its remainder is below what a decimal context can hold."""
    for read in (linear().lots, linear().floor_lots, linear().ticks):
        with pytest.raises(CallerError, match="is beyond anything that trades; nothing was sent"):
            read(Decimal(amount))


@given(st.integers(1, 10**12), st.sampled_from(["0.1", "0.00000001", "5", "0.025", "1000"]))
def test_there_and_back(ticks: int, tick_size: str) -> None:
    one = linear(tick_size=Decimal(tick_size))
    assert one.ticks(one.price(ticks)) == ticks


@pytest.mark.parametrize(
    "terms",
    [
        {"tick_size": Decimal(0)},
        {"lot_size": Decimal(-1)},
        {"multiplier": Decimal("NaN")},
        {"min_qty_lots": 0},
        {"max_qty_lots": -1},
        {"min_notional": Decimal(-1)},
    ],
)
def test_b8_unknown_steps_are_not_routable(terms: dict[str, object]) -> None:
    with pytest.raises(CallerError, match="not routable"):
        linear(**terms)


def test_money_of_a_linear_contract() -> None:
    one = linear()
    # 250 lots are 0.25 BTC, at 600_000 ticks 60_000: 15_000 USDT, of which 0.05 % are 7.5 USDT.
    assert one.notional(250, 600_000) == Decimal(15_000)
    assert one.value(250, 600_000) == pytest.approx(15_000)
    assert one.money(one.fee_atoms(250, 600_000, 50_000)) == Decimal("7.5")
    assert one.money(one.fee_atoms(250, 600_000, -1_000)) == Decimal("-0.15")
    assert one.atoms(Decimal("7.5")) == one.fee_atoms(250, 600_000, 50_000)


def test_money_of_an_inverse_contract() -> None:
    # 30 contracts of 100 USD: 3_000 USD at any price, of which 0.05 % are 1.5.
    one = linear(lot_size=Decimal(1), multiplier=Decimal(100), inverse=True)
    assert (one.notional(30, 1), one.notional(30, 600_000)) == (Decimal(3_000), Decimal(3_000))
    assert one.money(one.fee_atoms(30, 600_000, 50_000)) == Decimal("1.5")


def test_contracts_with_a_multiplier() -> None:
    # 7 contracts of 0.01 BTC at 60_000: 4_200 USDT.
    one = linear(lot_size=Decimal(1), multiplier=Decimal("0.01"))
    assert one.notional(7, 600_000) == Decimal(4_200)


def test_the_smallest_order() -> None:
    one = linear(min_qty_lots=2, min_notional=Decimal(100))
    # 0.001 BTC at 60_000 is 60 USDT: two lots are needed, at 30_000 four, at 200_000 one would do but for the minimum.
    assert [one.min_lots_at(ticks) for ticks in (600_000, 300_000, 2_000_000)] == [2, 4, 2]
    face = linear(lot_size=Decimal(1), multiplier=Decimal(100), inverse=True, min_notional=Decimal(250))
    assert face.min_lots_at(600_000) == 3
