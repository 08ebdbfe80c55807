"""WebSocket over picows: the pipe of a `SocketSession` for asyncio and uvloop only, with the extra `fast`.

What it says to a session and what it takes from one is what `link_socket` says and takes, and the same tests run
against both. picows splits frames in compiled code and hands each on from inside the read; what it leaves open is
closed here: bits of extensions that nobody agreed on, fragments, the size of a whole message, and frames behind a
broken one.

The bytes that wait to be written are those that the kernel did not take at once. Where a proxy is to be used, or the
event loop is trio's, use `link_socket`.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import anyio
import anyio.abc

from sor.errors import CallerError, SorError
from venues.plumbing.frames import Address
from venues.plumbing.link_socket import CLOSING_S, LinkSettings
from venues.plumbing.socket import SocketSession

try:
    from picows import (
        WSCloseCode,
        WSFrame,
        WSHandshakeError,
        WSInvalidStatusError,
        WSInvalidURL,
        WSListener,
        WSMsgType,
        WSProtocolError,
        WSTransport,
        ws_connect,
    )
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        "this link needs picows, which the extra `fast` brings: pip install 'sor[fast]'", name="picows"
    ) from missing

# picows logs addresses, and an address may hold a listen key; this logger says nothing.
_SILENT = logging.getLogger(__name__)
_SILENT.setLevel(logging.CRITICAL + 1)

# Bound once: reading a member off its enum takes as long as comparing it.
_TEXT: Final = WSMsgType.TEXT
_BINARY: Final = WSMsgType.BINARY
_PING: Final = WSMsgType.PING
_PONG: Final = WSMsgType.PONG
_CLOSE: Final = WSMsgType.CLOSE
_NO_CODE: Final = 1005


class _Connection(WSListener):
    """One attempt, from address to end; what picows calls."""

    def __init__(self, no: int, settings: LinkSettings, session: SocketSession) -> None:
        self.no = no
        self.scope = anyio.CancelScope()
        self.transport: WSTransport | None = None
        self.closing = False
        self.overflow = False
        self.goodbye = ""
        self.gone = anyio.Event()
        self._settings = settings
        self._session = session
        self._parts: list[bytes] = []
        self._parts_bytes = 0

    def on_ws_connected(self, transport: WSTransport) -> None:
        """The handshake is done."""
        self.transport = transport
        if not self.closing:
            self._session.opened(self.no)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """One frame; it is ours only until this returns."""
        kind = frame.msg_type
        if (kind is _BINARY or kind is _TEXT) and frame.fin and not self._parts:
            if frame.rsv1 or frame.rsv2 or frame.rsv3:
                raise WSProtocolError(WSCloseCode.PROTOCOL_ERROR, "an extension that nobody agreed on")
            # After an error picows reads on for a moment, at whatever place that was.
            if not (self.closing or transport.is_close_frame_sent):
                self._session.received(self.no, frame.get_payload_as_bytes())
        else:
            self._rarely(transport, frame, kind)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """It is over."""
        del transport
        self.gone.set()

    def _rarely(self, transport: WSTransport, frame: WSFrame, kind: WSMsgType) -> None:
        """Everything but a whole message."""
        if frame.rsv1 or frame.rsv2 or frame.rsv3:
            raise WSProtocolError(WSCloseCode.PROTOCOL_ERROR, "an extension that nobody agreed on")
        if kind is _CLOSE:
            code = int.from_bytes(frame.get_payload_as_bytes()[:2]) or _NO_CODE
            self.goodbye = f"closed by the venue: {code} {frame.get_close_reason() or ''}".strip()
            if not transport.is_close_frame_sent:
                transport.send_close(WSCloseCode.OK)
            transport.disconnect()
        elif kind is _PING or kind is _PONG:
            if kind is _PING:
                transport.send_pong(frame.get_payload_as_bytes())
            if not (self.closing or transport.is_close_frame_sent):
                self._session.alive(self.no)
        else:
            self._part(transport, frame, kind)

    def _part(self, transport: WSTransport, frame: WSFrame, kind: WSMsgType) -> None:
        """A fragment of a message, or a message where a fragment belongs."""
        begins = kind is _TEXT or kind is _BINARY
        if begins is bool(self._parts):
            raise WSProtocolError(WSCloseCode.PROTOCOL_ERROR, "a fragment out of its order")
        payload = frame.get_payload_as_bytes()
        self._parts.append(payload)
        self._parts_bytes += len(payload)
        if self._parts_bytes > self._settings.message_bytes_max:
            raise WSProtocolError(WSCloseCode.MESSAGE_TOO_BIG, "a message of too many fragments")
        if frame.fin:
            message = b"".join(self._parts)
            self._parts = []
            self._parts_bytes = 0
            if not (self.closing or transport.is_close_frame_sent):
                self._session.received(self.no, message)

    def written(self, transport: WSTransport) -> None:
        """Something was written: end when the kernel takes too little of it."""
        if transport.underlying_transport.get_write_buffer_size() > self._settings.outgoing_bytes_max:
            self.overflow = True
            self.scope.cancel()


class PicowsLink:
    """A `Pipe`, as `SocketLink` is. Made by `opened`, which owns its tasks; `drive` says whose connections these are.

    locate   where to connect, asked anew for every attempt (a listen key may have to be made). Raises `SorError`.
    """

    def __init__(
        self,
        locate: Callable[[], Awaitable[Address]],
        *,
        tasks: anyio.abc.TaskGroup,
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
    ) -> AsyncIterator[PicowsLink]:
        """A link that lives as long as the block. tls: certificates to trust; None: the system's.

        Raises `CallerError` on another event loop than asyncio's or uvloop's.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            raise CallerError("picows runs on asyncio and uvloop only; nothing was sent. Use SocketLink here") from None
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

    # --- the session's wishes ---------------------------------------------------------------------------------------

    def open(self, no: int) -> None:
        """Start connecting."""
        assert self._session is not None, "only a session opens"
        connection = self._connection = _Connection(no, self._settings, self._session)
        self._tasks.start_soon(self._live, connection)

    def write(self, no: int, payload: bytes) -> None:
        """Send one text message."""
        connection = self._present(no)
        if connection is not None and connection.transport is not None:
            connection.transport.send(_TEXT, payload)
            connection.written(connection.transport)

    def ping(self, no: int) -> None:
        """Send a ping frame."""
        connection = self._present(no)
        if connection is not None and connection.transport is not None:
            connection.transport.send_ping()
            connection.written(connection.transport)

    def close(self, no: int) -> None:
        """Say goodbye if there is somebody to say it to, for at most half a second, and be gone."""
        connection = self._present(no)
        if connection is None:
            return
        self._connection = None
        connection.closing = True
        if connection.transport is None:
            connection.scope.cancel()
        else:
            if not connection.transport.is_close_frame_sent:
                connection.transport.send_close(WSCloseCode.OK)
            connection.scope.deadline = anyio.current_time() + CLOSING_S

    def _present(self, no: int) -> _Connection | None:
        connection = self._connection
        return connection if connection is not None and connection.no == no else None

    # --- one connection ---------------------------------------------------------------------------------------------

    async def _live(self, connection: _Connection) -> None:
        why = "closed"
        try:
            with connection.scope:
                why = await self._talk(connection)
        finally:
            if connection.transport is not None:
                connection.transport.disconnect(graceful=False)
                # A loop that is closed with a transport still about to go, uvloop's waits for it for ever.
                with anyio.move_on_after(CLOSING_S, shield=True):
                    await connection.gone.wait()
        if connection.overflow:
            why = "the venue does not read what we write"
        if self._present(connection.no) is connection:
            self._connection = None
            if self._session is not None and not connection.closing:
                self._session.ended(connection.no, why)

    async def _talk(self, connection: _Connection) -> str:
        """Connect, and stay until it ends; returns why it did."""
        try:
            address = await self._locate()
        except SorError as error:
            return f"no connection: {error}"
        try:
            tls = self._tls
            if tls is None and address.url.startswith("wss:"):
                tls = self._tls = ssl.create_default_context()
            transport, _ = await ws_connect(
                lambda: connection,
                address.url,
                ssl_context=tls,
                websocket_handshake_timeout=None,  # the session has its own, for everything together
                logger_name=_SILENT,
                enable_auto_pong=False,  # a ping is a sign of life, and would not be told
                max_frame_size=self._settings.message_bytes_max,
                extra_headers=[(name.decode(), value.decode()) for name, value in address.headers],
                max_redirects=0,
                use_aiofastnet=False,
            )
        except WSInvalidURL:
            return f"no connection: {address!r} is no ws:// or wss:// address; nothing was sent"
        except WSInvalidStatusError as error:
            return f"the handshake was refused with HTTP {error.response.status.value if error.response else 0}"
        except WSHandshakeError as error:
            return f"the handshake failed: {type(error).__name__.removeprefix('WS').removesuffix('Error')}"
        except OSError as error:
            return f"no connection: {type(error).__name__}"
        if connection.transport is None:  # picows takes an end before any answer for a connection that has ended
            return "the handshake failed: InvalidMessage"
        try:
            await transport.wait_disconnected()
        except WSProtocolError as error:
            big = error.args[0] is WSCloseCode.MESSAGE_TOO_BIG
            return f"not WebSocket: {'PayloadTooBig' if big else 'ProtocolError'}"
        return connection.goodbye or "the connection ended without a close"
