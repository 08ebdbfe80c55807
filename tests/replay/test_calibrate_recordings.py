"""Probes and calibration on the recordings: the venue's fills, the true queue, and what minutes cannot say."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import msgspec
import numpy as np
import pytest

from sor.lab.calibrate import calibrate
from sor.lab.calibration import CalibrationPlan
from sor.lab.order_hits import NEVER
from sor.lab.probes import ProbePlan, draw_probes
from sor.lab.queue_fills import Orders, QueueFills
from sor.orders import Side
from sor.tape import open_tape
from sor.units import NS
from tests.fakes.tape_script import NOW, SYMBOL, Trader
from tests.replay.conftest import Recorded
from venues.simulated.tape import open_market
from venues.simulated.tape_settings import TapeSettings

ORDERS = 400


@pytest.mark.slow
@pytest.mark.parametrize("name", ["usdm_aug", "bitstamp"])
def test_orders_fill_when_the_venue_fills_them(name: str, recorded: Mapping[str, Recorded]) -> None:
    market = open_market(open_tape(recorded[name].path), feed=NOW)
    rng = np.random.default_rng(3)
    arrived = np.sort(rng.integers(market.start_ns, market.end_ns, ORDERS))
    side = rng.choice([1, -1], ORDERS).astype(np.int8)
    best = [
        market.best[Side(one)][market.group_at(at)] for one, at in zip(side.tolist(), arrived.tolist(), strict=True)
    ]
    ticks = side * (np.array(best, np.int64) + rng.integers(-1, 2, ORDERS))
    lots = rng.choice([1, 5, 50], ORDERS)
    orders = Orders(side, ticks, lots, arrived, np.full(ORDERS, market.end_ns))
    small = msgspec.structs.replace(market.tape.instrument, symbol=SYMBOL, min_qty_lots=1, min_notional=Decimal(0))
    for queue in ("risk_averse", "moderate"):
        settings = TapeSettings(queue=queue, entry=NOW, response=NOW)
        trader = Trader(market, settings, instrument=small, owner_of=lambda cl_ord_id: cl_ord_id)
        for number in range(ORDERS):
            trader.rest(
                int(arrived[number]), str(number), Side(int(side[number])), int(lots[number]), int(ticks[number])
            )
        done, filled_ns = np.zeros(ORDERS, np.int64), np.full(ORDERS, NEVER)
        for told in trader.run():
            done[int(told.order)] += told.lots
            if told.what == "trade" and done[int(told.order)] == lots[int(told.order)]:
                filled_ns[int(told.order)] = told.at_ns
        found = QueueFills(market.tape, market.columns, queue=queue).fates(orders)
        assert (found.filled_ns == filled_ns).all()
        assert (filled_ns < NEVER).sum() > ORDERS // 2


@pytest.mark.slow
def test_estimated_queues_are_near_the_true_one(recorded: Mapping[str, Recorded]) -> None:
    """As docs/validation.md found for orders at the touch: `risk_averse` is all but never early."""
    tape = open_tape(recorded["bitstamp"].path)
    plan = ProbePlan(every_ns=30 * NS, grid_ns=(900 * NS,), feed_ns=0, entry_ns=0, inside_ticks=(0,))
    truth, careful, hopeful = (
        draw_probes(tape, msgspec.structs.replace(plan, queue=queue)) for queue in ("exact", "risk_averse", "moderate")
    )
    assert len(truth.side) > 2_000
    early = [(one.filled_ns < truth.filled_ns - NS // 2).mean() for one in (careful, hopeful)]
    assert early[0] < 0.002 < early[1] < 0.05
    assert abs(careful.filled.mean() - truth.filled.mean()) < 0.005


@pytest.mark.slow
def test_minutes_of_bitcoin_are_refused(recorded: Mapping[str, Recorded]) -> None:
    tapes = [open_tape(recorded[name].path) for name in ("usdm_aug", "usdm_jul")]
    plan = CalibrationPlan(venue=tapes[0].instrument.venue, symbol=tapes[0].instrument.symbol)
    found = calibrate(tapes, plan, lambda what: None)
    assert found.fitted is None
    assert [one.horizon_s for one in found.refusals] == [1.0, 5.0, 15.0, 60.0]
    assert found.support[-1].non_overlapping < 20 < found.support[-1].fills
