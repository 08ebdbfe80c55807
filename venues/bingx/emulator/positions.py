"""One position: how many lots at what cost, and what closing part of it earned. Exact integers.

Average-cost accounting: closing takes its share of the cost out, rounded to the atom, and the last lot takes all that
is left; so the profits of a position add up to what was received less what was paid, in whatever order it is filled.
"""

from __future__ import annotations

from sor.orders import PositionSide
from venues.matching.orders import Account


class Position:
    """One position of one account, flat ones too.

    mode             BOTH, or LONG or SHORT in hedge mode.
    ledger           what the matching engine knows of it; a closing order in hedge mode is reduce-only there.
    lots             signed. cost_atoms: what the open lots were opened for, >= 0.
    realised_atoms   profit since it was last flat. earned_atoms: profit of all time.
    position_id      a new one each time it opens.
    """

    __slots__ = (
        "cost_atoms",
        "earned_atoms",
        "ledger",
        "lots",
        "mode",
        "position_id",
        "realised_atoms",
        "symbol",
        "unit_atoms",
        "updated_ms",
    )

    def __init__(self, symbol: str, mode: PositionSide, ledger: Account, *, unit_atoms: int) -> None:
        self.symbol = symbol
        self.mode = mode
        self.ledger = ledger
        self.unit_atoms = unit_atoms
        self.lots = 0
        self.cost_atoms = 0
        self.realised_atoms = 0
        self.earned_atoms = 0
        self.position_id = 0
        self.updated_ms = 0

    @property
    def side(self) -> PositionSide:
        """LONG or SHORT; a flat position of one-way mode is BOTH."""
        if not self.lots:
            return self.mode
        return PositionSide.LONG if self.lots > 0 else PositionSide.SHORT

    def take(self, *, signed_lots: int, price_ticks: int, new_id: int) -> int:
        """Count a fill in; the profit that it realised. `new_id` names the position if the fill opens or flips it."""
        price_atoms = price_ticks * self.unit_atoms
        held = abs(self.lots)
        added = abs(signed_lots)
        if held == 0:
            self._open(added * price_atoms, new_id)
            self.lots = signed_lots
            return 0
        if (self.lots > 0) == (signed_lots > 0):
            self.lots += signed_lots
            self.cost_atoms += added * price_atoms
            return 0
        closed = min(held, added)
        share = (2 * self.cost_atoms * closed + held) // (2 * held)
        profit = closed * price_atoms - share
        if self.lots < 0:
            profit = -profit
        self.cost_atoms -= share
        self.realised_atoms += profit
        self.earned_atoms += profit
        self.lots += signed_lots
        if added > held:
            self._open((added - held) * price_atoms, new_id)
        return profit

    def _open(self, cost_atoms: int, new_id: int) -> None:
        self.cost_atoms = cost_atoms
        self.realised_atoms = 0
        self.position_id = new_id

    def unrealised_atoms(self, mark_ticks: int) -> int:
        """Profit if it were closed at the mark."""
        value = abs(self.lots) * mark_ticks * self.unit_atoms
        return value - self.cost_atoms if self.lots > 0 else self.cost_atoms - value
