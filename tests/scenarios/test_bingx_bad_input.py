"""What goes wrong between a trader and BingX, and what each of the three ways in makes of it.

A parent order, an intent and the command line learn which it was, whether anything reached the venue, and what was done
about it. The exchange's own books say that nothing was sent twice, nothing is left resting, and nothing was overfilled;
and no key, secret or listen key stands in anything that was said or written.
"""

from __future__ import annotations

import json
import re
import signal
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path

import anyio
import msgspec
import pytest

from sor.cli.main import run
from sor.engine import Router, Settings
from sor.errors import CallerError, NotSent, RateLimited, SorError
from sor.ids import ParentId
from sor.journal import verify
from sor.orders import Action, Intent, ParentOrder, ParentStatus, PositionSide, RejectKind, Side
from sor.units import MS
from tests.fakes.bingx_live import HEDGE_KEY, HEDGE_SECRET, KEY, SECRET, LiveVenue, live_venue
from tests.fakes.patience import PATIENCE_S, eventually
from tests.unit.test_cli_route import REPO, spawned, until_said
from venues.bingx.adapter import BingxVenue, open_venue
from venues.bingx.emulator.emulator import BingxEmulator

pytestmark = pytest.mark.slow
ORDERS = "on=POST /openApi/swap/v2/trade/order"
OTHER_KEY, OTHER_SECRET = "planted-other-key-91c", "planted-other-secret-44f"
PLANTED = (KEY, SECRET, HEDGE_KEY, HEDGE_SECRET, OTHER_KEY, OTHER_SECRET)
REJECTS_MAX = 2
"""Refusals before a parent gives up, here."""


class End(msgspec.Struct, frozen=True, kw_only=True):
    """How one way ended.

    raised     what was raised instead of an answer.
    said       everything that a caller is told about it: an error, the end's text, the venue's words, a sentence.
    """

    raised: type[SorError] | None = None
    status: str = ""
    filled: Decimal = Decimal(0)
    reject: str = ""
    said: str = ""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that goes wrong.

    key, secret     what the caller has.
    faults          from the start. before, after: as the first order arrives, and once it was carried out.
    raises          at the start or on submission; None: the parent ends as `status`.
    says            all of this is in what each caller is told; `cli`, beside that, in the command's sentence.
    posts           orders that reach the venue, each with an id of its own; what can be sent again is a new order.
    intent          the intent ends like this instead, which is floored to the step and finds its position side.
    """

    key: str = KEY
    secret: str = SECRET
    symbol: str = "BTC-USDT"
    quantity: str = "0.01"
    limit: str = ""
    leverage: int | None = None
    deadline_s: float = 5.0
    faults: tuple[str, ...] = ()
    before: Callable[[BingxEmulator], object] | None = None
    gone_s: float = 0.0
    raises: type[SorError] | None = None
    status: ParentStatus = ParentStatus.FILLED
    reject: RejectKind = RejectKind.NONE
    filled: str = "0"
    posts: int = 0
    says: tuple[str, ...] = ()
    cli: tuple[str, ...] = ()
    exit_code: int = 1
    hedge: bool = False
    floors: str = ""
    chooses: bool = False


def hedged(app: BingxEmulator) -> None:
    """Somebody switches the account over."""
    app.exchange.accounts["one-way"].hedge = True


def ahead(app: BingxEmulator) -> None:
    """The venue's clock goes ahead, or ours falls behind."""
    app.switch("clock-skew=ms=10000")


def paused(app: BingxEmulator) -> None:
    """The contract is closed."""
    app.switch("symbol-paused=symbol=BTC-USDT")


NOTHING = "nothing was sent"
LINES: Mapping[str, Line] = {
    "wrong key": Line(
        key=OTHER_KEY,
        raises=CallerError,
        says=("does not accept these keys: 100413 Incorrect apiKey", "nothing was ordered. Check the key"),
    ),
    "wrong secret": Line(
        secret=OTHER_SECRET,
        raises=CallerError,
        says=("does not accept these keys: 100001 Signature verif", "nothing was ordered. Check the secret"),
    ),
    "clock 10 s off": Line(faults=("clock-skew=ms=10000",), filled="0.0100", posts=1, exit_code=0),
    "clock 10 s off, the other way": Line(faults=("clock-skew=ms=-10000",), filled="0.0100", posts=1, exit_code=0),
    "clock jumps 10 s": Line(before=ahead, filled="0.0100", posts=2, exit_code=0, reject=RejectKind.OTHER),
    "clock is never right": Line(
        faults=(f"refuse=code=100421,{ORDERS}",),
        status=ParentStatus.REJECTED,
        reject=RejectKind.OTHER,
        posts=REJECTS_MAX,
        says=("100421",),
        cli=("nothing of it rests at the venue: bingx refused 2 orders (100421", "See what `sor doctor` says of keys"),
        exit_code=5,
    ),
    "key may not trade": Line(
        faults=(f"refuse=code=100004,{ORDERS}",),
        status=ParentStatus.REJECTED,
        reject=RejectKind.NOT_ALLOWED,
        posts=1,
        says=("100004",),
        cli=("nothing of it rests at the venue: bingx refused 1 order (100004", "See what `sor doctor` says of keys"),
        exit_code=5,
    ),
    "hedge-mode account": Line(
        key=HEDGE_KEY,
        secret=HEDGE_SECRET,
        hedge=True,
        raises=CallerError,
        says=("bingx holds no 'both' position in this account's mode; nothing was sent. Position sides are: long, sh",),
        chooses=True,
        filled="0.0100",
        posts=1,
        exit_code=0,
    ),
    "switched to hedge mode": Line(
        before=hedged,
        status=ParentStatus.REJECTED,
        reject=RejectKind.NOT_ALLOWED,
        posts=1,
        says=("109400 Invalid parameters, err:In the Hedge mode, the 'PositionSide' field",),
        cli=("nothing of it rests at the venue: bingx refused 1 order (109400", "position mode and the instrument"),
        exit_code=5,
    ),
    "symbol paused": Line(
        symbol="PAUSED-USDT",
        raises=CallerError,
        says=("PAUSED-USDT is not online: status 25, paused; nothing was sent",),
    ),
    "symbol unknown": Line(symbol="DOGE-USDT", raises=CallerError, says=("list", "DOGE", NOTHING, "BTCUSDT")),
    "symbol is paused just then": Line(
        before=paused,
        status=ParentStatus.REJECTED,
        reject=RejectKind.VENUE_CLOSED,
        posts=REJECTS_MAX,
        says=("109415 BTC-USDT is paused",),
        cli=("nothing of it rests at the venue: bingx refused 2 orders (109415", "Try again once it trades"),
        exit_code=5,
    ),
    "precision": Line(
        quantity="0.01234567",
        raises=CallerError,
        says=("quantity 0.01234567 is off the step of 0.0001; nothing was sent. The nearest are 0.0123 and 0.0124",),
        floors="0.0123",
    ),
    "precision of a price": Line(
        limit="59000.12345",
        raises=CallerError,
        says=("price 59000.12345 is off the step of 0.1 USDT; nothing was sent. The nearest are 59000.1 and 59000.2",),
    ),
    "below the least quantity": Line(quantity="0.00001", raises=CallerError, says=(NOTHING, "0.0001")),
    "below the least value": Line(
        symbol="COARSE-USDT",
        quantity="1",
        status=ParentStatus.EXPIRED,
        says=("below the minimum",),
        cli=("nothing was sent: that is less than bingx takes, which is at least 1 and 2 USDT",),
        exit_code=5,
    ),
    "insufficient margin": Line(
        faults=(f"refuse=code=101204,{ORDERS}",),
        status=ParentStatus.REJECTED,
        reject=RejectKind.NO_MARGIN,
        posts=1,
        says=("101204",),
        cli=("nothing of it rests at the venue: bingx refused 1 order (101204", "Add margin, or order less"),
        exit_code=5,
    ),
    "rate limit": Line(
        faults=(f"rate-limited={ORDERS}",),
        deadline_s=4.0,
        status=ParentStatus.EXPIRED,
        reject=RejectKind.RATE_LIMITED,
        posts=1,  # what comes after is held back here
        says=("not sent: the venue blocks 'POST /openApi/swap/v2/trade/order': 100410 The endpoint trigger",),
        cli=("the deadline came, and its last order had been refused (rate_limited not sent", "Wait before the next"),
        exit_code=5,
    ),
    "rate limit at the door": Line(
        faults=("rate-limited",),
        raises=RateLimited,
        says=(
            "limits how often it is asked: 100410",
            "unblocked after",
            "nothing was ordered. Stay away until 20",
            "UTC: going",
        ),
    ),
    "ban": Line(
        faults=(f"banned={ORDERS}",),
        deadline_s=4.0,
        status=ParentStatus.EXPIRED,
        reject=RejectKind.RATE_LIMITED,
        posts=1,
        says=("not sent: the venue blocks us: http 418 100410 this address is banned",),
        cli=("the deadline came, and its last order had been refused (rate_limited not sent",),
        exit_code=5,
    ),
    "ban at the door": Line(
        faults=("banned",),
        raises=RateLimited,
        says=("shuts this address out: http 418 100410 this address is banned", "nothing was ordered. Stay away for"),
    ),
    "firewall": Line(
        faults=("firewall",),
        raises=RateLimited,
        says=(
            "shuts this address out: http 403 Forbidden: a page of the gateway",
            "nothing was ordered. Stay away for five",
        ),
    ),
    "maintenance": Line(
        faults=("maintenance",),
        raises=NotSent,
        says=(
            "did not answer: http 503 Service Unavailable: a page of the gateway",
            "nothing was ordered. Try again later",
        ),
    ),
    "server gone in the middle of an order": Line(
        gone_s=0.8,
        deadline_s=20.0,
        filled="0.0100",
        posts=1,
        cli=("place has no answer, and may have arrived", "is down; it is being opened again", "emulator) is back"),
        exit_code=0,
    ),
}


@pytest.fixture
def anyio_backend() -> str:
    """One is enough: what differs between them is not looked at here."""
    return "asyncio"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second less for each order."""
    monkeypatch.setattr("sor.deciding.MARKET_POLL_NS", 20 * MS)
    monkeypatch.setattr("sor.cli.trade.FEES_WAIT_S", 0.1)


@pytest.fixture
def live() -> Iterator[LiveVenue]:
    with live_venue() as venue:
        yield venue


@pytest.fixture
def sets(tmp_path: Path) -> Path:
    """Param-sets: the packaged one, but with less patience for refusals."""
    (packaged,) = (REPO / "paramsets" / "baseline").glob("*.json")
    document = json.loads(packaged.read_text("utf-8"))
    for record in document["records"]:
        if record["id"] == "risk.rejects_max":
            record["value"] = str(REJECTS_MAX)
    document["set_id"] = f"curt/{packaged.stem}"
    folder = tmp_path / "sets" / "curt"
    folder.mkdir(parents=True)
    (folder / packaged.name).write_text(json.dumps(document), "utf-8")
    return folder.parent


def unsaid(folder: Path, live: LiveVenue, *texts: str) -> None:
    """No secret stands in these texts, nor in any file of the folder but that with the keys."""
    hushed = [*PLANTED, *live.heard]
    for text in texts:
        assert not [hush for hush in hushed if hush in text], text
    for path in folder.rglob("*"):
        if path.is_file() and path.name != "keys":
            content = path.read_bytes()
            assert not [hush for hush in hushed if hush.encode() in content], path


def arrange(live: LiveVenue, line: Line) -> None:
    """Everything that goes wrong."""
    live.switch("no-limits", *line.faults)
    live.before = line.before
    if line.gone_s:

        def gone(app: BingxEmulator) -> None:
            live.go()
            back.start()

        def come_back() -> None:
            live.switch("-push-drop")
            live.come_back()

        back = threading.Timer(line.gone_s, come_back)
        live.before, live.after = silent, gone


def silent(app: BingxEmulator) -> None:
    """What happens is not told."""
    app.switch("push-drop")


def keys_of(folder: Path, line: Line) -> Path:
    path = folder / "keys"
    path.touch(mode=0o600)
    path.write_text(f"BINGX_EMULATOR_API_KEY={line.key}\nBINGX_EMULATOR_API_SECRET={line.secret}\n", "utf-8")
    return path


def check_books(live: LiveVenue, line: Line, *, posts: int, filled: str) -> None:
    """What the exchange has: so many orders, each once, none resting, and filled exactly this much."""
    assert len(live.placed) == posts
    assert [again for again, number in Counter(live.placed).items() if number > 1] == []
    orders = live.books("hedge" if line.hedge else "one-way")
    assert [order.cl_ord_id for order in orders if order.leaves_lots] == []
    lot = Decimal("0.0001")
    assert sum(order.filled_lots for order in orders) * lot == Decimal(filled)


# --- a parent order, and an intent ------------------------------------------------------------------------------------


async def as_parent(router: Router, line: Line) -> End:
    """Through the router."""
    order = ParentOrder(
        parent_id=ParentId("p"),
        symbol=line.symbol,
        side=Side.BUY,
        quantity=Decimal(line.quantity),
        limit=Decimal(line.limit) if line.limit else None,
        policy="plain_limit" if line.limit else "cross",
        deadline_s=line.deadline_s,
    )
    handle = await router.submit(order)
    await handle.result()
    said = [handle.parent.end_text]
    rejects = [child.reject for child in handle.parent.children if child.reject is not None]
    said += [f"{reject.code} {reject.text}" for reject in rejects]
    told = [f"{event.report.code} {event.report.text}" async for event in handle if event.report is not None]
    assert all(f"{reject.code} {reject.text}" in told for reject in rejects)
    reject = rejects[-1].reject if rejects else RejectKind.NONE
    return End(status=handle.status, filled=handle.filled, reject=reject, said=" | ".join(said))


async def as_intent(router: Router, line: Line) -> End:
    """Through its receipt."""
    metadata = {"deadline_s": str(line.deadline_s)}
    if line.limit:
        metadata |= {"order_type": "limit", "limit_price": line.limit}
    intent = Intent(
        intent_id=ParentId("p"),
        action=Action.ENTER,
        side=PositionSide.LONG,
        asset=line.symbol,
        size=Decimal(line.quantity),
        leverage=None if line.leverage is None else Decimal(line.leverage),
        metadata=metadata,
    )
    receipt = await router.submit_intent(intent)
    return End(
        status=receipt.status,
        filled=receipt.quantity,
        reject=receipt.reject or RejectKind.NONE,
        said=f"{receipt.reason} | {receipt.raw or ''}",
    )


Way = Callable[[Router, Line], Awaitable[End]]


def settings_of(folder: Path, sets: Path) -> Settings:
    return Settings(journal=folder / "j", param_dirs=(sets,), default_set="curt", start_patience_s=0.0)


def venue_of(live: LiveVenue, folder: Path, line: Line) -> BingxVenue:
    keys = str(keys_of(folder, line))
    return open_venue({"env": "emulator", "url": live.url, "leverage_cache": str(folder), "secrets": keys})


async def routed(way: Way, live: LiveVenue, folder: Path, sets: Path, line: Line) -> None:
    """One line, one way, from a start to its end and what the exchange says of it."""
    arrange(live, line)
    venue = venue_of(live, folder, line)
    alarms: list[str] = []
    try:
        async with Router(settings_of(folder, sets), venues=[venue]) as router:
            end = await way(router, line)
            alarms = [alarm.text for alarm in router.alarms()]
    except SorError as error:
        end = End(raised=type(error), said=str(error))
    unsaid(folder, live, f"{end} {alarms} {venue!r}")
    if way is as_intent and (line.floors or line.chooses):
        line = Line(filled=line.floors or line.filled, posts=1, hedge=line.hedge)
    assert end.raised is line.raises, end
    for each in line.says:
        assert each in end.said
    if line.raises is None:
        assert (end.status, end.reject, end.filled) == (line.status, line.reject, Decimal(line.filled))
        assert verify(folder / "j").faults == ()
    refused = line.raises is not None
    check_books(live, line, posts=0 if refused else line.posts, filled="0" if refused else line.filled)


@pytest.mark.anyio
@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
async def test_who_calls_the_router_learns_what_it_was(
    sets: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, line: Line
) -> None:
    caplog.set_level("DEBUG")
    for name in ("parent", "intent"):
        (tmp_path / name).mkdir()
    with live_venue() as one, live_venue() as two:
        with anyio.fail_after(PATIENCE_S):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(routed, as_parent, one, tmp_path / "parent", sets, line)
                tasks.start_soon(routed, as_intent, two, tmp_path / "intent", sets, line)
        unsaid(tmp_path, one, caplog.text)
        unsaid(tmp_path, two, caplog.text)


# --- the command line -------------------------------------------------------------------------------------------------


def command(live: LiveVenue, folder: Path, line: Line) -> tuple[str, ...]:
    """`sor route` for it."""
    words = ["route", "--venue", "bingx", "--env", "emulator", "--option", f"url={live.url}"]
    words += [
        "--option",
        "leverage_cache=cache",
        "--secrets",
        str(keys_of(folder, line)),
        "--journal",
        "j",
        "--id",
        "p",
    ]
    words += ["--symbol", line.symbol, "--side", "buy", "--qty", line.quantity, "--deadline", f"{line.deadline_s:g}s"]
    words += ["--policy", "plain_limit", "--limit", line.limit] if line.limit else ["--policy", "cross"]
    return tuple(words)


@pytest.fixture
def sor(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, live: LiveVenue
) -> Callable[..., tuple[int, str, str]]:
    """Run a command in an empty directory, as the console script does: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> tuple[int, str, str]:
        code = run([*words])
        said = capsys.readouterr()
        unsaid(tmp_path, live, said.out, said.err)
        return code, said.out, said.err

    return call


Sor = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
def test_who_types_a_command_learns_what_it_was(
    live: LiveVenue, sets: Path, tmp_path: Path, sor: Sor, line: Line
) -> None:
    arrange(live, line)
    code, out, err = sor(*command(live, tmp_path, line), "--params", str(sets), "--param-set", "curt")
    assert code == line.exit_code, err
    assert "Traceback" not in err
    sentence = err.splitlines()[-1]
    if code == 1:  # refused at the door: one sentence and nothing else
        assert (out, err) == ("", f"{sentence}\n")
        assert sentence.startswith("sor: ")
    elif code:
        assert sentence.startswith(f"sor: {Decimal(line.filled):f}")
        assert "explain p --journal j" in out
    for each in (*(line.says if code == 1 else ()), *line.cli):
        assert each in (sentence if code else err)
    check_books(live, line, posts=line.posts, filled=line.filled)
    if code != 1:
        assert verify(tmp_path / "j").faults == ()


# --- the listen key ends while an order rests -------------------------------------------------------------------------

RESTS = Line(limit="60000.0", deadline_s=300.0, filled="0.0100", posts=1)
"""The best bid of a ladder that stands still: whoever sells meets it first."""


def sell(live: LiveVenue, quantity: str) -> None:
    """Somebody sells to the best bid."""
    live.inside(
        lambda app: app.exchange.pits["BTC-USDT"].trade_as_crowd(
            Side.SELL, qty=Decimal(quantity), price=Decimal(RESTS.limit)
        )
    )


class Accomplice(threading.Thread):
    """Once an order is known to rest, ends the listen key, and sells to the order while nobody is told of it.

    journal     of who ordered: it holds the venue's id of the order as soon as that is known.
    """

    def __init__(self, live: LiveVenue, journal: Path) -> None:
        super().__init__(daemon=True)
        self._live = live
        self._journal = journal

    def run(self) -> None:
        live = self._live
        eventually(live.heard.copy)
        eventually(self._known)
        live.switch("read-busy=on=userDataStream,count=1", "push-drop=on=ORDER_TRADE_UPDATE", "expire-listen-keys")
        sell(live, "0.01")
        eventually(lambda: live.inside(lambda app: app.faults.struck().get("push-drop")))
        live.switch("-push-drop")

    def _known(self) -> bool:
        resting = self._live.inside(lambda app: [f"{no}" for no in app.exchange.accounts["one-way"].live])
        written = b"".join(path.read_bytes() for path in self._journal.glob("*.seg"))
        return any(no.encode() in written for no in resting)


@pytest.mark.anyio
@pytest.mark.parametrize("way", [as_parent, as_intent])
async def test_a_fill_behind_an_expired_listen_key_is_found(
    live: LiveVenue,
    sets: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    way: Way,
) -> None:
    accomplice = Accomplice(live, tmp_path / "j")
    accomplice.start()
    with anyio.fail_after(PATIENCE_S):
        async with Router(settings_of(tmp_path, sets), venues=[venue_of(live, tmp_path, RESTS)]) as router:
            end = await way(router, RESTS)
            if way is as_intent:  # which was answered when it rested
                assert end == End(status=ParentStatus.WORKING, said=" | ")
            handle = router.handle(ParentId("p"))
            await handle.result()
            assert (handle.status, handle.filled) == (ParentStatus.FILLED, Decimal("0.0100"))
    accomplice.join(PATIENCE_S)
    check_books(live, RESTS, posts=1, filled="0.0100")
    assert "BingX: account socket: the listen key has expired" in caplog.messages
    unsaid(tmp_path, live, caplog.text)


def test_an_expired_listen_key_is_named_on_the_command_line(live: LiveVenue, tmp_path: Path, sor: Sor) -> None:
    accomplice = Accomplice(live, tmp_path / "j")
    accomplice.start()
    code, out, err = sor(*command(live, tmp_path, RESTS))
    accomplice.join(PATIENCE_S)
    assert (code, "Traceback" in err) == (0, False), out + err
    assert "BingX: account socket: the listen key has expired\n" in err
    assert "the link to bingx (emulator) is down; it is being opened again\n" in err
    assert "filled 0.0100 at 60000.0" in err
    check_books(live, RESTS, posts=1, filled="0.0100")


# --- the router is killed while an order rests ------------------------------------------------------------------------


def killed(live: LiveVenue, folder: Path, line: Line) -> str:
    """A command that is killed as its order rests; what it said."""
    process = spawned(folder, *command(live, folder, line))
    said = until_said(process, "venue: new")
    process.send_signal(signal.SIGKILL)
    return said + "".join(process.communicate(timeout=PATIENCE_S))


def test_a_killed_router_finds_what_was_filled_meanwhile(live: LiveVenue, tmp_path: Path, sor: Sor) -> None:
    unsaid(tmp_path, live, killed(live, tmp_path, RESTS))
    sell(live, "0.01")
    code, out, err = sor(*command(live, tmp_path, RESTS))
    assert (code, "Traceback" in err) == (0, False), out + err
    assert re.search(r"^filled +0\.0100 *$", out, re.MULTILINE)
    check_books(live, RESTS, posts=1, filled="0.0100")
    assert verify(tmp_path / "j").faults == ()


def test_a_killed_router_goes_on_with_what_rests(tmp_path: Path) -> None:
    """The same order, in its place: it is neither sent again nor withdrawn for want of a book."""
    line = msgspec.structs.replace(RESTS, limit="55000.0", filled="0")
    with live_venue(seed="7") as live:
        said = killed(live, tmp_path, line)
        (before,) = live.books()
        process = spawned(tmp_path, *command(live, tmp_path, line))
        try:
            said += until_said(process, "(keep)")
            assert live.books() == (before,)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=PATIENCE_S)
        finally:
            process.kill()
            process.communicate()
        assert (process.returncode, "Traceback" in err) == (130, False), said + out + err
        assert "nothing of it rests at the venue: it was interrupted" in err
        check_books(live, line, posts=1, filled="0")
        unsaid(tmp_path, live, said, out, err)
    assert verify(tmp_path / "j").faults == ()


def test_a_wrong_secret_in_a_process_of_its_own(live: LiveVenue, tmp_path: Path) -> None:
    line = LINES["wrong secret"]
    process = spawned(tmp_path, *command(live, tmp_path, line))
    out, err = process.communicate(timeout=PATIENCE_S)
    unsaid(tmp_path, live, out, err)
    assert (process.returncode, out, err.count("\n")) == (1, "", 1)
    check_books(live, line, posts=0, filled="0")
