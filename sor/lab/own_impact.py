"""A scenario for replays: own taking orders have moved the market, and the moves die away.

A recording cannot react. What a parent takes from the book is there again with the next update, so whoever takes in
several pieces meets a market that never saw him. Here everything that he trades later, resting orders and what is left
at the end included, is paid at a book that is shifted by what he took before: each taking fill adds what the
square-root law gives its parent for all that it has taken, less what the law gave before, and every such move decays
at one rate. The first piece pays nothing on top: the book that it walked has that already. Fills of resting orders move
nothing: whoever met them is in the recording, and so is what he did to the price.

Decisions stay what they were, so it is what the same trades would have cost, to first order; and never the truth, for
nobody knows the coefficient and the decay before own executions say them (`sor.lab.impact`). What holds without it and
with it does not hang on it.

Source    methods 4 (the law) and 7.2 (an overlay as a scenario).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log, nan

import msgspec
import numpy as np
from numpy.typing import NDArray

from sor.errors import CallerError
from sor.lab.columns import TRUSTS
from sor.lab.probes import columns_with_delay, probed_span
from sor.market import Trust
from sor.models.impact import peak_bps
from sor.tape import Tape
from sor.tca import ParentRecord
from sor.units import BPS, NS

Floats = NDArray[np.float64]

COEFFICIENT_MAX = 10.0
HALF_LIFE_S_MAX = 86_400.0
STEP_NS = NS
"""The mid is looked at once a second for its volatility: what bounces between bid and ask is small by then."""
_OK = TRUSTS.index(Trust.OK)


class Scenario(msgspec.Struct, frozen=True, gc=False):
    """The coefficient of the law (its peak), of order 1, and the time in which half of a move is gone, s."""

    coefficient: float
    half_life_s: float

    def check(self) -> None:
        """Raises `CallerError` for one that makes no sense."""
        if not 0.0 < self.coefficient <= COEFFICIENT_MAX or not 0.0 < self.half_life_s <= HALF_LIFE_S_MAX:
            raise CallerError(
                f"an impact of {self.coefficient} with a half-life of {self.half_life_s} s; nothing was replayed. Give "
                f"a coefficient above 0 and up to {COEFFICIENT_MAX:g}, and a half-life of up to a day"
            )


class Flow(msgspec.Struct, frozen=True, gc=False):
    """What the law is measured in: volatility of the mid, bps per sqrt(s), and the lots that one side takes in 1 s."""

    volatility_bps: float
    lots_per_s: float


def flow_of(tape: Tape) -> Flow:
    """Both over a whole recording, once its features are warm.

    Raises `CallerError` for a recording in which nobody traded or the mid never moved: the law says nothing there.
    """
    from_ns, until_ns = probed_span(tape)
    columns = columns_with_delay(tape, 0)
    edges_ns = np.arange(from_ns, until_ns + 1, STEP_NS)
    row = np.maximum(columns.group_local_ns.searchsorted(edges_ns, "right") - 1, 0)
    sound = columns.trust[row] == _OK
    mid = columns.values("mid_hticks", edges_ns)
    both = sound[:-1] & sound[1:]
    moves = BPS * np.diff(mid)[both] / mid[:-1][both]
    first, last = columns.trade_local_ns.searchsorted(np.array([from_ns, until_ns]), "right")
    taken = sum(int(lots[last] - lots[first]) for lots in (columns.buy_lots, columns.sell_lots))
    if not taken or not moves.any():
        raise CallerError(
            f"tape {tape.name} has no trade or no move of the mid, so it has no measure for an impact; nothing was "
            "replayed. Leave --impact out"
        )
    return Flow(float(np.sqrt(np.mean(moves**2))), 0.5 * taken * NS / (until_ns - from_ns))


def paid_on_top_bps(
    records: Sequence[ParentRecord], scenario: Scenario, flow: Flow, *, together: bool = False
) -> Floats:
    """(P,) what each parent would have paid more, bps of its arrival notional; negative where the shift helped it.

    together    whether they moved one market for each other; else each moves it for itself alone.
    Returns     NaN for a parent that has not ended.
    """
    found = np.full(len(records), nan)
    for group in [range(len(records))] if together else [range(at, at + 1) for at in range(len(records))]:
        _walk(records, group, scenario, flow, found)
    return found


_LOOK, _MOVE = 0, 1
"""At one instant what is paid comes before what it moves: the pieces of one sweep are the book's own matter."""


def _walk(records: Sequence[ParentRecord], group: range, scenario: Scenario, flow: Flow, found: Floats) -> None:
    """Go through the lives of parents in order of time, with one shift of the book, up where it is positive."""
    # (ns, look or move, parent, lots)
    events: list[tuple[int, int, int, int]] = []
    for at in group:
        record = records[at]
        if record.ended_ns is None:
            continue
        found[at] = 0.0
        filled = sum(fill.lots for fill in record.fills)
        for fill in record.fills:
            when_ns = fill.recv_ns if fill.exchange_ns is None else fill.exchange_ns
            events.append((when_ns, _LOOK, at, fill.lots))
            if fill.is_maker is False:
                events.append((when_ns, _MOVE, at, fill.lots))
        if filled < record.qty_lots:
            events.append((record.ended_ns, _LOOK, at, record.qty_lots - filled))
    events.sort()
    shift_bps, since_ns = 0.0, events[0][0] if events else 0
    taken: dict[int, int] = {}
    for now_ns, kind, at, lots in events:
        shift_bps *= exp(-log(2.0) * (now_ns - since_ns) / (scenario.half_life_s * NS))
        since_ns = now_ns
        record = records[at]
        side = int(record.side)
        if kind == _LOOK:
            found[at] += side * shift_bps * lots / record.qty_lots
            continue
        before = taken.get(at, 0)
        taken[at] = before + lots
        shift_bps += side * (_law_bps(taken[at], scenario, flow) - _law_bps(before, scenario, flow))


def _law_bps(lots: int, scenario: Scenario, flow: Flow) -> float:
    share = lots / flow.lots_per_s
    return peak_bps(volatility_bps=flow.volatility_bps, share=share, coefficient=scenario.coefficient)
