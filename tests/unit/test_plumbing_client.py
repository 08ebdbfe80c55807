"""The signed client: what is sent when, what is sent again, what every trouble is called, and that nothing leaks."""

from __future__ import annotations

import copy
import hmac
import logging
import random
import time as wall
import traceback
from collections.abc import Callable, Mapping
from decimal import Decimal

import msgspec
import pytest

from sor.errors import CallerError, InDoubt, NotSent, RateLimited
from sor.sim.world import VirtualScheduler
from sor.units import MS, NS
from tests.fakes.byte_server import Connection, serving
from tests.fakes.wire import IN_DOUBT, NOT_SENT, RTT_NS, PlainDialect, ScriptedTransport
from venues.plumbing.backoff import Backoff
from venues.plumbing.budget import Budget, Limit, Priority
from venues.plumbing.client import Client, ClientSettings, Endpoint, Fate, Job, Trouble
from venues.plumbing.clock import VenueClock
from venues.plumbing.keys import HmacSha256, Secret, Secrets
from venues.plumbing.link_ask import ask, demand
from venues.plumbing.link_httpx import HttpxTransport
from venues.plumbing.transport import Broken, Outcome, WireReply, WireRequest
from venues.plumbing.verdict import Failure, Kind, by_status

T = 1_760_000_000_000 * MS
KEY, SECRET, TOKEN = "api-key-abcdef", "demo-secret-not-real", "listen-key-123456"


class Envelope(msgspec.Struct):
    code: int
    msg: str = ""
    data: int = 0


CODES: Mapping[int, Kind] = {
    1: Kind.REFUSED,
    2: Kind.THROTTLED,
    3: Kind.SKEWED,
    4: Kind.UNSURE,
}


def read(reply: WireReply) -> int | Failure:
    """The venue of these tests: {"code", "msg", "data"}; data 13 cannot be converted."""
    failure = by_status(reply)
    if failure is not None:
        return failure
    envelope = msgspec.json.decode(reply.body, type=Envelope)
    if envelope.code:
        kind = CODES[envelope.code]
        limits = ("weight",) if kind is Kind.THROTTLED else ()
        return Failure(kind=kind, code=str(envelope.code), text=envelope.msg, limits=limits)
    return int(1 / (Decimal(envelope.data) - 13)) if envelope.data == 13 else envelope.data


Entry = bytes | tuple[int, bytes] | tuple[int, bytes, Mapping[str, str]] | Broken


class Bench:
    """A client in virtual time."""

    def __init__(
        self,
        *script: Entry,
        settings: ClientSettings | None = None,
        time: VirtualScheduler | None = None,
        transport: ScriptedTransport | None = None,
        **limits: int,
    ) -> None:
        self.time = time or VirtualScheduler(T)
        self.transport = transport or ScriptedTransport(self.time, *script)
        self.budget = Budget([Limit(name="weight", capacity=limits.get("weight", 100), window_ns=NS)])
        self.clock = VenueClock(rounding_ns=0)
        self.skews = 0
        key, secret = Secret(KEY), Secret(SECRET)
        self.secrets = Secrets(key, secret)
        self.client = Client(
            transport=self.transport,
            dialect=PlainDialect(key=key, secret=secret),
            budget=self.budget,
            clock=self.clock,
            scheduler=self.time,
            draw=random.Random(1).random,
            secrets=self.secrets,
            on_skew=self.note_skew,
            settings=settings or ClientSettings(backoff=Backoff(first_ns=100 * MS, most_ns=NS)),
        )
        cost = self.budget.cost({"weight": 1})
        self.order = Endpoint(name="place", method="POST", path="/order", read=read, cost=cost)
        self.lookup = Endpoint(name="query", method="GET", path="/order", read=read, cost=cost, idempotent=True)
        self.answers: list[tuple[int, int | Trouble]] = []

    def note_skew(self) -> None:
        self.skews += 1

    def call(self, endpoint: Endpoint[int], params: str = "id=a", *, within_ns: int = 60 * NS) -> Job[int]:
        def note(answer: int | Trouble) -> None:
            self.answers.append((self.time.now_ns() - T, answer))

        return self.client.call(
            endpoint, params, priority=Priority.OPEN, leave_by_ns=self.time.now_ns() + within_ns, on_answer=note
        )

    def answer(self, endpoint: Endpoint[int], **more: int) -> int | Trouble:
        self.call(endpoint, **more)  # type: ignore[arg-type]
        self.time.run_until(self.time.now_ns() + 600 * NS)
        assert len(self.answers) == 1
        return self.answers[0][1]


def trouble(fate: Fate, code: str, text: str, *, name: str = "place", until_ns: int = 0) -> Trouble:
    return Trouble(fate=fate, name=name, code=code, text=text, until_ns=until_ns)


def test_one_request_is_one_round_trip_and_goes_out_at_once() -> None:
    bench = Bench(b'{"code":0,"data":7}')
    bench.call(bench.order)
    assert len(bench.transport.sent) == 1  # before anything else ran
    bench.time.run_until(T + NS)
    assert bench.answers == [(RTT_NS, 7)]


def test_the_signature_is_that_of_the_venues_time_at_leaving() -> None:
    bench = Bench(b'{"code":0}', weight=1)
    bench.clock.sample(sent_ns=T, recv_ns=T, venue_ns=T + 250 * MS)
    bench.call(bench.order)
    bench.call(bench.order)  # waits a second for the budget
    bench.time.run_until(T + 2 * NS)
    unsigned = [b"id=a&timestamp=1760000000250", b"id=a&timestamp=1760000001250"]
    signatures = [HmacSha256(Secret(SECRET)).hex(each).encode() for each in unsigned]
    assert [request.target for _, request in bench.transport.sent] == [
        b"/order?" + each + b"&signature=" + signature for each, signature in zip(unsigned, signatures, strict=True)
    ]
    assert [request.deadline_ns for _, request in bench.transport.sent] == [T + 5 * NS, T + 6 * NS]


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (b'{"code":1,"msg":"below minimum"}', trouble(Fate.REFUSED, "1", "below minimum")),
        (b'{"code":2,"msg":"slow down"}', trouble(Fate.RATE_LIMITED, "2", "slow down", until_ns=T + RTT_NS + 10 * NS)),
        (b'{"code":3,"msg":"timestamp"}', trouble(Fate.REFUSED, "3", "timestamp")),
        (b'{"code":4,"msg":"busy"}', trouble(Fate.IN_DOUBT, "4", "busy")),
        ((503, b"unavailable"), trouble(Fate.IN_DOUBT, "HTTP 503", "unavailable")),
        ((302, b""), trouble(Fate.IN_DOUBT, "HTTP 302", "")),
        ((408, b""), trouble(Fate.IN_DOUBT, "HTTP 408", "")),
        ((403, b"\xff"), trouble(Fate.REFUSED, "HTTP 403", "\ufffd")),
        (
            (429, b"", {"Retry-After": "30"}),
            trouble(Fate.RATE_LIMITED, "HTTP 429", "", until_ns=T + RTT_NS + 30 * NS),
        ),
        (
            (418, b"", {"Retry-After": "soon"}),
            trouble(Fate.RATE_LIMITED, "HTTP 418", "", until_ns=T + RTT_NS + 10 * NS),
        ),
        (b'{"code":9}', trouble(Fate.IN_DOUBT, "HTTP 200", "unreadable reply: KeyError")),
        (b'{"code":0,"data":13}', trouble(Fate.IN_DOUBT, "HTTP 200", "unreadable reply: DivisionByZero")),
        (b'{"code":0,"x":' + b"[" * 100_000, trouble(Fate.IN_DOUBT, "HTTP 200", "unreadable reply: RecursionError")),
        (
            b'{"code":"x"}',
            trouble(Fate.IN_DOUBT, "HTTP 200", "unreadable reply: Expected `int`, got `str` - at `$.code`"),
        ),
        (NOT_SENT, trouble(Fate.NOT_SENT, "unreachable", "refused")),
        (IN_DOUBT, trouble(Fate.IN_DOUBT, "cut_off", "ReadError")),
    ],
)
def test_every_ending_of_an_order_is_told_once_and_nothing_is_sent_twice(entry: Entry, expected: Trouble) -> None:
    bench = Bench(entry)
    assert bench.answer(bench.order) == expected
    assert len(bench.transport.sent) == 1
    assert bench.skews == (expected.code == "3")


def test_what_is_idempotent_is_asked_again_with_jittered_waits() -> None:
    bench = Bench(IN_DOUBT, (500, b""), b'{"code":0,"data":5}')
    assert bench.answer(bench.lookup) == 5
    draw = random.Random(1).random
    first = RTT_NS + int(100 * MS * draw())
    second = first + RTT_NS + int(200 * MS * draw())
    assert [at - T for at, _ in bench.transport.sent] == [0, first, second]
    assert bench.answers[0][0] == second + RTT_NS


def test_asking_again_is_bounded_in_number_and_by_the_deadline() -> None:
    bench = Bench(IN_DOUBT)
    assert bench.answer(bench.lookup) == trouble(Fate.IN_DOUBT, "cut_off", "ReadError", name="query")
    assert len(bench.transport.sent) == 3
    hurried = Bench(IN_DOUBT)
    assert isinstance(hurried.answer(hurried.lookup, within_ns=RTT_NS), Trouble)
    assert len(hurried.transport.sent) == 1


def test_a_doubt_is_not_lifted_by_an_attempt_that_did_not_get_through() -> None:
    bench = Bench(IN_DOUBT, NOT_SENT)
    assert bench.answer(bench.lookup) == trouble(Fate.IN_DOUBT, "cut_off", "ReadError", name="query")
    lifted = Bench(IN_DOUBT, b'{"code":1,"msg":"no such order"}')
    assert lifted.answer(lifted.lookup) == trouble(Fate.REFUSED, "1", "no such order", name="query")


def test_what_never_left_is_given_back_to_the_budget() -> None:
    bench = Bench(NOT_SENT)
    bench.answer(bench.order)
    assert bench.budget.used("weight", T) == 0
    doubtful = Bench(IN_DOUBT)
    doubtful.call(doubtful.order)
    doubtful.time.run_until(T + 20 * MS)
    assert doubtful.budget.used("weight", T) == 1


def test_throttling_stops_everybody_and_lasts_longer_each_time() -> None:
    bench = Bench(b'{"code":2,"msg":"slow"}', b'{"code":2,"msg":"slow"}', b'{"code":2,"msg":"slow"}', b'{"code":0}')
    bench.call(bench.order)
    bench.call(bench.order)  # both in flight: one time, not two
    bench.time.run_until(T + NS)
    bench.call(bench.order, within_ns=5 * NS)
    again_ns = T + RTT_NS + 10 * NS
    assert bench.answers[-1][1] == trouble(
        Fate.RATE_LIMITED, "", "the venue blocks 'weight': 2 slow", until_ns=again_ns
    )
    assert len(bench.transport.sent) == 2
    bench.call(bench.order)  # patient: leaves when the block ends, and is turned away again
    bench.time.run_until(T + 12 * NS)
    assert bench.transport.sent[2][0] == again_ns
    until_ns = again_ns + RTT_NS + 20 * NS
    assert bench.answers[-1][1] == trouble(Fate.RATE_LIMITED, "2", "slow", until_ns=until_ns)


def test_a_throttled_read_waits_only_as_long_as_it_may_and_keeps_the_venues_words() -> None:
    bench = Bench(b'{"code":2,"msg":"slow"}')
    until_ns = T + RTT_NS + 10 * NS
    expected = trouble(Fate.RATE_LIMITED, "2", "slow", name="query", until_ns=until_ns)
    assert bench.answer(bench.lookup, within_ns=NS) == expected
    assert len(bench.transport.sent) == 1


def test_the_venues_own_count_is_heeded() -> None:
    bench = Bench((200, b'{"code":0}', {"x-used": "100"}), b'{"code":0}')
    bench.call(bench.order)
    bench.time.run_until(T + 20 * MS)
    bench.call(bench.order, within_ns=NS // 2)
    assert bench.answers[-1][1] == trouble(
        Fate.RATE_LIMITED,
        "",
        "rate limit 'weight' has 100 of 100 spent, 100 is as far as OPEN may go",
        until_ns=T + NS,  # when our own one has left the window
    )
    other = Bench((200, b'{"code":0}', {"x-left": "0"}), b'{"code":0}')
    other.call(other.order)
    other.time.run_until(T + 20 * MS)
    other.call(other.order)
    other.time.run_until(T + 2 * NS)
    assert [at - T for at, _ in other.transport.sent] == [0, RTT_NS + 500 * MS]


def test_too_many_waiting_are_turned_away() -> None:
    bench = Bench(b'{"code":0}', weight=1, settings=ClientSettings(waiting_max=1))
    for _ in range(3):
        bench.call(bench.order)
    assert bench.answers == [
        (0, trouble(Fate.RATE_LIMITED, "", "1 requests wait for the rate budget already", until_ns=T + NS))
    ]


def test_what_still_waits_can_be_withdrawn() -> None:
    bench = Bench(b'{"code":0}', weight=1)
    gone, waiting, behind = (bench.call(bench.order, f"id={each}") for each in "abc")
    assert not bench.client.withdraw(gone)
    assert bench.client.withdraw(waiting)
    assert not bench.client.withdraw(waiting)
    assert bench.answers == [(0, trouble(Fate.NOT_SENT, "", "withdrawn before it left"))]
    bench.time.run_until(T + 5 * NS)
    assert [request.target[:11] for _, request in bench.transport.sent] == [b"/order?id=a", b"/order?id=c"]
    assert not bench.client.withdraw(behind)
    assert len(bench.answers) == 3


def test_nothing_is_signed_by_a_clock_that_is_not_known_well_enough() -> None:
    bench = Bench(b'{"code":0}')
    bench.clock.sample(sent_ns=T - 10 * NS, recv_ns=T, venue_ns=T)
    bench.call(bench.order)
    assert bench.answers == [(0, trouble(Fate.NOT_SENT, "", "the venue's clock is known only to 5001 ms"))]
    assert (bench.skews, len(bench.transport.sent), bench.budget.used("weight", T)) == (1, 0, 0)
    public = msgspec.structs.replace(bench.lookup, signed=False)
    bench.call(public)
    assert bench.transport.sent[0][1].target == b"/order?id=a"


@pytest.mark.parametrize(
    ("fate", "kind", "says"),
    [
        (Fate.NOT_SENT, NotSent, "nothing was sent"),
        (Fate.RATE_LIMITED, RateLimited, "no effect at the venue"),
        (Fate.REFUSED, CallerError, "the venue refused it"),
        (Fate.IN_DOUBT, InDoubt, "Look it up, do not repeat it"),
    ],
)
def test_troubles_as_exceptions(fate: Fate, kind: type[Exception], says: str) -> None:
    error = trouble(fate, "101", "text").error()
    assert type(error) is kind
    assert str(error).startswith("place: 101 text; ")
    assert says in str(error)


def test_signatures_against_known_vectors() -> None:
    signer = HmacSha256(Secret(SECRET))
    order = (
        b"clientOrderId=sor-7f3a9c01&positionSide=BOTH&price=60000.5&quantity=0.002&recvWindow=5000&side=BUY"
        b"&symbol=BTC-USDT&timeInForce=IOC&timestamp=1760000000000&type=LIMIT"
    )
    assert signer.hex(order) == "57478848e2d4930e93c8c0b1b08a7181f691ebf8519599ab06f3c1b914d36604"
    # RFC 4231, test case 2; and a key longer than a block against the standard library.
    digest = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert HmacSha256(Secret("Jefe")).hex(b"what do ya want for nothing?") == digest
    assert HmacSha256(Secret("Jefe")).base64(b"what do ya want for nothing?") == (
        "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM="
    )
    long = "k" * 65
    assert HmacSha256(Secret(long)).hex(b"x") == hmac.new(long.encode(), b"x", "sha256").hexdigest()


@pytest.mark.parametrize("text", ["", " 4bc", "4bc\n", "4b\nc", "4bç"])
def test_a_key_that_was_copied_badly_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(CallerError) as caught:
        Secret(text)
    assert not text or text not in str(caught.value)


def test_no_secret_is_shown_copied_or_encoded() -> None:
    bench = Bench((500, f"bad signature for {KEY} with {SECRET}, {TOKEN}".encode()))
    bench.secrets.add(Secret(TOKEN))
    secret = Secret(SECRET)
    answer = bench.answer(bench.order)
    _, request = bench.transport.sent[0]
    reply = WireReply(status=200, headers=[(b"X", KEY.encode())], body=TOKEN.encode(), sent_ns=0, recv_ns=0)
    assert isinstance(answer, Trouble)
    assert answer.text == "bad signature for <secret> with <secret>, <secret>"
    shown = [secret, bench.secrets, bench.client, request, reply, answer, answer.error(), HmacSha256(secret)]
    for each in [*shown, bench.order, bench.budget, vars(bench)]:
        assert not any(hidden in text for hidden in (KEY, SECRET, TOKEN) for text in (repr(each), str(each)))
    for each in (secret, bench.secrets, request, reply):
        with pytest.raises(TypeError):
            msgspec.json.encode(each)
    with pytest.raises(CallerError, match="not copied"):
        copy.copy(secret)


def test_only_the_newest_tokens_are_remembered_and_short_ones_not_scrubbed() -> None:
    secrets = Secrets(Secret("ab"), tokens_max=2)
    for number in range(3):
        secrets.add(Secret(f"token-{number}"))
    assert secrets.scrub("ab token-0 token-1 token-2") == "ab token-0 <secret> <secret>"
    assert repr(secrets) == "<3 secrets>"


@pytest.mark.parametrize(("failures", "most"), [(1, 100), (2, 200), (4, 800), (5, 1_000), (10_000, 1_000)])
def test_back_off_doubles_up_to_its_bound(failures: int, most: int) -> None:
    backoff = Backoff(first_ns=100, most_ns=1_000)
    assert backoff.wait_ns(failures, lambda: 0.0) == 0
    assert backoff.wait_ns(failures, lambda: 0.5) == most // 2
    assert all(backoff.wait_ns(failures, random.Random(seed).random) < most for seed in range(20))


@pytest.mark.parametrize(("first", "most"), [(0, 1), (2, 1)])
def test_impossible_back_offs_are_refused(first: int, most: int) -> None:
    with pytest.raises(CallerError):
        Backoff(first_ns=first, most_ns=most)


class RealTime:
    """A scheduler for one round trip on loopback: the real clock, and nothing to wait for."""

    def now_ns(self) -> int:
        return wall.time_ns()

    def call_at(self, at_ns: int, action: object) -> None:
        raise AssertionError("nothing should be repeated here")


@pytest.mark.anyio
async def test_over_a_real_connection_and_awaited(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def script(connection: Connection) -> None:
        for body in (b'{"code":0,"data":3}', b'{"code":1,"msg":"no"}', b'{"code":0,"data":4}'):
            await connection.request()
            await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        await connection.request()

    bench = Bench(b"")
    key, secret = Secret(KEY), Secret(SECRET)
    time = RealTime()
    errors: list[str] = []
    async with serving(script) as server, HttpxTransport.opened(server.url, now_ns=time.now_ns) as transport:
        client = Client(
            transport=transport,
            dialect=PlainDialect(key=key, secret=secret),
            budget=bench.budget,
            clock=VenueClock(),
            scheduler=time,
            draw=random.Random(1).random,
            secrets=Secrets(key, secret),
            on_skew=bench.note_skew,
        )
        by_ns = time.now_ns() + 60 * NS
        assert await ask(client, bench.order, "id=a", priority=Priority.OPEN, leave_by_ns=by_ns) == 3
        assert await ask(client, bench.order, "id=b", priority=Priority.OPEN, leave_by_ns=by_ns) == trouble(
            Fate.REFUSED, "1", "no"
        )
        assert await demand(client, bench.order, leave_by_ns=by_ns) == 4
        try:
            await demand(client, bench.order, leave_by_ns=by_ns)
        except InDoubt as error:
            errors = traceback.format_exception(error)
        assert [each.split(b" ")[0] for each in server.requests] == [b"POST"] * 4
        assert all(KEY.encode() in each for each in server.requests)
    assert errors
    assert not any(hidden in text for hidden in (KEY, SECRET) for text in ("".join(errors), caplog.text))


# --- requests that wait for a connection ------------------------------------------------------------------------------


class Bottleneck(ScriptedTransport):
    """A transport whose connections are all busy until somebody opens it; then everybody leaves at once who may."""

    def __init__(self, time: VirtualScheduler) -> None:
        super().__init__(time, b'{"code":0,"data":5}')
        self.waiting: list[tuple[WireRequest, Callable[[Outcome], None]]] = []

    def send(self, request: WireRequest, on_outcome: Callable[[Outcome], None]) -> None:
        self.waiting.append((request, on_outcome))

    def open(self) -> None:
        waiting, self.waiting = self.waiting, []
        for request, on_outcome in waiting:
            if self.time.now_ns() < request.leave_by_ns and request.may_leave():
                super().send(request, on_outcome)
            else:
                on_outcome(NOT_SENT)


def test_requests_that_waited_together_do_not_leave_together_past_the_budget() -> None:
    """Two a second are granted; six wait until the third second, when but two may leave."""
    time = VirtualScheduler(T)
    transport = Bottleneck(time)
    bench = Bench(weight=2, time=time, transport=transport)
    for _ in range(6):
        bench.call(bench.order)
    bench.time.run_until(T + 2_900 * MS)
    assert len(transport.waiting) == 6
    transport.open()
    bench.time.run_until(T + 2_950 * MS)
    fates = [each.fate if isinstance(each, Trouble) else each for _, each in bench.answers]
    assert fates == [Fate.NOT_SENT] * 4 + [5, 5]
    assert bench.budget.used("weight", bench.time.now_ns()) == 2
    # What did not leave has left its place to others.
    bench.time.run_until(T + 4_000 * MS)
    assert bench.budget.used("weight", bench.time.now_ns()) == 0


def test_an_order_does_not_wait_for_a_connection_longer_than_it_may() -> None:
    time = VirtualScheduler(T)
    transport = Bottleneck(time)
    bench = Bench(time=time, transport=transport)
    bench.call(bench.order, within_ns=400 * MS)
    bench.call(bench.order, within_ns=10 * NS)
    assert [request.leave_by_ns - T for request, _ in transport.waiting] == [400 * MS, 5 * NS]
