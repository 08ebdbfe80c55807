"""The contracts that the emulator lists: typed rows, with everything that BingX's own rows and trading rules say.

Invented figures in BingX's shape. No tick and no step stand in them: the decimals are the steps.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

import msgspec

from sor.errors import CallerError
from sor.instruments import Instrument, canonical_symbol
from venues.bingx.listings import VENUE

ONLINE: Final = 1
PAUSED: Final = 25
_LAUNCH_MS: Final = 1_700_000_000_000


class Rules(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Trading rules of one contract.

    *_min, *_max      a limit price outside these multiples of the current price is refused.
    market_ratio      how far from the mark a MARKET order trades, as a fraction of it.
    """

    buy_min: Decimal = Decimal("0.1")
    buy_max: Decimal = Decimal("1.1")
    sell_min: Decimal = Decimal("0.9")
    sell_max: Decimal = Decimal(10)
    market_ratio: Decimal = Decimal("0.05")
    protection_threshold: Decimal = Decimal("0.05")
    open_orders_max: int = 200


class Contract(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One row of the list, and what the emulator needs beside it.

    min_qty, min_notional     in the base coin and in quote.
    start_price               where a synthetic market begins.
    book_ms                   how often changes of the book are published.
    position_value_max        largest position in quote at leverage 1 to 10; at a higher leverage l it is this x 10 / l.
    """

    symbol: str
    contract_id: str
    price_precision: int
    qty_precision: int
    min_qty: Decimal
    min_notional: Decimal = Decimal(2)
    leverage_max: int = 125
    maker_fee: Decimal = Decimal("0.0002")
    taker_fee: Decimal = Decimal("0.0005")
    status: int = ONLINE
    api_open: bool = True
    api_close: bool = True
    launch_ms: int = _LAUNCH_MS
    start_price: Decimal
    book_ms: int = 800
    position_value_max: Decimal = Decimal(20_000_000)
    funding_hours: int = 8
    rules: Rules = Rules()

    @property
    def asset(self) -> str:
        """The base coin."""
        return self.symbol.partition("-")[0]

    @property
    def quote(self) -> str:
        """The quote currency."""
        return self.symbol.partition("-")[2]

    @property
    def trades(self) -> bool:
        """Whether there is a market at all."""
        return self.status == ONLINE


DEFAULTS: Final = (
    Contract(
        symbol="BTC-USDT",
        contract_id="100",
        price_precision=1,
        qty_precision=4,
        min_qty=Decimal("0.0001"),
        leverage_max=150,
        start_price=Decimal(60_000),
        book_ms=200,
    ),
    Contract(
        symbol="ETH-USDT",
        contract_id="101",
        price_precision=2,
        qty_precision=3,
        min_qty=Decimal("0.001"),
        start_price=Decimal(3_000),
        book_ms=200,
    ),
    Contract(  # a step of one whole coin and a tick of seven basis points
        symbol="COARSE-USDT",
        contract_id="9001",
        price_precision=3,
        qty_precision=0,
        min_qty=Decimal(1),
        leverage_max=50,
        start_price=Decimal("1.5"),
        position_value_max=Decimal(500_000),
    ),
    Contract(
        symbol="PAUSED-USDT",
        contract_id="9002",
        price_precision=4,
        qty_precision=1,
        min_qty=Decimal("0.1"),
        leverage_max=50,
        status=PAUSED,
        start_price=Decimal(1),
    ),
    Contract(  # on a share, not on a coin
        symbol="NCSKEXAMPLE2USD-USDT",
        contract_id="9003",
        price_precision=2,
        qty_precision=3,
        min_qty=Decimal("0.001"),
        leverage_max=25,
        start_price=Decimal(200),
    ),
)
"""Two large ones, one with coarse steps, one that is paused, and one on something else than a coin."""


def listed(extra: Iterable[str] = (), *, defaults: tuple[Contract, ...] = DEFAULTS) -> tuple[Contract, ...]:
    """The defaults, and a contract for each symbol in `extra` (any spelling) that is not among them.

    Raises `CallerError` for a symbol that ends in neither USDT nor USDC.
    """
    found = list(defaults)
    for spelling in extra:
        name = venue_symbol(spelling)
        if all(one.symbol != name for one in found):
            found.append(
                Contract(
                    symbol=name,
                    contract_id=str(9_100 + len(found)),
                    price_precision=2,
                    qty_precision=3,
                    min_qty=Decimal("0.001"),
                    start_price=Decimal(100),
                )
            )
    return tuple(found)


def venue_symbol(spelling: str) -> str:
    """BingX's spelling of a symbol: `btcusdt` is `BTC-USDT`. `CallerError` for a quote that is not USDT or USDC."""
    plain = canonical_symbol(spelling)
    for quote in ("USDT", "USDC"):
        base = plain.removesuffix(quote)
        if base and base != plain:
            return f"{base}-{quote}"
    raise CallerError(f"{spelling!r} ends in neither USDT nor USDC, so BingX lists no such swap; nothing was started")


def instrument_of(contract: Contract) -> Instrument:
    """Steps and money units for the matching engine; the minimums are left to BingX's own checks and codes."""
    return Instrument(
        symbol=canonical_symbol(contract.symbol),
        venue=VENUE,
        base=contract.asset,
        quote=contract.quote,
        settle=contract.quote,
        tick_size=Decimal(1).scaleb(-contract.price_precision),
        lot_size=Decimal(1).scaleb(-contract.qty_precision),
    )
