"""One parent order from the connection to its end, with somebody watching who may interrupt it."""

from __future__ import annotations

import time
from decimal import Decimal
from pathlib import Path

import anyio
import msgspec

from sor.adapter import VenueAdapter
from sor.cli.common import Output
from sor.cli.live import Interrupts, beside
from sor.cli.lookout import watch_market
from sor.cli.notes import Notes, noted, unsaid
from sor.cli.outcome import Outcome, story_of
from sor.cli.stopped import REACHED
from sor.cli.venue import Access, listed_on
from sor.cli.watch import Watcher
from sor.cli.words import verb
from sor.engine import Router
from sor.errors import InDoubt, JournalFault, NotSent
from sor.handle import ParentHandle
from sor.ids import ClOrdId
from sor.instruments import canonical_symbol
from sor.intake import admit
from sor.journal import Durability, Environment
from sor.orders import ParentOrder, PositionSide, Side
from sor.params import ParamStore
from sor.parent import Parent
from sor.plugins import Plugins
from sor.settings import Neighbours, Settings

FEES_WAIT_S = 4.0
"""How long the venue's own figure of the fees is waited for, once nothing is at the venue any more."""
SETTLE_WAIT_S = 10.0
"""How long the venue is asked for an order before somebody's word counts."""
POLL_S = 0.05


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for: an order, and where it goes. Its position side is filled in when the account is known.

    settled         orders of the journal that somebody has looked up at the venue, with what they filled.
    watch_s         how long the market is watched before anything is decided; None: not at all for an order, and long
                    enough for a dry run to have estimates.
    trusted         sets that somebody trusts although outcomes contradict them.
    same_account    somebody vouches that the venue's account is the journal's.
    neighbours      what orders with another journal's mark are.
    """

    access: Access
    order: ParentOrder
    leverage: int | None
    journal: Path
    param_dirs: tuple[Path, ...]
    settled: tuple[tuple[ClOrdId, Decimal], ...] = ()
    trusted: tuple[str, ...] = ()
    same_account: bool = False
    neighbours: Neighbours = Neighbours.REFUSE
    watch_s: float | None = None

    @property
    def headline(self) -> str:
        """It in one line."""
        order = self.order
        limit = "" if order.limit is None else f", limit {order.limit}"
        only = ", reduce-only" if order.reduce_only else ""
        values = f", param-set {order.param_set}" if order.param_set else ""
        where = f"on {self.access.label}{limit}{only}, policy {order.policy}{values}"
        return f"{verb(order.side)} {order.quantity} {order.symbol} {where}"

    def check(self) -> None:
        """What can be told without a venue. Raises `CallerError`; nothing was opened."""
        canonical_symbol(self.order.symbol)
        plugins = Plugins.installed()
        plugins.policy(self.order.policy)
        plugins.schedule(self.order.schedule).check(self.order.schedule_args)

    def settings(self, journal: Path) -> Settings:
        """Of a router that works this order and no other."""
        environment = self.access.environment
        return Settings(
            journal=journal,
            environment=environment,
            durability=Durability.SYNCED if environment is Environment.LIVE else Durability.KERNEL,
            param_dirs=self.param_dirs,
            resume=(self.order.parent_id,),
            same_accounts=self.same_account,
            neighbours=self.neighbours,
            start_patience_s=0.0,  # who sits there reads until when to wait
            kill_signal=True,
        )

    def order_for(self, router: Router, adapter: VenueAdapter) -> ParentOrder:
        """The order as this account takes it: in hedge mode it opens or closes the position of its side.

        Raises `CallerError` for a symbol that the venue does not list; nothing was sent.
        """
        order = self.order
        listed_on(router.core.in_force.instruments, adapter.name, order.symbol)
        if PositionSide.BOTH in adapter.capabilities.position_modes:
            return order
        long = (order.side is Side.BUY) is not order.reduce_only
        return msgspec.structs.replace(order, position_side=PositionSide.LONG if long else PositionSide.SHORT)


def own_set(venue: str, directories: tuple[Path, ...]) -> str:
    """The param-set of an order that names none: the venue's own where there is one, else "", the router's default.

    Raises `CallerError` for sets that are refused; nothing was opened.
    """
    return ParamStore(*directories).of_venue(venue, now_ns=time.time_ns()) or ""


async def trade(job: Job, output: Output, interrupts: Interrupts) -> Outcome:
    """Submit and follow one order to its end.

    Raises `CallerError` and `NotSent` with nothing sent, `InDoubt` when orders of an earlier process cannot be settled,
    `JournalFault` when the router had to stop.
    """
    plugins = Plugins.installed()
    adapter = job.access.opened(plugins)
    router = Router(job.settings(job.journal), venues=[adapter])
    work = _Work(job, output, router, adapter)
    try:
        with noted(unsaid if output.json else output.err.print) as notes:
            async with router:
                work.connected = True
                await work.run(interrupts, notes)
    except NotSent as error:
        raise error if work.connected else job.access.unreachable(error) from error
    except InDoubt:
        if work.handle is None:
            raise
    except OSError as error:
        raise _cut(error, work) from error
    return work.outcome(interrupts.number)


def _cut(error: OSError, work: _Work) -> Exception:
    """What a file or a terminal that failed means for the order."""
    if work.handle is None:
        return error
    parent = work.handle.parent
    filled = parent.instrument.quantity(parent.ledger.cum_lots)
    rests = ", ".join(work.unconfirmed)
    left = f"{rests} may still rest" if rests else "nothing of it rests"
    return JournalFault(f"{error.strerror or error}: {parent.id} was withdrawn with {filled} filled, {left}")


class _Work:
    """One order in the making."""

    def __init__(self, job: Job, output: Output, router: Router, adapter: VenueAdapter) -> None:
        self.job = job
        self.handle: ParentHandle | None = None
        self.connected = False
        self._output = output
        self._router = router
        self._adapter = adapter
        self._watcher: Watcher | None = None
        self._known = False
        self._interrupted = False

    async def run(self, interrupts: Interrupts, notes: Notes) -> None:
        """Submit, watch, and wait until it has ended or nobody wants to wait any more."""
        router, output = self._router, self._output
        for cl_ord_id, filled in self.job.settled:
            await self._settle(cl_ord_id, filled)
        for name in self.job.trusted:
            router.trust_fit(name, reason="--trust-fit")
            self._note(f"{name} is trusted again, on your word")
        order = self.job.order_for(router, self._adapter)
        known = admit(router.core, order)
        if not isinstance(known, Parent):
            await watch_market(router, order.symbol, self.job.watch_s or 0.0, None if output.json else output.err)
            await self._set_leverage(order)
        REACHED.text = f"what was sent and what came of it: {story_of(order.parent_id, self.job.journal)}"
        handle = self.handle = await router.submit(order)
        self._known = handle.parent.ended
        watcher = self._watcher = Watcher(
            output.err, router, handle, where=self.job.access.label, silent=output.json or self._known
        )
        notes.say = watcher.note
        waiting = anyio.CancelScope()

        def stop() -> None:
            if handle.parent.ended:
                waiting.cancel()  # only a fee is waited for
                return
            self._interrupted = True
            watcher.say("Interrupted: withdrawing what rests. Press again to leave without waiting.", "yellow")
            router.cancel(handle.parent_id, "interrupted")

        def hurry() -> None:
            waiting.cancel()
            router.hurry()

        interrupts.mean(stop=stop, hurry=hurry)
        with waiting, watcher.shown():
            await beside(watcher.follow, watcher.refresh)
            await self._fees(handle, watcher)

    async def _settle(self, cl_ord_id: ClOrdId, filled: Decimal) -> None:
        """Take somebody's word for an order that the venue has forgotten, once it has been asked for long enough."""
        child = self._router.core.desk.children.get(cl_ord_id)
        with anyio.move_on_after(SETTLE_WAIT_S):
            while child is not None and not child.closed:  # noqa: ASYNC110 - the venue may know after all
                await anyio.sleep(POLL_S)
        if child is None or not child.closed:
            self._router.settle(cl_ord_id, filled=filled, reason="--settle")
            self._note(f"{cl_ord_id} is over with {filled} filled, on your word")
        else:
            instrument = self._router.core.parents[child.parent_no - 1].instrument
            self._note(f"{cl_ord_id} is over with {instrument.quantity(child.counted_lots)} filled, the venue says")

    async def _set_leverage(self, order: ParentOrder) -> None:
        """As an intent does: only before something may be opened, and before the order is there."""
        asked = self.job.leverage
        if asked is None:
            return
        if order.reduce_only:
            self._note("--leverage is left alone: the order only reduces")
            return
        told = await self._adapter.set_leverage(canonical_symbol(order.symbol), Decimal(asked))
        if told.clamped:
            self._note(f"leverage {told.in_force} instead of {asked}: more is not allowed here")

    async def _fees(self, handle: ParentHandle, watcher: Watcher) -> None:
        """Give the venue a moment to say what it charged; an estimate stands in until then."""
        if self._known or self.job.access.paper or handle.report.fees_settled_share in (None, 1.0):
            return
        watcher.say("Nothing is at the venue any more. Waiting a moment for its own figure of the fees.", "dim")
        with anyio.move_on_after(FEES_WAIT_S):
            while handle.report.fees_settled_share not in (None, 1.0):  # noqa: ASYNC110 - nobody is told of a fee
                await anyio.sleep(POLL_S)

    def _note(self, text: str) -> None:
        self._output.err.print(text)

    @property
    def unconfirmed(self) -> tuple[str, ...]:
        """Orders that may still be at the venue, those of earlier processes included."""
        at_work = self._router.core.parents.at_work.values()
        return tuple(child.order.cl_ord_id for parent in at_work for child in parent.open_children)

    def outcome(self, signal: int) -> Outcome:
        """How it was left."""
        handle, watcher = self.handle, self._watcher
        assert handle is not None
        assert watcher is not None
        return Outcome(
            parent=handle.parent,
            costs=handle.report,
            access=self.job.access,
            journal=self.job.journal,
            signal=signal if self._interrupted else 0,
            unconfirmed=self.unconfirmed,
            denials=watcher.denials,
            alarms=self._router.alarms(),
            known=self._known,
        )
