"""`sor route --dry-run`: everything that would be decided upon, and nothing done.

It runs on a journal of its own that is thrown away: the real one may hold orders at work, which would go on.
"""

from __future__ import annotations

import time
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import msgspec
from rich.console import Console
from rich.table import Table

from sor.adapter import AccountState, Capabilities, VenueAdapter
from sor.cli.common import Output, say_json
from sor.cli.live import Interrupts
from sor.cli.lookout import long_enough_s, watch_market
from sor.cli.notes import noted, unsaid
from sor.cli.trade import Job
from sor.cli.venue import listed_on
from sor.cli.words import plain, seen, wanted, weighed
from sor.engine import Router
from sor.errors import InDoubt, NotSent
from sor.instruments import Instrument
from sor.market import MarketView, Trust
from sor.orders import PositionSide
from sor.plugins import Plugins
from sor.policy import Decision
from sor.reasons import Denial
from sor.settings import Neighbours
from sor.units import rate_bps

MARKET_WAIT_S = 15.0
MARKET_POLL_S = 0.05
NOTHING_SENT = "Dry run: nothing was placed, nothing was changed."


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What a dry run saw. `account` is None where it could not be read; `at_ns` is when it was decided.

    denials    what the risk gate said of each placement, None where it would let it through.
    """

    job: Job
    instrument: Instrument
    capabilities: Capabilities
    market: MarketView
    account: AccountState | None
    open_orders: int | None
    decision: Decision
    denials: tuple[Denial | None, ...]
    at_ns: int

    @property
    def hedged(self) -> bool:
        """Whether long and short positions are held apart."""
        return PositionSide.BOTH not in self.capabilities.position_modes

    @property
    def position(self) -> Decimal | None:
        """Of this symbol, signed, both sides together; None where the account is not known."""
        if self.account is None:
            return None
        held = (one.qty_lots for one in self.account.positions if one.symbol == self.instrument.symbol)
        return self.instrument.quantity(sum(held))


async def preview(job: Job, output: Output, interrupts: Interrupts) -> Seen:
    """Connect, watch, ask the policy, leave. Raises as `trade`, and `CallerError` when no market data comes."""
    del interrupts  # whatever comes ends it: there is nothing to withdraw
    plugins = Plugins.installed()
    adapter = job.access.opened(plugins)
    with TemporaryDirectory(prefix="sor-dry-run-") as folder:
        # Nothing is placed, so the orders of a router that runs on the account may stay.
        settings = msgspec.structs.replace(job.settings(Path(folder) / "journal"), neighbours=Neighbours.LEAVE)
        router = Router(settings, venues=[adapter])
        connected = False
        try:
            with noted(unsaid):
                async with router:
                    connected = True
                    return await _look(job, router, adapter, None if output.json else output.err)
        except NotSent as error:
            raise error if connected else job.access.unreachable(error) from error


async def _look(job: Job, router: Router, adapter: VenueAdapter, console: Console | None) -> Seen:
    order = job.order_for(router, adapter)
    instrument = listed_on(router.core.in_force.instruments, adapter.name, order.symbol)
    with anyio.move_on_after(MARKET_WAIT_S):
        while not _known(router.market(order.symbol), marks=adapter.capabilities.marks):  # noqa: ASYNC110 - a look
            await anyio.sleep(MARKET_POLL_S)
    router.foresee(order)  # what is to be refused is not watched for first
    watch_s = long_enough_s(router, order, instrument) if job.watch_s is None else job.watch_s
    await watch_market(router, order.symbol, watch_s, console)
    foresight = router.foresee(order)
    account: AccountState | None = None
    open_orders: int | None = None
    try:
        account = await adapter.account()
        open_orders = len([one for one in await adapter.open_orders() if one.symbol == instrument.symbol])
    except (NotSent, InDoubt):
        pass  # said as not known
    return Seen(
        job=job,
        instrument=instrument,
        capabilities=adapter.capabilities,
        market=router.market(order.symbol),
        account=account,
        open_orders=open_orders,
        decision=foresight.decision,
        denials=foresight.denials,
        at_ns=time.time_ns(),
    )


def _known(market: MarketView, *, marks: bool) -> bool:
    return market.trust is Trust.OK and market.mid_hticks is not None and (market.mark_ticks is not None or not marks)


def show_preview(out: Console, found: Seen) -> None:
    """For people."""
    instrument, decision, account = found.instrument, found.decision, found.account
    out.print(found.job.headline, style="bold")
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("market", seen(instrument, found.market))
    if found.market.mark_ticks is not None:
        table.add_row("mark", f"{found.market.mark_ticks * float(instrument.tick_size):.10g} {instrument.quote}")
    least = f"least {instrument.quantity(instrument.min_qty_lots)} and {instrument.min_notional:f} {instrument.quote}"
    steps = f"tick {instrument.tick_size:f}, step {instrument.lot_size:f}, {least}"
    table.add_row("instrument", f"{instrument.symbol} on {found.job.access.label}: {steps}")
    maker, taker = rate_bps(instrument.maker_fee_e8), rate_bps(instrument.taker_fee_e8)
    table.add_row("fees", f"maker {maker:g} bps, taker {taker:g} bps")
    mode = "hedge mode" if found.hedged else "one-way mode"
    if account is None:
        table.add_row("account", f"{mode}; it could not be read")
    else:
        money = f"equity {account.equity:,.2f} {account.asset}, available {account.available:,.2f}"
        table.add_row("account", f"{mode}; {money}; position {found.position}; open orders {found.open_orders}")
    by = found.job.order.policy
    table.add_row(by, f"would {wanted(instrument, decision, found.at_ns)}")
    if decision.note:
        table.add_row("", decision.note)
    if any(found.denials):
        denied = ", ".join("through" if denial is None else plain(denial) for denial in found.denials)
        table.add_row("risk gate", f"would deny it now: {denied}", style="red")
    for alternative in decision.alternatives:
        table.add_row("weighed", weighed(alternative))
    if decision.inputs:
        table.add_row("inputs", ", ".join(f"{name} {value:.6g}" for name, value in decision.inputs))
    out.print(table)
    out.print(NOTHING_SENT)


def say_preview(found: Seen) -> None:
    """For programs: one document."""
    account = found.account
    say_json(
        {
            "dry_run": True,
            "venue": found.job.access.venue,
            "env": found.job.access.env,
            "paper": found.job.access.paper,
            "order": msgspec.to_builtins(found.job.order),
            "instrument": msgspec.to_builtins(found.instrument),
            "market": msgspec.structs.asdict(found.market),
            "hedge_mode": found.hedged,
            "account": None if account is None else msgspec.to_builtins(account),
            "position": found.position,
            "open_orders": found.open_orders,
            "decision": msgspec.structs.asdict(found.decision),
            "denials": found.denials,
        }
    )
