"""A loopback venue for the order lane's rows: a process of its own that answers orders as BingX does, and quickly.

One loop of `epoll`, one `recv` and one `send` a request, no HTTP library: what a client costs must not drown in what
the server costs. Signatures are not checked, orders are not matched; every order is acknowledged as NEW at once.

It also speaks the market socket: whoever subscribes to a book gets one whose best ask is away, and each `GET /next`
moves that ask to where `ASK_NEAR` is, or back. The answer to it says when that frame was about to be sent, on the
monotonic clock that processes share.
"""

from __future__ import annotations

import hashlib
import os
import select
import socket
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from benchmarks.book_server import framed

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: keep-alive\r\n"
_LIMITS = b"X-RateLimit-Requests-Remain: 499\r\nX-RateLimit-Requests-Expire: 10000\r\n"
_ACK = (
    b'{"code":0,"msg":"","data":{"order":{"orderId":%d,"orderID":"%d","symbol":"%b","positionSide":"%b",'
    b'"side":"%b","type":"%b","price":%b,"quantity":%b,"quoteOrderQty":0,"stopPrice":0,"workingType":"MARK_PRICE",'
    b'"clientOrderID":"%b","clientOrderId":"%b","timeInForce":"%b","priceRate":0,"stopLoss":"","takeProfit":"",'
    b'"reduceOnly":false,"activationPrice":0,"closePosition":"","stopGuaranteed":"","status":"%b","avgPrice":"",'
    b'"executedQty":"0.000"}}}'
)
_ORDER = b"/openApi/swap/v2/trade/order"
FIRST_ID = 2_000_000_000_000_000_001


_CONTRACT = (
    b'[{"symbol":"BTC-USDT","quantityPrecision":4,"pricePrecision":1,"makerFeeRate":0.0002,"takerFeeRate":0.0005,'
    b'"tradeMinQuantity":0.0001,"tradeMinUSDT":2,"currency":"USDT","asset":"BTC","status":1,"apiStateOpen":"true",'
    b'"apiStateClose":"true"}]'
)
_READS = {
    b"/openApi/swap/v2/quote/contracts": _CONTRACT,
    b"/openApi/swap/v2/user/commissionRate": (
        b'{"commission":{"takerCommissionRate":0.0005,"makerCommissionRate":0.0002}}'
    ),
    b"/openApi/swap/v3/user/balance": (
        b'[{"userId":"1","asset":"USDT","balance":"1000","equity":"1000","unrealizedProfit":"0","realisedProfit":"0",'
        b'"availableMargin":"1000","usedMargin":"0","freezedMargin":"0","shortUid":"1"}]'
    ),
    b"/openApi/swap/v1/positionSide/dual": b'{"dualSidePosition":"false"}',
    b"/openApi/swap/v1/tradingRules": b'{"marketRatio":"0.05"}',
    b"/openApi/user/auth/userDataStream": b'{"listenKey":"benchmarklistenkey"}',
}
"""What a session asks for when it opens, and is told."""


def answer(method: bytes, target: bytes, number: int) -> bytes:
    """The reply to one request: an acknowledgement, what a cancel is answered, or what an opening session asks for."""
    path, _, query = target.partition(b"?")
    terms = dict(pair.partition(b"=")[::2] for pair in query.split(b"&"))
    name = terms.get(b"clientOrderId") or terms.get(b"clientOrderID", b"")
    if path in _READS:
        body = b'{"code":0,"msg":"","data":%b}' % _READS[path]
    elif path == b"/openApi/swap/v2/server/time":
        body = b'{"code":0,"msg":"","data":{"serverTime":%d}}' % (time.time_ns() // 1_000_000)
    elif path != _ORDER:
        print(path.decode(), file=sys.stderr)
        body = b'{"code":100400,"msg":"no such path","data":{}}'
    else:
        word = b"CANCELLED" if method == b"DELETE" else b"NEW"
        number = int(terms.get(b"orderId", number))
        body = _ACK % (
            *(number, number, terms.get(b"symbol", b""), terms.get(b"positionSide", b"BOTH")),
            *(terms.get(b"side", b"BUY"), terms.get(b"type", b"LIMIT"), terms.get(b"price", b"0")),
            *(terms.get(b"quantity", b"0"), name, name, terms.get(b"timeInForce", b"GTC"), word),
        )
    return b"%b%bContent-Length: %d\r\n\r\n%b" % (_HEAD, _LIMITS, len(body), body)


ASK_NEAR, ASK_AWAY = "59999.5", "60000.1"
_DEPTH = 20


class Market:
    """The market socket's side: who listens to which topic, and where the ask is."""

    def __init__(self) -> None:
        self.listeners: list[tuple[socket.socket, str]] = []
        self._near = False
        self._id = 10

    def heard(self, client: socket.socket, payload: bytes) -> None:
        """A frame of a client: a subscription, or an answer to nothing."""
        if not payload.startswith(b"{"):
            return
        asked = msgspec.json.decode(payload, type=dict[str, str])
        topic = asked["dataType"]
        answer = {"id": asked["id"], "code": 0, "msg": "", "dataType": "", "data": None}
        client.sendall(framed(msgspec.json.encode(answer), packed=True))
        if asked["reqType"] != "sub":
            self.listeners = [each for each in self.listeners if each != (client, topic)]
        elif topic.endswith("@markPrice"):
            mark = {"e": "markPriceUpdate", "E": _now_ms(), "s": "BTC-USDT", "p": "60000.0"}
            client.sendall(_frame(topic, {"data": mark}))
        elif "depth" in topic.lower():
            client.sendall(self._book(topic, first=True))
            self.listeners.append((client, topic))

    def next(self) -> int:
        """Move the ask; returns when the first frame of that was about to be sent."""
        self._near = not self._near
        self._id += 1
        frames = [(client, self._book(topic, first=False)) for client, topic in self.listeners]
        sent_ns = time.monotonic_ns()
        for client, frame in frames:
            client.sendall(frame)
        return sent_ns

    def gone(self, client: socket.socket) -> None:
        """A client has left."""
        self.listeners = [each for each in self.listeners if each[0] is not client]

    def _book(self, topic: str, *, first: bool) -> bytes:
        bids = [[f"{59_999 - place}.0", "1.2345"] for place in range(_DEPTH)]
        asks = [[f"{60_000 + place}.1", "1.2345"] for place in range(_DEPTH - 1)]
        if "incrDepth" not in topic:
            near = [[ASK_NEAR, "1.0000"]] if self._near else [["60500.1", "1.0000"]]
            data: dict[str, object] = {"bids": bids, "asks": sorted([*near, *asks], key=lambda level: float(level[0]))}
            return _frame(topic, {"ts": _now_ms(), "data": data})
        if not first:
            asks = [[ASK_NEAR, "1.0000" if self._near else "0.0000"], *asks]
        action = "all" if first else "update"
        data = {"action": action, "lastUpdateId": self._id, "time": _now_ms(), "bids": bids, "asks": asks}
        return _frame(topic, {"data": data})


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _frame(topic: str, rest: dict[str, object]) -> bytes:
    return framed(msgspec.json.encode({"code": 0, "dataType": topic, **rest}), packed=True)


def unmasked(buffer: bytearray) -> bytes | None:
    """Take the payload of one whole masked frame off a buffer; None when there is none yet."""
    if len(buffer) < 6:
        return None
    start = 4 if buffer[1] & 127 == 126 else 2
    length = int.from_bytes(buffer[2:4], "big") if start == 4 else buffer[1] & 127
    if len(buffer) < start + 4 + length:
        return None
    mask = buffer[start : start + 4]
    payload = bytes(byte ^ mask[at % 4] for at, byte in enumerate(buffer[start + 4 : start + 4 + length]))
    del buffer[: start + 4 + length]
    return payload


def accepted(head: bytes) -> bytes:
    """The answer to a WebSocket handshake."""
    key = next(line[18:].strip() for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key:"))
    proof = b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    upgrade = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    return b"%bSec-WebSocket-Accept: %b\r\n\r\n" % (upgrade, proof)


def serve() -> None:
    """Serve on a free port of loopback until standard input ends; the port is the first line of standard output."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    listener.setblocking(False)
    print(listener.getsockname()[1], flush=True)
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    poll.register(sys.stdin.fileno(), select.EPOLLIN | select.EPOLLHUP)
    open_: dict[int, tuple[socket.socket, bytearray]] = {}
    number = FIRST_ID
    market = Market()
    talking: dict[int, None] = {}  # sockets after their handshake
    while True:
        for fd, _ in poll.poll():
            if fd == listener.fileno():
                client, _address = listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                open_[client.fileno()] = (client, bytearray())
                poll.register(client.fileno(), select.EPOLLIN)
                continue
            if fd not in open_:
                return  # standard input: whoever started us has gone
            client, buffer = open_[fd]
            data = client.recv(65_536)
            if not data:
                poll.unregister(fd)
                del open_[fd]
                talking.pop(fd, None)
                market.gone(client)
                client.close()
                continue
            buffer += data
            while fd in talking and (payload := unmasked(buffer)) is not None:
                market.heard(client, payload)
            if fd in talking:
                continue
            while (end := buffer.find(b"\r\n\r\n")) >= 0:
                head = bytes(buffer[:end])
                del buffer[: end + 4]  # bodies are empty, as BingX's are
                method, target, _ = head.partition(b"\r\n")[0].split(b" ")
                if target.startswith(b"/swap-market"):
                    client.sendall(accepted(head))
                    talking[fd] = None
                elif target == b"/next":
                    body = b"%d" % market.next()
                    client.sendall(b"%bContent-Length: %d\r\n\r\n%b" % (_HEAD, len(body), body))
                else:
                    client.sendall(answer(method, target, number))
                    number += 1


@contextmanager
def running() -> Iterator[int]:
    """The server in a process of its own, on the same processors as this one; yields its port."""
    root = Path(__file__).resolve().parents[1]
    environment: Mapping[str, str] = {**os.environ, "PYTHONPATH": str(root)}
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.order_server"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        cwd=root,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.stdin.close()
            process.wait(timeout=5)


if __name__ == "__main__":
    serve()
