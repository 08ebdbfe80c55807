"""When what is over leaves working memory, when it comes back, and when it is forgotten.

A parent that is over is retired once nothing was heard of it for a time, recalled when anything is heard of it after
all, and forgotten when it has been retired for long; `sor.parents` keeps them. A few are looked at after each fact.
"""

from __future__ import annotations

from heapq import heappop, heappush, heapreplace
from typing import Final

from sor.child import Child
from sor.commands import Alarm
from sor.desk import Desk
from sor.foreign import Foreign
from sor.ids import ClOrdId
from sor.in_force import InForce
from sor.leverage import LeverageClaims
from sor.parent import Parent
from sor.parents import Parents
from sor.units import NS

RETIRED_AT_ONCE: Final = 4
"""How many parents that are over are looked at after each fact. A parent is several facts, so none are left behind."""


class Retirement:
    """Which parents are over, and since when.

    retire_ns  a parent that is over is retired once nothing was heard of it for this long, and forgotten when it has
               been retired for `forget_ns`; 0 for never. The session says.
    """

    def __init__(
        self, desk: Desk, parents: Parents, *, in_force: InForce, foreign: Foreign, claims: LeverageClaims
    ) -> None:
        self._desk = desk
        self._parents = parents
        self._in_force = in_force
        self._foreign = foreign
        self._claims = claims
        self.retire_ns = self.forget_ns = 0
        self.over: list[tuple[int, int]] = []
        """A heap of parents in working memory that have ended: when something was heard of them, and their numbers."""

    def ended(self, parent: Parent, now: int) -> None:
        """Nothing of a parent is at a venue any more: from now on it may be retired."""
        heappush(self.over, (now, parent.no))

    def go_on(self, now: int) -> None:
        """Retire and forget what is due: a few at a time, so that none of what trades has to wait."""
        if not self.retire_ns:
            return
        if self.over and now - self.over[0][0] >= self.retire_ns:
            self._retire(now)
        if self.forget_ns and self._parents.retired:
            self._forget(now)

    # --- what is heard of after all ---------------------------------------------------------------------------------

    def heard(self, parent_no: int, now: int) -> Parent | None:
        """The parent that a fact is about, in working memory; None for one that is forgotten."""
        parent = self._parents.working.get(parent_no) or self._recall(parent_no, now)
        if parent is not None:
            parent.heard_ns = now
        return parent

    def child(self, cl_ord_id: ClOrdId, now: int) -> Child | None:
        """The order that a fact is about, with its parent in working memory; None for one that is nobody's."""
        child = self._desk.children.get(cl_ord_id)
        if child is None:
            retired = self._desk.order(cl_ord_id)
            if retired is not None:
                self._recall(retired.parent_no, now)
                child = self._desk.children[cl_ord_id]
        return child

    def _recall(self, parent_no: int, now: int) -> Parent | None:
        """A retired parent is heard of after all: it is in working memory again, as it was."""
        parent = self._parents.recall(parent_no)
        if parent is not None:
            parent.recalled = True
            self._desk.recall(parent)
            heappush(self.over, (now, parent_no))
        return parent

    def filled_late(self, parent: Parent, child: Child, lots: int, now: int) -> None:
        """A fill so late counts like any other; somebody should know what the venue is up to."""
        self._claims.filled_late(parent, lots)
        text = (
            f"order {child.order.cl_ord_id} has filled {lots} lots that nobody had told of when parent {parent.id} was "
            f"retired; it ended {round((now - parent.ended_ns) / NS)} s ago. They are counted, and the position with "
            "them; what its caller was told of it is not what it has become"
        )
        self._desk.out.append(Alarm(parent.no, parent.venue, text, halts=False))

    # --- what is over -----------------------------------------------------------------------------------------------

    def _retire(self, now: int) -> None:
        """Look at parents that have been over for long."""
        over = self.over
        for _ in range(RETIRED_AT_ONCE):
            if not over or now - over[0][0] < self.retire_ns:
                break
            no = over[0][1]
            parent = self._parents.working[no]
            if not self._is_over(parent):
                heapreplace(over, (now, no))
            elif now - parent.heard_ns < self.retire_ns:
                heapreplace(over, (parent.heard_ns, no))
            else:
                heappop(over)
                self._desk.retire(parent)
                self._claims.retire(parent)
                self._parents.retire(parent, now)

    def _forget(self, now: int) -> None:
        """Look at those that have been retired for longest, as few at a time."""
        for _ in range(RETIRED_AT_ONCE):
            oldest = self._parents.oldest()
            if oldest is None or now - oldest[1].since_ns < self.forget_ns:
                break
            parent = self._parents.get(oldest[0])
            assert parent is not None, oldest[0]
            if self._in_force.is_counted_on(parent):
                self._parents.retire_anew(parent.no, now)
            else:
                self._desk.forget(parent)
                self._parents.forget(parent.no)

    def _is_over(self, parent: Parent) -> bool:
        """Whether nothing of a parent can be at a venue, in doubt, or on its way."""
        suspects = self._foreign.suspects
        if (
            not parent.ended
            or parent.open_children
            or parent.no in self._parents.at_work
            or parent.wake_ns
            or parent.watching
        ):
            return False
        return not suspects or all(child.order.cl_ord_id not in suspects for child in parent.children)
