"""The costs of many parents of one policy: means, tails and shares, with the counts they rest on.

A parent is the unit: means are over parents, each counted once, unless a name says lots. Nothing is left out silently:
what rests on fewer than all parents has its count beside it. Intervals are `sor.lab.bootstrap`'s, as parents overlap.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import msgspec

from sor.errors import CallerError
from sor.ids import Symbol, VenueName
from sor.tca.report import SETTLED, ParentReport, ShortfallBps
from sor.units import seconds


class Quantiles(msgspec.Struct, frozen=True, gc=False):
    """Median and 95 % quantile of `count` values, interpolated linearly; None when there are none."""

    count: int
    median: float | None
    p95: float | None


class MarkoutLine(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Mean markout at one horizon, positive is good, bps of the fill price.

    is_maker     maker fills, taker fills, or (None) those whose venue did not say.
    lots_bps     weighted by lots; fills_bps: each fill the same.
    """

    is_maker: bool | None
    horizon_ns: int
    fills: int
    lots: int
    lots_bps: float
    fills_bps: float


class PolicyReport(msgspec.Struct, frozen=True, kw_only=True):
    """One policy with one param-set on one instrument.

    filled_share          filled over asked for, in lots; completed_share: of parents, filled in full.
    cost_bps              mean cost against arrival of the `costed` parents, completion in; the other
                          `parents` - `costed` lack the mid at arrival or the book at the end.
    cost_bps_p95          95 % quantile over the same parents.
    beyond_book           parents whose completion is a lower bound, as the book did not show enough.
    cross_at_arrival_bps  mean expected cost of crossing at once, and saved_bps the mean saving against it, both over
                          the `compared` parents that have both.
    fees_bps              mean fees paid by the fills; the taker fee of a completion is only in `cost_bps`.
    shortfall_bps         mean split over the `split` parents whose lines are all known, so that it adds up.
    fees_settled_share    of the filled lots; passive_share: of those with a known liquidity flag.
    first_fill_s          from acceptance, over parents with a fill; full_fill_s: over parents filled in full.
    taker_latency_s       from sending to hearing of the fill, over taker fills.
    """

    policy: str
    params_digest: str
    venue: VenueName
    symbol: Symbol
    parents: int
    filled_share: float
    completed_share: float
    costed: int
    cost_bps: float | None
    cost_bps_p95: float | None
    beyond_book: int
    compared: int
    cross_at_arrival_bps: float | None
    saved_bps: float | None
    fees_bps: float | None
    split: int
    shortfall_bps: ShortfallBps | None
    fees_settled_share: float | None
    unvalued_fees: int
    passive_share: float | None
    first_fill_s: Quantiles
    full_fill_s: Quantiles
    taker_latency_s: Quantiles
    timeouts: int
    fallbacks: int
    requotes: int
    orders: int
    rejects: int
    markouts: tuple[MarkoutLine, ...]


Key = tuple[str, str, VenueName, Symbol]


def by_policy(reports: Iterable[ParentReport]) -> tuple[PolicyReport, ...]:
    """One summary for each (policy, params digest, venue, symbol), in the order in which they first appear."""
    groups: dict[Key, list[ParentReport]] = {}
    for one in reports:
        groups.setdefault(_key(one), []).append(one)
    return tuple(summary(group) for group in groups.values())


def summary(reports: Sequence[ParentReport]) -> PolicyReport:
    """Put reports together. Raises `CallerError` for none, or for several policies, param-sets or instruments."""
    if not reports:
        raise CallerError("a summary of no parents; nothing was sent. Give it at least one report")
    policy, digest, venue, symbol = key = _key(reports[0])
    for one in reports:
        if _key(one) != key:
            raise CallerError(f"a summary of both {key} and {_key(one)}; nothing was sent. Use by_policy")
    filled = sum(one.filled_lots for one in reports)
    costs = [one.arrival_cost_bps for one in reports if one.arrival_cost_bps is not None]
    compared = [
        (one.cross_at_arrival_bps, one.saved_bps)
        for one in reports
        if one.cross_at_arrival_bps is not None and one.saved_bps is not None
    ]
    fees = [one.shortfall_bps.fees for one in reports if one.shortfall_bps.fees is not None]
    splits = [one.shortfall_bps for one in reports if _adds_up(one.shortfall_bps)]
    settled = sum(share.lots for one in reports for share in one.fee_shares if share.source in SETTLED)
    maker, taker = sum(one.maker_lots for one in reports), sum(one.taker_lots for one in reports)
    return PolicyReport(
        policy=policy,
        params_digest=digest,
        venue=venue,
        symbol=symbol,
        parents=len(reports),
        filled_share=filled / sum(one.qty_lots for one in reports),
        completed_share=sum(one.filled_lots >= one.qty_lots for one in reports) / len(reports),
        costed=len(costs),
        cost_bps=_mean(costs),
        cost_bps_p95=_quantiles(costs).p95,
        beyond_book=sum(one.beyond_book_lots > 0 for one in reports),
        compared=len(compared),
        cross_at_arrival_bps=_mean([crossing for crossing, _ in compared]),
        saved_bps=_mean([saved for _, saved in compared]),
        fees_bps=_mean(fees),
        split=len(splits),
        shortfall_bps=_mean_split(splits),
        fees_settled_share=settled / filled if filled else None,
        unvalued_fees=sum(one.unvalued_fees for one in reports),
        passive_share=maker / (maker + taker) if maker + taker else None,
        first_fill_s=_quantiles_s([one.first_fill_ns for one in reports]),
        full_fill_s=_quantiles_s([one.last_fill_ns for one in reports if one.filled_lots >= one.qty_lots]),
        taker_latency_s=_quantiles_s(
            [fill.latency_ns for one in reports for fill in one.fills if fill.is_maker is False]
        ),
        timeouts=sum(one.timeouts for one in reports),
        fallbacks=sum(one.fallbacks for one in reports),
        requotes=sum(one.requotes for one in reports),
        orders=sum(one.orders for one in reports),
        rejects=sum(one.rejects for one in reports),
        markouts=_markout_lines(reports),
    )


def _key(one: ParentReport) -> Key:
    return one.policy, one.params_digest, one.venue, one.symbol


def _adds_up(split: ShortfallBps) -> bool:
    """Whether every line is known; funding may be missing from lines and total alike."""
    return None not in (split.delay, split.timing, split.spread, split.fees, split.opportunity, split.total)


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None


def _mean_split(splits: Sequence[ShortfallBps]) -> ShortfallBps | None:
    """Line by line; unknown funding counts as none, as it does in the totals, unless nobody's is known."""
    if not splits:
        return None
    knows_funding = any(split.funding is not None for split in splits)
    return ShortfallBps(
        delay=_mean([split.delay or 0.0 for split in splits]),
        timing=_mean([split.timing or 0.0 for split in splits]),
        spread=_mean([split.spread or 0.0 for split in splits]),
        fees=_mean([split.fees or 0.0 for split in splits]),
        funding=_mean([split.funding or 0.0 for split in splits]) if knows_funding else None,
        opportunity=_mean([split.opportunity or 0.0 for split in splits]),
        total=_mean([split.total or 0.0 for split in splits]),
    )


def _quantiles(values: Sequence[float]) -> Quantiles:
    if not values:
        return Quantiles(0, None, None)
    ordered = sorted(values)
    return Quantiles(len(ordered), _quantile(ordered, 0.5), _quantile(ordered, 0.95))


def _quantile(ordered: Sequence[float], share: float) -> float:
    """Linear between the two nearest of the sorted values, the first being the quantile 0 and the last 1."""
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def _quantiles_s(durations_ns: Iterable[int | None]) -> Quantiles:
    return _quantiles([seconds(duration) for duration in durations_ns if duration is not None])


def _markout_lines(reports: Sequence[ParentReport]) -> tuple[MarkoutLine, ...]:
    """Maker fills first, then taker fills, then those that nobody knows; each by horizon."""
    found: dict[tuple[bool | None, int], list[tuple[int, float]]] = {}
    for one in reports:
        for fill in one.fills:
            for markout in fill.markouts:
                found.setdefault((fill.is_maker, markout.horizon_ns), []).append((fill.lots, markout.markout_bps))
    lines: list[MarkoutLine] = []
    for is_maker in (True, False, None):
        for horizon_ns in sorted(horizon for liquidity, horizon in found if liquidity is is_maker):
            pairs = found[is_maker, horizon_ns]
            lots = sum(weight for weight, _ in pairs)
            lines.append(
                MarkoutLine(
                    is_maker=is_maker,
                    horizon_ns=horizon_ns,
                    fills=len(pairs),
                    lots=lots,
                    lots_bps=math.fsum(weight * bps for weight, bps in pairs) / lots,
                    fills_bps=math.fsum(bps for _, bps in pairs) / len(pairs),
                )
            )
    return tuple(lines)
