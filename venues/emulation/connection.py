"""One connection of an emulator: bytes in, bytes out, HTTP/1.1 and WebSocket on one port.

Rules
- Plain calls: the carrier says what came, the app says what goes; nothing here waits. h11 reads and writes HTTP and
  wsproto frames, so both speak as others do, and a client's mistakes get the answers that others would give.
- Requests of one connection are answered in their order: a pipelined one is not looked at before the one ahead of it
  is answered, and if that never happens, never.
- Everything a client can make grow has a bound (`Limits`).
- Faults change how bytes leave, never what the app is told; see `faults`.
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as NotBase64
from email.utils import formatdate
from http import HTTPStatus

import h11
from wsproto.utilities import generate_accept_token

from sor.units import NS
from venues.emulation.app import Answer, Header, HttpReply, HttpRequest
from venues.emulation.faults import ByteFault, Chunked, CloseOnReuse, CutOff, Hits, Interim, Reset
from venues.emulation.server import Server
from venues.emulation.valve import Valve
from venues.emulation.websocket import Session
from venues.plumbing.bytestream import ByteStream

_OURS = frozenset({b"content-length", b"transfer-encoding"})
_BODILESS = frozenset({204, 304})
_SOCKET_VERSION = b"13"
_HEAD_TOO_LARGE = 431


class Connection:
    """The server's end of one connection, a `ByteListener`."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._valve: Valve | None = None
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=server.limits.head_bytes_max)
        self._socket: Session | None = None
        self._faults: tuple[ByteFault, ...] = ()
        """Those of HTTP replies that hold for this whole connection."""
        self._head: h11.Request | None = None
        self._body = bytearray()
        self._ahead = bytearray()
        """What came while an answer was due."""
        self._awaiting = False
        self._advancing = False
        self._on_reuse: CloseOnReuse | None = None

    # --- from the carrier -------------------------------------------------------------------------------------------

    def connected(self, stream: ByteStream) -> None:
        """It stands."""
        server = self._server
        self._valve = Valve(
            stream, scheduler=server.scheduler, held_bytes_max=server.limits.held_bytes_max, cut=self._cut
        )
        server.faults.entered(self)
        self.strike(*server.faults.take(Hits.CONNECTION))

    def received(self, data: bytes) -> None:
        """Some bytes from the client, cut anywhere."""
        valve = self._out
        if valve.sealed:
            return
        if self._socket is not None:
            self._socket.received(data)
        elif self._on_reuse is not None:
            self._lose_reuse(self._on_reuse)
        elif self._awaiting:
            self._ahead += data
            if len(self._ahead) > self._server.limits.ahead_bytes_max:
                valve.finish(Reset())
        else:
            self._http.receive_data(data)
            self._advance()

    def ended(self, why: str, *, never_connected: bool) -> None:
        """The client has gone."""
        assert not never_connected, "a server does not dial"
        self._server.faults.left(self)
        silent, self._out.sealed = self._out.silent, True
        # Of a half-open connection nothing comes in, its end neither.
        if self._socket is not None and not silent:
            self._socket.lost(why)

    # --- from the app and the switchboard ---------------------------------------------------------------------------

    def strike(self, *faults: ByteFault) -> None:
        """These byte faults, from now on."""
        for fault in faults:
            if isinstance(fault, Chunked | Interim | CloseOnReuse):
                self._faults += (fault,)
            else:
                self._out.strike(fault)

    @property
    def _out(self) -> Valve:
        assert self._valve is not None, "connected comes first"
        return self._valve

    def _cut(self, why: str) -> None:
        """A fault ended it, perhaps within a call of the app's: it is told from a call of its own."""
        self._server.faults.left(self)
        if self._socket is not None:
            self._socket.cut(why)

    def close(self) -> None:
        """FIN after what was written."""
        self._server.faults.left(self)
        self._out.close()

    def abort(self) -> None:
        """RST now."""
        self._server.faults.left(self)
        self._out.abort()

    def _lose_reuse(self, fault: CloseOnReuse) -> None:
        self._out.finish(Reset() if fault.reset else CutOff())

    # --- HTTP -------------------------------------------------------------------------------------------------------

    def _advance(self) -> None:
        """Look at what has come, as far as may be. An app that answers at once comes back here: the loop goes on."""
        if self._advancing:
            return
        self._advancing = True
        while not (self._awaiting or self._out.sealed) and self._socket is None:
            if not self._next():
                break
        self._advancing = False

    def _next(self) -> bool:
        """One event of the HTTP reader; False when there is nothing more to look at."""
        http, limits = self._http, self._server.limits
        try:
            event = http.next_event()
        except h11.RemoteProtocolError as error:
            if error.error_status_hint == _HEAD_TOO_LARGE:
                self._refuse(_HEAD_TOO_LARGE, "the head is too large")
            else:
                # Not the bytes themselves, which may be signed.
                self._refuse(error.error_status_hint, f"{error}".partition(": bytearray")[0])
            return False
        if isinstance(event, h11.Request):
            if self._on_reuse is not None:
                self._lose_reuse(self._on_reuse)
                return False
            self._head = event
            # h11 bounds what is incomplete; a head that comes in one piece is not to have more.
            if _head_bytes(event) > limits.head_bytes_max:
                self._refuse(_HEAD_TOO_LARGE, "the head is too large")
                return False
            declared = dict(event.headers).get(b"content-length", b"0")
            if int(declared) > limits.body_bytes_max:
                self._refuse(413, "the body is too large")
                return False
            if http.they_are_waiting_for_100_continue:
                self._out.send(http.send(h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue")))
            return True
        if isinstance(event, h11.Data):
            self._body += event.data
            if len(self._body) > limits.body_bytes_max:
                self._refuse(413, "the body is too large")
                return False
            return True
        if isinstance(event, h11.EndOfMessage):
            self._whole()
            return True
        return False

    def _whole(self) -> None:
        """A request has come in full."""
        head, self._head = self._head, None
        assert head is not None, "h11 gives the head first"
        request = HttpRequest(
            method=head.method.decode("ascii"),
            target=head.target,
            headers=tuple((name, value) for name, value in head.headers),
            body=bytes(self._body),
        )
        self._body.clear()
        if request.method == "CONNECT":
            self._refuse(405, "this is no proxy")
        elif request.method == "GET" and b"websocket" in _tokens(request, b"upgrade"):
            self._handshake(request)
        else:
            self._awaiting = True
            self._server.app.request(request, self._answer(request))

    def _answer(self, request: HttpRequest) -> Answer:
        answered = False

        def answer(reply: HttpReply) -> None:
            nonlocal answered
            assert not answered, f"{request!r} is answered twice"
            answered = True
            if self._out.sealed:
                return
            self._awaiting = False
            self._reply(request, reply)
            if self._ahead and not self._out.sealed:
                self._http.receive_data(bytes(self._ahead))
                self._ahead.clear()
            self._advance()

        return answer

    def _reply(self, request: HttpRequest, reply: HttpReply) -> None:
        """Write one reply, and be ready for the next request if there may be one."""
        http = self._http
        armed = self._server.faults.take(Hits.REPLY, method=request.method, path=request.path)
        faults = (*reply.faults, *armed, *self._faults)
        out = bytearray()
        for fault in faults:
            if isinstance(fault, Interim) and http.our_state is h11.SEND_RESPONSE:  # not before "400", to no request
                interim = h11.InformationalResponse(status_code=fault.status, headers=[], reason=_reason(fault.status))
                for _ in range(fault.replies):
                    out += http.send(interim)
        chunk = next((fault.bytes_each for fault in faults if isinstance(fault, Chunked)), 0)
        headers = self._headers(reply, whole=not chunk)
        out += http.send(h11.Response(status_code=reply.status, headers=headers, reason=_reason(reply.status)))
        if reply.body and request.method != "HEAD" and reply.status not in _BODILESS:
            each = chunk or len(reply.body)
            for start in range(0, len(reply.body), each):
                out += http.send(h11.Data(data=reply.body[start : start + each]))
        out += http.send(h11.EndOfMessage())
        self._out.send(bytes(out), faults)
        self._on_reuse = next((fault for fault in faults if isinstance(fault, CloseOnReuse)), None)
        if http.our_state is h11.DONE and http.their_state is h11.DONE:
            http.start_next_cycle()
        else:
            self.close()

    def _headers(self, reply: HttpReply, *, whole: bool) -> list[Header]:
        headers = [(name, value) for name, value in reply.headers if name.lower() not in _OURS]
        if not any(name.lower() == b"date" for name, _ in headers):
            now_s = self._server.scheduler.now_ns() // NS
            headers.append((b"Date", formatdate(now_s, usegmt=True).encode()))
        if whole and reply.status not in _BODILESS:
            headers.append((b"Content-Length", b"%d" % len(reply.body)))
        return headers

    def _refuse(self, status: int, why: str) -> None:
        """Answer what cannot be read as a request, and close: where the next one begins is anybody's guess."""
        if self._http.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            headers: list[Header] = [(b"Content-Type", b"text/plain; charset=utf-8"), (b"Connection", b"close")]
            method = self._head.method.decode("ascii") if self._head is not None else ""
            refused = HttpRequest(method=method, target=b"/" if self._head is None else self._head.target)
            self._reply(refused, HttpReply(status=status, headers=tuple(headers), body=f"{why}\n".encode()))
        if not self._out.sealed:
            self.close()

    # --- WebSocket --------------------------------------------------------------------------------------------------

    def _handshake(self, request: HttpRequest) -> None:
        refusal = _bad_handshake(request)
        if refusal is not None:
            self._reply(request, refusal)
            return
        socket = Session(self._server, self, self._out)
        handler = self._server.app.socket(request, socket)
        if isinstance(handler, HttpReply):
            socket.refused()
            self._reply(request, handler)
            return
        accept = generate_accept_token(request.header(b"sec-websocket-key") or b"")
        headers = [(b"Upgrade", b"websocket"), (b"Connection", b"Upgrade"), (b"Sec-WebSocket-Accept", accept)]
        switch = h11.InformationalResponse(status_code=101, headers=headers, reason=b"Switching Protocols")
        handshake = self._http.send(switch)
        rest, _ = self._http.trailing_data
        self._socket = socket
        armed = self._server.faults.take(Hits.REPLY, method=request.method, path=request.path)
        socket.open(handler, handshake, (*armed, *self._faults))
        if rest:
            socket.received(rest)


def _head_bytes(head: h11.Request) -> int:
    """Length of the head of a request, as it is usually spaced."""
    lines = sum(len(name) + len(value) + 4 for name, value in head.headers)
    return len(head.method) + len(head.target) + len(" HTTP/1.1\r\n\r\n ") + lines


def _tokens(request: HttpRequest, name: bytes) -> tuple[bytes, ...]:
    """The comma-separated words of all headers of a name, in lower case."""
    values = [value for each, value in request.headers if each == name]
    return tuple(word.strip().lower() for value in values for word in value.split(b","))


def _bad_handshake(request: HttpRequest) -> HttpReply | None:
    """What is wrong with a WebSocket handshake (RFC 6455, section 4.2.1), as the reply that says so."""
    if request.header(b"sec-websocket-version") != _SOCKET_VERSION:
        return HttpReply(
            status=426, headers=((b"Sec-WebSocket-Version", _SOCKET_VERSION),), body=b"this is version 13 only\n"
        )
    try:
        key = b64decode(request.header(b"sec-websocket-key") or b"", validate=True)
    except NotBase64:
        key = b""
    if len(key) != 16 or b"upgrade" not in _tokens(request, b"connection"):
        return HttpReply(status=400, body=b"this is no WebSocket handshake\n")
    return None


def _reason(status: int) -> bytes:
    """The words that go with a status; b"" for one without."""
    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:
        return b""
