"""What came in: requests by endpoint and account, with the times at which they arrived and how large they were."""

from __future__ import annotations

from collections import deque

import msgspec

from venues.emulation.app import HttpRequest

ARRIVALS_MAX = 20_000
"""Kept one by one; the oldest go, the counts stay."""


class Arrival(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One request. account: "" where nobody's key stood in it. n_bytes: of request line, headers and body."""

    at_ns: int
    method: str
    path: str
    account: str
    n_bytes: int


class Count(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Requests of one account to one endpoint."""

    method: str
    path: str
    account: str
    requests: int
    n_bytes: int


class Ledger:
    """Every request since the start, or since the counts were begun anew."""

    def __init__(self) -> None:
        self._arrivals: deque[Arrival] = deque(maxlen=ARRIVALS_MAX)
        self._counts: dict[tuple[str, str, str], tuple[int, int]] = {}

    def arrived(self, request: HttpRequest, *, account: str, at_ns: int) -> None:
        """Note one."""
        n_bytes = len(request.method) + len(request.target) + len(b"  HTTP/1.1\r\n\r\n") + len(request.body)
        n_bytes += sum([len(name) + len(value) + len(b": \r\n") for name, value in request.headers])
        method, path = request.method, request.path
        self._arrivals.append(Arrival(at_ns=at_ns, method=method, path=path, account=account, n_bytes=n_bytes))
        key = method, path, account
        requests, total = self._counts.get(key, (0, 0))
        self._counts[key] = requests + 1, total + n_bytes

    def counts(self) -> list[Count]:
        """In the order of the first request of each."""
        return [
            Count(method=method, path=path, account=account, requests=requests, n_bytes=n_bytes)
            for (method, path, account), (requests, n_bytes) in self._counts.items()
        ]

    def arrivals(self, *, path: str = "") -> list[Arrival]:
        """One by one, oldest first; only those whose path holds this text."""
        return [one for one in self._arrivals if path in one.path]

    def clear(self) -> None:
        """Begin anew."""
        self._arrivals.clear()
        self._counts.clear()
