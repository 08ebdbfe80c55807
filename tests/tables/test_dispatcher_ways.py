"""The dispatcher rules every wish, and records just those that the journal holds."""

from collections.abc import Callable, Sequence
from typing import get_args

from sor.commands import AnyWish, Recorded
from sor.decide import decide
from sor.dispatch import Dispatcher
from sor.events import AnyFact
from sor.router import Core


class _Still:
    """Time that stands still."""

    def now_ns(self) -> int:
        return 0

    def call_at(self, at_ns: int, action: Callable[[], object]) -> None:
        raise AssertionError((at_ns, action))


class _Nowhere:
    """A recorder that is never asked."""

    def append(self, records: Sequence[AnyFact | Recorded]) -> int:
        raise AssertionError(records)


def test_every_wish_has_a_way_and_the_recorded_ones_are_those_of_the_journal() -> None:
    core = Core(policies={}, schedules={}, decider=decide)
    ways = Dispatcher(core, scheduler=_Still(), recorder=_Nowhere())._ways
    assert set(ways) == set(get_args(AnyWish))
    assert {kind for kind, (_, when) in ways.items() if when.name == "RECORDED"} == set(get_args(Recorded))
