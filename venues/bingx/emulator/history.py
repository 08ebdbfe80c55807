"""Questions about orders, fills and income of an account. Spans and limits that BingX refuses are refused here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from venues.bingx.emulator import refusals
from venues.bingx.emulator.accounts import TradingAccount
from venues.bingx.emulator.income import IncomeRow
from venues.bingx.emulator.orders import CustomerOrder, FillRow, OrderKey, OrderRow
from venues.bingx.emulator.pit import Pit
from venues.bingx.emulator.refusals import Refusal
from venues.bingx.emulator.rows import order_row

_WEEK_MS: Final = 7 * 24 * 3_600_000
_ROWS_MAX: Final = 1_000


class History:
    """See the module; an exchange has one."""

    __slots__ = ("_now_ms", "_pits")

    def __init__(self, pits: Mapping[str, Pit], *, now_ms: Callable[[], int]) -> None:
        self._pits = pits
        self._now_ms = now_ms

    def find(self, account: TradingAccount, key: OrderKey) -> CustomerOrder | Refusal:
        """The order that is named, in any state; 109421 where there is none of that symbol."""
        if key.symbol not in self._pits:
            return refusals.unknown_symbol(key.symbol)
        if key.order_id:
            order = account.orders.get(key.order_id)
        elif key.client_id:
            order = account.by_client_id.get(key.client_id.lower())
        else:
            return refusals.invalid("orderId or clientOrderId must be given")
        if order is None or order.contract_symbol != key.symbol:
            return refusals.UNKNOWN_ORDER
        return order

    def order(self, account: TradingAccount, key: OrderKey) -> OrderRow | Refusal:
        """One order in any state."""
        order = self.find(account, key)
        return order if isinstance(order, Refusal) else self._row(order)

    def open_order(self, account: TradingAccount, key: OrderKey) -> OrderRow | Refusal:
        """One live order; an ended one is 109421."""
        order = self.find(account, key)
        if isinstance(order, Refusal):
            return order
        return self._row(order) if order.live else refusals.UNKNOWN_ORDER

    def open_orders(self, account: TradingAccount, *, symbol: str = "", kind: str = "") -> tuple[OrderRow, ...]:
        """Live orders, oldest first; none of a symbol that is not listed."""
        return tuple(self._row(order) for order in account.live_in(symbol) if not kind or order.kind == kind)

    def forced(self, account: TradingAccount, *, symbol: str = "", why: str = "") -> tuple[OrderRow, ...]:
        """Orders by which the exchange closed positions, of one cause or of both, oldest first."""
        return tuple(
            self._row(order)
            for order in account.orders.values()
            if order.forced and why in ("", order.forced) and symbol in ("", order.contract_symbol)
        )

    def orders(
        self,
        account: TradingAccount,
        *,
        symbol: str = "",
        order_id: int = 0,
        start_ms: int = 0,
        end_ms: int = 0,
        limit: int = 500,
        live: bool = False,
    ) -> tuple[OrderRow, ...] | Refusal:
        """Orders by time of creation, newest first: ended ones (allOrders), with `live` all of them (fullOrder).

        order_id           only those with an id of at least this.
        start_ms, end_ms   at most seven days apart, both inclusive; 0: the last seven days.
        """
        span = self._span(start_ms, end_ms)
        if isinstance(span, Refusal):
            return span
        if not 1 <= limit <= _ROWS_MAX:
            return refusals.invalid(f"limit must be 1 to {_ROWS_MAX}")
        found = [
            self._row(order)
            for order in account.orders.values()
            if symbol in {"", order.contract_symbol}
            and order.order_id >= order_id
            and span[0] <= order.created_ms <= span[1]
            and (live or not order.live)
        ]
        return tuple(found[: -limit - 1 : -1])

    def fills(
        self,
        account: TradingAccount,
        *,
        symbol: str = "",
        order_id: int = 0,
        start_ms: int,
        end_ms: int,
        last_fill_id: int = 0,
    ) -> tuple[FillRow, ...] | Refusal:
        """Fills with start_ms < time <= end_ms, oldest first; of the last seven days, the latest 1000.

        last_fill_id    only those with a larger trade id.
        """
        span = self._span(start_ms, end_ms)
        if isinstance(span, Refusal):
            return span
        oldest_ms = max(span[0], self._now_ms() - _WEEK_MS)
        found = [
            fill
            for fill in account.fills
            if symbol in {"", fill.symbol}
            and order_id in {0, fill.order_id}
            and oldest_ms < fill.at_ms <= span[1]
            and fill.trade_id > last_fill_id
        ]
        return tuple(found[-_ROWS_MAX:])

    def income(
        self,
        account: TradingAccount,
        *,
        symbol: str = "",
        type: str = "",  # noqa: A002 - the word is BingX's
        start_ms: int = 0,
        end_ms: int = 0,
        limit: int = 100,
    ) -> tuple[IncomeRow, ...] | Refusal:
        """Income, newest first; the last seven days unless told otherwise."""
        if not 1 <= limit <= _ROWS_MAX:
            return refusals.invalid(f"limit must be 1 to {_ROWS_MAX}")
        now_ms = self._now_ms()
        last_ms = end_ms or now_ms
        first_ms = start_ms or last_ms - _WEEK_MS
        found = [
            row
            for row in account.income
            if symbol in {"", row.symbol} and type in {"", row.type.value} and first_ms <= row.at_ms <= last_ms
        ]
        return tuple(found[: -limit - 1 : -1])

    def _row(self, order: CustomerOrder) -> OrderRow:
        return order_row(order, self._pits[order.contract_symbol])

    def _span(self, start_ms: int, end_ms: int) -> tuple[int, int] | Refusal:
        last_ms = end_ms or self._now_ms()
        first_ms = start_ms or last_ms - _WEEK_MS
        if last_ms < first_ms:
            return refusals.invalid("startTime must not be after endTime")
        if last_ms - first_ms > _WEEK_MS:
            return refusals.invalid("the query span must not exceed 7 days")
        return first_ms, last_ms
