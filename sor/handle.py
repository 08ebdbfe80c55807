"""What a strategy holds of a parent: it waits for the end, follows what happens, reads what it cost, cancels."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from weakref import WeakValueDictionary

import anyio

from sor.commands import Happening
from sor.errors import JournalFault
from sor.ids import ParentId
from sor.orders import Fill, ParentStatus
from sor.parent import Parent
from sor.records import fills_of_parent, record_of
from sor.router import Core
from sor.tca import ParentReport, report

HAPPENINGS_MAX = 10_000
"""What a handle keeps for a listener that does not read; then the oldest go, and the listener is told how many."""
ENDED_HANDLES_MAX = 1_000
"""Handles of ended parents that are kept, with all their happenings, when nobody holds them; then the oldest go."""


class ParentHandle:
    """What a strategy holds of a parent it submitted.

    core      where the parent lives. cancel: how its end is asked for.
    """

    def __init__(self, parent: Parent, *, core: Core, cancel: Callable[[ParentId], None]) -> None:
        self.parent = parent
        self._core = core
        self._cancel = cancel
        self._ended = anyio.Event()
        self._answered = anyio.Event()
        self._news = anyio.Event()
        self._happenings: deque[Happening] = deque(maxlen=HAPPENINGS_MAX)
        self._told = 0
        self._fault: JournalFault | None = None
        if parent.ended:
            self._answered.set()
            self._ended.set()

    @property
    def parent_id(self) -> ParentId:
        """The caller's id."""
        return self.parent.id

    @property
    def status(self) -> ParentStatus:
        """Where it stands."""
        return self.parent.status

    @property
    def filled(self) -> Decimal:
        """Filled quantity so far."""
        return self.parent.instrument.quantity(self.parent.ledger.cum_lots)

    @property
    def report(self) -> ParentReport:
        """What it has cost so far."""
        return report(record_of(self.parent, self._core))

    @property
    def fills(self) -> tuple[Fill, ...]:
        """Every fill so far with its friction (F1), by order, in the order of arrival."""
        return fills_of_parent(self.parent)

    async def result(self) -> ParentReport:
        """Wait until it has ended: from then on the venue holds none of its orders.

        Raises `JournalFault` when the router had to stop before that; what is known then is in `report`.
        """
        await self.ended()
        return self.report

    async def ended(self) -> None:
        """Wait until the venue holds none of its orders. Raises as `result`."""
        await self._ended.wait()
        self._check()

    async def answered(self) -> None:
        """Wait until a venue has answered one of its orders, or it has ended. Raises as `result`."""
        await self._answered.wait()
        self._check()

    def cancel(self) -> None:
        """Ask for its end; `result()` returns once nothing of it rests any more."""
        self._cancel(self.parent.id)

    async def __aiter__(self) -> AsyncIterator[Happening]:
        """Everything that happens to it, from the submission on, until it has ended."""
        read = 0
        while True:
            missed = self._told - len(self._happenings) - read
            if missed > 0:
                read += missed
                yield Happening(self.parent.no, text=f"{missed} happenings were not read in time and are gone")
            while read < self._told:
                happening = self._happenings[len(self._happenings) - (self._told - read)]
                read += 1
                yield happening
            if self._ended.is_set():
                self._check()
                return
            await self._news.wait()

    def tell(self, happening: Happening) -> None:
        """The router's way in."""
        self._happenings.append(happening)
        self._told += 1
        if happening.report is not None:
            self._answered.set()
        self._wake(ended=self.parent.ended)

    def give_up(self, fault: JournalFault) -> None:
        """The router has stopped."""
        if not self.parent.ended:
            self._fault = fault
            self._wake(ended=True)

    def _wake(self, *, ended: bool) -> None:
        if ended:
            self._answered.set()
            self._ended.set()
        news, self._news = self._news, anyio.Event()
        news.set()

    def _check(self) -> None:
        if self._fault is not None:
            raise self._fault


class Handles:
    """The handles of a router: one of each parent, for as long as somebody holds it or the parent is at work."""

    def __init__(self, core: Core, *, cancel: Callable[[ParentId], None]) -> None:
        self._core = core
        self._cancel = cancel
        self._handles: WeakValueDictionary[int, ParentHandle] = WeakValueDictionary()
        self._at_work: dict[int, ParentHandle] = {}
        self._ended: deque[ParentHandle] = deque(maxlen=ENDED_HANDLES_MAX)
        self._fault: JournalFault | None = None

    def of(self, parent: Parent) -> ParentHandle:
        """The handle of a parent."""
        handle = self._handles.get(parent.no)
        if handle is None:
            handle = self._handles[parent.no] = ParentHandle(parent, core=self._core, cancel=self._cancel)
            if not parent.ended:
                self._at_work[parent.no] = handle
                if self._fault is not None:
                    handle.give_up(self._fault)
        return handle

    def tell(self, parent: Parent, happening: Happening) -> None:
        """Something has happened to a parent."""
        handle = self.of(parent)
        handle.tell(happening)
        if parent.ended:
            self._at_work.pop(parent.no, None)
            if not self._ended or self._ended[-1] is not handle:
                self._ended.append(handle)

    def give_up(self, fault: JournalFault) -> None:
        """Nothing more will be heard of any parent: whoever waits for one is told why."""
        self._fault = fault
        for handle in self._at_work.values():
            handle.give_up(fault)
