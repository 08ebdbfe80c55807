"""What a new order must be before the matching engine sees it, in one order of checks, each with its code.

contract, then terms, then id, then size and price, then the position, then limits, then margin. An order that is
refused leaves no trace but its client id's time of submission. What is finer than the contract's steps is cut off.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Final

import msgspec

from sor.orders import PositionSide, Side
from venues.bingx.emulator import refusals
from venues.bingx.emulator.accounts import TradingAccount
from venues.bingx.emulator.margin import Claim, claims, frozen_atoms, margin_of, opens
from venues.bingx.emulator.money import money
from venues.bingx.emulator.orders import Kind, OrderAsk, TimeInForce
from venues.bingx.emulator.pit import Pit
from venues.bingx.emulator.positions import Position
from venues.bingx.emulator.refusals import Refusal
from venues.bingx.emulator.rows import closing_lots
from venues.bingx.emulator.settings import Switches
from venues.matching.rules import Oversize

_BOTH, _LONG, _SHORT = PositionSide.BOTH, PositionSide.LONG, PositionSide.SHORT
_CONDITIONAL: Final = (
    "STOP",
    "STOP_MARKET",
    "TAKE_PROFIT",
    "TAKE_PROFIT_MARKET",
    "TRIGGER_LIMIT",
    "TRIGGER_MARKET",
    "TRAILING_STOP_MARKET",
    "TRAILING_TP_SL",
)
_CLIENT_ID_MAX: Final = 40
_ALPHABET: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_")
_DIGITS_MAX: Final = 18
"""Numbers with more digits in steps are slips of the finger, and as integers they may fill the memory."""


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """A valid order in the engine's units.

    closes            only ever reduces its position: reduce-only to the engine.
    limit_ticks       what it may trade at: its own price, or the bound of a MARKET order.
    reference_ticks   its price in rows: its own, or what a MARKET order meets on arrival.
    """

    pit: Pit
    side: Side
    kind: Kind
    tif: TimeInForce
    mode: PositionSide
    lots: int
    limit_ticks: int
    reference_ticks: int
    closes: bool
    asks_reduce_only: bool
    client_id: str
    quote_qty: Decimal


class Checks:
    """The checks of one exchange; they change nothing."""

    __slots__ = ("_pits", "_switches")

    def __init__(self, pits: Mapping[str, Pit], switches: Switches) -> None:
        self._pits = pits
        self._switches = switches

    def pit(self, symbol: str) -> Pit | Refusal:
        """The market of a contract that trades."""
        pit = self._pits.get(symbol)
        if pit is None:
            return refusals.unknown_symbol(symbol)
        if not pit.contract.trades:
            return refusals.paused(symbol)
        return pit

    def terms(self, account: TradingAccount, ask: OrderAsk, *, whole_position: bool = False) -> Terms | Refusal:
        """Judge a new order.

        whole_position    closes what is left of a position, whatever that is worth.
        """
        pit = self.pit(ask.symbol)
        if isinstance(pit, Refusal):
            return pit
        if self._switches.settling:
            return refusals.SETTLING
        mode = _mode(account, ask)
        if isinstance(mode, Refusal):
            return mode
        terms = self._terms(pit, ask, mode)
        if isinstance(terms, Refusal):
            return terms
        if terms.client_id in account.by_client_id:
            return refusals.duplicate(self._switches.duplicate_code)
        exempt = whole_position or (terms.closes and self._switches.reduce_any_value)
        return (
            _size(terms, exempt=exempt)
            or _band(terms)
            or self._position(account, terms)
            or self._limits(account, terms)
            or self.margin(account, terms)
            or terms
        )

    def _terms(self, pit: Pit, ask: OrderAsk, mode: PositionSide) -> Terms | Refusal:
        """Read the parameters: type, time in force, price, quantity, id."""
        if ask.kind in _CONDITIONAL:
            return refusals.invalid(f"type {ask.kind} is conditional, which this emulator does not carry out")
        if ask.kind not in Kind.__members__:
            return refusals.invalid(f"type {ask.kind!r} is unknown")
        kind = Kind(ask.kind)
        tif = next((one for one in TimeInForce if one.value == (ask.tif or "GTC")), None)
        if tif is None:
            return refusals.invalid(f"timeInForce {ask.tif!r} is unknown")
        client_id = ask.client_id.lower()
        if len(client_id) > _CLIENT_ID_MAX or not _ALPHABET.issuperset(client_id):
            return refusals.invalid("clientOrderId must be 1 to 40 letters, digits and hyphens")
        sign = int(ask.side)
        contract = pit.contract
        if kind is Kind.LIMIT:
            price_ticks = steps(ask.price, contract.price_precision)
            if not price_ticks:
                return refusals.invalid("price must be a positive number")
            reference_ticks = limit_ticks = price_ticks
        else:
            reference_ticks = pit.best_against(sign)
            reach = int(pit.mark_ticks * contract.rules.market_ratio)
            limit_ticks = max(1, pit.mark_ticks + sign * reach)
        quote_qty = Decimal(0)
        if ask.qty is not None:
            lots = steps(ask.qty, contract.qty_precision)
        elif kind is Kind.MARKET and ask.quote_qty is not None:
            quote_qty = ask.quote_qty
            worth = steps(ask.quote_qty, contract.price_precision + contract.qty_precision)
            lots = worth // reference_ticks if worth else 0
        else:
            lots = None
        if lots is None:
            return refusals.invalid("quantity must be a positive number")
        return Terms(
            pit=pit,
            side=ask.side,
            kind=kind,
            tif=tif,
            mode=mode,
            lots=lots,
            limit_ticks=limit_ticks,
            reference_ticks=reference_ticks,
            closes=bool(ask.reduce_only) or (mode is not _BOTH and not opens(sign, mode)),
            asks_reduce_only=bool(ask.reduce_only),
            client_id=client_id,
            quote_qty=quote_qty,
        )

    def _position(self, account: TradingAccount, terms: Terms) -> Refusal | None:
        """Whether the position allows it, and the contract."""
        contract = terms.pit.contract
        if not terms.closes:
            return None if contract.api_open else refusals.no_opening(contract.symbol)
        if not contract.api_close:
            return refusals.no_closing(contract.symbol)
        held = account.held_lots(contract.symbol, terms.mode)
        if not held:
            return refusals.NOTHING_TO_CLOSE
        if terms.mode is _BOTH:
            if (held > 0) == (terms.side > 0):
                return refusals.REDUCE_TOO_MUCH
            if terms.lots > abs(held) and self._switches.reduce_oversize is Oversize.REFUSE:
                return refusals.REDUCE_TOO_MUCH
            return None
        position = account.positions[contract.symbol, terms.mode]
        return _closable(account, position, terms.pit, lots=terms.lots, own_lots=0)

    def _limits(self, account: TradingAccount, terms: Terms) -> Refusal | None:
        """How many orders, and how large a position."""
        contract = terms.pit.contract
        if terms.kind is Kind.LIMIT:
            resting = sum(1 for _ in account.live_in(contract.symbol))
            if resting >= contract.rules.open_orders_max:
                return refusals.TOO_MANY_ORDERS
        if terms.closes:
            return None
        sign = int(terms.side)
        lots = terms.lots + max(0, sign * account.held_lots(contract.symbol, terms.mode))
        for order in account.live_in(contract.symbol):
            if order.sign == sign and order.position_side is terms.mode and not order.reduce_only:
                lots += order.leaves_lots
        most = position_max(account, terms.pit, sign)
        if terms.pit.price(terms.pit.mark_ticks) * terms.pit.qty(lots) > most:
            return refusals.position_limit(most, contract.quote)
        return None

    def margin(self, account: TradingAccount, terms: Terms) -> Refusal | None:
        """Whether there is enough. A sell is valued at the best bid where that is higher than its price."""
        if terms.closes:
            return None
        sign = int(terms.side)
        price_ticks = terms.reference_ticks
        if sign < 0:
            price_ticks = max(price_ticks, terms.pit.engine.best_bid)
        new = Claim(
            symbol=terms.pit.contract.symbol,
            sign=sign,
            mode=terms.mode,
            lots=terms.lots,
            price_ticks=price_ticks,
            reduce_only=False,
        )
        now = margin_of(account, self._pits)
        need = frozen_atoms(account, self._pits, [*claims(account), new]) - now.frozen
        return self._short(account, terms.pit, need=need)

    def amended(self, account: TradingAccount, position: Position, pit: Pit, order: Amendment) -> Refusal | None:
        """Whether a resting order may have another total quantity."""
        size = _too_little(
            pit,
            lots=order.lots,
            price_ticks=order.price_ticks,
            exempt=order.closes and self._switches.reduce_any_value,
        )
        if size is not None:
            return size
        if order.lots <= order.done_lots:
            return refusals.invalid("quantity must be larger than what is executed already")
        leaves = order.lots - order.done_lots
        if order.closes:
            if position.mode is _BOTH:
                return None
            return _closable(account, position, pit, lots=leaves, own_lots=order.leaves_lots)
        before = claims(account)
        after = [
            msgspec.structs.replace(claim, lots=leaves) if number == order.order_id else claim
            for number, claim in zip(
                [number for number, one in account.live.items() if one.leaves_lots], before, strict=True
            )
        ]
        need = frozen_atoms(account, self._pits, after) - frozen_atoms(account, self._pits, before)
        return self._short(account, pit, need=need)

    def _short(self, account: TradingAccount, pit: Pit, *, need: int) -> Refusal | None:
        """101204 when `need` atoms are not there at all, 101212 when only pending orders hold them."""
        now = margin_of(account, self._pits)
        if need <= 0 or need <= now.available:
            return None
        left = money(max(0, now.available))
        if need <= now.available + now.frozen:
            return refusals.margin_reserved(left, pit.contract.quote)
        return refusals.no_margin(left, pit.contract.quote)


class Amendment(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A resting order and its new total quantity."""

    order_id: int
    lots: int
    done_lots: int
    leaves_lots: int
    price_ticks: int
    closes: bool


def steps(value: Decimal | None, places: int) -> int | None:
    """A positive number in units of 10**-places, cut off; None for what is none."""
    if value is None or not value.is_finite() or value <= 0 or value.adjusted() + places >= _DIGITS_MAX:
        return None
    if value.adjusted() < -places:
        return 0
    return int(Fraction(value) * 10**places)


def position_max(account: TradingAccount, pit: Pit, sign: int) -> Decimal:
    """The largest position value at the account's leverage, in quote."""
    leverage = account.leverage(pit.contract.symbol, _LONG if sign > 0 else _SHORT)
    return pit.contract.position_value_max * 10 / max(10, leverage)


def _mode(account: TradingAccount, ask: OrderAsk) -> PositionSide | Refusal:
    """Which position an order belongs to; BingX takes LONG where nothing is said in hedge mode."""
    if account.hedge:
        if ask.position_side is _BOTH:
            return refusals.HEDGE_SIDE
        if ask.reduce_only is not None:
            return refusals.HEDGE_REDUCE_ONLY
        return ask.position_side or _LONG
    if ask.position_side is not _BOTH:
        return refusals.ONE_WAY_SIDE
    return _BOTH


def _size(terms: Terms, *, exempt: bool) -> Refusal | None:
    return _too_little(terms.pit, lots=terms.lots, price_ticks=terms.reference_ticks, exempt=exempt)


def _too_little(pit: Pit, *, lots: int, price_ticks: int, exempt: bool) -> Refusal | None:
    """Minimum quantity and value."""
    contract = pit.contract
    qty = pit.qty(lots)
    if lots <= 0 or (qty < contract.min_qty and not exempt):
        return refusals.too_small(qty=qty, least=contract.min_qty, asset=contract.asset)
    value = pit.price(price_ticks) * qty
    if value < contract.min_notional and not exempt:
        return refusals.too_cheap(value=value, least=contract.min_notional, quote=contract.quote)
    return None


def _band(terms: Terms) -> Refusal | None:
    """How far from the mark a limit price may be."""
    if terms.kind is Kind.MARKET:
        return None
    pit, rules = terms.pit, terms.pit.contract.rules
    mark = pit.price(pit.mark_ticks)
    low = mark * (rules.buy_min if terms.side > 0 else rules.sell_min)
    high = mark * (rules.buy_max if terms.side > 0 else rules.sell_max)
    if not low <= pit.price(terms.limit_ticks) <= high:
        return refusals.outside_band(low=low, high=high)
    return None


def _closable(account: TradingAccount, position: Position, pit: Pit, *, lots: int, own_lots: int) -> Refusal | None:
    """Hedge mode: no more than what pending orders, `own_lots` apart, do not close already."""
    free_lots = abs(position.lots) - closing_lots(account, position) + own_lots
    if lots <= free_lots:
        return None
    return refusals.more_than_available(pit.qty(free_lots), pit.contract.asset)
