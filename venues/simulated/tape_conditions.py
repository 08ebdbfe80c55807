"""When the market conditions of a `Revisit` come true on a recording.

Best prices move at a few groups out of a hundred, so those alone are kept to be searched. What was looked up of a
trigger is remembered with the recording: the many parents of a replay ask for the same few levels again and again, and
a level that is never reached would otherwise be searched for to the end each time.
"""

from __future__ import annotations

from bisect import bisect_right

import numpy as np

from sor.lab.columns import TRUSTS, FeatureColumns
from sor.market import MarketView, Trust
from sor.revisit import Trigger

NEVER = 1 << 62
"""Later than every event."""
_WALK = 1 << 6
"""Moves of a best price that are gone through one by one, before whole stretches of them are."""
_REMEMBERED = 1 << 10
"""Conditions whose times are kept; all are forgotten when there are more."""


class _Hits:
    """Times at which one condition came true, as far as they have been asked for.

    Between from_ns[i] and until_ns[i] the answer is until_ns[i]; both ascend, and the stretches do not overlap.
    """

    __slots__ = ("from_ns", "until_ns")

    def __init__(self) -> None:
        self.from_ns: list[int] = []
        self.until_ns: list[int] = []


class TapeConditions:
    """When the conditions of a `Revisit` come true on one recording; shared by all feeds of it."""

    __slots__ = ("_asks", "_best", "_bids", "_columns", "_hits", "_moves", "_sound_ns", "_trust_ns")

    def __init__(self, columns: FeatureColumns) -> None:
        self._columns = columns
        self._hits: dict[tuple[Trigger, bool], _Hits] = {}
        # Nothing is known before the first group.
        changes = np.flatnonzero(np.diff(columns.trust, prepend=np.int8(TRUSTS.index(Trust.EMPTY))))
        self._trust_ns: list[int] = columns.group_local_ns[changes].tolist()
        # Sound groups: when each was known. Moves: which of those left other best prices than the one before, and which
        # prices those were.
        sound = np.flatnonzero(columns.trust == TRUSTS.index(Trust.OK))
        best = np.stack((columns.bid_ticks[sound, 0], columns.ask_ticks[sound, 0])).astype(np.int64)
        moves = np.flatnonzero(np.diff(best, prepend=0).any(axis=0))
        self._best = best[:, moves]
        self._sound_ns = columns.group_local_ns[sound].data
        self._moves = moves.data
        self._bids = self._best[0].data
        self._asks = self._best[1].data

    def next_trust_change(self, after_ns: int) -> int:
        """Local time of the next change of trust after `after_ns`, `NEVER` when there is none."""
        at = bisect_right(self._trust_ns, after_ns)
        return self._trust_ns[at] if at < len(self._trust_ns) else NEVER

    def next_best_move(self, after_ns: int, *, seen: MarketView, at_least_ticks: int) -> int:
        """Local time of the first sound book after `after_ns` with a best price so far from those in `seen`."""
        if not seen.bids or not seen.asks:
            return NEVER
        at = bisect_right(self._sound_ns, after_ns)
        if at == len(self._sound_ns):
            return NEVER
        bid_ticks, ask_ticks = seen.bids[0][0], seen.asks[0][0]
        bids, asks = self._bids, self._asks
        # The first sound group after `after_ns` shows what the latest move by then left; from there on only moves do.
        first = bisect_right(self._moves, at) - 1
        stop = min(first + _WALK, len(bids))
        for move in range(first, stop):
            if abs(bids[move] - bid_ticks) >= at_least_ticks or abs(asks[move] - ask_ticks) >= at_least_ticks:
                return self._sound_ns[max(at, self._moves[move])]
        size = _WALK
        while stop < len(bids):
            size *= 2
            there = self._best[:, stop : stop + size]
            far = (np.abs(there - np.array([[bid_ticks], [ask_ticks]])) >= at_least_ticks).any(axis=0)
            if far.any():
                return self._sound_ns[self._moves[stop + int(far.argmax())]]
            stop += size
        return NEVER

    def next_trigger(self, after_ns: int, trigger: Trigger, *, holds: bool) -> int:
        """Local time of the first event after `after_ns` at which `trigger` holds, or does not."""
        hits = self._hits.get((trigger, holds))
        if hits is None:
            if len(self._hits) >= _REMEMBERED:
                self._hits.clear()
            hits = self._hits[trigger, holds] = _Hits()
        at = bisect_right(hits.until_ns, after_ns)
        known = at < len(hits.until_ns)
        if known and hits.from_ns[at] <= after_ns:
            return hits.until_ns[at]
        found = self._columns.next_trigger(after_ns, trigger, holds=holds)
        until_ns = NEVER if found is None else found
        if known and hits.until_ns[at] == until_ns:
            hits.from_ns[at] = after_ns
        else:
            hits.from_ns.insert(at, after_ns)
            hits.until_ns.insert(at, until_ns)
        return until_ns
