"""Topics that BingX does not give for a while come back by themselves (R6)."""

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest

from sor.market import BookReset, BookUpdate
from sor.orders import Side
from tests.fakes.bingx_rig import BTC, Rig

pytestmark = pytest.mark.anyio


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    rig = await Rig(tmp_path).connect()
    rig.venue.subscribe(BTC)
    rig.run(2_000)
    yield rig
    await rig.wait(rig.venue.disconnect())


def books(rig: Rig) -> list[str]:
    """What became of the book since this was asked last; updates apart."""
    markets, rig.ear.markets = rig.ear.markets, []
    whole = [one for one in markets if isinstance(one, BookReset) or (isinstance(one, BookUpdate) and one.snapshot)]
    return ["snapshot" if isinstance(one, BookUpdate) else "lost" for one in whole]


@pytest.mark.parametrize("fault", ["symbol-paused=symbol=BTC-USDT,for_ms=20000", "zombie=which=market,for_ms=20000"])
async def test_a_book_that_was_refused_or_never_answered_for_comes_back(rig: Rig, fault: str) -> None:
    """A pause of the contract, or acknowledgements that did not come, cost the market of the whole session."""
    assert books(rig) == ["snapshot"]
    rig.switch(fault)
    rig.switch("drop-sockets=which=market,close=no")
    rig.run(20_000)
    assert books(rig) == ["lost"]
    rig.run(40_000)
    # BingX had heard the questions that it did not answer, so it sends no snapshot to this one; an update shows that.
    rig.app.exchange.pits["BTC-USDT"].trade_as_crowd(Side.BUY, qty=Decimal("0.1"), price=Decimal(60_001))
    rig.run(3_000)
    assert books(rig)[-1] == "snapshot"
