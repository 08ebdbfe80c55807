"""TCP and TLS as a `Dialer`: asyncio's protocols, on asyncio and uvloop only.

Bytes are handed on in the call that brings them, without a task and without a copy. trio has no such calls, so the lean
transport and the lean pipe need asyncio; `link_httpx` and `link_socket` run on both.

What a listener raises is somebody's bug. The loop would log it and go on; `tcp_net` ends its block with it instead.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import anyio

from sor.errors import CallerError
from venues.plumbing.bytestream import ByteListener

_CLOSING_S = 0.5


@asynccontextmanager
async def tcp_net(
    *, tls: ssl.SSLContext | None = None, timeout_s: float, outgoing_bytes_max: int = 1024 * 1024
) -> AsyncIterator[TcpNet]:
    """Connections that live no longer than the block, which a failing listener ends.

    tls                 certificates to trust; None: the system's, read when the first secure connection is wanted.
    timeout_s           for DNS, TCP and TLS together.
    outgoing_bytes_max  what the kernel has not taken; more ends a connection.
    Raises `CallerError` where neither asyncio nor uvloop runs.
    """
    net = TcpNet(tls=tls, timeout_s=timeout_s, outgoing_bytes_max=outgoing_bytes_max)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(net.watch)
        try:
            yield net
        finally:
            with anyio.CancelScope(shield=True):
                await net.aclose()
            tasks.cancel_scope.cancel()


class TcpNet:
    """Everything that is dialled and everything that stands. Made by `tcp_net`."""

    def __init__(self, *, tls: ssl.SSLContext | None, timeout_s: float, outgoing_bytes_max: int) -> None:
        try:
            self.loop = asyncio.get_running_loop()
        except RuntimeError:
            raise CallerError(
                "lean connections need asyncio or uvloop, and neither runs here; nothing was sent. Use httpx"
            ) from None
        self.timeout_s = timeout_s
        self.outgoing_bytes_max = outgoing_bytes_max
        self._tls = tls
        self._dials: dict[asyncio.Task[None], None] = {}
        self._streams: dict[TcpStream, None] = {}
        self._failure: asyncio.Future[None] = self.loop.create_future()
        self._fewer = asyncio.Event()

    def dialer(self, host: str, port: int, *, secure: bool) -> TcpDialer:
        """Opens connections to one address."""
        if secure:
            self._tls = self._tls or ssl.create_default_context()
        return TcpDialer(self, host, port, tls=self._tls if secure else None)

    async def watch(self) -> None:
        """Never returns; raises what a listener raised."""
        await asyncio.shield(self._failure)

    async def aclose(self) -> None:
        """Give up what is being dialled and what still stands; come back when everything is gone.

        A connection that was closed by its owner gets half a second to write what it was given.
        """
        for task in tuple(self._dials):
            task.cancel()
        for stream in tuple(self._streams):
            if not stream.closing:
                stream.abort()
        with anyio.move_on_after(_CLOSING_S):
            await self._wait_for_none()
        for stream in tuple(self._streams):
            stream.abort()
        await self._wait_for_none()
        self._failure.cancel()

    async def _wait_for_none(self) -> None:
        while self._dials or self._streams:
            self._fewer.clear()
            await self._fewer.wait()

    # --- for its dialers and connections

    def start(self, task: asyncio.Task[None]) -> None:
        """Something is being dialled."""
        self._dials[task] = None
        task.add_done_callback(self._dialed)

    def opened(self, stream: TcpStream) -> None:
        """One more."""
        self._streams[stream] = None

    def gone(self, stream: TcpStream) -> None:
        """One less."""
        self._streams.pop(stream, None)
        self._fewer.set()

    def failed(self, error: BaseException) -> None:
        """A listener raised."""
        if not self._failure.done():
            self._failure.set_exception(error)

    def _dialed(self, task: asyncio.Task[None]) -> None:
        del self._dials[task]
        self._fewer.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failed(error)


class TcpDialer:
    """A `Dialer` to one address."""

    def __init__(self, net: TcpNet, host: str, port: int, *, tls: ssl.SSLContext | None) -> None:
        self._net = net
        self._host = host
        self._port = port
        self._tls = tls

    def dial(self, listener: ByteListener) -> None:
        """Start connecting; answered by `connected`, or by `ended` with `never_connected`, never within this call."""
        self._net.start(self._net.loop.create_task(self._connect(listener)))

    async def _connect(self, listener: ByteListener) -> None:
        try:
            async with asyncio.timeout(self._net.timeout_s):
                await self._net.loop.create_connection(
                    lambda: TcpStream(listener, self._net),
                    self._host,
                    self._port,
                    ssl=self._tls,
                    server_hostname=self._host if self._tls is not None else None,
                )
        except (OSError, UnicodeError) as error:
            listener.ended(f"{type(error).__name__}: {error}", never_connected=True)


class TcpStream(asyncio.Protocol):
    """One TCP connection, from asyncio's words into those of a `ByteListener`."""

    __slots__ = ("_listener", "_net", "_transport", "_why", "closing")

    def __init__(self, listener: ByteListener, net: TcpNet) -> None:
        self._listener: ByteListener | None = listener
        self._net = net
        self._transport: asyncio.Transport | None = None
        self._why = ""
        self.closing = False

    # --- what asyncio says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It stands, TLS included."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are of no class of asyncio's
        self._transport.set_write_buffer_limits(high=self._net.outgoing_bytes_max)
        self._net.opened(self)
        try:
            if self._listener is not None:
                self._listener.connected(self)
        except Exception as error:  # noqa: BLE001 - handed on: whoever made the net raises it
            self._stumbled(error)

    def data_received(self, data: bytes) -> None:
        """Some bytes."""
        try:
            if self._listener is not None:
                self._listener.received(data)
        except Exception as error:  # noqa: BLE001 - handed on: whoever made the net raises it
            self._stumbled(error)

    def pause_writing(self) -> None:
        """The other side does not read what we write: the connection is as good as lost."""
        self._why = "the venue does not read what we write"
        if self._transport is not None:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        self._net.gone(self)
        listener, self._listener, self._transport = self._listener, None, None
        try:
            if listener is not None:
                why = self._why or ("closed" if exc is None else type(exc).__name__)
                listener.ended(why, never_connected=False)
        except Exception as error:  # noqa: BLE001 - handed on: whoever made the net raises it
            self._stumbled(error)

    def _stumbled(self, error: Exception) -> None:
        self._net.failed(error)
        self.abort()

    # --- what its owner wants

    def write(self, data: bytes) -> None:
        """Send bytes."""
        if self._transport is not None:
            self._transport.write(data)

    def close(self) -> None:
        """Send what was written, then end."""
        self._listener = None
        self.closing = True
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """End now."""
        self._listener = None
        if self._transport is not None:
            self._transport.abort()
