"""The caretaker's rounds in virtual time: a venue that refuses a question is asked again, and stops nobody."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from sor.adapter import AccountState, Capabilities, DeadMan, OpenOrder
from sor.caretaker import Caretaker
from sor.commands import Alarm
from sor.decide import decide
from sor.dispatch import Dispatcher
from sor.errors import CallerError, InDoubt, NotSent, SorError, VenueFault
from sor.router import Core
from sor.settings import Settings
from sor.sim.lives import Tape
from sor.sim.loop import VirtualLoop
from sor.sim.world import VirtualScheduler, at_once
from sor.units import NS
from venues.simulated.adapter import SimulatedVenue
from venues.simulated.options import read


class Sulking(SimulatedVenue):
    """Answers no question while `mood` is set."""

    def __init__(self) -> None:
        super().__init__(read({"seed": "1"}))
        self.mood: SorError | None = None
        self.scope = DeadMan.ACCOUNT
        self.armed = 0

    @property
    def capabilities(self) -> Capabilities:
        return msgspec.structs.replace(super().capabilities, dead_man=self.scope)

    async def account(self) -> AccountState:
        self._sulk()
        return await super().account()

    async def open_orders(self) -> tuple[OpenOrder, ...]:
        self._sulk()
        return await super().open_orders()

    async def arm_dead_man(self, timeout_s: float) -> None:
        self._sulk()
        self.armed += 1

    def _sulk(self) -> None:
        if self.mood is not None:
            raise self.mood


class Rounds:
    """A caretaker of one venue, and the loop it lives on."""

    def __init__(self) -> None:
        self.time = VirtualScheduler(1_760_000_000 * NS)
        self.loop = VirtualLoop(self.time)
        self.alarms: list[Alarm] = []
        core = Core(policies={}, schedules={}, decider=decide)
        dispatcher = Dispatcher(core, scheduler=self.time, recorder=Tape(), horizons_ns=())
        self.venue = Sulking()
        at_once(self.venue.connect(dispatcher.sink(self.venue), self.time))
        self.care = Caretaker(
            core,
            dispatcher,
            settings=Settings(journal=Path("none"), reconcile_s=7.0, dead_man_s=30.0),
            adapters=(self.venue,),
            alarm=self.alarms.append,
            listener=None,
        )


@pytest.fixture
def rounds() -> Iterator[Rounds]:
    rounds = Rounds()
    yield rounds
    rounds.loop.close()


@pytest.mark.parametrize("mood", [CallerError("refused"), NotSent("lost"), InDoubt("cut"), VenueFault("nonsense")])
def test_a_venue_that_does_not_answer_is_asked_again(rounds: Rounds, mood: SorError) -> None:
    """A refusal too: it ended the router, and with it every parent's work."""
    reconciled = rounds.loop.create_task(rounds.care.keep_reconciled())
    armed = rounds.loop.create_task(rounds.care.keep_dead_man(rounds.venue))
    rounds.venue.mood = mood
    rounds.time.run_until(rounds.time.now_ns() + 11 * NS)
    rounds.venue.mood = None
    rounds.time.run_until(rounds.time.now_ns() + 10 * NS)
    assert not reconciled.done()
    assert not armed.done()
    assert rounds.venue.armed == 1
    assert [alarm.text for alarm in rounds.alarms] == [
        f"open orders and fills were not reconciled: {mood}",
    ]


def test_positions_that_are_refused_are_not_known(rounds: Rounds) -> None:
    rounds.venue.mood = CallerError("refused")
    learned = rounds.loop.create_task(rounds.care.learn_positions(rounds.venue))
    rounds.time.run_until(rounds.time.now_ns() + NS)
    assert learned.result() is False


@pytest.mark.parametrize(
    ("scope", "says"),
    [
        (DeadMan.NONE, "has no dead-man's switch; nothing was started"),
        (
            DeadMan.ACCOUNT,
            r"cancels orders of others too \(account\); nothing was started. Declare the account exclusive",
        ),
        (DeadMan.PER_SYMBOL, r"cancels orders of others too \(per_symbol\)"),
    ],
)
def test_a_switch_that_is_not_there_or_not_ours_alone_is_refused(rounds: Rounds, scope: DeadMan, says: str) -> None:
    rounds.venue.scope = scope
    with pytest.raises(CallerError, match=says):
        at_once(rounds.care.arm_dead_man(rounds.venue))
    assert rounds.venue.armed == 0
    rounds.venue.scope = DeadMan.TAG
    at_once(rounds.care.arm_dead_man(rounds.venue))
    assert rounds.venue.armed == 1
