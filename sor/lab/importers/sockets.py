"""Raw sockets as a recorder wrote them: a venue's messages of several instruments, with the answers of its REST side.

The lines are those of `sor.lab.importers.recorded_line`; which venue it is the names of the connections say. A venue's
own history files are its messages and nothing else.

Instrument  As the recorded answers list it; where they do not, its steps must be stated. One tape is of one instrument:
            of a recording of several --symbol says which.
Begin       At the first snapshot of its book, be it a message or an answer. Trades from before that are left out:
            nothing says what book they met, and upon subscription venues repeat old ones.
Answers     Are taken where their receive times put them: recorders may write them first, whenever they came.
Lost        By the venue's own rules (`sor.lab.importers.socket_book`), and where its connection was opened anew.
Files       Read in the order of their first receive times, as one recording.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

import msgspec

from sor.errors import CallerError
from sor.instruments import Instrument, canonical_symbol
from sor.lab.importers.bitget import Bitget
from sor.lab.importers.bybit import Bybit
from sor.lab.importers.gate import Gate
from sor.lab.importers.okx import Okx
from sor.lab.importers.recorded_line import RecordedLine, decode_line, exchange_of, recv_ns
from sor.lab.importers.recording import (
    TIME_NS_MAX,
    Imported,
    Progress,
    RecordingFile,
    Steps,
    Terms,
    stated_instrument,
    take_lines,
)
from sor.lab.importers.said import BookSaid, Dialect, Said, TradeSaid
from sor.lab.importers.socket_book import SocketBook
from sor.lab.importers.spine import Reading, finished

DIALECTS: Mapping[str, Callable[[], Dialect]] = {
    "BITGET": Bitget,
    "BYBIT": Bybit,
    "GATEIO_FUTURES": Gate,
    "OKX": Okx,
}
"""By how the recorder names the venue's connections."""
_IDS_MAX = 100_000
"""Trade ids that are remembered."""
_KINDS = tuple(b'{"t":"%s"' % kind for kind in (b"header", b"http", b"connect", b"send", b"recv"))
_HISTORY = b'{"topic":"orderbook.'


class _Market(NamedTuple):
    """A book of a recording: our name of its venue, and its symbol as the venue spells it."""

    venue: str
    symbol: str

    def stated(self, terms: Terms) -> Instrument:
        """Its instrument where no answer lists it."""
        return stated_instrument(self.symbol, self.venue, terms, unknown=f"the recording does not list {self.symbol}")


class _Connections:
    """Which market each connection serves."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._venues: dict[str, str] = {}

    def opened(self, line: RecordedLine) -> None:
        """A `connect` line."""
        self._venues[line.conn] = self._dialect.venue(line.addr)

    def venue(self, conn: str) -> str:
        """Our name of the venue; a connection that was opened before the recording serves its main market."""
        return self._venues.get(conn) or self._dialect.venue("")


class _Reading(Reading):
    """What is collected while the lines of a recording go by."""

    def __init__(self, dialect: Dialect, market: _Market, instrument: Instrument) -> None:
        super().__init__()
        self._dialect = dialect
        self._market = market
        self._connections = _Connections(dialect)
        self._ticks = Steps(instrument.tick_size, what="price")
        self._lots = Steps(instrument.lot_size, what="quantity")
        self._book = SocketBook(self.columns, self.counts, ticks=self._ticks, lots=self._lots)
        self._conn = ""  # that brought the book
        self._ids: dict[str, None] = {}
        self._answers: list[tuple[int, BookSaid]] = []  # that were received after the messages until now

    def take(self, text: bytes) -> None:
        """A line of a recorder. Raises `ValueError` or `msgspec.DecodeError` when it is malformed."""
        line = decode_line(text)
        if line.t == "connect":
            self._connections.opened(line)
            if line.conn == self._conn and self.columns.venue_ns:
                self.counts["reconnects"] += 1
                self._book.lose(venue_ns=self.columns.venue_ns[-1], recv_ns=recv_ns(line))
        elif line.t == "http" and self._dialect.venue(line.url) == self._market.venue:
            for book in self._dialect.answered(line.url, line.data):
                if book.symbol == self._market.symbol:
                    insort(self._answers, (recv_ns(line), book), key=lambda one: one[0])
        elif line.t == "recv" and self._connections.venue(line.conn) == self._market.venue:
            at_ns = recv_ns(line)
            self.take_answers(at_ns)
            for said in self._dialect.said(line.data.encode()):
                if said.symbol == self._market.symbol:
                    if isinstance(said, BookSaid):
                        self._conn = line.conn
                    self._take(said, at_ns)

    def take_answers(self, until_ns: int = TIME_NS_MAX) -> None:
        """Books of the REST interface that were received by then."""
        while self._answers and self._answers[0][0] <= until_ns:
            at_ns, said = self._answers.pop(0)
            self._take(said, at_ns)

    def take_bare(self, text: bytes) -> None:
        """A line that is the venue's message itself."""
        for said in self._dialect.said(text):
            if isinstance(said, BookSaid | TradeSaid) and said.symbol == self._market.symbol:
                self._take(said, said.event_ns, one_clock=True)

    def _take(self, said: Said, recv_ns: int, *, one_clock: bool = False) -> None:
        if isinstance(said, BookSaid | TradeSaid) and not one_clock:
            self.latency_ns.append(recv_ns - said.event_ns)
        if isinstance(said, BookSaid):
            self._book.take(said, recv_ns=recv_ns)
        elif isinstance(said, TradeSaid):
            self._trade(said, recv_ns)
        else:
            self._book.quote(said, recv_ns=recv_ns)

    def _trade(self, said: TradeSaid, recv_ns: int) -> None:
        self.counts["trades"] += 1
        columns = self.columns.venue_ns
        ticks, lots = self._ticks[said.price], self._lots[said.qty]
        if said.trade_id and said.trade_id in self._ids:
            self.counts["duplicates"] += 1
        elif not columns or said.venue_ns < columns[0]:
            self.counts["trades_early"] += 1
        elif said.off_book or not ticks or not lots:
            self.counts["off_book"] += 1
        else:
            self.trades.add(venue_ns=said.venue_ns, recv_ns=recv_ns, side=said.side, ticks=ticks, lots=lots)
        self._ids[said.trade_id] = None
        if len(self._ids) > _IDS_MAX:
            del self._ids[next(iter(self._ids))]


def looks_like(first_line: bytes) -> bool:
    """Whether a file that begins with this line is a recorder's, of whatever venue."""
    return first_line.startswith(_KINDS)


def looks_like_history(first_line: bytes) -> bool:
    """Whether it is a history file of Bybit's."""
    return first_line.startswith(_HISTORY)


def import_sockets(files: Sequence[RecordingFile], terms: Terms, progress: Progress | None = None) -> Imported:
    """One instrument of a recording from its files, in whatever order they are named.

    Raises `CallerError` for a venue whose messages are not known here, when several instruments are recorded and none
    or an unknown one is named, when steps are neither recorded nor stated, and when no snapshot begins the book.
    """
    look = _Look()
    begins = [(look.begin(file), file) for file in files]
    dialect = look.dialect()
    market = _chosen(sorted(look.markets), terms)
    instrument = look.instrument(market, terms)
    reading = _Reading(dialect, market, instrument)
    ordered = [file for _, file in sorted(begins, key=lambda one: one[0])]
    reading.bad_lines = take_lines(ordered, reading.take, reading.counts, progress, strict=terms.strict)
    reading.take_answers()
    return _finished(reading, instrument, terms, dialect)


def import_history(files: Sequence[RecordingFile], terms: Terms, progress: Progress | None = None) -> Imported:
    """Bybit's history of one book. Raises `CallerError` for several books, or steps that are not stated."""
    books: dict[_Market, None] = {}
    first: list[tuple[int, RecordingFile]] = []
    for file in files:
        for said in _said_bare(file):
            books[_Market(terms.venue or "bybit", said.symbol)] = None
            first.append((said.event_ns, file))
            break
    market = _chosen(list(books), terms)
    instrument = market.stated(terms)
    reading = _Reading(Bybit(), market, instrument)
    ordered = [file for _, file in sorted(first, key=lambda one: one[0])]
    reading.bad_lines = take_lines(ordered, reading.take_bare, reading.counts, progress, strict=terms.strict)
    return _finished(reading, instrument, terms, Bybit())


def _said_bare(file: RecordingFile) -> Iterator[BookSaid]:
    dialect = Bybit()
    for line in file.lines():
        try:
            said = dialect.said(line)
        except (ValueError, msgspec.DecodeError):
            continue  # counted when the file is read in earnest
        yield from (one for one in said if isinstance(one, BookSaid))


# --- what is in a recording ---------------------------------------------------------------------------------------


class _Look:
    """A first reading: which venue it is, which books there are, and what its REST side answered last at each URL."""

    def __init__(self) -> None:
        self.names: dict[str, None] = {}
        self.markets: dict[_Market, None] = {}
        self.answers: dict[str, str] = {}
        self._dialect: Dialect | None = None
        self._connections: _Connections | None = None

    def begin(self, file: RecordingFile) -> Decimal:
        """Look through a file; the receive time of its first line."""
        begin = Decimal(0)
        for text in file.lines():
            try:
                line = decode_line(text)
                begin = begin or line.ts
                self._take(line)
            except (ValueError, msgspec.DecodeError):
                continue  # counted when the file is read in earnest
        return begin

    def dialect(self) -> Dialect:
        """A new one of the recorded venue. Raises `CallerError` where that is not known here."""
        if len(self.names) != 1 or self._dialect is None:
            raise CallerError(
                f"the recording is of {' and '.join(self.names) or 'no venue'}; nothing was written. Raw sockets are "
                f"imported of one of {', '.join(DIALECTS)}"
            )
        return DIALECTS[next(iter(self.names))]()

    def instrument(self, market: _Market, terms: Terms) -> Instrument:
        """As the recorded answers list it, with the stated terms in the place of its own."""
        dialect = self.dialect()
        for url, body in self.answers.items():
            try:
                listed = dialect.listing(url, body, market.venue, market.symbol)
            except (msgspec.DecodeError, ArithmeticError, KeyError):
                continue  # an answer that lists nothing
            if listed is not None:
                return terms.applied_to(listed)
        return market.stated(terms)

    def _take(self, line: RecordedLine) -> None:
        name = exchange_of(line)
        if name and name not in self.names:
            self.names[name] = None
            if name in DIALECTS:
                self._dialect = DIALECTS[name]()
                self._connections = _Connections(self._dialect)
        if line.t == "http":
            self.answers[line.url] = line.data
        if self._dialect is None or self._connections is None:
            return
        if line.t == "connect":
            self._connections.opened(line)
        elif line.t == "http":
            for book in self._dialect.answered(line.url, line.data):
                self.markets[_Market(self._dialect.venue(line.url), book.symbol)] = None
        elif line.t == "recv":
            venue = self._connections.venue(line.conn)
            for said in self._dialect.said(line.data.encode()):
                if isinstance(said, BookSaid):
                    self.markets[_Market(venue, said.symbol)] = None


def _chosen(markets: Sequence[_Market], terms: Terms) -> _Market:
    """The one that is there, or that the caller names."""
    fitting = [
        market
        for market in markets
        if (terms.symbol is None or canonical_symbol(terms.symbol) == canonical_symbol(market.symbol))
        and (terms.venue is None or terms.venue == market.venue)
    ]
    if len(fitting) == 1:
        return fitting[0]
    there = ", ".join(f"{market.symbol} of {market.venue}" for market in markets) or "no book"
    raise CallerError(
        f"the recording holds {there}; nothing was written. A tape is of one instrument: name it with "
        f"--symbol, and its --venue where two have it"
    )


# --- findings -----------------------------------------------------------------------------------------------------

_NOTES = {
    "lines": "read",
    "snapshots": "snapshots of the book",
    "changes": "changes of it",
    "quotes": "best quotes between them",
    "quotes_unused": "quotes not used: older than the book, before it, or not to be compared with it",
    "quotes_odd": "quotes without a sound bid and ask; left out",
    "trades": "trades",
    "gaps": "breaks of the venue's sequence; the book is lost from each to the next snapshot",
    "checksums": "books whose checksum was compared",
    "checksums_wrong": "of these, wrong; the book is lost as in a gap",
    "reconnects": "times that the connection was opened anew; the book is lost as in a gap",
    "unplaced": "changes without a book to change: before a snapshot, at a gap, or after a loss; left out",
    "too_old": "changes that the snapshot held already; left out",
    "snapshots_unused": "answers with a book that was held anyway; left out",
    "duplicates": "messages that had been told before; left out",
    "trades_early": "trades from before the first snapshot; left out",
    "off_book": "trades that were not matched in the book, or without size; left out",
}


def _finished(reading: _Reading, instrument: Instrument, terms: Terms, dialect: Dialect) -> Imported:
    if not any(reading.columns.snapshot):
        raise CallerError(
            f"the recording holds no snapshot of {instrument.symbol} to begin the book with; nothing was written. "
            "Record from the subscription on"
        )
    return finished(reading, instrument, terms, importer=dialect.name, notes=_NOTES)
