"""Makes the golden journal: every record type, once with every field given and once with every default.

    python -m tests.replay.golden.make_journal

It is what an old program left behind, and every newer one has to read it, so once released it is kept for good. Types
grow at their end, with defaults; where that is not possible, a new golden journal stands beside this one and the code
learns to read both.
"""

from decimal import Decimal
from pathlib import Path
from shutil import rmtree

import msgspec

from sor.adapter import (
    AckModel,
    AmendModel,
    Capabilities,
    DeadMan,
    MoneyCause,
    MoneyEntry,
    NewOrder,
    OrderRef,
    Reach,
    ReduceOnly,
    Request,
    RequestFailed,
    SelfTrade,
)
from sor.commands import Alarm, Amend, Cancel, Decided, Ended, Place, Query
from sor.events import (
    AmendAsked,
    ArmStopped,
    CancelAsked,
    Contradicted,
    EndMarked,
    ExperimentAdopted,
    FitContradicted,
    FitTrusted,
    FlowCause,
    ForeignTrade,
    HaltLifted,
    InstrumentAdopted,
    Looked,
    Marked,
    ModeSet,
    NeighbourFound,
    ParamsAdopted,
    PauseAsked,
    PositionKnown,
    PositionMoved,
    Reading,
    Reported,
    RequestLost,
    ResumeAsked,
    SessionStarted,
    Shadowed,
    StrayFound,
    Submitted,
    TradingMode,
    VenueDown,
    VenueUp,
    WalletKnown,
    WalletMoved,
    Woke,
)
from sor.experiment.assigned import Assigned
from sor.features import Features
from sor.ids import AccountId, ClOrdIdCodec, ExecId, ParentId, StrategyId, Symbol, VenueName, VenueOrderId
from sor.instruments import Instrument
from sor.journal import Environment, Journal, Record
from sor.journal.lock import LOCK_NAME
from sor.journal.records import by_name
from sor.market import MarketView, Trust
from sor.orders import (
    Action,
    ExecType,
    ExecutionReport,
    FeeSource,
    Intent,
    OnNoMarket,
    OrdStatus,
    OrdType,
    ParentOrder,
    ParentStatus,
    PositionSide,
    Provenance,
    RejectKind,
    Side,
    Tif,
)
from sor.policy import Alternative, Decision, Rest, Take
from sor.reasons import Denial, EndReason, TimeoutBound
from sor.revisit import Revisit, Trigger
from sor.snapshot import Cause
from sor.units import NS

FOLDER = Path(__file__).parent
JOURNAL = FOLDER / "journal-1"
RECORDS = FOLDER / "journal-1.json"
EPOCH = 36**5 + 7
SEGMENT_BYTES = 3200
"""Small, so that the golden journal has more than one segment."""

T0 = 1_795_243_245_000_000_000
SIM = VenueName("sim")
BTC = Symbol("BTCUSDT")
CL_ORD_ID = ClOrdIdCodec().encode(EPOCH, 1, 1, closing=False)

FEATURES = Features(
    mid_hticks=1_280_001,
    spread_ticks=1,
    spread_bps=0.015625,
    bid_touch_lots=250,
    ask_touch_lots=125,
    bid_near_lots=1000,
    ask_near_lots=900,
    imbalance=0.6666666666666666,
    micro_ticks=640_000.6666666666,
    buy_flow=12.5,
    sell_flow=7.25,
    ofi_lots=-40,
    best_moves_per_s=0.3,
    volatility=1.75,
    window_s=10.0,
)
MARKET = MarketView(
    venue=SIM,
    symbol=BTC,
    trust=Trust.OK,
    venue_ns=T0 - 2_000_000,
    recv_ns=T0 - 1_000_000,
    bids=((640_000, 250), (639_998, 31)),
    asks=((640_001, 125), (640_005, 77)),
    mark_ticks=640_000.25,
    features=FEATURES,
)
NO_MARKET = MarketView(
    venue=SIM, symbol=BTC, trust=Trust.EMPTY, venue_ns=0, recv_ns=0, bids=(), asks=(), mark_ticks=None, features=None
)
FULL_ORDER = ParentOrder(
    parent_id=ParentId("P-1"),
    symbol="btc-usdt",
    side=Side.SELL,
    quantity=Decimal("0.250"),
    strategy=StrategyId("momentum"),
    account=AccountId("main"),
    limit=Decimal("63900.5"),
    deadline_s=12.5,
    may_rest=False,
    holding_s=3600.0,
    mae_budget_bps=4.5,
    urgency=0.75,
    max_participation=0.1,
    venues=(SIM, VenueName("other")),
    schedule="twap",
    schedule_args={"slices": 4.0, "jitter": 0.25},
    policy="cross",
    param_set="baseline",
    reduce_only=True,
    position_side=PositionSide.LONG,
    decision_price=Decimal("64000.05"),
    on_no_market=OnNoMarket.REFUSE,
    unwind_after_s=90.0,
    experiment="trial",
)
FULL_INTENT = Intent(
    intent_id=ParentId("P-1"),
    action=Action.EXIT,
    side=PositionSide.LONG,
    asset="BTC",
    size=Decimal("0.25"),
    leverage=Decimal(3),
    strategy=StrategyId("momentum"),
    account=AccountId("main"),
    metadata={"signal": "s-77", "order_type": "limit"},
)
FULL_CAPABILITIES = Capabilities(
    client_ids=ClOrdIdCodec(prefix="x", separator="", max_len=32),
    tif=frozenset({Tif.GTC, Tif.GTD, Tif.IOC, Tif.FOK}),
    post_only=False,
    post_only_failure_async=True,
    reduce_only=ReduceOnly.IMPLIED_BY_MODE,
    amend=AmendModel.NATIVE_SAME_ID,
    amend_keeps_priority_on_size_down=True,
    ack_model=AckModel.GATEWAY_ONLY,
    query_by_client_id=False,
    lookup_lag_ns=1_000_000_000,
    receive_window_ns=5_000_000_000,
    clock_error_ns=250_000,
    fills_lookup=False,
    dead_man=DeadMan.ACCOUNT,
    self_trade=SelfTrade.CANCEL_MAKER,
    position_modes=frozenset({PositionSide.LONG, PositionSide.SHORT}),
    market_bound_bps=500.0,
    marks=True,
    venue_may_reprice=True,
    venue_may_resize=True,
    orders_per_s=5.0,
    submit_rtt_ns=40_000_000,
    cancel_rtt_ns=45_000_000,
)
FULL_INSTRUMENT = Instrument(
    symbol=BTC,
    venue=SIM,
    version=3,
    base="BTC",
    quote="USDT",
    settle="USDT",
    tick_size=Decimal("0.1"),
    lot_size=Decimal("0.001"),
    multiplier=Decimal("1.0"),
    inverse=False,
    min_qty_lots=2,
    max_qty_lots=100_000,
    min_notional=Decimal(5),
    maker_fee_e8=-5_000,
    taker_fee_e8=45_000,
)
FULL_REPORT = ExecutionReport(
    venue=SIM,
    symbol=BTC,
    cl_ord_id=CL_ORD_ID,
    exec_type=ExecType.TRADE,
    provenance=Provenance.ACK,
    venue_order_id=VenueOrderId("9000001"),
    venue_ns=T0 + 3_000_000,
    recv_ns=T0 + 4_000_000,
    exec_id=ExecId("E-1"),
    last_lots=100,
    last_ticks=640_001,
    is_maker=False,
    fee_atoms=-3_200_005_000_000_000,
    fee_asset="USDT",
    fee_source=FeeSource.WS_SETTLED,
    cum_lots=100,
    avg_hticks=1_280_002,
    order_lots=250,
    price_ticks=640_001,
    ord_status=OrdStatus.PARTIALLY_FILLED,
    reject=RejectKind.OTHER,
    code="-2010",
    text="größer als erlaubt",
)
FULL_NEW_ORDER = NewOrder(
    cl_ord_id=CL_ORD_ID,
    symbol=BTC,
    side=Side.SELL,
    ord_type=OrdType.LIMIT,
    qty_lots=250,
    price_ticks=640_001,
    tif=Tif.IOC,
    post_only=True,
    reduce_only=True,
    position_side=PositionSide.LONG,
)
BARE_REF = OrderRef(cl_ord_id=CL_ORD_ID, symbol=BTC)
FULL_REF = OrderRef(cl_ord_id=CL_ORD_ID, symbol=BTC, venue_order_id=VenueOrderId("9000001"))
FULL_DECISION = Decision(
    placements=(
        Rest(SIM, 150, 640_001, T0 + 9_000_000_000, TimeoutBound.EXCURSION),
        Take(venue=SIM, qty_lots=100, collar_ticks=639_900),
    ),
    revisit=Revisit(
        at_ns=T0 + 5_000_000_000,
        best_moved_ticks=3,
        triggers=(Trigger("spread_bps", True, 5.0), Trigger("imbalance", False, 0.25)),
        on_untrusted=False,
    ),
    reason="rest_is_cheaper",
    note="resting costs 0.4 bps less",
    inputs=(("spread_bps", 0.015625), ("p_fill", 0.4)),
    alternatives=(Alternative("rest", -0.1, 0.02, "two hazards"), Alternative("take", None)),
    propensity=0.5,
    admissible=("rest", "take"),
    memory={"requotes": 2.0, "anchor": 640_000.5},
)

FULL_ASSIGNED = Assigned(
    experiment="trial",
    digest="fedcba9876543210",
    arm="patient",
    policy="maker_first",
    param_set="baseline",
    chances=(("plain", 0.75), ("patient", 0.25)),
    period=3,
    why="none",
)
SHADOWED = Shadowed(
    now_ns=T0 + 21,
    parent_no=2,
    shadow="other",
    policy="cost_aware",
    set_id="baseline/2026-11-21",
    params_digest="0123456789abcdef",
    decision=FULL_DECISION,
)

TURNS: list[list[Record]] = [
    [SessionStarted(now_ns=T0, epoch=EPOCH, version="0.1.0", default_set="baseline")],
    [
        SessionStarted(
            now_ns=T0,
            epoch=EPOCH,
            version="0.1.0",
            default_set="baseline",
            same_accounts=True,
            last_ns=T0 - 9,
            retire_ns=900 * NS,
            forget_ns=691_200 * NS,
        ),
        InstrumentAdopted(
            now_ns=T0,
            instrument=Instrument(symbol=BTC, venue=SIM, tick_size=Decimal("0.1"), lot_size=Decimal("0.001")),
        ),
        InstrumentAdopted(now_ns=T0 + 1, instrument=FULL_INSTRUMENT),
        ParamsAdopted(now_ns=T0 + 2, name="baseline", digest="0123456789abcdef", text='{"id": "baseline"}'),
        VenueUp(now_ns=T0 + 3, venue=SIM, capabilities=Capabilities(client_ids=ClOrdIdCodec())),
        VenueUp(now_ns=T0 + 4, venue=SIM, capabilities=FULL_CAPABILITIES, identity="uid-0f"),
        VenueDown(now_ns=T0 + 5, venue=VenueName("other"), reason="closed by the venue"),
        PositionKnown(
            now_ns=T0 + 6,
            venue=SIM,
            account=AccountId("main"),
            symbol=BTC,
            position_side=PositionSide.LONG,
            qty_lots=-400,
        ),
        ModeSet(now_ns=T0 + 7, mode=TradingMode.REDUCE_ONLY, reason="drill"),
        HaltLifted(now_ns=T0 + 8, venue=SIM, symbol=BTC),
        FitContradicted(
            now_ns=T0 + 8,
            policy="cost_aware",
            set_id="fit/2026-01-02",
            digest="0123456789abcdef",
            orders=200,
            filled=40,
            expected=120.5,
            text="cost_aware with param-set fit/2026-01-02 does not predict fills well",
        ),
        FitTrusted(now_ns=T0 + 9, set_id="fit/2026-01-02", reason="looked at"),
        ExperimentAdopted(now_ns=T0 + 9, name="trial", digest="fedcba9876543210", text='{"name": "trial"}'),
        ArmStopped(now_ns=T0 + 9, experiment="trial", arm="patient", guard="harm", text="guard harm: it costs more"),
    ],
    [
        Submitted(now_ns=T0 + 10, order=FULL_ORDER, venue=SIM, intent=FULL_INTENT, assigned=FULL_ASSIGNED),
        Looked(now_ns=T0 + 11, parent_no=1, cause=Cause.START, market=MARKET, ahead=((CL_ORD_ID, 40),)),
        Decided(
            parent_no=1,
            cause=Cause.START,
            by="cross",
            set_id="baseline/2026-11-21",
            params_digest="0123456789abcdef",
            open_lots=250,
            remaining_lots=250,
            decision=FULL_DECISION,
            vetoes=("maker_spread_max",),
            denials=(Denial.COLLAR, Denial.MIN_QTY),
            fallback=True,
        ),
        Place(1, 1, SIM, FULL_NEW_ORDER, T0 + 9_000_000_000, 1_280_001, 640_000.25),
    ],
    [
        Submitted(
            now_ns=T0 + 20,
            order=ParentOrder(parent_id=ParentId("P-2"), symbol="BTCUSDT", side=Side.BUY, quantity=Decimal(1)),
            venue=SIM,
        ),
        Looked(now_ns=T0 + 21, parent_no=2, cause=Cause.RETRY, market=NO_MARKET),
        Decided(
            parent_no=2,
            cause=Cause.REVISIT,
            by="maker_first",
            set_id="baseline/2026-11-21",
            params_digest="0123456789abcdef",
            open_lots=1000,
            remaining_lots=1000,
            decision=Decision(placements=(), revisit=Revisit(), reason="no_market"),
        ),
        SHADOWED,
        msgspec.structs.replace(SHADOWED, vetoes=("never_maker_above",)),
        Submitted(
            now_ns=T0 + 22,
            order=ParentOrder(parent_id=ParentId("P-3"), symbol="BTCUSDT", side=Side.BUY, quantity=Decimal("0.002")),
            venue=SIM,
            intent=Intent(
                intent_id=ParentId("P-3"),
                action=Action.ENTER,
                side=PositionSide.LONG,
                asset="BTC",
                size=Decimal("0.0021"),
            ),
        ),
        Place(
            3,
            1,
            SIM,
            NewOrder(
                cl_ord_id=ClOrdIdCodec().encode(EPOCH, 3, 1, closing=False),
                symbol=BTC,
                side=Side.BUY,
                ord_type=OrdType.MARKET,
                qty_lots=2,
            ),
            0,
            0,
            None,
        ),
    ],
    [
        Reported(now_ns=T0 + 30, report=FULL_REPORT, mid_hticks=1_280_003),
        Reported(
            now_ns=T0 + 31,
            report=ExecutionReport(venue=SIM, symbol=BTC, cl_ord_id=CL_ORD_ID, exec_type=ExecType.NEW),
            mid_hticks=0,
        ),
        RequestLost(
            now_ns=T0 + 32,
            venue=SIM,
            failed=RequestFailed(
                cl_ord_id=CL_ORD_ID, request=Request.PLACE, reach=Reach.IN_DOUBT, code="504", text="gateway timeout"
            ),
        ),
        Query(1, SIM, BARE_REF),
        RequestLost(
            now_ns=T0 + 33,
            venue=SIM,
            failed=RequestFailed(cl_ord_id=CL_ORD_ID, request=Request.QUERY, reach=Reach.NOT_SENT),
        ),
        Woke(now_ns=T0 + 34, parent_no=1, market=True),
        Amend(1, SIM, FULL_REF, 200, 640_000),
    ],
    [
        PauseAsked(now_ns=T0 + 40, parent_no=1),
        Cancel(1, SIM, FULL_REF),
        ResumeAsked(now_ns=T0 + 41, parent_no=1),
        AmendAsked(now_ns=T0 + 42, parent_no=1),
        AmendAsked(
            now_ns=T0 + 43,
            parent_no=1,
            quantity=Decimal("0.2"),
            limit=Decimal("63900.6"),
            deadline_s=5.0,
            urgency=1.0,
        ),
        CancelAsked(now_ns=T0 + 44, parent_no=1),
        CancelAsked(now_ns=T0 + 45, parent_no=2, shutdown=True, reason="the strategy was stopped"),
        Ended(2, ParentStatus.CANCELED, EndReason.SHUTDOWN, 0, ""),
    ],
    [
        Marked(now_ns=T0 + 50, parent_no=1, exec_id=ExecId("E-1"), horizon_ns=1_000_000_000, mid_hticks=1_280_005),
        EndMarked(now_ns=T0 + 51, parent_no=1, market=MARKET),
        Alarm(1, SIM, "order not found for 30 s", True),
        Ended(1, ParentStatus.HALTED, EndReason.HALTED, 100, "the venue filled more than was ordered"),
        StrayFound(
            now_ns=T0 + 60,
            venue=SIM,
            symbol=BTC,
            cl_ord_id=CL_ORD_ID,
            venue_order_id=VenueOrderId("V-9"),
            side=Side.SELL,
            price_ticks=640_100,
            leaves_lots=40,
        ),
        NeighbourFound(now_ns=T0 + 61, venue=SIM, epoch=9, cl_ord_ids=(CL_ORD_ID,)),
        Contradicted(now_ns=T0 + 62, cl_ord_id=CL_ORD_ID, by=Reading.OPEN_ORDERS, text="it is not among them"),
        PositionMoved(
            now_ns=T0 + 63,
            venue=SIM,
            account=AccountId("main"),
            symbol=BTC,
            position_side=PositionSide.LONG,
            cause=FlowCause.LIQUIDATION,
            by=Reading.FILLS,
            qty_lots=-30,
            trades=(ForeignTrade(ExecId("E-7"), CL_ORD_ID, VenueOrderId("V-7"), Side.SELL, 30, 640_000, T0 - 1_000),),
        ),
        PositionMoved(
            now_ns=T0 + 64,
            venue=SIM,
            account=AccountId("main"),
            symbol=BTC,
            position_side=PositionSide.SHORT,
            cause=FlowCause.UNEXPLAINED,
            by=Reading.POSITIONS,
            qty_lots=5,
        ),
        WalletKnown(
            now_ns=T0 + 65,
            venue=SIM,
            account=AccountId("main"),
            asset="USDT",
            amount=Decimal("1000.25"),
            venue_ns=T0 - 2_000,
        ),
        WalletMoved(
            now_ns=T0 + 66,
            venue=SIM,
            account=AccountId("main"),
            cause=MoneyCause.FUNDING,
            by=Reading.MONEY,
            amount=Decimal("-0.5"),
            entries=(MoneyEntry("F-1", MoneyCause.FUNDING, "FUNDING_FEE", Decimal("-0.5"), "USDT", T0 - 1_000),),
        ),
        WalletMoved(
            now_ns=T0 + 67,
            venue=SIM,
            account=AccountId("main"),
            cause=MoneyCause.UNEXPLAINED,
            by=Reading.WALLET,
            amount=Decimal(-7),
            venue_ns=T0 - 500,
        ),
        HaltLifted(now_ns=T0 + 68, venue=SIM, symbol=BTC, reason="the venue has explained itself"),
    ],
]


def main() -> None:
    """Write the journal and what its records say, by field name."""
    rmtree(JOURNAL, ignore_errors=True)
    with Journal.create(
        JOURNAL, epoch=EPOCH, environment=Environment.SIMULATED, segment_bytes=SEGMENT_BYTES
    ) as journal:
        for turn in TURNS:
            journal.append(turn)
    (JOURNAL / LOCK_NAME).unlink()
    said = [[by_name(record) for record in turn] for turn in TURNS]
    RECORDS.write_bytes(msgspec.json.format(msgspec.json.encode(said), indent=1) + b"\n")


if __name__ == "__main__":
    main()
