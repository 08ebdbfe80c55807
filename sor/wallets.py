"""Money on our accounts, as a fold of facts (R5): what a wallet should hold, and what of it nobody has explained.

A wallet is its baseline (`WalletKnown`) and the flows since, each of which is a fact with a cause: fees, realised
results, funding, transfers, whatever else the venue has a word for, and what it has none for. An entry of the venue's
list counts once, by its id, however often it is read. Nothing trades by any of this: it is counted, and said.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from sor.adapter import MoneyCause, MoneyEntry
from sor.commands import Alarm
from sor.desk import Desk
from sor.events import WalletKnown, WalletMoved
from sor.ids import AccountId, VenueName

ENTRIES_MAX: Final = 10_000
"""Entries that are remembered; a reading goes back by a minute behind the last one, so the oldest never come again."""
_ROUTINE: Final = (MoneyCause.FEE, MoneyCause.REALISED, MoneyCause.FUNDING)
"""What trading brings with it: on record, and nobody is called."""


class Wallet:
    """One wallet; `expected` is always the baseline and all `flows`.

    first_ns    the venue's clock at the baseline: older entries are in it.
    base_ns     at the last time when the venue's word was taken: entries from before that which come to light later
                explain it, and are not counted on top.
    read_ns     our clock when entries were read last that were new.
    """

    __slots__ = ("asset", "base", "base_ns", "entries", "expected", "first_ns", "flows", "read_ns")

    def __init__(self, asset: str, base: Decimal) -> None:
        self.asset = asset
        self.base = self.expected = base
        self.first_ns = self.base_ns = self.read_ns = 0
        self.flows: dict[MoneyCause, Decimal] = {}
        self.entries: dict[str, None] = {}

    def flow(self, cause: MoneyCause, amount: Decimal) -> None:
        """Book one flow."""
        self.flows[cause] = self.flows.get(cause, Decimal(0)) + amount
        self.expected += amount

    def news(self, entry: MoneyEntry) -> bool:
        """Whether an entry is of this wallet, later than its baseline, and was not told before."""
        return entry.asset == self.asset and entry.venue_ns > self.first_ns and entry.entry_id not in self.entries


class Wallets:
    """Every wallet that is known. Alarms go to the desk's `out`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.by_account: dict[tuple[VenueName, AccountId], Wallet] = {}

    def of(self, venue: VenueName, account: AccountId) -> Wallet | None:
        """The wallet of an account, None before its baseline."""
        return self.by_account.get((venue, account))

    def known(self, fact: WalletKnown) -> None:
        """A baseline."""
        wallet = self.by_account[fact.venue, fact.account] = Wallet(fact.asset, fact.amount)
        wallet.first_ns = wallet.base_ns = fact.venue_ns
        wallet.read_ns = fact.now_ns

    def moved(self, fact: WalletMoved) -> None:
        """A flow: what is expected follows, by what of it has not been counted before."""
        wallet = self.by_account[fact.venue, fact.account]
        if fact.cause is MoneyCause.UNEXPLAINED:
            before = wallet.expected
            wallet.flow(fact.cause, fact.amount)
            wallet.base_ns = max(wallet.base_ns, fact.venue_ns)
            has = f"{wallet.expected.normalize():f} {wallet.asset}"
            text = (
                f"the wallet on {fact.venue} has {has}, where all changes that it lists make {before.normalize():f}: "
                f"{fact.amount.normalize():+f} cannot be explained, and its word counts from now on"
            )
            self._desk.out.append(Alarm(0, fact.venue, text, halts=False))
            return
        wallet.read_ns = fact.now_ns
        counted = explained = Decimal(0)
        for entry in fact.entries:
            if not wallet.news(entry):
                continue
            wallet.entries[entry.entry_id] = None
            wallet.flow(fact.cause, entry.amount)
            counted += entry.amount
            if entry.venue_ns <= wallet.base_ns:
                wallet.flow(MoneyCause.UNEXPLAINED, -entry.amount)
                explained += entry.amount
        while len(wallet.entries) > ENTRIES_MAX:
            del wallet.entries[next(iter(wallet.entries))]
        words = ", ".join(dict.fromkeys(entry.word for entry in fact.entries))
        if explained:
            text = f"{explained.normalize():+f} {wallet.asset} on {fact.venue} that nothing explained came by {words}"
        elif counted and fact.cause not in _ROUTINE:
            text = (
                f"{counted.normalize():+f} {wallet.asset} on {fact.venue} by {words}; the wallet should have "
                f"{wallet.expected.normalize():f} now"
            )
        else:
            return
        self._desk.out.append(Alarm(0, fact.venue, text, halts=False))
