"""An emulated BingX without its dialect, in virtual time: a ladder that stands still, and a log of all that is told."""

from __future__ import annotations

from decimal import Decimal

from sor.orders import PositionSide, Side
from sor.units import MS
from tests.fakes.clock import VirtualClock
from venues.bingx.emulator.accounts import TradingAccount
from venues.bingx.emulator.audit import audit
from venues.bingx.emulator.events import AccountChanged, BookChanged, Event, MarkMoved, OrderChanged, TradePrinted
from venues.bingx.emulator.exchange import Exchange
from venues.bingx.emulator.market import start_quiet
from venues.bingx.emulator.orders import OrderAsk, OrderKey, OrderRow
from venues.bingx.emulator.pit import Pit
from venues.bingx.emulator.refusals import Refusal
from venues.bingx.emulator.settings import Settings

START_MS = 1_760_000_000_000
BTC = "BTC-USDT"
BUY, SELL = Side.BUY, Side.SELL
BOTH, LONG, SHORT = PositionSide.BOTH, PositionSide.LONG, PositionSide.SHORT


class Bench:
    """One exchange at 60,000: asks of 0.1 BTC from 60000.1 up, bids from 59999.9 down, twenty levels each."""

    def __init__(self, settings: Settings | None = None, *, quiet: bool = True) -> None:
        self.clock = VirtualClock(START_MS * MS)
        self.exchange = Exchange(self.clock, settings or Settings())
        self.log: list[Event] = []
        self.exchange.listen(self.log.append)
        if quiet:
            start_quiet(self.exchange)
        self.log.clear()

    @property
    def one_way(self) -> TradingAccount:
        """The account in one-way mode."""
        return self.exchange.accounts["one-way"]

    @property
    def hedge(self) -> TradingAccount:
        """The account in hedge mode."""
        return self.exchange.accounts["hedge"]

    @property
    def pit(self) -> Pit:
        """BTC-USDT."""
        return self.exchange.pits[BTC]

    def pass_ms(self, duration_ms: int) -> None:
        """Let time pass."""
        self.clock.run_until(self.clock.now_ns() + duration_ms * MS)

    def try_place(self, ask: OrderAsk, account: TradingAccount | None = None) -> OrderRow | Refusal:
        """Place for the one-way account, or for another."""
        return self.exchange.place(account or self.one_way, ask)

    def place(self, ask: OrderAsk, account: TradingAccount | None = None) -> OrderRow:
        """Place an order that is taken."""
        row = self.try_place(ask, account)
        assert isinstance(row, OrderRow), row
        return row

    def now(self, row: OrderRow, account: TradingAccount | None = None) -> OrderRow:
        """An order as it stands."""
        found = self.exchange.history.order(account or self.one_way, key(row))
        assert isinstance(found, OrderRow), found
        return found

    def crowd(self, side: Side, qty: str, price: str) -> Decimal:
        """Somebody else takes."""
        return self.pit.trade_as_crowd(side, qty=Decimal(qty), price=Decimal(price))

    def told(self) -> list[str]:
        """What was told since the last time, in short; marks and books apart."""
        lines = [_short(event) for event in self.log if not isinstance(event, MarkMoved | BookChanged)]
        self.log.clear()
        return lines

    def check(self) -> None:
        """The books balance."""
        assert audit(self.exchange).broken == ()


def limit(
    side: Side, qty: str, price: str, *, mode: PositionSide = BOTH, tif: str = "GTC", name: str = "", symbol: str = BTC
) -> OrderAsk:
    """A LIMIT order."""
    return OrderAsk(
        symbol=symbol,
        side=side,
        kind="LIMIT",
        position_side=mode,
        qty=Decimal(qty),
        price=Decimal(price),
        tif=tif,
        client_id=name,
    )


def market(
    side: Side, qty: str, *, mode: PositionSide = BOTH, reduce_only: bool | None = None, symbol: str = BTC
) -> OrderAsk:
    """A MARKET order."""
    return OrderAsk(
        symbol=symbol, side=side, kind="MARKET", position_side=mode, qty=Decimal(qty), reduce_only=reduce_only
    )


def key(row: OrderRow) -> OrderKey:
    """How to name an order."""
    return OrderKey(symbol=row.symbol, order_id=row.order_id)


def _short(event: Event) -> str:
    match event:
        case OrderChanged(did=did, order=order, fill=None):
            return f"{did} {order.state} {order.filled}/{order.qty}"
        case OrderChanged(did=did, order=order, fill=fill):
            assert fill is not None
            role = "maker" if fill.is_maker else "taker"
            return f"{did} {order.state} {order.filled}/{order.qty} {fill.qty}@{fill.price} {role} fee {fill.fee}"
        case AccountChanged(reason=reason, change=change, positions=positions):
            held = " ".join(f"{one.side} {one.qty}@{one.avg_price.normalize():f}" for one in positions)
            return f"account {reason} {change} {held}".rstrip()
        case TradePrinted(price=price, qty=qty, buyer_is_maker=buyer_is_maker):
            return f"print {'sell' if buyer_is_maker else 'buy'} {qty}@{price}"
        case _:
            return type(event).__name__
