"""One request as its handler gets it, and what a handler gives back."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, TypeVar

import msgspec

from venues.bingx.emulator.accounts import TradingAccount
from venues.bingx.emulator.contracts import Contract
from venues.bingx.emulator.exchange import Exchange
from venues.bingx.emulator.faults import Faults
from venues.bingx.emulator.parameters import Parameters, Refused
from venues.bingx.emulator.pit import Pit
from venues.bingx.emulator.refusals import Refusal, paused, unknown_symbol
from venues.bingx.emulator.render import Json

_T = TypeVar("_T")


class Plain(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """An answer without an envelope."""

    body: bytes = b""
    status: int = 200


class Market:
    """What needs no account: the exchange as a request sees it, with what the faults make of it."""

    __slots__ = ("exchange", "faults", "parameters", "where")

    def __init__(self, exchange: Exchange, faults: Faults, parameters: Parameters, *, where: str) -> None:
        """where: `METHOD /path`, which the faults filter by."""
        self.exchange = exchange
        self.faults = faults
        self.parameters = parameters
        self.where = where

    def now_ms(self) -> int:
        """The venue's clock."""
        return self.exchange.now_ms()

    def contract(self, symbol: str) -> Contract:
        """A listed contract, as the faults show it. Raises `Refused` (109425) for an unknown one."""
        pit = self.exchange.pits.get(symbol)
        if pit is None:
            raise Refused(unknown_symbol(symbol))
        if self.faults.is_on("symbol-paused", symbol=symbol):
            return msgspec.structs.replace(pit.contract, status=25)
        return pit.contract

    def contracts(self) -> list[Contract]:
        """All that are listed."""
        return [self.contract(symbol) for symbol in self.exchange.pits]

    def pit(self, symbol: str) -> Pit:
        """A market that trades. Raises `Refused`: 109425 unknown, 109415 paused."""
        found = needed(self.exchange.pit(symbol))
        if self.faults.is_on("symbol-paused", symbol=symbol):
            raise Refused(paused(symbol))
        return found

    def asked_pits(self) -> tuple[list[Pit], bool]:
        """The market that `symbol` names, or all that trade when it does not; and whether it did."""
        symbol = self.parameters.text("symbol")
        if symbol:
            return [self.pit(symbol)], True
        return [self.exchange.pits[one.symbol] for one in self.contracts() if one.trades], False


class Call(Market):
    """A request of an account."""

    __slots__ = ("account",)

    def __init__(
        self, exchange: Exchange, faults: Faults, parameters: Parameters, account: TradingAccount, *, where: str
    ) -> None:
        super().__init__(exchange, faults, parameters, where=where)
        self.account = account

    @property
    def one_way(self) -> bool:
        """The account's position mode."""
        return not self.account.hedge


MarketHandler: TypeAlias = "Callable[[Market], Json | Plain]"
Handler: TypeAlias = "Callable[[Call], Json | Plain]"


def needed(found: _T | Refusal) -> _T:
    """A result. Raises `Refused` when it is none."""
    if isinstance(found, Refusal):
        raise Refused(found)
    return found
