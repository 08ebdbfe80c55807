"""What came into a wallet and what went out of it, apart from orders."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import msgspec


class IncomeType(StrEnum):
    """Why money came or went."""

    TRANSFER = "TRANSFER"
    REALIZED_PNL = "REALIZED_PNL"
    FUNDING_FEE = "FUNDING_FEE"
    TRADING_FEE = "TRADING_FEE"


class IncomeRow(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One change of a wallet; amount is positive when it came. trade_id: 0 where there was no trade."""

    symbol: str
    type: IncomeType
    amount: Decimal
    asset: str
    at_ms: int
    id: int
    trade_id: int
