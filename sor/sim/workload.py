"""What strategies do in a storm: parents of every kind, and callers who change their minds. Drawn ahead, as data."""

from __future__ import annotations

from random import Random

import msgspec

from sor.orders import Side

POLICIES = ("cross", "maker_first", "calm_market", "cost_aware", "join_and_cross", "plain_limit")
PRICED = "plain_limit"
"""The one that needs a limit price."""
MEDDLINGS = 6
HAGGLES = 10
HAGGLE_TICKS = 90


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """How large a storm is.

    first_s, settled_s    before the first parent, and between those that open positions and the storm.
    sizes                 lots, each about one class of parents.
    """

    parents: int
    storm_s: float
    deadlines_s: tuple[float, ...]
    first_s: float
    settled_s: float
    sizes: tuple[int, ...]


class Ask(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A parent that somebody hands in. near_ticks: of its limit price to the market, for who has one."""

    at_s: float
    side: Side
    closes: bool
    policy: str
    near_ticks: int
    lots: int
    deadline_s: float
    schedule: str


class Meddling(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A caller changes its mind about one of its parents, or about the account's leverage.

    which    in [0, 1): which of the parents that there are.
    what     0 cancel, 1 pause, 2 resume, 3 other quantity, 4 other deadline, 5 leverage.
    """

    at_s: float
    which: float
    what: int
    lots: int
    deadline_s: float
    leverage: int


class Haggle(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Other terms for the haggled parent, so that what rests of it is amended."""

    at_s: float
    lots: int
    near_ticks: int


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """All of one storm. `first`: what opens positions, before anything goes wrong for long.

    haggled    a parent that rests, and whose caller cannot leave its terms alone; haggling is about nothing else.
    """

    first: tuple[Side, ...]
    first_lots: tuple[int, ...]
    asks: tuple[Ask, ...]
    meddlings: tuple[Meddling, ...]
    haggled: Ask
    haggling: tuple[Haggle, ...]


def draw(*, level: str, seed: int, shape: Shape) -> Workload:
    """What happens in the storm `seed`."""
    rng = Random(f"{level} workload {seed}")
    sides = [Side.BUY, Side.SELL]
    rng.shuffle(sides)

    def ask(at_s: float) -> Ask:
        return Ask(
            at_s=at_s,
            side=rng.choice((Side.BUY, Side.SELL)),
            closes=rng.random() < 0.25,
            policy=rng.choice(POLICIES),
            near_ticks=rng.randint(-60, 60),
            lots=max(1, round(rng.choice(shape.sizes) * rng.uniform(0.3, 1.0))),
            deadline_s=rng.choice(shape.deadlines_s) * rng.uniform(0.6, 1.0),
            schedule=rng.choice(("immediate", "immediate", "twap")),
        )

    def meddling(at_s: float) -> Meddling:
        return Meddling(
            at_s=at_s,
            which=rng.random(),
            what=rng.randrange(MEDDLINGS),
            lots=rng.randint(1, shape.sizes[-1]),
            deadline_s=rng.uniform(0.5, shape.deadlines_s[-1]),
            leverage=rng.randint(1, 3),
        )

    # From a generator of its own, so that the rest of a storm is what it was without.
    late = Random(f"{level} haggling {seed}")
    side = late.choice((Side.BUY, Side.SELL))
    lots = max(4, round(late.choice(shape.sizes) * late.uniform(0.3, 1.0)))
    length_s = late.choice(shape.deadlines_s) * late.uniform(0.6, 1.0)
    began_s = late.uniform(0.0, 0.6 * shape.storm_s)
    behind = -int(side)  # towards where it rests
    haggled = Ask(
        at_s=began_s,
        side=side,
        closes=False,
        policy=PRICED,
        near_ticks=behind * HAGGLE_TICKS,
        lots=lots,
        deadline_s=length_s,
        schedule="immediate",
    )
    # Nearer and nearer, as what rests beyond a stricter limit is withdrawn and not amended.
    near = sorted((late.randint(1, HAGGLE_TICKS) for _ in range(HAGGLES)), reverse=True)
    times = sorted(began_s + length_s * late.uniform(0.02, 0.9) for _ in range(HAGGLES))
    haggling = tuple(
        Haggle(
            at_s=at_s,
            lots=max(1, round(lots * late.uniform(0.3, 2.5))) if late.random() < 0.4 else lots,
            near_ticks=behind * ticks,
        )
        for at_s, ticks in zip(times, near, strict=True)
    )
    return Workload(
        haggled=haggled,
        haggling=haggling,
        first=tuple(sides),
        first_lots=tuple(rng.randint(shape.sizes[-1] // 15 + 1, shape.sizes[-1]) for _ in sides),
        asks=tuple(ask(at_s) for at_s in sorted(rng.uniform(0.0, 0.8 * shape.storm_s) for _ in range(shape.parents))),
        meddlings=tuple(
            meddling(at_s) for at_s in sorted(rng.uniform(0.0, shape.storm_s) for _ in range(shape.parents))
        ),
    )
