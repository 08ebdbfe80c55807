"""Where prices come from: a flow of orders with known statistics, a recorded tape, or a ladder that stands still.

Every source is a crowd whose orders live in the same matching engine as the customers', with a real place in its
queues: what a customer takes is gone, and what rests is filled when the crowd trades through it. Call one of the
`start_*` once; it starts the exchange's clock too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sor.errors import CallerError
from sor.orders import Side
from sor.tape import Tape
from venues.bingx.emulator.exchange import Exchange
from venues.bingx.emulator.market_tape import TapeReplay
from venues.bingx.emulator.pit import Pit
from venues.simulated.market_zi import ZeroIntelligence, ZiParams

_MARKET_ORDERS_PER_S: Final = 2.0
_GRANULARITY: Final = 0.1
"""Cancels per order over market orders: the mean spread is then .77 of the characteristic interval."""
_INTERVAL: Final = 0.000_03
"""Characteristic price interval as a fraction of the price, at least `_INTERVAL_TICKS`."""
_INTERVAL_TICKS: Final = 4
_WINDOW: Final = 12
_ORDER_VALUE: Final = 2_000
"""Mean value of an order in quote."""
_SIZE_SIGMA: Final = 0.8
_BURN_IN_S: Final = 50.0


def start_quiet(exchange: Exchange, *, levels: int = 20, level_lots: int = 1_000) -> None:
    """A static ladder in every contract that trades; nothing moves unless a customer takes from it.

    levels        on each side, one tick apart, from one tick beside the contract's start price.
    level_lots    at each.
    """
    for pit in _trading(exchange):
        middle = pit.mark_ticks
        for distance in range(1, levels + 1):
            for side in (Side.BUY, Side.SELL):
                order = pit.crowd_order(side, lots=level_lots, price_ticks=middle - int(side) * distance)
                pit.engine.place(order, now_ns=exchange.scheduler.now_ns())
        pit.engine.changes()  # nobody has seen the book yet, so nothing in it is a change
    exchange.start()


def start_synthetic(exchange: Exchange, *, seed: str, speed: float = 1.0) -> None:
    """Zero-intelligence flow in every contract that trades, `speed` times as fast as life.

    One seed gives one flow per contract. Raises `CallerError` for a speed that is not positive.
    """
    start_tapes(exchange, {}, seed=seed, speed=speed)


def start_tapes(exchange: Exchange, tapes: Mapping[str, Tape], *, seed: str, speed: float = 1.0) -> None:
    """Recorded markets by BingX's symbol; contracts without a tape move synthetically.

    Raises `CallerError` for a speed that is not positive, for a tape of a contract that is not listed or does not
    trade, and for one whose steps are not whole steps of the contract (see `market_tape.contract_of`).
    """
    if not 0 < speed <= 1_000:
        raise CallerError(f"speed must be above 0 and at most 1000, not {speed:g}; no market was started")
    trading = _trading(exchange)
    for symbol in tapes:
        if all(pit.contract.symbol != symbol for pit in trading):
            raise CallerError(f"there is a tape for {symbol}, which does not trade here; no market was started")
    for pit in trading:
        tape = tapes.get(pit.contract.symbol)
        if tape is None:
            _Flow(exchange, pit, seed=f"{seed}/{pit.contract.symbol}", speed=speed).start()
        else:
            TapeReplay(exchange.scheduler, pit, tape, speed=speed).start()
    exchange.start()


def _trading(exchange: Exchange) -> list[Pit]:
    return [pit for pit in exchange.pits.values() if pit.contract.trades]


class _Flow:
    """Zero-intelligence flow into one contract, on the exchange's clock.

    Two market orders a second on average, orders worth 2,000 in quote on average; a typical spread of a quarter of a
    basis point, and never less than a few ticks: the model knows its statistics only where ticks are small.
    """

    def __init__(self, exchange: Exchange, pit: Pit, *, seed: str, speed: float) -> None:
        middle = pit.mark_ticks
        interval = max(_INTERVAL_TICKS, round(middle * _INTERVAL))
        params = ZiParams(
            mu=_MARKET_ORDERS_PER_S,
            alpha=_MARKET_ORDERS_PER_S / interval,
            delta=_GRANULARITY * _MARKET_ORDERS_PER_S,
            window_ticks=_WINDOW * interval,
            size_lots=max(1, round(_ORDER_VALUE / pit.instrument.value(1, middle))),
            size_sigma=_SIZE_SIGMA,
        )
        self._scheduler = exchange.scheduler
        self._pit = pit
        self._speed = speed
        self._flow = ZeroIntelligence(pit.engine, pit.crowd, params, mid_ticks=middle, seed=seed)
        self._began_ns = 0

    def start(self) -> None:
        """Let the book come to its usual shape, then let it move. The flow's own time begins at 0."""
        self._began_ns = self._scheduler.now_ns()
        self._flow.start(0, burn_in_s=_BURN_IN_S)
        self._pit.engine.changes()
        self._plan()

    def _plan(self) -> None:
        self._scheduler.call_at(self._began_ns + int(self._flow.next_ns / self._speed) + 1, self._step)

    def _step(self) -> None:
        elapsed_ns = self._scheduler.now_ns() - self._began_ns
        self._pit.absorb(self._flow.advance(int(elapsed_ns * self._speed)))
        self._plan()
