"""Whether resting orders are filled as often as was predicted: a streaming test of a calibration by its outcomes.

Several bets are held against the prediction, some that fills are more frequent and some that they are rarer. A bet b
multiplies its stake by 1 + b (y - p) for an order that was predicted to be filled with probability p and was (y = 1) or
was not (y = 0); if p is right the stake does not grow on average, whatever came before and however p was chosen. One
that has fallen below 1 starts again at 1, so that a late change is seen as soon as an early one (e-CUSUM). The alarm
goes off when the mean of the stakes reaches `orders_per_false_alarm`: with right predictions that happens, on average,
no more often than once in so many orders (Shin, Ramdas, Rinaldo 2024, E-detectors).

What an order would have done that was withdrawn before its time is not known. Each bet takes the outcome that is worse
for it, so withdrawing what the market has left raises no alarm, and too much of it makes the watch blind.

Pure: it is fed with the records of a journal, live or later, and reads no clock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from sor.commands import Amend, Cancel, Decided, Place
from sor.dispatch import Recorder
from sor.events import Fact, Reported
from sor.ids import ClOrdId
from sor.journal.records import Record
from sor.orders import ExecType
from sor.policy import Rest

ORDERS_PER_FALSE_ALARM = 10_000
BETS = (-0.8, -0.4, -0.2, 0.2, 0.4, 0.8)
PREDICTION = "fill_probability"
"""The input of a decision by which its resting order is predicted to be filled whole before its time is over."""
_ENDED = (ExecType.CANCELED, ExecType.EXPIRED)


class FitWatch:
    """The test of one policy with one param-set.

    orders       that ended with a known outcome; `filled` of them whole, `expected` by the predictions.
    withdrawn    orders that ended before their time.
    evidence     mean of the stakes now; alarms: how often it has reached the bound, and then began anew.
    """

    def __init__(self, *, orders_per_false_alarm: float = ORDERS_PER_FALSE_ALARM) -> None:
        self._bound = orders_per_false_alarm
        self._stakes = [1.0] * len(BETS)
        self.orders = 0
        self.filled = 0
        self.expected = 0.0
        self.withdrawn = 0
        self.alarms = 0

    @property
    def evidence(self) -> float:
        """Mean of the stakes."""
        return sum(self._stakes) / len(BETS)

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
            self._stakes[at] = max(self._stakes[at], 1.0) * (1.0 + bet * (outcome - p))
        if self.evidence < self._bound:
            return False
        self.alarms += 1
        self._stakes = [1.0] * len(BETS)
        return True

    def told(self) -> str:
        """The numbers as a clause."""
        share, expected = (value / max(self.orders, 1) for value in (self.filled, self.expected))
        return (
            f"{share:.1%} of {self.orders} resting orders filled, {expected:.1%} predicted; "
            f"{self.withdrawn} withdrawn before their time"
        )


class _Open(msgspec.Struct):
    """An order that rests: its watch's key, the prediction, what is left, and whether its time is over."""

    key: tuple[str, str]
    probability: float
    left_lots: int
    expire_ns: int
    timed_out: bool = False


class FitWatches:
    """A watch for each policy and param-set in a stream of journal records, in their order."""

    def __init__(self, *, orders_per_false_alarm: float = ORDERS_PER_FALSE_ALARM) -> None:
        self._bound = orders_per_false_alarm
        self._now_ns = 0
        self._predicted: dict[int, tuple[tuple[str, str], float]] = {}
        self._open: dict[ClOrdId, _Open] = {}
        self.watches: dict[tuple[str, str], FitWatch] = {}

    def see(self, record: Record) -> str | None:
        """Take in one record. Returns the words of an alarm that it raises."""
        if isinstance(record, Fact):
            self._now_ns = record.now_ns
        if isinstance(record, Decided):
            self._decided(record)
        elif isinstance(record, Place):
            self._placed(record)
        elif isinstance(record, Amend):
            return self._ended(record.ref.cl_ord_id, filled=None)
        elif isinstance(record, Cancel):
            order = self._open.get(record.ref.cl_ord_id)
            if order is not None:
                order.timed_out = self._now_ns >= order.expire_ns
        elif isinstance(record, Reported):
            return self._reported(record)
        return None

    def _decided(self, record: Decided) -> None:
        self._predicted.pop(record.parent_no, None)
        if any(isinstance(placement, Rest) for placement in record.decision.placements):
            predicted = dict(record.decision.inputs).get(PREDICTION)
            if predicted is not None:
                self._predicted[record.parent_no] = ((record.by, record.set_id), predicted)

    def _placed(self, record: Place) -> None:
        if record.order.post_only and record.parent_no in self._predicted:
            key, probability = self._predicted.pop(record.parent_no)
            self._open[record.order.cl_ord_id] = _Open(key, probability, record.order.qty_lots, record.expire_ns)

    def _reported(self, record: Reported) -> str | None:
        report = record.report
        order = self._open.get(report.cl_ord_id)
        if order is None:
            return None
        if report.exec_type is ExecType.TRADE:
            order.left_lots -= report.last_lots
            return self._ended(report.cl_ord_id, filled=True) if order.left_lots <= 0 else None
        if report.exec_type in _ENDED:
            return self._ended(report.cl_ord_id, filled=False if order.timed_out else None)
        if report.exec_type is ExecType.REJECTED:
            del self._open[report.cl_ord_id]  # it never rested
        return None

    def _ended(self, order_id: ClOrdId, *, filled: bool | None) -> str | None:
        order = self._open.pop(order_id, None)
        if order is None:
            return None
        watch = self.watches.get(order.key)
        if watch is None:
            watch = self.watches[order.key] = FitWatch(orders_per_false_alarm=self._bound)
        if not watch.add(probability=order.probability, filled=filled):
            return None
        policy, set_id = order.key
        return (
            f"{policy} with param-set {set_id} does not predict fills well: {watch.told()} (at most one false alarm in "
            f"{self._bound:g} orders). Its orders go on as they are; calibrate the set anew, or name another one"
        )


class WatchedRecorder:
    """A journal's recorder whose records are also watched, once they are on disk."""

    def __init__(self, recorder: Recorder, watches: FitWatches, alarm: Callable[[str], None]) -> None:
        self._recorder = recorder
        self._watches = watches
        self._alarm = alarm

    def append(self, records: Sequence[Record]) -> int:
        """As the recorder itself; raises as it."""
        turn = self._recorder.append(records)
        for record in records:
            text = self._watches.see(record)
            if text is not None:
                self._alarm(text)
        return turn
