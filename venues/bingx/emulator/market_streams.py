"""The market socket: topics, and what is sent on them.

- One subscription a frame, each acknowledged by its id; an array is ignored. 200 topics a socket, the next is 80403.
- A subscription to incrDepth gets one `all` between 170 and 530 ms after it: just before the first update that falls
  into that time, with the id before the update's, or at its end. Updates then go to everybody alike.
- Books in part are sent over and over, the same one too. Asks come worst first, trades newest first.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import assert_never

import msgspec

from sor.units import MS
from venues.bingx.emulator.contracts import Contract
from venues.bingx.emulator.events import BookChanged, Event, MarkMoved, TradePrinted
from venues.bingx.emulator.exchange import Exchange
from venues.bingx.emulator.faults import Faults
from venues.bingx.emulator.pit import Pit
from venues.bingx.emulator.render import Json, encode, fixed
from venues.bingx.emulator.render_market import (
    INTERVALS_MS,
    Bar,
    bars,
    book_ticker_push,
    book_update,
    day_of,
    depth,
    incr_depth,
    kline_push,
    on_topic,
    ticker_push,
    trade_push,
)
from venues.bingx.emulator.sockets import BAD_FRAME, Line, Sockets, packed
from venues.bingx.emulator.topics import Feed, Topic, read_topic
from venues.emulation.app import ServerSocket

TOPICS_MAX = 200
TOO_MANY_TOPICS = 80403
UNKNOWN_TOPIC = 80015
INCR_LEVELS = 1_024
SNAPSHOT_EARLIEST_NS = 170 * MS
SNAPSHOT_LATEST_NS = 530 * MS
TICKER_NS = 500 * MS
STALE_MS = 22 * 60_000
_TRADES_HELD_MAX = 1_000


class _Wish(msgspec.Struct, gc=False):
    id: str = ""
    reqType: str = ""  # noqa: N815 - the wire's spelling
    dataType: str | list[str] = ""  # noqa: N815


_WISH = msgspec.json.Decoder(_Wish)


class MarketLine(Line):
    """One market socket and its topics."""

    __slots__ = ("streams", "topics", "waiting")

    def __init__(self, socket: ServerSocket, streams: MarketStreams) -> None:
        self.streams = streams
        self.topics: dict[str, Topic] = {}
        self.waiting: dict[str, int] = {}
        """incrDepth topics whose snapshot is still to come, and from when it may."""
        super().__init__(socket, streams.sockets, which="market")

    def said(self, payload: bytes) -> None:
        """A frame of the client's: to subscribe or to unsubscribe."""
        try:
            wish = _WISH.decode(payload)
        except (msgspec.DecodeError, RecursionError):
            self._acknowledge("", BAD_FRAME, "invalid frame")
            return
        if isinstance(wish.dataType, list):
            return
        match wish.reqType:
            case "sub":
                self._subscribe(wish.id, wish.dataType)
            case "unsub":
                self.topics.pop(wish.dataType, None)
                self.waiting.pop(wish.dataType, None)
                self._acknowledge(wish.id, 0, "")
            case _:
                self._acknowledge(wish.id, BAD_FRAME, "reqType must be sub or unsub")

    def gone(self) -> None:
        """It is over."""
        self.streams.forget(self)

    def _subscribe(self, wish_id: str, name: str) -> None:
        topic = self.streams.topic(name)
        if topic is None:
            self._acknowledge(wish_id, UNKNOWN_TOPIC, f"dataType:{name} is not supported")
            self.streams.leak(self, name)
        elif name in self.topics:
            self._acknowledge(wish_id, 0, "")
        elif len(self.topics) >= TOPICS_MAX:
            self._acknowledge(wish_id, TOO_MANY_TOPICS, f"no more than {TOPICS_MAX} topics on one connection")
            self.streams.leak(self, name)
        else:
            self._acknowledge(wish_id, 0, "")
            self.topics[name] = topic
            self.streams.begin(self, topic)

    def _acknowledge(self, wish_id: str, code: int, text: str) -> None:
        self.say({"id": wish_id, "code": code, "msg": text, "dataType": "", "data": None})


class MarketStreams:
    """Every market socket, and the clockwork that feeds them."""

    def __init__(self, exchange: Exchange, faults: Faults, sockets: Sockets) -> None:
        self.sockets = sockets
        self._exchange = exchange
        self._faults = faults
        self._lines: list[MarketLine] = []
        self._trades: dict[str, list[TradePrinted]] = {}
        self._running: dict[str, None] = {}
        self._last_best: dict[str, Json] = {}
        self._last_update: dict[str, BookChanged] = {}
        exchange.listen(self._hear)

    def open(self, socket: ServerSocket) -> MarketLine:
        """A new market socket."""
        line = MarketLine(socket, self)
        self._lines.append(line)
        return line

    def forget(self, line: MarketLine) -> None:
        """A socket is over."""
        if line in self._lines:
            self._lines.remove(line)

    def topic(self, name: str) -> Topic | None:
        """A topic that may be subscribed."""
        symbol = name.partition("@")[0]
        if self._faults.is_on("symbol-paused", symbol=symbol):
            return None
        pit = self._exchange.pits.get(symbol)
        return read_topic(name, {symbol: pit.contract} if pit is not None else {})

    def leak(self, line: MarketLine, name: str) -> None:
        """One frame on a refused topic, if that fault strikes."""
        symbol = name.partition("@")[0]
        if self._faults.strikes("topic-leak", on=name, symbol=symbol):
            pit = self._exchange.pits.get(symbol) or next(iter(self._exchange.pits.values()))
            line.say(on_topic(name, depth(pit.book(5), pit.contract, worst_first=True)))

    def begin(self, line: MarketLine, topic: Topic) -> None:
        """A topic was subscribed."""
        now_ns = self._exchange.scheduler.now_ns()
        match topic.feed:
            case Feed.INCR_DEPTH:
                line.waiting[topic.name] = now_ns + SNAPSHOT_EARLIEST_NS
                self._after(SNAPSHOT_LATEST_NS, lambda: self._snapshot_late(line, topic))
                last = self._last_update.get(topic.symbol)
                if last is not None and self._faults.strikes("updates-first", on=topic.name, symbol=topic.symbol):
                    self._send_update(last, [line])
            case Feed.DEPTH:
                self._start(topic.name, topic.every_ms * MS, lambda: self._depth(topic))
            case Feed.BOOK_TICKER:
                self._first_ticker(line, topic)
                self._start(topic.name, TICKER_NS, lambda: self._book_ticker(topic))
            case Feed.TRADE | Feed.MARK_PRICE | Feed.LAST_PRICE | Feed.TICKER | Feed.KLINE:
                pass
            case _:
                assert_never(topic.feed)

    # --- clockwork ----------------------------------------------------------------------------------------------------

    def _after(self, wait_ns: int, action: Callable[[], None]) -> None:
        scheduler = self._exchange.scheduler
        scheduler.call_at(scheduler.now_ns() + wait_ns, action)

    def _start(self, name: str, every_ns: int, action: Callable[[], None]) -> None:
        """Do this at once a tick from now, and again for as long as anybody has the topic."""
        if name in self._running:
            return
        self._running[name] = None

        def tick() -> None:
            if not self._listeners(name):
                del self._running[name]
                return
            action()
            self._after(every_ns, tick)

        self._after(every_ns, tick)

    def _listeners(self, name: str) -> list[MarketLine]:
        return [line for line in self._lines if name in line.topics]

    def _send(self, name: str, message: Json, symbol: str, lines: list[MarketLine]) -> None:
        """A data frame to these sockets, as the faults let it."""
        faults = self._faults
        if not lines or faults.is_on("market-silent", on=name, symbol=symbol):
            return
        if faults.is_on("symbol-paused", symbol=symbol):
            return
        frame = packed(encode(message))
        late = faults.is_on("market-late", on=name, symbol=symbol)
        if late is not None:
            self._after(late.ns(), lambda: _deliver(frame, lines))
        else:
            _deliver(frame, lines)

    def _worst_first(self, name: str, symbol: str) -> bool:
        return self._faults.is_on("asks-best-first", on=name, symbol=symbol) is None

    def _pit(self, symbol: str) -> Pit:
        return self._exchange.pits[symbol]

    # --- what goes out ------------------------------------------------------------------------------------------------

    def _hear(self, event: Event) -> None:
        match event:
            case TradePrinted():
                held = self._trades.setdefault(event.symbol, [])
                if not held:
                    self._after(0, lambda: self._flush_trades(event.symbol))
                if len(held) < _TRADES_HELD_MAX:
                    held.append(event)
            case BookChanged():
                self._book_changed(event)
            case MarkMoved():
                self._every_second(event)
            case _:  # the accounts' own
                pass

    def _flush_trades(self, symbol: str) -> None:
        trades = self._trades.pop(symbol, [])
        name = f"{symbol}@{Feed.TRADE.value}"
        contract = self._pit(symbol).contract
        rows = [trade_push(one, contract) for one in reversed(trades)]
        self._send(name, on_topic(name, rows), symbol, self._listeners(name))

    def _depth(self, topic: Topic) -> None:
        pit = self._pit(topic.symbol)
        book = pit.book(topic.levels)
        both = depth(book, pit.contract, worst_first=self._worst_first(topic.name, topic.symbol))
        data: Json = {"bids": both["bids"], "asks": both["asks"]}
        message = on_topic(topic.name, data, ts=self._exchange.now_ms())
        self._send(topic.name, message, topic.symbol, self._listeners(topic.name))

    def _first_ticker(self, line: MarketLine, topic: Topic) -> None:
        pit = self._pit(topic.symbol)
        now_ms = self._exchange.now_ms()
        message = book_ticker_push(pit.book(1), pit.contract, now_ms)
        if self._faults.strikes("stale-ticker", on=topic.name, symbol=topic.symbol):
            best = pit.book(1).bids
            above = best[0][0] * Decimal("1.001") if best else Decimal(0)
            message |= {"T": now_ms - STALE_MS, "b": fixed(above, pit.contract.price_precision)}
        self._send(topic.name, on_topic(topic.name, message), topic.symbol, [line])

    def _book_ticker(self, topic: Topic) -> None:
        pit = self._pit(topic.symbol)
        message = book_ticker_push(pit.book(1), pit.contract, self._exchange.now_ms())
        best: Json = [message[key] for key in ("b", "B", "a", "A")]
        if self._last_best.get(topic.symbol) != best:
            self._last_best[topic.symbol] = best
            self._send(topic.name, on_topic(topic.name, message), topic.symbol, self._listeners(topic.name))

    def _every_second(self, event: MarkMoved) -> None:
        symbol = event.symbol
        topics = {name: topic for line in self._lines for name, topic in line.topics.items() if topic.symbol == symbol}
        pit = self._pit(symbol)
        contract = pit.contract
        digits = contract.price_precision
        for name, topic in topics.items():
            beside: dict[str, Json] = {}
            data: Json
            match topic.feed:
                case Feed.MARK_PRICE:
                    data = {"e": "markPriceUpdate", "E": event.at_ms, "s": symbol, "p": fixed(event.mark, digits)}
                case Feed.LAST_PRICE:
                    data = {
                        "e": "lastPriceUpdate",
                        "E": event.at_ms,
                        "s": symbol,
                        "c": fixed(event.last or event.mark, digits),
                    }
                case Feed.TICKER:
                    data = ticker_push(day_of(pit), pit.book(1), contract, event.at_ms)
                case Feed.KLINE:
                    data = [kline_push(_running_bar(pit, topic.interval, event), contract)]
                    beside = {"s": symbol}
                case _:
                    continue
            self._send(name, on_topic(name, data, **beside), symbol, self._listeners(name))

    # --- incremental books --------------------------------------------------------------------------------------------

    def _snapshot_late(self, line: MarketLine, topic: Topic) -> None:
        """Nothing changed in time: the snapshot comes by itself."""
        if line.waiting.pop(topic.name, None) is not None:
            self._snapshot(line, topic.symbol, self._pit(topic.symbol).book(1).update_id)

    def _snapshot(self, line: MarketLine, symbol: str, update_id: int) -> None:
        pit = self._pit(symbol)
        book = pit.book(INCR_LEVELS)
        name = f"{symbol}@{Feed.INCR_DEPTH.value}"
        worst = self._worst_first(name, symbol)
        now_ms = self._exchange.now_ms()
        data = incr_depth("all", update_id, now_ms, book.bids, book.asks, pit.contract, worst=worst)
        self._send(name, on_topic(name, data), symbol, [line])

    def _book_changed(self, event: BookChanged) -> None:
        symbol = event.symbol
        name = f"{symbol}@{Feed.INCR_DEPTH.value}"
        now_ns = self._exchange.scheduler.now_ns()
        about = {"on": name, "symbol": symbol}
        previous = self._last_update.get(symbol)
        self._last_update[symbol] = event
        lines: list[MarketLine] = []
        for line in self._listeners(name):
            due_ns = line.waiting.get(name)
            if due_ns is not None and due_ns <= now_ns:
                del line.waiting[name]
                self._snapshot(line, symbol, event.update_id - 1)
            elif due_ns is not None:
                continue
            lines.append(line)
        if not lines or self._faults.strikes("book-loss", **about):
            return
        told = event
        if self._faults.strikes("book-crossed", **about):
            asks = self._pit(symbol).book(1).asks
            if asks:
                told = msgspec.structs.replace(told, bids=((asks[0][0], asks[0][1]), *told.bids))
        if previous is not None and self._faults.strikes("ids-back", **about):
            told = msgspec.structs.replace(told, update_id=previous.update_id - 1)
        self._send_update(told, lines)
        if self._faults.strikes("ids-repeat", **about):
            self._send_update(told, lines)

    def _send_update(self, event: BookChanged, lines: list[MarketLine]) -> None:
        symbol = event.symbol
        name = f"{symbol}@{Feed.INCR_DEPTH.value}"
        contract: Contract = self._pit(symbol).contract
        data = book_update(event, contract, worst=self._worst_first(name, symbol))
        self._send(name, on_topic(name, data), symbol, lines)


def _deliver(frame: bytes, lines: list[MarketLine]) -> None:
    for line in lines:
        line.send(frame)


def _running_bar(pit: Pit, interval: str, event: MarkMoved) -> Bar:
    """The candle that is not over yet; flat at the last price when nothing has traded in it."""
    interval_ms = INTERVALS_MS[interval]
    at_ms = event.at_ms // interval_ms * interval_ms
    found = bars(pit.candles(min(interval_ms // 60_000 + 1, 1_440)), interval_ms)
    if found and found[0].at_ms == at_ms:
        return found[0]
    last = event.last or event.mark
    return Bar(at_ms, last, last, last, last, Decimal(0))
