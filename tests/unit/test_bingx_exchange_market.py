"""Markets of the emulated BingX: the book as it is published, marks, the synthetic flow, and a tape with us in it."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from sor.errors import CallerError
from sor.orders import Side
from sor.tape import Tape
from sor.units import NS
from tests.fakes.bingx_exchange import BTC, BUY, SELL, START_MS, Bench, limit, market
from tests.fakes.tapes import Group, Traded, tape_of
from venues.bingx.emulator.audit import audit
from venues.bingx.emulator.contracts import DEFAULTS, listed, venue_symbol
from venues.bingx.emulator.events import BookChanged, MarkMoved, PriceLevels, TradePrinted
from venues.bingx.emulator.market import start_quiet, start_synthetic, start_tapes
from venues.bingx.emulator.market_tape import contract_of
from venues.bingx.emulator.orders import State
from venues.bingx.emulator.pit import BookRow, Candle, DayRow, PremiumRow
from venues.bingx.emulator.refusals import Refusal
from venues.bingx.emulator.settings import Settings


def levels(*pairs: tuple[str, str]) -> PriceLevels:
    return tuple((Decimal(price), Decimal(qty)) for price, qty in pairs)


def code(answer: object) -> int:
    assert isinstance(answer, Refusal), answer
    return answer.code


# --- the book, trades, marks ------------------------------------------------------------------------------------------


def test_the_book_is_best_first() -> None:
    bench = Bench()
    book = bench.pit.book(2)
    assert book == BookRow(
        update_id=book.update_id,
        at_ms=START_MS,
        bids=levels(("59999.9", "0.1"), ("59999.8", "0.1")),
        asks=levels(("60000.1", "0.1"), ("60000.2", "0.1")),
    )


def test_changes_are_published_by_interval_with_ids_that_skip() -> None:
    bench = Bench()
    first = bench.pit.book(1).update_id
    bench.place(market(BUY, "0.15"))
    bench.place(limit(BUY, "0.01", "60000.0"))
    bench.pass_ms(199)
    assert not [event for event in bench.log if isinstance(event, BookChanged)]
    bench.pass_ms(1)
    (change,) = [event for event in bench.log if isinstance(event, BookChanged)]
    assert change == BookChanged(
        symbol=BTC,
        at_ms=START_MS + 200,
        update_id=change.update_id,
        bids=levels(("60000.0", "0.01")),
        asks=levels(("60000.1", "0"), ("60000.2", "0.05")),
    )
    assert 2 <= change.update_id - first <= 9
    assert bench.pit.book(1).update_id == change.update_id
    bench.log.clear()
    bench.pass_ms(5_000)
    assert not [event for event in bench.log if isinstance(event, BookChanged)]  # quiet is silent
    bench.exchange.switches.skips_ids = False
    bench.exchange.cancel_all(bench.one_way)
    bench.pass_ms(200)
    assert bench.pit.book(1).update_id == change.update_id + 1


def test_what_is_published_makes_the_book() -> None:
    bench = Bench(quiet=False)
    start_synthetic(bench.exchange, seed="7")
    book = bench.pit.book(10_000)
    sides = dict(book.bids), dict(book.asks)
    last = book.update_id
    bench.pass_ms(30_000)
    for event in bench.log:
        if isinstance(event, BookChanged) and event.symbol == BTC:
            assert event.update_id > last
            last = event.update_id
            for side, changed in zip(sides, (event.bids, event.asks), strict=True):
                for price, qty in changed:
                    if qty:
                        side[price] = qty
                    else:
                        side.pop(price, None)  # it may have come and gone between two of them
    now = bench.pit.book(10_000)
    assert (now.update_id, sorted(now.bids), sorted(now.asks)) == (
        last,
        sorted(sides[0].items()),
        sorted(sides[1].items()),
    )
    assert bench.pit.trades(5)


def test_trades_and_statistics() -> None:
    bench = Bench()
    bench.place(market(BUY, "0.15"))
    bench.pass_ms(60_000)
    bench.crowd(SELL, "0.1", "59999.9")
    assert [(one.price, one.qty, one.buyer_is_maker, one.at_ms) for one in bench.pit.trades(2)] == [
        (Decimal("59999.9"), Decimal("0.1"), True, START_MS + 60_000),
        (Decimal("60000.2"), Decimal("0.05"), False, START_MS),
    ]
    assert [one.trade_id for one in bench.pit.trades(10)] == [500_000_003, 500_000_002, 500_000_001]
    assert bench.pit.candles(1) == (
        Candle(
            at_ms=START_MS + 40_000,  # whole minutes
            open=Decimal("59999.9"),
            high=Decimal("59999.9"),
            low=Decimal("59999.9"),
            close=Decimal("59999.9"),
            volume=Decimal("0.1"),
            value=Decimal("5999.99"),
        ),
    )
    assert bench.pit.day() == DayRow(
        open=Decimal("60000.1"),
        high=Decimal("60000.2"),
        low=Decimal("59999.9"),
        last=Decimal("59999.9"),
        last_qty=Decimal("0.1"),
        volume=Decimal("0.25"),
        value=Decimal("9000.02") + Decimal("5999.99"),
        open_ms=START_MS - 20_000,
        close_ms=START_MS + 60_000,
    )
    assert bench.pit.open_interest() == Decimal("0.15")


def test_marks() -> None:
    bench = Bench()
    bench.place(market(BUY, "0.3"))  # the best ask is 60000.4 now, the last trade 60000.3
    bench.log.clear()
    bench.pass_ms(1_000)
    # index (59999.9 + 60000.4) / 2 cut to 60000.1, last 60000.3; the mean of the bases 0 and 0.2 is 0.1, and the mark
    # the median of 60000.1, 60000.2 and 60000.3.
    assert [event for event in bench.log if isinstance(event, MarkMoved) and event.symbol == BTC] == [
        MarkMoved(
            symbol=BTC,
            at_ms=START_MS + 1_000,
            mark=Decimal("60000.2"),
            index=Decimal("60000.1"),
            last=Decimal("60000.3"),
        )
    ]
    assert bench.pit.premium() == PremiumRow(
        symbol=BTC,
        mark=Decimal("60000.2"),
        index=Decimal("60000.1"),
        funding_rate=Decimal("0.0001"),
        next_funding_ms=1_760_025_600_000,
        settled_ms=0,
        funding_hours=8,
    )


def test_which_contracts_trade() -> None:
    bench = Bench()
    assert bench.exchange.pit(BTC) is bench.pit
    assert code(bench.exchange.pit("PAUSED-USDT")) == 109415
    assert code(bench.exchange.pit("NO-USDT")) == 109425
    assert bench.exchange.pits["PAUSED-USDT"].book(5).bids == ()


def test_contracts() -> None:
    assert [one.symbol for one in listed(["btcusdt", "solusdt", "SOL-USDT"])] == [
        *(one.symbol for one in DEFAULTS),
        "SOL-USDT",
    ]
    assert venue_symbol("sol/usdc") == "SOL-USDC"
    for name in ("USDT", "BTCUSD"):
        with pytest.raises(CallerError):
            venue_symbol(name)


# --- the synthetic flow -----------------------------------------------------------------------------------------------


def prints_of(*, seed: str, speed: float, duration_ms: int) -> list[TradePrinted]:
    bench = Bench(quiet=False)
    start_synthetic(bench.exchange, seed=seed, speed=speed)
    bench.pass_ms(duration_ms)
    assert audit(bench.exchange).broken == ()
    return [event for event in bench.log if isinstance(event, TradePrinted)]


def test_one_seed_is_one_market() -> None:
    found = prints_of(seed="1", speed=1.0, duration_ms=20_000)
    assert found == prints_of(seed="1", speed=1.0, duration_ms=20_000)
    assert found != prints_of(seed="2", speed=1.0, duration_ms=20_000)
    assert {one.symbol for one in found} == {one.symbol for one in DEFAULTS if one.trades}


def test_speed_only_compresses_time() -> None:
    slow = prints_of(seed="1", speed=1.0, duration_ms=20_000)
    fast = prints_of(seed="1", speed=10.0, duration_ms=2_000)
    assert [(one.symbol, one.price, one.qty) for one in slow] == [(one.symbol, one.price, one.qty) for one in fast]


@pytest.mark.parametrize("speed", [0.0, -1.0, 1_001.0, float("nan")])
def test_a_senseless_speed_is_refused(speed: float) -> None:
    with pytest.raises(CallerError, match="speed"):
        start_synthetic(Bench(quiet=False).exchange, seed="1", speed=speed)


def test_a_resting_order_fills_in_the_flow() -> None:
    bench = Bench(quiet=False)
    start_synthetic(bench.exchange, seed="3")
    best = bench.pit.book(1).bids[0][0]
    row = bench.place(limit(BUY, "0.01", str(best)))
    bench.pass_ms(120_000)
    assert bench.now(row).state is State.FILLED
    assert all(fill.is_maker for fill in bench.one_way.fills)
    assert audit(bench.exchange).broken == ()


# --- a tape -----------------------------------------------------------------------------------------------------------


def at(second: float) -> int:
    return 1_700_000_000 * NS + int(second * NS)


def group(second: float, *changes: tuple[int, int, int], snapshot: bool = False) -> Group:
    return Group(at(second), at(second), changes, snapshot)


def trade(second: float, side: Side, ticks: int, lots: int) -> Traded:
    return Traded(at(second), at(second), int(side), ticks, lots)


SNAPSHOT = group(0, (1, 1000, 50), (1, 999, 50), (-1, 1002, 50), (-1, 1003, 50), snapshot=True)


def play(tape: Tape, *, speed: float = 1.0) -> Bench:
    bench = Bench(Settings(contracts=(contract_of(tape),)), quiet=False)
    start_tapes(bench.exchange, {BTC: tape}, seed="1", speed=speed)
    bench.log.clear()
    return bench


def shown(bench: Bench) -> tuple[PriceLevels, PriceLevels]:
    book = bench.pit.book(10)
    return book.bids, book.asks


def test_a_tape_is_shown_as_it_was() -> None:
    bench = play(tape_of([SNAPSHOT, group(1, (1, 1000, 20), (-1, 1002, 0), (-1, 1004, 7))]))
    assert shown(bench) == (
        levels(("100.0", "0.05"), ("99.9", "0.05")),
        levels(("100.2", "0.05"), ("100.3", "0.05")),
    )
    bench.pass_ms(999)
    assert not bench.log or all(isinstance(event, MarkMoved) for event in bench.log)
    bench.pass_ms(1)
    assert shown(bench) == (
        levels(("100.0", "0.02"), ("99.9", "0.05")),
        levels(("100.3", "0.05"), ("100.4", "0.007")),
    )


def test_a_trade_of_the_tape_meets_the_queue() -> None:
    bench = play(tape_of([SNAPSHOT, group(9)], [trade(1, SELL, 1000, 60), trade(2, SELL, 1000, 10)]))
    row = bench.place(limit(BUY, "0.03", "100.0"))
    bench.pass_ms(1_000)
    assert bench.now(row).filled == Decimal("0.010")  # 50 lots stood before us
    bench.pass_ms(1_000)
    assert bench.now(row).filled == Decimal("0.020")
    assert [one.qty for one in bench.pit.trades(9)] == [Decimal("0.010"), Decimal("0.010"), Decimal("0.050")]
    bench.check()


def test_what_is_cancelled_goes_from_behind_us_first() -> None:
    tape = tape_of([SNAPSHOT, group(1, (1, 1000, 80)), group(2, (1, 1000, 40)), group(9)], [trade(3, SELL, 1000, 45)])
    bench = play(tape)
    row = bench.place(limit(BUY, "0.03", "100.0"))
    bench.pass_ms(2_000)  # 30 lots joined behind us and went; 10 of the 50 before us went too, and kept their place
    assert bench.pit.engine.lots_ahead(bench.one_way.live[row.order_id]) == 40
    bench.pass_ms(1_000)
    assert bench.now(row).filled == Decimal("0.005")


def test_a_level_that_crosses_us_trades_with_us() -> None:
    bench = play(tape_of([SNAPSHOT, group(1, (1, 1000, 0), (1, 999, 0), (1, 990, 5), (-1, 995, 50))]))
    row = bench.place(limit(BUY, "0.03", "100.0"))
    bench.pass_ms(1_000)
    assert (bench.now(row).state, bench.one_way.fills[0].price) == (State.FILLED, Decimal("100.0"))
    assert shown(bench)[1][0] == (Decimal("99.5"), Decimal("0.020"))  # what it gave us it does not show
    bench.check()


def test_what_we_take_is_missing_until_the_tape_speaks_of_it() -> None:
    bench = play(tape_of([SNAPSHOT, group(1, (1, 998, 1)), group(2, (-1, 1002, 50))]))
    bench.place(market(BUY, "0.03"))
    bench.pass_ms(1_000)
    assert shown(bench)[1][0] == (Decimal("100.2"), Decimal("0.020"))
    bench.pass_ms(1_000)
    assert shown(bench)[1][0] == (Decimal("100.2"), Decimal("0.050"))


def test_a_tape_that_lost_its_book_shows_none() -> None:
    bench = play(tape_of([SNAPSHOT, group(1, snapshot=True), group(2, (1, 990, 5), (-1, 991, 5), snapshot=True)]))
    row = bench.place(limit(BUY, "0.03", "99.0"))
    bench.pass_ms(1_000)
    assert shown(bench) == (levels(("99.0", "0.03")), ())
    bench.pass_ms(1_000)
    assert shown(bench) == (levels(("99.0", "0.035")), levels(("99.1", "0.005")))
    assert bench.now(row).state is State.NEW


def test_a_tape_begins_again() -> None:
    bench = play(tape_of([SNAPSHOT, group(1, (1, 1000, 0)), group(2, (1, 999, 1))]))
    first = shown(bench)
    bench.pass_ms(2_000)
    assert shown(bench) != first
    bench.pass_ms(1_000)
    assert shown(bench) == first


def test_a_tape_at_another_speed_and_after_its_warm_up() -> None:
    groups = [SNAPSHOT, group(10, (1, 1000, 7)), group(20, (1, 1000, 8))]
    bench = play(tape_of(groups, [trade(5, SELL, 1000, 50)], warm_up_ns=10 * NS), speed=4.0)
    assert shown(bench)[0][0] == (Decimal("100.0"), Decimal("0.007"))
    assert bench.pit.trades(1) == ()
    bench.pass_ms(2_499)
    assert shown(bench)[0][0][1] == Decimal("0.007")
    bench.pass_ms(1)
    assert shown(bench)[0][0][1] == Decimal("0.008")


def test_steps_of_a_tape() -> None:
    tape = tape_of([SNAPSHOT])
    coarse = msgspec.structs.replace(tape.instrument, tick_size=Decimal("0.5"), lot_size=Decimal(2))
    tape = msgspec.structs.replace(tape, instrument=coarse)
    contract = contract_of(tape)
    assert (contract.price_precision, contract.qty_precision, contract.start_price) == (1, 0, Decimal(500))
    bench = play(tape)
    assert shown(bench)[0][0] == (Decimal("500.0"), Decimal(100))


@pytest.mark.parametrize(
    ("tape", "words"),
    [
        (tape_of([]), "no whole book"),
        (tape_of([group(0, (1, 1000, 5), snapshot=True)]), "no whole book"),
        (
            msgspec.structs.replace(
                tape_of([SNAPSHOT]),
                instrument=msgspec.structs.replace(tape_of([]).instrument, tick_size=Decimal("1e-9")),
            ),
            "1E-9",
        ),
    ],
)
def test_tapes_that_cannot_be_played(tape: Tape, words: str) -> None:
    with pytest.raises(CallerError, match=words):
        contract_of(tape)


def test_tapes_that_do_not_fit() -> None:
    tape = tape_of([SNAPSHOT])
    with pytest.raises(CallerError, match="does not trade"):
        start_tapes(Bench(quiet=False).exchange, {"PAUSED-USDT": tape}, seed="1")
    whole = msgspec.structs.replace(contract_of(tape), price_precision=0)
    with pytest.raises(CallerError, match="no whole number"):
        start_tapes(Bench(Settings(contracts=(whole,)), quiet=False).exchange, {BTC: tape}, seed="1")
    empty = tape_of([])
    with pytest.raises(CallerError, match="is empty"):
        start_tapes(Bench(quiet=False).exchange, {BTC: empty}, seed="1")


def test_a_quiet_market_of_another_shape() -> None:
    bench = Bench(quiet=False)
    start_quiet(bench.exchange, levels=1, level_lots=5)
    assert shown(bench) == (levels(("59999.9", "0.0005")), levels(("60000.1", "0.0005")))
