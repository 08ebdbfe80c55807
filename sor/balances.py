"""The venue's word on money set beside what we know of it. Each difference becomes a fact, once; nothing trades by it.

    as expected    nothing is asked.
    otherwise      the venue's own list of changes is read: fees, realised results, funding, transfers, each a fact.
    still          what stands unchanged for a minute, through readings of the list, is a flow that nobody explains.

What fees and results should be is taken from the venue's entries and not from our fills: what closing brings depends on
what the account bought at which price before us, or beside us. Our own fees are checked order by order.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final, NamedTuple

from sor.adapter import AccountState, Ledgered, MoneyCause, MoneyEntry, VenueAdapter
from sor.dispatch import Dispatcher
from sor.events import Reading, WalletKnown, WalletMoved
from sor.ids import VenueName
from sor.router import Core
from sor.settings import Settings
from sor.units import NS
from sor.wallets import Wallet

STILL_NS: Final = 60 * NS
"""A difference counts once it has stood for this: nobody says how far the list of changes lags behind the wallet."""
BASE_STILL_NS: Final = 5 * NS
"""A baseline counts once it was stated twice, so far apart: nothing was moving it then."""
BACK_NS: Final = 60 * NS
"""Each reading of the list goes back behind the last one by this: entries come late, and clocks differ."""
SLACK: Final = Decimal("0.01")
"""Of the settlement asset: wallets are stated to four places, their changes to eight, and roundings add up."""


class _Stated(NamedTuple):
    """An amount, when it was asked for, and the venue's clock then."""

    amount: Decimal
    asked_ns: int
    venue_ns: int

    def amid_ns(self, again: _Stated) -> int:
        """The venue's clock halfway to when it was stated again.

        Nothing moved in between, so this tells what came before from what comes after as long as that clock is known
        to within half of the time, which for a first reading may rest on one slow answer.
        """
        return (self.venue_ns + again.venue_ns) // 2


class BalanceReconciler:
    """Sets the wallets of the venues of one router beside its core."""

    def __init__(self, core: Core, dispatcher: Dispatcher, *, settings: Settings) -> None:
        self._core = core
        self._dispatcher = dispatcher
        self._settings = settings
        self._firsts: dict[VenueName, _Stated] = {}
        self._differences: dict[VenueName, _Stated] = {}

    async def take(self, adapter: VenueAdapter, account: AccountState, asked_ns: int) -> None:
        """Set a wallet that was asked for at `asked_ns` beside ours.

        Nothing is done where the venue states no wallet, or does not list what changes it. Raises as an adapter's
        reading does when the list cannot be had.
        """
        venue = adapter.name
        if account.wallet is None or not isinstance(adapter, Ledgered):
            return
        stated = _Stated(account.wallet, asked_ns, account.venue_ns)
        wallet = self._core.wallets.of(venue, self._settings.account)
        if wallet is None:
            self._base(venue, account.asset, stated)
            return
        if wallet.asset != account.asset:
            return  # another asset is the account's money now; a journal goes on with its own
        if abs(stated.amount - wallet.expected) > SLACK:
            self._tell(venue, wallet, await adapter.money_since(wallet.read_ns - BACK_NS))
        off = stated.amount - wallet.expected
        before = self._differences.get(venue)
        if abs(off) <= SLACK:
            self._differences.pop(venue, None)
        elif before is None or abs(before.amount - off) > SLACK:
            self._differences[venue] = stated._replace(amount=off)
        elif asked_ns - before.asked_ns >= STILL_NS:
            del self._differences[venue]
            self._moved(venue, MoneyCause.UNEXPLAINED, Reading.WALLET, off, venue_ns=before.amid_ns(stated))

    def _base(self, venue: VenueName, asset: str, stated: _Stated) -> None:
        """A wallet that is not known yet: its baseline, where two readings state the same."""
        first = self._firsts.get(venue)
        if first is None or first.amount != stated.amount:
            self._firsts[venue] = stated
        elif stated.asked_ns - first.asked_ns >= BASE_STILL_NS:
            del self._firsts[venue]
            self._dispatcher.record(
                WalletKnown(
                    now_ns=self._dispatcher.now_ns(),
                    venue=venue,
                    account=self._settings.account,
                    asset=asset,
                    amount=stated.amount,
                    venue_ns=first.amid_ns(stated),
                )
            )

    def _tell(self, venue: VenueName, wallet: Wallet, entries: tuple[MoneyEntry, ...]) -> None:
        """What is new of the venue's list, cause by cause."""
        news: dict[MoneyCause, list[MoneyEntry]] = {}
        for entry in entries:
            if wallet.news(entry):
                news.setdefault(entry.cause, []).append(entry)
        for cause, found in news.items():
            amount = sum((entry.amount for entry in found), Decimal(0))
            self._moved(venue, cause, Reading.MONEY, amount, tuple(found))

    def _moved(
        self,
        venue: VenueName,
        cause: MoneyCause,
        by: Reading,
        amount: Decimal,
        entries: tuple[MoneyEntry, ...] = (),
        *,
        venue_ns: int = 0,
    ) -> None:
        self._dispatcher.record(
            WalletMoved(
                now_ns=self._dispatcher.now_ns(),
                venue=venue,
                account=self._settings.account,
                cause=cause,
                by=by,
                amount=amount,
                entries=entries,
                venue_ns=venue_ns,
            )
        )
