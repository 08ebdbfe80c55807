"""`python -m benchmarks.soak`: many parents at work at once in one process for hours of virtual time; what grows.

The router is `sor.engine.Router` itself with a journal on disk, on a loop in virtual time; the venue is a rig of the
group `sor.rigs`, in the same process. So many callers each hand in a parent, wait for its end and hand in the next one:
half of them read everything that happens to theirs, the others nothing.

Measured at every step of virtual time, after a collection of garbage:

heap      with --heap, bytes by tracemalloc of what the router's own files and those of the adapter have allocated;
          those of the venue's books and of these callers are counted apart.
census    the number of elements in every container that is an attribute of an object of ours, by class and attribute,
          summed over all objects, and the most in one. A container that grows with time shows here under its name.
waiting   the most at once: facts of one turn, requests in the client's queue, calls in the clock.

resident  memory of the whole process, the venue's books included.

A slope is of least squares over the steps behind the first quarter, with two standard errors; steps are not
independent, so take that as the least. What grows with the number of orders is a price per order, as long as they are
remembered (decision 0018); what is left when the price is taken off has to be flat.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import tempfile
import time
import tracemalloc
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from decimal import Decimal
from math import sqrt
from pathlib import Path
from random import Random

import anyio
import msgspec

from benchmarks.rig import START_NS
from sor.commands import Recorded
from sor.engine import Router, Settings
from sor.errors import VenueFault
from sor.ids import ParentId
from sor.journal import turns
from sor.orders import ParentOrder, ParentStatus, PositionSide, Side
from sor.plugins import Plugins
from sor.sim.lives import Lifetime
from sor.sim.loop import VirtualLoop
from sor.sim.workload import POLICIES, PRICED
from sor.sim.world import VirtualScheduler
from sor.units import NS

RIGS = ("simulated", "bingx")
NOT_THE_ROUTER = ("/emulat", "/matching/", "/venues/simulated/", "/sor/sim/", "/benchmarks/")
GROWS = 1.25
"""A container is named when it grew by this factor over the last three quarters, and holds more than `MANY`."""
MANY = 500
LEAVE_S = 300.0
WAITING = (
    "VirtualScheduler._heap",
    "Dispatcher._queue",
    "Dispatcher._armed",
    "Dispatcher._scheduled",
    "Turnstile._queues",
    "ParentHandle._happenings",
    "LiveFeed._watches",
    "Handles._at_work",
    "Handles._ended",
    "Router._alarms",
)
"""Where something waits: the most in one is told."""


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What is done. deadline_s: the longest of a parent; each has between a third of it and all of it.

    retire_s, forget_s    as in the router's settings.
    """

    rig: str
    parents: int
    hours: float
    deadline_s: float
    step_s: float
    seed: int
    retire_s: float
    forget_s: float


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One step. heap, venue_heap, rss: bytes. census: (elements, most in one) by class and attribute."""

    hours: float
    ended: int
    orders: int
    heap: int
    venue_heap: int
    rss: int
    census: dict[str, tuple[int, int]]


class Soaked(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it. turn_facts_max: of one turn; journal: bytes; statuses: how parents ended."""

    load: Load
    samples: tuple[Sample, ...]
    at_work_max: int
    statuses: dict[str, int]
    refused: int
    turns: int
    turn_facts_max: int
    journal: int
    alarms: int
    real_s: float


class Slope(msgspec.Struct, frozen=True):
    """Per unit of x, with its standard error."""

    per: float
    error: float


def slope_of(xs: Sequence[float], ys: Sequence[float]) -> Slope:
    """Least squares of a straight line through at least three points."""
    n = len(xs)
    mean_x, mean_y = sum(xs) / n, sum(ys) / n
    spread = sum((x - mean_x) ** 2 for x in xs)
    per = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / spread
    left = sum((y - mean_y - per * (x - mean_x)) ** 2 for x, y in zip(xs, ys, strict=True))
    return Slope(per, sqrt(left / (n - 2) / spread))


class Soak:
    """One run; `folder` is for journal and adapter."""

    def __init__(self, load: Load, folder: Path) -> None:
        self._load = load
        self._rng = Random(f"soak {load.seed}")
        self._clock = VirtualScheduler(START_NS)
        self._journal = folder / "journal"
        self._rig = Plugins.installed().rig(load.rig)(
            seed=load.seed, draw=Random(f"rig {load.seed}"), scheduler=self._clock, folder=folder / "rig"
        )
        self._venue = self._rig.adapter()
        self._statuses = Counter[ParentStatus]()
        self._refused = self._made = self._at_work = self._at_work_max = 0
        self._samples: list[Sample] = []
        self._until_ns = START_NS + round(load.hours * 3_600 * NS)

    def run(self) -> Soaked:
        """All of it, in as much real time as it takes."""
        began_s = time.monotonic()
        loop = VirtualLoop(self._clock)
        task = loop.create_task(self._soak())
        done = self._clock.run_until(self._until_ns + round(LEAVE_S * NS), done=task.done)
        assert done, "it does not end"
        alarms = task.result()
        loop.close()
        most = count = 0
        for turn in turns(self._journal):
            most, count = max(most, sum(not isinstance(record, Recorded) for record in turn.records)), count + 1
        return Soaked(
            load=self._load,
            samples=tuple(self._samples),
            at_work_max=self._at_work_max,
            statuses={status.value: number for status, number in sorted(self._statuses.items())},
            refused=self._refused,
            turns=count,
            turn_facts_max=most,
            journal=sum(path.stat().st_size for path in self._journal.glob("*.seg")),
            alarms=alarms,
            real_s=time.monotonic() - began_s,
        )

    async def _soak(self) -> int:
        settings = Settings(
            journal=self._journal,
            params_poll_s=600.0,
            shutdown_s=LEAVE_S / 2,
            retire_s=self._load.retire_s,
            forget_s=self._load.forget_s,
        )
        async with Router(settings, venues=[self._venue], open_clock=lambda _: Lifetime(self._clock)) as router:
            async with anyio.create_task_group() as callers:
                for number in range(self._load.parents):
                    callers.start_soon(self._call, router, number)
                callers.start_soon(self._watch, router)
            return len(router.alarms())

    async def _call(self, router: Router, number: int) -> None:
        """One caller: a parent after the other; every second one follows what happens."""
        rng = Random(f"{self._load.seed} caller {number}")
        await anyio.sleep(rng.uniform(1.0, self._load.deadline_s / 4))
        while self._clock.now_ns() < self._until_ns:
            self._made += 1
            try:
                handle = await router.submit(self._order(router, rng))
            except VenueFault:
                self._refused += 1
                await anyio.sleep(60.0)
                continue
            self._at_work += 1
            self._at_work_max = max(self._at_work_max, self._at_work)
            if number % 2:
                async for _ in handle:
                    pass
            await handle.ended()
            self._at_work -= 1
            self._statuses[handle.status] += 1

    def _order(self, router: Router, rng: Random) -> ParentOrder:
        venue = self._venue
        instrument = router.core.in_force.instruments[venue.name, self._rig.symbol]
        side = rng.choice((Side.BUY, Side.SELL))
        position = PositionSide.BOTH
        if PositionSide.BOTH not in venue.capabilities.position_modes:
            position = PositionSide.LONG if side is Side.BUY else PositionSide.SHORT
        policy = rng.choice(POLICIES)
        limit = Decimal(self._rig.touch_ticks() + rng.randint(-60, 60)) * instrument.tick_size
        return ParentOrder(
            parent_id=ParentId(f"p{self._made}"),
            symbol=self._rig.symbol,
            side=side,
            position_side=position,
            quantity=instrument.quantity(rng.randint(20, 100)),
            policy=policy,
            schedule=rng.choice(("immediate", "twap")),
            limit=limit if policy == PRICED else None,
            deadline_s=self._load.deadline_s * rng.uniform(1 / 3, 1.0),
        )

    async def _watch(self, router: Router) -> None:
        """A sample each step, until the end, then everything is told to end."""
        while self._clock.now_ns() < self._until_ns:
            await anyio.sleep(self._load.step_s)
            gc.collect()
            hours = (self._clock.now_ns() - START_NS) / (3_600 * NS)
            heap, venue_heap = heaps()
            sample = Sample(
                hours=hours,
                ended=self._statuses.total(),
                orders=len(self._rig.books().orders),
                heap=heap,
                venue_heap=venue_heap,
                rss=rss(),
                census=census(),
            )
            self._samples.append(sample)
            print(told(sample), file=sys.stderr, flush=True)
        for handle in router.parents():
            if not handle.parent.ended:
                handle.cancel()


def told(sample: Sample) -> str:
    """One line, as it goes."""
    return (
        f"{sample.hours:.2f} h: {sample.ended:,} parents ended, {sample.orders:,} orders, "
        f"heap {sample.heap / 1e6:.1f} MB, resident {sample.rss / 1e6:.0f} MB"
    )


def heaps() -> tuple[int, int]:
    """Bytes that are held now: by what the router and the adapter have allocated, and by venue and callers."""
    ours = others = 0
    if not tracemalloc.is_tracing():
        return 0, 0
    for stat in tracemalloc.take_snapshot().statistics("filename"):
        name = stat.traceback[0].filename
        if "tracemalloc" in name:
            continue
        if any(part in name for part in NOT_THE_ROUTER):
            others += stat.size
        else:
            ours += stat.size
    return ours, others


def rss() -> int:
    """Resident bytes of this process."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def census() -> dict[str, tuple[int, int]]:
    """Elements, and the most in one, of every container that is an attribute of an object of ours."""
    found: dict[str, tuple[int, int]] = {}
    for each in gc.get_objects():
        kind = type(each)
        if not kind.__module__.startswith(("sor.", "venues.")) or isinstance(each, type):
            continue
        for name, value in attributes(each):
            for one in value if isinstance(value, tuple) else (value,):
                if isinstance(one, dict | list | deque | set | bytearray):
                    total, most = found.get(f"{kind.__name__}.{name}", (0, 0))
                    found[f"{kind.__name__}.{name}"] = total + len(one), max(most, len(one))
    return found


def attributes(each: object) -> Iterator[tuple[str, object]]:
    """Name and value of everything that an object holds."""
    yield from getattr(each, "__dict__", {}).items()
    for kind in type(each).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if hasattr(each, name):
                yield name, getattr(each, name)


def growing(samples: Sequence[Sample]) -> list[tuple[str, int, int]]:
    """Name, elements then and now, of containers that have grown since the first quarter."""
    first, last = samples[len(samples) // 4], samples[-1]
    pairs = [(name, first.census.get(name, (0, 0))[0], total) for name, (total, _) in last.census.items()]
    grown = [pair for pair in pairs if pair[2] > MANY and pair[2] > GROWS * pair[1]]
    return sorted(grown, key=lambda pair: -pair[2])


def shown(soaked: Soaked) -> str:
    """For people."""
    load, samples = soaked.load, soaked.samples[len(soaked.samples) // 4 :]
    last = samples[-1]
    hours, orders = [one.hours for one in samples], [float(one.orders) for one in samples]
    waits = sorted(((most_in(soaked.samples, name), name) for name in WAITING), reverse=True)
    grown = [f"{name} {was:,} -> {now:,}" for name, was, now in growing(samples)]
    lines = [
        f"{load.rig}, seed {load.seed}: {load.hours:g} h of virtual time in {soaked.real_s:.0f} s",
        f"parents   {soaked.at_work_max:,} at work at most, {last.ended:,} ended: {soaked.statuses}",
        f"orders    {last.orders:,}; {soaked.refused} parents refused, {soaked.alarms} alarms",
        f"turns     {soaked.turns:,}, {soaked.turn_facts_max} facts in one at most; {soaked.journal / 1e6:.0f} MB",
    ]
    for name, held in (
        ("heap", [float(one.heap) for one in samples]),
        ("resident", [float(one.rss) for one in samples]),
    ):
        if any(held):
            price = slope_of(orders, held)
            rest = [each - price.per * number for each, number in zip(held, orders, strict=True)]
            slope, flat = slope_of(hours, held), slope_of(hours, rest)
            lines.append(
                f"{name:<9} {held[0] / 1e6:.0f} -> {held[-1] / 1e6:.0f} MB, {per(slope, 1e6, 'MB/h')}: "
                f"{per(price, 1e3, 'KB')} an order, the rest {per(flat, 1e6, 'MB/h')}"
            )
    lines += [
        f"waiting   {', '.join(f'{name} {most:,}' for most, name in waits)}",
        f"grew      {'; '.join(grown) or 'nothing'}",
    ]
    return "\n".join(lines)


def most_in(samples: Sequence[Sample], name: str) -> int:
    """The most in one container of that name at any step."""
    return max(sample.census.get(name, (0, 0))[1] for sample in samples)


def per(slope: Slope, unit: float, name: str) -> str:
    """With two standard errors."""
    return f"{slope.per / unit:+.2f} +- {2 * slope.error / unit:.2f} {name}"


def main(arguments: Sequence[str]) -> None:
    """Soak, and print what was measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__.splitlines()[0])
    parser.add_argument("--venue", choices=RIGS, default=RIGS[0])
    parser.add_argument("--parents", type=int, default=1_000, help="at work at once")
    parser.add_argument("--hours", type=float, default=4.0, help="of virtual time")
    parser.add_argument("--deadline", type=float, default=1_200.0, metavar="S", help="the longest of a parent")
    parser.add_argument("--step", type=float, default=600.0, metavar="S", help="from sample to sample")
    parser.add_argument("--retire", type=float, default=900.0, metavar="S", help="after the end; 0: never")
    parser.add_argument("--forget", type=float, default=691_200.0, metavar="S", help="after that; 0: never")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--heap", action="store_true", help="say who allocated what; takes four times as long")
    parser.add_argument("--json", action="store_true", help="every sample")
    asked = parser.parse_args(arguments)
    load = Load(
        rig=asked.venue,
        parents=asked.parents,
        hours=asked.hours,
        deadline_s=asked.deadline,
        step_s=asked.step,
        seed=asked.seed,
        retire_s=asked.retire,
        forget_s=asked.forget,
    )
    if asked.heap:
        tracemalloc.start()
    with tempfile.TemporaryDirectory() as folder:
        soaked = Soak(load, Path(folder)).run()
    print(msgspec.json.encode(soaked).decode() if asked.json else shown(soaked))


if __name__ == "__main__":
    main(sys.argv[1:])
