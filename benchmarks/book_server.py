"""A loopback venue for the book's rows: a process of its own that pushes books as fast as they are taken.

It speaks BingX's market socket: a handshake, one subscription that it acknowledges, and then every frame it was made
with, in pieces of many, so that it costs next to nothing beside a client. Frames are made before anybody connects.
Behind the first `LEAD` of them it rests, so that whoever times the others can begin when it has taken those.
"""

from __future__ import annotations

import gzip
import hashlib
import random
import socket
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

TOPICS = {"depth": "BTC-USDT@depth20@200ms", "diff": "BTC-USDT@incrDepth"}
LEVELS = 20
MID_TICKS = 600_000
FIRST_MS = 1_760_000_000_000
STEP_MS = 200
LEAD = 50
"""Messages before the rest: with them a client has connected, imported what it does late, and filled its caches."""
LEAD_MS = FIRST_MS + (LEAD - 1) * STEP_MS
_REST_S = 0.1
_TEXT, _BINARY = 1, 2
_GOODBYE = 0x88


def messages(kind: str, count: int) -> Iterator[bytes]:
    """Books around a mid that wanders, as BingX spells them: 932 bytes of `depth`, about 980 of `diff`.

    kind    `depth`: whole books of `LEVELS` a side. `diff`: such a book, and then updates of as many levels, some of
            which are taken away; the mid stays, as what is not named stays.
    """
    chance = random.Random(7)
    mid = MID_TICKS
    for number in range(count):
        at_ms = FIRST_MS + number * STEP_MS
        if kind == "depth":
            mid += chance.choice((-1, 0, 0, 0, 1))
        bids = ",".join([_level(mid - place, chance, kind, number) for place in range(LEVELS)])
        asks = ",".join([_level(mid + 1 + place, chance, kind, number) for place in range(LEVELS)])
        if kind == "depth":
            text = f'"ts":{at_ms},"data":{{"bids":[{bids}],"asks":[{asks}]}}'
        else:
            action = "update" if number else "all"
            data = f'"action":"{action}","lastUpdateId":{10 + 2 * number},"time":{at_ms}'
            text = f'"data":{{{data},"bids":[{bids}],"asks":[{asks}]}}'
        yield f'{{"code":0,"dataType":"{TOPICS[kind]}",{text}}}'.encode()


def _level(ticks: int, chance: random.Random, kind: str, number: int) -> str:
    lots = chance.randint(1, 99_999)
    if kind == "diff" and number and lots < 5_000:
        lots = 0
    return f'["{ticks // 10}.{ticks % 10}","{lots // 10_000}.{lots % 10_000:04}"]'


def framed(payload: bytes, *, packed: bool) -> bytes:
    """One frame as a server sends it: a gzip member in a binary one, or plain text."""
    if packed:
        payload = gzip.compress(payload, 6, mtime=0)
    first = 0x80 | (_BINARY if packed else _TEXT)
    if len(payload) < 126:
        return bytes([first, len(payload)]) + payload
    return bytes([first, 126]) + len(payload).to_bytes(2, "big") + payload


def serve(kind: str, *, packed: bool, count: int) -> None:
    """Serve on a free port of loopback until standard input ends; the port is the first line of standard output."""
    frames = [framed(message, packed=packed) for message in messages(kind, count)]
    streams = (b"".join(frames[:LEAD]), b"".join(frames[LEAD:]))
    listener = socket.create_server(("127.0.0.1", 0), backlog=8)
    print(listener.getsockname()[1], flush=True)
    threading.Thread(target=_accept, args=(listener, streams, packed), daemon=True).start()
    sys.stdin.read()


def _accept(listener: socket.socket, streams: tuple[bytes, bytes], packed: bool) -> None:
    while True:
        client, _ = listener.accept()
        with client, suppress(OSError):
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _push(client, streams, packed=packed)


def _push(client: socket.socket, streams: tuple[bytes, bytes], *, packed: bool) -> None:
    """One client: handshake, subscription, everything, and then wait for it to leave."""
    head = b""
    while b"\r\n\r\n" not in head:
        head += client.recv(65_536)
    key = next(line[18:].strip() for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key:"))
    proof = b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    client.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
        + proof
        + b"\r\n\r\n"
    )
    asked = msgspec.json.decode(_unmasked(client.recv(65_536)), type=dict[str, object])
    answer = msgspec.json.encode({"id": asked["id"], "code": 0, "msg": "", "dataType": "", "data": None})
    client.sendall(framed(answer, packed=packed) + streams[0])
    time.sleep(_REST_S)
    client.sendall(streams[1])
    while (said := client.recv(65_536)) and said[0] != _GOODBYE:
        pass


def _unmasked(frame: bytes) -> bytes:
    """The payload of one masked frame of under 64 KiB."""
    start = 4 if frame[1] & 127 == 126 else 2
    length = int.from_bytes(frame[2:4], "big") if start == 4 else frame[1] & 127
    mask = frame[start : start + 4]
    return bytes([byte ^ mask[at % 4] for at, byte in enumerate(frame[start + 4 : start + 4 + length])])


@contextmanager
def serving(kind: str, *, packed: bool, count: int) -> Iterator[int]:
    """Such a server for as long as the block runs; its port."""
    command = [sys.executable, "-m", "benchmarks.book_server", kind, "gzip" if packed else "plain", str(count)]
    with subprocess.Popen(
        command, cwd=Path(__file__).parent.parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.stdin.close()


if __name__ == "__main__":
    serve(sys.argv[1], packed=sys.argv[2] == "gzip", count=int(sys.argv[3]))
