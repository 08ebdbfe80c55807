"""A tape as a person looks at it: its first events one by one, or the whole in as many stretches as fit a screen.

All times are the venue's. What is drawn is what the tape holds: a stretch in which the book was lost says so.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec
import numpy as np
from numpy.typing import NDArray

from sor.errors import CallerError
from sor.lab.both_sides import BothSides
from sor.lab.charts import Band, Line, chart, document
from sor.lab.columns import TRUSTS, columns_of
from sor.market import Trust
from sor.tape import Tape
from sor.units import NS

STRETCHES_MAX = 2_000
_OK = TRUSTS.index(Trust.OK)

Floats = NDArray[np.float64]


class What(StrEnum):
    """What an event of a tape is."""

    SNAPSHOT = "snapshot"
    CHANGE = "change"
    LOST = "lost"
    BUY = "buy"
    SELL = "sell"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One group, or one trade, and the best of both sides after it: (ticks, lots), None where a side is empty.

    levels         how many levels a group changed. ticks, lots: of a trade.
    recv_after_ns  how long after `venue_ns` the recorder had it.
    """

    venue_ns: int
    recv_after_ns: int
    what: What
    levels: int = 0
    ticks: int = 0
    lots: int = 0
    bid: tuple[int, int] | None
    ask: tuple[int, int] | None


def head(tape: Tape, count: int) -> tuple[Row, ...]:
    """The first `count` events in the order of the tape: trades before the group of the same instant."""
    groups, trades = tape.group_venue_ns[:count].tolist(), tape.trade_venue_ns[:count].tolist()
    order = sorted([(at, 0, no) for no, at in enumerate(trades)] + [(at, 1, no) for no, at in enumerate(groups)])
    book, known = BothSides(), False
    rows: list[Row] = []
    for at, is_group, no in order[:count]:
        what, levels, ticks, lots = What.CHANGE, 0, 0, 0
        if is_group:
            begin, end = tape.group_first[no : no + 2].tolist()
            levels = end - begin
            if tape.group_snapshot[no]:
                book.clear()
                known = levels > 0
                what = What.SNAPSHOT if levels else What.LOST
            for level in range(begin, end):
                book.put(int(tape.level_side[level]), int(tape.level_ticks[level]), int(tape.level_lots[level]))
            recv = int(tape.group_recv_ns[no])
        else:
            what = What.BUY if tape.trade_side[no] > 0 else What.SELL
            ticks, lots, recv = int(tape.trade_ticks[no]), int(tape.trade_lots[no]), int(tape.trade_recv_ns[no])
        rows.append(
            Row(
                venue_ns=at,
                recv_after_ns=recv - at,
                what=what,
                levels=levels,
                ticks=ticks,
                lots=lots,
                bid=(book.bid, book.bids[book.bid]) if known and book.bid else None,
                ask=(book.ask, book.asks[book.ask]) if known and book.ask else None,
            )
        )
    return tuple(rows)


class Stretches(msgspec.Struct, frozen=True, kw_only=True):
    """A tape cut into N stretches of equal length, in units of the instrument; NaN where the book was never sound.

    begin_ns, each_ns   of the first stretch, and how long each is.
    mid_*               (N,) of the mid: least, most, and at the end. spread_ticks: (N,) mean over the groups in it.
    bought, sold        (N,) quantity that aggressors took.
    lost                (N,) bool: the book was lost at some time in it.
    """

    begin_ns: int
    each_ns: int
    mid_least: Floats
    mid_most: Floats
    mid_last: Floats
    spread_ticks: Floats
    bought: Floats
    sold: Floats
    lost: NDArray[np.bool_]


def stretches(tape: Tape, count: int) -> Stretches:
    """The whole tape in `count` stretches. Raises `CallerError` for a tape without a book, or a senseless count."""
    if not 1 <= count <= STRETCHES_MAX:
        raise CallerError(f"{count} stretches: draw between 1 and {STRETCHES_MAX}; nothing was drawn")
    columns = columns_of(tape, group_local_ns=tape.group_venue_ns, trade_local_ns=tape.trade_venue_ns)
    sound = np.flatnonzero(columns.trust == _OK)
    if not len(sound):
        raise CallerError(f"tape {tape.name} has no sound book at any time; there is nothing to draw")
    begin, end = int(tape.group_venue_ns[0]), int(tape.group_venue_ns[-1]) + 1
    each = -(-(end - begin) // count)
    edges = begin + each * np.arange(count + 1)
    instrument = tape.instrument
    tick, lot = float(instrument.tick_size), float(instrument.lot_size)
    bid, ask = columns.bid_ticks[sound, 0].astype(np.int64), columns.ask_ticks[sound, 0].astype(np.int64)
    mids: Floats = (bid + ask) * tick / 2
    at = tape.group_venue_ns[sound].searchsorted(edges)
    nothing = np.full(count, np.nan)
    least, most, last, spread = nothing.copy(), nothing.copy(), nothing.copy(), nothing.copy()
    gone = (tape.group_snapshot != 0) & (np.diff(tape.group_first) == 0)
    latest = tape.group_venue_ns.searchsorted(edges[:-1], "right") - 1
    lost: NDArray[np.bool_] = (np.diff(tape.group_venue_ns[gone].searchsorted(edges)) > 0) | gone[latest]
    before = tape.group_venue_ns.searchsorted(edges[:-1]) - 1
    stood = (before >= 0) & (columns.trust[before] == _OK)  # what stood when the stretch began counts too
    for no, (first, stop) in enumerate(zip((at[:-1] - stood).tolist(), at[1:].tolist(), strict=True)):
        if stop > first:
            least[no], most[no], last[no] = mids[first:stop].min(), mids[first:stop].max(), mids[stop - 1]
            spread[no] = (ask[first:stop] - bid[first:stop]).mean()
    taken = tape.trade_venue_ns.searchsorted(edges)
    return Stretches(
        begin_ns=begin,
        each_ns=each,
        mid_least=least,
        mid_most=most,
        mid_last=last,
        spread_ticks=spread,
        bought=np.diff(columns.buy_lots[taken]) * lot,
        sold=np.diff(columns.sell_lots[taken]) * lot,
        lost=lost,
    )


def page(tape: Tape, drawn: Stretches, *, begin: str) -> str:
    """One page of HTML with the mid, the spread and what was traded. begin: the first moment, in words."""
    seconds = drawn.each_ns / NS
    x: list[float] = ((np.arange(len(drawn.lost)) + 0.5) * seconds).tolist()
    quote, since = tape.instrument.quote or "quote units", f"seconds since {begin}"
    band = Band(points=list(zip(x, drawn.mid_least.tolist(), drawn.mid_most.tolist(), strict=True)), series=0)
    flows = ((drawn.bought, 2, "bought by takers"), (drawn.sold, 1, "sold by takers"))
    charts = [
        chart(
            [band, Line(points=_points(x, drawn.mid_last), series=0, label="mid; the band is its range")],
            x_label=since,
            y_label=quote,
            title="Mid",
        ),
        chart(
            [Line(points=_points(x, drawn.spread_ticks), series=3, label="mean over changes")],
            x_label=since,
            y_label="ticks",
            title="Spread",
            zero=True,
        ),
        chart(
            [Line(points=_points(x, flow), series=series, label=name, step=True) for flow, series, name in flows],
            x_label=since,
            y_label=f"quantity in {seconds:g} s",
            title="Trades",
            zero=True,
        ),
    ]
    title = f"{tape.instrument.symbol} on {tape.instrument.venue}"
    lost = int(np.count_nonzero(drawn.lost))
    note = (
        f"Tape {tape.name}, digest {tape.digest}; the book was lost in {lost} of {len(x)} stretches of {seconds:g} s."
    )
    return document(f'<h1>{title}</h1><p class="note">{note}</p><div>{"".join(charts)}</div>', title=title)


def _points(x: list[float], values: Floats) -> list[tuple[float, float]]:
    return list(zip(x, values.tolist(), strict=True))
