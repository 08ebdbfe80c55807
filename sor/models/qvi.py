"""Optimal execution with limit and market orders, by its quasi-variational inequality (Cartea, Jaimungal 2015).

N units are to be bought (or sold, mirrored) by the horizon T. Orders of the other side arrive at random, and one that
reaches ours fills one unit; a unit may also be crossed at any time for `cross_cost` against the mid, half-spread and
fee, and what is left at T is. Being away from a target costs `tracking` times the squared distance per second, and each
unit that is not bought yet `carry` per second. With q units bought, h(t, q) is what an optimal course still earns
against the mid, and an order rests until

    h(t, q + 1) - cross_cost >= h(t, q)

from which moment on one unit is crossed: a timeout for each unit, which is what `Course.cross_s` holds. The paper's
penalty on what is left at T changes nothing, as that can be crossed just before; it has no carry. With one unit, no
target and fills at rate k, an order rests if k A > carry, A = gain + cross_cost, which is rule (2) of methods section 0
with (1 - p) D = carry p / k, the drift that an unfilled order meets until it is filled or given up.

    solve_depths    the order rests at the best depth below the mid: filled with exp(-decay * depth) per arrival
    solve_touch     the order rests at the touch, or nowhere: filled with a fixed share, for a fixed gain

Backwards in time by steps that cannot blow up, as each solves the linear equations of its gain exactly; h is exact to
the second order of a step, and the moments are found between steps. Times in seconds; prices, costs and h in one unit.

Two companions with closed or linear forms, both for limit orders alone and with nothing but the inventory to pay for:
`sell_depths` (Cartea, Jaimungal, Penalva 2015, ch. 8) and `sell_quotes` (Gueant, Lehalle, Fernandez-Tapia 2012).

Source    Cartea, Jaimungal, Optimal execution with limit and market orders, Quantitative Finance 15 (8), 2015;
          methods 6.1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import exp, expm1, inf, log, log1p, sinh

import msgspec
import numpy as np
from numpy.typing import NDArray

from sor.errors import CallerError

FloatArray = NDArray[np.float64]


class Task(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is to be done, and what it costs not to.

    units            N >= 1. horizon_s: T > 0.
    arrivals_per_s   lambda: orders of the other side, >= 0.
    cross_cost       U: of one unit crossed, against the mid.
    carry            of each unit that is not bought yet, per second.
    tracking         phi: of the squared distance from the target, per second.
    target_start     units that the target has bought at the start; it is at N at the end.
    target_curve     chi, 1/s: the target is the Almgren-Chriss one with this; 0 is a straight line.
    free_ahead       being ahead of the target costs nothing; in the paper it does.
    Raises           CallerError for terms without a course.
    """

    units: int
    horizon_s: float
    arrivals_per_s: float
    cross_cost: float
    carry: float = 0.0
    tracking: float = 0.0
    target_start: float = 0.0
    target_curve: float = 0.0
    free_ahead: bool = False

    def __post_init__(self) -> None:
        if self.units < 1 or self.horizon_s <= 0.0:
            raise CallerError(f"{self.units} units in {self.horizon_s} s are no task: it takes one unit and some time")
        if min(self.arrivals_per_s, self.carry, self.tracking, self.target_curve) < 0.0:
            raise CallerError(f"{self}: a rate or a penalty is below zero")

    def target(self, at_s: float) -> float:
        """Units that should be bought by `at_s`, 0 to `horizon_s`."""
        curve, left_s = self.target_curve, self.horizon_s - at_s
        share = sinh(curve * left_s) / sinh(curve * self.horizon_s) if curve > 0.0 else left_s / self.horizon_s
        return self.units - (self.units - self.target_start) * share


class Course(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """An optimal course on a grid of equal steps.

    values     (steps + 1, N + 1): h at each time, with q units bought.
    cross_s    (N,) when the next unit is crossed if q are bought by then; 0 is at once, T at the last moment.
    step_s     of the grid.
    """

    values: FloatArray
    cross_s: FloatArray
    step_s: float

    def waiting(self) -> FloatArray:
        """(steps + 1, N): h(t, q) - h(t, q + 1), what one more unit bought saves or, below zero, costs."""
        worth: FloatArray = self.values[:, :-1] - self.values[:, 1:]
        return worth


def solve_depths(task: Task, *, decay: float, steps: int) -> Course:
    """The course of an order that rests at the best depth, which is `best_depths`.

    decay    kappa > 0: an arrival fills an order at depth d below the mid with exp(-decay * d).
    steps    of the time grid, >= 1.
    """
    rate = _step_s(task, steps) * task.arrivals_per_s
    log_rate = log(rate) - 1.0 if rate > 0.0 else -inf

    def gain(own: FloatArray, above: FloatArray) -> FloatArray:
        # exp(decay * h) solves linear equations: one step of them, in logarithms.
        earned: FloatArray = np.logaddexp(0.0, log_rate + decay * (above - own)) / decay
        return earned

    return _solve(task, gain, steps)


def solve_touch(task: Task, *, gain: float, fill_share: float | Sequence[float], steps: int) -> Course:
    """The course of an order that rests at the touch while gain + h(t, q + 1) - h(t, q) > 0, and else nowhere.

    gain          of a fill there against the mid: half-spread less maker fee.
    fill_share    rho: units that an arrival fills, in the mean; one number, or N of them by units bought.
    steps         of the time grid, >= 1.
    """
    shares = [fill_share] * task.units if isinstance(fill_share, float | int) else fill_share
    arrivals = _step_s(task, steps) * task.arrivals_per_s
    share = np.array([-expm1(-arrivals * each) for each in shares])

    def filled(own: FloatArray, above: FloatArray) -> FloatArray:
        # The first half of a step asks for the units from the second on.
        earned: FloatArray = share[-len(own) :] * np.maximum(gain + above - own, 0.0)
        return earned

    return _solve(task, filled, steps)


def best_depths(course: Course, *, decay: float) -> FloatArray:
    """(steps + 1, N) depth below the mid at which the order for the next unit rests."""
    return 1.0 / decay + course.waiting()


def _solve(task: Task, gain: Callable[[FloatArray, FloatArray], FloatArray], steps: int) -> Course:
    """Backwards from T: half of what waiting costs, what resting gains, the other half, then the impulse.

    gain    of one step of resting, from h with q bought and h with q + 1, both (N,) or both without the first.
    """
    step_s = _step_s(task, steps)
    bought = np.arange(task.units + 1.0)
    left = task.units - bought
    crossing = task.cross_cost * bought
    targets = np.array([task.target((step + 0.5) * step_s) for step in range(steps)])
    off = bought - targets[:, None]
    if task.free_ahead:
        off = np.minimum(off, 0.0)
    charges = 0.5 * step_s * (task.tracking * off * off + task.carry * left)
    values = np.empty((steps + 1, task.units + 1))
    values[steps] = -left * task.cross_cost
    ahead = np.empty((steps, task.units))  # of resting for a step, before crossing
    for step in range(steps - 1, -1, -1):
        charge = charges[step]
        from_here = values[step + 1] - charge
        # The neighbour changes within the step too: first as if it did not, then with the mean of its two ends.
        own, above = from_here[:-1], from_here[1:]
        reached = above.copy()
        reached[:-1] += gain(own[1:], above[1:])
        resting = from_here - charge
        resting[:-1] += gain(own, 0.5 * (above + reached))
        # h(q) = max over j >= q of resting(j) - (j - q) U: one unit is crossed for as long as that is better.
        best = np.maximum.accumulate((resting - crossing)[::-1])[::-1] + crossing
        values[step] = best
        ahead[step] = resting[:-1] - best[1:] + task.cross_cost
    return Course(values=values, cross_s=_cross_s(ahead, step_s), step_s=step_s)


def _cross_s(ahead: FloatArray, step_s: float) -> FloatArray:
    """(N,) from when on crossing is better for good, by how far resting is ahead of it in each step, (steps, N).

    A step's value belongs to its middle; between two of them the moment is where the line through them is 0.
    """
    steps, units = ahead.shape
    found = np.empty(units)
    for unit in range(units):
        waits = np.flatnonzero(ahead[:, unit] > 0.0)
        if not len(waits):
            found[unit] = 0.0
            continue
        last = int(waits[-1])
        here = float(ahead[last, unit])
        beyond = float(ahead[last + 1, unit]) if last + 1 < steps else 0.0
        found[unit] = min(last + 0.5 + here / (here - beyond), float(steps)) * step_s
    return found


def _step_s(task: Task, steps: int) -> float:
    if steps < 1:
        raise CallerError(f"a course on {steps} steps has no grid; take one at least")
    return task.horizon_s / steps


def sell_depths(units: int, *, left_s: float, arrivals_per_s: float, decay: float, leftover: float) -> FloatArray:
    """Depths of limit orders alone, with a penalty at the end only (Cartea, Jaimungal, Penalva 2015, ch. 8).

    left_s     until the end. arrivals_per_s, decay: lambda, kappa. leftover: alpha, of the square of what is left then.
    Returns    (units,) depth with 1, 2, ... units left: (1 + log w_q / w_{q-1}) / kappa with
               w_q = sum over n <= q of (lambda left_s / e)^n / n! * exp(-kappa alpha (q - n)^2).
    """
    terms = np.cumprod([1.0, *(arrivals_per_s * left_s * exp(-1.0) / n for n in range(1, units + 1))])
    weights = np.exp(-decay * leftover * np.arange(units + 1.0) ** 2)
    worth = np.convolve(terms, weights)[: units + 1]
    depths: FloatArray = (1.0 + np.log(worth[1:] / worth[:-1])) / decay
    return depths


def sell_quotes(
    units: int,
    *,
    left_s: float,
    volatility: float,
    arrivals_per_s: float,
    decay: float,
    risk_aversion: float,
    leftover: float,
) -> FloatArray:
    """Quotes of a risk-averse seller of limit orders (Gueant, Lehalle, Fernandez-Tapia 2012).

    left_s          until the end; infinite gives the stationary quotes.
    volatility      sigma, of the price over sqrt(s). arrivals_per_s, decay: A, k. risk_aversion: gamma > 0.
    leftover        b, of each unit left at the end.
    Returns         (units,) quote above the mid with 1, 2, ... units left, in price.

    The linear equations dw_q/ds = -a q^2 w_q + eta w_{q-1} are solved by their eigenvectors, which are triangular.
    """
    if volatility <= 0.0 or risk_aversion <= 0.0:
        raise CallerError("quotes of a risk-averse seller need a volatility and a risk aversion above zero")
    ratio = risk_aversion / decay
    charge = 0.5 * decay * risk_aversion * volatility * volatility
    flow = arrivals_per_s * (1.0 + ratio) ** (-(1.0 + 1.0 / ratio))
    sizes = np.arange(1.0, units + 1.0)
    markup = log1p(ratio) / risk_aversion
    if left_s == inf:
        stationary: FloatArray = np.log(flow / (charge * sizes * sizes)) / decay + markup
        return stationary
    worth = _triangular_flow(
        units, charge=charge, flow=flow, start=np.exp(-decay * leftover * np.arange(units + 1.0)), at=left_s
    )
    quotes: FloatArray = np.log(worth[1:] / worth[:-1]) / decay + markup
    return quotes


def _triangular_flow(units: int, *, charge: float, flow: float, start: FloatArray, at: float) -> FloatArray:
    """(units + 1,) solution at `at` of dw_q/ds = -charge q^2 w_q + flow w_{q-1}."""
    rates = charge * np.arange(units + 1.0) ** 2
    # Column j: the eigenvector of -rates[j], with 1 at its diagonal.
    vectors = np.eye(units + 1)
    for j in range(units):
        for q in range(j + 1, units + 1):
            vectors[q, j] = flow * vectors[q - 1, j] / (rates[q] - rates[j])
    weights = np.linalg.solve(vectors, start)
    worth: FloatArray = vectors @ (weights * np.exp(-rates * at))
    return worth
