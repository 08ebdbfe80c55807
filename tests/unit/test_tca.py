"""Costs worked by hand: the split, cost against arrival, fees by source, markouts, and sums per policy."""

import doctest
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from sor.errors import CallerError
from sor.ids import ClOrdId, ExecId, ParentId, Symbol, VenueName
from sor.instruments import Instrument
from sor.market import Levels
from sor.orders import FeeSource, Fill, ParentStatus, Side
from sor.reasons import EndReason
from sor.tca import (
    HORIZONS_NS,
    Completion,
    FeeShare,
    FillReport,
    Markout,
    ParentRecord,
    ParentReport,
    Quantiles,
    Shortfall,
    ShortfallBps,
    by_policy,
    completion,
    report,
    summary,
)
from sor.units import MS, NS

ROOT = Path(__file__).resolve().parents[2]
PERP = Instrument(
    symbol=Symbol("XYZUSDT"),
    venue=VenueName("sim"),
    base="XYZ",
    quote="USDT",
    settle="USDT",
    tick_size=Decimal("0.01"),
    lot_size=Decimal(1),
    maker_fee_e8=15_000,
    taker_fee_e8=45_000,
)
COIN = Instrument(
    symbol=Symbol("XYZUSDT"),
    venue=VenueName("sim"),
    base="XYZ",
    quote="USD",
    settle="XYZ",
    tick_size=Decimal("0.5"),
    lot_size=Decimal(1),
    multiplier=Decimal(100),
    inverse=True,
    maker_fee_e8=20_000,
    taker_fee_e8=50_000,
)


def fill(
    exec_id: str,
    lots: int,
    ticks: int,
    mid_hticks: int | None,
    *,
    maker: bool | None = None,
    side: Side = Side.BUY,
    heard_ns: int = NS,
    fee: int | None = None,
    asset: str | None = None,
    source: FeeSource | None = None,
    estimated: int | None = None,
    slippage_bps: float | None = None,
    inferred: bool = False,
) -> Fill:
    return Fill(
        parent_id=ParentId("P1"),
        cl_ord_id=ClOrdId("P1.1"),
        exec_id=ExecId(exec_id),
        venue=PERP.venue,
        symbol=PERP.symbol,
        side=side,
        lots=lots,
        ticks=ticks,
        recv_ns=heard_ns,
        submit_ns=NS // 2,
        is_maker=maker,
        fee_atoms=fee,
        fee_asset=asset,
        fee_source=source,
        fee_estimated_atoms=estimated,
        mid_hticks=mid_hticks,
        slippage_bps=slippage_bps,
        inferred=inferred,
    )


def parent(*fills: Fill, instrument: Instrument = PERP, side: Side = Side.BUY, qty: int = 100) -> ParentRecord:
    """A parent without any mark."""
    return ParentRecord(
        parent_id=ParentId("P1"),
        policy="maker_first",
        params_digest="0f3a",
        instrument=instrument,
        side=side,
        qty_lots=qty,
        accepted_ns=NS // 4,
        status=ParentStatus.WORKING,
        fills=fills,
    )


def known(record: ParentRecord, *, decision: int | None, arrival: int | None, end: int | None) -> ParentRecord:
    return msgspec.structs.replace(record, decision_hticks=decision, arrival_hticks=arrival, end_mark_hticks=end)


def bps_lines(costs: ParentReport) -> dict[str, float | None]:
    return msgspec.structs.asdict(costs.shortfall_bps)


WORKED = known(
    parent(
        fill("x1", 60, 10_010, 20_016, maker=False, heard_ns=2 * NS, slippage_bps=3.0),
        fill("x2", 20, 10_004, 20_010, maker=True, heard_ns=3 * NS, slippage_bps=-1.0),
    ),
    decision=20_000,
    arrival=20_010,
    end=20_060,
)
"""methods 9.1 [C]: total 15.80282. The fees are the instrument's own rates, as the fills carry none."""


def test_worked_shortfall() -> None:
    costs = report(WORKED)
    assert costs.shortfall == Shortfall(
        delay=Decimal("4.0"),
        timing=Decimal("1.8"),
        spread=Decimal("1.0"),
        fees=Decimal("3.00282"),
        funding=None,
        opportunity=Decimal("6.0"),
        total=Decimal("15.80282"),
    )
    assert costs.arrival_notional == 10_005
    lines = bps_lines(costs)
    assert lines.pop("funding") is None
    assert lines == pytest.approx(
        {
            "delay": 4.0 / 1.0005,
            "timing": 1.8 / 1.0005,
            "spread": 1.0 / 1.0005,
            "fees": 3.00282 / 1.0005,
            "opportunity": 6.0 / 1.0005,
            "total": 15.80282 / 1.0005,
        },
        rel=1e-12,
    )


def test_the_same_parent_sold_in_a_mirrored_market_costs_the_same() -> None:
    # Prices mirrored at 100: fees alone change, as they are of the price.
    fills = (
        fill("x1", 60, 9_990, 19_984, maker=False, side=Side.SELL),
        fill("x2", 20, 9_996, 19_990, maker=True, side=Side.SELL),
    )
    costs = report(known(parent(*fills, side=Side.SELL), decision=20_000, arrival=19_990, end=19_940))
    assert costs.shortfall == Shortfall(
        delay=Decimal("4.0"),
        timing=Decimal("1.8"),
        spread=Decimal("1.0"),
        fees=Decimal("2.99718"),
        funding=None,
        opportunity=Decimal("6.0"),
        total=Decimal("15.79718"),
    )


@pytest.mark.parametrize(
    ("decision", "arrival", "end", "mid", "lines"),
    [
        (None, 20_010, 20_060, 20_016, (None, "0.3", "0.2", None, None)),
        (20_000, None, 20_060, 20_016, (None, None, "0.2", "27.0", "28.45045")),
        (20_000, 20_010, None, 20_016, ("0.5", "0.3", "0.2", None, None)),
        (20_000, 20_010, 20_060, None, ("0.5", None, None, "27.0", "28.45045")),
        (None, None, None, None, (None, None, None, None, None)),
    ],
)
def test_a_line_without_its_price_is_absent(
    decision: int | None, arrival: int | None, end: int | None, mid: int | None, lines: tuple[str | None, ...]
) -> None:
    record = parent(fill("x1", 10, 10_010, mid, maker=False))
    split = report(known(record, decision=decision, arrival=arrival, end=end)).shortfall
    stated = (split.delay, split.timing, split.spread, split.opportunity, split.total)
    assert stated == tuple(None if line is None else Decimal(line) for line in lines)
    assert split.fees == Decimal("0.45045")


def test_no_lots_cost_nothing_whatever_the_price() -> None:
    filled = report(
        known(parent(fill("x1", 100, 10_000, 20_000, maker=True)), decision=20_000, arrival=20_000, end=None)
    )
    assert (filled.shortfall.opportunity, filled.shortfall.total) == (Decimal(0), Decimal("1.5"))
    untouched = report(known(parent(), decision=20_000, arrival=None, end=20_010))
    assert untouched.shortfall == Shortfall(
        delay=Decimal(0),
        timing=Decimal(0),
        spread=Decimal(0),
        fees=Decimal(0),
        funding=None,
        opportunity=Decimal(5),
        total=Decimal(5),
    )
    assert untouched.shortfall_bps.total is None  # no arrival notional


def test_funding_is_a_line_of_its_own() -> None:
    record = msgspec.structs.replace(WORKED, funding_atoms=PERP.atoms(Decimal("0.5")))
    split = report(record).shortfall
    assert (split.funding, split.total) == (Decimal("0.5"), Decimal("16.30282"))
    coins = msgspec.structs.replace(record, instrument=COIN, funding_atoms=3)
    assert report(coins).shortfall.funding == Decimal("3e-8")


def test_an_overfill_is_marked_at_the_end() -> None:
    costs = report(
        known(parent(fill("x1", 110, 10_000, 20_000, maker=True)), decision=20_000, arrival=20_000, end=19_960)
    )
    assert costs.fill_ratio == 1.1
    # The 10 lots too many are worth 0.20 less each when it ends.
    assert (costs.shortfall.opportunity, costs.shortfall.total) == (Decimal("2.0"), Decimal("3.65"))
    assert (costs.completion, costs.arrival_cost) == (Decimal(0), Decimal("1.65"))


def test_inverse_contracts_cost_coin() -> None:
    # 6000 USD bought at 30000 (price 60000 ticks of 0.5) with the mid at 28800, decided at 25000, arrival 24000.
    # 4000 USD are left when the mid is 20000.
    record = parent(fill("x1", 60, 60_000, 115_200, maker=True), instrument=COIN)
    costs = report(known(record, decision=100_000, arrival=96_000, end=80_000))
    split = costs.shortfall
    assert costs.asset == "XYZ"
    assert split.delay == Decimal("-0.01")  # 6000 (1/25000 - 1/24000)
    assert split.timing is not None
    assert split.spread is not None
    assert float(split.timing) == pytest.approx(6000 * (1 / 24_000 - 1 / 28_800), rel=1e-15)
    assert float(split.spread) == pytest.approx(6000 * (1 / 28_800 - 1 / 30_000), rel=1e-15)
    assert split.fees == Decimal("0.00004")  # 2 bps of 6000 / 30000
    assert split.opportunity == Decimal("-0.04")  # 4000 (1/25000 - 1/20000)
    assert split.total == Decimal("0.00004")  # 6000 (1/25000 - 1/30000) - 0.04 + fees
    assert split.total == split.delay + split.timing + split.spread + split.fees + split.opportunity
    assert costs.arrival_notional == Decimal("0.416666666666666667")  # 10000 / 24000
    assert costs.avg_price == 30_000


def test_average_price() -> None:
    assert report(WORKED).avg_price == pytest.approx((60 * 100.10 + 20 * 100.04) / 80)
    coins = report(parent(fill("x1", 1, 40_000, None), fill("x2", 1, 60_000, None), instrument=COIN))
    assert coins.avg_price == pytest.approx(24_000)  # 2 / (1/20000 + 1/30000)
    assert report(parent()).avg_price is None


def test_cost_against_arrival_completes_the_rest() -> None:
    record = msgspec.structs.replace(
        WORKED, completion=Completion(((10_031, 15), (10_033, 5)), beyond_lots=3), cross_at_arrival_bps=11.0
    )
    costs = report(record)
    # 15 x 0.26 + 5 x 0.28, and 4.5 bps of 2006.30
    assert costs.completion == Decimal("6.202835")
    # 60 x 0.05 - 20 x 0.01, fees, completion
    assert costs.arrival_cost == Decimal("12.005655")
    assert costs.arrival_cost_bps == pytest.approx(12.005655 / 1.0005, rel=1e-12)
    assert costs.completion_bps == pytest.approx(6.202835 / 1.0005, rel=1e-12)
    assert costs.saved_bps == pytest.approx(11.0 - 12.005655 / 1.0005, rel=1e-12)
    assert costs.beyond_book_lots == 3


def test_cost_against_arrival_is_unknown_without_arrival_or_the_book_at_the_end() -> None:
    gone = msgspec.structs.replace(WORKED, cross_at_arrival_bps=11.0)
    lost = msgspec.structs.replace(gone, completion=Completion(((10_031, 20),)), arrival_hticks=None)
    for costs in (report(gone), report(lost)):
        assert (costs.arrival_cost, costs.arrival_cost_bps, costs.completion, costs.saved_bps) == (None,) * 4


def test_inverse_cost_against_arrival() -> None:
    record = parent(fill("x1", 60, 50_000, None, maker=True), instrument=COIN)
    record = msgspec.structs.replace(record, arrival_hticks=96_000, completion=Completion(((60_000, 40),)))
    costs = report(record)
    # 6000 (1/24000 - 1/25000) + 2 bps of 0.24; 4000 (1/24000 - 1/30000) + 5 bps of 4000 / 30000
    assert costs.arrival_cost is not None
    assert float(costs.arrival_cost) == pytest.approx(0.01 + 0.000048 + 0.1 / 3 + 0.0002 / 3, rel=1e-14)


@pytest.mark.parametrize(
    ("ladder", "rest", "taken"),
    [
        ((), 5, None),
        (((10, 5), (11, 9)), 5, Completion(((10, 5),))),
        (((10, 5), (11, 9)), 6, Completion(((10, 5), (11, 1)))),
        (((10, 5), (11, 9)), 20, Completion(((10, 5), (11, 15)), beyond_lots=6)),
    ],
)
def test_completion_walks_the_book(ladder: Levels, rest: int, taken: Completion | None) -> None:
    assert completion(ladder, rest_lots=rest) == taken


def test_there_is_nothing_to_complete_without_a_rest() -> None:
    with pytest.raises(CallerError, match="there is no rest"):
        completion(((10, 5),), rest_lots=0)


ATOM = PERP.atoms(Decimal(1))


def test_fees_by_source() -> None:
    costs = report(
        parent(
            fill("x1", 10, 10_000, None, fee=3 * ATOM, asset="USDT", source=FeeSource.WS_SETTLED, estimated=ATOM),
            fill("x2", 20, 10_000, None, fee=-2 * ATOM, asset="USDT", source=FeeSource.REST_SETTLED),
            fill("x3", 5, 10_000, None, fee=ATOM, asset="USDT", source=FeeSource.ESTIMATED_MAKER, maker=True),
            fill("x4", 5, 10_000, None, fee=4 * ATOM, asset="USDT", source=FeeSource.WS_SETTLED),
        )
    )
    assert costs.fee_shares == (
        FeeShare(FeeSource.ESTIMATED_MAKER, Decimal(1), 5),
        FeeShare(FeeSource.WS_SETTLED, Decimal(7), 15),
        FeeShare(FeeSource.REST_SETTLED, Decimal(-2), 20),
    )
    assert (costs.shortfall.fees, costs.fees_settled_share, costs.unvalued_fees) == (Decimal(6), 35 / 40, 0)


@pytest.mark.parametrize(
    ("one", "source", "amount", "unvalued"),
    [
        (fill("x", 10, 10_000, None, maker=True), FeeSource.ESTIMATED_MAKER, "0.15", 0),
        (fill("x", 10, 10_000, None, maker=False), FeeSource.ESTIMATED_TAKER, "0.45", 0),
        (fill("x", 10, 10_000, None), FeeSource.ESTIMATED_TAKER, "0.45", 0),
        (fill("x", 10, 10_000, None, maker=True, estimated=2 * ATOM), FeeSource.ESTIMATED_MAKER, "2", 0),
        (fill("x", 10, 10_000, None, fee=0, asset="USDT", source=FeeSource.WS_SETTLED), FeeSource.WS_SETTLED, "0", 0),
        (fill("x", 10, 10_000, None, fee=ATOM, maker=True), FeeSource.ESTIMATED_MAKER, "1", 0),
        (
            fill("x", 10, 10_000, None, fee=9, asset="TOKEN", source=FeeSource.WS_SETTLED, maker=True, estimated=ATOM),
            FeeSource.ESTIMATED_MAKER,
            "1",
            1,
        ),
        (
            fill("x", 10, 10_000, None, fee=9, asset="TOKEN", source=FeeSource.WS_SETTLED),
            FeeSource.ESTIMATED_TAKER,
            "0.45",
            1,
        ),
    ],
)
def test_a_fee_that_is_not_settled_is_estimated(one: Fill, source: FeeSource, amount: str, unvalued: int) -> None:
    costs = report(parent(one))
    assert costs.fee_shares == (FeeShare(source, Decimal(amount), 10),)
    assert costs.unvalued_fees == unvalued


@pytest.mark.parametrize(
    ("asset", "source", "coins"),
    [
        ("XYZ", FeeSource.WS_SETTLED, "0.0005"),  # 50 000 atoms of 1e-8 coin
        (None, FeeSource.REST_SETTLED, "0.0005"),
        ("USD", FeeSource.WS_SETTLED, "0.00000002"),  # 0.0005 USD at 25 000
        ("USD", FeeSource.ESTIMATED_TAKER, "0.00000002"),
        ("XYZ", FeeSource.ESTIMATED_TAKER, "0.00000002"),  # our estimates are valued in quote (Instrument.fee_atoms)
    ],
)
def test_fees_of_inverse_contracts_are_in_coin(asset: str | None, source: FeeSource, coins: str) -> None:
    one = fill("x1", 10, 50_000, None, fee=50_000, asset=asset, source=source)
    assert report(parent(one, instrument=COIN)).fee_shares == (FeeShare(source, Decimal(coins), 10),)


def test_an_instrument_that_names_no_assets_takes_any_fee() -> None:
    bare = Instrument(symbol=PERP.symbol, venue=PERP.venue, tick_size=Decimal("0.01"), lot_size=Decimal(1))
    costs = report(parent(fill("x1", 10, 10_000, None, fee=ATOM, asset="USDT"), instrument=bare))
    assert (costs.shortfall.fees, costs.unvalued_fees) == (Decimal(1), 0)


def test_spreads_and_markouts() -> None:
    marks = (
        (ExecId("x2"), NS, 19_998),
        (ExecId("x1"), NS, 20_018),
        (ExecId("x1"), 100 * MS, 20_022),
        (ExecId("x1"), NS, 1),  # said again after a restart: the first counts
        (ExecId("x9"), NS, 20_000),  # of no fill that is here
    )
    assert report(msgspec.structs.replace(WORKED, markouts=marks)).fills == (
        FillReport(
            ExecId("x1"),
            60,
            False,
            3 * NS // 2,
            4,
            (Markout(100 * MS, 2, 20_000 / 20_020, 6), Markout(NS, -2, -20_000 / 20_020, 2)),
        ),
        FillReport(ExecId("x2"), 20, True, 5 * NS // 2, -2, (Markout(NS, -10, -100_000 / 20_008, -12),)),
    )


def test_markouts_of_a_sale_whose_mid_was_unknown() -> None:
    record = parent(fill("x1", 60, 10_000, None, side=Side.SELL), side=Side.SELL)
    (one,) = report(msgspec.structs.replace(record, markouts=((ExecId("x1"), NS, 19_990),))).fills
    assert one == FillReport(ExecId("x1"), 60, None, NS // 2, None, (Markout(NS, 10, 5.0, None),))
    assert one.markouts[0].realised_hticks == -10


def test_horizons() -> None:
    assert HORIZONS_NS == (100 * MS, 1 * NS, 5 * NS, 15 * NS, 30 * NS, 60 * NS, 300 * NS)


def test_shares_and_times() -> None:
    record = msgspec.structs.replace(
        WORKED,
        fills=(*WORKED.fills, fill("x3", 5, 10_000, 20_000)),
        ended_ns=10 * NS,
        status=ParentStatus.EXPIRED,
        end_reason=EndReason.DEADLINE,
        timeouts=3,
        fallbacks=1,
        requotes=2,
        orders=7,
        rejects=4,
    )
    costs = report(record)
    assert (costs.filled_lots, costs.fill_ratio) == (85, 0.85)
    assert (costs.maker_lots, costs.taker_lots, costs.passive_share) == (20, 60, 0.25)
    assert costs.slippage_bps == (60 * 3.0 - 20 * 1.0) / 80
    assert (costs.first_fill_ns, costs.last_fill_ns, costs.working_ns) == (3 * NS // 4, 11 * NS // 4, 39 * NS // 4)
    assert (costs.status, costs.end_reason) == (ParentStatus.EXPIRED, EndReason.DEADLINE)
    assert (costs.timeouts, costs.fallbacks, costs.requotes, costs.orders, costs.rejects) == (3, 1, 2, 7, 4)


def test_nobody_heard_when_an_inferred_fill_happened() -> None:
    costs = report(parent(fill("x1", 10, 10_000, 20_000), fill("P1.1/stated", 5, 10_000, None, inferred=True)))
    assert (costs.filled_lots, costs.first_fill_ns, costs.last_fill_ns) == (15, None, None)
    assert [one.latency_ns for one in costs.fills] == [NS // 2, None]


def test_a_parent_that_did_nothing() -> None:
    costs = report(parent())
    assert (costs.fill_ratio, costs.passive_share, costs.slippage_bps, costs.fees_settled_share) == (
        0,
        None,
        None,
        None,
    )
    assert (costs.first_fill_ns, costs.last_fill_ns, costs.working_ns, costs.fills) == (None, None, None, ())


def exactly(atoms: int, *, places: int) -> Decimal:
    """A decimal of any length; arithmetic on decimals would round to 28 digits."""
    return Decimal((0, tuple(map(int, str(atoms))), -places))


def test_amounts_of_any_size_are_stated_to_the_last_atom() -> None:
    tiny = Instrument(
        symbol=PERP.symbol,
        venue=PERP.venue,
        tick_size=Decimal("0.00000001"),
        lot_size=Decimal("0.00000001"),
        taker_fee_e8=1,
    )
    lots, ticks = 10**18 + 1, 10**12 + 1
    record = parent(fill("x1", lots, ticks, 2 * ticks - 1), instrument=tiny, qty=lots)
    costs = report(known(record, decision=2 * ticks - 3, arrival=2 * ticks - 2, end=None))
    # The fee of 1e-8 is one atom per lot and tick; three half-ticks are 1.5e8 atoms per lot.
    assert costs.shortfall.fees == exactly(lots * ticks, places=24)
    assert costs.shortfall.total == exactly(lots * (150_000_000 + ticks), places=24)


def test_a_report_is_json() -> None:
    record = msgspec.structs.replace(WORKED, markouts=((ExecId("x1"), NS, 20_018),))
    costs = report(record)
    assert msgspec.json.decode(msgspec.json.encode(costs), type=ParentReport) == costs
    whole = summary([costs])
    assert msgspec.json.decode(msgspec.json.encode(whole), type=type(whole)) == whole


@pytest.mark.parametrize(
    ("record", "wrong"),
    [
        (parent(qty=0), "quantity 0 lots is not positive"),
        (known(parent(), decision=None, arrival=0, end=None), "hold one that is no price"),
        (known(parent(), decision=-2, arrival=None, end=None), "hold one that is no price"),
        (parent(fill("x1", 1, 10, 20), fill("x1", 1, 10, 20)), "fill x1 is there twice"),
        (parent(fill("x1", 1, 10, 20, side=Side.SELL)), "fill x1 is of XYZUSDT SELL, the parent of XYZUSDT BUY"),
        (parent(fill("x1", 0, 10, 20)), "fill x1 has a quantity or price"),
        (parent(fill("x1", 1, 0, 20)), "fill x1 has a quantity or price"),
        (parent(fill("x1", 1, 10, 0)), "an unknown mid is None"),
        (msgspec.structs.replace(parent(), markouts=((ExecId("x1"), NS, 0),)), "a markout has a mid that is no price"),
        (msgspec.structs.replace(parent(), completion=Completion(((10, 99),))), "takes 99 lots, the rest is 100"),
        (msgspec.structs.replace(parent(), completion=Completion(((0, 100),))), "one of its prices"),
    ],
)
def test_a_record_that_contradicts_itself_is_refused(record: ParentRecord, wrong: str) -> None:
    with pytest.raises(CallerError, match=wrong) as refused:
        report(record)
    assert "no report was made, and nothing was sent" in str(refused.value)


# --- per policy ------------------------------------------------------------------------------------------------------


def group() -> Sequence[ParentReport]:
    """Three parents of 100 at an arrival of 100.00: filled in full, half filled, and of unknown cost."""
    base = known(parent(), decision=20_000, arrival=20_000, end=20_100)
    quick = msgspec.structs.replace(
        base,
        fills=(
            fill(
                "x1", 75, 10_002, 20_002, maker=False, heard_ns=5 * NS // 4, fee=7 * ATOM, source=FeeSource.WS_SETTLED
            ),
            fill("x2", 25, 9_998, 20_000, maker=True, heard_ns=9 * NS // 4, fee=7 * ATOM, source=FeeSource.WS_SETTLED),
        ),
        markouts=((ExecId("x1"), NS, 20_000), (ExecId("x2"), NS, 20_000), (ExecId("x2"), 5 * NS, 19_992)),
        cross_at_arrival_bps=20.0,
        orders=3,
        timeouts=1,
    )
    half = msgspec.structs.replace(
        base,
        fills=(fill("x3", 50, 10_000, 20_001, maker=True, heard_ns=85 * NS // 4),),
        markouts=((ExecId("x3"), NS, 20_020),),
        completion=Completion(((10_052, 50),), beyond_lots=1),
        cross_at_arrival_bps=6.0,
        orders=2,
        fallbacks=1,
        requotes=5,
    )
    unknown = msgspec.structs.replace(base, end_mark_hticks=None, rejects=2)
    return [report(quick), report(half), report(unknown)]


def test_summary() -> None:
    found = summary(group())
    lines = found.shortfall_bps
    assert lines is not None
    # quick: 75 x 0.02 - 25 x 0.02 and fees of 14: 15 bps of 10 000. half: 0.075 of fees for half of it, 50 x 0.52 and
    # 4.5 bps of 5026: 0.75 + 26 + 2.2617 bps.
    quick, half = 15.0, 0.75 + 26.0 + 2.2617
    assert found.cost_bps == pytest.approx((quick + half) / 2)
    assert found.cost_bps_p95 == pytest.approx(quick + 0.95 * (half - quick))
    assert found.saved_bps == pytest.approx((20.0 + 6.0 - quick - half) / 2)
    assert found.fees_bps == pytest.approx((14.0 + 0.75 + 0.0) / 3)
    assert msgspec.structs.asdict(lines) == pytest.approx(
        {
            "delay": 0.0,
            "timing": (0.75 + 0.25) / 2,  # 75 x 0.01; 50 x 0.005
            "spread": (0.75 - 0.5 - 0.25) / 2,
            "fees": (14.0 + 0.75) / 2,
            "opportunity": 25.0 / 2,
            "total": (15.0 + 25.75) / 2,
        }
        | {"funding": None}
    )
    exact = msgspec.structs.replace(
        found, cost_bps=0.0, cost_bps_p95=0.0, saved_bps=0.0, fees_bps=0.0, shortfall_bps=None, markouts=()
    )
    assert exact == type(found)(
        policy="maker_first",
        params_digest="0f3a",
        venue=PERP.venue,
        symbol=PERP.symbol,
        parents=3,
        filled_share=0.5,
        completed_share=1 / 3,
        costed=2,
        cost_bps=0.0,
        cost_bps_p95=0.0,
        beyond_book=1,
        compared=2,
        cross_at_arrival_bps=13.0,
        saved_bps=0.0,
        fees_bps=0.0,
        split=2,
        shortfall_bps=None,
        fees_settled_share=100 / 150,
        unvalued_fees=0,
        passive_share=0.5,
        first_fill_s=Quantiles(2, 11.0, 20.0),
        full_fill_s=Quantiles(1, 2.0, 2.0),
        taker_latency_s=Quantiles(1, 0.75, 0.75),
        timeouts=1,
        fallbacks=1,
        requotes=5,
        orders=5,
        rejects=2,
        markouts=(),
    )


def test_markouts_of_a_policy() -> None:
    lines = summary(group()).markouts
    assert [(line.is_maker, line.horizon_ns, line.fills, line.lots) for line in lines] == [
        (True, NS, 2, 75),
        (True, 5 * NS, 1, 25),
        (False, NS, 1, 75),
    ]
    near, far = 10_000 * 4 / 19_996, 10.0  # x2 and x3, one second after them
    assert [line.lots_bps for line in lines] == pytest.approx(
        [(25 * near + 50 * far) / 75, -40_000 / 19_996, -40_000 / 20_004]
    )
    assert [line.fills_bps for line in lines] == pytest.approx([(near + far) / 2, -40_000 / 19_996, -40_000 / 20_004])


def test_the_mean_split_counts_funding_where_it_is_known() -> None:
    done = known(parent(fill("x1", 100, 10_000, 20_000, maker=True)), decision=20_000, arrival=20_000, end=None)
    paid = msgspec.structs.replace(done, funding_atoms=PERP.atoms(Decimal(1)))
    split = summary([report(done), report(paid)]).shortfall_bps
    assert split == ShortfallBps(delay=0.0, timing=0.0, spread=0.0, fees=1.5, funding=0.5, opportunity=0.0, total=2.0)


def test_a_policy_that_never_got_anywhere() -> None:
    found = summary([report(parent())])
    nothing = Quantiles(0, None, None)
    assert (found.costed, found.cost_bps, found.cost_bps_p95, found.shortfall_bps, found.fees_bps) == (0, *[None] * 4)
    assert (found.filled_share, found.passive_share, found.fees_settled_share) == (0.0, None, None)
    assert (found.first_fill_s, found.full_fill_s, found.taker_latency_s) == (nothing, nothing, nothing)


def test_by_policy_keeps_apart_what_is_not_the_same() -> None:
    cross, other_set, other_venue = (
        msgspec.structs.replace(report(parent()), **change)
        for change in ({"policy": "cross"}, {"params_digest": "beef"}, {"venue": VenueName("else")})
    )
    mixed = [report(parent()), cross, other_set, report(parent()), other_venue]
    assert [(one.policy, one.params_digest, one.venue, one.parents) for one in by_policy(mixed)] == [
        ("maker_first", "0f3a", "sim", 2),
        ("cross", "0f3a", "sim", 1),
        ("maker_first", "beef", "sim", 1),
        ("maker_first", "0f3a", "else", 1),
    ]
    with pytest.raises(CallerError, match="Use by_policy"):
        summary(mixed)
    with pytest.raises(CallerError, match="at least one report"):
        summary([])


def test_the_guide_says_what_the_code_does() -> None:
    result = doctest.testfile(str(ROOT / "docs" / "tca.md"), module_relative=False)
    assert result.attempted > 30
    assert not result.failed
