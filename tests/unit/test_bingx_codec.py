import gzip
from contextlib import suppress
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sor.errors import CallerError, VenueFault
from sor.ids import Symbol
from sor.instruments import Instrument
from tests.fakes.bingx import answer, btc, contract, listings
from venues.bingx.codec import data_of, envelope, flag_of, inflate, ms_to_ns, text_of, whole_of
from venues.bingx.listings import VENUE, Fees, Listing, TradingRules, read_listings, read_trading_rules
from venues.bingx.steps import FloatSteps, Steps, decimal_text, plain

# --- numbers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "digits", "count"),
    [
        ("60000.5", 1, 600_005),
        ("60000.50000000", 1, 600_005),
        ("60000", 1, 600_000),
        ("0.0020", 3, 2),
        ("0.00000985", 8, 985),
        ("33", 0, 33),
        ("33.000", 0, 33),
        ("0", 3, 0),
        ("0.0000", 3, 0),
        ("9e-05", 5, 9),
        ("9.5E-4", 5, 95),
        ("1e3", 2, 100_000),
        (".5", 1, 5),
        ("5.", 1, 50),
        ("-0", 3, 0),
        ("+1.5", 1, 15),
    ],
)
def test_texts_as_whole_steps(text: str, digits: int, count: int) -> None:
    steps = Steps(digits)
    if text == "-0":
        with pytest.raises(VenueFault, match="not negative"):
            steps[text]
        return
    assert [steps[text], steps[text]] == [count, count]


@pytest.mark.parametrize(
    "text",
    ["", "abc", "1.25", "-1", "NaN", "Infinity", "1_0", "１", "1e999999999", "1e-999999999", "0x10", "1.2.3", "9" * 60],
)
def test_what_is_no_step_is_a_fault(text: str) -> None:
    with pytest.raises(VenueFault, match="BingX sent"):
        Steps(1)[text]


def test_floats_as_whole_steps() -> None:
    steps = FloatSteps(1)
    assert [steps[60000.5], steps[60000.5], steps[0.1], steps[1e5]] == [600_005, 600_005, 1, 1_000_000]
    assert FloatSteps(18)[9e-18] == 9
    assert FloatSteps(0)[2.0**50] == 2**50
    for number in (60000.05, 0.0, -0.1, float("nan"), float("inf"), 2.0**50, 60000.10000000001):
        with pytest.raises(VenueFault, match=r"a positive number of steps of 0\.1"):
            steps[number]


@given(st.integers(1, 2**50), st.integers(0, 18))
def test_every_step_has_a_float_of_its_own(count: int, digits: int) -> None:
    assert FloatSteps(digits)[float(decimal_text(count, digits))] == count


def test_floats_are_forgotten_in_time() -> None:
    steps = FloatSteps(0)
    for count in range(1, 20_000):
        steps[float(count)]
    assert len(steps) < 16_384


def test_a_price_of_zero_is_a_fault_and_a_fine_size_is_cut_off() -> None:
    with pytest.raises(VenueFault, match="positive price"):
        Steps(1, zero=False)["0.0"]
    assert [Steps(2, floors=True)[text] for text in ("1.239", "0.009", "7e-3")] == [123, 0, 0]


def test_remembered_texts_are_bounded() -> None:
    steps = Steps(0)
    for count in range(40_000):
        assert steps[str(count)] == count
    assert len(steps) <= 16_384


@given(count=st.integers(0, 10**17), digits=st.integers(0, 12), zeros=st.integers(0, 4))
def test_any_text_on_the_step_is_exact(count: int, digits: int, zeros: int) -> None:
    text = decimal_text(count, digits)
    assert Decimal(text) == count * Decimal(1).scaleb(-digits)
    assert len(text.partition(".")[2]) == digits
    longer = text + ("." if not digits else "") + "0" * zeros
    assert Steps(digits)[longer] == count
    assert Steps(digits)[str(Decimal(text).normalize())] == count  # with exponents where they are shorter


@given(text=st.text(max_size=60))
def test_garbage_is_a_fault_and_nothing_else(text: str) -> None:
    for read in (Steps(3).__getitem__, plain):
        with suppress(VenueFault):
            read(text)


# --- frames and envelopes ---------------------------------------------------------------------------------------------


def test_frames_inflate() -> None:
    assert inflate(gzip.compress(b"Ping")) == b"Ping"
    assert inflate(b'{"code":0}') == b'{"code":0}'  # not compressed is taken as it is
    with pytest.raises(VenueFault, match="cut off"):
        inflate(gzip.compress(b"a" * 1000)[:-9])
    with pytest.raises(VenueFault, match="does not inflate"):
        inflate(b"\x1f\x8b" + b"\xff" * 40)
    with pytest.raises(VenueFault, match="has more than 16777216 bytes"):
        inflate(gzip.compress(bytes(17 * 1024 * 1024)))


def test_envelopes() -> None:
    opened = envelope(b'{"code":101204,"msg":"Insufficient margin","data":{},"debugMsg":"x","timestamp":1}')
    assert (opened.code, opened.text) == (101204, "Insufficient margin")
    assert envelope(b'{"code":0,"msg":null}').text == ""
    numbers = msgspec.json.Decoder(list[int])
    assert data_of(b'{"code":0,"data":[1,2]}', numbers, "numbers") == [1, 2]
    with pytest.raises(VenueFault, match="refused where numbers was expected: 101204 Insufficient margin"):
        data_of(b'{"code":101204,"msg":"Insufficient margin","data":[]}', numbers, "numbers")
    with pytest.raises(VenueFault, match="numbers that cannot be read"):
        data_of(b'{"code":0}', numbers, "numbers")


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"<html>", b'{"code":"0"}', b'{"code":true}', b'{"code":0.5}'])
def test_an_answer_without_a_whole_code_is_malformed(body: bytes) -> None:
    with pytest.raises(VenueFault, match="cannot be read"):
        envelope(body)


@pytest.mark.parametrize(
    ("literal", "text"),
    [(b'"a\\u0041"', "aA"), (b"12", "12"), (b"0.00009", "0.00009"), (b"true", "true"), (b"null", ""), (b"", "")],
)
def test_scalars_however_they_are_spelled(literal: bytes, text: str) -> None:
    assert text_of(msgspec.Raw(literal)) == text


def test_scalars_of_a_kind() -> None:
    raw = msgspec.Raw
    assert [whole_of(raw(one)) for one in (b'"7"', b"7", b"7.0", b"null", b'""')] == [7, 7, 7, 0, 0]
    assert [flag_of(raw(one)) for one in (b'"true"', b"true", b'"FALSE"', b"false", b'""', b"1")] == [
        True,
        True,
        False,
        False,
        False,
        True,
    ]
    assert ms_to_ns(raw(b"1760000000123")) == 1_760_000_000_123_000_000
    for read, literal in ((whole_of, b"7.5"), (flag_of, b'"maybe"'), (text_of, b"{}"), (text_of, b"[1]")):
        with pytest.raises(VenueFault):
            read(raw(literal))


# --- contracts --------------------------------------------------------------------------------------------------------


def test_a_contract_as_an_instrument() -> None:
    listing = btc()
    assert listing.instrument == Instrument(
        symbol=Symbol("BTCUSDT"),
        venue=VENUE,
        base="BTC",
        quote="USDT",
        settle="USDT",
        tick_size=Decimal("0.1"),
        lot_size=Decimal("0.001"),
        min_qty_lots=1,
        min_notional=Decimal(2),
        maker_fee_e8=20_000,
        taker_fee_e8=50_000,
    )
    assert (listing.price_text(600_005), listing.qty_text(2)) == ("60000.5", "0.002")


def test_rows_are_read_however_they_spell_their_numbers() -> None:
    spelled = contract(
        quantityPrecision="3", tradeMinQuantity="0.0015", makerFeeRate="0.000200001", apiStateOpen=True, status="1"
    )
    instrument = listings(spelled).stated("BTC-USDT").instrument
    assert instrument.min_qty_lots == 2  # up to the next step
    assert instrument.maker_fee_e8 == 20_001
    assert "futureField" not in repr(listings(contract(futureField={"a": [1]})).all()[0].instrument)


@pytest.mark.parametrize(
    ("terms", "reason"),
    [
        ({"pricePrecision": None}, "price step is unknown"),
        ({"quantityPrecision": None}, "quantity step is unknown"),
        ({"pricePrecision": -1}, "price step is unknown, as pricePrecision is -1"),
        ({"pricePrecision": 19}, "price step is unknown"),
        ({"pricePrecision": 1.5}, "whole number"),
        ({"status": 25}, "not online: status 25"),
        ({"status": None}, "not online: status None"),
        ({"status": 5}, "not online"),
        ({"apiStateOpen": "false"}, "closed to API orders"),
        ({"apiStateClose": "false"}, "closed to API orders"),
        ({"takerFeeRate": None}, "taker fee is unknown"),
        ({"symbol": "NCSKTSLA-USDT"}, "something else than crypto"),
        ({"symbol": "龙虾-USDT"}, "ASCII"),
        ({"symbol": "BTCUSDT"}, "BASE-QUOTE"),
        ({"symbol": 7}, "cannot be read"),
        ({"tradeMinQuantity": []}, "list or an object"),
    ],
)
def test_what_cannot_be_routed_is_refused_with_its_reason(terms: dict[str, object], reason: str) -> None:
    row = {**contract(), **terms}
    both = listings(row, contract("ETH-USDT"))
    assert [one.venue_symbol for one in both.all()] == ["ETH-USDT"]  # one broken row does not take the others down
    ((name, said),) = both.refused.items()
    assert name == (row["symbol"] if isinstance(row["symbol"], str) else "row 0")
    assert reason in said


def test_asking_for_a_contract() -> None:
    some = listings(contract(), contract("ABC-USDT", status=25))
    assert some.of(Symbol("BTCUSDT")) is some.known("BTC-USDT")
    assert some.known("ABC-USDT") is None
    with pytest.raises(CallerError, match="ABC-USDT is not online: status 25, paused; nothing was sent"):
        some.of(Symbol("ABCUSDT"))
    with pytest.raises(CallerError, match="lists no XYZUSDT"):
        some.of(Symbol("XYZUSDT"))
    with pytest.raises(VenueFault, match="does not list"):
        some.stated("XYZ-USDT")


def test_two_contracts_of_one_name_are_not_confused() -> None:
    both = listings(contract("AB-CUSDT"), contract("ABC-USDT"))
    assert [one.venue_symbol for one in both.all()] == ["AB-CUSDT"]
    assert "same name" in both.refused["ABC-USDT"]


def test_versions_change_with_terms_only() -> None:
    first = listings()
    again = read_listings(answer([contract()]), before=first)
    assert again.stated("BTC-USDT") is first.stated("BTC-USDT")
    finer = read_listings(answer([contract(pricePrecision=2)]), before=again).stated("BTC-USDT").instrument
    assert (finer.version, finer.tick_size) == (2, Decimal("0.01"))
    cheaper = read_listings(answer([contract()]), before=first, fees=Fees(maker_fee_e8=10_000, taker_fee_e8=40_000))
    instrument = cheaper.stated("BTC-USDT").instrument
    assert (instrument.version, instrument.maker_fee_e8, instrument.taker_fee_e8) == (2, 10_000, 40_000)


def test_a_listing_needs_steps_that_bingx_can_spell() -> None:
    known = btc().instrument
    with pytest.raises(CallerError, match="only steps of 1"):
        Listing(msgspec.structs.replace(known, tick_size=Decimal("0.5")), "BTC-USDT")
    with pytest.raises(CallerError, match="only steps of 1"):
        Listing(msgspec.structs.replace(known, lot_size=Decimal(10)), "BTC-USDT")


def test_an_empty_list_and_a_broken_one() -> None:
    assert read_listings(answer(None)).all() == ()
    with pytest.raises(VenueFault, match="the contracts"):
        read_listings(answer({"symbol": "BTC-USDT"}))


def test_trading_rules() -> None:
    rules = read_trading_rules(
        answer(
            {
                "minSizeCoin": "0.0001",
                "maxNumOrder": "200",
                "buyMaxPrice": "1.2",
                "buyMinPrice": "0.1",
                "sellMaxPrice": "",
                "marketRatio": "0.05",
            }
        )
    )
    assert rules == TradingRules(
        market_ratio=Decimal("0.05"),
        buy_max=Decimal("1.2"),
        buy_min=Decimal("0.1"),
        sell_max=None,
        sell_min=None,
        open_orders_max=200,
    )
    assert read_trading_rules(answer({"maxMumOrder": "100"})).open_orders_max == 100
