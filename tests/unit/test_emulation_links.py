"""Links over memory: requests and a socket to a tiny venue in virtual time. BingX over them: `tests/sim`."""

import pytest

from sor.errors import CallerError
from sor.sim.world import at_once
from sor.units import MS, NS
from tests.fakes.raw_client import MemoryBench
from venues.emulation.links import MemoryLinks
from venues.plumbing.transport import Broken, Cause, Outcome, WireReply, WireRequest

URL = "http://127.0.0.1:8731"


def told(why: str) -> None:
    raise AssertionError(f"memory does not end of itself: {why}")


def asked(outcomes: list[Outcome]) -> list[str]:
    return [one.cause.value if isinstance(one, Broken) else one.body.decode() for one in outcomes]


def test_a_request_and_its_reply_and_nothing_after_the_end() -> None:
    bench = MemoryBench(up_ns=3 * MS, down_ns=4 * MS)
    links = MemoryLinks(bench.net)
    transport = at_once(links.open(URL, scheduler=bench.scheduler, lost=told))
    outcomes: list[Outcome] = []
    transport.send(WireRequest(method="GET", target=b"/1", deadline_ns=NS), outcomes.append)
    bench.run()
    assert isinstance(outcomes[0], WireReply)
    assert outcomes[0].recv_ns == 2 * 7 * MS
    assert dict(bench.app.requests[0].headers)[b"host"] == b"127.0.0.1:8731"
    transport.send(WireRequest(method="GET", target=b"/never", deadline_ns=9 * NS), outcomes.append)
    bench.run()
    at_once(links.close())
    transport.send(WireRequest(method="GET", target=b"/2", deadline_ns=9 * NS), outcomes.append)
    bench.run()
    assert asked(outcomes) == ["GET /1", Cause.CLOSED.value, Cause.CLOSED.value]
    assert bench.net.standing == 0
    at_once(links.close())


def test_they_are_opened_once_and_only_to_a_bare_address() -> None:
    bench = MemoryBench()
    links = MemoryLinks(bench.net)
    with pytest.raises(CallerError, match="base address"):
        at_once(links.open(f"{URL}/path", scheduler=bench.scheduler, lost=told))
    at_once(links.open(URL, scheduler=bench.scheduler, lost=told))
    with pytest.raises(CallerError, match="open already"):
        at_once(links.open(URL, scheduler=bench.scheduler, lost=told))
