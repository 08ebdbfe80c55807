"""Whether resting orders are filled as often as was predicted: a streaming test of a calibration by its outcomes.

Several bets are held against the prediction, some that fills are more frequent and some that they are rarer. A bet b
multiplies its stake by 1 + b (y - p) for an order that was predicted to be filled with probability p and was (y = 1) or
was not (y = 0); if p is right the stake does not grow on average, whatever came before and however p was chosen. One
that has fallen below 1 starts again at 1, so that a late change is seen as soon as an early one (e-CUSUM). The alarm
goes off when the mean of the stakes reaches `orders_per_false_alarm`: with right predictions that happens, on average,
no more often than once in so many orders (Shin, Ramdas, Rinaldo 2024, E-detectors).

What an order would have done that was withdrawn before its time is not known. Each bet takes the outcome that is worse
for it, so withdrawing what the market has left raises no alarm, and too much of it makes the watch blind.

An alarm about fitted models acts: the router records it as a fact (`FitContradicted`), and from then on the invariants
let nothing new rest by that fit. One about an estimate that nobody has fitted only tells. What an exploring policy does
by itself counts as its policy's.

Pure: it is fed with the records of a journal, live or later, and reads no clock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from sor.commands import Amend, Cancel, Decided, Place
from sor.dispatch import Recorder
from sor.events import Fact, FitContradicted, Reported
from sor.explore import PREFIX
from sor.ids import ClOrdId
from sor.journal.records import Record
from sor.orders import ExecType
from sor.policy import Rest

ORDERS_PER_FALSE_ALARM = 10_000
BETS = (-0.8, -0.4, -0.2, 0.2, 0.4, 0.8)
PREDICTION = "fill_probability"
"""The input of a decision by which its resting order is predicted to be filled whole before its time is over."""
FITTED = "fitted"
"""The input of a decision that is above 0 where that prediction is by models of the set, fitted for this market."""
_ENDED = (ExecType.CANCELED, ExecType.EXPIRED)


class Fit(NamedTuple):
    """What predicts: a policy, with a set of that content; by models of the set, or by what nobody has fitted."""

    policy: str
    set_id: str
    digest: str
    fitted: bool


class Doubt(msgspec.Struct, frozen=True):
    """Outcomes contradict a fit, with the numbers of its watch (`FitWatch`) and all of it in words."""

    fit: Fit
    orders: int
    filled: int
    expected: float
    text: str

    def fact(self, now_ns: int) -> FitContradicted:
        """As the journal has it."""
        fit = self.fit
        return FitContradicted(
            now_ns=now_ns,
            policy=fit.policy,
            set_id=fit.set_id,
            digest=fit.digest,
            orders=self.orders,
            filled=self.filled,
            expected=self.expected,
            text=self.text,
        )


class FitWatch:
    """The test of one fit.

    orders       that ended with a known outcome; `filled` of them whole, `expected` by the predictions.
    withdrawn    orders that ended before their time.
    evidence     mean of the stakes now; alarms: how often it has reached the bound, and then began anew.
    """

    def __init__(self, *, orders_per_false_alarm: float = ORDERS_PER_FALSE_ALARM) -> None:
        self._bound = orders_per_false_alarm
        self.stakes = [1.0] * len(BETS)
        self.orders = 0
        self.filled = 0
        self.expected = 0.0
        self.withdrawn = 0
        self.alarms = 0

    @property
    def evidence(self) -> float:
        """Mean of the stakes."""
        return sum(self.stakes) / len(BETS)

    def add(self, *, probability: float, filled: bool | None) -> bool:
        """One order that ended; `filled` is None for one that was withdrawn. Returns whether the alarm goes off."""
        p = min(max(probability, 0.0), 1.0)
        if filled is None:
            self.withdrawn += 1
        else:
            self.orders += 1
            self.filled += filled
            self.expected += p
        for at, bet in enumerate(BETS):
            outcome = bet < 0.0 if filled is None else filled  # the worse one for this bet
            self.stakes[at] = max(self.stakes[at], 1.0) * (1.0 + bet * (outcome - p))
        if self.evidence < self._bound:
            return False
        self.alarms += 1
        self.stakes = [1.0] * len(BETS)
        return True

    def told(self) -> str:
        """The numbers as a clause."""
        share, expected = (value / max(self.orders, 1) for value in (self.filled, self.expected))
        return (
            f"{share:.1%} of {self.orders} resting orders filled, {expected:.1%} predicted; "
            f"{self.withdrawn} withdrawn before their time"
        )


class OpenOrder(msgspec.Struct):
    """An order that rests: by which fit, the prediction, what is left, and whether its time is over."""

    fit: Fit
    probability: float
    left_lots: int
    expire_ns: int
    timed_out: bool = False


class FitWatches:
    """A watch for each fit in a stream of journal records, in their order.

    unrecorded    doubts about fitted models which no record has told yet.
    """

    def __init__(self, *, orders_per_false_alarm: float = ORDERS_PER_FALSE_ALARM) -> None:
        self._bound = orders_per_false_alarm
        self.now_ns = 0
        self.predicted: dict[int, tuple[Fit, float]] = {}
        self.open: dict[ClOrdId, OpenOrder] = {}
        self.watches: dict[Fit, FitWatch] = {}
        self.unrecorded: dict[Fit, Doubt] = {}

    def see(self, record: Record) -> Doubt | None:
        """Take in one record. Returns the doubt that it raises."""
        if isinstance(record, Fact):
            self.now_ns = record.now_ns
        if isinstance(record, Decided):
            self._decided(record)
        elif isinstance(record, Place):
            self._placed(record)
        elif isinstance(record, Amend):
            return self._ended(record.ref.cl_ord_id, filled=None)
        elif isinstance(record, Cancel):
            order = self.open.get(record.ref.cl_ord_id)
            if order is not None:
                order.timed_out = self.now_ns >= order.expire_ns
        elif isinstance(record, Reported):
            return self._reported(record)
        elif isinstance(record, FitContradicted):
            self.unrecorded.pop(Fit(record.policy, record.set_id, record.digest, fitted=True), None)
        return None

    def _decided(self, record: Decided) -> None:
        self.predicted.pop(record.parent_no, None)
        if any(isinstance(placement, Rest) for placement in record.decision.placements):
            inputs = dict(record.decision.inputs)
            predicted = inputs.get(PREDICTION)
            if predicted is not None:
                policy = record.by.removeprefix(PREFIX)
                fit = Fit(policy, record.set_id, record.params_digest, inputs.get(FITTED, 0.0) > 0.0)
                self.predicted[record.parent_no] = fit, predicted

    def _placed(self, record: Place) -> None:
        if record.order.post_only and record.parent_no in self.predicted:
            fit, probability = self.predicted.pop(record.parent_no)
            self.open[record.order.cl_ord_id] = OpenOrder(fit, probability, record.order.qty_lots, record.expire_ns)

    def _reported(self, record: Reported) -> Doubt | None:
        report = record.report
        order = self.open.get(report.cl_ord_id)
        if order is None:
            return None
        if report.exec_type is ExecType.TRADE:
            order.left_lots -= report.last_lots
            return self._ended(report.cl_ord_id, filled=True) if order.left_lots <= 0 else None
        if report.exec_type in _ENDED:
            return self._ended(report.cl_ord_id, filled=False if order.timed_out else None)
        if report.exec_type is ExecType.REJECTED:
            del self.open[report.cl_ord_id]  # it never rested
        return None

    def _ended(self, order_id: ClOrdId, *, filled: bool | None) -> Doubt | None:
        order = self.open.pop(order_id, None)
        if order is None:
            return None
        fit = order.fit
        watch = self.watches.get(fit)
        if watch is None:
            watch = self.watches[fit] = FitWatch(orders_per_false_alarm=self._bound)
        if not watch.add(probability=order.probability, filled=filled):
            return None
        follows = (
            "Nothing new rests by it: calibrate the set anew, name another one, or say that it is to be trusted all "
            "the same (`--trust-fit`, `Router.trust_fit`)"
            if fit.fitted
            else "It was not fitted, and its orders go on as they are; calibrate a set for this market"
        )
        text = (
            f"{fit.policy} with param-set {fit.set_id} does not predict fills well: {watch.told()} (at most one false "
            f"alarm in {self._bound:g} orders). {follows}"
        )
        doubt = Doubt(fit, watch.orders, watch.filled, watch.expected, text)
        if fit.fitted:
            self.unrecorded[fit] = doubt
        return doubt


class WatchedRecorder:
    """A journal's recorder whose records are also watched, once they are on disk."""

    def __init__(self, recorder: Recorder, watches: FitWatches, doubt: Callable[[Doubt], None]) -> None:
        self._recorder = recorder
        self._watches = watches
        self._doubt = doubt

    def append(self, records: Sequence[Record]) -> int:
        """As the recorder itself; raises as it."""
        turn = self._recorder.append(records)
        for record in records:
            doubt = self._watches.see(record)
            if doubt is not None:
                self._doubt(doubt)
        return turn
