"""Seeds in a row, each a storm with its judgement; and a seed that fails, made as small as it goes."""

from __future__ import annotations

import logging
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import cache, partial
from hashlib import blake2b
from pathlib import Path

import msgspec

from sor.errors import CallerError
from sor.lab.workers import Said, heard
from sor.parents import Parents
from sor.plugins import Plugins
from sor.rig import OpenRig
from sor.sim.storm import PLANS, Findings, Level, Storm

SEEDS_MAX = 1_000_000


class Season(msgspec.Struct, frozen=True, kw_only=True):
    """What is run: seeds from `first` to `last`, both included.

    rig       the venue's rig by its name. faults: only these, by kind or label; None for all that a seed has.
    """

    level: Level
    rig: str
    first: int
    last: int
    faults: tuple[str, ...] | None = None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What one seed came to. `armed`: labels of its faults; `struck`: how often each kind did strike."""

    seed: int
    parents: int
    orders: int
    fills: int
    virtual_s: float
    armed: tuple[str, ...]
    struck: dict[str, int]
    findings: Findings
    digest: str


class Tally(msgspec.Struct, kw_only=True):
    """Outcomes added up. `digest`: of all of theirs."""

    outcomes: int = 0
    parents: int = 0
    orders: int = 0
    fills: int = 0
    virtual_s: float = 0.0
    struck: Counter[str] = msgspec.field(default_factory=Counter)
    failed: list[Outcome] = msgspec.field(default_factory=list)
    digest: str = ""

    def add(self, one: Outcome) -> None:
        """Count one more."""
        self.outcomes += 1
        self.parents += one.parents
        self.orders += one.orders
        self.fills += one.fills
        self.virtual_s += one.virtual_s
        self.struck.update(one.struck)
        if not one.findings.clean:
            self.failed.append(one)
        self.digest = blake2b(f"{self.digest}{one.digest}".encode(), digest_size=16).hexdigest()


def season(*, level: Level, rig: str | None, first: int, last: int, faults: tuple[str, ...] | None = None) -> Season:
    """A season that can be run. Raises `CallerError` for seeds out of order, or a rig or fault that there is not."""
    if not 0 <= first <= last <= first + SEEDS_MAX:
        raise CallerError(
            f"seeds {first}..{last}: give at most {SEEDS_MAX}, the first before the last; nothing was run"
        )
    name = rig or PLANS[level].rig
    kinds = [kind.name for kind in (*_rig(name).faults, *PLANS[level].deaths)]
    for fault in faults or ():
        if fault.partition(".")[0] not in kinds:
            raise CallerError(f"{name} has no fault {fault!r}; nothing was run. It has {', '.join(sorted(kinds))}")
    return Season(level=level, rig=name, first=first, last=last, faults=faults)


@cache
def _rig(name: str) -> OpenRig:
    return Plugins.installed().rig(name)


class _Share(msgspec.Struct, frozen=True):
    plan: Season
    seeds: range


def run(plan: Season, *, jobs: int = 1) -> Iterator[Outcome]:
    """Every seed in order. With more than one job they run in processes of their own, and come out the same."""
    seeds = range(plan.first, plan.last + 1)
    if jobs == 1 or len(seeds) == 1:
        yield from map(partial(_alone, plan), seeds)
        return
    # Shares are taken in turn, so that what one process says early does not wait long for another's.
    shares = [_Share(plan, seeds[no::jobs]) for no in range(min(jobs, len(seeds)))]
    early: dict[int, Outcome] = {}
    following = iter(seeds)
    seed = next(following, None)
    with closing(heard(_told, shares, jobs=len(shares))) as words:
        for _, said in words:
            if isinstance(said, Said):
                early[said.word.seed] = said.word
            while seed in early:
                yield early.pop(seed)
                seed = next(following, None)


def _told(share: _Share, tell: Callable[[Outcome], None]) -> None:
    for seed in share.seeds:
        tell(_alone(share.plan, seed))


def _alone(plan: Season, seed: int) -> Outcome:
    with _workshop() as folder:
        return outcome(plan, seed, folder=folder / f"{seed}")


@contextmanager
def _workshop() -> Iterator[Path]:
    """A folder for files that is gone afterwards, and silence: what adapters log in a storm is no news."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with tempfile.TemporaryDirectory(prefix="sor-simulate-") as folder:
            yield Path(folder)
    finally:
        logging.disable(before)


def outcome(plan: Season, seed: int, *, folder: Path, open_rig: OpenRig | None = None) -> Outcome:
    """One seed, to its judgement; whatever it raises is what it came to. `open_rig`: another one than the plan's."""
    storm: Storm | None = None
    findings = Findings()
    parents: Parents | None = None
    try:
        storm = Storm(
            level=plan.level, seed=seed, open_rig=open_rig or _rig(plan.rig), folder=folder, wanted=plan.faults
        )
        storm.run()
        findings = storm.findings()
        parents = storm.whole().parents
    except Exception as error:  # noqa: BLE001 - a broken invariant is what is looked for, and the seed is what shows it
        where = traceback.extract_tb(error.__traceback__)[-1]
        findings = Findings(crashed=[f"{type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"])
    finally:
        if storm is not None:
            storm.close()
    if storm is None:
        return Outcome(
            seed=seed, parents=0, orders=0, fills=0, virtual_s=0.0, armed=(), struck={}, findings=findings, digest=""
        )
    parents = parents or storm.parents
    return Outcome(
        seed=seed,
        parents=len(parents),
        orders=sum(len(parent.children) for parent in parents),
        fills=sum(len(order.fills) for order in storm.rig.books().orders),
        virtual_s=storm.virtual_s,
        armed=tuple(fault.label for fault in storm.faults),
        struck=storm.struck(),
        findings=findings,
        digest=storm.digest(),
    )


def shrink(plan: Season, failed: Outcome, *, tried: Callable[[int, int], None]) -> Outcome:
    """The same seed with the fewest faults that still fail in the same way: without any one of them it passes.

    Halves are left out first, then single ones. `tried(tests, left)` is called after each run.
    """
    kind = _kinds_of(failed.findings)[0]
    best = failed
    n_tests = 0

    def fails(labels: Sequence[str]) -> Outcome | None:
        nonlocal n_tests
        n_tests += 1
        with _workshop() as folder:
            again = outcome(msgspec.structs.replace(plan, faults=tuple(labels)), failed.seed, folder=folder / "again")
        tried(n_tests, min(len(labels), len(best.armed)))
        return again if kind in _kinds_of(again.findings) else None

    none = fails(())
    if none is not None:
        return none  # it takes no fault at all
    part = max(1, len(best.armed) // 2)
    while part:
        start = 0
        while start < len(best.armed):
            fewer = best.armed[:start] + best.armed[start + part :]
            smaller = fails(fewer) if fewer else None
            if smaller is None:
                start += part
            else:
                best = smaller
        part //= 2
    return best


def _kinds_of(findings: Findings) -> list[str]:
    """Which of the three it is, the worst first."""
    return [name for name in Findings.__struct_fields__ if getattr(findings, name)]
