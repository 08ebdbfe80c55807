"""The wallet in the judgement of chaos: what the router has for it beside the books of the emulator."""

from __future__ import annotations

from decimal import Decimal

import pytest

from sor.adapter import MoneyCause
from sor.chaos.judgement import wallet_wrong
from sor.emulation import AccountBooks
from sor.wallets import Wallet


def wallet(**flows: str) -> Wallet:
    found = Wallet("USDT", Decimal(100))
    for cause, amount in flows.items():
        found.flow(MoneyCause(cause), Decimal(amount))
    return found


def books(holds: str | None) -> AccountBooks:
    amount = None if holds is None else Decimal(holds)
    return AccountBooks(name="a", orders=(), money={}, positions=(), duplicate=0, wallet=amount)


@pytest.mark.parametrize(
    ("ours", "theirs", "wrong"),
    [
        (wallet(fee="-1.5", realised="2"), "100.5", []),
        (wallet(fee="-1.5"), "98.5099", []),  # within what nobody looks for
        (wallet(fee="-1.5"), "98.52", ["the wallet: 98.52 USDT at the venue, 98.5 here"]),
        (wallet(fee="-3"), "98.5", ["the wallet: 98.5 USDT at the venue, 97 here"]),
        (
            wallet(unexplained="-1.5"),
            "98.5",
            ["the wallet: -1.5 USDT could not be explained, and nobody else trades here"],
        ),
        (wallet(fee="-1.5"), None, []),  # an emulator that says nothing of it
    ],
)
def test_a_wallet_is_judged_by_the_books(ours: Wallet, theirs: str | None, wrong: list[str]) -> None:
    assert [*wallet_wrong(ours, books(theirs))] == wrong
