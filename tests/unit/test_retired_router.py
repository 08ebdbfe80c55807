"""Parents that are over in a whole router (0018): readings, handles, restarts and who asks again."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import anyio
import pytest

from sor.adapter import OrderRef
from sor.engine import Router
from sor.errors import CallerError
from sor.events import Contradicted, PositionMoved, StrayFound
from sor.ids import ParentId, Symbol
from sor.orders import Action, ExecutionReceipt, Intent, ParentOrder, ParentStatus, PositionSide, Side
from sor.recovery import folded
from sor.settings import Settings
from tests.fakes.patience import until
from tests.fakes.shared_account import Account
from venues.simulated.adapter import SimulatedVenue
from venues.simulated.options import read

BUY, SELL = Side.BUY, Side.SELL
P1 = ParentId("P1")


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    found = Account(tmp_path, retire_s=1.0)
    yield found
    found.close()


def test_readings_find_orders_of_retired_parents_and_nothing_is_foreign(account: Account) -> None:
    account.start()
    for no in range(6):
        account.submit(f"take {no}", BUY if no % 2 else SELL, 3 + no)
        account.wait(7)
    account.wait(305)  # until the last markout has recalled the last of them
    account.books.flap()
    account.wait(2)
    core = account.core
    assert sorted(core.parents.retired) == [1, 2, 3, 4, 5, 6]
    assert core.desk.children == {}
    for fill in account.books._exchange.fills:
        account.books.push(fill)  # once more, all of them
    account.wait(30)
    assert account.position == account.books.position_lots
    assert (account.facts(PositionMoved, Contradicted, StrayFound), account.texts()) == ([], [])
    account.restart()
    account.wait(60)
    assert sorted(account.core.parents.retired) == [1, 2, 3, 4, 5, 6]
    assert account.position == account.books.position_lots
    assert (account.facts(PositionMoved, Contradicted, StrayFound), account.texts()) == ([], [])
    assert [parent.ledger.cum_lots for parent in folded(account.router_settings.journal).parents] == [3, 4, 5, 6, 7, 8]


@pytest.mark.anyio
async def test_who_asks_again_is_answered_as_before(tmp_path: Path) -> None:
    settings = Settings(journal=tmp_path / "j", retire_s=0.001)
    ladder = SimulatedVenue(read({"market": "ladder", "latency": "near", "ladder.spread_ticks": "5"}))
    intent = Intent(
        intent_id=P1, action=Action.ENTER, side=PositionSide.LONG, asset="BTC/USDT", size=Decimal("0.5"), leverage=None
    )
    other = ParentOrder(parent_id=ParentId("P2"), symbol="BTC-USDT", side=SELL, quantity=Decimal("0.1"), policy="cross")
    first: ExecutionReceipt
    async with Router(settings, venues=[ladder]) as router:
        first = await router.submit_intent(intent)
        handle = router.handle(P1)
        await (await router.submit(other)).ended()
        await until(lambda: [*router.core.parents.retired][:1] == [1])
        assert handle.report.filled_lots == 500
        again = await router.submit_intent(intent)
        assert _untimed(again) == _untimed(first)
        with pytest.raises(CallerError, match="submitted before with other terms; nothing was sent"):
            await router.submit_intent(_larger(intent))
    async with Router(settings, venues=[ladder]) as router:
        assert [*router.core.parents.retired] == [1, 2]
        assert _untimed(await router.submit_intent(intent)) == _untimed(first)
        assert [parent.status for parent in router.parents()] == [ParentStatus.FILLED] * 2
        assert router.core.desk.order(first.cl_ord_ids[0]) is not None
        ladder.query(OrderRef(cl_ord_id=first.cl_ord_ids[0], symbol=Symbol("BTCUSDT")))
        await anyio.sleep(0.2)
        assert router.core.parents[0].ledger.cum_lots == 500


def test_what_would_count_twice_is_refused(tmp_path: Path) -> None:
    ladder = SimulatedVenue(read({"market": "ladder"}))
    for wrong, says in (({"forget_s": 119.0}, "forgotten after 119 s"), ({"retire_s": -1.0}, "before they are over")):
        with pytest.raises(CallerError, match=f"{says}.* nothing was started"):
            Router(Settings(journal=tmp_path / "j", **wrong), venues=[ladder])  # type: ignore[arg-type]


def _untimed(receipt: ExecutionReceipt) -> list[object]:
    return [getattr(receipt, name) for name in receipt.__struct_fields__ if name not in ("ts_ns", "leverage")]


def _larger(intent: Intent) -> Intent:
    return Intent(
        intent_id=intent.intent_id, action=intent.action, side=intent.side, asset=intent.asset, size=Decimal(1)
    )


def test_markouts_of_what_is_forgotten_are_nobodys(tmp_path: Path) -> None:
    """The last is due 300 s after the fill."""
    account = Account(tmp_path, retire_s=1.0, forget_s=100.0)
    account.start()
    account.submit("take", BUY, 3)
    for duration_s in (70, 110, 130):  # the marks of 60 s are taken, it is retired; forgotten; and the last is due
        account.wait(duration_s)
        account.books.flap()
        assert account.texts() == []
    assert (len(account.core.parents), account.position) == (0, 3)
    account.restart()
    account.wait(60)
    assert (len(account.core.parents), account.position, account.texts()) == (0, 3, [])
    account.close()
