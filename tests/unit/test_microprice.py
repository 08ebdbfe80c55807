"""The micro-price: the published two-state example, a tape worked by hand, and what it must keep on any tape."""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest

from sor.errors import CallerError
from sor.lab.columns import FeatureColumns, columns_of
from sor.lab.microprice import expected_moves, fit_micro_price
from sor.models.microprice import table_of
from sor.units import NS
from tests.fakes.tapes import Group, tape_of
from tests.fakes.views import market

STAY = np.array([[0.6, 0.2], [0.2, 0.6]])
MOVE = np.array([[0.15, 0.05], [0.05, 0.15]])  # a tick down, a tick up; ask-heavy, bid-heavy
MOVES = np.array([-1.0, 1.0])


def test_two_states_are_a_fifth_of_a_tick_from_the_mid() -> None:
    # methods 3: G1 = -/+ 1/6 tick, B = [[7, 5], [5, 7]] / 12, so that the sum is -/+ 1/6 / (1 - 1/6) = -/+ 0.2.
    first = np.linalg.solve(np.eye(2) - STAY, MOVE @ MOVES)
    onwards = np.linalg.solve(np.eye(2) - STAY, MOVE)
    assert first == pytest.approx([-1 / 6, 1 / 6], abs=1e-12)
    assert onwards == pytest.approx(np.array([[7, 5], [5, 7]]) / 12, abs=1e-12)
    six = sum(np.linalg.matrix_power(onwards, n) @ first for n in range(6))
    assert six == pytest.approx([-0.199996, 0.199996], abs=5e-7)
    assert expected_moves(STAY, MOVE, MOVE, MOVES) == pytest.approx([-0.2, 0.2], abs=1e-8)


def test_a_mid_that_never_moves_has_no_micro_price() -> None:
    still = np.zeros((2, 2))
    with pytest.raises(CallerError, match="the mid never moves from some states on"):
        expected_moves(np.array([[0.5, 0.5], [0.0, 1.0]]), still, still, MOVES)
    with pytest.raises(CallerError, match="do not die out"):
        expected_moves(still, np.array([[0.0, 1.0], [0.0, 1.0]]), np.eye(2), MOVES)


def columns(touches: Sequence[tuple[int, int, int, int]]) -> FeatureColumns:
    """One touch (bid, bid lots, ask, ask lots) a second."""
    groups = [
        Group(at * NS, at * NS, [(1, bid, bid_lots), (-1, ask, ask_lots)], snapshot=True)
        for at, (bid, bid_lots, ask, ask_lots) in enumerate(touches, start=1)
    ]
    tape = tape_of(groups)
    return columns_of(tape, group_local_ns=tape.group_recv_ns, trade_local_ns=tape.trade_recv_ns)


HEAVY, LIGHT = (100, 9, 101, 1), (100, 1, 101, 9)


def up(touch: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    bid, bid_lots, ask, ask_lots = touch
    return bid + 1, bid_lots, ask + 1, ask_lots


def test_a_tape_by_hand() -> None:
    # Looks: heavy, heavy, up a tick to light, heavy again, up a tick to heavy.
    touches = [HEAVY, HEAVY, up(LIGHT), up(HEAVY), up(up(HEAVY))]
    found = fit_micro_price(columns(touches), step_ns=NS, bins=2, spreads=1)
    # From heavy: stays heavy 1, moves up to light 1, moves up to heavy 1; from light: stays, to heavy 1. Mirrored the
    # same from the other state. So of 4 from heavy: to heavy at rest 1, to light at rest 1 (light's mirrored), up 2.
    assert found.samples.tolist() == [[4, 4]]
    # With g the answer for heavy, -g for light: g = (g - g + (1 - g) + (1 + g)) / 4.
    assert found.adjust_ticks == pytest.approx(np.array([[-0.5, 0.5]]))


def test_wide_spreads_large_moves_and_lost_books_break_the_chain() -> None:
    groups = [
        Group(1 * NS, 1 * NS, [(1, 100, 9), (-1, 101, 1)], snapshot=True),
        Group(2 * NS, 2 * NS, [(1, 101, 9), (-1, 102, 1), (-1, 101, 0)]),  # up a tick
        Group(3 * NS, 3 * NS, [(1, 101, 1), (-1, 102, 9)]),  # rests, the other way round
        Group(4 * NS, 4 * NS, [(-1, 102, 0), (-1, 103, 1)]),  # spread 2
        Group(5 * NS, 5 * NS, [], snapshot=True),  # lost
        Group(6 * NS, 6 * NS, [(1, 100, 9), (-1, 101, 1)], snapshot=True),
        Group(7 * NS, 7 * NS, [(1, 104, 9), (-1, 105, 1), (-1, 101, 0)]),  # up four ticks
    ]
    tape = tape_of(groups)
    whole = columns_of(tape, group_local_ns=tape.group_recv_ns, trade_local_ns=tape.trade_recv_ns)
    assert fit_micro_price(whole, step_ns=NS, bins=2, spreads=1).samples.tolist() == [[2, 2]]
    assert fit_micro_price(whole, step_ns=NS, bins=2, spreads=1, move_ticks_max=4).samples.tolist() == [[3, 3]]


def test_it_is_learnt_back_from_a_market_that_has_it() -> None:
    # Walk the two-state market above for 60 000 steps.
    draw = np.random.default_rng(7)
    state, bid, touches = 1, 10_000, []
    for _ in range(60_000):
        touches.append((bid, 9 if state else 1, bid + 1, 1 if state else 9))
        chance = draw.random()
        down, rise = MOVE[state]
        if chance < down + rise:
            bid += -1 if chance < down else 1
            state = int(draw.random() < MOVE[state][1] / MOVE[state].sum())
        else:
            state = state if draw.random() < 0.75 else 1 - state
    found = fit_micro_price(columns(touches), step_ns=NS, bins=2, spreads=1)
    assert found.adjust_ticks == pytest.approx(np.array([[-0.2, 0.2]]), abs=0.01)


def test_it_is_a_martingale_and_antisymmetric_on_what_it_was_learnt_from() -> None:
    draw = np.random.default_rng(11)
    bids = 1_000 + np.cumsum(draw.integers(-1, 2, size=3_000))
    touches = [
        (int(bid), int(draw.integers(1, 20)), int(bid + draw.integers(1, 3)), int(draw.integers(1, 20))) for bid in bids
    ]
    whole = columns(touches)
    found = fit_micro_price(whole, step_ns=NS, bins=5, spreads=2, move_ticks_max=2)
    adjust = found.adjust_ticks
    assert adjust == pytest.approx(-adjust[:, ::-1], abs=1e-9)
    looks = np.arange(1, len(touches) + 1) * NS
    exact = [Fraction(bid_lots, bid_lots + ask_lots) for _, bid_lots, _, ask_lots in touches]
    bins = np.array([min(int(5 * share), 4) for share in exact])
    spreads = np.array([ask - bid for bid, _, ask, _ in touches])
    drift = np.zeros((2, 5))
    micro = adjust[spreads - 1, bins]
    got = found.adjustments(
        imbalance=whole.values("imbalance", looks), spread_ticks=whole.values("spread_ticks", looks)
    )
    assert got.tolist() == micro.tolist()
    step = np.diff(whole.values("mid_hticks", looks)) / 2 + np.diff(micro)
    for sign, where in ((1, bins[:-1]), (-1, 4 - bins[:-1])):  # each transition, and mirrored
        np.add.at(drift, (spreads[:-1] - 1, where), sign * step)
    assert drift / found.samples == pytest.approx(np.zeros((2, 5)), abs=1e-8)


def test_a_state_that_was_not_learnt_has_no_adjustment() -> None:
    found = fit_micro_price(columns([HEAVY, up(LIGHT), up(HEAVY)]), step_ns=NS, bins=2, spreads=1)
    shares, spreads = np.array([0.0, 0.49, 0.5, 1.0, 0.7, np.nan]), np.array([1.0, 1.0, 1.0, 1.0, 2.0, np.nan])
    low, high = found.adjust_ticks[0].tolist()
    got = found.adjustments(imbalance=shares, spread_ticks=spreads)
    assert got[:4].tolist() == [low, low, high, high]
    assert np.isnan(got[4:]).all()


def test_the_table_is_what_was_learnt() -> None:
    draw = np.random.default_rng(5)
    bids = 1_000 + np.cumsum(draw.integers(-1, 2, size=3_000))
    touches = [
        (int(bid), *draw.integers(1, 20, size=1).tolist(), int(bid) + 1, int(draw.integers(1, 20))) for bid in bids
    ]
    whole = columns(touches)
    found = fit_micro_price(whole, step_ns=NS, bins=5, spreads=1, move_ticks_max=2)
    table = found.table()
    looks = np.arange(1, len(touches) + 1) * NS
    known = found.adjustments(
        imbalance=whole.values("imbalance", looks), spread_ticks=whole.values("spread_ticks", looks)
    )
    for (bid, bid_lots, ask, ask_lots), adjust in zip(touches, known.tolist(), strict=True):
        if 5 * bid_lots % (bid_lots + ask_lots):  # not on the edge of two bins
            got = table.adjust(bid_lots=bid_lots, ask_lots=ask_lots, spread_ticks=ask - bid)
            assert got == pytest.approx(max(-0.5, min(0.5, adjust)), abs=1e-9)


def test_a_mirrored_book_has_the_mirrored_micro_price_within_the_touch() -> None:
    table = table_of([[-0.2, 0.0, 0.3], [-2.0, 0.1, 0.9]], step_ns=NS)
    assert table.adjust_ticks == ((-0.25, 0.0, 0.25), (-1.0, 0.0, 1.0))
    for bid_lots in range(1, 40):
        for ask_lots in range(1, 40):
            for spread in (1, 2):
                ours = table.adjust(bid_lots=bid_lots, ask_lots=ask_lots, spread_ticks=spread)
                mirrored = table.adjust(bid_lots=ask_lots, ask_lots=bid_lots, spread_ticks=spread)
                assert ours is not None
                assert mirrored is not None
                assert ours == -mirrored
                assert abs(ours) <= spread / 2
    assert table.adjust(bid_lots=2, ask_lots=1, spread_ticks=1) == 0.125  # two thirds: on the edge of two bins
    assert table.adjust(bid_lots=2, ask_lots=1, spread_ticks=3) is None
    assert table.adjust(bid_lots=2, ask_lots=1, spread_ticks=0) is None


def test_the_published_two_states_as_a_table() -> None:
    table = table_of([expected_moves(STAY, MOVE, MOVE, MOVES).tolist()], step_ns=NS)
    features = market(bids=((1_000, 9),), asks=((1_001, 1),)).features
    assert features is not None
    assert table.price_ticks(features) == pytest.approx(1000.5 + 0.2, abs=1e-8)
    wide = market(bids=((1_000, 9),), asks=((1_002, 1),)).features
    assert wide is not None
    assert table.price_ticks(wide) is None


def test_what_is_no_table_is_refused() -> None:
    for rows in ([], [[0.0]], [[0.0, 0.1], [0.0]], [[0.0, float("nan")]]):
        with pytest.raises(CallerError, match="a micro-price table has"):
            table_of(rows, step_ns=NS)


def test_what_cannot_be_learnt_is_refused() -> None:
    with pytest.raises(CallerError, match="the tape of BTCUSDT has no sound book"):
        fit_micro_price(columns([]), step_ns=NS)
    with pytest.raises(CallerError, match="the mid of BTCUSDT never moves by up to 1 ticks; take more looks"):
        fit_micro_price(columns([HEAVY] * 5), step_ns=NS)
    for step_ns, bins, spreads, most in ((0, 2, 1, 1), (1, 1, 1, 1), (1, 2, 0, 1), (1, 2, 1, 0)):
        with pytest.raises(CallerError, match="a micro-price needs a positive step, two bins, one spread and one tick"):
            fit_micro_price(columns([HEAVY]), step_ns=step_ns, bins=bins, spreads=spreads, move_ticks_max=most)
