"""Tapes from Python lists, and back: what a test writes down and compares."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

import numpy as np

from sor.ids import Symbol, VenueName
from sor.instruments import Instrument
from sor.tape import Tape

INSTRUMENT = Instrument(
    symbol=Symbol("BTCUSDT"), venue=VenueName("rec"), tick_size=Decimal("0.1"), lot_size=Decimal("0.001")
)


class Group(NamedTuple):
    """Level changes (side, ticks, lots) that became visible together."""

    venue_ns: int
    recv_ns: int
    levels: Sequence[tuple[int, int, int]]
    snapshot: bool = False


class Traded(NamedTuple):
    """A public trade; `side` is the aggressor's."""

    venue_ns: int
    recv_ns: int
    side: int
    ticks: int
    lots: int


class Ordered(NamedTuple):
    """An order event as published."""

    venue_ns: int
    kind: int
    order_id: int
    side: int
    ticks: int
    lots: int


def tape_of(
    groups: Sequence[Group], trades: Sequence[Traded] = (), orders: Sequence[Ordered] = (), *, warm_up_ns: int = 0
) -> Tape:
    """The tape of these groups and trades; order columns only where there are order events."""
    levels = [level for group in groups for level in group.levels]
    return Tape(
        name="script",
        digest="",
        instrument=INSTRUMENT,
        group_venue_ns=_int([group.venue_ns for group in groups]),
        group_recv_ns=_int([group.recv_ns for group in groups]),
        group_first=np.cumsum([0, *(len(group.levels) for group in groups)], dtype=np.int64),
        group_snapshot=_byte([group.snapshot for group in groups]),
        level_side=_byte([side for side, _, _ in levels]),
        level_ticks=_int([ticks for _, ticks, _ in levels]),
        level_lots=_int([lots for _, _, lots in levels]),
        trade_venue_ns=_int([trade.venue_ns for trade in trades]),
        trade_recv_ns=_int([trade.recv_ns for trade in trades]),
        trade_side=_byte([trade.side for trade in trades]),
        trade_ticks=_int([trade.ticks for trade in trades]),
        trade_lots=_int([trade.lots for trade in trades]),
        order_venue_ns=_int([order.venue_ns for order in orders]) if orders else None,
        order_kind=_byte([order.kind for order in orders]) if orders else None,
        order_id=_int([order.order_id for order in orders]) if orders else None,
        order_side=_byte([order.side for order in orders]) if orders else None,
        order_ticks=_int([order.ticks for order in orders]) if orders else None,
        order_lots=_int([order.lots for order in orders]) if orders else None,
        warm_up_ns=warm_up_ns,
    )


def groups_in(tape: Tape) -> list[Group]:
    """The groups of a tape."""
    levels = list(zip(tape.level_side.tolist(), tape.level_ticks.tolist(), tape.level_lots.tolist(), strict=True))
    first = tape.group_first.tolist()
    return [
        Group(venue_ns, recv_ns, levels[first[at] : first[at + 1]], bool(snapshot))
        for at, (venue_ns, recv_ns, snapshot) in enumerate(
            zip(tape.group_venue_ns.tolist(), tape.group_recv_ns.tolist(), tape.group_snapshot.tolist(), strict=True)
        )
    ]


def trades_in(tape: Tape) -> list[Traded]:
    """The trades of a tape."""
    columns = (tape.trade_venue_ns, tape.trade_recv_ns, tape.trade_side, tape.trade_ticks, tape.trade_lots)
    return [Traded(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def orders_in(tape: Tape) -> list[Ordered]:
    """The order events of a tape, none where it has no such columns."""
    columns = (
        tape.order_venue_ns,
        tape.order_kind,
        tape.order_id,
        tape.order_side,
        tape.order_ticks,
        tape.order_lots,
    )
    rows = [column.tolist() for column in columns if column is not None]
    return [Ordered(*row) for row in zip(*rows, strict=True)]


def _int(values: Sequence[int]) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    return np.array(values, dtype=np.int64)


def _byte(values: Sequence[int]) -> np.ndarray[tuple[int, ...], np.dtype[np.int8]]:
    return np.array(values, dtype=np.int8)
