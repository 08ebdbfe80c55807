"""The socket session in virtual time: what is asked for when, what is trusted when, and what is told to whom."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial

import msgspec
import pytest

from sor.errors import CallerError
from sor.sim.world import VirtualScheduler
from sor.units import MS, NS
from venues.plumbing.backoff import Backoff
from venues.plumbing.budget import Budget, Limit, Priority
from venues.plumbing.socket import (
    Acked,
    Data,
    Denied,
    Expired,
    Heard,
    Phase,
    Pinged,
    SocketRules,
    SocketSession,
)

T = 1_700_000_000 * NS


class Words:
    """A dialect of words: `sub 1 a b`, `ack 1`, `deny 1 why`, `data a x`, `Ping`, `expired why`, `broken`."""

    def read(self, payload: bytes, recv_ns: int) -> Heard:
        match payload.decode().split(" "):
            case ["ack", no]:
                return Acked(int(no))
            case ["deny", no, text]:
                return Denied(no=int(no), code="80015", text=text)
            case ["data", topic, message]:
                return Data(topic, message)
            case ["Ping"]:
                return Pinged(b"Pong")
            case ["expired", why]:
                return Expired(why)
            case ["broken"]:
                raise msgspec.DecodeError("broken")
            case ["deep"]:
                msgspec.json.decode(b"[" * 100_000)
                return None
            case _:
                return None

    def subscribe(self, topics: Sequence[str], no: int) -> bytes:
        return f"sub {no} {' '.join(topics)}".encode()

    def unsubscribe(self, topics: Sequence[str], no: int) -> bytes:
        return f"unsub {no} {' '.join(topics)}".encode()


class Desk:
    """Pipe and listener in one, noting everything with its time in ms; `reacts` may act on what is told."""

    def __init__(self, rules: SocketRules | None = None, *, admit: Callable[[int], int] = lambda _: 0) -> None:
        self.time = VirtualScheduler(T)
        self.log: list[tuple[int, str]] = []
        self.reacts: Callable[[str], object] = lambda _: None
        self.session = SocketSession(
            rules=rules or SocketRules(backoff=Backoff(first_ns=NS, most_ns=8 * NS)),
            dialect=Words(),
            pipe=self,
            listener=self,
            scheduler=self.time,
            draw=lambda: 0.5,
            admit=admit,
        )

    def note(self, text: str) -> None:
        self.log.append(((self.time.now_ns() - T) // MS, text))
        self.reacts(text)

    def open(self, no: int) -> None:
        self.note(f"open {no}")

    def write(self, no: int, payload: bytes) -> None:
        self.note(f"write {no}: {payload.decode()}")

    def ping(self, no: int) -> None:
        self.note(f"ping {no}")

    # One name serves both: a pipe's close and nothing of a listener's.
    def close(self, no: int) -> None:
        self.note(f"close {no}")

    def up(self) -> None:
        self.note("up")

    def down(self, why: str, again_ns: int) -> None:
        self.note(f"down ({why}) until {(again_ns - T) // MS}")

    def gap(self, topic: str, why: str) -> None:
        self.note(f"gap {topic!r} ({why})")

    def data(self, topic: str, message: object, recv_ns: int) -> None:
        assert recv_ns == self.time.now_ns()
        self.note(f"data {topic!r} {message}")

    def denied(self, topic: str, code: str, text: str) -> None:
        self.note(f"denied {topic!r} ({code} {text})")

    def take(self) -> list[str]:
        """What was noted since the last time."""
        noted = [text for _, text in self.log]
        self.log.clear()
        return noted

    def timed(self) -> list[tuple[int, str]]:
        noted = list(self.log)
        self.log.clear()
        return noted

    def wait(self, ms: int) -> None:
        self.time.run_until(self.time.now_ns() + ms * MS)

    def hear(self, *payloads: str, no: int = 1) -> None:
        for each in payloads:
            self.session.received(no, each.encode())

    def standing(self, *topics: str, silence_ms: int = 0) -> Desk:
        """Connected, with these topics live on connection 1."""
        for each in topics:
            self.session.subscribe(each, silence_ns=silence_ms * MS)
        self.session.start()
        self.session.opened(1)
        for number, _ in enumerate([each for each in topics if each], start=1):
            self.hear(f"ack {number}")
            self.wait(100)
        self.take()
        return self


def test_topics_are_asked_for_in_order_and_no_faster_than_allowed() -> None:
    desk = Desk()
    for topic in ("a", "b", "c"):
        desk.session.subscribe(topic)
    desk.session.subscribe("a")  # wanted already
    desk.session.start()
    desk.wait(50)
    desk.session.opened(1)
    desk.wait(1_000)
    assert desk.timed() == [
        (0, "open 1"),
        (50, "up"),
        (50, "write 1: sub 1 a"),
        (150, "write 1: sub 2 b"),
        (250, "write 1: sub 3 c"),
    ]


def test_several_topics_may_share_a_frame() -> None:
    desk = Desk(SocketRules(topics_per_frame=2))
    for topic in ("a", "b", "c"):
        desk.session.subscribe(topic)
    desk.session.start()
    desk.session.opened(1)
    desk.wait(1_000)
    # The first went alone: nobody waits for company.
    assert desk.take() == ["open 1", "up", "write 1: sub 1 a", "write 1: sub 2 b c"]
    desk.hear("ack 2")
    assert [desk.session.live(topic) for topic in "abc"] == [False, True, True]


def test_data_counts_only_once_its_topic_is_acknowledged() -> None:
    desk = Desk()
    desk.session.subscribe("a")
    desk.session.start()
    desk.session.opened(1)
    desk.take()
    desk.hear("data a leaked", "data z unknown", "ack 1", "data a 1", "noise")
    assert desk.take() == ["data 'a' 1"]
    assert (desk.session.unasked, desk.session.unreadable) == (2, 0)


def test_where_nothing_is_acknowledged_asking_is_enough() -> None:
    desk = Desk(SocketRules(acks=False))
    desk.session.subscribe("a")
    desk.session.start()
    desk.session.opened(1)
    desk.hear("data a 1")
    assert desk.take()[-1] == "data 'a' 1"


def test_what_is_pushed_unasked_is_live_with_the_connection() -> None:
    desk = Desk().standing("")
    desk.hear("data  fill")
    assert desk.take() == ["data '' fill"]


def test_a_refused_topic_is_told_and_not_asked_for_again() -> None:
    desk = Desk()
    desk.session.subscribe("bad")
    desk.session.start()
    desk.session.opened(1)
    desk.take()
    desk.hear("deny 1 unsupported")
    assert desk.take() == ["denied 'bad' (80015 unsupported)"]
    desk.session.ended(1, "gone")
    desk.wait(500)
    desk.session.opened(3)
    assert desk.take() == ["close 1", "down (gone) until 500", "open 3", "up"]


def test_a_lost_connection_is_a_gap_in_every_live_topic_and_all_are_asked_for_again() -> None:
    desk = Desk().standing("", "a", "b")
    desk.session.subscribe("c")  # asked for, not live: nothing to miss
    desk.take()
    desk.session.ended(1, "reset")
    assert desk.take() == [
        "close 1",
        "gap '' (reset)",
        "gap 'a' (reset)",
        "gap 'b' (reset)",
        "down (reset) until 700",
    ]
    desk.wait(500)
    assert desk.take() == ["open 3"]
    assert not desk.session.live("a")
    desk.session.opened(3)
    desk.wait(500)
    assert desk.take() == ["up", "write 3: sub 4 a", "write 3: sub 5 b", "write 3: sub 6 c"]
    desk.hear("data a old", "ack 4", no=1)  # the old connection has no say
    desk.session.alive(1)
    desk.session.ended(1, "late")
    desk.session.opened(1)
    assert desk.take() == []
    desk.hear("ack 4", "data a new", no=3)
    assert desk.take() == ["data 'a' new"]


def test_failures_back_off_with_jitter_up_to_a_bound_and_a_good_connection_forgets_them() -> None:
    desk = Desk(SocketRules(backoff=Backoff(first_ns=NS, most_ns=3 * NS), stable_ns=60 * NS, silence_ns=0))
    desk.session.start()
    waits: list[str] = []
    no = 1
    for _ in range(4):
        desk.session.ended(no, "refused")
        waits.append(desk.take()[-1])
        desk.wait(1_500)
        no += 2
    # Half of 1, 2, 3 and 3 s.
    assert waits == [
        "down (refused) until 500",
        "down (refused) until 2500",
        "down (refused) until 4500",
        "down (refused) until 6000",
    ]
    desk.session.opened(no)
    desk.wait(59_999)
    desk.session.ended(no, "early")
    assert desk.take()[-1].endswith("until 67499")  # 1.5 s: not forgotten
    desk.wait(1_500)
    desk.session.opened(no + 2)
    desk.wait(60_000)
    desk.session.ended(no + 2, "late")
    assert desk.take()[-1] == "down (late) until 127999"  # 0.5 s


def test_jitter_comes_from_the_generator_that_was_handed_in() -> None:
    def run(seed: int) -> list[tuple[int, str]]:
        desk = Desk()
        desk.session._draw = random.Random(seed).random
        desk.session.start()

        def refuse(text: str) -> None:
            if text.startswith("open"):
                desk.time.call_at(desk.time.now_ns(), partial(desk.session.ended, int(text.split()[1]), "refused"))

        desk.reacts = refuse
        desk.session.ended(1, "refused")
        desk.wait(60_000)
        return desk.timed()

    assert run(1) == run(1) != run(2)


def test_connects_of_several_sockets_share_a_limit() -> None:
    budget = Budget([Limit(name="connects", capacity=1, window_ns=5 * NS)])
    cost = budget.cost({"connects": 1})
    desk = Desk(admit=lambda now_ns: budget.take(cost, Priority.READ, now_ns))
    desk.session.start()
    desk.session.ended(1, "refused")
    desk.wait(10_000)
    assert [at for at, text in desk.timed() if text.startswith("open")] == [0, 5_000]


def test_a_connect_that_takes_too_long_is_given_up() -> None:
    desk = Desk()
    desk.session.start()
    desk.wait(10_400)
    assert desk.timed() == [
        (0, "open 1"),
        (10_000, "close 1"),
        (10_000, "down (connecting took too long) until 10500"),
    ]
    desk.session.opened(1)
    assert desk.session.phase is Phase.WAITING


def test_a_connection_that_brings_nothing_is_dead_and_any_byte_keeps_it() -> None:
    desk = Desk(SocketRules(silence_ns=30 * NS, backoff=Backoff(first_ns=NS, most_ns=NS))).standing("a")
    desk.wait(20_000)
    desk.session.alive(1)
    desk.wait(20_000)
    desk.hear("noise")
    desk.wait(29_400)
    assert desk.take() == []
    desk.wait(1_000)
    assert desk.take() == [
        "close 1",
        "gap 'a' (nothing came for 30.4 s)",
        "down (nothing came for 30.4 s) until 71000",
    ]


def test_the_venues_pings_are_answered_and_ours_are_sent() -> None:
    desk = Desk(SocketRules(ping_every_ns=10 * NS, ping=b"ping")).standing()
    desk.hear("Ping")
    assert desk.take() == ["write 1: Pong"]
    desk.wait(20_000)
    assert desk.timed() == [(10_000, "write 1: ping"), (20_000, "write 1: ping")]
    frames = Desk(SocketRules(ping_every_ns=10 * NS)).standing()
    frames.wait(10_000)
    assert frames.take() == ["ping 1"]


def test_a_silent_topic_is_asked_for_anew_and_at_last_takes_the_connection_down() -> None:
    desk = Desk().standing("a", "b", silence_ms=4_000)  # at 200 ms; a was heard of at 0

    def acknowledge(text: str) -> None:
        match text.split():
            case ["write", "1:", "sub", no, _]:
                desk.time.call_at(desk.time.now_ns(), partial(desk.hear, f"ack {no}"))
            case _:
                pass

    desk.reacts = acknowledge
    while desk.session.phase is Phase.UP:
        desk.hear("data b x")
        desk.wait(100)
    assert [(at, text) for at, text in desk.timed() if not text.startswith("data 'b'")] == [
        (4_000, "gap 'a' (the topic was silent for 4.0 s)"),
        (4_000, "write 1: unsub 3 a"),
        (4_100, "write 1: sub 4 a"),
        (8_500, "gap 'a' (the topic was silent for 4.4 s)"),
        (8_500, "write 1: unsub 5 a"),
        (8_600, "write 1: sub 6 a"),
        (13_000, "close 1"),
        (13_000, "gap 'a' (the topic was silent for 4.4 s)"),
        (13_000, "gap 'b' (the topic was silent for 4.4 s)"),
        (13_000, "down (the topic was silent for 4.4 s) until 13500"),
    ]


def test_a_topic_that_speaks_again_has_its_tries_back() -> None:
    desk = Desk().standing("a", silence_ms=2_000)
    for _ in range(6):
        desk.wait(2_600)
        noted = desk.take()
        assert noted[0].startswith("gap 'a'")
        desk.hear(f"ack {noted[-1].split()[3]}", "data a x")
        desk.take()
    assert desk.session.phase is Phase.UP


def test_the_adapter_can_ask_for_a_topic_anew() -> None:
    desk = Desk().standing("a", "b")
    desk.session.resync("a", "update before snapshot")
    desk.session.resync("a", "again, at once: one is enough")
    desk.session.resync("z", "unknown")
    desk.hear("data a stale")
    desk.wait(100)
    desk.hear("data a stale", "ack 4", "data a fresh")
    assert desk.take() == [
        "gap 'a' (update before snapshot)",
        "write 1: unsub 3 a",
        "write 1: sub 4 a",
        "data 'a' fresh",
    ]


def test_a_subscription_that_is_ignored_is_repeated_then_given_up() -> None:
    desk = Desk(SocketRules(ack_ns=2 * NS, asks_max=2))
    desk.session.subscribe("a")
    desk.session.start()
    desk.session.opened(1)
    desk.wait(10_000)
    assert desk.timed() == [
        (0, "open 1"),
        (0, "up"),
        (0, "write 1: sub 1 a"),
        (2_000, "write 1: sub 2 a"),
        (4_000, "denied 'a' ( not acknowledged after 2 times asking)"),
    ]


def test_a_message_that_cannot_be_read_is_a_gap_in_everything_and_many_are_the_end() -> None:
    desk = Desk(SocketRules(unreadable_max=1)).standing("", "a")
    desk.hear("broken")
    desk.wait(100)
    assert desk.take() == [
        "gap '' (a message that cannot be read)",
        "gap 'a' (a message that cannot be read)",
        "write 1: unsub 2 a",
        "write 1: sub 3 a",
    ]
    desk.hear("deep")
    assert desk.take()[:2] == ["close 1", "gap '' (a message that cannot be read)"]
    assert desk.session.unreadable == 2


def test_a_connection_without_a_future_is_left() -> None:
    desk = Desk().standing("")
    desk.hear("expired listenKeyExpired")
    assert desk.take()[:2] == ["close 1", "gap '' (listenKeyExpired)"]
    old = Desk(SocketRules(life_ns=100 * NS, silence_ns=0, backoff=Backoff(first_ns=NS, most_ns=NS))).standing("a")
    old.wait(100_000)
    assert old.take() == [
        "close 1",
        "gap 'a' (it is time for a new connection)",
        "down (it is time for a new connection) until 100500",
    ]


def test_giving_a_topic_up() -> None:
    desk = Desk().standing("a", "b")
    desk.session.unsubscribe("a")
    desk.session.unsubscribe("a")
    desk.hear("data a late", "data b x")
    assert desk.take() == ["write 1: unsub 3 a", "data 'b' x"]
    desk.session.subscribe("c")
    desk.session.unsubscribe("c")  # before it was asked for
    desk.session.subscribe("d")
    desk.session.unsubscribe("d")
    desk.session.subscribe("d")  # and changed back
    desk.wait(1_000)
    assert desk.take() == ["write 1: sub 4 d"]


def test_the_listener_may_act_on_what_it_is_told() -> None:
    desk = Desk()
    desk.session.subscribe("a")
    desk.session.subscribe("b")

    def react(text: str) -> None:
        if text == "up":
            desk.session.subscribe("c")
            desk.session.unsubscribe("a")

    desk.reacts = react
    desk.session.start()
    desk.session.opened(1)
    desk.wait(1_000)
    assert desk.take() == ["open 1", "up", "write 1: sub 1 c", "write 1: sub 2 b"]


@pytest.mark.parametrize("moment", ["open", "up", "write", "data", "gap", "down", "close"])
def test_closing_is_the_end_at_every_moment(moment: str) -> None:
    desk = Desk()

    def react(text: str) -> None:
        if text.startswith(moment) and desk.session.phase is not Phase.CLOSED:
            desk.session.close()
            closed.append(text)

    closed: list[str] = []
    desk.reacts = react
    for topic in ("", "a", "b"):
        desk.session.subscribe(topic)
    desk.session.start()
    desk.session.opened(1)
    desk.hear("data  x", "ack 1", "data a x", "broken")
    desk.session.ended(1, "gone")
    assert closed
    heard = [text for _, text in desk.log[1 + [text for _, text in desk.log].index(closed[0]) :]]
    assert all(text.startswith("close") for text in heard)
    desk.log.clear()
    desk.session.subscribe("c")
    desk.wait(100_000)
    desk.hear("data a x")
    assert desk.take() == []


def test_bad_use_is_refused() -> None:
    desk = Desk(SocketRules(topics_max=1))
    desk.session.subscribe("a")
    with pytest.raises(CallerError, match="at most 1 topics; 'b' was not asked for"):
        desk.session.subscribe("b")
    desk.session.start()
    with pytest.raises(CallerError, match="started once"):
        desk.session.start()
    with pytest.raises(CallerError, match="at least one topic"):
        SocketRules(topics_max=0)


def test_a_connection_is_given_up_when_somebody_knows_better() -> None:
    desk = Desk()
    desk.session.subscribe("")
    desk.session.reconnect("too soon: nothing stands")
    desk.session.start()
    desk.session.opened(1)
    desk.session.reconnect("its key is no longer good")
    assert [text for _, text in desk.log if text.startswith(("gap", "down"))] == [
        "gap '' (its key is no longer good)",
        "down (its key is no longer good) until 500",
    ]
    desk.time.run_until(T + 2 * NS)
    assert desk.session.phase is Phase.CONNECTING
