"""Turnstile: requests that wait for the rate budget, in order of priority, then of arrival.

Rules
- Plain calls and `Scheduler.call_at`: `enter` calls back at once when the request may leave or can never leave in
  time, else later. No tasks, no clock, so it runs in virtual time too.
- What whoever waits still needs of a limit is not given to a request of equal or lower priority; a better one may have
  it. Where there is enough for both, nobody waits for another: cancels that wait for the limit of their own endpoint
  hold up no exit, although both count in the limit of the address.
- A request that the budget cannot admit before its deadline is refused at once, not kept in vain.
- The number of waiting requests is bounded. When it is full, a better newcomer pushes out the newest of the lowest
  priority, and everybody else is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from sor.adapter import Scheduler
from sor.errors import CallerError
from venues.plumbing.budget import Bucket, Budget, Cost, Priority


class Turn(Enum):
    """What became of a request at the turnstile."""

    GO = "go"
    """Charged to the budget: it is to leave now."""
    TOO_LATE = "too_late"
    """The budget does not admit it before its deadline; nothing was charged."""
    CROWDED_OUT = "crowded_out"
    """Too many are waiting; nothing was charged."""


class Ticket:
    """One waiting request."""

    __slots__ = ("cost", "expires_ns", "on_turn", "priority")

    def __init__(self, *, cost: Cost, priority: Priority, expires_ns: int, on_turn: Callable[[Turn], None]) -> None:
        self.cost = cost
        self.priority = priority
        self.expires_ns = expires_ns
        self.on_turn = on_turn


class Turnstile:
    """The queue in front of one budget; `waiting_max` requests may wait."""

    __slots__ = ("_budget", "_queues", "_scheduler", "_waiting", "_waiting_max", "_wake_ns")

    def __init__(self, budget: Budget, scheduler: Scheduler, *, waiting_max: int = 256) -> None:
        if waiting_max < 0:
            raise CallerError(f"waiting_max must not be negative, got {waiting_max}; nothing was sent")
        self._budget = budget
        self._scheduler = scheduler
        self._waiting_max = waiting_max
        self._queues: tuple[list[Ticket], ...] = tuple([] for _ in Priority)
        self._waiting = 0
        self._wake_ns = 0

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return self._waiting

    def enter(
        self, cost: Cost, priority: Priority, *, expires_ns: int, on_turn: Callable[[Turn], None]
    ) -> Ticket | None:
        """Ask to leave by `expires_ns`. `on_turn` is called exactly once, at once or later; later if a ticket returns.

        Raises `CallerError` when the request can never fit a limit.
        """
        now_ns = self._scheduler.now_ns()
        if expires_ns < now_ns:
            on_turn(Turn.TOO_LATE)
            return None
        if not self._waiting:
            opens_ns = self._budget.take(cost, priority, now_ns)
            if not opens_ns or opens_ns > expires_ns:
                on_turn(Turn.TOO_LATE if opens_ns else Turn.GO)
                return None
        else:
            self._budget.check(cost, priority)
        ticket = Ticket(cost=cost, priority=priority, expires_ns=expires_ns, on_turn=on_turn)
        turns: list[tuple[Ticket, Turn]] = []
        if self._waiting >= self._waiting_max:
            out = self._lowest_below(priority)
            if out is None:
                on_turn(Turn.CROWDED_OUT)
                return None
            self._remove(out)
            turns.append((out, Turn.CROWDED_OUT))
        self._queues[priority].append(ticket)
        self._waiting += 1
        turns += self._serve(now_ns)
        answered = False
        for each, turn in turns:
            answered = answered or each is ticket
            each.on_turn(turn)
        return None if answered else ticket

    def leave(self, ticket: Ticket) -> bool:
        """Stop waiting; False when its turn has come already. `on_turn` is not called any more."""
        if not any(each is ticket for each in self._queues[ticket.priority]):
            return False
        self._remove(ticket)
        self._wake()
        return True

    def _wake(self) -> None:
        """Let through whoever may leave now."""
        for ticket, turn in self._serve(self._scheduler.now_ns()):
            ticket.on_turn(turn)

    def _serve(self, now_ns: int) -> list[tuple[Ticket, Turn]]:
        """Take out everybody whose turn has come, best first, and see to it that we come back for the rest."""
        turns: list[tuple[Ticket, Turn]] = []
        claimed: dict[Bucket, int] = {}
        next_ns = 0
        for queue in self._queues:
            stay: list[Ticket] = []
            for ticket in queue:
                opens_ns = 0
                if ticket.expires_ns < now_ns:
                    turns.append((ticket, Turn.TOO_LATE))
                    continue
                if not claimed or self._budget.leaves(claimed, ticket.cost, ticket.priority, now_ns):
                    opens_ns = self._budget.take(ticket.cost, ticket.priority, now_ns)
                    if not opens_ns:
                        turns.append((ticket, Turn.GO))
                        continue
                if ticket.expires_ns <= now_ns or opens_ns > ticket.expires_ns:
                    turns.append((ticket, Turn.TOO_LATE))
                    continue
                stay.append(ticket)
                for bucket, units in ticket.cost:
                    claimed[bucket] = claimed.get(bucket, 0) + units
                due_ns = min(opens_ns or ticket.expires_ns, ticket.expires_ns)
                next_ns = min(next_ns or due_ns, due_ns)
            queue[:] = stay
        self._waiting = sum(len(queue) for queue in self._queues)
        if next_ns and not now_ns < self._wake_ns <= next_ns:
            self._wake_ns = next_ns
            self._scheduler.call_at(next_ns, self._wake)
        return turns

    def _lowest_below(self, priority: Priority) -> Ticket | None:
        """The newest waiting request of the lowest priority, if that is lower than `priority`."""
        for each in sorted(Priority, reverse=True):
            if each <= priority:
                return None
            if self._queues[each]:
                return self._queues[each][-1]
        return None

    def _remove(self, ticket: Ticket) -> None:
        queue = self._queues[ticket.priority]
        queue[:] = [each for each in queue if each is not ticket]
        self._waiting -= 1
