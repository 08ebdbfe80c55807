"""What is replayed: which policies, on which ground, and which parents that comes to.

Starts and sides are drawn once and are the same for every policy.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import msgspec
import numpy as np

from sor.errors import CallerError
from sor.lab.own_impact import Flow, Scenario, flow_of
from sor.orders import Side
from sor.tape import Tape
from sor.tca import HORIZONS_NS
from sor.units import NS, to_ns

WARM_UP_NS = 60 * NS
"""Features need this much of the recording before the first parent starts."""
HORIZON_SHARE = 10
"""Markouts look ahead by at most this part (a tenth) of the recording: longer ones would leave no room for parents."""
DEADLINE_S_MIN = 0.001
SEED_MAX = 2**53
"""As of every number that must read the same in every program that reads JSON."""
SYNTHETIC_MARKOUT_NS = 30 * NS
"""Time a made-up market goes on after the last deadline, for markouts."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is replayed.

    policies    arms: a policy's name, or `NAME@SET` where it is to read another param-set than `param_set`.
    quantity    None: `QUANTITY_SHARE` of the median touch size, rounded down to the step.
    latency     each way: `5ms`, or `20ms~0.3` for log-normal with its sigma.
    excursion_bps    of each parent: the adverse move that waiting may cost at most; None for none.
    together    all parents of a policy on one account, where they queue behind, block and net each other.
    impact      a scenario to price the same trades under as well; None for none.
    """

    policies: tuple[str, ...]
    parents: int = 200
    seed: int = 7
    quantity: Decimal | None = None
    deadline_s: float = 15.0
    queue: str = "risk_averse"
    latency: str = "5ms"
    excursion_bps: float | None = None
    together: bool = False
    impact: Scenario | None = None
    schedule: str = "immediate"
    schedule_args: dict[str, float] = msgspec.field(default_factory=dict)
    param_set: str = "baseline"


class Arm(msgspec.Struct, frozen=True, gc=False):
    """One policy with one param-set, by the label that the plan gives it."""

    label: str
    policy: str
    param_set: str

    @property
    def slug(self) -> str:
        """The label as a file may be called."""
        return self.label.replace("/", ".")


def arms_of(plan: Plan) -> tuple[Arm, ...]:
    """The arms of a plan, in its order. Raises `CallerError` for a label that ends with its @."""
    arms = []
    for label in plan.policies:
        policy, at, param_set = label.partition("@")
        if at and not param_set:
            raise CallerError(f"{label!r} names no param-set; nothing was replayed. Name one, or leave the @ out")
        arms.append(Arm(label, policy, param_set or plan.param_set))
    return tuple(arms)


class Start(msgspec.Struct, frozen=True, gc=False):
    """When and on which side one parent starts; the same for every policy."""

    no: int
    at_ns: int
    side: Side


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """What parents are run on: a simulated venue's options, and which stretch of its time may be used.

    name, digest     of the market; both go into the name of the run.
    first_ns, end_ns     where it begins and ends. ready_ns: from when on features have enough data behind them.
    flow                 what an impact is measured in there; None where nobody asked.
    """

    name: str
    digest: str
    options: dict[str, str]
    first_ns: int
    ready_ns: int
    end_ns: int
    flow: Flow | None = None


class Drawn(msgspec.Struct, frozen=True, kw_only=True):
    """What a plan came to on one ground."""

    starts: tuple[Start, ...]
    quantity: Decimal
    horizons_ns: tuple[int, ...]


def tape_ground(tape: Tape, path: Path, plan: Plan) -> Ground:
    """A recording as a ground. Raises `CallerError` for one without a book."""
    if not tape.group_recv_ns.size:
        raise CallerError(f"tape {tape.name} holds no book; nothing was replayed")
    first, end = int(tape.group_recv_ns[0]), int(tape.group_recv_ns[-1])
    warm_up = max(min(WARM_UP_NS, (end - first) // HORIZON_SHARE), tape.warm_up_ns)
    options = {
        "market": "tape",
        "tape": str(path),
        "queue": plan.queue,
        "entry": plan.latency,
        "response": plan.latency,
        "seed": str(plan.seed),
        "owners": "one" if plan.together else "parents",
    }
    if plan.impact is not None:
        plan.impact.check()
    return Ground(
        name=tape.name,
        digest=tape.digest,
        options=options,
        first_ns=first,
        ready_ns=first + warm_up,
        end_ns=end,
        flow=None if plan.impact is None else flow_of(tape),
    )


def synthetic_ground(plan: Plan, *, start_ns: int, spacing_s: float) -> Ground:
    """A seeded zero-intelligence market long enough for the plan's parents at one every `spacing_s` on average.

    One account trades there with a crowd that reacts. Raises `CallerError` for a plan with a scenario of own impact.
    """
    if plan.impact is not None:
        raise CallerError("this market reacts to own orders by itself; nothing was replayed. Leave the impact out")
    horizon_ns = to_ns(plan.parents * spacing_s)
    ready_ns = start_ns + WARM_UP_NS
    end_ns = ready_ns + horizon_ns + to_ns(plan.deadline_s) + SYNTHETIC_MARKOUT_NS
    options = {"market": "zi", "seed": str(plan.seed), "entry": plan.latency, "response": plan.latency}
    return Ground(name="synthetic", digest="zi", options=options, first_ns=start_ns, ready_ns=ready_ns, end_ns=end_ns)


def draw(plan: Plan, ground: Ground, *, quantity: Decimal) -> Drawn:
    """Starts uniform in [warm-up, end - deadline - longest markout], sides by a fair coin, in order of time.

    Raises `CallerError` when the plan makes no sense or the ground is too short for it.
    """
    if not 1 <= plan.parents <= 100_000:
        raise CallerError(f"{plan.parents} parents: give 1 to 100000; nothing was replayed")
    if not DEADLINE_S_MIN <= plan.deadline_s <= 86_400:
        raise CallerError(f"deadline of {plan.deadline_s} s: give 1 ms to 1 day; nothing was replayed")
    if not 0 <= plan.seed <= SEED_MAX:
        raise CallerError(f"seed {plan.seed}: give 0 to 2**53; nothing was replayed")
    span = ground.end_ns - ground.first_ns
    horizons = tuple(horizon for horizon in HORIZONS_NS if horizon * HORIZON_SHARE <= span)
    high = ground.end_ns - to_ns(plan.deadline_s) - (horizons[-1] if horizons else 0)
    if high <= ground.ready_ns:
        raise CallerError(
            f"{ground.name} lasts {span / NS:.1f} s, too short for a deadline of {plan.deadline_s} s; "
            "nothing was replayed. Give a shorter deadline or a longer recording"
        )
    rng = np.random.default_rng([plan.seed, 1])
    times = np.sort(rng.integers(ground.ready_ns, high, plan.parents, endpoint=True))
    coins = rng.integers(0, 2, plan.parents)
    starts = tuple(
        Start(no, int(at_ns), Side.BUY if coin else Side.SELL)
        for no, (at_ns, coin) in enumerate(zip(times, coins, strict=True), start=1)
    )
    return Drawn(starts=starts, quantity=quantity, horizons_ns=horizons)
