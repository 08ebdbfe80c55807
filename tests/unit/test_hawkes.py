"""Market orders that call for others: the known moments, the known law of the gaps, and both out of a recorded tape."""

from random import Random

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import kstest

from sor.errors import CallerError
from sor.lab.recorder import record_market
from sor.models.hawkes import HawkesRates, Seconds, rescaled_gaps
from sor.orders import Side
from sor.units import NS
from venues.simulated.adapter import open_venue
from venues.simulated.arrivals import Arrivals, Clustered, Poisson

Sides = NDArray[np.int8]

SHEET = HawkesRates(base_per_s=0.5, jump_per_s=0.8, decay_per_s=1.6)


def drawn(arrivals: Arrivals, count: int, seed: str = "11") -> tuple[Seconds, Sides]:
    """So many arrivals from a quiet beginning: times, shape (count,), and sides."""
    rng = Random(seed)
    gaps_s, sides = np.empty(count), np.empty(count, np.int8)
    for i in range(count):
        gaps_s[i] = arrivals.gap_s(rng)
        sides[i] = arrivals.side(rng)
    return np.cumsum(gaps_s), sides


@pytest.fixture(scope="module")
def clustered() -> tuple[Seconds, Sides]:
    return drawn(Clustered(SHEET, same_side=0.9), 40_000)


def test_moments_of_the_sheet() -> None:
    assert SHEET.branching == pytest.approx(0.5)
    assert SHEET.mean_per_s == pytest.approx(1.0)
    assert SHEET.fano == pytest.approx(4.0)
    assert HawkesRates.of_mean(mean_per_s=1.0, branching=0.5, decay_per_s=1.6) == SHEET


def test_arrivals_have_the_moments(clustered: tuple[Seconds, Sides]) -> None:
    at_s = clustered[0]
    assert len(at_s) / at_s[-1] == pytest.approx(1.0, rel=0.04)  # 2 standard errors: sqrt(Fano / n)
    counts = np.histogram(at_s, np.arange(0.0, at_s[-1], 50.0))[0]  # 80 times as long as one arrival is remembered
    assert counts.var() / counts.mean() == pytest.approx(4.0, rel=0.15)
    plain, _ = drawn(Poisson(1.0), 40_000)
    counts = np.histogram(plain, np.arange(0.0, plain[-1], 50.0))[0]
    assert counts.var() / counts.mean() == pytest.approx(1.0, rel=0.15)


def test_rescaled_gaps_are_exponential_for_the_right_rates_alone(clustered: tuple[Seconds, Sides]) -> None:
    at_s = clustered[0]
    assert kstest(rescaled_gaps(SHEET, at_s), "expon").pvalue > 0.05
    for wrong in (
        HawkesRates.of_mean(mean_per_s=1.0, branching=0.4, decay_per_s=1.6),
        HawkesRates.of_mean(mean_per_s=1.0, branching=0.5, decay_per_s=3.2),
        HawkesRates(base_per_s=1.0, jump_per_s=0.0, decay_per_s=1.0),
    ):
        assert kstest(rescaled_gaps(wrong, at_s), "expon").pvalue < 1e-4


def test_rescaled_gaps_by_hand() -> None:
    rates = HawkesRates(base_per_s=0.5, jump_per_s=0.8, decay_per_s=1.6)
    first = 0.5 * 1.0 + 0.5 * (1.0 - np.exp(-1.6))
    raised = 0.8 * np.exp(-1.6) + 0.8
    second = 0.5 * 2.0 + raised / 1.6 * (1.0 - np.exp(-3.2))
    assert rescaled_gaps(rates, np.array([3.0, 4.0, 6.0])).tolist() == pytest.approx([first, second])


def test_orders_call_for_their_own_side(
    clustered: tuple[Seconds, Sides],
) -> None:
    sides = clustered[1].astype(float)
    assert sides.mean() == pytest.approx(0.0, abs=0.1)
    assert (sides[1:] * sides[:-1]).mean() > 0.2
    against = drawn(Clustered(SHEET, same_side=0.1), 10_000)[1].astype(float)
    assert (against[1:] * against[:-1]).mean() < -0.15
    assert set(clustered[1].tolist()) == {int(Side.BUY), int(Side.SELL)}


@pytest.mark.parametrize(
    ("rates", "words"),
    [
        ({"base_per_s": 0.0, "jump_per_s": 0.1, "decay_per_s": 1.0}, "not positive"),
        ({"base_per_s": 1.0, "jump_per_s": -0.1, "decay_per_s": 1.0}, "not positive"),
        ({"base_per_s": 1.0, "jump_per_s": 0.1, "decay_per_s": 0.0}, "not positive"),
        ({"base_per_s": 1.0, "jump_per_s": 1.0, "decay_per_s": 1.0}, "never ends"),
    ],
)
def test_rates_that_are_none_are_refused(rates: dict[str, float], words: str) -> None:
    with pytest.raises(CallerError, match=words):
        HawkesRates(**rates)


def test_a_recorded_market_has_the_clusters_it_was_given() -> None:
    # Times of market orders read off the tape as anybody would: prints of one order share their time.
    market = {"latency": "zero", "book_ms": "0", "seed": "2", "zi.mu": "4"}
    tape = record_market(
        open_venue, {**market, "zi.branching": "0.6", "zi.decay": "2", "zi.same_side": "0.8"}, seconds=200
    ).tape
    at_s = np.unique(tape.trade_venue_ns).astype(np.float64) / NS
    told = HawkesRates.of_mean(mean_per_s=4.0, branching=0.6, decay_per_s=2.0)
    burnt_in = rescaled_gaps(told, at_s)[20:]  # before the recording others had come, which it does not show
    assert kstest(burnt_in, "expon").pvalue > 0.02
    assert (
        kstest(rescaled_gaps(HawkesRates(base_per_s=4.0, jump_per_s=0.0, decay_per_s=1.0), at_s), "expon").pvalue < 1e-6
    )
