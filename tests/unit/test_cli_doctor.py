"""`sor doctor`: what it finds of any venue, what an adapter's own checks say, and that it only looks."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from sor.adapter import Capabilities, Check, CheckState, DeadMan
from sor.cli.checks import dead_man
from sor.cli.main import run
from sor.errors import InDoubt
from tests.fakes import acme
from venues.simulated.adapter import SimulatedVenue
from venues.simulated.options import read

Sor = Callable[..., tuple[int, str, str]]


@pytest.fixture
def sor(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sor:
    """Run a command in an empty directory, as the console script does: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    acme.install(monkeypatch)

    def call(*arguments: str) -> tuple[int, str, str]:
        code = run([*arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def states(out: str) -> list[tuple[str, str]]:
    """Name and state of each check in a document."""
    return [(check["name"], check["state"]) for check in json.loads(out)["checks"]]


def test_a_healthy_venue(sor: Sor, tmp_path: Path) -> None:
    ended, out, err = sor("doctor", "acme", "--json")
    assert (ended, err) == (0, "")
    assert states(out) == [
        ("session", "ok"),
        ("instrument", "ok"),
        ("clock", "ok"),
        ("account", "ok"),
        ("open orders", "ok"),
        ("market data", "ok"),
    ]
    document = json.loads(out)
    assert (document["venue"], document["healthy"]) == ("acme", True)
    told = {check["name"]: check["text"] for check in document["checks"]}
    assert told["instrument"] == "BTCUSDT: tick 0.1, step 0.001, least 0.001 and 5 USDT, maker 2 bps, taker 5 bps"
    assert told["account"] == "one-way mode, equity 1,000,000.00 USDT, available 1,000,000.00, 0 positions"
    assert re.match(r"after 0\.\d\d s: bid 60000\.0 x 1\.000, ask 60000\.1 x 1\.000; spread", told["market data"])
    ended, out, err = sor("doctor", "acme", "--env", "live")  # only looked at, so nothing is to be permitted
    assert (ended, err) == (0, "")
    assert out.splitlines()[0].split() == ["check", "state", "found", "what", "to", "do"]
    assert out.splitlines()[-1] == "acme (live): nothing failed. Nothing was ordered, nothing was changed."
    assert list(tmp_path.iterdir()) == []


def test_without_a_session_the_rest_is_not_looked_at(sor: Sor) -> None:
    ended, out, _ = sor("doctor", "acme", "--env", "emulator", "--json")
    assert ended == 1
    first, *rest = json.loads(out)["checks"]
    assert first == {
        "name": "session",
        "state": "failed",
        "text": "acme at 127.0.0.1:1: connection refused; nothing was sent",
        "advice": "Is its emulator running? Start it with: sor emulate acme",
    }
    assert [check["state"] for check in rest] == ["skipped"] * 5


def test_one_that_fails_does_not_hide_the_next(sor: Sor, monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(venue: SimulatedVenue) -> int:
        raise InDoubt("no answer")

    monkeypatch.setattr(SimulatedVenue, "server_time_ns", silent)
    monkeypatch.setattr("sor.cli.checks.ANSWER_S_MAX", 0.3)
    ended, out, _ = sor("doctor", "simulated", "--option", "market=empty", "--symbol", "doge", "--json")
    assert ended == 1
    assert states(out) == [
        ("session", "ok"),
        ("instrument", "failed"),
        ("clock", "failed"),
        ("account", "ok"),
        ("open orders", "ok"),
        ("market data", "failed"),
    ]
    ended, out, _ = sor("doctor", "simulated", "--option", "market=empty")
    assert ended == 1
    assert re.search(r"^market data +failed +the book is empty after 0 s +Nothing can be routed", out, re.MULTILINE)
    assert out.splitlines()[-1].startswith("simulated: 2 of 6 checks failed.")


def test_what_somebody_should_know_is_a_note_and_no_failure(sor: Sor) -> None:
    words = ("doctor", "simulated", "--option", "market=ladder")
    ended, out, _ = sor(*words, "--option", "clock_offset_ms=5000", "--option", "equity=0")
    assert ended == 0
    assert re.search(
        r"^clock +note +the venue is \+5000 ms from ours, in \d+ ms +Let the system's clock", out, re.MULTILINE
    )
    assert re.search(r"^account +note ", out, re.MULTILINE)
    assert "nothing failed, 2 to know about." in out


def test_an_adapter_with_checks_of_its_own_is_asked(sor: Sor) -> None:
    acme.SCRIPT[:] = [
        Check(name="keys", state=CheckState.OK, text="there"),
        Check(name="permissions", state=CheckState.FAILED, text="the key may only read", advice="Enable trading"),
        Check(name="sockets", state=CheckState.SKIPPED, text="not looked at"),
    ]
    ended, out, _ = sor("doctor", "sick", "--json")
    assert ended == 1
    assert states(out) == [("keys", "ok"), ("permissions", "failed"), ("sockets", "skipped")]
    ended, out, _ = sor("doctor", "sick")
    assert re.search(r"^permissions +failed +the key may only read +Enable trading *$", out, re.MULTILINE)
    acme.SCRIPT[:] = [Check(name="raises", state=CheckState.OK, text="so far")]
    ended, out, _ = sor("doctor", "sick", "--json")
    assert (ended, states(out)) == (1, [("raises", "ok"), ("checks", "failed")])


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("nosuch",), 1, "there is no 'nosuch' among sor.venues; nothing was sent"),
        (("simulated", "--option", "colour=red"), 1, "has no option 'colour'; no venue was opened"),
        (("simulated", "--symbol"), 2, "requires an argument"),
    ],
)
def test_a_mistake_gets_one_sentence(sor: Sor, words: tuple[str, ...], code: int, says: str) -> None:
    ended, out, err = sor("doctor", *words)
    assert (ended, out) == (code, "")
    assert says in err


class Switchless(SimulatedVenue):
    """A venue without a dead-man's switch."""

    @property
    def capabilities(self) -> Capabilities:
        return msgspec.structs.replace(super().capabilities, dead_man=DeadMan.NONE)


def test_a_venue_without_a_dead_mans_switch_is_worth_a_note() -> None:
    assert dead_man(SimulatedVenue(read({}))) == []
    (check,) = dead_man(Switchless(read({})))
    assert check.state is CheckState.NOTE
    assert "what rests stays at the venue when this machine dies" in check.text
