"""What an order that is not filled loses, and what one that is filled finds: two small linear models.

drift      The mid has no drift of its own, so what the unfilled lose is what the filled are spared. At the worst the
           unfilled are exactly those from which a Gaussian mid ran furthest; then D is sigma sqrt(tau) times the mean
           of a normal over its worst 1 - p. The model is that bound times a small linear form, so that one fit holds
           from the first second to the last and D is 0 where nothing was waited for:
           D = sqrt(tau) m(p) unit (base + c'x), m(p) = phi(Phi^-1(p)) / (1 - p), unit = sigma + a share of the spread,
           as a market that stood still for a minute is not one that cannot move. The form is held within
           [0, `FORM_MAX`]: an order far from all that was seen must not be promised that waiting pays.
markout    The mid some time after a fill against the fill, positive when good: (spread + sigma) (base + c'x). A
           diagnostic, and what a decision needs where not trading is an alternative; never a second charge beside the
           drift (methods section 0).

Each keeps one standard error, that of its linear form at a typical order, fitted over blocks of time.

Moves in bps, durations in seconds, volatility in bps/sqrt(s). Fitting is in `sor.lab.costs`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, pi, sqrt
from statistics import NormalDist

import msgspec

from sor.models.covariates import COVARIATES

DRIFT_COVARIATES = ("log_queue_s", "lean", "ofi_10s", "log_flow_ratio")
"""What the drift's linear form uses, in its order; a few, as tapes hold few independent waits."""
MARKOUT_COVARIATES = ("log_queue_s", "lean", "ofi_10s", "log_gap", "log_behind", "log_volatility")
FORM_MAX = 3.0
PROBABILITY_MAX = 0.999
"""Beyond this nearly nobody is left to learn from, and the bound on the rest runs away."""

_DRIFT_AT = tuple(COVARIATES.index(name) for name in DRIFT_COVARIATES)
_MARKOUT_AT = tuple(COVARIATES.index(name) for name in MARKOUT_COVARIATES)
_INV_CDF = NormalDist().inv_cdf
_ROOT_2PI = sqrt(2.0 * pi)


def gaussian_loss(probability: float) -> float:
    """phi(Phi^-1(p)) = (1 - p) m(p): what the worst 1 - p of a standard normal lose of all; 0 at the ends of [0, 1]."""
    if not 0.0 < probability < 1.0:
        return 0.0
    z = _INV_CDF(probability)
    return exp(-0.5 * z * z) / _ROOT_2PI


def selection(probability: float) -> float:
    """m(p): mean of a standard normal over its worst 1 - p, p in [0, 1]; p beyond `PROBABILITY_MAX` counts as that."""
    probability = min(probability, PROBABILITY_MAX)
    return gaussian_loss(probability) / (1.0 - probability)


class Drift(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """E[adverse move of the mid | not filled by then].

    base, coefs    the linear form; coefs in the order of `DRIFT_COVARIATES`. se: of the form.
    """

    base: float
    coefs: tuple[float, ...]
    se: float

    def form(self, covariates: Sequence[float]) -> float:
        """What the bound and the unit are multiplied by. `covariates` as of `COVARIATES`."""
        form = self.base
        for coef, at in zip(self.coefs, _DRIFT_AT, strict=True):
            form += coef * covariates[at]
        return min(max(form, 0.0), FORM_MAX)


class Markout(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """E[mid `after_s` after the fill against the fill | filled], positive when good.

    base, coefs    the linear form; coefs in the order of `MARKOUT_COVARIATES`. se: bps, of its mean.
    """

    base: float
    coefs: tuple[float, ...]
    se: float
    after_s: float

    def expected_bps(self, covariates: Sequence[float], *, volatility: float, spread_bps: float) -> float:
        """The markout of an order; `covariates` as of `COVARIATES`."""
        form = self.base
        for coef, at in zip(self.coefs, _MARKOUT_AT, strict=True):
            form += coef * covariates[at]
        return (spread_bps + volatility) * form
