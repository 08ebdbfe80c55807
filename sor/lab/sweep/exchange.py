"""The venue of the lane of policies: what `venues.simulated.tape` does for one owner, on the kernel's tables.

Requests come in at the venue's time and are answered by reports; `due` says what a resting order is filled next. Delays
are constant and both clocks are one. Whatever is not here (positions, reduce-only, orders that rest without being
post-only) the lane does not send.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from sor.adapter import AmendModel, Capabilities, SelfTrade
from sor.ids import ClOrdId, ClOrdIdCodec
from sor.instruments import Instrument
from sor.lab.sweep.ground import Ground
from sor.lab.sweep.kernel import BEYOND_DEPTH, BEYOND_TOGETHER, NEVER, Floats, Ints
from sor.lab.sweep.steps import LEFT, ORDER, SIDE, TICKS
from sor.orders import ExecType, RejectKind, Side, Tif

LEVELS_MAX = 256
"""Levels that one order may take from."""
TOGETHER_MAX = 8
"""Orders of one parent that may rest at one price."""
Fill = tuple[int, int, int, bool]
"""Venue time, price, lots, and whether as maker."""


class Beyond(BaseException):
    """The lane has no answer for this parent: `code` says why. No `Exception`, which a policy might swallow."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def capabilities_of(*, entry_ns: int, response_ns: int, amends: bool) -> Capabilities:
    """What the recorded venue says that it can do."""
    return Capabilities(
        client_ids=ClOrdIdCodec(),
        tif=frozenset({Tif.GTC, Tif.IOC, Tif.FOK}),
        amend=AmendModel.NATIVE_SAME_ID if amends else AmendModel.NONE,
        amend_keeps_priority_on_size_down=True,
        self_trade=SelfTrade.CANCEL_TAKER,
        orders_per_s=10_000.0,
        submit_rtt_ns=entry_ns + response_ns,
        cancel_rtt_ns=entry_ns + response_ns,
        book_shows_own=False,
    )


PENDING: Final = 0
LIVE: Final = 1
OVER: Final = 2
"""Life of an order, as far as its parent knows."""
NOTHING: Final = 0
CANCEL: Final = 1
AMEND: Final = 2
"""What of it is on its way."""


class Sent:
    """One order: what its parent knows of it, as `sor.child.Child` has it, and what the venue does.

    expire_ns    0 for one that takes. asked_*: terms on their way, else those in force. reserved_lots: the larger.
    stood        price, quantity and filled lots when its place was last told.
    held_*       as the venue has it: quantity, price, what is filled, and what is left.
    """

    __slots__ = (
        "asked_lots",
        "asked_ticks",
        "cancel_wanted",
        "check_ns",
        "cl_ord_id",
        "counted_lots",
        "expire_ns",
        "held_filled",
        "held_leaves",
        "held_lots",
        "held_ticks",
        "life",
        "no_amend",
        "pending",
        "price_ticks",
        "qty_lots",
        "reserved_lots",
        "sent_ns",
        "side",
        "stood",
        "timed_out",
    )

    def __init__(self, cl_ord_id: ClOrdId, side: Side, lots: int, ticks: int, *, sent_ns: int, expire_ns: int) -> None:
        self.cl_ord_id = cl_ord_id
        self.side = side
        self.qty_lots = self.asked_lots = self.reserved_lots = lots
        self.price_ticks = self.asked_ticks = ticks
        self.sent_ns = sent_ns
        self.expire_ns = expire_ns
        self.check_ns = 0
        self.counted_lots = 0
        self.life = PENDING
        self.pending = NOTHING
        self.cancel_wanted = self.timed_out = self.no_amend = False
        self.stood: tuple[int, int, int] | None = None
        self.held_lots, self.held_ticks = lots, ticks
        self.held_filled = self.held_leaves = 0

    @property
    def leaves_lots(self) -> int:
        """What it may still fill, as far as its parent knows."""
        return 0 if self.life == OVER else max(0, self.reserved_lots - self.counted_lots)

    def settle(self, lots: int, ticks: int) -> None:
        """These terms are in force, and no others can come into force."""
        self.qty_lots = self.asked_lots = self.reserved_lots = lots
        self.price_ticks = self.asked_ticks = ticks


Tell = Callable[[Sent, ExecType, int, int, int, RejectKind], None]
"""Takes a report: of which order, what, at which venue time, lots and price of a trade or of terms, and why not."""


class _Level:
    """The orders that rest at one price, oldest first, with a row of the kernel's for each.

    due_ns    when they are filled next as far as they were followed, `NEVER` if not by then; got: how many lots each.
    """

    __slots__ = ("aheads", "due_ns", "got", "orders", "rows")

    def __init__(self) -> None:
        self.orders: list[Sent] = []
        self.rows: Ints = np.zeros((TOGETHER_MAX, ORDER), np.int64)
        self.aheads: Floats = np.zeros((TOGETHER_MAX, 1))
        self.got: Ints = np.zeros(TOGETHER_MAX, np.int64)
        self.due_ns = NEVER

    def drop(self, order: Sent) -> None:
        """It leaves, and those behind it stay where they are."""
        at = self.orders.index(order)
        del self.orders[at]
        if at == len(self.orders):
            return
        self.rows[at:-1] = self.rows[at + 1 :]
        self.aheads[at:-1] = self.aheads[at + 1 :]


class Exchange:
    """Of one parent at a time; `begin` forgets everything of the one before.

    tell      is handed each report, at the venue's time. fills: what the parent traded so far.
    """

    def __init__(
        self,
        ground: Ground,
        instrument: Instrument,
        *,
        shared: bool,
        tell: Tell,
    ) -> None:
        self._ground = ground
        self._steps = ground.steps
        self._instrument = instrument
        self._shared = int(shared)
        self._tell = tell
        self._spare: list[_Level] = []
        self._rows: Ints = np.zeros((LEVELS_MAX, 3), np.int64)
        self.begin()

    def begin(self) -> None:
        """Nothing rests and nothing was traded."""
        self.levels: dict[int, _Level] = {}
        self.fills: list[Fill] = []
        self._taken: dict[int, tuple[int, int]] = {}
        self._group = 0
        self._reached_ns = -1

    # --- what the recording does ----------------------------------------------------------------------------------

    def due(self, until_ns: int) -> _Level | None:
        """The level that is filled first by `until_ns`, None if none is; of two at one instant the older.

        None is followed further than to that: what is filled there may bring on a request before the next.
        """
        levels = self.levels.values()
        if until_ns != self._reached_ns:
            self._reached_ns = until_ns
            before = [(level.rows.copy(), level.aheads.copy()) for level in levels] if len(levels) > 1 else []
            for level in levels:
                if level.due_ns == NEVER:
                    self._walk(level, until_ns)
            first_ns = min(level.due_ns for level in levels)
            if first_ns < NEVER:
                for level, (rows, aheads) in zip(levels, before, strict=False):
                    if level.due_ns != first_ns:
                        level.rows, level.aheads = rows, aheads
                        self._walk(level, first_ns)
        return next((level for level in levels if level.due_ns <= until_ns), None)

    def _walk(self, level: _Level, until_ns: int) -> None:
        """Follow the orders of a level to what fills them by then."""
        found_ns = self._steps.walked(level.rows, level.aheads, level.got, len(level.orders), until_ns, self._shared)
        level.due_ns = int(found_ns)

    def fill(self, level: _Level) -> None:
        """Let happen what `due` found."""
        at_ns = level.due_ns
        level.due_ns = NEVER
        self._reached_ns = -1
        for order, lots in zip(tuple(level.orders), level.got.tolist(), strict=False):
            if lots:
                self._trade(order, lots, order.held_ticks, at_ns, maker=True)
                if not order.held_leaves:
                    self._leave(order)

    # --- requests, at the time they arrive ------------------------------------------------------------------------

    def enter(self, order: Sent, at_ns: int) -> None:
        """A new order arrives."""
        side, lots, ticks = order.side, order.held_lots, order.held_ticks
        group, opposite = self._opposite(side, at_ns)
        refusal = RejectKind.NONE
        if group < self._ground.first_group:
            refusal = RejectKind.VENUE_CLOSED
        elif self._unfit(lots, ticks):
            refusal = RejectKind.BAD_TERMS
        elif order.expire_ns and opposite <= side * ticks:
            refusal = RejectKind.WOULD_TAKE
        if refusal:
            self._tell(order, ExecType.REJECTED, at_ns, 0, 0, refusal)
            return
        order.held_leaves = lots
        self._tell(order, ExecType.NEW, at_ns, 0, 0, RejectKind.NONE)
        if order.expire_ns:
            self._rest(order, group, at_ns)
        else:
            self._take(order, group, at_ns)
            if order.held_leaves:
                order.held_leaves = 0
                self._tell(order, ExecType.EXPIRED, at_ns, 0, 0, RejectKind.NO_LIQUIDITY)

    def cancel(self, order: Sent, at_ns: int) -> None:
        """A cancel arrives."""
        if not order.held_leaves:
            self._tell(order, ExecType.CANCEL_REJECTED, at_ns, 0, 0, RejectKind.TOO_LATE)
            return
        self._leave(order)
        order.held_leaves = 0
        self._tell(order, ExecType.CANCELED, at_ns, 0, 0, RejectKind.NONE)

    def amend(self, order: Sent, at_ns: int, *, qty_lots: int, price_ticks: int) -> None:
        """An amend arrives: total quantity and price. Less at the same price keeps its place."""
        if not order.held_leaves:
            self._tell(order, ExecType.AMEND_REJECTED, at_ns, 0, 0, RejectKind.TOO_LATE)
            return
        if qty_lots <= order.held_filled:
            self.cancel(order, at_ns)
            return
        stays = price_ticks == order.held_ticks and qty_lots <= order.held_lots
        group, opposite = self._opposite(order.side, at_ns)
        refusal = RejectKind.NONE
        if self._unfit(qty_lots, price_ticks):
            refusal = RejectKind.BAD_TERMS
        elif not stays and opposite <= order.side * price_ticks:
            refusal = RejectKind.WOULD_TAKE
        if refusal:
            self._tell(order, ExecType.AMEND_REJECTED, at_ns, 0, 0, refusal)
            return
        if not stays:
            self._leave(order)
        order.held_lots, order.held_ticks, order.held_leaves = qty_lots, price_ticks, qty_lots - order.held_filled
        self._tell(order, ExecType.REPLACED, at_ns, qty_lots, price_ticks, RejectKind.NONE)
        if stays:
            level = self.levels[price_ticks]
            level.rows[level.orders.index(order), LEFT] = order.held_leaves
        else:
            self._rest(order, group, at_ns)

    # --- matching -------------------------------------------------------------------------------------------------

    def _opposite(self, side: int, at_ns: int) -> tuple[int, int]:
        """The group in force, and the price x side that an order would meet."""
        group, opposite = self._steps.opposite_at(int(side), at_ns, self._group)
        self._group = max(int(group), 0)
        return int(group), int(opposite)

    def _unfit(self, lots: int, ticks: int) -> bool:
        most = self._instrument.max_qty_lots
        return lots < self._instrument.min_lots_at(ticks) or 0 < most < lots

    def _rest(self, order: Sent, group: int, at_ns: int) -> None:
        """Put what is left of an order into the queue at its price."""
        level = self.levels.get(order.held_ticks)
        if level is None:
            level = self.levels[order.held_ticks] = self._spare.pop() if self._spare else _Level()
        at = len(level.orders)
        if at == TOGETHER_MAX:
            raise Beyond(BEYOND_TOGETHER)
        row = level.rows[at]
        row[SIDE], row[TICKS], row[LEFT] = order.side, order.held_ticks, order.held_leaves
        self._steps.rested(row, level.aheads[at], group, at_ns)
        level.orders.append(order)
        self._reached_ns = -1

    def _leave(self, order: Sent) -> None:
        """Take an order that rests, or was just filled, out of its queue."""
        level = self.levels[order.held_ticks]
        level.drop(order)
        if not level.orders:
            self._spare.append(self.levels.pop(order.held_ticks))

    def _take(self, order: Sent, group: int, at_ns: int) -> None:
        """Take from the book, less what was taken from its levels before and was not shown anew since."""
        side, taken = int(order.side), self._taken
        want = order.held_leaves + sum(lots for _, lots in taken.values())
        count = self._steps.met(side, group, order.held_ticks, want, self._rows)
        for ticks, shown, version in self._rows[:count].tolist():
            before = taken.get(ticks, (-1, 0))
            gone = before[1] if before[0] == version else 0
            lots = min(order.held_leaves, shown - gone)
            if lots > 0:
                taken[ticks] = version, gone + lots
                self._trade(order, lots, ticks, at_ns, maker=False)
                if not order.held_leaves:
                    return
        if count == LEVELS_MAX:
            raise Beyond(BEYOND_DEPTH)

    def _trade(self, order: Sent, lots: int, ticks: int, at_ns: int, *, maker: bool) -> None:
        order.held_filled += lots
        order.held_leaves -= lots
        self.fills.append((at_ns, ticks, lots, maker))
        self._tell(order, ExecType.TRADE, at_ns, lots, ticks, RejectKind.NONE)
