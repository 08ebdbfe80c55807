"""The list of what changed the wallets: rows read, named, and read in pages from the newest on back."""

from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from sor.adapter import MoneyCause
from sor.errors import InDoubt, VenueFault
from sor.units import MS
from tests.fakes.bingx_rig import Rig
from venues.bingx import wire
from venues.bingx.income import read_income


def row(word: str = "FUNDING_FEE", income: str = "-0.25", time: int = 5, **said: object) -> dict[str, object]:
    return {
        "symbol": "BTC-USDT",
        "incomeType": word,
        "income": income,
        "asset": "USDT",
        "info": "",
        "time": time,
    } | said


def body(*rows: dict[str, object]) -> bytes:
    return msgspec.json.encode({"code": 0, "msg": "", "data": list(rows)})


def test_rows_are_named_and_come_oldest_first() -> None:
    fee = row("TRADING_FEE", "-0.03", 7, tranId="9", tradeId="51")
    profit = row("REALIZED_PNL", "1.5", 7, tranId=9, tradeId="51")
    found = read_income(body(fee, profit, row(tranId="8"), row("SYSTEM_DEDUCTION", "-1", 1, symbol="", tranId="1")))
    assert [(one.cause, one.word, one.amount, one.venue_ns) for one in found] == [
        (MoneyCause.OTHER, "SYSTEM_DEDUCTION", Decimal(-1), MS),
        (MoneyCause.FUNDING, "FUNDING_FEE", Decimal("-0.25"), 5 * MS),
        (MoneyCause.REALISED, "REALIZED_PNL", Decimal("1.5"), 7 * MS),
        (MoneyCause.FEE, "TRADING_FEE", Decimal("-0.03"), 7 * MS),
    ]
    assert len({one.entry_id for one in found}) == 4
    assert read_income(body(fee)) == found[3:]


def test_none_and_nonsense() -> None:
    assert read_income(msgspec.json.encode({"code": 0, "msg": "", "data": None})) == ()
    with pytest.raises(VenueFault):
        read_income(body(row(income="much")))


@pytest.mark.anyio
async def test_more_than_a_page_is_read_from_the_newest_on_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "HISTORY_MAX", 3)
    rig = await Rig(tmp_path).connect()
    exchange, since_ns = rig.app.exchange, rig.time.now_ns()
    for amount in range(1, 8):
        exchange.desk.top_up(exchange.accounts["one-way"], Decimal(amount))
        rig.run(10)
    found = await rig.wait(rig.venue.money_since(since_ns))
    assert [entry.amount for entry in found] == [1, 2, 3, 4, 5, 6, 7]
    for _ in range(4):  # in one millisecond more than a page
        exchange.desk.top_up(exchange.accounts["one-way"], Decimal(8))
    with pytest.raises(InDoubt, match="changes of the wallet since then; nothing was changed"):
        await rig.wait(rig.venue.money_since(since_ns))
