"""Replay: the same parents on a recording, once per policy, judged by the venue's books and priced by TCA.

Every parent trades on an account of its own, so parents do not meet each other, nor share rates: what is compared is
how a policy places one order, not how many orders share a market; `Plan.together` puts them on one. Starts and sides
are drawn once and are the same for every policy. Own orders move nothing on the recording; docs/replay.md states the
bias, and `Plan.impact` asks what it may be worth.

Same tape, arguments and version: same bytes.
"""

from __future__ import annotations

import errno
import hashlib
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from decimal import Decimal
from functools import partial
from math import nan
from pathlib import Path

import msgspec
import numpy as np

from sor import __version__
from sor.adapter import Audited, OpenVenue, VenueOrder
from sor.commands import Happening, Recorded
from sor.decide import decide
from sor.errors import CallerError
from sor.events import AnyFact
from sor.ids import EPOCH_BOUND, AccountId, ClOrdId, ParentId
from sor.instruments import Instrument
from sor.intake import admit
from sor.journal import Environment, Journal
from sor.lab.bootstrap import Difference, Floats, Interval, Ints, block_of, difference, interval
from sor.lab.own_impact import Flow, Scenario, flow_of, paid_on_top_bps
from sor.lab.workers import in_processes
from sor.orders import ParentOrder, Side
from sor.param_file import parse
from sor.params import ParamSet
from sor.parent import Parent
from sor.plugins import Plugins
from sor.policy import Policy, Schedule
from sor.records import record_of
from sor.router import Core
from sor.sim.oracle import Asked, Claimed, Verdict, judge
from sor.sim.world import World
from sor.tape import Tape
from sor.tca import HORIZONS_NS, ParentReport, PolicyReport, report, summary
from sor.units import NS, to_ns

WARM_UP_NS = 60 * NS
"""Features need this much of the recording before the first parent starts."""
HORIZON_SHARE = 10
"""Markouts look ahead by at most this part (a tenth) of the recording: longer ones would leave no room for parents."""
QUANTITY_SHARE = Decimal("0.1")
"""The default quantity, as a share of the median size at the touch."""
DEADLINE_S_MIN = 0.001
SEED_MAX = 2**53
"""As of every number that must read the same in every program that reads JSON."""
TOGETHER = "together"
"""The account of parents that share one."""
PUT_TRIES = 8
PROBE_LOOKS = 100
PROBE_NS = 60 * NS
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


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """One arm's run. `policy` is its label; fitted_elsewhere: scopes of its set's fit, where none holds here.

    impact_bps    (P,) what each parent would have paid more under the plan's scenario; None where there is none.
    """

    policy: str
    param_set: str
    fitted_elsewhere: tuple[str, ...]
    params_digest: str
    reports: tuple[ParentReport, ...]
    summary: PolicyReport
    cost: Interval | None
    cost_p95: float | None
    verdict: Verdict
    journal: Path
    impact_bps: tuple[float, ...] | None = None

    @property
    def costs_bps(self) -> Floats:
        """(P,) cost of each parent against its arrival mid, NaN where it is not known."""
        return costs_of(self.reports)


class Impacted(msgspec.Struct, frozen=True, kw_only=True):
    """One arm's cost under the plan's scenario of own impact, and against the first arm's under the same."""

    cost: Interval | None
    against_first: Difference | None


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """All policies of a plan, and each against the first; `impacted` once more under its scenario, if it has one."""

    ground: Ground
    plan: Plan
    drawn: Drawn
    instrument: Instrument
    outcomes: tuple[Outcome, ...]
    differences: tuple[Difference | None, ...]
    impacted: tuple[Impacted, ...] = ()


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


class _Nowhere:
    """A recorder for looks that decide nothing."""

    def append(self, records: Sequence[AnyFact | Recorded]) -> int:
        """Forget a turn."""
        del records
        return 0


class Leg(msgspec.Struct, frozen=True):
    """One arm of a plan, as a process that has nothing but the installed plug-ins can run it. sets: their texts."""

    plan: Plan
    ground: Ground
    sets: dict[str, str]
    runs: Path
    arm: int


def run_all(
    replayers: Sequence[Replayer], *, progress: Callable[[int, str, int], None], jobs: int = 1
) -> list[Comparison]:
    """All arms of several replayers, `jobs` at a time, each in a process of its own if there is more than one.

    progress    called with the replayer's number, the arm's label and how many of its parents have ended.
    Raises      what a run raises; then the runs that had ended are in their places, and no others.
    """
    asked = [(no, leg) for no, replayer in enumerate(replayers) for leg in replayer.legs()]

    def tell(task: int, ended: int) -> None:
        no, leg = asked[task]
        progress(no, leg.plan.policies[leg.arm], ended)

    if jobs == 1:
        outcomes = [replayers[no].run_arm(leg.arm, partial(tell, task)) for task, (no, leg) in enumerate(asked)]
    else:
        outcomes = in_processes(_run_leg, [leg for _, leg in asked], jobs=jobs, progress=tell)
    return [
        replayer.compared(tuple(outcome for (of, _), outcome in zip(asked, outcomes, strict=True) if of == no))
        for no, replayer in enumerate(replayers)
    ]


def _run_leg(leg: Leg, tell: Callable[[int], None]) -> Outcome:
    sets = {name: parse(text, where=name) for name, text in leg.sets.items()}
    replayer = Replayer.installed(leg.plan, leg.ground, sets=sets, runs=leg.runs)
    return replayer.run_arm(leg.arm, tell)


class Replayer:
    """Runs the policies of one plan on one ground.

    open_venue    the simulated venue's entry point.
    sets          param-sets by the names that parents may use.
    runs          directory for the journals, one for each policy; an older run of the same plan is replaced.
    """

    def __init__(
        self,
        plan: Plan,
        ground: Ground,
        *,
        open_venue: OpenVenue,
        policies: Mapping[str, Policy],
        schedules: Mapping[str, Schedule],
        sets: Mapping[str, ParamSet],
        runs: Path,
    ) -> None:
        self._arms = arms_of(plan)
        for arm in self._arms:
            if arm.policy not in policies:
                known = ", ".join(policies)
                raise CallerError(f"there is no policy {arm.policy!r}; nothing was replayed. Installed: {known}")
        if plan.schedule not in schedules:
            known = ", ".join(schedules)
            raise CallerError(f"there is no schedule {plan.schedule!r}; nothing was replayed. Installed: {known}")
        self.plan = plan
        self.ground = ground
        self._open_venue = open_venue
        self._policies = policies
        self._schedules = schedules
        self._sets = dict(sets)
        self._runs = runs
        self.instrument, touch_lots, core = self._probe()
        self.drawn = draw(plan, ground, quantity=self._quantity(touch_lots))
        for arm in self._arms:  # what the router would refuse is refused before anything is written
            admit(core, self._order(arm, self.drawn.starts[0]))

    @classmethod
    def installed(cls, plan: Plan, ground: Ground, *, sets: Mapping[str, ParamSet], runs: Path) -> Replayer:
        """A replayer of the plug-ins that are installed."""
        plugins = Plugins.installed()
        return cls(
            plan,
            ground,
            open_venue=plugins.venue("simulated"),
            policies=plugins.policies,
            schedules=plugins.schedules,
            sets=sets,
            runs=runs,
        )

    def run(self, *, progress: Callable[[str, int], None], jobs: int = 1) -> Comparison:
        """All arms, `jobs` at a time; what comes out is the same. `progress(label, ended)` is called as parents end."""
        return run_all([self], progress=lambda _, label, ended: progress(label, ended), jobs=jobs)[0]

    def legs(self) -> list[Leg]:
        """Its arms, each as what another process needs to run it."""
        texts = {name: one.text for name, one in self._sets.items()}
        return [Leg(self.plan, self.ground, texts, self._runs, arm) for arm in range(len(self._arms))]

    def run_arm(self, no: int, tell: Callable[[int], None]) -> Outcome:
        """One arm, counted from 0. `tell(ended)` is called as parents end."""
        return self._run(self._arms[no], tell)

    def compared(self, outcomes: tuple[Outcome, ...]) -> Comparison:
        """The outcomes of all arms, in order, side by side."""
        return Comparison(
            ground=self.ground,
            plan=self.plan,
            drawn=self.drawn,
            instrument=self.instrument,
            outcomes=outcomes,
            differences=tuple(
                None if outcomes[0] is other else self._difference(other.costs_bps, outcomes[0].costs_bps)
                for other in outcomes
            ),
            impacted=tuple(self._impacted(outcomes[0], other) for other in outcomes) if self.ground.flow else (),
        )

    def _probe(self) -> tuple[Instrument, int, Core]:
        """The instrument that the venue lists, the median size at the touch over a hundred looks, and who looked."""
        ground = self.ground
        core = Core(policies=self._policies, schedules=self._schedules, decider=decide)
        world = World(core, start_ns=ground.first_ns, recorder=_Nowhere(), horizons_ns=())
        world.open(epoch=0, version=__version__, sets=self._sets, default_set=self.plan.param_set)
        adapter = self._open_venue(ground.options)
        world.connect(adapter)
        (instrument,) = core.in_force.instruments.values()
        feed = world.dispatcher.feed(adapter.name, instrument.symbol)
        sizes: list[int] = []
        # A hundredth of a recording each, but of a market made up as it goes only the first minutes.
        span = (
            min(ground.end_ns - ground.ready_ns, PROBE_NS) if ground.digest == "zi" else ground.end_ns - ground.ready_ns
        )
        for look in range(PROBE_LOOKS):
            at_ns = ground.ready_ns + span * look // PROBE_LOOKS
            world.scheduler.run_until(at_ns)
            view = feed.view(at_ns)
            sizes += [levels[0][1] for levels in (view.bids, view.asks) if levels]
        return instrument, int(np.median(np.array(sizes))) if sizes else 0, core

    def _quantity(self, touch_lots: int) -> Decimal:
        """What each parent trades. Raises `CallerError` for a quantity off the step or below the minimum."""
        instrument = self.instrument
        if self.plan.quantity is None:
            return instrument.quantity(max(int(touch_lots * QUANTITY_SHARE), instrument.min_qty_lots, 1))
        if instrument.lots(self.plan.quantity) < instrument.min_qty_lots:
            least = instrument.quantity(instrument.min_qty_lots)
            raise CallerError(f"quantity {self.plan.quantity} is below the minimum of {least}; nothing was replayed")
        return self.plan.quantity

    def _run(self, arm: Arm, tell: Callable[[int], None]) -> Outcome:
        plan, ground, drawn = self.plan, self.ground, self.drawn
        home = self._runs / self._name() / arm.slug
        epoch = int.from_bytes(hashlib.sha256(self._name().encode()).digest()[:8], "big") % EPOCH_BOUND
        core = Core(policies=self._policies, schedules=self._schedules, decider=decide)
        ended = 0

        def count(happening: Happening) -> None:
            nonlocal ended
            if happening.status is not None and core.parents[happening.parent_no - 1].ended:
                ended += 1
                tell(ended)

        with (
            _workshop(home) as workshop,
            Journal.create(workshop, epoch=epoch, environment=Environment.SIMULATED) as journal,
        ):
            world = World(core, start_ns=ground.first_ns, recorder=journal, horizons_ns=drawn.horizons_ns, tell=count)
            world.open(epoch=epoch, version=__version__, sets=self._sets, default_set=plan.param_set)
            adapter = self._open_venue(ground.options)
            world.connect(adapter)
            # Listened to from the beginning, as a strategy would: features rest on data when the first parent starts.
            world.dispatcher.feed(adapter.name, self.instrument.symbol)
            for start in drawn.starts:
                world.scheduler.call_at(start.at_ns, partial(world.submit, self._order(arm, start)))
            world.scheduler.run_until(ground.end_ns)
        assert isinstance(adapter, Audited)
        return self._outcome(arm, core, adapter.audit(), home)

    def _order(self, arm: Arm, start: Start) -> ParentOrder:
        plan = self.plan
        parent_id = ParentId(f"{arm.slug}-{start.no:04d}")
        return ParentOrder(
            parent_id=parent_id,
            symbol=self.instrument.symbol,
            side=start.side,
            quantity=self.drawn.quantity,
            account=AccountId(TOGETHER if plan.together else parent_id),
            deadline_s=plan.deadline_s,
            mae_budget_bps=plan.excursion_bps,
            # msgspec leaves a default out of the journal if it is the very same object, which a string read from a
            # command line or sent by another process is not, unless it is interned as those in the source are.
            schedule=sys.intern(plan.schedule),
            schedule_args=plan.schedule_args,
            policy=arm.policy,
            param_set=arm.param_set,
        )

    def _outcome(self, arm: Arm, core: Core, books: tuple[VenueOrder, ...], home: Path) -> Outcome:
        plan = self.plan
        records = tuple(record_of(parent, core) for parent in core.parents)
        reports = tuple(report(record) for record in records)
        costs = costs_of(reports)
        known = np.isfinite(costs)
        params, _ = core.in_force.resolved(arm.param_set, self.instrument, core.now_ns)
        impact: Floats | None = None
        if plan.impact is not None and self.ground.flow is not None:
            impact = paid_on_top_bps(records, plan.impact, self.ground.flow, together=plan.together)
        return Outcome(
            policy=arm.label,
            param_set=params.set_id,
            fitted_elsewhere=self._sets[arm.param_set].fitted_elsewhere(params),
            params_digest=params.digest,
            reports=reports,
            summary=summary(reports),
            cost=self._interval(costs),
            cost_p95=float(np.quantile(costs[known], 0.95)) if known.any() else None,
            verdict=verdict_of(tuple(core.parents), books),
            journal=home,
            impact_bps=None if impact is None else tuple(impact.tolist()),
        )

    def _impacted(self, first: Outcome, other: Outcome) -> Impacted:
        """What an arm came to under the scenario of the plan."""
        ours, theirs = impacted_bps(other), impacted_bps(first)
        return Impacted(
            cost=self._interval(ours), against_first=None if first is other else self._difference(ours, theirs)
        )

    def _interval(self, costs: Floats) -> Interval | None:
        """Of the costs that are known."""
        known = np.isfinite(costs)
        return interval(costs[known], self._block()[known], self._rng(2)) if known.any() else None

    def _difference(self, ours: Floats, theirs: Floats) -> Difference | None:
        """One policy's cost minus another's, over the parents that both could be costed for."""
        both = np.isfinite(ours) & np.isfinite(theirs)
        if not both.any():
            return None
        return difference(ours=ours[both], theirs=theirs[both], block=self._block()[both], rng=self._rng(3))

    def _block(self) -> Ints:
        starts = np.array([start.at_ns for start in self.drawn.starts], dtype=np.int64)
        return block_of(starts, deadline_ns=to_ns(self.plan.deadline_s))

    def _rng(self, stream: int) -> np.random.Generator:
        return np.random.default_rng([self.plan.seed, stream])

    def _name(self) -> str:
        """Names the run by everything that decides its outcome, so that runs do not replace each other by chance."""
        digests = {name: one.digest for name, one in sorted(self._sets.items())}
        content = msgspec.json.encode([__version__, self.ground.digest, self.instrument, self.plan, digests])
        return f"{self.ground.name}-{hashlib.sha256(content).hexdigest()[:10]}"


@contextmanager
def _workshop(home: Path) -> Iterator[Path]:
    """A directory that becomes `home` once the block has ended well: an interrupted run leaves the one before alone."""
    home.parent.mkdir(parents=True, exist_ok=True)
    desk = Path(tempfile.mkdtemp(prefix=f".{home.name}.", dir=home.parent))
    try:
        yield desk
        _put(desk, home)
    finally:
        shutil.rmtree(desk, ignore_errors=True)
        with suppress(OSError):  # nothing but a run of this plan makes its parent worth keeping
            home.parent.rmdir()


def _put(desk: Path, home: Path) -> None:
    """Move a finished run into its place, whose older run goes last.

    Two processes with the same plan may do so at once: their runs are equal, so it does not matter whose stays.
    """
    for _ in range(PUT_TRIES):
        old = Path(tempfile.mkdtemp(prefix=f".{home.name}.", dir=home.parent))
        try:
            with suppress(FileNotFoundError):
                home.rename(old)
            desk.rename(home)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):  # these: another run came in between
                raise
        finally:
            if not home.exists() and any(old.iterdir()):  # stopped between the two renames
                old.rename(home)
            shutil.rmtree(old, ignore_errors=True)
    raise CallerError(f"{home} cannot be replaced: others keep writing there; nothing was changed. Try again later")


def verdict_of(parents: Sequence[Parent], books: tuple[VenueOrder, ...]) -> Verdict:
    """What the oracle says of all parents, given the venue's own books."""
    owners: dict[ClOrdId, ParentId] = {}
    for parent in parents:
        for child in parent.children:
            owners[child.order.cl_ord_id] = parent.id
    return judge(
        asked=[
            Asked(
                parent_id=parent.id,
                symbol=parent.instrument.symbol,
                side=parent.side,
                qty_lots=parent.instrument.lots(parent.order.quantity),
                terminal=parent.ended,
            )
            for parent in parents
        ],
        claimed=[
            Claimed(
                parent_id=parent.id,
                filled_lots=parent.ledger.cum_lots,
                exec_ids=tuple(trade.exec_id for child in parent.children for trade, _ in child.trades),
            )
            for parent in parents
        ],
        owners=owners,
        books=books,
    )


def costs_of(reports: Sequence[ParentReport]) -> Floats:
    """(P,) cost of each parent against its arrival mid, NaN where it is not known."""
    return np.array([nan if one.arrival_cost_bps is None else one.arrival_cost_bps for one in reports], np.float64)


def impacted_bps(outcome: Outcome) -> Floats:
    """(P,) the same with what the plan's scenario adds. The outcome has one."""
    assert outcome.impact_bps is not None
    return outcome.costs_bps + np.array(outcome.impact_bps, np.float64)


def document(comparison: Comparison) -> dict[str, object]:
    """The `--json` document that programs rely on."""
    plan, drawn = comparison.plan, comparison.drawn
    return {
        "tape": comparison.ground.name,
        "seed": plan.seed,
        "queue": plan.queue,
        "latency": plan.latency,
        "quantity": str(drawn.quantity),
        "deadline_s": plan.deadline_s,
        "excursion_bps": plan.excursion_bps,
        "together": plan.together,
        "impact": _impact_document(comparison),
        "schedule": plan.schedule,
        "schedule_args": plan.schedule_args,
        "param_set": plan.param_set,
        "horizons_s": [horizon / NS for horizon in drawn.horizons_ns],
        "policies": [
            outcome_document(one, diff) for one, diff in zip(comparison.outcomes, comparison.differences, strict=True)
        ],
    }


def _impact_document(comparison: Comparison) -> dict[str, object] | None:
    """The plan's scenario and what each arm came to under it, in the order of the arms; None where there is none."""
    plan, flow = comparison.plan, comparison.ground.flow
    if plan.impact is None or flow is None:
        return None
    return {
        **msgspec.to_builtins(plan.impact),
        **msgspec.to_builtins(flow),
        "policies": [
            {"policy": outcome.policy, **msgspec.to_builtins(one)}
            for outcome, one in zip(comparison.outcomes, comparison.impacted, strict=True)
        ],
    }


def outcome_document(outcome: Outcome, diff: Difference | None) -> dict[str, object]:
    """One arm's part of a document; `diff`: against the first of them."""
    summed, cost = outcome.summary, outcome.cost
    return {
        "policy": outcome.policy,
        "param_set": outcome.param_set,
        "params_digest": outcome.params_digest,
        "parents": summed.parents,
        "filled_share": summed.filled_share,
        "cost_bps": {
            "mean": None if cost is None else cost.mean,
            "low": None if cost is None else cost.low,
            "high": None if cost is None else cost.high,
            "p95": outcome.cost_p95,
        },
        "blocks": 0 if cost is None else cost.blocks,
        "against_first_bps": None if diff is None else msgspec.to_builtins(diff),
        "fees_bps": summed.fees_bps,
        "passive_share": summed.passive_share,
        "timeouts": summed.timeouts,
        "fallbacks": summed.fallbacks,
        "overfills": outcome.verdict.overfills,
        "orphans": outcome.verdict.orphans,
        "double_fills": outcome.verdict.double_fills,
        "missed_fills": outcome.verdict.missed_fills,
        "summary": msgspec.to_builtins(summed),
    }
