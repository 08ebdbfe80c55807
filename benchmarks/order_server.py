"""A loopback venue for the order lane's rows: a process of its own that answers orders as BingX does, and quickly.

One loop of `epoll`, one `recv` and one `send` a request, no HTTP library: what a client costs must not drown in what
the server costs. Signatures are not checked, orders are not matched; every order is acknowledged as NEW at once.
"""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

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
                client.close()
                continue
            buffer += data
            while (end := buffer.find(b"\r\n\r\n")) >= 0:
                head = bytes(buffer[:end])
                del buffer[: end + 4]  # bodies are empty, as BingX's are
                method, target, _ = head.partition(b"\r\n")[0].split(b" ")
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
