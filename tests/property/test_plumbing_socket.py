"""A socket session under whatever a venue, a network and an adapter may do, then calm."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from sor.sim.world import VirtualScheduler
from sor.units import MS, NS
from venues.plumbing.backoff import Backoff
from venues.plumbing.socket import Acked, Data, Denied, Heard, Phase, SocketRules, SocketSession

TOPICS = ("", "a", "b", "c")
RULES = SocketRules(
    connect_ns=2 * NS,
    silence_ns=5 * NS,
    ack_ns=NS,
    asks_max=100,
    spacing_ns=50 * MS,
    resyncs_max=1,
    unreadable_max=1,
    backoff=Backoff(first_ns=100 * MS, most_ns=NS),
)


class Venue:
    """Pipe, dialect and listener in one: numbers every message it sends, and checks everything it is told.

    A topic is owed a gap from the moment at which a live subscription of it may have missed something, until told.
    """

    def __init__(self) -> None:
        self.time = VirtualScheduler(NS)
        self.no = 0
        self.up_no = 0
        self.asked: dict[int, tuple[str, ...]] = {}
        self.unanswered: list[int] = []
        self.frames_ns: list[int] = []
        self.counter = 0
        self.last: dict[str, tuple[int, int]] = {}  # topic: (connection, number) of what was handed on last
        self.gapped: dict[str, bool] = {}
        self.told: list[str] = []
        self.session = SocketSession(
            rules=RULES,
            dialect=self,
            pipe=self,
            listener=self,
            scheduler=self.time,
            draw=lambda: 0.5,
        )

    # pipe
    def open(self, no: int) -> None:
        assert no > self.no
        self.no = no

    def write(self, no: int, payload: bytes) -> None:
        assert no == self.no == self.up_no
        if payload.startswith(b"sub"):
            self.unanswered.append(int(payload.split()[1]))
        self.frames_ns.append(self.time.now_ns())

    def ping(self, no: int) -> None:
        raise AssertionError("no pings in these rules")

    def close(self, no: int) -> None:
        assert no == self.no
        self.up_no = 0
        self.unanswered.clear()

    # dialect
    def read(self, payload: bytes, recv_ns: int) -> Heard:
        word, _, rest = payload.decode().partition(" ")
        if word == "ack":
            return Acked(int(rest))
        if word == "deny":
            return Denied(no=int(rest), code="1", text="no")
        if word == "data":
            topic, _, number = rest.partition(" ")
            return Data(topic, int(number))
        raise ValueError(word)

    def subscribe(self, topics: Sequence[str], no: int) -> bytes:
        self.asked[no] = tuple(topics)
        return b"sub %d" % no

    def unsubscribe(self, topics: Sequence[str], no: int) -> bytes:
        return b"unsub %d" % no

    # listener
    def up(self) -> None:
        self.told.append("up")

    def down(self, why: str, again_ns: int) -> None:
        assert again_ns >= self.time.now_ns()
        self.told.append("down")

    def gap(self, topic: str, why: str) -> None:
        self.gapped[topic] = True

    def data(self, topic: str, message: object, recv_ns: int) -> None:
        assert isinstance(message, int)
        connection, number = self.last.get(topic, (self.no, 0))
        assert message > number
        # Nothing of a newer connection before the gap that parts it from the older one.
        assert connection == self.no or self.gapped.get(topic)
        self.last[topic] = (self.no, message)
        self.gapped[topic] = False

    def denied(self, topic: str, code: str, text: str) -> None:
        assert not self.session.live(topic)
        self.told.append(f"denied {topic}")

    # what happens
    def happen(self, event: str, topic: str) -> None:
        session = self.session
        match event:
            case "opened" if session.phase is Phase.CONNECTING:
                self.up_no = self.no
                session.opened(self.no)
            case "ended":
                session.ended(self.no, "lost")
            case "late":  # from a connection that is over
                before = (session.phase, session.unreadable, len(self.told))
                session.ended(self.no - 1, "lost")
                session.opened(self.no - 1)
                session.received(self.no - 1, b"garbage")
                assert before == (session.phase, session.unreadable, len(self.told))
            case "ack" if self.unanswered:
                session.received(self.no, b"ack %d" % self.unanswered.pop(0))
            case "deny" if self.unanswered:
                session.received(self.no, b"deny %d" % self.unanswered.pop(0))
            case "data":
                self.counter += 1
                was_live = session.live(topic)
                said = self.last.get(topic)
                session.received(self.no, f"data {topic} {self.counter}".encode())
                assert was_live == (self.last.get(topic) != said)
            case "garbage":
                session.received(self.no, b"garbage")
            case "resync":
                was_live = session.live(topic)
                session.resync(topic, "crossed")
                assert not was_live or self.gapped[topic]
            case "subscribe":
                session.subscribe(topic, silence_ns=3 * NS)
            case "unsubscribe":
                session.unsubscribe(topic)
                self.gapped[topic] = True  # whoever gives a topic up expects nothing of it
                assert not session.live(topic)
            case _:
                pass

    def calm(self) -> None:
        """Connects succeed, what is asked for is acknowledged, and everything that is live speaks."""
        for _ in range(120):
            self.happen("opened", "")
            self.happen("ack", "")
            for topic in TOPICS:
                self.happen("data", topic)
            self.wait(100 * MS)
        assert self.session.phase is Phase.UP
        assert [self.session.live(topic) for topic in TOPICS] == [True] * len(TOPICS)
        assert all(self.last[topic][0] == self.no for topic in TOPICS)

    def wait(self, ns: int) -> None:
        self.time.run_until(self.time.now_ns() + ns)


EVENTS = ("opened", "opened", "ended", "late", "ack", "ack", "ack", "deny", "data", "data", "garbage", "resync")
happenings = st.lists(
    st.tuples(
        st.sampled_from((*EVENTS, "subscribe", "unsubscribe", "wait")),
        st.sampled_from(TOPICS),
        st.sampled_from((0, 10 * MS, 60 * MS, 700 * MS, 6 * NS)),
    ),
    max_size=60,
)


@settings(max_examples=60)
@given(happenings)
def test_nothing_is_trusted_across_a_loss_and_calm_brings_every_topic_back(
    happenings: list[tuple[str, str, int]],
) -> None:
    venue = Venue()
    for topic in TOPICS:
        venue.session.subscribe(topic)
    venue.session.start()
    venue.calm()
    for event, topic, wait_ns in happenings:
        venue.happen(event, topic)
        venue.wait(wait_ns)
    spacings = [later - earlier for earlier, later in zip(venue.frames_ns, venue.frames_ns[1:], strict=False)]
    assert all(each >= RULES.spacing_ns for each in spacings)

    for topic in TOPICS:
        venue.session.subscribe(topic)
    venue.calm()
    venue.session.close()
    told = len(venue.told)
    venue.wait(60 * NS)
    assert len(venue.told) == told
