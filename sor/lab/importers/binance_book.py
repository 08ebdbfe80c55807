"""Binance's book messages fused into one sequence of book groups.

Book        The snapshot at update id L, then each diff with u > L, the first with pu <= L (spot: U - 1 <= L), every
            other with pu (U - 1) equal to the u before. What arrived before the snapshot is buffered and folded into
            it: the book became visible when the snapshot did.
Fusing      `@bookTicker` says the best of both sides after update u; a diff says every level that the updates U..u
            touched, as it stands after u. So both are put in order of u, a ticker before the diff that ends with it.
            A ticker sets its two levels, and all better ones are gone; a diff overwrites the levels it lists. It lists
            each level touched since the diff before, also where the size came back to what it was, so a diff never
            has to undo a ticker, and a level which only a ticker has shown (deeper than the snapshot went) stays.
            Where the best after a diff is not the last ticker's, that is counted; recordings had none.
Visible     Messages arrive almost in that order: each waits up to `REORDER_NS` for what belongs before it. What a
            later arrival pushes forward is seen later than it was, never earlier.
Lost        A break of the chain, a diff that comes after its place was left, or a crossed book: the tape gets a
            snapshot group without levels, and nothing more until another REST snapshot fits. Snapshots are tried in
            the order of arrival; one fits when no diff is missing after it and it does not cross the book.
Groups      Levels that do not change are left out, and so are groups without any: a diff whose news its tickers had
            already told leaves no group.
Sizes       Spot has orders older than its present quantity step; a level's size between two lots is rounded down, to at
            least one. A price off its step is refused.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, NamedTuple

import msgspec

from sor.errors import CallerError
from sor.instruments import Instrument
from sor.lab.importers.recording import TIME_NS_MAX, BookColumns, Steps
from sor.units import MS, NS

REORDER_NS = NS
"""How long a message waits for one with a smaller update id; recordings needed 17 ms."""
_WAITING_MAX = 100_000
_SNAPSHOTS_MAX = 64
"""Snapshots kept that were not needed or could not be tried yet; of more than that the oldest are forgotten."""
_OFF_SHARE_MAX = 0.01


class Market(StrEnum):
    """Which of the exchange's three books a recording is of."""

    USDM = "usdm"
    COINM = "coinm"
    SPOT = "spot"


# --- messages -----------------------------------------------------------------------------------------------------

Pairs = list[tuple[str, str]]
"""Levels as (price, quantity), both decimal text."""
Id = Annotated[int, msgspec.Meta(ge=0, lt=1 << 62)]
Millis = Annotated[int, msgspec.Meta(ge=0, le=TIME_NS_MAX // MS)]
"""Milliseconds since the epoch; what is outside is a malformed line, not a time that overflows a column."""


class Snapshot(msgspec.Struct, rename={"last_id": "lastUpdateId", "made_ms": "T"}):
    """The REST endpoint's answer, best levels first; `made_ms` is -1 on spot."""

    last_id: Id
    bids: Pairs
    asks: Pairs
    made_ms: Millis = -1


class Diff(
    msgspec.Struct,
    rename={
        "event_ms": "E",
        "made_ms": "T",
        "symbol": "s",
        "pair": "ps",
        "book": "st",
        "first_id": "U",
        "last_id": "u",
        "prev_id": "pu",
        "bids": "b",
        "asks": "a",
    },
):
    """`@depth`: the levels that the updates `first_id`..`last_id` touched, as they stand afterwards.

    made_ms, prev_id    -1 on spot, which has neither.
    pair, book          COIN-M always names the pair, such as BTCUSD; since 2026 USD-M does too, and both say which they
                        are: 1 USD-M, 2 COIN-M, 0 when it is not said.
    """

    event_ms: Millis
    symbol: str
    first_id: Id
    last_id: Id
    bids: Pairs
    asks: Pairs
    made_ms: Millis = -1
    pair: str = ""
    book: int = 0
    prev_id: Id = -1

    @property
    def market(self) -> Market:
        """Told by the fields: only the futures name the diff before, and only COIN-M is quoted in plain USD."""
        if self.prev_id < 0:
            return Market.SPOT
        return Market.COINM if self.book == 2 or (not self.book and self.pair.endswith("USD")) else Market.USDM


class Ticker(
    msgspec.Struct,
    gc=False,
    rename={
        "last_id": "u",
        "symbol": "s",
        "bid": "b",
        "bid_qty": "B",
        "ask": "a",
        "ask_qty": "A",
        "made_ms": "T",
        "event_ms": "E",
    },
):
    """`@bookTicker`: the best of both sides after update `last_id`; spot gives no time, then both are -1."""

    last_id: Id
    symbol: str
    bid: str
    bid_qty: str
    ask: str
    ask_qty: str
    made_ms: Millis = -1
    event_ms: Millis = -1


class Entry(NamedTuple):
    """A book message in its place: these sort by update id, a ticker before a diff, then by arrival."""

    last_id: int
    is_diff: bool
    arrival: int
    recv_ns: int
    message: Diff | Ticker


# --- the book -----------------------------------------------------------------------------------------------------


class Fuser:
    """Diffs, tickers and snapshots in, one sequence of book groups out; the module's docstring has the rules.

    counts     what happened, by the name of its finding; added to.
    columns    the groups; a venue time of -1 is one that spot did not give.
    """

    __slots__ = (
        "_ask",
        "_asks",
        "_bid",
        "_bids",
        "_chained",
        "_counts",
        "_diff_id",
        "_heap",
        "_live",
        "_lots",
        "_seen_id",
        "_snapshot_id",
        "_snapshots",
        "_spot",
        "_ticker",
        "_ticks",
        "_waiting",
        "columns",
    )

    def __init__(self, instrument: Instrument, counts: Counter[str], *, spot: bool) -> None:
        self.columns = BookColumns()
        self._ticks = Steps(instrument.tick_size, what="price")
        self._lots = Steps(instrument.lot_size, what="quantity", lenient=True)
        self._counts = counts
        self._spot = spot
        self._bids: dict[int, int] = {}
        self._asks: dict[int, int] = {}
        self._bid = self._ask = 0  # the best of each, 0 while there is none
        self._live = False
        self._chained = False  # whether a diff was applied since the snapshot
        self._snapshot_id = self._diff_id = self._seen_id = -1
        self._ticker: tuple[int, int, int, int] | None = None
        # With their receive times: not tried yet, or received while there is a book and newer than its last diff.
        self._snapshots: deque[tuple[int, Snapshot]] = deque(maxlen=_SNAPSHOTS_MAX)
        self._heap: list[Entry] = []
        self._waiting: deque[Entry] = deque(maxlen=_WAITING_MAX)  # in order, while there is no book

    def push(self, entry: Entry) -> None:
        """Take a diff or a ticker in the order of arrival."""
        heap = self._heap
        heapq.heappush(heap, entry)
        ripe = entry.recv_ns - REORDER_NS
        while heap[0].recv_ns <= ripe or len(heap) > _WAITING_MAX:
            self._release(heapq.heappop(heap))

    def push_snapshot(self, recv_ns: int, snapshot: Snapshot) -> None:
        """Take a REST snapshot; it is tried when all that came before it has had its time to arrive."""
        self._counts["snapshots"] += 1
        self._snapshots.append((recv_ns, snapshot))

    def finish(self) -> None:
        """Nothing more will come. Raises `CallerError` when so many sizes are off the lot that it must be wrong."""
        while self._heap:
            self._release(heapq.heappop(self._heap))
        while not self._live and self._snapshots:
            self._try_snapshot()
        sizes = self._lots
        self._counts["sizes_off_step"] = sizes.off
        if sizes.off > sizes.texts * _OFF_SHARE_MAX:
            raise CallerError(
                f"{sizes.off} of {sizes.texts} different quantities are off the lot of {sizes.step}; nothing was "
                f"written. State the right --lot"
            )

    def _release(self, entry: Entry) -> None:
        snapshots = self._snapshots
        while not self._live and snapshots and entry.recv_ns > snapshots[0][0]:
            self._try_snapshot()
        if not self._live:
            self._waiting.append(entry)
            return
        message = entry.message
        if isinstance(message, Ticker):
            if self._is_next_ticker(message) and self._set_ticker(message):
                self._close(entry)
        elif self._is_next_diff(entry, message):
            self._set_diff(message)
            if self._bid >= self._ask > 0:
                self.columns.drop_open()
                self._counts["crossed"] += 1
                self._lose(entry)
            else:
                self._close(entry)

    def _close(self, entry: Entry) -> None:
        self.columns.close(venue_ns=_venue_ns(entry.message), recv_ns=entry.recv_ns)

    # --- sequence ---

    def _is_next_ticker(self, ticker: Ticker) -> bool:
        if ticker.last_id > self._seen_id:
            return True
        self._counts["too_old" if ticker.last_id <= self._snapshot_id else "duplicates"] += 1
        return False

    def _is_next_diff(self, entry: Entry, diff: Diff) -> bool:
        if diff.last_id <= self._snapshot_id:
            self._counts["too_old"] += 1
        elif diff.last_id <= self._diff_id:
            self._counts["duplicates"] += 1
        elif not self._follows(diff, self._diff_id, chained=self._chained):
            self._counts["gaps"] += 1
            self._lose(entry)
        elif diff.last_id < self._seen_id:
            self._counts["late"] += 1
            self._lose(entry)
        else:
            while self._snapshots and self._snapshots[0][1].last_id <= diff.last_id:
                self._snapshots.popleft()  # the book is past it, and will not need it
            return True
        return False

    def _follows(self, diff: Diff, last_id: int, *, chained: bool) -> bool:
        before = diff.first_id - 1 if self._spot else diff.prev_id
        return before == last_id if chained else before <= last_id

    def _lose(self, entry: Entry) -> None:
        """The book is unknown from `entry` on, which may be the first that the next snapshot needs."""
        self.columns.close(venue_ns=_venue_ns(entry.message), recv_ns=entry.recv_ns, snapshot=True)
        self._live = False
        self._waiting.append(entry)

    def _try_snapshot(self) -> None:
        """Begin the book with the oldest snapshot at hand, if what was received before it fits it."""
        recv_ns, snapshot = self._snapshots.popleft()
        early = [entry for entry in self._heap if entry.recv_ns <= recv_ns]
        newer = [entry for entry in sorted([*self._waiting, *early]) if entry.last_id > snapshot.last_id]
        last_id, chained = snapshot.last_id, False
        for entry in newer:
            if isinstance(entry.message, Diff) and entry.last_id > last_id:
                if not self._follows(entry.message, last_id, chained=chained):
                    self._counts["snapshots_refused"] += 1
                    return
                last_id, chained = entry.last_id, True
        if not self._begin(snapshot, newer, recv_ns):
            self._counts["snapshots_refused"] += 1
            return
        self._counts["too_old"] += len(self._waiting) + len(early) - len(newer)
        self._heap[:] = [entry for entry in self._heap if entry.recv_ns > recv_ns]
        heapq.heapify(self._heap)
        self._waiting.clear()
        self._live = True
        self._diff_id, self._chained = last_id, chained

    def _begin(self, snapshot: Snapshot, newer: Sequence[Entry], recv_ns: int) -> bool:
        """Set the book to a snapshot and what is newer, and make a group of it; False when that is no sound book."""
        ticks, lots, columns = self._ticks, self._lots, self.columns
        self._bids = {ticks[price]: lots[qty] for price, qty in snapshot.bids if lots[qty]}
        self._asks = {ticks[price]: lots[qty] for price, qty in snapshot.asks if lots[qty]}
        self._bid, self._ask = max(self._bids, default=0), min(self._asks, default=0)
        self._ticker = None
        self._snapshot_id = self._seen_id = snapshot.last_id
        venue_ns = snapshot.made_ms * MS if snapshot.made_ms >= 0 else -1
        for entry in newer:
            if isinstance(entry.message, Diff):
                self._set_diff(entry.message)
            else:
                self._set_ticker(entry.message)
            venue_ns = max(venue_ns, _venue_ns(entry.message))
        columns.drop_open()
        if self._bid >= self._ask > 0:
            return False
        for side, book in ((1, self._bids), (-1, self._asks)):
            for price in sorted(book, reverse=side > 0):
                columns.side.append(side)
                columns.ticks.append(price)
                columns.lots.append(book[price])
        columns.close(venue_ns=venue_ns, recv_ns=recv_ns, snapshot=True)
        return True

    # --- levels ---

    def _set_ticker(self, ticker: Ticker) -> bool:
        """Apply the best of both sides; False when it makes no sense."""
        bid, bid_lots = self._ticks[ticker.bid], self._lots[ticker.bid_qty]
        ask, ask_lots = self._ticks[ticker.ask], self._lots[ticker.ask_qty]
        if not (0 < bid < ask and bid_lots and ask_lots):
            self._counts["odd_tickers"] += 1
            return False
        self._set_best(self._bids, self._bid, ticks=bid, lots=bid_lots, side=1)
        self._set_best(self._asks, self._ask, ticks=ask, lots=ask_lots, side=-1)
        self._bid, self._ask = bid, ask
        self._ticker = bid, bid_lots, ask, ask_lots
        self._seen_id = ticker.last_id
        return True

    def _set_best(self, book: dict[int, int], best: int, *, ticks: int, lots: int, side: int) -> None:
        columns = self.columns
        better = (best - ticks) * side if best else 0
        if better > 0:
            gone: Sequence[int] = range(best, ticks, -side)  # best first, whichever way they are found
            if better > len(book):
                gone = sorted((one for one in book if (one - ticks) * side > 0), reverse=side > 0)
            for price in gone:
                if book.pop(price, 0):
                    columns.side.append(side)
                    columns.ticks.append(price)
                    columns.lots.append(0)
        if book.get(ticks) != lots:
            book[ticks] = lots
            columns.side.append(side)
            columns.ticks.append(ticks)
            columns.lots.append(lots)

    def _set_diff(self, diff: Diff) -> None:
        """Apply every level that `diff` lists, and compare the best with the last ticker's."""
        bids, asks = self._bids, self._asks
        self._bid = self._set_side(bids, diff.bids, self._bid, side=1)
        self._ask = self._set_side(asks, diff.asks, self._ask, side=-1)
        self._diff_id = diff.last_id
        self._seen_id = max(self._seen_id, diff.last_id)
        self._chained = True
        if self._ticker is not None:
            best = (self._bid, bids.get(self._bid, 0), self._ask, asks.get(self._ask, 0))
            self._counts["best_disagreed"] += best != self._ticker

    def _set_side(self, book: dict[int, int], pairs: Pairs, best: int, *, side: int) -> int:
        """Apply one side's levels; the best price afterwards, 0 when the side is empty."""
        to_ticks, to_lots = self._ticks, self._lots
        add_side, add_ticks, add_lots = self.columns.side.append, self.columns.ticks.append, self.columns.lots.append
        fell = False
        for price, qty in pairs:
            ticks, lots = to_ticks[price], to_lots[qty]
            if lots:
                if book.get(ticks) == lots:
                    continue
                book[ticks] = lots
                if (ticks - best) * side > 0 or not best:
                    best = ticks
            elif book.pop(ticks, 0):
                fell = fell or ticks == best
            else:
                continue
            add_side(side)
            add_ticks(ticks)
            add_lots(lots)
        if not fell:
            return best
        return max(book, default=0) if side > 0 else min(book, default=0)


def _venue_ns(message: Diff | Ticker) -> int:
    """The venue's time of a book message, -1 for a spot ticker."""
    if message.made_ms >= 0:
        return message.made_ms * MS
    return message.event_ms * MS if isinstance(message, Diff) else -1
