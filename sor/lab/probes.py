"""Probes: hypothetical resting orders on a tape, placed at many times, and what became of each.

A probe is a post-only order of the smallest size that would be decided on at a local time, with the market as known
then, and arrives at the venue after the delay of an order. It is never chased and never cancelled: followed until it is
filled, the longest horizon has passed, or the tape ends, which is all that censors it. That is independent of the
market, as the horizon and the end were fixed before; what a policy would have done plays no part.

Both sides are probed at the same times, so that a drift of the recording cancels. Probes overlap: any number of them
can be drawn from a minute of market, and they say no more than the minute does. `non_overlapping` counts what does.
Times are the venue's, as are prices and fills; covariates are what the router would have known when it decided.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from sor.errors import CallerError
from sor.lab.columns import TRUSTS, FeatureColumns, LevelColumn, columns_of
from sor.lab.covariates import covariate_columns
from sor.lab.order_hits import NEVER
from sor.lab.passage import Lowest, range_max
from sor.lab.queue_fills import Bools, Floats, Orders, QueueFills
from sor.market import VIEW_DEPTH, Trust
from sor.models.covariates import Terms, unit_bps
from sor.tape import ByteColumn, IntColumn, Tape
from sor.units import BPS, MS, NS

_NO_PLACE = 1 << 40
"""Ticks inside that no spread has: such a probe is left out."""
_OK = TRUSTS.index(Trust.OK)
PROBES_MAX = 2_000_000
SEED = 3
WARM_UP_NS = 60 * NS
"""Features need this much of a recording behind them, at most a tenth of it, before the first probe."""
_WARM_UP_SHARE = 10
BEHIND_SDS = 4.0
"""An order that rests falls behind when the market leaves it: so far, hardly ever further."""


class ProbePlan(msgspec.Struct, frozen=True, kw_only=True):
    """What is probed.

    every_ns       a time is drawn from each stretch of this length; both sides and all prices are probed at it.
    grid_ns        times after arrival at which the mid is looked at, ascending; a probe is followed to the last.
    inside_ticks   prices, as ticks inside the own touch: 0 joins it, 1 improves it. What would take is left out.
    scattered      prices beside these, drawn anew at each time and the same for both sides: so many deeper inside the
                   spread, and as many behind the touch. Each distance is as likely as twice of it: inside from two
                   ticks to the last before the other side, behind from one tick to `BEHIND_SDS` standard deviations of
                   the mid over the longest time of the grid.
    lots           of each probe, 0 for the smallest that the venue takes.
    queue          `risk_averse`, `moderate` or `exact`, see `sor.lab.queue_fills`.
    feed_ns, entry_ns    delay of market data, and of an order.
    markout_ns     times after a fill at which the mid is looked at.
    """

    every_ns: int
    grid_ns: tuple[int, ...]
    inside_ticks: tuple[int, ...] = (0, 1)
    scattered: int = 0
    lots: int = 0
    queue: str = "risk_averse"
    feed_ns: int = 5 * MS
    entry_ns: int = 5 * MS
    markout_ns: tuple[int, ...] = (NS, 5 * NS)
    seed: int = SEED


class Probes(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """N probes that rested, in order of time; J times of the grid, M of the markouts.

    decided_ns, arrived_ns   (N,) when it was decided on, local time; when it came to the venue.
    seen_ns         (N,) until when it was followed. filled_ns: `NEVER` where it was not filled by then.
    away_ns         (N,) when the own touch first stood beyond its price, `NEVER` likewise.
    side, inside_ticks, price_ticks, lots    (N,) what it was. ahead_lots: displayed at its price when it came.
    covariates      (N, len(COVARIATES)) as known when it was decided on.
    volatility      (N,) bps/sqrt(s), spread_bps: likewise. mid_hticks: the mid that moves are counted from, likewise.
    moves_bps       (N, J) move of the mid by each time of the grid, filled or not, positive when it leaves the order;
                    NaN where the tape has ended or the book is not sound.
    excursion_bps   (N,) the largest such move while it rested, at least 0.
    markouts_bps    (N, M) of filled ones: mid then against the fill, positive when good. NaN where unknown.
    refused         how many would have taken on arrival and are not here.
    """

    plan: ProbePlan
    decided_ns: IntColumn
    arrived_ns: IntColumn
    seen_ns: IntColumn
    filled_ns: IntColumn
    away_ns: IntColumn
    side: ByteColumn
    inside_ticks: IntColumn
    price_ticks: IntColumn
    lots: IntColumn
    ahead_lots: IntColumn
    covariates: Floats
    volatility: Floats
    spread_bps: Floats
    mid_hticks: IntColumn
    moves_bps: Floats
    excursion_bps: Floats
    markouts_bps: Floats
    refused: int

    @property
    def filled(self) -> Bools:
        """(N,) whether it was filled while it was followed."""
        return self.filled_ns < NEVER

    @property
    def rested_s(self) -> Floats:
        """(N,) seconds it rested: to its fill, or as long as it was followed."""
        rested: Floats = (np.minimum(self.filled_ns, self.seen_ns) - self.arrived_ns) / NS
        return rested

    def take(self, chosen: IntColumn | Bools) -> Probes:
        """Some of them, in the order given."""
        rows = {name: getattr(self, name)[chosen] for name in _ROWS}
        return Probes(plan=self.plan, refused=self.refused, **rows)


_ROWS = tuple(name for name in Probes.__struct_fields__ if name not in {"plan", "refused"})


def joined(parts: Sequence[Probes]) -> Probes:
    """Probes of one plan on several tapes, one after the other."""
    rows = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _ROWS}
    return Probes(plan=parts[0].plan, refused=sum(part.refused for part in parts), **rows)


def draw_probes(tape: Tape, plan: ProbePlan, *, from_ns: int | None = None, until_ns: int | None = None) -> Probes:
    """Probe a tape.

    from_ns, until_ns    venue time within which probes are placed and followed; by default from the warm-up to the end.
    Raises               CallerError for a senseless plan, or a stretch too short for a single probe.
    """
    _refuse_senseless(plan)
    begin_ns, end_ns = probed_span(tape, from_ns=from_ns, until_ns=until_ns)
    feed_ns = plan.feed_ns
    count = (end_ns - begin_ns) // plan.every_ns
    if count < 1:
        raise CallerError(
            f"tape {tape.name} has {(end_ns - begin_ns) / NS:.1f} s to probe, which is less than one probe every "
            f"{plan.every_ns / NS:g} s; nothing was probed. Take a longer stretch or probe more often"
        )
    probes = 2 * count * (len(plan.inside_ticks) + 2 * plan.scattered)
    if probes > PROBES_MAX:
        raise CallerError(f"{probes} probes are more than {PROBES_MAX}; probe less often")
    columns = columns_with_delay(tape, feed_ns)
    rng = np.random.default_rng([plan.seed, SEED])
    times = begin_ns + feed_ns + np.arange(count) * plan.every_ns + rng.integers(0, plan.every_ns, count)
    asked = _ask(columns, plan, times, tape, rng)
    arrived_ns = asked.decided_ns + plan.entry_ns
    inside = arrived_ns < end_ns
    asked, arrived_ns = asked.take(inside), arrived_ns[inside]
    seen_ns = np.minimum(arrived_ns + plan.grid_ns[-1], end_ns)
    orders = Orders(asked.side, asked.price_ticks, asked.lots, arrived_ns, seen_ns)
    fates = QueueFills(tape, columns, queue=plan.queue).fates(orders)
    rested = ~fates.refused
    asked, arrived_ns, seen_ns = asked.take(rested), arrived_ns[rested], seen_ns[rested]
    filled_ns = fates.filled_ns[rested]
    mids = _Mids(tape, columns, end_ns)
    ended_ns = np.minimum(filled_ns, seen_ns)

    def move_bps(at_ns: IntColumn) -> Floats:
        """Move of the mid by then, positive when it leaves the order."""
        moved: Floats = BPS * asked.side * (mids.at(at_ns) - asked.mid_hticks) / asked.mid_hticks
        return moved

    def markout_bps(after_ns: int) -> Floats:
        """The mid so long after the fill against the fill, positive when good."""
        filled_hticks = 2.0 * asked.price_ticks
        later: Floats = mids.at(np.minimum(filled_ns, NEVER - after_ns) + after_ns)
        return BPS * asked.side * (later - filled_hticks) / filled_hticks

    return Probes(
        plan=plan,
        decided_ns=asked.decided_ns,
        arrived_ns=arrived_ns,
        seen_ns=seen_ns,
        filled_ns=filled_ns,
        away_ns=_away(columns, asked, arrived_ns, ended_ns, tape),
        side=asked.side,
        inside_ticks=asked.inside_ticks,
        price_ticks=asked.price_ticks,
        lots=asked.lots,
        ahead_lots=fates.ahead_lots[rested],
        covariates=asked.covariates,
        volatility=asked.volatility,
        spread_bps=asked.spread_bps,
        mid_hticks=asked.mid_hticks,
        moves_bps=_stacked([move_bps(arrived_ns + after_ns) for after_ns in plan.grid_ns], len(arrived_ns)),
        excursion_bps=mids.excursion(asked.side, asked.mid_hticks, arrived_ns, ended_ns),
        markouts_bps=_stacked([markout_bps(after_ns) for after_ns in plan.markout_ns], len(arrived_ns)),
        refused=int(fates.refused.sum()),
    )


def columns_with_delay(tape: Tape, feed_ns: int) -> FeatureColumns:
    """Features of a tape as known `feed_ns` after they happened."""
    return columns_of(tape, group_local_ns=tape.group_venue_ns + feed_ns, trade_local_ns=tape.trade_venue_ns + feed_ns)


def probed_span(tape: Tape, *, from_ns: int | None = None, until_ns: int | None = None) -> tuple[int, int]:
    """Venue time from which probes may be placed, once the features are warm, and until which they are followed.

    Raises    CallerError for a tape without a book, or bounds that leave nothing.
    """
    snapshots = np.flatnonzero(tape.group_snapshot)
    if not len(snapshots):
        raise CallerError(f"tape {tape.name} holds no book; nothing was probed")
    first_ns = int(tape.group_venue_ns[snapshots[0]])
    last_ns = int(max(tape.group_venue_ns[-1], tape.trade_venue_ns.max(initial=0)))
    ready_ns = max(
        first_ns + min(WARM_UP_NS, (last_ns - first_ns) // _WARM_UP_SHARE),
        int(tape.group_venue_ns[0]) + tape.warm_up_ns,
    )
    begin_ns = ready_ns if from_ns is None else max(ready_ns, from_ns)
    end_ns = last_ns if until_ns is None else min(last_ns, until_ns)
    if begin_ns >= end_ns:
        raise CallerError(
            f"nothing is left of tape {tape.name} between these times after a warm-up of "
            f"{(ready_ns - int(tape.group_venue_ns[0])) / NS:,.0f} s; nothing was probed. Take a longer stretch"
        )
    return begin_ns, end_ns


def non_overlapping(probes: Probes, horizon_ns: int) -> Bools:
    """(N,) one probe a side for every stretch of `horizon_ns` that does not overlap the one before it.

    Whether it was filled does not shorten its stretch. Of probes at one time it is the one nearest to the other side.
    """
    chosen = np.zeros(len(probes.side), np.bool_)
    for side in (1, -1):
        rows = np.flatnonzero(probes.side == side)
        rows = rows[np.lexsort((-probes.inside_ticks[rows], probes.arrived_ns[rows]))]
        arrived_ns = probes.arrived_ns[rows]
        at = 0
        while at < len(rows):
            chosen[rows[at]] = True
            at = int(arrived_ns.searchsorted(arrived_ns[at] + horizon_ns, "left"))
    return chosen


# --- what is asked ----------------------------------------------------------------------------------------------------


class _Asked(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Orders as they would be decided on; fields as in `Probes`."""

    decided_ns: IntColumn
    side: ByteColumn
    inside_ticks: IntColumn
    price_ticks: IntColumn
    lots: IntColumn
    mid_hticks: IntColumn
    covariates: Floats
    volatility: Floats
    spread_bps: Floats

    def take(self, chosen: IntColumn | Bools) -> _Asked:
        return _Asked(**{name: getattr(self, name)[chosen] for name in self.__struct_fields__})


def _ask(columns: FeatureColumns, plan: ProbePlan, times: IntColumn, tape: Tape, rng: np.random.Generator) -> _Asked:
    """Both sides, at every price, at each time with a sound book, in order of time."""
    row = columns.group_local_ns.searchsorted(times, "right") - 1
    sound = (row >= columns.first_group) & (columns.trust[np.maximum(row, 0)] == _OK)
    times, row = times[sound], row[sound]
    value: Callable[[str], Floats] = lambda name: columns.values(name, times)  # noqa: E731 -- one name, one meaning
    bid, ask = columns.bid_ticks[row].astype(np.int64), columns.ask_ticks[row].astype(np.int64)
    spread, volatility, spread_bps = ask[:, 0] - bid[:, 0], value("volatility"), value("spread_bps")
    moved_ticks = unit_bps(volatility=volatility, spread_bps=spread_bps) * spread / spread_bps
    places: list[IntColumn] = [np.full(len(times), inside, np.int64) for inside in plan.inside_ticks]
    for _ in range(plan.scattered):
        deeper = _scattered(rng, 2.0, spread - 1.0)
        places.append(np.where(spread > 2, deeper, _NO_PLACE))
        places.append(-_scattered(rng, 1.0, BEHIND_SDS * moved_ticks * np.sqrt(plan.grid_ns[-1] / NS)))
    flow = {1: value("sell_flow"), -1: value("buy_flow")}
    trades = {1: value("sell_trades_per_s"), -1: value("buy_trades_per_s")}
    touch = {1: value("bid_touch_lots"), -1: value("ask_touch_lots")}
    ofi, ofi_1s, moves = value("ofi_lots"), value("ofi_1s_lots"), value("best_moves_per_s")
    found: list[_Asked] = []
    sides: tuple[tuple[int, IntColumn, ByteColumn, LevelColumn], ...] = (
        (1, bid, columns.bid_depth[row], columns.bid_lots[row]),
        (-1, -ask, columns.ask_depth[row], columns.ask_lots[row]),
    )
    for side, signed, depth, level_lots in sides:
        there = np.arange(VIEW_DEPTH) < depth[:, None]
        for inside in places:
            price = signed[:, 0] + inside
            ahead = level_lots.sum(axis=1, where=there & (signed >= price[:, None]))
            lots: IntColumn = np.full(len(times), plan.lots, np.int64)
            if not plan.lots:
                lots = np.array(
                    [tape.instrument.min_lots_at(int(ticks)) for ticks in np.maximum(side * price, 1)], np.int64
                )
            terms = Terms(
                queue_lots=ahead + lots.astype(np.float64),
                near_lots=touch[side],
                far_lots=touch[-side],
                spread_ticks=spread.astype(np.float64),
                spread_bps=spread_bps,
                away_ticks=-inside.astype(np.float64),
                flow_against=flow[side],
                flow_with=flow[-side],
                trades_against=trades[side],
                ofi_1s_lots=side * ofi_1s,
                ofi_10s_lots=side * ofi,
                volatility=volatility,
                moves_per_s=moves,
            )
            asked = _Asked(
                decided_ns=times,
                side=np.full(len(times), side, np.int8),
                inside_ticks=inside,
                price_ticks=side * price,
                lots=lots,
                mid_hticks=bid[:, 0] + ask[:, 0],
                covariates=covariate_columns(terms),
                volatility=volatility,
                spread_bps=spread_bps,
            )
            found.append(asked.take((inside < spread) & (side * price > 0)))
    together = {name: np.concatenate([getattr(one, name) for one in found]) for name in _Asked.__struct_fields__}
    return _Asked(**together).take(np.argsort(together["decided_ns"], kind="stable"))


def _scattered(rng: np.random.Generator, least: float, most: Floats) -> IntColumn:
    """Whole ticks from `least` to each of `most` (N,), evenly in the logarithm; `least` where there is no room."""
    room = np.log(np.maximum(np.floor(most) + 1.0, least + 1.0) / least)
    ticks: IntColumn = np.floor(least * np.exp(rng.random(len(most)) * room)).astype(np.int64)
    return ticks


# --- what became of them ----------------------------------------------------------------------------------------------


class _Mids:
    """The mid by venue time up to `end_ns`."""

    def __init__(self, tape: Tape, columns: FeatureColumns, end_ns: int) -> None:
        mids = columns.bid_ticks[:, 0].astype(np.float64) + columns.ask_ticks[:, 0]
        self._mids = np.where(columns.trust == _OK, mids, np.nan)
        self._group_ns = tape.group_venue_ns
        sound = np.flatnonzero(columns.trust == _OK)
        self._sound_ns, self._sound_mids = tape.group_venue_ns[sound], mids[sound]
        self._end_ns = end_ns

    def at(self, at_ns: IntColumn) -> Floats:
        """Half-ticks, NaN beyond the end and where the book is not sound."""
        row = self._group_ns.searchsorted(at_ns, "right") - 1
        mid: Floats = np.where((at_ns <= self._end_ns) & (row >= 0), self._mids[np.maximum(row, 0)], np.nan)
        return mid

    def excursion(self, side: ByteColumn, mid_hticks: IntColumn, from_ns: IntColumn, until_ns: IntColumn) -> Floats:
        """The largest move of the mid away from each order within (from, until], bps, at least 0."""
        start = np.maximum(self._sound_ns.searchsorted(from_ns, "right") - 1, 0)
        stop = self._sound_ns.searchsorted(until_ns, "right")
        extreme = np.zeros(len(side))
        for sign in (1, -1):
            ours = side == sign
            extreme[ours] = range_max(sign * self._sound_mids, start=start[ours], stop=stop[ours])
        excursion: Floats = np.fmax(BPS * (extreme - side * mid_hticks) / mid_hticks, 0.0)
        return excursion


def _away(columns: FeatureColumns, asked: _Asked, from_ns: IntColumn, until_ns: IntColumn, tape: Tape) -> IntColumn:
    """When the own touch first stood beyond each order's price, `NEVER` for not by `until_ns`."""
    start = tape.group_venue_ns.searchsorted(from_ns, "right")
    stop = tape.group_venue_ns.searchsorted(until_ns, "right")
    away = np.full(len(start), len(tape.group_venue_ns))
    for side, depth, ticks in (
        (1, columns.bid_depth, columns.bid_ticks[:, 0].astype(np.int64)),
        (-1, columns.ask_depth, columns.ask_ticks[:, 0].astype(np.int64)),
    ):
        ours = np.flatnonzero(asked.side == side)
        falling = np.where(depth > 0, -side * ticks, NEVER)
        beyond = -side * asked.price_ticks[ours] - 1
        away[ours] = Lowest(falling).first_at_most(beyond, start=start[ours], stop=stop[ours])
    away_ns: IntColumn = np.append(tape.group_venue_ns, NEVER)[away]
    return away_ns


def _stacked(columns: list[Floats], count: int) -> NDArray[np.float64]:
    return np.stack(columns, axis=1) if columns else np.zeros((count, 0))


def _refuse_senseless(plan: ProbePlan) -> None:
    grid = plan.grid_ns
    if (
        plan.every_ns <= 0
        or not grid
        or grid[0] <= 0
        or list(grid) != sorted(dict.fromkeys(grid))
        or not plan.inside_ticks
        or min(plan.feed_ns, plan.entry_ns, plan.lots, plan.scattered) < 0
        or min(plan.markout_ns, default=1) <= 0
    ):
        raise CallerError(
            "a plan of probes needs a positive spacing, one price at least, ascending times > 0, and delays and lots "
            "that are not negative; nothing was probed"
        )
