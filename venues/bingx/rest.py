"""Every request of a session, ready to be made: what it costs, how its answer is read, whether it may be repeated.

What may be sent twice is said here: reads, settings that say what shall be rather than what shall change, and listen
keys, of which one too many does no harm. Orders and their cancels are sent once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

import msgspec

from sor.adapter import MoneyEntry
from sor.units import MS, NS
from venues.bingx import account, endpoints, fills, income, listings, market, orders
from venues.bingx.dialect import endpoint_name, read_error, reading, units
from venues.bingx.errors import Asked
from venues.bingx.listings import Fees, Listings, TradingRules
from venues.bingx.orders import Many, OrderNews
from venues.bingx.wire import Call
from venues.plumbing.budget import Budget, Priority
from venues.plumbing.client import Client, Endpoint, Trouble
from venues.plumbing.link_ask import Later, begin
from venues.plumbing.transport import WireReply
from venues.plumbing.verdict import Failure

T = TypeVar("T")
OnAnswer = Callable[[T | Trouble], None]

ORDER_WAIT_NS: Final = 400 * MS
"""How long a new order may wait for the rate budget: after that the market is another one, and its sender asks anew.
Counts as a part of the receive window, because an order that waited is stamped when it leaves."""
CANCEL_WAIT_NS: Final = 2 * NS
READ_WAIT_NS: Final = 3 * NS
SETTING_WAIT_NS: Final = 3 * NS
BACKGROUND_WAIT_NS: Final = 15 * NS
"""For what nobody waits for."""
ORDER_REPLY_NS: Final = 5 * NS
_CHANGES: Final = frozenset({endpoint_name(endpoints.COUNTDOWN)})
"""What is demanded and changes something; a listen key that nobody uses changes nothing."""


class Moment(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The venue's time, and when it was asked for and came, on our clock."""

    venue_ns: int
    sent_ns: int
    recv_ns: int


class Rest:
    """The requests of one session.

    listings    what is listed now, since answers name contracts.
    """

    def __init__(self, client: Client, budget: Budget, listings: Callable[[], Listings]) -> None:
        self._client = client
        self._budget = budget
        self._listings = listings
        read, write = Asked.READ, Asked.SETTING

        self.server_time = self._made(endpoints.SERVER_TIME, _moment)
        self.contracts = self._of(endpoints.CONTRACTS, read, _body)
        self.premium_index = self._of(endpoints.PREMIUM_INDEX, read, self._premium)
        self.trading_rules = self._of(endpoints.TRADING_RULES, read, _trading_rules)
        self.balance = self._of(endpoints.BALANCE, read, _balance)
        self.positions = self._of(endpoints.POSITIONS, read, self._positions)
        self.income = self._of(endpoints.INCOME, read, _income)
        self.fees = self._of(endpoints.COMMISSION_RATE, read, _fees)
        self.position_mode = self._of(endpoints.POSITION_MODE, read, _position_mode)
        self.leverage = self._of(endpoints.LEVERAGE, read, _leverage)
        self.set_leverage = self._of(endpoints.SET_LEVERAGE, write, _leverage_set)

        self.place = self._of(endpoints.PLACE, Asked.PLACE, self._ack, repeats=False)
        self.place_test = self._of(endpoints.PLACE_TEST, Asked.PLACE, _test, repeats=False)
        self.cancel = self._of(endpoints.CANCEL, Asked.CANCEL, self._canceled, repeats=False)
        self.query = self._of(endpoints.QUERY, Asked.QUERY, self._order)
        self.open_orders = self._of(endpoints.OPEN_ORDERS, read, self._orders)
        self.fill_history = self._of(endpoints.FILL_HISTORY, read, self._fills)
        self.forced_orders = self._of(endpoints.FORCED_ORDERS, read, self._orders)
        self.countdown = self._of(endpoints.COUNTDOWN, write, _countdown)

        self.new_listen_key = self._of(endpoints.LISTEN_KEY, write, _listen_key, enveloped=False)
        self.extend_listen_key = self._of(endpoints.EXTEND_LISTEN_KEY, write, _done, enveloped=False)

    def call(
        self, endpoint: Endpoint[T], call: Call, *, priority: Priority, leave_by_ns: int, on_answer: OnAnswer[T]
    ) -> None:
        """Make a request; `on_answer` is called exactly once, perhaps before this returns."""
        self._client.call(endpoint, call.params, priority=priority, leave_by_ns=leave_by_ns, on_answer=on_answer)

    def begin(
        self, endpoint: Endpoint[T], call: Call, *, leave_by_ns: int, priority: Priority = Priority.READ
    ) -> Later[T | Trouble]:
        """Make a request now whose answer is awaited later."""
        return begin(self._client, endpoint, call.params, priority=priority, leave_by_ns=leave_by_ns)

    async def demand(
        self, endpoint: Endpoint[T], call: Call, *, leave_by_ns: int, priority: Priority = Priority.READ
    ) -> T:
        """Make a request and await its answer; raises `NotSent`, `InDoubt` or `CallerError` when there is none."""
        answer = await self.begin(endpoint, call, leave_by_ns=leave_by_ns, priority=priority).wait()
        if endpoint.name in _CHANGES and isinstance(answer, Trouble):
            raise answer.error()
        return answer_of(answer)

    def _of(
        self,
        endpoint: endpoints.Endpoint,
        asked: Asked,
        read: Callable[[bytes, int], T],
        *,
        repeats: bool = True,
        enveloped: bool = True,
    ) -> Endpoint[T]:
        return self._made(endpoint, reading(endpoint, asked, read, enveloped=enveloped), repeats=repeats)

    def _made(
        self, endpoint: endpoints.Endpoint, read: Callable[[WireReply], T | Failure], *, repeats: bool = True
    ) -> Endpoint[T]:
        return Endpoint(
            name=endpoint_name(endpoint),
            method=endpoint.method,
            path=endpoint.path,
            read=read,
            cost=self._budget.cost(units(endpoint)),
            signed=endpoint.signed,
            idempotent=repeats,
            reply_ns=ORDER_REPLY_NS,
        )

    # --- answers that name contracts ----------------------------------------------------------------------------------

    def _positions(self, body: bytes, recv_ns: int) -> account.Positions:
        del recv_ns
        return account.read_positions(body, self._listings())

    def _premium(self, body: bytes, recv_ns: int) -> market.PremiumIndex:
        return market.read_funding(body, self._listings(), recv_ns)

    def _ack(self, body: bytes, recv_ns: int) -> OrderNews:
        return orders.read_ack(body, self._listings(), recv_ns)

    def _canceled(self, body: bytes, recv_ns: int) -> OrderNews:
        return orders.read_canceled(body, self._listings(), recv_ns)

    def _order(self, body: bytes, recv_ns: int) -> OrderNews:
        return orders.read_order(body, self._listings(), recv_ns)

    def _orders(self, body: bytes, recv_ns: int) -> Many:
        return orders.read_orders(body, self._listings(), recv_ns)

    def _fills(self, body: bytes, recv_ns: int) -> fills.FillPage:
        return fills.read_fills(body, self._listings(), recv_ns)


def answer_of(answer: T | Trouble) -> T:
    """An answer of what changes nothing; raises what there is instead of it."""
    if isinstance(answer, Trouble):
        raise read_error(answer)
    return answer


# --- the other answers ------------------------------------------------------------------------------------------------


def _body(body: bytes, recv_ns: int) -> bytes:
    del recv_ns
    return body


_read_time = reading(endpoints.SERVER_TIME, Asked.READ, lambda body, _: account.read_server_time(body))


def _moment(reply: WireReply) -> Moment | Failure:
    venue_ns = _read_time(reply)
    if isinstance(venue_ns, Failure):
        return venue_ns
    return Moment(venue_ns=venue_ns, sent_ns=reply.sent_ns, recv_ns=reply.recv_ns)


def _trading_rules(body: bytes, recv_ns: int) -> TradingRules:
    del recv_ns
    return listings.read_trading_rules(body)


def _balance(body: bytes, recv_ns: int) -> dict[str, account.Balance]:
    del recv_ns
    return account.read_balances(body)


def _income(body: bytes, recv_ns: int) -> tuple[MoneyEntry, ...]:
    del recv_ns
    return income.read_income(body)


def _fees(body: bytes, recv_ns: int) -> Fees:
    del recv_ns
    return account.read_fees(body)


def _position_mode(body: bytes, recv_ns: int) -> bool:
    del recv_ns
    return account.read_position_mode(body)


def _leverage(body: bytes, recv_ns: int) -> account.Leverage:
    del recv_ns
    return account.read_leverage(body)


def _leverage_set(body: bytes, recv_ns: int) -> int:
    del recv_ns
    return account.read_leverage_set(body)


def _test(body: bytes, recv_ns: int) -> str:
    del recv_ns
    return orders.read_test(body)


def _countdown(body: bytes, recv_ns: int) -> account.Countdown:
    del recv_ns
    return account.read_countdown(body)


def _listen_key(body: bytes, recv_ns: int) -> str:
    del recv_ns
    return account.read_listen_key(body)


def _done(body: bytes, recv_ns: int) -> bool:
    del body, recv_ns
    return True
