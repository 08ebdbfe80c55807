"""A router's process with a dead-man's switch and one order far from the market; the next one says what became of it.

python -m tests.fakes.dead_man_router URL FOLDER
"""

import sys
from decimal import Decimal
from pathlib import Path

import anyio

from sor.engine import Router, Settings
from sor.ids import ParentId
from sor.orders import ParentOrder, Side
from sor.plugins import Plugins

PARENT = ParentId("rest")
DEAD_MAN_S = 10.0
"""The least that BingX counts down from."""


def say(text: str) -> None:
    """One line, at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def live(url: str, folder: Path) -> None:
    """Have it rest, and wait to be killed; in another life, say how it ended, and leave."""
    options = {"env": "emulator", "url": url, "symbols": "BTC-USDT", "leverage_cache": str(folder)}
    settings = Settings(journal=folder / "journal", dead_man_s=DEAD_MAN_S, exclusive=True)
    async with Router(settings, venues=[Plugins.installed().venue("bingx")(options)]) as router:
        known = router.core.by_id.get(PARENT)
        if known is None:
            handle = await router.submit(
                ParentOrder(
                    parent_id=PARENT,
                    symbol="BTC-USDT",
                    side=Side.BUY,
                    quantity=Decimal("0.01"),
                    limit=Decimal(50_000),
                    policy="plain_limit",
                    deadline_s=600.0,
                )
            )
            await handle.answered()
            say("rests")
            await anyio.sleep_forever()
            return
        first = known.children[0]
        while not first.closed:  # noqa: ASYNC110 - nobody tells of an order of before
            await anyio.sleep(0.02)
        say(f"{first.status.value} {first.counted_lots} {known.ledger.in_doubt_lots}")


if __name__ == "__main__":
    anyio.run(live, sys.argv[1], Path(sys.argv[2]))
