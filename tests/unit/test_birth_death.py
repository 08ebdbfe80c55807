"""Queues as birth-death processes: the paper's tables for Sky Perfect Communications, sums by hand, a simulation."""

from collections.abc import Callable
from itertools import product
from math import exp, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sor.errors import CallerError
from sor.models import birth_death
from sor.models.birth_death import (
    QUEUE_MAX,
    Counts,
    QueueRates,
    both_filled,
    fill_before_move,
    fill_by,
    rates_of,
    up_first,
    wait_mean,
)
from sor.models.queue_race import up_first as balanced_up_first

SKY = QueueRates(limit_rate=1.85, market_rate=0.94, cancel_rate=0.71)  # per minute, spread of a tick
# methods 2.1; rows b = 1..5 orders at the bid, columns a = 1..5 at the ask.
UP = """
.500 .336 .259 .216 .188
.664 .500 .407 .348 .307
.741 .593 .500 .437 .391
.784 .652 .563 .500 .452
.812 .693 .609 .548 .500
"""
FILLED = """
.5025 .6980 .7939 .8483 .8824
.3589 .5508 .6643 .7372 .7869
.2915 .4654 .5784 .6564 .7128
.2514 .4093 .5174 .5956 .6543
.2243 .3691 .4716 .5480 .6071
"""
PRINTED_ROW = [0.497, 0.641, 0.709, 0.749, 0.776]  # of what the paper calls filled, and is 1 - F^T
PRINTED_COLUMN = [0.497, 0.302, 0.206, 0.152, 0.118]
BOTH = """
.266 .308 .309 .300 .288
.308 .386 .406 .406 .400
.309 .406 .441 .452 .452
.300 .406 .452 .471 .479
.288 .400 .452 .479 .491
"""
Matrix = NDArray[np.float64]
RATES = st.builds(
    QueueRates,
    limit_rate=st.floats(0.0, 3.0),
    market_rate=st.floats(0.1, 5.0),
    cancel_rate=st.floats(0.3, 2.0),
    inside_rate=st.sampled_from([0.0, 0.0, 0.5, 4.0]),
)


def table(text: str) -> Matrix:
    return np.array([[float(cell) for cell in line.split()] for line in text.split("\n") if line])


def farthest(found: Matrix, printed: Matrix) -> float:
    return float(np.abs(found - printed).max())


def test_table_3_of_the_paper() -> None:
    assert farthest(up_first(SKY, bid=5, ask=5), table(UP)) < 0.001


def test_table_4_as_its_proposition_says_and_as_it_is_printed() -> None:
    found = fill_before_move(SKY, bid=5, ask=5)
    assert farthest(found, table(FILLED)) < 0.0001
    printed = 1.0 - found.T
    assert printed[0] == pytest.approx(PRINTED_ROW, abs=0.0006)
    assert printed[:, 0] == pytest.approx(PRINTED_COLUMN, abs=0.0006)


def test_table_5_of_the_paper() -> None:
    assert farthest(both_filled(SKY, bid=5, ask=5), table(BOTH)) < 0.0007


def test_waits_of_a_resting_order() -> None:
    assert [wait_mean(SKY, i) for i in range(1, 6)] == pytest.approx([1.0638, 1.6699, 2.0936, 2.4194, 2.6839], abs=5e-5)
    assert [fill_by(SKY, i, 1.0) for i in (1, 2, 3, 5)] == pytest.approx([0.6094, 0.3465, 0.1912, 0.0556], abs=5e-5)
    assert [fill_by(SKY, i, 5.0) for i in (1, 2, 3, 5)] == pytest.approx([0.9909, 0.9792, 0.9660, 0.9369], abs=5e-5)


def test_without_cancels_the_wait_is_an_erlang_one() -> None:
    steady = QueueRates(limit_rate=1.0, market_rate=2.0, cancel_rate=0.0)
    assert wait_mean(steady, 3) == 1.5
    assert fill_by(steady, 3, 0.7) == pytest.approx(1.0 - exp(-1.4) * (1.0 + 1.4 + 0.98), rel=1e-12)
    barely = QueueRates(limit_rate=1.0, market_rate=2.0, cancel_rate=1e-9)
    assert fill_by(barely, 3, 0.7) == pytest.approx(fill_by(steady, 3, 0.7), rel=1e-8)


@given(rates=RATES, position=st.integers(1, 40), horizon=st.floats(0.01, 20.0))
def test_the_wait_and_its_law_agree(rates: QueueRates, position: int, horizon: float) -> None:
    sooner, later = fill_by(rates, position, horizon), fill_by(rates, position, 1.5 * horizon)
    assert 0.0 <= sooner <= later + 1e-12 <= 1.0 + 1e-12
    assert fill_by(rates, position + 1, horizon) <= sooner + 1e-12
    # Chebyshev: longer than the mean and some is not what mostly happens.
    assert fill_by(rates, position, 3.0 * wait_mean(rates, position)) >= 0.6


def test_the_mean_is_the_integral_of_the_survival() -> None:
    times = np.linspace(0.0, 60.0, 60_001)
    alive = 1.0 - np.array([fill_by(SKY, 4, float(t)) for t in times[::20]])
    assert float(np.trapezoid(alive, times[::20])) == pytest.approx(wait_mean(SKY, 4), rel=1e-5)


@pytest.mark.parametrize("solve", [up_first, fill_before_move, both_filled])
def test_the_cut_of_the_lattice_does_not_show(solve: Callable[..., Matrix], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = solve(SKY, bid=5, ask=5)
    monkeypatch.setattr(birth_death, "QUEUE_MAX", 40)
    assert farthest(solve(SKY, bid=5, ask=5), whole) < 1e-8


@settings(max_examples=10)  # each solves four lattices
@given(rates=RATES)
def test_what_must_hold_for_any_rates(rates: QueueRates) -> None:
    up = up_first(rates, bid=4, ask=6)
    other = up_first(rates, bid=6, ask=4)
    assert up + other.T == pytest.approx(np.ones((4, 6)), abs=1e-9)  # it moves up or down
    filled, both = fill_before_move(rates, bid=4, ask=6), both_filled(rates, bid=4, ask=6)
    for found in (up, filled, both):
        assert bool(np.all((found >= -1e-12) & (found <= 1.0 + 1e-12)))
    assert bool(np.all(np.diff(up, axis=0) >= -1e-12))  # a longer bid queue holds longer
    assert bool(np.all(np.diff(filled, axis=0) <= 1e-12))  # further back is later
    assert bool(np.all(np.diff(filled, axis=1) >= -1e-12))
    assert both[:4, :4] == pytest.approx(both[:4, :4].T, abs=1e-12)


def test_a_wider_spread_moves_the_mid_before_a_queue_does() -> None:
    # Quotes inside come so fast that nothing else happens: either side is as quick, and nobody is filled.
    torrent = QueueRates(limit_rate=1.85, market_rate=0.94, cancel_rate=0.71, inside_rate=1e6)
    assert farthest(up_first(torrent, bid=3, ask=3), np.full((3, 3), 0.5)) < 1e-5
    assert float(fill_before_move(torrent, bid=3, ask=3).max()) < 1e-5
    assert float(both_filled(torrent, bid=3, ask=3).max()) < 1e-5
    # One order each, no arrivals: fill at 1 against empty at 2 and inside at 2 * 0.5.
    alone = QueueRates(limit_rate=0.0, market_rate=1.0, cancel_rate=1.0, inside_rate=0.5)
    assert fill_before_move(alone, bid=1, ask=1)[0, 0] == pytest.approx(1.0 / 4.0)


def test_balanced_queues_without_cancels_are_those_of_cont_and_de_larrard() -> None:
    balanced = QueueRates(limit_rate=1.0, market_rate=1.0, cancel_rate=0.0)
    found = up_first(balanced, bid=5, ask=5)
    exact = np.array([[balanced_up_first(bid=b, ask=a) for a in range(1, 6)] for b in range(1, 6)])
    assert farthest(found, exact) < 2e-3  # the cut shows a little, as these queues have no end of their own


def test_rates_from_counts() -> None:
    found = rates_of(
        Counts(
            time_s=200.0,
            limits=400,
            limit_lots_mean=5.0,
            markets=50,
            market_lots_mean=10.0,
            cancels=300,
            cancel_lots_mean=4.0,
            depth_lots_mean=30.0,
            inside=20,
        )
    )
    # 2 a second; 0.25 a second of two units each; 1.5 a second of 0.8 units over a depth of 6 units; 0.1.
    assert found == QueueRates(limit_rate=2.0, market_rate=0.5, cancel_rate=0.2, inside_rate=0.1)


@pytest.mark.parametrize(
    "change", [{"time_s": 0.0}, {"markets": 0}, {"depth_lots_mean": 0.0}, {"limit_lots_mean": 0.0}]
)
def test_counts_that_say_nothing_are_refused(change: dict[str, float]) -> None:
    terms: dict[str, float] = {
        "time_s": 1.0,
        "limits": 1,
        "limit_lots_mean": 1.0,
        "markets": 1,
        "market_lots_mean": 1.0,
        "cancels": 1,
        "cancel_lots_mean": 1.0,
        "depth_lots_mean": 1.0,
    } | change
    with pytest.raises(CallerError, match="count for longer"):
        rates_of(Counts(**terms))  # type: ignore[arg-type]


def test_senseless_terms_are_refused() -> None:
    with pytest.raises(CallerError, match="no market orders"):
        QueueRates(limit_rate=1.0, market_rate=0.0, cancel_rate=1.0)
    with pytest.raises(CallerError, match="below zero"):
        QueueRates(limit_rate=1.0, market_rate=1.0, cancel_rate=-1.0)
    for bad in (0, QUEUE_MAX + 1):
        with pytest.raises(CallerError, match="not in the lattice"):
            up_first(SKY, bid=1, ask=bad)
        with pytest.raises(CallerError, match="not in the lattice"):
            wait_mean(SKY, bad)


@pytest.mark.slow
def test_a_simulation_finds_the_three_tables() -> None:
    # methods 7.3: frequencies within 0.006 at 30 000 runs, two standard errors; here of three cells of each table.
    rng = np.random.default_rng(20_101)
    runs = 30_000
    for bid, ask in ((1, 1), (2, 4), (5, 3)):
        up, filled, both = simulate(SKY, bid=bid, ask=ask, runs=runs, rng=rng)
        assert up == pytest.approx(up_first(SKY, bid=bid, ask=ask)[-1, -1], abs=0.006)
        assert filled == pytest.approx(fill_before_move(SKY, bid=bid, ask=ask)[-1, -1], abs=0.006)
        assert both == pytest.approx(both_filled(SKY, bid=bid, ask=ask)[-1, -1], abs=0.006)


@pytest.mark.slow
def test_a_simulation_finds_every_cell_of_them() -> None:
    # 75 cells of 10 000 runs: one in 200 such tables has a cell beyond four standard errors by chance, this seed's not.
    rng = np.random.default_rng(75)
    runs = 10_000
    for bid, ask in product(range(1, 6), repeat=2):
        known = (up_first, fill_before_move, both_filled)
        found = simulate(SKY, bid=bid, ask=ask, runs=runs, rng=rng)
        for solve, frequency in zip(known, found, strict=True):
            share = solve(SKY, bid=bid, ask=ask)[-1, -1]
            assert frequency == pytest.approx(share, abs=4.0 * sqrt(share * (1.0 - share) / runs)), (bid, ask, solve)


def simulate(
    rates: QueueRates, *, bid: int, ask: int, runs: int, rng: np.random.Generator
) -> tuple[float, float, float]:
    """Frequencies of up first; of our bid filled before the mid moves; of our bid and our ask both filled before.

    Three markets with the same start: in the first nothing is ours, in the second the last bid, in the third the last
    of both. Event by event, all runs at once.
    """
    up = _race(rates, [bid, ask], ours=[False, False], runs=runs, rng=rng)[0]
    filled = _race(rates, [bid, ask], ours=[True, False], runs=runs, rng=rng)[1]
    both = _race(rates, [bid, ask], ours=[True, True], runs=runs, rng=rng)[1]
    return up, filled, both


def _race(
    rates: QueueRates, start: list[int], *, ours: list[bool], runs: int, rng: np.random.Generator
) -> tuple[float, float]:
    """(share that moved up, share in which all that is ours was filled first)."""
    ahead = np.tile(np.array(start) - np.array(ours), (runs, 1)).astype(float)
    mine = np.tile(np.array(ours, dtype=float), (runs, 1))
    behind = np.zeros((runs, 2))
    ups = wins = 0
    while len(ahead):
        market = np.full_like(ahead, rates.market_rate)
        events = np.concatenate(
            [np.full_like(ahead, rates.limit_rate), market, ahead * rates.cancel_rate, behind * rates.cancel_rate],
            axis=1,
        )
        edges = np.cumsum(events, axis=1)
        drawn = rng.random(len(ahead)) * edges[:, -1]
        event = (edges < drawn[:, None]).sum(axis=1)
        side, kind, row = event % 2, event // 2, np.arange(len(ahead))
        none_ahead = ahead[row, side] == 0
        joins = kind == 0
        has_own = mine[row, side] == 1
        # A new order stands behind ours, or, where ours is gone or never was, behind all: one count is enough then.
        behind[row, side] += joins & has_own
        ahead[row, side] += joins & ~has_own
        trades = kind == 1
        ahead[row, side] -= (trades & ~none_ahead) | (kind == 2)
        filled = trades & none_ahead & has_own
        mine[row, side] -= filled
        behind[row, side] -= kind == 3
        ahead[row, side] += np.where(filled, behind[row, side], 0.0)
        behind[row, side] = np.where(filled, 0.0, behind[row, side])
        won = (mine.sum(axis=1) == 0) & filled
        wins += int(won.sum())
        empty = (ahead + mine + behind) == 0
        moved = empty.any(axis=1)
        ups += int((empty[:, 1] & moved).sum())
        going = ~(moved | won)
        ahead, mine, behind = ahead[going], mine[going], behind[going]
    return ups / runs, wins / runs
