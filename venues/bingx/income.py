"""The list of what changed the account's wallets: `user/income`, newest first on the wire.

An entry has no id that is said to be its own: one transaction may stand in several rows, such as the fee and the result
of one trade. So it is named by its kind, transaction, trade and time together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from sor.adapter import MoneyCause, MoneyEntry
from venues.bingx.codec import ABSENT, data_of, ms_to_ns, text_of
from venues.bingx.steps import plain

CAUSES: Final[Mapping[str, MoneyCause]] = {
    "TRADING_FEE": MoneyCause.FEE,
    "REALIZED_PNL": MoneyCause.REALISED,
    "FUNDING_FEE": MoneyCause.FUNDING,
    "TRANSFER": MoneyCause.TRANSFER,
}
"""The other words are INSURANCE_CLEAR, TRIAL_FUND, ADL, SYSTEM_DEDUCTION, GTD_PRICE, and what comes after them."""


class _Row(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    income_type: str
    income: msgspec.Raw
    asset: str
    time: msgspec.Raw
    symbol: str = ""
    tran_id: msgspec.Raw = ABSENT
    trade_id: msgspec.Raw = ABSENT


_ROWS = msgspec.json.Decoder(list[_Row] | None)


def read_income(body: bytes) -> tuple[MoneyEntry, ...]:
    """The answer of `wire.income`, oldest first."""
    rows = data_of(body, _ROWS, "the income") or []
    entries = [_entry(row) for row in rows]
    entries.reverse()
    return tuple(sorted(entries, key=_venue_ns))


def _entry(row: _Row) -> MoneyEntry:
    venue_ns = ms_to_ns(row.time)
    word = row.income_type
    return MoneyEntry(
        entry_id=f"{word}:{text_of(row.tran_id)}:{text_of(row.trade_id)}:{row.symbol}:{venue_ns}",
        cause=CAUSES.get(word, MoneyCause.OTHER),
        word=word,
        amount=plain(text_of(row.income)),
        asset=row.asset,
        venue_ns=venue_ns,
    )


def _venue_ns(entry: MoneyEntry) -> int:
    return entry.venue_ns
