"""The compiled lane: the fills, orders and costs of the router on the recorded venue, to the nanosecond."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import msgspec
import numpy as np
import pytest

from benchmarks import synthetic
from sor.cli.main import run
from sor.errors import CallerError
from sor.ids import VenueName
from sor.lab.plan import Drawn, Start
from sor.lab.sweep import compiled as compiling
from sor.lab.sweep import lane
from sor.lab.sweep.compiled import INTERPRETED, Kernel, compiled
from sor.lab.sweep.grid import Grid, swept
from sor.lab.sweep.kernel import BEYOND_BOOK, BEYOND_DEPTH, BEYOND_MINIMUM, BEYOND_SILENCE, DONE, Market
from sor.lab.sweep.tables import market_of
from sor.orders import Side
from sor.params import Params, ParamStore
from sor.regime import Regime
from sor.tape import Tape, level_changes, save_tape
from sor.units import MS, NS
from tests.fakes.alone import Fill, Ran, run_alone
from tests.fakes.tape_script import Book, Print, tape_of
from tests.fakes.tape_script import market_of as indexed
from tests.unit.test_probes import SMALL, a_market

FEED_NS = 5 * MS
NOW_NS = 1_795_000_000 * NS
BUY, SELL = Side.BUY, Side.SELL
CALM = {"placement.calm_spread_max": "31", "placement.calm_exit_ratio": "1.2", "placement.timeouts_max": "2"}
"""Spreads that the made-up books of a few ticks around 1000 keep to, most of the time."""


def stretched(events: list[Book | Print], ms: int) -> Tape:
    """A recording of these events with so many milliseconds for each of their units of time."""
    return tape_of([event._replace(at_ns=event.at_ns * ms * MS) for event in events], SMALL)


def tables_of(tape: Tape, kernel: Kernel = INTERPRETED) -> Market:
    return market_of(
        tape, kernel, group_local_ns=tape.group_venue_ns + FEED_NS, trade_local_ns=tape.trade_venue_ns + FEED_NS
    )


def starts_of(tape: Tape, count: int, *, seed: int, deadline_s: float) -> tuple[Start, ...]:
    rng = np.random.default_rng(seed)
    first, last = int(tape.group_venue_ns[0]), int(tape.group_venue_ns[-1]) - round((deadline_s + 1) * NS)
    at_ns = np.sort(rng.integers(first, last, count)).tolist()
    sides = rng.choice([1, -1], count).tolist()
    return tuple(Start(no, at, Side(side)) for no, (at, side) in enumerate(zip(at_ns, sides, strict=True), start=1))


def both(
    tape: Tape,
    starts: tuple[Start, ...],
    *,
    lots: int,
    deadline_s: float,
    queue: str,
    latency_ns: int,
    timeout_s: float,
    values: Mapping[str, str],
    kernel: Kernel = INTERPRETED,
) -> tuple[Ran, lane.Fills]:
    """The parents in both, held to each other wherever the lane has an answer."""
    ran = run_alone(
        tape,
        starts,
        lots=lots,
        deadline_s=deadline_s,
        queue=queue,
        latency_ns=latency_ns,
        feed_ns=FEED_NS,
        values={**values, "placement.timeout_s_max": str(timeout_s)},
    )
    terms = lane.terms_of(
        ran.params, ran.instrument, deadline_s=deadline_s, latency_ns=latency_ns, queue=queue, timeout_s=timeout_s
    )
    market, asked = tables_of(tape, kernel), lane.asked_of(starts, lots)
    found = lane.replayed(kernel, market, terms, asked)
    costs = lane.costs_bps(found, asked, lane.mids_at(market, asked.start_ns), ran.instrument)
    fills: list[list[Fill]] = [[] for _ in starts]
    columns = (found.parent, found.ns, found.ticks, found.lots, found.maker)
    for parent, ns, ticks, size, maker in zip(*(column.tolist() for column in columns), strict=True):
        fills[parent].append((ns, ticks, size, bool(maker)))
    for parent in np.flatnonzero(found.state == DONE).tolist():
        told = ran.reports[parent]
        assert fills[parent] == ran.fills[parent], starts[parent]
        assert (int(found.orders[parent]), int(found.timeouts[parent])) == (told.orders, told.timeouts), starts[parent]
        assert costs[parent] == pytest.approx(told.arrival_cost_bps, abs=1e-9), starts[parent]
    assert np.isnan(costs[found.state != DONE]).all()
    return ran, found


def test_a_parent_fills_as_behind_the_router() -> None:
    """Books that cross, lose a side and are replaced, many events at one instant, latency on and off their grid."""
    answered = timeouts = 0
    maker: list[int] = []
    states: set[int] = set()
    for seed in range(3):
        tape = stretched(a_market(seed, 600), 7)
        _, found = both(
            tape,
            starts_of(tape, 60, seed=seed, deadline_s=1.5),
            lots=3,
            deadline_s=1.5,
            queue="moderate" if seed < 1 else "risk_averse",
            latency_ns=7 * MS if seed % 2 else 2_345_678,
            timeout_s=0.12,
            values=CALM,
        )
        answered += int((found.state == DONE).sum())
        maker += found.maker.tolist()
        states |= set(found.state.tolist())
        timeouts += int(found.timeouts.sum())
    assert answered > 90
    assert BEYOND_BOOK in states
    assert 10 < sum(maker) < len(maker) - 10
    assert timeouts > 10


def test_partial_fills_long_crossings_and_refusals_are_the_same() -> None:
    tape = synthetic.tape(synthetic.events(10_000))
    starts = starts_of(tape, 60, seed=3, deadline_s=3.0)
    ran, found = both(
        tape,
        starts,
        lots=150,
        deadline_s=3.0,
        queue="moderate",
        latency_ns=5 * MS,
        timeout_s=0.2,
        values={"placement.timeouts_max": "4"},
    )
    assert (found.state == DONE).all()
    assert len(found.ns) > 2 * len(starts)
    assert sum(told.rejects for told in ran.reports) > 3
    assert found.timeouts.any()


def test_a_spread_that_opens_ends_the_rest() -> None:
    """At 600 ms the asks below 1010 go: known at 605, withdrawn at 610, known at 615, crossed at 620."""
    events: list[Book | Print] = [
        Book(1, {999: 4}, {1001: 4, 1010: 9}, snapshot=True),
        Book(600, {}, {1001: 0}),
        Book(9_000, {998: 1}, {}),
    ]
    _, found = both(
        stretched(events, 1),
        (Start(1, 100 * MS, BUY),),
        lots=3,
        deadline_s=2.0,
        queue="risk_averse",
        latency_ns=5 * MS,
        timeout_s=1.0,
        values={**CALM, "market.stale_ms_max": "10000"},
    )
    assert (found.state.tolist(), found.ns.tolist(), found.ticks.tolist()) == ([DONE], [620 * MS], [1010])


def test_what_is_refused_is_tried_again_later_and_a_timeout_makes_it_soon_again() -> None:
    """An ask at 1000 stands in the way of the orders that arrive at 105 and 445 ms; those of 315 and 655 ms rest."""
    events: list[Book | Print] = [Book(1, {999: 4}, {1001: 4}, snapshot=True)]
    for at in (104, 444):
        events += [Book(at, {}, {1000: 1}), Book(at + 2, {}, {1000: 0})]
    events += [Print(700, SELL, 999, 2), Book(9_000, {998: 1}, {})]
    ran, found = both(
        stretched(events, 1),
        (Start(1, 100 * MS, BUY),),
        lots=3,
        deadline_s=4.0,
        queue="risk_averse",
        latency_ns=5 * MS,
        timeout_s=0.12,
        values={**CALM, "market.stale_ms_max": "10000"},
    )
    assert (ran.reports[0].rejects, found.timeouts.tolist()) == (2, [1])
    assert (found.state.tolist(), found.ns.tolist(), found.ticks.tolist()) == ([DONE], [700 * MS], [1000])


def test_what_the_lane_has_no_answer_for_is_named() -> None:
    """Books that say nothing for seconds, that are too thin for what must cross, and parts that may not be sent."""
    silent = stretched(a_market(5, 300), 400)
    _, found = both(
        silent,
        starts_of(silent, 40, seed=5, deadline_s=20.0),
        lots=40,
        deadline_s=20.0,
        queue="risk_averse",
        latency_ns=5 * MS,
        timeout_s=2.0,
        values=CALM,
    )
    assert {BEYOND_BOOK, BEYOND_SILENCE, BEYOND_DEPTH} <= set(found.state.tolist())

    events: list[Book | Print] = [
        Book(1, {999: 4}, {1001: 4}, snapshot=True),
        Print(300, SELL, 999, 6),
        Book(3_000, {998: 1}, {}),
    ]
    tape = stretched(events, 1)
    terms = lane.terms_of(
        run_alone(tape, (), lots=1, deadline_s=2.0, queue="risk_averse", latency_ns=0, feed_ns=0, values=CALM).params,
        msgspec.structs.replace(SMALL, min_qty_lots=2),
        deadline_s=2.0,
        latency_ns=5 * MS,
        queue="risk_averse",
        timeout_s=1.0,
    )._replace(inside=0)
    (state,) = lane.replayed(
        INTERPRETED, tables_of(tape), terms, lane.asked_of((Start(1, 100 * MS, BUY),), 3)
    ).state.tolist()
    assert state == BEYOND_MINIMUM


@pytest.mark.parametrize("seed", range(3))
def test_the_tables_are_those_of_the_recorded_venue(seed: int) -> None:
    """Prices close together and far apart: both ways of finding them."""
    events = a_market(seed, 300)
    events.append(Book(events[-1].at_ns + 1, {1: 5}, {2_000 + seed * (1 << 23): 7}))
    tape = tape_of(events)
    market, ours = indexed(events), tables_of(tape)
    assert ours.bid.tolist() == [max(best, -(1 << 62)) for best in market.best[BUY]]
    assert ours.ask.tolist() == [-best for best in market.best[SELL]]
    assert ours.trust.tolist() == market.columns.trust.tolist()
    key, group, lots = level_changes(tape)
    assert np.repeat(ours.level_key, np.diff(ours.level_first)).tolist() == key.tolist()
    assert (ours.change_group.tolist(), ours.change_lots.tolist()) == (group.tolist(), lots.tolist())


def test_a_grid_counts_the_same_parents_under_every_timeout() -> None:
    tape = stretched(a_market(1, 2_000), 7)
    starts = starts_of(tape, 120, seed=1, deadline_s=1.5)
    ran = run_alone(
        tape, starts, lots=3, deadline_s=1.5, queue="risk_averse", latency_ns=5 * MS, feed_ns=FEED_NS, values=CALM
    )
    grid = Grid(timeouts_s=(0.1, 0.4), deadline_s=1.5, queue="risk_averse", latency_ns=5 * MS, seed=1)
    drawn = Drawn(starts=starts, quantity=ran.instrument.quantity(3), horizons_ns=())
    found = swept(INTERPRETED, tables_of(tape), grid, drawn, instrument=ran.instrument, params=ran.params)
    assert [(one.timeout_s, one.own) for one in found.settings] == [(0.1, False), (0.4, False), (15.0, True)]
    assert found.parents + sum(found.beyond.values()) == len(starts)
    assert {one.cost.parents for one in found.settings} == {found.parents}
    short, long, own = found.settings
    assert short.timed_out > long.timed_out > own.timed_out
    assert short.against_own is not None
    assert short.against_own.mean == pytest.approx(short.cost.mean - own.cost.mean)
    assert own.against_own is None

    small = msgspec.structs.replace(ran.instrument, max_qty_lots=2)
    with pytest.raises(CallerError, match="above the largest order"):
        swept(INTERPRETED, tables_of(tape), grid, drawn, instrument=small, params=ran.params)
    tight = msgspec.structs.replace(ran.instrument, multiplier=Decimal(10_000_000_000))
    with pytest.raises(CallerError, match=r"above risk\.order_notional_max"):
        swept(INTERPRETED, tables_of(tape), grid, drawn, instrument=tight, params=ran.params)


@pytest.mark.parametrize(
    ("values", "queue", "said"),
    [
        ({}, "power_2", "queue model 'power_2'"),
        ({"remainder.rule": "stop"}, "risk_averse", "remainder.rule 'stop'"),
        ({"placement.calm_spread_max": "45"}, "risk_averse", "a spread of 67.5 bps"),
    ],
)
def test_what_the_lane_does_not_have_is_refused(values: dict[str, str], queue: str, said: str) -> None:
    tape = stretched([Book(1, {999: 4}, {1001: 4}, snapshot=True)], 1)
    ran = run_alone(tape, (), lots=1, deadline_s=2.0, queue="risk_averse", latency_ns=0, feed_ns=0, values=values)
    with pytest.raises(CallerError, match=said):
        lane.terms_of(ran.params, ran.instrument, deadline_s=2.0, latency_ns=0, queue=queue, timeout_s=1.0)


def test_a_set_that_is_fitted_or_differs_by_regime_is_refused_and_so_are_slow_answers() -> None:
    baseline = ParamStore().get("baseline", now_ns=NOW_NS).resolve(SMALL.venue, SMALL.symbol, now_ns=NOW_NS)
    fitted = ParamStore().get("synthetic", now_ns=NOW_NS)
    fitted_here = fitted.resolve(VenueName("simulated"), SMALL.symbol, now_ns=NOW_NS)
    other = {name: baseline[name] for name in baseline if name != "remainder.rule"}
    busy = Params(set_id="busy", digest="", values={**other, "placement.collar_bps": 3.0})
    by_regime = Params(
        set_id="by_regime",
        digest="",
        values=other,
        choices={"remainder.rule": "carry"},
        within={Regime.BUSY: busy},
    )
    for params, latency_ns, said in (
        (fitted_here, 5 * MS, "is fitted"),
        (by_regime, 5 * MS, "market regimes"),
        (baseline, 500 * MS, "recovery.ack_timeout_ms"),
    ):
        with pytest.raises(CallerError, match=said):
            lane.terms_of(params, SMALL, deadline_s=9.0, latency_ns=latency_ns, queue="moderate", timeout_s=1.0)


def test_without_the_compiler_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    compiling.compiled.cache_clear()
    with pytest.raises(CallerError, match=r"Install sor\[sweep\]"):
        compiled()


def test_the_command_says_what_a_replay_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(compiling, "compiled", lambda: INTERPRETED)
    path = tmp_path / "made.tape"
    save_tape(synthetic.tape(synthetic.events(12_000)), path, findings=(), source=(), importer="test")
    terms = ["--parents", "15", "--deadline", "2s", "--qty", "0.02", "--json"]
    assert run(["sweep", str(path), "--timeouts", "100ms,500ms", *terms]) == 0
    (*others, own) = json.loads(capsys.readouterr().out)["found"]["settings"]
    assert [one["timeout_s"] for one in others] == [0.1, 0.5]
    assert own["own"]
    assert run(["replay", str(path), "--policies", "maker_first", "--runs", str(tmp_path / "runs"), *terms]) == 0
    (replayed,) = json.loads(capsys.readouterr().out)["policies"]
    assert own["cost"]["mean"] == pytest.approx(replayed["cost_bps"]["mean"], abs=1e-9)
    assert own["maker_share"] == pytest.approx(replayed["passive_share"])


@pytest.mark.slow
def test_the_compiled_kernel_does_what_the_interpreted_one_does() -> None:
    pytest.importorskip("numba", reason="needs the extra `sweep`")
    compiling.compiled.cache_clear()
    tape = stretched(a_market(2, 600), 7)
    starts = starts_of(tape, 60, seed=2, deadline_s=1.5)
    kernels = [INTERPRETED, compiled()]
    one, other = (
        both(
            tape,
            starts,
            lots=3,
            deadline_s=1.5,
            queue="moderate",
            latency_ns=5 * MS,
            timeout_s=0.3,
            values=CALM,
            kernel=kernel,
        )[1]
        for kernel in kernels
    )
    for name in lane.Fills.__struct_fields__:
        assert getattr(one, name).tolist() == getattr(other, name).tolist(), name
