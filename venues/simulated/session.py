"""One connection to the simulated venue: requests out, answers and pushes back, market data; and what is lost on it.

Requests stay in order, and so does what comes back: a cancel may lose the race to a fill, but no message overtakes
another, unless a fault says so. Market data has a channel of its own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial

import msgspec

from sor.adapter import NewOrder, OrderRef, Reach, Request, RequestFailed, Scheduler, Sink
from sor.ids import ClOrdId
from sor.market import MarketEvent
from sor.orders import ExecType, ExecutionReport, Provenance
from sor.units import NS
from venues.simulated.channel import Channel
from venues.simulated.faults import Chance
from venues.simulated.tape_latency import Line

_PUSH = Provenance.PUSH  # CPython 3.11 takes longer to read a member off its enum than to compare it


class Sent(msgspec.Struct, kw_only=True, eq=False):
    """One request on its way, until its answer is heard or given up.

    sent_ns    our clock. order is for PLACE, `ref` for the others, quantity and price for AMEND.
    answer     what only the answer says: a refusal, or what a lookup found. What happened to an order is told by
               reports, which are pushed too.
    over       the answer was heard, or the request was reported as failed: nobody listens any more.
    """

    request: Request
    cl_ord_id: ClOrdId
    sent_ns: int
    order: NewOrder | None = None
    ref: OrderRef | None = None
    qty_lots: int = 0
    price_ticks: int = 0
    answer: ExecutionReport | RequestFailed | None = None
    over: bool = False

    def failed(self, reach: Reach, code: str, text: str) -> RequestFailed:
        """The outcome of a request without an answer."""
        return RequestFailed(cl_ord_id=self.cl_ord_id, request=self.request, reach=reach, code=code, text=text)


Inbound = ExecutionReport | Sent
"""What comes back: reports, and at the end of an answer the request itself, which is then over."""


class Lines(msgspec.Struct, frozen=True):
    """The delays of the three ways; they outlive a session."""

    entry: Line
    response: Line
    feed: Line


class Untold:
    """Trades that were lost on the way to us: a lookup of their order tells them."""

    __slots__ = ("_by_order",)

    def __init__(self) -> None:
        self._by_order: dict[ClOrdId, list[ExecutionReport]] = {}

    def add(self, report: ExecutionReport) -> None:
        """Keep a report that was lost; of those that are no trades a lookup says enough by itself."""
        if report.exec_type is ExecType.TRADE:
            self._by_order.setdefault(report.cl_ord_id, []).append(report)

    def take(self, cl_ord_id: ClOrdId) -> list[ExecutionReport]:
        """The lost trades of one order, oldest first; they are told now."""
        return self._by_order.pop(cl_ord_id, [])


class Session:
    """One connection.

    up         commands can be sent, reports arrive.
    feed       the channel of market data.
    arrive     what the venue does with a request that reaches it.
    broken     called when the link has broken; `restored` once it is back.
    """

    def __init__(
        self,
        sink: Sink,
        scheduler: Scheduler,
        *,
        lines: Lines,
        timeout_ns: int,
        chance: Chance,
        untold: Untold,
        arrive: Callable[[Sent], None],
        broken: Callable[[], None],
        restored: Callable[[], None],
    ) -> None:
        self.up = False
        self.sink = sink
        self.scheduler = scheduler
        self.feed: Channel[MarketEvent] = Channel(scheduler=scheduler, line=lines.feed, deliver=sink.market)
        self._entry: Channel[Sent] = Channel(scheduler=scheduler, line=lines.entry, deliver=arrive)
        self._response: Channel[Inbound] = Channel(scheduler=scheduler, line=lines.response, deliver=self._hear)
        self._timeout_ns = timeout_ns
        self._chance = chance
        self._untold = untold
        self._arrive = arrive
        self._broken = broken
        self._restored = restored
        self._late: list[Sent] = []
        self._waiting: deque[Sent] = deque()
        self._timer_on = False
        self._closed = False
        self._life = 0
        """Counts the times the link went down: what was on its way then is lost."""

    # --- out --------------------------------------------------------------------------------------------------------

    def send(self, sent: Sent) -> None:
        """Send a request; without a link it fails at once."""
        if not self.up:
            self.sink.execution(sent.failed(Reach.NOT_SENT, "link_down", "the link is down"))
            return
        chance, now_ns = self._chance, sent.sent_ns
        self._await(sent)
        if chance.calm:
            self._entry.put(sent, at_ns=self._entry.arrival_ns(now_ns), now_ns=now_ns)
            return
        faults = chance.faults
        if chance.hits(faults.lost_request, "lost_request"):
            return
        at_ns = self._entry.arrival_ns(now_ns)
        if chance.hits(faults.late_request, "late_request"):
            self._late.append(sent)
            at_ns += chance.up_to_twice_ns(faults.late_ms)
            self.scheduler.call_at(at_ns, partial(self._arrive_late, sent))
        else:
            self._entry.put(sent, at_ns=at_ns, now_ns=now_ns)

    def _arrive_late(self, sent: Sent) -> None:
        if sent in self._late:
            self._late.remove(sent)
            self._arrive(sent)

    def _await(self, sent: Sent) -> None:
        """Give the request up when it is not answered in time; one timer for the oldest serves all."""
        self._waiting.append(sent)
        if not self._timer_on:
            self._timer_on = True
            self.scheduler.call_at(sent.sent_ns + self._timeout_ns, self._time_out)

    def _time_out(self) -> None:
        waiting, now_ns = self._waiting, self.scheduler.now_ns()
        while waiting and (waiting[0].over or waiting[0].sent_ns + self._timeout_ns <= now_ns):
            sent = waiting.popleft()
            if not sent.over:
                sent.over = True
                self.sink.execution(sent.failed(Reach.IN_DOUBT, "timeout", "no answer in time"))
        self._timer_on = bool(waiting)
        if waiting:
            self.scheduler.call_at(waiting[0].sent_ns + self._timeout_ns, self._time_out)

    # --- back -------------------------------------------------------------------------------------------------------

    def tell(self, reports: list[ExecutionReport], *, now_ns: int, sent: Sent | None = None) -> None:
        """Send reports of one moment on their way, in their order; at their end the answer to `sent`."""
        if not reports and sent is None:
            return
        chance = self._chance
        if chance.calm and self.up:
            at_ns = self._response.arrival_ns(now_ns)
            for report in reports:
                self._response.put(report, at_ns=at_ns, now_ns=now_ns)
            if sent is not None:
                self._response.put(sent, at_ns=at_ns, now_ns=now_ns)
            return
        faults = chance.faults
        held_ns = chance.up_to_twice_ns(faults.late_ms) if chance.hits(faults.late, "late") else 0
        muted = sent is not None and chance.hits(faults.lost_ack, "lost_ack")
        at_ns = self._response.arrival_ns(now_ns, held_ns=held_ns)
        kept: list[Inbound] = []
        for report in reports:
            push = report.provenance is _PUSH
            if not self.up or (chance.hits(faults.lost_push, "lost_push") if push else muted):
                self._untold.add(report)
            else:
                kept.append(report)
                if chance.hits(faults.duplicate, "duplicate"):
                    kept.append(report)
        if sent is not None and self.up and not muted:
            kept.append(sent)
            if isinstance(sent.answer, ExecutionReport) and chance.hits(faults.duplicate, "duplicate"):
                kept.append(sent.answer)
        for message in kept:
            if chance.hits(faults.reorder, "reorder"):
                late_ns = at_ns + chance.up_to_twice_ns(faults.late_ms)
                self.scheduler.call_at(late_ns, partial(self._hear_late, message, self._life))
            else:
                self._response.put(message, at_ns=at_ns, now_ns=now_ns)

    def _hear(self, message: Inbound) -> None:
        """Hand over what has arrived."""
        if isinstance(message, Sent):
            if message.over:
                return
            message.over = True
            answer = message.answer
            if answer is None:
                return
            if isinstance(answer, RequestFailed):
                self.sink.execution(answer)
                return
            message = answer
        self.sink.execution(msgspec.structs.replace(message, recv_ns=self.scheduler.now_ns()))

    def _hear_late(self, message: Inbound, life: int) -> None:
        if life == self._life:
            self._hear(message)
        else:
            self._lose(message)

    def _lose(self, message: Inbound) -> None:
        if not isinstance(message, Sent):
            self._untold.add(message)

    # --- the link ---------------------------------------------------------------------------------------------------

    def open(self, reason: str) -> None:
        """The link is there. From here on it may break by itself."""
        if self._chance.faults.link_down:
            self.scheduler.call_at(self.scheduler.now_ns() + NS, self._may_break)
        self._restore(reason)

    def take_down(self, reason: str) -> None:
        """The link breaks: what is on its way to us is lost, and what we wait for is in doubt. No-op while it is down.

        Requests on their way to the venue arrive all the same.
        """
        if not self.up:
            return
        self._silence()
        self.sink.link(False, reason)
        self._broken()
        waiting = self._waiting.copy()
        self._waiting.clear()
        for sent in waiting:
            if not sent.over:
                sent.over = True
                self.sink.execution(sent.failed(Reach.IN_DOUBT, "link_down", "the link broke before the answer"))

    def close(self) -> None:
        """We leave: nothing is heard any more. What is on its way to the venue arrives at once."""
        self._closed = True
        self._silence()
        self._waiting.clear()
        late, self._late = self._late, []
        for sent in (*self._entry.drop(), *late):
            self._arrive(sent)

    def _silence(self) -> None:
        self.up = False
        self._life += 1
        for message in self._response.drop():
            self._lose(message)
        self.feed.drop()

    def _restore(self, reason: str) -> None:
        if self._closed:
            return
        self.up = True
        self.sink.link(True, reason)
        self._restored()

    def _may_break(self) -> None:
        """Once a second the link may break, for as long as that fault is on."""
        chance = self._chance
        if self._closed or not chance.faults.link_down:
            return
        now_ns = self.scheduler.now_ns()
        if self.up and chance.hits(chance.faults.link_down, "link_down"):
            self.take_down("the link broke")
            self.scheduler.call_at(
                now_ns + chance.up_to_twice_ns(chance.faults.down_ms), partial(self._restore, "the link is back")
            )
        self.scheduler.call_at(now_ns + NS, self._may_break)
