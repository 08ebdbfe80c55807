"""Enter and leave a position with intents, which say what is meant instead of how: answered with a receipt.

python examples/intents.py
"""

import tempfile
from decimal import Decimal
from pathlib import Path

import anyio

from sor.engine import Router, Settings
from sor.ids import ParentId
from sor.orders import Action, ExecutionReceipt, Intent, PositionSide
from sor.plugins import Plugins


def told(receipt: ExecutionReceipt) -> str:
    """One line about a receipt."""
    side = receipt.side.name.lower()
    return (
        f"{receipt.status.value}: {side} {receipt.quantity} at {receipt.price}, fee {receipt.fee} {receipt.fee_asset}"
    )


async def main(journal: Path) -> None:
    """Go long half a coin, then close more than that: an exit never turns the position round."""
    venue = Plugins.installed().venue("simulated")({"seed": "7"})
    async with Router(Settings(journal=journal, watch=("BTC-USDT",)), venues=[venue]) as router:
        enter = Intent(
            intent_id=ParentId("enter-1"),
            action=Action.ENTER,
            side=PositionSide.LONG,
            asset="BTC-USDT",
            size=Decimal("0.5"),
        )
        print(told(await router.submit_intent(enter)))
        leave = Intent(
            intent_id=ParentId("leave-1"),
            action=Action.EXIT,
            side=PositionSide.LONG,
            asset="BTC-USDT",
            size=Decimal("0.8"),
        )
        print(told(await router.submit_intent(leave)))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        anyio.run(main, Path(directory) / "journal")
