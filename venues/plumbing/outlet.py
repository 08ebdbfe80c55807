"""An outlet: the router's sink, kept apart from the links that feed it.

What an adapter learns reaches the router inside the call that brought it. If the router fails there (its journal cannot
be written, an invariant is broken), the failure is the router's: it is raised from its scheduler, not into a transport
whose connections are needed more than ever, to cancel what rests.
"""

from __future__ import annotations

from functools import partial
from typing import NoReturn

from sor.adapter import MarketSink, RequestFailed, Scheduler, Sink
from sor.instruments import Instrument
from sor.market import MarketEvent
from sor.orders import ExecutionReport


class MarketOutlet:
    """A `MarketSink` that never raises. After `close` nothing is told."""

    def __init__(self, sink: MarketSink, scheduler: Scheduler) -> None:
        self._market_sink = sink
        self._scheduler = scheduler
        self._open = True

    def market(self, event: MarketEvent) -> None:
        """One market event."""
        if self._open:
            try:
                self._market_sink.market(event)
            except Exception as error:  # noqa: BLE001 - raised again, where it belongs
                self._fail(error)

    def instrument(self, instrument: Instrument) -> None:
        """A listed instrument, or a new version of one."""
        if self._open:
            try:
                self._market_sink.instrument(instrument)
            except Exception as error:  # noqa: BLE001 - raised again, where it belongs
                self._fail(error)

    def link(self, up: bool, reason: str) -> None:
        """Whether what is told here can be relied on."""
        if self._open:
            try:
                self._market_sink.link(up, reason)
            except Exception as error:  # noqa: BLE001 - raised again, where it belongs
                self._fail(error)

    def close(self) -> None:
        """Tell nothing more."""
        self._open = False

    def _fail(self, error: Exception) -> None:
        self._scheduler.call_at(self._scheduler.now_ns(), partial(_throw, error))


class Outlet(MarketOutlet):
    """A `Sink` that never raises."""

    def __init__(self, sink: Sink, scheduler: Scheduler) -> None:
        super().__init__(sink, scheduler)
        self._sink = sink

    def execution(self, event: ExecutionReport | RequestFailed) -> None:
        """One report or failed request."""
        if self._open:
            try:
                self._sink.execution(event)
            except Exception as error:  # noqa: BLE001 - raised again, where it belongs
                self._fail(error)


def _throw(error: Exception) -> NoReturn:
    raise error
