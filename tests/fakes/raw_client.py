"""Clients of an emulator that speak in bytes, over memory and over TCP, sharing no code with it."""

from __future__ import annotations

from collections.abc import Sequence

import anyio

from sor.sim.world import VirtualScheduler
from sor.units import MS, NS
from tests.fakes.patience import PATIENCE_S, until
from tests.fakes.tiny_emulator import TinyApp, tcp_bench
from venues.emulation.memory import MemoryNet
from venues.emulation.server import Limits, Server
from venues.plumbing.bytestream import ByteStream

OPEN, CLOSED, RESET = "open", "closed", "reset"
Step = tuple[bytes | str, bytes]
"""What to send, or which fault to switch; and the bytes that come back because of it."""

GET = b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n"
UPGRADE = (
    b"GET /stream HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
"""The handshake of RFC 6455, section 1.3."""
SWITCHED = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)


def reply(body: bytes, *, head: bytes = b"", status: bytes = b"200 OK") -> bytes:
    """What the tiny app answers with."""
    return (
        b"HTTP/1.1 %s\r\nContent-Type: text/plain\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n" % status
        + head
        + b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    )


def masked(payload: bytes, opcode: int = 1, *, fin: bool = True, mask: bytes = b"\x37\xfa\x21\x3d") -> bytes:
    """One frame as clients send them."""
    head = bytes([opcode | (0x80 if fin else 0)])
    length = len(payload)
    if length < 126:
        head += bytes([0x80 | length])
    elif length < 65_536:
        head += b"\xfe" + length.to_bytes(2, "big")
    else:
        head += b"\xff" + length.to_bytes(8, "big")
    return head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


class Recorder:
    """A `ByteListener` that keeps what it is told, with the time."""

    def __init__(self, scheduler: VirtualScheduler) -> None:
        self.scheduler = scheduler
        self.stream: ByteStream | None = None
        self.told: list[tuple[int, str, bytes]] = []

    def connected(self, stream: ByteStream) -> None:
        self.stream = stream
        self.told.append((self.scheduler.now_ns(), "connected", b""))

    def received(self, data: bytes) -> None:
        self.told.append((self.scheduler.now_ns(), "received", data))

    def ended(self, why: str, *, never_connected: bool) -> None:
        self.told.append((self.scheduler.now_ns(), f"never: {why}" if never_connected else why, b""))

    @property
    def pieces(self) -> list[bytes]:
        """What came, as it came."""
        return [data for _, what, data in self.told if what == "received"]

    @property
    def end(self) -> str:
        """How it stands."""
        return {"closed by the other end": CLOSED, "reset by the other end": RESET}.get(self.told[-1][1], OPEN)


class MemoryBench:
    """A tiny app in virtual time, and clients of it."""

    def __init__(self, *, limits: Limits | None = None, up_ns: int = 0, down_ns: int = 0) -> None:
        self.scheduler = VirtualScheduler(0)
        self.app = TinyApp(self.scheduler)
        self.server = Server(self.app, scheduler=self.scheduler, limits=limits)
        self.net = MemoryNet(self.server, up=up_ns, down=down_ns)

    def dial(self) -> Recorder:
        """A connection that stands."""
        client = Recorder(self.scheduler)
        self.net.dial(client)
        self.run()
        return client

    def send(self, client: Recorder, data: bytes) -> None:
        """Write, and let happen what happens within a second."""
        assert client.stream is not None
        client.stream.write(data)
        self.run()

    def run(self, ns: int = 1 * NS) -> None:
        """Let time pass."""
        self.scheduler.run_until(self.scheduler.now_ns() + ns)


class Talk:
    """What one connection came to: bytes for each step, how it ended, and what the app was asked and told."""

    def __init__(self, app: TinyApp, came: Sequence[bytes], end: str) -> None:
        self.seen = (list(came), end, len(app.requests), list(app.closed))


def over_memory(first: Sequence[str], steps: Sequence[Step]) -> Talk:
    """Switch `first`, connect, and go through the steps."""
    bench = MemoryBench(up_ns=MS, down_ns=MS)
    for fault in first:
        assert bench.server.faults.switch(fault)
    client = bench.dial()
    came: list[bytes] = []
    for action, _ in steps:
        before = len(client.pieces)
        if isinstance(action, str):
            assert bench.server.faults.switch(action)
            bench.run()
        else:
            bench.send(client, action)
        came.append(b"".join(client.pieces[before:]))
    return Talk(bench.app, came, client.end)


async def over_tcp(first: Sequence[str], steps: Sequence[Step], *, end_due: str, closed_due: int) -> Talk:
    """The same over TCP.

    end_due, closed_due    how it has to end, and of how many ends the app has to be told in all: for that it is waited.
    """
    async with tcp_bench() as bench:
        for fault in first:
            assert bench.server.faults.switch(fault)
        async with await anyio.connect_tcp("127.0.0.1", bench.port) as stream:
            came: list[bytes] = []
            end = OPEN
            for at, (action, due) in enumerate(steps):
                got = b""
                try:
                    if isinstance(action, str):
                        assert bench.server.faults.switch(action)
                    else:
                        await stream.send(action)
                    with anyio.fail_after(PATIENCE_S):
                        while len(got) < len(due):
                            got += await stream.receive()
                    if at == len(steps) - 1:
                        # What should come is waited for; this long for what should not.
                        with anyio.move_on_after(0.05 if end_due == OPEN else PATIENCE_S):
                            while True:
                                got += await stream.receive()
                except anyio.EndOfStream:
                    end = CLOSED
                except anyio.BrokenResourceError:
                    end = RESET
                came.append(got)
        await until(lambda: len(bench.app.closed) >= closed_due)
        return Talk(bench.app, came, end)
