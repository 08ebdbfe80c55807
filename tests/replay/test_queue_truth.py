"""Estimated places in a queue against the true ones, on a recording that has every order by its id.

A virtual order of the smallest size joins behind the orders that then rest at its price. From then on it is known whom
it waits for: it is filled when a trade reaches an order at its price that came later, or one at a worse price, or when
the opposite best reaches its price. The venue under test sees none of that: only sizes by price, and trades.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from sor.lab.truth import truth
from sor.orders import Side
from sor.tape import OrderKind, Tape, open_tape
from sor.units import MS, NS
from tests.fakes.tape_script import NOW, SYMBOL, Trader
from tests.replay.conftest import Recorded
from venues.simulated.tape import open_market
from venues.simulated.tape_market import TapeMarket
from venues.simulated.tape_settings import TapeSettings

ORDERS = 1_000
NEVER = 1 << 62
SAME_NS = 500 * MS
"""The feed tells of a trade and of the order that it filled in two messages, at most this far apart."""


class Virtual(NamedTuple):
    """An order that was never sent: when it would have joined, on which side, at which price."""

    at_ns: int
    side: Side
    ticks: int


class Told(NamedTuple):
    """What the feed said of one order; `lots` is what is left of it."""

    at_ns: int
    kind: int
    order_id: int
    side: int
    ticks: int
    lots: int


def virtual_orders(market: TapeMarket) -> list[Virtual]:
    """Orders at the best prices, buys and sells by turns, at random times after the warm-up."""
    times = np.random.default_rng(5).integers(market.start_ns, market.end_ns, ORDERS)
    sides = (Side.BUY, Side.SELL) * (ORDERS // 2)
    return [
        Virtual(at_ns, side, side * market.best[side][market.group_at(at_ns)])
        for at_ns, side in zip(np.sort(times).tolist(), sides, strict=True)
    ]


def messages(tape: Tape) -> Iterator[Told]:
    """The order-by-order part of a tape."""
    columns = (tape.order_venue_ns, tape.order_kind, tape.order_id, tape.order_side, tape.order_ticks, tape.order_lots)
    lists: list[list[int]] = []
    for column in columns:
        assert column is not None, "this recording has every order"
        lists.append(column.tolist())
    return (Told(*values) for values in zip(*lists, strict=True))


def was_traded(tape: Tape, told: Told) -> bool:
    """Whether somebody took from this side at this price just then: else what shrank is the taker's own order."""
    first, last = tape.trade_venue_ns.searchsorted((told.at_ns - SAME_NS, told.at_ns + SAME_NS))
    return bool(((tape.trade_side[first:last] == -told.side) & (tape.trade_ticks[first:last] == told.ticks)).any())


def true_times(tape: Tape, orders: Sequence[Virtual]) -> list[int]:
    """When a trade reached each order, by the ids of those it waits for; `NEVER` for those that none reached."""
    found = [NEVER] * len(orders)
    live: dict[int, Told] = {}
    queues: dict[tuple[int, int], dict[int, None]] = {}
    waits: dict[int, set[int]] = {}
    joined = 0
    for told in messages(tape):
        while joined < len(orders) and orders[joined].at_ns < told.at_ns:
            waits[joined] = set(queues.get((orders[joined].side, orders[joined].ticks), ()))
            joined += 1
        before = live.pop(told.order_id, None)
        # An order older than the recording becomes known by its first message; if that is its end, it was ahead of all.
        fill = not told.lots if before is None else before.lots > told.lots
        fill = fill and (told.kind == OrderKind.CHANGED or not told.lots)
        hit = told if before is None else before._replace(at_ns=told.at_ns)
        if fill and was_traded(tape, hit):
            for number, ahead in list(waits.items()):
                order = orders[number]
                worse = order.side * hit.ticks < order.side * order.ticks
                behind = before is not None and hit.ticks == order.ticks and told.order_id not in ahead
                if order.side == hit.side and (worse or behind):
                    found[number] = told.at_ns
                    del waits[number]
        if before is not None and (told.kind == OrderKind.DELETED or told.ticks != before.ticks):
            del queues[before.side, before.ticks][told.order_id]
        if told.kind != OrderKind.DELETED:
            live[told.order_id] = told
            queues.setdefault((told.side, told.ticks), {})[told.order_id] = None
    return found


def reached_times(market: TapeMarket, orders: Sequence[Virtual]) -> list[int]:
    """When the opposite best first reached each order's price in a book that was not crossed."""
    found = []
    for at_ns, side, ticks in orders:
        first = market.group_at(at_ns) + 1
        there = -np.asarray(market.best[side.opposite])[first:]
        hits = np.flatnonzero((there <= side * ticks) & (np.asarray(market.best[side])[first:] < there))
        found.append(market.group_ns[first + int(hits[0])] if hits.size else NEVER)
    return found


def estimated_times(market: TapeMarket, orders: Sequence[Virtual], queue: str) -> NDArray[np.int64]:
    """When the venue fills each order, alone in its queue and without delay."""
    small = msgspec.structs.replace(market.tape.instrument, symbol=SYMBOL, min_qty_lots=1, min_notional=Decimal(0))
    settings = TapeSettings(queue=queue, entry=NOW, response=NOW)
    trader = Trader(market, settings, instrument=small, owner_of=lambda cl_ord_id: cl_ord_id)
    for number, (at_ns, side, ticks) in enumerate(orders):
        trader.rest(at_ns, str(number), side, 1, ticks)
    found = np.full(len(orders), NEVER)
    for told in trader.run():
        assert told.what in {"new", "trade"}
        if told.what == "trade":
            found[int(told.order)] = told.at_ns
    return found


@pytest.mark.slow
def test_estimated_queues_fill_when_the_true_ones_do(recorded: Mapping[str, Recorded]) -> None:
    market = open_market(open_tape(recorded["bitstamp"].path), feed=NOW)
    orders = virtual_orders(market)
    truth = np.minimum(true_times(market.tape, orders), reached_times(market, orders))
    assert (truth < NEVER).sum() >= 900
    sent = np.array([order.at_ns for order in orders])
    early: dict[str, int] = {}
    for queue, differing_most in (("risk_averse", 5), ("moderate", 30)):
        estimate = estimated_times(market, orders, queue)
        error_ns = estimate - truth
        assert ((estimate < NEVER) == (truth < NEVER)).all()
        assert (np.abs(error_ns) > SAME_NS).sum() <= differing_most
        early[queue] = int((error_ns < -SAME_NS).sum())
        for wait_s in (10, 60, 300, 900):
            assert abs(_share(estimate - sent, wait_s) - _share(truth - sent, wait_s)) <= 0.01
    assert (estimated_times(market, orders, "exact") == truth).all()
    # One is a bound. The other credits cancels to those ahead that were behind, and promises some fills too soon.
    assert early["risk_averse"] == 0 < early["moderate"]


def _share(waited_ns: NDArray[np.int64], wait_s: int) -> float:
    """Of all orders, how many had been filled after so long."""
    return float((waited_ns <= wait_s * NS).mean())


@pytest.mark.slow
def test_fills_of_orders_that_were_really_there(recorded: Mapping[str, Recorded]) -> None:
    tape = open_tape(recorded["bitstamp"].path)
    hour_ns, first_ns = 3_600 * NS, int(tape.group_venue_ns[0])
    found = truth(
        tape, from_ns=first_ns + hour_ns, split_ns=first_ns + 6 * hour_ns, until_ns=int(tape.group_venue_ns[-1])
    )
    assert found.scored > 2_500
    for model in found.models:
        assert model.skill > 0.9
        assert 0.9 <= model.slope <= 1.1
        assert abs(model.bias_pp) < 1.0
