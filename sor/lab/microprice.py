"""Micro-price: what the mid is expected to become, given the imbalance at the touch and the spread (Stoikov 2018).

`Features.micro_ticks` is the weighted mid, which moves with every order; the micro-price is learnt from a tape and is,
on what it was learnt from, a martingale: from no state of the touch is it expected to move.

States      A state is a spread in ticks and a bin of the imbalance, seen every `step_ns`. A look at a wider spread or
            at a book that is not sound, and a move of the mid beyond the bound, break the chain and count for nothing.
            The paper's bound is a tick, which fits large-tick stocks; the mid of a small-tick book jumps by dozens,
            and those jumps are most of what the imbalance tells.
Symmetry    Each transition counts twice, once mirrored (bid and ask exchanged, the move with the other sign), so that
            the micro-price of a mirrored book is the mirrored micro-price, whatever drift the tape had.
Source      Stoikov, The micro-price: a high-frequency estimator of future prices, Quantitative Finance 18 (12), 2018.
"""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from sor.errors import CallerError
from sor.lab.columns import FeatureColumns, FloatColumn
from sor.models.microprice import MicroPriceTable, table_of
from sor.tape import IntColumn

Matrix = NDArray[np.float64]

_PRECISION_TICKS = 1e-9
_TERMS_MAX = 10_000


class MicroPrice(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Micro-price minus mid, by state. S spreads, N bins of the imbalance.

    adjust_ticks    (S, N), ticks; row s is the spread of s + 1 ticks; 0 where there are no samples.
    samples         (S, N), transitions from each state, mirrored ones included; 0 where none led to a move.
    step_ns         between two looks.
    """

    adjust_ticks: Matrix
    samples: IntColumn
    step_ns: int

    def table(self) -> MicroPriceTable:
        """What a policy looks up: the same by whole lots, antisymmetric to the last bit and within the touch."""
        return table_of(self.adjust_ticks.tolist(), step_ns=self.step_ns)

    def adjustments(self, *, imbalance: FloatColumn, spread_ticks: FloatColumn) -> FloatColumn:
        """Micro-price minus mid in ticks at (N,) states of the touch; NaN where the spread is wider than was learnt."""
        spreads, bins = self.adjust_ticks.shape
        states = _states(imbalance, spread_ticks, bins=bins, spreads=spreads)
        found = np.full(len(states), np.nan)
        known = states >= 0
        found[known] = self.adjust_ticks.ravel()[states[known]]
        return found


def expected_moves(stay: Matrix, move: Matrix, after: Matrix, moves_ticks: FloatColumn) -> FloatColumn:
    """How far the mid is expected to go in the end, from each of X states.

    stay, after    (X, X) probability of going to a state while the mid stays, and while it moves.
    move           (X, K) probability of each move; moves_ticks (K,) their sizes. Rows of `stay` and `move` together,
                   and of `stay` and `after` together, sum to 1.
    Returns        (X,) ticks: the sum over i of B^i G1, with G1 = (1 - stay)^-1 move moves_ticks the first move to come
                   and B = (1 - stay)^-1 after the state behind it.
    Raises         CallerError when the mid never moves from some state on, or the sum has no end.
    """
    behind_one_move = np.column_stack((move @ moves_ticks, after))
    try:
        first, onwards = np.split(np.linalg.solve(np.eye(len(stay)) - stay, behind_one_move), [1], axis=1)
    except np.linalg.LinAlgError as error:
        raise CallerError(
            "the mid never moves from some states on, so it has no micro-price; take a longer tape"
        ) from error
    total: FloatColumn = first[:, 0]
    term = total
    for _ in range(_TERMS_MAX):
        term = onwards @ term
        total = total + term
        if float(np.abs(term).max(initial=0.0)) < _PRECISION_TICKS:
            return total
    raise CallerError("moves of the mid do not die out, so it has no micro-price; the states are not symmetric")


def fit_micro_price(
    columns: FeatureColumns, *, step_ns: int, bins: int = 10, spreads: int = 2, move_ticks_max: int = 1
) -> MicroPrice:
    """Learn the micro-price from a tape.

    step_ns        between two looks; the first is at the first sound state.
    bins           of the imbalance, equally wide. spreads: of 1, 2, ... ticks; wider ones are not looked at.
    move_ticks_max bound on a move of the mid from one look to the next.
    Raises         CallerError for a tape without a sound book or a move, or senseless settings.
    """
    if step_ns <= 0 or bins < 2 or spreads < 1 or move_ticks_max < 1:
        raise CallerError(
            f"step_ns {step_ns}, bins {bins}, spreads {spreads}, move_ticks_max {move_ticks_max}: "
            f"a micro-price needs a positive step, two bins, one spread and one tick at least"
        )
    most = 2 * move_ticks_max
    if not len(columns.run_ns):
        raise CallerError(f"the tape of {columns.symbol} has no sound book, so nothing can be learnt from it")
    looks = np.arange(int(columns.run_ns[0]), int(columns.group_local_ns[-1]) + 1, step_ns)
    states = _states(
        columns.values("imbalance", looks), columns.values("spread_ticks", looks), bins=bins, spreads=spreads
    )
    mids = columns.values("mid_hticks", looks)
    moves = np.nan_to_num(np.diff(mids), nan=2.0 * most)
    seen = (states[:-1] >= 0) & (states[1:] >= 0) & (np.abs(moves) <= most)
    before, behind, moved = states[:-1][seen], states[1:][seen], moves[seen].astype(np.int64)

    count = spreads * bins
    mirror = np.arange(count).reshape(spreads, bins)[:, ::-1].ravel()
    before, behind = np.concatenate((before, mirror[before])), np.concatenate((behind, mirror[behind]))
    moved = np.concatenate((moved, -moved))
    going = np.zeros((2, count, count))
    np.add.at(going, ((moved != 0).astype(np.int64), before, behind), 1.0)
    move = np.zeros((count, 2 * most + 1))
    np.add.at(move, (before, moved + most), 1.0)
    samples = move.sum(axis=1)
    if not going[1].any():
        raise CallerError(f"the mid of {columns.symbol} never moves by up to {move_ticks_max} ticks; take more looks")
    # States from which no move was ever reached say nothing: as if they had not been seen.
    telling = going[1].any(axis=1)
    for _ in range(count):
        telling |= going[0] @ telling > 0
    samples[~telling], going[:, ~telling], move[~telling] = 0.0, 0.0, 0.0
    each = np.maximum(samples, 1.0)[:, None]
    move[:, most] = 0.0
    sizes = np.arange(-most, most + 1) / 2.0
    adjust = expected_moves(going[0] / each, move / each, going[1] / each, sizes)
    return MicroPrice(
        adjust_ticks=adjust.reshape(spreads, bins),
        samples=samples.astype(np.int64).reshape(spreads, bins),
        step_ns=step_ns,
    )


def _states(imbalance: FloatColumn, spread_ticks: FloatColumn, *, bins: int, spreads: int) -> IntColumn:
    """State of each look, -1 where it has none: spread by spread, bins of the imbalance within."""
    states = np.full(len(imbalance), -1)
    known = np.flatnonzero(spread_ticks <= spreads)  # NaN is not
    bin_no = np.minimum((imbalance[known] * bins).astype(np.int64), bins - 1)
    states[known] = (spread_ticks[known].astype(np.int64) - 1) * bins + bin_no
    return states
