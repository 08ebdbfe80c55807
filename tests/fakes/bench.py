"""A core on the bench: facts in, wishes out, looks answered in the same turn, time moved by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import msgspec

from sor.adapter import Capabilities, Reach, Request, RequestFailed
from sor.checkpoint import freeze, thaw
from sor.child import Child
from sor.commands import (
    Alarm,
    Amend,
    AnyWish,
    Cancel,
    Decided,
    Ended,
    EndMark,
    Look,
    Place,
    Query,
    Recorded,
    WakeAt,
    Watch,
)
from sor.decide import Recorded as RecordedDecisions
from sor.deciding import Decider
from sor.events import (
    AnyFact,
    EndMarked,
    InstrumentAdopted,
    Looked,
    ParamsAdopted,
    PositionKnown,
    Reported,
    RequestLost,
    SessionStarted,
    Submitted,
    VenueDown,
    VenueUp,
    Woke,
)
from sor.fit_watch import FitWatches
from sor.ids import AccountId, ClOrdId, ClOrdIdCodec, ExecId, ParentId, Symbol, VenueName, VenueOrderId
from sor.instruments import Instrument
from sor.market import Levels, MarketView, Trust
from sor.orders import ExecType, ExecutionReport, OrdStatus, ParentOrder, PositionSide, Provenance, RejectKind, Side
from sor.param_table import IF_GIVEN, TABLE
from sor.parent import Parent
from sor.policy import Policy, Schedule
from sor.recovery import WISHES, fold
from sor.router import Core
from sor.units import NS
from tests.fakes.policies import Immediate, ScriptedPolicy, Slices

BASELINE = Path(__file__).resolve().parents[2] / "paramsets" / "baseline" / "2026-11-21.json"
START_NS = 1_800_000_000 * NS
A = VenueName("acme")
BTC = Symbol("BTCUSDT")
BTC_A = Instrument(
    symbol=BTC, venue=A, base="BTC", quote="USDT", settle="USDT", tick_size=Decimal(1), lot_size=Decimal(1)
)
CODEC = ClOrdIdCodec()
SURE = Capabilities(
    client_ids=CODEC,
    receive_window_ns=5 * NS,
    clock_error_ns=NS // 100,
    lookup_lag_ns=NS // 5,
    orders_per_s=1000.0,
)
"""A venue with bounds for everything, and no limit that a test would meet by accident."""
ROOMY = {
    "risk.order_notional_max": "1000000000",
    "risk.open_notional_max": "1000000000",
    "risk.position_notional_max": "1000000000",
    "risk.orders_per_s_max": "1000",
    "risk.cancels_per_s_max": "1000",
    "risk.cancel_ratio_max": "1000000",
}
OUTWARD = (Place, Cancel, Amend, Query, Ended, Alarm)
"""The wishes that somebody outside sees."""
_ANSWERS = frozenset({ExecType.STATUS, ExecType.NOT_FOUND})
Outward = Place | Cancel | Amend | Query | Ended | Alarm


def param_text(values: Mapping[str, str] | None = None, *, without: tuple[str, ...] = ()) -> str:
    """The baseline set with other values, and limits that nothing meets by accident."""
    wanted = ROOMY | dict(values or {})
    content = json.loads(BASELINE.read_text(encoding="utf-8"))
    content["records"] = [record for record in content["records"] if record["id"] not in without]
    for record in content["records"]:
        record["value"] = wanted.pop(record["id"], record["value"])
        record["source"] = "test"
    for param_id in IF_GIVEN:
        if param_id in wanted:
            row = TABLE[param_id]
            bounds = [str(row.low), str(row.high)]
            record = {"id": param_id, "value": wanted.pop(param_id), "unit": row.unit.value, "bounds": bounds}
            content["records"].append({**record, "kind": "assumed", "source": "test", "observed": "2026-11-21"})
    assert not wanted, f"no such parameters: {wanted}"
    return json.dumps(content)


def book(
    bids: Levels = ((9_999, 1_000),),
    asks: Levels = ((10_001, 1_000),),
    *,
    trust: Trust = Trust.OK,
    mark: float | None = None,
    recv_ns: int = START_NS,
) -> MarketView:
    """A market as a look shows it."""
    return MarketView(A, BTC, trust, 0, recv_ns, bids, asks, mark, None)


def parent_order(name: str = "P1", side: Side = Side.BUY, lots: int = 100, **terms: object) -> ParentOrder:
    """A parent of the scripted policy, a minute long."""
    order = ParentOrder(
        parent_id=ParentId(name), symbol="BTC-USDT", side=side, quantity=Decimal(lots), policy="scripted"
    )
    return msgspec.structs.replace(order, **terms)


class Bench:
    """One core, one venue, one symbol.

    market   what the next look shows; its age follows the clock while `fresh`.
    turns    every fact with the wishes it caused, looks included, in order; whoever reads them empties them.
    journal  what a journal would hold of them, for ever.
    """

    def __init__(
        self,
        decider: Decider,
        *,
        capabilities: Capabilities = SURE,
        values: Mapping[str, str] | None = None,
        instrument: Instrument = BTC_A,
        policies: Mapping[str, Policy] | None = None,
        schedules: Mapping[str, Schedule] | None = None,
        retire_ns: int = 0,
        forget_ns: int = 0,
    ) -> None:
        plans: Mapping[str, Schedule] = {"immediate": Immediate(), "slices": Slices()}
        self.policies = {"scripted": ScriptedPolicy()} if policies is None else policies
        self.schedules = plans if schedules is None else schedules
        self.core = Core(policies=self.policies, schedules=self.schedules, decider=decider)
        self.capabilities = capabilities
        self.instrument = instrument
        self.now_ns = START_NS
        self.market = book()
        self.fresh = True
        self.turns: list[tuple[AnyFact, list[AnyWish]]] = []
        self.journal: list[list[AnyFact | Recorded]] = []
        self._decider = decider
        self._retire_ns, self._forget_ns = retire_ns, forget_ns
        self.wakes: dict[int, int] = {}
        self.watched: dict[int, Watch] = {}
        self._exec = 0
        self.post(ParamsAdopted(now_ns=self.now_ns, name="baseline", digest="", text=param_text(values)))
        self.session()
        self.post(InstrumentAdopted(now_ns=self.now_ns, instrument=instrument))
        self.up()

    # --- facts --------------------------------------------------------------------------------------------------------

    def post(self, fact: AnyFact) -> list[AnyWish]:
        """One turn: the fact, and the looks it asks for."""
        made: list[AnyWish] = []
        facts = [fact]
        while facts:
            one = facts.pop()
            wishes = self.step(one)
            self.turns.append((one, wishes))
            self.journal.append([one, *(wish for wish in wishes if isinstance(wish, WISHES))])
            made += wishes
            for wish in wishes:
                match wish:
                    case Look():
                        facts.append(
                            Looked(now_ns=self.now_ns, parent_no=wish.parent_no, cause=wish.cause, market=self.seen())
                        )
                    case EndMark():
                        facts.append(EndMarked(now_ns=self.now_ns, parent_no=wish.parent_no, market=self.seen()))
                    case WakeAt():
                        assert wish.at_ns == 0 or wish.at_ns > self.now_ns, "a wake-up in the past"
                        self.wakes[wish.parent_no] = wish.at_ns
                    case Watch():
                        self.watched[wish.parent_no] = wish
                    case _:
                        pass
        return made

    def step(self, fact: AnyFact) -> list[AnyWish]:
        """Have the core take one fact in."""
        return self.core.step(fact)

    def seen(self) -> MarketView:
        """The market as a look shows it now."""
        return msgspec.structs.replace(self.market, recv_ns=self.now_ns) if self.fresh else self.market

    def session(self, *, same_accounts: bool = False, last_ns: int = 0) -> list[AnyWish]:
        """A process starts on this journal."""
        self.wakes.clear()
        self.watched.clear()
        return self.post(
            SessionStarted(
                now_ns=self.now_ns,
                epoch=7,
                version="test",
                default_set="baseline",
                same_accounts=same_accounts,
                last_ns=last_ns,
                retire_ns=self._retire_ns,
                forget_ns=self._forget_ns,
            )
        )

    def restart(self, *, same_accounts: bool = False, after_ns: int = 0) -> list[AnyWish]:
        """The process dies and another takes over: its state is what the journal gives, and must be the same.

        It goes on from a checkpoint of that state, which must be the same as one of the state that was.

        after_ns    for so long there is none.
        """
        again = fold(
            self.journal,
            policies=self.policies,
            schedules=self.schedules,
            decisions=RecordedDecisions(),
        )
        assert state_of(again) == state_of(self.core)
        assert [*again.parents.retired] == [*self.core.parents.retired]
        self.core = self.thawed(again)
        self.now_ns += after_ns
        return self.session(same_accounts=same_accounts, last_ns=again.now_ns)

    def thawed(self, core: Core) -> Core:
        """A core out of a checkpoint of one that was folded, which must be the very one that worked."""
        pieces = pieces_of(core)
        assert pieces == pieces_of(self.core)
        again, _ = thaw(pieces, policies=self.policies, schedules=self.schedules, decider=self._decider)
        assert pieces_of(again) == pieces
        return again

    def up(self, identity: str = "") -> list[AnyWish]:
        return self.post(VenueUp(now_ns=self.now_ns, venue=A, capabilities=self.capabilities, identity=identity))

    def down(self) -> list[AnyWish]:
        return self.post(VenueDown(now_ns=self.now_ns, venue=A, reason="test"))

    def submit(self, order: ParentOrder) -> Parent:
        """A parent, checked or not: tests of the door go through the door."""
        self.post(Submitted(now_ns=self.now_ns, order=order, venue=A))
        return self.core.by_id[order.parent_id]

    def position(self, lots: int, side: PositionSide = PositionSide.BOTH) -> None:
        self.post(
            PositionKnown(
                now_ns=self.now_ns,
                venue=A,
                account=AccountId("default"),
                symbol=BTC,
                position_side=side,
                qty_lots=lots,
            )
        )

    def wake_by_market(self, parent: Parent) -> list[AnyWish]:
        return self.post(Woke(now_ns=self.now_ns, parent_no=parent.no, market=True))

    # --- time ---------------------------------------------------------------------------------------------------------

    def run_until(self, at_ns: int) -> list[AnyWish]:
        """Run every wake-up that is due by then, in order, and stand at `at_ns`."""
        made: list[AnyWish] = []
        while True:
            due = min(((at, no) for no, at in self.wakes.items() if 0 < at <= at_ns), default=None)
            if due is None:
                break
            self.now_ns = max(self.now_ns, due[0])
            self.wakes[due[1]] = 0
            made += self.post(Woke(now_ns=self.now_ns, parent_no=due[1], market=False))
        self.now_ns = max(self.now_ns, at_ns)
        return made

    def run_for(self, duration_ns: int) -> list[AnyWish]:
        return self.run_until(self.now_ns + duration_ns)

    # --- what the venue says ------------------------------------------------------------------------------------------

    def report(
        self,
        child: Child | ClOrdId,
        exec_type: ExecType,
        *,
        lots: int = 0,
        ticks: int = 0,
        cum: int = -1,
        exec_id: str = "",
        status: OrdStatus | None = None,
        reject: RejectKind = RejectKind.NONE,
        text: str = "",
        order_lots: int = 0,
        price_ticks: int = 0,
        venue_order_id: str = "",
        fee_atoms: int | None = None,
        is_maker: bool | None = None,
        avg_hticks: int = 0,
        venue_ns: int = 0,
        asked: bool = False,
    ) -> list[AnyWish]:
        """A report of one order; a trade without an id gets one of its own. asked: a lookup has brought it."""
        cl_ord_id = child.order.cl_ord_id if isinstance(child, Child) else child
        if exec_type is ExecType.TRADE and not exec_id:
            self._exec += 1
            exec_id = f"x{self._exec}"
        report = ExecutionReport(
            venue=A,
            symbol=BTC,
            cl_ord_id=cl_ord_id,
            exec_type=exec_type,
            provenance=Provenance.QUERY if asked or exec_type in _ANSWERS else Provenance.PUSH,
            venue_order_id=VenueOrderId(venue_order_id),
            venue_ns=venue_ns,
            recv_ns=self.now_ns,
            exec_id=ExecId(exec_id),
            last_lots=lots,
            last_ticks=ticks,
            cum_lots=cum,
            ord_status=status,
            reject=reject,
            text=text,
            order_lots=order_lots,
            price_ticks=price_ticks,
            fee_atoms=fee_atoms,
            is_maker=is_maker,
            avg_hticks=avg_hticks,
        )
        return self.post(Reported(now_ns=self.now_ns, report=report, mid_hticks=self.market.mid_hticks or 0))

    def ack(self, child: Child) -> list[AnyWish]:
        return self.report(child, ExecType.NEW, venue_order_id=f"v-{child.child_no}")

    def trade(
        self, child: Child, lots: int, ticks: int, *, exec_id: str = "", cum: int = -1, asked: bool = False
    ) -> list[AnyWish]:
        return self.report(child, ExecType.TRADE, lots=lots, ticks=ticks, exec_id=exec_id, cum=cum, asked=asked)

    def canceled(self, child: Child, cum: int) -> list[AnyWish]:
        return self.report(child, ExecType.CANCELED, cum=cum)

    def lost(self, child: Child, request: Request, reach: Reach) -> list[AnyWish]:
        """A request of ours without an answer."""
        failed = RequestFailed(cl_ord_id=child.order.cl_ord_id, request=request, reach=reach)
        return self.post(RequestLost(now_ns=self.now_ns, venue=A, failed=failed))


def pieces_of(core: Core) -> list[bytes]:
    """All of a core's state."""
    return list(freeze(core, FitWatches()).pieces())


def state_of(core: Core) -> list[object]:
    """What two cores must have in common to be the same."""
    return [
        (
            *(parent.id, parent.life, repr(parent.ledger), parent.end_status, parent.end_reason, parent.end_text),
            *(
                parent.timeouts,
                parent.requotes,
                parent.refusals,
                parent.misses,
                parent.retry_ns,
                parent.memory,
                parent.deadline_ns,
            ),
            [
                (
                    *(child.order, child.life, child.pending, child.counted_lots, child.reserved_lots, child.status),
                    *(child.check_ns, child.checks, child.cancel_wanted, child.expire_ns, child.early_queries),
                )
                for child in parent.children
            ],
        )
        for parent in core.parents
    ]


def outward(wishes: list[AnyWish]) -> list[Outward]:
    """What somebody outside sees of them."""
    return [wish for wish in wishes if isinstance(wish, OUTWARD)]


def decided(wishes: list[AnyWish]) -> list[Decided]:
    """The decisions among them."""
    return [wish for wish in wishes if isinstance(wish, Decided)]
