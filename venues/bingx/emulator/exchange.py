"""The exchange: takes orders of customers, tells what became of them, and keeps time.

Every refusal is a `Refusal` that is returned; nothing is raised at a caller. What happened is told to the listeners
before a call returns, in the order in which it happened; a listener must not order anything from inside.

Not carried out: conditional orders, attached stops, SEPARATE_ISOLATED's several positions a side, multi-asset margin.
Nobody is liquidated or deleveraged unless somebody asks for it (`force`). An account may trade with itself: no
self-trade prevention is documented.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec

from sor.adapter import Scheduler
from sor.orders import OrdType, PositionSide, Side, Tif
from sor.units import MS
from venues.bingx.emulator import refusals
from venues.bingx.emulator.accounts import TradingAccount
from venues.bingx.emulator.checks import Amendment, Checks, Terms, steps
from venues.bingx.emulator.clearing import Clearing
from venues.bingx.emulator.countdown import Countdown, Countdowns
from venues.bingx.emulator.desk import AccountDesk
from venues.bingx.emulator.events import Event, Listener
from venues.bingx.emulator.history import History
from venues.bingx.emulator.listen_keys import ListenKeys
from venues.bingx.emulator.orders import CustomerOrder, Forced, Kind, OrderAsk, OrderKey, OrderRow, State, TimeInForce
from venues.bingx.emulator.pit import Pit
from venues.bingx.emulator.refusals import Refusal
from venues.bingx.emulator.rows import closing_lots, order_row
from venues.bingx.emulator.settings import Settings, Switches
from venues.matching.events import AmendRejected, Rejected

_BOTH = PositionSide.BOTH
_FIRST_ID: Final = 1_000_000_000_000_000_000
_RESTRICTIONS: Final = {
    "": (State.NEW, State.PARTIALLY_FILLED),
    "ONLY_NEW": (State.NEW,),
    "ONLY_PENDING": (State.NEW,),
    "ONLY_PARTIALLY_FILLED": (State.PARTIALLY_FILLED,),
}
"""cancelRestrictions: the states in which the order may be cancelled."""


class Unchanged(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One order that a mass cancel could not cancel."""

    order_id: int
    client_id: str
    refusal: Refusal


class Canceled(msgspec.Struct, frozen=True, kw_only=True):
    """What a mass cancel did."""

    done: tuple[OrderRow, ...]
    failed: tuple[Unchanged, ...]


class Replaced(msgspec.Struct, frozen=True, kw_only=True):
    """Both halves of a cancelReplace. `placed` is None where the failed cancel stopped it.

    canceled    the order as it was before it was cancelled.
    """

    canceled: OrderRow | Refusal
    placed: OrderRow | Refusal | None


class Exchange:
    """One emulated BingX.

    accounts      by name. `account` finds one by its API key.
    pits          one per contract, by symbol: the book, public trades, marks; also of those that do not trade.
    history       questions about orders, fills and income.
    desk          balances, positions, leverage, margin types, position modes.
    listen_keys   of account streams.
    clearing      what trades do to the books.
    switches      what may be changed while it runs.
    """

    def __init__(self, scheduler: Scheduler, settings: Settings) -> None:
        self.scheduler = scheduler
        self.settings = settings
        self.switches = switches = Switches()
        self.accounts: dict[str, TradingAccount] = {
            one.name: TradingAccount(one, user_id=1_000_001 + number, same_id_ms=settings.same_id_ms)
            for number, one in enumerate(settings.accounts)
        }
        self.pits: dict[str, Pit] = {}
        self.clearing = clearing = Clearing(
            self.accounts, self.pits, asset=settings.settle, switches=switches, now_ms=self.now_ms, tell=self.tell
        )
        for contract in settings.contracts:
            self.pits[contract.symbol] = Pit(
                contract,
                seed=settings.seed,
                switches=switches,
                now_ms=self.now_ms,
                tell=self.tell,
                settle=clearing.settle,
                funding_rate=settings.funding_rate,
            )
        self._checks = Checks(self.pits, switches)
        self.history = History(self.pits, now_ms=self.now_ms)
        self.desk = AccountDesk(self.pits, clearing, now_ms=self.now_ms, tell=self.tell)
        self.listen_keys = ListenKeys(scheduler, tell=self.tell, seed=settings.seed)
        self._countdowns = Countdowns(scheduler, self._purge)
        self._listeners: list[Listener] = []
        self._by_key = {one.api_key: one for one in self.accounts.values()}
        self._last_id = 0
        self._started = False

    def start(self) -> None:
        """Start the clock of marks, funding and publications; starting a market does it. Once is enough."""
        if self._started:
            return
        self._started = True
        for pit in self.pits.values():
            pit.plan_funding()
            if pit.contract.trades:
                self._beat(pit, self.settings.mark_ms, mark=True)
                self._beat(pit, pit.contract.book_ms, mark=False)

    def listen(self, listener: Listener) -> None:
        """Tell `listener` everything from now on."""
        self._listeners.append(listener)

    def tell(self, event: Event) -> None:
        """Hand an event to every listener."""
        for listener in self._listeners:
            listener(event)

    def now_ms(self) -> int:
        """The exchange's clock."""
        return self.scheduler.now_ns() // MS

    def account(self, api_key: str) -> TradingAccount | None:
        """Whose API key it is; the account holds the secret."""
        return self._by_key.get(api_key)

    def pit(self, symbol: str) -> Pit | Refusal:
        """The market of a contract that trades; 109425 for an unknown one, 109415 for a paused one."""
        return self._checks.pit(symbol)

    # --- orders ---------------------------------------------------------------------------------------------------

    def place(self, account: TradingAccount, ask: OrderAsk) -> OrderRow | Refusal:
        """Take a new order: as it stands once it has been matched."""
        answer = self._place(account, ask)
        if isinstance(answer, Refusal):
            account.n_refused += 1
        return answer

    def check(self, account: TradingAccount, ask: OrderAsk) -> OrderRow | Refusal:
        """The test order: everything is checked, nothing is done, and its id belongs to no order."""
        terms = self._checks.terms(account, ask)
        if isinstance(terms, Refusal):
            return terms
        if self._takes_though_post_only(terms) and not self.switches.post_only_async:
            return refusals.WOULD_TAKE
        return order_row(self._order(account, terms), terms.pit)

    def cancel(self, account: TradingAccount, key: OrderKey) -> OrderRow | Refusal:
        """Cancel one order; once a second per order."""
        order = self.history.find(account, key)
        if isinstance(order, Refusal):
            return order
        if account.canceled.again(str(order.order_id), now_ms=self.now_ms()):
            return refusals.SAME_ID_TOO_SOON
        return self._cancel(order)

    def cancel_many(self, account: TradingAccount, keys: tuple[OrderKey, ...]) -> Canceled:
        """Cancel several, each on its own."""
        done: list[OrderRow] = []
        failed: list[Unchanged] = []
        for key in keys:
            order = self.history.find(account, key)
            answer = order if isinstance(order, Refusal) else self._cancel(order)
            if isinstance(answer, Refusal):
                failed.append(Unchanged(order_id=key.order_id, client_id=key.client_id, refusal=answer))
            else:
                done.append(answer)
        return Canceled(done=tuple(done), failed=tuple(failed))

    def cancel_all(self, account: TradingAccount, *, symbol: str = "", kind: str = "") -> Canceled | Refusal:
        """Cancel all live orders of one symbol, or of all for "", of one type, or of all for ""."""
        if symbol and symbol not in self.pits:
            return refusals.unknown_symbol(symbol)
        chosen = [order for order in account.live_in(symbol) if not kind or order.kind == kind]
        done = [answer for order in chosen if not isinstance(answer := self._cancel(order), Refusal)]
        return Canceled(done=tuple(done), failed=())

    def cancel_replace(
        self, account: TradingAccount, key: OrderKey, ask: OrderAsk, *, stop_on_failure: bool, restriction: str = ""
    ) -> Replaced:
        """Cancel one order, then place another: two steps.

        stop_on_failure    place nothing when the cancel fails (STOP_ON_FAILURE), else place anyway (ALLOW_FAILURE).
        restriction        ONLY_NEW, ONLY_PENDING or ONLY_PARTIALLY_FILLED: cancel only an order in that state.
        """
        canceled = self._cancel_first(account, key, restriction)
        if isinstance(canceled, Refusal) and stop_on_failure:
            return Replaced(canceled=canceled, placed=None)
        return Replaced(canceled=canceled, placed=self.place(account, ask))

    def amend(self, account: TradingAccount, key: OrderKey, qty: Decimal) -> OrderRow | Refusal:
        """Change a resting order's total quantity; `switches` say whether a smaller one keeps its place."""
        order = self.history.find(account, key)
        if isinstance(order, Refusal):
            return order
        if not order.live:
            return refusals.ORDER_ENDED
        pit = self.pits[order.contract_symbol]
        lots = steps(qty, pit.contract.qty_precision)
        if lots is None:
            return refusals.invalid("quantity must be a positive number")
        amendment = Amendment(
            order_id=order.order_id,
            lots=lots,
            done_lots=order.done_lots,
            leaves_lots=order.leaves_lots,
            price_ticks=order.price_ticks,
            closes=order.reduce_only,
        )
        position = account.positions[order.contract_symbol, order.position_side]
        refusal = self._checks.amended(account, position, pit, amendment)
        if refusal is not None:
            return refusal
        now_ns = self.scheduler.now_ns()
        if lots < order.order_lots and not self.switches.amend_keeps_place:
            # By its rules the engine keeps the place of an order that shrinks, so let it grow by a lot first.
            pit.engine.amend(order, qty_lots=order.order_lots + 1, price_ticks=order.price_ticks, now_ns=now_ns)
        events = pit.engine.amend(order, qty_lots=lots, price_ticks=order.price_ticks, now_ns=now_ns)
        pit.absorb(events)
        first = events[0]
        if isinstance(first, AmendRejected):
            return refusals.invalid(first.text)
        return order_row(order, pit)

    def close_positions(self, account: TradingAccount, *, symbol: str = "") -> tuple[OrderRow | Refusal, ...]:
        """Close every position (of one symbol, or of all for "") with MARKET orders, as far as nothing pending does."""
        ids = [one.position_id for one in account.positions.values() if one.lots and symbol in {"", one.symbol}]
        return tuple(self.close_position(account, position_id) for position_id in ids)

    def close_position(self, account: TradingAccount, position_id: int) -> OrderRow | Refusal:
        """Close one position with a MARKET order, as far as no pending order of hedge mode does."""
        return self._close(account, position_id)

    def _close(self, account: TradingAccount, position_id: int, *, forced: Forced = Forced.NO) -> OrderRow | Refusal:
        position = next(
            (one for one in account.positions.values() if one.lots and one.position_id == position_id), None
        )
        if position is None:
            return refusals.POSITION_GONE
        pit = self.pits[position.symbol]
        lots = abs(position.lots)
        if position.mode is not _BOTH:
            lots -= closing_lots(account, position)
        ask = OrderAsk(
            symbol=position.symbol,
            side=Side.SELL if position.lots > 0 else Side.BUY,
            kind=Kind.MARKET,
            position_side=position.mode,
            qty=pit.qty(lots),
            reduce_only=True if position.mode is _BOTH else None,
        )
        terms = self._checks.terms(account, ask, whole_position=True)
        return terms if isinstance(terms, Refusal) else self._carry_out(account, terms, forced=forced)

    def force(self, account: TradingAccount, position_id: int, why: Forced) -> OrderRow | Refusal:
        """Close one position as the exchange does by itself: liquidation, or auto-deleveraging."""
        return self._close(account, position_id, forced=why)

    def cancel_all_after(self, account: TradingAccount, *, timeout_s: int) -> Countdown | Refusal:
        """Cancel all orders of the account in `timeout_s` seconds (10 to 120) unless asked again; 0 switches it off."""
        return self._countdowns.ask(account, timeout_s=timeout_s)

    def settle_funding(self, symbol: str) -> None:
        """Settle funding of one contract now and not only when it is due."""
        self.clearing.fund(self.pits[symbol])

    # --- inside ---------------------------------------------------------------------------------------------------

    def _place(self, account: TradingAccount, ask: OrderAsk) -> OrderRow | Refusal:
        client_id = ask.client_id.lower()
        if client_id and account.submitted.again(client_id, now_ms=self.now_ms()):
            account.n_duplicate += 1
            return refusals.SAME_ID_TOO_SOON
        terms = self._checks.terms(account, ask)
        if isinstance(terms, Refusal):
            if client_id in account.by_client_id:
                account.n_duplicate += 1
            return terms
        if self._takes_though_post_only(terms):
            if not self.switches.post_only_async:
                return refusals.WOULD_TAKE
            order = self._enter(account, terms)
            self.clearing.tell_new(terms.pit, order)
            self.clearing.end(terms.pit, order, State.CANCELED)
            return order_row(order, terms.pit)
        return self._carry_out(account, terms)

    def _takes_though_post_only(self, terms: Terms) -> bool:
        post_only = terms.kind is Kind.LIMIT and terms.tif is TimeInForce.POST_ONLY
        return post_only and terms.pit.would_take(int(terms.side), terms.limit_ticks)

    def _carry_out(self, account: TradingAccount, terms: Terms, *, forced: Forced = Forced.NO) -> OrderRow | Refusal:
        """Give a valid order to the engine."""
        order = self._enter(account, terms)
        order.forced = forced
        pit = terms.pit
        events = pit.engine.place(order, now_ns=self.scheduler.now_ns())
        # What the checks let through the engine takes; an order that it refused would stand here as accepted.
        assert not isinstance(events[0], Rejected), events[0]
        pit.absorb(events)
        return order_row(order, pit)

    def _order(self, account: TradingAccount, terms: Terms) -> CustomerOrder:
        pit = terms.pit
        now_ms = self.now_ms()
        self._last_id = order_id = max(self._last_id + 1, _FIRST_ID, now_ms * 1_000_000 + 1)
        position = account.position(pit.contract.symbol, terms.mode, unit_atoms=pit.unit_atoms)
        limit = terms.kind is Kind.LIMIT
        # The engine has no MARKET order with a bound: a limit order that does not rest is one.
        tif = Tif.FOK if limit and terms.tif is TimeInForce.FOK else Tif.IOC
        rests = limit and terms.tif in {TimeInForce.GTC, TimeInForce.POST_ONLY}
        buys = terms.mode is PositionSide.LONG or (terms.mode is _BOTH and terms.side > 0)
        return CustomerOrder(
            order_id,
            position.ledger,
            terms.side,
            OrdType.LIMIT,
            terms.lots,
            terms.limit_ticks,
            Tif.GTC if rests else tif,
            post_only=limit and terms.tif is TimeInForce.POST_ONLY,
            reduce_only=terms.closes,
            owner=account.name,
            contract_symbol=pit.contract.symbol,
            client_id=terms.client_id,
            position_side=terms.mode,
            kind=terms.kind,
            time_in_force=terms.tif,
            asks_reduce_only=terms.asks_reduce_only,
            reference_ticks=terms.reference_ticks,
            quote_qty=terms.quote_qty,
            leverage=account.leverage(pit.contract.symbol, PositionSide.LONG if buys else PositionSide.SHORT),
            told_lots=terms.lots,
            created_ms=now_ms,
            updated_ms=now_ms,
        )

    def _enter(self, account: TradingAccount, terms: Terms) -> CustomerOrder:
        """Put a valid order into the account's books."""
        order = self._order(account, terms)
        account.orders[order.order_id] = order
        account.live[order.order_id] = order
        if order.client_id:
            account.by_client_id[order.client_id] = order
        account.n_accepted += 1
        return order

    def _cancel(self, order: CustomerOrder) -> OrderRow | Refusal:
        if not order.live:
            return refusals.ORDER_ENDED
        pit = self.pits[order.contract_symbol]
        pit.absorb(pit.engine.cancel(order, now_ns=self.scheduler.now_ns()))
        return order_row(order, pit)

    def _cancel_first(self, account: TradingAccount, key: OrderKey, restriction: str) -> OrderRow | Refusal:
        """The first half of a cancelReplace: the order as it was."""
        states = _RESTRICTIONS.get(restriction)
        if states is None:
            return refusals.invalid(f"cancelRestrictions {restriction!r} is unknown")
        order = self.history.find(account, key)
        if isinstance(order, Refusal):
            return order
        if order.live and order.state not in states:
            return refusals.invalid(f"the order is {order.state}, not what cancelRestrictions {restriction} allows")
        before = order_row(order, self.pits[order.contract_symbol])
        answer = self.cancel(account, key)
        return answer if isinstance(answer, Refusal) else before

    def _purge(self, account: TradingAccount, order_id: int) -> None:
        self._cancel(account.orders[order_id])

    def _beat(self, pit: Pit, every_ms: int, *, mark: bool) -> None:
        """Move the mark (and settle funding when it is due), or publish the book; and again after `every_ms`."""
        if mark:
            pit.move_mark()
            if self.now_ms() >= pit.next_funding_ms:
                self.clearing.fund(pit)
        else:
            pit.publish_book()
        at_ns = self.scheduler.now_ns() + every_ms * MS
        self.scheduler.call_at(at_ns, lambda: self._beat(pit, every_ms, mark=mark))
