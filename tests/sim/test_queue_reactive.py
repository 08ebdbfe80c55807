"""The queue-reactive market against its known laws, and an estimator against a fill that is known exactly."""

from collections import Counter
from decimal import Decimal

import numpy as np
import pytest

from sor.ids import Symbol, VenueName
from sor.instruments import Instrument
from sor.lab.probes import ProbePlan, Probes, draw_probes
from sor.lab.recorder import record_market
from sor.models.birth_death import QueueRates, fill_by
from sor.models.queue_reactive import SIZE_MAX, QueueCurves
from sor.models.survival import kaplan_meier
from sor.orders import OrdType, Side, Tif
from sor.units import NS
from venues.matching.engine import Engine
from venues.matching.orders import Account, Order
from venues.simulated.adapter import open_venue
from venues.simulated.market_qr import QrParams, QueueReactive

REFERENCE = 1_000_000
CURVES = QueueCurves(
    limit_per_s=4.0, limit_fall=0.25, cancel_per_s=0.6, cancel_power=0.75, market_per_s=2.0, market_fall=0.08
)


def market(
    *, curves: QueueCurves = CURVES, levels: int = 3, theta: float = 0.0, redraw: float = 0.0, seed: str = "7"
) -> tuple[Engine, QueueReactive]:
    instrument = Instrument(
        symbol=Symbol("BTCUSDT"), venue=VenueName("qr"), tick_size=Decimal("0.1"), lot_size=Decimal("0.001")
    )
    engine = Engine(instrument)
    params = QrParams(curves=curves, levels=levels, size_lots=10, theta=theta, redraw=redraw)
    flow = QueueReactive(engine, Account("crowd", silent=True), params, mid_ticks=REFERENCE, seed=seed)
    flow.start(0, burn_in_s=20.0)
    return engine, flow


def orders_at(engine: Engine, side: Side, level: int) -> int:
    return engine.lots_at(side, REFERENCE + 1 - level if side is Side.BUY else REFERENCE + level) // 10


def test_queues_have_their_stationary_law_while_the_price_stands() -> None:
    engine, flow = market(levels=2)
    found: dict[tuple[Side, int], Counter[int]] = {(side, level): Counter() for side in Side for level in (1, 2)}
    samples = 2_000
    for second in range(1, samples + 1):
        flow.advance(second * NS)
        for (side, level), sizes in found.items():
            sizes[orders_at(engine, side, level)] += 1
    assert flow.reference_ticks == REFERENCE
    for level, best in ((1, True), (2, False)):
        law = CURVES.stationary(best=best)
        sizes = found[Side.BUY, level] + found[Side.SELL, level]
        seen = np.array([sizes[size] for size in range(len(law))]) / (2 * samples)
        assert 0.5 * np.abs(seen - law).sum() < 0.08  # total variation
        assert (seen * np.arange(len(law))).sum() == pytest.approx((law * np.arange(len(law))).sum(), rel=0.04)


def test_the_law_by_hand() -> None:
    curves = QueueCurves(limit_per_s=2.0, cancel_per_s=1.0, market_per_s=3.0)
    best, deep = curves.stationary(best=True), curves.stationary(best=False)
    assert (best[1:4] / best[:3]).tolist() == pytest.approx([2 / 4, 2 / 5, 2 / 6])
    assert (deep[1:4] / deep[:3]).tolist() == pytest.approx([2 / 1, 2 / 2, 2 / 3])  # Poisson of mean 2
    assert best.sum() == pytest.approx(1.0)
    assert (curves.cancel(0), curves.limit(SIZE_MAX)) == (0.0, 0.0)


def test_the_price_follows_an_emptied_queue_as_often_as_theta_says() -> None:
    # With theta 0 the queue fills again where it was: each emptying is a draw that theta would have decided.
    engine, flow = market(theta=0.3, redraw=1.0)
    emptied = moves = 0
    had = dict.fromkeys(Side, True)
    while flow.next_ns < 600 * NS:
        before = flow.reference_ticks
        flow.advance(flow.next_ns)
        assert engine.best_bid < engine.best_ask
        if flow.reference_ticks != before:
            moves += 1
            assert abs(flow.reference_ticks - before) == 1
        for side in Side:
            price = flow.reference_ticks if side is Side.BUY else flow.reference_ticks + 1
            has = bool(engine.lots_at(side, price))
            emptied += flow.reference_ticks == before and had[side] and not has
            had[side] = has
    assert moves > 50
    assert moves / (moves + emptied) == pytest.approx(0.3, abs=0.08)
    assert market(theta=0.0)[1].reference_ticks == REFERENCE


def test_news_redraws_the_book_and_leaves_our_orders() -> None:
    engine, flow = market(theta=1.0, redraw=1.0)
    us, reference_ticks = Account("us"), flow.reference_ticks
    ours = Order(1, us, Side.BUY, OrdType.LIMIT, 500, reference_ticks - 1, Tif.GTC, post_only=True)
    engine.place(ours, now_ns=0)
    asked = engine.lots_at(Side.SELL, reference_ticks + 1)
    engine.place(Order(2, us, Side.BUY, OrdType.MARKET, asked, 0, Tif.IOC), now_ns=0)  # we empty the ask ourselves
    flow.advance(flow.next_ns)
    assert flow.reference_ticks == reference_ticks + 1
    assert ours.leaves_lots == 500
    deepest = flow.reference_ticks + 1 - 3
    assert all(price >= deepest or price == ours.price_ticks for price, _ in engine.depth(20)[0])


def test_the_flow_reacts_to_what_we_show() -> None:
    # A queue that cancels and hesitates in proportion: with fifty orders of ours in it hardly anybody joins.
    shy = QueueCurves(limit_per_s=4.0, limit_fall=2.0, cancel_per_s=0.6, market_per_s=0.001)
    theirs = {}
    for ours in (0, 500):
        engine, flow = market(curves=shy)
        if ours:
            engine.place(
                Order(1, Account("us"), Side.BUY, OrdType.LIMIT, ours, REFERENCE, Tif.GTC, post_only=True), now_ns=0
            )
        sizes = []
        for second in range(10, 60):
            flow.advance(second * NS)
            sizes.append(engine.lots_at(Side.BUY, REFERENCE) - ours)
        theirs[ours] = np.mean(sizes)
    assert theirs[0] > 10  # more than one order
    assert theirs[500] < 1


def test_one_seed_is_one_market() -> None:
    def course(seed: str) -> list[tuple[int, int]]:
        engine, flow = market(theta=0.7, redraw=0.85, seed=seed)
        out = []
        for second in range(1, 61):
            flow.advance(second * NS)
            out.append((engine.best_bid, engine.lots_at(Side.BUY, engine.best_bid)))
        return out

    assert course("1") == course("1")
    assert course("1") != course("2")


@pytest.mark.slow
def test_estimated_fills_of_probes_lie_on_both_sides_of_the_exact_ones() -> None:
    # Constant rates, each order cancelled by itself, a price that stands: an order at the touch with n ahead of it is
    # filled by t with a known probability (birth_death.fill_by), which nobody who sees sizes alone can know exactly.
    rates = QueueRates(limit_rate=1.85, market_rate=0.94, cancel_rate=0.3)
    options = {
        "market": "queue_reactive", "latency": "zero", "book_ms": "0", "min_notional": "0", "seed": "3",
        "qr.theta": "0", "qr.levels": "3", "qr.limit": "1.85", "qr.limit_fall": "0", "qr.cancel": "0.3",
        "qr.cancel_power": "1", "qr.market": "0.94", "qr.market_fall": "0",
    }  # fmt: skip
    tape = record_market(open_venue, options, seconds=1_200).tape
    horizons_s = np.array([1.0, 2.0, 5.0])

    def probed(queue: str) -> Probes:
        plan = ProbePlan(
            every_ns=NS // 2, grid_ns=(NS, 5 * NS), inside_ticks=(0,), lots=1, queue=queue, feed_ns=0, entry_ns=0
        )
        probes = draw_probes(tape, plan)
        return probes.take(probes.price_ticks == np.where(probes.side > 0, 600_000, 600_001))

    found = {
        queue: 1.0 - kaplan_meier(probes.rested_s, probes.filled).at(horizons_s)
        for queue, probes in ((queue, probed(queue)) for queue in ("risk_averse", "moderate"))
    }
    ahead = -(-probed("moderate").ahead_lots // 100)
    exact = [
        np.array([fill_by(rates, n + 1, horizon_s) for n in range(int(ahead.max()) + 1)])[ahead].mean()
        for horizon_s in horizons_s.tolist()
    ]
    for low, true, high in zip(found["risk_averse"], exact, found["moderate"], strict=True):
        assert low < true < high
        assert high - low < 0.25
