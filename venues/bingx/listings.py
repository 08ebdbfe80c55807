"""What BingX lists: contract rows as instruments, refused with a reason where they cannot be routed.

BingX publishes no tick and no step, only decimals: tick = 10**-pricePrecision, step = 10**-quantityPrecision.
Quantities are in the base coin. A row without them is refused, never guessed (B8), and one broken row does not take
the other thousand down.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from math import ceil
from typing import Final

import msgspec

from sor.errors import CallerError, VenueFault
from sor.ids import Symbol, VenueName
from sor.instruments import Instrument, canonical_symbol
from sor.units import RATE_E8
from venues.bingx.codec import ABSENT, data_of, decoded, flag_of, text_of, whole_of
from venues.bingx.steps import DIGITS_MAX, FloatSteps, Steps, decimal_text, plain

VENUE: Final = VenueName("bingx")
_ONLINE = 1
_STATES: Mapping[int | None, str] = {0: ", offline", 5: ", not opened yet", 25: ", paused"}
_TRADFI = "NC"


class Listing:
    """One instrument with BingX's spelling of it and the ways between its texts and our integers.

    ticks    price texts as ticks, exact; 0 is a fault. float_ticks: the same of prices that were read as floats.
    lots     quantities of orders, fills and positions as lots, exact.
    sizes    quantities of public data as lots, what is finer than a lot cut off: nobody can trade it. qty_steps: lots
             in one unit, for quantities that were read as floats.
    """

    __slots__ = (
        "float_ticks",
        "instrument",
        "lots",
        "price_digits",
        "qty_digits",
        "qty_steps",
        "sizes",
        "ticks",
        "venue_symbol",
    )

    def __init__(self, instrument: Instrument, venue_symbol: str) -> None:
        self.instrument = instrument
        self.venue_symbol = venue_symbol
        self.price_digits = _digits(instrument.tick_size)
        self.qty_digits = _digits(instrument.lot_size)
        self.ticks = Steps(self.price_digits, zero=False)
        self.float_ticks = FloatSteps(self.price_digits)
        self.lots = Steps(self.qty_digits)
        self.sizes = Steps(self.qty_digits, floors=True)
        self.qty_steps = 10.0**self.qty_digits

    def price_text(self, ticks: int) -> str:
        """A price as BingX takes it."""
        return decimal_text(ticks, self.price_digits)

    def qty_text(self, lots: int) -> str:
        """A quantity as BingX takes it."""
        return decimal_text(lots, self.qty_digits)

    def in_ticks(self, text: str) -> Decimal:
        """A price that may lie between two ticks (an average, a mark) in ticks, exact; 0 for "" and for 0."""
        return plain(text).scaleb(self.price_digits) if text else Decimal(0)

    def order_ticks(self, text: str, *, limit: bool) -> int:
        """The limit price of an order, 0 for one without: the `price` of a MARKET order is only a reference."""
        if not limit or not text:
            return 0
        ticks = self.ticks.get(text)  # most prices have been read before
        if ticks is not None:
            return ticks
        return self.ticks[text] if plain(text) else 0


def _digits(step: Decimal) -> int:
    exponent = step.normalize().as_tuple()
    if exponent.digits != (1,) or not isinstance(exponent.exponent, int) or exponent.exponent > 0:
        raise CallerError(f"BingX knows only steps of 1, 0.1, 0.01 and so on, not {step}; nothing was sent")
    return -exponent.exponent


class Listings:
    """Every routable contract of one reading, and why the others are not.

    refused    reason by BingX's spelling (or by the row's number, where it has none).
    """

    __slots__ = ("_by_symbol", "_by_venue", "refused")

    def __init__(self, listings: list[Listing], refused: Mapping[str, str]) -> None:
        self._by_venue = {one.venue_symbol: one for one in listings}
        self._by_symbol = {one.instrument.symbol: one for one in listings}
        self.refused = dict(refused)

    def all(self) -> tuple[Listing, ...]:
        """Every routable contract, in BingX's order."""
        return tuple(self._by_venue.values())

    def known(self, venue_symbol: str) -> Listing | None:
        """The listing of a spelling of BingX's, or None."""
        return self._by_venue.get(venue_symbol)

    def find(self, symbol: Symbol) -> Listing | None:
        """The listing of one of our symbols, or None."""
        return self._by_symbol.get(symbol)

    def stated(self, venue_symbol: str) -> Listing:
        """The listing of what an answer about our own order names. Raises `VenueFault` when it names another."""
        listing = self._by_venue.get(venue_symbol)
        if listing is None:
            raise VenueFault(f"BingX spoke of {venue_symbol!r}, which it does not list")
        return listing

    def of(self, symbol: Symbol) -> Listing:
        """The listing of one of our symbols. Raises `CallerError`, with the reason where the row was refused."""
        listing = self._by_symbol.get(symbol)
        if listing is not None:
            return listing
        reason = self.why_not(symbol)
        if reason:
            raise CallerError(f"{symbol} on BingX: {reason}; nothing was sent")
        raise CallerError(f"BingX lists no {symbol}; nothing was sent. Name one that it lists, like BTCUSDT")

    def why_not(self, symbol: Symbol) -> str:
        """Why a row was refused; "" for a symbol of none that was."""
        reasons = (why for venue_symbol, why in self.refused.items() if canonical_symbol(venue_symbol) == symbol)
        return next(reasons, "")


class Fees(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The account's own rates in 1e-8 of notional; BingX has one pair for all contracts."""

    maker_fee_e8: int
    taker_fee_e8: int


class _Row(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    symbol: str
    quantity_precision: msgspec.Raw = ABSENT
    price_precision: msgspec.Raw = ABSENT
    trade_min_quantity: msgspec.Raw = ABSENT
    trade_min_usdt: msgspec.Raw = msgspec.field(default=ABSENT, name="tradeMinUSDT")
    maker_fee_rate: msgspec.Raw = ABSENT
    taker_fee_rate: msgspec.Raw = ABSENT
    currency: str = ""
    asset: str = ""
    status: msgspec.Raw = ABSENT
    api_state_open: msgspec.Raw = ABSENT
    api_state_close: msgspec.Raw = ABSENT


class _Named(msgspec.Struct, frozen=True, gc=False):
    symbol: str = ""


_ROWS = msgspec.json.Decoder(list[msgspec.Raw] | None)
_ROW = msgspec.json.Decoder(_Row)
_NAMED = msgspec.json.Decoder(_Named)


def read_listings(body: bytes, *, fees: Fees | None = None, before: Listings | None = None) -> Listings:
    """The answer of `wire.contracts`.

    fees      the account's own rates; without them the row's base rates hold.
    before    the last reading: a contract with changed terms gets the next version, an unchanged one stays the same.
    Raises    `VenueFault` when the answer as a whole cannot be read.
    """
    listed: list[Listing] = []
    refused: dict[str, str] = {}
    taken: dict[Symbol, str] = {}
    rows = data_of(body, _ROWS, "the contracts")
    for number, raw in enumerate(rows if rows is not None else []):
        name = f"row {number}"
        try:
            name = decoded(_NAMED, raw, "a contract").symbol or name
            listing = _listing(decoded(_ROW, raw, "a contract"), fees, before)
        except (VenueFault, CallerError) as error:
            refused[name] = str(error)
            continue
        symbol = listing.instrument.symbol
        if symbol in taken:
            refused[name] = f"{taken[symbol]} has the same name without its separators"
            continue
        taken[symbol] = name
        listed.append(listing)
    return Listings(listed, refused)


def _listing(row: _Row, fees: Fees | None, before: Listings | None) -> Listing:
    """One row. Raises `CallerError` with the reason when it is not routable, `VenueFault` when it cannot be read."""
    name = row.symbol
    base, _, quote = name.partition("-")
    if not (name.isascii() and base and quote):
        raise CallerError(f"{name!r} is not spelled BASE-QUOTE in ASCII, and how to sign such a name is not known")
    if name.startswith(_TRADFI):
        raise CallerError(f"{name} is a contract on something else than crypto, with fees and hours of its own")
    status = whole_of(row.status) if text_of(row.status) else None
    if status != _ONLINE:
        raise CallerError(f"{name} is not online: status {status}{_STATES.get(status, '')}")
    if not (flag_of(row.api_state_open) and flag_of(row.api_state_close)):
        raise CallerError(f"{name} is closed to API orders")
    instrument = Instrument(
        symbol=canonical_symbol(name),
        venue=VENUE,
        base=row.asset or base,
        quote=quote,
        settle=row.currency or quote,
        tick_size=Decimal(1).scaleb(-_precision(row.price_precision, name, "price")),
        lot_size=Decimal(1).scaleb(-_precision(row.quantity_precision, name, "quantity")),
        min_notional=plain(text_of(row.trade_min_usdt) or "0"),
        maker_fee_e8=fees.maker_fee_e8 if fees else rate_e8(text_of(row.maker_fee_rate), f"{name}'s maker fee"),
        taker_fee_e8=fees.taker_fee_e8 if fees else rate_e8(text_of(row.taker_fee_rate), f"{name}'s taker fee"),
    )
    least = plain(text_of(row.trade_min_quantity) or "0")
    lots = ceil(Fraction(least) / Fraction(instrument.lot_size))  # up to the next step: less would be refused
    instrument = msgspec.structs.replace(instrument, min_qty_lots=max(1, lots))
    old = before.known(name) if before is not None else None
    if old is not None:
        same = msgspec.structs.replace(instrument, version=old.instrument.version)
        if same == old.instrument:
            return old
        instrument = msgspec.structs.replace(instrument, version=old.instrument.version + 1)
    return Listing(instrument, name)


def _precision(raw: msgspec.Raw, name: str, what: str) -> int:
    if not text_of(raw):
        raise CallerError(f"{name}: the {what} step is unknown, as the row states no {what}Precision")
    digits = whole_of(raw)
    if not 0 <= digits <= DIGITS_MAX:
        raise CallerError(f"{name}: the {what} step is unknown, as {what}Precision is {digits}")
    return digits


def rate_e8(text: str, what: str) -> int:
    """A fee rate as a fraction of notional ("0.0005" is 0.05 %) in 1e-8 of it, never below what it says."""
    if not text:
        raise CallerError(f"{what} is unknown")
    return ceil(plain(text) * RATE_E8)


class TradingRules(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Bounds that BingX sets around the current price, as fractions of it; None where it names none.

    market_ratio       how far from the mark a MARKET order may trade; beyond it fails or fills in part.
    *_max, *_min       limit prices outside these fractions of the current price are refused.
    open_orders_max    orders that may rest at a time.
    """

    market_ratio: Decimal | None
    buy_max: Decimal | None
    buy_min: Decimal | None
    sell_max: Decimal | None
    sell_min: Decimal | None
    open_orders_max: int | None


class _Rules(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    market_ratio: msgspec.Raw = ABSENT
    buy_max_price: msgspec.Raw = ABSENT
    buy_min_price: msgspec.Raw = ABSENT
    sell_max_price: msgspec.Raw = ABSENT
    sell_min_price: msgspec.Raw = ABSENT
    max_num_order: msgspec.Raw = ABSENT
    max_mum_order: msgspec.Raw = ABSENT  # so in one of the pages


_RULES = msgspec.json.Decoder(_Rules)


def read_trading_rules(body: bytes) -> TradingRules:
    """The answer of `wire.trading_rules`."""
    rules = data_of(body, _RULES, "the trading rules")
    return TradingRules(
        market_ratio=_ratio(rules.market_ratio),
        buy_max=_ratio(rules.buy_max_price),
        buy_min=_ratio(rules.buy_min_price),
        sell_max=_ratio(rules.sell_max_price),
        sell_min=_ratio(rules.sell_min_price),
        open_orders_max=whole_of(rules.max_num_order) or whole_of(rules.max_mum_order) or None,
    )


def _ratio(raw: msgspec.Raw) -> Decimal | None:
    text = text_of(raw)
    return plain(text) if text else None
