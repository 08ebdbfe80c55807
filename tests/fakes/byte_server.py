"""A server on loopback that does with every connection, byte by byte, what a test tells it."""

from __future__ import annotations

import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import anyio
import anyio.abc
import anyio.lowlevel

from tests.fakes.patience import until


class Connection:
    """One accepted connection: what has come in, and what to answer."""

    def __init__(self, stream: anyio.abc.SocketStream, requests: list[bytes]) -> None:
        self.stream = stream
        self._requests = requests
        self._rest = b""

    async def request(self) -> bytes:
        """The next whole request, body included; b"" when the client has gone."""
        while b"\r\n\r\n" not in self._rest:
            if not await self._more():
                return b""
        head, _, _ = self._rest.partition(b"\r\n\r\n")
        length = 0
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        while len(self._rest) < len(head) + 4 + length:
            if not await self._more():
                return b""
        whole, self._rest = self._rest[: len(head) + 4 + length], self._rest[len(head) + 4 + length :]
        self._requests.append(whole)
        return whole

    async def receive(self) -> bytes:
        """Whatever comes next; b"" when the client has gone."""
        if not self._rest and not await self._more():
            return b""
        got, self._rest = self._rest, b""
        return got

    async def send(self, *parts: bytes) -> None:
        """Write, in pieces that the client sees apart as far as TCP allows."""
        for part in parts:
            await self.stream.send(part)
            await anyio.sleep(0.001 if len(parts) > 1 else 0)

    async def reset(self) -> None:
        """End with RST instead of FIN."""
        raw = self.stream.extra(anyio.abc.SocketAttribute.raw_socket)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await self.stream.aclose()

    async def _more(self) -> bool:
        try:
            self._rest += await self.stream.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            return False
        return True


Script = Callable[[Connection], Awaitable[None]]
TURNS = 5
"""Of the loop, after which it has looked at every socket and called who reads from it."""


class ByteServer:
    """Its port, the requests it read, and how many connections it accepted and was done with."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.requests: list[bytes] = []
        self.connections = 0
        self.ended = 0

    @property
    def url(self) -> str:
        """Base address for a transport."""
        return f"http://127.0.0.1:{self.port}"

    async def parted(self, connections: int) -> None:
        """Come back when so many connections have ended and the client, on this loop, has been told."""
        await until(lambda: self.ended >= connections)
        for _ in range(TURNS):
            await anyio.lowlevel.checkpoint()


@asynccontextmanager
async def serving(*scripts: Script) -> AsyncIterator[ByteServer]:
    """Serve on a free port: the n-th connection gets the n-th script, later ones the last; closed after its end."""
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        server = ByteServer(listener.extra(anyio.abc.SocketAttribute.local_port))

        async def handle(stream: anyio.abc.SocketStream) -> None:
            script = scripts[min(server.connections, len(scripts) - 1)]
            server.connections += 1
            # The client may go in the middle of it.
            with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
                async with stream:
                    await script(Connection(stream, server.requests))
            server.ended += 1

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, handle)
            try:
                yield server
            finally:
                tasks.cancel_scope.cancel()
