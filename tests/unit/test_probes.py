"""Probes: the fills of the tape-fed venue, the true queue where orders have ids, and everything else worked by hand."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec
import numpy as np
import pytest

from sor.errors import CallerError
from sor.lab.columns import columns_of
from sor.lab.order_hits import NEVER
from sor.lab.probes import ProbePlan, Probes, draw_probes, joined, non_overlapping
from sor.lab.queue_fills import Fates, Orders, QueueFills
from sor.models.covariates import COVARIATES
from sor.orders import Side
from sor.tape import Tape
from sor.units import MS, NS
from tests.fakes.tape_script import INSTRUMENT, NOW, Book, Print, Trader, market_of, tape_of
from tests.fakes.tapes import Group, Ordered, Traded
from tests.fakes.tapes import tape_of as tape_with_orders
from venues.simulated.tape_settings import TapeSettings

BUY, SELL = Side.BUY, Side.SELL
SMALL = msgspec.structs.replace(INSTRUMENT, min_notional=Decimal(0))


def fills_of(tape: Tape, queue: str = "risk_averse") -> QueueFills:
    columns = columns_of(tape, group_local_ns=tape.group_venue_ns, trade_local_ns=tape.trade_venue_ns)
    return QueueFills(tape, columns, queue=queue)


def orders_of(rows: Sequence[tuple[int, int, int, int, int]]) -> Orders:
    """Orders from (side, ticks, lots, arrived, until)."""
    side, ticks, lots, arrived, until = np.array(rows, np.int64).T
    return Orders(side.astype(np.int8), ticks, lots, arrived, until)


def a_market(seed: int, count: int = 400) -> list[Book | Print]:
    """Books that move, lose a side, cross and are replaced, and trades at and through their prices; some at once."""
    rng = np.random.default_rng(seed)
    at_ns = 100
    events: list[Book | Print] = [Book(at_ns, {997: 5, 998: 3, 999: 4}, {1001: 4, 1002: 9, 1003: 2}, snapshot=True)]
    for _ in range(count):
        at_ns += int(rng.choice([0, 1, 2, 3, 10]))
        kind = rng.integers(0, 12)
        if kind < 5:
            price = int(rng.integers(997, 1004))
            shot = Print(at_ns, Side(int(rng.choice([1, -1]))), price, int(rng.integers(1, 9)))
            place = len(events)
            while place > 1 and isinstance(events[place - 1], Book) and events[place - 1].at_ns == at_ns:
                place -= 1
            events.insert(place, shot)
        elif kind < 11:
            size = int(rng.choice([9, 60]))
            bids = {int(price): int(rng.integers(0, size)) for price in rng.integers(996, 1001, 2)}
            asks = {int(price): int(rng.integers(0, size)) for price in rng.integers(1000, 1005, 2)}
            events.append(Book(at_ns, bids if kind % 2 else {}, {} if kind % 2 else asks))
        else:
            events.append(Book(at_ns, {998: 6, 999: 7}, {1001: 5, 1002: 3}, snapshot=True))
    return events


@pytest.mark.parametrize("queue", ["risk_averse", "moderate"])
@pytest.mark.parametrize("seed", range(4))
def test_orders_fill_when_the_venue_fills_them(queue: str, seed: int) -> None:
    events = a_market(seed)
    end_ns = max(event.at_ns for event in events)
    rng = np.random.default_rng(seed + 50)
    rows = [
        (int(rng.choice([1, -1])), int(rng.integers(996, 1005)), int(rng.integers(1, 6)), int(at_ns), end_ns)
        for at_ns in np.sort(rng.integers(100, end_ns, 150))
    ]
    found = fills_of(tape_of(events), queue).fates(orders_of(rows))
    assert_same_as_venue(events, rows, found, queue)


def assert_same_as_venue(
    events: list[Book | Print], rows: Sequence[tuple[int, int, int, int, int]], found: Fates, queue: str
) -> None:
    trader = Trader(
        market_of(events, instrument=SMALL),
        TapeSettings(queue=queue, entry=NOW, response=NOW),
        instrument=SMALL,
        owner_of=lambda cl_ord_id: cl_ord_id,
    )
    for number, (side, ticks, lots, at_ns, _) in enumerate(rows):
        trader.rest(at_ns, str(number), Side(side), lots, ticks)
    filled_ns, done = np.full(len(rows), NEVER), np.zeros(len(rows), np.int64)
    refused = np.zeros(len(rows), np.bool_)
    for told in trader.run():
        number = int(told.order)
        refused[number] |= told.what.startswith("rejected")
        done[number] += told.lots
        if told.what == "trade" and done[number] == rows[number][2]:
            filled_ns[number] = told.at_ns
    assert refused.tolist() == found.refused.tolist()
    assert filled_ns.tolist() == found.filled_ns.tolist()
    assert 20 < (filled_ns < NEVER).sum() < len(rows)


def test_a_cancel_after_a_trade_is_shared_whole() -> None:
    """100 ahead, 40 of them trade, 100 join behind, 50 are cancelled: 60 - 50 x 60^2 / (60^2 + 100^2) = 46.8 ahead."""
    events: list[Book | Print] = [
        Book(100, {999: 100}, {1001: 1}, snapshot=True),
        Print(200, SELL, 999, 40),
        Book(200, {999: 60}, {}),
        Book(300, {999: 160}, {}),
        Book(400, {999: 110}, {}),
        Print(500, SELL, 999, 47),
        Print(600, SELL, 999, 1),
    ]
    ours = orders_of([(1, 999, 1, 150, 900)])
    assert fills_of(tape_of(events), "moderate").fates(ours).filled_ns.tolist() == [600]
    assert fills_of(tape_of(events)).fates(ours).filled_ns.tolist() == [NEVER]


def test_an_order_is_followed_to_its_end_only() -> None:
    events: list[Book | Print] = [Book(100, {999: 1}, {1001: 1}, snapshot=True), Print(200, SELL, 999, 2)]
    found = fills_of(tape_of(events)).fates(orders_of([(1, 999, 1, 150, 200), (1, 999, 1, 150, 199)]))
    assert found.filled_ns.tolist() == [200, NEVER]
    assert found.ahead_lots.tolist() == [1, 1]


def test_the_true_queue_is_known_by_order_ids() -> None:
    """Orders 1 and 2 rest when we come, 3 comes behind us: that 3 is filled says that our turn has been.

    A taker's own order (id 9) that is told to shrink is no fill of somebody's who rests.
    """
    groups = [Group(100, 100, ((1, 999, 9), (-1, 1001, 5)), True), Group(900, 900, ((1, 999, 1),))]
    told = [
        Ordered(100, 1, 1, 1, 999, 4),
        Ordered(110, 1, 2, 1, 999, 5),
        Ordered(300, 1, 3, 1, 999, 2),
        Ordered(400, 3, 1, 1, 999, 4),  # cancelled
        Ordered(500, 2, 2, 1, 999, 1),  # filled in part: ahead of us
        Ordered(600, 1, 9, -1, 1_000, 3),
        Ordered(610, 3, 9, -1, 1_000, 0),
        Ordered(700, 3, 3, 1, 999, 0),  # filled: behind us
    ]
    trades = [Traded(500, 500, -1, 999, 4), Traded(700, 700, -1, 999, 3)]
    tape = tape_with_orders(groups, trades, told)
    early, late, worse, other = (
        (1, 999, 1, 200, 800),
        (1, 999, 1, 350, 800),
        (1, 1_000, 1, 200, 800),
        (-1, 1_001, 1, 200, 800),
    )
    found = fills_of(tape, "exact").fates(orders_of([early, late, worse, other]))
    assert found.filled_ns.tolist() == [700, NEVER, 500, NEVER]


def test_a_queue_needs_a_known_model_and_ids_to_be_exact() -> None:
    tape = tape_of([Book(100, {999: 1}, {1001: 1}, snapshot=True)])
    with pytest.raises(CallerError, match="Use one of risk_averse, moderate, exact"):
        fills_of(tape, "hopeful")
    with pytest.raises(CallerError, match="does not have every order"):
        fills_of(tape, "exact")


# --- probes -------------------------------------------------------------------------------------------------------


def quiet_market() -> Tape:
    """A book 1000 / 1002 for 200 s. Sells take 2 of the bid at 101 s and 3 at 103 s.

    It moves up to 1001 / 1003 at 110 s, and the bid falls back to 1000 at 112 s.
    """
    return tape_of(
        [
            Book(0, {1000: 4, 999: 8}, {1002: 4, 1003: 8}, snapshot=True),
            Print(101 * NS, SELL, 1000, 2),
            Book(101 * NS, {1000: 2}, {}),
            Print(103 * NS, SELL, 1000, 3),
            Book(103 * NS, {1000: 4}, {}),
            Book(110 * NS, {1001: 5}, {1002: 0}),
            Book(112 * NS, {1001: 0}, {}),
            Book(200 * NS, {999: 9}, {}),
        ],
        instrument=SMALL,
    )


PLAN = ProbePlan(every_ns=NS, grid_ns=(5 * NS, 20 * NS), feed_ns=0, entry_ns=0, markout_ns=(4 * NS, 8 * NS), lots=1)


def probe(tape: Tape, side: Side, inside: int, after_ns: int, plan: ProbePlan = PLAN) -> Probes:
    """The first probe of a side and place that arrived from then on."""
    found = draw_probes(tape, plan)
    rows = (found.side == side) & (found.inside_ticks == inside) & (found.arrived_ns >= after_ns)
    return found.take(np.flatnonzero(rows)[:1])


def test_a_probe_that_is_filled() -> None:
    one = probe(quiet_market(), BUY, 0, 100 * NS - NS // 2)
    assert one.arrived_ns[0] < 101 * NS
    assert (one.price_ticks[0], one.ahead_lots[0], one.filled_ns[0]) == (1000, 4, 103 * NS)
    assert one.filled[0]
    assert one.rested_s[0] == (103 * NS - one.arrived_ns[0]) / NS
    assert one.moves_bps[0].tolist() == [0.0, pytest.approx(1e4 * 1 / 2002)]  # up 2 of 2002 at 110 s, back 1 at 112 s
    # The mid 4 and 8 s after the fill, 2002 and then 2004 half-ticks, against the fill at 2000.
    assert one.markouts_bps[0].tolist() == [pytest.approx(10.0), pytest.approx(20.0)]
    assert one.excursion_bps[0] == 0.0
    assert one.away_ns[0] == NEVER


def test_a_probe_that_the_touch_leaves() -> None:
    one = probe(quiet_market(), BUY, 0, 105 * NS)
    assert not one.filled[0]
    assert one.away_ns[0] == 110 * NS
    assert one.excursion_bps[0] == pytest.approx(1e4 * 2 / 2002)
    assert np.isnan(one.markouts_bps[0]).all()
    assert one.rested_s[0] == 20.0


def test_a_move_is_adverse_to_one_side_and_good_for_the_other() -> None:
    buy, sell = (probe(quiet_market(), side, 1, 108 * NS - NS // 2) for side in (BUY, SELL))
    assert (buy.price_ticks[0], buy.ahead_lots[0], sell.price_ticks[0]) == (1001, 0, 1001)
    assert sell.filled_ns[0] == 110 * NS  # the bid came up to it
    assert (buy.moves_bps == -sell.moves_bps).all()
    assert buy.moves_bps[0, 0] > 0.0
    assert sell.away_ns[0] == NEVER


def test_what_would_take_is_refused_and_counted() -> None:
    slow = msgspec.structs.replace(PLAN, entry_ns=3 * NS)
    found = draw_probes(quiet_market(), slow)
    met = (found.arrived_ns > 110 * NS) & (found.arrived_ns < 112 * NS) & (found.side == SELL)
    assert found.inside_ticks[met].tolist() == [0, 0]  # at 1001, where the bid then was, none could rest
    assert found.refused == 2


def test_covariates_are_those_of_the_moment_of_decision() -> None:
    slow = msgspec.structs.replace(PLAN, feed_ns=2 * NS, entry_ns=NS)
    one = probe(quiet_market(), BUY, 0, 104 * NS, slow)
    assert one.arrived_ns[0] == one.decided_ns[0] + NS
    known = dict(zip(COVARIATES, one.covariates[0].tolist(), strict=True))
    # Of the two trades only the first was known: 2 lots in 10 s, 2 of them left ahead and one lot of our own.
    assert one.decided_ns[0] - 2 * NS < 103 * NS
    assert known["log_queue_s"] == pytest.approx(np.log(3 / 0.2))
    assert known["lean"] == pytest.approx((2 - 4) / 6)
    assert known["log_spread"] == pytest.approx(np.log(2))


def test_the_end_of_the_tape_censors() -> None:
    found = draw_probes(quiet_market(), PLAN)
    last = found.take(found.arrived_ns > 185 * NS)
    assert (last.seen_ns == 200 * NS).all()
    assert not last.filled.any()
    assert np.isnan(last.moves_bps[:, 1]).all()


def test_probes_begin_when_features_are_warm_and_stay_within_bounds() -> None:
    found = draw_probes(quiet_market(), PLAN)
    assert found.arrived_ns.min() >= 20 * NS  # a tenth of 200 s
    some = draw_probes(quiet_market(), PLAN, from_ns=50 * NS, until_ns=60 * NS)
    assert 50 * NS <= some.arrived_ns.min() <= some.arrived_ns.max() < 60 * NS
    assert some.seen_ns.max() == 60 * NS


def test_both_sides_are_probed_at_the_same_times_and_again_the_same() -> None:
    found, again = draw_probes(quiet_market(), PLAN), draw_probes(quiet_market(), PLAN)
    times = {side: found.decided_ns[(found.side == side) & (found.inside_ticks == 0)].tolist() for side in (1, -1)}
    assert times[1] == times[-1]
    assert found.filled_ns.tolist() == again.filled_ns.tolist()
    other = draw_probes(quiet_market(), msgspec.structs.replace(PLAN, seed=4))
    assert other.decided_ns.tolist() != found.decided_ns.tolist()


def test_scattered_probes_stand_on_both_sides_of_the_touch() -> None:
    wide = tape_of([Book(0, {1000: 4}, {1016: 4}, snapshot=True), Book(900 * NS, {999: 9}, {})], instrument=SMALL)
    found = draw_probes(wide, msgspec.structs.replace(PLAN, inside_ticks=(0,), scattered=2))
    deeper, behind = found.inside_ticks[found.inside_ticks > 0], -found.inside_ticks[found.inside_ticks < 0]
    count = int((found.inside_ticks == 0).sum())
    assert len(deeper) == len(behind) == 2 * count
    assert (int(deeper.min()), int(deeper.max())) == (2, 15)
    # Nothing moves: a twentieth of the spread of 16, four times over 20 s, is 14.3 ticks.
    assert (int(behind.min()), int(behind.max())) == (1, 14)
    # As many between 2 and 4 as between 4 and 8, and as between 8 and 16; a third each.
    shares = [float(((deeper >= low) & (deeper < 2 * low)).mean()) for low in (2, 4, 8)]
    assert shares == pytest.approx([1 / 3] * 3, abs=0.04)
    places = {side: found.inside_ticks[found.side == side].tolist() for side in (1, -1)}
    assert places[1] == places[-1]
    assert found.refused == 0


def test_a_spread_without_room_and_a_price_of_nothing_are_not_probed() -> None:
    tight = tape_of([Book(0, {3: 4}, {5: 4}, snapshot=True), Book(200 * NS, {2: 9}, {})], instrument=SMALL)
    found = draw_probes(tight, msgspec.structs.replace(PLAN, inside_ticks=(0, 1), scattered=1))
    assert int(found.inside_ticks.max()) == 1
    assert int(found.price_ticks.min()) >= 1


def test_non_overlapping_probes_leave_whole_horizons_between_them() -> None:
    found = joined([draw_probes(quiet_market(), PLAN)])
    chosen = non_overlapping(found, 20 * NS)
    for side in (1, -1):
        ours = found.arrived_ns[chosen & (found.side == side)]
        assert (np.diff(ours) >= 20 * NS).all()
        assert len(ours) == 9  # of 180 s
    assert (found.inside_ticks[chosen] == 1).all()  # the spread is two ticks: that is where S1 would rest


@pytest.mark.parametrize(
    "wrong",
    [
        {"every_ns": 0},
        {"grid_ns": ()},
        {"grid_ns": (5 * NS, 2 * NS)},
        {"inside_ticks": ()},
        {"entry_ns": -1},
        {"lots": -1},
        {"scattered": -1},
    ],
)
def test_a_senseless_plan_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(CallerError, match="a plan of probes needs"):
        draw_probes(quiet_market(), msgspec.structs.replace(PLAN, **wrong))


def test_a_stretch_that_is_too_short_is_refused() -> None:
    with pytest.raises(CallerError, match="less than one probe"):
        draw_probes(quiet_market(), PLAN, from_ns=199 * NS + 500 * MS)
    with pytest.raises(CallerError, match="nothing is left of tape script"):
        draw_probes(quiet_market(), PLAN, until_ns=10 * NS)
