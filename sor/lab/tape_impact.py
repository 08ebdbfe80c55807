"""The law of impact on a tape: how far the mid moves in a window by what takers have bought net in it.

Response     Of each window in which takers bought more than they sold, or less: the move of the mid in their favour
             over the volatility before, and their net lots over what takers of one side take in a second, as the
             router asks for the share. Both are of all takers together.
Law          response = Y share^e, through the origin. e is 1/2 unless the tape itself says otherwise: unless 1/2 lies
             outside the 95 % interval of the exponent that fits best, and that one forecasts the held-out end better.
             Outliers count less (Huber's loss).
Errors       By blocks of time that are drawn again: windows of one minute say the same thing.
Refusal      Too few windows or blocks, a coefficient that is not told from 0 or makes no sense, or a law that forecasts
             the held-out end of the tapes worse than none.

What is published is the average paid on the way, peak / (1 + e). It is an upper bound for an order of ours that knows
nothing: what takers know is in the moves as well, and what moves back after the window is not taken off. Own executions
say more (`sor.lab.impact`). How the market answers to size that we show cannot be seen on a tape at all: a lean of the
book goes before a move whoever made it.

Source       methods 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sor.lab.bootstrap import BLOCKS_MAX, DRAWS, LEVEL, Interval, block_of, difference, ratio
from sor.lab.calibration import CalibrationPlan, ImpactLaw, Refusal
from sor.lab.calibration_sample import Sample
from sor.lab.columns import TRUSTS
from sor.lab.impact import huber_slope
from sor.lab.probes import columns_with_delay
from sor.market import Trust
from sor.models.impact import LAW_EXPONENT
from sor.models.survival import Flags, Floats, Ints
from sor.param_table import definition_of
from sor.tape import Tape
from sor.units import BPS, NS

WINDOW_S = 10.0
"""As long as the windows of the flow features."""
WINDOWS_MIN = 200
_BLOCKS_MIN = 12
"""The exponent has a percentile interval, which few blocks make too narrow."""
_ROUNDS_MAX = 20
_FAR = 3.0
"""Of the reach of Huber's loss, for the exponent."""
_EXPONENTS: Floats = np.arange(10, 101) / 100.0
_OK = TRUSTS.index(Trust.OK)


class Windows(NamedTuple):
    """W windows with a net flow.

    response   (W,) move of the mid in the takers' favour over the volatility before, sqrt(s).
    share      (W,) net lots over what one side takes in a second, s. block: (W,), none shared by two tapes.
    held       (W,) whether it is held out.
    """

    response: Floats
    share: Floats
    block: Ints
    held: Flags


def windows_of(tapes: Sequence[Tape], sample: Sample) -> Windows:
    """The windows of the stretches that are used of each tape."""
    parts: list[Windows] = []
    first = 0
    for number, (tape, use) in enumerate(zip(tapes, sample.uses, strict=True)):
        cut_ns = int(sample.cut_ns[sample.tape == number][0])
        found = _windows(tape, use.first_ns, use.last_ns, cut_ns)
        parts.append(found._replace(block=found.block + first))
        first += BLOCKS_MAX
    return Windows(*[np.concatenate(column) for column in zip(*parts, strict=True)])


def _windows(tape: Tape, from_ns: int, until_ns: int, cut_ns: int) -> Windows:
    width_ns = round(WINDOW_S * NS)
    columns = columns_with_delay(tape, 0)
    edges_ns = np.arange(from_ns, until_ns + 1, width_ns)
    trades = columns.trade_local_ns.searchsorted(edges_ns, "right")
    bought, sold = np.diff(columns.buy_lots[trades]), np.diff(columns.sell_lots[trades])
    row = np.maximum(columns.group_local_ns.searchsorted(edges_ns, "right") - 1, 0)
    sound = columns.trust[row] == _OK
    mid = columns.values("mid_hticks", edges_ns)
    volatility = columns.values("volatility", edges_ns)[:-1]
    net = bought - sold
    one_side = float(bought.sum() + sold.sum()) / 2.0 / (max(len(net), 1) * WINDOW_S)
    chosen = (net != 0) & (volatility > 0.0) & sound[:-1] & sound[1:]
    moves_bps = BPS * np.diff(mid)[chosen] / mid[:-1][chosen]
    start_ns = edges_ns[:-1][chosen]
    return Windows(
        response=np.sign(net[chosen]) * moves_bps / volatility[chosen],
        share=np.abs(net[chosen]) / one_side,
        block=block_of(start_ns, deadline_ns=width_ns) if len(start_ns) else start_ns,
        held=start_ns >= cut_ns,
    )


def fit_law(windows: Windows, plan: CalibrationPlan) -> ImpactLaw | Refusal:
    """The law of these windows, or why there is none."""
    ours = ~windows.held
    count, blocks = int(ours.sum()), len(np.unique(windows.block[ours]))
    if count < WINDOWS_MIN or blocks < _BLOCKS_MIN or not windows.held.any():
        return _refused(
            f"{count} windows with a net flow in {blocks} blocks to fit on where {WINDOWS_MIN} in {_BLOCKS_MIN} are "
            "needed: record for longer"
        )
    rng = np.random.default_rng([plan.seed, 8])
    response, share, block = windows.response[ours], windows.share[ours], windows.block[ours]
    own, low, high = _exponent(response, share, block, rng)
    root = _error_of(LAW_EXPONENT, windows)
    contradicted = not low <= LAW_EXPONENT <= high and _error_of(own, windows) < root
    exponent = own if contradicted else LAW_EXPONENT
    at: Floats = share**exponent
    peak = _peak(at, response, block, rng)
    assert peak.low is not None
    if peak.low <= 0.0:
        return _refused(f"no impact is told from none: {peak.mean:.3f}, but it may be {peak.low:.3f}")
    most = definition_of("impact.coefficient")
    assert most is not None
    if peak.mean > float(most.high):
        return _refused(f"a coefficient of {peak.mean:.3f} is beyond what makes sense")
    later, later_at = windows.response[windows.held], windows.share[windows.held] ** exponent
    gain = difference(
        ours=later**2, theirs=(later - peak.mean * later_at) ** 2, block=windows.block[windows.held], rng=rng
    )
    law = ImpactLaw(
        window_s=WINDOW_S,
        windows=count,
        blocks=blocks,
        exponent=exponent,
        own_exponent=own,
        own_exponent_low=low,
        own_exponent_high=high,
        peak=peak,
        error=float((later**2).mean()) - gain.mean,
        error_of_none=float((later**2).mean()),
        error_of_linear=_error_of(1.0, windows),
        error_of_root=root,
    )
    if gain.mean <= 0.0:
        return _refused(f"out of sample it forecasts moves worse than no impact at all: {gain.mean:+.4f}")
    return law


def _peak(at: Floats, response: Floats, block: Ints, rng: np.random.Generator) -> Interval:
    """The coefficient by Huber's loss; blocks that are drawn again move it by one step of its search."""
    found = huber_slope(at, response)
    known = at * at * found.counted(at, response)
    score = at * (found.bounded(at, response) - found.slope * at)
    return ratio(found.slope * known + score, known, block, rng)


def _refused(reason: str) -> Refusal:
    return Refusal(WINDOW_S, reason)


def _error_of(exponent: float, windows: Windows) -> float:
    """Mean squared error on the held-out part of the law of this exponent."""
    fits, held = ~windows.held, windows.held
    found = huber_slope(windows.share[fits] ** exponent, windows.response[fits])
    return float(((windows.response[held] - found.slope * windows.share[held] ** exponent) ** 2).mean())


def _exponent(response: Floats, share: Floats, block: Ints, rng: np.random.Generator) -> tuple[float, float, float]:
    """The exponent of least squares with its interval: what blocks that are drawn again find.

    Outliers are bounded around the curve that is found, which is found again until it stays; far enough from it that
    they do not hold the curves of other draws where it is.
    """
    numbers, place = np.unique(block, return_inverse=True)
    count = len(numbers)
    curves = share[:, None] ** _EXPONENTS
    along = np.stack([np.bincount(place, column, count) for column in (curves * curves).T], axis=1)

    def best(bounded: Floats, times: Floats) -> Floats:
        """The exponent that explains most, of (R, blocks) numbers of times that each block is there."""
        across = np.stack([np.bincount(place, bounded * column, count) for column in curves.T], axis=1)
        explained = np.maximum(times @ across, 0.0) ** 2 / (times @ along)
        found: Floats = _EXPONENTS[explained.argmax(axis=1)]
        return found

    own, bounded = LAW_EXPONENT, response
    for _ in range(_ROUNDS_MAX):
        at: Floats = share**own
        line = huber_slope(at, response)
        bounded = line._replace(reach=_FAR * line.reach).bounded(at, response)
        last, own = own, float(best(bounded, np.ones((1, count)))[0])
        if own == last:
            break
    drawn = rng.multinomial(count, np.full(count, 1.0 / count), DRAWS).astype(np.float64)
    tail = (1.0 - LEVEL) / 2.0
    low, high = np.quantile(best(bounded, drawn), (tail, 1.0 - tail)).tolist()
    return own, min(low, own), max(high, own)
