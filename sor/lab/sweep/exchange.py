"""The venue of the lane of policies: what `venues.simulated.tape` does for one owner, on the kernel's tables.

Requests come in at the venue's time and are answered by reports; `follow` finds what is filled next. Delays
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
from sor.lab.sweep.steps import LEFT, ORDER
from sor.orders import ExecType, RejectKind, Tif

# Members by name: CPython 3.11 takes longer to read a member off its enum than to compare it.
_NO_REFUSAL: Final = RejectKind.NONE
_NEW: Final = ExecType.NEW
_TRADE: Final = ExecType.TRADE
_CANCELED: Final = ExecType.CANCELED

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

    def __init__(self, cl_ord_id: ClOrdId, side: int, lots: int, ticks: int, sent_ns: int, expire_ns: int) -> None:
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


Report = tuple[Sent, ExecType, int, int, RejectKind]
"""Of which order, what, lots and price of a trade or of the terms after an amend, and why not."""
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

    tell         is handed each report, at the venue's time. fills: what the parent traded so far.
    reached_ns   how far what rests was followed, -1 where it is to be followed anew, `NEVER` while nothing rests.
                 filled_ns: when it is filled next as far as that, `NEVER` if it is not.
    """

    __slots__ = (
        "_filled",
        "_ground",
        "_group",
        "_instrument",
        "_opposite_at",
        "_rested",
        "_rows",
        "_shared",
        "_spare",
        "_steps",
        "_taken",
        "_tell",
        "_walked",
        "filled_ns",
        "fills",
        "levels",
        "reached_ns",
    )

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
        self._walked = ground.steps.walked
        self._rested = ground.steps.rested
        self._opposite_at = ground.steps.opposite_at
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
        self.reached_ns = self.filled_ns = NEVER
        self._filled: _Level | None = None

    # --- what the recording does ----------------------------------------------------------------------------------

    def follow(self, until_ns: int) -> None:
        """Follow what rests to the next fill of any by then; no request may arrive before.

        Where one level is filled the others are followed no further: what is filled may bring on a request.
        """
        levels = self.levels.values()
        before = [(level.rows.copy(), level.aheads.copy()) for level in levels] if len(levels) > 1 else ()
        self.reached_ns, self._filled, self.filled_ns = until_ns, None, NEVER
        for level in levels:
            if level.due_ns == NEVER:
                self._walk(level, until_ns)
            if level.due_ns < self.filled_ns:
                self._filled, self.filled_ns = level, level.due_ns
        if self.filled_ns < NEVER:
            for level, (rows, aheads) in zip(levels, before, strict=False):
                if level.due_ns != self.filled_ns:
                    level.rows, level.aheads = rows, aheads
                    self._walk(level, self.filled_ns)

    def _walk(self, level: _Level, until_ns: int) -> None:
        """Follow the orders of a level to what fills them by then."""
        level.due_ns = self._walked(level.rows, level.aheads, level.got, len(level.orders), until_ns, self._shared)

    def fill(self) -> None:
        """Let happen what `follow` found; of two at one instant the older."""
        level, at_ns = self._filled, self.filled_ns
        assert level is not None
        level.due_ns = self.filled_ns = NEVER
        self.reached_ns = -1
        for order, lots in zip(tuple(level.orders), level.got.tolist(), strict=False):
            if lots:
                self._trade(order, lots, order.held_ticks, at_ns, maker=True)
                if not order.held_leaves:
                    self._leave(order)

    # --- requests, at the time they arrive ------------------------------------------------------------------------

    def enter(self, at_ns: int, order: Sent) -> None:
        """A new order arrives."""
        side, lots, ticks = order.side, order.held_lots, order.held_ticks
        rests = order.expire_ns > 0
        group, opposite = self._opposite(side, at_ns)
        refusal = _NO_REFUSAL
        if group < self._ground.first_group:
            refusal = RejectKind.VENUE_CLOSED
        elif self._unfit(lots, ticks):
            refusal = RejectKind.BAD_TERMS
        elif rests and opposite <= side * ticks:
            refusal = RejectKind.WOULD_TAKE
        if refusal is not _NO_REFUSAL:
            self._tell(order, ExecType.REJECTED, at_ns, 0, 0, refusal)
            return
        order.held_leaves = lots
        self._tell(order, _NEW, at_ns, 0, 0, _NO_REFUSAL)
        if rests:
            self._rest(order, group, at_ns)
        else:
            self._take(order, group, at_ns)
            if order.held_leaves:
                order.held_leaves = 0
                self._tell(order, ExecType.EXPIRED, at_ns, 0, 0, RejectKind.NO_LIQUIDITY)

    def cancel(self, at_ns: int, order: Sent) -> None:
        """A cancel arrives."""
        if not order.held_leaves:
            self._tell(order, ExecType.CANCEL_REJECTED, at_ns, 0, 0, RejectKind.TOO_LATE)
            return
        self._leave(order)
        order.held_leaves = 0
        self._tell(order, _CANCELED, at_ns, 0, 0, _NO_REFUSAL)

    def amend(self, at_ns: int, wanted: tuple[Sent, int, int]) -> None:
        """An amend arrives: total quantity and price. Less at the same price keeps its place."""
        order, qty_lots, price_ticks = wanted
        if not order.held_leaves:
            self._tell(order, ExecType.AMEND_REJECTED, at_ns, 0, 0, RejectKind.TOO_LATE)
            return
        if qty_lots <= order.held_filled:
            self.cancel(at_ns, order)
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
        found = self._opposite_at(side, at_ns, self._group)
        self._group = max(found[0], 0)
        return found

    def _unfit(self, lots: int, ticks: int) -> bool:
        instrument = self._instrument
        return lots < instrument.min_lots_at(ticks) or 0 < instrument.max_qty_lots < lots

    def _rest(self, order: Sent, group: int, at_ns: int) -> None:
        """Put what is left of an order into the queue at its price."""
        level = self.levels.get(order.held_ticks)
        if level is None:
            level = self.levels[order.held_ticks] = self._spare.pop() if self._spare else _Level()
        at = len(level.orders)
        if at == TOGETHER_MAX:
            raise Beyond(BEYOND_TOGETHER)
        self._rested(level.rows, level.aheads, at, order.side, order.held_ticks, order.held_leaves, group, at_ns)
        level.orders.append(order)
        self.reached_ns = -1

    def _leave(self, order: Sent) -> None:
        """Take an order that rests, or was just filled, out of its queue."""
        level = self.levels[order.held_ticks]
        level.drop(order)
        if not level.orders:
            self._spare.append(self.levels.pop(order.held_ticks))
            if not self.levels:
                self.reached_ns = NEVER

    def _take(self, order: Sent, group: int, at_ns: int) -> None:
        """Take from the book, less what was taken from its levels before and was not shown anew since."""
        side, taken = order.side, self._taken
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
        self._tell(order, _TRADE, at_ns, lots, ticks, _NO_REFUSAL)
