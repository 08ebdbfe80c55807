"""A book kept from a venue's snapshots and changes, with best quotes laid over it until the next change.

Chain       A change fits where its `prev_seq` is the last `seq`. One told twice is left out; any other lost the book,
            and so does a checksum that is not that of our levels. Nothing is known then until the next snapshot.
Beside      Where the snapshot is a REST answer, changes are held until it comes: those that it has already are left
            out, the first that reaches over it fits, and from there on the chain holds. An answer to a book that is
            known is not used.
Quotes      A best quote that is newer than the book (by the venue's own order of both, not by arrival) shows what the
            next change will bring: its two levels stand, and better ones are hidden. It is laid over the book and not
            put into it, as a change lists only what differs from the change before: what came back to its old size in
            between is never mentioned again. The next change or snapshot takes it off.
Groups      Levels that do not look different are left out.
"""

from __future__ import annotations

import zlib
from collections import Counter, deque
from heapq import nlargest, nsmallest

from sor.lab.importers.recording import BookColumns, Steps
from sor.lab.importers.said import BookSaid, Pairs, QuoteSaid

_CHECKED_LEVELS = 25
_HELD_MAX = 10_000
"""Changes that are held for a snapshot; of more the oldest are left out. At Gate's ten a second: 17 minutes."""
_Place = tuple[int, int]
"""(side, ticks)"""


class SocketBook:
    """The book of one instrument, writing groups to `columns` and counting into `counts`."""

    def __init__(self, columns: BookColumns, counts: Counter[str], *, ticks: Steps, lots: Steps) -> None:
        self._columns = columns
        self._counts = counts
        self._ticks = ticks
        self._lots = lots
        self._book: dict[_Place, int] = {}
        self._texts: dict[_Place, tuple[str, str]] = {}  # as they came, which is what checksums are made of
        self._over: dict[_Place, int] = {}  # what is shown instead of `_book`
        self._live = False
        self._joins = False  # the snapshot came beside the stream, and no change has followed it yet
        self._held: deque[tuple[BookSaid, int]] = deque(maxlen=_HELD_MAX)
        self._last = (-1, -1)
        self._order = -1

    def take(self, said: BookSaid, *, recv_ns: int) -> None:
        """A snapshot or a change, in the order of arrival."""
        if said.snapshot:
            if said.beside and self._live:
                self._counts["snapshots_unused"] += 1
                return
            self._counts["snapshots"] += 1
            self._begin(said)
        elif not self._live:
            self._hold(said, recv_ns)
            return
        elif self._joins and said.seq <= self._last[1]:
            self._counts["too_old"] += 1
            return
        elif not self._follows(said):
            if (said.prev_seq, said.seq) == self._last:
                self._counts["duplicates"] += 1
            else:
                self._counts["gaps"] += 1
                self.lose(venue_ns=said.venue_ns, recv_ns=recv_ns)
                self._hold(said, recv_ns)
            return
        else:
            self._joins = False
            self._counts["changes"] += 1
            self._change(said)
        self._last, self._order = (said.prev_seq, said.seq), said.order
        if said.checksum is not None and not self._sums_up(said.checksum):
            self._columns.drop_open()
            self._counts["checksums_wrong"] += 1
            self.lose(venue_ns=said.venue_ns, recv_ns=recv_ns)
            return
        self._columns.close(venue_ns=said.venue_ns, recv_ns=recv_ns, snapshot=said.snapshot)
        if said.snapshot:
            self._release(said, recv_ns)

    def _follows(self, said: BookSaid) -> bool:
        last = self._last[1]
        return said.prev_seq < 0 or said.prev_seq == last or (self._joins and said.prev_seq < last)

    def _hold(self, said: BookSaid, recv_ns: int) -> None:
        """A change without a book, which a snapshot from beside the stream may still be of."""
        self._counts["unplaced"] += 1
        if said.prev_seq >= 0:
            self._held.append((said, recv_ns))

    def _release(self, snapshot: BookSaid, recv_ns: int) -> None:
        """Take what was held after its snapshot; it is known since the snapshot is."""
        held = list(self._held)
        self._held.clear()
        self._joins = snapshot.beside
        if snapshot.beside:
            self._counts["unplaced"] -= len(held)
            for change, at_ns in held:
                self.take(change, recv_ns=max(at_ns, recv_ns))

    def quote(self, said: QuoteSaid, *, recv_ns: int) -> None:
        """The best of both sides; used where it is known to be newer than the book."""
        self._counts["quotes"] += 1
        if not self._live or said.order < 0 or said.order <= self._order:
            self._counts["quotes_unused"] += 1
            return
        bid, ask = (1, self._ticks[said.bid]), (-1, self._ticks[said.ask])
        over = {bid: self._lots[said.bid_qty], ask: self._lots[said.ask_qty]}
        if not (0 < bid[1] < ask[1] and all(over.values())):
            self._counts["quotes_odd"] += 1
            return
        for side, ticks in self._book:
            best = bid[1] if side > 0 else ask[1]
            if (ticks - best) * side > 0:
                over[side, ticks] = 0
        before = {place: self._shown(place) for place in [*self._over, *over]}
        self._over, self._order = over, said.order
        self._show(before)
        self._columns.close(venue_ns=said.venue_ns, recv_ns=recv_ns)

    def lose(self, *, venue_ns: int, recv_ns: int) -> None:
        """The book is unknown until the next snapshot."""
        if self._live:
            self._columns.close(venue_ns=venue_ns, recv_ns=recv_ns, snapshot=True)
        self._live = False

    def _begin(self, said: BookSaid) -> None:
        self._book.clear()
        self._texts.clear()
        self._over.clear()
        self._set(said)
        self._live = True
        for place in sorted(self._book, key=lambda one: (-one[0], -one[0] * one[1])):
            self._add(place, self._book[place])

    def _change(self, said: BookSaid) -> None:
        """Take the quote off, apply the levels, and show what looks different."""
        named = [(side, self._ticks[price]) for side, pairs in _both(said) for price, _ in pairs]
        before = {place: self._shown(place) for place in [*named, *self._over]}
        self._over.clear()
        self._set(said)
        self._show(before)

    def _set(self, said: BookSaid) -> None:
        keeps_texts = said.checksum is not None
        for side, pairs in _both(said):
            for price, qty in pairs:
                place, lots = (side, self._ticks[price]), self._lots[qty]
                if lots:
                    self._book[place] = lots
                    if keeps_texts:
                        self._texts[place] = price, qty
                else:
                    self._book.pop(place, None)
                    self._texts.pop(place, None)

    def _shown(self, place: _Place) -> int:
        lots = self._over.get(place)
        return self._book.get(place, 0) if lots is None else lots

    def _show(self, before: dict[_Place, int]) -> None:
        for place, was in before.items():
            now = self._shown(place)
            if now != was:
                self._add(place, now)

    def _add(self, place: _Place, lots: int) -> None:
        columns = self._columns
        columns.side.append(place[0])
        columns.ticks.append(place[1])
        columns.lots.append(lots)

    def _sums_up(self, checksum: int) -> bool:
        """Whether our best levels have this CRC32: bid and ask by turns, price and size as the venue spelt them."""
        bids = nlargest(_CHECKED_LEVELS, (place for place in self._book if place[0] > 0))
        asks = nsmallest(_CHECKED_LEVELS, (place for place in self._book if place[0] < 0))
        parts: list[str] = []
        for at in range(max(len(bids), len(asks))):
            for side in (bids, asks):
                if at < len(side):
                    parts.extend(self._texts[side[at]])
        self._counts["checksums"] += 1
        return zlib.crc32(":".join(parts).encode()) == checksum & 0xFFFFFFFF


def _both(said: BookSaid) -> tuple[tuple[int, Pairs], tuple[int, Pairs]]:
    return (1, said.bids), (-1, said.asks)
