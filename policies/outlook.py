"""What a wait at one price is expected to bring, for any resting time; rule (2) of methods section 0 with a clock.

`flow_outlook` rests on three things that can be said before anything is fitted:

    fill       taker flow against our level over the queue that has to go first is a rate, known at best up to a factor.
               Mixing over an exponential belief about it gives a hazard that falls with time, and the fill probability
               p = x / (1 + x) with x = rate * tau. (An order not filled yet has probably met less flow than thought.)
    drift      the mid has no drift of its own, so what an unfilled order loses is what a filled one is spared. At the
               worst the unfilled are exactly those from which a Gaussian mid ran furthest: then
               (1 - p) D = sigma sqrt(tau) phi(Phi^-1(p)).
    choice     rest if p A > (1 - p) D plus the price of the risk meanwhile.

`fitted_outlook` takes p and D from the models that a param-set was fitted with, and says how sure they are. As what was
fitted knows the market at any time, it also says what comes after: an order that is not filled need not cross while
time is left, it may rest anew (`Again`). Rule (2) is what remains of that when no time is.

Durations in seconds, moves and costs in bps.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import sqrt
from typing import Protocol

import msgspec

from policies.case import Case
from sor.models.covariates import covariates_of
from sor.models.drift import gaussian_loss
from sor.models.forecast import FORECAST_NEEDS, Course, Forecast, Situation, read_forecast
from sor.models.impact import fill_rate
from sor.params import Params

FLOW_NEEDS = ("placement.drift_scale", "placement.fill_rate_scale", "placement.risk_weight")
"""Ids of the parameters that `flow_outlook` reads."""
_HALVINGS_MAX = 16
"""Times that are judged at most: ten minutes down to 18 ms."""


class Wait(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A resting time and what it is expected to bring against crossing now.

    timeout_s           how long to rest.
    fill_probability    of being filled by then.
    drift_bps           (1 - p) D: what the unfilled share loses, averaged over all.
    saving_bps          p A - (1 - p) D, and `again_bps`, without the price of risk; positive is good. se_bps: its
                        standard error, None where nothing was fitted.
    worth_bps           the saving less the price of risk: rest if this is positive.
    again_bps           what the unfilled share may still save, averaged over all: see `Again`.
    """

    timeout_s: float
    fill_probability: float
    drift_bps: float
    saving_bps: float
    worth_bps: float
    se_bps: float | None = None
    again_bps: float = 0.0


class Outlook(Protocol):
    """What resting at one price is expected to bring."""

    @property
    def note(self) -> str:
        """What the estimate rests on, for the record."""

    @property
    def fill_rate(self) -> float:
        """Fills a second expected at first, for the record and for what is too slow to be weighed."""

    def wait(self, timeout_s: float) -> Wait:
        """For one resting time."""


class FlowOutlook(msgspec.Struct, frozen=True, gc=False):
    """From measured flow and volatility; nothing in it is fitted.

    advantage_bps    A of equation (1): spread, fee difference and walk that a fill at our price saves.
    fill_rate        taker flow over the lots that must trade first, 1/s, >= 0.
    drift_root_s     volatility times the drift scale, bps/sqrt(s). risk_root_s: volatility times the weight of risk.
    """

    advantage_bps: float
    fill_rate: float
    drift_root_s: float
    risk_root_s: float
    note: str = "estimate, not calibrated"

    def wait(self, timeout_s: float) -> Wait:
        """What resting for `timeout_s` is expected to bring."""
        expected = self.fill_rate * timeout_s
        probability = expected / (1.0 + expected)
        root = sqrt(timeout_s)
        drift = self.drift_root_s * root * gaussian_loss(probability)
        saving = probability * self.advantage_bps - drift
        return Wait(timeout_s, probability, drift, saving, saving - self.risk_root_s * root)


def flow_outlook(case: Case, price: int) -> FlowOutlook:
    """For a new order of all that is open at `price`."""
    params, features = case.params, case.features
    volatility = features.volatility
    return FlowOutlook(
        advantage_bps=case.advantage_bps(price),
        fill_rate=fill_rate(
            flow_lots_per_s=case.flow_against() * params["placement.fill_rate_scale"],
            ahead_lots=case.ahead_lots(price),
            own_lots=case.view.open_lots,
        ),
        drift_root_s=params["placement.drift_scale"] * volatility,
        risk_root_s=case.risk_weight() * volatility,
    )


class Again(msgspec.Struct, frozen=True, gc=False):
    """What an order that was not filled may still save by resting anew at the touch of then, in the time that is left.

    The touch of then is judged as the one of now: where it will be nobody knows, and the mid has no drift of its own.
    One more order is foreseen, which then crosses; that there may be others makes it a lower bound.

    left_s     until when anything may rest, from now.
    waits      judged new orders; none: nothing rests again.
    """

    left_s: float
    waits: tuple[Wait, ...] = ()

    def worth_bps(self, after_s: float) -> float:
        """Worth of the best wait that fits in after `after_s`, at least 0: crossing is always possible."""
        spare_s = self.left_s - after_s
        return max([0.0, *[wait.worth_bps for wait in self.waits if wait.timeout_s <= spare_s]])


NEVER_AGAIN = Again(0.0)
"""What is not filled in time crosses: rule (2) as it stands."""


class FittedOutlook(msgspec.Struct, frozen=True, gc=False):
    """From fitted models, for one order in its market.

    impact_bps     what the order's own size, shown, is expected to move the mid away: a loss of the unfilled.
    risk_root_s    as of `FlowOutlook`.
    """

    course: Course
    advantage_bps: float
    impact_bps: float
    risk_root_s: float
    note: str

    @property
    def fill_rate(self) -> float:
        """The hazard in the first bin."""
        curve = self.course.curve
        return curve.spent[1] / curve.edges_s[1]

    def wait(self, timeout_s: float) -> Wait:
        """What resting for `timeout_s`, then crossing, is expected to bring; beyond the fit's horizon nothing more."""
        found = self.course.outlook(timeout_s)
        drift = (1.0 - found.fill_probability) * (found.drift_bps + self.impact_bps)
        saving = found.fill_probability * self.advantage_bps - drift
        return Wait(
            timeout_s,
            found.fill_probability,
            drift,
            saving,
            saving - self.risk_root_s * sqrt(timeout_s),
            found.saving_se_bps(self.advantage_bps),
        )

    def followed(self, wait: Wait, again: Again) -> Wait:
        """The same where an end without a fill is followed by `again`, instead of crossing."""
        timeout_s, probability = wait.timeout_s, wait.fill_probability
        more = (1.0 - probability) * again.worth_bps(timeout_s)
        saving = wait.saving_bps + more
        worth = saving - self.risk_root_s * sqrt(timeout_s)
        return Wait(timeout_s, probability, wait.drift_bps, saving, worth, wait.se_bps, more)

    def best_followed(self, found: Sequence[Wait], again: Again) -> Wait:
        """Of `waits` of this outlook the one worth most when `again` follows it; ties as in `best_wait`."""
        return max([self.followed(wait, again) for wait in found], key=_worth)


def fitted_outlook(case: Case, forecast: Forecast, price: int, *, ahead_lots: float, lots: int) -> FittedOutlook:
    """For an order of `lots` at `price` with `ahead_lots` before it."""
    features = case.features
    values = covariates_of(
        features,
        case.view.side,
        bid_ticks=case.bid,
        ask_ticks=case.ask,
        price_ticks=price,
        ahead_lots=ahead_lots,
        lots=lots,
    )
    order = Situation(values, features.volatility, features.spread_bps)
    strange = forecast.strange(order)
    note = f"fitted, but beyond its data in {', '.join(strange)}" if strange else "fitted"
    return FittedOutlook(
        course=forecast.course(order),
        advantage_bps=case.advantage_bps(price),
        impact_bps=case.resting_impact_bps(price, lots),
        risk_root_s=case.risk_weight() * features.volatility,
        note=note,
    )


@lru_cache(maxsize=256)
def forecast_of(params: Params) -> Forecast | None:
    """The models of a set, None where it has none; read once for each set, venue, symbol and regime."""
    return None if params.missing(FORECAST_NEEDS) else read_forecast(params)


def best_wait(outlook: Outlook, shortest_s: float, longest_s: float) -> Wait:
    """The resting time worth most, the longest of those that are worth as much; arguments as of `waits`."""
    return max(waits(outlook, shortest_s, longest_s), key=_worth)


def waits(outlook: Outlook, shortest_s: float, longest_s: float) -> list[Wait]:
    """Waits of `longest_s` and its halves down to `shortest_s` (0 <= shortest <= longest), the longest first.

    All of them are judged: the worth may have two humps, as a wait that is all but sure to fill loses little again.
    """
    found = [outlook.wait(longest_s)]
    timeout_s = longest_s
    for _ in range(_HALVINGS_MAX - 1):
        timeout_s *= 0.5
        if timeout_s < shortest_s:
            break
        found.append(outlook.wait(timeout_s))
    return found


def _worth(wait: Wait) -> float:
    return wait.worth_bps
