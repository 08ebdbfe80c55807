"""One session with BingX: its links, its clock, its rate budget, and what is listed there.

Shared by the public side (`public`) and the account (`adapter`): whoever trades and watches from one address spends one
budget. Connections are kept warm by asking for the time, which keeps the clock known as well.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from sor.adapter import Scheduler
from sor.errors import CallerError, VenueFault
from sor.ids import Symbol
from sor.units import MS, NS
from venues.bingx import wire
from venues.bingx.dialect import BingxDialect, limits
from venues.bingx.listings import Fees, Listing, Listings, read_listings
from venues.bingx.options import Settings
from venues.bingx.rest import READ_WAIT_NS, Moment, Rest
from venues.plumbing.backoff import Draw
from venues.plumbing.budget import Budget, Priority
from venues.plumbing.client import Client, Trouble
from venues.plumbing.clock import VenueClock
from venues.plumbing.credentials import Keys
from venues.plumbing.jitter import jitter
from venues.plumbing.keys import Secret, Secrets
from venues.plumbing.links import Links
from venues.plumbing.outlet import MarketOutlet

KEEP_WARM_NS: Final = 20 * NS
"""Connections that idle for 30 s are not used again, and the next order would wait for a handshake."""
WARM_LANES: Final = 2
"""An order and a cancel at the same time."""
CONTRACTS_AGAIN_NS: Final = 60 * NS
"""Contracts are not read more often than this."""
CONTRACTS_WAIT_NS: Final = 15 * NS
_UNSIGNED: Final = Keys(Secret("for-unsigned-requests"), Secret("for-unsigned-requests"))
_log = logging.getLogger(__name__)


class Session:
    """Made unopened; `open` once, `close` once. `rtt_ns` is the shortest round trip so far.

    keys    None for a session that asks for public things alone.
    lost    told why, if the links end of themselves.
    """

    def __init__(
        self,
        settings: Settings,
        keys: Keys | None,
        links: Links,
        *,
        scheduler: Scheduler,
        outlet: MarketOutlet,
        lost: Callable[[str], None],
    ) -> None:
        self.settings = settings
        self.links = links
        self.scheduler = scheduler
        self.outlet = outlet
        self.clock = VenueClock()
        self.budget = Budget(limits(newest=settings.newest_limits))
        self.secrets = Secrets() if keys is None else Secrets(keys.key, keys.secret)
        self.draw: Draw = jitter(scheduler.now_ns())
        self.listings = Listings([], {})
        self.fees: Fees | None = None
        self.rtt_ns = 0
        self._keys = keys or _UNSIGNED
        self._lost = lost
        self._rest: Rest | None = None
        self._closed = False
        self._sampling = False
        self._sample_again = False
        self._told: dict[Symbol, None] = {}
        self._contracts_ns = 0

    @property
    def rest(self) -> Rest:
        """Its requests. Raises `CallerError` before `open`."""
        if self._rest is None:
            raise CallerError("BingX is not connected; nothing was sent. Connect it first")
        return self._rest

    @property
    def closed(self) -> bool:
        """Whether nothing is to be done any more."""
        return self._closed

    def now_ns(self) -> int:
        """Our clock."""
        return self.scheduler.now_ns()

    async def open(self) -> None:
        """Open the links and learn the venue's time. Raises `NotSent` or `InDoubt` when it cannot be reached."""
        settings = self.settings
        transport = await self.links.open(settings.place.rest, scheduler=self.scheduler, lost=self._lost)
        dialect = BingxDialect(api_key=self._keys.key, secret=self._keys.secret, recv_window_ms=settings.recv_window_ms)
        client = Client(
            transport=transport,
            dialect=dialect,
            budget=self.budget,
            clock=self.clock,
            scheduler=self.scheduler,
            draw=self.draw,
            secrets=self.secrets,
            on_skew=self.ask_time,
        )
        self._rest = Rest(client, self.budget, lambda: self.listings)
        await self.server_time_ns()
        self.scheduler.call_at(self.now_ns() + KEEP_WARM_NS, self._keep_warm)

    async def close(self) -> None:
        """End it. Sockets are to be closed before."""
        self._closed = True
        self.outlet.close()
        await self.links.close()

    def least_venue_ns(self, now_ns: int) -> int:
        """The earliest on the venue's clock at which it can accept what leaves now.

        It accepts a timestamp only within its window, whatever happened to its clock since it was last read.
        """
        return max(1, self.clock.venue_ns(now_ns) - self.settings.recv_window_ms * MS) if self.clock.known else 1

    # --- the clock ----------------------------------------------------------------------------------------------------

    async def server_time_ns(self) -> int:
        """The venue's clock, asked now."""
        leave_by_ns = self.now_ns() + READ_WAIT_NS
        moment = await self.rest.demand(self.rest.server_time, wire.server_time(), leave_by_ns=leave_by_ns)
        self._heard(moment)
        return moment.venue_ns

    def ask_time(self) -> None:
        """Ask for the venue's time, and once more when that is under way already; nobody waits for it.

        What is under way may have been answered before that happened for which it is asked again.
        """
        if self._sampling:
            self._sample_again = True
            return

        def ended() -> None:
            self._sampling = False
            if self._sample_again and not self._closed:
                self._sample_again = False
                self.ask_time()

        self._sampling = True
        self._ask_time(ended)

    def _ask_time(self, ended: Callable[[], object]) -> None:
        def answered(answer: Moment | Trouble) -> None:
            if isinstance(answer, Moment):
                self._heard(answer)
            ended()

        rest = self.rest
        leave_by_ns = self.now_ns() + READ_WAIT_NS
        rest.call(
            rest.server_time, wire.server_time(), priority=Priority.READ, leave_by_ns=leave_by_ns, on_answer=answered
        )

    def _heard(self, moment: Moment) -> None:
        rtt_ns = moment.recv_ns - moment.sent_ns
        self.rtt_ns = min(self.rtt_ns or rtt_ns, rtt_ns)
        self.clock.sample(sent_ns=moment.sent_ns, recv_ns=moment.recv_ns, venue_ns=moment.venue_ns)

    def _keep_warm(self) -> None:
        if not self._closed:
            for _ in range(WARM_LANES):
                self._ask_time(lambda: None)
            self.scheduler.call_at(self.now_ns() + KEEP_WARM_NS, self._keep_warm)

    # --- contracts ----------------------------------------------------------------------------------------------------

    def adopt(self, contracts: bytes) -> None:
        """Take in a reading of all contracts, with the account's own fees where they are known, and tell the sink.

        A contract that the sink knows of and that can no longer be routed keeps its name: orders may still rest there,
        and what cannot be named cannot be cancelled.
        Raises `CallerError` for a contract that is wanted and cannot be routed, `VenueFault` for an unreadable answer.
        """
        self._contracts_ns = self.now_ns()
        new = read_listings(contracts, fees=self.fees, before=self.listings)
        gone = [one for symbol in self._told if new.find(symbol) is None and (one := self.listings.find(symbol))]
        for one in gone:
            _log.warning("%s can no longer be traded: %s", one.venue_symbol, new.refused.get(one.venue_symbol, "gone"))
        self.listings = Listings([*new.all(), *gone], new.refused)
        for symbol in self.settings.symbols:
            self.tell(self.listings.of(symbol))
        for listing in self.listings.all():
            if self.settings.all_instruments or listing.instrument.symbol in self._told:
                self.tell(listing)

    def tell(self, listing: Listing) -> None:
        """Let the sink know of a contract, as of now; once said, it is kept up to date."""
        self._told[listing.instrument.symbol] = None
        self.outlet.instrument(listing.instrument)

    @property
    def told(self) -> tuple[Symbol, ...]:
        """Contracts that the sink knows of."""
        return tuple(self._told)

    def read_contracts_again(self) -> None:
        """A contract's terms seem to have changed: read them all, unless that was done a moment ago."""
        now_ns = self.now_ns()
        if self._closed or now_ns - self._contracts_ns < CONTRACTS_AGAIN_NS:
            return
        self._contracts_ns = now_ns

        def answered(answer: bytes | Trouble) -> None:
            if isinstance(answer, Trouble):
                _log.warning("contracts were not read again: %s", answer.text)
                return
            try:
                self.adopt(answer)
            except (CallerError, VenueFault) as error:
                _log.warning("contracts were read again and are not taken over: %s", error)

        rest = self.rest
        rest.call(
            rest.contracts,
            wire.contracts(),
            priority=Priority.READ,
            leave_by_ns=now_ns + CONTRACTS_WAIT_NS,
            on_answer=answered,
        )
