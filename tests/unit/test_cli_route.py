"""`sor route` as a trader meets it: what it says, what it sends, how it ends."""

import errno
import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path

import anyio
import pytest

from sor.adapter import LeverageSet, NewOrder
from sor.cli.common import Printer
from sor.cli.main import run
from sor.cli.watch import Watcher
from sor.engine import Router
from sor.journal import Environment, Journal, verify
from sor.journal.index import Index
from sor.orders import ParentStatus
from sor.settings import Settings
from tests.fakes import acme
from tests.fakes.patience import PATIENCE_S, eventually
from tests.unit.test_engine import ladder, order, resting
from venues.simulated.adapter import SimulatedVenue

REPO = Path(__file__).resolve().parents[2]
ORDER = ("--symbol", "BTC-USDT", "--side", "buy", "--qty", "0.02")
SIMULATED = ("route", "--venue", "simulated", "--option", "market=ladder", "--option", "latency=near", *ORDER)
CROSS = (*SIMULATED, "--policy", "cross")
REST = (*SIMULATED, "--policy", "plain_limit", "--limit", "59000", "--deadline", "10m")

Sor = Callable[..., tuple[int, str, str]]


@pytest.fixture
def sor(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sor:
    """Run a command in an empty directory, as the console script does: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SOR_ALLOW_LIVE", raising=False)
    acme.install(monkeypatch)

    def call(*arguments: str) -> tuple[int, str, str]:
        code = run([*arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def spawned(home: Path, *words: str, code: str = "", **more: str) -> subprocess.Popen[str]:
    """`sor` in a process of its own; `code` runs before it, `more` is added to its environment."""
    return subprocess.Popen(
        [sys.executable, "-c", f"{code}\nfrom sor.cli.main import main; main()", *words],
        cwd=home,
        env={**os.environ, "PYTHONPATH": str(REPO), **more},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )


def until_said(process: subprocess.Popen[str], what: str) -> str:
    """What it has said on stderr, up to and with the line that holds `what`."""
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        if what in line:
            return said
    raise AssertionError(said)


# --- what it refuses --------------------------------------------------------------------------------------------------

MISTAKES: Mapping[str, tuple[tuple[str, ...], int, str]] = {
    "no venue": (("route", *ORDER), 2, "Missing option '--venue'"),
    "unknown venue": (("route", "--venue", "nosuch", *ORDER), 1, "there is no 'nosuch' among sor.venues; nothing was"),
    "unknown environment": (("route", "--venue", "acme", "--env", "prod", *ORDER), 2, "'prod' is not one of"),
    "environment that it has not": (
        ("route", "--venue", "bingx", "--env", "testnet", *ORDER),
        2,
        "bingx has no environment 'testnet'; nothing was opened. It has: emulator, vst, live",
    ),
    "no side": (
        ("route", "--venue", "acme", "--symbol", "BTCUSDT", "--side", "long", "--qty", "1"),
        2,
        "'long' is not",
    ),
    "quantity no number": ((*CROSS, "--qty", "much"), 2, "--qty 'much' is not a number; nothing was done"),
    "quantity off the step": ((*CROSS, "--qty", "0.0205"), 1, "off the step of 0.001; nothing was sent. The nearest"),
    "quantity below the minimum": ((*CROSS, "--option", "min_qty_lots=50"), 1, "minimum of 0.050; nothing was sent"),
    "limit off the tick": ((*REST, "--limit", "59000.05"), 1, "price 59000.05 is off the step of 0.1 USDT"),
    "limit no number": ((*REST, "--limit", "low"), 2, "--limit 'low' is not a number"),
    "unknown symbol": (
        (*CROSS, "--symbol", "BTC-USDC"),
        1,
        "does not list 'BTC-USDC'; nothing was sent. It lists 1, su",
    ),
    "symbol of nothing": ((*CROSS, "--symbol", "--"), 1, "is not a symbol; nothing was sent"),
    "unknown policy": ((*CROSS, "--policy", "magic"), 1, "there is no 'magic' among sor.policies; nothing was sent"),
    "unknown schedule": ((*CROSS, "--schedule", "magic"), 1, "there is no 'magic' among sor.schedules"),
    "bad schedule argument": ((*CROSS, "--schedule", "twap", "--schedule-arg", "slices"), 2, "like slices=5"),
    "unknown param-set": ((*CROSS, "--param-set", "nope"), 1, "there is no param-set 'nope'; nothing was sent"),
    "a set that nothing contradicts": (
        (*CROSS, "--trust-fit", "synthetic"),
        1,
        "outcomes do not contradict 'synthetic', nothing was changed. They contradict nothing",
    ),
    "bad duration": ((*CROSS, "--deadline", "soon"), 2, "duration 'soon': write it like 15s"),
    "urgency beyond now": ((*CROSS, "--urgency", "2"), 2, "2.0 is not in the range 0<=x<=1"),
    "leverage too high": ((*CROSS, "--leverage", "900"), 1, "leverage 900 is not from 1 to 125; nothing was sent"),
    "unknown option": ((*CROSS, "--option", "colour=red"), 1, "has no option 'colour'; no venue was opened"),
    "option without a value": ((*CROSS, "--option", "hush-hush"), 2, "write each like KEY=VALUE; nothing was opened"),
    "option twice": ((*CROSS, "--option", "market=zi"), 2, "--option market: give each once; nothing was opened"),
    "environment as an option": ((*CROSS, "--option", "env=live"), 2, "--option env: use --env, which is checked"),
    "permission as an option": ((*CROSS, "--option", "allow_live=yes"), 2, "use --allow-live, which is checked"),
    "key on the command line": ((*CROSS, "--option", "api_secret=hush-hush"), 2, "where every process can read them"),
    "paper without a market": ((*CROSS, "--paper"), 1, "there is no 'simulated' among sor.markets; nothing was sent"),
    "no emulator": (
        ("route", "--venue", "acme", "--env", "emulator", *ORDER),
        1,
        "connection refused; nothing was sent. Is its emulator running? Start it with: sor emulate acme",
    ),
    "no market": ((*SIMULATED[:3], "--option", "market=empty", *ORDER, "--dry-run"), 1, "is empty; try again when it"),
}


@pytest.mark.parametrize(("words", "code", "says"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_gets_one_sentence(
    sor: Sor, words: tuple[str, ...], code: int, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sor.cli.preview.MARKET_WAIT_S", 0.2)
    ended, out, err = sor(*words)
    assert (ended, out) == (code, "")
    assert says in err
    assert "Traceback" not in err
    assert "hush-hush" not in err
    if code == 1:
        assert err.startswith("sor: ")
        assert err.count("\n") == 1


LIVE = ("route", "--venue", "acme", "--env", "live", *ORDER, "--policy", "cross")


@pytest.mark.parametrize(
    ("switches", "permit"), [((), "yes"), (("--allow-live",), ""), (("--allow-live",), "1"), (("--yes",), "yes")]
)
def test_real_money_takes_two_permissions(
    sor: Sor, switches: tuple[str, ...], permit: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if permit:
        monkeypatch.setenv("SOR_ALLOW_LIVE", permit)
    ended, out, err = sor(*LIVE, *switches)
    assert (ended, out) == (1, "")
    assert err == (
        "sor: acme (live) trades real money: give --allow-live and set SOR_ALLOW_LIVE=yes in the environment to permit "
        "it; nothing was opened and nothing was sent\n"
    )
    assert (acme.opened, list(tmp_path.iterdir())) == ([], [])


def test_real_money_is_asked_about_and_has_a_journal_of_its_own(
    sor: Sor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SOR_ALLOW_LIVE", "yes")
    monkeypatch.setattr("sys.stdin", io.StringIO(""))  # nobody there
    ended, out, err = sor(*LIVE, "--allow-live")
    assert (ended, out, acme.opened) == (1, "", [])
    assert err.startswith("Real money: buy 0.02 BTC-USDT on acme (live), policy cross. Go on?")
    assert "not confirmed; nothing was opened and nothing was sent" in err
    assert sor(*LIVE, "--allow-live", "--yes")[0] == 0
    assert acme.opened == [{"env": "live", "symbols": "BTC-USDT", "allow_live": "yes"}]
    home = tmp_path / ".sor" / "journals"
    assert verify(home / "acme-live").environment == Environment.LIVE
    ended, out, err = sor("route", "--venue", "acme", *ORDER, "--journal", str(home / "acme-live"))
    assert (ended, out) == (1, "")
    assert "is of the live environment, not demo; nothing was changed and nothing was sent" in err
    assert sor("route", "--venue", "acme", *ORDER, "--policy", "cross")[0] == 0
    assert verify(home / "acme-demo").environment == Environment.DEMO


def test_without_keys_nothing_is_opened(sor: Sor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without --env a venue is its demo, which wants keys of its own: the live ones are not taken for them (B7)."""

    def outside(host: str, *_: object) -> None:
        raise AssertionError(f"it looked for {host}")

    monkeypatch.setattr("socket.getaddrinfo", outside)
    monkeypatch.setenv("BINGX_API_KEY", "hush-hush-live-key")
    monkeypatch.setenv("BINGX_API_SECRET", "hush-hush-live-secret")
    for name in ("BINGX_VST_API_KEY", "BINGX_VST_API_SECRET"):
        monkeypatch.delenv(name, raising=False)
    ended, out, err = sor("route", "--venue", "bingx", *ORDER)
    assert (ended, out) == (1, "")
    assert err.startswith(
        "sor: BINGX_VST_API_KEY and BINGX_VST_API_SECRET are not in the environment; nothing was sent"
    )
    assert "hush" not in err


def test_to_look_at_live_takes_no_permission_and_orders_nothing(sor: Sor, tmp_path: Path) -> None:
    ended, out, _ = sor(*LIVE, "--dry-run")
    assert ended == 0
    assert out.endswith("Dry run: nothing was placed, nothing was changed.\n")
    assert list(tmp_path.iterdir()) == []


# --- what it does -----------------------------------------------------------------------------------------------------


def test_a_filled_order_is_told_and_explained(sor: Sor) -> None:
    ended, out, err = sor(*CROSS, "--id", "one")
    assert ended == 0
    assert re.search(r"^status +filled \(complete\) *$", out, re.MULTILINE)
    assert re.search(r"^average price +60000\.100 *$", out, re.MULTILINE)
    assert re.search(r"^fees +0\.600001 USDT settled", out, re.MULTILINE)
    assert err.startswith("one: buy 0.02 BTC, BTCUSDT on simulated, deadline 60 s, policy cross\n")
    assert re.search(r"send sor\S+: buy 0\.020 LIMIT 60\d+\.\d IOC\n.*filled 0\.020 at 60000\.1 as taker", err)
    (command,) = re.findall(r"^Its story: sor (.*)$", out, re.MULTILINE)
    ended, told, _ = sor(*command.split())
    assert (ended, told.splitlines()[0][:48]) == (0, "one: buy 0.02 BTC, BTCUSDT on simulated, accepte")


@pytest.mark.parametrize(
    ("broken", "begins"),
    [
        (KeyboardInterrupt(), "sor: interrupted; what was sent"),
        (OSError(errno.ENOSPC, "No space left on device"), "sor: No space left on device; what was sent"),
    ],
    ids=["Ctrl-C", "full disk"],
)
def test_an_outcome_that_cannot_be_told_is_no_order_that_was_not_sent(
    sor: Sor, monkeypatch: pytest.MonkeyPatch, broken: BaseException, begins: str
) -> None:
    def cut(*_: object) -> None:
        raise broken

    with monkeypatch.context() as patch:
        patch.setattr("sor.cli.outcome.show", cut)
        _, _, err = sor(*CROSS, "--id", "one")
    last = err.splitlines()[-1]
    assert last.startswith(begins)
    (command,) = re.findall(r": sor (explain .*)\.$", last)
    ended, told, _ = sor(*shlex.split(command))
    assert (ended, told.splitlines()[0][:17]) == (0, "one: buy 0.02 BTC")
    monkeypatch.setattr("sor.plugins.Plugins.installed", cut)
    assert "othing was sent to a" in sor("policies")[2]  # what one command did is nothing that another one did


def test_programs_get_one_document(sor: Sor) -> None:
    ended, out, err = sor(*CROSS, "--json", "--id", "one")
    assert (ended, err) == (0, "")
    told = json.loads(out)
    assert {key: told[key] for key in ("parent", "venue", "env", "side", "status", "exit_code", "filled", "text")} == {
        "parent": "one",
        "venue": "simulated",
        "env": "",
        "side": "buy",
        "status": "filled",
        "exit_code": 0,
        "filled": "0.020",
        "text": "",
    }
    (fill,) = told["fills"]
    assert (fill["quantity"], fill["price"], fill["is_maker"], fill["fee_asset"]) == ("0.020", "60000.1", False, "USDT")
    (sent,) = told["orders"]
    assert (sent["cl_ord_id"], sent["status"], sent["tif"]) == (fill["cl_ord_id"], "filled", "ioc")
    assert told["unconfirmed"] == []


def test_the_same_id_is_the_same_order(sor: Sor) -> None:
    assert sor(*CROSS, "--id", "one")[0] == 0
    ended, out, err = sor(*CROSS, "--id", "one")
    assert (ended, err) == (0, "")
    assert "one had ended before: nothing was sent now." in out
    ended, out, err = sor(*CROSS, "--id", "one", "--limit", "60001")
    assert (ended, out) == (1, "")
    assert "parent 'one' was submitted before with other terms; nothing was sent" in err


def test_what_is_not_filled_in_full_has_codes_of_its_own(sor: Sor) -> None:
    small = ("route", "--venue", "small", "--symbol", "BTC/USDT", "--side", "sell", "--deadline", "1s")
    ended, out, err = sor(*small, "--qty", "0.08", "--policy", "cross")
    assert ended == 4
    assert re.search(r"^filled +0\.050 *$", out, re.MULTILINE)
    assert err.splitlines()[-1].startswith(
        "sor: 0.050 of 0.08 BTC filled and nothing of it rests at the venue: the dead"
    )
    ended, out, err = sor(*REST, "--deadline", "1s", "--json")
    assert ended == json.loads(out)["exit_code"] == 5
    why = "the deadline came, and the limit forbade to cross"
    assert err == f"sor: 0.000 of 0.02 BTC filled and nothing of it rests at the venue: {why}\n"


OBSTACLES: Mapping[str, tuple[tuple[str, ...], str]] = {
    "nothing to reduce": (("--reduce-only", "--leverage", "3"), "there was no position left to reduce"),
    "too much for the risk gate": (
        ("--option", "lot=10", "--qty", "20"),
        "refused its orders: order notional (risk.order_notional_max is 250,",
    ),
    "rate limit": (
        ("--option", "fault.rate_limit=1"),
        "its last order had been refused (rate_limited too many requests). Wait before the next order",
    ),
}


@pytest.mark.parametrize(("words", "says"), OBSTACLES.values(), ids=OBSTACLES)
def test_what_stood_in_the_way_is_said_once_and_at_the_end(sor: Sor, words: tuple[str, ...], says: str) -> None:
    ended, _, err = sor(*CROSS, "--deadline", "1s", *words)
    assert ended == 5
    last = err.splitlines()[-1]
    assert re.match(r"sor: 0(\.000)? of ", last)
    assert says in last
    assert ("leverage is left alone" in err) is ("--leverage" in words)


def test_a_dry_run_shows_what_would_be_decided_and_places_nothing(sor: Sor, tmp_path: Path) -> None:
    ended, out, err = sor(*CROSS, "--dry-run")
    assert (ended, err) == (0, "")
    assert out.splitlines()[0] == "buy 0.02 BTC-USDT on simulated, policy cross"
    assert re.search(
        r"^account +one-way mode; equity 1,000,000\.00 USDT, .* position 0\.000; open orders 0 *$", out, re.MULTILINE
    )
    assert re.search(r"^cross +would take 0\.020 now, at 60\d+\.\d or better \(cross\) *$", out, re.MULTILINE)
    assert "weighed" in out
    large = sor(*CROSS, "--dry-run", "--option", "lot=10", "--qty", "20")
    assert re.search(r"^risk gate +would deny it now: order notional *$", large[1], re.MULTILINE)
    document = json.loads(sor(*CROSS, "--dry-run", "--json")[1])
    assert document["denials"] == [None]
    assert (document["dry_run"], document["position"], document["decision"]["reason"]) == (True, "0.000", "cross")
    assert list(tmp_path.iterdir()) == []


def timed_sets(home: Path) -> Path:
    """Sets by which a market counts as measured after a moment, and after as long as may be asked for."""
    content = json.loads((REPO / "paramsets" / "baseline" / "2026-11-21.json").read_text(encoding="utf-8"))
    for family, window_s in (("quick", "0.1"), ("slow", "10")):
        content["set_id"] = f"{family}/2026-11-21"
        for record in content["records"]:
            if record["id"] == "placement.window_s_min":
                record["value"] = window_s
        (home / "sets" / family).mkdir(parents=True)
        (home / "sets" / family / "2026-11-21.json").write_text(json.dumps(content), encoding="utf-8")
    return home / "sets"


@pytest.mark.slow
def test_a_dry_run_watches_until_there_are_estimates(sor: Sor, tmp_path: Path) -> None:
    words = ("route", "--venue", "simulated", *ORDER, "--dry-run", "--params", str(timed_sets(tmp_path)), "--json")
    began_s = time.monotonic()
    told = json.loads(sor(*words, "--param-set", "quick")[1])["decision"]["alternatives"]
    assert time.monotonic() - began_s > 1.1
    assert len(told) > 1
    assert all(cost is not None for _, cost, *_ in told), told
    blind = json.loads(sor(*words, "--param-set", "slow", "--watch", "0")[1])["decision"]
    assert (blind["reason"], blind["alternatives"][1][:2]) == ("rest_unmeasured", ["rest", None])


@pytest.mark.slow
def test_a_market_is_watched_before_an_order_is_there(
    sor: Sor, tmp_path: Path, processes: list[subprocess.Popen[str]]
) -> None:
    ended, _, err = sor(*CROSS, "--id", "patient", "--watch", "300ms")
    assert (ended, err.splitlines()[0]) == (
        0,
        "Watching BTC-USDT for 0.3 s before anything is decided (--watch 0: at once).",
    )
    began_s = time.monotonic()
    assert sor(*CROSS, "--id", "patient", "--watch", "10m")[0] == 0  # it has ended: nothing is to be decided
    assert time.monotonic() - began_s < 300
    assert sor(*CROSS, "--watch", "soon")[0] == 2
    process = spawned(tmp_path, *CROSS, "--id", "interrupted", "--watch", "60s")
    processes.append(process)
    until_said(process, "Watching")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, err) == (130, "sor: interrupted before an order was sent; nothing was traded\n")
    journal = tmp_path / ".sor" / "journals" / "simulated"
    assert verify(journal).faults == ()
    assert sor("explain", "interrupted", "--journal", str(journal))[0] == 1


def test_leverage_is_set_before_what_may_open_a_position(sor: Sor, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    submit = SimulatedVenue.submit

    async def capped(venue: SimulatedVenue, symbol: str, leverage: Decimal) -> LeverageSet:
        done.append(f"leverage {leverage} of {symbol}")
        return LeverageSet(asked=leverage, in_force=3, sent=True)

    def noted(venue: SimulatedVenue, sent: NewOrder) -> None:
        done.append("submit")
        submit(venue, sent)

    monkeypatch.setattr(SimulatedVenue, "set_leverage", capped)
    monkeypatch.setattr(SimulatedVenue, "submit", noted)
    ended, _, err = sor(*CROSS, "--leverage", "5", "--id", "one")
    assert (ended, done) == (0, ["leverage 5 of BTCUSDT", "submit"])
    assert err.startswith("leverage 3 instead of 5: more is not allowed here\n")
    assert sor(*CROSS, "--leverage", "5", "--id", "one")[0] == 0  # it is there already: nothing is to be set for it
    assert len(done) == 2


def test_secrets_are_never_repeated(sor: Sor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted in a file and in the environment, then looked for in everything that was said and written."""
    hush = "k3y-that-nobody-may-see"
    secrets = tmp_path / "keys"
    secrets.write_text(f"api_key={hush}\napi_secret={hush}\n", encoding="utf-8")
    secrets.chmod(0o600)
    monkeypatch.setenv("ACME_API_SECRET", hush)
    acme.SCRIPT.clear()
    words = (*LIVE, "--dry-run", "--secrets", str(secrets))
    said = [
        sor(*words),
        sor(*words, "--json"),
        sor("doctor", "acme", "--secrets", str(secrets)),
        sor("route", "--venue", "acme", *ORDER, "--policy", "cross", "--secrets", str(secrets)),
        sor("route", "--venue", "acme", *ORDER, "--option", f"api_key={hush}"),
        sor("route", "--venue", "acme", *ORDER, "--option", hush),
    ]
    assert [ended for ended, _, _ in said] == [0, 0, 0, 0, 2, 2]
    assert all(hush not in out + err for _, out, err in said)
    written = [path for path in (tmp_path / ".sor").rglob("*") if path.is_file()]
    assert len(written) >= 2
    assert all(hush.encode() not in path.read_bytes() for path in written)


# --- the view ---------------------------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    """A terminal that somebody may close."""

    closed_by_reader = False

    def write(self, text: str) -> int:
        if self.closed_by_reader:
            raise BrokenPipeError
        return super().write(text)


@pytest.mark.anyio
async def test_the_view_keeps_up_and_gives_up_quietly(tmp_path: Path) -> None:
    screen = Terminal()
    console = Printer(file=screen, force_terminal=True, width=160, highlight=False)
    venue = ladder()
    async with Router(Settings(journal=tmp_path / "j"), venues=[venue]) as router:
        handle = await router.submit(order("one", policy="plain_limit", limit=Decimal(59_990), deadline_s=600.0))
        watcher = Watcher(console, router, handle, where="acme", silent=False)
        await resting(router, handle)
        with watcher.shown():
            with anyio.move_on_after(0.05):
                await watcher.refresh()
            shown = screen.getvalue()
            screen.closed_by_reader = True
            watcher.say("nobody hears this")
            with anyio.move_on_after(0.05):
                await watcher.refresh()
        assert not handle.parent.ended
    assert re.search(r"working: 0\.000 of 0\.500 filled, 0\.500 working, \d{3}\.\d s left", shown)
    assert re.search(r"bid 5\d+\.\d x 1\.000, ask 60\d+\.\d x 1\.000, spread 0\.083 bps", shown)
    assert re.search(r"0\.500 +59990\.0 +new", shown)
    assert "nothing filled yet" in shown
    assert "nobody hears" not in screen.getvalue()


# --- signals ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[str]]]:
    """What a test starts, ended with it."""
    started: list[subprocess.Popen[str]] = []
    yield started
    for one in started:
        if one.poll() is None:
            one.kill()
        one.communicate(timeout=PATIENCE_S)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_withdraws_and_says_what_was_done(
    tmp_path: Path, number: signal.Signals, processes: list[subprocess.Popen[str]]
) -> None:
    patient = "import sor.cli.stopped\nsor.cli.stopped.QUIET_S = 600.0"  # on any machine these are one wish
    process = spawned(tmp_path, *REST, "--json", code=patient)
    processes.append(process)
    journal = tmp_path / ".sor" / "journals" / "simulated"

    def ordered() -> bool:
        assert process.poll() is None, process.communicate()
        return any(b"-000001-0001e" in segment.read_bytes() for segment in journal.glob("*.seg"))  # its first order

    eventually(ordered)
    process.send_signal(number)
    process.send_signal(number)  # a terminal tells it twice: the same wish
    out, err = process.communicate(timeout=PATIENCE_S)
    told = json.loads(out)
    assert (process.returncode, told["status"], told["unconfirmed"]) == (128 + number, "canceled", [])
    assert re.search("nothing (of it rests at the venue|was sent): it was interrupted", err)  # it may have been quick
    assert "Traceback" not in err
    assert verify(journal).faults == ()


@pytest.mark.slow
def test_a_second_ctrl_c_leaves_and_names_what_is_not_confirmed(
    tmp_path: Path, processes: list[subprocess.Popen[str]]
) -> None:
    """Its order gets lost on the way, so nobody can say soon what became of it; the next life settles it."""
    words = (*REST, "--option", "fault.lost_request=1", "--id", "lost")
    process = spawned(tmp_path, *words)
    processes.append(process)
    until_said(process, "send sor")
    process.send_signal(signal.SIGINT)
    until_said(process, "Interrupted: withdrawing what rests. Press again to leave without waiting.")
    time.sleep(1.1)  # sooner it would count as the same key
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 6
    assert re.search(
        r"left before it was known what became of sor\S+, which may still rest or fill; 0\.000 of 0\.02", err
    )
    assert "with --id lost to settle it" in err
    assert re.search(r"^status +stopping \(caller\)", out, re.MULTILINE)
    again = spawned(tmp_path, *REST, "--id", "lost", "--json")
    processes.append(again)
    out, err = again.communicate(timeout=PATIENCE_S)
    told = json.loads(out)
    assert (again.returncode, told["status"], told["unconfirmed"]) == (5, "canceled", []), err


@pytest.mark.slow
def test_after_a_crash_the_order_goes_on_and_no_other_does(
    tmp_path: Path, processes: list[subprocess.Popen[str]]
) -> None:
    """Its order is lost on the way: one that was confirmed would be unknown, for the venue dies with the process."""
    journal = tmp_path / ".sor" / "journals" / "simulated"
    first = spawned(tmp_path, *REST, "--option", "fault.lost_request=1", "--id", "first")
    processes.append(first)
    until_said(first, "send sor")
    first.kill()
    first.wait(timeout=PATIENCE_S)
    second = spawned(tmp_path, *CROSS, "--id", "second", "--json")
    processes.append(second)
    out, _ = second.communicate(timeout=PATIENCE_S)
    assert (second.returncode, json.loads(out)["status"]) == (0, "filled")
    with Index.open(journal) as index:
        ended = {row.parent_id: row.status for row in index.parents()}
    assert ended == {"first": ParentStatus.CANCELED, "second": ParentStatus.FILLED}
    with Journal.open(journal):
        pass  # nobody holds it any more
