"""The BingX emulator whole: over memory and TCP, from the command line's entry point, and its control endpoint."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import anyio
import httpx
import msgspec
import pytest

from sor.clock import LoopScheduler
from sor.emulation import Emulator, Serving
from sor.errors import CallerError
from sor.sim.world import VirtualScheduler
from sor.tape import save_tape
from sor.units import MS, NS
from tests.fakes.bingx_face import START_NS, Face, Json, Reply
from tests.fakes.patience import PATIENCE_S
from tests.fakes.raw_client import Recorder
from tests.fakes.tapes import Group, tape_of
from venues.bingx.emulator.emulator import BingxEmulator, open_emulator
from venues.bingx.emulator.market import start_quiet, start_synthetic
from venues.bingx.environments import EMULATOR_PORT
from venues.emulation.memory import MemoryNet
from venues.emulation.server import Server

TERMS = {"symbol": "BTC-USDT", "side": "BUY", "positionSide": "BOTH", "type": "MARKET", "quantity": "0.01"}


# --- the control endpoint ---------------------------------------------------------------------------------------------


def control(face: Face, method: str, name: str, body: object = None) -> Reply:
    reply = face.send(method, f"/_emulator/{name}", body=b"" if body is None else msgspec.json.encode(body))
    assert reply is not None
    return reply


def test_faults_are_listed_switched_and_cleared() -> None:
    face = Face()
    listed = control(face, "GET", "faults").json
    assert (listed["on"], listed["struck"], listed["bytes"]) == ({}, {}, [])
    switches = ["answer-late=ms=5,count=1", "reset=after_bytes=3"]
    assert control(face, "POST", "faults", {"switch": switches}).status == 200
    on = control(face, "GET", "faults").json
    assert list(on["on"] if isinstance(on["on"], dict) else ()) == ["answer-late"]
    assert on["bytes"] == ["Reset(after_bytes=3)"]
    wrong = control(face, "POST", "faults", {"switch": ["answer-never", "nonsense"]})
    assert (wrong.status, list(face.app.faults.active())) == (400, ["answer-late"])
    assert "no fault 'nonsense'" in str(wrong.json["error"])
    assert control(face, "POST", "faults", {"wrong": 1}).status == 400
    assert control(face, "POST", "faults", {"switch": "-answer-late"}).json == {}
    control(face, "POST", "faults", {"switch": "clock-skew"})
    assert control(face, "DELETE", "faults").json == {}
    assert control(face, "GET", "time").json == {"true_ns": START_NS, "venue_ns": START_NS}
    assert control(face, "GET", "faults").json["bytes"] == []


def test_requests_are_counted_by_endpoint_and_account() -> None:
    face = Face()
    face.call("GET", "v2/user/positions")
    control(face, "DELETE", "requests")
    face.run(250)
    face.order()
    face.order("hedge", positionSide="LONG")
    face.order()
    face.public("v2/server/time")
    found = control(face, "GET", "requests").json
    counts, arrivals = found["counts"], found["arrivals"]
    assert isinstance(counts, list)
    assert isinstance(arrivals, list)
    order = "/openApi/swap/v2/trade/order"
    assert [(one["method"], one["path"], one["account"], one["requests"]) for one in counts] == [
        ("POST", order, "one-way", 2),
        ("POST", order, "hedge", 1),
        ("GET", "/openApi/swap/v2/server/time", "", 1),
    ]
    assert [one["at_ns"] for one in arrivals] == [START_NS + 250 * MS] * 4
    assert counts[0]["n_bytes"] == arrivals[0]["n_bytes"] + arrivals[2]["n_bytes"] > 400
    only = control(face, "GET", "requests?path=server").json["arrivals"]
    assert isinstance(only, list)
    assert [one["path"] for one in only] == ["/openApi/swap/v2/server/time"]


def test_a_request_is_as_many_bytes_as_it_was_on_the_wire() -> None:
    face = Face()
    face.send("POST", "/openApi/x?a=1", body=b"12345", headers={"Host": "h"})
    [one] = face.app.ledger.arrivals()
    assert one.n_bytes == len(b"POST /openApi/x?a=1 HTTP/1.1\r\nhost: h\r\n\r\n12345")


def test_the_books_and_what_others_do() -> None:
    face = Face()
    face.run(1_000)
    face.order()
    terms = {"account": "one-way", "symbol": "BTC-USDT", "side": "SELL", "type": "LIMIT", "price": "60500"}
    foreign = control(face, "POST", "order", {**terms, "quantity": 0.02, "positionSide": "BOTH"})
    assert (foreign.status, foreign.json["state"], foreign.json["qty"]) == (200, "NEW", "0.0200")
    assert control(face, "POST", "order", {**terms, "account": "nobody"}).status == 400
    assert control(face, "POST", "order", {**terms, "quantity": 0.02, "positionSide": "LONG"}).json["code"] == 109400
    trade = {"symbol": "BTC-USDT", "side": "SELL", "qty": "0.05", "price": "59999.9"}
    assert control(face, "POST", "trade", trade).json == {"traded": "0.0500"}
    assert control(face, "POST", "trade", {**trade, "symbol": "NONE-USDT"}).json["code"] == 109425
    assert control(face, "POST", "trade", {**trade, "side": "UP"}).status == 400
    assert control(face, "POST", "funding", {"symbol": "BTC-USDT"}).json == {}
    assert face.call("GET", "v2/user/income", incomeType="FUNDING_FEE").at(0, "symbol") == "BTC-USDT"
    books = control(face, "GET", "audit").json
    accounts = books["accounts"]
    assert isinstance(accounts, list)
    assert books["broken"] == []
    assert [len(one["orders"]) for one in accounts] == [2, 0]
    assert accounts[0]["positions"][0]["qty_lots"] == 100
    assert accounts[0]["accepted"] == 2


def test_what_there_is() -> None:
    face = Face()
    face.market_socket()
    assert control(face, "GET", "sockets").json == {"market": 1, "account": 0}
    index = face.send("GET", "/_emulator/")
    assert index is not None
    assert "GET /_emulator/audit" in msgspec.json.decode(index.raw.body, type=list[str])
    assert control(face, "GET", "nothing").status == 404


# --- over memory ------------------------------------------------------------------------------------------------------


class Line:
    """One connection to an emulator over memory, in bytes."""

    def __init__(self, time: VirtualScheduler, net: MemoryNet) -> None:
        self._time = time
        self.client = Recorder(time)
        net.dial(self.client)
        self.run(10)

    def run(self, ms: int) -> bytes:
        """Let time pass; what came."""
        before = len(self.client.pieces)
        self._time.run_until(self._time.now_ns() + ms * MS)
        return b"".join(self.client.pieces[before:])

    def send(self, data: bytes, *, ms: int = 100) -> bytes:
        assert self.client.stream is not None
        self.client.stream.write(data)
        return self.run(ms)


def frames(data: bytes) -> list[bytes]:
    """Messages of whole unmasked binary frames."""
    found: list[bytes] = []
    while data:
        assert data[0] == 0x82, data[:20]
        length, at = data[1], 2
        if length == 126:
            length, at = int.from_bytes(data[2:4], "big"), 4
        found.append(gzip.decompress(data[at : at + length]))
        data = data[at + length :]
    return found


def test_the_same_course_of_bytes_each_time() -> None:
    def course() -> tuple[list[bytes], bytes]:
        time = VirtualScheduler(START_NS)
        app = BingxEmulator(time)
        start_synthetic(app.exchange, seed="7")
        net = MemoryNet(Server(app, scheduler=time, faults=app.byte_faults), up=2 * MS, down=3 * MS)
        upgrade = (
            b"GET /swap-market HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        socket, plain = Line(time, net), Line(time, net)
        assert socket.send(upgrade).startswith(b"HTTP/1.1 101 ")
        wish = msgspec.json.encode({"id": "1", "reqType": "sub", "dataType": "BTC-USDT@incrDepth"})
        came = socket.send(b"\x81" + bytes([0x80 | len(wish)]) + bytes(4) + wish, ms=3_000)
        return frames(came), plain.send(b"GET /openApi/swap/v2/server/time HTTP/1.1\r\nHost: x\r\n\r\n")

    first, second = course(), course()
    assert first == second
    messages, reply = first
    told = [msgspec.json.decode(one, type=dict[str, object]) for one in messages if one != b"Ping"]
    assert told[0]["code"] == 0
    books = [one["data"] for one in told[1:]]
    assert [one["action"] for one in books if isinstance(one, dict)][:3] == ["all", "update", "update"]
    assert reply.startswith(b"HTTP/1.1 200 ")
    assert b'"serverTime":17600000' in reply


def test_byte_faults_strike_answers() -> None:
    time = VirtualScheduler(START_NS)
    app = BingxEmulator(time)
    start_quiet(app.exchange)
    net = MemoryNet(Server(app, scheduler=time, faults=app.byte_faults))
    app.switch("cut-off=after_bytes=20")
    line = Line(time, net)
    assert len(line.send(b"GET /openApi/swap/v2/server/time HTTP/1.1\r\nHost: x\r\n\r\n")) == 20
    assert line.client.end == "closed"


# --- served -----------------------------------------------------------------------------------------------------------


async def with_served(emulator: Emulator, use: Callable[[Serving], None]) -> None:
    """Serve on a free port, and use it from a thread."""
    scheduler = LoopScheduler()
    up: list[Serving] = []
    ready = anyio.Event()

    def started(serving: Serving) -> None:
        up.append(serving)
        ready.set()

    async def serve() -> None:
        await emulator.serve(port=0, scheduler=scheduler, started=started)

    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(scheduler.run)
            tasks.start_soon(serve)
            await ready.wait()
            await anyio.to_thread.run_sync(use, up[0])
            scheduler.stop()
            tasks.cancel_scope.cancel()


@pytest.mark.anyio
async def test_the_entry_point_serves_what_the_options_say() -> None:
    emulator = open_emulator({"synthetic": "5", "symbol": "newusdt,BTC-USDT", "speed": "2"})
    assert isinstance(emulator, Emulator)
    assert emulator.port == EMULATOR_PORT
    emulator.switch("read-busy=count=1")
    emulator.switch("rate-limited")
    emulator.switch("-rate-limited")
    with pytest.raises(CallerError, match="no fault"):
        emulator.switch("-nonsense")

    def use(serving: Serving) -> None:
        with httpx.Client(base_url=serving.addresses["rest"], timeout=PATIENCE_S) as client:
            busy: Json = client.get("/openApi/swap/v2/server/time").json()
            assert busy["code"] == 109500
            emulator.switch("maintenance=count=1")
            assert client.get("/openApi/swap/v2/server/time").status_code == 503
            rows = client.get("/openApi/swap/v2/quote/contracts").json()["data"]
        symbols = ["BTC-USDT", "ETH-USDT", "COARSE-USDT", "PAUSED-USDT", "NCSKEXAMPLE2USD-USDT", "NEW-USDT"]
        assert [row["symbol"] for row in rows] == symbols
        assert serving.notes["symbols"] == ", ".join(symbols)

    await with_served(emulator, use)


@pytest.mark.anyio
async def test_a_tape_is_played_in_a_contract_of_its_own_steps(tmp_path: Path) -> None:
    levels = [(side, 600_000 - side * distance, 5_000) for side in (1, -1) for distance in (5, 6, 7)]
    groups = [Group(START_NS + n * NS, START_NS + n * NS, levels, snapshot=n == 0) for n in range(3)]
    save_tape(tape_of(groups), tmp_path / "tape", findings=(), source=(), importer="test")
    emulator = open_emulator({"tape": str(tmp_path / "tape")})

    def use(serving: Serving) -> None:
        with httpx.Client(base_url=serving.addresses["rest"], timeout=PATIENCE_S) as client:
            rows = client.get("/openApi/swap/v2/quote/contracts").json()["data"]
            digits = rows[0]["pricePrecision"]
            book = client.get(f"/openApi/swap/v2/quote/depth?symbol={rows[0]['symbol']}&limit=5").json()["data"]
        assert [len(book[side]) for side in ("bids", "asks")] == [3, 3]
        assert len(book["bids"][0][0].partition(".")[2]) == digits

    await with_served(emulator, use)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"colour": "red"}, "no option 'colour'"),
        ({"speed": "fast"}, "option speed"),
        ({"speed": "0"}, "option speed"),
        ({"symbol": "BTC-EUR"}, "USDT"),
        ({"tape": "nowhere"}, "no tape"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, str], why: str) -> None:
    with pytest.raises(CallerError, match=why):
        open_emulator(options)


def test_pings_go_by_the_venues_clock_and_at_the_right_time() -> None:
    face = Face()
    socket = face.market_socket()
    face.run(4_000)
    face.app.switch("clock-skew=ms=-3600000")
    face.run(6_000)
    assert socket.pings_ms() == [5_000, 10_000]
    assert face.time.now_ns() == START_NS + 10 * NS
