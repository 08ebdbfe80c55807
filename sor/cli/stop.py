"""Moving the kill switch of a journal from outside: its router is told, and the venue is asked what is left."""

from __future__ import annotations

from pathlib import Path

import anyio
import msgspec

from sor.cli.live import Interrupts, beside
from sor.cli.notes import noted, unsaid
from sor.cli.stopped import REACHED
from sor.cli.venue import Access
from sor.cli.words import count
from sor.clock import LoopScheduler
from sor.errors import CallerError, SorError
from sor.events import TradingMode
from sor.journal.layout import read_meta, segment_paths
from sor.journal.lock import lock_holder
from sor.journal.switch import SwitchAsked, ask_switch, switch_asked
from sor.kill import Deaf, Withdrawn, withdraw
from sor.plugins import Plugins

HEED_S = 5.0
"""A router looks four times a second; one that has not heeded it by then hangs, or is of an older version."""
POLL_S = 0.05


class Killing(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for."""

    access: Access
    journal: Path
    asked: SwitchAsked
    wait_s: float


class Stopped(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it.

    router     the process that writes the journal, None where none does. heeded: it has the switch on record.
    outside    orders rest at a venue that outlives the router. found: what was done there, None where it was not asked;
               failure says why not.
    """

    router: str | None
    heeded: bool
    outside: bool
    restricts: bool
    found: Withdrawn | None
    failure: str

    @property
    def done(self) -> bool:
        """Whether nothing is left that the switch forbids, by the word of who must know."""
        if self.router is not None and not self.heeded:
            return False
        return not (self.outside and self.restricts) or (self.found is not None and self.found.proven)

    def document(self) -> dict[str, object]:
        """For programs."""
        found = self.found
        return {
            "router": self.router,
            "heeded": self.heeded,
            "withdrawn": [] if found is None else list(found.asked),
            "left": [] if found is None else list(found.left),
            "proven": self.done and self.restricts,
            "failure": self.failure,
        }

    def lines(self, label: str, mode: str) -> list[str]:
        """For people."""
        told = [f"Trading of this journal is {mode}, until it is moved again (--mode)."]
        if self.router is None:
            told.append("No router runs on it; the next one has the switch in force before it connects.")
        elif self.heeded:
            told.append(f"The router, process {self.router}, has it on record.")
        else:
            told.append(
                f"The router, process {self.router}, did not heed it within {HEED_S:g} s, and nobody knows what it may "
                f"still send: end it (kill -9 {self.router}), and run this again."
            )
        found = self.found
        if self.failure:
            told.append(f"What rests on {label} is not known: {self.failure}")
        elif found is not None:
            told.append(f"{count(len(found.asked), 'order')} of it were asked to go from here.")
            if found.left:
                told.append(f"Still there on {label}: {', '.join(found.left)}")
            elif found.proven:
                told.append(f"Nothing is left that the switch forbids: {label} has no such order, and none can arrive.")
            else:
                told.append(f"{label} has none of it now; whether one may still arrive could not be told.")
        elif self.restricts:
            told.append(f"Orders on {label} live and end with its router.")
        return told


async def stop(killing: Killing, interrupts: Interrupts) -> Stopped:
    """Move the switch, wait until the router has heeded it, and withdraw what of the journal rests.

    Raises `CallerError`, and nothing was changed, where there is no such journal.
    """
    del interrupts  # whatever comes ends it: cancels that were asked for are on their way
    access, journal, asked = killing.access, killing.journal, killing.asked
    meta = read_meta(journal)
    if meta.environment is not access.environment:
        raise CallerError(
            f"{journal} has {meta.environment.value} orders, and {access.label} is {access.environment.value}; nothing "
            "was changed. Name the venue's own journal, or its environment"
        )
    ask_switch(journal, asked)
    REACHED.text = "the switch is moved, and orders may have been withdrawn: run it again to see what is left"
    router = lock_holder(journal)
    heeded = router is not None and await _heeded(journal)
    restricts = asked.mode is not TradingMode.ACTIVE
    found: Withdrawn | None = None
    failure = ""
    if access.outside and restricts:
        try:
            found = await _withdrawn(killing, meta.epoch, gone=router is None, heeded=heeded)
        except SorError as error:
            failure = str(error)
    return Stopped(
        router=router, heeded=heeded, outside=access.outside, restricts=restricts, found=found, failure=failure
    )


async def _heeded(journal: Path) -> bool:
    with anyio.move_on_after(HEED_S):
        while switch_asked(journal) is not None:  # noqa: ASYNC110 - another process tells by removing a file
            await anyio.sleep(POLL_S)
    return switch_asked(journal) is None


async def _withdrawn(killing: Killing, epoch: int, *, gone: bool, heeded: bool) -> Withdrawn:
    """Withdraw what of the journal rests at its venue, over a connection of our own."""
    adapter = killing.access.opened(Plugins.installed())
    scheduler = LoopScheduler()
    found: list[Withdrawn] = []

    async def work() -> None:
        await adapter.connect(Deaf(), scheduler)
        try:
            # A router that is gone has sent nothing since it wrote last, one that heeded has just done it.
            last_sent_ns = _written_ns(killing.journal) if gone else scheduler.now_ns()
            done = await withdraw(
                adapter,
                scheduler,
                epoch=epoch,
                mode=killing.asked.mode,
                last_sent_ns=last_sent_ns,
                patience_s=killing.wait_s,
            )
            found.append(done if gone or heeded else msgspec.structs.replace(done, proven=False))
        finally:
            with anyio.CancelScope(shield=True):
                await adapter.disconnect()
                scheduler.stop()

    with noted(unsaid):
        await beside(work, scheduler.run)
    return found[0]


def _written_ns(journal: Path) -> int:
    """When the journal was written last: it is, before anything is sent."""
    return max((path.stat().st_mtime_ns for path in segment_paths(journal)), default=0)
