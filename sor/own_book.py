"""What is ours on one symbol of one account: resting and open orders, the position, what it has realised, and halts."""

from __future__ import annotations

from sor.child import Child
from sor.events import FlowCause
from sor.ids import ClOrdId
from sor.orders import PositionSide, Side
from sor.realised import Realised


class OwnBook:
    """What is ours on one symbol of one account.

    rests         live or possibly live resting orders by side.
    open_lots     what all open orders may still fill, by side.
    positions     signed lots by position side: baseline, our fills since, foreign flows; absent until the venue has
                  spoken. baselines: what it said, and when. flows: net foreign lots since then, by side and cause.
    filled_ns     when a fill of ours was counted last.
    realised      what our own fills have realised, by position side.
    reducing      lots of open reduce-only orders by position side: the shared budget of exits (P1).
    crosser       a parent that waits to take while own opposite orders are withdrawn, by side.
    halted        why nothing may be placed here until somebody has looked, or "".
    rejects       refusals in a row.
    """

    __slots__ = (
        "baselines",
        "crosser",
        "filled_ns",
        "flows",
        "halted",
        "open_lots",
        "positions",
        "realised",
        "reducing",
        "rejects",
        "rests",
    )

    def __init__(self) -> None:
        self.rests: dict[Side, dict[ClOrdId, Child]] = {Side.BUY: {}, Side.SELL: {}}
        self.open_lots: dict[Side, int] = {Side.BUY: 0, Side.SELL: 0}
        self.positions: dict[PositionSide, int] = {}
        self.realised: dict[PositionSide, Realised] = {}
        self.baselines: dict[PositionSide, tuple[int, int]] = {}
        self.flows: dict[tuple[PositionSide, FlowCause], int] = {}
        self.reducing: dict[PositionSide, int] = {}
        self.crosser: dict[Side, int] = {}
        self.filled_ns = 0
        self.halted = ""
        self.rejects = 0

    def give_way(self, side: Side, parent_no: int) -> None:
        """That parent no longer waits to take: it keeps nobody from resting on the other side."""
        if self.crosser.get(side) == parent_no:
            del self.crosser[side]

    def base(self, side: PositionSide, lots: int, now_ns: int) -> None:
        """The venue has spoken: flows count from here."""
        self.positions[side] = lots
        self.baselines[side] = lots, now_ns
        self.flows = {key: net for key, net in self.flows.items() if key[0] is not side}
        self._bound(side)

    def move(self, side: PositionSide, cause: FlowCause, lots: int) -> None:
        """A foreign flow of signed lots, of a position that is known."""
        self.positions[side] += lots
        self.flows[side, cause] = self.flows.get((side, cause), 0) + lots
        self._bound(side)

    def _bound(self, side: PositionSide) -> None:
        """What of our own fills is not there any more has no result of ours."""
        realised = self.realised.get(side)
        if realised is not None:
            realised.bound(self.positions[side])

    def forget_positions(self) -> None:
        """What was known of them means something else now: the venue has to speak anew."""
        self.positions.clear()
        self.baselines.clear()
        self.flows.clear()

    def still_since(self, since_ns: int) -> bool:
        """Whether nothing of ours is open here, and nothing has filled from `since_ns` on."""
        return self.filled_ns < since_ns and not any(self.open_lots.values())
