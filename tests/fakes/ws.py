"""The server's side of WebSocket by hand, so that it shares no code with what it tests (RFC 6455)."""

from __future__ import annotations

import hashlib
from base64 import b64encode

from tests.fakes.byte_server import Connection

TEXT, BINARY, CLOSE, PING, PONG, CONT = 1, 2, 8, 9, 10, 0


def accept(request: bytes) -> bytes:
    """The answer that takes a handshake request."""
    key = next(line[18:].strip() for line in request.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key:"))
    proof = b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + proof + b"\r\n\r\n"
    )


def frame(payload: bytes, opcode: int = TEXT, *, fin: bool = True) -> bytes:
    """One unmasked frame, as servers send them."""
    length = len(payload)
    head = bytes([opcode | (0x80 if fin else 0)])
    if length < 126:
        return head + bytes([length]) + payload
    if length < 65_536:
        return head + b"\x7e" + length.to_bytes(2, "big") + payload
    return head + b"\x7f" + length.to_bytes(8, "big") + payload


def unmasked(data: bytes) -> list[tuple[int, bytes]]:
    """(opcode, payload) of each whole masked frame, as clients send them; short payloads only."""
    frames: list[tuple[int, bytes]] = []
    while len(data) >= 6:
        opcode, length = data[0] & 15, data[1] & 127
        assert data[1] & 128, "a client masks every frame"
        start = 2
        if length == 126:
            length, start = int.from_bytes(data[2:4], "big"), 4
        mask, body = data[start : start + 4], data[start + 4 : start + 4 + length]
        frames.append((opcode, bytes(byte ^ mask[index % 4] for index, byte in enumerate(body))))
        data = data[start + 4 + length :]
    return frames


class ServerSocket:
    """A connection after the handshake."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._frames: list[tuple[int, bytes]] = []

    @classmethod
    async def accepted(cls, connection: Connection) -> ServerSocket:
        """Take the handshake."""
        await connection.send(accept(await connection.request()))
        return cls(connection)

    async def next(self) -> tuple[int, bytes]:
        """The next frame from the client, or (-1, b"") when it has gone."""
        while not self._frames:
            data = await self.connection.receive()
            if not data:
                return -1, b""
            self._frames += unmasked(data)
        return self._frames.pop(0)
