"""What is asked of a calibration, and what comes of it; `sor.lab.calibrate` is how."""

from __future__ import annotations

import hashlib

import msgspec

from sor.ids import Symbol, VenueName
from sor.lab.bootstrap import Interval
from sor.lab.costs import LinearFit
from sor.lab.fitting import HazardFit
from sor.lab.scores import Reliable
from sor.models.drift import Drift, Markout
from sor.models.rule import Gap
from sor.regime import Regime, Thresholds

VERSION = "2"
"""Of the estimator: goes up when the same tapes would give other values."""
EDGES_S = (0.0, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0)
"""Bins of time; horizons are chosen among the later ones."""
HORIZONS_S = (1.0, 5.0, 15.0, 60.0)
FILLS_MIN = 200


class CalibrationPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What is calibrated.

    venue, symbol    of the tapes; another tape is refused.
    from_s, until_s      bounds counted from the start of each tape, negative from its end; None: all of it.
    from_share, until_share    the same as shares of each tape.
    holdout          share of each tape's stretch, its end, that is held out.
    horizons_s       asked for, among `EDGES_S`, ascending.
    every_s          time between probes; None: so that there are about `_TIMES` over all tapes.
    latency_ns       delay of market data and of orders, each.
    regimes          where one regime ends and another begins; None: nothing is fitted by regime.
    inside_ticks, scattered    where probes stand, as in `sor.lab.probes.ProbePlan`.
    """

    venue: VenueName
    symbol: Symbol
    from_s: float | None = None
    until_s: float | None = None
    from_share: float = 0.0
    until_share: float = 1.0
    holdout: float = 0.3
    horizons_s: tuple[float, ...] = HORIZONS_S
    every_s: float | None = None
    queue: str = "risk_averse"
    latency_ns: int = 5_000_000
    inside_ticks: tuple[int, ...] = (0, 1)
    scattered: int = 1
    seed: int = 3
    regimes: Thresholds | None = None


class TapeUse(msgspec.Struct, frozen=True, kw_only=True):
    """What was used of one tape: its name and digest, the stretch in venue time, and how many probes rested."""

    name: str
    digest: str
    first_ns: int
    last_ns: int
    probes: int


class Support(msgspec.Struct, frozen=True, kw_only=True):
    """How much the part that is fitted knows of one horizon.

    probes           followed for as long, or filled before.
    non_overlapping  fills among probes that do not overlap. effective: see the module, None with too few blocks.
    """

    horizon_s: float
    probes: int
    fills: int
    non_overlapping: int
    effective: float | None

    @property
    def enough(self) -> bool:
        """Whether it reaches `FILLS_MIN` one way or the other."""
        return max(self.non_overlapping, self.effective or 0.0) >= FILLS_MIN


def too_few(support: Support) -> str:
    """Why a horizon without enough support is refused."""
    effective = "" if support.effective is None else f", {support.effective:.0f} effective ones,"
    return (
        f"{support.non_overlapping} fills of probes that do not overlap{effective} where {FILLS_MIN} are needed: "
        "record for longer"
    )


class ModelScore(msgspec.Struct, frozen=True, kw_only=True):
    """How one model of the time to fill did at one horizon on the held-out part.

    model         `hazard`, `kaplan_meier` (by stratum), or a family of `sor.lab.lifetimes`.
    log_score     mean right-censored log-likelihood. lead: that of the hazard less it, with its interval by block.
    brier         at the horizon. forecast: mean fill probability. worst: the largest distance of forecast and observed
                  in groups of about equal size.
    unevenness    chi-square of D-calibration, 9 degrees of freedom if probes were independent, which they are not: to
                  compare models by.
    """

    model: str
    log_score: float
    lead: float
    lead_low: float | None
    lead_high: float | None
    brier: float
    forecast: float
    worst: float
    unevenness: float

    @property
    def beats_hazard(self) -> bool:
        """Whether it forecast better by more than noise."""
        return self.lead_high is not None and self.lead_high < 0.0


class Exits(msgspec.Struct, frozen=True, kw_only=True):
    """How the waits of one stratum ended by a horizon where the touch moving away ends one too, by Aalen-Johansen.

    place         of `sor.lab.strata.PLACES`, none behind the touch: it has moved away from those.
    queue, lean   thirds from 0, the shortest queue and the side with the least at the touch first.
    filled, moved_away    probabilities with intervals by block; what is left was resting still.
    """

    horizon_s: float
    place: str
    queue: int
    lean: int
    filled: Interval
    moved_away: Interval


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """How the forecast did at one horizon on held-out probes of one place, as in `Judged`."""

    place: str
    probes: int
    log_score: float
    log_score_km: float
    forecast: float
    observed: float
    reliability: tuple[Reliable, ...]

    @property
    def worst(self) -> float:
        """How far the forecast of a group is from what happened, at most."""
        return worst_of(self.reliability)


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """How the forecast did at one horizon on the held-out part.

    log_score, log_score_km    mean right-censored log-likelihood, of it and of Kaplan-Meier by stratum; gain: their
                               difference, with its interval by block, which few blocks have none of.
    brier, brier_km            at the horizon. forecast, observed: mean fill probability, and what happened.
    places                     the same by where probes stood, see `sor.lab.strata.PLACES`; of those that occur.
    reliability                in groups of about equal size. identity: p AS - (1 - p) D with its standard error.
    models                     the hazard beside other models of the time to fill.
    """

    horizon_s: float
    probes: int
    log_score: float
    log_score_km: float
    gain: float
    gain_low: float | None
    gain_high: float | None
    brier: float
    brier_km: float
    forecast: float
    observed: float
    places: tuple[Placed, ...]
    reliability: tuple[Reliable, ...]
    models: tuple[ModelScore, ...]
    identity: Gap | None

    @property
    def sound(self) -> bool:
        """Whether the identity holds but for noise; also where there are too few fills to ask."""
        return self.identity is None or self.identity.is_noise

    @property
    def worst(self) -> float:
        """How far the forecast of a group is from what happened, at most."""
        return worst_of(self.reliability)


def worst_of(groups: tuple[Reliable, ...]) -> float:
    """The largest gap between what was forecast and what happened, of groups of samples."""
    return max(abs(group.forecast - group.observed.mean) for group in groups)


class Refusal(msgspec.Struct, frozen=True):
    """What is not published for a horizon, or a window of that length, and why."""

    horizon_s: float
    reason: str


class ImpactLaw(msgspec.Struct, frozen=True, kw_only=True):
    """The law of impact on the tapes, see `sor.lab.tape_impact`.

    windows, blocks    that were fitted, each of `window_s`.
    exponent           of the law; own_exponent: the one that fits best, with its interval.
    peak               its coefficient with its interval by block: moves over volatility, shares of a second's flow.
    error              mean squared error of moves over volatility on the held-out part, s; of no impact, and of the
                       best linear and the best square-root law, to compare.
    """

    window_s: float
    windows: int
    blocks: int
    exponent: float
    own_exponent: float
    own_exponent_low: float
    own_exponent_high: float
    peak: Interval
    error: float
    error_of_none: float
    error_of_linear: float
    error_of_root: float

    @property
    def paid(self) -> tuple[float, float, float]:
        """Coefficient of what is paid on average on the way to the peak, with the ends of its interval."""
        assert self.peak.low is not None
        assert self.peak.high is not None
        share = 1.0 / (1.0 + self.exponent)
        return share * self.peak.mean, share * self.peak.low, share * self.peak.high


class SizeCheck(msgspec.Struct, frozen=True, kw_only=True):
    """Fills of larger probes on the held-out part against the fit on the smallest, see `sor.lab.size_check`.

    forecast, observed    fill probability by the horizon. rate_ratio: observed over forecast rate of fills.
    """

    horizon_s: float
    lots: int
    forecast: float
    observed: Interval
    rate_ratio: float
    rate_ratio_low: float | None
    rate_ratio_high: float | None


class ExcursionBudget(msgspec.Struct, frozen=True, kw_only=True):
    """How far the mid may leave a resting order before staying costs more than crossing, see `sor.lab.excursions`.

    orders, blocks     that were fitted. value_bps: the budget with the ends of its interval.
    remaining_below_bps, remaining_beyond    on the held-out part: what staying costs against crossing from half of the
                       budget on, and, with its interval, from half-way between it and the farthest excursions.
    fees               that the costs were worked out with.
    """

    horizon_s: float
    orders: int
    blocks: int
    value_bps: float
    low_bps: float
    high_bps: float
    remaining_below_bps: float
    remaining_beyond: Interval
    fees: str = ""


class DriftJudged(msgspec.Struct, frozen=True, kw_only=True):
    """Mean weighted squared error of D on the held-out part: with covariates, with the base alone, and of no drift."""

    with_covariates: float
    base_only: float
    nothing: float


class Range(msgspec.Struct, frozen=True):
    """Where nearly all probes of the fit lay: the 0.5 % and the 99.5 % quantile of a covariate, with intervals."""

    low: float
    low_interval: tuple[float, float]
    high: float
    high_interval: tuple[float, float]


class Fitted(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What was admitted.

    hazard, fill_se      fill_se: standard error of the log cumulative hazard at the horizon, typical probe.
    drift, drift_fit, drift_judged; markout, markout_fit    None where too few fills were followed.
    ranges               (P,) of each covariate.
    blocks, fills        of the fit; fills as in `Support`: the larger of the two numbers, whole.
    """

    horizon_s: float
    hazard: HazardFit
    fill_se: float
    drift: Drift
    drift_fit: LinearFit
    drift_judged: DriftJudged
    markout: Markout | None
    markout_fit: LinearFit | None
    ranges: tuple[Range, ...]
    blocks: int
    fills: int


class RegimeFit(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A fit for one regime, beside the whole one and up to the same wait.

    probes    of the regime. gain: log-likelihood an order over the whole fit, on the regime's held-out orders, with
              its interval by block. judged: at the longest wait, as of the whole fit, on the regime's orders.
    """

    regime: Regime
    probes: int
    gain: float
    gain_low: float
    gain_high: float | None
    fitted: Fitted
    judged: Judged


class RegimeRefusal(msgspec.Struct, frozen=True):
    """A regime without a fit of its own, and why: the whole fit holds in it."""

    regime: Regime
    probes: int
    reason: str


class Calibration(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What came of it.

    exits     by stratum and horizon. fitted: None when every horizon was refused.
    impact    the law of impact, or why there is none. size: None where nothing was fitted, or sizes hardly differ.
    regimes   by regime, where that was asked for.
    excursion the budget of a resting order, or why there is none; None where nothing was fitted.
    """

    plan: CalibrationPlan
    tapes: tuple[TapeUse, ...]
    every_s: float
    refused_as_taking: int
    support: tuple[Support, ...]
    judged: tuple[Judged, ...]
    exits: tuple[Exits, ...]
    refusals: tuple[Refusal, ...]
    fitted: Fitted | None
    impact: ImpactLaw | Refusal
    size: SizeCheck | None
    regimes: tuple[RegimeFit | RegimeRefusal, ...]
    excursion: ExcursionBudget | Refusal | None

    @property
    def admitted(self) -> bool:
        """Whether anything is to be published."""
        return self.fitted is not None or isinstance(self.impact, ImpactLaw)

    @property
    def digest(self) -> str:
        """Of all tapes together, 16 hex characters."""
        return hashlib.sha256(" ".join(tape.digest for tape in self.tapes).encode()).hexdigest()[:16]
