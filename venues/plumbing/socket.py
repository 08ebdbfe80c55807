"""Socket session: one venue socket that stays up, and says when what it carries cannot be trusted.

A machine in plain calls: the link tells it what happened on the connection, time comes from the scheduler, and what it
wants done it asks of a `Pipe`. So it runs in virtual time, and the same machine drives any WebSocket library.

Rules
- The set of topics is state, connections come and go: after a reconnect everything wanted is asked for again, in the
  order in which it was first wanted, no faster than the venue allows.
- Data counts only once its topic is acknowledged. Whatever may have been missed is a gap, told before anything newer:
  on a lost connection, on a silent topic, and when the adapter finds one in the sequence numbers (`resync`).
- Silence is judged twice: of the whole connection (half-open sockets, a venue that stopped), and of each topic that is
  never quiet for long (a stream that died while its neighbours go on).
- Failures back off with full jitter and pass a limit on connects that several sockets can share. Nothing here gives
  up: a session ends when it is closed.
- Nothing is queued inwards: a message is handed on inside the call that brought it, and a slow reader slows TCP down.
  Outwards the number of topics is the bound.
- A connection has a number; what a link says of an older one is ignored.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Final, Protocol, assert_never

import msgspec

from sor.adapter import Scheduler
from sor.errors import CallerError
from sor.units import MS, NS
from venues.plumbing.backoff import Backoff, Draw


class SocketRules(msgspec.Struct, frozen=True, kw_only=True):
    """What one venue's sockets want. Durations of 0 switch a rule off.

    connect_ns       for address, TCP, TLS and handshake together.
    silence_ns       a connection that brings nothing at all for this long is dead.
    ping_every_ns    how often we speak unasked; `ping` is the text, b"" a ping frame.
    acks             the venue acknowledges subscriptions; without, a topic is live once asked for.
    ack_ns           how long an acknowledgement may take; after `asks_max` times in vain the topic is given up.
    spacing_ns       between two subscription frames of ours.
    topics_per_frame, topics_max    per subscription frame, per socket.
    resyncs_max      a topic that stays silent after this many new subscriptions takes the connection down with it.
    unreadable_max   messages that cannot be read on one connection before it is given up; each makes all topics anew.
    life_ns          reconnect before the venue does it at a worse moment.
    stable_ns        a connection that lasted this long was good: the next failure is the first.
    sweep_ns         how often all of this is looked at.
    """

    connect_ns: int = 10 * NS
    silence_ns: int = 30 * NS
    ping_every_ns: int = 0
    ping: bytes = b""
    acks: bool = True
    ack_ns: int = 5 * NS
    asks_max: int = 3
    spacing_ns: int = 100 * MS
    topics_per_frame: int = 1
    topics_max: int = 200
    resyncs_max: int = 2
    unreadable_max: int = 3
    life_ns: int = 0
    stable_ns: int = 60 * NS
    sweep_ns: int = 500 * MS
    backoff: Backoff = Backoff(first_ns=500 * MS, most_ns=30 * NS)

    def __post_init__(self) -> None:
        if min(self.connect_ns, self.sweep_ns, self.topics_per_frame, self.topics_max, self.asks_max) < 1:
            raise CallerError("a socket needs a connect time, a sweep and at least one topic; nothing was sent")


class Data(msgspec.Struct, frozen=True, gc=False):
    """A message of one topic ("" for what is pushed without being asked for), decoded."""

    topic: str
    message: object


class Acked(msgspec.Struct, frozen=True, gc=False):
    """The venue confirms the subscription frame `no`."""

    no: int


class Denied(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The venue refuses the subscription frame `no`."""

    no: int
    code: str
    text: str


class Pinged(msgspec.Struct, frozen=True, gc=False):
    """The venue asks, in a message, whether we live; this is the answer."""

    answer: bytes


class Expired(msgspec.Struct, frozen=True, gc=False):
    """This connection has no future: its listen key ended, or maintenance begins."""

    why: str


Heard = Data | Acked | Denied | Pinged | Expired | None
"""What a message is; None: nothing that matters, such as the answer to our ping."""


class StreamDialect(Protocol):
    """How one venue speaks on a socket."""

    def read(self, payload: bytes, recv_ns: int) -> Heard:
        """What a message says. Raises `msgspec.MsgspecError` or `ValueError` when it cannot be read."""

    def subscribe(self, topics: Sequence[str], no: int) -> bytes:
        """The frame that asks for topics; its acknowledgement names `no`."""

    def unsubscribe(self, topics: Sequence[str], no: int) -> bytes:
        """The frame that gives topics up."""


class Pipe(Protocol):
    """The connections themselves. Plain calls that return at once."""

    def open(self, no: int) -> None:
        """Start connecting; answered by the session's `opened` or `ended` with the same number."""

    def write(self, no: int, payload: bytes) -> None:
        """Send one text message."""

    def ping(self, no: int) -> None:
        """Send a ping frame."""

    def close(self, no: int) -> None:
        """Close, or stop connecting. Nothing needs to be said about that connection any more."""


class Listener(Protocol):
    """Who is told. Plain calls."""

    def up(self) -> None:
        """A connection stands; topics are being asked for."""

    def down(self, why: str, again_ns: int) -> None:
        """The connection is lost, or none came about; the next attempt is at `again_ns`, unless it is put off."""

    def gap(self, topic: str, why: str) -> None:
        """Messages of this topic may have been missed; what comes next begins anew (a snapshot, where there is one)."""

    def data(self, topic: str, message: object, recv_ns: int) -> None:
        """One message of an acknowledged topic."""

    def denied(self, topic: str, code: str, text: str) -> None:
        """The venue does not give this topic; it is no longer asked for."""


class Phase(Enum):
    """Where the session is."""

    IDLE = "idle"
    WAITING = "waiting"
    CONNECTING = "connecting"
    UP = "up"
    CLOSED = "closed"


class _Step(Enum):
    WANTED = "wanted"
    ASKED = "asked"
    LIVE = "live"


_LIVE: Final = _Step.LIVE  # bound once: CPython 3.11 takes longer to read a member off its enum than to compare it


class _Topic:
    """One topic that is wanted."""

    __slots__ = ("asks", "heard_ns", "name", "no", "resyncs", "silence_ns", "step")

    def __init__(self, name: str, silence_ns: int) -> None:
        self.name = name
        self.silence_ns = silence_ns
        self.step = _Step.WANTED
        self.no = 0
        self.asks = 0
        self.resyncs = 0
        self.heard_ns = 0  # or when it was asked for


class SocketSession:
    """One socket of one venue. `admit` answers 0 when a connect may start now, else from when it may be asked again.

    `unreadable` counts messages that could not be read, `unasked` those of topics that are not live.
    """

    __slots__ = (
        "_admit",
        "_bad",
        "_dialect",
        "_draw",
        "_failures",
        "_frame_no",
        "_heard_ns",
        "_listener",
        "_next_frame_ns",
        "_no",
        "_phase",
        "_pinged_ns",
        "_pipe",
        "_pump_ns",
        "_rules",
        "_scheduler",
        "_since_ns",
        "_todo",
        "_topics",
        "unasked",
        "unreadable",
    )

    def __init__(
        self,
        *,
        rules: SocketRules,
        dialect: StreamDialect,
        pipe: Pipe,
        listener: Listener,
        scheduler: Scheduler,
        draw: Draw,
        admit: Callable[[int], int] = lambda _: 0,
    ) -> None:
        self._rules = rules
        self._dialect = dialect
        self._pipe = pipe
        self._listener = listener
        self._scheduler = scheduler
        self._draw = draw
        self._admit = admit
        self._phase = Phase.IDLE
        self._no = 0
        self._topics: dict[str, _Topic] = {}
        self._todo: deque[tuple[bool, str]] = deque()  # (subscribe or give up, topic)
        self._frame_no = 0
        self._next_frame_ns = 0
        self._pump_ns = 0
        self._failures = 0
        self._since_ns = 0
        self._heard_ns = 0
        self._pinged_ns = 0
        self._bad = 0
        self.unasked = 0
        self.unreadable = 0

    @property
    def phase(self) -> Phase:
        """Where the session is."""
        return self._phase

    def live(self, topic: str) -> bool:
        """Whether the topic is acknowledged on the present connection."""
        found = self._topics.get(topic)
        return self._phase is Phase.UP and found is not None and found.step is _Step.LIVE

    # --- what the adapter wants -------------------------------------------------------------------------------------

    def start(self) -> None:
        """Connect, and stay connected. Raises `CallerError` when it was started before."""
        if self._phase is not Phase.IDLE:
            raise CallerError("a socket session is started once; nothing was sent")
        self._phase = Phase.WAITING
        self._connect(self._no)

    def close(self) -> None:
        """End for good. The listener hears nothing more."""
        standing = self._phase in {Phase.CONNECTING, Phase.UP}
        self._phase = Phase.CLOSED
        self._no += 1
        if standing:
            self._pipe.close(self._no - 1)

    def reconnect(self, why: str) -> None:
        """Give the present connection up and come back; nothing happens where there is none."""
        if self._phase in {Phase.CONNECTING, Phase.UP}:
            self._drop(why)

    def subscribe(self, topic: str, *, silence_ns: int = 0) -> None:
        """Want a topic, now and after every reconnect. `silence_ns`: it is never quiet for longer; 0: it may be.

        The topic "" stands for what is pushed unasked: it is live with the connection and never asked for.
        Raises `CallerError` when the socket has no room for it.
        """
        if topic in self._topics:
            return
        if len(self._topics) >= self._rules.topics_max:
            raise CallerError(f"a socket carries at most {self._rules.topics_max} topics; {topic!r} was not asked for")
        self._topics[topic] = _Topic(topic, silence_ns)
        if self._phase is Phase.UP:
            self._want(self._topics[topic])

    def unsubscribe(self, topic: str) -> None:
        """Want a topic no more; messages of it that still come are dropped."""
        found = self._topics.pop(topic, None)
        if found is not None and topic and self._phase is Phase.UP:
            if found.step is not _Step.WANTED:
                self._todo.append((False, topic))
            self._pump()

    def resync(self, topic: str, why: str) -> None:
        """Start a live topic anew, because its messages do not fit together."""
        found = self._topics.get(topic)
        if found is None or self._phase is not Phase.UP or found.step is not _Step.LIVE:
            return
        if topic:
            found.step = _Step.WANTED
            self._todo.append((False, topic))
            self._todo.append((True, topic))
        else:
            found.heard_ns = self._scheduler.now_ns()  # it cannot be asked for again; whoever hears of the gap looks
        self._listener.gap(topic, why)
        self._pump()

    # --- what the link says -----------------------------------------------------------------------------------------

    def opened(self, no: int) -> None:
        """The handshake of connection `no` is done."""
        if no != self._no or self._phase is not Phase.CONNECTING:
            return
        now_ns = self._scheduler.now_ns()
        self._phase = Phase.UP
        self._since_ns = self._heard_ns = self._pinged_ns = now_ns
        self._bad = 0
        self._todo.clear()
        self._sweep_later(no)
        wanted = tuple(self._topics.values())
        self._listener.up()
        for topic in wanted:
            if self._wanted(topic) and no == self._no:
                topic.resyncs = 0
                topic.asks = 0
                self._want(topic)

    def alive(self, no: int) -> None:
        """Something came that is no message: a ping or pong frame."""
        if no == self._no:
            self._heard_ns = self._scheduler.now_ns()

    def received(self, no: int, payload: bytes) -> None:
        """One whole message, binary or text."""
        if no != self._no or self._phase is not Phase.UP:
            return
        now_ns = self._heard_ns = self._scheduler.now_ns()
        try:
            heard = self._dialect.read(payload, now_ns)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            self._unreadable()
            return
        if isinstance(heard, Data):  # nearly always, and a pattern takes four times as long
            topic = heard.topic
            found = self._topics.get(topic)
            if found is None or found.step is not _LIVE:
                self.unasked += 1
                return
            found.heard_ns = now_ns
            found.resyncs = 0
            self._listener.data(topic, heard.message, now_ns)
            return
        match heard:
            case Pinged(answer):
                self._pipe.write(no, answer)
            case Acked(frame_no):
                for each in self._asked_by(frame_no):
                    self._live(each, now_ns)
            case Denied(no=frame_no, code=code, text=text):
                for each in self._asked_by(frame_no):
                    self._deny(each, code, text)
            case Expired(why):
                self._drop(why)
            case None:
                pass
            case _ as never:
                assert_never(never)

    def ended(self, no: int, why: str) -> None:
        """Connection `no` is over, or never came about."""
        if no == self._no and self._phase in {Phase.CONNECTING, Phase.UP}:
            self._drop(why)

    # --- connections ------------------------------------------------------------------------------------------------

    def _connect(self, no: int) -> None:
        if no != self._no or self._phase is not Phase.WAITING:
            return
        now_ns = self._scheduler.now_ns()
        free_ns = self._admit(now_ns)
        if free_ns:
            self._scheduler.call_at(free_ns, lambda: self._connect(no))
            return
        self._phase = Phase.CONNECTING
        self._no += 1
        attempt = self._no
        self._scheduler.call_at(now_ns + self._rules.connect_ns, lambda: self._give_up(attempt))
        self._pipe.open(attempt)

    def _give_up(self, no: int) -> None:
        if no == self._no and self._phase is Phase.CONNECTING:
            self._drop("connecting took too long")

    def _drop(self, why: str) -> None:
        """Leave the present connection and come back later."""
        now_ns = self._scheduler.now_ns()
        was_up = self._phase is Phase.UP
        self._phase = Phase.WAITING
        self._no += 1
        no = self._no
        if was_up and now_ns - self._since_ns >= self._rules.stable_ns:
            self._failures = 0
        self._failures += 1
        again_ns = now_ns + self._rules.backoff.wait_ns(self._failures, self._draw)
        self._todo.clear()
        lost = [topic for topic in self._topics.values() if topic.step is _Step.LIVE]
        for topic in self._topics.values():
            topic.step = _Step.WANTED
        self._scheduler.call_at(again_ns, lambda: self._connect(no))
        self._pipe.close(no - 1)
        for topic in lost:
            if self._wanted(topic) and no == self._no:
                self._listener.gap(topic.name, why)
        if no == self._no:
            self._listener.down(why, again_ns)

    # --- topics -----------------------------------------------------------------------------------------------------

    def _want(self, topic: _Topic) -> None:
        if not topic.name:
            self._live(topic, self._scheduler.now_ns())
            return
        self._todo.append((True, topic.name))
        self._pump()

    def _wanted(self, topic: _Topic) -> bool:
        """Whether it is still wanted: a listener may change its mind while it is told of something."""
        return self._topics.get(topic.name) is topic

    def _deny(self, topic: _Topic, code: str, text: str) -> None:
        if self._wanted(topic):
            del self._topics[topic.name]
            self._listener.denied(topic.name, code, text)

    def _unreadable(self) -> None:
        """Whatever it was, it may have been part of any topic: all begin anew, and at last the connection does."""
        self.unreadable += 1
        self._bad += 1
        why = "a message that cannot be read"
        if self._bad > self._rules.unreadable_max:
            self._drop(why)
            return
        for topic in tuple(self._topics.values()):
            if self._wanted(topic):
                self.resync(topic.name, why)

    def _live(self, topic: _Topic, now_ns: int) -> None:
        topic.step = _Step.LIVE
        topic.asks = 0
        topic.heard_ns = now_ns

    def _asked_by(self, frame_no: int) -> list[_Topic]:
        return [each for each in self._topics.values() if each.step is _Step.ASKED and each.no == frame_no]

    def _pump(self) -> None:
        """Write the next subscription frame when its time has come, and come back for the one after."""
        rules = self._rules
        now_ns = self._scheduler.now_ns()
        while self._phase is Phase.UP and self._todo and now_ns >= self._next_frame_ns:
            asking = self._todo[0][0]
            names: list[str] = []
            while self._todo and self._todo[0][0] is asking and len(names) < rules.topics_per_frame:
                name = self._todo.popleft()[1]
                found = self._topics.get(name)
                # It may have been given up, or asked for already, while it waited.
                if not asking or (found is not None and found.step is _Step.WANTED):
                    names.append(name)
            if not names:
                continue
            self._frame_no += 1
            self._next_frame_ns = now_ns + rules.spacing_ns
            if not asking:
                self._pipe.write(self._no, self._dialect.unsubscribe(names, self._frame_no))
                continue
            for name in names:
                topic = self._topics[name]
                topic.step = _Step.ASKED
                topic.no = self._frame_no
                topic.asks += 1
                topic.heard_ns = now_ns
                if not rules.acks:
                    self._live(topic, now_ns)
            self._pipe.write(self._no, self._dialect.subscribe(names, self._frame_no))
        if self._todo and self._phase is Phase.UP and self._pump_ns <= now_ns:
            self._pump_ns = self._next_frame_ns
            self._scheduler.call_at(self._pump_ns, self._pump)

    # --- watching ---------------------------------------------------------------------------------------------------

    def _sweep_later(self, no: int) -> None:
        self._scheduler.call_at(self._scheduler.now_ns() + self._rules.sweep_ns, lambda: self._sweep(no))

    def _sweep(self, no: int) -> None:
        """Look at everything that should have happened by now."""
        if no != self._no or self._phase is not Phase.UP:
            return
        rules = self._rules
        now_ns = self._scheduler.now_ns()
        if rules.silence_ns and now_ns - self._heard_ns >= rules.silence_ns:
            self._drop(f"nothing came for {(now_ns - self._heard_ns) / NS:.1f} s")
            return
        if rules.life_ns and now_ns - self._since_ns >= rules.life_ns:
            self._drop("it is time for a new connection")
            return
        if rules.ping_every_ns and now_ns - self._pinged_ns >= rules.ping_every_ns:
            self._pinged_ns = now_ns
            if rules.ping:
                self._pipe.write(no, rules.ping)
            else:
                self._pipe.ping(no)
        for topic in tuple(self._topics.values()):
            if self._wanted(topic):
                self._watch(topic, now_ns)
            if no != self._no:
                return
        self._sweep_later(no)

    def _watch(self, topic: _Topic, now_ns: int) -> None:
        rules = self._rules
        quiet_ns = now_ns - topic.heard_ns
        if topic.step is _Step.ASKED and quiet_ns >= rules.ack_ns:
            if topic.asks >= rules.asks_max:
                self._deny(topic, "", f"not acknowledged after {topic.asks} times asking")
            else:
                topic.step = _Step.WANTED
                self._want(topic)
        elif topic.step is _Step.LIVE and topic.silence_ns and quiet_ns >= topic.silence_ns:
            why = f"the topic was silent for {quiet_ns / NS:.1f} s"
            if topic.resyncs >= rules.resyncs_max:
                self._drop(why)
            else:
                topic.resyncs += 1
                self.resync(topic.name, why)
