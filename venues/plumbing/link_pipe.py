"""WebSocket over plain byte streams: the lean pipe of a `SocketSession`.

No task per connection: what arrives is read, handed on and answered inside the call that brings it. The same code runs
over TCP and TLS (`link_tcp`, asyncio only, uvloop too) and, under virtual time, over an emulator's memory.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio

from sor.errors import CallerError, SorError
from venues.plumbing.bytestream import ByteStream, Dialer
from venues.plumbing.frames import Address, Control, Ended, Frames, Message, Opened
from venues.plumbing.link_socket import LinkSettings
from venues.plumbing.link_tcp import tcp_net
from venues.plumbing.socket import SocketSession

CONNECT_TIMEOUT_S = 10.0
"""For DNS, TCP and TLS; the session's own patience may be shorter."""

Located = Callable[[Address | SorError], None]
Locate = Callable[[Located], object]
"""Where to connect, asked anew for every attempt and answered once, at once or later."""


class _Connection:
    """One attempt, from address to end; a `ByteListener`."""

    __slots__ = ("frames", "no", "pipe", "stream")

    def __init__(self, pipe: StreamPipe, no: int) -> None:
        self.pipe = pipe
        self.no = no
        self.frames: Frames | None = None
        self.stream: ByteStream | None = None

    def located(self, answer: Address | SorError) -> None:
        """Where it goes to, or why that could not be found out."""
        if self.pipe.present(self.no) is self and self.frames is None:
            self.pipe.dial(self, answer)

    def connected(self, stream: ByteStream) -> None:
        """It stands: shake hands."""
        if self.pipe.present(self.no) is not self:
            stream.abort()
            return
        self.stream = stream
        self.flush()

    def received(self, data: bytes) -> None:
        """Hand on what came, and answer what wants an answer."""
        pipe, frames = self.pipe, self.frames
        assert frames is not None
        for event in frames.received(data):
            if pipe.present(self.no) is not self:
                return  # somebody who was told has closed it
            if isinstance(event, Message):
                pipe.session.received(self.no, event.payload)
            elif isinstance(event, Control):
                pipe.session.alive(self.no)
            elif isinstance(event, Opened):
                pipe.session.opened(self.no)
            elif isinstance(event, Ended):
                self.flush()
                pipe.over(self, event.text)
                return
        self.flush()

    def ended(self, why: str, *, never_connected: bool) -> None:
        """It is over, or never came about."""
        if never_connected:
            self.pipe.over(self, f"no connection: {why}")
        elif self.frames is not None:
            texts = [event.text for event in self.frames.received(b"") if isinstance(event, Ended)]
            self.pipe.over(self, ": ".join([*texts, why]))

    def flush(self) -> None:
        """Write what there is to write."""
        if self.frames is not None and self.stream is not None:
            outgoing = self.frames.outgoing()
            if outgoing:
                self.stream.write(outgoing)


class StreamPipe:
    """A `Pipe` over byte streams. Plain calls; `opened` makes one over TCP. `drive` says whose connections these are.

    dialer_to    what reaches the host and port of these frames.
    """

    def __init__(
        self,
        locate: Locate,
        dialer_to: Callable[[Frames], Dialer],
        *,
        message_bytes_max: int = LinkSettings().message_bytes_max,
    ) -> None:
        self._locate = locate
        self._dialer_to = dialer_to
        self._message_bytes_max = message_bytes_max
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
    ) -> AsyncIterator[StreamPipe]:
        """A pipe over TCP that lives as long as the block, as `link_socket.SocketLink.opened`. On asyncio only.

        locate   where to connect, asked anew for every attempt. Raises `SorError`.
        tls      certificates to trust; None: the system's.
        """
        bounds = settings or LinkSettings()
        net_of = tcp_net(tls=tls, timeout_s=CONNECT_TIMEOUT_S, outgoing_bytes_max=bounds.outgoing_bytes_max)
        async with net_of as net, anyio.create_task_group() as tasks:

            async def find(located: Located) -> None:
                try:
                    answer: Address | SorError = await locate()
                except SorError as error:
                    answer = error
                located(answer)

            pipe = cls(
                lambda located: tasks.start_soon(find, located),
                lambda frames: net.dialer(frames.host, frames.port, secure=frames.secure),
                message_bytes_max=bounds.message_bytes_max,
            )
            try:
                yield pipe
            finally:
                if pipe._session is not None:
                    pipe._session.close()
                tasks.cancel_scope.cancel()

    def drive(self, session: SocketSession) -> None:
        """Tell this session what happens, and start it."""
        if self._session is not None:
            raise CallerError("a pipe drives one session; nothing was sent")
        self._session = session
        session.start()

    def cut(self, why: str) -> None:
        """What carried the connection is gone, and nobody has said goodbye."""
        if self._connection is not None:
            self.over(self._connection, why)

    # --- the session's wishes -----------------------------------------------------------------------------------------

    def open(self, no: int) -> None:
        """Start connecting."""
        connection = self._connection = _Connection(self, no)
        self._locate(connection.located)

    def write(self, no: int, payload: bytes) -> None:
        """Send one text message."""
        connection = self.present(no)
        if connection is not None and connection.frames is not None:
            connection.frames.send(payload)
            connection.flush()

    def ping(self, no: int) -> None:
        """Send a ping frame."""
        connection = self.present(no)
        if connection is not None and connection.frames is not None:
            connection.frames.ping()
            connection.flush()

    def close(self, no: int) -> None:
        """Say goodbye if there is somebody to say it to, and be gone."""
        connection = self.present(no)
        if connection is None:
            return
        self._connection = None
        if connection.frames is not None and connection.stream is not None:
            connection.frames.close()
            connection.flush()
            connection.stream.close()

    # --- for its connections ------------------------------------------------------------------------------------------

    @property
    def session(self) -> SocketSession:
        """Whose connections these are."""
        assert self._session is not None
        return self._session

    def present(self, no: int) -> _Connection | None:
        """The connection of this number, unless it is over."""
        connection = self._connection
        return connection if connection is not None and connection.no == no else None

    def dial(self, connection: _Connection, where: Address | SorError) -> None:
        """Connect to an address, once it is known."""
        try:
            if isinstance(where, SorError):
                raise where
            connection.frames = Frames(where, message_bytes_max=self._message_bytes_max)
        except SorError as error:
            self.over(connection, f"no connection: {error}")
            return
        self._dialer_to(connection.frames).dial(connection)

    def over(self, connection: _Connection, why: str) -> None:
        """A connection has ended by itself."""
        if self.present(connection.no) is not connection:
            return
        self._connection = None
        if connection.stream is not None:
            connection.stream.close()
        self.session.ended(connection.no, why)
