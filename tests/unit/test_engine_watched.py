"""What a person before a router needs of it: the market, the last decision, what must not go on, and leaving now."""

import shutil
import time
from decimal import Decimal
from pathlib import Path

import pytest

from sor.engine import Router, Settings
from sor.errors import CallerError, InDoubt
from sor.ids import ParentId
from sor.market import Trust
from sor.orders import ParentStatus
from tests.fakes.patience import until
from tests.unit.test_engine import ladder, live_orders, order, resting

pytestmark = pytest.mark.anyio

REST = {"policy": "plain_limit", "limit": Decimal(59_990), "deadline_s": 600.0}


async def test_what_an_earlier_process_left_goes_on_only_where_it_is_named(tmp_path: Path) -> None:
    """Two parents at work, killed; the next life keeps one. The other must place nothing before it is withdrawn."""
    venue = ladder()
    kept, gone = ParentId("kept"), ParentId("gone")
    async with Router(Settings(journal=tmp_path / "j"), venues=[venue]) as router:
        for name in (kept, gone):
            await resting(router, await router.submit(order(name, **REST)))
        shutil.copytree(tmp_path / "j", tmp_path / "killed")
    async with Router(Settings(journal=tmp_path / "killed", resume=(kept,)), venues=[venue]) as router:
        again = router.handle(kept)
        await resting(router, again)
        await router.handle(gone).ended()
        assert (router.handle(gone).status, again.status) == (ParentStatus.CANCELED, ParentStatus.WORKING)
        assert router.handle(gone).parent.end_text == "left by an earlier process"
        assert [child.child_no for child in router.handle(gone).parent.children] == [1]
        # Its order went with the first life, which the venue has to say first.
        await until(lambda: live_orders(venue) == [500])
    assert live_orders(venue) == []


async def test_the_market_and_the_last_decision_can_be_looked_at(tmp_path: Path) -> None:
    venue = ladder()
    async with Router(Settings(journal=tmp_path / "j"), venues=[venue]) as router:
        assert router.market("btc/usdt").trust is Trust.EMPTY  # asked for the first time: it is on its way
        await until(lambda: router.market("BTC-USDT", venue=venue.name).mid_hticks is not None)
        with pytest.raises(CallerError, match="'nosuch' is not listed on any allowed venue; nothing was sent"):
            router.market("nosuch")
        handle = await router.submit(order("rest", **REST))
        await resting(router, handle)
        parent = handle.parent
        decided = parent.decided
        assert decided is not None
        assert (decided.by, decided.open_lots, len(decided.decision.placements)) == ("plain_limit", 500, 1)
        handle.cancel()
        await handle.ended()
        assert handle.parent.decided is None  # thousands of ended parents are kept


async def test_who_is_in_a_hurry_is_told_what_is_not_confirmed_gone(tmp_path: Path) -> None:
    venue = ladder()

    async def leave() -> None:
        async with Router(Settings(journal=tmp_path / "j", shutdown_s=600.0), venues=[venue]) as router:
            router.hurry()
            await resting(router, await router.submit(order("rest", **REST)))

    began = time.monotonic()
    with pytest.raises(InDoubt, match="left with 1 orders not confirmed gone"):
        await leave()
    assert time.monotonic() - began < 60
