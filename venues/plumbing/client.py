"""Signed client: one request in, one typed answer or one honest trouble out.

budget (turnstile) -> venue time -> sign -> transport -> read -> judge, in plain calls, so it runs in virtual time.

Rules
- Here is the only place that sends anything twice, and only what is idempotent: reads, and commands that the venue
  takes twice as once. A bounded number of times, with back-off, while it may still leave. A request that may have
  arrived and is not idempotent is in doubt, and stays so.
- The timestamp is that of the moment of leaving, in venue time: a request that waited for the budget is signed after.
- Requests that waited for a connection together do not leave together past the budget: it is asked again then.
- The venue's throttling stops everybody who shares the limit, not just the one who heard of it.
- Rate limited, refused, never sent and in doubt are four outcomes, each with the venue's code and text where it gave
  one; no text holds a secret.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Generic, Protocol, TypeVar, assert_never

import msgspec

from sor.adapter import Reach, Scheduler
from sor.errors import CallerError, InDoubt, NotSent, RateLimited, SorError
from sor.units import MS, NS
from venues.plumbing.backoff import Backoff, Draw
from venues.plumbing.budget import Budget, Cost, Priority
from venues.plumbing.clock import VenueClock
from venues.plumbing.keys import Secrets
from venues.plumbing.transport import Broken, Outcome, Transport, WireReply, WireRequest
from venues.plumbing.turnstile import Ticket, Turn, Turnstile
from venues.plumbing.verdict import Failure, Kind

T = TypeVar("T")
_WAIT_NS = 100 * MS
"""A request that waits longer than this for a connection is charged to the rate budget when it leaves, not before."""
_NOT_TAKEN = -1


class Endpoint(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """One kind of request, made once per session.

    read        the typed answer of a reply, or what the venue said instead. May raise `msgspec.MsgspecError`.
    cost        what it spends of the rate budget.
    signed      needs the venue's time and a signature.
    idempotent  twice is as good as once, so it is repeated after silence.
    reply_ns    how long to wait for the reply, from leaving.
    """

    name: str
    method: str
    path: str
    read: Callable[[WireReply], T | Failure]
    cost: Cost
    signed: bool = True
    idempotent: bool = False
    reply_ns: int = 5 * NS


class Usage(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What a reply's headers say of one limit: units used, or remaining, in the window that ends `ends_in_ns` later."""

    limit: str
    used: int | None = None
    remaining: int | None = None
    ends_in_ns: int = 0


class Dialect(Protocol):
    """What every request and reply of one venue has in common."""

    def request(
        self, *, method: str, path: str, params: str, signed: bool, venue_ms: int, deadline_ns: int
    ) -> WireRequest:
        """The request as it goes out, signed for `venue_ms`. `params` is what the endpoint's caller wrote, unsigned.

        Never raises: what cannot be sent is refused before it is called for.
        """

    def usage(self, reply: WireReply) -> Iterable[Usage]:
        """What the headers of a reply say of the rate limits."""


class Fate(StrEnum):
    """What is known of a request without an answer."""

    NOT_SENT = "not_sent"
    """It never left; it may be sent."""
    RATE_LIMITED = "rate_limited"
    """Held back by our budget, or turned away by the venue's: it had no effect, and may be sent later."""
    REFUSED = "refused"
    """The venue refused it: it had no effect."""
    IN_DOUBT = "in_doubt"
    """It may have had its effect."""


class Trouble(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A request without an answer. `until_ns`: when to try again, where that is known."""

    fate: Fate
    name: str
    code: str
    text: str
    until_ns: int = 0

    def error(self) -> SorError:
        """The same as an exception, for those who await: refused as `CallerError`, others as they are called."""
        what = f"{self.name}: {self.code} {self.text}".replace("  ", " ").strip()
        match self.fate:
            case Fate.NOT_SENT:
                return NotSent(f"{what}; nothing was sent. It may be tried again")
            case Fate.RATE_LIMITED:
                return RateLimited(f"{what}; it had no effect at the venue. Try again later", self.until_ns)
            case Fate.REFUSED:
                return CallerError(f"{what}; the venue refused it and it had no effect. Correct it first")
            case Fate.IN_DOUBT:
                return InDoubt(f"{what}; it may have reached the venue. Look it up, do not repeat it")
            case _ as never:
                assert_never(never)


class ClientSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of one client.

    attempts_max        times that an idempotent request is sent, at most.
    throttled_ns        how long to stay away when the venue throttles without saying for how long; doubled each time
                        in a row, up to `throttled_ns_max`.
    clock_error_ns_max  signed requests are not sent while the venue's clock is known less well than this: they would
                        be refused, or be accepted much later than they say.
    """

    attempts_max: int = 3
    backoff: Backoff = Backoff()
    throttled_ns: int = 10 * NS
    throttled_ns_max: int = 300 * NS
    clock_error_ns_max: int = 2_500 * MS
    waiting_max: int = 256


class Job(Generic[T]):
    """One request on its way through the client; opaque to callers, but for `Client.withdraw`."""

    __slots__ = (
        "attempts",
        "endpoint",
        "last",
        "leave_by_ns",
        "on_answer",
        "params",
        "priority",
        "taken_ns",
        "ticket",
    )

    def __init__(
        self,
        endpoint: Endpoint[T],
        params: str,
        *,
        priority: Priority,
        leave_by_ns: int,
        on_answer: Callable[[T | Trouble], None],
    ) -> None:
        self.endpoint = endpoint
        self.params = params
        self.priority = priority
        self.leave_by_ns = leave_by_ns
        self.on_answer = on_answer
        self.attempts = 0
        self.last: Trouble | None = None  # of an earlier attempt
        self.taken_ns = 0
        self.ticket: Ticket | None = None


class Client:
    """Requests of one session to one host.

    on_skew   called when the venue refuses a timestamp, or the clock is known too badly to sign: read its time again.
    """

    __slots__ = (
        "_budget",
        "_clock",
        "_dialect",
        "_draw",
        "_on_skew",
        "_scheduler",
        "_secrets",
        "_settings",
        "_throttled_until_ns",
        "_throttles",
        "_transport",
        "_turnstile",
    )

    def __init__(
        self,
        *,
        transport: Transport,
        dialect: Dialect,
        budget: Budget,
        clock: VenueClock,
        scheduler: Scheduler,
        draw: Draw,
        secrets: Secrets,
        on_skew: Callable[[], object],
        settings: ClientSettings | None = None,
    ) -> None:
        self._settings = settings or ClientSettings()
        self._transport = transport
        self._dialect = dialect
        self._budget = budget
        self._clock = clock
        self._scheduler = scheduler
        self._draw = draw
        self._secrets = secrets
        self._on_skew = on_skew
        self._turnstile = Turnstile(budget, scheduler, waiting_max=self._settings.waiting_max)
        self._throttles = 1
        self._throttled_until_ns = 0

    def call(
        self,
        endpoint: Endpoint[T],
        params: str = "",
        *,
        priority: Priority,
        leave_by_ns: int,
        on_answer: Callable[[T | Trouble], None],
    ) -> Job[T]:
        """Make a request that leaves by `leave_by_ns` or not at all. `on_answer` is called exactly once.

        Raises `CallerError` when it can never fit the rate budget: nothing was sent.
        """
        job = Job(endpoint, params, priority=priority, leave_by_ns=leave_by_ns, on_answer=on_answer)
        self._enter(job)
        return job

    def withdraw(self, job: Job[T]) -> bool:
        """Take back a request that still waits for the rate budget; False when it has left, or ended.

        When True, it has been answered as not sent, or as an earlier attempt of it left it.
        """
        ticket = job.ticket
        if ticket is None or not self._turnstile.leave(ticket):
            return False
        job.on_answer(job.last or self._trouble(job, Fate.NOT_SENT, code="", text="withdrawn before it left"))
        return True

    def _enter(self, job: Job[T]) -> None:
        def on_turn(turn: Turn) -> None:
            if turn is Turn.GO:
                self._send(job)
            else:
                self._held_back(job, turn)

        job.ticket = self._turnstile.enter(job.endpoint.cost, job.priority, expires_ns=job.leave_by_ns, on_turn=on_turn)

    def _held_back(self, job: Job[T], turn: Turn) -> None:
        # Why an earlier attempt failed says more than why there is no further one.
        trouble = job.last
        if trouble is None:
            now_ns = self._scheduler.now_ns()
            cost, priority = job.endpoint.cost, job.priority
            if turn is Turn.CROWDED_OUT:
                why = f"{self._turnstile.waiting} requests wait for the rate budget already"
            else:
                why = self._budget.why_not(cost, priority, now_ns) or "others are before it"
            opens_ns = self._budget.opens_ns(cost, priority, now_ns)
            trouble = self._trouble(job, Fate.RATE_LIMITED, code="", text=why, until_ns=opens_ns)
        job.on_answer(trouble)

    def _send(self, job: Job[T]) -> None:
        endpoint = job.endpoint
        now_ns = job.taken_ns = self._scheduler.now_ns()
        clock = self._clock
        venue_ns = now_ns
        if clock.known:
            # Looked at once for both, how far off the clock may be and what it says.
            low_ns, high_ns = clock.bounds_ns(now_ns)
            venue_ns += (low_ns + high_ns) // 2
            error_ns = -((low_ns - high_ns) // 2)
            if endpoint.signed and error_ns > self._settings.clock_error_ns_max:
                self._budget.refund(endpoint.cost, now_ns)
                self._on_skew()
                why = f"the venue's clock is known only to {error_ns // MS} ms"
                job.on_answer(job.last or self._trouble(job, Fate.NOT_SENT, code="", text=why))
                return
        job.attempts += 1
        request = self._dialect.request(
            method=endpoint.method,
            path=endpoint.path,
            params=job.params,
            signed=endpoint.signed,
            venue_ms=venue_ns // MS,
            deadline_ns=now_ns + endpoint.reply_ns,
        )

        def may_leave() -> bool:
            return self._still_fits(job)

        def on_outcome(outcome: Outcome) -> None:
            if isinstance(outcome, WireReply):
                self._read(job, outcome)
            else:
                self._broken(job, outcome)

        request.leave_by_ns = min(request.leave_by_ns, max(job.leave_by_ns, now_ns + _WAIT_NS))
        request.may_leave = may_leave
        self._transport.send(request, on_outcome)

    def _still_fits(self, job: Job[T]) -> bool:
        """Whether a request that has waited for a connection fits the rate budget now; it is charged anew."""
        now_ns = self._scheduler.now_ns()
        if now_ns - job.taken_ns > _WAIT_NS:
            cost = job.endpoint.cost
            self._budget.refund(cost, job.taken_ns)
            job.taken_ns = _NOT_TAKEN
            if self._budget.take(cost, job.priority, now_ns):
                return False
            job.taken_ns = now_ns
        return True

    def _read(self, job: Job[T], reply: WireReply) -> None:
        self._observe(reply)
        try:
            answer = job.endpoint.read(reply)
        except (msgspec.MsgspecError, SorError) as error:
            answer = _unreadable(reply, str(error))
        except (ValueError, ArithmeticError, LookupError, RecursionError) as error:
            answer = _unreadable(reply, type(error).__name__)  # its text quotes the reply
        if not isinstance(answer, Failure):
            job.on_answer(answer)
            return
        code, text = answer.code, answer.text
        match answer.kind:
            case Kind.REFUSED:
                job.on_answer(self._trouble(job, Fate.REFUSED, code=code, text=text))
            case Kind.SKEWED:
                self._on_skew()
                job.on_answer(self._trouble(job, Fate.REFUSED, code=code, text=text))
            case Kind.THROTTLED:
                until_ns = self._throttled(answer)
                self._again_or(job, self._trouble(job, Fate.RATE_LIMITED, code=code, text=text, until_ns=until_ns))
            case Kind.UNSURE:
                self._again_or(job, self._trouble(job, Fate.IN_DOUBT, code=code, text=text))
            case _ as never:
                assert_never(never)

    def _broken(self, job: Job[T], broken: Broken) -> None:
        fate = Fate.IN_DOUBT
        if broken.reach is Reach.NOT_SENT:
            fate = Fate.NOT_SENT
            if job.taken_ns != _NOT_TAKEN:
                self._budget.refund(job.endpoint.cost, job.taken_ns)
        self._again_or(job, self._trouble(job, fate, code=broken.cause.value, text=broken.text))

    def _again_or(self, job: Job[T], trouble: Trouble) -> None:
        """Make the request once more after a wait, or end with its trouble."""
        if job.last is None or job.last.fate is not Fate.IN_DOUBT:
            job.last = trouble  # a doubt is not lifted by a later attempt that did not get through
        if job.endpoint.idempotent and job.attempts < self._settings.attempts_max:
            at_ns = self._scheduler.now_ns() + self._settings.backoff.wait_ns(job.attempts, self._draw)
            if at_ns <= job.leave_by_ns:
                self._scheduler.call_at(at_ns, lambda: self._enter(job))
                return
        job.on_answer(job.last)

    def _throttled(self, failure: Failure) -> int:
        """Keep everybody away; returns until when."""
        settings = self._settings
        now_ns = self._scheduler.now_ns()
        wait_ns = failure.wait_ns
        if not wait_ns:
            # Several in flight that are turned away together are one time in a row, and long ago is none.
            if now_ns >= self._throttled_until_ns:
                recent = now_ns - self._throttled_until_ns < settings.throttled_ns_max
                self._throttles = self._throttles + 1 if recent else 1
            wait_ns = min(settings.throttled_ns << min(self._throttles - 1, 32), settings.throttled_ns_max)
        until_ns = now_ns + wait_ns
        self._throttled_until_ns = max(self._throttled_until_ns, until_ns)
        self._budget.block(until_ns, self._secrets.scrub(f"{failure.code} {failure.text}"), names=failure.limits)
        return until_ns

    def _observe(self, reply: WireReply) -> None:
        for each in self._dialect.usage(reply):
            ends_ns = reply.recv_ns + each.ends_in_ns if each.ends_in_ns else 0
            if each.used is not None:
                self._budget.observe_used(each.limit, each.used, reply.recv_ns, ends_ns=ends_ns)
            if each.remaining is not None:
                self._budget.observe_remaining(each.limit, each.remaining, reply.recv_ns, ends_ns=ends_ns)

    def _trouble(self, job: Job[T], fate: Fate, *, code: str, text: str, until_ns: int = 0) -> Trouble:
        scrub = self._secrets.scrub
        return Trouble(fate=fate, name=job.endpoint.name, code=scrub(code), text=scrub(text), until_ns=until_ns)


def _unreadable(reply: WireReply, why: str) -> Failure:
    return Failure(kind=Kind.UNSURE, code=f"HTTP {reply.status}", text=f"unreadable reply: {why}")
