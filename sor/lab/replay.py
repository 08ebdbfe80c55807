"""Replay: the same parents on a recording, once per policy, judged by the venue's books and priced by TCA.

Every parent trades on an account of its own, so parents do not meet each other, nor share rates: what is compared is
how a policy places one order, not how many orders share a market; `Plan.together` puts them on one. Own orders move
nothing on the recording; docs/replay.md states the bias, and `Plan.impact` asks what it may be worth.

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
from pathlib import Path

import msgspec
import numpy as np

from sor import __version__
from sor.adapter import Audited, OpenVenue, VenueOrder
from sor.commands import Happening, Recorded
from sor.decide import decide
from sor.errors import CallerError
from sor.events import AnyFact
from sor.ids import EPOCH_BOUND, AccountId, ParentId
from sor.instruments import Instrument
from sor.intake import admit
from sor.journal import Environment, Journal
from sor.lab.bootstrap import Difference, Floats, Interval, Ints, block_of, difference, interval
from sor.lab.comparison import Comparison, Impacted, Outcome, costs_of, impacted_bps, verdict_of
from sor.lab.own_impact import paid_on_top_bps
from sor.lab.plan import Arm, Ground, Plan, Start, arms_of, draw
from sor.lab.workers import in_processes
from sor.orders import ParentOrder
from sor.param_file import parse
from sor.params import ParamSet
from sor.plugins import Plugins
from sor.policy import Policy, Schedule
from sor.records import record_of
from sor.router import Core
from sor.sim.world import World
from sor.tca import report, summary
from sor.units import NS, to_ns

QUANTITY_SHARE = Decimal("0.1")
"""The default quantity, as a share of the median size at the touch."""
TOGETHER = "together"
"""The account of parents that share one."""
PUT_TRIES = 8
PROBE_LOOKS = 100
PROBE_NS = 60 * NS


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
