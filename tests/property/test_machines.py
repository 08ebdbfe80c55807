"""The machines against everything a venue, a network, a caller or a dying process can do, in any order.

The first machine has a venue that keeps its contract as inconveniently as it can. After every step nothing may be able
to fill beyond the order, even if all that is on the way still arrives; in the end, once everything calms down, every
parent has ended, nothing of ours rests, and the router has counted exactly what the venue's books say. The second has
a venue without any contract: there the router must not fall over, must halt, and must not lose count.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import ClassVar

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sor.adapter import AmendModel, Reach, Request, RequestFailed
from sor.commands import Alarm, Amend, Cancel, Ended, Place, Query
from sor.events import (
    AmendAsked,
    AnyFact,
    CancelAsked,
    HaltLifted,
    ModeSet,
    PauseAsked,
    Reported,
    RequestLost,
    ResumeAsked,
    TradingMode,
)
from sor.ids import ClOrdId, ExecId, ParentId, VenueOrderId
from sor.market import Trust
from sor.orders import ExecType, ExecutionReport, OrdStatus, Provenance, RejectKind, Side
from sor.parent import Parent, ParentLife
from sor.policy import Decision, Placement
from sor.revisit import Revisit
from sor.router import Core
from sor.snapshot import View
from sor.units import MS, NS
from tests.fakes.bench import BTC, SURE, A, Bench, book, parent_order
from tests.fakes.contrary import PUSHED, ContraryVenue, OnTheWire
from tests.fakes.policies import Wanting, decision, rest, take

PARENTS_MAX = 4
CALM_NS = 400 * NS
"""Longer than any deadline below, every back-off and the proof of absence together."""
NAMES = [ParentId(f"P{no}") for no in range(1, PARENTS_MAX + 1)]
OUT = (Place, Cancel, Amend, Query)

pick = st.integers(min_value=0, max_value=10_000)
placements = st.lists(
    st.tuples(st.sampled_from(["rest", "take"]), st.integers(1, 120), st.integers(-4, 4), st.integers(300, 40_000)),
    min_size=1,
    max_size=2,
)


def wish_of(wanted: list[tuple[str, int, int, int]], again_ms: int) -> Callable[[View], Decision]:
    """A standing wish: some part of what is open at prices around the touch, asked again after a while."""

    def wish(view: View) -> Decision:
        mid = (view.market.mid_hticks or 20_000) // 2
        made: list[Placement] = []
        left = view.open_lots
        for kind, most, offset, for_ms in wanted:
            lots = min(most, left)
            if lots <= 0:
                break
            left -= lots
            if kind == "take":
                made.append(take(A, lots, mid + view.side * (3 + abs(offset))))
            else:
                made.append(rest(A, lots, mid - view.side * (1 + abs(offset)), until_ns=view.now_ns + for_ms * MS))
        return decision(*made, revisit=Revisit(at_ns=view.now_ns + again_ms * MS if again_ms else None))

    return wish


class Machines(RuleBasedStateMachine):
    """What both worlds have in common: a bench, callers, a clock, restarts."""

    make: ClassVar[type[Bench]] = Bench

    def __init__(self) -> None:
        super().__init__()
        self.wanting = Wanting()
        self.bench: Bench
        self.ended: dict[int, Ended] = {}
        self.alarms: list[Alarm] = []
        self.up = True

    @property
    def core(self) -> Core:
        return self.bench.core

    def start(
        self, *, amends: bool, wanted: list[tuple[str, int, int, int]], values: dict[str, str] | None = None
    ) -> None:
        model = AmendModel.NATIVE_SAME_ID if amends else AmendModel.NONE
        self.bench = self.make(self.wanting, capabilities=msgspec.structs.replace(SURE, amend=model), values=values)
        self.wanting.wishes[NAMES[0]] = wish_of(wanted, 0)
        self.bench.submit(parent_order(NAMES[0]))

    def take_in(self) -> list[OnTheWire]:
        """The requests that have left since; ends and alarms are noted."""
        sent: list[OnTheWire] = []
        for fact, wishes in self.bench.turns:
            for wish in wishes:
                if isinstance(wish, OUT):
                    sent.append((wish, fact.now_ns))
                elif isinstance(wish, Ended):
                    assert wish.parent_no not in self.ended, "a parent ended twice"
                    self.ended[wish.parent_no] = wish
                elif isinstance(wish, Alarm):
                    self.alarms.append(wish)
        self.bench.turns.clear()
        return sent

    def happened(self) -> None:
        """After every rule."""
        self.take_in()

    def requests_and_reports_arrive(self) -> None:
        """What is on its way arrives, in its order, and what comes back does, too."""

    # --- callers and the clock ------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.core.parents) < PARENTS_MAX)
    @rule(
        side=st.sampled_from(list(Side)),
        lots=st.integers(1, 120),
        deadline_s=st.sampled_from([60.0, 60.0, 10.0, 2.0]),
        limit=st.sampled_from([None, None, None, 9_998, 10_002]),
        slices=st.sampled_from([0, 0, 3]),
        wanted=placements,
        again_ms=st.sampled_from([0, 0, 100, 3_000]),
    )
    def submit(
        self,
        side: Side,
        lots: int,
        deadline_s: float,
        limit: int | None,
        slices: int,
        wanted: list[tuple[str, int, int, int]],
        again_ms: int,
    ) -> None:
        name = NAMES[len(self.core.parents)]
        self.wanting.wishes[name] = wish_of(wanted, again_ms)
        terms: dict[str, object] = {"deadline_s": deadline_s, "limit": None if limit is None else Decimal(limit)}
        if slices:
            terms |= {"schedule": "slices", "schedule_args": {"count": float(slices)}}
        self.bench.submit(parent_order(name, side, lots, **terms))
        self.happened()

    @rule(
        no=st.integers(0, PARENTS_MAX - 1),
        wanted=placements,
        again_ms=st.sampled_from([0, 0, 100]),
        calmly=st.sampled_from([True, True, False]),
    )
    def change_mind(self, no: int, wanted: list[tuple[str, int, int, int]], again_ms: int, calmly: bool) -> None:
        if calmly:
            self.requests_and_reports_arrive()
        self.wanting.wishes[NAMES[no]] = wish_of(wanted, again_ms)
        if no < len(self.core.parents):
            self.bench.wake_by_market(self.core.parents[no])
        self.happened()

    @rule(no=pick, lots=st.tuples(st.integers(1, 120), st.integers(1, 120)), offset=st.integers(0, 4))
    def moves_its_order(self, no: int, lots: tuple[int, int], offset: int) -> None:
        """A parent rests, and then wants to rest elsewhere: the way to a race between an amend and everything else."""
        parent = self.core.parents[no % len(self.core.parents)]
        for most, away in zip(lots, (offset, offset + 1), strict=True):
            self.requests_and_reports_arrive()
            self.wanting.wishes[parent.id] = wish_of([("rest", most, away, 30_000)], 0)
            self.bench.wake_by_market(parent)
            self.happened()

    @rule(
        no=pick,
        asked=st.sampled_from(["amend", "amend", "amend", "pause", "resume", "resume", "cancel"]),
        lots=st.none() | st.integers(1, 150),
        limit=st.none() | st.integers(9_995, 10_005),
        deadline_s=st.sampled_from([None, None, 0.1, 5.0, 30.0]),
    )
    def caller_intervenes(
        self, no: int, asked: str, lots: int | None, limit: int | None, deadline_s: float | None
    ) -> None:
        parent, now_ns = self.core.parents[no % len(self.core.parents)], self.bench.now_ns
        facts: dict[str, AnyFact] = {
            "cancel": CancelAsked(now_ns=now_ns, parent_no=parent.no),
            "pause": PauseAsked(now_ns=now_ns, parent_no=parent.no),
            "resume": ResumeAsked(now_ns=now_ns, parent_no=parent.no),
            "amend": AmendAsked(
                now_ns=now_ns,
                parent_no=parent.no,
                quantity=None if lots is None else Decimal(lots),
                limit=None if limit is None else Decimal(limit),
                deadline_s=deadline_s,
            ),
        }
        self.bench.post(facts[asked])
        self.happened()

    @rule(
        mid=st.integers(9_994, 10_006),
        half=st.integers(1, 4),
        trust=st.sampled_from([*[Trust.OK] * 16, *Trust]),
        silent=st.sampled_from([*[False] * 9, True]),
    )
    def market_moves(self, mid: int, half: int, trust: Trust, silent: bool) -> None:
        sides = (((mid - half, 500),), ((mid + half, 500),)) if trust is not Trust.EMPTY else ((), ())
        self.bench.market = book(*sides, trust=trust, recv_ns=self.bench.now_ns)
        self.bench.fresh = not silent

    @rule(ms=st.sampled_from([1, 60, 250, 1_000, 1_500, 6_000]))
    def wait(self, ms: int) -> None:
        self.bench.run_for(ms * MS)
        self.happened()

    # --- what must hold -------------------------------------------------------------------------------------------

    @invariant()
    def the_ledgers_add_up(self) -> None:
        for parent in self.core.parents:
            ledger = parent.ledger
            ledger.check()
            children = parent.children
            assert ledger.cum_lots == sum(child.counted_lots for child in children)
            assert ledger.working_lots + ledger.in_doubt_lots == sum(child.leaves_lots for child in children)
            assert [child for child in children if not child.closed] == sorted(
                parent.open_children, key=lambda child: child.child_no
            )
            if parent.ended and not parent.ledger.over_lots:
                assert parent.no in self.ended


class TruthfulButContrary(Machines):
    """A venue that keeps its contract, and a network that keeps none."""

    venue: ContraryVenue

    @initialize(amends=st.booleans(), says_terms=st.booleans(), says_totals=st.booleans(), wanted=placements)
    def begin(self, amends: bool, says_terms: bool, says_totals: bool, wanted: list[tuple[str, int, int, int]]) -> None:
        # The venue's refusals are moods: the breakers for bad orders are not what is tested here.
        self.start(amends=amends, wanted=wanted, values={"risk.breaker_rejects": "1000", "risk.rejects_max": "100"})
        self.venue = ContraryVenue(A, BTC, self.bench.capabilities, says_terms=says_terms, says_totals=says_totals)
        self.happened()

    def happened(self) -> None:
        self.venue.wire += self.take_in()

    # --- the network ----------------------------------------------------------------------------------------------

    @precondition(lambda self: self.venue.wire)
    @rule(no=pick, moody=st.booleans())
    def request_arrives(self, no: int, moody: bool) -> None:
        wire = self.venue.wire
        self.venue.arrive(wire.pop(no % len(wire)), self.bench.now_ns, moody=moody)

    @precondition(lambda self: self.venue.wire)
    @rule(moody=st.booleans())
    def requests_arrive(self, moody: bool) -> None:
        while self.venue.wire:
            self.venue.arrive(self.venue.wire.pop(0), self.bench.now_ns, moody=moody)
            moody = False

    @precondition(lambda self: any(isinstance(request, Place | Amend) for request, _ in self.venue.wire))
    @rule(ms=st.integers(0, 5_600), moody=st.booleans(), holds=st.integers(0, 3))
    def lookups_overtake(self, ms: int, moody: bool, holds: int) -> None:
        """New orders and amends are slow, lookups and cancels are not; the first few answers to them are slow again."""
        until = self.bench.now_ns + ms * MS
        held: list[ExecutionReport] = []
        while self.bench.now_ns < until:
            self.bench.run_until(min(until, self.bench.now_ns + 125 * MS))
            self.happened()
            fast = [one for one in self.venue.wire if isinstance(one[0], Query | Cancel)]
            self.venue.wire[:] = [one for one in self.venue.wire if not isinstance(one[0], Query | Cancel)]
            before = len(self.venue.mail)
            for one in fast:
                self.venue.arrive(one, self.bench.now_ns, moody=moody)
            answers = self.venue.mail[before:]
            del self.venue.mail[before:]
            for report in answers:
                if len(held) < holds and report.exec_type is ExecType.NOT_FOUND:
                    held.append(report)
                else:
                    self.deliver(report)
        self.venue.mail += held

    @precondition(lambda self: self.venue.wire)
    @rule(no=pick, how=st.sampled_from(["lost", "lost and known", "unsent", "unknown", "twice"]))
    def request_goes_astray(self, no: int, how: str) -> None:
        wire = self.venue.wire
        request, sent_ns = wire[no % len(wire)]
        if how == "twice":
            if isinstance(request, Place):
                self.venue.arrive((request, sent_ns), self.bench.now_ns, moody=False)
        elif how == "unknown":
            self.fail(request, Reach.IN_DOUBT)  # and yet it will arrive
        else:
            del wire[no % len(wire)]
            # Of a request that has arrived once already nobody can say that it was never sent.
            arrived = isinstance(request, Place) and request.order.cl_ord_id in self.venue.books
            unsent = how == "unsent" and not arrived
            if how != "lost":
                self.fail(request, Reach.NOT_SENT if unsent else Reach.IN_DOUBT)

    def fail(self, request: Place | Cancel | Amend | Query, reach: Reach) -> None:
        kinds = {Place: Request.PLACE, Cancel: Request.CANCEL, Amend: Request.AMEND, Query: Request.QUERY}
        name = request.order.cl_ord_id if isinstance(request, Place) else request.ref.cl_ord_id
        failed = RequestFailed(cl_ord_id=name, request=kinds[type(request)], reach=reach)
        self.bench.post(RequestLost(now_ns=self.bench.now_ns, venue=A, failed=failed))
        self.happened()

    @precondition(lambda self: self.venue.mail)
    @rule(no=pick, how=st.sampled_from(["once", "once", "twice", "never"]))
    def report_arrives(self, no: int, how: str) -> None:
        mail = self.venue.mail
        at = no % len(mail)
        report = mail[at]
        if how == "once" or report.exec_type not in PUSHED:
            del mail[at]
            self.deliver(report)
        elif how == "twice":
            self.deliver(report)  # and it stays
        else:
            del mail[at]

    @precondition(lambda self: self.venue.mail)
    @rule()
    def reports_arrive(self) -> None:
        while self.venue.mail:
            self.deliver(self.venue.mail.pop(0))

    def deliver(self, report: ExecutionReport) -> None:
        self.bench.post(Reported(now_ns=self.bench.now_ns, report=report, mid_hticks=0))
        self.happened()

    @rule(ms=st.sampled_from([0, 50, 500, 3_000]))
    def all_is_well(self, ms: int) -> None:
        """For a while nothing goes wrong."""
        until = self.bench.now_ns + ms * MS
        while True:
            self.requests_and_reports_arrive()
            if self.bench.now_ns >= until:
                break
            self.bench.run_until(min(until, self.bench.now_ns + 25 * MS))
            self.happened()

    # --- the venue ------------------------------------------------------------------------------------------------

    @precondition(lambda self: any(standing.live for standing in self.venue.books.values()))
    @rule(no=pick, lots=st.integers(-15, 120))
    def somebody_trades(self, no: int, lots: int) -> None:
        live = [standing for standing in self.venue.books.values() if standing.live]
        standing = live[no % len(live)]
        if lots > 0:
            self.venue.fill(standing, lots)
        else:
            self.venue.end(standing, OrdStatus.EXPIRED)

    @rule(how=st.sampled_from(["link", "link", "up", "process"]), loses=st.booleans(), link=st.booleans())
    def something_breaks(self, how: str, loses: bool, link: bool) -> None:
        if how == "link":
            self.session_breaks(loses)
        elif how == "process":
            self.process_dies(loses)
        if link or how == "up":
            self.bench.up()
        self.up = link or how == "up"
        self.happened()

    def session_breaks(self, loses: bool) -> None:
        """Pushes are gone with the session; requests may still be on their way. Lost lookups are said to be lost."""
        self.bench.down()
        self.happened()
        unanswered = [report.cl_ord_id for report in self.venue.mail if report.provenance is Provenance.QUERY]
        self.venue.mail.clear()
        if loses:
            unanswered += [request.ref.cl_ord_id for request, _ in self.venue.wire if isinstance(request, Query)]
            self.venue.wire.clear()
        for name in unanswered:
            failed = RequestFailed(cl_ord_id=name, request=Request.QUERY, reach=Reach.IN_DOUBT)
            self.bench.post(RequestLost(now_ns=self.bench.now_ns, venue=A, failed=failed))
        self.happened()

    def process_dies(self, loses: bool) -> None:
        """What was on its way to the router is gone, and whoever waited for answers to lookups with it."""
        self.venue.mail.clear()
        lost = (Place, Cancel, Amend, Query) if loses else Query
        self.venue.wire[:] = [one for one in self.venue.wire if not isinstance(one[0], lost)]
        self.bench.restart()
        self.happened()

    # --- what must hold -------------------------------------------------------------------------------------------

    @invariant()
    def nothing_can_fill_beyond_the_order(self) -> None:
        now = self.bench.now_ns
        for parent in self.core.parents:
            worst = sum(self.venue.worst_lots(child.order.cl_ord_id, now) for child in parent.children)
            assert worst <= parent.ledger.order_lots, (parent.id, worst, parent.ledger)
            assert parent.ledger.over_lots == 0

    @invariant()
    def nothing_is_counted_that_did_not_happen(self) -> None:
        for child in self.core.desk.children.values():
            standing = self.venue.books.get(child.order.cl_ord_id)
            assert child.counted_lots <= (0 if standing is None else standing.filled_lots)
            assert len(child.trades) == len({report.exec_id for report, _ in child.trades})

    @invariant()
    def we_never_trade_with_ourselves(self) -> None:
        bids, asks = self.venue.live_ticks(Side.BUY), self.venue.live_ticks(Side.SELL)
        assert not bids or not asks or max(bids) < min(asks)

    @invariant()
    def what_has_ended_is_gone(self) -> None:
        for parent in self.core.parents:
            if parent.ended:
                self.assert_gone(parent)

    def assert_gone(self, parent: Parent) -> None:
        for child in parent.children:
            name = child.order.cl_ord_id
            standing = self.venue.books.get(name)
            filled = 0 if standing is None else standing.filled_lots
            assert self.venue.worst_lots(name, self.bench.now_ns) == filled, f"{name} was left behind"

    @invariant()
    def nobody_is_accused(self) -> None:
        assert not [alarm for alarm in self.alarms if alarm.halts]

    def teardown(self) -> None:
        """Everything calms down: requests arrive, reports arrive, time passes."""
        if not hasattr(self, "venue"):
            return
        self.bench.market, self.bench.fresh = book(), True
        if not self.up:
            self.bench.up()
        self.happened()
        venue = self.venue
        until = self.bench.now_ns + CALM_NS
        while self.bench.now_ns < until and not (
            all(parent.ended for parent in self.core.parents) and not venue.wire and not venue.mail
        ):
            self.requests_and_reports_arrive()
            self.bench.run_for(50 * MS if self.bench.now_ns < until - CALM_NS + 90 * NS else NS)
            self.happened()
            self.check_all()
        for parent in self.core.parents:
            assert parent.ended, f"{parent.id} never ends: {parent.life.name} {parent.ledger}"
            self.assert_gone(parent)
            own = [venue.books.get(child.order.cl_ord_id) for child in parent.children]
            filled = sum(0 if standing is None else standing.filled_lots for standing in own)
            assert parent.ledger.cum_lots == filled == self.ended[parent.no].cum_lots
        assert not [standing for standing in venue.books.values() if standing.live], "something still rests"

    def requests_and_reports_arrive(self) -> None:
        venue = self.venue
        while venue.wire or venue.mail:
            if venue.wire:
                venue.arrive(venue.wire.pop(0), self.bench.now_ns, moody=False)
            else:
                self.deliver(venue.mail.pop(0))

    def check_all(self) -> None:
        self.the_ledgers_add_up()
        self.nothing_can_fill_beyond_the_order()
        self.nothing_is_counted_that_did_not_happen()
        self.we_never_trade_with_ourselves()
        self.what_has_ended_is_gone()
        self.nobody_is_accused()


class Lawless(Machines):
    """A venue that says whatever it likes of any of our orders."""

    @initialize(amends=st.booleans(), wanted=placements)
    def begin(self, amends: bool, wanted: list[tuple[str, int, int, int]]) -> None:
        self.start(amends=amends, wanted=wanted)
        self.happened()

    @precondition(lambda self: self.core.desk.children)
    @rule(
        no=pick,
        exec_type=st.sampled_from(list(ExecType)),
        exec_id=st.sampled_from(["", "x1", "x2", "x3", "x4", "x5"]),
        lots=st.integers(-1, 200),
        cum=st.integers(-1, 200),
        ticks=st.sampled_from([-1, 0, 9_999, 10_001]),
        status=st.sampled_from([None, *OrdStatus]),
        reject=st.sampled_from(list(RejectKind)),
        order_lots=st.sampled_from([0, 0, 1, 200]),
        venue_order_id=st.sampled_from(["", "v"]),
    )
    def says(
        self,
        no: int,
        exec_type: ExecType,
        exec_id: str,
        lots: int,
        cum: int,
        ticks: int,
        status: OrdStatus | None,
        reject: RejectKind,
        order_lots: int,
        venue_order_id: str,
    ) -> None:
        report = ExecutionReport(
            venue=A,
            symbol=BTC,
            cl_ord_id=self.some_order(no),
            exec_type=exec_type,
            exec_id=ExecId(exec_id),
            last_lots=lots,
            last_ticks=ticks,
            cum_lots=cum,
            ord_status=status,
            reject=reject,
            order_lots=order_lots,
            price_ticks=max(0, ticks),
            venue_order_id=VenueOrderId(venue_order_id),
        )
        self.bench.post(Reported(now_ns=self.bench.now_ns, report=report, mid_hticks=0))
        self.happened()

    @precondition(lambda self: self.core.desk.children)
    @rule(no=pick, request=st.sampled_from(list(Request)), reach=st.sampled_from(list(Reach)))
    def loses(self, no: int, request: Request, reach: Reach) -> None:
        failed = RequestFailed(cl_ord_id=self.some_order(no), request=request, reach=reach)
        self.bench.post(RequestLost(now_ns=self.bench.now_ns, venue=A, failed=failed))
        self.happened()

    def some_order(self, no: int) -> ClOrdId:
        names = list(self.core.desk.children)
        return names[no % len(names)]

    @rule(link=st.booleans())
    def process_dies(self, link: bool) -> None:
        self.bench.restart()
        self.happened()
        if link:
            self.bench.up()
            self.happened()

    @rule(mode=st.sampled_from(list(TradingMode)))
    def somebody_turns_the_switch(self, mode: TradingMode) -> None:
        self.bench.post(ModeSet(now_ns=self.bench.now_ns, mode=mode, reason="test"))
        self.happened()

    @rule()
    def somebody_takes_responsibility(self) -> None:
        self.bench.post(HaltLifted(now_ns=self.bench.now_ns, venue=A, symbol=BTC))
        self.alarms.clear()
        self.happened()

    @invariant()
    def too_much_halts(self) -> None:
        for parent in self.core.parents:
            if parent.ledger.over_lots:
                assert not parent.active
        if any(alarm.halts for alarm in self.alarms):
            assert all(parent.life >= ParentLife.STOPPING or not parent.open_children for parent in self.core.parents)


TestTruthfulButContrary = TruthfulButContrary.TestCase
TestTruthfulButContrary.settings = settings(
    max_examples=50, stateful_step_count=50, suppress_health_check=[HealthCheck.too_slow], deadline=None
)
TestLawless = Lawless.TestCase
TestLawless.settings = settings(TestTruthfulButContrary.settings, max_examples=40)
# The others of each are in `test_retirement`, where a second core looks on.
