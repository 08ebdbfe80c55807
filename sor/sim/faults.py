"""Which faults a storm has: drawn from what the rig can do, as data, so that a storm can be had again with fewer.

The workload and the venue draw from generators of their own: what is left out changes nothing of what was planned
otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import msgspec

from sor.errors import CallerError
from sor.rig import Fault, FaultKind

CRASH = FaultKind(name="crash", lasts=False, share=0.6)
"""The router's process dies, `kill -9`, and another one goes on from its journal. The storm's own, on any rig."""
POWER = FaultKind(name="power", lasts=False, share=0.2)
"""The machine dies: as a crash, and what the journal had not synced is gone. Where journals are files."""
CHECKPOINT = FaultKind(name="checkpoint", ways=("whole", "whole", "cut", "damaged"), lasts=False)
"""The router's state is written down: whole, or not to the end, or what is there cannot be read later. No fault at all
for whoever judges: a storm with checkpoints has the digest that it has without."""
CHECKPOINTS_MAX = 6
BEFORE_DEATH = 0.5
"""How probable it is that the last thing which a process does is to write its state down."""
KINDS_MIN = 8
KINDS_MAX = 28
AGAIN = 0.25
"""How probable it is that what is switched at a moment is switched once more."""


def brew(*, level: str, seed: int, kinds: Sequence[FaultKind], storm_s: float) -> tuple[Fault, ...]:
    """At least `KINDS_MIN` kinds of faults, at least one of each, in the order of time, lasting ones first.

    kinds     those of the rig, and the level's deaths. Power and checkpoints are drawn from generators of their own.
    Raises `CallerError` when the rig knows too few.
    """
    rng = Random(f"{level} faults {seed}")
    possible = [kind for kind in kinds if kind not in (POWER, CHECKPOINT)]
    eligible = [kind for kind in possible if rng.random() < kind.share]
    if len(eligible) < KINDS_MIN:  # shares have left too few
        eligible = possible
    if len(eligible) < KINDS_MIN:
        raise CallerError(f"a storm takes {KINDS_MIN} kinds of faults, there are {len(possible)}; nothing was run")
    chosen = rng.sample(eligible, rng.randint(KINDS_MIN, min(KINDS_MAX, len(eligible))))
    faults: list[Fault] = []
    for kind in chosen:
        times = 1 if kind.lasts else 1 + sum(rng.random() < AGAIN for _ in range(2))
        faults += [_drawn(kind, no, rng, storm_s) for no in range(1, times + 1)]
    late = Random(f"{level} power {seed}")
    if POWER in kinds and late.random() < POWER.share:
        faults.append(_drawn(POWER, 1, late, storm_s))
    if CHECKPOINT in kinds:
        faults += _checkpoints(faults, Random(f"{level} checkpoints {seed}"), storm_s)
    return tuple(sorted(faults, key=lambda fault: (-1.0 if fault.at_s is None else fault.at_s, fault.label)))


def _checkpoints(faults: Sequence[Fault], rng: Random, storm_s: float) -> list[Fault]:
    """Some at any time, and some at the moment of a death: before it in the order of labels."""
    times: list[float | None] = [None] * rng.randint(1, CHECKPOINTS_MAX)
    times += [one.at_s for one in faults if one.kind in (CRASH.name, POWER.name) and rng.random() < BEFORE_DEATH]
    drawn = [_drawn(CHECKPOINT, no, rng, storm_s) for no in range(1, len(times) + 1)]
    return [
        one if at_s is None else msgspec.structs.replace(one, at_s=at_s) for one, at_s in zip(drawn, times, strict=True)
    ]


def _drawn(kind: FaultKind, no: int, rng: Random, storm_s: float) -> Fault:
    """One fault of a kind, the `no`-th of its storm."""
    return Fault(
        label=kind.name if no == 1 else f"{kind.name}.{no}",
        kind=kind.name,
        way=rng.choice(kind.ways),
        odds=rng.choice(kind.odds) if kind.odds else None,
        seed=rng.randrange(1_000_000),
        at_s=None if kind.lasts else rng.uniform(0.02, 1.0) * storm_s,
    )


def only(faults: Sequence[Fault], wanted: Sequence[str] | None) -> tuple[Fault, ...]:
    """Those of `faults` that are wanted, by label or by kind; all where None."""
    if wanted is None:
        return tuple(faults)
    return tuple(fault for fault in faults if fault.label in wanted or fault.kind in wanted)
