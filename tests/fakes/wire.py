"""A transport in virtual time that answers by script, and a venue dialect for tests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from sor.adapter import Reach
from sor.sim.world import VirtualScheduler
from sor.units import MS
from venues.plumbing.client import Usage
from venues.plumbing.keys import HmacSha256, Secret
from venues.plumbing.transport import Broken, Cause, Header, Outcome, WireReply, WireRequest

RTT_NS = 10 * MS


class ScriptedTransport:
    """Answers the n-th request with the n-th entry of the script after a round trip; the last one is repeated.

    An entry is a body, (status, body), (status, body, headers), or a `Broken`.
    """

    def __init__(
        self, time: VirtualScheduler, *script: bytes | tuple[int, bytes] | tuple[int, bytes, Mapping[str, str]] | Broken
    ) -> None:
        self.time = time
        self.script = script
        self.sent: list[tuple[int, WireRequest]] = []

    def send(self, request: WireRequest, on_outcome: Callable[[Outcome], None]) -> None:
        entry = self.script[min(len(self.sent), len(self.script) - 1)]
        sent_ns = self.time.now_ns()
        self.sent.append((sent_ns, request))
        outcome: Outcome
        if isinstance(entry, Broken):
            outcome = entry
        else:
            if isinstance(entry, bytes):
                entry = (200, entry)
            headers: list[Header] = []
            if len(entry) == 3:
                headers = [(name.encode(), value.encode()) for name, value in entry[2].items()]
            outcome = WireReply(
                status=entry[0], headers=headers, body=entry[1], sent_ns=sent_ns, recv_ns=sent_ns + RTT_NS
            )
        self.time.call_at(sent_ns + RTT_NS, lambda: on_outcome(outcome))


NOT_SENT = Broken(reach=Reach.NOT_SENT, cause=Cause.UNREACHABLE, text="refused")
IN_DOUBT = Broken(reach=Reach.IN_DOUBT, cause=Cause.CUT_OFF, text="ReadError")


class PlainDialect:
    """Key in a header, time and signature in the query, the weight used so far in a header of the reply."""

    def __init__(self, *, key: Secret, secret: Secret) -> None:
        self._key = key.reveal().encode()
        self._signer = HmacSha256(secret)

    def request(
        self, *, method: str, path: str, params: str, signed: bool, venue_ms: int, deadline_ns: int
    ) -> WireRequest:
        query = params
        if signed:
            query = f"{params}&timestamp={venue_ms}"
            query += f"&signature={self._signer.hex(query.encode())}"
        return WireRequest(
            method=method, target=f"{path}?{query}".encode(), headers=[(b"X-KEY", self._key)], deadline_ns=deadline_ns
        )

    def usage(self, reply: WireReply) -> Iterable[Usage]:
        used = reply.header(b"x-used")
        if used is not None:
            yield Usage(limit="weight", used=int(used))
        left = reply.header(b"x-left")
        if left is not None:
            yield Usage(limit="weight", remaining=int(left), ends_in_ns=500 * MS)
