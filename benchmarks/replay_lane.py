"""G7: events a second of one maker on one recording, beside hftbacktest with a strategy compiled by numba.

The task is one post-only bid of one lot at the best price, withdrawn and sent anew when the best moves and sent anew
when it is filled, one millisecond each way, power-law queue. The recording is that of `g9`. A round of ours in `g7` is
everything from the recording's columns to the list of fills, tables included; of the peer's it is the strategy's loop,
with data loaded and code compiled before.

`g7` must give what the peer gives: as many orders, and every fill at the same nanosecond and price. `g8-router` is the
whole router, journal and all, on another task by one thing: it amends an order where the venue can, instead of
withdrawing it and sending another. `g8` is in `benchmarks.replay_policy`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from math import inf
from multiprocessing import get_context
from pathlib import Path
from time import process_time_ns
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmarks import maker
from benchmarks.agree_hftbacktest import events_of
from benchmarks.nautilus import Made
from benchmarks.rig import WrongWork
from benchmarks.rows import Bar, Row, measured
from benchmarks.synthetic import events, tape
from sor.lab.sweep.compiled import compiled
from sor.lab.sweep.kernel import Asked, Ints, Terms
from sor.lab.sweep.lane import replayed
from sor.lab.sweep.tables import market_of
from sor.tape import Tape, open_tape, save_tape
from sor.units import MS, NS

Rows: TypeAlias = NDArray[np.void]
Strategy: TypeAlias = Callable[..., tuple[int, int, int]]
"""Of the peer: its engine, when to end, and room for times and prices of fills; wake-ups, orders and fills come out."""
PEER = "hftbacktest 2.4.4"
DELAY_NS = MS
WARMING = 1_000
"""Events of the run that only compiles."""
END = 2
"""What the peer's wait answers when a feed has come."""
TASK = Terms(
    clip_lots=1,
    inside=0,
    requote_ticks=1,
    timeout_s=inf,
    timeouts_max=0,
    refusals_max=0,
    crosses=0,
    spread_max=inf,
    spread_exit=inf,
    collar_bps=0.0,
    deadline_ns=0,
    trips_ns=0,
    entry_ns=DELAY_NS,
    response_ns=DELAY_NS,
    shared=1,
    retry_ns=0,
    retry_ns_max=0,
    stale_ns=0,
    min_lots=1,
    min_value=0,
    on_feed=1,
)


class Quoted(NamedTuple):
    """What a maker did: orders sent, and venue time and price of each fill; how often it was woken, 0: not counted."""

    orders: int
    ns: Ints
    ticks: Ints
    wakes: int = 0

    def same(self, other: Quoted) -> bool:
        """Whether both sent as many orders, and had the same fills."""
        fills = np.array_equal(self.ns, other.ns) and np.array_equal(self.ticks, other.ticks)
        return fills and self.orders == other.orders


@cache
def recording(count: int) -> Tape:
    """The recording that all arms trade on."""
    return tape(events(count))


def lane(recorded: Tape) -> tuple[Quoted, float]:
    """The compiled lane; returns what it did and seconds of processor time, from columns to fills."""
    kernel = compiled()
    begun_ns = process_time_ns()
    market = market_of(
        recorded,
        kernel,
        group_local_ns=recorded.group_venue_ns + DELAY_NS,
        trade_local_ns=recorded.trade_venue_ns + DELAY_NS,
    )
    asked = Asked(np.array([1]), np.array([1 << 40]), recorded.group_venue_ns[:1].copy())
    fills = replayed(kernel, market, TASK, asked)
    taken_s = (process_time_ns() - begun_ns) / NS
    return Quoted(int(fills.orders[0]), fills.ns, fills.ticks), taken_s


def peer(rows: Rows) -> tuple[Quoted, float]:
    """The peer, its depth a vector over the prices that occur; seconds of the strategy's loop alone."""
    return looped(rows, _strategy(), entry_ns=DELAY_NS, response_ns=DELAY_NS)


def looped(rows: Rows, strategy: Strategy, *, entry_ns: int, response_ns: int) -> tuple[Quoted, float]:
    """The peer with this strategy and these delays; seconds of its loop alone."""
    from hftbacktest import BacktestAsset, ROIVectorMarketDepthBacktest

    asset = BacktestAsset().data(rows)  # it keeps only their address
    asset = asset.linear_asset(1.0).constant_order_latency(entry_ns, response_ns)
    asset = asset.power_prob_queue_model(2.0).no_partial_fill_exchange().trading_value_fee_model(0.0, 0.0)
    asset = asset.tick_size(1.0).lot_size(1.0).roi_lb(float(rows["px"].min())).roi_ub(float(rows["px"].max()))
    engine = ROIVectorMarketDepthBacktest([asset])
    ns, ticks = np.zeros(len(rows), np.int64), np.zeros(len(rows), np.int64)
    begun_ns = process_time_ns()
    wakes, orders, fills = strategy(engine, int(rows["local_ts"][-3]), ns, ticks)
    taken_s = (process_time_ns() - begun_ns) / NS
    engine.close()
    return Quoted(orders, ns[:fills], ticks[:fills], wakes), taken_s


def scan(rows: Rows) -> float:
    """The floor: one compiled pass over the rows that keeps the bids and the best of them, and no order; seconds."""
    loop = _scan()
    low = int(rows["px"].min())
    begun_ns = process_time_ns()
    loop(rows["ev"], rows["px"], rows["qty"], low, int(rows["px"].max()) - low + 1)
    return (process_time_ns() - begun_ns) / NS


@cache
def _rows(count: int) -> Rows:
    """The made-up recording in the peer's form."""
    return padded(recording(count))


def padded(tape: Tape) -> Rows:
    """A recording in the peer's form, and twice its last row again, later: the peer never tells of the last one."""
    made = events_of(tape)
    rows = np.concatenate((made, made[-1:], made[-1:]))
    for name in ("exch_ts", "local_ts"):
        rows[name][-2:] += np.array([10, 20]) * NS
    rows["local_ts"] += DELAY_NS
    return rows


@cache
def _strategy() -> Strategy:
    from hftbacktest import FILLED, GTX, LIMIT, NEW, NONE
    from numba import njit

    def quote(engine, end_ns, ns, ticks):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        wakes = orders = fills = 0
        live = False
        while engine.wait_next_feed(False, 1 << 60) == END:
            bid = engine.depth(0).best_bid_tick
            over = engine.current_timestamp > end_ns
            if live:
                order = engine.orders(0).get(orders)
                if order.status == FILLED:
                    ns[fills], ticks[fills] = order.exch_timestamp, order.price_tick
                    fills += 1
                if order.status != NEW and order.req == NONE:
                    live = False
                elif order.price_tick != bid and order.cancellable and not over:
                    engine.cancel(0, orders, False)
            if over:
                break
            wakes += 1
            if not live:
                engine.clear_inactive_orders(0)
                orders += 1
                engine.submit_buy_order(0, orders, float(bid), 1.0, GTX, LIMIT, False)
                live = True
        return wakes, orders, fills

    compiled_strategy: Strategy = njit(quote)
    return compiled_strategy


@cache
def _scan() -> Callable[..., int]:
    from hftbacktest import BUY_EVENT, DEPTH_EVENT
    from numba import njit

    def look(kinds, prices, sizes, low, span):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        bids = np.zeros(span)
        best = -1
        moves = 0
        for row in range(len(kinds)):
            if kinds[row] & DEPTH_EVENT == DEPTH_EVENT and kinds[row] & BUY_EVENT == BUY_EVENT:
                at = int(prices[row]) - low
                bids[at] = sizes[row]
                before = best
                if sizes[row] > 0.0:
                    best = max(best, at)
                else:
                    while best >= 0 and bids[best] == 0.0:
                        best -= 1
                moves += best != before
        return moves

    compiled_scan: Callable[..., int] = njit(look)
    return compiled_scan


def memory(arm: str, count: int) -> str:
    """What an arm takes at most, input and all, read from files by a process of its own."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "recording"
        if arm == "lane":
            save_tape(recording(count), path, findings=(), source=(), importer="benchmark")
        else:
            path = path.with_suffix(".npy")
            np.save(path, _rows(count))
        with get_context("spawn").Pool(1) as pool:
            grown = pool.apply(_grown, (arm, path))
    return "an unknown amount of memory" if grown is None else f"{grown:.0f} MB"


def _grown(arm: str, path: Path) -> float | None:
    """Megabytes by which the peak of this process grows in one run of an arm; None where the system does not say."""
    _run_once(arm, None)  # compiles
    try:
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew from what is held now
        before = _peak_kb()
        _run_once(arm, path)
        return (_peak_kb() - before) / 1024
    except OSError:
        return None


def _run_once(arm: str, path: Path | None) -> None:
    if arm == "lane":
        lane(recording(WARMING) if path is None else open_tape(path))
    else:
        peer(_rows(WARMING) if path is None else np.load(path))


def _peak_kb() -> int:
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))


def rows(*, count: int, router_events: int, rounds: int, progress: Callable[[str], None]) -> list[Row]:
    """The goal, the lane beside the floor, and the whole router."""
    made = len(_rows(count)) - 2
    compiled()  # before anything else: the row without it is named as not measured
    truth, _ = peer(_rows(count))
    instants = len(np.unique(_rows(count)["local_ts"][:-2]))

    def ours() -> Sequence[float]:
        return [made / seconds_of(lane(recording(count)), truth)]

    def theirs() -> Sequence[float]:
        return [made / seconds_of(peer(_rows(count)), truth)]

    checked = (
        f"{made} rows, {truth.wakes} wake-ups of the peer at {instants} instants; both sent {truth.orders} orders and "
        f"had {len(truth.ns)} fills, each at the same nanosecond and price, in every round; with its input ours takes "
        f"{memory('lane', count)} and the peer {memory('peer', count)}"
    )
    lane_row = measured(
        name="g7",
        what="the compiled lane on the task, from the recording's columns to the fills",
        baseline=f"{PEER}, wait_next_feed, its own numba strategy: the loop alone",
        unit="rows/s",
        ours=ours,
        theirs=theirs,
        rounds=rounds,
        checked=checked,
        progress=progress,
        bar=Bar(2.0, at_least=True),
    )
    floor_row = measured(
        name="g7-floor",
        what="the same",
        baseline="one numba pass over the same rows that keeps the bids and the best of them, and no order",
        unit="rows/s",
        ours=ours,
        theirs=lambda: [made / scan(_rows(count))],
        rounds=rounds,
        checked="as above",
        progress=progress,
    )
    return [lane_row, floor_row, _router_row(router_events, rounds=rounds, progress=progress)]


def seconds_of(did: tuple[Quoted, float], truth: Quoted) -> float:
    """The seconds of a run that did what the peer did first. Raises `WrongWork` for another."""
    quoted, taken_s = did
    if not quoted.same(truth):
        raise WrongWork(f"{quoted.orders} orders and {len(quoted.ns)} fills, not {truth.orders} and {len(truth.ns)}")
    return taken_s


def _router_row(count: int, *, rounds: int, progress: Callable[[str], None]) -> Row:
    made = len(_rows(count)) - 2
    truth, _ = peer(_rows(count))
    seen: list[Made] = []

    def ours() -> Sequence[float]:
        did, events_per_s = maker.ours(count, lots=1)
        seen.append(did)
        if did != seen[0]:
            raise WrongWork(f"the router did {did} in one round and {seen[0]} in another")
        return [events_per_s * made / len(events(count))]

    def theirs() -> Sequence[float]:
        return [made / seconds_of(peer(_rows(count)), truth)]

    row = measured(
        name="g8-router",
        what="the whole router on the recorded venue with a policy object, journal and features on, indexing timed too",
        baseline=f"{PEER}, wait_next_feed, its own numba strategy: the loop alone",
        unit="rows/s",
        ours=ours,
        theirs=theirs,
        rounds=rounds,
        checked="",
        progress=progress,
    )
    did = seen[0]
    return row.with_check(
        f"{made} rows; quotes sent {did.quotes} ours (moves of an order counted), {truth.orders} theirs; fills "
        f"{did.fills} and {len(truth.ns)}: ours moves its order in one request, theirs withdraws it and waits"
    )
