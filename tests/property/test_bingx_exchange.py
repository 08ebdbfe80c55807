"""Whatever is ordered at the emulated BingX, its books balance and its stream tells what they say.

The expectations share no code with the exchange: margin is worked out anew, and wallets, positions and orders are
rebuilt from what was told.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from sor.orders import PositionSide, Side
from tests.fakes.bingx_exchange import BOTH, BTC, BUY, LONG, SELL, SHORT, Bench, key
from venues.bingx.emulator.accounts import TradingAccount
from venues.bingx.emulator.contracts import DEFAULTS
from venues.bingx.emulator.events import AccountChanged, BookChanged, OrderChanged
from venues.bingx.emulator.orders import OrderAsk, OrderKey, OrderRow
from venues.bingx.emulator.settings import HEDGE, ONE_WAY, Settings
from venues.matching.rules import Oversize

BALANCE = Decimal(3_000)
SETTINGS = Settings(
    accounts=(msgspec.structs.replace(ONE_WAY, balance=BALANCE), msgspec.structs.replace(HEDGE, balance=BALANCE)),
    contracts=DEFAULTS[:1],
    same_id_ms=0,
)
QUANTITIES = st.sampled_from(["0.05", "0.1", "0.15", "0.3", "0.25009"]).map(Decimal)
PRICES = st.integers(-6, 6).map(lambda away: Decimal(60_000) + away * Decimal("0.1"))
SIDES = st.sampled_from([BUY, SELL])

Op = Callable[[Bench], None]


def account_of(bench: Bench, *, hedge: bool) -> TradingAccount:
    return bench.hedge if hedge else bench.one_way


@st.composite
def placing(draw: st.DrawFn) -> Op:
    hedge = draw(st.booleans())
    limit = draw(st.integers(0, 3)) > 0
    ask = OrderAsk(
        symbol=BTC,
        side=draw(SIDES),
        kind="LIMIT" if limit else "MARKET",
        position_side=draw(st.sampled_from([LONG, SHORT])) if hedge else BOTH,
        qty=draw(QUANTITIES),
        price=draw(PRICES) if limit else None,
        tif=draw(st.sampled_from(["GTC", "GTC", "GTC", "IOC", "FOK", "PostOnly"])),
        reduce_only=None if hedge else draw(st.sampled_from([None, None, True])),
        client_id=draw(st.sampled_from(["", "a", "b", "C", "c"])),
    )

    def run(bench: Bench) -> None:
        bench.exchange.place(account_of(bench, hedge=hedge), ask)

    return run


@st.composite
def touching(draw: st.DrawFn) -> Op:
    """Cancel, replace or amend one of the live orders, or a client id."""
    hedge, which, qty = draw(st.booleans()), draw(st.integers(0, 5)), draw(QUANTITIES)
    what = draw(st.sampled_from(["cancel", "amend", "replace", "all"]))
    name = draw(st.sampled_from(["a", "b", "c"]))

    def run(bench: Bench) -> None:
        account = account_of(bench, hedge=hedge)
        live = bench.exchange.history.open_orders(account)
        if live and which < 5:
            named = key(live[which % len(live)])
        else:
            named = OrderKey(symbol=BTC, client_id=name)
        match what:
            case "cancel":
                bench.exchange.cancel(account, named)
            case "amend":
                bench.exchange.amend(account, named, qty)
            case "replace":
                ask = OrderAsk(
                    symbol=BTC,
                    side=BUY,
                    kind="LIMIT",
                    position_side=LONG if hedge else BOTH,
                    qty=qty,
                    price=Decimal(59_999),
                )
                bench.exchange.cancel_replace(account, named, ask, stop_on_failure=which % 2 == 0)
            case _:
                bench.exchange.cancel_all(account)

    return run


@st.composite
def crowding(draw: st.DrawFn) -> Op:
    side, qty, price = draw(SIDES), draw(QUANTITIES), draw(PRICES)

    def run(bench: Bench) -> None:
        bench.crowd(side, str(qty.quantize(Decimal("0.0001"))), str(price))

    return run


@st.composite
def happening(draw: st.DrawFn) -> Op:
    """Time, funding, switches, leverage."""
    what = draw(st.integers(0, 4))
    number = draw(st.integers(1, 50))
    on = draw(st.booleans())

    def run(bench: Bench) -> None:
        exchange = bench.exchange
        match what:
            case 0:
                bench.pass_ms(number * 100)
            case 1:
                exchange.settle_funding(BTC)
            case 2:
                exchange.switches.reduce_oversize = Oversize.CLIP if on else Oversize.REFUSE
                exchange.switches.post_only_async = on
                exchange.switches.amend_keeps_place = on
            case 3:
                exchange.desk.set_leverage(bench.one_way, BTC, BOTH, number)
            case _:
                exchange.close_positions(account_of(bench, hedge=on))

    return run


def held(account: TradingAccount, mode: PositionSide) -> Fraction:
    """Signed position in the base coin, from the fills."""
    fills = [fill for fill in account.fills if fill.position_side is mode]
    return sum((int(fill.side) * Fraction(fill.qty) for fill in fills), Fraction())


def margin_held(bench: Bench, account: TradingAccount) -> Fraction:
    """What open orders must hold: of each side, what lies beyond the position, oldest orders nearest to it."""
    total = Fraction()
    beyond: dict[tuple[Side, PositionSide], Fraction] = {}
    for row in bench.exchange.history.open_orders(account):
        leaves = Fraction(row.qty - row.filled)
        if row.position_side is BOTH:
            if row.reduce_only:
                continue
            way = (row.side, row.position_side)
            before = beyond.get(way, -max(Fraction(), -int(row.side) * held(account, BOTH)))
            beyond[way] = before + leaves
            leaves = max(Fraction(), beyond[way]) - max(Fraction(), before)
        elif (row.side is BUY) != (row.position_side is LONG):
            continue
        side = LONG if row.side is BUY else SHORT
        total += leaves * Fraction(row.price) / account.leverage(BTC, side)
    return total


def check(bench: Bench) -> None:
    bench.check()
    exchange = bench.exchange
    atom = Fraction(1, 10**24)
    for account in exchange.accounts.values():
        balance = exchange.desk.balance(account)
        n_live = len(account.live)
        assert 0 <= Fraction(balance.frozen) - margin_held(bench, account) <= n_live * atom
        for row in exchange.history.open_orders(account):
            assert 0 <= row.filled < row.qty
        for mode in (BOTH, LONG, SHORT):
            stated = sum(
                (
                    Fraction(one.qty) * (1 if one.side is LONG else -1)
                    for one in exchange.desk.positions(account)
                    if one.mode is mode
                ),
                Fraction(),
            )
            assert stated == held(account, mode)


def check_told(bench: Bench) -> None:
    """Orders, wallets and positions as somebody has them who only listened."""
    cum: dict[int, Decimal] = defaultdict(Decimal)
    last: dict[int, OrderRow] = {}
    wallet = dict.fromkeys(bench.exchange.accounts, BALANCE)
    position: dict[tuple[str, PositionSide], tuple[PositionSide, Decimal]] = {}
    update_id = 0
    for event in bench.log:
        match event:
            case OrderChanged(order=order, fill=fill):
                if fill is not None:
                    cum[order.order_id] += fill.qty
                    assert fill.cum == cum[order.order_id]
                assert order.filled == cum[order.order_id] <= order.qty
                last[order.order_id] = order
            case AccountChanged(account=name):
                wallet[name] += event.change
                assert wallet[name] == event.wallet
                for one in event.positions:
                    position[name, one.mode] = (one.side, one.qty)
            case BookChanged():
                assert event.update_id > update_id
                update_id = event.update_id
            case _:
                pass
    for name, account in bench.exchange.accounts.items():
        for order_id in account.orders:
            assert last[order_id] == bench.now(last[order_id], account)
        stated = {one.mode: (one.side, one.qty) for one in bench.exchange.desk.positions(account)}
        assert stated == {mode: found for (owner, mode), found in position.items() if owner == name and found[1]}
        assert bench.exchange.desk.balance(account).balance == wallet[name]


@settings(max_examples=60)
@given(st.lists(st.one_of(placing(), placing(), touching(), crowding(), happening()), min_size=10, max_size=50))
def test_the_books_balance(ops: list[Op]) -> None:
    bench = Bench(SETTINGS)
    for op in ops:
        op(bench)
        check(bench)
    check_told(bench)
