"""Options of the simulated venue: every mistake gets one sentence, and nothing is opened."""

import re
from decimal import Decimal
from pathlib import Path

import pytest

from sor.adapter import AmendModel, SelfTrade
from sor.errors import CallerError
from sor.tape import save_tape
from sor.units import MS
from tests.fakes.tape_script import Book, tape_of
from venues.matching.rules import Oversize
from venues.simulated.adapter import SimulatedVenue, open_venue
from venues.simulated.faults import DURATIONS, SWITCHES, Faults
from venues.simulated.options import TABLE, Choice, FlowStart, LadderShape, Number, Text, read
from venues.simulated.tape import TapeVenue
from venues.simulated.tape_latency import Delay


def test_defaults() -> None:
    setup = read({})
    assert (setup.name, setup.instrument.symbol, setup.instrument.settle) == ("simulated", "BTCUSDT", "USDT")
    assert (setup.instrument.tick_size, setup.instrument.lot_size) == (Decimal("0.1"), Decimal("0.001"))
    assert (setup.instrument.maker_fee_e8, setup.instrument.taker_fee_e8) == (20_000, 50_000)
    assert (setup.mid_ticks, setup.equity, setup.seed) == (600_000, Decimal(1_000_000), 1)
    assert isinstance(setup.crowd, FlowStart)
    assert (setup.amend, setup.self_trade, setup.oversize) == (
        AmendModel.NATIVE_SAME_ID,
        SelfTrade.ALLOWED,
        Oversize.CLIP,
    )
    assert (setup.entry, setup.feed) == (Delay(median_ns=20 * MS, sigma=0.3), Delay(median_ns=15 * MS, sigma=0.3))
    assert setup.faults == Faults()


def test_everything_can_be_set() -> None:
    setup = read(
        {
            "market": "ladder",
            "ladder.spread_ticks": "3",
            "ladder.levels": "2",
            "ladder.level_lots": "7",
            "name": "x",
            "symbol": "sol-usdc",
            "price": "150",
            "tick": "0.01",
            "lot": "0.1",
            "min_qty_lots": "2",
            "max_qty_lots": "9",
            "min_notional": "1",
            "maker_fee_bps": "-0.5",
            "taker_fee_bps": "4.5",
            "equity": "5000",
            "seed": "9",
            "latency": "near",
            "entry": "7ms",
            "timeout_ms": "250",
            "fault.late": "0.25",
            "fault.late_ms": "5",
        }
    )
    instrument = setup.instrument
    assert (instrument.symbol, instrument.base, instrument.quote, instrument.venue) == ("SOLUSDC", "SOL", "USDC", "x")
    assert (instrument.min_qty_lots, instrument.max_qty_lots, instrument.min_notional) == (2, 9, Decimal(1))
    assert (instrument.maker_fee_e8, instrument.taker_fee_e8) == (-5_000, 45_000)
    assert (setup.mid_ticks, setup.equity, setup.seed, setup.timeout_ns) == (15_000, Decimal(5_000), 9, 250 * MS)
    assert setup.crowd == LadderShape(spread_ticks=3, levels=2, level_lots=7)
    assert (setup.entry, setup.response.median_ns) == (Delay(median_ns=7 * MS), MS // 2)
    assert setup.faults == Faults(late=0.25, late_ms=5.0)


def test_without_anybody() -> None:
    assert read({"market": "empty"}).crowd is None


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"colour": "red"}, "the simulated venue has no option 'colour'; no venue was opened. It has: market, name"),
        (
            {"market": "real"},
            "option market must be one of zi, queue_reactive, ladder, empty, not 'real'; no venue was opened",
        ),
        ({"seed": "1.5"}, "option seed must be a whole number from 0 to"),
        ({"seed": "nan"}, "option seed must be a whole number from 0 to"),
        ({"timeout_ms": "soon"}, "option timeout_ms must be a number from 1 to 60000, not 'soon'; no venue was opened"),
        ({"fault.late": "1.01"}, "option fault.late must be a number from 0 to 1, not '1.01'; no venue was opened"),
        ({"taker_fee_bps": "inf"}, "option taker_fee_bps must be a number from -10 to 100"),
        ({"price": "60k"}, "option price must be a decimal number, not '60k'; no venue was opened"),
        ({"price": "60000.05"}, "price 60000.05 is off the step of 0.1"),
        ({"price": "-1"}, "price -1 is not a positive number"),
        ({"tick": "0"}, "tick size 0 is not positive"),
        ({"min_notional": "-1"}, "a minimum or maximum is negative"),
        ({"min_notional": "NaN"}, "option min_notional must be a decimal number, not 'NaN'; no venue was opened"),
        ({"symbol": "BTCEUR"}, "option symbol must end in USDT, USDC or USD, not 'BTCEUR'; no venue was opened"),
        ({"symbol": "USDT"}, "option symbol must end in USDT, USDC or USD, not 'USDT'; no venue was opened"),
        ({"name": ""}, "option name must not be empty; no venue was opened"),
        ({"entry": "5 minutes"}, "'5 minutes' is no delay; nothing was opened. Write 5ms"),
        ({"fault.not_found": "0.1"}, "fault.not_found needs a lookup_lag_ms above 0"),
        ({"zi.window": "40"}, "zi.window of 40 ticks is less than four times zi.mu / zi.alpha, 12 ticks"),
        ({"zi.delta": "10"}, "a book of 5 orders a side; it takes 15 not to run dry"),
        ({"price": "30"}, "option price is only 300 ticks, too close to zero for zi.window"),
        ({"zi.branching": "0.9", "zi.decay": "0.1"}, "the market remembers 300 s and zi.burn_in_s is 20"),
        ({"market": "queue_reactive", "qr.cancel": "0.01"}, "a queue has 100 orders or more"),
        ({"market": "queue_reactive", "price": "90"}, "option price is only 900 ticks, too close to zero for a market"),
        ({"market": "ladder", "price": "1"}, "option price is only 10 ticks, too close to zero for the ladder"),
        ({"market": "tape"}, "a recorded venue needs the option tape"),
    ],
)
def test_a_mistake_gets_one_sentence(options: dict[str, str], says: str) -> None:
    with pytest.raises(CallerError, match=re.escape(says)):
        open_venue(options)


def test_every_option_says_what_it_means_and_takes_its_own_default() -> None:
    for name, spec in TABLE.items():
        assert spec.meaning
        match spec:
            case Number():
                assert spec.low <= spec.default <= spec.high, name
            case Choice():
                assert read({name: spec.words[0]}) == read({}), name
            case Text():
                assert read({name: spec.default}) == read({}), name


def test_every_fault_has_a_switch() -> None:
    for name in SWITCHES:
        setup = read({f"fault.{name}": "0.5", "lookup_lag_ms": "100"})
        assert setup.faults == Faults(**{name: 0.5})
    for name in DURATIONS:
        assert read({f"fault.{name}": "7"}).faults == Faults(**{name: 7.0})


def test_what_opens_which_venue(tmp_path: Path) -> None:
    tape = tape_of([Book(100, {1000: 5}, {1001: 4}, snapshot=True)])
    save_tape(tape, tmp_path / "tape", findings=(), source=(), importer="test")
    assert isinstance(open_venue({}), SimulatedVenue)
    assert isinstance(open_venue({"tape": str(tmp_path / "tape")}), TapeVenue)
    assert isinstance(open_venue({"market": "tape", "tape": str(tmp_path / "tape"), "queue": "moderate"}), TapeVenue)
