"""The peer: nautilus_trader's backtest engine, set up as its documentation has it and timed inside the engine's run.

Logging is bypassed, rate limits of its risk engine are lifted, data is loaded before anything is timed. Only this file
imports it, and only when an arm runs: everything else works without the `bench` extra.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import process_time_ns

import msgspec

from benchmarks.rig import START_NS, WrongWork
from benchmarks.synthetic import Event
from sor.units import MS, NS, US

NAME = "nautilus_trader 1.221.0"


def market_orders(orders: int) -> Sequence[float]:
    """Microseconds from `submit_order` to `on_order_filled` for each of `orders` market orders, one per quote."""
    from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
    from nautilus_trader.config import LoggingConfig, RiskEngineConfig
    from nautilus_trader.model.currencies import USDT
    from nautilus_trader.model.data import QuoteTick
    from nautilus_trader.model.enums import AccountType, BookType, OmsType, OrderSide
    from nautilus_trader.model.identifiers import Venue
    from nautilus_trader.model.objects import Money, Price, Quantity
    from nautilus_trader.test_kit.providers import TestInstrumentProvider
    from nautilus_trader.trading.strategy import Strategy

    instrument = TestInstrumentProvider.btcusdt_perp_binance()
    taken: list[float] = []

    class Taker(Strategy):  # type: ignore[misc, no-any-unimported]  # the peer is not typed
        """A market order at every quote, buying and selling by turns."""

        def on_start(self) -> None:
            self.size = Quantity(0.010, instrument.size_precision)
            self.side = OrderSide.SELL
            self.begun_ns = 0
            self.subscribe_quote_ticks(instrument.id)

        def on_quote_tick(self, tick: object) -> None:
            del tick
            self.side = OrderSide.BUY if self.side == OrderSide.SELL else OrderSide.SELL
            order = self.order_factory.market(instrument.id, self.side, self.size)
            self.begun_ns = process_time_ns()
            self.submit_order(order)

        def on_order_filled(self, event: object) -> None:
            taken.append((process_time_ns() - self.begun_ns) / US)
            del event

    limits = RiskEngineConfig(max_order_submit_rate="1000000/00:00:01", max_order_modify_rate="1000000/00:00:01")
    engine = BacktestEngine(
        BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True), run_analysis=False, risk_engine=limits)
    )
    engine.add_venue(
        Venue("BINANCE"),
        OmsType.NETTING,
        AccountType.MARGIN,
        starting_balances=[Money(1_000_000, USDT)],
        book_type=BookType.L1_MBP,
        use_message_queue=False,
    )
    engine.add_instrument(instrument)
    size = Quantity(1, instrument.size_precision)
    bid, ask = Price(60_000.0, 1), Price(60_000.1, 1)
    engine.add_data(
        [
            QuoteTick(instrument.id, bid, ask, size, size, at_ns, at_ns)
            for at_ns in range(START_NS, START_NS + orders * 100 * MS, 100 * MS)
        ]
    )
    strategy = Taker()
    engine.add_strategy(strategy)
    engine.run()
    engine.dispose()
    if len(taken) != orders:
        raise WrongWork(f"{orders} market orders gave {len(taken)} fills")
    return taken


class Made(msgspec.Struct, frozen=True):
    """What a maker did: quotes sent (new orders and moves of one) and fills."""

    quotes: int
    fills: int


def maker(made: Sequence[Event], *, lots: int) -> tuple[Made, float]:
    """Quote one bid of `lots` at the best through these events; returns what was done and events a second."""
    from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
    from nautilus_trader.backtest.models import LatencyModel
    from nautilus_trader.config import LoggingConfig, RiskEngineConfig
    from nautilus_trader.model.currencies import USDT
    from nautilus_trader.model.data import BookOrder, OrderBookDelta, OrderBookDeltas, TradeTick
    from nautilus_trader.model.enums import (
        AccountType,
        AggressorSide,
        BookAction,
        BookType,
        OmsType,
        OrderSide,
        RecordFlag,
    )
    from nautilus_trader.model.identifiers import TradeId, Venue
    from nautilus_trader.model.objects import Money, Price, Quantity
    from nautilus_trader.model.orders import LimitOrder
    from nautilus_trader.test_kit.providers import TestInstrumentProvider
    from nautilus_trader.trading.strategy import Strategy

    instrument = TestInstrumentProvider.btcusdt_perp_binance()

    def price(ticks: int) -> object:
        return Price(ticks / 10, 1)

    def size(count: int) -> object:
        return Quantity(count / 1_000, 3)

    data: list[object] = []
    for number, event in enumerate(made):
        at_ns = event.at_ns
        if event.trade is not None:
            side, ticks, count = event.trade
            aggressor = AggressorSide.BUYER if side > 0 else AggressorSide.SELLER
            data.append(
                TradeTick(instrument.id, price(ticks), size(count), aggressor, TradeId(str(number)), at_ns, at_ns)
            )
        deltas = [
            OrderBookDelta(
                instrument.id,
                BookAction.UPDATE if count else BookAction.DELETE,
                BookOrder(OrderSide.BUY if side > 0 else OrderSide.SELL, price(ticks), size(count), 0),
                RecordFlag.F_LAST if last == len(event.levels) - 1 else 0,
                number,
                at_ns,
                at_ns,
            )
            for last, (side, ticks, count) in enumerate(event.levels)
        ]
        data.append(OrderBookDeltas(instrument.id, deltas))

    class Maker(Strategy):  # type: ignore[misc, no-any-unimported]  # the peer is not typed
        """One bid at the best, moved when the best moves, made anew when it is filled."""

        order: LimitOrder  # type: ignore[no-any-unimported]  # the peer is not typed

        def on_start(self) -> None:
            self.quotes = self.fills = 0
            self.size = size(lots)
            self.subscribe_order_book_deltas(instrument.id, BookType.L2_MBP)

        def on_order_book_deltas(self, deltas: object) -> None:
            del deltas
            best = self.cache.order_book(instrument.id).best_bid_price()
            if not self.quotes or self.order.is_closed:
                self.order = self.order_factory.limit(instrument.id, OrderSide.BUY, self.size, best, post_only=True)
                self.submit_order(self.order)
                self.quotes += 1
            elif self.order.price != best and self.order.is_open and not self.order.is_pending_update:
                self.modify_order(self.order, price=best)
                self.quotes += 1

        def on_order_filled(self, event: object) -> None:
            del event
            self.fills += 1

    limits = RiskEngineConfig(max_order_submit_rate="1000000/00:00:01", max_order_modify_rate="1000000/00:00:01")
    engine = BacktestEngine(
        BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True), run_analysis=False, risk_engine=limits)
    )
    engine.add_venue(
        Venue("BINANCE"),
        OmsType.NETTING,
        AccountType.MARGIN,
        starting_balances=[Money(1_000_000, USDT)],
        book_type=BookType.L2_MBP,
        latency_model=LatencyModel(base_latency_nanos=MS),
        trade_execution=True,
    )
    engine.add_instrument(instrument)
    engine.add_data(data)
    strategy = Maker()
    engine.add_strategy(strategy)
    begun_ns = process_time_ns()
    engine.run()
    taken_ns = process_time_ns() - begun_ns
    done = Made(quotes=strategy.quotes, fills=strategy.fills)
    engine.dispose()
    return done, len(made) * NS / taken_ns
