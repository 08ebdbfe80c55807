"""The exchange's own books, as an auditor reads them."""

from __future__ import annotations

import msgspec

from sor.adapter import Position, VenueOrder
from venues.bingx.emulator.desk import BalanceRow
from venues.bingx.emulator.exchange import Exchange


class AccountAudit(msgspec.Struct, frozen=True, kw_only=True):
    """One account: every order ever accepted with its fills, in the order of acceptance.

    accepted, duplicate, refused    new orders by how they were answered; a duplicate counts as refused too.
    """

    name: str
    orders: tuple[VenueOrder, ...]
    positions: tuple[Position, ...]
    balance: BalanceRow
    accepted: int
    duplicate: int
    refused: int


class Audit(msgspec.Struct, frozen=True, kw_only=True):
    """All accounts, and every rule of the books that does not hold ("" in none: all is well)."""

    accounts: tuple[AccountAudit, ...]
    broken: tuple[str, ...]


def audit(exchange: Exchange) -> Audit:
    """Read the books, and check that quantities, money and fees are conserved."""
    raise NotImplementedError
