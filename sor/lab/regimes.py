"""Fits by market regime: what the whole fit says, fitted again on the orders of one regime alone.

The regimes are those of the base set's own thresholds (`sor.regime`), as a decision would see them. A regime is
admitted by the rules of the whole fit, on its own orders, up to the same wait: a shorter one would take waits away from
the policies where the whole fit allows them. And it has to say more than the whole fit does, on the regime's own
held-out orders: a higher log-likelihood by more than noise, and a drift that forecasts no worse. Covariates already
tell markets apart; a fit of its own pays only where they work differently.

A market in its first seconds after a loss of the book has no regime to a decision, and one by its numbers here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec
import numpy as np

from sor.lab.bootstrap import difference
from sor.lab.calibration import CalibrationPlan, Fitted, Judged, RegimeFit, RegimeRefusal, Support, too_few
from sor.lab.calibration_sample import Progress, Sample, support_of
from sor.lab.costs import drift_rows
from sor.lab.probes import Probes
from sor.lab.scores import hazard_forecast, log_scores
from sor.models.survival import CENSORED, FILLED, Flags, Floats
from sor.regime import Regime, Thresholds
from sor.units import NS

Attempt = Callable[[Sample, CalibrationPlan, tuple[Support, ...], Support], tuple[Fitted, tuple[Judged, ...]] | str]
"""A fit of a sample up to a horizon with its scores, or why it is refused: `sor.lab.calibrate`."""


def regime_rows(probes: Probes, thresholds: Thresholds) -> dict[Regime, Flags]:
    """(N,) which probes were decided on in each regime; each is in one."""
    wide: Flags = probes.spread_bps >= thresholds.wide_spread_min
    busy: Flags = ~wide & (probes.volatility >= thresholds.busy_volatility_min)
    return {Regime.WIDE: wide, Regime.BUSY: busy, Regime.CALM: ~wide & ~busy}


def fit_regimes(
    sample: Sample, plan: CalibrationPlan, whole: Fitted, *, attempt: Attempt, progress: Progress
) -> tuple[RegimeFit | RegimeRefusal, ...]:
    """A fit for each regime that the plan's thresholds know, or why it has none."""
    return tuple(_fits(sample, plan, whole, attempt, progress))


def _fits(
    sample: Sample, plan: CalibrationPlan, whole: Fitted, attempt: Attempt, progress: Progress
) -> Iterator[RegimeFit | RegimeRefusal]:
    assert plan.regimes is not None
    for regime, rows in regime_rows(sample.probes, plan.regimes).items():
        progress(f"fitting the {regime} market")
        yield _fit(sample.take(rows), plan, whole, attempt, regime)


def _fit(
    sample: Sample, plan: CalibrationPlan, whole: Fitted, attempt: Attempt, regime: Regime
) -> RegimeFit | RegimeRefusal:
    count = len(sample.tape)

    def refused(reason: str) -> RegimeRefusal:
        return RegimeRefusal(regime, count, reason)

    horizon_s = whole.horizon_s
    if not sample.fits(horizon_s).any() or not sample.held.any():
        return refused("no order of it is on the fitted part, or none on the held-out one")
    supports = tuple(support_of(sample, one) for one in plan.horizons_s if one <= horizon_s)
    if not supports[-1].enough:
        return refused(too_few(supports[-1]))
    made = attempt(sample, plan, supports, supports[-1])
    if isinstance(made, str):
        return refused(made)
    fitted, judged = made
    held = sample.probes.take(sample.held)
    gain = difference(
        ours=_scores(held, fitted),
        theirs=_scores(held, whole),
        block=sample.blocks(sample.held, horizon_s),
        rng=np.random.default_rng([plan.seed, 10]),
    )
    if gain.low is None or gain.low <= 0.0:
        within = "" if gain.low is None else f" [{gain.low:+.4f}, {gain.high:+.4f}]"
        return refused(
            f"it says no more than the whole fit: {gain.mean:+.4f}{within} log-likelihood an order, held out"
        )
    own, common = _drift_loss(held, fitted), _drift_loss(held, whole)
    if own > common:
        return refused(f"its drift forecasts worse than the whole fit's: {own:.4f} against {common:.4f}, held out")
    return RegimeFit(
        regime=regime,
        probes=count,
        gain=gain.mean,
        gain_low=gain.low,
        gain_high=gain.high,
        fitted=fitted,
        judged=judged[-1],
    )


def _scores(held: Probes, fitted: Fitted) -> Floats:
    """(N,) log-likelihood of each order by a fit, up to its horizon."""
    forecast = hazard_forecast(fitted.hazard.model, held.covariates)
    cause = np.where(held.filled & (held.rested_s <= fitted.horizon_s), FILLED, CENSORED)
    return log_scores(forecast, held.rested_s, cause)


def _drift_loss(held: Probes, fitted: Fitted) -> float:
    """Mean weighted squared error of D by a fit at its horizon; 0.0 where nobody was unfilled."""
    at = held.plan.grid_ns.index(round(fitted.horizon_s * NS))
    grid = held.plan.grid_ns[at : at + 1]
    short = msgspec.structs.replace(
        held,
        plan=msgspec.structs.replace(held.plan, grid_ns=grid),
        moves_bps=held.moves_bps[:, at : at + 1],
    )
    resting = hazard_forecast(fitted.hazard.model, held.covariates).resting[:, -1:]
    loss = drift_rows(short, resting).loss(fitted.drift)
    return float(loss.mean()) if len(loss) else 0.0
