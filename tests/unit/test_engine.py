"""The shell on both event loops, with the simulated venue as an ordinary adapter."""

import gc
import json
import re
import shutil
import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from importlib import resources
from pathlib import Path

import anyio
import msgspec
import pytest

from sor.adapter import AccountState, NewOrder, OpenOrder, OrderRef, Position, Scheduler, Sink, VenueAdapter
from sor.engine import Reconciled, Router, Settings
from sor.errors import CallerError, InDoubt, JournalFault, NotSent, RateLimited, VenueFault
from sor.events import TradingMode, VenueUp
from sor.handle import ParentHandle
from sor.ids import AccountId, ParentId, Symbol, VenueName
from sor.journal import Durability, Journal, Record, turns, verify
from sor.journal.switch import SwitchAsked, ask_switch
from sor.market import Trust
from sor.orders import (
    Action,
    ExecType,
    ExecutionReport,
    Intent,
    OrdStatus,
    ParentOrder,
    ParentStatus,
    PositionSide,
    Side,
)
from sor.reasons import Denial
from sor.units import NS
from tests.fakes.patience import until
from venues.simulated.adapter import SimulatedVenue, open_venue
from venues.simulated.options import read

pytestmark = pytest.mark.anyio
BTC = Symbol("BTCUSDT")


def ladder(**options: str) -> VenueAdapter:
    """A venue with ten levels of one coin a side and hardly any delay."""
    return open_venue({"market": "ladder", "latency": "near", "ladder.spread_ticks": "5", **options})


def order(name: str, **terms: object) -> ParentOrder:
    """Buy half a coin by crossing, unless told otherwise."""
    merged: dict[str, object] = {
        "parent_id": ParentId(name),
        "symbol": "btc_usdt",
        "side": Side.BUY,
        "quantity": Decimal("0.5"),
        "policy": "cross",
        "deadline_s": 20.0,
        **terms,
    }
    return ParentOrder(**merged)  # type: ignore[arg-type]


def live_orders(venue: VenueAdapter) -> list[int]:
    """What still rests in the venue's own books, in lots."""
    assert isinstance(venue, SimulatedVenue)
    return [one.leaves_lots for one in venue.audit() if one.leaves_lots]


async def resting(router: Router, handle: ParentHandle) -> None:
    """Wait until an order of the parent rests at the venue."""
    parent = handle.parent
    await until(lambda: any(child.status is OrdStatus.NEW for child in parent.open_children))


async def test_a_parent_is_routed_and_priced(tmp_path: Path) -> None:
    venue = ladder()
    async with Router(Settings(journal=tmp_path / "j"), venues=[venue]) as router:
        handle = await router.submit(order("one"))
        costs = await handle.result()
        assert (handle.status, handle.filled) == (ParentStatus.FILLED, Decimal("0.500"))
        assert costs.passive_share == 0.0
        assert costs.arrival_cost_bps is not None
        assert costs.arrival_cost_bps > 5  # the taker fee and half a spread
        assert [parent.parent_id for parent in router.parents()] == ["one"]
    assert verify(tmp_path / "j").faults == ()
    assert live_orders(venue) == []


async def test_the_same_parent_twice_is_one_and_other_terms_are_refused(tmp_path: Path) -> None:
    async with Router(Settings(journal=tmp_path / "j"), venues=[ladder()]) as router:
        first = await router.submit(order("one"))
        assert await router.submit(order("one")) is first
        with pytest.raises(CallerError, match="other terms"):
            await router.submit(order("one", quantity=Decimal("0.6")))
        await first.result()
        assert len(router.parents()) == 1


async def test_events_end_with_the_parent(tmp_path: Path) -> None:
    async with Router(Settings(journal=tmp_path / "j"), venues=[ladder()]) as router:
        handle = await router.submit(order("one"))
        seen = [happening async for happening in handle]
        assert seen[-1].status is ParentStatus.FILLED
        assert sum(one.report.last_lots for one in seen if one.report is not None) == 500


async def test_leaving_withdraws_what_rests(tmp_path: Path) -> None:
    venue = ladder()
    async with Router(Settings(journal=tmp_path / "j"), venues=[venue]) as router:
        handle = await router.submit(order("rest", policy="plain_limit", limit=Decimal(59990), deadline_s=600.0))
        await resting(router, handle)
        assert live_orders(venue) == [500]
    assert handle.status is ParentStatus.CANCELED
    assert live_orders(venue) == []


async def test_a_cancelled_caller_leaves_nothing_behind(tmp_path: Path) -> None:
    venue = ladder()
    with anyio.CancelScope() as scope:
        async with Router(Settings(journal=tmp_path / "j"), venues=[venue]) as router:
            handle = await router.submit(order("rest", policy="plain_limit", limit=Decimal(59990), deadline_s=600.0))
            await resting(router, handle)
            scope.cancel()
            await anyio.sleep_forever()
    assert live_orders(venue) == []
    assert verify(tmp_path / "j").faults == ()


async def test_pause_resume_amend_cancel(tmp_path: Path) -> None:
    venue = ladder()
    async with Router(Settings(journal=tmp_path / "j"), venues=[venue]) as router:
        handle = await router.submit(order("rest", policy="plain_limit", limit=Decimal(59990), deadline_s=600.0))
        await resting(router, handle)
        router.pause(handle.parent_id)
        await until(lambda: not handle.parent.open_children)
        assert (handle.status, live_orders(venue)) == (ParentStatus.PAUSED, [])
        router.resume(handle.parent_id)
        await resting(router, handle)
        router.amend(handle.parent_id, quantity=Decimal("0.2"), limit=Decimal(59980))
        await until(lambda: live_orders(venue) == [200] and handle.parent.open_children[0].price_ticks == 599_800)
        with pytest.raises(CallerError, match="off the step"):
            router.amend(handle.parent_id, quantity=Decimal("0.0001"))
        handle.cancel()
        costs = await handle.result()
        assert costs.status is ParentStatus.CANCELED
        assert live_orders(venue) == []


async def test_the_kill_switch_withdraws_everything_and_refuses_more(tmp_path: Path) -> None:
    venue = ladder()
    async with Router(Settings(journal=tmp_path / "j"), venues=[venue]) as router:
        handle = await router.submit(order("rest", policy="plain_limit", limit=Decimal(59990), deadline_s=600.0))
        await resting(router, handle)
        router.set_mode(TradingMode.HALTED, "drill")
        await handle.result()
        assert live_orders(venue) == []
        with pytest.raises(CallerError, match="kill switch"):
            await router.submit(order("more"))
        router.set_mode(TradingMode.ACTIVE, "drill over")
        more = await router.submit(order("more"))
        assert (await more.result()).status is ParentStatus.FILLED


async def test_a_venue_that_overfills_is_halted_until_somebody_has_looked(tmp_path: Path) -> None:
    venue = ladder(**{"fault.overfill": "1"})
    async with Router(Settings(journal=tmp_path / "j"), venues=[venue]) as router:
        handle = await router.submit(order("one"))
        await until(lambda: any(alarm.halts for alarm in router.alarms()))
        costs = await handle.result()
        # Told as it is: what was filled beyond the order is counted, neither hidden nor traded back.
        assert costs.filled_lots > 500
        with pytest.raises(VenueFault, match=r"BTCUSDT on simulated is halted: .*beyond its quantity"):
            await router.submit(order("two"))
        assert isinstance(venue, SimulatedVenue)
        venue.calm()
        router.lift_halt(venue.name, "btc-usdt", reason="drill")
        assert (await (await router.submit(order("two"))).result()).status is ParentStatus.FILLED


async def test_intents_go_through_the_same_machinery(tmp_path: Path) -> None:
    async with Router(Settings(journal=tmp_path / "j"), venues=[ladder()]) as router:

        def intent(name: str, action: Action, **more: object) -> Intent:
            terms: dict[str, object] = {
                "intent_id": ParentId(name),
                "action": action,
                "side": PositionSide.LONG,
                "asset": "BTC/USDT",
                "size": Decimal("0.50049"),
                **more,
            }
            return Intent(**terms)  # type: ignore[arg-type]

        opened = await router.submit_intent(intent("in", Action.ENTER))
        assert (opened.status, opened.side, opened.quantity) == (ParentStatus.FILLED, Side.BUY, Decimal("0.500"))
        assert opened.fee is not None
        assert opened.fee > 0
        # Two exits share one budget, and what is closed cannot be closed again.
        closed = await router.submit_intent(intent("out", Action.EXIT, size=Decimal("0.8")))
        assert (closed.side, closed.quantity) == (Side.SELL, Decimal("0.500"))
        assert closed.status is ParentStatus.COMPLETED_BY_OTHERS
        again = await router.submit_intent(intent("again", Action.EXIT))
        assert (again.status, again.quantity) == (ParentStatus.COMPLETED_BY_OTHERS, Decimal(0))


async def test_a_second_router_on_one_journal_is_refused(tmp_path: Path) -> None:
    async with Router(Settings(journal=tmp_path / "j"), venues=[ladder()]) as router:
        with pytest.raises(CallerError, match="process"):
            async with Router(Settings(journal=tmp_path / "j"), venues=[ladder()]):
                pytest.fail("two writers")
        assert (await (await router.submit(order("one"))).result()).status is ParentStatus.FILLED


async def test_a_restart_goes_on_where_the_journal_stops(tmp_path: Path) -> None:
    venue = ladder()
    async with Router(Settings(journal=tmp_path / "j"), venues=[venue]) as router:
        done = await router.submit(order("done"))
        await done.result()
        handle = await router.submit(order("rest", policy="plain_limit", limit=Decimal(59990), deadline_s=600.0))
        await resting(router, handle)
        # What a process that is killed now would leave on disk.
        shutil.copytree(tmp_path / "j", tmp_path / "killed")
    # The order of before is gone from the venue by now: the second life must find that out, and place it anew.
    async with Router(Settings(journal=tmp_path / "killed"), venues=[venue]) as router:
        again = {one.parent_id: one for one in router.parents()}
        assert again[ParentId("done")].status is ParentStatus.FILLED
        await until(lambda: live_orders(venue) == [500])
        await resting(router, again[ParentId("rest")])
        assert await router.submit(order("done")) is again[ParentId("done")]
    assert live_orders(venue) == []


class Closing(SimulatedVenue):
    """Takes a while to close, and notes whether it is asked for the account meanwhile."""

    def __init__(self) -> None:
        super().__init__(read({"market": "ladder", "latency": "near", "ladder.spread_ticks": "5"}))
        self.closing = False
        self.asked_too_late = 0

    async def account(self) -> AccountState:
        self.asked_too_late += self.closing
        return await super().account()

    async def disconnect(self) -> None:
        self.closing = True
        await anyio.sleep(0.05)
        await super().disconnect()


async def test_a_venue_that_is_left_is_asked_nothing_any_more(tmp_path: Path) -> None:
    """Its account is read after a fill, and the fill was just before."""
    venue = Closing()
    async with Router(Settings(journal=tmp_path / "j"), venues=[venue]) as router:
        await (await router.submit(order("one"))).result()
    assert venue.asked_too_late == 0


async def killed(journal: Path, venue: VenueAdapter) -> None:
    """Leave a journal as a process that is killed leaves it: one parent of it has an order at the venue."""
    async with Router(Settings(journal=journal.with_name("first")), venues=[venue]) as router:
        handle = await router.submit(order("rest", policy="plain_limit", limit=Decimal(59990), deadline_s=600.0))
        await resting(router, handle)
        shutil.copytree(journal.with_name("first"), journal)


async def test_a_start_that_fails_has_placed_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The parent of the killed process must not go on while it is not sure that somebody will look after it."""
    venue = ladder()
    await killed(tmp_path / "j", venue)

    async def unanswered() -> tuple[OpenOrder, ...]:
        with anyio.move_on_after(0.2):
            await until(lambda: live_orders(venue) != [])
        raise NotSent("no answer")

    monkeypatch.setattr(venue, "open_orders", unanswered)
    with pytest.raises(NotSent, match="no answer"):
        async with Router(Settings(journal=tmp_path / "j"), venues=[venue]):
            pytest.fail("it cannot run")
    monkeypatch.undo()
    with pytest.raises(CallerError, match="watched, is listed on no venue"):
        async with Router(Settings(journal=tmp_path / "j", watch=("nosuch",)), venues=[venue]):
            pytest.fail("it cannot run")
    with pytest.raises(CallerError, match="is at work on simulated, account 'default', which is not configured"):
        async with Router(Settings(journal=tmp_path / "j"), venues=[ladder(name="other")]):
            pytest.fail("it cannot run")
    assert live_orders(venue) == []
    async with Router(Settings(journal=tmp_path / "j"), venues=[venue]) as router:
        await resting(router, router.handle(ParentId("rest")))
    assert live_orders(venue) == []


async def test_another_accounts_keys_are_refused_while_something_is_at_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looked up on the second account, the order of the first would be proven absent, and its parent go on."""
    first, second = ladder(), ladder(account="other")
    await killed(tmp_path / "j", first)
    with pytest.raises(CallerError, match=r"account customer: rest.*nothing was looked up and nothing was sent"):
        async with Router(Settings(journal=tmp_path / "j"), venues=[second]):
            pytest.fail("it asks the wrong account")
    async with Router(Settings(journal=tmp_path / "j"), venues=[first]) as router:
        assert router.handle(ParentId("rest")).parent.open_children
    # Nothing is at work any more: the journal goes on with the other account, and says so.
    async with Router(Settings(journal=tmp_path / "j"), venues=[second]) as router:
        await resting(router, await router.submit(order("more", policy="plain_limit", limit=Decimal(59990))))
        shutil.copytree(tmp_path / "j", tmp_path / "again")
    ups = [record for turn in turns(tmp_path / "j") for record in turn.records if isinstance(record, VenueUp)]
    assert list(dict.fromkeys(up.identity for up in ups)) == ["customer", "other"]
    with pytest.raises(CallerError, match="account other: more"):
        async with Router(Settings(journal=tmp_path / "again"), venues=[first]):
            pytest.fail("it asks the wrong account")
    monkeypatch.setattr(SimulatedVenue, "identity", "renamed")
    vouched = Settings(journal=tmp_path / "again", same_accounts=True)
    async with Router(vouched, venues=[second]) as router:
        assert router.handle(ParentId("more")).parent.active


async def test_positions_follow_the_venue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be read at the start is read later; what others did is the venue's word against ours."""
    venue = ladder()
    account = venue.account

    async def unanswered() -> AccountState:
        raise NotSent("no answer")

    async def liquidated() -> AccountState:
        return msgspec.structs.replace(await account(), positions=(Position(symbol=BTC, qty_lots=-300),))

    monkeypatch.setattr(venue, "account", unanswered)
    async with Router(Settings(journal=tmp_path / "j", positions_s=0.01), venues=[venue]) as router:

        def position() -> int | None:
            book = router.core.desk.books.get((venue.name, AccountId("default"), BTC))
            return None if book is None else book.positions.get(PositionSide.BOTH)

        assert position() is None
        monkeypatch.undo()
        await until(lambda: position() == 0)
        await (await router.submit(order("in"))).result()
        monkeypatch.setattr(venue, "account", liquidated)
        leave = await router.submit(order("out", side=Side.SELL, quantity=Decimal("0.7"), reduce_only=True))
        await leave.result()
        assert (leave.status, leave.filled) == (ParentStatus.COMPLETED_BY_OTHERS, Decimal("0.500"))
        assert position() == 0  # the fills are too young for what was read to be believed
        monkeypatch.setattr("sor.reconciliation.POSITION_QUIET_NS", 0)
        await until(lambda: position() == -300)
        assert [alarm.text.partition(",")[0] for alarm in router.alarms()] == [
            "BTCUSDT on simulated: the venue has -300 lots"
        ]


async def test_another_account_is_refused(tmp_path: Path) -> None:
    """Its parents would have had a reduce budget and risk limits of their own, on the one account there is."""
    async with Router(Settings(journal=tmp_path / "j"), venues=[ladder()]) as router:
        with pytest.raises(CallerError, match="account 'main' is not traded here; nothing was sent"):
            await router.submit(order("one", account=AccountId("main")))


async def test_strays_of_our_own_mark_are_withdrawn(tmp_path: Path) -> None:
    venue = ladder()

    async def lose_power() -> None:
        async with Router(Settings(journal=tmp_path / "j", shutdown_s=0.05), venues=[venue]) as router:
            shutil.copytree(tmp_path / "j", tmp_path / "behind")  # what follows is not on this disk
            handle = await router.submit(order("rest", policy="plain_limit", limit=Decimal(59990), deadline_s=600.0))
            await resting(router, handle)
            await venue.disconnect()  # nothing can be withdrawn any more, and leaving must say so

    with pytest.raises(InDoubt, match="1 orders not confirmed gone"):
        await lose_power()
    assert live_orders(venue) == [500]
    async with Router(Settings(journal=tmp_path / "behind"), venues=[venue]):
        await until(lambda: live_orders(venue) == [])


class Forsworn(SimulatedVenue):
    """A ladder that says that an order is canceled, and keeps it, as long as it is told to."""

    def __init__(self) -> None:
        super().__init__(read({"market": "ladder", "latency": "near"}))
        self.lies = True

    async def connect(self, sink: Sink, scheduler: Scheduler) -> None:
        self.sink = sink
        await super().connect(sink, scheduler)

    def cancel(self, ref: OrderRef) -> None:
        if not self.lies:
            super().cancel(ref)
            return
        self.sink.execution(
            ExecutionReport(
                venue=self.name, symbol=ref.symbol, cl_ord_id=ref.cl_ord_id, exec_type=ExecType.CANCELED, cum_lots=0
            )
        )


async def test_an_order_that_outlives_its_end_is_a_stray(tmp_path: Path) -> None:
    venue = Forsworn()
    async with Router(Settings(journal=tmp_path / "j"), venues=[venue]) as router:
        handle = await router.submit(order("rest", policy="plain_limit", limit=Decimal(59990), deadline_s=600.0))
        await resting(router, handle)
        cl_ord_id = handle.parent.children[0].order.cl_ord_id
        assert await router.reconcile() == Reconciled(ours=(cl_ord_id,), strays=(), foreign=0)
        handle.cancel()
        assert (handle.status, live_orders(venue)) == (ParentStatus.CANCELED, [500])
        venue.lies = False
        assert await router.reconcile() == Reconciled(ours=(), strays=(cl_ord_id,), foreign=0)
        await until(lambda: live_orders(venue) == [])


async def test_strays_are_looked_for_again_and_again(tmp_path: Path) -> None:
    venue = Forsworn()
    async with Router(Settings(journal=tmp_path / "j", reconcile_s=0.05), venues=[venue]) as router:
        handle = await router.submit(order("rest", policy="plain_limit", limit=Decimal(59990), deadline_s=600.0))
        await resting(router, handle)
        handle.cancel()
        assert (handle.status, live_orders(venue)) == (ParentStatus.CANCELED, [500])
        venue.lies = False
        await until(lambda: live_orders(venue) == [])
        assert router.alarms()[-1].text.endswith("it is over by the journal, and is withdrawn")


async def test_handles_of_what_has_ended_are_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sor.handle.ENDED_HANDLES_MAX", 2)
    async with Router(Settings(journal=tmp_path / "j"), venues=[ladder()]) as router:
        held = await router.submit(order("0", quantity=Decimal("0.01")))
        await held.result()
        for no in range(1, 5):
            await (await router.submit(order(str(no), quantity=Decimal("0.01")))).result()
        gc.collect()
        assert [len([one async for one in handle]) > 0 for handle in router.parents()] == [
            *(True, False, False, True, True)  # the first one is held by us, the last two by the router
        ]
        assert router.handle(ParentId("0")) is held
        assert {handle.status for handle in router.parents()} == {ParentStatus.FILLED}


@pytest.mark.parametrize(
    ("durability", "sure"), [(Durability.SYNCED, ""), (Durability.KERNEL, "unless the power failed, ")]
)
async def test_what_was_cut_off_the_journal_is_said(tmp_path: Path, durability: Durability, sure: str) -> None:
    settings = Settings(journal=tmp_path / "j", durability=durability)
    async with Router(settings, venues=[ladder()]):
        pass
    with (tmp_path / "j" / "000001.seg").open("ab") as segment:
        segment.write(bytes(5))
    async with Router(settings, venues=[ladder()]) as router:
        (alarm,) = router.alarms()
    assert alarm.text == (
        "5 bytes of a turn that was not recorded whole were cut off the journal's end; "
        f"{sure}nothing of it was acted upon"
    )
    async with Router(settings, venues=[ladder()]) as router:
        assert not router.alarms()


class Crowded(SimulatedVenue):
    """A ladder that is asked too much, and lets nobody in for a tenth of a second, so many times.

    happened    what was asked of it, and of others that are given the same list.
    meanwhile   called when it turns somebody away.
    """

    def __init__(
        self,
        times: int,
        *,
        known: bool = True,
        name: str = "simulated",
        happened: list[str] | None = None,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(read({"market": "ladder", "latency": "near", "name": name}))
        self.times = times
        self.known = known
        self.happened = [] if happened is None else happened
        self.meanwhile = meanwhile

    async def connect(self, sink: Sink, scheduler: Scheduler) -> None:
        self.happened.append(f"{self.name} connect")
        if self.times:
            self.times -= 1
            self.meanwhile()
            until_ns = scheduler.now_ns() + NS // 10 if self.known else 0
            raise RateLimited("asked too often; nothing was sent. Stay away", until_ns)
        await super().connect(sink, scheduler)

    async def open_orders(self) -> tuple[OpenOrder, ...]:
        self.happened.append(f"{self.name} open orders")
        return await super().open_orders()


async def test_a_start_waits_where_a_venue_turns_it_away_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("sor.session.SPARE_S", 0.01)
    said = ["the start waits 0 s for simulated: asked too often; nothing was sent. Stay away"] * 2
    async with Router(Settings(journal=tmp_path / "j"), venues=[Crowded(2)]) as router:
        assert [alarm.text for alarm in router.alarms()] == said
        handle = await router.submit(order("one"))
        assert (await handle.result()).status is ParentStatus.FILLED
    assert [record.message for record in caplog.records] == said  # nobody reads alarms of what has not started


async def test_while_a_start_waits_for_one_venue_nothing_is_begun_at_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dead-man's switch that is kept up by a router that waits would guard orders nobody looks after."""
    monkeypatch.setattr("sor.session.SPARE_S", 0.01)
    happened: list[str] = []
    venues = [Crowded(0, name="free", happened=happened), Crowded(1, name="full", happened=happened)]
    async with Router(Settings(journal=tmp_path / "j"), venues=venues):
        pass
    assert happened[:4] == ["free connect", "full connect", "full connect", "free open orders"]


async def test_a_kill_switch_that_is_moved_while_a_start_waits_is_moved_before_anything_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sor.session.SPARE_S", 0.01)
    asked = SwitchAsked(mode=TradingMode.HALTED, reason="enough")
    venue = Crowded(1, meanwhile=lambda: ask_switch(tmp_path / "j", asked))
    async with Router(Settings(journal=tmp_path / "j", switch_poll_s=3_600.0), venues=[venue]) as router:
        assert router.core.breakers.mode is TradingMode.HALTED


@pytest.mark.parametrize(("patience_s", "known"), [(0.05, True), (0.0, True), (600.0, False)])
async def test_a_start_is_refused_where_that_takes_too_long_or_nobody_knows_how_long(
    tmp_path: Path, patience_s: float, known: bool
) -> None:
    settings = Settings(journal=tmp_path / "j", start_patience_s=patience_s)
    with pytest.raises(RateLimited, match="asked too often"):
        async with Router(settings, venues=[Crowded(1, known=known)]):
            pass


@pytest.mark.parametrize(("durability", "in_a_turn"), [(Durability.SYNCED, 50), (Durability.KERNEL, 1)])
async def test_what_comes_together_is_synced_together(tmp_path: Path, durability: Durability, in_a_turn: int) -> None:
    """A sync holds everything up, so there is one for all that has come meanwhile: group commit (D9)."""
    venue = Forsworn()
    async with Router(Settings(journal=tmp_path / "j", durability=durability), venues=[venue]) as router:
        handle = await router.submit(order("rest", policy="plain_limit", limit=Decimal(59990), deadline_s=600.0))
        await resting(router, handle)
        placed = handle.parent.children[0].order
        again = ExecutionReport(
            venue=venue.name,
            symbol=placed.symbol,
            cl_ord_id=placed.cl_ord_id,
            exec_type=ExecType.NEW,
            cum_lots=0,
        )
        for _ in range(50):
            venue.sink.execution(again)
        venue.lies = False
    with_it = [sum(getattr(one, "report", None) == again for one in turn.records) for turn in turns(tmp_path / "j")]
    assert max(with_it) == in_a_turn
    assert sum(with_it) == 50


async def test_time_never_goes_back_behind_the_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that was set back an hour would have held every retry and the order rate for an hour."""
    async with Router(Settings(journal=tmp_path / "j"), venues=[ladder()]) as router:
        await (await router.submit(order("one"))).result()
        last_ns = router.core.now_ns
    now_ns = time.time_ns
    monkeypatch.setattr("sor.clock.time.time_ns", lambda: now_ns() - 3_600 * NS)
    async with Router(Settings(journal=tmp_path / "j"), venues=[ladder()]) as router:
        assert router.core.now_ns >= last_ns
        (alarm,) = router.alarms()
        behind = re.match(r"the clock is (\d+) s behind the journal;", alarm.text)
        assert behind is not None
        assert 3_570 < int(behind[1]) <= 3_600  # less what the start has taken
        await (await router.submit(order("two"))).result()


class Silent(SimulatedVenue):
    """A ladder that takes orders, answers nothing about them, and gives no bound after which absence is proven."""

    def __init__(self) -> None:
        super().__init__(read({"market": "ladder", "latency": "near"}))

    def submit(self, order: NewOrder) -> None:
        raise InDoubt("no answer")

    def query(self, ref: OrderRef) -> None:
        raise NotSent("no answer")


async def test_what_evidence_cannot_settle_a_person_can(tmp_path: Path) -> None:
    async with Router(Settings(journal=tmp_path / "j"), venues=[Silent()]) as router:
        handle = await router.submit(order("lost"))
        await until(lambda: handle.parent.open_children != [])
        (child,) = handle.parent.open_children
        cl_ord_id = child.order.cl_ord_id
        for filled in ("-0.1", "0.6", "0.0001"):
            with pytest.raises(CallerError, match="nothing was"):
                router.settle(cl_ord_id, filled=Decimal(filled), reason="asked the venue")
        handle.cancel()
        assert handle.status is ParentStatus.STOPPING
        router.settle(cl_ord_id, filled=Decimal("0.2"), reason="asked the venue")
        assert (handle.status, handle.filled) == (ParentStatus.CANCELED, Decimal("0.200"))
        with pytest.raises(CallerError, match="no order of ours in doubt; nothing was changed"):
            router.settle(cl_ord_id, filled=Decimal(0), reason="once more")


async def test_who_waits_for_a_parent_is_told_when_the_router_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk fills up: nothing new is sent, what rests is withdrawn, nobody waits for ever."""
    venue = ladder()

    def full(journal: Journal, records: Sequence[Record]) -> int:
        del journal, records
        raise JournalFault("no space left on the disk")

    held = False

    async def fill_the_disk() -> None:
        nonlocal held
        async with Router(Settings(journal=tmp_path / "j", shutdown_s=0.05), venues=[venue]) as router:
            handle = await router.submit(order("rest", policy="plain_limit", limit=Decimal(59990), deadline_s=600.0))
            await resting(router, handle)
            monkeypatch.setattr(Journal, "append", full)
            with pytest.raises(JournalFault, match="no space left"):
                await router.submit(order("more"))
            with pytest.raises(JournalFault, match="no space left"):
                await handle.result()
            with pytest.raises(JournalFault, match="no space left"):
                router.pause(handle.parent_id)
            await until(lambda: live_orders(venue) == [])
            held = True  # looked at outside: leaving raises over whatever is raised in here

    # It cannot record that they are gone, so it does not claim it.
    with pytest.raises(InDoubt, match="not confirmed gone"):
        await fill_the_disk()
    assert held
    monkeypatch.undo()
    async with Router(Settings(journal=tmp_path / "j"), venues=[venue]) as router:
        assert [one.parent_id for one in router.parents()] == ["rest"]


async def test_a_bad_param_set_is_refused_and_the_old_one_stays(tmp_path: Path) -> None:
    source = next(iter(resources.files("paramsets").joinpath("baseline").iterdir()))
    sets = tmp_path / "sets" / "mine"
    sets.mkdir(parents=True)
    content = json.loads(source.read_text())
    content["set_id"] = "mine/2026-01-01"
    file = sets / "2026-01-01.json"
    file.write_text(json.dumps(content))
    settings = Settings(journal=tmp_path / "j", param_dirs=(tmp_path / "sets",), default_set="mine", params_poll_s=0.01)
    async with Router(settings, venues=[ladder()]) as router:
        before = router.core.in_force.sets["mine"].digest
        file.write_text("{ not json")
        await until(lambda: bool(router.alarms()))
        assert "refused" in router.alarms()[-1].text
        assert router.core.in_force.sets["mine"].digest == before
        content["note"] = "another day"
        file.write_text(json.dumps(content))
        await until(lambda: router.core.in_force.sets["mine"].digest != before)


async def test_a_preview_costs_the_alternatives_and_sends_nothing(tmp_path: Path) -> None:
    venue = ladder()
    async with Router(Settings(journal=tmp_path / "j"), venues=[venue]) as router:
        await until(lambda: router.core.in_force.instruments != {})
        await (await router.submit(order("warm"))).result()
        decision = router.preview(order("maybe", policy="maker_first"))
        assert {one.name for one in decision.alternatives} >= {"cross", "rest"}
        assert [parent.parent_id for parent in router.parents()] == ["warm"]


async def test_an_order_of_which_no_part_could_ever_be_placed_is_refused_at_the_door(tmp_path: Path) -> None:
    """250,000 USDT are allowed in one order; a coin costs 60,000, and the venue takes none below ten."""
    venue = ladder(lot="10")
    async with Router(Settings(journal=tmp_path / "j", watch=("BTCUSDT",)), venues=[venue]) as router:
        await until(lambda: router.market("BTCUSDT").trust is Trust.OK)
        large = order("large", quantity=Decimal(10))
        assert router.foresee(large).denials == (Denial.ORDER_NOTIONAL,)
        with pytest.raises(CallerError, match=r"worth about 600,0\d\d USDT, .* no order as small as the 250,000"):
            await router.submit(large)
        assert router.parents() == ()


async def test_an_order_worth_more_than_one_may_be_is_placed_in_several(tmp_path: Path) -> None:
    venue = ladder(**{"ladder.level_lots": "100000"})
    async with Router(Settings(journal=tmp_path / "j", watch=("BTCUSDT",)), venues=[venue]) as router:
        await until(lambda: router.market("BTCUSDT").trust is Trust.OK)
        large = order("large", quantity=Decimal(5), deadline_s=10.0)
        assert router.foresee(large).denials == (None,)
        report = await (await router.submit(large)).result()
        assert report.status is ParentStatus.FILLED
        sizes = [child.qty_lots for child in router.core.parents[0].children]
        assert len(sizes) == 2
        assert sum(sizes) == 5_000


async def test_a_market_that_is_not_known_refuses_nobody_at_the_door(tmp_path: Path) -> None:
    async with Router(Settings(journal=tmp_path / "j"), venues=[open_venue({"market": "empty"})]) as router:
        handle = await router.submit(order("large", quantity=Decimal(5)))
        assert handle.parent.active


@pytest.mark.parametrize(
    ("terms", "says"),
    [
        ({"symbol": "DOGEUSDT"}, "not listed"),
        ({"policy": "magic"}, "no policy 'magic'"),
        ({"param_set": "nope"}, "no param-set 'nope'"),
        ({"schedule": "never"}, "no schedule 'never'"),
        ({"venues": (VenueName("moon"),)}, "'moon' is not connected"),
        ({"quantity": Decimal("0.0005")}, "off the step"),
        ({"quantity": Decimal(-1)}, "not a positive number"),
        ({"limit": Decimal("59990.05")}, "off the step"),
        ({"deadline_s": 0.0}, "must be positive"),
        ({"urgency": 2.0}, "within 0 and 1"),
        ({"max_participation": 0.0}, "within 0 and 1"),
        ({"max_participation": 0.5}, "honoured by no schedule"),
    ],
)
async def test_bad_orders_get_one_sentence_and_nothing_is_sent(
    tmp_path: Path, terms: dict[str, object], says: str
) -> None:
    venue = ladder()
    async with Router(Settings(journal=tmp_path / "j"), venues=[venue]) as router:
        with pytest.raises(CallerError, match=says):
            await router.submit(order("bad", **terms))
        assert router.parents() == ()
    assert isinstance(venue, SimulatedVenue)
    assert venue.audit() == ()
