"""Margin: what positions use, what pending orders hold, and what is left. All in money atoms.

used        cost of each position / leverage, rounded up; an isolated position's own profit not yet realised belongs to
            its margin and not to what is free.
frozen      value of each pending order / leverage, rounded up, as far as it would open: an order that closes holds
            nothing. In one-way mode orders against a position close it, oldest first, and what is beyond it opens.
available   wallet + unrealised - used - frozen, marks moving it all the time.

How BingX nets orders against a position, and whether it holds fees too, is not published. Nothing is liquidated here.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from sor.orders import PositionSide
from venues.bingx.emulator.accounts import TradingAccount
from venues.bingx.emulator.events import MarginType
from venues.bingx.emulator.money import up
from venues.bingx.emulator.pit import Pit

_BOTH, _LONG, _SHORT = PositionSide.BOTH, PositionSide.LONG, PositionSide.SHORT


class Claim(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What a pending order may still do, for margin; `sign` is +1 for buys."""

    symbol: str
    sign: int
    mode: PositionSide
    lots: int
    price_ticks: int
    reduce_only: bool


class Margin(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What an account is worth at the marks."""

    wallet: int
    unrealised: int
    used: int
    frozen: int

    @property
    def available(self) -> int:
        """Free for new orders; negative when marks have moved against the positions."""
        return self.wallet + self.unrealised - self.used - self.frozen


def opens(sign: int, mode: PositionSide) -> bool:
    """Whether an order in hedge mode opens: buying LONG or selling SHORT."""
    return mode is (_LONG if sign > 0 else _SHORT)


def claims(account: TradingAccount) -> list[Claim]:
    """Of all live orders, oldest first."""
    return [
        Claim(
            symbol=order.contract_symbol,
            sign=order.sign,
            mode=order.position_side,
            lots=order.leaves_lots,
            price_ticks=order.price_ticks,
            reduce_only=order.reduce_only,
        )
        for order in account.live.values()
        if order.leaves_lots
    ]


def frozen_atoms(account: TradingAccount, pits: Mapping[str, Pit], pending: list[Claim]) -> int:
    """What orders hold, `pending` being all of the account's, oldest first."""
    closable: dict[tuple[str, int], int] = {}
    total = 0
    for claim in pending:
        if claim.reduce_only:  # in hedge mode every closing order is, to the engine
            continue
        lots = claim.lots
        if claim.mode is _BOTH:
            way = (claim.symbol, claim.sign)
            left = closable.get(way)
            if left is None:
                left = max(0, -claim.sign * account.held_lots(claim.symbol, _BOTH))
            closing = min(left, lots)
            closable[way] = left - closing
            lots -= closing
        leverage = account.leverage(claim.symbol, _LONG if claim.sign > 0 else _SHORT)
        total += up(lots * claim.price_ticks * pits[claim.symbol].unit_atoms, leverage)
    return total


def margin_of(account: TradingAccount, pits: Mapping[str, Pit]) -> Margin:
    """Everything at once."""
    unrealised = used = 0
    for position in account.positions.values():
        if not position.lots:
            continue
        profit = position.unrealised_atoms(pits[position.symbol].mark_ticks)
        unrealised += profit
        used += up(position.cost_atoms, account.leverage(position.symbol, position.side))
        if account.margin_type(position.symbol) is not MarginType.CROSSED:
            used += profit
    return Margin(
        wallet=account.wallet_atoms,
        unrealised=unrealised,
        used=used,
        frozen=frozen_atoms(account, pits, claims(account)),
    )
