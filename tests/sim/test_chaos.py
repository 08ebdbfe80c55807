"""Real processes, really killed: R4. What is broken on purpose is caught by the emulator's books."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from sor.chaos import supervisor
from sor.chaos.control import Control
from sor.chaos.plan import POLICIES, Moment, draw
from sor.chaos.power import lose_power
from sor.chaos.supervisor import Served, run, until_served
from sor.errors import CallerError
from sor.events import Woke
from sor.journal import Durability, Environment, Journal
from sor.journal.segment import BLOCK
from sor.orders import Side
from sor.plugins import Plugins
from sor.sim.storm import Findings
from sor.units import NS
from tests.conftest import REPO
from tests.fakes.dead_man_router import DEAD_MAN_S
from tests.fakes.patience import PATIENCE_S, eventually
from venues.bingx.emulator.faults import read_fault
from venues.bingx.emulator.weather import BANS, WEATHER
from venues.emulation.faults import ByteFaults

SOR = (sys.executable, "-c", "from sor.cli.main import main; main()")
RUNS = ((6, "--seed", "1"), (4, "--seed", "2", "--account", "hedge", "--bans", "--power-loss"))
"""As CI runs it, together ten kills: on both position modes, and the second with all that can be asked for, which is
slower: lives that are shut out wait to be killed."""
OPEN = 1_500
"""Bytes that were not synced."""
MUTANT_SEEDS = (3, 4, 5)
"""In how many runs at most a broken router must be caught."""


class Death(msgspec.Struct, frozen=True):
    """A router with a dead-man's switch that was killed while its order rested.

    gone_s    how long after the switch was renewed last the venue had it no more, by the venue's clock.
    end       what the next life said of it. left: what rests then.
    """

    gone_s: float
    end: str
    left: int


class Beat(msgspec.Struct, frozen=True):
    """When the venue was asked to count down."""

    at_ns: int


def die(folder: Path) -> Death:
    """Kill it, wait for the switch, and start it again."""
    folder.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(REPO)}

    def started(*words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True)

    def said(process: subprocess.Popen[str]) -> str:
        assert process.stdout is not None
        return process.stdout.readline()

    log = folder / "emulator.log"
    with log.open("wb") as out:
        words = (*SOR, "--json", "emulate", "bingx", "--port", "0", "--synthetic", "7")
        emulator = subprocess.Popen(words, env=environment, stdout=out)
    running: list[subprocess.Popen[bytes] | subprocess.Popen[str]] = [emulator]
    try:
        addresses = until_served(emulator, log).addresses
        control = Control(addresses["control"])

        def told(what: str) -> dict[str, object]:
            with urllib.request.urlopen(addresses["control"] + what, timeout=PATIENCE_S) as answer:
                found: dict[str, object] = json.load(answer)
                return found

        def beats_ns() -> list[int]:
            return [
                beat.at_ns for beat in msgspec.convert(told("requests?path=cancelAllAfter")["arrivals"], list[Beat])
            ]

        def resting() -> int:
            orders = control.books(folder / "books.json").accounts[0].orders
            return sum(order.leaves_lots > 0 for order in orders)

        router = (sys.executable, "-m", "tests.fakes.dead_man_router", addresses["rest"], str(folder))
        first = started(*router)
        running.append(first)
        assert said(first) == "rests\n"
        before = len(beats_ns())
        eventually(lambda: len(beats_ns()) >= before + 2)  # the first may have been on its way to disarm it
        first.kill()
        eventually(lambda: not resting())
        gone_s = (msgspec.convert(told("time")["true_ns"], int) - beats_ns()[-1]) / NS
        second = started(*router)
        running.append(second)
        end = said(second)
        assert second.wait(PATIENCE_S) == 0
        return Death(gone_s, end, resting())
    finally:
        for process in running:
            process.kill()
            process.communicate()


@pytest.fixture(scope="module")
def death(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Future[Death]]:
    """It takes as long as the switch, in which everybody waits: beside the ten kills that costs nothing."""
    with ThreadPoolExecutor() as pool:
        yield pool.submit(die, tmp_path_factory.mktemp("death") / "run")


@pytest.mark.slow
def test_ten_kills(tmp_path: Path, death: Future[Death]) -> None:
    """Through the command, with faults, both runs at once; nothing unsafe, nothing stuck, nobody crashed."""
    del death  # begins now
    with ThreadPoolExecutor() as pool:
        for run_of in [pool.submit(one_run, tmp_path / f"run-{kills}", kills, options) for kills, *options in RUNS]:
            run_of.result()


def one_run(keep: Path, kills: int, options: list[str]) -> None:
    """Some kills, and what they leave behind."""
    done = subprocess.run(
        [*SOR, "--json", "chaos", "--kills", f"{kills}", "--keep", str(keep), *options],
        env={**os.environ, "PYTHONPATH": str(REPO)},
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert (found["unsafe"], found["stuck"], found["crashed"]) == ([], [], [])
    assert (found["level"], found["seeds"], sum(found["kills"].values())) == ("process", 1, kills)
    assert found["lives"] == kills + 1 + found["gave_up"]
    assert found["parents"] >= kills
    assert found["orders"] >= kills
    assert (found["power_loss"] is not None) is ("--power-loss" in options)
    assert found["faults"]
    assert found["wallet"] is not None
    assert {"journal", "said", "books.json", "emulator.log", "worker.log"} <= {path.name for path in keep.iterdir()}
    notes = msgspec.json.decode((keep / "emulator.log").read_bytes(), type=Served).serving.notes
    secrets = [word.encode() for name, said in notes.items() if name.startswith("key,") for word in said.split(" / ")]
    assert len(secrets) == 6, notes
    for path in keep.rglob("*"):
        if path.is_file() and path.name != "emulator.log":  # which says them
            assert not [secret for secret in secrets if secret in path.read_bytes()], path


@pytest.mark.slow
def test_a_router_that_is_killed_leaves_its_order_to_the_switch(death: Future[Death]) -> None:
    """`kill -9`: the venue takes the order away after the countdown, and the next life settles it by asking.

    How soon after it, a clock says that nobody holds up: tests/scenarios/test_dead_man.py.
    """
    found = death.result(timeout=5 * PATIENCE_S)
    assert found.gone_s > DEAD_MAN_S - 0.01
    assert (found.end, found.left) == ("canceled 0 0\n", 0)


@pytest.mark.slow
def test_a_broken_router_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Losing its journal between two lives, blindly sending again, and syncing nothing where the power fails.

    However slow the machine is: nobody is killed before his moment.
    """
    monkeypatch.setattr(supervisor, "MOMENT_S_MAX", 0.0)
    mutants = (
        ("chaos_forgetful", ("unknown order",), False),
        ("chaos_resending", ("unknown order",), False),
        ("chaos_unsynced", ("unknown order", "a frame is damaged", "does not match its chain"), True),
    )

    def unnoticed(mutant: tuple[str, tuple[str, ...], bool]) -> str:
        name, symptoms, power_loss = mutant
        worker = (sys.executable, "-m", f"tests.fakes.{name}")
        for seed in MUTANT_SEEDS:
            folder = tmp_path / f"{name}-{seed}"
            outcome = run(
                seed=seed, kills=3, folder=folder, weather=False, power_loss=power_loss, money=False, worker=worker
            )
            said = (*outcome.findings.unsafe, *outcome.findings.crashed)
            if any(symptom in sentence for sentence in said for symptom in symptoms):
                return ""
        return name

    with ThreadPoolExecutor() as pool:
        assert [name for name in pool.map(unnoticed, mutants) if name] == []


def test_a_plan_is_decided_by_its_seed() -> None:
    plan = draw(seed=5, kills=200, weather=WEATHER)
    assert draw(seed=5, kills=200, weather=WEATHER) == plan
    assert draw(seed=6, kills=200, weather=WEATHER) != plan
    assert {kill.moment for kill in plan.kills} == set(Moment)
    assert {ask.policy for ask in plan.asks} == set(POLICIES)
    assert {ask.side for ask in plan.asks} == set(Side)
    kinds = Counter((change.lots > 0, change.deadline_s > 0) for change in plan.changes)
    assert set(kinds) == {(False, False), (True, False), (False, True)}
    assert not draw(seed=5, kills=3, weather=()).gusts


def test_every_policy_is_at_work() -> None:
    assert set(POLICIES) == set(Plugins.installed().policies)


def test_what_may_be_asked_is_the_most_that_ever_was() -> None:
    plan = draw(seed=5, kills=50, weather=())
    asked = {ask.parent_id: ask.lots for ask in plan.asks}
    raised = [change for change in plan.changes if change.lots > asked[change.parent_id]]
    assert raised
    for change in raised:
        assert plan.lots_max()[change.parent_id] == change.lots


def test_all_weather_can_be_had() -> None:
    """Each is a fault that the emulator knows, and over by itself."""
    for fault in dict.fromkeys(" + ".join((*WEATHER, *BANS)).split(" + ")):
        if ByteFaults().switch(fault):
            continue
        strike = read_fault(fault)
        assert strike.fault.name in fault
        at_once = fault.startswith(("drop-sockets", "expire-listen-keys")) or strike.whole("count") == 1
        assert at_once or 0 < strike.whole("for_ms") <= 6_000, fault


def test_nobody_is_killed_where_somebody_else_has_been(tmp_path: Path) -> None:
    with pytest.raises(CallerError, match="is there already"):
        run(seed=1, kills=0, folder=tmp_path)


def test_an_account_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CallerError, match=r"no account 'both'; nothing was started\. It has: one-way, hedge"):
        run(seed=1, kills=0, folder=tmp_path / "run", account="both")
    assert not (tmp_path / "run").exists()


def test_the_power_takes_what_was_not_synced_and_nothing_else(tmp_path: Path) -> None:
    """Whole turns that were synced stay, byte by byte; of the rest a part may stay, or be zeros, or have holes."""
    (tmp_path / "000001.seg").write_bytes(b"a" * 100)
    (tmp_path / "000002.seg").write_bytes(b"b" * 60 + b"c" * OPEN)
    notes = tmp_path / "synced"
    inodes = [(tmp_path / name).stat().st_ino for name in ("000001.seg", "000002.seg")]
    notes.write_text(f"[{inodes[0]},100]\n[{inodes[1]},20]\n[{inodes[1]},60]\n[{inodes[1]},9", "utf-8")
    ends = Counter[str]()
    for loss in draw(seed=1, kills=100, weather=()).losses:
        (tmp_path / "000002.seg").write_bytes(b"b" * 60 + b"c" * OPEN)
        lost = lose_power(tmp_path, notes, loss)
        assert (tmp_path / "000001.seg").read_bytes() == b"a" * 100
        left = (tmp_path / "000002.seg").read_bytes()
        assert left.startswith(b"b" * 60)
        rest = left[60:]
        blocks = [left[max(60, at) : at + BLOCK] for at in range(0, len(left), BLOCK)]
        assert all(block in (b"c" * len(block), bytes(len(block))) for block in blocks), rest
        assert lost == OPEN - rest.count(b"c")
        kinds = {block[0] for block in blocks if block}
        ends["all" if rest == b"c" * OPEN else "holes" if len(kinds) > 1 else f"{sorted(kinds)}"] += 1
    assert set(ends) == {"[]", "[0]", "[99]", "all", "holes"}, ends


def test_a_turn_that_the_kill_did_not_strike_is_torn_by_the_power(tmp_path: Path) -> None:
    """Seldom is anything unsynced when a process dies; then there is a turn more, with holes, and it is cut."""
    path = tmp_path / "journal"
    with Journal.create(path, epoch=7, environment=Environment.DEMO, durability=Durability.SYNCED) as journal:
        journal.append([Woke(now_ns=1, parent_no=1, market=False)])
    segment = path / "000001.seg"
    size = segment.stat().st_size
    notes = tmp_path / "synced"
    notes.write_text(f"[{segment.stat().st_ino},{size}]\n", "utf-8")
    torn = 0
    for loss in draw(seed=1, kills=60, weather=()).losses:
        assert bool(lose_power(path, notes, loss)) is bool(loss.blocks)
        with Journal.open(path, durability=Durability.SYNCED) as journal:
            assert journal.last_turn == 1
            torn += journal.torn_tail_bytes > 0
        assert segment.stat().st_size == size
    assert torn > 10


@pytest.mark.parametrize(("kind", "code"), [("unsafe", 3), ("stuck", 4), ("crashed", 5)])
def test_what_is_wrong_is_not_clean(kind: str, code: int) -> None:
    from sor.cli.chaos import exit_code

    assert Findings().clean
    assert exit_code(Findings()) == 0
    findings = Findings(**{kind: ["x"]})
    assert not findings.clean
    assert exit_code(findings) == code
    assert exit_code(Findings(unsafe=["x"], stuck=["x"], crashed=["x"])) == 3
