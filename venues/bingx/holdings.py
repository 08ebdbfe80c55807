"""What the account has: money and positions, read together.

A position is only ever told as BingX states it now: the router sets its own beside it. Money degrades (B11): when its
read is held back, what was known last stands in, with the time at which it was.
"""

from __future__ import annotations

import logging
from decimal import Decimal

import msgspec

from sor.adapter import AccountState
from venues.bingx import wire
from venues.bingx.account import Balance, account_state
from venues.bingx.dialect import read_error
from venues.bingx.push import AccountPush
from venues.bingx.rest import READ_WAIT_NS, answer_of
from venues.bingx.session import Session
from venues.plumbing.client import Fate, Trouble

_log = logging.getLogger(__name__)


class Holdings:
    """One account's."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._balances: dict[str, Balance] = {}
        self._at_ns = 0
        self._named: dict[str, None] = {}

    async def read(self) -> AccountState:
        """Money and positions; `venue_ns` is the age of the older. Raises `NotSent`, `InDoubt` or `CallerError`."""
        session = self._session
        rest = session.rest
        leave_by_ns = session.now_ns() + READ_WAIT_NS
        money = rest.begin(rest.balance, wire.balance(), leave_by_ns=leave_by_ns)
        held = rest.begin(rest.positions, wire.positions(), leave_by_ns=leave_by_ns)
        balances = await money.wait()
        positions = answer_of(await held.wait())
        if not isinstance(balances, Trouble):
            self._balances = balances
            self._at_ns = session.clock.venue_ns(session.now_ns())
        elif not self._at_ns or balances.fate is Fate.REFUSED:
            raise read_error(balances)
        else:
            _log.warning("the balance could not be read, the last one stands in: %s %s", balances.code, balances.text)
        for name in positions.unlisted:
            if name not in self._named:
                self._named[name] = None
                _log.warning("the account holds a position in %s, which cannot be routed and is not seen", name)
        for position in positions.held:
            session.tell(session.listings.of(position.symbol))
        return account_state(
            self._balances,
            positions,
            asset=session.settings.place.settle,
            venue_ns=self._at_ns,
            fresh=not isinstance(balances, Trouble),
        )

    def pushed(self, push: AccountPush) -> None:
        """Wallets have changed: money that stands in later is as young as this."""
        for change in push.balances:
            before = self._balances.get(change.asset)
            if before is not None and push.venue_ns > self._at_ns:
                more = change.wallet - before.balance
                self._balances[change.asset] = msgspec.structs.replace(
                    before,
                    balance=change.wallet,
                    equity=before.equity + more,
                    available=max(before.available + more, Decimal(0)),
                )
