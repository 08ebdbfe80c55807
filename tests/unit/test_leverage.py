"""Whose leverage a symbol has (B3): what the journal says of it, and what a running router makes of it."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import anyio
import msgspec
import pytest

from sor.adapter import LeverageSet
from sor.commands import Recorded
from sor.decide import Recorded as RecordedDecisions
from sor.engine import Router
from sor.errors import CallerError, InDoubt, NotSent, VenueFault
from sor.events import AnyFact, CancelAsked, SessionStarted, Submitted
from sor.ids import AccountId, ParentId, StrategyId, Symbol
from sor.leverage import Claim
from sor.orders import Action, ExecutionReceipt, Intent, ParentStatus, PositionSide, Side
from sor.parent import Parent
from sor.recovery import fold
from sor.settings import Settings
from sor.units import NS
from tests.fakes.bench import BTC, A, Bench, parent_order
from tests.fakes.policies import Wanting, decision, take
from venues.simulated.adapter import SimulatedVenue
from venues.simulated.options import read

KEY = (A, AccountId("default"), BTC)
ANN, BOB = StrategyId("ann"), StrategyId("bob")


def entered(bench: Bench, name: str, strategy: StrategyId, leverage: str | None, *, exits: bool = False) -> Parent:
    """A parent of an intent, as the engine submits it."""
    action = Action.EXIT if exits else Action.ENTER
    intent = Intent(
        intent_id=ParentId(name),
        action=action,
        side=PositionSide.LONG,
        asset="BTC-USDT",
        size=Decimal(100),
        leverage=None if leverage is None else Decimal(leverage),
        strategy=strategy,
    )
    order = parent_order(name, Side.SELL if exits else Side.BUY, strategy=strategy, reduce_only=exits)
    bench.post(Submitted(now_ns=bench.now_ns, order=order, venue=A, intent=intent))
    return bench.core.by_id[order.parent_id]


def taking() -> Bench:
    """A bench whose parents take at once."""
    wanting = Wanting()
    for name in ("a", "b", "c", "d"):
        wanting.wishes[ParentId(name)] = lambda view: decision(take(A, view.open_lots, 10_000 + 5 * view.side))
    return Bench(wanting)


def fill(bench: Bench, parent: Parent) -> None:
    bench.trade(parent.children[0], 100, 10_001)
    assert parent.ended


def against(bench: Bench, strategy: StrategyId, leverage: str) -> Claim | None:
    """What stands against it; the same for claims made anew, as after a restart."""
    found = bench.core.claims.against(KEY, strategy=strategy, leverage=Decimal(leverage))
    restarted = fold(bench.journal, policies=bench.policies, schedules=bench.schedules, decisions=RecordedDecisions())
    again = restarted.claims.against(KEY, strategy=strategy, leverage=Decimal(leverage))
    assert found == again
    return found


def test_b3_a_parent_at_work_and_then_its_position_hold_a_leverage_until_flat() -> None:
    bench = taking()
    bench.position(0)
    ann = entered(bench, "a", ANN, "3")
    held = Claim(ANN, Decimal(3))
    assert against(bench, BOB, "5") == held
    assert against(bench, BOB, "3") is None  # the same value is no conflict
    assert against(bench, BOB, "3.9") is None  # nor is what the venue rounds down to it
    assert against(bench, ANN, "5") is None  # its own may change
    bench.ack(ann.children[0])
    fill(bench, ann)
    assert against(bench, BOB, "5") == held  # the position
    out = entered(bench, "b", ANN, None, exits=True)
    bench.ack(out.children[0])
    fill(bench, out)
    assert against(bench, BOB, "5") is None


def test_b3_a_position_that_somebody_else_closed_holds_nothing() -> None:
    bench = taking()
    bench.position(0)
    ann = entered(bench, "a", ANN, "3")
    bench.ack(ann.children[0])
    fill(bench, ann)
    assert against(bench, BOB, "5") == Claim(ANN, Decimal(3))
    bench.position(0)  # liquidated, says the venue
    assert against(bench, BOB, "5") is None
    bob = entered(bench, "b", BOB, "5")
    bench.ack(bob.children[0])
    fill(bench, bob)
    # Ann's part of the account is not counted as hers any more; Bob's is his.
    assert against(bench, BOB, "4") is None
    assert against(bench, ANN, "3") == Claim(BOB, Decimal(5))


def test_b3_while_the_position_is_not_known_it_is_not_flat() -> None:
    bench = taking()
    ann = entered(bench, "a", ANN, "3")
    bench.ack(ann.children[0])
    fill(bench, ann)
    assert bench.core.desk.books[KEY].positions == {}
    assert against(bench, BOB, "5") == Claim(ANN, Decimal(3))


def test_b3_an_entry_that_came_to_nothing_holds_nothing() -> None:
    bench = taking()
    bench.position(0)
    ann = entered(bench, "a", ANN, "3")
    bench.canceled(ann.children[0], 0)
    bench.post(CancelAsked(now_ns=bench.now_ns, parent_no=ann.no))
    for child in ann.open_children:
        bench.canceled(child, 0)
    assert ann.ended
    assert against(bench, BOB, "5") is None


def test_b3_hedge_positions_do_not_cancel_out() -> None:
    bench = taking()
    bench.position(0, PositionSide.LONG)
    bench.position(0, PositionSide.SHORT)
    for name, side in (("a", PositionSide.LONG), ("b", PositionSide.SHORT)):
        intent = Intent(
            intent_id=ParentId(name),
            action=Action.ENTER,
            side=side,
            asset="BTC-USDT",
            size=Decimal(100),
            leverage=Decimal(3),
            strategy=ANN,
        )
        buys = Side.BUY if side is PositionSide.LONG else Side.SELL
        order = parent_order(name, buys, strategy=ANN, position_side=side)
        bench.post(Submitted(now_ns=bench.now_ns, order=order, venue=A, intent=intent))
        parent = bench.core.by_id[order.parent_id]
        bench.ack(parent.children[0])
        bench.trade(parent.children[0], 100, 10_000)
    assert bench.core.desk.books[KEY].positions == {PositionSide.LONG: 100, PositionSide.SHORT: -100}
    assert against(bench, BOB, "5") == Claim(ANN, Decimal(3))


def test_claims_are_the_same_when_the_parents_behind_them_are_forgotten() -> None:
    bench = taking()
    bench.position(0)
    soon = bench.core
    for name, strategy, leverage, exits in (
        ("a", ANN, "3", False),
        ("b", BOB, "3", False),
        ("c", ANN, None, True),
        ("d", BOB, None, True),
    ):
        parent = entered(bench, name, strategy, leverage, exits=exits)
        bench.run_for(NS)
        for _ in range(2):
            soon = fold(  # as after a restart
                [[at_once(record) for record in turn] for turn in bench.journal],
                policies=bench.policies,
                schedules=bench.schedules,
                decisions=RecordedDecisions(),
            )
            for who in (ANN, BOB):
                found = bench.core.claims.against(KEY, strategy=who, leverage=Decimal(5))
                assert found == soon.claims.against(KEY, strategy=who, leverage=Decimal(5))
            if not parent.ended:
                bench.ack(parent.children[0])
                fill(bench, parent)
    assert (len(bench.core.parents), len(soon.parents)) == (4, 2)
    assert bench.core.claims.against(KEY, strategy=StrategyId("eve"), leverage=Decimal(5)) is None


def at_once(record: AnyFact | Recorded) -> AnyFact | Recorded:
    """A session's start after which parents that are over are retired and forgotten with the next fact."""
    if isinstance(record, SessionStarted):
        return msgspec.structs.replace(record, retire_ns=1, forget_ns=1)
    return record


# --- in a running router ------------------------------------------------------------------------------------------

live = pytest.mark.anyio


class Told(SimulatedVenue):
    """A ladder that takes a while over a leverage, caps it at 4, and can be made to fail."""

    def __init__(self) -> None:
        super().__init__(read({"market": "ladder", "latency": "near", "ladder.spread_ticks": "5"}))
        self.asked: list[Decimal] = []
        self.gate = anyio.Event()
        self.gate.set()
        self.fails: NotSent | InDoubt | VenueFault | None = None

    async def set_leverage(self, symbol: Symbol, leverage: Decimal) -> LeverageSet:
        self.asked.append(leverage)
        await self.gate.wait()
        if self.fails is not None:
            raise self.fails
        done = await super().set_leverage(symbol, min(leverage, Decimal(4)))
        return msgspec.structs.replace(done, asked=leverage)


def wish(name: str, strategy: StrategyId, leverage: str | None = None, **more: object) -> Intent:
    """Long half a coin."""
    terms: dict[str, object] = {
        "intent_id": ParentId(name),
        "action": Action.ENTER,
        "side": PositionSide.LONG,
        "asset": "BTC/USDT",
        "size": Decimal("0.5"),
        "strategy": strategy,
        "leverage": None if leverage is None else Decimal(leverage),
        **more,
    }
    return Intent(**terms)  # type: ignore[arg-type]


@live
async def test_b3_a_second_leverage_is_refused_also_after_a_restart(tmp_path: Path) -> None:
    venue = Told()
    says = "strategy 'bob' wants leverage 2 for BTCUSDT on simulated, where strategy 'ann' has 3"
    async with Router(Settings(journal=tmp_path / "j"), venues=[venue]) as router:
        opened = await router.submit_intent(wish("in", ANN, "3"))
        assert (opened.status, opened.leverage) == (ParentStatus.FILLED, 3)
        with pytest.raises(CallerError, match=says):
            await router.submit_intent(wish("other", BOB, "2"))
    async with Router(Settings(journal=tmp_path / "j"), venues=[venue]) as router:
        with pytest.raises(CallerError, match=says):
            await router.submit_intent(wish("other", BOB, "2"))
        assert venue.asked == [3]  # nothing was sent for it
        left = await router.submit_intent(wish("out", ANN, action=Action.EXIT))
        assert (left.status, left.leverage) == (ParentStatus.FILLED, None)
        other = await router.submit_intent(wish("other", BOB, "2"))
        assert (other.status, other.leverage) == (ParentStatus.FILLED, 2)
        assert venue.asked == [3, 2]
        assert [parent.parent_id for parent in router.parents()] == ["in", "out", "other"]


@live
async def test_b3_of_two_at_once_the_second_waits_and_is_refused(tmp_path: Path) -> None:
    venue = Told()
    ended: list[str] = []
    settings = Settings(journal=tmp_path / "j", intent_leverage=None)
    async with Router(settings, venues=[venue]) as router:
        venue.gate = anyio.Event()

        async def submit(name: str, strategy: StrategyId, leverage: str) -> None:
            try:
                receipt: ExecutionReceipt = await router.submit_intent(wish(name, strategy, leverage))
                ended.append(f"{name} {receipt.status.value}")
            except CallerError as error:
                ended.append(f"{name}: {str(error).partition(' for ')[0]}")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(submit, "first", ANN, "3")
            await anyio.wait_all_tasks_blocked()
            tasks.start_soon(submit, "second", BOB, "2")
            tasks.start_soon(submit, "first", ANN, "3")  # the same intent, while it is on its way
            await anyio.wait_all_tasks_blocked()
            assert venue.asked == [3]
            # An exit, and an entry that asks for none, do not wait for it.
            assert (await router.submit_intent(wish("plain", BOB))).status is ParentStatus.FILLED
            assert (await router.submit_intent(wish("out", BOB, "9", action=Action.EXIT))).leverage is None
            venue.gate.set()
        assert sorted(ended) == ["first filled", "first filled", "second: strategy 'bob' wants leverage 2"]
        assert venue.asked == [3]
        assert [parent.parent_id for parent in router.parents()] == ["plain", "out", "first"]


@live
@pytest.mark.parametrize(
    ("error", "says"),
    [
        (NotSent("100410 rate limited"), "was not set, so the order was not sent: 100410 rate limited"),
        (InDoubt("no answer in time"), "is not known, so the order was not sent: no answer in time"),
        (VenueFault("gibberish"), "is not known, so the order was not sent: gibberish"),
    ],
)
async def test_b1_without_its_leverage_an_entry_is_not_sent(
    tmp_path: Path, error: NotSent | InDoubt | VenueFault, says: str
) -> None:
    venue = Told()
    async with Router(Settings(journal=tmp_path / "j"), venues=[venue]) as router:
        venue.fails = error
        with pytest.raises(NotSent, match=says):
            await router.submit_intent(wish("in", ANN, "3"))
        assert (router.parents(), venue.audit()) == ((), ())
        venue.fails = None
        assert (await router.submit_intent(wish("in", ANN, "3"))).status is ParentStatus.FILLED
        venue.fails = error
        assert (await router.submit_intent(wish("out", ANN, "2", action=Action.EXIT))).status is ParentStatus.FILLED


@live
async def test_b4_an_entry_that_names_no_leverage_has_the_default_and_holds_it(tmp_path: Path) -> None:
    venue = Told()
    async with Router(Settings(journal=tmp_path / "j"), venues=[venue]) as router:
        entered = await router.submit_intent(wish("in", ANN))
        assert (entered.status, entered.leverage) == (ParentStatus.FILLED, 1)
        assert venue.asked == [1]
        with pytest.raises(CallerError, match=r"'bob' wants leverage 3 .* where strategy 'ann' has 1 "):
            await router.submit_intent(wish("other", BOB, "3"))
        assert (await router.submit_intent(wish("in", ANN))).intent_id == "in"  # the same again asks for nothing
        assert (await router.submit_intent(wish("out", ANN, action=Action.EXIT))).leverage is None
        assert venue.asked == [1]
    for default, asked in ((Decimal(2), [1, 2]), (None, [1, 2])):
        settings = Settings(journal=tmp_path / "j", intent_leverage=default)
        async with Router(settings, venues=[venue]) as router:
            await router.submit_intent(wish(f"more-{default}", ANN))
            assert venue.asked == asked
            await router.submit_intent(wish(f"less-{default}", ANN, action=Action.EXIT))


@live
async def test_b4_what_the_venue_makes_of_a_leverage_is_told(tmp_path: Path) -> None:
    async with Router(Settings(journal=tmp_path / "j"), venues=[Told()]) as router:
        half = await router.submit_intent(wish("a", ANN, "2.5"))
        capped = await router.submit_intent(wish("b", ANN, "20"))
        again = await router.submit_intent(wish("c", ANN, "20"))
        assert (half.leverage, capped.leverage, again.leverage) == (2, 4, 4)
        assert [alarm.text.partition(":")[2] for alarm in router.alarms()] == [
            " leverage 2.5 was asked for by 'ann', 2 is in force: it is rounded down and capped",
            " leverage 20 was asked for by 'ann', 4 is in force: it is rounded down and capped",
        ]
        for senseless in ("0", "-1", "NaN"):
            with pytest.raises(CallerError, match="is not a positive number; nothing was sent"):
                await router.submit_intent(wish("odd", ANN, senseless))
