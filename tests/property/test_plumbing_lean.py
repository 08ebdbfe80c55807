"""The lean transport under any mix of events: every request ends once, and what is not sent was never written."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sor.adapter import Reach
from sor.units import MS
from tests.fakes.clock import VirtualClock
from tests.fakes.streams import FakeDialer, FakeStream
from venues.plumbing.link_lean import LeanSettings, LeanTransport
from venues.plumbing.transport import Outcome, WireReply, WireRequest

ACTIONS = st.lists(
    st.sampled_from(
        ["send", "send", "connect", "connect", "answer", "answer", "answer", "part", "stray", "refuse", "end"]
    )
    | st.integers(1, 40),
    max_size=60,
)


def asked(stream: FakeStream) -> list[str]:
    """Names of the requests that a stream was given."""
    return [data.split(b" ")[1][1:].decode() for data in stream.written]


@given(ACTIONS, st.integers(1, 3), st.integers(0, 2), st.integers(0, 1), st.data())
def test_every_request_ends_once_and_with_its_own_reply(
    actions: list[str | int], connections: int, waiting: int, warm: int, data: st.DataObject
) -> None:
    time, dialer = VirtualClock(), FakeDialer()
    settings = LeanSettings(
        connections_max=connections, waiting_max=waiting, warm=warm, connect_timeout_s=0.02, idle_s=0.03
    )
    transport = LeanTransport(dialer, host=b"x", scheduler=time, settings=settings)
    ended: dict[str, list[Outcome]] = {}
    answered: dict[int, int] = {}  # by stream, how many of its requests the server has answered
    partly: dict[int, int] = {}  # by stream, how much of the next answer it has said

    def send() -> None:
        name = f"r{len(ended)}"
        ended[name] = []
        deadline_ns = time.now_ns() + data.draw(st.integers(1, 60)) * MS
        request = WireRequest(method="POST", target=f"/{name}".encode(), deadline_ns=deadline_ns)
        transport.send(request, ended[name].append)

    for action in actions:
        live = [stream for stream in dialer.streams if not stream.over]
        owing = [stream for stream in live if len(stream.written) > answered.get(id(stream), 0)]
        if isinstance(action, int):
            time.run_until(time.now_ns() + action * MS)
        elif action == "send":
            send()
        elif action == "connect" and dialer.waiting:
            dialer.connect()
        elif action == "refuse" and dialer.waiting:
            dialer.refuse()
        elif action in {"answer", "part"} and owing:
            stream = data.draw(st.sampled_from(owing))
            body = asked(stream)[-1].encode()
            whole = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
            said = partly.pop(id(stream), 0)
            if action == "answer":
                answered[id(stream)] = answered.get(id(stream), 0) + 1
                stream.says(whole[said:])
            elif said < len(whole) - 1:
                upto = data.draw(st.integers(said + 1, len(whole) - 1))
                partly[id(stream)] = upto
                stream.says(whole[said:upto])
            else:
                partly[id(stream)] = said
        elif action == "stray" and live:
            data.draw(st.sampled_from(live)).says(b"?")
        elif action == "end" and live:
            data.draw(st.sampled_from(live)).ends()
        assert len([stream for stream in dialer.streams if not stream.over]) <= connections
    transport.close()
    time.run()

    written = [name for stream in dialer.streams for name in asked(stream)]
    assert len(set(written)) == len(written)  # nothing is sent twice
    for name, outcomes in ended.items():
        assert len(outcomes) == 1
        outcome = outcomes[0]
        if isinstance(outcome, WireReply):
            assert outcome.body == name.encode()
        else:
            assert (outcome.reach is Reach.NOT_SENT) is (name not in written)
    assert all(stream.over for stream in dialer.streams)
