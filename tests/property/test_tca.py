"""What every cost report keeps, whatever the parent: exact sums, signs, and no trace of the order of its fills."""

from decimal import Decimal
from fractions import Fraction

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from sor.ids import ClOrdId, ExecId, ParentId, Symbol, VenueName
from sor.instruments import Instrument
from sor.orders import FeeSource, Fill, ParentStatus, Side
from sor.tca import HORIZONS_NS, Completion, ParentRecord, ParentReport, report, summary

HTICKS = st.integers(2, 10**7)
few = settings(max_examples=50)
MAYBE_HTICKS = st.none() | HTICKS


@st.composite
def instruments(draw: st.DrawFn) -> Instrument:
    inverse = draw(st.booleans())
    return Instrument(
        symbol=Symbol("XYZUSD"),
        venue=VenueName("sim"),
        base="XYZ",
        quote="USD",
        settle="XYZ" if inverse else "USD",
        tick_size=draw(st.sampled_from([Decimal("0.1"), Decimal("0.5"), Decimal("0.0000001"), Decimal(3)])),
        lot_size=draw(st.sampled_from([Decimal(1), Decimal("0.001"), Decimal(7)])),
        multiplier=draw(st.sampled_from([Decimal(1), Decimal(100)])),
        inverse=inverse,
        maker_fee_e8=draw(st.integers(-10_000, 30_000)),
        taker_fee_e8=draw(st.integers(0, 70_000)),
    )


@st.composite
def fills(draw: st.DrawFn, number: int, side: Side, mids: st.SearchStrategy[int | None]) -> Fill:
    settled = draw(st.booleans())
    return Fill(
        parent_id=ParentId("P1"),
        cl_ord_id=ClOrdId("P1.1"),
        exec_id=ExecId(f"x{number}"),
        venue=VenueName("sim"),
        symbol=Symbol("XYZUSD"),
        side=side,
        lots=draw(st.integers(1, 10**6)),
        ticks=draw(st.integers(1, 5 * 10**6)),
        recv_ns=draw(st.integers(0, 10**12)),
        submit_ns=0,
        is_maker=draw(st.sampled_from([True, False, None])),
        fee_atoms=draw(st.integers(-(10**15), 10**15)) if settled else None,
        fee_asset=draw(st.sampled_from(["USD", "XYZ", "TOKEN", None])) if settled else None,
        fee_source=draw(st.sampled_from([FeeSource.WS_SETTLED, FeeSource.REST_SETTLED])) if settled else None,
        fee_estimated_atoms=draw(st.none() | st.integers(-(10**15), 10**15)),
        mid_hticks=draw(mids),
    )


@st.composite
def records(draw: st.DrawFn, marks: st.SearchStrategy[int | None] = MAYBE_HTICKS) -> ParentRecord:
    """Any parent; with `marks` of integers only, one of which every price is known."""
    side = draw(st.sampled_from(Side))
    done = tuple(draw(fills(number, side, marks)) for number in range(draw(st.integers(0, 5))))
    filled = sum(one.lots for one in done)
    rest = draw(st.integers(0 if filled else 1, 10**6))
    book = ((draw(st.integers(1, 5 * 10**6)), rest),)
    markouts = [
        (one.exec_id, horizon, draw(HTICKS)) for one in done for horizon in HORIZONS_NS[:2] if draw(st.booleans())
    ]
    return ParentRecord(
        parent_id=ParentId("P1"),
        policy="any",
        params_digest="0",
        instrument=draw(instruments()),
        side=side,
        qty_lots=filled + rest,
        accepted_ns=0,
        status=ParentStatus.EXPIRED,
        fills=done,
        decision_hticks=draw(marks),
        arrival_hticks=draw(marks),
        end_mark_hticks=draw(marks),
        completion=Completion(book) if rest and draw(st.booleans()) else None,
        markouts=tuple(markouts),
        funding_atoms=draw(st.none() | st.integers(-(10**12), 10**12)),
    )


def coins_or_quote(instrument: Instrument, lots: int, price: Fraction, bench: Fraction) -> Fraction:
    """What buying `lots` at `price` rather than at `bench` costs, straight from the contract's definition."""
    size = lots * Fraction(instrument.lot_size) * Fraction(instrument.multiplier)
    return size * (1 / bench - 1 / price) if instrument.inverse else size * (price - bench)


@few
@given(records(HTICKS))
def test_the_lines_add_up_to_the_total(record: ParentRecord) -> None:
    split = report(record).shortfall
    lines = (split.delay, split.timing, split.spread, split.fees, split.funding, split.opportunity)
    assert split.total is not None
    assert sum(Fraction(line) for line in lines if line is not None) == Fraction(split.total)
    assert [line is None for line in lines] == [False] * 4 + [record.funding_atoms is None, False]


@few
@given(records(HTICKS))
def test_the_total_is_the_definition(record: ParentRecord) -> None:
    instrument, half_tick = record.instrument, Fraction(record.instrument.tick_size) / 2
    assert record.decision_hticks is not None
    assert record.end_mark_hticks is not None
    decision, end = record.decision_hticks * half_tick, record.end_mark_hticks * half_tick
    rest = record.qty_lots - sum(one.lots for one in record.fills)
    moved = coins_or_quote(instrument, rest, end, decision)
    for one in record.fills:
        moved += coins_or_quote(instrument, one.lots, 2 * one.ticks * half_tick, decision)
    split = report(record).shortfall
    assert split.total is not None
    charges = Fraction(split.fees) + Fraction(split.funding or 0)
    # Stated amounts of inverse contracts are rounded: fees and funding once, the total once.
    slack = Fraction(3, 10**18) if instrument.inverse else 0
    assert abs(Fraction(split.total) - record.side * moved - charges) <= slack


@few
@given(records())
def test_what_is_missing_is_absent_and_the_rest_is_there(record: ParentRecord) -> None:
    costs = report(record)
    split = costs.shortfall
    filled = bool(record.fills)
    rest = costs.filled_lots < record.qty_lots
    no_mid = any(one.mid_hticks is None for one in record.fills)
    no_decision, no_arrival = record.decision_hticks is None, record.arrival_hticks is None
    no_end = rest and record.end_mark_hticks is None
    assert (split.delay is None) == (filled and (no_decision or no_arrival))
    assert (split.timing is None) == (filled and (no_mid or no_arrival))
    assert (split.spread is None) == (filled and no_mid)
    assert (split.opportunity is None) == (rest and (no_decision or no_end))
    assert (split.total is None) == (no_decision or no_end)
    assert (costs.arrival_cost is None) == (no_arrival or (rest and record.completion is None))
    assert (costs.arrival_cost_bps is None) == (costs.arrival_cost is None)
    assert (costs.shortfall_bps.fees is None) == no_arrival


@few
@given(records())
def test_fees_by_source_add_up_to_the_fees(record: ParentRecord) -> None:
    costs = report(record)
    assert sum(share.lots for share in costs.fee_shares) == costs.filled_lots
    assert [share.source for share in costs.fee_shares] == sorted(
        (share.source for share in costs.fee_shares), key=list(FeeSource).index
    )
    slack = Fraction(2, 10**18) if record.instrument.inverse else 0
    assert abs(sum(Fraction(share.amount) for share in costs.fee_shares) - Fraction(costs.shortfall.fees)) <= slack


@few
@given(records())
def test_effective_spread_is_realised_spread_and_impact(record: ParentRecord) -> None:
    for one in report(record).fills:
        for after in one.markouts:
            assert (after.impact_hticks is None) == (one.effective_hticks is None)
            if after.impact_hticks is not None:
                assert one.effective_hticks == after.realised_hticks + after.impact_hticks


@few
@given(records(HTICKS))
def test_with_everything_filled_and_no_delay_shortfall_is_cost_against_arrival(record: ParentRecord) -> None:
    filled = sum(one.lots for one in record.fills)
    record = msgspec.structs.replace(
        record, decision_hticks=record.arrival_hticks, qty_lots=filled or record.qty_lots, funding_atoms=None
    )
    costs = report(record)
    if filled:
        assert (costs.shortfall.delay, costs.shortfall.opportunity) == (Decimal(0), Decimal(0))
        assert (costs.shortfall.total, costs.shortfall_bps.total) == (costs.arrival_cost, costs.arrival_cost_bps)


@few
@given(records(HTICKS))
def test_the_other_side_without_fees_is_the_same_with_the_other_sign(record: ParentRecord) -> None:
    def free(side: Side) -> ParentReport:
        settled = {"fee_atoms": 0, "fee_asset": None, "fee_source": FeeSource.WS_SETTLED}
        fills = tuple(msgspec.structs.replace(one, side=side, **settled) for one in record.fills)
        return report(msgspec.structs.replace(record, side=side, fills=fills, funding_atoms=None))

    bought, sold = free(Side.BUY).shortfall_bps, free(Side.SELL).shortfall_bps
    for name, cost in msgspec.structs.asdict(bought).items():
        assert cost is None or getattr(sold, name) == -cost


@few
@given(records(), st.data())
def test_the_order_of_fills_and_markouts_does_not_matter(record: ParentRecord, data: st.DataObject) -> None:
    fills = data.draw(st.permutations(record.fills))
    markouts = data.draw(st.permutations(record.markouts))
    shuffled = report(msgspec.structs.replace(record, fills=tuple(fills), markouts=tuple(markouts)))
    straight = report(record)
    by_id = {one.exec_id: one for one in shuffled.fills}
    fills_in_order = tuple(by_id[one.exec_id] for one in straight.fills)
    assert msgspec.structs.replace(shuffled, fills=fills_in_order) == straight


@settings(max_examples=25)
@given(st.lists(records(), min_size=1, max_size=4))
def test_a_summary_lies_between_its_parents(some: list[ParentRecord]) -> None:
    reports = [report(record) for record in some]
    found = summary(reports)
    costs = [one.arrival_cost_bps for one in reports if one.arrival_cost_bps is not None]
    assert found.costed == len(costs)
    if found.cost_bps is not None and found.cost_bps_p95 is not None:
        slack = 1e-9 * max(map(abs, costs))
        assert min(costs) - slack <= found.cost_bps <= max(costs) + slack
        assert min(costs) - slack <= found.cost_bps_p95 <= max(costs) + slack
    assert 0 <= found.filled_share <= 1
    assert sum(line.fills for line in found.markouts) == sum(len(record.markouts) for record in some)
