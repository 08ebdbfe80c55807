"""What each timeout of `maker_first` costs on a recording, over the parents that `sor replay` would run on it.

Each setting is set beside the param-set's own.
"""

from __future__ import annotations

import msgspec
import numpy as np

from sor.errors import CallerError
from sor.instruments import Instrument
from sor.lab.bootstrap import Difference, Interval
from sor.lab.plan import Drawn
from sor.lab.sweep.compiled import Kernel
from sor.lab.sweep.kernel import Floats, Market
from sor.lab.sweep.lane import asked_of, costs_bps, mids_at, replayed, terms_of
from sor.lab.sweep.side import counted
from sor.params import Params

SETTINGS_MAX = 64
_CAPS = ("risk.order_notional_max", "risk.open_notional_max", "risk.position_notional_max")


class Grid(msgspec.Struct, frozen=True, kw_only=True):
    """What is swept: timeouts in seconds, and how parents are replayed; `latency_ns` each way, constant."""

    timeouts_s: tuple[float, ...]
    deadline_s: float
    queue: str
    latency_ns: int
    seed: int


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """One timeout.

    own         it is the param-set's. cost: against the arrival mid, bps; cost_p95 of single parents.
    maker_share of the lots that were filled; timed_out: parents whose order ran out of time at least once.
    against_own cost less that of the set's own timeout; None for itself.
    """

    timeout_s: float
    own: bool
    cost: Interval
    cost_p95: float
    maker_share: float
    timed_out: float
    against_own: Difference | None


class Swept(msgspec.Struct, frozen=True, kw_only=True):
    """All settings, by timeout; how many parents count, and how many do not, by why."""

    settings: tuple[Setting, ...]
    parents: int
    beyond: dict[str, int]


def swept(
    kernel: Kernel,
    market: Market,
    grid: Grid,
    drawn: Drawn,
    *,
    instrument: Instrument,
    params: Params,
) -> Swept:
    """Replay the parents under each timeout and the set's own.

    Raises `CallerError` for what the lane does not have, too many settings, or when no parent can be answered.
    """
    own_s = params["placement.timeout_s_max"]
    timeouts_s = sorted({own_s, *grid.timeouts_s})
    if len(timeouts_s) > SETTINGS_MAX:
        raise CallerError(f"{len(timeouts_s)} settings: give at most {SETTINGS_MAX}; nothing was replayed")
    lots = instrument.lots(drawn.quantity)
    _refuse_split(instrument, params, market, lots)
    asked = asked_of(drawn.starts, lots)
    mids = mids_at(market, asked.start_ns)
    costs, maker, timed_out, states = [], [], [], []
    for timeout_s in timeouts_s:
        terms = terms_of(
            params,
            instrument,
            deadline_s=grid.deadline_s,
            latency_ns=grid.latency_ns,
            queue=grid.queue,
            timeout_s=timeout_s,
        )
        fills = replayed(kernel, market, terms, asked)
        costs.append(costs_bps(fills, asked, mids, instrument))
        maker.append(np.bincount(fills.parent, weights=fills.lots * fills.maker, minlength=len(mids)))
        timed_out.append(fills.timeouts > 0)
        states.append(fills.state)
    which = counted(states, asked.start_ns, deadline_s=grid.deadline_s)
    kept = which.kept
    yardstick: Floats = costs[timeouts_s.index(own_s)][kept]

    def judged(at: int) -> Setting:
        own = timeouts_s[at] == own_s
        cost = which.cost(costs[at][kept], None if own else yardstick, seed=grid.seed)
        return Setting(
            timeout_s=timeouts_s[at],
            own=own,
            cost=cost.mean,
            cost_p95=cost.p95,
            maker_share=float(maker[at][kept].sum() / asked.lots[kept].sum()),
            timed_out=float(timed_out[at][kept].mean()),
            against_own=cost.beside,
        )

    return Swept(
        settings=tuple(judged(at) for at in range(len(timeouts_s))), parents=int(kept.size), beyond=which.beyond
    )


def _refuse_split(instrument: Instrument, params: Params, market: Market, lots: int) -> None:
    """Raise `CallerError` where the risk gate would split or deny an order: the lane sends one."""
    if instrument.max_qty_lots and lots > instrument.max_qty_lots:
        raise CallerError(
            f"a parent of {instrument.quantity(lots)} is above the largest order of {instrument.symbol}; nothing was "
            "replayed. Give a smaller quantity, or use sor replay"
        )
    known = market.trust == 1
    most = instrument.notional(lots, int(market.ask[known].max())) if known.any() else 0
    for name in _CAPS:
        if name in params and most > params[name]:
            raise CallerError(
                f"a parent of {most:,.0f} {instrument.quote} is above {name}, {params[name]:,.0f}; nothing was "
                "replayed. Give a smaller quantity, or use sor replay"
            )
