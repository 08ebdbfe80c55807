"""G8: events a second of a production policy object on one recording, beside hftbacktest with a numba strategy.

The policy is the object of `g9`, asked in the lane of policies (`sor.lab.sweep.routed`) as the router asks it: one
post-only bid of one lot at the best price, withdrawn when a best price moves, sent anew when it is gone or filled, and
a millisecond later when it was refused. The peer's strategy does the same, woken by feeds and by answers. Both must
send as many orders and have every fill at the same nanosecond and price, in every round.

Delays are a millisecond each way, give or take some nanoseconds: off the grid of a recording in milliseconds, so that
no answer comes at the instant of an event.

A round of ours is everything from the recording's columns to the list of fills: tables and param-set included. The
peer's is its strategy's loop, with data loaded and code compiled before.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import cache
from pathlib import Path
from time import process_time_ns

import msgspec
import numpy as np

from benchmarks.agree_hftbacktest import events_of
from benchmarks.maker import Join
from benchmarks.replay_lane import (
    DELAY_NS,
    PEER,
    WARMING,
    Quoted,
    Rows,
    Strategy,
    looped,
    padded,
    recording,
    seconds_of,
)
from benchmarks.rig import PARAM_SET, param_text
from benchmarks.rows import Bar, Row, measured
from sor.ids import ParentId
from sor.lab.importers import import_recording
from sor.lab.sweep.compiled import compiled
from sor.lab.sweep.ground import Ground
from sor.lab.sweep.routed import Desk, Terms
from sor.orders import ParentOrder, Side
from sor.params import parse
from sor.tape import Tape, open_tape
from sor.units import MS, NS

BAR = Bar(0.5, at_least=True)
ENTRY_NS, RESPONSE_NS = MS + 123, MS + 77
RETRY = {"recovery.retry_first_ms": "1", "recovery.retry_ms_max": "1"}
LOTS = 1_000_000
FEED, ANSWER = 2, 3
"""What the peer's wait answers when a feed or an answer has come."""
RECORDINGS = "SOR_RECORDINGS"
RECORDED = "binance-20240808-btc/usdm_btcusdt_20240808.gz"
"""The real recording, in the folder that the variable names."""


def ours(tape: Tape) -> tuple[Quoted, float, int]:
    """The policy in the lane: what it did, seconds of processor time from columns to fills, and how often asked."""
    kernel, instrument = compiled(), tape.instrument
    begun_ns = process_time_ns()
    desk = Desk(
        Ground(tape, kernel, feed_ns=DELAY_NS),
        Terms(entry_ns=ENTRY_NS, response_ns=RESPONSE_NS, shared=True, amends=False),
        instrument=instrument,
        param_set=parse(param_text(RETRY), where=PARAM_SET),
        policies={"join": Join(1)},
    )
    order = ParentOrder(
        parent_id=ParentId("maker"),
        symbol=instrument.symbol,
        side=Side.BUY,
        quantity=instrument.quantity(LOTS),
        deadline_s=1e6,
        policy="join",
    )
    routed = desk.run(order, int(tape.group_venue_ns[0]) + DELAY_NS)
    taken_s = (process_time_ns() - begun_ns) / NS
    fills = np.array([(ns, ticks) for ns, ticks, _, _ in routed.fills], np.int64).reshape(-1, 2)
    return Quoted(routed.orders, fills[:, 0], fills[:, 1]), taken_s, routed.asked


def theirs(rows: Rows) -> tuple[Quoted, float]:
    """The peer, woken by answers too; seconds of the strategy's loop alone."""
    return looped(rows, _strategy(), entry_ns=ENTRY_NS, response_ns=RESPONSE_NS)


@cache
def _strategy() -> Strategy:
    from hftbacktest import CANCELED, FILLED, GTX, LIMIT, NEW, NONE
    from numba import njit

    def quote(engine, end_ns, ns, ticks):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        wakes = orders = fills = 0
        live = False
        while engine.wait_next_feed(True, 1 << 60) >= FEED:
            if live:
                order = engine.orders(0).get(orders)
                if order.status == FILLED:
                    ns[fills], ticks[fills] = order.exch_timestamp, order.price_tick
                    fills += 1
                if order.status != NEW and order.req == NONE:
                    live = False
                    if order.status not in (FILLED, CANCELED):
                        engine.elapse(MS)
            bid = engine.depth(0).best_bid_tick
            if engine.current_timestamp > end_ns:
                break
            wakes += 1
            if not live:
                engine.clear_inactive_orders(0)
                orders += 1
                engine.submit_buy_order(0, orders, float(bid), 1.0, GTX, LIMIT, False)
                live = True
                continue
            order = engine.orders(0).get(orders)
            if order.price_tick != bid and order.cancellable:
                engine.cancel(0, orders, False)
        return wakes, orders, fills

    compiled_strategy: Strategy = njit(quote)
    return compiled_strategy


def rows(*, count: int, rounds: int, progress: Callable[[str], None]) -> list[Row]:
    """The goal on the made-up recording, and on the real one where that is there."""
    compiled()  # before anything else: a row without it is named as not measured
    ours(recording(WARMING))
    theirs(padded(recording(WARMING)))
    found = [_row("g8", "the made-up recording", recording(count), rounds, progress)]
    folder = os.environ.get(RECORDINGS)
    if folder is None:
        progress(f"g8-recording is left out: {RECORDINGS} names no folder of recordings")
        return found
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "tape"
        import_recording([Path(folder) / RECORDED], path)
        tape = with_book(open_tape(path))
        # One lot is worth less than the venue's least order; neither side is to mind.
        tape = msgspec.structs.replace(
            tape, instrument=msgspec.structs.replace(tape.instrument, min_notional=Decimal(0))
        )
        return [*found, _row("g8-recording", f"the recording {RECORDED}", tape, rounds, progress)]


def with_book(tape: Tape) -> Tape:
    """A recording without the trades before its first book: the peer's strategy does not ask whether there is one."""
    first = int(tape.trade_venue_ns.searchsorted(tape.group_venue_ns[0]))
    names = ("trade_venue_ns", "trade_recv_ns", "trade_side", "trade_ticks", "trade_lots")
    return msgspec.structs.replace(tape, **{name: getattr(tape, name)[first:] for name in names})


def _row(name: str, where: str, tape: Tape, rounds: int, progress: Callable[[str], None]) -> Row:
    events = events_of(tape)
    made = padded(tape)
    truth, _ = theirs(made)
    _, _, asked = ours(tape)

    def our_arm() -> Sequence[float]:
        did, taken_s, _ = ours(tape)
        return [len(events) / seconds_of((did, taken_s), truth)]

    def their_arm() -> Sequence[float]:
        return [len(events) / seconds_of(theirs(made), truth)]

    return measured(
        name=name,
        what=f"a production policy object asked in the lane of policies, on {where}, from columns to fills",
        baseline=f"{PEER}, wait_next_feed, its own numba strategy: the loop alone",
        unit="rows/s",
        ours=our_arm,
        theirs=their_arm,
        rounds=rounds,
        checked=(
            f"{len(events)} rows, {truth.wakes} wake-ups of the peer, our policy was asked {asked} times; both sent "
            f"{truth.orders} orders and had {len(truth.ns)} fills, each at the same nanosecond and price, in all rounds"
        ),
        progress=progress,
        bar=BAR,
    )
