"""Margin, fees, profit and funding at the emulated BingX; every figure worked by hand."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from sor.orders import PositionSide
from tests.fakes.bingx_exchange import BOTH, BTC, BUY, LONG, SELL, SHORT, START_MS, Bench, limit, market
from venues.bingx.emulator.contracts import DEFAULTS
from venues.bingx.emulator.desk import BalanceRow, LeverageRow
from venues.bingx.emulator.events import AccountChanged, ConfigChanged, FundingSettled, MarginType, PositionRow, Reason
from venues.bingx.emulator.income import IncomeRow, IncomeType
from venues.bingx.emulator.money import atoms, money
from venues.bingx.emulator.orders import OrderRow
from venues.bingx.emulator.positions import Position
from venues.bingx.emulator.refusals import Refusal
from venues.bingx.emulator.settings import HEDGE, ONE_WAY, Settings
from venues.matching.orders import Account


def code(answer: object) -> int:
    assert isinstance(answer, Refusal), answer
    return answer.code


def frozen(bench: Bench) -> Decimal:
    return bench.exchange.desk.balance(bench.one_way).frozen


def test_pending_orders_hold_margin() -> None:
    bench = Bench()
    bench.place(limit(BUY, "0.5", "59000"))
    assert frozen(bench) == Decimal(2950)  # 0.5 x 59000 / 10
    bench.place(limit(SELL, "0.2", "61000"))
    assert frozen(bench) == Decimal(4170)  # + 0.2 x 61000 / 10
    bench.exchange.cancel_all(bench.one_way)
    assert frozen(bench) == 0


def test_orders_against_the_position_hold_only_what_is_beyond_it() -> None:
    bench = Bench()
    bench.place(market(BUY, "0.1"))
    bench.place(limit(SELL, "0.06", "61000"))
    assert frozen(bench) == 0
    bench.place(limit(SELL, "0.2", "62000"))
    assert frozen(bench) == Decimal(992)  # 0.04 of it closes, 0.16 x 62000 / 10
    bench.place(msgspec.structs.replace(limit(SELL, "0.1", "63000"), reduce_only=True))
    assert frozen(bench) == Decimal(992)
    bench.place(limit(BUY, "0.1", "59000"))
    assert frozen(bench) == Decimal(992 + 590)


def test_balance() -> None:
    bench = Bench()
    bench.place(market(BUY, "0.1"))  # 0.1 at 60000.1, the mark is 60000.0
    bench.place(limit(BUY, "0.5", "59000"))
    assert bench.exchange.desk.balance(bench.one_way) == BalanceRow(
        user_id=1_000_001,
        asset="USDT",
        balance=Decimal("99996.999995"),
        equity=Decimal("99996.989995"),
        unrealised=Decimal("-0.01"),
        realised=Decimal(0),
        available=Decimal("96446.988995"),  # 99996.989995 - 600.001 - 2950
        used=Decimal("600.001"),
        frozen=Decimal(2950),
    )


def test_insufficient_and_reserved() -> None:
    bench = Bench()
    bench.place(limit(BUY, "16", "59000"))  # holds 94400 of 100000
    assert code(bench.try_place(limit(BUY, "1", "59000"))) == 101212  # 5900: enough, were it not for the other
    assert code(bench.try_place(limit(BUY, "17", "59000"))) == 101204  # 100300: never enough
    bench.place(limit(BUY, "0.9", "59000"))  # 5310


def test_closing_needs_no_margin() -> None:
    bench = Bench(Settings(accounts=(msgspec.structs.replace(ONE_WAY, balance=Decimal(601)), HEDGE)))
    bench.place(market(BUY, "0.1"))
    # 601 - 3.000005 - 600.001 is below nothing: no order that opens is taken, one that closes is.
    assert code(bench.try_place(limit(BUY, "0.001", "59000"))) == 101204
    assert bench.exchange.desk.balance(bench.one_way).available == 0
    assert bench.place(market(SELL, "0.1")).filled == Decimal("0.1")


def test_a_position_is_flipped() -> None:
    bench = Bench()
    bench.place(market(BUY, "0.1"))
    row = bench.place(market(SELL, "0.25"))
    # 0.1 at 59999.9 closes with -0.02; 0.1 at 59999.8 and 0.05 at 59999.7 open.
    assert row.profit == Decimal("-0.02")
    assert row.fee == Decimal("2.999995") + Decimal("2.99999") + Decimal("1.4999925")
    assert bench.exchange.desk.positions(bench.one_way) == (
        PositionRow(
            position_id=3,
            symbol=BTC,
            mode=BOTH,
            side=SHORT,
            qty=Decimal("0.15"),
            available=Decimal("0.15"),
            avg_price=Decimal("8999.965") / Decimal("0.15"),
            mark=Decimal(60000),
            leverage=10,
            margin_type=MarginType.CROSSED,
            margin=Decimal("899.9965"),
            unrealised=Decimal("-0.035"),  # 8999.965 - 9000
            realised=Decimal(0),
            updated_ms=START_MS,
        ),
    )
    wallet = Decimal(100_000) - Decimal("3.000005") - Decimal("0.02") - row.fee
    assert bench.exchange.desk.balance(bench.one_way).balance == wallet
    bench.check()


def test_hedge_mode_keeps_both_sides() -> None:
    bench = Bench()
    bench.place(market(BUY, "0.1", mode=LONG), bench.hedge)
    bench.place(market(SELL, "0.1", mode=SHORT), bench.hedge)
    row = bench.place(market(BUY, "0.04", mode=SHORT), bench.hedge)  # at 60000.2: the first ask is gone
    assert row.profit == Decimal("-0.012")  # 0.04 x (59999.9 - 60000.2)
    found = [(one.side, one.qty, one.avg_price, one.realised) for one in bench.exchange.desk.positions(bench.hedge)]
    assert found == [
        (LONG, Decimal("0.1"), Decimal("60000.1"), Decimal(0)),
        (SHORT, Decimal("0.06"), Decimal("59999.9"), Decimal("-0.012")),
    ]
    balance = bench.exchange.desk.balance(bench.hedge)
    assert balance.used == Decimal("600.001") + Decimal("359.9994")
    bench.check()


def test_hedge_orders_hold_margin_by_their_side() -> None:
    bench = Bench()
    assert not isinstance(bench.exchange.desk.set_leverage(bench.hedge, BTC, SHORT, 20), Refusal)
    bench.place(limit(BUY, "0.1", "59000", mode=LONG), bench.hedge)
    bench.place(limit(SELL, "0.1", "61000", mode=SHORT), bench.hedge)
    assert bench.exchange.desk.balance(bench.hedge).frozen == Decimal(590) + Decimal(305)


def test_average_cost_leaves_nothing_behind() -> None:
    position = Position(BTC, BOTH, Account("x"), unit_atoms=1)
    steps = [(+1, 10), (+2, 11), (-1, 10), (-1, 10), (-1, 10), (-2, 9), (+5, 7)]
    profits = [position.take(signed_lots=lots, price_ticks=ticks, new_id=at) for at, (lots, ticks) in enumerate(steps)]
    # Three lots for 32: shares of 11 (32/3), then 11 (21/2 rounded up), then what is left, 10.
    assert profits == [0, 0, -1, -1, 0, 0, 4]
    assert (position.lots, position.cost_atoms, position.earned_atoms, position.realised_atoms) == (3, 21, 2, 0)
    assert position.position_id == 6


@pytest.mark.parametrize("amount", ["0", "-0.00000001", "100000", "12345678901234567.123456789012345678901234"])
def test_money_is_exact(amount: str) -> None:
    assert f"{money(atoms(Decimal(amount))):f}" == amount


def test_funding() -> None:
    bench = Bench()
    bench.place(market(BUY, "0.1"))
    bench.place(market(SELL, "0.2", mode=SHORT), bench.hedge)
    bench.log.clear()
    bench.exchange.settle_funding(BTC)
    told = [
        (event.account, event.change, event.reason, event.positions)
        for event in bench.log
        if isinstance(event, AccountChanged)
    ]
    assert isinstance(bench.log[0], FundingSettled)
    assert told == [  # 0.1 x 60000 x 1e-4; on crossed margin no position is listed
        ("one-way", Decimal("-0.6"), Reason.FUNDING_FEE, ()),
        ("hedge", Decimal("1.2"), Reason.FUNDING_FEE, ()),
    ]
    rows = bench.exchange.history.income(bench.one_way, type="FUNDING_FEE")
    assert rows == (
        IncomeRow(
            symbol=BTC,
            type=IncomeType.FUNDING_FEE,
            amount=Decimal("-0.6"),
            asset="USDT",
            at_ms=START_MS,
            id=4,
            trade_id=0,
        ),
    )
    bench.check()


def test_funding_comes_at_whole_hours() -> None:
    contract = msgspec.structs.replace(DEFAULTS[0], book_ms=60_000, funding_hours=1)
    bench = Bench(Settings(contracts=(contract,), mark_ms=10_000))
    bench.place(market(BUY, "0.1"))
    due_ms = bench.pit.premium().next_funding_ms
    assert due_ms == 1_760_000_400_000  # 9 o'clock, 400 s later
    bench.pass_ms(399_999)
    assert bench.pit.fundings() == ()
    bench.pass_ms(1)
    assert bench.pit.fundings() == ((due_ms, Decimal("0.0001")),)
    assert bench.pit.premium().next_funding_ms == due_ms + 3_600_000
    bench.check()


def test_isolated_margin() -> None:
    bench = Bench()
    assert bench.exchange.desk.set_margin_type(bench.one_way, BTC, MarginType.ISOLATED) is None
    bench.place(market(BUY, "0.1"))
    changed = [event for event in bench.log if isinstance(event, AccountChanged)]
    assert changed[-1].wallet - changed[-1].cross == Decimal("600.001")
    balance = bench.exchange.desk.balance(bench.one_way)
    assert balance.used == Decimal("599.991")  # its loss of 0.01 is its own
    assert balance.available == balance.balance - Decimal("600.001")


def test_leverage() -> None:
    bench = Bench()
    desk = bench.exchange.desk
    assert desk.leverage(bench.one_way, BTC) == LeverageRow(
        symbol=BTC,
        long=10,
        short=10,
        long_max=150,
        short_max=150,
        available_long_value=Decimal(1_000_000),
        available_short_value=Decimal(1_000_000),
        available_long_qty=Decimal("16.6666"),
        available_short_qty=Decimal("16.6666"),
        position_long_max=Decimal(20_000_000),
        position_short_max=Decimal(20_000_000),
    )
    changed = desk.set_leverage(bench.one_way, BTC, BOTH, 100)
    assert not isinstance(changed, Refusal)
    assert (changed.long, changed.short, changed.position_long_max) == (100, 100, Decimal(2_000_000))
    assert bench.log == [
        ConfigChanged(
            account="one-way",
            at_ms=START_MS,
            symbol=BTC,
            long_leverage=100,
            short_leverage=100,
            margin_type=MarginType.CROSSED,
        )
    ]
    assert code(bench.try_place(limit(BUY, "40", "59000"))) == 101209  # 2.4 million at the mark
    bench.place(limit(BUY, "30", "59000"))  # holds 17700, at a leverage of 10 it would hold 177000
    assert code(desk.set_leverage(bench.one_way, BTC, BOTH, 10)) == 101204
    assert desk.leverage(bench.one_way, BTC) == msgspec.structs.replace(
        changed,
        available_long_value=Decimal(8_230_000),
        available_short_value=Decimal(8_230_000),
        available_long_qty=Decimal("137.1666"),
        available_short_qty=Decimal("137.1666"),
    )


@pytest.mark.parametrize(
    ("hedge", "symbol", "side", "leverage", "refused"),
    [
        (False, BTC, LONG, 5, 109400),
        (False, BTC, None, 5, 109400),
        (True, BTC, BOTH, 5, 109400),
        (True, BTC, None, 5, 109400),
        (False, BTC, BOTH, 0, 109400),
        (False, BTC, BOTH, 151, 101414),
        (False, "NO-USDT", BOTH, 5, 109425),
    ],
)
def test_leverage_refusals(*, hedge: bool, symbol: str, side: PositionSide | None, leverage: int, refused: int) -> None:
    bench = Bench()
    account = bench.hedge if hedge else bench.one_way
    assert code(bench.exchange.desk.set_leverage(account, symbol, side, leverage)) == refused


def test_modes_are_kept_while_in_use() -> None:
    bench = Bench()
    desk = bench.exchange.desk
    row = bench.place(limit(BUY, "0.1", "59000"))
    assert code(desk.set_mode(bench.one_way, hedge=True)) == 104103
    assert code(desk.set_margin_type(bench.one_way, BTC, MarginType.ISOLATED)) == 109400
    assert desk.set_margin_type(bench.one_way, "ETH-USDT", MarginType.ISOLATED) is None
    assert code(desk.set_margin_type(bench.one_way, "ETH-USDT", MarginType.SEPARATE_ISOLATED)) == 104108
    assert code(desk.set_margin_type(bench.one_way, "NO-USDT", MarginType.ISOLATED)) == 109425
    assert code(desk.margin_type(bench.one_way, "NO-USDT")) == 109425
    assert desk.margin_type(bench.one_way, "ETH-USDT") is MarginType.ISOLATED
    bench.exchange.cancel_all(bench.one_way)
    assert bench.now(row).leverage == 10
    bench.place(market(BUY, "0.1"))
    assert code(desk.set_mode(bench.one_way, hedge=True)) == 104103
    bench.place(market(SELL, "0.1"))
    assert desk.set_mode(bench.one_way, hedge=True) is None
    assert isinstance(bench.try_place(market(BUY, "0.1", mode=LONG)), OrderRow)
    assert code(bench.try_place(market(BUY, "0.1"))) == 109400
    bench.check()


def test_virtual_money_is_put_in() -> None:
    bench = Bench(Settings(settle="VST"))
    row = bench.exchange.desk.top_up(bench.one_way, Decimal("50.5"))
    assert (row.asset, row.balance) == ("VST", Decimal("100050.5"))
    assert bench.told() == ["account DEPOSIT 50.5"]
    bench.check()


def test_api_states() -> None:
    closed = msgspec.structs.replace(DEFAULTS[0], api_open=False)
    bench = Bench(Settings(contracts=(closed, DEFAULTS[1])))
    assert code(bench.try_place(market(BUY, "0.1"))) == 101415
    no_close = msgspec.structs.replace(DEFAULTS[0], api_close=False)
    bench = Bench(Settings(contracts=(no_close,)))
    bench.place(market(BUY, "0.1"))
    assert code(bench.try_place(market(SELL, "0.1", reduce_only=True))) == 109418
