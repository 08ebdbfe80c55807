"""The process that is killed: a router with a journal and a venue's adapter, and the strategy of the plan.

    python -m sor.chaos.worker JOB

It loads, and begins to live when its standard input has the number of its life, so that one can stand ready while
another one dies.

Where the power is to fail, its journal is synced turn by turn, and it notes how far each sync reached.

Started again it goes on from the journal: parents that are there are not handed in again. What it says of itself goes
into one file of lines, each written at once, so that nothing of it is lost with the process. It ends by itself once it
is calm and everything has ended.
"""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from enum import StrEnum
from pathlib import Path

import anyio
import msgspec

from sor.adapter import Ledgered, Situated, VenueAdapter
from sor.balances import SLACK
from sor.chaos.plan import PARENTS_AFTER, PRICED, Ask, Change, Plan
from sor.chaos.power import NOTES_NAME, note_syncs
from sor.engine import Router, Settings
from sor.errors import CallerError, InDoubt, NotSent, VenueFault
from sor.ids import AccountId, VenueName
from sor.instruments import canonical_symbol
from sor.journal import Durability, Environment
from sor.market import MarketView, Trust
from sor.orders import FeeSource, ParentOrder, PositionSide, Side
from sor.plugins import Plugins
from sor.wallets import Wallet

EXIT_AGAIN = 75
"""It could not come up, as the venue could not be asked: whoever started it may try again."""
CHECKPOINT_BYTES = 20_000
"""So often that kills strike while a checkpoint is written, and that starts go on from one."""
FEES_S = 2.5
"""How long it waits for fees that are not settled yet, once everything has ended."""
POSITIONS_S = 2.5
"""How often positions and wallet are read: a wallet is known when it was stated twice, five seconds apart."""
WALLETS = 40
"""How often the venue may state another wallet, once everything has ended, before that is how it is."""
POLL_S = 0.005
MARKET_S = 5.0
"""How long a parent that needs a price waits for the market."""


class Said(StrEnum):
    """What a process says of itself."""

    UP = "up"
    """The router runs."""
    ACCEPTED = "accepted"
    """`submit` has returned: the parent named in `text` is on disk."""
    REFUSED = "refused"
    """The parent is not in the journal: its symbol is halted."""
    ALARM = "alarm"
    FAILED = "failed"
    """It could not come up."""
    DONE = "done"
    """Everything has ended, and the router has been left in good order."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the file. life: from 1, which process."""

    life: int
    said: Said
    text: str = ""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What every life of a run is told.

    folder        of the journal and of what is said.
    options       of the venue's adapter.
    power_loss    what was not synced may be lost with a process.
    money         nothing is traded before the wallet is known, and at the end there is time to read what changed it.
    """

    folder: str
    venue: VenueName
    options: dict[str, str]
    symbol: str
    power_loss: bool
    money: bool
    plan: Plan

    @property
    def journal(self) -> Path:
        """Of all lives."""
        return Path(self.folder) / "journal"

    @property
    def said(self) -> Path:
        """The file of lines."""
        return Path(self.folder) / "said"

    @property
    def synced(self) -> Path:
        """How far the syncs of all lives reached."""
        return Path(self.folder) / NOTES_NAME

    @property
    def calm(self) -> Path:
        """Once this is there, nothing more goes wrong and nobody is killed."""
        return Path(self.folder) / "calm"


class Worker:
    """One life."""

    def __init__(self, job: Job, life: int, adapter: VenueAdapter) -> None:
        self._job = job
        self._life = life
        self._adapter = adapter
        self._file = os.open(job.said, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._alarms = 0

    def say(self, said: Said, text: str = "") -> None:
        """One line, in the kernel's hands when this returns."""
        os.write(self._file, msgspec.json.encode(Line(life=self._life, said=said, text=text)) + b"\n")

    async def run(self) -> int:
        """Live, to the exit code."""
        job, adapter = self._job, self._adapter
        settings = Settings(
            journal=job.journal,
            durability=Durability.SYNCED if job.power_loss else Durability.KERNEL,
            environment=Environment(adapter.environment) if isinstance(adapter, Situated) else Environment.SIMULATED,
            watch=(job.symbol,),
            positions_s=POSITIONS_S,
            reconcile_s=7.0,
            start_patience_s=0.0,  # limits are forgiven once it is calm, which nobody tells who waits
            params_poll_s=0.0,
            checkpoint_bytes=CHECKPOINT_BYTES,
        )
        router = Router(settings, venues=[adapter])
        try:
            await router.__aenter__()
        except (NotSent, InDoubt, VenueFault) as error:  # the venue is not there, or not itself
            self.say(Said.FAILED, f"{type(error).__name__}: {error}")
            return EXIT_AGAIN
        try:
            if job.money:
                await self._learn_wallet(router)
            self.say(Said.UP)
            await self._trade(router)
        finally:
            await router.__aexit__(None, None, None)
        self.say(Said.DONE)
        return 0

    async def _trade(self, router: Router) -> None:
        """Hand in what is next, one after another; then until everything has ended."""
        changes = {change.parent_id: change for change in self._job.plan.changes}
        asks = deque(ask for ask in self._job.plan.asks if ask.parent_id not in router.core.by_id)
        pending: list[tuple[float, Change]] = []
        next_s = time.monotonic()
        calm: float | None = None
        left = PARENTS_AFTER
        while calm is None or (left and asks) or pending or not _all_ended(router):
            now_s = time.monotonic()
            if calm is None and self._job.calm.exists():
                calm = now_s
            if asks and now_s >= next_s and (calm is None or left):
                ask = asks.popleft()
                next_s = now_s + (asks[0].gap_s if asks else 0.0)
                left -= calm is not None
                await self._submit(router, ask)
                change = changes.get(ask.parent_id)
                if change is not None:
                    pending.append((time.monotonic() + change.after_s, change))
            for due in [one for one in pending if one[0] <= now_s]:
                pending.remove(due)
                self._change(router, due[1])
            self._tell_alarms(router)
            await anyio.sleep(POLL_S)
        with anyio.move_on_after(FEES_S):
            while _fees_owed(router):  # noqa: ASYNC110 - nobody tells of a fee
                await anyio.sleep(POLL_S)
        if self._job.money:
            await self._see_wallet(router)
        self._tell_alarms(router)

    async def _learn_wallet(self, router: Router) -> None:
        """Wait until it is known, where the venue lists what changes it: what is traded before is in it unseen."""
        if isinstance(self._adapter, Ledgered):
            while self._wallet(router) is None and not self._job.calm.exists():  # noqa: ASYNC110 - nobody tells of it
                await anyio.sleep(POLL_S)

    async def _see_wallet(self, router: Router) -> None:
        """Wait until all that changed the wallet is known, or it should long have been."""
        wallet = self._wallet(router)
        stated = 0
        while wallet is not None and stated < WALLETS:
            with suppress(NotSent, InDoubt):  # it cannot be asked for as long as the venue shuts it out
                account = await self._adapter.account()
                if account.wallet is not None:
                    stated += 1
                    if abs(account.wallet - wallet.expected) <= SLACK:
                        return
            await anyio.sleep(POSITIONS_S / 5)

    def _wallet(self, router: Router) -> Wallet | None:
        return router.core.wallets.of(self._adapter.name, AccountId("default"))

    async def _submit(self, router: Router, ask: Ask) -> None:
        view = router.market(self._job.symbol)
        if ask.policy == PRICED:
            with anyio.move_on_after(MARKET_S):
                while view.trust is not Trust.OK:
                    await anyio.sleep(POLL_S)
                    view = router.market(self._job.symbol)
            if view.trust is not Trust.OK:
                return  # without a price there is no such order; the next life asks again
        try:
            await router.submit(self._order(router, ask, view))
        except VenueFault:
            self.say(Said.REFUSED, ask.parent_id)
            return
        self.say(Said.ACCEPTED, ask.parent_id)

    def _order(self, router: Router, ask: Ask, view: MarketView) -> ParentOrder:
        instrument = router.core.in_force.instruments[self._adapter.name, canonical_symbol(self._job.symbol)]
        limit: Decimal | None = None
        if ask.policy == PRICED:
            assert view.mid_hticks is not None, "it is trusted"
            limit = instrument.price(view.mid_hticks // 2 + ask.near_ticks)
        position_side = PositionSide.BOTH
        if position_side not in self._adapter.capabilities.position_modes:
            opens_long = (ask.side is Side.BUY) is not ask.reduce_only
            position_side = PositionSide.LONG if opens_long else PositionSide.SHORT
        return ParentOrder(
            parent_id=ask.parent_id,
            symbol=self._job.symbol,
            side=Side(ask.side),
            quantity=instrument.quantity(ask.lots),
            policy=ask.policy,
            schedule=ask.schedule,
            limit=limit,
            deadline_s=ask.deadline_s,
            reduce_only=ask.reduce_only,
            position_side=position_side,
        )

    def _change(self, router: Router, change: Change) -> None:
        parent = router.core.by_id.get(change.parent_id)
        if parent is None or not parent.active:
            return
        try:
            if change.lots:
                router.amend(change.parent_id, quantity=parent.instrument.quantity(change.lots))
            elif change.deadline_s:
                router.amend(change.parent_id, deadline_s=change.deadline_s)
            else:
                router.cancel(change.parent_id)
        except CallerError:
            return  # such a change cannot be made, and nothing has changed

    def _tell_alarms(self, router: Router) -> None:
        alarms = router.alarms()
        for alarm in alarms[self._alarms :]:
            self.say(Said.ALARM, f"{'halts: ' if alarm.halts else ''}{alarm.text}")
        self._alarms = len(alarms)


def _all_ended(router: Router) -> bool:
    return all(parent.ended and not parent.open_children for parent in router.core.parents)


def _fees_owed(router: Router) -> bool:
    settled = (FeeSource.WS_SETTLED, FeeSource.REST_SETTLED)
    return any(
        trade.fee_source not in settled
        for parent in router.core.parents
        for child in parent.children
        for trade, _ in child.trades
    )


def main(arguments: list[str], *, open_venue: Callable[[dict[str, str]], VenueAdapter] | None = None) -> int:
    """One life, to its exit code. `open_venue`: another adapter than the installed one of that name."""
    job = msgspec.json.decode(Path(arguments[0]).read_bytes(), type=Job)
    opens = open_venue or Plugins.installed().venue(job.venue)
    life = sys.stdin.readline()
    if not life:
        return 0  # nobody needs it any more
    if job.power_loss:
        note_syncs(job.synced)
    return anyio.run(Worker(job, int(life), opens(dict(job.options))).run)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
