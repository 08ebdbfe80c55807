"""What a policy from anywhere may not do to the router: it ends its own parent, and nothing else."""

from decimal import Decimal

import msgspec
import pytest

from sor.decide import decide
from sor.ids import ParentId, VenueName
from sor.orders import ParentOrder, Side
from sor.params import Params
from sor.parent import Parent
from sor.policy import POLICY_FAULT, Decision, Rest
from sor.reasons import TimeoutBound
from sor.revisit import Revisit, Trigger
from sor.snapshot import View
from tests.fakes.views import BASELINE, INSTRUMENT, NOW_NS, VENUE, view

SOUND = Decision(placements=(), revisit=Revisit(), reason="any")
PARENT = Parent(
    no=1,
    order=ParentOrder(parent_id=ParentId("p"), symbol="BTCUSDT", side=Side.BUY, quantity=Decimal(1)),
    intent=None,
    venue=VenueName("acme"),
    instrument=INSTRUMENT,
    set_name="baseline",
    now_ns=NOW_NS,
)


class Wild:
    """Answers whatever it was given to answer."""

    name = "wild"
    needs: tuple[str, ...] = ()

    def __init__(self, answer: object) -> None:
        self.answer = answer

    def decide(self, seen: View, params: Params) -> Decision:
        del seen, params
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer  # type: ignore[return-value]  # that is the point


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (ZeroDivisionError("division by zero"), "ZeroDivisionError: division by zero"),
        (None, "Expected `array`"),
        (msgspec.structs.replace(SOUND, placements=(5,)), "Expected"),
        (
            msgspec.structs.replace(SOUND, placements=(Rest(VENUE, 1.5, 100, NOW_NS, TimeoutBound.NONE),)),  # type: ignore[arg-type]
            "Expected `int`",
        ),
        (msgspec.structs.replace(SOUND, revisit=Revisit(triggers=(Trigger("mood", above=True, level=1.0),))), "'mood'"),
        (
            msgspec.structs.replace(SOUND, revisit=Revisit(best_moved_ticks=-1)),
            "moved -1 ticks would ask again",
        ),
    ],
)
def test_nonsense_is_the_fault_of_its_policy(answer: object, words: str) -> None:
    decision, vetoes = decide(PARENT, Wild(answer), view(), BASELINE)
    assert (decision.placements, decision.reason, vetoes) == ((), POLICY_FAULT, ())
    assert decision.note.startswith("policy 'wild' raised ")
    assert words in decision.note


def test_a_sound_answer_is_taken_as_it_is() -> None:
    moved = msgspec.structs.replace(SOUND, revisit=Revisit(best_moved_ticks=1), admissible=("rest", "take"))
    assert decide(PARENT, Wild(moved), view(), BASELINE) == (msgspec.structs.replace(moved, regime="calm"), ())
