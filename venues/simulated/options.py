"""Options of the simulated venue: strings in, one checked value out. `TABLE` is the one list of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import TypeVar

import msgspec

from sor.adapter import AmendModel, SelfTrade
from sor.errors import CallerError
from sor.ids import VenueName
from sor.instruments import Instrument, canonical_symbol
from sor.models.queue_reactive import SIZE_MAX, QueueCurves
from sor.units import MS
from venues.matching.engine import Engine
from venues.matching.orders import Account
from venues.matching.rules import Oversize
from venues.simulated.faults import DURATIONS, SWITCHES, Faults
from venues.simulated.flow import Flow
from venues.simulated.market_qr import QrParams, QueueReactive
from venues.simulated.market_zi import ZeroIntelligence, ZiParams
from venues.simulated.tape_latency import Delay, read_delay

E = TypeVar("E", bound=StrEnum)


class Market(StrEnum):
    """Who else trades here. `tape` is a recording and another adapter."""

    ZI = "zi"
    QUEUE_REACTIVE = "queue_reactive"
    LADDER = "ladder"
    EMPTY = "empty"


class Profile(StrEnum):
    """Typical delays; the delay of each way can be given by itself."""

    RETAIL = "retail"
    NEAR = "near"
    ZERO = "zero"


_PROFILES: Mapping[Profile, Mapping[str, str]] = {
    Profile.RETAIL: {"entry": "20ms~0.3", "response": "20ms~0.3", "feed": "15ms~0.3"},
    Profile.NEAR: {"entry": "500us~0.2", "response": "500us~0.2", "feed": "300us~0.2"},
    Profile.ZERO: {"entry": "0", "response": "0", "feed": "0"},
}


class Number(msgspec.Struct, frozen=True):
    """An option that is a number: default, least and largest."""

    default: float
    low: float
    high: float
    meaning: str
    whole: bool = False


class Choice(msgspec.Struct, frozen=True):
    """An option that is one of some words, the first of which is the default."""

    words: tuple[str, ...]
    meaning: str


class Text(msgspec.Struct, frozen=True):
    """An option that is free text, checked by what it is for."""

    default: str
    meaning: str


_P = "probability of the fault; see faults.py"

TABLE: Mapping[str, Number | Choice | Text] = {
    "market": Choice(tuple(Market), "who else trades here; `tape`, a recording, has options of its own"),
    "name": Text("simulated", "the venue's name in orders, journals and reports"),
    "symbol": Text("BTCUSDT", "the one instrument it lists"),
    "account": Text("customer", "the account's name, by which a journal tells it from others"),
    "seed": Number(1, 0, 2**53, "seed of everything that is drawn", whole=True),
    "equity": Number(1_000_000, 0, 1e12, "what the account starts with, quote units"),
    # the instrument
    "price": Text("60000", "where the synthetic market starts, quote units"),
    "tick": Text("0.1", "price step"),
    "lot": Text("0.001", "quantity step"),
    "min_qty_lots": Number(1, 1, 1e9, "smallest order", whole=True),
    "max_qty_lots": Number(0, 0, 1e15, "largest order, 0 for none", whole=True),
    "min_notional": Text("5", "smallest order value, quote units"),
    "maker_fee_bps": Number(2, -10, 100, "maker fee, negative for a rebate"),
    "taker_fee_bps": Number(5, -10, 100, "taker fee"),
    # the venue's rules
    "amend": Choice((AmendModel.NATIVE_SAME_ID, AmendModel.NONE), "whether orders can be amended"),
    "self_trade": Choice(tuple(SelfTrade), "what happens when two own orders meet"),
    "market_bound_bps": Number(0, 0, 5_000, "how far from the touch a MARKET order trades, 0 for no bound"),
    "reduce_only": Choice(tuple(Oversize), "what happens to a reduce-only order larger than the position"),
    "orders_per_s": Number(1_000, 1, 1e9, "new orders and amends taken within one second of venue time", whole=True),
    "lookup_lag_ms": Number(0, 0, 60_000, "a lookup sooner than this may miss a live order (with fault.not_found)"),
    "receive_window_ms": Number(5_000, 0, 60_000, "requests that arrive later than this are refused; 0 for no bound"),
    "clock_offset_ms": Number(0, -60_000, 60_000, "how far the venue's clock is ahead of ours"),
    # time on the way
    "latency": Choice(tuple(Profile), "typical delays of the three ways"),
    "entry": Text("", "us to matching: `5ms`, `250us`, `0`, or `5ms~0.4` for log-normal with its sigma"),
    "response": Text("", "matching to us: answers and pushes"),
    "feed": Text("", "market data to us"),
    "timeout_ms": Number(1_000, 1, 60_000, "a request without an answer for this long is in doubt"),
    # market data
    "book_ms": Number(50, 0, 10_000, "book changes and trades are published this often, 0 for each at once"),
    "mark_s": Number(10, 0.1, 3_600, "time constant of the mark, an average of the mid taken each second"),
    # the zero-intelligence market, methods of market_zi.py
    "zi.mu": Number(4, 0.001, 1_000, "market orders per second"),
    "zi.alpha": Number(1 / 3, 1e-6, 1_000, "limit orders per tick and second"),
    "zi.delta": Number(0.3, 1e-4, 100, "cancels per order and second"),
    "zi.window": Number(300, 2, 100_000, "how far behind the opposite best limit orders come, ticks", whole=True),
    "zi.size_lots": Number(100, 1, 1e9, "mean order size", whole=True),
    "zi.size_sigma": Number(0.8, 0, 2, "spread of the logarithm of sizes, 0 for one size"),
    "zi.burn_in_s": Number(20, 0, 3_600, "how long the market has run when we connect"),
    "zi.branching": Number(0, 0, 0.95, "market orders that each market order calls for; 0 for independent ones"),
    "zi.decay": Number(1, 1e-3, 1_000, "how soon it calls for them, per second"),
    "zi.same_side": Number(0.8, 0, 1, "share of them on its own side"),
    # the queue-reactive market, methods of market_qr.py and sor/models/queue_reactive.py
    "qr.limit": Number(4, 0.01, 1_000, "limit orders that join an empty queue, per second"),
    "qr.limit_fall": Number(0.25, 0, 2, "how longer queues put them off: as a power of one plus the size"),
    "qr.cancel": Number(0.6, 1e-3, 100, "cancels of a queue of one, per second"),
    "qr.cancel_power": Number(0.75, 0, 1, "how they grow with its size; 1 if each order decides for itself"),
    "qr.market": Number(2, 0.001, 1_000, "market orders to an all but empty best queue, per second and side"),
    "qr.market_fall": Number(0.08, 0, 2, "how longer ones put them off: exponential in the size"),
    "qr.theta": Number(0.7, 0, 1, "probability that the price follows when its best queue has been emptied"),
    "qr.redraw": Number(0.85, 0, 1, "probability that such a move redraws the whole book"),
    "qr.levels": Number(10, 1, 100, "queues on each side", whole=True),
    "qr.size_lots": Number(100, 1, 1e9, "size of each order", whole=True),
    "qr.burn_in_s": Number(20, 0, 3_600, "how long the market has run when we connect"),
    # the ladder, placed once and never replenished
    "ladder.spread_ticks": Number(1, 1, 10_000, "distance of its best prices", whole=True),
    "ladder.levels": Number(10, 1, 1_000, "price levels on each side, one tick apart", whole=True),
    "ladder.level_lots": Number(1_000, 1, 1e15, "size of each", whole=True),
    # faults
    **{f"fault.{name}": Number(0, 0, 1, _P) for name in SWITCHES},
    "fault.late_ms": Number(200, 0, 600_000, "half the largest delay of late and reordered messages"),
    "fault.burst_ms": Number(1_000, 0, 600_000, "half the longest burst of rate limits"),
    "fault.down_ms": Number(2_000, 0, 600_000, "half the longest time the link is down"),
}


class FlowStart(msgspec.Struct, frozen=True, kw_only=True):
    """A made-up market and how long it has run."""

    params: ZiParams | QrParams
    burn_in_s: float

    def flow(self, engine: Engine, crowd: Account, *, mid_ticks: int, seed: str) -> Flow:
        """Its crowd, not yet started."""
        if isinstance(self.params, ZiParams):
            return ZeroIntelligence(engine, crowd, self.params, mid_ticks=mid_ticks, seed=seed)
        return QueueReactive(engine, crowd, self.params, mid_ticks=mid_ticks, seed=seed)


class LadderShape(msgspec.Struct, frozen=True, kw_only=True):
    """Resting orders placed once: `levels` a side, one tick apart, each of `level_lots`."""

    spread_ticks: int
    levels: int
    level_lots: int


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the simulated venue is built from."""

    name: VenueName
    account: str
    seed: int
    equity: Decimal
    instrument: Instrument
    mid_ticks: int
    crowd: FlowStart | LadderShape | None
    amend: AmendModel
    self_trade: SelfTrade
    oversize: Oversize
    market_bound_bps: float
    orders_per_s: int
    lookup_lag_ns: int
    receive_window_ns: int
    clock_offset_ns: int
    entry: Delay
    response: Delay
    feed: Delay
    timeout_ns: int
    book_ns: int
    mark_s: float
    faults: Faults


def read(options: Mapping[str, str]) -> Setup:
    """Check options and give them their types.

    Raises `CallerError` for an unknown option, a value out of bounds, or values that make no sense together: no venue
    was opened.
    """
    for name in options:
        if name not in TABLE:
            raise CallerError(
                f"the simulated venue has no option {name!r}; no venue was opened. It has: {', '.join(TABLE)}"
            )
    values = _Values(options)
    market = values.choice("market", Market)
    instrument = _instrument(values)
    mid_ticks = instrument.ticks(values.decimal("price"))
    crowd: FlowStart | LadderShape | None = None
    if market is Market.ZI:
        crowd = _zi(values, mid_ticks)
    elif market is Market.QUEUE_REACTIVE:
        crowd = _queue_reactive(values, mid_ticks)
    elif market is Market.LADDER:
        crowd = _ladder(values, mid_ticks)
    faults = Faults(**{name: values.number(f"fault.{name}") for name in (*SWITCHES, *DURATIONS)})
    lookup_lag_ns = values.ms("lookup_lag_ms")
    if faults.not_found and not lookup_lag_ns:
        raise CallerError(
            "fault.not_found needs a lookup_lag_ms above 0, within which it may happen; no venue was opened"
        )
    profile = _PROFILES[values.choice("latency", Profile)]
    entry, response, feed = (read_delay(values.text(way) or profile[way]) for way in ("entry", "response", "feed"))
    return Setup(
        name=instrument.venue,
        account=values.text("account"),
        seed=values.whole("seed"),
        equity=values.decimal("equity"),
        instrument=instrument,
        mid_ticks=mid_ticks,
        crowd=crowd,
        amend=values.choice("amend", AmendModel),
        self_trade=values.choice("self_trade", SelfTrade),
        oversize=values.choice("reduce_only", Oversize),
        market_bound_bps=values.number("market_bound_bps"),
        orders_per_s=values.whole("orders_per_s"),
        lookup_lag_ns=lookup_lag_ns,
        receive_window_ns=values.ms("receive_window_ms"),
        clock_offset_ns=values.ms("clock_offset_ms"),
        entry=entry,
        response=response,
        feed=feed,
        timeout_ns=values.ms("timeout_ms"),
        book_ns=values.ms("book_ms"),
        mark_s=values.number("mark_s"),
        faults=faults,
    )


class _Values:
    """The options as given, with defaults; every reading is checked."""

    def __init__(self, options: Mapping[str, str]) -> None:
        self._options = options

    def number(self, name: str) -> float:
        spec = TABLE[name]
        assert isinstance(spec, Number)
        text = self._options.get(name)
        if text is None:
            return spec.default
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not spec.low <= value <= spec.high or (spec.whole and value != int(value)):
            kind = "a whole number" if spec.whole else "a number"
            raise CallerError(
                f"option {name} must be {kind} from {spec.low:g} to {spec.high:g}, not {text!r}; no venue was opened"
            )
        return value

    def whole(self, name: str) -> int:
        return int(self.number(name))

    def ms(self, name: str) -> int:
        """A duration in ms as ns."""
        return round(self.number(name) * MS)

    def choice(self, name: str, kind: type[E]) -> E:
        spec = TABLE[name]
        assert isinstance(spec, Choice)
        text = self._options.get(name, spec.words[0])
        if text not in spec.words:
            raise CallerError(
                f"option {name} must be one of {', '.join(spec.words)}, not {text!r}; no venue was opened"
            )
        return kind(text)

    def text(self, name: str) -> str:
        spec = TABLE[name]
        assert isinstance(spec, Text)
        return self._options.get(name, spec.default)

    def decimal(self, name: str) -> Decimal:
        """A number that must stay exact."""
        spec = TABLE[name]
        text = self.text(name) if isinstance(spec, Text) else f"{self.number(name):f}"
        try:
            value = Decimal(text)
        except InvalidOperation:
            value = Decimal("NaN")
        if not value.is_finite():
            raise CallerError(f"option {name} must be a decimal number, not {text!r}; no venue was opened")
        return value


def _instrument(values: _Values) -> Instrument:
    symbol = canonical_symbol(values.text("symbol"))
    name = values.text("name")
    if not name:
        raise CallerError("option name must not be empty; no venue was opened")
    quote = next((quote for quote in ("USDT", "USDC", "USD") if symbol.endswith(quote)), "")
    if not quote or symbol == quote:
        raise CallerError(f"option symbol must end in USDT, USDC or USD, not {symbol!r}; no venue was opened")
    return Instrument(
        symbol=symbol,
        venue=VenueName(name),
        base=symbol.removesuffix(quote),
        quote=quote,
        settle=quote,
        tick_size=values.decimal("tick"),
        lot_size=values.decimal("lot"),
        min_qty_lots=values.whole("min_qty_lots"),
        max_qty_lots=values.whole("max_qty_lots"),
        min_notional=values.decimal("min_notional"),
        maker_fee_e8=round(values.number("maker_fee_bps") * 10_000),
        taker_fee_e8=round(values.number("taker_fee_bps") * 10_000),
    )


def _zi(values: _Values, mid_ticks: int) -> FlowStart:
    params = ZiParams(
        mu=values.number("zi.mu"),
        alpha=values.number("zi.alpha"),
        delta=values.number("zi.delta"),
        window_ticks=values.whole("zi.window"),
        size_lots=values.whole("zi.size_lots"),
        size_sigma=values.number("zi.size_sigma"),
        branching=values.number("zi.branching"),
        decay_per_s=values.number("zi.decay"),
        same_side=values.number("zi.same_side"),
    )
    window, scale = params.window_ticks, params.price_scale_ticks
    if window < 4 * scale:
        raise CallerError(
            f"zi.window of {window} ticks is less than four times zi.mu / zi.alpha, {scale:g} ticks: the market's best "
            "prices would feel where it ends; no venue was opened"
        )
    orders = params.alpha * window / (2 * params.delta)
    if not 15 <= orders <= 100_000:
        raise CallerError(
            f"zi.alpha, zi.delta and zi.window give a book of {orders:g} orders a side; it takes 15 not to run dry, "
            "and above 100000 is too slow; no venue was opened"
        )
    if mid_ticks <= 2 * window:
        raise CallerError(
            f"option price is only {mid_ticks} ticks, too close to zero for zi.window; no venue was opened"
        )
    burn_in_s = values.number("zi.burn_in_s")
    memory_s = 3.0 / (params.decay_per_s * (1.0 - params.branching)) if params.branching else 0.0
    if burn_in_s < memory_s:
        raise CallerError(
            f"with this zi.branching and zi.decay the market remembers {memory_s:g} s and zi.burn_in_s is "
            f"{burn_in_s:g}: it would begin too quiet; no venue was opened"
        )
    return FlowStart(params=params, burn_in_s=burn_in_s)


def _queue_reactive(values: _Values, mid_ticks: int) -> FlowStart:
    curves = QueueCurves(
        limit_per_s=values.number("qr.limit"),
        limit_fall=values.number("qr.limit_fall"),
        cancel_per_s=values.number("qr.cancel"),
        cancel_power=values.number("qr.cancel_power"),
        market_per_s=values.number("qr.market"),
        market_fall=values.number("qr.market_fall"),
    )
    longest = float(curves.stationary(best=False)[SIZE_MAX // 2 :].sum())
    if longest > 0.001:
        raise CallerError(
            f"with these qr.limit and qr.cancel a queue has {SIZE_MAX // 2} orders or more {longest:.1%} of the time, "
            f"and it is cut at {SIZE_MAX}; no venue was opened"
        )
    params = QrParams(
        curves=curves,
        levels=values.whole("qr.levels"),
        size_lots=values.whole("qr.size_lots"),
        theta=values.number("qr.theta"),
        redraw=values.number("qr.redraw"),
    )
    if mid_ticks <= 1_000 + params.levels:
        raise CallerError(
            f"option price is only {mid_ticks} ticks, too close to zero for a market that wanders; no venue was opened"
        )
    return FlowStart(params=params, burn_in_s=values.number("qr.burn_in_s"))


def _ladder(values: _Values, mid_ticks: int) -> LadderShape:
    shape = LadderShape(
        spread_ticks=values.whole("ladder.spread_ticks"),
        levels=values.whole("ladder.levels"),
        level_lots=values.whole("ladder.level_lots"),
    )
    if mid_ticks <= shape.spread_ticks + shape.levels:
        raise CallerError(
            f"option price is only {mid_ticks} ticks, too close to zero for the ladder; no venue was opened"
        )
    return shape
