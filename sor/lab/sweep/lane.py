"""`maker_first` over a recording under many settings at once: what timeouts cost, over thousands of parents.

A parent goes through the replay kernel instead of through router and venue, a thousand times faster and with the same
fills, and costs what TCA says it costs. What the kernel does not answer (books that are not sound or say nothing,
crossings that a book cannot fill, parts below the venue's minimum) it names; such a parent counts under no setting, and
`Swept.beyond` says how many there are of each kind. Nothing here sends, journals or checks limits: a setting that is
chosen here is to be replayed by `sor replay` before anybody trades on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import msgspec
import numpy as np

from sor.errors import CallerError
from sor.instruments import Instrument
from sor.invariants import SPREAD_BPS_MAX, stale_ns
from sor.lab.plan import Start
from sor.lab.sweep.compiled import Kernel
from sor.lab.sweep.kernel import (
    BEYOND_BOOK,
    BEYOND_DEPTH,
    BEYOND_FAULT,
    BEYOND_MINIMUM,
    BEYOND_PLACE,
    BEYOND_SILENCE,
    BEYOND_TIE,
    BEYOND_TIME,
    BEYOND_TOGETHER,
    DONE,
    ENDED,
    UNFINISHED,
    Asked,
    Bytes,
    Filled,
    Floats,
    Ints,
    Market,
    Terms,
)
from sor.models.forecast import FORECAST_NEEDS
from sor.params import Params
from sor.regime import Regime
from sor.units import BPS, MS, RATE_E8, to_ns

QUEUES = ("risk_averse", "moderate")
"""Queue models that the kernel has."""
BEYOND: Mapping[int, str] = MappingProxyType(
    {
        UNFINISHED: "the recording ended first",
        BEYOND_BOOK: "the book was not sound",
        BEYOND_SILENCE: "the book was silent for longer than market.stale_ms_max",
        BEYOND_DEPTH: "the book could not fill a crossing within the collar",
        BEYOND_MINIMUM: "less than the venue's minimum was left",
        BEYOND_TIME: "its time was up before it could cross",
        ENDED: "its time was up with something left",
        BEYOND_TIE: "a fill came at the very instant of something else, and which was first is not known",
        BEYOND_PLACE: "its policy waits for a place in the queue",
        BEYOND_TOGETHER: "too many of its orders would rest at one price",
        BEYOND_FAULT: "its policy failed, or the router raised an alarm",
    }
)
"""Why a parent is for the production engine."""
_READ = (
    "deadline.margin_ms",
    "market.stale_ms_max",
    "placement.calm_exit_ratio",
    "placement.calm_spread_max",
    "placement.collar_bps",
    "placement.refusals_max",
    "placement.timeout_s_max",
    "placement.timeouts_max",
    "recovery.ack_timeout_ms",
    "recovery.retry_first_ms",
    "recovery.retry_ms_max",
)
"""Parameters that the lane reads."""
FEED_NS = 5 * MS
"""Delay of market data, as a tape's venue has it unless told otherwise."""
_ROOM = 4, 1 << 16
"""Fills that there is room for to begin with: of a parent, and at least."""


class Fills(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What N parents did under one setting.

    parent, ns, ticks, lots, maker    (F,) of each fill: whose, venue time, price, size, and whether as maker.
    state     (N,) `DONE`, or a key of `BEYOND`. orders, timeouts: (N,) sent, and run out of time.
    """

    parent: Ints
    ns: Ints
    ticks: Ints
    lots: Ints
    maker: Bytes
    state: Bytes
    orders: Ints
    timeouts: Ints


def terms_of(
    params: Params, instrument: Instrument, *, deadline_s: float, latency_ns: int, queue: str, timeout_s: float
) -> Terms:
    """`maker_first` with these parameters and this timeout, as the kernel reads it.

    latency_ns    each way, constant. Raises `CallerError` for what the lane does not have.
    """
    unfit = ""
    if queue not in QUEUES:
        unfit = f"queue model {queue!r}; it has {' and '.join(QUEUES)}"
    elif instrument.inverse:
        unfit = f"inverse contracts such as {instrument.symbol}"
    elif "placement.excursion_bps" in params:
        unfit = "an excursion budget (placement.excursion_bps)"
    elif params.choice("remainder.rule") != "carry":
        unfit = f"remainder.rule {params.choice('remainder.rule')!r}; it has 'carry'"
    elif params.ranges or not params.missing(FORECAST_NEEDS):
        unfit = f"the alarms that watch a fit, and {params.set_id} is fitted"
    elif any(params.within(regime)[name] != params[name] for regime in Regime for name in _READ):
        unfit = f"values of market regimes, and {params.set_id} has some that it reads"
    elif 2 * latency_ns >= params["recovery.ack_timeout_ms"] * MS:
        unfit = "answers that take as long as recovery.ack_timeout_ms"
    spread_max = params["placement.calm_spread_max"]
    spread_exit = spread_max * params["placement.calm_exit_ratio"]
    if not unfit and spread_exit > SPREAD_BPS_MAX:
        unfit = f"resting at a spread of {spread_exit:g} bps"
    if unfit:
        raise CallerError(f"a sweep does not have {unfit}; nothing was replayed. Use sor replay")
    return Terms(
        clip_lots=0,
        inside=1,
        requote_ticks=0,
        timeout_s=timeout_s,
        timeouts_max=int(params["placement.timeouts_max"]),
        refusals_max=int(params["placement.refusals_max"]),
        crosses=1,
        spread_max=spread_max,
        spread_exit=spread_exit,
        collar_bps=params["placement.collar_bps"],
        deadline_ns=to_ns(deadline_s) - round(params["deadline.margin_ms"] * MS),
        trips_ns=4 * latency_ns,
        entry_ns=latency_ns,
        response_ns=latency_ns,
        shared=int(queue == "moderate"),
        retry_ns=round(params["recovery.retry_first_ms"] * MS),
        retry_ns_max=round(params["recovery.retry_ms_max"] * MS),
        stale_ns=stale_ns(params),
        min_lots=instrument.min_qty_lots,
        min_value=instrument.min_value_units,
        on_feed=0,
    )


def asked_of(starts: Sequence[Start], lots: int) -> Asked:
    """The parents of a replay, of so many lots each."""
    return Asked(
        side=np.array([int(start.side) for start in starts], np.int64),
        lots=np.full(len(starts), lots, np.int64),
        start_ns=np.array([start.at_ns for start in starts], np.int64),
    )


def replayed(kernel: Kernel, market: Market, terms: Terms, asked: Asked) -> Fills:
    """What these parents do on this recording, each as if it were alone."""
    count = len(asked.side)
    room = max(_ROOM[0] * count, _ROOM[1])
    while True:
        filled = Filled(
            parent=np.zeros(room, np.int64),
            ns=np.zeros(room, np.int64),
            ticks=np.zeros(room, np.int64),
            lots=np.zeros(room, np.int64),
            maker=np.zeros(room, np.int8),
            state=np.zeros(count, np.int8),
            orders=np.zeros(count, np.int64),
            timeouts=np.zeros(count, np.int64),
        )
        rows = kernel.run(market, terms, asked, filled)
        if rows >= 0:
            return Fills(
                parent=filled.parent[:rows],
                ns=filled.ns[:rows],
                ticks=filled.ticks[:rows],
                lots=filled.lots[:rows],
                maker=filled.maker[:rows],
                state=filled.state,
                orders=filled.orders,
                timeouts=filled.timeouts,
            )
        room *= 4


def mids_at(market: Market, now_ns: Ints) -> Ints:
    """Mid in half-ticks as known at each time, 0 where there is no sound book."""
    group = market.group_local_ns.searchsorted(now_ns, "right") - 1
    known = (group >= 0) & (market.trust[group] == 1)
    return np.where(known, market.bid[group] + market.ask[group], 0)


def costs_bps(fills: Fills, asked: Asked, mid_hticks: Ints, instrument: Instrument) -> Floats:
    """(N,) cost of each parent against its arrival mid, fees included; NaN for one that is not done."""
    fee = np.where(fills.maker, instrument.maker_fee_e8, instrument.taker_fee_e8) / RATE_E8
    paid_hticks = 2.0 * fills.ticks
    side = asked.side[fills.parent]
    lost = fills.lots * (side * (paid_hticks - mid_hticks[fills.parent]) + fee * paid_hticks)
    whole = np.bincount(fills.parent, weights=lost, minlength=len(asked.side))
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Floats = np.where(fills.state == DONE, BPS * whole / (asked.lots * mid_hticks), np.nan)
    return found
