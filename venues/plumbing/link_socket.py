"""WebSocket over anyio: the pipe of a `SocketSession`, on asyncio and on trio.

One task per connection reads, hands on what came inside the same turn, and writes what was said meanwhile; a second
one writes what is said at other times. Nothing is queued inwards. Outwards the bytes not yet taken by the kernel are
bounded: a venue that does not read is a lost connection.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
import anyio.abc
import msgspec

from sor.errors import CallerError, SorError
from venues.plumbing.frames import Address, Control, Ended, Frames, Message
from venues.plumbing.socket import SocketSession

_READ_BYTES = 262_144
"""As much as asyncio reads at a time: what is more than asked for is copied aside and cut again, once for each part."""
CLOSING_S = 0.5
"""How long a goodbye is waited for."""
_LOST = (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream)


class LinkSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds: size of one message, and bytes that wait to be written."""

    message_bytes_max: int = 16 * 1024 * 1024
    outgoing_bytes_max: int = 1024 * 1024


class _Connection:
    """One attempt, from address to end."""

    __slots__ = ("backlog", "closing", "frames", "no", "overflow", "scope", "wake")

    def __init__(self, no: int) -> None:
        self.no = no
        self.scope = anyio.CancelScope()
        self.frames: Frames | None = None
        self.backlog = bytearray()
        self.closing = False
        self.overflow = False
        self.wake = anyio.Event()


class SocketLink:
    """A `Pipe`. Made by `opened`, which owns its tasks; `drive` says whose connections these are.

    locate   where to connect, asked anew for every attempt (a listen key may have to be made). Raises `SorError`.
    """

    def __init__(
        self,
        locate: Callable[[], Awaitable[Address]],
        *,
        tasks: anyio.abc.TaskGroup | None,
        settings: LinkSettings,
        tls: ssl.SSLContext | None,
    ) -> None:
        self._locate = locate
        self._tasks = tasks
        self._settings = settings
        self._tls = tls
        self._session: SocketSession | None = None
        self._connection: _Connection | None = None

    @classmethod
    @asynccontextmanager
    async def opened(
        cls,
        locate: Callable[[], Awaitable[Address]],
        *,
        settings: LinkSettings | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> AsyncIterator[SocketLink]:
        """A link that lives as long as the block. tls: certificates to trust; None: the system's."""
        async with anyio.create_task_group() as tasks:
            link = cls(locate, tasks=tasks, settings=settings or LinkSettings(), tls=tls)
            try:
                yield link
            finally:
                if link._session is not None:
                    link._session.close()
                tasks.cancel_scope.deadline = anyio.current_time() + CLOSING_S

    def drive(self, session: SocketSession) -> None:
        """Tell this session what happens, and start it."""
        if self._session is not None:
            raise CallerError("a socket link drives one session; nothing was sent")
        self._session = session
        session.start()

    def move(self, tasks: anyio.abc.TaskGroup | None) -> None:
        """From now on connections live among these tasks; None: what stands has died with those of before."""
        self._tasks = tasks
        connection, session = self._connection, self._session
        if tasks is None and connection is not None and session is not None:
            self._connection = None
            session.ended(connection.no, "what carried it has ended")

    # --- the session's wishes ---------------------------------------------------------------------------------------

    def open(self, no: int) -> None:
        """Start connecting."""
        if self._tasks is None:
            assert self._session is not None
            self._session.ended(no, "no connection: the links have ended and are not open yet")
            return
        connection = self._connection = _Connection(no)
        self._tasks.start_soon(self._live, connection)

    def write(self, no: int, payload: bytes) -> None:
        """Send one text message."""
        connection = self._present(no)
        if connection is not None and connection.frames is not None:
            connection.frames.send(payload)
            self._flush(connection, connection.frames)

    def ping(self, no: int) -> None:
        """Send a ping frame."""
        connection = self._present(no)
        if connection is not None and connection.frames is not None:
            connection.frames.ping()
            self._flush(connection, connection.frames)

    def close(self, no: int) -> None:
        """Say goodbye if there is somebody to say it to, for at most half a second, and be gone."""
        connection = self._present(no)
        if connection is None:
            return
        self._connection = None
        connection.closing = True
        if connection.frames is None:
            connection.scope.cancel()
        else:
            connection.frames.close()
            connection.scope.deadline = anyio.current_time() + CLOSING_S
            self._flush(connection, connection.frames)

    def _present(self, no: int) -> _Connection | None:
        connection = self._connection
        return connection if connection is not None and connection.no == no else None

    # --- one connection ---------------------------------------------------------------------------------------------

    async def _live(self, connection: _Connection) -> None:
        why = "closed"
        with connection.scope:
            try:
                address = await self._locate()
                frames = Frames(address, message_bytes_max=self._settings.message_bytes_max)
                stream = await self._connect(frames)
            except (SorError, *_LOST) as error:
                text = str(error) if isinstance(error, SorError) else type(error).__name__
                why = f"no connection: {text}"
            else:
                async with stream:
                    connection.frames = frames
                    why = await self._talk(connection, frames, stream)
        if connection.overflow:
            why = "the venue does not read what we write"
        self._say_ended(connection, why)

    async def _connect(self, frames: Frames) -> anyio.abc.ByteStream:
        if not frames.secure:
            return await anyio.connect_tcp(frames.host, frames.port)
        tls = self._tls = self._tls or ssl.create_default_context()
        # Venues end without a TLS goodbye; a WebSocket message cannot be cut short unnoticed, it has its length.
        return await anyio.connect_tcp(
            frames.host, frames.port, ssl_context=tls, tls_hostname=frames.host, tls_standard_compatible=False
        )

    async def _talk(self, connection: _Connection, frames: Frames, stream: anyio.abc.ByteStream) -> str:
        """Read and write until it ends; returns why it did."""
        self._flush(connection, frames)  # the handshake
        reasons: list[str] = []
        async with anyio.create_task_group() as both:

            async def read() -> None:
                reasons.append(await self._read(connection, frames, stream))
                both.cancel_scope.cancel()

            async def write() -> None:
                reasons.append(await self._write(connection, stream))
                both.cancel_scope.cancel()

            both.start_soon(read)
            both.start_soon(write)
        return reasons[0] if reasons else "closed"

    async def _read(self, connection: _Connection, frames: Frames, stream: anyio.abc.ByteStream) -> str:
        while True:
            try:
                data = await stream.receive(_READ_BYTES)
            except _LOST:
                data = b""
            session = self._session
            for event in frames.received(data):
                if isinstance(event, Ended):
                    return event.text
                if session is None or connection.closing:
                    continue
                if isinstance(event, Message):
                    session.received(connection.no, event.payload)
                elif isinstance(event, Control):
                    session.alive(connection.no)
                else:
                    session.opened(connection.no)
            self._flush(connection, frames)

    async def _write(self, connection: _Connection, stream: anyio.abc.ByteStream) -> str:
        while True:
            while connection.backlog:
                batch = bytes(connection.backlog)
                connection.backlog.clear()
                try:
                    await stream.send(batch)
                except _LOST as error:
                    return f"writing failed: {type(error).__name__}"
            await connection.wake.wait()
            connection.wake = anyio.Event()

    def _flush(self, connection: _Connection, frames: Frames) -> None:
        """Hand to the writer what was said."""
        connection.backlog += frames.outgoing()
        if len(connection.backlog) > self._settings.outgoing_bytes_max:
            connection.overflow = True
            connection.scope.cancel()
        if connection.backlog:
            connection.wake.set()

    def _say_ended(self, connection: _Connection, why: str) -> None:
        if self._present(connection.no) is connection:
            self._connection = None
            if self._session is not None and not connection.closing:
                self._session.ended(connection.no, why)
