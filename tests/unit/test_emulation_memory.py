"""Connections in memory: when bytes arrive, in which order, and the same again."""

from random import Random

from sor.units import MS, NS
from tests.fakes.raw_client import GET, SWITCHED, UPGRADE, MemoryBench, Recorder, masked, reply
from tests.fakes.ws import frame
from venues.emulation.memory import MemoryNet
from venues.emulation.server import Limits


def test_a_connection_takes_a_round_trip_and_so_does_a_request() -> None:
    bench = MemoryBench(up_ns=3 * MS, down_ns=4 * MS)
    client = bench.dial()
    assert client.told == [(7 * MS, "connected", b"")]
    start_ns = bench.scheduler.now_ns()
    bench.send(client, GET % b"/1")
    bench.send(client, GET % b"/later")
    assert client.stream is not None
    client.stream.close()
    bench.run()
    assert client.told[1:] == [
        (start_ns + 7 * MS, "received", reply(b"GET /1")),
        (start_ns + NS + 12 * MS, "received", reply(b"GET /later")),
    ]


def test_nothing_overtakes() -> None:
    """The second write is drawn a shorter way, and waits for the first; a FIN likewise."""
    bench = MemoryBench()
    ways = iter([1, 1, 9, 2, 5, 1])
    net = MemoryNet(bench.server, up=lambda: next(ways) * MS, down=0)
    client = Recorder(bench.scheduler)
    net.dial(client)
    bench.run(MS)
    assert client.stream is not None
    for data in (b"", GET % b"/1", GET % b"/2"):
        client.stream.write(data)
    bench.run()
    client.stream.write(GET % b"/later")
    client.stream.close()
    client.stream.write(GET % b"/3")
    bench.run()
    assert [(at_ns, data) for at_ns, _, data in client.told] == [
        (1 * MS, b""),
        (2 * MS, reply(b"GET /1")),
        (10 * MS, reply(b"GET /2")),
    ]
    assert [request.target for request in bench.app.requests] == [b"/1", b"/2", b"/later"]


def test_connects_are_refused_or_swallowed() -> None:
    bench = MemoryBench(up_ns=MS, down_ns=2 * MS, limits=Limits(connections_max=1))
    bench.net.refusing = True
    refused = bench.dial()
    bench.net.refusing, bench.net.black_hole = False, True
    swallowed = bench.dial()
    bench.net.black_hole = False
    first, beyond = bench.dial(), bench.dial()
    assert bench.net.standing == 1
    assert first.stream is not None
    first.stream.close()
    bench.run()
    assert bench.net.standing == 0
    again = bench.dial()
    bench.run(200 * NS)
    assert [one.told for one in (refused, swallowed, first, beyond, again)] == [
        [(3 * MS, "never: connection refused", b"")],
        [(128 * NS, "never: connecting timed out", b"")],
        [(2 * NS + 3 * MS, "connected", b"")],
        [(3 * NS + 3 * MS, "never: connection refused", b"")],
        [(5 * NS + 3 * MS, "connected", b"")],
    ]


def test_what_the_server_ends_is_forgotten() -> None:
    bench = MemoryBench()
    closed, reset = bench.dial(), bench.dial()
    bench.send(closed, GET % b"/bye")
    bench.send(reset, UPGRADE + masked(b"abort"))
    assert bench.net.standing == 0
    bench.send(closed, GET % b"/2")
    assert len(bench.app.requests) == 2
    assert [what for _, what, _ in reset.told] == ["connected", "received", "reset by the other end"]


def test_the_same_seed_gives_the_same_everything() -> None:
    def run(seed: int) -> list[tuple[int, str, bytes]]:
        draw = Random(seed)
        bench = MemoryBench()
        net = MemoryNet(bench.server, up=lambda: draw.randrange(20 * MS), down=lambda: draw.randrange(20 * MS))
        clients = [Recorder(bench.scheduler) for _ in range(3)]
        for client in clients:
            net.dial(client)
        bench.run()
        for no, client in enumerate(clients):
            assert client.stream is not None
            client.stream.write(UPGRADE if no == 2 else GET % b"/later")
            client.stream.write(masked(b"%d" % no) if no == 2 else GET % b"/2")
        bench.run()
        return [one for client in clients for one in client.told]

    told = run(1)
    assert run(1) == told
    assert run(2) != told
    assert [data for _, what, data in told if what == "received"] == [
        *[reply(b"GET /later"), reply(b"GET /2")] * 2,
        SWITCHED,
        frame(b"2"),
    ]
