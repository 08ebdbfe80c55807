"""What the exchange tells its listeners, in the order in which it happens. Customers are named, never keyed."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from enum import StrEnum

import msgspec

from sor.orders import PositionSide
from venues.bingx.emulator.orders import FillRow, OrderRow

PriceLevels = tuple[tuple[Decimal, Decimal], ...]
"""(price, quantity), best first; in changes a quantity of 0 removes the level."""


class Did(StrEnum):
    """What just happened to an order, in the words of the account stream; it has none for a changed quantity."""

    NEW = "NEW"
    TRADE = "TRADE"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    RESIZED = "RESIZED"


class Reason(StrEnum):
    """Why a balance changed."""

    ORDER = "ORDER"
    FUNDING_FEE = "FUNDING_FEE"
    DEPOSIT = "DEPOSIT"
    WITHDRAW = "WITHDRAW"


class MarginType(StrEnum):
    """How margin is kept for positions of one contract."""

    CROSSED = "CROSSED"
    ISOLATED = "ISOLATED"
    SEPARATE_ISOLATED = "SEPARATE_ISOLATED"


class PositionRow(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One position; a flat one has `qty` 0 and stands only in events.

    side         LONG or SHORT, also in one-way mode; BOTH only for a flat position of one-way mode.
    mode         BOTH in one-way mode, else as `side`.
    qty          unsigned. available: what no pending order is closing already.
    margin       initial margin by leverage at the average price; isolated, the profit not yet realised comes on top.
    realised     profit of the position since it was opened, fees apart.
    """

    position_id: int
    symbol: str
    mode: PositionSide
    side: PositionSide
    qty: Decimal
    available: Decimal
    avg_price: Decimal
    mark: Decimal
    leverage: int
    margin_type: MarginType
    margin: Decimal
    unrealised: Decimal
    realised: Decimal
    updated_ms: int


class OrderChanged(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One thing that happened to one order; `fill` stands with TRADE alone."""

    account: str
    at_ms: int
    did: Did
    order: OrderRow
    fill: FillRow | None = None


class AccountChanged(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The balance after a change, and the positions that changed with it. cross: wallet without isolated margin."""

    account: str
    at_ms: int
    reason: Reason
    asset: str
    wallet: Decimal
    cross: Decimal
    change: Decimal
    positions: tuple[PositionRow, ...]


class ConfigChanged(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Leverage and margin type of one contract as they are now."""

    account: str
    at_ms: int
    symbol: str
    long_leverage: int
    short_leverage: int
    margin_type: MarginType


class ListenKeyExpired(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Nobody extended it for an hour."""

    account: str
    at_ms: int
    listen_key: str


class TradePrinted(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A public trade."""

    symbol: str
    at_ms: int
    trade_id: int
    price: Decimal
    qty: Decimal
    buyer_is_maker: bool


class BookChanged(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Levels that changed since the last such event of the contract; never an empty one."""

    symbol: str
    at_ms: int
    update_id: int
    bids: PriceLevels
    asks: PriceLevels


class MarkMoved(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The tick of marks; comes whether or not the price moved. last: of the latest trade."""

    symbol: str
    at_ms: int
    mark: Decimal
    index: Decimal
    last: Decimal


class FundingSettled(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A funding settlement; the accounts' own events follow it. Longs pay a positive rate."""

    symbol: str
    at_ms: int
    rate: Decimal
    mark: Decimal


Event = (
    OrderChanged
    | AccountChanged
    | ConfigChanged
    | ListenKeyExpired
    | TradePrinted
    | BookChanged
    | MarkMoved
    | FundingSettled
)
Listener = Callable[[Event], None]
