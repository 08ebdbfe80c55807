"""What our own fills of one symbol have realised today: netted against one another at average cost, fees taken off.

Integers throughout, in atoms of the instrument's own money (`Instrument.money`), so nothing is lost by rounding that a
flat position would not give back. A day is a day of UTC. What the account held besides, funding, and what somebody else
closed for us are not in it: only facts about our own orders are.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from sor.instruments import Instrument
from sor.units import NS, RATE_E8

DAY_NS: Final = 86_400 * NS


class Realised:
    """The result of one symbol.

    net_lots    what our fills leave open, signed. cost_lot_ticks: what was paid for it, lots x ticks, signed alike.
    atoms       realised on `day`, fees in, positive for a gain.
    """

    __slots__ = ("atoms", "cost_lot_ticks", "day", "net_lots")

    def __init__(self) -> None:
        self.net_lots = 0
        self.cost_lot_ticks = 0
        self.atoms = 0
        self.day = 0

    def fill(self, lots: int, lot_ticks: int, fee_atoms: int, *, instrument: Instrument, now_ns: int) -> None:
        """Take fills in.

        lots         signed: bought or sold. lot_ticks: sum of lots x ticks, signed alike. Both 0, or `lots` alone 0,
                     for a correction of what was counted before.
        fee_atoms    positive is a cost.
        """
        self._begin(now_ns)
        self.atoms -= fee_atoms
        if not lots:
            self.atoms -= 0 if instrument.inverse else instrument.fee_atoms(lot_ticks, 1, RATE_E8)
            return
        closed = min(abs(lots), abs(self.net_lots)) if lots * self.net_lots < 0 else 0
        if closed:
            # Cost and proceeds of the part that is closed, in whole lot-ticks: what rounds off stays in the rest.
            sign = 1 if self.net_lots > 0 else -1
            cost = self.cost_lot_ticks * closed // abs(self.net_lots)
            proceeds = -lot_ticks * closed // abs(lots)
            self.atoms += _gain_atoms(cost, proceeds, sign * closed, instrument)
            self.net_lots -= sign * closed
            self.cost_lot_ticks -= cost
            lots += sign * closed
            lot_ticks += proceeds
        self.net_lots += lots
        self.cost_lot_ticks += lot_ticks

    def bound(self, position_lots: int) -> None:
        """The venue's word on the position: what of ours is not there any more is forgotten, without a result."""
        kept = min(max(self.net_lots, min(0, position_lots)), max(0, position_lots))
        if kept != self.net_lots:
            self.cost_lot_ticks = self.cost_lot_ticks * kept // self.net_lots
            self.net_lots = kept

    def today(self, instrument: Instrument, now_ns: int) -> Decimal:
        """The day's result so far in quote units."""
        return instrument.money(self.atoms) if self.day == now_ns // DAY_NS else Decimal(0)

    def relist(self, old: Instrument, new: Instrument) -> None:
        """The venue counts in other steps: the day's money stays, what was open is not to be relied upon."""
        self.atoms = new.atoms(old.money(self.atoms))
        self.net_lots = self.cost_lot_ticks = 0

    def _begin(self, now_ns: int) -> None:
        day = now_ns // DAY_NS
        if day != self.day:
            self.day = day
            self.atoms = 0


def _gain_atoms(cost: int, proceeds: int, lots: int, instrument: Instrument) -> int:
    """What closing `lots`, signed as they were held, brought; an inverse contract pays in coin, valued at exit."""
    if not instrument.inverse:
        return instrument.fee_atoms(proceeds - cost, 1, RATE_E8)
    # lots x (exit / entry - 1), with entry = cost / lots and exit = proceeds / lots.
    return instrument.fee_atoms(lots * (proceeds - cost), 1, RATE_E8) // cost
