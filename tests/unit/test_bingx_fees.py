"""Fees that are owed while BingX lets nobody ask: they are asked for when it does again (F2)."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sor.orders import ExecType, ExecutionReport, FeeSource
from tests.fakes.bingx_rig import Rig

pytestmark = pytest.mark.anyio


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    rig = await Rig(tmp_path).connect()
    yield rig
    await rig.wait(rig.venue.disconnect())


def settled(rig: Rig) -> list[FeeSource | None]:
    reports = [one for one in rig.ear.reports if isinstance(one, ExecutionReport)]
    return [one.fee_source for one in reports if one.exec_type is ExecType.TRADE]


async def test_a_fee_is_asked_for_again_when_a_rate_limit_is_over(rig: Rig) -> None:
    """Five minutes are longer than both lookups wait; they were never sent, so they are not used up."""
    rig.switch("push-drop")
    rig.switch("rate-limited=on=GET /openApi/swap/v2/trade/order,count=1")
    rig.venue.submit(rig.order())
    rig.run(60_000)
    assert settled(rig) == [None]
    before = rig.requests().count("GET /openApi/swap/v2/trade/order")
    assert before == 1
    rig.run(250_000)
    assert settled(rig) == [None, FeeSource.REST_SETTLED]
    assert rig.requests().count("GET /openApi/swap/v2/trade/order") == 1
