"""What cost analysis needs to know of one parent, and nothing else: the journal is folded into it elsewhere.

What is not known is None, never 0. Prices are ticks and half-ticks of the record's one instrument, times are our clock.
"""

from __future__ import annotations

import msgspec

from sor.errors import CallerError
from sor.ids import ExecId, ParentId
from sor.instruments import Instrument
from sor.market import Levels
from sor.orders import Fill, ParentStatus, Side
from sor.reasons import EndReason
from sor.units import MS, NS

HORIZONS_NS = (100 * MS, NS, 5 * NS, 15 * NS, 30 * NS, 60 * NS, 300 * NS)
"""How long after a fill its markout is taken (methods 9.2)."""


class Completion(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What the unfilled rest would have taken from the book had it been crossed when the parent ended.

    levels        (price_ticks, qty_lots) taken, best first; the lots add up to the rest.
    beyond_lots   how many of the last level's lots the book did not show. Where it is not 0 the cost is a lower bound.
    """

    levels: Levels
    beyond_lots: int = 0


def completion(ladder: Levels, *, rest_lots: int) -> Completion | None:
    """Walk `ladder` (the side that the order takes, best first) for `rest_lots` > 0; None when it is empty.

    What the ladder does not show is priced at its last level and counted in `beyond_lots`: leaving such parents out
    would drop the ones that were hardest to finish.
    """
    if rest_lots <= 0:
        raise CallerError(
            f"completing {rest_lots} lots: there is no rest; nothing was sent. Ask only for a positive one"
        )
    if not ladder:
        return None
    taken: list[tuple[int, int]] = []
    left = rest_lots
    for ticks, lots in ladder:
        part = min(lots, left)
        taken.append((ticks, part))
        left -= part
        if not left:
            return Completion(tuple(taken))
    last_ticks, last_lots = taken[-1]
    taken[-1] = (last_ticks, last_lots + left)
    return Completion(tuple(taken), beyond_lots=left)


class ParentRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One parent as the journal tells it.

    qty_lots               what was asked for, > 0. It may be less than what was filled: an overfill.
    decision_hticks        mid when the caller decided. Where the order named none, `ParentOrder.decision_price` says
                           that the arrival mid stands in: whoever folds puts it here.
    arrival_hticks         mid when the parent was accepted.
    accepted_ns            our clock. ended_ns: None while it works; a report may be made at any time.
    fills                  each exec id of an order once, all of `instrument` and `side`.
    end_mark_hticks        mid when it ended.
    completion             what the rest would have taken then; None when unknown or when there is no rest.
    timeouts, fallbacks    resting orders that ran out of time; 1 when it crossed after resting had failed, else 0.
    requotes, orders       resting orders moved after the market; orders sent. rejects: refused by the venue.
    markouts               (exec_id, horizon_ns, mid_hticks); of one fill and horizon the first counts, and mids of
                           fills that are not in `fills` are left aside.
    cross_at_arrival_bps   expected cost of crossing at once, as costed at the first decision.
    funding_atoms          funding paid while working, positive is a cost, atoms of the settlement asset.
    """

    parent_id: ParentId
    policy: str
    params_digest: str
    instrument: Instrument
    side: Side
    qty_lots: int
    accepted_ns: int
    status: ParentStatus
    fills: tuple[Fill, ...]
    decision_hticks: int | None = None
    arrival_hticks: int | None = None
    ended_ns: int | None = None
    end_reason: EndReason | None = None
    end_mark_hticks: int | None = None
    completion: Completion | None = None
    timeouts: int = 0
    fallbacks: int = 0
    requotes: int = 0
    orders: int = 0
    rejects: int = 0
    markouts: tuple[tuple[ExecId, int, int], ...] = ()
    cross_at_arrival_bps: float | None = None
    funding_atoms: int | None = None
