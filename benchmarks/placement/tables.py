"""Scores for people: lines on a terminal, and the tables of a page, which are put there by the program."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from benchmarks.placement.scores import Against, ArmScore, Score
from benchmarks.placement.study import FIXED_PREFIX, fixed_of, timeouts_of
from benchmarks.placement.tails import Tail
from sor.errors import CallerError
from sor.lab.bootstrap import Difference


def shown(found: Score) -> str:
    """The tables of one score."""
    title = (
        f"{found.name}: {found.parents:,} parents of {found.quantity}, deadline {found.deadline_s:g} s, "
        f"queue {found.queue}, spread to {found.spread_bps:g} bps, rung {found.rung or 'not tuned'}, "
        f"broken {found.broken}"
    )
    head = (
        f"{'arm':<26}{'cost':>8}{'95 %':>18}{'saved':>8}{'captured':>10}{'p95':>8}{'excess':>8}{'passive':>9}"
        f"{'moves':>7}{'t/o':>6}{'fall':>6}"
    )
    arms = [
        f"{one.arm:<26}{one.cost.mean:>8.3f}{_within(one.cost.low, one.cost.high):>18}{one.saved.mean:>8.3f}"
        f"{one.captured:>10.1%}{one.p95:>8.3f}{one.excess_p95:>8.3f}{_percent(one.passive_share):>9}"
        f"{one.requotes:>7.2f}{one.timeouts:>6}{one.fallbacks:>6}"
        for one in found.arms
    ]
    against = [
        f"  {one.arm} - {one.fixed}: {one.difference.mean:+.4f} "
        f"{_within(one.difference.low, one.difference.high)} ({one.difference.blocks} blocks) {one.verdict}"
        for one in found.against
    ]
    worst = {one.arm: one.worst for one in found.arms}
    tails = [
        f"  tail of {one.arm}: p95 {one.p95:.3f}, {one.nearest} {one.nearest_p95:.3f} (by "
        f"{one.p95 - one.nearest_p95:+.3f} {_within(one.gap.low, one.gap.high)}); excess p95 {one.excess_p95:.3f} "
        f"{_within(one.excess.low, one.excess.high)} of {one.budget_bps:g}; mean beyond p95 {worst[one.arm]:.3f}, "
        f"{worst[one.nearest]:.3f}: {'met' if one.met else 'not met'}"
        for one in found.tails
    ]
    return "\n".join([title, head, *arms, *against, *tails])


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _within(low: float | None, high: float | None) -> str:
    return "-" if low is None or high is None else f"{low:+.3f}..{high:+.3f}"


# --- a page -----------------------------------------------------------------------------------------------------------

_COLUMNS = ("arm", "cost", "saved against `cross`", "captured", "p95", "p95 above `cross`", "tail")


def put(page: str, part: str, scores: Sequence[Score]) -> str:
    """The page with the tables of a part between its two marks. Raises `CallerError` for a page without them."""
    begin, end = f"<!-- {part}: printed by the program -->\n", f"<!-- end of {part} -->"
    marks = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if len(marks.findall(page)) != 1:
        raise CallerError(f"the page does not have {begin.strip()} and {end} once; nothing was written")
    return marks.sub(lambda _: f"{begin}\n{tables(scores)}\n\n{end}", page)


def tables(scores: Sequence[Score]) -> str:
    """A table for each score; those that differ in nothing but the queue's name are one."""
    found: list[tuple[Score, list[str]]] = []
    for score in scores:
        alike = [names for other, names in found if msgspec.structs.replace(other, queue=score.queue) == score]
        if alike:
            alike[0].append(score.queue)
        else:
            found.append((score, [score.queue]))
    return "\n\n".join(_table(score, names) for score, names in found)


def _table(score: Score, queues: Sequence[str]) -> str:
    lines = [
        f"**{score.name}, deadline {score.deadline_s:g} s, queue {' and '.join(queues)}**: {score.parents:,} parents "
        f"of {score.quantity}, {score.against[0].difference.blocks} blocks, excursion budget "
        f"{score.tails[0].budget_bps:g} bps, spread threshold {score.spread_bps:g} bps"
        + (f", tuned ladder from `{score.rung}` on." if score.rung else ".")
    ]
    if score.tuning is not None:
        spreads = ", ".join(f"{name} bps {cost:.3f}" for name, cost in score.tuning.spreads.items())
        rungs = ", ".join(f"`{name}` {cost:.3f}" for name, cost in score.tuning.rungs.items())
        lines[0] += f" On the tuning market `cost_aware` cost by threshold: {spreads}; then by first rung: {rungs}."
    if score.patience is not None:
        lines[0] += f" *Careful* rests for {score.patience:g} of the time."
    tails = {tail.arm: tail for tail in score.tails}
    rows = []
    for one in score.arms:
        against = {other.fixed: other for other in score.against if other.arm == one.arm}
        cells = [_cell(against.get(fixed)) for fixed in fixed_of(score.deadline_s)]
        rows.append(f"| {_row(one, tails.get(one.arm))} | {' | '.join(cells)} |")
    columns = (*_COLUMNS, *[f"less {timeout_s} s" for timeout_s in timeouts_of(score.deadline_s)])
    head = f"| {' | '.join(columns)} |\n{'| --- ' * len(columns)}|"
    return "\n".join([*lines, "", head, *rows])


def _row(one: ArmScore, tail: Tail | None) -> str:
    verdict = (
        ""
        if tail is None
        else f"{'met' if tail.met else '**not met**'} ({_short(tail.nearest)} {tail.nearest_p95:.3f})"
    )
    return (
        f"{_short(one.arm)} | {one.cost.mean:.3f} | {_span(one.saved)} | {one.captured:.1%} | {one.p95:.3f} | "
        f"{one.excess_p95:.3f} | {verdict}"
    )


def _cell(found: Against | None) -> str:
    if found is None:
        return ""
    word = "" if found.verdict == "cheaper" else f" *{found.verdict}*"
    return f"{_span(found.difference)}{word}"


def _span(found: Difference) -> str:
    if found.low is None or found.high is None:
        return f"{found.mean:+.3f}"
    return f"{found.mean:+.3f} ({found.low:+.3f} to {found.high:+.3f})"


def _short(arm: str) -> str:
    """`maker_first@t15` as it is said: 15 s."""
    policy, _, name = arm.partition("@")
    if arm.startswith(FIXED_PREFIX):
        return f"{name[1:]} s"
    return f"`{policy}` {name}" if policy == "cost_aware" else f"`{policy}`" if name else arm
