"""What a fill cost (F1-F3) and what the caller hears of refusals (B12), end to end on the simulated venue."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from sor.adapter import NewOrder, Reach, Request, RequestFailed, Scheduler, Sink
from sor.cli.root import cli
from sor.commands import Place
from sor.engine import Router
from sor.handle import ParentHandle
from sor.ids import ClOrdId, ParentId, StrategyId, Symbol, VenueName
from sor.instruments import Instrument
from sor.journal import turns
from sor.market import MarketEvent, MarkUpdate
from sor.orders import (
    Action,
    ExecType,
    ExecutionReport,
    FeeSource,
    Fill,
    Intent,
    OrdStatus,
    ParentOrder,
    ParentStatus,
    PositionSide,
    RejectKind,
    Side,
)
from sor.settings import Settings
from sor.units import MS
from tests.fakes.bench import param_text
from tests.fakes.patience import until
from venues.simulated.adapter import SimulatedVenue
from venues.simulated.options import read

pytestmark = pytest.mark.anyio


class Filter:
    """A sink that changes what a venue tells on its way to the router."""

    def __init__(self, venue: Crooked, sink: Sink, scheduler: Scheduler) -> None:
        self._venue = venue
        self._sink = sink
        self._scheduler = scheduler

    def execution(self, event: ExecutionReport | RequestFailed) -> None:
        if isinstance(event, ExecutionReport) and event.exec_type is ExecType.TRADE:
            bare = {"fee_atoms": None, "fee_asset": "", "fee_source": None}
            if self._venue.fees == "late":
                settled = msgspec.structs.replace(event, fee_source=FeeSource.REST_SETTLED)
                at_ns = self._scheduler.now_ns() + 5 * MS
                self._scheduler.call_at(at_ns, lambda: self._sink.execution(settled))
                event = msgspec.structs.replace(event, **bare)
            elif self._venue.fees == "never":
                event = msgspec.structs.replace(event, **bare, is_maker=None, venue_ns=0)
        self._sink.execution(event)

    def market(self, event: MarketEvent) -> None:
        if self._venue.marked or not isinstance(event, MarkUpdate):
            self._sink.market(event)

    def instrument(self, instrument: Instrument) -> None:
        self._sink.instrument(instrument)

    def link(self, up: bool, reason: str) -> None:
        self._sink.link(up, reason)


class Crooked(SimulatedVenue):
    """A ladder, bids from 59 999.8 down and asks from 60 000.3 up, that tells less than it knows.

    fees      "at once", "late": a trade comes without its fee and 5 ms later with it, or "never".
    answers   what becomes of the next new orders instead of being sent.
    """

    def __init__(self, *, fees: str = "at once", marked: bool = True) -> None:
        super().__init__(read({"market": "ladder", "latency": "near", "ladder.spread_ticks": "5"}))
        self.fees = fees
        self.marked = marked
        self.answers: list[ExecutionReport | RequestFailed] = []
        self._capabilities = msgspec.structs.replace(self._capabilities, marks=marked)

    async def connect(self, sink: Sink, scheduler: Scheduler) -> None:
        self.told = sink
        self.clock = scheduler
        await super().connect(Filter(self, sink, scheduler), scheduler)

    def crowd_takes(self, side: Side, lots: int) -> None:
        """Somebody else takes from the book."""
        now_ns = self.clock.now_ns()
        _, reports = self._exchange.take_crowd(side, qty_lots=lots, price_ticks=0, rests=False, now_ns=now_ns)
        self._tell(reports, now_ns)

    def submit(self, order: NewOrder) -> None:
        if not self.answers:
            super().submit(order)
            return
        answer = msgspec.structs.replace(self.answers.pop(0), cl_ord_id=order.cl_ord_id)
        if isinstance(answer, ExecutionReport):
            answer = msgspec.structs.replace(answer, venue=self.name, symbol=order.symbol)
        self.clock.call_at(self.clock.now_ns() + MS, lambda: self.told.execution(answer))


def order(name: str, side: Side = Side.BUY, **terms: object) -> ParentOrder:
    merged: dict[str, object] = {
        "parent_id": ParentId(name),
        "symbol": "btc_usdt",
        "side": side,
        "quantity": Decimal("0.5"),
        "policy": "cross",
        "deadline_s": 20.0,
        **terms,
    }
    return ParentOrder(**merged)  # type: ignore[arg-type]


async def traded(journal: Path, venue: Crooked, parent: ParentOrder) -> tuple[Fill, ...]:
    """The fills of one parent on a venue of its own."""
    async with Router(Settings(journal=journal), venues=[venue]) as router:
        handle = await router.submit(parent)
        await handle.result()
        return handle.fills


async def test_f1_every_field_of_a_fill_is_known_and_the_mark_is_of_before_the_send(tmp_path: Path) -> None:
    (fill,) = await traded(tmp_path / "j", Crooked(), order("one"))
    (place,) = [record for turn in turns(tmp_path / "j") for record in turn.records if isinstance(record, Place)]
    assert fill.side is Side.BUY
    assert (fill.lots, fill.ticks, fill.is_maker) == (500, 600_003, False)
    assert fill.cl_ord_id == place.order.cl_ord_id
    # 0.5 at 60 000.3, of which 0.05 % are 15.000075 USDT.
    atoms = 15_000_075 * 10 ** (len(str(fill.fee_atoms)) - 8)
    assert (fill.fee_atoms, fill.fee_asset, fill.fee_source) == (atoms, "USDT", FeeSource.REST_SETTLED)
    assert fill.fee_estimated_atoms == atoms
    # The mark is the one that the decision saw: it is in the wish, which was on disk before the order left.
    assert fill.mark_at_submit_ticks == place.mark_ticks == 600_000.5
    assert fill.slippage_bps == pytest.approx(10_000 * 2.5 / 600_000.5, rel=1e-12)
    assert fill.exchange_ns is not None
    assert fill.submit_ns <= fill.exchange_ns <= fill.recv_ns
    assert fill.mid_hticks == 1_200_001


async def test_f1_what_is_not_known_is_absent(tmp_path: Path) -> None:
    (fill,) = await traded(tmp_path / "j", Crooked(fees="never", marked=False), order("one"))
    assert (fill.is_maker, fill.exchange_ns) == (None, None)
    assert (fill.mark_at_submit_ticks, fill.slippage_bps) == (None, None)
    # The fee is our estimate, and says so: nobody who may have paid the taker's rate is booked at the maker's.
    assert fill.fee_source is FeeSource.ESTIMATED_TAKER
    assert fill.fee_atoms == fill.fee_estimated_atoms is not None


async def test_f2_the_estimate_stands_at_once_and_beside_what_is_settled_later(tmp_path: Path) -> None:
    venue = Crooked(fees="late")
    async with Router(Settings(journal=tmp_path / "j"), venues=[venue]) as router:
        intent = Intent(
            intent_id=ParentId("one"),
            action=Action.ENTER,
            side=PositionSide.LONG,
            asset="BTC-USDT",
            size=Decimal("0.5"),
            strategy=StrategyId("ann"),
        )
        receipt = await router.submit_intent(intent)
        assert (receipt.fee_source, receipt.fee) == (FeeSource.ESTIMATED_TAKER, Decimal("15.000075"))
        handle = router.handle(ParentId("one"))
        (early,) = handle.fills
        await until(lambda: handle.fills[0].fee_source is not FeeSource.ESTIMATED_TAKER)
        (late,) = handle.fills
        assert (early.fee_source, late.fee_source) == (FeeSource.ESTIMATED_TAKER, FeeSource.REST_SETTLED)
        assert late == msgspec.structs.replace(
            early, fee_source=FeeSource.REST_SETTLED, fee_atoms=early.fee_estimated_atoms
        )
        again = await router.submit_intent(intent)
        assert (again.fee_source, again.fee_estimated) == (FeeSource.REST_SETTLED, Decimal("15.000075"))
        assert handle.report.fees_settled_share == 1.0


@pytest.mark.parametrize("side", [Side.BUY, Side.SELL])
async def test_f3_slippage_is_adverse_when_positive_for_takers_of_both_sides(tmp_path: Path, side: Side) -> None:
    (fill,) = await traded(tmp_path / "j", Crooked(), order("one", side))
    assert fill.mark_at_submit_ticks == 600_000.5
    assert fill.ticks == 600_000.5 + 2.5 * side  # half the spread, paid
    assert fill.slippage_bps == pytest.approx(10_000 * 2.5 / 600_000.5, rel=1e-12)


@pytest.mark.parametrize("side", [Side.BUY, Side.SELL])
async def test_f3_and_favourable_when_negative_for_makers_of_both_sides(tmp_path: Path, side: Side) -> None:
    venue = Crooked()
    limit = Decimal("59999.9") if side is Side.BUY else Decimal("60000.2")
    async with Router(Settings(journal=tmp_path / "j"), venues=[venue]) as router:
        handle = await router.submit(order("rest", side, policy="plain_limit", limit=limit))
        await until_new(handle)
        venue.crowd_takes(side.opposite, 500)
        await handle.result()
        (fill,) = handle.fills
    assert fill.is_maker
    assert fill.fee_source is FeeSource.WS_SETTLED
    assert fill.ticks == 600_000.5 - 1.5 * side
    assert fill.slippage_bps == pytest.approx(-10_000 * 1.5 / 600_000.5, rel=1e-12)


async def until_new(handle: ParentHandle) -> None:
    await until(lambda: any(child.status is OrdStatus.NEW for child in handle.parent.open_children))


# --- refusals -----------------------------------------------------------------------------------------------------


def refused(kind: RejectKind, code: str, text: str) -> ExecutionReport:
    """A venue's refusal; whom it is about is filled in when it is sent."""
    return ExecutionReport(
        venue=VenueName(""),
        symbol=Symbol(""),
        cl_ord_id=ClOrdId(""),
        exec_type=ExecType.REJECTED,
        reject=kind,
        code=code,
        text=text,
    )


def quick_to_retry(directory: Path) -> Settings:
    """The baseline with hardly any wait before an order is sent again."""
    sets = directory / "sets" / "quick"
    sets.mkdir(parents=True)
    text = param_text({"recovery.retry_first_ms": "5"}).replace('"baseline/', '"quick/')
    (sets / "2026-11-21.json").write_text(text)
    return Settings(journal=directory / "j", param_dirs=(directory / "sets",), default_set="quick")


LIMITED = refused(RejectKind.RATE_LIMITED, "100410", "too many requests")
POOR = refused(RejectKind.NO_MARGIN, "101204", "insufficient margin")
UNSENT = RequestFailed(
    cl_ord_id=ClOrdId(""),
    request=Request.PLACE,
    reach=Reach.NOT_SENT,
    code="budget",
    text="no room before the deadline",
)


@pytest.mark.parametrize(
    ("answers", "status", "reject", "raw", "story"),
    [
        # Being too quick says nothing of the order: it is sent again. What was said of it is told all the same.
        (
            [LIMITED],
            "filled",
            RejectKind.RATE_LIMITED,
            "100410 too many requests",
            "rejected (rate limited) 100410 too",
        ),
        (
            [POOR] * 9,
            "rejected",
            RejectKind.NO_MARGIN,
            "101204 insufficient margin",
            "rejected (no margin) 101204 insu",
        ),
        ([UNSENT], "filled", None, "budget no room before the deadline", "place was not sent: budget no room before"),
    ],
)
async def test_b12_rate_limited_and_rejected_are_told_apart_everywhere(
    tmp_path: Path,
    answers: Sequence[ExecutionReport | RequestFailed],
    status: str,
    reject: RejectKind | None,
    raw: str,
    story: str,
) -> None:
    venue = Crooked()
    venue.answers = list(answers)
    async with Router(quick_to_retry(tmp_path), venues=[venue]) as router:
        receipt = await router.submit_intent(
            Intent(
                intent_id=ParentId("one"),
                action=Action.ENTER,
                side=PositionSide.LONG,
                asset="BTC-USDT",
                size=Decimal("0.5"),
            )
        )
        assert (receipt.status, receipt.reject, receipt.raw) == (ParentStatus(status), reject, raw)
        happened = [one async for one in router.handle(ParentId("one"))]
    said = [
        f"{told.code} {told.text}"
        for one in happened
        for told in (one.report, one.failed)
        if told is not None and told.code
    ]
    assert raw in said
    kinds = [one.report.reject for one in happened if one.report is not None and one.report.code]
    assert dict.fromkeys(kinds) == ({} if reject is None else {reject: None})
    told = CliRunner().invoke(cli, ["explain", "one", "--journal", str(tmp_path / "j")])
    assert told.exit_code == 0, told.output
    assert story in told.output
