"""What a replay by price levels would have said of orders that were really there, beside what became of them.

On a recording that has every order by its id the truth is known. Each order that somebody placed at or inside the touch
is taken out of its level and put back as one of ours would be: behind what was displayed, at its moment, for its size.
A queue model then says when it fills, from sizes by price and trades alone. Both are judged at one horizon: filled by
then? An order that was withdrawn before says nothing of that, and those that stayed as long count for it (weights by
Kaplan-Meier of withdrawing): dropping it alone would make fills look commoner, and letting a model wait for orders that
filled would forgive it for being late.

A model says yes or no, so its Brier score is its share of errors, and its log score counts a yes as `SURE`. Skill is
against the share of orders that filled. The slope is that of what happened on what was said; the curve sets both
side by side for orders with less and more ahead of them.

Not promised: that owners withdraw without regard to what was about to happen, which the weights assume; and anything of
another market: the one there is has a wide spread and few trades.

Source: methods 7.1; the exponent is the power law's, back^n / (back^n + front^n), the one with the fewest errors on the
first part.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import log, nan

import msgspec
import numpy as np
from numpy.typing import NDArray

from sor.errors import CallerError
from sor.lab.columns import FeatureColumns, columns_of
from sor.lab.order_hits import NEVER
from sor.lab.queue_fills import Orders, QueueFills
from sor.lab.scores import censoring_weights
from sor.models.queues import QUEUES, Place, QueueModel, Shared, power
from sor.models.survival import CENSORED, FILLED
from sor.tape import IntColumn, OrderKind, Tape
from sor.units import NS

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

SURE = 0.99
"""What a yes counts as where a score asks for a probability."""
EXPONENTS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0)
FITTED = "fitted power"
CURVE_BINS = 5
_LEAST_S = 1e-9


class RealOrders(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """N orders that somebody placed at or inside the touch and that did not take.

    orders       side, price and size; `arrived_ns` just before each was told of, `until_ns` when it was withdrawn or
                 moved, or what is known of it ends.
    filled_ns    (N,) when nothing was left of it by trades, NEVER if it was not filled whole.
    sizes        for each, when it changed and what was left of it from then on; from its placement to its end.
    """

    orders: Orders
    filled_ns: IntColumn
    sizes: tuple[tuple[tuple[int, int], ...], ...]


class Scores(msgspec.Struct, frozen=True, kw_only=True):
    """How one model did at one horizon, over the orders that it was judged on.

    orders              that count. said, happened: shares filled. bias_pp: said less happened, in points.
    brier               share of errors. skill: 1 - brier / that of telling all the share that filled.
    slope               of what happened on what was said; 1 is calibrated. nan where it always said the same.
    calibration_error_pp   mean distance of what was said from what happened, in points, over its yes and its no.
    log_score           mean log probability of what happened, with a yes as SURE.
    late_s              of orders that filled in both: when it said so less when they did, 5 %, median and 95 %.
    curve               for orders with less and less ahead: how many, share said, share happened.
    """

    queue: str
    orders: int
    said: float
    happened: float
    bias_pp: float
    brier: float
    skill: float
    slope: float
    calibration_error_pp: float
    log_score: float
    late_s: tuple[float, float, float]
    curve: tuple[tuple[int, float, float], ...]


class Truth(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it. fitted, scored: orders of the first part, and of the part that is judged.

    exponent    None where every one says the same on the first part; the model is then that of n = 2.
    """

    horizon_s: float
    fitted: int
    scored: int
    exponent: float | None
    models: tuple[Scores, ...]


class _Course(msgspec.Struct, gc=False):
    """What happens at one order's price without itself: lots ahead at first, then changes of the level and trades."""

    ahead: int
    lots: int
    events: list[tuple[int, int, bool]]
    swept_ns: int


# --- the orders -------------------------------------------------------------------------------------------------------


def real_orders(tape: Tape, columns: FeatureColumns, *, from_ns: int, until_ns: int, horizon_s: float) -> RealOrders:
    """Orders told of in [from_ns, until_ns), each followed up to the horizon. columns: of the same tape.

    Raises `CallerError` for a tape without orders by their ids.
    """
    told = (tape.order_venue_ns, tape.order_kind, tape.order_id, tape.order_side, tape.order_ticks, tape.order_lots)
    if any(column is None for column in told):
        raise CallerError(f"tape {tape.name} does not have every order, so nothing is known of any; nothing was scored")
    rows = zip(*(column.tolist() for column in told if column is not None), strict=True)
    live: dict[int, int] = {}
    found: list[tuple[int, int, int, int]] = []
    sizes: list[list[tuple[int, int]]] = []
    ended: list[tuple[int, int]] = []
    gone: set[int] = set()
    for told_ns, kind, order_id, side, ticks, lots in rows:
        no = live.get(order_id)
        if kind == OrderKind.CREATED:
            # A delete may come before its create; such an order was never there.
            if no is None and order_id not in gone and from_ns <= told_ns < until_ns and lots > 0:
                live[order_id] = len(found)
                found.append((told_ns, side, ticks, lots))
                sizes.append([(told_ns, lots)])
                ended.append((NEVER, NEVER))
        elif no is None:
            gone.add(order_id)
        elif kind == OrderKind.DELETED or ticks != found[no][2]:
            filled = kind == OrderKind.DELETED and not lots
            ended[no] = (told_ns, told_ns if filled else NEVER)
            sizes[no].append((told_ns, 0))
            del live[order_id]
            gone.add(order_id)
        else:
            sizes[no].append((told_ns, lots))
    created, side, ticks, lots = np.array(found, np.int64).reshape(-1, 4).T
    end_ns, filled_ns = np.array(ended, np.int64).reshape(-1, 2).T
    last_ns = int(tape.order_venue_ns[-1]) if tape.order_venue_ns is not None and len(tape.order_venue_ns) else 0
    kept = _at_the_touch(tape, columns, created, side, ticks)
    until = np.minimum(np.where(filled_ns < NEVER, NEVER, end_ns), created + round(horizon_s * NS) + 1)
    return RealOrders(
        orders=Orders(
            side[kept].astype(np.int8), ticks[kept], lots[kept], created[kept] - 1, np.minimum(until, last_ns)[kept]
        ),
        filled_ns=filled_ns[kept],
        sizes=tuple(tuple(sizes[no]) for no in np.flatnonzero(kept)),
    )


def _at_the_touch(
    tape: Tape, columns: FeatureColumns, created_ns: IntColumn, side: IntColumn, ticks: IntColumn
) -> Bools:
    """Placed at the best price of its side or better, and not into the other: by the sound book just before."""
    row = tape.group_venue_ns.searchsorted(created_ns, "left") - 1
    there = row >= columns.first_group
    row = np.maximum(row, 0)
    bid, ask = columns.bid_ticks[row, 0].astype(np.int64), columns.ask_ticks[row, 0].astype(np.int64)
    there &= (columns.bid_depth[row] > 0) & (columns.ask_depth[row] > 0) & (bid < ask)
    own, other = np.where(side > 0, bid, -ask), np.where(side > 0, ask, -bid)
    kept: Bools = there & (side * ticks >= own) & (side * ticks < other)
    return kept


# --- what a model says of them ----------------------------------------------------------------------------------------


def _courses(fills: QueueFills, real: RealOrders) -> list[_Course]:
    """What happened at each order's price while it was followed, its own size taken out."""
    orders = real.orders
    begin = fills.event_ns.searchsorted(orders.arrived_ns, "right")
    end = fills.event_ns.searchsorted(orders.until_ns, "right")
    swept = fills.sweeps(orders, begin, end, trades=True)
    swept_ns = np.append(fills.event_ns, NEVER)[np.minimum(swept, len(fills.event_ns))]
    found = []
    for no, own in enumerate(real.sizes):
        first, last = int(begin[no]), int(min(end[no], swept[no]))
        key = 2 * int(orders.price_ticks[no]) + (int(orders.side[no]) > 0)
        level = fills.level(key, first, max(first, last))
        ahead = int(level.displayed(begin[no : no + 1])[0])
        later = level.change_at >= first
        change_at, change_lots = level.change_at[later], level.change_lots[later]
        at_ns = fills.event_ns[change_at]
        own_ns, own_lots = (np.array(column, np.int64) for column in zip(*own, strict=True))
        held = np.append(0, own_lots)[own_ns.searchsorted(at_ns, "right")]
        rest = np.maximum(change_lots - held, 0)
        merged = [(place, lots, False) for place, lots in zip(change_at.tolist(), rest.tolist(), strict=True)]
        trades = zip(level.trade_at.tolist(), level.trade_lots.tolist(), strict=True)
        merged += [(place, lots, True) for place, lots in trades]
        merged.sort()
        found.append(
            _Course(
                ahead=ahead,
                lots=int(orders.lots[no]),
                events=[(fills.event_ns.item(place), lots, trade) for place, lots, trade in merged],
                swept_ns=int(swept_ns[no]),
            )
        )
    return found


def _said(courses: Sequence[_Course], model: QueueModel) -> IntColumn:
    """When each order fills by a model, NEVER if it does not."""
    found = np.full(len(courses), NEVER)
    for no, course in enumerate(courses):
        place, displayed, left = Place(front=float(course.ahead)), course.ahead, course.lots
        found[no] = course.swept_ns
        for at_ns, lots, trade in course.events:
            if trade:
                left -= place.trade(lots)
                if left <= 0:
                    found[no] = at_ns
                    break
            else:
                place.changes(model, displayed_lots=displayed, sizes=(lots,))
                displayed = lots
    return found


# --- scores -----------------------------------------------------------------------------------------------------------


def truth(
    tape: Tape,
    *,
    from_ns: int,
    split_ns: int,
    until_ns: int,
    horizon_s: float = 60.0,
    say: Callable[[str], None] = lambda text: None,
) -> Truth:
    """Fit the exponent on orders of [from_ns, split_ns), and score all models on those of [split_ns, until_ns).

    Raises    CallerError for a tape without orders by their ids, or a part in which none rested at the touch.
    """
    columns = columns_of(tape, group_local_ns=tape.group_venue_ns, trade_local_ns=tape.trade_venue_ns)
    fills = QueueFills(tape, columns)
    parts = []
    for low_ns, high_ns in ((from_ns, split_ns), (split_ns, until_ns)):
        real = real_orders(tape, columns, from_ns=low_ns, until_ns=high_ns, horizon_s=horizon_s)
        if not len(real.filled_ns):
            raise CallerError(f"nobody placed an order at the touch in a part of {tape.name}; nothing was scored")
        say(f"{len(real.filled_ns):,} orders at the touch in {(high_ns - low_ns) / NS / 3_600:.2f} h of the recording")
        parts.append((real, _courses(fills, real)))
    (fit_real, fit_courses), (real, courses) = parts
    errors = {}
    for exponent in EXPONENTS:
        said = _said(fit_courses, Shared(power(exponent)))
        errors[exponent] = _errors(fit_real, said, horizon_s)
        say(f"power law with n = {exponent:g}: {errors[exponent]:.2%} told wrongly on the first part")
    best = min(errors, key=lambda exponent: (errors[exponent], abs(exponent - 2.0)))
    models: Mapping[str, QueueModel] = {**QUEUES, FITTED: Shared(power(best))}
    ahead = np.array([course.ahead for course in courses], np.int64)
    return Truth(
        horizon_s=horizon_s,
        fitted=len(fit_real.filled_ns),
        scored=len(real.filled_ns),
        exponent=best if len(set(errors.values())) > 1 else None,
        models=tuple(scores(name, real, _said(courses, model), ahead, horizon_s) for name, model in models.items()),
    )


class _Judged(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Of N orders by one horizon: what a model said, what happened, and how much each counts."""

    said: Bools
    happened: Bools
    weight: Floats


def _judged(real: RealOrders, said_ns: IntColumn, horizon_s: float) -> _Judged:
    begin_ns = real.orders.arrived_ns + 1
    horizon_ns = begin_ns + round(horizon_s * NS)
    filled = real.filled_ns < NEVER
    durations_s = (np.where(filled, real.filled_ns, real.orders.until_ns) - begin_ns) / NS
    causes = np.where(filled, FILLED, CENSORED)
    return _Judged(
        said=said_ns <= horizon_ns,
        happened=real.filled_ns <= horizon_ns,
        weight=censoring_weights(np.maximum(durations_s, _LEAST_S), causes, horizon_s=horizon_s),
    )


def _errors(real: RealOrders, said_ns: IntColumn, horizon_s: float) -> float:
    found = _judged(real, said_ns, horizon_s)
    return float(np.average(found.said != found.happened, weights=found.weight))


def scores(queue: str, real: RealOrders, said_ns: IntColumn, ahead: IntColumn, horizon_s: float) -> Scores:
    """How a model did. said_ns: (N,) when it fills each order. ahead: (N,) lots displayed before each."""
    found = _judged(real, said_ns, horizon_s)
    late_s = (said_ns - real.filled_ns)[found.said & found.happened] / NS
    weight, said, happened = found.weight, found.said.astype(np.float64), found.happened.astype(np.float64)
    told, share = (float(np.average(one, weights=weight)) for one in (said, happened))
    brier = float(np.average((said - happened) ** 2, weights=weight))
    plain, spread = share * (1.0 - share), told * (1.0 - told)
    together = float(np.average((said - told) * (happened - share), weights=weight))
    # Of those told the same, how far what happened is from it, weighted by how much they count.
    off = [abs(float((weight * (happened - value))[said == value].sum())) for value in (0.0, 1.0)]
    return Scores(
        queue=queue,
        orders=int(np.count_nonzero(weight)),
        said=told,
        happened=share,
        bias_pp=100.0 * (told - share),
        brier=brier,
        skill=1.0 - brier / plain if plain > 0.0 else nan,
        slope=together / spread if spread > 0.0 else nan,
        calibration_error_pp=100.0 * sum(off) / float(weight.sum()),
        log_score=float(np.average(np.where(said == happened, log(SURE), log(1.0 - SURE)), weights=weight)),
        late_s=_quantiles(late_s),
        curve=_curve(found, ahead),
    )


def _quantiles(late_s: Floats) -> tuple[float, float, float]:
    if not late_s.size:
        return nan, nan, nan
    low, middle, high = np.quantile(late_s, (0.05, 0.5, 0.95)).tolist()
    return low, middle, high


def _curve(found: _Judged, ahead: IntColumn) -> tuple[tuple[int, float, float], ...]:
    """Orders with nobody ahead, and the others in equal groups by how much was."""
    group = np.zeros(len(ahead), np.int64)
    behind = ahead > 0
    if behind.any():
        edges = np.quantile(ahead[behind], np.linspace(0.0, 1.0, CURVE_BINS)[1:-1])
        group[behind] = 1 + np.searchsorted(edges, ahead[behind])
    points = []
    for no in np.unique(group):
        ours = (group == no) & (found.weight > 0.0)
        if ours.any():
            told, share = (
                float(np.average(one[ours], weights=found.weight[ours])) for one in (found.said, found.happened)
            )
            points.append((int(ours.sum()), told, share))
    return tuple(points)
