"""The dead-man's switch on emulated BingX, in virtual time: it fires for a dead router and never for a living one."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest

from sor.caretaker import Caretaker
from sor.commands import Alarm
from sor.errors import JournalFault
from sor.ids import ParentId
from sor.orders import ParentOrder, Side
from sor.parent import Parent
from sor.settings import Settings
from sor.sim.disk import Disk
from sor.sim.lives import StackLife
from sor.sim.world import VirtualScheduler
from sor.units import NS
from venues.bingx.emulator.rig import BingxRig
from venues.bingx.emulator.settings import ONE_WAY

DEAD_MAN_S = 10.0
COUNTDOWN = "on=POST /openApi/swap/v2/trade/cancelAllAfter"


class OneWay(Random):
    """Draws the first of everything: the account in one-way mode, no delays."""

    def choice(self, seq):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201
        return seq[0]


class Watched:
    """A router with a switch: a `Ground` for its process."""

    def __init__(self, folder: Path, *, first_s: float = 5.0) -> None:
        self.clock = VirtualScheduler(1_760_000_000 * NS)
        self.disk = Disk(Random(1))
        self.alarms: list[Alarm] = []
        self.crashes: list[str] = []
        self.rig = BingxRig(seed=1, draw=OneWay(1), scheduler=self.clock, folder=folder / "rig")
        self.router_settings = Settings(journal=folder / "journal", dead_man_s=DEAD_MAN_S, exclusive=True)
        self.life = StackLife(self)
        assert self.life.start() is None
        self.life.market()
        self.wait(first_s)

    def wait(self, duration_s: float) -> None:
        self.clock.run_until(self.clock.now_ns() + round(duration_s * NS))
        assert self.crashes == []

    def rest(self) -> Parent:
        """An order far below the market."""
        order = ParentOrder(
            parent_id=ParentId("rest"),
            symbol="BTC-USDT",
            side=Side.BUY,
            quantity=Decimal("0.01"),
            limit=Decimal(50_000),
            policy="plain_limit",
            deadline_s=1_000.0,
        )
        self.life.submit(order)
        self.wait(0.4)
        assert self.resting == 1
        return self.life.core.parents[0]

    def break_journal(self) -> None:
        """Nothing can be recorded any more."""
        session = self.life.router._session
        assert session is not None
        session.dispatcher.fault = JournalFault("no space left on the disk")

    @property
    def resting(self) -> int:
        """By the venue's books."""
        return sum(1 for order in self.rig.books().orders if order.leaves_lots)

    def is_armed(self) -> bool:
        return self.rig.app.exchange.accounts[ONE_WAY.name].trigger_ms > 0


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    watched = Watched(tmp_path)
    yield watched
    watched.life.kill()


def test_it_is_armed_while_something_rests_and_no_longer(watched: Watched) -> None:
    assert not watched.is_armed()  # it was at the start, which showed that it can be
    parent = watched.rest()
    assert watched.is_armed()
    watched.life.cancel(parent.id)
    watched.wait(DEAD_MAN_S / 3 + 1.0)
    assert (watched.resting, watched.is_armed()) == (0, False)


def test_it_fires_when_the_router_dies(watched: Watched) -> None:
    watched.rest()
    watched.life.kill()
    watched.wait(DEAD_MAN_S * 2 / 3 - 1.0)
    assert watched.resting == 1
    watched.wait(DEAD_MAN_S / 3 + 2.0)
    assert watched.resting == 0


def test_it_is_armed_to_fire_for_what_came_to_rest_just_before_a_fault(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Caretaker, "heard", lambda self, parent: None)  # the beat alone would arm it
    watched.rest()
    assert not watched.is_armed()
    watched.break_journal()
    watched.wait(DEAD_MAN_S / 3 + 1.0)
    assert watched.is_armed()
    watched.wait(DEAD_MAN_S)
    assert watched.resting == 0


def test_it_is_armed_to_fire_by_a_router_that_ends_on_a_fault(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Caretaker, "heard", lambda self, parent: None)
    watched.rest()
    assert not watched.is_armed()
    watched.break_journal()
    watched.life.leave()
    (why,) = watched.crashes
    assert "InDoubt: left with 1 orders not confirmed gone" in why
    assert watched.is_armed()


def test_it_covers_the_first_order_of_a_process_that_dies_at_once(tmp_path: Path) -> None:
    """The start has armed it; taken back at once, it would be armed again only after BingX's second."""
    watched = Watched(tmp_path, first_s=1.2)
    watched.rest()
    assert watched.is_armed()
    watched.life.kill()
    watched.wait(DEAD_MAN_S + 1.0)
    assert watched.resting == 0


@pytest.mark.parametrize(
    "faults",
    [
        (f"answer-late=ms=4000,{COUNTDOWN}",),
        (f"answer-never=count=2,{COUNTDOWN}",),
        (f"refuse=code=101400,count=2,{COUNTDOWN}",),
        ("drop-sockets=which=account", "refuse-socket=which=account,for_ms=20000"),
    ],
    ids=["slow answers", "lost answers", "refusals", "reconnects"],
)
def test_it_never_fires_for_a_living_router(watched: Watched, faults: tuple[str, ...]) -> None:
    watched.rest()
    for fault in faults:
        watched.rig.app.switch(fault)
    for _ in range(60):
        watched.wait(1.0)
        assert (watched.resting, watched.is_armed()) == (1, True)
    said = [alarm.text for alarm in watched.life.alarms() if "was not renewed, and is asked again" in alarm.text]
    assert bool(said) is any(fault.startswith("refuse=") for fault in faults)
