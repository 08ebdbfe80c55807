"""What works, before anything is traded: keys, clock, contract, rights, mode, money, fees, leverage and both sockets.

One session is opened for it and closed at its end. Nothing is ordered (the test endpoint carries nothing out) and
nothing is changed but a listen key made, which ends by itself.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from sor.adapter import Check, CheckState, NewOrder, Scheduler
from sor.errors import CallerError, SorError
from sor.ids import ClOrdId, to_base36
from sor.instruments import Instrument, canonical_symbol
from sor.market import BookUpdate, MarketEvent
from sor.orders import OrdType, PositionSide, Side
from sor.units import MS, NS
from venues.bingx import wire
from venues.bingx.account_stream import AccountStream, Unread
from venues.bingx.caps import CLIENT_IDS
from venues.bingx.dialect import KEYS_REFUSED
from venues.bingx.listings import Listing
from venues.bingx.market_streams import MarketStreams
from venues.bingx.options import Settings
from venues.bingx.push import AccountEvent
from venues.bingx.rest import READ_WAIT_NS
from venues.bingx.session import CONTRACTS_WAIT_NS, Session
from venues.bingx.wire import OrderWire
from venues.plumbing.link_ask import Later
from venues.plumbing.links import Links
from venues.plumbing.outlet import MarketOutlet

SOCKET_WAIT_NS: Final = 10 * NS
CLOCK_NOTE_NS: Final = 1_000 * MS
"""Beyond this it still works, as requests are stamped with the venue's time, but somebody should know."""
_LOW: Final = 0.95
"""Of the best bid: where the test order stands."""
Found = tuple[CheckState, str, str]
"""How it came out, what was found, and what to do about it."""


async def check_all(
    settings: Settings, links: Callable[[], Links], symbol: str, scheduler: Scheduler
) -> AsyncIterator[Check]:
    """One check after another; those that need a failed one are skipped."""
    diagnosis = _Diagnosis(settings, links, symbol, scheduler)
    looks: dict[str, Callable[[], Awaitable[Found]]] = {
        "keys": diagnosis.keys,
        "clock": diagnosis.clock,
        "instrument": diagnosis.instrument,
        "position mode": diagnosis.position_mode,
        "balance": diagnosis.balance,
        "fees": diagnosis.fees,
        "leverage": diagnosis.leverage,
        "open orders": diagnosis.open_orders,
        "market socket": diagnosis.market_socket,
        "permission": diagnosis.permission,
        "account socket": diagnosis.account_socket,
    }
    try:
        for name, look in looks.items():
            needs = _NEEDS.get(name, ("keys", "clock"))
            failed = [one for one in needs if one in diagnosis.failed]
            if diagnosis.refused and "keys" in needs:
                failed = ["keys that BingX accepts"]  # said once, and not by every check that follows
            if failed:
                diagnosis.failed.append(name)
                yield Check(name=name, state=CheckState.SKIPPED, text=f"needs {' and '.join(failed)}")
                continue
            try:
                state, text, advice = await look()
            except SorError as error:
                text = diagnosis.scrub(str(error))
                refused = KEYS_REFUSED in text  # which says what to do
                state, advice = CheckState.FAILED, "" if refused else _ADVICE.get(name, "")
                diagnosis.refused = diagnosis.refused or (refused and name == _FIRST_SIGNED)
            if state is CheckState.FAILED:
                diagnosis.failed.append(name)
            yield Check(name=name, state=state, text=text, advice=advice)
    finally:
        await diagnosis.close()


_FIRST_SIGNED: Final = "position mode"
_NEEDS: Final = {
    "keys": (),
    "clock": (),
    "instrument": ("clock",),
    "permission": ("position mode", "market socket"),
    "leverage": ("keys", "clock", "instrument"),
    "open orders": ("keys", "clock", "instrument"),
    "market socket": ("clock", "instrument"),
}
_ADVICE: Final = {
    "keys": "set the keys of this environment, or name a file with them by the option secrets",
    "clock": "see whether this machine reaches the venue at all, and whether its address is banned",
    "instrument": "name a contract that BingX lists and lets be traded over its API",
    "permission": "allow perpetual futures trading for this key, and this address in its whitelist",
    "position mode": "allow perpetual futures trading for this key",
    "account socket": "see whether a firewall lets WebSocket connections out",
    "market socket": "see whether a firewall lets WebSocket connections out",
}


def _unheard(up: bool, reason: str) -> None:
    """A book says more than a socket."""


class _Ear:
    """A sink that waits for a book."""

    def __init__(self, book: Callable[[int], None]) -> None:
        self._book = book

    def market(self, event: MarketEvent) -> None:
        if isinstance(event, BookUpdate) and event.snapshot and event.bids:
            self._book(event.bids[0][0])

    def instrument(self, instrument: Instrument) -> None:
        """It is looked at where it is read."""

    def link(self, up: bool, reason: str) -> None:
        """Sockets say for themselves whether they stand."""


class _Diagnosis:
    """One session, looked at from all sides; it listens to its own account socket.

    failed     checks that failed or were skipped. refused: the first signed request was, for its keys.
    """

    def __init__(self, settings: Settings, links: Callable[[], Links], symbol: str, scheduler: Scheduler) -> None:
        self.failed: list[str] = []
        self.refused = False
        self._settings = settings
        self._symbol = symbol
        self._scheduler = scheduler
        self._links = links
        self._session: Session | None = None
        self._hedge = False
        self._found: Listing | None = None
        self._bid_ticks = 0
        self._market: MarketStreams | None = None
        self._account: AccountStream | None = None
        self._stands: Later[str] = Later()
        self._book: Later[str] = Later()
        self._why = ""

    async def close(self) -> None:
        """End the session."""
        if self._market is not None:
            self._market.close()
        if self._account is not None:
            self._account.close()
        if self._session is not None:
            await self._session.close()

    def scrub(self, text: str) -> str:
        """Without secrets."""
        return text if self._session is None else self._session.secrets.scrub(text)

    # --- the checks ---------------------------------------------------------------------------------------------------

    async def keys(self) -> Found:
        """Whether there are keys; whether they are good the later checks show."""
        keys = None
        try:
            keys = self._settings.keys()
        finally:
            # Also without keys: what is public can be looked at.
            outlet = MarketOutlet(_Ear(self.book), self._scheduler)
            self._session = Session(
                self._settings, keys, self._links(), scheduler=self._scheduler, outlet=outlet, lost=self._stands.set
            )
        where = "the environment" if self._settings.secrets is None else str(self._settings.secrets)
        return CheckState.OK, f"keys for {self._settings.env.value} from {where}", ""

    async def clock(self) -> Found:
        """Whether the venue is reached, and how far its clock is from ours."""
        session = self._open
        await session.open()
        await session.server_time_ns()
        now_ns = session.now_ns()
        offset_ns, error_ns = session.clock.offset_ns(now_ns), session.clock.error_ns(now_ns)
        text = (
            f"{self._settings.place.rest} is reached, its clock is {round(offset_ns / MS):+d} ms from ours, "
            f"give or take {error_ns / MS:.0f} ms; a round trip takes {session.rtt_ns / MS:.0f} ms"
        )
        if abs(offset_ns) > CLOCK_NOTE_NS:
            return CheckState.NOTE, text, "requests carry the venue's time, but set this machine's clock"
        return CheckState.OK, text, ""

    async def instrument(self) -> Found:
        """Whether the contract can be routed."""
        session = self._open
        rest = session.rest
        leave_by_ns = session.now_ns() + CONTRACTS_WAIT_NS
        session.adopt(await rest.demand(rest.contracts, wire.contracts(), leave_by_ns=leave_by_ns))
        listing = self._found = session.listings.of(canonical_symbol(self._symbol))
        one = listing.instrument
        least = f"at least {one.min_notional} {one.quote}"
        return CheckState.OK, f"{listing.venue_symbol}: tick {one.tick_size}, step {one.lot_size}, {least}", ""

    async def position_mode(self) -> Found:
        """The account's mode; the first request that is signed."""
        rest = self._open.rest
        self._hedge = await rest.demand(rest.position_mode, wire.position_mode(), leave_by_ns=self._soon())
        return CheckState.OK, "hedge mode (LONG and SHORT)" if self._hedge else "one-way mode (BOTH)", ""

    async def balance(self) -> Found:
        """What there is to trade with."""
        rest = self._open.rest
        balances = await rest.demand(rest.balance, wire.balance(), leave_by_ns=self._soon())
        asset = self._settings.place.settle
        balance = balances.get(asset)
        if balance is None or balance.available <= 0:
            return CheckState.NOTE, f"no {asset} is available", f"transfer {asset} to the perpetual futures account"
        return CheckState.OK, f"{balance.available} {asset} available, equity {balance.equity} {asset}", ""

    async def fees(self) -> Found:
        """The account's own rates."""
        rest = self._open.rest
        fees = await rest.demand(rest.fees, wire.commission_rate(), leave_by_ns=self._soon())
        return CheckState.OK, f"maker {fees.maker_fee_e8 / 1e6:g} %, taker {fees.taker_fee_e8 / 1e6:g} %", ""

    async def open_orders(self) -> Found:
        """What rests, and whether a router left it there."""
        rest = self._open.rest
        answer = await rest.demand(rest.open_orders, wire.open_orders(), leave_by_ns=self._soon())
        owned = [one for news in answer.orders if (one := CLIENT_IDS.decode(news.cl_ord_id)) is not None]
        text = f"{len(answer.orders)} open, {len(owned)} of them with a router's mark"
        if not owned:
            return CheckState.OK, text, ""
        epochs = ", ".join(f"{epoch}" for epoch in dict.fromkeys(one.epoch for one in owned))
        advice = "start the router on their journal, cancel them, or have them withdrawn (`sor route --adopt`)"
        return CheckState.NOTE, f"{text}, of the journal with epoch {epochs}", advice

    async def leverage(self) -> Found:
        """What is in force, against the cap."""
        rest, cap = self._open.rest, self._settings.leverage_cap
        found = await rest.demand(rest.leverage, wire.leverage(self._listing), leave_by_ns=self._soon())
        text = f"long {found.long}, short {found.short}; the cap is {cap}"
        if max(found.long, found.short) > cap:
            return CheckState.NOTE, text, "orders that name no leverage trade with what is in force; lower it"
        return CheckState.OK, text, ""

    async def market_socket(self) -> Found:
        """Whether a book comes."""
        session = self._open
        self._give_up(self._book)
        market = self._market = MarketStreams(session, _unheard)
        market.subscribe(self._listing)
        why = await self._book.wait()
        if why:
            raise CallerError(f"no book of {self._listing.venue_symbol} came: {why}")
        return CheckState.OK, "a book comes", ""

    async def permission(self) -> Found:
        """Whether the key may trade: an order that the venue checks and does not carry out."""
        rest, listing = self._open.rest, self._listing
        ticks = max(1, int(self._bid_ticks * _LOW))
        one = listing.instrument
        order = NewOrder(
            cl_ord_id=ClOrdId(f"check-{to_base36(self._scheduler.now_ns() // MS)}"),
            symbol=one.symbol,
            side=Side.BUY,
            ord_type=OrdType.LIMIT,
            qty_lots=one.min_lots_at(ticks),
            price_ticks=ticks,
            post_only=True,
            position_side=PositionSide.LONG if self._hedge else PositionSide.BOTH,
        )
        await rest.demand(rest.place_test, OrderWire(listing).test(order), leave_by_ns=self._soon())
        return CheckState.OK, f"a test order for {one.quantity(order.qty_lots)} {one.base} was accepted", ""

    async def account_socket(self) -> Found:
        """Whether the account socket stands."""
        session = self._open
        self._give_up(self._stands)
        account = self._account = AccountStream(session, self, hedge=lambda: self._hedge)
        try:
            await account.key.make()
        except SorError as error:
            return CheckState.FAILED, f"{error}", ""  # which says itself what to do
        account.start()
        why = await self._stands.wait()
        if why:
            raise CallerError(f"the account socket did not come about: {why}")
        return CheckState.OK, "it stands", ""

    # --- what it hears ------------------------------------------------------------------------------------------------

    def book(self, bid_ticks: int) -> None:
        """A book has come."""
        self._bid_ticks = bid_ticks
        self._book.set("")

    def stream_up(self) -> None:
        """The account socket stands."""
        self._stands.set("")

    def stream_down(self, why: str) -> None:
        """It does not, so far."""
        self._why = why

    def stream_gap(self, why: str) -> None:
        """Nothing depends on what may have been missed."""

    def pushed(self, event: AccountEvent | Unread, recv_ns: int) -> None:
        """Nothing depends on what is pushed."""

    # --- inside -------------------------------------------------------------------------------------------------------

    @property
    def _open(self) -> Session:
        assert self._session is not None, "the keys were looked at"
        return self._session

    @property
    def _listing(self) -> Listing:
        assert self._found is not None, "the instrument was found"
        return self._found

    def _soon(self) -> int:
        return self._scheduler.now_ns() + READ_WAIT_NS

    def _give_up(self, later: Later[str]) -> None:
        """Wait for something no longer than this."""
        at_ns = self._scheduler.now_ns() + SOCKET_WAIT_NS
        self._scheduler.call_at(at_ns, lambda: later.set(self._why or f"not within {SOCKET_WAIT_NS // NS} s"))
