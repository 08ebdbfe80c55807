"""A recording as one parent after another looks at it and trades on it in the lane of policies.

Looks carry what a live one does, levels from the tables of the replay kernel; features are worked out when they are
read, as many policies never read them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from struct import Struct
from typing import Final, NamedTuple

import numpy as np

from sor.features import Features
from sor.instruments import Instrument
from sor.lab.columns import FeatureColumns, columns_of
from sor.lab.sweep.compiled import Kernel
from sor.lab.sweep.kernel import NEVER, Floats, Ints
from sor.lab.sweep.steps import blank_levels
from sor.lab.sweep.tables import packed
from sor.market import Levels, MarketView, Trust
from sor.revisit import Trigger
from sor.tape import Tape

_OK: Final = Trust.OK
_TRUSTS: Final = (Trust.EMPTY, Trust.OK, Trust.CROSSED)
"""What the codes of the tables mean."""
_pairs = Struct("2q").iter_unpack
_PAIR: Final = 16
"""Reads price and size, so many bytes, out of a look: quicker than lists of them that are zipped."""


class Bound(NamedTuple):
    """The functions of `sor.lab.sweep.steps`, with the tables that they read."""

    looked: Callable[[int, int, Ints], tuple[int, int, int, int, int]]
    opposite_at: Callable[[int, int, int], tuple[int, int]]
    rested: Callable[[Ints, Floats, int, int, int, int, int, int], None]
    walked: Callable[[Ints, Floats, Ints, int, int, int], int]
    awaited: Callable[[Ints, Floats, int], int]
    met: Callable[[int, int, int, int, Ints], int]
    stands: Callable[[Ints, Floats, int, int], None]
    stood: Callable[[Ints, Floats, int], int]


class SeenMarket(MarketView, frozen=True, gc=False, array_like=True):
    """A `MarketView` whose features are worked out when they are read; equal to it field by field."""

    ground: Ground | None = None
    now_ns: int = 0

    @property  # type: ignore[misc]  # the field of the base is never read
    def features(self) -> Features | None:
        """As known then; None unless the book may be trusted."""
        return self.ground.features(self.now_ns) if self.ground is not None and self.trust is _OK else None


class Ground:
    """One recording under one delay of its market data.

    steps     the kernel's functions on its tables. end_ns: local time of the last event.
    """

    def __init__(self, tape: Tape, kernel: Kernel, *, feed_ns: int) -> None:
        """Raises `CallerError` for a recording without a book."""
        self.tape = tape
        self._group_local_ns = tape.group_venue_ns + feed_ns
        self._trade_local_ns = tape.trade_venue_ns + feed_ns
        tables = packed(tape, kernel, group_local_ns=self._group_local_ns, trade_local_ns=self._trade_local_ns)
        self.steps = Bound(*(partial(getattr(kernel, name), tables) for name in Bound._fields))
        snapshots = np.flatnonzero(tape.group_snapshot)
        self.first_group = int(snapshots[0]) if len(snapshots) else len(tape.group_venue_ns)
        self.end_ns = max(column.item(-1) for column in (self._group_local_ns, self._trade_local_ns) if len(column))
        self._columns: FeatureColumns | None = None
        self._feed_ns = feed_ns
        self._looked = self.steps.looked
        self._levels = blank_levels()
        self._bids, self._asks = (memoryview(side).cast("B") for side in self._levels)
        self._features: tuple[int, Features | None] = (-1, None)

    @property
    def columns(self) -> FeatureColumns:
        """The features of the whole recording, worked out once when they are first read."""
        if self._columns is None:
            self._columns = columns_of(
                self.tape, group_local_ns=self._group_local_ns, trade_local_ns=self._trade_local_ns
            )
        return self._columns

    def features(self, now_ns: int) -> Features | None:
        """All features at an instant; None unless the book may be trusted."""
        if self._features[0] != now_ns:
            self._features = now_ns, self.columns.at(now_ns).features
        return self._features[1]

    def view(self, now_ns: int, instrument: Instrument, low: int) -> tuple[MarketView, int]:
        """What is known at `now_ns`, and the last group in it; `low` as for the kernel's `looked`."""
        group, venue_ns, trust, bid_count, ask_count = self._looked(now_ns, low, self._levels)
        if group < self.first_group:
            return MarketView(instrument.venue, instrument.symbol, _TRUSTS[0], 0, 0, (), (), None, None), group
        bids: Levels = tuple(_pairs(self._bids[: _PAIR * bid_count]))
        asks: Levels = tuple(_pairs(self._asks[: _PAIR * ask_count]))
        view = SeenMarket(
            instrument.venue,
            instrument.symbol,
            _TRUSTS[trust],
            int(venue_ns),
            int(venue_ns) + self._feed_ns,
            bids,
            asks,
            None,
            None,
            0,
            None,
            self,
            now_ns,
        )
        return view, group

    def next_trigger(self, now_ns: int, trigger: Trigger, market: MarketView) -> int:
        """Local time after `now_ns` at which any condition comes true that does not hold in `market`, or `NEVER`."""
        columns = self.columns
        from_ns: int | None = now_ns
        features = market.features
        if features is not None:
            value = getattr(features, trigger.feature)
            if value > trigger.level if trigger.above else value < trigger.level:
                from_ns = columns.next_trigger(now_ns, trigger, holds=False)
        found = None if from_ns is None else columns.next_trigger(from_ns, trigger, holds=True)
        return NEVER if found is None else found
