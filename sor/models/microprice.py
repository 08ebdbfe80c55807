"""The fitted micro-price at run time: a small table by spread and imbalance, looked up in whole numbers (methods 3).

`sor.lab.microprice` learns it from a tape; this is what a policy reads. Two things hold whatever was learnt: the
mirrored book has the mirrored micro-price, exactly, and the micro-price lies within the touch.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from sor.errors import CallerError
from sor.features import Features


class MicroPriceTable(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Micro-price minus mid, by state. Make it by `table_of`, which sees to its symmetry and bounds.

    adjust_ticks    row s is the spread of s + 1 ticks, column b the b-th of equally wide bins of the bid's share.
    step_ns         between two looks of what it was learnt from.
    """

    adjust_ticks: tuple[tuple[float, ...], ...]
    step_ns: int

    def adjust(self, *, bid_lots: int, ask_lots: int, spread_ticks: int) -> float | None:
        """Micro-price minus mid in ticks; None where the spread is wider than was learnt, or the book crossed.

        bid_lots, ask_lots    at the touch, > 0. A share on the edge of two bins has the mean of both, so that the
                              mirrored book has the same with the other sign.
        """
        rows = self.adjust_ticks
        if not 0 < spread_ticks <= len(rows):
            return None
        row = rows[spread_ticks - 1]
        at, beyond = divmod(len(row) * bid_lots, bid_lots + ask_lots)
        if beyond or not at:
            return row[at]
        return row[at - 1] if at == len(row) else (row[at - 1] + row[at]) / 2.0

    def price_ticks(self, features: Features) -> float | None:
        """The micro-price in ticks, within the touch; None as for `adjust`."""
        adjust = self.adjust(
            bid_lots=features.bid_touch_lots,
            ask_lots=features.ask_touch_lots,
            spread_ticks=features.spread_ticks,
        )
        return None if adjust is None else features.mid_hticks / 2.0 + adjust


def table_of(adjust_ticks: Sequence[Sequence[float]], *, step_ns: int) -> MicroPriceTable:
    """The table of what was learnt: what is not antisymmetric in it is left out, what is beyond the touch cut off.

    adjust_ticks    row s is the spread of s + 1 ticks; rows of one length, at least two.
    Raises          CallerError for rows that are no table, or numbers that are none.
    """
    widths = {len(row) for row in adjust_ticks}
    if len(widths) != 1 or widths <= {0, 1}:
        raise CallerError(f"a micro-price table has rows of one length, two at least, not {sorted(widths)}")
    if any(value != value for row in adjust_ticks for value in row):  # noqa: PLR0124 - NaN is not itself
        raise CallerError("a micro-price table has a number in every place; there is a NaN")
    rows = []
    for row, adjusts in enumerate(adjust_ticks):
        half = (row + 1) / 2.0
        odd = [(ours - mirrored) / 2.0 for ours, mirrored in zip(adjusts, reversed(adjusts), strict=True)]
        rows.append(tuple(max(-half, min(half, value)) for value in odd))
    return MicroPriceTable(adjust_ticks=tuple(rows), step_ns=step_ns)
