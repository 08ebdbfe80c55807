"""What stops trading: the kill switch, the day's loss, and the halt of a symbol (R8).

Each ends the parents that it concerns and withdraws what of them rests. None goes back by itself: somebody takes
responsibility for trading on.
"""

from __future__ import annotations

from decimal import Decimal
from math import inf

from sor.commands import Alarm
from sor.desk import Desk, key_of
from sor.events import HaltLifted, ModeSet, TradingMode
from sor.in_force import InForce
from sor.limits import Limits
from sor.orders import ParentStatus
from sor.parent import Parent
from sor.parents import Parents
from sor.reasons import EndReason
from sor.settling import Settling


class Breakers:
    """Whether trading goes on, as a fold of facts; `mode_reason` is why the switch stands where it does."""

    def __init__(self, desk: Desk, parents: Parents, *, in_force: InForce, settling: Settling) -> None:
        self._desk = desk
        self._parents = parents
        self._in_force = in_force
        self._settling = settling
        self.mode = TradingMode.ACTIVE
        self.mode_reason = ""

    def set_mode(self, fact: ModeSet) -> None:
        """Somebody moves the kill switch."""
        self._switch(fact.mode, EndReason.KILL_SWITCH, fact.reason, fact.now_ns)
        if fact.mode is TradingMode.ACTIVE:
            # Somebody takes responsibility for trading on: the day's loss counts anew from here.
            for book in self._desk.books.values():
                for realised in book.realised.values():
                    realised.atoms = 0

    def _switch(self, mode: TradingMode, why: EndReason, text: str, now_ns: int, *, parent_no: int = 0) -> None:
        """Move the switch, and end every parent that may not trade on; whoever calls settles parent `parent_no`."""
        self.mode = mode
        self.mode_reason = text
        if mode is TradingMode.ACTIVE:
            return
        for parent in tuple(self._parents.at_work.values()):
            if parent.active and not (mode is TradingMode.REDUCE_ONLY and parent.order.reduce_only):
                self._settling.stop(parent, ParentStatus.CANCELED, why, text)
                if parent.no != parent_no:
                    self._settling.settle(parent, now_ns)

    def lost_today(self, parent: Parent, now_ns: int) -> Decimal:
        """What our fills have lost today on its account, over all symbols of its quote asset; negative for a gain."""
        lost = Decimal(0)
        for (venue, account, symbol), book in self._desk.books.items():
            instrument = self._in_force.instruments[venue, symbol]
            if account == parent.order.account and instrument.quote == parent.instrument.quote:
                lost -= sum((one.today(instrument, now_ns) for one in book.realised.values()), Decimal(0))
        return lost

    def watch_loss(self, parent: Parent, limits: Limits, now_ns: int) -> None:
        """A loss beyond the day's limit leaves only what reduces; from there somebody has to let trading go on."""
        most = limits.daily_loss_max
        if most == inf or self.mode is not TradingMode.ACTIVE:
            return
        lost = self.lost_today(parent, now_ns)
        if lost > most:
            text = (
                f"{lost:,.2f} {parent.instrument.quote} were lost today, and risk.daily_loss_max is {most:,.2f}: only "
                "what reduces goes on, until somebody sets trading active again"
            )
            self._desk.out.append(Alarm(parent.no, parent.venue, text, halts=False))
            self._switch(TradingMode.REDUCE_ONLY, EndReason.DAILY_LOSS, text, now_ns, parent_no=parent.no)

    def halt(self, parent: Parent, text: str, now_ns: int, *, parent_no: int = 0) -> None:
        """Nothing more may be placed on the symbol of a parent, on its account, and what rests there is withdrawn.

        parent_no    the parent whose order shows that it must; whoever calls settles it. 0: no order does.
        """
        book = self._desk.book_of(parent)
        if book.halted:
            return
        book.halted = text
        key = key_of(parent)
        self._desk.out.append(Alarm(parent_no, parent.venue, text, halts=True))
        for other in tuple(self._parents.at_work.values()):
            if other.active and key_of(other) == key:
                self._settling.stop(other, ParentStatus.HALTED, EndReason.HALTED, text)
                if other.no != parent_no:
                    self._settling.settle(other, now_ns)

    def lift_halt(self, fact: HaltLifted) -> None:
        """Somebody has looked at a halted symbol and takes responsibility."""
        for (venue, _, symbol), book in self._desk.books.items():
            if venue == fact.venue and symbol == fact.symbol:
                book.halted = ""
                book.rejects = 0
