"""A venue falls silent, in each of its ways: noticed within a bound, nothing risked meanwhile, and over by itself.

Router, adapter and emulated BingX in virtual time. The bounds are those of the table in docs/reliability.md.
"""

from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from sor.events import CancelAsked, VenueDown
from sor.lookout import Lookout
from sor.orders import ParentStatus
from sor.units import NS
from tests.scenarios.test_bingx_router import Desk

pytestmark = pytest.mark.anyio
HELD_S = 24
"""How long each silence lasts."""
FILLED_S = 20.0
"""A parent that waited is filled this long after all is well: what was in doubt has to be settled first."""


@pytest.fixture
def anyio_backend() -> str:
    """In virtual time no loop matters."""
    return "asyncio"


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One way to fall silent.

    begins, within_s    what an alarm says, and how soon. over, again_s: what one says in the end, and how soon after.
    down_s              how soon the link counts as down, None where it goes on standing.
    blind               nothing may be placed meanwhile, and what rested is withdrawn.
    cut                 the venue cannot be reached, so that cancels wait as well.
    """

    on: tuple[str, ...]
    off: tuple[str, ...]
    begins: str = ""
    within_s: float = 0.0
    over: str = ""
    again_s: float = 10.0
    down_s: float | None = None
    blind: bool = False
    cut: bool = False


CASES = {
    "a market socket that stands and says nothing": Case(
        on=("market-silent",),
        off=("-market-silent",),
        begins="has said nothing for",
        within_s=9.0,
        over="is sound again",
        again_s=3.0,
        blind=True,
    ),
    "a market socket that acknowledges nothing either": Case(
        on=("zombie=which=market",),
        off=("-zombie",),
        begins="has said nothing for",
        within_s=9.0,
        over="is sound again",
        again_s=40.0,
        blind=True,
    ),
    "a half-open account socket": Case(
        on=("zombie=which=account", "no-ping=which=account"), off=("-zombie",), down_s=15.6
    ),
    "sockets that end, and none comes about": Case(
        on=("drop-sockets", "refuse-socket"),
        off=("-refuse-socket",),
        begins="has been away for 5 s",
        within_s=5.2,
        over="is back after",
        again_s=35.0,
        down_s=0.2,
        blind=True,
    ),
    "listen keys that expire": Case(on=("expire-listen-keys",), off=(), down_s=0.2),
    "a paused contract": Case(
        on=("symbol-paused=symbol=BTC-USDT",),
        off=("-symbol-paused",),
        begins="has said nothing for",
        within_s=9.0,
        over="is sound again",
        again_s=40.0,
        blind=True,
    ),
    "a clock that is set": Case(on=("clock-skew=ms=20000",), off=("-clock-skew",)),
    "a storm of 5xx": Case(
        on=("maintenance",),
        off=("-maintenance", "forgive"),
        begins="answered none of the last",
        within_s=12.0,
        over="answers again",
        again_s=12.0,
        cut=True,
    ),
    "a ban": Case(
        on=("banned",),
        off=("-banned", "forgive"),
        begins="answered none of the last",
        within_s=8.0,
        over="answers again",
        again_s=310.0,
        cut=True,
    ),
    "too many requests": Case(
        on=("rate-limited",),
        off=("-rate-limited", "forgive"),
        begins="answered none of the last",
        within_s=8.0,
        over="answers again",
        again_s=310.0,
        cut=True,
    ),
}


def seconds_until(desk: Desk, text: str, *, most_s: float) -> float:
    """How long it takes until an alarm says that."""
    began_ns = desk.time.now_ns()
    known = len(desk.alarms)
    while desk.time.now_ns() - began_ns < most_s * NS:
        desk.run(100)
        if any(text in alarm.text for alarm in desk.alarms[known:]):
            return (desk.time.now_ns() - began_ns) / NS
    raise AssertionError(f"nobody said {text!r} within {most_s} s: {[alarm.text for alarm in desk.alarms]}")


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_a_silence_is_noticed_harms_nobody_and_passes(tmp_path: Path, case: Case) -> None:
    desk = await Desk(tmp_path).start()
    Lookout(desk.world.dispatcher, alarm=desk.alarms.append).start()
    rests = desk.submit("rests", policy="plain_limit", limit=Decimal(59_900), deadline_s=2_000.0)
    desk.run(2_000)
    for fault in case.on:
        desk.switch(fault)
    began_ns = desk.time.now_ns()
    desk.run(3_500 if case.blind else 100)  # a book counts as known for as long as the param-set says, 3 s
    wants = desk.submit("wants", deadline_s=1_000.0)
    noticed_s = 0.0
    if case.begins:
        waited_s = (desk.time.now_ns() - began_ns) / NS
        noticed_s = waited_s + seconds_until(desk, case.begins, most_s=case.within_s - waited_s)
    desk.run(round((HELD_S - noticed_s) * 1_000))
    downs = [fact.now_ns for turn in desk.tape.turns for fact in turn if isinstance(fact, VenueDown)]
    if case.down_s is not None:
        assert min(at_ns for at_ns in downs if at_ns >= began_ns) - began_ns <= case.down_s * NS
    if case.blind:
        assert wants.children == []
        assert all(child.closed for child in rests.children)
    elif not case.cut:
        assert wants.status is ParentStatus.FILLED
    for fault in case.off:
        desk.switch(fault)
    if case.over:
        seconds_until(desk, case.over, most_s=case.again_s)
    over_ns = desk.time.now_ns()
    while not wants.ended and desk.time.now_ns() - over_ns < (case.again_s + FILLED_S) * NS:
        desk.run(500)
    assert wants.status is ParentStatus.FILLED
    desk.world.dispatcher.post(CancelAsked(now_ns=desk.time.now_ns(), parent_no=rests.no))
    desk.run(2_000)
    assert desk.disagreements() == []
