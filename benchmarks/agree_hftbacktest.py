"""Whether the recording-fed venue and hftbacktest fill the same orders at the same time.

`python -m benchmarks.agree_hftbacktest TAPE` rests orders of one lot at the touch at random times, post-only, buys at
the best bid and sells at the best ask by turns, in both engines on one recording; each order is alone in its queue and
rests to the end. Compared is when each was filled, or that it was refused, under every queue model that both have.
Prices and sizes go to the peer in ticks and lots, so neither engine rounds.

Not a matter of speed; it stands here because the peer is installed here. Exit status 1 where any order differs, except
under `log`; docs/validation.md says why that one does.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from decimal import Decimal
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from sor.adapter import NewOrder, RequestFailed
from sor.ids import ClOrdId
from sor.instruments import Instrument
from sor.market import MarketEvent
from sor.orders import ExecType, ExecutionReport, OrdType, RejectKind, Side, Tif
from sor.sim.world import VirtualScheduler, at_once
from sor.tape import Tape, open_tape
from sor.units import MS
from venues.simulated.tape import TapeVenue, open_market
from venues.simulated.tape_latency import Delay
from venues.simulated.tape_market import TapeMarket
from venues.simulated.tape_settings import TapeSettings

Ints = NDArray[np.int64]
NOW = Delay(median_ns=0)
MODELS = ("risk_averse", "power", "moderate", "power_2", "power_3", "log_2", "log")
"""Queue models by our names."""
DIFFERS = "log"
REFUSED = -1
THEIR_FILLED = 3
THEIR_EXPIRED = 2


class Asked(msgspec.Struct, frozen=True):
    """N orders of one lot: when they are sent, on which side (+1, -1) and at which price.

    at_ns    off every instant of the recording, as what comes first at one instant is not what is compared.
    """

    at_ns: Ints
    side: Ints
    ticks: Ints


def ask(market: TapeMarket, *, count: int, seed: int) -> Asked:
    """`count` orders at random times of the recording, at the touch."""
    rng = np.random.default_rng(seed)
    instants = np.unique(np.concatenate((market.tape.group_venue_ns, market.tape.trade_venue_ns)))
    gaps = np.flatnonzero(np.diff(instants) >= 2)
    gaps = gaps[instants[gaps] >= market.start_ns]
    at_ns = np.sort(instants[rng.choice(gaps, count, replace=False)] + 1)
    side = np.where(np.arange(len(at_ns)) % 2, -1, 1)
    groups = [market.group_at(at) for at in at_ns.tolist()]
    ticks = [sign * market.best[Side(sign)][group] for sign, group in zip(side.tolist(), groups, strict=True)]
    return Asked(at_ns, side, np.array(ticks, dtype=np.int64))


class Listener:
    """A sink that writes down when each order was filled, `REFUSED` or (0) never."""

    def __init__(self, count: int) -> None:
        self.done_ns = np.zeros(count, np.int64)

    def execution(self, event: ExecutionReport | RequestFailed) -> None:
        """Write an end down."""
        assert isinstance(event, ExecutionReport), event
        match event.exec_type:
            case ExecType.TRADE:
                self.done_ns[int(event.cl_ord_id)] = event.venue_ns
            case ExecType.REJECTED:
                assert event.reject is RejectKind.WOULD_TAKE, event
                self.done_ns[int(event.cl_ord_id)] = REFUSED
            case _:
                assert event.exec_type is ExecType.NEW, event

    def market(self, event: MarketEvent) -> None:
        """Nothing is pushed."""

    def instrument(self, instrument: Instrument) -> None:
        """Known already."""

    def link(self, up: bool, reason: str) -> None:
        """Always up."""


def ours(market: TapeMarket, asked: Asked, queue: str, *, entry_ns: int) -> Ints:
    """When our venue fills each order, each being its own owner."""
    settings = TapeSettings(queue=queue, entry=Delay(median_ns=entry_ns), response=NOW)
    small = msgspec.structs.replace(market.tape.instrument, min_qty_lots=1, min_notional=Decimal(0))
    venue = TapeVenue(market, settings, instrument=small, owner_of=lambda cl_ord_id: cl_ord_id)
    listener, scheduler = Listener(len(asked.at_ns)), VirtualScheduler(0)
    at_once(venue.connect(listener, scheduler))
    for order, (at_ns, side, ticks) in enumerate(
        zip(asked.at_ns.tolist(), asked.side.tolist(), asked.ticks.tolist(), strict=True)
    ):
        new = NewOrder(
            cl_ord_id=ClOrdId(str(order)),
            symbol=small.symbol,
            side=Side(side),
            ord_type=OrdType.LIMIT,
            qty_lots=1,
            price_ticks=ticks,
            tif=Tif.GTC,
            post_only=True,
        )
        scheduler.call_at(at_ns, partial(venue.submit, new))
    scheduler.run_until(market.end_ns)
    return listener.done_ns


def events_of(tape: Tape) -> NDArray[np.void]:
    """A tape in the peer's form: at one instant the trades first, then the groups of changes, one row a change.

    Raises `ValueError` for a recording with a second snapshot, which the peer has no word for in the middle of a day.
    """
    from hftbacktest import BUY_EVENT, DEPTH_EVENT, EXCH_EVENT, LOCAL_EVENT, SELL_EVENT, TRADE_EVENT, event_dtype

    if tape.group_snapshot[0] != 1 or int(tape.group_snapshot.sum()) != 1:
        raise ValueError(f"{tape.name} does not begin with its only snapshot; take another recording")
    levels, trades = len(tape.level_side), len(tape.trade_side)
    level_ns = np.repeat(tape.group_venue_ns, np.diff(tape.group_first))
    at_ns = np.concatenate((tape.trade_venue_ns, level_ns))
    order = np.argsort(at_ns, kind="stable")
    kind = np.concatenate((np.full(trades, TRADE_EVENT), np.full(levels, DEPTH_EVENT))).astype(np.uint64)
    side = np.concatenate((tape.trade_side, tape.level_side))
    rows = np.zeros(len(at_ns), dtype=event_dtype)
    both = np.uint64(EXCH_EVENT | LOCAL_EVENT)
    rows["ev"] = (kind | both | np.where(side > 0, BUY_EVENT, SELL_EVENT).astype(np.uint64))[order]
    rows["exch_ts"] = rows["local_ts"] = at_ns[order]
    rows["px"] = np.concatenate((tape.trade_ticks, tape.level_ticks))[order]
    rows["qty"] = np.concatenate((tape.trade_lots, tape.level_lots))[order]
    return rows


def theirs(market: TapeMarket, asked: Asked, queue: str, *, entry_ns: int) -> Ints:
    """When hftbacktest fills each order."""
    from hftbacktest import GTX, LIMIT, BacktestAsset, HashMapMarketDepthBacktest
    from numba import njit

    rows = events_of(market.tape)  # the engine keeps only its address
    asset = BacktestAsset().data(rows).linear_asset(1.0).constant_order_latency(entry_ns, 0)
    asset = asset.no_partial_fill_exchange().trading_value_fee_model(0.0, 0.0).tick_size(1.0).lot_size(1.0)
    match queue:
        case "risk_averse":
            asset = asset.risk_adverse_queue_model()
        case "power":
            asset = asset.power_prob_queue_model(1.0)
        case "moderate":
            asset = asset.power_prob_queue_model(2.0)
        case "power_2":
            asset = asset.power_prob_queue_model2(1.0)
        case "power_3":
            asset = asset.power_prob_queue_model3(2.0)
        case "log_2":
            asset = asset.log_prob_queue_model2()
        case _:
            assert queue == "log", queue
            asset = asset.log_prob_queue_model()
    engine = HashMapMarketDepthBacktest([asset])
    done_ns = np.zeros(len(asked.at_ns), np.int64)
    status = np.zeros(len(asked.at_ns), np.int64)
    begun_ns = int(rows["exch_ts"][0])
    strange = njit(_drive)(
        engine, begun_ns, market.end_ns, asked.at_ns, asked.side, asked.ticks, (GTX, LIMIT), done_ns, status
    )
    engine.close()
    del rows
    assert not strange, f"{strange} orders met another touch in the peer's book"
    return np.where(status == THEIR_FILLED, done_ns, np.where(status == THEIR_EXPIRED, REFUSED, 0))


def _drive(engine, now_ns, end_ns, at_ns, side, ticks, terms, done_ns, status):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Send the orders, read what became of them, count those that found another best price than ours; compiled."""
    strange = 0
    for order in range(len(at_ns)):
        engine.elapse(at_ns[order] - now_ns)
        now_ns = at_ns[order]
        depth = engine.depth(0)
        if side[order] > 0:
            strange += depth.best_bid_tick != ticks[order]
            engine.submit_buy_order(0, order, float(ticks[order]), 1.0, terms[0], terms[1], False)
        else:
            strange += depth.best_ask_tick != ticks[order]
            engine.submit_sell_order(0, order, float(ticks[order]), 1.0, terms[0], terms[1], False)
    engine.elapse(end_ns - now_ns + 1)
    orders = engine.orders(0)
    for order in range(len(at_ns)):
        found = orders.get(order)
        status[order] = found.status
        done_ns[order] = found.exch_timestamp
    return strange


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare and print one line a model; 0 when the engines agree."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.agree_hftbacktest", description=__doc__)
    parser.add_argument("tape", type=Path)
    parser.add_argument("--orders", type=int, default=200)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--entry-ms", type=int, default=0, help="how long an order takes to get there")
    parser.add_argument("--each", action="store_true", help="print every order that differs")
    given = parser.parse_args(arguments)
    market = open_market(open_tape(given.tape), feed=NOW)
    asked = ask(market, count=given.orders, seed=given.seed)
    print(f"{given.orders} orders of one lot on {market.tape.name}, seed {given.seed}, there after {given.entry_ms} ms")
    print(f"{'queue':12} {'filled':>7} {'refused':>8} {'agree':>6}")
    differs = False
    for queue in MODELS:
        here, there = (engine(market, asked, queue, entry_ns=given.entry_ms * MS) for engine in (ours, theirs))
        same = here == there
        print(f"{queue:12} {(here > 0).sum():7} {(here == REFUSED).sum():8} {same.sum():6}")
        differs = differs or (queue != DIFFERS and not bool(same.all()))
        if given.each:
            for at in np.flatnonzero(~same).tolist():
                print(f"  {asked.at_ns[at]} {asked.side[at]:+} {asked.ticks[at]}: {here[at]}, theirs {there[at]}")
    return int(differs)


if __name__ == "__main__":
    sys.exit(main())
