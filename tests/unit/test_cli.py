"""The command line as a newcomer meets it: help, one sentence for every mistake, one document for programs."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from importlib import resources
from pathlib import Path

import click
import pytest
from msgspec.structs import replace

from sor import __version__
from sor.cli.common import Output, Printer
from sor.cli.demo import START_NS
from sor.cli.main import run
from sor.cli.root import cli
from sor.cli.words import amount, short_unit
from sor.decide import decide
from sor.ids import ParentId, Symbol, VenueName
from sor.instruments import Instrument
from sor.journal import Environment, Journal, verify
from sor.orders import ParentOrder, Side
from sor.params import ParamStore
from sor.plugins import Plugins
from sor.router import Core
from sor.sim.world import World
from sor.units import NS
from tests.fakes.patience import PATIENCE_S

Sor = Callable[..., "Ended"]


class Ended:
    """How one command ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def sor(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sor:
    """Run a command in an empty directory, as the console script does."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str | Path) -> Ended:
        code = run([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return Ended(code, said.out, said.err)

    return call


def leaves(group: click.Group, *path: str) -> Iterator[tuple[str, ...]]:
    """Every command by its words."""
    yield path
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from leaves(command, *path, name)
        else:
            yield (*path, name)


@pytest.mark.parametrize("words", list(leaves(cli)), ids=lambda words: " ".join(words) or "sor")
def test_every_command_helps(sor: Sor, words: tuple[str, ...]) -> None:
    ended = sor(*words, "--help")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith(f"Usage: sor {' '.join(words)}".rstrip())
    # A sentence about what it is for, not only a list of options.
    assert len(ended.out.split("\n\n")[1].strip()) > 20


def test_version(sor: Sor) -> None:
    assert sor("--version").out == f"sor {__version__}\n"


def test_the_module_is_the_command() -> None:
    # A process of its own: the command leaves signals ignored at its end, and whoever is started later inherits that.
    command = [sys.executable, "-m", "sor", "--version"]
    said = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (said.stdout, said.stderr) == (f"sor {__version__}\n", "")


MISTAKES: Mapping[str, tuple[tuple[str, ...], int, str]] = {
    "no such command": (("rout",), 2, "No such command 'rout'"),
    "no such option": (("demo", "--fast"), 2, "No such option"),
    "not a number": (("demo", "--parents", "many"), 2, "'many' is not a valid integer"),
    "unknown policy": (("demo", "--policies", "magic"), 1, "there is no policy 'magic'"),
    "policy named twice": (("demo", "--policies", "cross,cross"), 2, "each name once"),
    "no parents": (("demo", "--parents", "0"), 1, "0 parents: give 1 to 100000"),
    "quantity no number": (("demo", "--qty", "much"), 2, "'much' is not a number"),
    "quantity off the step": (("demo", "--qty", "0.0005"), 1, "off the step"),
    "quantity beyond anything": (("demo", "--qty", "1e999999999"), 1, "is beyond anything that trades"),
    "quantity no record holds": (("demo", "--qty", "1e30"), 1, "is more than 2**53 steps"),
    "quantity not positive": (("demo", "--qty", "-1"), 2, "must be positive"),
    "seed below 0": (("demo", "--seed", "-1"), 1, "from 0 to"),
    "missing tape": (("replay", "none.tape"), 1, "none.tape"),
    "bad duration": (("replay", "none.tape", "--deadline", "15x"), 2, "write it like 15s, 500ms or 2m"),
    "bad schedule argument": (("replay", "none.tape", "--schedule-arg", "slices"), 2, "write each once, like slices=5"),
    "schedule argument without a name": (("replay", "none.tape", "--schedule-arg", "=5"), 2, "write each once"),
    "schedule argument twice": (
        ("replay", "none.tape", "--schedule-arg", "slices=5", "--schedule-arg", "slices=6"),
        2,
        "'slices=6': write each once",
    ),
    "bad queue": (("replay", "none.tape", "--queue", "lucky"), 2, "'lucky' is not one of"),
    "unknown parent": (("explain", "nobody"), 1, "no journal under .sor/runs knows a parent 'nobody' (0 searched)"),
    "missing journal of a parent": (("explain", "nobody", "--journal", "nowhere"), 1, "no journal at nowhere"),
    "missing journal": (("journal", "verify", "nowhere"), 1, "no journal at nowhere"),
    "truth without a recording": (("truth", "none"), 1, "none"),
    "unknown param-set": (("params", "nope"), 1, "nope"),
}


@pytest.mark.parametrize(("words", "code", "says"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_gets_one_sentence(sor: Sor, words: tuple[str, ...], code: int, says: str) -> None:
    ended = sor(*words)
    assert (ended.code, ended.out) == (code, "")
    assert says in ended.err
    assert "Traceback" not in ended.err
    if code == 1:
        assert ended.err.startswith("sor: ")
        assert ended.err.count("\n") == 1


def test_a_corrupt_journal_is_named_and_not_told(sor: Sor, tmp_path: Path) -> None:
    assert sor("demo", "--parents", "1", "--policies", "cross").code == 0
    (journal,) = (tmp_path / ".sor" / "runs").glob("*/cross")
    segment = journal / "000001.seg"
    content = bytearray(segment.read_bytes())
    content[len(content) // 2] ^= 1
    segment.write_bytes(content)
    ended = sor("explain", "cross-0001", "--journal", journal)
    assert (ended.code, ended.out) == (1, "")
    assert "000001.seg" in ended.err
    assert sor("journal", "verify", journal).code == 1


def test_demo_for_people_and_for_programs(sor: Sor, tmp_path: Path) -> None:
    people = sor("demo", "--parents", "3")
    assert people.code == 0
    assert "over 6 parents: overfills 0, orphans 0, double fills 0, missed fills 0." in people.out
    programs = sor("demo", "--parents", "3", "--json")
    assert (programs.code, programs.err) == (0, "")
    document = json.loads(programs.out)
    assert [one["policy"] for one in document["policies"]] == ["cross", "maker_first"]
    assert sor("--json", "demo", "--parents", "3").out == programs.out
    for home in (tmp_path / ".sor" / "runs").glob("*/*"):
        assert verify(home).faults == ()


def test_one_policy_beside_itself_with_another_param_set(sor: Sor, tmp_path: Path) -> None:
    packaged = json.loads((resources.files("paramsets") / "baseline" / "2026-11-21.json").read_text(encoding="utf-8"))
    packaged["set_id"] = "brief/2026-11-21"
    for record in packaged["records"]:
        if record["id"] == "placement.timeout_s_max":
            record["value"] = "1"
    (tmp_path / "sets" / "brief").mkdir(parents=True)
    (tmp_path / "sets" / "brief" / "2026-11-21.json").write_text(json.dumps(packaged))
    labels = "maker_first,maker_first@brief,maker_first@brief/2026-11-21"
    arms = ("--policies", labels, "--param-dir", tmp_path / "sets", "--parents", "4")
    assert sor("tape", "record", "--out", "zi.tape", "--for", "200s", "--seed", "5").code == 0
    ended = sor("replay", "zi.tape", *arms, "--json")
    assert ended.code == 0, ended.err
    document = json.loads(ended.out)
    assert ",".join(one["policy"] for one in document["policies"]) == labels
    sets = [one["param_set"] for one in document["policies"]]
    assert sets == ["baseline/2026-11-21", "brief/2026-11-21", "brief/2026-11-21"]
    plain, brief, dated = document["policies"]
    assert brief["summary"] | {"policy": ""} == dated["summary"] | {"policy": ""}
    assert brief["timeouts"] > plain["timeouts"]
    told = sor("explain", "maker_first@brief-0001")
    assert told.code == 0, told.err
    assert "for 1.0 s." in told.out
    assert sor("replay", "zi.tape", "--policies", "cross,maker_first@nowhere").code == 1
    met = sor("replay", "zi.tape", "--policies", "maker_first", "--parents", "4", "--together", "--json")
    assert (met.code, document["together"], json.loads(met.out)["together"]) == (0, False, True)


def test_explain_tells_and_checks(sor: Sor) -> None:
    sor("demo", "--parents", "2")
    told = sor("explain", "maker_first-0002", "--check")
    assert told.code == 0
    assert "maker_first asked because of start" in told.out
    assert "weighed cross" in told.out
    assert "What it cost" in told.out
    assert "bit for bit" in told.out
    document = json.loads(sor("explain", "maker_first-0002", "--json").out)
    kinds = [one["record"]["kind"] for one in document["records"]]
    assert (kinds[0], kinds.count("ended")) == ("submit", 1)


def test_what_is_printed_is_text_and_a_pipe_that_closes_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """A venue's words may look like markup; rich would end with 1 when the reader goes away."""
    Output().out.print("rejected: [/no] [bold]such[/bold] order")
    assert capsys.readouterr().out == "rejected: [/no] [bold]such[/bold] order\n"
    with pytest.raises(BrokenPipeError):
        Printer().on_broken_pipe()


def test_a_quantity_says_what_it_counts() -> None:
    """98 contracts of 100 USD once read as 98 BTC."""
    terms = {"symbol": Symbol("X"), "venue": VenueName("acme"), "tick_size": Decimal("0.1"), "lot_size": Decimal(1)}
    coin = Instrument(base="BTC", quote="USDT", **terms)  # type: ignore[arg-type]
    face = replace(coin, quote="USD", multiplier=Decimal(100), inverse=True)
    contracts = replace(coin, multiplier=Decimal("0.01"))
    told = [(amount(one, Decimal(98)), short_unit(one)) for one in (coin, face, contracts, replace(coin, base=""))]
    assert told == [
        ("98 BTC", "BTC"),
        ("98 contracts of 100 USD", "contracts"),
        ("98 contracts of 0.01 BTC", "contracts"),
        ("98 units", "units"),
    ]


def test_the_parameters_are_shown_with_all_that_is_known_of_them(sor: Sor) -> None:
    shown = sor("params", "show", "--only", "").out
    assert "placement.collar_bps = 20 bps, within 0.1 to 200, assumed\n    Worst price of a taking order" in shown
    assert shown.count("    Source: ") == shown.count(", within ")


@pytest.mark.slow
def test_the_same_run_several_times_at_once(tmp_path: Path) -> None:
    """Each may replace the others' run, none fails, and what stays is whole."""
    words = ["demo", "--parents", "1", "--policies", "cross", "--json"]
    several = [spawn(tmp_path, words) for _ in range(3)]
    told = [(one.communicate(timeout=600), one.returncode) for one in several]
    assert told == [((told[0][0][0], ""), 0)] * 3
    (home,) = (tmp_path / ".sor" / "runs").glob("*/*")
    assert list(home.parent.iterdir()) == [home]
    assert verify(home).faults == ()


def test_lists_what_there_is(sor: Sor) -> None:
    assert "maker_first" in sor("policies").out
    assert "schedules: " in sor("policies").out
    document = json.loads(sor("policies", "--json").out)
    assert {"cross", "maker_first"} <= set(document["policies"])
    assert {"immediate", "twap"} <= set(document["schedules"])
    assert "placement.collar_bps" in sor("params").out


def spawn(
    home: Path, words: list[str], code: str = "", stdout: int = subprocess.PIPE, **more: str
) -> subprocess.Popen[str]:
    """Start `sor` in a process of its own; `code` runs before it, `more` is added to its environment."""
    return subprocess.Popen(
        [sys.executable, "-c", f"{code}\nfrom sor.cli.main import main; main()", *words],
        cwd=home,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2]), **more},
        stdout=stdout,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )


PRESSED = """
import os, shutil
import sor.cli.stopped
from sor.journal import Journal

sor.cli.stopped.QUIET_S = 600.0  # on any machine these are one wish
append, rmtree = Journal.append, shutil.rmtree

def appended(journal, records):
    turn = append(journal, records)
    os.kill(os.getpid(), {number})
    return turn

def removed(path, ignore_errors=False):
    os.kill(os.getpid(), {number})
    rmtree(path, ignore_errors)

Journal.append, shutil.rmtree = appended, removed
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_with_one_sentence_and_keeps_the_last_run(tmp_path: Path, number: signal.Signals) -> None:
    """In the middle of a new run, which lies beside the old one; impatience does not keep it from tidying up."""
    words = ["demo", "--policies", "cross", "--parents", "4"]
    first = spawn(tmp_path, words)
    first.communicate(timeout=600)
    assert first.returncode == 0
    (kept,) = (tmp_path / ".sor" / "runs").glob("*/cross")
    before = verify(kept)
    again = spawn(tmp_path, words, PRESSED.format(number=number.value))
    out, err = again.communicate(timeout=600)
    assert (again.returncode, out) == (128 + number, "")
    assert err.splitlines()[-1].startswith("sor: interrupted.")
    assert "Traceback" not in err
    assert verify(kept) == before
    assert list(kept.parent.iterdir()) == [kept]


@pytest.mark.parametrize(
    ("number", "module"),
    [(signal.SIGINT, "click"), (signal.SIGTERM, "sor.cli.replay"), (signal.SIGHUP, "pydantic_core")],
)
def test_a_signal_while_it_loads_ends_with_one_sentence(tmp_path: Path, number: signal.Signals, module: str) -> None:
    """Half of a short command's life is loading: the key is pressed when `module` is about to be imported."""
    press = (
        "import os, sys\n"
        "class Press:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {module!r}: os.kill(os.getpid(), {number.value})\n"
        "sys.meta_path.insert(0, Press())"
    )
    ended = spawn(tmp_path, ["--version"], press)
    out, err = ended.communicate(timeout=PATIENCE_S)
    assert (ended.returncode, out) == (128 + number, "")
    assert err.startswith("sor: interrupted.")
    assert err.count("\n") == 1


def test_what_its_starter_ignores_stays_ignored(tmp_path: Path) -> None:
    """As under nohup: the terminal that goes away does not end the run."""
    code = "import os, signal\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
    code += "import sor.cli.main as it\nrun = it.run\n"
    code += "def hung_up(words):\n    os.kill(os.getpid(), signal.SIGHUP)\n    return run(words)\n"
    ended = spawn(tmp_path, ["--version"], code + "it.run = hung_up")
    assert ended.communicate(timeout=PATIENCE_S) == (f"sor {__version__}\n", "")
    assert ended.returncode == 0


@pytest.mark.parametrize("words", [["--help"], ["policies"]], ids=" ".join)
def test_a_reader_that_goes_away_ends_it_quietly(tmp_path: Path, words: list[str]) -> None:
    """`sor ... | head`: as the shell reports it of every program."""
    read, write = os.pipe()
    os.close(read)
    ended = spawn(tmp_path, words, stdout=write)
    os.close(write)
    _, err = ended.communicate(timeout=PATIENCE_S)
    assert (ended.returncode, err) == (128 + signal.SIGPIPE, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("words", [["policies"], ["params", "--json"]], ids=" ".join)
def test_a_full_disk_behind_stdout_is_said(tmp_path: Path, words: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        ended = spawn(tmp_path, words, stdout=full.fileno())
        _, err = ended.communicate(timeout=PATIENCE_S)
    assert (ended.returncode, err) == (1, "sor: No space left on device; nothing was sent to a venue.\n")


@pytest.mark.parametrize("closed", [1, 2])
def test_a_stream_that_is_closed_swallows_what_it_gets(tmp_path: Path, closed: int) -> None:
    ended = spawn(tmp_path, ["policies"], f"import sys\nsys.std{'out' if closed == 1 else 'err'} = None")
    out, err = ended.communicate(timeout=PATIENCE_S)
    assert (ended.returncode, bool(out), err) == (0, closed != 1, "")


def test_names_that_the_terminal_cannot_show(tmp_path: Path) -> None:
    """Shown by their codes where it speaks no UTF-8; JSON is UTF-8 always; bytes that are no text are refused."""
    assert run(["demo", "--parents", "1", "--policies", "cross", "--runs", str(tmp_path / "★")]) == 0
    (home,) = (tmp_path / "★").glob("*/cross")
    journal = str(home.relative_to(tmp_path))
    shown = spawn(tmp_path, ["journal", "verify", journal], PYTHONIOENCODING="latin-1")
    out, err = shown.communicate(timeout=PATIENCE_S)
    assert (shown.returncode, out.split("/")[0], err) == (0, "\\u2605", "")
    words = ["explain", "cross-0001", "--json", "--journal"]
    told = spawn(tmp_path, [*words, journal], PYTHONIOENCODING="latin-1")
    assert json.loads(told.communicate(timeout=PATIENCE_S)[0])["journal"] == journal
    (tmp_path / "★").rename(tmp_path / os.fsdecode(b"\xff"))
    odd = spawn(tmp_path, [*words, os.fsdecode(b"\xff" + journal.removeprefix("★").encode())])
    out, err = odd.communicate(timeout=PATIENCE_S)
    assert (odd.returncode, out) == (1, "")
    assert err.startswith("sor: a name or a text here is not valid UTF-8")
    assert err.count("\n") == 1


def test_a_limit_that_stopped_it_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A limit out of reach: what the deadline would have taken is forbidden, and the story says by what."""
    with Journal.create(tmp_path / "journal", epoch=7, environment=Environment.SIMULATED) as journal:
        plugins = Plugins.installed()
        core = Core(policies=plugins.policies, schedules=plugins.schedules, decider=decide)
        world = World(core, start_ns=START_NS, recorder=journal, horizons_ns=())
        sets = {"baseline": ParamStore().get("baseline", now_ns=START_NS)}
        world.open(epoch=7, version=__version__, sets=sets, default_set="baseline")
        world.connect(plugins.venue("simulated")({"market": "zi", "seed": "7"}))
        order = ParentOrder(
            parent_id=ParentId("[lim]-1"),
            symbol="BTC-USDT",
            side=Side.BUY,
            quantity=Decimal("0.5"),
            limit=Decimal(50_000),
            deadline_s=4.0,
            policy="maker_first",
        )
        world.submit(order)
        world.scheduler.run_until(START_NS + 5 * NS)
    assert run(["explain", "[lim]-1", "--journal", str(tmp_path / "journal"), "--check"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("[lim]-1: buy 0.5 BTC, BTCUSDT on simulated, accepted 2026-01-01 00:00:00.000 UTC")
    assert "\n  limit 50000, deadline 4 s, policy maker_first, schedule immediate," in told
    assert "The limit forbids to cross." in told
    assert "invariant limit price forbade this" in told
    assert "ended expired: 0.000 filled (limit price)\n0.000 of 0.500 filled; 1 order, 1 timeout.\n" in told
    assert "Completing the rest at the end would have cost" in told
