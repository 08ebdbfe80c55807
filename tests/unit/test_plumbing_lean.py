"""The lean transport: lanes, queue and deadlines, in virtual time. Faults of bytes: `test_plumbing_transports`."""

from __future__ import annotations

import pytest

from sor.adapter import Reach
from sor.errors import CallerError
from sor.units import MS, NS
from tests.fakes.clock import VirtualClock
from tests.fakes.streams import FakeDialer, FakeStream
from venues.plumbing.http1 import base_address
from venues.plumbing.link_lean import LeanSettings, LeanTransport
from venues.plumbing.link_tcp import TcpNet
from venues.plumbing.transport import Broken, Cause, Outcome, WireReply, WireRequest

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def order(name: str = "a", *, by_ns: int = 5 * NS) -> WireRequest:
    return WireRequest(method="POST", target=f"/{name}".encode(), deadline_ns=by_ns)


class Rig:
    """A transport, its time, its connections, and what became of each request, by name, in order."""

    def __init__(self, **bounds: float) -> None:
        self.time = VirtualClock()
        self.dialer = FakeDialer()
        settings = LeanSettings(**{"idle_s": 10.0, **bounds})  # type: ignore[arg-type]  # ints are ints here
        self.transport = LeanTransport(self.dialer, host=b"x", scheduler=self.time, settings=settings)
        self.outcomes: list[tuple[str, str]] = []

    def send(self, name: str = "a", *, within_ns: int = 5 * NS) -> None:
        def note(outcome: Outcome) -> None:
            if isinstance(outcome, WireReply):
                self.outcomes.append((name, f"{outcome.status} {outcome.body.decode()}"))
            else:
                self.outcomes.append((name, f"{outcome.reach.value} {outcome.cause.value}"))

        self.transport.send(order(name, by_ns=self.time.now_ns() + within_ns), note)

    def kept(self) -> FakeStream:
        """One idle connection."""
        self.send("first")
        stream = self.dialer.connect()
        stream.says(OK)
        assert self.outcomes.pop() == ("first", "200 ok")
        stream.written.clear()
        return stream


def names(stream: FakeStream) -> list[str]:
    return [data.split(b" ")[1][1:].decode() for data in stream.written]


def test_a_request_is_written_once_connected_and_the_connection_kept() -> None:
    rig = Rig()
    rig.time.run_until(7)
    rig.send("a")
    assert len(rig.dialer.waiting) == 1
    rig.time.run_until(20)
    replies: list[Outcome] = []
    stream = rig.dialer.connect()
    assert stream.written == [b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"]
    stream.says(OK[:9])
    assert rig.outcomes == []
    stream.says(OK[9:])
    assert rig.outcomes == [("a", "200 ok")]
    rig.time.run_until(30)
    rig.transport.send(order("b"), replies.append)
    assert names(stream) == ["a", "b"]
    rig.time.run_until(40)
    stream.says(OK)
    assert isinstance(replies[0], WireReply)
    assert (replies[0].sent_ns, replies[0].recv_ns) == (30, 40)
    assert len(rig.dialer.streams) == 1


def test_the_warmest_connection_is_used_and_one_that_idled_too_long_is_not() -> None:
    rig = Rig()
    rig.send("a")
    rig.send("b")
    cold, warm = rig.dialer.connect(), rig.dialer.connect()
    cold.says(OK)
    rig.time.run_until(1 * NS)
    warm.says(OK)
    rig.send("c")
    assert (names(cold), names(warm)) == (["a"], ["b", "c"])
    warm.says(OK)
    rig.time.run_until(1 * NS + 10 * NS)
    rig.send("d")
    assert (cold.over, warm.over) == ("closed", "closed")
    assert names(rig.dialer.connect()) == ["d"]


def test_requests_beyond_the_lanes_wait_in_turn_and_beyond_the_queue_are_turned_away() -> None:
    rig = Rig(connections_max=1, waiting_max=2)
    stream = rig.kept()
    for name in "abcd":
        rig.send(name)
    assert rig.outcomes == [("d", "not_sent crowded")]
    for _ in range(3):
        stream.says(OK)
    assert rig.outcomes[1:] == [("a", "200 ok"), ("b", "200 ok"), ("c", "200 ok")]
    assert (names(stream), rig.dialer.waiting) == (["a", "b", "c"], [])


def test_before_anything_connects_the_queue_is_as_long_as_lanes_and_queue_together() -> None:
    rig = Rig(connections_max=2, waiting_max=1)
    for name in "abcd":
        rig.send(name)
    assert rig.outcomes == [("d", "not_sent crowded")]
    assert len(rig.dialer.waiting) == 2


def test_a_deadline_ends_what_is_in_flight_in_doubt_and_what_waits_as_not_sent() -> None:
    rig = Rig(connections_max=1)
    stream = rig.kept()
    rig.send("a", within_ns=100 * MS)
    rig.send("b", within_ns=50 * MS)
    rig.send("c", within_ns=200 * MS)
    rig.send("late", within_ns=0)
    assert rig.outcomes == [("late", "not_sent timeout")]
    rig.time.run_until(100 * MS - 1)
    assert rig.outcomes[1:] == [("b", "not_sent timeout")]
    stream.says(OK[:10])
    rig.time.run_until(100 * MS)
    assert rig.outcomes[2:] == [("a", "in_doubt timeout")]
    assert stream.over == "aborted"
    assert names(rig.dialer.connect()) == ["c"]
    stream.says(OK[10:])  # nobody hears it any more
    rig.time.run()
    assert rig.outcomes[3:] == [("c", "in_doubt timeout")]
    rig.time.run()


def test_a_connect_that_takes_too_long_or_fails_is_not_sent_and_the_next_one_tries_again() -> None:
    rig = Rig(connections_max=1, connect_timeout_s=1.0)
    rig.send("a")
    rig.send("b")
    rig.time.run_until(1 * NS)
    assert rig.outcomes == [("a", "not_sent unreachable")]
    late = rig.dialer.connect()  # too late: nobody wants it
    assert (late.over, late.written) == ("aborted", [])
    rig.dialer.refuse()
    assert rig.outcomes[1:] == [("b", "not_sent unreachable")]
    assert rig.dialer.waiting == []
    rig.send("c")
    assert names(rig.dialer.connect()) == ["c"]


def test_a_connection_that_comes_when_its_request_has_given_up_is_kept_for_another() -> None:
    rig = Rig()
    rig.send("a", within_ns=1 * MS)
    rig.time.run_until(1 * MS)
    assert rig.outcomes == [("a", "not_sent timeout")]
    stream = rig.dialer.connect()
    assert stream.written == []
    rig.send("b")
    assert names(stream) == ["b"]


def test_a_lane_that_did_anything_unexpected_is_never_used_again() -> None:
    rig = Rig()
    for spoil in ("says", "ends"):
        stream = rig.kept()
        if spoil == "says":
            stream.says(b"?")
        else:
            stream.ends()
        assert stream.over == "aborted"
        rig.send("a")
        assert stream.written == []
        fresh = rig.dialer.connect()
        fresh.says(OK + b"?")
        assert rig.outcomes.pop() == ("a", "200 ok")
        assert fresh.over == "aborted"
    assert rig.outcomes == []


@pytest.mark.parametrize(("reply", "said"), [(b"", "cut_off"), (OK[:-1], "cut_off"), (b"junk\r\n\r\n", "garbled")])
def test_what_was_written_is_in_doubt_without_a_whole_reply(reply: bytes, said: str) -> None:
    rig = Rig(connections_max=1)
    stream = rig.kept()
    rig.send("a")
    rig.send("b")
    if reply:
        stream.says(reply)
    stream.ends("reset")
    assert rig.outcomes == [("a", f"in_doubt {said}")]
    assert names(rig.dialer.connect()) == ["b"]


def test_who_hears_of_a_reply_may_send_at_once_over_the_same_lane() -> None:
    rig = Rig(connections_max=1)
    stream = rig.kept()
    left = 3

    def again(outcome: Outcome) -> None:
        nonlocal left
        assert isinstance(outcome, WireReply)
        left -= 1
        if left:
            rig.transport.send(order(str(left), by_ns=NS), again)

    rig.transport.send(order("3", by_ns=NS), again)
    while left:
        stream.says(OK)
    assert names(stream) == ["3", "2", "1"]


def test_closing_answers_everybody_and_opens_nothing_more() -> None:
    rig = Rig(connections_max=1, warm=1)
    rig.dialer.connect()
    rig.send("a")
    rig.send("b")
    rig.transport.close()
    assert rig.outcomes == [("b", "not_sent closed"), ("a", "in_doubt closed")]
    assert rig.dialer.streams[0].over == "aborted"
    rig.send("c")
    assert rig.outcomes[2:] == [("c", "not_sent closed")]
    rig.transport.close()
    rig.time.run()
    assert rig.dialer.waiting == []


# --- warm connections -------------------------------------------------------------------------------------------------


def test_warm_connections_stand_before_they_are_wanted_and_are_renewed() -> None:
    rig = Rig(warm=2)
    first, second = rig.dialer.connect(), rig.dialer.connect()
    rig.send("a")
    assert (names(second), rig.dialer.waiting) == (["a"], [])
    second.says(OK)
    rig.time.run_until(10 * NS)
    assert (first.over, second.over) == ("closed", "closed")
    assert len(rig.dialer.waiting) == 2
    third = rig.dialer.connect()
    third.ends()
    assert len(rig.dialer.waiting) == 2


def test_a_warm_connection_that_cannot_be_made_is_tried_again_once_a_second() -> None:
    rig = Rig(warm=1)
    dials = 0
    for _ in range(3):
        while rig.dialer.waiting:
            rig.dialer.refuse()
            dials += 1
        rig.time.run_until(rig.time.now_ns() + NS)
    assert dials == 3
    rig.send("a")
    assert rig.outcomes == []
    assert names(rig.dialer.connect()) == ["a"]


def test_without_warm_connections_an_idle_transport_wants_no_time() -> None:
    rig = Rig()
    rig.kept()
    rig.time.run()
    at_ns = rig.time.now_ns()
    rig.time.run()
    assert rig.time.now_ns() == at_ns


# --- making one -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bounds", [{"connections_max": 0}, {"waiting_max": -1}, {"warm": 9}, {"warm": -1}])
def test_impossible_bounds_are_refused(bounds: dict[str, int]) -> None:
    with pytest.raises(CallerError):
        LeanSettings(**bounds)


def test_tcp_wants_an_asyncio_loop() -> None:
    with pytest.raises(CallerError, match="asyncio"):
        TcpNet(tls=None, timeout_s=1.0, outgoing_bytes_max=1)


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("http://a.example", ("a.example", 80, False, b"a.example")),
        ("https://a.example/", ("a.example", 443, True, b"a.example")),
        ("https://A.example:8443", ("a.example", 8443, True, b"A.example:8443")),
        ("http://[::1]:81", ("::1", 81, False, b"[::1]:81")),
    ],
)
def test_a_base_address_is_taken_apart(address: str, parts: tuple[str, int, bool, bytes]) -> None:
    assert base_address(address) == parts


@pytest.mark.parametrize(
    "address", ["http://a:port", "http://a:99999", "http://[::1", "http:///", "http://a?b", "http://a#b"]
)
def test_other_addresses_are_refused(address: str) -> None:
    with pytest.raises(CallerError, match="base address"):
        base_address(address)


def test_reaches_are_what_the_router_knows() -> None:
    rig = Rig()
    outcomes: list[Outcome] = []
    rig.transport.close()
    rig.transport.send(order(), outcomes.append)
    assert outcomes == [Broken(reach=Reach.NOT_SENT, cause=Cause.CLOSED, text="the transport is closed")]


def test_who_cannot_leave_in_time_is_told_so_before_its_deadline() -> None:
    """An order that waits for a connection is not sent late, and its sender hears of it while that still matters."""
    rig = Rig(connections_max=1)
    busy = rig.kept()
    rig.send("busy")
    late = order("late")
    late.leave_by_ns = rig.time.now_ns() + 400 * MS
    rig.transport.send(late, lambda outcome: rig.outcomes.append(("late", f"{outcome}")))
    rig.time.run_until(rig.time.now_ns() + 399 * MS)
    assert rig.outcomes == []
    rig.time.run_until(rig.time.now_ns() + 1 * MS)
    assert [name for name, _ in rig.outcomes] == ["late"]
    busy.says(OK)
    assert names(busy) == ["busy"]
