"""Answers about the account: money, positions, mode, leverage, fees, the listen key, the clock and the countdown."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from sor.adapter import AccountState, Position
from sor.errors import VenueFault
from sor.orders import PositionSide
from venues.bingx.codec import ABSENT, data_of, decoded, envelope, flag_of, ms_to_ns, text_of, whole_of
from venues.bingx.environments import Env
from venues.bingx.listings import VENUE, Fees, Listing, Listings, rate_e8
from venues.bingx.steps import plain
from venues.plumbing.keys import Secret, digest_of

_SECONDS_MAX = 100_000_000_000
"""A time below this is in seconds: in milliseconds it would be in 1973."""


class Balance(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One asset of the account. `available` is what can be put up as margin, `user_id` names the account, or is ""."""

    asset: str
    balance: Decimal
    equity: Decimal
    available: Decimal
    used_margin: Decimal
    frozen_margin: Decimal
    unrealized: Decimal
    realized: Decimal
    user_id: str = ""


class _Balance(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    asset: str
    user_id: msgspec.Raw = ABSENT
    balance: msgspec.Raw = ABSENT
    equity: msgspec.Raw = ABSENT
    available_margin: msgspec.Raw = ABSENT
    used_margin: msgspec.Raw = ABSENT
    freezed_margin: msgspec.Raw = ABSENT
    frozen_margin: msgspec.Raw = ABSENT  # so since the middle of 2026
    unrealized_profit: msgspec.Raw = ABSENT
    realised_profit: msgspec.Raw = ABSENT
    realized_profit: msgspec.Raw = ABSENT  # so since the middle of 2026


class _OldBalance(msgspec.Struct, frozen=True, gc=False):
    balance: _Balance


_BALANCES = msgspec.json.Decoder(list[_Balance] | _OldBalance | None)


def read_balances(body: bytes) -> dict[str, Balance]:
    """The answer of `wire.balance`, and of its older version, by asset. An unused asset's "" is 0."""
    data = data_of(body, _BALANCES, "the balance")
    rows = [] if data is None else [data.balance] if isinstance(data, _OldBalance) else data
    return {
        row.asset: Balance(
            asset=row.asset,
            balance=_money(row.balance),
            equity=_money(row.equity),
            available=_money(row.available_margin),
            used_margin=_money(row.used_margin),
            frozen_margin=_money(row.freezed_margin, row.frozen_margin),
            unrealized=_money(row.unrealized_profit),
            realized=_money(row.realised_profit, row.realized_profit),
            user_id=text_of(row.user_id),
        )
        for row in rows
    }


def _money(*spellings: msgspec.Raw) -> Decimal:
    for raw in spellings:
        text = text_of(raw)
        if text:
            return plain(text)
    return Decimal(0)


def identity_of(balances: Mapping[str, Balance], *, key: Secret, env: Env) -> str:
    """Which account this is: a digest of the user id that stands on every balance, of the API key where there is none.

    The second names no account, only one way to it: with new keys it looks like another account.
    """
    for balance in balances.values():
        if balance.user_id:
            return f"uid-{digest_of(VENUE, env.value, balance.user_id)}"
    return f"key-{digest_of(VENUE, env.value, key.reveal())}"


class _Position(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    symbol: str
    position_amt: msgspec.Raw
    position_side: str = "BOTH"
    only_one_position: msgspec.Raw = ABSENT
    leverage: msgspec.Raw = ABSENT


class Positions(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What is held; contracts that are flat are not listed.

    unlisted    symbols that are held and cannot be expressed in lots, as their contract is not routable.
    """

    held: tuple[Position, ...]
    unlisted: tuple[str, ...] = ()


_POSITIONS = msgspec.json.Decoder(list[_Position] | None)


def read_positions(body: bytes, listings: Listings) -> Positions:
    """The answer of `wire.positions`."""
    rows = data_of(body, _POSITIONS, "the positions")
    held: list[Position] = []
    unlisted: dict[str, None] = {}
    for row in rows if rows is not None else []:
        amount = text_of(row.position_amt)
        listing = listings.known(row.symbol)
        if listing is not None:
            one_way = flag_of(row.only_one_position)
            held.append(position(listing, amount, row.position_side, one_way=one_way))
        elif plain(amount or "0"):
            unlisted[row.symbol] = None
    return Positions(held=tuple([one for one in held if one.qty_lots]), unlisted=tuple(unlisted))


def position(listing: Listing, amount: str, label: str, *, one_way: bool) -> Position:
    """A position with its sign: the label's where it has one, the amount's where the label is BOTH.

    one_way    the account is in one-way mode, where positions are labelled LONG and SHORT all the same.
    Raises     `VenueFault` for a label that is none, and for a LONG with a negative amount.
    """
    lots = listing.lots[amount.removeprefix("-")] if amount else 0
    label = label.upper()
    if label == "SHORT":
        lots = -lots  # documented with a positive amount, seen with either
    elif label == "BOTH":
        lots = -lots if amount.startswith("-") else lots
        one_way = True
    elif label != "LONG" or (lots and amount.startswith("-")):
        raise VenueFault(f"BingX sent a {label!r} position of {amount} {listing.venue_symbol}")
    side = PositionSide.BOTH if one_way else PositionSide.SHORT if label == "SHORT" else PositionSide.LONG
    return Position(symbol=listing.instrument.symbol, qty_lots=lots, position_side=side)


def account_state(
    balances: Mapping[str, Balance], positions: Positions, *, asset: str, venue_ns: int, fresh: bool
) -> AccountState:
    """Money in one settlement asset (USDT, or VST on the demo) and positions as one value; an absent asset is empty.

    fresh    whether the money was read just now: only then is it a word on the wallet.
    """
    balance = balances.get(asset)
    return AccountState(
        equity=balance.equity if balance else Decimal(0),
        available=balance.available if balance else Decimal(0),
        asset=asset,
        positions=positions.held,
        venue_ns=venue_ns,
        wallet=(balance.balance if balance else Decimal(0)) if fresh else None,
    )


class _Mode(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    dual_side_position: msgspec.Raw


_MODE = msgspec.json.Decoder(_Mode)


def read_position_mode(body: bytes) -> bool:
    """The answer of `wire.position_mode` and `wire.set_position_mode`: whether the account is in hedge mode."""
    return flag_of(data_of(body, _MODE, "the position mode").dual_side_position)


class Leverage(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Leverage of one contract; in one-way mode both sides have the same."""

    long: int
    short: int
    long_max: int
    short_max: int


class _Leverage(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    long_leverage: msgspec.Raw
    short_leverage: msgspec.Raw
    max_long_leverage: msgspec.Raw = ABSENT
    max_short_leverage: msgspec.Raw = ABSENT


class _LeverageSet(msgspec.Struct, frozen=True, gc=False):
    leverage: msgspec.Raw


_LEVERAGE = msgspec.json.Decoder(_Leverage)
_LEVERAGE_SET = msgspec.json.Decoder(_LeverageSet)


def read_leverage(body: bytes) -> Leverage:
    """The answer of `wire.leverage`."""
    data = data_of(body, _LEVERAGE, "the leverage")
    return Leverage(
        long=whole_of(data.long_leverage),
        short=whole_of(data.short_leverage),
        long_max=whole_of(data.max_long_leverage),
        short_max=whole_of(data.max_short_leverage),
    )


def read_leverage_set(body: bytes) -> int:
    """The answer of `wire.set_leverage`: the leverage now in force."""
    return whole_of(data_of(body, _LEVERAGE_SET, "an answer to a leverage").leverage)


class _Rates(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    maker_commission_rate: msgspec.Raw
    taker_commission_rate: msgspec.Raw


class _Commission(msgspec.Struct, frozen=True, gc=False):
    commission: _Rates


_COMMISSION = msgspec.json.Decoder(_Commission)


def read_fees(body: bytes) -> Fees:
    """The answer of `wire.commission_rate`: the account's own rates. Raises `VenueFault` when a rate is missing."""
    rates = data_of(body, _COMMISSION, "the commission rate").commission
    maker, taker = text_of(rates.maker_commission_rate), text_of(rates.taker_commission_rate)
    if not maker or not taker:
        raise VenueFault("BingX sent a commission rate without maker or taker")
    return Fees(maker_fee_e8=rate_e8(maker, "the maker fee"), taker_fee_e8=rate_e8(taker, "the taker fee"))


class _Time(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    server_time: msgspec.Raw


_TIME = msgspec.json.Decoder(_Time)


def read_server_time(body: bytes) -> int:
    """The answer of `wire.server_time` in nanoseconds since the epoch. Raises `VenueFault` when there is none."""
    venue_ns = ms_to_ns(data_of(body, _TIME, "the time").server_time)
    if venue_ns <= 0:
        raise VenueFault("BingX sent no time")
    return venue_ns


class _Key(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    listen_key: str = ""


class _Wrapped(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    listen_key: str = ""
    data: _Key | None = None


_WRAPPED = msgspec.json.Decoder(_Wrapped)


def read_listen_key(body: bytes) -> str:
    """The answer of `wire.new_listen_key`, bare (2025) or in an envelope (2026). `VenueFault` when there is no key."""
    answer = decoded(_WRAPPED, body, "a listen key")
    key = answer.listen_key or (answer.data.listen_key if answer.data else "")
    if not key:
        opened = envelope(body)
        raise VenueFault(f"BingX gave no listen key: {opened.code} {opened.text}".rstrip())
    return key


class Countdown(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The state of the countdown. `status` is ACTIVATED, CLOSED or FAILED, `trigger_ns` when it fires, 0 when never."""

    status: str
    trigger_ns: int
    note: str


class _Countdown(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    status: str
    trigger_time: msgspec.Raw = ABSENT
    note: str | None = None


_COUNTDOWN = msgspec.json.Decoder(_Countdown)


def read_countdown(body: bytes) -> Countdown:
    """The answer of `wire.countdown`. Its time is in seconds; a page that says milliseconds is allowed to be right."""
    data = data_of(body, _COUNTDOWN, "an answer to a countdown")
    trigger = whole_of(data.trigger_time)
    return Countdown(
        status=data.status.upper(),
        trigger_ns=trigger * (1_000_000_000 if abs(trigger) < _SECONDS_MAX else 1_000_000),
        note=data.note or "",
    )
