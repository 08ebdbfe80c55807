"""G10: a parent order in, the listener told of its fill: the whole router in one process, against a market order.

Ours is everything there is: the checks at the door, the parent, the look at the market with all features, the policy,
the invariants, the risk gate, the child, the journal (two turns, each encoded, chained and written before anything
leaves), the simulated venue's matching engine, its reports, the ledger, and the call of the listener.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from time import process_time_ns

from benchmarks.nautilus import NAME as NAUTILUS
from benchmarks.nautilus import market_orders
from benchmarks.rig import WrongWork, world_on
from benchmarks.rows import Bar, Row, measured
from sor.commands import Happening
from sor.ids import ParentId
from sor.orders import ExecType, ParentOrder, ParentStatus, Side
from sor.units import MS, US
from venues.simulated.adapter import open_venue

BAR = Bar(1 / 20)
GAP_NS = 1 * MS
"""Virtual time between two orders, as between two quotes of the peer; nothing is on its way, as no way takes time."""
OPTIONS = {
    "market": "ladder",
    "latency": "zero",
    "book_ms": "0",
    "ladder.level_lots": "1000000000",
    "orders_per_s": "1000000",
    "seed": "1",
}


def ours(orders: int, *, directory: Path) -> Sequence[float]:
    """Microseconds from `submit` to the listener's call for each of `orders` parents, all of which must be filled.

    The journal stays behind in `directory`, which must hold none.
    """
    told_ns = fills = 0

    def tell(happening: Happening) -> None:
        nonlocal told_ns, fills
        report = happening.report
        if report is not None and report.exec_type is ExecType.TRADE:
            told_ns = process_time_ns()
            fills += 1

    taken: list[float] = []
    with world_on(open_venue(OPTIONS), directory / "journal", tell=tell) as world:
        for number in range(orders):
            world.scheduler.run_until(world.scheduler.now_ns() + GAP_NS)
            order = ParentOrder(
                parent_id=ParentId(f"p{number}"),
                symbol="BTC-USDT",
                side=Side.SELL if number % 2 else Side.BUY,
                quantity=Decimal("0.010"),
                policy="cross",
                may_rest=False,
            )
            begun_ns = process_time_ns()
            world.submit(order)
            taken.append((told_ns - begun_ns) / US)
        filled = [parent.status for parent in world.core.parents].count(ParentStatus.FILLED)
    if (fills, filled) != (orders, orders):
        raise WrongWork(f"{orders} parents gave {fills} fills, {filled} of them ended filled")
    return taken


def _ours_somewhere(orders: int) -> Sequence[float]:
    with tempfile.TemporaryDirectory() as directory:
        return ours(orders, directory=Path(directory))


def row(*, orders: int, rounds: int, progress: Callable[[str], None]) -> Row:
    """The goal's row."""
    return measured(
        name="g10",
        what="submit of a parent until its listener hears of the fill: cross policy, features, risk, journal, matching",
        baseline=f"{NAUTILUS}: submit_order of a market order until on_order_filled, backtest engine, queue off",
        unit="us an order",
        ours=lambda: _ours_somewhere(orders),
        theirs=lambda: market_orders(orders),
        rounds=rounds,
        checked=f"{orders} orders a round on each side, all filled; our journal verified",
        progress=progress,
        bar=BAR,
    )
