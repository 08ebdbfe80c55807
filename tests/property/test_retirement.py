"""Whether parents that are over leave working memory or stay: what is wished for, counted and reported is the same.

The machines of `test_machines` drive two cores with the same facts. One keeps everything; of the other every parent
that is over is retired with the next fact that comes later, so that whatever is late, comes twice or in another order
finds it so. All that may differ is the alarm that says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import msgspec
from hypothesis import settings

from sor.adapter import Capabilities
from sor.commands import Alarm, AnyWish, Recorded
from sor.decide import Recorded as RecordedDecisions
from sor.deciding import Decider
from sor.events import AnyFact, SessionStarted
from sor.orders import PositionSide
from sor.records import record_of
from sor.recovery import WISHES, fold
from sor.router import Core
from tests.fakes.bench import SURE, Bench, state_of
from tests.property.test_machines import Lawless, TestLawless, TruthfulButContrary

LEFT_TO_DECISIONS = ("memory", "retry_ns")


class TwinBench(Bench):
    """A bench whose facts go to a second core too, which retires."""

    def __init__(
        self,
        decider: Decider,
        *,
        capabilities: Capabilities = SURE,
        values: Mapping[str, str] | None = None,
    ) -> None:
        self.twin: Core | None = None
        self.tape: list[list[AnyFact | Recorded]] = []
        self.recalls = 0
        super().__init__(decider, capabilities=capabilities, values=values)

    def step(self, fact: AnyFact) -> list[AnyWish]:
        if self.twin is None:
            self.twin = Core(policies=self.policies, schedules=self.schedules, decider=self._decider)
        wishes = super().step(fact)
        told = msgspec.structs.replace(fact, retire_ns=1) if isinstance(fact, SessionStarted) else fact
        before = len(self.twin.parents.retired)
        made = self.twin.step(told)
        self.recalls += len(self.twin.parents.retired) < before
        self.tape.append([told, *(wish for wish in made if isinstance(wish, WISHES))])
        assert [wish for wish in made if not says_late(wish)] == wishes
        assert books_of(self.twin) == books_of(self.core)
        return wishes

    def restart(self, *, same_accounts: bool = False, after_ns: int = 0) -> list[AnyWish]:
        assert self.twin is not None
        again = fold(self.tape, policies=self.policies, schedules=self.schedules, decisions=RecordedDecisions())
        assert state_of(again) == state_of(self.twin)
        assert [*again.parents.retired] == [*self.twin.parents.retired]
        again.deciding.decider = self._decider
        self.twin = again
        return super().restart(same_accounts=same_accounts, after_ns=after_ns)

    def check_reports(self) -> None:
        """What callers are told of every parent is the same, to the bit."""
        assert self.twin is not None
        for parent, other in zip(self.core.parents, self.twin.parents, strict=True):
            assert record_of(parent, self.core) == record_of(other, self.twin)
            assert (parent.order, parent.status, repr(parent.ledger)) == (other.order, other.status, repr(other.ledger))


def says_late(wish: AnyWish) -> bool:
    return isinstance(wish, Alarm) and "was retired" in wish.text


def books_of(core: Core) -> list[object]:
    """Positions, what is open, and what was realised."""
    return [
        (key, book.positions, book.open_lots, book.reducing, book.filled_ns, book.halted, book.rejects, realised)
        for key, book in core.desk.books.items()
        for realised in [[_realised(book.realised.get(side)) for side in PositionSide]]
    ]


def _realised(one: object) -> list[object]:
    return [] if one is None else [getattr(one, name) for name in ("net_lots", "cost_lot_ticks", "atoms", "day")]


class TwinsTruthful(TruthfulButContrary):
    """Both cores at a venue that keeps its contract."""

    make: ClassVar[type[Bench]] = TwinBench

    def teardown(self) -> None:
        super().teardown()
        if hasattr(self, "venue"):
            assert isinstance(self.bench, TwinBench)
            self.bench.check_reports()


class TwinsLawless(Lawless):
    """Both cores at a venue that says whatever it likes, also of orders that are long over."""

    make: ClassVar[type[Bench]] = TwinBench

    def teardown(self) -> None:
        if hasattr(self, "bench"):
            assert isinstance(self.bench, TwinBench)
            self.bench.check_reports()


TestTwinsTruthful = TwinsTruthful.TestCase
TestTwinsTruthful.settings = settings(TestLawless.settings, max_examples=10)
TestTwinsLawless = TwinsLawless.TestCase
TestTwinsLawless.settings = settings(TestLawless.settings, max_examples=20)
del TestLawless  # its own module runs it
