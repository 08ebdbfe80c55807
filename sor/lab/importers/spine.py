"""What importers of plain message logs share: trades that grow, times put in order, findings, the finished tape.

An importer fills a `Reading` line by line and hands it to `finished` with sentences for what it counted.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping

import numpy as np

from sor.errors import CallerError
from sor.instruments import Instrument
from sor.lab.importers.crossing import uncrossed
from sor.lab.importers.recording import (
    OFFSET_PERCENTILE,
    BookColumns,
    Imported,
    Terms,
    TradeColumns,
    byte_column,
    estimated_offset,
    forwards,
    int_column,
    recv_times,
)
from sor.tape import Finding, IntColumn


class TradeRows:
    """Trades, growing; times as they came."""

    __slots__ = ("lots", "recv_ns", "side", "ticks", "venue_ns")

    def __init__(self) -> None:
        self.venue_ns = array("q")
        self.recv_ns = array("q")
        self.side = array("b")
        self.ticks = array("q")
        self.lots = array("q")

    def add(self, *, venue_ns: int, recv_ns: int, side: int, ticks: int, lots: int) -> None:
        """One trade; `side` is the aggressor's."""
        self.venue_ns.append(venue_ns)
        self.recv_ns.append(recv_ns)
        self.side.append(side)
        self.ticks.append(ticks)
        self.lots.append(lots)

    def columns(self, order: IntColumn, offset_ns: int) -> tuple[TradeColumns, int, int]:
        """The rows `order` names, in that order, and how many venue times went back and receive times were raised.

        offset_ns    what the recorder's clock is ahead.
        """
        venue, back = forwards(int_column(self.venue_ns)[order])
        recv, raised = recv_times(int_column(self.recv_ns)[order] - offset_ns, venue)
        sides, ticks, lots = byte_column(self.side), int_column(self.ticks), int_column(self.lots)
        return TradeColumns(venue, recv, sides[order], ticks[order], lots[order]), back, raised


class Reading:
    """What is collected while the lines of a recording go by.

    latency_ns    receive time - event time of messages, clock offset included; empty where nobody's clock but one is.
    bad_lines     where the first lines are that could not be read.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.columns = BookColumns()
        self.trades = TradeRows()
        self.latency_ns = array("q")
        self.bad_lines = ""


COMMON_NOTES: Mapping[str, str] = {
    "crossed": "groups that crossed the book; without --repair it is lost from each to the next snapshot",
    "crossed_repaired": "of these, repaired: levels that the group contradicted were taken away",
    "times_back": "groups told after a later one; raised to its time",
    "recv_raised": "receive times before the venue's, or before an earlier message's; raised",
    "malformed": "lines that could not be read; left out",
    "torn": "files that end in the middle of a line or of their compression",
}


def finished(
    reading: Reading,
    instrument: Instrument,
    terms: Terms,
    *,
    importer: str,
    notes: Mapping[str, str],
    clocks_agree: bool = False,
) -> Imported:
    """The tape of a reading: trades by venue time, times that never go back, no crossed book.

    notes           a sentence for each thing counted, `COMMON_NOTES` apart.
    clocks_agree    whoever made the recording has set the clocks right: nothing is taken off unless it is stated.
    Raises          CallerError where a clock offset is stated of a recording that has one clock only.
    """
    counts, columns, rows = reading.counts, reading.columns, reading.trades
    one_clock = not len(reading.latency_ns)
    if one_clock and terms.clock_offset_ns is not None:
        raise CallerError("the recording has one clock only; nothing was written. Leave --clock-offset-ns out")
    offset = terms.clock_offset_ns or 0
    estimated = terms.clock_offset_ns is None and not (one_clock or clocks_agree)
    if estimated:
        offset = estimated_offset(int_column(reading.latency_ns))
    group_venue, group_back = forwards(int_column(columns.venue_ns))
    group_recv, group_raised = recv_times(int_column(columns.recv_ns) - offset, group_venue)
    trades, _, trade_raised = rows.columns(np.argsort(int_column(rows.venue_ns), kind="stable"), offset)
    whole = columns.tape(instrument, trades, venue_ns=group_venue, recv_ns=group_recv)
    tape, counts["crossed"], counts["crossed_repaired"], first_ns = uncrossed(whole, repair=terms.repair)
    counts["times_back"] += group_back
    counts["recv_raised"] += group_raised + trade_raised
    told = {**notes, **COMMON_NOTES}
    if reading.bad_lines:
        told["malformed"] += f": {reading.bad_lines}"
    if first_ns:
        told["crossed"] += f"; the first at {first_ns} ns"
    return Imported(
        tape=tape,
        importer=importer,
        clock_offset_ns=offset,
        findings=(
            *(Finding(what, counts[what], note) for what, note in told.items()),
            Finding("clock_offset_ns", offset, _told_offset(one_clock=one_clock, estimated=estimated)),
        ),
    )


def _told_offset(*, one_clock: bool, estimated: bool) -> str:
    if one_clock:
        return "the recording has one clock only: receive times are those of the venue"
    how = f"estimated, percentile {OFFSET_PERCENTILE:g} of receive time - event time" if estimated else "as stated"
    return f"subtracted from the recorder's clock; {how}"
