"""Questions about orders, fills and income at the emulated BingX, its listen keys, and its books as audited."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from sor.adapter import Position, VenueOrder
from sor.emulation import OrderMoney
from sor.ids import ClOrdId, Symbol
from tests.fakes.bingx_exchange import BOTH, BTC, BUY, LONG, SELL, START_MS, Bench, key, limit, market
from venues.bingx.emulator.audit import AccountAudit, audit
from venues.bingx.emulator.contracts import DEFAULTS
from venues.bingx.emulator.events import ListenKeyExpired
from venues.bingx.emulator.income import IncomeType
from venues.bingx.emulator.money import money
from venues.bingx.emulator.orders import FillRow, OrderRow, State
from venues.bingx.emulator.refusals import Refusal
from venues.bingx.emulator.settings import HEDGE, ONE_WAY, AccountSettings, Settings
from venues.bingx.environments import EMULATOR_HEDGE_KEY, EMULATOR_KEY, EMULATOR_SECRET

DAY_MS = 24 * 3_600_000
HOUR_MS = 3_600_000


def code(answer: object) -> int:
    assert isinstance(answer, Refusal), answer
    return answer.code


def slow() -> Bench:
    """One contract and few timers, for long times."""
    contract = msgspec.structs.replace(DEFAULTS[0], book_ms=HOUR_MS)
    return Bench(Settings(contracts=(contract, DEFAULTS[3]), mark_ms=HOUR_MS))


def test_accounts_by_their_keys() -> None:
    bench = Bench()
    assert bench.exchange.account(EMULATOR_KEY) is bench.one_way
    assert bench.exchange.account(EMULATOR_HEDGE_KEY) is bench.hedge
    assert bench.exchange.account("another") is None
    assert (bench.one_way.secret, bench.one_way.hedge, bench.hedge.hedge) == (EMULATOR_SECRET, False, True)
    assert [bench.exchange.desk.balance(one).balance for one in (bench.one_way, bench.hedge)] == [100_000, 100_000]


def test_settings_do_not_print_their_secrets() -> None:
    text = repr(AccountSettings(name="x", api_key="the-key", secret="the-secret"))
    assert "the-key" not in text
    assert "the-secret" not in text


# --- orders -----------------------------------------------------------------------------------------------------------


def test_open_orders_and_history() -> None:
    bench = slow()
    resting = bench.place(limit(BUY, "0.01", "59000"))
    bench.pass_ms(HOUR_MS)
    filled = bench.place(market(BUY, "0.01"))
    history = bench.exchange.history
    account = bench.one_way
    assert history.open_orders(account) == (resting,)
    assert history.open_orders(account, symbol=BTC, kind="LIMIT") == (resting,)
    assert history.open_orders(account, symbol="PAUSED-USDT") == ()
    assert history.open_orders(account, kind="MARKET") == ()
    assert history.open_orders(bench.hedge) == ()
    assert history.open_order(account, key(resting)) == resting
    assert code(history.open_order(account, key(filled))) == 109421
    assert history.order(account, key(filled)) == filled
    assert code(history.order(account, msgspec.structs.replace(key(filled), symbol="X"))) == 109425
    assert history.orders(account) == (filled,)
    assert history.orders(account, live=True) == (filled, resting)
    assert history.orders(account, live=True, limit=1) == (filled,)
    assert history.orders(account, live=True, symbol="PAUSED-USDT") == ()
    assert history.orders(account, live=True, order_id=filled.order_id) == (filled,)
    assert history.orders(account, live=True, start_ms=START_MS, end_ms=START_MS) == (resting,)
    bench.pass_ms(7 * DAY_MS)
    assert history.orders(account, live=True) == (filled,)
    assert history.orders(account, live=True, start_ms=START_MS - DAY_MS, end_ms=START_MS + DAY_MS) == (filled, resting)


@pytest.mark.parametrize(
    ("start_ms", "end_ms", "limit_"),
    [(START_MS - 7 * DAY_MS - 1, START_MS, 1), (START_MS, START_MS - 1, 1), (0, 0, 0), (0, 0, 1_001)],
)
def test_history_refusals(start_ms: int, end_ms: int, limit_: int) -> None:
    bench = Bench()
    answer = bench.exchange.history.orders(bench.one_way, start_ms=start_ms, end_ms=end_ms, limit=limit_)
    assert code(answer) == 109400


def test_fills() -> None:
    bench = slow()
    row = bench.place(limit(BUY, "0.15", "60000.2", name="taker"))
    bench.pass_ms(1_000)
    bench.place(market(SELL, "0.15"))
    history, account = bench.exchange.history, bench.one_way
    first = FillRow(
        trade_id=500_000_001,
        order_id=row.order_id,
        client_id="taker",
        symbol=BTC,
        side=BUY,
        position_side=BOTH,
        price=Decimal("60000.1"),
        qty=Decimal("0.1"),
        value=Decimal("6000.01"),
        fee=Decimal("3.000005"),
        profit=Decimal(0),
        is_maker=False,
        at_ms=START_MS,
        cum=Decimal("0.1"),
    )
    everything = history.fills(account, start_ms=START_MS - 1, end_ms=START_MS + 1_000)
    assert not isinstance(everything, Refusal)
    assert everything[0] == first
    assert [one.trade_id for one in everything] == [500_000_001, 500_000_002, 500_000_003, 500_000_004]
    assert history.fills(account, start_ms=START_MS, end_ms=START_MS + 1_000) == everything[2:]  # (start, end]
    assert history.fills(account, start_ms=START_MS - 1, end_ms=START_MS) == everything[:2]
    from_ms, to_ms = START_MS - 1, START_MS + 1_000
    assert history.fills(account, order_id=row.order_id, start_ms=from_ms, end_ms=to_ms) == everything[:2]
    assert history.fills(account, symbol="PAUSED-USDT", start_ms=from_ms, end_ms=to_ms) == ()
    assert history.fills(account, last_fill_id=500_000_003, start_ms=from_ms, end_ms=to_ms) == everything[3:]
    assert history.fills(bench.hedge, start_ms=from_ms, end_ms=to_ms) == ()
    bench.pass_ms(7 * DAY_MS)
    assert history.fills(account, start_ms=from_ms, end_ms=to_ms) == ()
    assert code(history.fills(account, start_ms=START_MS, end_ms=START_MS + 8 * DAY_MS)) == 109400


def test_income() -> None:
    bench = slow()
    bench.place(market(BUY, "0.1"))
    bench.pass_ms(1_000)
    bench.place(market(SELL, "0.1"))
    history, account = bench.exchange.history, bench.one_way
    rows = history.income(account)
    assert not isinstance(rows, Refusal)
    assert [(one.type, one.amount, one.at_ms - START_MS) for one in rows] == [
        (IncomeType.REALIZED_PNL, Decimal("-0.02"), 1_000),
        (IncomeType.TRADING_FEE, Decimal("-2.999995"), 1_000),
        (IncomeType.TRADING_FEE, Decimal("-3.000005"), 0),
    ]
    assert history.income(account, type="REALIZED_PNL") == rows[:1]
    assert history.income(account, limit=2) == rows[:2]
    assert history.income(account, start_ms=START_MS, end_ms=START_MS) == rows[2:]
    assert history.income(account, symbol="PAUSED-USDT") == ()
    assert code(history.income(account, limit=1_001)) == 109400


# --- listen keys ------------------------------------------------------------------------------------------------------


def test_listen_keys_expire_after_an_hour() -> None:
    bench = slow()
    keys = bench.exchange.listen_keys
    first, second = keys.create(bench.one_way), keys.create(bench.one_way)
    assert first != second
    assert keys.owner(first) == "one-way"
    bench.pass_ms(HOUR_MS // 2)
    assert keys.extend(bench.one_way, second)
    assert not keys.extend(bench.hedge, second)
    assert not keys.extend(bench.one_way, "another")
    bench.pass_ms(HOUR_MS // 2 - 1)
    assert keys.owner(first) == "one-way"
    bench.pass_ms(1)
    assert keys.owner(first) is None
    assert keys.owner(second) == "one-way"
    bench.pass_ms(HOUR_MS // 2)
    assert keys.owner(second) is None
    assert [event for event in bench.log if isinstance(event, ListenKeyExpired)] == [
        ListenKeyExpired(account="one-way", at_ms=START_MS + HOUR_MS, listen_key=first),
        ListenKeyExpired(account="one-way", at_ms=START_MS + HOUR_MS * 3 // 2, listen_key=second),
    ]


def test_listen_keys_are_closed_and_ended() -> None:
    bench = slow()
    keys = bench.exchange.listen_keys
    first, second = keys.create(bench.one_way), keys.create(bench.hedge)
    assert not keys.close(bench.hedge, first)
    assert keys.close(bench.one_way, first)
    assert not keys.close(bench.one_way, first)
    keys.expire(first)
    keys.expire(second)
    bench.pass_ms(2 * HOUR_MS)
    assert [event.account for event in bench.log if isinstance(event, ListenKeyExpired)] == ["hedge"]


def test_an_account_has_a_bounded_number_of_listen_keys() -> None:
    bench = slow()
    keys = bench.exchange.listen_keys
    made = [keys.create(bench.one_way) for _ in range(65)]
    other = keys.create(bench.hedge)
    assert [keys.owner(one) for one in (made[0], made[1], made[-1], other)] == [None, "one-way", "one-way", "hedge"]


# --- audit ------------------------------------------------------------------------------------------------------------


def test_audit() -> None:
    bench = Bench()
    filled = bench.place(limit(BUY, "0.15", "60000.2", name="A"))
    bench.place(limit(SELL, "0.1", "60010", name="b"))
    bench.try_place(limit(SELL, "0.1", "60010", name="b"))
    bench.try_place(limit(SELL, "100", "60010", name="c"))
    found = audit(bench.exchange)
    assert found.broken == ()
    assert found.accounts[0] == AccountAudit(
        name="one-way",
        orders=(
            VenueOrder(
                cl_ord_id=ClOrdId("a"),
                symbol=Symbol("BTCUSDT"),
                side=BUY,
                order_lots=1_500,
                filled_lots=1_500,
                leaves_lots=0,
                exec_ids=(f"{filled.order_id}:1000", f"{filled.order_id}:1500"),
            ),
            VenueOrder(
                cl_ord_id=ClOrdId("b"),
                symbol=Symbol("BTCUSDT"),
                side=SELL,
                order_lots=1_000,
                filled_lots=0,
                leaves_lots=1_000,
                exec_ids=(),
            ),
        ),
        money={
            ClOrdId("a"): OrderMoney(value_lot_ticks=1_000 * 600_001 + 500 * 600_002, fee=Decimal("4.50001")),
            ClOrdId("b"): OrderMoney(value_lot_ticks=0, fee=Decimal(0)),
        },
        positions=(Position(symbol=Symbol("BTCUSDT"), qty_lots=1_500, position_side=BOTH),),
        balance=bench.exchange.desk.balance(bench.one_way),
        wallet=money(bench.one_way.wallet_atoms),
        accepted=2,
        duplicate=1,
        refused=2,
    )


def test_the_audit_sees_what_is_wrong() -> None:
    bench = Bench()
    bench.place(market(BUY, "0.1"))
    row = bench.place(limit(BUY, "0.1", "59000"))
    bench.one_way.wallet_atoms += 1
    bench.one_way.fills.pop()
    bench.one_way.live[row.order_id].state = State.CANCELED
    bench.pit.crowd.position_lots += 1
    words = "\n".join(audit(bench.exchange).broken)
    for part in ("the wallet has", "its fills make", "does not rest accordingly", "positions of both sides"):
        assert part in words


def test_other_accounts_and_rates() -> None:
    fast = AccountSettings(name="fast", api_key="k", secret="s", maker_fee=Decimal(0), taker_fee=Decimal("0.0004"))
    bench = Bench(Settings(accounts=(ONE_WAY, HEDGE, fast)))
    account = bench.exchange.accounts["fast"]
    row = bench.place(market(BUY, "0.1"), account)
    assert row.fee == Decimal("2.400004")  # 6000.01 x 4e-4
    assert isinstance(bench.try_place(market(BUY, "0.1", mode=LONG), bench.hedge), OrderRow)
    bench.check()
