"""Orders of customers: what is asked, what the exchange keeps, and the frozen rows in which it tells of them.

Rows speak decimals, in the base coin and in quote, with the digits of the contract's steps; fees are positive when
paid, profits positive when earned, times in milliseconds since the epoch.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import msgspec

from sor.orders import PositionSide, Side
from venues.matching.orders import Order


class Kind(StrEnum):
    """Order types that the emulator carries out; the conditional ones it refuses with 109400 and says so."""

    MARKET = "MARKET"
    LIMIT = "LIMIT"


class TimeInForce(StrEnum):
    """In BingX's casing."""

    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"
    POST_ONLY = "PostOnly"


class State(StrEnum):
    """Where an order stands, in the words of the account stream; REST has others for NEW and CANCELED."""

    NEW = "NEW"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"


class Forced(StrEnum):
    """Why the exchange itself closed a position, in the words of `autoCloseType`; NO for a customer's own order."""

    NO = ""
    LIQUIDATION = "LIQUIDATION"
    ADL = "ADL"


LIVE = (State.NEW, State.PARTIALLY_FILLED)


class OrderAsk(msgspec.Struct, frozen=True, kw_only=True):
    """A new order as a request states it; None and "" for what it does not state.

    kind, tif    as sent, any text.
    qty          in the base coin; wins over `quote_qty`, which is for MARKET only.
    """

    symbol: str
    side: Side
    kind: str
    position_side: PositionSide | None = None
    qty: Decimal | None = None
    quote_qty: Decimal | None = None
    price: Decimal | None = None
    tif: str = ""
    reduce_only: bool | None = None
    client_id: str = ""


class OrderKey(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """How a request names an order: the id wins; 0 and "" for what it does not state."""

    symbol: str
    order_id: int = 0
    client_id: str = ""


class OrderRow(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One order at one moment.

    price       of a LIMIT order; of a MARKET order the reference price at its arrival.
    quote_qty   what a MARKET order was to cost, 0 where that was not asked.
    cost        sum of quantity x price over its fills, exact.
    fee         paid so far. profit: realised so far.
    """

    order_id: int
    client_id: str
    symbol: str
    side: Side
    position_side: PositionSide
    kind: Kind
    tif: TimeInForce
    reduce_only: bool
    qty: Decimal
    price: Decimal
    quote_qty: Decimal
    state: State
    filled: Decimal
    cost: Decimal
    fee: Decimal
    profit: Decimal
    leverage: int
    created_ms: int
    updated_ms: int
    forced: Forced = Forced.NO

    @property
    def avg_price(self) -> Decimal:
        """Average price of its fills, 0 before the first; not rounded to the tick."""
        return self.cost / self.filled if self.filled else Decimal(0)


class FillRow(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One side of one trade. `cum` is the order's filled quantity with it; trade ids are one sequence."""

    trade_id: int
    order_id: int
    client_id: str
    symbol: str
    side: Side
    position_side: PositionSide
    price: Decimal
    qty: Decimal
    value: Decimal
    fee: Decimal
    profit: Decimal
    is_maker: bool
    at_ms: int
    cum: Decimal


class CustomerOrder(Order, kw_only=True, eq=False):
    """An order as the exchange keeps it: the engine's, with what BingX knows about it.

    `order_lots`, `filled_lots` and `leaves_lots` are the engine's and may be ahead while its events are told; these
    are as of the last event that was told:

    account         the customer's name in rows is its own; here it is the engine's ledger of the position.
    told_lots       total quantity. done_lots: filled.
    cost_lot_ticks  sum of lots x ticks over fills.
    fee_atoms       paid, profit_atoms: realised, both in the exchange's money atoms.
    opens           adds to a position as it arrived; margin is held for it.
    leaving         what it becomes when the engine ends it on its own account.
    """

    owner: str
    contract_symbol: str
    client_id: str = ""
    position_side: PositionSide = PositionSide.BOTH
    kind: Kind = Kind.LIMIT
    time_in_force: TimeInForce = TimeInForce.GTC
    asks_reduce_only: bool = False
    reference_ticks: int = 0
    quote_qty: Decimal = Decimal(0)
    leverage: int = 1
    forced: Forced = Forced.NO
    told_lots: int = 0
    done_lots: int = 0
    cost_lot_ticks: int = 0
    fee_atoms: int = 0
    profit_atoms: int = 0
    state: State = State.NEW
    created_ms: int = 0
    updated_ms: int = 0
    fills: list[FillRow] = []  # noqa: RUF012 - a Struct copies an empty list

    @property
    def live(self) -> bool:
        """Whether it still rests."""
        return self.state in LIVE
