"""The smallest strategy: one parent order on the simulated venue, in real time.

python examples/hello.py
"""

import tempfile
from decimal import Decimal
from pathlib import Path

import anyio

from sor.engine import Router, Settings
from sor.ids import ParentId
from sor.orders import ParentOrder, Side
from sor.plugins import Plugins


async def main(journal: Path) -> None:
    """Buy half a coin within ten seconds, resting first where the market is calm."""
    venue = Plugins.installed().venue("simulated")({"seed": "7"})
    async with Router(Settings(journal=journal, watch=("BTC-USDT",)), venues=[venue]) as router:
        order = ParentOrder(
            parent_id=ParentId("hello-1"),
            symbol="BTC-USDT",
            side=Side.BUY,
            quantity=Decimal("0.5"),
            deadline_s=10.0,
            policy="maker_first",
        )
        handle = await router.submit(order)
        async for happening in handle:
            if happening.report is not None:
                print(happening.report.exec_type.value, "filled so far", handle.filled)
        costs = await handle.result()
        print(f"{costs.status.value}: average price {costs.avg_price}, cost {costs.arrival_cost_bps:.2f} bps")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        anyio.run(main, Path(directory) / "journal")
