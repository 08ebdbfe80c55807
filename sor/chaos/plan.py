"""What is planned for a run: parents, callers who change their minds, faults and kills. Drawn ahead, as data."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from random import Random

import msgspec

from sor.ids import ParentId
from sor.orders import Side

POLICIES = ("cross", "maker_first", "calm_market", "cost_aware", "join_and_cross", "market_limit_qvi", "plain_limit")
PRICED = "plain_limit"
"""The one that needs a limit price."""
PARENTS_PER_KILL = 8
PARENTS_AFTER = 4
"""Handed in by the last life."""
CHANGED = 0.4
"""The share of parents about which somebody changes his mind."""
GAPS_S = (0.0, 0.03, 0.1, 0.4)
"""Between two parents of one life."""
FAULTS_PER_S = 1.5
FAULTS_S = 20.0
"""For how long there are faults, for each kill; more than enough, as they end with the last one."""
LOTS = (3, 30, 300, 3_000)
DEADLINES_S = (2.0, 4.0, 7.0)
HOLES_BITS = 12
"""Of as many blocks it is drawn whether they come back; a turn is seldom longer."""


class Moment(StrEnum):
    """When a process dies."""

    RUNNING = "running"
    """Some time after it has come up."""
    SENDING = "sending"
    """Within milliseconds of the next turn that it journals, before or after what it sends."""
    RECOVERING = "recovering"
    """Once it has taken up its journal, while it asks the venue what became of its orders."""
    STARTING = "starting"
    """Before that, while the journal is read, or Python loads."""


class Ask(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A parent that somebody hands in `gap_s` after the one before. near_ticks: of its limit to the mid."""

    parent_id: ParentId
    gap_s: float
    side: Side
    policy: str
    schedule: str
    lots: int
    near_ticks: int
    deadline_s: float
    reduce_only: bool


class Change(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What a caller does `after_s` after it has handed in a parent, if that process still lives.

    0 leaves a term alone; where both are 0 the parent is cancelled.
    """

    parent_id: ParentId
    after_s: float
    lots: int = 0
    deadline_s: float = 0.0


class Kill(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One kill, `after_s` after its moment has come. wait_s: after the process is up, for `SENDING`."""

    moment: Moment
    after_s: float
    wait_s: float = 0.0


class Loss(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Where the power fails with a kill: what becomes of the bytes that were not synced.

    keeps    how much of them is there, 0 to 1. zeros: the file has grown and its data never came, so it ends in zeros.
    blocks   all of them are, but for blocks of zeros: those whose bits are set here; 0 for none.
    """

    keeps: float
    zeros: bool
    blocks: int = 0


class Gust(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A fault that is switched on `at_s` after the beginning, or some at once, with " + " between them."""

    at_s: float
    fault: str


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One run. Each life hands in what no life before it has; faults go on until the last kill. losses: for each."""

    seed: int
    asks: tuple[Ask, ...]
    changes: tuple[Change, ...]
    kills: tuple[Kill, ...]
    losses: tuple[Loss, ...]
    gusts: tuple[Gust, ...]

    def lots_max(self) -> dict[ParentId, int]:
        """The most that was ever asked for, by parent: a change may raise it, and nobody knows whether it came."""
        lots = {ask.parent_id: ask.lots for ask in self.asks}
        for change in self.changes:
            lots[change.parent_id] = max(lots[change.parent_id], change.lots)
        return lots


def draw(*, seed: int, kills: int, weather: tuple[str, ...]) -> Plan:
    """The plan of `seed`. `weather`: the faults to draw from; () for none."""
    rng = Random(f"chaos {seed}")
    asks = tuple(_ask(rng, no) for no in range(1, kills * PARENTS_PER_KILL + PARENTS_AFTER + 1))
    changes = tuple(_change(rng, ask) for ask in asks if rng.random() < CHANGED)
    lasts_s = kills * FAULTS_S
    gusts_s = sorted(rng.uniform(0.0, lasts_s) for _ in range(round(lasts_s * FAULTS_PER_S)))
    return Plan(
        seed=seed,
        asks=asks,
        changes=changes,
        kills=tuple(_kill(rng) for _ in range(kills)),
        losses=tuple(_losses(Random(f"power {seed}"), kills)),
        gusts=tuple(Gust(at_s=at_s, fault=_seeded(rng, rng.choice(weather))) for at_s in gusts_s) if weather else (),
    )


def _ask(rng: Random, no: int) -> Ask:
    return Ask(
        parent_id=ParentId(f"p{no}"),
        gap_s=rng.choice(GAPS_S),
        side=rng.choice((Side.BUY, Side.SELL)),
        policy=rng.choice(POLICIES),
        schedule=rng.choice(("immediate", "immediate", "twap")),
        lots=max(1, round(rng.choice(LOTS) * rng.uniform(0.3, 1.0))),
        near_ticks=rng.randint(-60, 60),
        deadline_s=rng.choice(DEADLINES_S) * rng.uniform(0.6, 1.0),
        reduce_only=rng.random() < 0.15,
    )


def _change(rng: Random, ask: Ask) -> Change:
    after_s = rng.uniform(0.0, 1.5)
    match rng.randrange(3):
        case 0:
            return Change(parent_id=ask.parent_id, after_s=after_s)
        case 1:
            return Change(parent_id=ask.parent_id, after_s=after_s, lots=rng.randint(1, LOTS[-1]))
        case _:
            return Change(parent_id=ask.parent_id, after_s=after_s, deadline_s=rng.uniform(0.5, DEADLINES_S[-1]))


def _kill(rng: Random) -> Kill:
    drawn = rng.random()
    if drawn < 0.3:
        return Kill(moment=Moment.RUNNING, after_s=rng.uniform(0.05, 2.5))
    if drawn < 0.7:
        return Kill(moment=Moment.SENDING, after_s=rng.choice((0.0, 0.001, 0.005)), wait_s=rng.uniform(0.1, 2.0))
    if drawn < 0.92:
        return Kill(moment=Moment.RECOVERING, after_s=rng.uniform(0.0, 0.3))
    return Kill(moment=Moment.STARTING, after_s=rng.uniform(0.0, 0.3))


def _losses(rng: Random, kills: int) -> Iterator[Loss]:
    for _ in range(kills):
        keeps = rng.choice((0.0, 1.0, rng.random(), rng.random(), rng.random()))
        zeros, holes, blocks = rng.random() < 0.3, rng.random() < 0.4, rng.randrange(1, 1 << HOLES_BITS)
        yield Loss(keeps=keeps, zeros=zeros, blocks=blocks if holes else 0)


def _seeded(rng: Random, fault: str) -> str:
    """A fault that strikes by chance gets a seed of its own."""
    return f"{fault},seed={rng.randrange(1_000_000)}" if "p=0" in fault else fault
