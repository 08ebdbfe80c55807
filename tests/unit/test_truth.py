"""What queue models say of orders that were really there: by hand, and on a queue whose law is known."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from sor.cli.main import run
from sor.errors import CallerError
from sor.lab.columns import columns_of
from sor.lab.order_hits import NEVER
from sor.lab.truth import FITTED, RealOrders, Truth, real_orders, truth
from sor.tape import OrderKind, Tape, save_tape
from sor.units import NS
from tests.fakes.tapes import Group, Ordered, Traded, tape_of

BID, ASK = 999, 1_001
NEW, CHANGED, GONE = (int(kind) for kind in OrderKind)
HOUR_NS = 3_600 * NS


class Queue:
    """One bid price with every order by its id, first in first out, told event by event."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.rest: dict[int, int] = {}
        self.groups = [Group(1, 1, ((1, BID - 1, 50), (-1, ASK, 50)), True)]
        self.trades: list[Traded] = []
        self.told: list[Ordered] = []
        self._last_id = 0

    def after(self, ns: int) -> Queue:
        self.now_ns += ns
        return self

    def place(self, lots: int) -> int:
        self._last_id += 1
        self.rest[self._last_id] = lots
        self._tell(NEW, self._last_id, lots)
        return self._last_id

    def cancel(self, order_id: int) -> None:
        self._tell(GONE, order_id, self.rest.pop(order_id))

    def sell(self, lots: int) -> None:
        """Somebody takes from the bid, as far as it goes."""
        lots = min(lots, sum(self.rest.values()))
        if not lots:
            return
        self.trades.append(Traded(self.now_ns, self.now_ns, -1, BID, lots))
        for order_id in list(self.rest):
            taken = min(lots, self.rest[order_id])
            lots -= taken
            self.rest[order_id] -= taken
            if not self.rest[order_id]:
                del self.rest[order_id]
                self._tell(GONE, order_id, 0)
            elif taken:
                self._tell(CHANGED, order_id, self.rest[order_id])
            if not lots:
                return

    def tape(self) -> Tape:
        return tape_of(self.groups, self.trades, self.told)

    def _tell(self, kind: int, order_id: int, lots: int) -> None:
        self.told.append(Ordered(self.now_ns, kind, order_id, 1, BID, lots))
        group = Group(self.now_ns, self.now_ns, ((1, BID, sum(self.rest.values())),))
        if self.groups[-1].venue_ns == self.now_ns:
            self.groups[-1] = group
        else:
            self.groups.append(group)


def busy(seed: int, *, events: int) -> Queue:
    """Arrivals, cancels of anybody alike and sales at random: a cancel comes from behind in proportion to what is."""
    rng, queue = np.random.default_rng(seed), Queue()
    queue.after(NS).place(4)
    for _ in range(events):
        queue.after(int(rng.integers(1, NS)))
        kind = rng.random()
        if kind < 0.42 or len(queue.rest) < 3:
            queue.place(int(rng.integers(1, 6)))
        elif kind < 0.75:
            queue.cancel(int(rng.choice(list(queue.rest))))
        else:
            queue.sell(int(rng.integers(1, 8)))
    return queue


def orders_of(tape: Tape, *, from_ns: int, until_ns: int) -> RealOrders:
    columns = columns_of(tape, group_local_ns=tape.group_venue_ns, trade_local_ns=tape.trade_venue_ns)
    return real_orders(tape, columns, from_ns=from_ns, until_ns=until_ns, horizon_s=60.0)


def scored(queue: Queue, *, horizon_s: float = 60.0) -> Truth:
    end_ns = queue.now_ns + 1
    return truth(queue.tape(), from_ns=0, split_ns=end_ns // 3, until_ns=end_ns, horizon_s=horizon_s)


def test_who_counts_and_what_became_of_him() -> None:
    queue = Queue()
    first = queue.after(NS).place(3)
    second = queue.after(NS).place(5)
    queue.told.append(Ordered(queue.now_ns, NEW, 90, 1, BID - 1, 2))  # behind the touch
    queue.told.append(Ordered(queue.now_ns, NEW, 91, 1, ASK, 2))  # takes
    queue.after(NS).sell(4)  # the first whole, one of the second
    queue.after(NS).cancel(second)
    queue.told.append(Ordered(queue.now_ns, GONE, 77, 1, BID, 0))  # told of before its create
    queue.told.append(Ordered(queue.now_ns, NEW, 77, 1, BID, 1))
    found = orders_of(queue.tape(), from_ns=0, until_ns=9 * NS)
    assert (found.orders.arrived_ns + 1).tolist() == [1 * NS, 2 * NS]
    assert found.orders.lots.tolist() == [3, 5]
    assert found.filled_ns.tolist() == [3 * NS, NEVER]
    assert found.orders.until_ns.tolist() == [
        4 * NS,
        4 * NS,
    ]  # a filled one would have stayed, up to the recording's end
    assert found.sizes[1] == ((2 * NS, 5), (3 * NS, 4), (4 * NS, 0))
    assert first == 1


def test_own_size_is_taken_out_and_the_order_put_back_behind_what_was_displayed() -> None:
    """Ten ahead, of which six are cancelled: 4 ahead in truth, and sales of 4 and 2 fill it at the second.

    Three are behind it, so the level that is left could hold more than the four, and the models differ.
    """
    queue = Queue()
    ahead = queue.after(NS).place(6)
    queue.after(NS).place(4)
    queue.after(NS).place(2)  # the one that is judged last
    queue.after(NS).place(3)
    queue.after(NS).cancel(ahead)
    queue.after(NS).sell(4)
    queue.after(NS).sell(2)  # in truth it fills here, at 7 s
    queue.after(NS).sell(3)
    queue.after(NS).place(1)
    tape = queue.tape()
    found = orders_of(tape, from_ns=3 * NS, until_ns=3 * NS + 1)
    assert found.filled_ns.tolist() == [7 * NS]
    judged = truth(tape, from_ns=0, split_ns=3 * NS, until_ns=3 * NS + 1, horizon_s=4.0)
    filled_by_then = {model.queue: (model.said, model.happened) for model in judged.models}
    # 10 ahead, 13 without itself; 7 left: risk-averse keeps 7 ahead, which takes both sales and one of the third.
    assert filled_by_then["risk_averse"] == (0.0, 1.0)
    # Moderate: 6 gone with 10 ahead and 3 behind; of the power law 100/109 from ahead, no more than fits behind.
    assert filled_by_then["moderate"] == (1.0, 1.0)


def test_a_queue_of_which_anybody_leaves_alike_is_the_power_law_of_one() -> None:
    found = scored(busy(4, events=6_000), horizon_s=10.0)
    by_name = {model.queue: model for model in found.models}
    careful, alike, fitted = by_name["risk_averse"], by_name["power"], by_name[FITTED]
    assert careful.bias_pp < -5.0  # it waits longer than anybody did
    assert abs(alike.bias_pp) < 2.0
    assert found.exponent is not None
    assert found.exponent <= 1.5
    assert fitted.brier < careful.brier
    assert fitted.skill > 0.6
    assert fitted.slope > careful.slope
    assert fitted.log_score > careful.log_score
    assert fitted.calibration_error_pp < careful.calibration_error_pp
    assert fitted.orders == careful.orders
    assert sum(size for size, _, _ in fitted.curve) == fitted.orders
    for size, said, happened in fitted.curve:
        assert size < 50 or abs(said - happened) < 0.1


def test_where_everybody_waits_alone_every_model_is_right() -> None:
    queue = Queue()
    for _ in range(30):
        order = queue.after(NS).place(2)
        queue.after(NS).sell(2)
        assert order not in queue.rest
        stays = queue.after(NS).place(1)
        queue.after(3 * NS).cancel(stays)
    found = scored(queue, horizon_s=1.0)
    assert found.exponent is None  # nothing tells one from another
    for model in found.models:
        assert (model.brier, model.bias_pp, model.calibration_error_pp) == (0.0, 0.0, 0.0)
        assert model.slope == pytest.approx(1.0)
        assert model.skill == 1.0
        assert model.log_score == pytest.approx(math.log(0.99))


def test_the_command_tells_programs_and_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tape = tmp_path / "tape"
    save_tape(busy(4, events=1_500).tape(), tape, source=(), importer="test", findings=())
    assert run(["truth", str(tape), "--horizon", "10s", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["orders"] > 0
    assert {"risk_averse", "moderate", FITTED} <= {model["queue"] for model in found["models"]}
    for model in found["models"]:
        assert {"queue", "bias_pp", "calibration_error_pp", "brier", "log_score"} <= model.keys()
        assert 0.0 <= model["brier"] <= 1.0
    assert run(["truth", str(tape), "--horizon", "10s"]) == 0
    assert f"{found['orders']:,} orders at or inside the touch, scored by 10 s" in capsys.readouterr().out


def test_what_cannot_be_judged_is_refused() -> None:
    queue = busy(4, events=50)
    with pytest.raises(CallerError, match="does not have every order"):
        truth(tape_of(queue.groups, queue.trades), from_ns=0, split_ns=1, until_ns=2)
    with pytest.raises(CallerError, match="nobody placed an order at the touch"):
        truth(queue.tape(), from_ns=0, split_ns=HOUR_NS, until_ns=2 * HOUR_NS)
