"""A server on TCP, on loopback only, on asyncio and trio.

Sockets are used as they are and not through a stream library: a reset has to leave as a reset, pieces as pieces, and
what is written as soon as it is said.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable

import anyio
import anyio.abc

from sor.errors import CallerError
from venues.emulation.connection import Connection
from venues.emulation.server import Server

HOST = "127.0.0.1"
_READ_BYTES = 65_536
_LINGER_S = 2.0
"""How long a closed connection still reads, so that its last bytes are not lost in a reset, and writes."""
_RESET = struct.pack("ii", 1, 0)


async def serve_tcp(server: Server, *, port: int, started: Callable[[int], None], backlog: int = 128) -> None:
    """Serve on 127.0.0.1 until cancelled; port 0 takes a free one, `started` is told which, once it is open.

    Connections beyond the bound wait, `backlog` of them. Raises `CallerError` when the port cannot be had.
    """
    with _listening(port, backlog) as listener:
        started(int(listener.getsockname()[1]))
        slots = anyio.Semaphore(server.limits.connections_max)
        async with anyio.create_task_group() as tasks:
            while True:
                await slots.acquire()
                tasks.start_soon(_live, server, await _accepted(listener), slots)


def _listening(port: int, backlog: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setblocking(False)
        # A port whose last connections are still being forgotten is free; one where somebody listens is not.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(backlog)
    except (OSError, OverflowError) as error:
        listener.close()
        why = error.strerror if isinstance(error, OSError) else "there is no such port"
        raise CallerError(
            f"port {port} on {HOST} cannot be had: {why}; nothing was started. Take 0 for a free one"
        ) from error
    return listener


async def _accepted(listener: socket.socket) -> socket.socket:
    while True:
        await anyio.wait_readable(listener)
        try:
            accepted, _ = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            continue
        accepted.setblocking(False)
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return accepted


async def _live(server: Server, sock: socket.socket, slots: anyio.Semaphore) -> None:
    """One connection from its beginning to its end."""
    listener = Connection(server)
    why = "the server stopped"
    stream = _Stream(sock, held_bytes_max=server.limits.held_bytes_max)
    try:
        async with anyio.create_task_group() as tasks:
            stream.tasks = tasks
            listener.connected(stream)
            why = await _read(listener, stream, sock)
            tasks.cancel_scope.cancel()
    finally:
        sock.close()
        slots.release()
        if not stream.ours:
            stream.ours = True
            listener.ended(stream.overflow or why, never_connected=False)


async def _read(listener: Connection, stream: _Stream, sock: socket.socket) -> str:
    """Hand on what comes until the client is done; returns why it ended."""
    while True:
        await anyio.wait_readable(sock)
        try:
            data = sock.recv(_READ_BYTES)
        except BlockingIOError:
            continue
        except OSError:
            return "reset by the client"
        if not data:
            return "closed by the client"
        if not stream.ours:
            listener.received(data)


class _Stream:
    """The way to one client, a `ByteStream`.

    ours        we ended it: nothing is told to the listener any more.
    overflow    what to say of a client that does not read.
    """

    __slots__ = ("_backlog", "_closing", "_held_bytes_max", "_sock", "ours", "overflow", "tasks")

    def __init__(self, sock: socket.socket, *, held_bytes_max: int) -> None:
        self.tasks: anyio.abc.TaskGroup | None = None
        self.ours = False
        self.overflow = ""
        self._sock = sock
        self._held_bytes_max = held_bytes_max
        self._backlog = bytearray()
        self._closing = False

    def write(self, data: bytes) -> None:
        """Send now what the system takes, the rest as soon as it does."""
        if self.ours or self.overflow:
            return
        if self._backlog:
            self._backlog += data
        else:
            sent = self._sent(data)
            if sent < len(data):
                self._backlog += data[sent:]
                self._running.start_soon(self._drain)
        if len(self._backlog) > self._held_bytes_max:
            self.overflow = "the client does not read"
            self._end(reset=True)

    def close(self) -> None:
        """FIN after what was written."""
        if not self.ours:
            self.ours = True
            self._running.cancel_scope.deadline = anyio.current_time() + _LINGER_S
            if not self._backlog:
                self._fin()

    def abort(self) -> None:
        """RST."""
        if not self.ours:
            self.ours = True
            self._end(reset=True)

    @property
    def _running(self) -> anyio.abc.TaskGroup:
        assert self.tasks is not None, "the connection runs before it is written to"
        return self.tasks

    def _end(self, *, reset: bool) -> None:
        if reset:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._running.cancel_scope.cancel()

    def _fin(self) -> None:
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:  # the client was first
            self._end(reset=False)

    def _sent(self, data: bytes | bytearray) -> int:
        try:
            return self._sock.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            return len(data)  # it has gone, as the reader is about to find

    async def _drain(self) -> None:
        """Write what was held back."""
        while self._backlog:
            await anyio.wait_writable(self._sock)
            del self._backlog[: self._sent(self._backlog)]
        if self.ours:
            self._fin()
