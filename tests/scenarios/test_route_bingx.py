"""The command line against BingX's emulator: real processes, real HTTP and sockets on loopback, real signals."""

import json
import os
import re
import shlex
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from sor.cli.main import run
from sor.journal import verify
from tests.fakes.patience import PATIENCE_S
from tests.fakes.ports import free_port
from tests.unit.test_cli_route import REPO, spawned, until_said

pytestmark = pytest.mark.slow

PAGE = REPO / "docs" / "routing.md"
PUBLIC_KEY, PUBLIC_SECRET = "emulator-one-way-key", "emulator-one-way-secret"
Sor = Callable[..., tuple[int, str, str]]


class Emulated:
    """`sor emulate bingx` in a process of its own, on one port all the time."""

    def __init__(self, home: Path) -> None:
        self.port = free_port()
        self._home = home
        self._process: subprocess.Popen[str] | None = None

    @property
    def option(self) -> str:
        return f"url=http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """A new one, which knows nothing of an earlier one's orders."""
        words = ("--synthetic", "7", "--port", str(self.port), "--fault", "no-limits")  # tests are quicker than traders
        process = self._process = spawned(self._home, "emulate", "bingx", *words)
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("Ctrl-C"):
                return
        raise AssertionError(process.communicate())

    def kill(self) -> None:
        """As a machine that loses power."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate(timeout=PATIENCE_S)
            self._process = None


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulated]:
    """One emulator for the tests that leave it alone."""
    emulated = Emulated(tmp_path_factory.mktemp("served"))
    try:
        emulated.start()
        yield emulated
    finally:
        emulated.kill()


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Emulated]:
    """One that a test may kill."""
    emulated = Emulated(tmp_path)
    try:
        emulated.start()
        yield emulated
    finally:
        emulated.kill()


@pytest.fixture
def sor(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sor:
    """Run a command in an empty directory, as the console script does: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        code = run([*arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[str]]]:
    """What a test starts, ended with it."""
    started: list[subprocess.Popen[str]] = []
    yield started
    for one in started:
        one.kill()
        one.communicate(timeout=PATIENCE_S)


def route(emulated: Emulated, *words: str) -> tuple[str, ...]:
    """A command that routes there, and remembers its leverages in the test's own directory."""
    where = ("--venue", "bingx", "--env", "emulator", "--option", emulated.option, "--option", "leverage_cache=cache")
    return ("route", *where, "--symbol", "BTC-USDT", *words)


LOOK = ("--dry-run", "--watch", "0", "--json")


def resting(emulated: Emulated, name: str) -> tuple[str, ...]:
    """One that rests far from the market."""
    terms = ("--side", "buy", "--qty", "0.05", "--policy", "plain_limit", "--limit", "50000", "--deadline", "5m")
    return route(emulated, *terms, "--id", name)


def commands(mark: str) -> list[tuple[str, ...]]:
    """The commands of the page's block under `mark`."""
    (block,) = re.findall(
        rf"^<!-- {mark} -->\n```console\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    return [tuple(shlex.split(line.removeprefix("$ sor "))) for line in block.splitlines()]


@pytest.mark.parametrize("words", commands("beside the emulator"), ids=" ".join)
def test_what_the_page_says_beside_an_emulator(sor: Sor, served: Emulated, words: tuple[str, ...]) -> None:
    """In its order: what is sold with --reduce-only was bought before."""
    ended, out, err = sor(*words, "--option", served.option)
    assert (ended, bool(out)) == (0, True), out + err
    assert "Traceback" not in err


def test_what_the_page_says_without_a_network(tmp_path: Path) -> None:
    for words in commands("run"):
        process = spawned(tmp_path, *words)
        out, err = process.communicate(timeout=PATIENCE_S)
        assert (process.returncode, bool(out)) == (0, True), out + err


MISTAKES: Mapping[str, tuple[tuple[str, ...], int, str]] = {
    "unknown symbol": (
        ("--symbol", "DOGE-USDT"),
        1,
        "BingX lists no DOGEUSDT; nothing was sent. Name one that it lists",
    ),
    "paused symbol": (("--symbol", "PAUSED-USDT"), 1, "PAUSED-USDT is not online: status 25, paused; nothing was sent"),
    "off the step": (("--qty", "0.01234567"), 1, "is off the step of 0.0001; nothing was sent. The nearest are 0.0123"),
    "below the least value": (("--qty", "0.00001"), 1, "is off the step of 0.0001; nothing was sent"),
    "no emulator": (
        ("--option", "url=http://127.0.0.1:1"),
        1,
        "nothing was sent. It may be tried again. Is its emulator running? Start it with: sor emulate bingx",
    ),
    "no key file": (
        ("--secrets", "nowhere"),
        1,
        "nowhere cannot be read (No such file or directory); nothing was sent",
    ),
    "insufficient margin": (
        ("--qty", "3", "--leverage", "1"),
        5,
        "bingx refused 1 order (101204 Insufficient margin, available",
    ),
}


@pytest.mark.parametrize(("words", "code", "says"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_gets_one_sentence(sor: Sor, served: Emulated, words: tuple[str, ...], code: int, says: str) -> None:
    given = route(served, "--side", "buy", "--qty", "0.01", "--policy", "cross", "--json")
    if words[0] == "--option":
        given = tuple(word for word in given if word != served.option)
        given = given[: given.index("--option")] + given[given.index("--option") + 1 :]
    ended, out, err = sor(*given, *words)
    assert ended == code
    assert bool(out) is (code == 5)  # an order that was sent has a document, also when it was refused
    assert says in err
    assert err.startswith("sor: ")
    assert "Traceback" not in err


def test_an_order_leaves_its_story_and_no_secret(sor: Sor, served: Emulated, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"BINGX_EMULATOR_API_KEY={PUBLIC_KEY}\nBINGX_EMULATOR_API_SECRET={PUBLIC_SECRET}\n", "utf-8")
    keys.chmod(0o600)
    words = route(served, "--side", "buy", "--qty", "0.01", "--policy", "cross", "--id", "one", "--secrets", str(keys))
    said = [
        sor(*words, "--dry-run", "--json"),
        sor(*words),
        sor(*words, "--json"),
        sor("explain", "one", "--journal", ".sor/journals/bingx-emulator"),
        sor("doctor", "bingx", "--env", "emulator", "--option", served.option, "--secrets", str(keys), "--json"),
    ]
    assert [ended for ended, _, _ in said] == [0] * 5
    assert "one had ended before: nothing was sent now." not in said[1][1]
    assert re.search(r"^one: buy 0.01 BTC, .* policy cross, param-set bingx$", said[1][2], re.MULTILINE)
    assert json.loads(said[2][1])["known_before"] is True
    assert re.search(r"^fees +0\.\d+ USDT (settled|estimated)", said[1][1], re.MULTILINE)
    assert all(hush not in out + err for _, out, err in said for hush in (PUBLIC_KEY, PUBLIC_SECRET))
    written = [path for path in tmp_path.rglob("*") if path.is_file() and path != keys]
    assert written
    assert all(hush.encode() not in path.read_bytes() for path in written for hush in (PUBLIC_KEY, PUBLIC_SECRET))


def test_in_hedge_mode_each_side_is_opened_and_closed(sor: Sor, served: Emulated, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("BINGX_EMULATOR_API_KEY=emulator-hedge-key\nBINGX_EMULATOR_API_SECRET=emulator-hedge-secret\n")
    keys.chmod(0o600)
    for side, only in (("sell", ()), ("buy", ("--reduce-only",))):
        terms = ("--side", side, "--qty", "0.01", "--policy", "cross", "--secrets", str(keys))
        ended, _, err = sor(*route(served, *terms, *only))
        assert (ended, "filled 0.0" in err) == (0, True), err
    look = sor(*route(served, "--side", "buy", "--qty", "0.01", "--secrets", str(keys)), *LOOK)[1]
    document = json.loads(look)
    assert (document["hedge_mode"], document["position"], document["open_orders"]) == (True, "0.0000", 0)


def test_ctrl_c_leaves_nothing_at_the_venue(
    sor: Sor, served: Emulated, tmp_path: Path, processes: list[subprocess.Popen[str]]
) -> None:
    process = spawned(tmp_path, *resting(served, "rest"))
    processes.append(process)
    until_said(process, "venue: new")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert "nothing of it rests at the venue: it was interrupted" in err
    assert re.search(r"^status +canceled \(caller\)", out, re.MULTILINE)
    dry = sor(*resting(served, "look"), "--dry-run", "--json")[1]
    assert json.loads(dry)["open_orders"] == 0
    assert verify(tmp_path / ".sor" / "journals" / "bingx-emulator").faults == ()


def test_a_venue_that_dies_is_named_and_its_order_settled_by_hand(
    sor: Sor,
    mortal: Emulated,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    processes: list[subprocess.Popen[str]],
) -> None:
    """Killed with an order resting: the first Ctrl-C cannot be confirmed, the second says so.

    The venue comes back without a memory, so only somebody's word can settle it.
    """
    words = resting(mortal, "lost")
    process = spawned(tmp_path, *words)
    processes.append(process)
    until_said(process, "venue: new")
    mortal.kill()
    until_said(process, "is down; it is being opened again")
    process.send_signal(signal.SIGINT)
    until_said(process, "Interrupted: withdrawing what rests.")
    time.sleep(1.1)  # sooner it would count as the same key
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 6
    (order,) = re.findall(r"left before it was known what became of (sor\S+), which may still rest", err)
    assert f"add --settle {order}=FILLED" in err
    mortal.start()
    monkeypatch.setattr("sor.cli.trade.SETTLE_WAIT_S", 2.0)
    ended, out, err = sor(*words, "--settle", f"{order}=0", "--json")
    assert (ended, json.loads(out)["status"], json.loads(out)["unconfirmed"]) == (5, "canceled", [])
    assert f"{order} is over with 0 filled, on your word" in err
    assert sor(*route(mortal, "--side", "buy", "--qty", "0.01", "--policy", "cross"))[0] == 0


# --- the kill switch --------------------------------------------------------------------------------------------------


def killing(emulated: Emulated, *words: str) -> tuple[str, ...]:
    """`sor kill` there."""
    return ("kill", "bingx", "--env", "emulator", "--option", emulated.option, *words, "--json")


def open_at(emulated: Emulated) -> list[str]:
    """Client ids of what rests, by the emulator's own books."""
    with urllib.request.urlopen(f"http://127.0.0.1:{emulated.port}/_emulator/audit", timeout=PATIENCE_S) as answer:
        books = json.loads(answer.read())
    orders = [order for account in books["accounts"] for order in account["orders"]]
    return sorted(order["cl_ord_id"] for order in orders if order["leaves_lots"])


def test_the_kill_switch_of_a_running_router(
    sor: Sor, served: Emulated, tmp_path: Path, processes: list[subprocess.Popen[str]]
) -> None:
    process = spawned(tmp_path, *resting(served, "rest"))
    processes.append(process)
    until_said(process, "venue: new")
    ended, out, _ = sor(*killing(served, "--reason", "drill"))
    told = json.loads(out)
    assert (ended, told["router"], told["heeded"], told["left"], told["proven"]) == (
        0,
        str(process.pid),
        True,
        [],
        True,
    )
    out, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, open_at(served)) == (5, [])
    assert "nothing of it rests at the venue: kill switch (drill)" in err
    again = route(served, "--side", "buy", "--qty", "0.01", "--policy", "cross")
    ended, _, err = sor(*again)
    assert (ended, "trading is halted (kill switch: drill); nothing was sent" in err) == (1, True)
    ended, out, _ = sor(*killing(served, "--mode", "active"))
    assert (ended, json.loads(out)["router"]) == (0, None)
    assert sor(*again)[0] == 0


def test_the_kill_switch_of_a_router_that_died_takes_nothing_of_another_journal(
    sor: Sor, served: Emulated, tmp_path: Path, processes: list[subprocess.Popen[str]]
) -> None:
    (tmp_path / "other").mkdir()
    dead = spawned(tmp_path, *resting(served, "dead"), "--leave")
    other = spawned(tmp_path / "other", *resting(served, "other"), "--leave")
    processes += [dead, other]
    until_said(dead, "venue: new")
    until_said(other, "venue: new")
    dead.kill()
    dead.wait(timeout=PATIENCE_S)
    before = open_at(served)
    assert len(before) == 2
    for segment in (tmp_path / ".sor" / "journals" / "bingx-emulator").glob("*.seg"):
        os.utime(segment, (time.time() - 60.0, time.time() - 60.0))  # it died a minute ago
    ended, out, _ = sor(*killing(served))
    told = json.loads(out)
    assert (ended, told["router"], told["left"], told["proven"]) == (0, None, [], True)
    assert sorted([*told["withdrawn"], *open_at(served)]) == before
    assert len(told["withdrawn"]) == 1
    other.send_signal(signal.SIGINT)
    other.communicate(timeout=PATIENCE_S)
    assert open_at(served) == []


def test_sigusr1_halts(served: Emulated, tmp_path: Path, processes: list[subprocess.Popen[str]]) -> None:
    process = spawned(tmp_path, *resting(served, "rest"))
    processes.append(process)
    until_said(process, "venue: new")
    process.send_signal(signal.SIGUSR1)
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 5
    assert "nothing of it rests at the venue: kill switch (signal SIGUSR1)" in err


def test_orders_of_another_journal_refuse_the_start_until_they_are_adopted(
    sor: Sor, mortal: Emulated, tmp_path: Path, processes: list[subprocess.Popen[str]]
) -> None:
    theirs = spawned(tmp_path, *resting(mortal, "theirs"), "--journal", "theirs")
    processes.append(theirs)
    until_said(theirs, "venue: new")
    theirs.kill()
    theirs.wait(timeout=PATIENCE_S)
    epoch = verify(tmp_path / "theirs").epoch
    ours = route(mortal, "--side", "buy", "--qty", "0.001", "--policy", "cross", "--journal", "ours")
    code, _, err = sor(*ours)
    assert (code, f"mark of another journal, epoch {epoch}" in err, "nothing was sent" in err) == (1, True, True), err
    code, _, err = sor(*ours, "--adopt")
    assert code == 0, err
    look = sor(*route(mortal, "--side", "buy", "--qty", "0.001"), *LOOK)[1]
    assert json.loads(look)["open_orders"] == 0
