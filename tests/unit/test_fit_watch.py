"""The watch over a calibration: no more false alarms than it says, and an alarm when predictions are off."""

import json
import random
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import pytest

from sor.adapter import NewOrder, OrderRef
from sor.cli.main import run
from sor.commands import Amend, Cancel, Decided, Place
from sor.events import Reported, Woke
from sor.fit_watch import BETS, Doubt, Fit, FitWatch, FitWatches, WatchedRecorder
from sor.ids import ClOrdId
from sor.journal import Record
from sor.orders import ExecType, ExecutionReport, OrdType, Side, Tif
from sor.policy import Decision, Rest
from sor.reasons import TimeoutBound
from sor.revisit import Revisit
from sor.snapshot import Cause
from sor.units import NS
from tests.fakes.views import NOW_NS, SYMBOL, VENUE


def run_length(watch: FitWatch, rng: random.Random, *, told: float, true: float, most: int) -> int:
    """Orders until the alarm, at most `most`."""
    for number in range(1, most + 1):
        if watch.add(probability=told, filled=rng.random() < true):
            return number
    return most


def test_stakes_by_hand() -> None:
    watch = FitWatch()
    assert not watch.add(probability=0.75, filled=True)
    first = [1.0 + bet * 0.25 for bet in BETS]
    assert watch.evidence == pytest.approx(sum(first) / 6)
    watch.add(probability=0.5, filled=False)
    again = [max(stake, 1.0) * (1.0 - bet * 0.5) for stake, bet in zip(first, BETS, strict=True)]
    assert watch.evidence == pytest.approx(sum(again) / 6)
    assert (watch.orders, watch.filled, watch.expected, watch.withdrawn, watch.alarms) == (2, 1, 1.25, 0, 0)


def test_right_predictions_raise_no_more_alarms_than_stated() -> None:
    """Mean run length at least the bound; each run with predictions that change from order to order."""
    rng = random.Random(7)
    lengths = []
    for _ in range(100):
        watch, number, alarm = FitWatch(orders_per_false_alarm=20), 0, False
        while not alarm:
            number += 1
            told = rng.choice([0.1, 0.4, 0.7, 0.95])
            alarm = watch.add(probability=told, filled=rng.random() < told)
        lengths.append(number)
    assert sum(lengths) / len(lengths) > 20


@pytest.mark.parametrize(("told", "true"), [(0.7, 0.5), (0.5, 0.7), (0.9, 0.75)])
def test_wrong_predictions_are_found(told: float, true: float) -> None:
    rng = random.Random(11)
    lengths = [run_length(FitWatch(), rng, told=told, true=true, most=5_000) for _ in range(40)]
    assert sorted(lengths)[36] < 500


def test_a_late_change_is_found_as_soon_as_an_early_one() -> None:
    rng = random.Random(13)
    delays = []
    for _ in range(20):
        watch = FitWatch()
        for _ in range(2_000):
            watch.add(probability=0.7, filled=rng.random() < 0.7)
        delays.append(run_length(watch, rng, told=0.7, true=0.4, most=2_000))
    assert max(delays) < 200


@pytest.mark.parametrize("lucky", [False, True])
def test_withdrawing_orders_raises_no_alarm_whichever_they_are(lucky: bool) -> None:
    """Every second order that would (not) have been filled is withdrawn early: the filled share is far from p."""
    rng = random.Random(17)
    watch = FitWatch(orders_per_false_alarm=1_000)
    for _ in range(20_000):
        filled = rng.random() < 0.6
        assert not watch.add(probability=0.6, filled=None if filled is lucky and rng.random() < 0.5 else filled)
    assert abs(watch.filled / watch.orders - 0.6) > 0.1
    assert watch.withdrawn > 3_000


def test_after_an_alarm_it_begins_anew() -> None:
    watch = FitWatch(orders_per_false_alarm=100)
    rang = [watch.add(probability=0.9, filled=False) for _ in range(100)]
    assert watch.alarms == sum(rang) > 3
    assert rang.index(True) == rang[rang.index(True) + 1 :].index(True)
    assert watch.told() == "0.0% of 100 resting orders filled, 90.0% predicted; 0 withdrawn before their time"


# --- in a stream of records -------------------------------------------------------------------------------------------

EXPIRE_NS = NOW_NS + 10 * NS


def ref(order: str) -> OrderRef:
    return OrderRef(cl_ord_id=ClOrdId(order), symbol=SYMBOL)


def posted(order: str, *, predicted: float | None = 0.9, fitted: float = 1.0, by: str = "patient") -> list[Record]:
    """A decision to rest ten lots, and the order."""
    order_id = ClOrdId(order)
    rest = Rest(VENUE, 10, 100_000, EXPIRE_NS, TimeoutBound.FIXED)
    inputs = () if predicted is None else (("timeout_s", 10.0), ("fill_probability", predicted), ("fitted", fitted))
    decision = Decision(placements=(rest,), revisit=Revisit(), reason="rest", inputs=inputs)
    decided = Decided(
        parent_no=1,
        cause=Cause.START,
        by=by,
        set_id="fit/2026-01-02",
        params_digest="0123456789abcdef",
        open_lots=10,
        remaining_lots=10,
        decision=decision,
    )
    new = NewOrder(
        cl_ord_id=order_id,
        symbol=SYMBOL,
        side=Side.BUY,
        qty_lots=10,
        ord_type=OrdType.LIMIT,
        tif=Tif.GTC,
        price_ticks=100_000,
        post_only=True,
    )
    return [Woke(now_ns=NOW_NS, parent_no=1, market=False), decided, Place(1, 1, VENUE, new, EXPIRE_NS, 0, None)]


def report(order: str, exec_type: ExecType, *, lots: int = 0) -> list[Record]:
    told = ExecutionReport(
        venue=VENUE, symbol=SYMBOL, cl_ord_id=ClOrdId(order), exec_type=exec_type, last_lots=lots, last_ticks=100_000
    )
    return [Reported(now_ns=NOW_NS + NS, report=told, mid_hticks=0)]


def cancel(order: str, at_ns: int) -> list[Record]:
    return [Woke(now_ns=at_ns, parent_no=1, market=False), Cancel(1, VENUE, ref(order))]


FIT = Fit("patient", "fit/2026-01-02", "0123456789abcdef", fitted=True)


def counted(*records: list[Record]) -> tuple[int, int, int]:
    """(orders, filled, withdrawn) of the one watch, (0, 0, 0) without one."""
    watches = FitWatches()
    for record in chain(*records):
        assert watches.see(record) is None
    watch = watches.watches.get(FIT)
    return (0, 0, 0) if watch is None else (watch.orders, watch.filled, watch.withdrawn)


@pytest.mark.parametrize(
    ("then", "numbers"),
    [
        (report("a", ExecType.TRADE, lots=9), (0, 0, 0)),
        ([*report("a", ExecType.TRADE, lots=9), *report("a", ExecType.TRADE, lots=1)], (1, 1, 0)),
        ([*cancel("a", EXPIRE_NS), *report("a", ExecType.CANCELED)], (1, 0, 0)),
        ([*cancel("a", EXPIRE_NS - 1), *report("a", ExecType.CANCELED)], (0, 0, 1)),
        ([*cancel("a", EXPIRE_NS), *report("a", ExecType.TRADE, lots=10)], (1, 1, 0)),
        (report("a", ExecType.CANCELED), (0, 0, 1)),
        (report("a", ExecType.REJECTED), (0, 0, 0)),
        ([Amend(1, VENUE, ref("a"), 10, 100_001), *report("a", ExecType.TRADE, lots=10)], (0, 0, 1)),
        (report("another", ExecType.TRADE, lots=10), (0, 0, 0)),
    ],
)
def test_what_became_of_an_order_is_read_off_the_records(then: list[Record], numbers: tuple[int, int, int]) -> None:
    assert counted(posted("a"), then) == numbers
    assert counted(posted("a", predicted=None), then) == (0, 0, 0)


def test_the_alarm_is_told_once_the_records_are_on_disk() -> None:
    kept: list[Record] = []

    class Recorder:
        """Keeps what it is given."""

        def append(self, records: Sequence[Record]) -> int:
            kept.extend(records)
            return 7

    doubts: list[Doubt] = []
    watches = FitWatches(orders_per_false_alarm=5)
    recorder = WatchedRecorder(Recorder(), watches, doubts.append)
    orders = 0
    while not doubts:
        orders += 1
        turn = [*posted(f"o{orders}"), *cancel(f"o{orders}", EXPIRE_NS), *report(f"o{orders}", ExecType.CANCELED)]
        assert recorder.append(turn) == 7
    assert len(kept) == orders * 6
    (doubt,) = doubts
    assert (doubt.fit, doubt.orders, doubt.filled) == (FIT, orders, 0)
    assert doubt.expected == pytest.approx(0.9 * orders)
    assert doubt.text.startswith(
        f"patient with param-set fit/2026-01-02 does not predict fills well: 0.0% of {orders} resting orders filled, "
        "90.0% predicted; 0 withdrawn before their time (at most one false alarm in 5 orders)."
    )


def missed(watches: FitWatches, **how: object) -> list[Doubt]:
    """The doubts that ten orders raise which nobody fills."""
    return [
        doubt
        for number in range(10)
        for record in chain(
            posted(f"o{number}", **how),  # type: ignore[arg-type]
            cancel(f"o{number}", EXPIRE_NS),
            report(f"o{number}", ExecType.CANCELED),
        )
        if (doubt := watches.see(record)) is not None
    ]


def test_a_doubt_about_a_fit_waits_until_it_is_recorded() -> None:
    watches = FitWatches(orders_per_false_alarm=5)
    doubts = missed(watches)
    assert watches.unrecorded == {FIT: doubts[-1]}
    assert watches.see(doubts[0].fact(NOW_NS)) is None
    assert watches.unrecorded == {}


def test_what_nobody_has_fitted_is_told_and_no_more() -> None:
    watches = FitWatches(orders_per_false_alarm=5)
    doubt = missed(watches, fitted=0.0)[0]
    assert (doubt.fit.fitted, watches.unrecorded) == (False, {})
    assert doubt.text.endswith("It was not fitted, and its orders go on as they are; calibrate a set for this market")


def test_what_an_exploring_policy_does_by_itself_is_its_policys() -> None:
    watches = FitWatches(orders_per_false_alarm=5)
    assert missed(watches, by="explore:patient")[0].fit == FIT


@pytest.mark.slow
def test_the_outcomes_of_a_journal_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["demo", "--parents", "3", "--policies", "cost_aware,cross", "--runs", str(tmp_path)]) == 0
    capsys.readouterr()
    (resting,), (crossing,) = (list(tmp_path.glob(f"*/{name}")) for name in ("cost_aware", "cross"))
    assert run(["params", "outcomes", str(resting)]) == 0
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith("cost_aware with baseline/2026-11-21 (not fitted): ")
    assert last == "No alarm."
    assert run(["params", "outcomes", str(crossing), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"fits": [], "alarms": []}
