"""What it costs to take a market event in, and to decide on the market that it leaves.

The baseline is what a strategy of one screen does by hand: two dictionaries, their best prices found by `max` and
`min`, spread and imbalance, one comparison. It keeps no windows, sorts no levels, checks no chain of updates, prices no
alternative and records nothing, so these rows have no bar: they say what the difference costs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import process_time_ns

from benchmarks.rig import PARAM_SET, START_NS, WrongWork, param_text
from benchmarks.rows import Row, measured
from benchmarks.synthetic import INSTRUMENT, Event, events
from policies.case import Why
from policies.cost_aware import CostAware
from sor.decide import decide
from sor.feed import LiveFeed
from sor.ids import ParentId
from sor.market import BookUpdate, MarketEvent, MarketView, TradePrint
from sor.models.covariates import COVARIATES, FADING
from sor.models.drift import DRIFT_COVARIATES
from sor.models.fill_hazard import EDGES_S
from sor.orders import ParentOrder, Side
from sor.params import Params, parse
from sor.parent import Parent
from sor.policy import Rest
from sor.revisit import Revisit, Trigger
from sor.sim.world import VirtualScheduler
from sor.snapshot import Cause, Costs, View
from sor.units import MS, NS

HAND = "a strategy of one screen: two dicts, best by max and min, spread, imbalance, one comparison"
OPEN_LOTS = 10
WARM_EVENTS = 12_000
"""Taken in before anything is timed: 12 s of market, so that `cost_aware` finds flow and volatility measured."""


def pushed(made: Sequence[Event]) -> list[MarketEvent]:
    """The events as an adapter pushes them."""
    symbol = INSTRUMENT.symbol
    out: list[MarketEvent] = []
    for number, event in enumerate(made):
        at_ns = event.at_ns
        if event.trade is not None:
            side, ticks, lots = event.trade
            out.append(
                TradePrint(
                    symbol=symbol, side=Side(side), price_ticks=ticks, qty_lots=lots, venue_ns=at_ns, recv_ns=at_ns
                )
            )
        out.append(
            BookUpdate(
                symbol=symbol,
                bids=tuple((ticks, lots) for side, ticks, lots in event.levels if side > 0),
                asks=tuple((ticks, lots) for side, ticks, lots in event.levels if side < 0),
                venue_ns=at_ns,
                recv_ns=at_ns,
                snapshot=number == 0,
                seq=number,
                prev_seq=number - 1,
            )
        )
    return out


class ByHand:
    """The baseline."""

    def __init__(self, warm: Sequence[MarketEvent]) -> None:
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}
        for event in warm:
            self.take(event)

    def take(self, event: MarketEvent) -> None:
        """Keep the book."""
        if isinstance(event, BookUpdate):
            for held, levels in ((self.bids, event.bids), (self.asks, event.asks)):
                for ticks, lots in levels:
                    if lots:
                        held[ticks] = lots
                    else:
                        held.pop(ticks, None)

    def decide(self) -> int:
        """The price to rest at, or 0 to cross."""
        bid, ask = max(self.bids), min(self.asks)
        spread_bps = 20_000.0 * (ask - bid) / (bid + ask)
        leaning = self.bids[bid] / (self.bids[bid] + self.asks[ask])
        return bid if spread_bps < 5.0 and leaning < 0.9 else 0


class _Waits:
    """Nobody may be woken: the row times events that concern nobody."""

    def __call__(self, key: int) -> None:
        raise WrongWork(f"watch {key} was woken by an event that should not concern it")


def _watched(warm: Sequence[MarketEvent]) -> LiveFeed:
    """A feed that has taken these in, with one watch such as a resting order sets, too far off to come true."""
    feed = LiveFeed(
        venue=INSTRUMENT.venue, symbol=INSTRUMENT.symbol, wake=_Waits(), scheduler=VirtualScheduler(START_NS)
    )
    for event in warm:
        feed.on_event(event)
    now_ns = warm[-1].recv_ns
    feed.watch(1, Revisit(None, 1_000_000, (Trigger("spread_bps", True, 50.0),)), feed.view(now_ns), now_ns)
    return feed


def event_arms(count: int) -> tuple[Callable[[], Sequence[float]], Callable[[], Sequence[float]]]:
    """Nanoseconds an event: through the live feed with a watch on it, and into the baseline's dictionaries."""
    stream = pushed(events(WARM_EVENTS + count))
    warm, rest = stream[:-count], stream[-count:]
    best: list[tuple[int, int]] = []

    def ours() -> Sequence[float]:
        feed = _watched(warm)
        take = feed.on_event
        begun_ns = process_time_ns()
        for event in rest:
            take(event)
        taken_ns = process_time_ns() - begun_ns
        view = feed.view(rest[-1].recv_ns)
        best.append((view.bids[0][0], view.asks[0][0]))
        return [taken_ns / len(rest)]

    def theirs() -> Sequence[float]:
        book = ByHand(warm)
        take = book.take
        begun_ns = process_time_ns()
        for event in rest:
            take(event)
        taken_ns = process_time_ns() - begun_ns
        best.append((max(book.bids), min(book.asks)))
        if len(set(best)) != 1:
            raise WrongWork(f"the two books disagree: {best}")
        return [taken_ns / len(rest)]

    return ours, theirs


def forecasting(params: Params) -> Params:
    """The same set with fitted models: their size is what costs time, so the values are made up."""
    edges_s = EDGES_S[1:]
    values = {f"fill.edge_{number:02}": edge_s for number, edge_s in enumerate(edges_s)}
    values |= {f"fill.alpha_{number:02}": -1.0 for number in range(len(edges_s))}
    values |= {f"fill.{name}": -0.01 for name in COVARIATES} | {"fill.se": 0.1}
    values |= {f"fading.{name}": 0.01 for name in FADING}
    values |= {f"drift.{name}": 0.01 for name in DRIFT_COVARIATES} | {"drift.base": 0.2, "drift.se": 0.05}
    return Params(
        set_id=params.set_id, digest=params.digest, values={**params.as_dict(), **values}, choices=params.choices()
    )


def decision_arms(
    count: int, *, fitted: bool = False
) -> tuple[Callable[[], Sequence[float]], Callable[[], Sequence[float]]]:
    """Nanoseconds of each decision: an event into the book, all features, `cost_aware`, the invariants; and by hand.

    fitted    by fitted models instead of measured flow.
    """
    stream = pushed(events(WARM_EVENTS + count))
    warm, rest = stream[:-count], stream[-count:]
    params = parse(param_text(), where=PARAM_SET).resolve(INSTRUMENT.venue, INSTRUMENT.symbol, now_ns=START_NS)
    if fitted:
        params = forecasting(params)
    policy = CostAware()
    order = ParentOrder(
        parent_id=ParentId("decision"), symbol="BTCUSDT", side=Side.BUY, quantity=INSTRUMENT.quantity(OPEN_LOTS)
    )
    parent = Parent(
        no=1,
        order=order,
        intent=None,
        venue=INSTRUMENT.venue,
        instrument=INSTRUMENT,
        set_name=PARAM_SET,
        now_ns=START_NS,
    )
    costs = Costs(2.0, 5.0, 50 * MS, 50 * MS)

    def ours() -> Sequence[float]:
        feed = _watched(warm)
        rests = 0
        taken: list[float] = []
        for event in rest:
            begun_ns = process_time_ns()
            feed.on_event(event)
            now_ns = event.recv_ns
            decision, _ = decide(parent, policy, _view(feed.view(now_ns), now_ns, costs), params)
            taken.append(process_time_ns() - begun_ns)
            rests += isinstance(decision.placements[0], Rest) and decision.reason == Why.REST
        if not rests:
            raise WrongWork("cost_aware never found that resting is worth it in a calm market")
        return taken

    def theirs() -> Sequence[float]:
        book = ByHand(warm)
        rests = 0
        taken: list[float] = []
        for event in rest:
            begun_ns = process_time_ns()
            book.take(event)
            rests += book.decide() > 0
            taken.append(process_time_ns() - begun_ns)
        if not rests:
            raise WrongWork("the baseline never rested in a calm market")
        return taken

    return ours, theirs


def _view(market: MarketView, now_ns: int, costs: Costs) -> View:
    mid_hticks = market.bids[0][0] + market.asks[0][0]
    return View(
        parent_id=ParentId("decision"),
        now_ns=now_ns,
        cause=Cause.REVISIT,
        side=Side.BUY,
        parent_lots=OPEN_LOTS,
        open_lots=OPEN_LOTS,
        remaining_lots=OPEN_LOTS,
        filled_lots=0,
        due_ns=now_ns + 60 * NS,
        deadline_ns=now_ns + 60 * NS,
        arrival_hticks=mid_hticks,
        adverse_bps=0.0,
        limit_ticks=None,
        may_rest=True,
        urgency=0.5,
        holding_s=None,
        mae_budget_bps=None,
        max_participation=None,
        reduce_only=False,
        resting=(),
        timeouts=0,
        requotes=0,
        refusals=0,
        market=market,
        instrument=INSTRUMENT,
        costs=costs,
        memory={},
    )


def rows(*, count: int, rounds: int, progress: Callable[[str], None]) -> list[Row]:
    """What an event costs, and what a decision does in both of its forms."""
    ours, theirs = event_arms(count)
    event = measured(
        name="event",
        what="one market event into the live book and its windows, one watch judged that does not come true",
        baseline=f"the same event by hand ({HAND})",
        unit="ns an event",
        ours=ours,
        theirs=theirs,
        rounds=rounds,
        checked=f"{count} events a round; both books end at the same best prices",
        progress=progress,
    )
    decisions = []
    for name, what in (("decision", "by measured flow"), ("decision-fitted", "by fitted models")):
        ours, theirs = decision_arms(count, fitted=name != "decision")
        decisions.append(
            measured(
                name=name,
                what=f"one market event, the view with all features, cost_aware {what} and the invariants",
                baseline=f"the same event and a decision by hand ({HAND})",
                unit="ns a decision",
                ours=ours,
                theirs=theirs,
                rounds=rounds,
                checked=f"{count} events a round; both rest where the market is calm",
                progress=progress,
            )
        )
    return [event, *decisions]
