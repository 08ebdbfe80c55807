"""What the dispatcher does when one of its ends fails: the journal, an adapter, the core itself."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import partial

import pytest

from sor.adapter import NewOrder, OrderRef
from sor.commands import AnyWish, Cancel, Place, Recorded, WakeAt
from sor.decide import decide
from sor.dispatch import Dispatcher
from sor.errors import CallerError, InDoubt, JournalFault, NotSent, SorError, VenueFault
from sor.events import AnyFact, CancelAsked, RequestLost, Woke
from sor.ids import ParentId
from sor.orders import ParentOrder, ParentStatus, Side
from sor.params import ParamStore
from sor.parent import Parent
from sor.plugins import Plugins
from sor.router import Core
from sor.sim.world import VirtualScheduler, World
from sor.units import MS, NS
from venues.simulated.adapter import SimulatedVenue
from venues.simulated.options import read

T0 = 1_767_225_600 * NS


class Shaky(SimulatedVenue):
    """A venue of ten levels whose adapter raises instead of answering, as long as it is told to."""

    def __init__(self, **options: str) -> None:
        super().__init__(read({"market": "ladder", "latency": "near", **options}))
        self.raises: Exception | None = None
        self.submitted: list[NewOrder] = []
        self.cancelled: list[OrderRef] = []

    def submit(self, order: NewOrder) -> None:
        self.submitted.append(order)
        if self.raises is not None:
            raise self.raises
        super().submit(order)

    def cancel(self, ref: OrderRef) -> None:
        self.cancelled.append(ref)
        if self.raises is not None:
            raise self.raises
        super().cancel(ref)


class Turns:
    """A journal in memory that can be full; sizes: records in each turn."""

    def __init__(self) -> None:
        self.records: list[AnyFact | Recorded] = []
        self.sizes: list[int] = []
        self.full = False

    def append(self, records: Sequence[AnyFact | Recorded]) -> int:
        if self.full:
            raise JournalFault("no space left")
        self.records += records
        self.sizes.append(len(records))
        return len(self.records)


class Setting:
    """A world with the shaky venue, at a time when the book is known."""

    def __init__(self, **options: str) -> None:
        plugins = Plugins.installed()
        self.core = Core(policies=plugins.policies, schedules=plugins.schedules, decider=decide)
        self.turns = Turns()
        self.world = World(self.core, start_ns=T0, recorder=self.turns, horizons_ns=())
        store = ParamStore()
        self.world.open(
            epoch=7, version="0", sets={"baseline": store.get("baseline", now_ns=T0)}, default_set="baseline"
        )
        self.venue = Shaky(**options)
        self.world.connect(self.venue)
        self.world.dispatcher.feed(self.venue.name, next(iter(self.core.in_force.instruments.values())).symbol)
        self.go(1.0)

    def go(self, seconds: float) -> None:
        scheduler = self.world.scheduler
        scheduler.run_until(scheduler.now_ns() + round(seconds * NS))

    def submit(self, name: str, *, policy: str = "cross", limit: Decimal | None = None) -> Parent:
        return self.world.submit(
            ParentOrder(
                parent_id=ParentId(name),
                symbol="BTCUSDT",
                side=Side.BUY,
                quantity=Decimal("0.5"),
                policy=policy,
                limit=limit,
                deadline_s=20.0,
            )
        )


@pytest.mark.parametrize(
    ("raised", "sends"),
    [
        (CallerError("odd"), True),
        (NotSent("no link"), True),
        (InDoubt("no answer"), False),
        (VenueFault("two answers"), False),
        (ZeroDivisionError("a bug"), False),
    ],
    ids=["caller error", "not sent", "in doubt", "venue fault", "bug"],
)
def test_an_adapter_that_raises_has_answered(raised: Exception, sends: bool) -> None:
    """What was not sent is tried again; what is in doubt is not, until a lookup has settled it."""
    setting = Setting()
    setting.venue.raises = raised
    parent = setting.submit("one")
    (lost,) = [record for record in setting.turns.records if isinstance(record, RequestLost)]
    assert str(raised) in lost.failed.text
    setting.venue.raises = None
    setting.go(0.3)
    assert (len(setting.venue.submitted) > 1) is sends
    setting.go(20.0)
    assert parent.ended
    if sends:
        assert parent.status is ParentStatus.FILLED
    # The venue never saw the order in doubt; nothing was sent in its place before that was proven.
    assert sum(one.filled_lots for one in setting.venue.audit()) == parent.ledger.cum_lots
    assert parent.ledger.cum_lots in (0, 500)


@pytest.mark.parametrize("raised", [NotSent("no link"), InDoubt("no answer")], ids=["not sent", "in doubt"])
def test_a_cancel_that_cannot_be_sent_is_tried_again_but_not_in_a_tight_loop(raised: SorError) -> None:
    setting = Setting()
    parent = setting.submit("rest", policy="plain_limit", limit=Decimal(59990))
    setting.go(0.5)
    setting.venue.raises = raised
    setting.world.dispatcher.post(CancelAsked(now_ns=setting.world.scheduler.now_ns(), parent_no=parent.no))
    setting.go(2.0)
    assert not parent.ended
    assert 1 <= len(setting.venue.cancelled) < 20
    setting.venue.raises = None
    setting.go(20.0)
    assert parent.status is ParentStatus.CANCELED
    assert [one.leaves_lots for one in setting.venue.audit()] == [0]


def test_what_cannot_be_recorded_is_not_sent() -> None:
    """A full disk stops placing; what rests is withdrawn all the same, since cancels only take risk away."""
    setting = Setting()
    resting = setting.submit("rest", policy="plain_limit", limit=Decimal(59990))
    setting.go(0.5)
    assert len(resting.open_children) == 1
    sent = len(setting.venue.submitted)
    setting.turns.full = True
    with pytest.raises(JournalFault, match="no space left"):
        setting.submit("more")
    assert len(setting.venue.submitted) == sent
    assert resting.open_children[0].order.cl_ord_id in [ref.cl_ord_id for ref in setting.venue.cancelled]
    assert setting.world.dispatcher.fault is not None
    setting.go(1.0)
    assert [one.leaves_lots for one in setting.venue.audit()] == [0]


def test_a_broken_core_stops_and_withdraws(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug of ours is not caught: it stops the router, the turn is not recorded, and what rests is withdrawn."""
    setting = Setting()
    setting.submit("rest", policy="plain_limit", limit=Decimal(59990))
    setting.go(0.5)
    recorded = len(setting.turns.records)

    def broken(core: Core, fact: AnyFact) -> list[Recorded]:
        del core
        raise AssertionError(f"cannot happen: {type(fact).__name__}")

    monkeypatch.setattr(setting.core, "step", partial(broken, setting.core))
    with pytest.raises(AssertionError, match="cannot happen"):
        setting.submit("more")
    assert len(setting.turns.records) == recorded
    assert len(setting.venue.cancelled) > 0
    assert "Submitted" in str(setting.world.dispatcher.fault)


def test_a_wish_leaves_only_after_its_turn_is_recorded() -> None:
    """D9, seen from the venue: at the time of every request its wish is in the journal."""
    setting = Setting()
    seen: list[bool] = []
    submit = setting.venue.submit

    def check(order: NewOrder) -> None:
        seen.append(any(isinstance(one, Place) and one.order == order for one in setting.turns.records))
        submit(order)

    setting.venue.submit = check  # type: ignore[method-assign]
    setting.submit("one")
    rest = setting.submit("rest", policy="plain_limit", limit=Decimal(59990))
    setting.go(25.0)
    assert rest.ended
    assert len(seen) == len(setting.venue.submitted) >= 2
    assert all(seen)
    assert len([one for one in setting.turns.records if isinstance(one, Cancel)]) == len(setting.venue.cancelled) > 0


def test_a_parent_that_is_looked_at_in_its_turn_is_armed_once_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    setting = Setting()
    step = setting.core.step
    wakes: list[WakeAt] = []

    def watched(fact: AnyFact) -> list[AnyWish]:
        wishes = step(fact)
        wakes.extend(wish for wish in wishes if isinstance(wish, WakeAt))
        return wishes

    monkeypatch.setattr(setting.core, "step", watched)
    parent = setting.submit("once")
    assert wakes == [WakeAt(parent.no, parent.wake_ns)]
    assert parent.wake_ns == parent.open_children[0].check_ns


def test_no_slice_is_worth_less_than_the_venue_takes() -> None:
    """0.005 in ten slices would be 0.001 each, worth 60 where 100 is the least: two slices of 0.002 and 0.003."""
    setting = Setting(market="zi", min_notional="100")
    parent = setting.world.submit(
        ParentOrder(
            parent_id=ParentId("sliced"),
            symbol="BTCUSDT",
            side=Side.BUY,
            quantity=Decimal("0.005"),
            policy="cross",
            schedule="twap",
            schedule_args={"slices": 10.0},
            deadline_s=20.0,
        )
    )
    setting.go(25.0)
    assert parent.status is ParentStatus.FILLED
    assert sorted(one.filled_lots for one in setting.venue.audit()) == [2, 3]


class Alarms(VirtualScheduler):
    """Counts the calls that it was asked for."""

    def __init__(self) -> None:
        super().__init__(T0)
        self.asked: list[int] = []

    def call_at(self, at_ns: int, action: Callable[[], object]) -> None:
        self.asked.append(at_ns)
        super().call_at(at_ns, action)


class Sleeper(Core):
    """One parent that waits for a moment whenever the market moves, and for its deadline otherwise."""

    def __init__(self, *, deadline_ns: int, moment_ns: int) -> None:
        super().__init__(policies={}, schedules={}, decider=decide)
        self.deadline_ns = deadline_ns
        self.moment_ns = moment_ns
        self.woke_ns: list[int] = []

    def step(self, fact: AnyFact) -> list[AnyWish]:
        assert isinstance(fact, Woke)
        if fact.market:
            return [WakeAt(at_ns=fact.now_ns + self.moment_ns, parent_no=1)]
        self.woke_ns.append(fact.now_ns)
        return [WakeAt(at_ns=self.deadline_ns if fact.now_ns < self.deadline_ns else 0, parent_no=1)]


def test_a_deadline_is_waited_for_once_however_often_something_came_before_it() -> None:
    """A thousand parents with an hour each had a million calls waiting."""
    scheduler, hour_ns = Alarms(), T0 + 3_600 * NS
    core = Sleeper(deadline_ns=hour_ns, moment_ns=NS)
    dispatcher = Dispatcher(core, scheduler=scheduler, recorder=Turns())
    moments = [T0 + seconds * NS for seconds in range(0, 3_000, 3)]
    for moment_ns in moments:
        scheduler.run_until(moment_ns)
        dispatcher.post(Woke(now_ns=moment_ns, parent_no=1, market=True))
    scheduler.run_until(2 * hour_ns)
    assert core.woke_ns == [*(moment_ns + NS for moment_ns in moments), hour_ns]
    assert scheduler.asked.count(hour_ns) == 1
    assert len(scheduler.asked) == len(moments) + 1


def test_a_wake_up_may_be_put_off_taken_back_and_brought_forward() -> None:
    scheduler = Alarms()
    core = Sleeper(deadline_ns=T0 + 100 * NS, moment_ns=0)
    dispatcher = Dispatcher(core, scheduler=scheduler, recorder=Turns())

    def arm(after_s: int) -> None:
        now_ns = scheduler.now_ns()
        core.moment_ns = after_s * NS if after_s else -now_ns
        dispatcher.post(Woke(now_ns=now_ns, parent_no=1, market=True))

    for after_s in (50, 20, 30, 0, 40, 5, 10):
        arm(after_s)
    scheduler.run_until(T0 + 99 * NS)
    assert core.woke_ns == [T0 + 10 * NS]
    scheduler.run_until(T0 + 1_000 * NS)
    assert core.woke_ns == [T0 + 10 * NS, T0 + 100 * NS]


def test_what_comes_at_one_moment_is_one_turn_where_turns_gather_and_who_posts_does_not_wait() -> None:
    scheduler, turns = VirtualScheduler(T0), Turns()
    core = Sleeper(deadline_ns=T0, moment_ns=NS)
    dispatcher = Dispatcher(core, scheduler=scheduler, recorder=turns, gathers=True)

    def woke(after_ms: int) -> Woke:
        return Woke(now_ns=T0 + after_ms * MS, parent_no=1, market=False)

    for after_ms in (0, 0, 0):
        dispatcher.arrived(woke(after_ms))
    assert turns.sizes == []
    scheduler.run_until(T0)
    assert turns.sizes == [3]
    scheduler.run_until(T0 + MS)
    dispatcher.arrived(woke(1))
    dispatcher.post(woke(1))  # takes in what came before it, too
    assert turns.sizes == [3, 2]
    scheduler.run_until(T0 + 2 * MS)
    assert turns.sizes == [3, 2]
    dispatcher.arrived(woke(2))
    scheduler.run_until(T0 + 2 * MS)
    assert turns.sizes == [3, 2, 1]
    assert turns.records == [woke(ms) for ms in (0, 0, 0, 1, 1, 2)]


def test_nothing_gathers_where_a_turn_is_cheap() -> None:
    turns = Turns()
    core = Sleeper(deadline_ns=T0, moment_ns=NS)
    dispatcher = Dispatcher(core, scheduler=VirtualScheduler(T0), recorder=turns)
    for _ in range(3):
        dispatcher.arrived(Woke(now_ns=T0, parent_no=1, market=False))
    assert turns.sizes == [1, 1, 1]
