"""What is asked of a running router from outside its process: the kill switch, halts to lift, experiments, a signal.

Requests are files in the journal's directory (`sor.journal.switch`, `sor.journal.wanted`), looked for now and then.
Once the switch is moved, what is left is asked of the venues, and said.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import anyio
import anyio.abc

from sor.by_hand import halt_lifted, mode_set
from sor.configured import Configured
from sor.dispatch import Dispatcher
from sor.errors import CallerError, InDoubt, NotSent, VenueFault
from sor.events import TradingMode
from sor.experiment.keeper import Keeper
from sor.ids import ClOrdId, VenueName
from sor.journal.switch import SwitchAsked, switch_asked, take_switch
from sor.journal.wanted import LiftAsked, asked_in, refuse_wanted, take_wanted, wanted
from sor.kill import marked
from sor.parent import ParentLife
from sor.router import Core
from sor.settings import Settings
from sor.uninterrupted import uninterrupted

ENDED_POLL_S = 0.01


class Outside:
    """Heeds what is asked for by others than the strategy. `alarm` takes what came of it."""

    def __init__(
        self,
        core: Core,
        dispatcher: Dispatcher,
        *,
        trials: Keeper,
        venues: Configured,
        settings: Settings,
        journal: Path,
        alarm: Callable[[str], None],
    ) -> None:
        self._core = core
        self._dispatcher = dispatcher
        self._trials = trials
        self._adapters = venues.adapters
        self._settings = settings
        self._journal = journal
        self._alarm = alarm
        self._stuck: SwitchAsked | None = None
        self._unremoved: dict[Path, None] = {}

    def heed_wanted(self) -> None:
        """Start and stop experiments and lift halts as was asked for; what cannot be is refused, with the reason."""
        for path in wanted(self._journal):
            if path in self._unremoved:
                continue
            try:
                try:
                    asked = asked_in(path)
                    if isinstance(asked, LiftAsked):
                        self._dispatcher.record(
                            halt_lifted(
                                self._core,
                                VenueName(asked.venue),
                                asked.symbol,
                                reason=asked.reason,
                                now_ns=self._dispatcher.now_ns(),
                            )
                        )
                        self._alarm(f"{asked.symbol} on {asked.venue} is halted no more: {asked.reason}")
                    else:
                        self._trials.heed(asked)
                    take_wanted(path)
                except CallerError as error:
                    self._alarm(f"what was asked for is refused: {error}")
                    refuse_wanted(path, str(error))
            except OSError as error:
                self._unremoved[path] = None
                self._alarm(f"what was asked for was heeded, but its file cannot be removed: {error}")

    def heed_switch(self) -> bool:
        """Move the kill switch if somebody has asked for it; whether trading was restricted."""
        asked = switch_asked(self._journal)
        if asked is None or asked == self._stuck:
            return False
        self._dispatcher.record(mode_set(asked.mode, asked.reason, now_ns=self._dispatcher.now_ns()))
        self._alarm(f"trading is {asked.mode.value} from now on, as was asked for: {asked.reason}")
        self._stuck = None
        try:
            take_switch(self._journal)
        except OSError as error:
            self._stuck = asked
            self._alarm(f"what was asked for is in force, but its file cannot be removed: {error}")
        return asked.mode is not TradingMode.ACTIVE

    async def watch(self, tasks: anyio.abc.TaskGroup) -> None:
        """Go on looking whether somebody wants the kill switch moved, or an experiment started or stopped."""
        while True:
            await anyio.sleep(self._settings.switch_poll_s)
            if self._dispatcher.fault is not None:
                return
            self.heed_wanted()
            if self.heed_switch():
                tasks.start_soon(uninterrupted(self._say_what_is_left))  # somebody may want it moved on meanwhile

    async def hear_signal(self) -> None:
        """SIGUSR1 halts everything."""
        with anyio.open_signal_receiver(signal.SIGUSR1) as signals:
            async for _ in signals:
                self._dispatcher.record(
                    mode_set(TradingMode.HALTED, "signal SIGUSR1", now_ns=self._dispatcher.now_ns())
                )
                self._alarm("trading is halted from now on: SIGUSR1 came")
                await self._say_what_is_left()

    async def what_is_left(self) -> tuple[ClOrdId, ...]:
        """Wait until nothing is at work that the switch forbids, then ask the venues whether it is so."""
        mode = self._core.breakers.mode
        with anyio.move_on_after(self._settings.shutdown_s):
            while any(one.life is ParentLife.STOPPING for one in self._core.parents.at_work.values()):  # noqa: ASYNC110
                await anyio.sleep(ENDED_POLL_S)
        left: list[ClOrdId] = []
        for adapter in self._adapters:
            orders = await adapter.open_orders()
            codec = adapter.capabilities.client_ids
            left += [one.cl_ord_id for one in marked(orders, codec, epoch=self._core.desk.epoch, mode=mode)]
        return tuple(left)

    async def _say_what_is_left(self) -> None:
        """Have the venues' word in the alarms."""
        try:
            left = await self.what_is_left()
        except (CallerError, NotSent, InDoubt, VenueFault) as error:
            self._alarm(f"whether anything is left that the switch forbids could not be read: {error}")
            return
        named = ", ".join(left)
        self._alarm(
            f"{len(left)} orders are left that the switch forbids: {named}"
            if left
            else "nothing is left that the switch forbids, by the venues' own word"
        )
