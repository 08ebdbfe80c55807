"""A tape: one instrument's recorded market as a directory of `.npy` columns and a manifest; numpy alone reads it.

Books are level changes in groups: all changes of one group became visible at one instant. Times are the venue's
(`*_venue_ns`) and the recorder's after its constant clock offset is removed (`*_recv_ns`), both ns since the epoch,
and neither ever goes back. Trades of a group's instant come before the group: a trade meets the book as it was.
"""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from sor.instruments import Instrument

IntColumn = NDArray[np.int64]
ByteColumn = NDArray[np.int8]


class Tape(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Columns of one recording. G groups of book changes, L level changes, T trades.

    name             the directory's name.
    digest           sha256 over the columns' bytes in a fixed order, 16 hex characters.
    group_venue_ns   (G,) int64, non-decreasing. group_recv_ns: (G,), non-decreasing.
    group_first      (G+1,) int64: the level changes of group g are [group_first[g], group_first[g+1]).
    group_snapshot   (G,) int8: 1 where the group replaces the whole book.
    level_side       (L,) int8: +1 bid, -1 ask.
    level_ticks      (L,) int64. level_lots: (L,) int64, the new total size at that price, 0 removes it.
    trade_venue_ns   (T,) int64, non-decreasing. trade_recv_ns likewise.
    trade_side       (T,) int8: the aggressor, +1 buyer.
    trade_ticks      (T,) int64. trade_lots: (T,) int64 > 0.
    """

    name: str
    digest: str
    instrument: Instrument
    group_venue_ns: IntColumn
    group_recv_ns: IntColumn
    group_first: IntColumn
    group_snapshot: ByteColumn
    level_side: ByteColumn
    level_ticks: IntColumn
    level_lots: IntColumn
    trade_venue_ns: IntColumn
    trade_recv_ns: IntColumn
    trade_side: ByteColumn
    trade_ticks: IntColumn
    trade_lots: IntColumn
