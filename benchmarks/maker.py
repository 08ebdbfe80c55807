"""G9: events a second of one maker's whole day: one post-only bid at the best price, moved along whenever that moves.

Ours is the whole router on the simulated venue that trades on a recording: journal, risk gate, invariants, features,
markouts. Indexing the recording, which computes its features, is timed too. The peer is timed over its engine's run.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from time import process_time_ns

from benchmarks.nautilus import NAME as NAUTILUS
from benchmarks.nautilus import Made, maker
from benchmarks.rig import START_NS, WrongWork, world_on
from benchmarks.rows import Bar, Row, measured
from benchmarks.synthetic import events, tape
from sor.commands import Happening
from sor.ids import ParentId
from sor.orders import ExecType, ParentOrder, Side
from sor.params import Params
from sor.policy import Decision, Rest
from sor.reasons import TimeoutBound
from sor.revisit import Revisit
from sor.snapshot import View
from sor.units import MS, NS
from venues.simulated.tape import TapeVenue, open_market
from venues.simulated.tape_latency import read_delay
from venues.simulated.tape_settings import TapeSettings

BAR = Bar(8.0, at_least=True)
QUOTE_LOTS = 10
LATENCY = "1ms"


class Join:
    """Placement policy of the benchmark: so many lots at the best bid, wherever it is."""

    name = "join"
    needs: tuple[str, ...] = ()

    def __init__(self, lots: int) -> None:
        self._lots = lots

    def decide(self, view: View, params: Params) -> Decision:
        """Rest at the best bid and ask again when a best price has moved by a tick."""
        del params
        bid = view.market.bids[0][0]
        lots = min(self._lots, view.open_lots)
        wanted = Rest(view.market.venue, lots, bid, view.due_ns, TimeoutBound.NONE)
        return Decision(placements=(wanted,), revisit=Revisit(None, 1), reason="join")


def ours(count: int, *, lots: int = QUOTE_LOTS) -> tuple[Made, float]:
    """Replay `count` events, quoting so many lots; returns what the maker did and events a second."""
    made = events(count)
    recording = tape(made)
    fills = 0

    def tell(happening: Happening) -> None:
        nonlocal fills
        report = happening.report
        fills += report is not None and report.exec_type is ExecType.TRADE

    delay = read_delay(LATENCY)
    with tempfile.TemporaryDirectory() as directory:
        begun_ns = process_time_ns()
        venue = TapeVenue(
            open_market(recording, feed=delay), TapeSettings(queue="moderate", entry=delay, response=delay)
        )
        with world_on(venue, Path(directory) / "journal", tell=tell, policies={"join": Join(lots)}) as world:
            world.scheduler.run_until(START_NS + 10 * MS)
            order = ParentOrder(
                parent_id=ParentId("maker"),
                symbol="BTCUSDT",
                side=Side.BUY,
                quantity=Decimal(1_000_000),
                deadline_s=1e6,
                policy="join",
            )
            parent = world.submit(order)
            world.scheduler.run_until(made[-1].at_ns + 10 * MS)
            taken_ns = process_time_ns() - begun_ns
            quotes = len(parent.children) + parent.requotes
            booked = sum(order.filled_lots for order in venue.audit())
            if booked != parent.ledger.cum_lots or parent.ended:
                raise WrongWork(f"the venue filled {booked} lots, the router counts {parent.ledger.cum_lots}")
    return Made(quotes=quotes, fills=fills), len(made) * NS / taken_ns


def row(*, count: int, rounds: int, progress: Callable[[str], None]) -> Row:
    """The goal's row."""
    seen: dict[str, Made] = {}

    def run(who: str, arm: Callable[[], tuple[Made, float]]) -> Sequence[float]:
        made, per_s = arm()
        if seen.setdefault(who, made) != made:
            raise WrongWork(f"{who} did {made} in one round and {seen[who]} in another")
        if made.quotes < count * 0.02 or not made.fills:
            raise WrongWork(f"{who} hardly quoted: {made} on {count} events")
        return [per_s]

    measurement = measured(
        name="g9",
        what="whole router on the recorded venue, features, risk, journal and markouts on; indexing timed too",
        baseline=f"{NAUTILUS}: the same events as deltas and trades through its backtest engine, engine.run only",
        unit="events/s",
        ours=lambda: run("ours", lambda: ours(count)),
        theirs=lambda: run("theirs", lambda: maker(events(count), lots=QUOTE_LOTS)),
        rounds=rounds,
        checked="",
        progress=progress,
        bar=BAR,
    )
    made, other = seen["ours"], seen["theirs"]
    checked = (
        f"{len(events(count))} events; quotes sent {made.quotes} ours, {other.quotes} theirs; fills {made.fills} and "
        f"{other.fills}, the same in every round; our journal verified, our lots are those in the venue's books"
    )
    return measurement.with_check(checked)
