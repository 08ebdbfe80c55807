"""The execution port, and what the engine does besides parents: leverage and the dead-man's switch."""

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import anyio
import msgspec
import pytest

from sor.adapter import AccountState, LeverageSet, OpenOrder
from sor.engine import Router, Settings
from sor.errors import CallerError, InDoubt, JournalFault, NotSent, VenueFault
from sor.ids import AccountId, ParentId, Symbol
from sor.journal import Journal, Record
from sor.orders import Action, Intent, ParentStatus, PositionSide
from sor.port import CancelVerdict, ExecutionPort, Source
from sor.units import MS
from tests.fakes.patience import until
from venues.simulated.adapter import SimulatedVenue
from venues.simulated.options import read

pytestmark = pytest.mark.anyio


class Deaf(SimulatedVenue):
    """A ladder whose reads can fail, and which notes what else is asked of it."""

    def __init__(self) -> None:
        super().__init__(read({"market": "ladder", "latency": "near", "ladder.spread_ticks": "5"}))
        self.deaf: NotSent | InDoubt | VenueFault | None = None
        self.gate = anyio.Event()
        self.gate.set()
        self.reads = 0
        self.stolen_lots = 0
        self.leverages: list[Decimal] = []
        self.armed: list[float] = []

    async def account(self) -> AccountState:
        self.reads += 1
        await self.gate.wait()
        if self.deaf is not None:
            raise self.deaf
        state = await super().account()
        if not self.stolen_lots:
            return state
        (one,) = state.positions
        left = msgspec.structs.replace(one, qty_lots=one.qty_lots - self.stolen_lots)
        return msgspec.structs.replace(state, positions=(left,))

    async def open_orders(self) -> tuple[OpenOrder, ...]:
        if self.deaf is not None:
            raise self.deaf
        return await super().open_orders()

    async def set_leverage(self, symbol: Symbol, leverage: Decimal) -> LeverageSet:
        self.leverages.append(leverage)
        return await super().set_leverage(symbol, leverage)

    async def arm_dead_man(self, timeout_s: float) -> None:
        self.armed.append(timeout_s)
        await super().arm_dead_man(timeout_s)


def intent(name: str, action: Action = Action.ENTER, **more: object) -> Intent:
    """Long half a coin."""
    terms: dict[str, object] = {
        "intent_id": ParentId(name),
        "action": action,
        "side": PositionSide.LONG,
        "asset": "BTC/USDT",
        "size": Decimal("0.5"),
        **more,
    }
    return Intent(**terms)  # type: ignore[arg-type]


LIMIT = {"order_type": "limit", "limit_price": "59990"}


async def test_a_round_trip_through_the_port(tmp_path: Path) -> None:
    port = ExecutionPort(Settings(journal=tmp_path / "j"), Deaf())
    with pytest.raises(CallerError, match="not connected"):
        _ = port.state
    first = await port.connect()
    assert (first.positions, first.open_orders, first.stale) == ({}, (), False)
    assert first.recovered is not None
    try:
        receipt = await port.submit_intent(intent("in"))
        assert (receipt.status, receipt.quantity) == (ParentStatus.FILLED, Decimal("0.500"))
        resting = await port.submit_intent(intent("rest", metadata=LIMIT))
        state = await port.refresh_state("btc_usdt", history=True)
        assert state.positions == {"BTCUSDT": Decimal("0.500")}
        assert [(order.price_ticks, order.leaves_lots) for order in state.open_orders] == [(599_900, 500)]
        assert state.open_notional == Decimal("29995.0000")
        assert sum(fill.last_lots for fill in state.history) == 500
        assert state.source is Source.VENUE
        assert (await port.refresh_state("ETHUSDT")).open_orders == ()

        answer = await port.cancel(resting.cl_ord_ids[0], "changed my mind")
        assert (answer.verdict, answer.status, answer.filled) == (
            CancelVerdict.ACK,
            ParentStatus.CANCELED,
            Decimal("0.000"),
        )
        assert port.router.core.by_id[ParentId("rest")].end_text == "changed my mind"
        # What has ended otherwise, or was never there, is not acknowledged.
        assert (await port.cancel(ParentId("rest"))).verdict is CancelVerdict.REJECT
        filled = await port.cancel(ParentId("in"))
        assert (filled.verdict, filled.filled) == (CancelVerdict.REJECT, Decimal("0.500"))
        assert (await port.cancel(ParentId("nobody"))).text == "there is no such order; nothing was sent"
        assert (await port.reconcile("BTC-USDT")).foreign == 0
    finally:
        await port.disconnect()


async def test_a_read_that_fails_is_told_as_stale_and_fails_no_trade(tmp_path: Path) -> None:
    venue = Deaf()
    port = ExecutionPort(Settings(journal=tmp_path / "j"), venue)
    before = await port.connect()
    try:
        venue.deaf = NotSent("rate limited; nothing was sent")
        state = await port.refresh_state()
        assert (state.stale, state.source, state.equity) == (True, Source.KEPT, before.equity)
        assert (await port.submit_intent(intent("in"))).status is ParentStatus.FILLED
    finally:
        await port.disconnect()


async def test_leverage_is_set_before_entering_and_never_on_the_way_out(tmp_path: Path) -> None:
    venue = Deaf()
    async with Router(Settings(journal=tmp_path / "j"), venues=[venue]) as router:
        await router.submit_intent(intent("in", leverage=Decimal(3)))
        await router.submit_intent(intent("in", leverage=Decimal(3)))  # the same intent again
        await router.submit_intent(intent("out", Action.EXIT, leverage=Decimal(5)))
        assert venue.leverages == [3]
        with pytest.raises(CallerError, match="nothing was sent"):
            await router.submit_intent(intent("odd", leverage=Decimal(1_000)))
        assert [parent.parent_id for parent in router.parents()] == ["in", "out"]


async def test_b5_the_account_follows_fills_in_the_background(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing waits for it; however many fills come during a read, one more is made, and the state is up to date."""
    monkeypatch.setattr("sor.refresh.GAP_NS", 0)
    venue = Deaf()
    port = ExecutionPort(Settings(journal=tmp_path / "j", positions_s=0.0), venue)
    before = await port.connect()
    try:
        venue.reads = 0
        venue.gate = anyio.Event()
        for no in range(5):  # the venue answers no read, and all the same ...
            receipt = await port.submit_intent(intent(f"in {no}", size=Decimal("0.1")))
            assert receipt.status is ParentStatus.FILLED
        await anyio.wait_all_tasks_blocked()
        assert venue.reads == 1
        assert port.state == before
        venue.gate.set()
        await until(lambda: port.state.positions == {"BTCUSDT": Decimal("0.500")})
        await until(lambda: venue.reads == 2)
        assert port.state.equity < before.equity  # fees and half a spread
        assert not port.state.stale
        await anyio.wait_all_tasks_blocked()
        assert venue.reads == 2
        resting = await port.submit_intent(intent("rest", metadata=LIMIT))
        await anyio.wait_all_tasks_blocked()
        assert venue.reads == 2  # an order that rests is no fill
        await port.cancel(resting.intent_id)
    finally:
        venue.gate.set()
        await port.disconnect()


async def test_b5_a_read_that_fails_marks_the_state_stale_and_is_made_up_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sor.refresh.RETRY_NS", 20 * MS)
    venue = Deaf()
    port = ExecutionPort(Settings(journal=tmp_path / "j", positions_s=0.0), venue)
    before = await port.connect()
    try:
        for error in (NotSent("rate limited"), InDoubt("no answer"), VenueFault("gibberish")):
            venue.deaf = error
            assert (await port.submit_intent(intent(str(error), size=Decimal("0.1")))).status is ParentStatus.FILLED
            await until(lambda: port.state.stale)
            assert port.state.source is Source.KEPT
            venue.deaf = None
            await until(lambda: not port.state.stale)
        assert port.state.positions == {"BTCUSDT": Decimal("0.300")}
        assert port.state.equity < before.equity
        assert port.router.alarms() == ()
    finally:
        await port.disconnect()


async def test_b5_after_fills_the_venues_word_on_the_position_is_asked_for_once_it_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sor.refresh.GAP_NS", 0)
    monkeypatch.setattr("sor.reconciliation.POSITION_QUIET_NS", 50 * MS)
    venue = Deaf()
    async with Router(Settings(journal=tmp_path / "j", positions_s=0.0), venues=[venue]) as router:
        await router.submit_intent(intent("in"))
        venue.stolen_lots = 200  # somebody else trades on the account
        await until(lambda: len(router.alarms()) == 1)
        assert router.alarms()[0].text.startswith(
            "BTCUSDT on simulated: the venue has 300 lots, where our fills and all other trades"
        )
        book = router.core.desk.books[venue.name, AccountId("default"), Symbol("BTCUSDT")]
        assert book.positions == {PositionSide.BOTH: 300}


async def test_a_dead_mans_switch_needs_an_exclusive_account(tmp_path: Path) -> None:
    venue = Deaf()
    with pytest.raises(CallerError, match="cancels orders of others too"):
        await ExecutionPort(Settings(journal=tmp_path / "j", dead_man_s=1.0), venue).connect()
    assert venue.armed == []


async def test_a_dead_mans_switch_is_kept_and_let_go(tmp_path: Path) -> None:
    venue = Deaf()
    settings = Settings(journal=tmp_path / "j", dead_man_s=2.0, exclusive=True)
    async with Router(settings, venues=[venue]) as router:
        await router.submit_intent(intent("rest", metadata=LIMIT))
        # Longer than the switch waits, at three renewals in its time: it fires unless it is renewed.
        await until(lambda: len(venue.armed) >= 5)
        assert len(await venue.open_orders()) == 1
    assert venue.armed[-1] == 0


async def test_a_dead_mans_switch_fires_when_the_router_has_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It can record nothing any more, so it can look after nothing: renewing the switch would keep orders alive."""
    venue = Deaf()
    settings = Settings(journal=tmp_path / "j", dead_man_s=1.5, exclusive=True)

    def full(journal: Journal, records: Sequence[Record]) -> int:
        raise JournalFault("no space left on the disk")

    seen: list[tuple[int, int]] = []

    async def fill_the_disk() -> None:
        async with Router(settings, venues=[venue]) as router:
            await router.submit_intent(intent("rest", metadata=LIMIT))
            await until(lambda: bool(venue.armed) and bool(venue.armed[-1]))  # once it is known to rest
            monkeypatch.setattr(Journal, "append", full)
            monkeypatch.setattr(venue, "cancel", venue.query)  # a venue that does not hear the cancels
            with pytest.raises(JournalFault):
                router.pause(ParentId("rest"))
            seen.append((len(venue.armed), len(await venue.open_orders())))
            await until(lambda: not any(one.leaves_lots for one in venue.audit()))
            seen.append((len(venue.armed), len(await venue.open_orders())))

    with pytest.raises(InDoubt, match="not confirmed gone"):
        await fill_the_disk()
    # Looked at out here: leaving raises over whatever is raised inside.
    (renewed, resting), (renewed_later, left) = seen
    assert (renewed, resting) == (renewed_later, 1)
    assert left == 0
