"""The run: an emulator's process, one router's process after the other, faults between them, and kills.

Kill moments are found from outside: by what a process says of itself, and by its journal, which grows before anything
is sent. Nothing here knows any venue: faults and books are the emulator's.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import assert_never

import msgspec

from sor.chaos.control import Control
from sor.chaos.judgement import Count, examine
from sor.chaos.plan import Kill, Moment, draw
from sor.chaos.power import lose_power
from sor.chaos.worker import EXIT_AGAIN, Job, Line, Said
from sor.emulation import Battlefield, Serving
from sor.errors import CallerError, VenueFault
from sor.plugins import Plugins
from sor.sim.storm import Findings

CALM_S_MAX = 90.0
"""Once it is calm everything must have ended within this: the longest deadline, doubt, and the longest back-offs. Where
the venue bans, for as long as its adapter keeps away on top: the last life may have met a ban just before."""
MOMENT_S_MAX = 10.0
"""In faults a process whose moment has not come within this is killed all the same: it may wait for a venue that is not
there. Without any its moment comes, on a slow machine late: who is killed before it has done nothing shows nothing."""
WALLET_S_MAX = 20.0
"""Within this the first process knows its wallet, or another one learns it, in worse weather."""
EMULATOR_S_MAX = 60.0
STARTS_MAX = 20
"""How often a router may fail to come up once it is calm."""
AGAIN_S = 1.0
"""A process that could not come up is started again after this, as by anything that looks after processes: at once, and
it asks so often that the venue bans it, which says nothing of the router."""
POLL_S = 0.0005
WORKER = (sys.executable, "-m", "sor.chaos.worker")
_SOR = (sys.executable, "-c", "from sor.cli.main import main; main()")
_TAIL_LINES = 12


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a run came to.

    planned   kills that were planned; weather, bans, power_loss: what was to go wrong beside them.
    kills     by moment. lives: processes that were started. gave_up: those that could not come up, and said so.
    faults    how often each one struck. folder: journal, what was said, the books and both logs.
    cuts      how often the power took something of the journal; cut_bytes: so much in all, gone or zeros.
    """

    seed: int
    venue: str
    account: str
    planned: int
    weather: bool
    bans: bool
    power_loss: bool
    kills: dict[str, int]
    lives: int
    gave_up: int
    cuts: int
    cut_bytes: int
    faults: dict[str, int]
    count: Count
    findings: Findings
    alarms: tuple[str, ...]
    real_s: float
    folder: Path


class Served(msgspec.Struct, frozen=True):
    """What `sor emulate --json` prints when it is up."""

    serving: Serving


def run(
    *,
    seed: int,
    kills: int,
    folder: Path,
    venue: str = "bingx",
    account: str = "",
    weather: bool = True,
    bans: bool = False,
    power_loss: bool = False,
    money: bool = True,
    worker: Sequence[str] = WORKER,
    killed: Callable[[int], object] = lambda _: None,
) -> Outcome:
    """Run it, in a folder that is made. `worker`: what is started as a router. `killed(n)` is called after each kill.

    account       of the emulator, by its name in the books; "" for the usual one.
    weather       whether faults come too, and `bans` among them.
    power_loss    each kill takes what the journal had not synced with it.
    money         whether the wallet is judged: it has to be known before anything is traded, which takes some seconds.

    Raises `CallerError` when nobody can be killed against that venue, or the folder is there; `VenueFault` or `OSError`
    when the emulator ends or answers no more, and nothing can be judged.
    """
    emulator = Plugins.installed().emulator(venue)({"synthetic": f"{seed}"})
    if not isinstance(emulator, Battlefield):
        raise CallerError(f"the emulator of {venue} does not say how a router trades on it; nothing was started")
    account = account or emulator.accounts[0]
    if account not in emulator.accounts:
        known = ", ".join(emulator.accounts)
        raise CallerError(f"the emulator of {venue} has no account {account!r}; nothing was started. It has: {known}")
    try:
        folder.mkdir(parents=True)
    except FileExistsError as error:
        raise CallerError(f"{folder} is there already; nothing was started. Name another one, or remove it") from error
    faulty = (*emulator.weather, *(emulator.bans if bans else ())) if weather else ()
    plan = draw(seed=seed, kills=kills, weather=faulty)
    began_s = time.monotonic()
    with (folder / "emulator.log").open("wb") as log:
        process = subprocess.Popen(
            [*_SOR, "--json", "emulate", venue, "--port", "0", "--synthetic", f"{seed}"], stdout=log, stderr=log
        )
        try:
            serving = until_served(process, folder / "emulator.log")
            ground = emulator.ground(serving, folder, account=account)
            control = Control(serving.addresses["control"])
            job = Job(
                folder=str(folder),
                venue=serving.venue,
                options=dict(ground.options),
                symbol=ground.symbol,
                power_loss=power_loss,
                money=money,
                plan=plan,
            )
            (folder / "job.json").write_bytes(msgspec.json.encode(job))
            siege = _Siege(
                job,
                control,
                calm=emulator.calm,
                calm_s_max=CALM_S_MAX + (emulator.banned_s_max if bans else 0.0),
                environment=ground.environment,
                worker=worker,
                killed=killed,
            )
            siege.run()
            if process.poll() is not None:
                raise VenueFault(f"the emulator has ended, see {folder}: {_tail(folder / 'emulator.log')}")
            books = control.books(folder / "books.json")
            faults = {name: times for name, times in control.struck().items() if name not in emulator.calm}
        finally:
            process.kill()
            process.wait()
    theirs = next(one for one in books.accounts if one.name == ground.account)
    count = examine(
        plan=plan,
        journal=job.journal,
        venue=serving.venue,
        symbol=ground.symbol,
        said=siege.said,
        books=theirs,
        broken=books.broken,
        money=money,
        findings=siege.findings,
    )
    return Outcome(
        seed=seed,
        venue=venue,
        account=account,
        planned=kills,
        weather=weather,
        bans=bans,
        power_loss=power_loss,
        kills=dict(siege.kills),
        lives=siege.lives,
        gave_up=siege.gave_up,
        cuts=siege.cuts,
        cut_bytes=siege.cut_bytes,
        faults=faults,
        count=count,
        findings=siege.findings,
        alarms=tuple(line.text for line in siege.said if line.said is Said.ALARM),
        real_s=time.monotonic() - began_s,
        folder=folder,
    )


class _Siege:
    """One life after the other, until all kills are done and the last one has ended by itself."""

    def __init__(
        self,
        job: Job,
        control: Control,
        *,
        calm: Sequence[str],
        calm_s_max: float,
        environment: Mapping[str, str],
        worker: Sequence[str],
        killed: Callable[[int], object],
    ) -> None:
        self._job = job
        self._control = control
        self._calm = calm
        self._calm_s_max = calm_s_max
        self._environment = {**os.environ, **environment}
        self._worker = worker
        self._killed = killed
        self._gusts = list(job.plan.gusts)[::-1]
        self._process: subprocess.Popen[bytes] | None = None
        self._spare: subprocess.Popen[bytes] | None = None
        self._log = Path(job.folder) / "worker.log"
        self._read = 0
        self._began_s = 0.0
        self.findings = Findings()
        self.kills: Counter[str] = Counter()
        self.lives = 0
        self.gave_up = 0
        self.cuts = self.cut_bytes = 0
        self.said: list[Line] = []

    def run(self) -> None:
        """All kills, then calm."""
        try:
            self._start()
            until_s = time.monotonic() + (WALLET_S_MAX if self._job.money else 0.0)
            while not self._up() and time.monotonic() < until_s and self._lives():
                time.sleep(0.01)  # its wallet is learned in peace
            self._began_s = time.monotonic()
            for kill in self._job.plan.kills:
                if not self._until(kill):
                    return
                self._kill()
                self._lose()
                self.kills[kill.moment.value] += 1
                self._killed(self.kills.total())
                self._start(another=self.kills.total() < len(self._job.plan.kills))
            self._control.calm(self._calm)
            self._job.calm.touch()
            self._finish()
        finally:
            self._kill()
            if self._spare is not None:
                self._begin(self._spare, b"")  # nobody needs it any more, however long it still takes to load
                self._spare.kill()
                self._spare.wait()

    # --- processes ----------------------------------------------------------------------------------------------------

    def _load(self) -> subprocess.Popen[bytes]:
        """A process that stands ready."""
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [*self._worker, str(Path(self._job.folder) / "job.json")],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=self._environment,
            )

    def _start(self, *, another: bool = True) -> None:
        """The next life begins; `another` is loaded, as it will be wanted."""
        self.lives += 1
        self._process = self._spare or self._load()
        self._spare = None
        self._begin(self._process, b"%d\n" % self.lives)
        if another:
            self._spare = self._load()

    @staticmethod
    def _begin(process: subprocess.Popen[bytes], word: bytes) -> None:
        """Say the word that it stands ready for; of one that has ended, its exit code tells."""
        assert process.stdin is not None
        with suppress(BrokenPipeError), process.stdin as word_line:
            word_line.write(word)

    def _kill(self) -> None:
        """SIGKILL, as nobody can catch it; the process is gone when this returns."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _lose(self) -> None:
        """Where the power fails with the process, what it had not synced goes with it."""
        if self._job.power_loss:
            lost = lose_power(self._job.journal, self._job.synced, self._job.plan.losses[self.kills.total()])
            self.cuts += lost > 0
            self.cut_bytes += lost

    def _lives(self) -> bool:
        """Whether the process is there; one that gave up is started again, any other end is noted."""
        assert self._process is not None
        code = self._process.poll()
        if code is None:
            return True
        if code == EXIT_AGAIN:
            self.gave_up += 1
            time.sleep(AGAIN_S)
            self._start()
            return True
        self.findings.crashed.append(f"process {self.lives} ended with {code}: {_tail(self._log)}")
        return False

    # --- moments ------------------------------------------------------------------------------------------------------

    def _until(self, kill: Kill) -> bool:
        """Wait for its moment; False when the process has ended before it, which nobody asked for."""
        until_s = time.monotonic() + (MOMENT_S_MAX if self._job.plan.gusts else CALM_S_MAX)
        reached = True
        match kill.moment:
            case Moment.STARTING:
                pass
            case Moment.RECOVERING:
                size = self._journal_size()
                reached = self._wait(lambda: self._journal_size() != size, until_s)
            case Moment.RUNNING:
                reached = self._wait(self._up, until_s)
            case Moment.SENDING:
                reached = self._wait(self._up, until_s) and self._wait(_never, time.monotonic() + kill.wait_s)
                size = self._journal_size()
                reached = reached and self._wait(lambda: self._journal_size() != size, until_s)
            case _ as never:
                assert_never(never)
        return reached and self._wait(_never, time.monotonic() + kill.after_s)

    def _wait(self, reached: Callable[[], bool], until_s: float) -> bool:
        """Let faults come until something is reached, or the time is over; False when the process has ended."""
        while not reached():
            now_s = time.monotonic()
            if now_s >= until_s:
                return True
            if not self._lives():
                return False
            self._blow()
            time.sleep(min(POLL_S, until_s - now_s))
        return True

    def _blow(self) -> None:
        """Switch the faults on that are due."""
        now_s = time.monotonic() - self._began_s
        while self._gusts and self._gusts[-1].at_s <= now_s:
            self._control.switch(*self._gusts.pop().fault.split(" + "))

    def _up(self) -> bool:
        self._listen()
        return any(line.life == self.lives and line.said is Said.UP for line in reversed(self.said))

    def _journal_size(self) -> int:
        return sum(path.stat().st_size for path in sorted(self._job.journal.glob("*")) if path.is_file())

    def _listen(self) -> None:
        """Read what was said since."""
        if not self._job.said.exists():
            return
        with self._job.said.open("rb") as file:
            file.seek(self._read)
            lines = file.read().splitlines(keepends=True)
        for line in lines:
            if line.endswith(b"\n"):
                self._read += len(line)
                self.said.append(msgspec.json.decode(line, type=Line))

    # --- the end ------------------------------------------------------------------------------------------------------

    def _finish(self) -> None:
        """The last life has to come up, and to end everything, in its time."""
        until_s = time.monotonic() + self._calm_s_max
        starts_max = self.gave_up + STARTS_MAX
        while time.monotonic() < until_s and self.gave_up < starts_max:
            assert self._process is not None
            code = self._process.poll()
            if code == 0:
                self._listen()
                return
            if code is not None and not self._lives():
                self._listen()
                return
            time.sleep(0.01)
        self._listen()
        self.findings.stuck.append(f"it is calm, and process {self.lives} has not ended by itself")


def _never() -> bool:
    return False


def until_served(process: subprocess.Popen[bytes], log: Path) -> Serving:
    """What the emulator says when it is up. Raises `CallerError` when it ends, or takes too long."""
    until_s = time.monotonic() + EMULATOR_S_MAX
    while process.poll() is None and time.monotonic() < until_s:
        try:
            return msgspec.json.decode(log.read_bytes(), type=Served).serving
        except msgspec.DecodeError:
            time.sleep(0.02)
    raise CallerError(f"the emulator does not come up; nothing was traded: {_tail(log)}")


def _tail(log: Path) -> str:
    return " | ".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-_TAIL_LINES:])
