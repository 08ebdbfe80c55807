"""The CSV files of ccapi's market data recorder: the best bid and ask at each second, and every trade.

Best        A row is the best of both sides at that second, written where it differs from the row before. That the book
            was so at the second, and not at some time within it, trades say: of 1,417 that were alone in their second
            and whose size left the best, 1,405 are missing from the next row, 7 from their own.
Trades      Milliseconds; `is_buyer_maker` 1 where the taker sold.
Clock       The venue's only, so receive times are its times. Between two rows the book is as it was.
Depth       One level a side, once a second: good for schedules, volume and cost over hours, and not for queues.

The files name neither venue nor symbol: state them. Of Gemini's ETH/USD the steps are known (its sizes have up to eight
decimals), with the fees that programs paid in July 2021 below a million USD a month.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation

from sor.errors import CallerError
from sor.ids import Symbol, VenueName
from sor.instruments import Instrument, canonical_symbol
from sor.lab.importers.recording import TIME_NS_MAX, Imported, Progress, RecordingFile, Steps, Terms, take_lines
from sor.lab.importers.spine import Reading, finished
from sor.units import NS

_BEST = b"time_seconds,bid_price_bid_size,ask_price_ask_size"
_TRADES = b"time_seconds,price,size,is_buyer_maker"
_SIDES = {"0": 1, "1": -1}

KNOWN: Mapping[tuple[str, Symbol], Instrument] = {
    ("gemini", Symbol("ETHUSD")): Instrument(
        symbol=Symbol("ETHUSD"),
        venue=VenueName("gemini"),
        base="ETH",
        quote="USD",
        settle="USD",
        tick_size=Decimal("0.01"),
        lot_size=Decimal("0.00000001"),
        maker_fee_e8=100_000,
        taker_fee_e8=350_000,
    )
}
"""What need not be stated beyond venue and symbol."""


class _Reading(Reading):
    """What is collected while the rows go by."""

    def __init__(self, instrument: Instrument) -> None:
        super().__init__()
        self._ticks = Steps(instrument.tick_size, what="price")
        self._lots = Steps(instrument.lot_size, what="quantity")
        self._best: dict[int, tuple[int, int]] = {}  # side -> (ticks, lots)
        self._last_ns = 0
        self._is_best = False

    def take(self, line: bytes) -> None:
        """One row, or a header. Raises `ValueError` when it is malformed."""
        text = line.rstrip(b"\r\n")
        if text in (_BEST, _TRADES):
            self._is_best = text == _BEST
            return
        row = text.decode("ascii").split(",")
        at_ns = _time(row[0])
        if self._is_best:
            self._row(at_ns, row)
        else:
            self._trade(at_ns, row)

    def _row(self, at_ns: int, row: list[str]) -> None:
        bid, ask = (self._level(cell) for cell in row[1:])
        self.counts["rows"] += 1
        self.counts["silence_ns_max"] = max(self.counts["silence_ns_max"], at_ns - (self._last_ns or at_ns))
        self._last_ns = at_ns
        first = not self._best
        for side, level in ((1, bid), (-1, ask)):
            was = self._best.get(side)
            if level == was:
                continue
            if was is not None and was[0] != level[0]:
                self._add(side, was[0], 0)
            self._add(side, *level)
            self._best[side] = level
        self.columns.close(venue_ns=at_ns, recv_ns=at_ns, snapshot=first)

    def _level(self, cell: str) -> tuple[int, int]:
        price, _, size = cell.partition("_")
        if not price or not size:
            raise ValueError(cell)
        level = self._ticks[price], self._lots[size]
        if not all(level):
            raise ValueError(cell)
        return level

    def _add(self, side: int, ticks: int, lots: int) -> None:
        self.columns.side.append(side)
        self.columns.ticks.append(ticks)
        self.columns.lots.append(lots)

    def _trade(self, at_ns: int, row: list[str]) -> None:
        _, price, size, maker = row
        side = _SIDES.get(maker)
        ticks, lots = self._ticks[price], self._lots[size]
        if side is None or not ticks or not lots:
            raise ValueError(row)
        self.counts["trades"] += 1
        self.trades.add(venue_ns=at_ns, recv_ns=at_ns, side=side, ticks=ticks, lots=lots)


def looks_like(first_line: bytes) -> bool:
    """Whether a file that begins with this line is one of the two kinds."""
    return first_line.rstrip(b"\r\n") in (_BEST, _TRADES)


def import_ccapi(files: Sequence[RecordingFile], terms: Terms, progress: Progress | None = None) -> Imported:
    """One recording from its files, in whatever order they are named; each kind is read in the order of time.

    Raises `CallerError` without venue and symbol, steps where they are not known, or a best bid and ask.
    """
    instrument = _instrument(terms)
    reading = _Reading(instrument)
    ordered = sorted(files, key=_opening)
    reading.bad_lines = take_lines(ordered, reading.take, reading.counts, progress, strict=terms.strict)
    if not reading.counts["rows"]:
        raise CallerError("the recording holds no best bid and ask; nothing was written. Name that file too")
    return finished(
        reading,
        instrument,
        terms,
        importer="ccapi",
        notes={
            "lines": "read",
            "rows": "seconds at which the best bid or ask, or the size of either, was another",
            "trades": "trades",
            "silence_ns_max": "longest time without a row: nothing changed, or nothing was recorded",
        },
    )


def _opening(file: RecordingFile) -> tuple[bytes, int]:
    """Kind and first time of a file, 0 where it has only a header."""
    lines = file.lines()
    header = next(lines, b"").rstrip(b"\r\n")
    try:
        return header, _time(next(lines, b"").decode("ascii").partition(",")[0])
    except ValueError:
        return header, 0


def _instrument(terms: Terms) -> Instrument:
    if terms.venue is None or terms.symbol is None:
        raise CallerError("the files name neither venue nor symbol; nothing was written. State --venue and --symbol")
    symbol = canonical_symbol(terms.symbol)
    known = KNOWN.get((terms.venue, symbol))
    if known is None:
        if terms.tick is None or terms.lot is None:
            raise CallerError(
                f"{symbol} on {terms.venue} is not known here; nothing was written. State its --tick and --lot"
            )
        known = Instrument(symbol=symbol, venue=VenueName(terms.venue), tick_size=terms.tick, lot_size=terms.lot)
    if terms.contract is not None:
        raise CallerError(f"{symbol} on {terms.venue} has no contract size; nothing was written. Leave it out")
    return terms.applied_to(known)


def _time(text: str) -> int:
    """Seconds since the epoch as ns, exact. Raises `ValueError` for what is no time."""
    try:
        at_ns = int(Decimal(text) * NS)
    except (InvalidOperation, OverflowError) as error:
        raise ValueError(text) from error
    if not 0 < at_ns < TIME_NS_MAX:
        raise ValueError(text)
    return at_ns
