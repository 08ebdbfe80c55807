"""Rate budget: whether a request may go now, or from when, under every limit of a venue at once.

Rules
- Nothing waits here. `take` charges a request and answers 0, or charges nothing and answers the instant from which it
  may be asked again. Who waits, and in what order, is `turnstile`.
- A bucket counts over a sliding window. Never more than its capacity lies in any window of that length, so it holds
  whether the venue's own window slides, is fixed, or starts with the first request. A token bucket would not: it lets
  through a full burst and then the refill, twice the limit in the worst window.
- Part of a bucket is kept for those who matter more (cancel before reduce before open before read): an order that
  opens is admitted only while that part stays free, so no flood of opens can starve a cancel.
- The venue's own count corrects ours upward only. What it counts beyond ours was spent by somebody else behind the
  same address or account. What it has not counted yet may still be on its way, so a lower figure proves nothing.
- A block (rate-limited, banned, in maintenance) stops everybody, cancels too: knocking on extends a ban.
- Memory is bounded: a bucket keeps at most about 64 sums, each forgotten late rather than early.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from enum import IntEnum

import msgspec

from sor.errors import CallerError

_SUMS = 64
"""Charges closer together than this part of a window are kept as one sum."""


class Priority(IntEnum):
    """Who goes first; a lower number matters more."""

    CANCEL = 0
    REDUCE = 1
    OPEN = 2
    READ = 3


class Limit(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One limit of a venue.

    name         what headers, costs and messages call it.
    capacity     units that any window may hold.
    window_ns    its length.
    slack_ns     how much longer a charge is remembered, because two requests may arrive closer together than they
                 left: the spread of the one-way latency.
    kept_for_*   units that only this priority and better ones may use.
    """

    name: str
    capacity: int
    window_ns: int
    slack_ns: int = 0
    kept_for_cancel: int = 0
    kept_for_reduce: int = 0
    kept_for_open: int = 0

    def __post_init__(self) -> None:
        if self.capacity < 1 or self.window_ns < 1 or self.slack_ns < 0:
            raise CallerError(f"rate limit {self.name!r} needs a capacity and a window of at least 1; nothing was sent")
        kept = (self.kept_for_cancel, self.kept_for_reduce, self.kept_for_open)
        if min(kept) < 0 or sum(kept) >= self.capacity:
            raise CallerError(
                f"rate limit {self.name!r} keeps {kept} of {self.capacity}, which leaves nothing for reads or is "
                "negative; nothing was sent"
            )


class Bucket:
    """What has been spent of one limit."""

    __slots__ = (
        "_foreign",
        "_foreign_until_ns",
        "_forget_ns",
        "_keep_ns",
        "_merge_ns",
        "_own",
        "_sums",
        "blocked_until_ns",
        "ceilings",
        "limit",
    )

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        reduce = limit.capacity - limit.kept_for_cancel
        opening = reduce - limit.kept_for_reduce
        self.ceilings = (limit.capacity, reduce, opening, opening - limit.kept_for_open)
        self.blocked_until_ns = 0
        self._keep_ns = limit.window_ns + limit.slack_ns
        self._merge_ns = max(1, self._keep_ns // _SUMS)
        self._sums: deque[list[int]] = deque()  # [first_ns, last_ns, units], oldest first
        self._own = 0
        self._foreign = 0
        self._foreign_until_ns = 0
        self._forget_ns = 0

    def used(self, now_ns: int) -> int:
        """Units in the window that ends now, others' included."""
        if now_ns >= self._forget_ns:
            self._forget(now_ns)
        return self._own + self._foreign

    def _forget(self, now_ns: int) -> None:
        sums, keep_ns = self._sums, self._keep_ns
        while sums and sums[0][1] + keep_ns <= now_ns:
            self._own -= sums.popleft()[2]
        # What is charged from now on stays for a whole window, so before this nothing can go.
        self._forget_ns = sums[0][1] + keep_ns if sums else now_ns + keep_ns
        if self._foreign_until_ns <= now_ns:
            self._foreign = 0
        elif self._foreign:
            self._forget_ns = min(self._forget_ns, self._foreign_until_ns)

    def opens_ns(self, units: int, priority: Priority, now_ns: int) -> int:
        """0 when `units` fit now, else the first instant at which they do if nobody spends in between.

        Raises `CallerError` when they never fit.
        """
        ceiling = self.ceilings[priority]
        excess = self.used(now_ns) + units - ceiling
        blocked_ns = self.blocked_until_ns if self.blocked_until_ns > now_ns else 0
        if excess <= 0 or not units:
            return blocked_ns
        self.check(units, priority)
        foreign = self._foreign
        for _, last_ns, spent in self._sums:
            free_ns = last_ns + self._keep_ns
            if foreign and self._foreign_until_ns <= free_ns:
                excess -= foreign
                foreign = 0
                if excess <= 0:
                    return max(self._foreign_until_ns, blocked_ns)
            excess -= spent
            if excess <= 0:
                return max(free_ns, blocked_ns)
        return max(self._foreign_until_ns, blocked_ns)

    def check(self, units: int, priority: Priority) -> None:
        """Raise `CallerError` when `units` can never fit."""
        if units > self.ceilings[priority]:
            raise CallerError(
                f"a request of {units} units never fits rate limit {self.limit.name!r}, which grants at most "
                f"{self.ceilings[priority]} to {priority.name}; nothing was sent. Ask for less at once"
            )

    def charge(self, units: int, now_ns: int) -> None:
        """Count `units` as spent now."""
        if not units:
            return
        self._own += units
        sums = self._sums
        if sums and now_ns - sums[-1][0] < self._merge_ns:
            newest = sums[-1]
            newest[1] = now_ns
            newest[2] += units
        else:
            sums.append([now_ns, now_ns, units])

    def refund(self, units: int, at_ns: int) -> None:
        """Take back units charged at `at_ns`; nothing happens when the window has passed them by."""
        for each in reversed(self._sums):
            if each[0] <= at_ns:
                if at_ns <= each[1]:
                    back = min(units, each[2])
                    each[2] -= back
                    self._own -= back
                return

    def observe(self, used: int, now_ns: int, until_ns: int) -> None:
        """The venue counts `used` units in the window that ends at `until_ns`."""
        unknown = used - self.used(now_ns)
        if unknown < 0:
            return
        self._foreign += unknown
        if self._foreign:
            # All that we hold others to have spent is in the venue's present window.
            self._foreign_until_ns = max(self._foreign_until_ns, until_ns)
            self._forget_ns = min(self._forget_ns, self._foreign_until_ns)


Cost = tuple[tuple[Bucket, int], ...]
"""What one request spends: units of each bucket it counts in. Zero units still obey the bucket's blocks."""


class Budget:
    """Every limit of one venue session. Times are nanoseconds of one clock; one that steps back is taken as standing.

    A limit that several sessions share (per address, per account) needs one `Budget` shared by them, or the venue's
    headers as `observe_used`; there is no other way to know.
    """

    __slots__ = ("_blocked_until_ns", "_blocked_why", "_buckets", "_now_ns")

    def __init__(self, limits: Iterable[Limit]) -> None:
        self._buckets: dict[str, Bucket] = {}
        self._blocked_until_ns = 0
        self._blocked_why = ""
        self._now_ns = 0
        for limit in limits:
            self.add(limit)

    def add(self, limit: Limit) -> None:
        """One more limit, such as that of one symbol. Raises `CallerError` when its name is taken."""
        if limit.name in self._buckets:
            raise CallerError(f"rate limit {limit.name!r} is there already; nothing was sent")
        self._buckets[limit.name] = Bucket(limit)

    def cost(self, units: Mapping[str, int]) -> Cost:
        """What one kind of request spends, by name of limit. Made once for each kind, used for every request."""
        negative = [name for name, each in units.items() if each < 0]
        if negative:
            raise CallerError(f"a request cannot spend less than nothing of {negative}; nothing was sent")
        return tuple((self._bucket(name), each) for name, each in units.items())

    def take(self, cost: Cost, priority: Priority, now_ns: int) -> int:
        """Charge a request that leaves now and answer 0; or charge nothing and answer from when it may be asked again.

        The answer is the earliest instant at which it can succeed; others may have been faster by then.
        Raises `CallerError` when the request can never fit.
        """
        if now_ns < self._now_ns:
            now_ns = self._now_ns
        else:
            self._now_ns = now_ns
        for bucket, units in cost:
            if bucket.blocked_until_ns > now_ns or bucket.used(now_ns) + units > bucket.ceilings[priority]:
                break
        else:
            if self._blocked_until_ns <= now_ns:
                for bucket, units in cost:
                    bucket.charge(units, now_ns)
                return 0
        opens_ns = self.opens_ns(cost, priority, now_ns)
        if not opens_ns:
            for bucket, units in cost:  # only what spends nothing of a limit that is over its ceiling comes here
                bucket.charge(units, now_ns)
        return opens_ns

    def opens_ns(self, cost: Cost, priority: Priority, now_ns: int) -> int:
        """What `take` would answer; charges nothing."""
        now_ns = self._clamped(now_ns)
        opens_ns = self._blocked_until_ns
        for bucket, units in cost:
            opens_ns = max(opens_ns, bucket.opens_ns(units, priority, now_ns))
        return opens_ns if opens_ns > now_ns else 0

    def leaves(self, claimed: Mapping[Bucket, int], cost: Cost, priority: Priority, now_ns: int) -> bool:
        """Whether this request would leave what others have claimed: `claimed` units of each of those limits."""
        now_ns = self._clamped(now_ns)
        for bucket, units in cost:
            held = claimed.get(bucket, 0)
            if units and held and bucket.used(now_ns) + held + units > bucket.ceilings[priority]:
                return False
        return True

    def check(self, cost: Cost, priority: Priority) -> None:
        """Raise `CallerError` when a request can never fit, however long it waits."""
        for bucket, units in cost:
            bucket.check(units, priority)

    def refund(self, cost: Cost, at_ns: int) -> None:
        """Give back what was taken at `at_ns` for a request that provably never left."""
        for bucket, units in cost:
            bucket.refund(units, at_ns)

    def observe_used(self, name: str, used: int, now_ns: int, *, ends_ns: int = 0) -> None:
        """The venue says that `used` units are spent, in a window that it ends at `ends_ns` (0: it does not say)."""
        now_ns = self._clamped(now_ns)
        bucket = self._bucket(name)
        bucket.observe(used, now_ns, ends_ns or now_ns + bucket.limit.window_ns + bucket.limit.slack_ns)

    def observe_remaining(self, name: str, remaining: int, now_ns: int, *, ends_ns: int = 0) -> None:
        """The venue says that only `remaining` units are left, in a window that it ends at `ends_ns`."""
        self.observe_used(name, self._bucket(name).limit.capacity - remaining, now_ns, ends_ns=ends_ns)

    def block(self, until_ns: int, why: str, *, names: Iterable[str] = ()) -> None:
        """Let nothing through before `until_ns`, on the named limits or, without names, at all. Only ever extends."""
        chosen = [self._bucket(name) for name in names]
        for bucket in chosen:
            bucket.blocked_until_ns = max(bucket.blocked_until_ns, until_ns)
        if not chosen:
            self._blocked_until_ns = max(self._blocked_until_ns, until_ns)
        self._blocked_why = why

    def why_not(self, cost: Cost, priority: Priority, now_ns: int) -> str:
        """In one clause for people: what keeps this request from leaving now; "" when nothing does."""
        now_ns = self._clamped(now_ns)
        if self._blocked_until_ns > now_ns:
            return f"the venue blocks us: {self._blocked_why}"
        for bucket, units in cost:
            limit = bucket.limit
            if bucket.blocked_until_ns > now_ns:
                return f"the venue blocks {limit.name!r}: {self._blocked_why}"
            if bucket.opens_ns(units, priority, now_ns):
                return (
                    f"rate limit {limit.name!r} has {bucket.used(now_ns)} of {limit.capacity} spent, "
                    f"{bucket.ceilings[priority]} is as far as {priority.name} may go"
                )
        return ""

    def used(self, name: str, now_ns: int) -> int:
        """Units of a limit in the window that ends now, others' included."""
        return self._bucket(name).used(self._clamped(now_ns))

    def _clamped(self, now_ns: int) -> int:
        if now_ns < self._now_ns:
            return self._now_ns
        self._now_ns = now_ns
        return now_ns

    def _bucket(self, name: str) -> Bucket:
        bucket = self._buckets.get(name)
        if bucket is None:
            raise CallerError(f"there is no rate limit {name!r}, only {sorted(self._buckets)}; nothing was sent")
        return bucket
