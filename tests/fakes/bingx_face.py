"""A client of the BingX emulator that knows only the venue's pages: requests into the app, frames out of it.

It signs by itself, so that nothing of ours is checked against itself.
"""

from __future__ import annotations

import gzip
import hashlib
import hmac
from collections.abc import Callable, Mapping
from urllib.parse import quote, urlencode

import msgspec

from sor.sim.world import VirtualScheduler
from sor.units import MS, NS
from venues.bingx.emulator.emulator import BingxEmulator, EmulatorSettings
from venues.bingx.emulator.market import start_quiet
from venues.bingx.environments import EMULATOR_HEDGE_KEY, EMULATOR_HEDGE_SECRET, EMULATOR_KEY, EMULATOR_SECRET
from venues.emulation.app import HttpReply, HttpRequest, SocketHandler
from venues.emulation.faults import ByteFault

START_NS = 1_760_000_000 * NS
KEYS = {"one-way": (EMULATOR_KEY, EMULATOR_SECRET), "hedge": (EMULATOR_HEDGE_KEY, EMULATOR_HEDGE_SECRET)}

Json = dict[str, object]


def sign(text: str, secret: str) -> str:
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


class Reply:
    """One answer: HTTP and JSON."""

    def __init__(self, raw: HttpReply, at_ns: int) -> None:
        self.raw = raw
        self.status = raw.status
        self.at_ns = at_ns

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode().lower(): value.decode() for name, value in self.raw.headers}

    @property
    def json(self) -> Json:
        return msgspec.json.decode(self.raw.body, type=dict[str, object])

    @property
    def code(self) -> object:
        return self.json["code"]

    @property
    def data(self) -> object:
        assert self.code == 0, self.raw.body
        return self.json["data"]

    def at(self, *path: str | int) -> object:
        """A member of the data."""
        found = self.data
        for step in path:
            if isinstance(found, dict):
                found = found[step]
            else:
                assert isinstance(found, list)
                assert isinstance(step, int)
                found = found[step]
        return found


class Wire:
    """The server's end of a socket, as far as the emulator sees it; keeps what was sent."""

    def __init__(self, scheduler: VirtualScheduler) -> None:
        self._scheduler = scheduler
        self.frames: list[tuple[int, bytes]] = []
        self.ended = ""

    def send_text(self, payload: bytes) -> None:
        raise AssertionError("BingX sends binary frames only")

    def send_binary(self, payload: bytes) -> None:
        assert not self.ended
        self.frames.append((self._scheduler.now_ns(), gzip.decompress(payload)))

    def ping(self, payload: bytes = b"") -> None:
        raise AssertionError("BingX sends no ping frames")

    def close(self, code: int = 1000, reason: str = "") -> None:
        self.ended = "close"

    def drop(self) -> None:
        self.ended = "drop"

    def abort(self) -> None:
        self.ended = "abort"

    def strike(self, *faults: ByteFault) -> None:
        raise AssertionError("not asked for")


class Socket:
    """A client's socket in virtual time; answers pings unless told not to."""

    def __init__(self, face: Face, target: str, *, pongs: bool = True) -> None:
        self.wire = Wire(face.time)
        answer = face.app.socket(HttpRequest(method="GET", target=target.encode()), self.wire)
        self.refused = answer if isinstance(answer, HttpReply) else None
        self._handler: SocketHandler | None = None if isinstance(answer, HttpReply) else answer
        self._face = face
        self._read = 0
        if pongs:
            self._pong()

    def say(self, message: str | Json) -> None:
        assert self._handler is not None
        text = message.encode() if isinstance(message, str) else msgspec.json.encode(message)
        self._handler.received(text, text=True)

    def subscribe(self, topic: str, wish_id: str = "1") -> None:
        self.say({"id": wish_id, "reqType": "sub", "dataType": topic})

    def leave(self) -> None:
        assert self._handler is not None
        self._handler.closed("gone")

    def news(self) -> list[Json]:
        """Messages since the last call, pings left out."""
        new = [message for _, message in self.wire.frames[self._read :] if message != b"Ping"]
        self._read = len(self.wire.frames)
        return [msgspec.json.decode(message, type=dict[str, object]) for message in new]

    def pings_ms(self) -> list[int]:
        """When pings came, in ms since the start."""
        return [(at_ns - START_NS) // MS for at_ns, message in self.wire.frames if message == b"Ping"]

    def _pong(self) -> None:
        if self._handler is not None and not self.wire.ended:
            self._handler.received(b"Pong", text=True)
            self._face.time.call_at(self._face.time.now_ns() + 5 * NS, self._pong)


class Face:
    """The emulator in virtual time with a market that stands still, and a client of it."""

    def __init__(self, settings: EmulatorSettings | None = None, *, market: bool = True) -> None:
        self.time = VirtualScheduler(START_NS)
        self.app = BingxEmulator(self.time, settings)
        if market:
            start_quiet(self.app.exchange)

    def run(self, ms: int) -> None:
        """Let time pass."""
        self.time.run_until(self.time.now_ns() + ms * MS)

    def send(
        self,
        method: str,
        target: str,
        *,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        answered: Callable[[HttpReply], None] | None = None,
    ) -> Reply | None:
        """One request as it is; None when no answer came within the call."""
        replies: list[Reply] = []

        def answer(reply: HttpReply) -> None:
            replies.append(Reply(reply, self.time.now_ns()))
            if answered is not None:
                answered(reply)

        raw = tuple((name.lower().encode(), value.encode()) for name, value in (headers or {}).items())
        self.app.request(HttpRequest(method=method, target=target.encode(), headers=raw, body=body), answer)
        return replies[0] if replies else None

    def public(self, path: str, **parameters: str) -> Reply:
        """A public call."""
        reply = self.send("GET", f"/openApi/swap/{path}?{urlencode(parameters)}")
        assert reply is not None
        return reply

    def target(self, path: str, account: str = "one-way", /, **parameters: object) -> str:
        """Path and signed query: sorted keys, plain values signed, encoded ones sent."""
        said = {key: str(value) for key, value in parameters.items()}
        said["timestamp"] = str(self.app.exchange.now_ms())
        text = "&".join([f"{key}={said[key]}" for key in sorted(said)])
        encoded = "&".join([f"{key}={quote(said[key], safe='')}" for key in sorted(said)])
        full = path if path.startswith("/") else f"/openApi/swap/{path}"
        return f"{full}?{encoded}&signature={sign(text, KEYS[account][1])}"

    def start(self, method: str, path: str, account: str = "one-way", /, **parameters: object) -> list[Reply]:
        """A signed call; its answer is in the list as soon as there is one."""
        replies: list[Reply] = []
        self.send(
            method,
            self.target(path, account, **parameters),
            headers={"X-BX-APIKEY": KEYS[account][0]},
            answered=lambda reply: replies.append(Reply(reply, self.time.now_ns())),
        )
        return replies

    def call(self, method: str, path: str, account: str = "one-way", /, **parameters: object) -> Reply:
        """A signed call that is answered at once."""
        replies = self.start(method, path, account, **parameters)
        assert len(replies) == 1
        return replies[0]

    def order(self, account: str = "one-way", /, **parameters: object) -> Reply:
        """A new order; by default 0.01 BTC bought at market in one-way mode."""
        terms: dict[str, object] = {"symbol": "BTC-USDT", "side": "BUY", "positionSide": "BOTH", "type": "MARKET"}
        terms |= {"quantity": "0.01"} | parameters
        return self.call("POST", "v2/trade/order", account, **{key: one for key, one in terms.items() if one != ""})

    def market_socket(self, *, pongs: bool = True) -> Socket:
        return Socket(self, "/swap-market", pongs=pongs)

    def listen_key(self, account: str = "one-way") -> str:
        key = self.call("POST", "/openApi/user/auth/userDataStream", account).json["listenKey"]
        assert isinstance(key, str)
        return key

    def account_socket(self, account: str = "one-way", *, pongs: bool = True) -> Socket:
        return Socket(self, f"/swap-market?listenKey={self.listen_key(account)}", pongs=pongs)
