"""cancelAllAfter: all orders of an account are cancelled when nobody asks again in time; positions stay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from sor.adapter import Scheduler
from sor.units import MS
from venues.bingx.emulator import refusals
from venues.bingx.emulator.accounts import TradingAccount
from venues.bingx.emulator.refusals import Refusal

LEAST_S: Final = 10
MOST_S: Final = 120
_BATCH: Final = 20
_PAUSE_MS: Final = 200


class Countdown(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """`trigger_ms` is 0 when it is off."""

    active: bool
    trigger_ms: int


class Countdowns:
    """The countdowns of one exchange: one per account, across all symbols.

    When one fires, orders go in batches of 20 every 200 ms, those placed meanwhile included; until the last has gone
    the account may neither arm nor disarm. The sheet says "batches" and "seconds"; these figures are ours.
    """

    __slots__ = ("_cancel", "_scheduler")

    def __init__(self, scheduler: Scheduler, cancel: Callable[[TradingAccount, int], None]) -> None:
        self._scheduler = scheduler
        self._cancel = cancel

    def ask(self, account: TradingAccount, *, timeout_s: int) -> Countdown | Refusal:
        """Arm, arm again, or disarm with 0."""
        if account.purging:
            return refusals.COUNTDOWN_PURGING
        if timeout_s and not LEAST_S <= timeout_s <= MOST_S:
            return refusals.invalid(f"timeOut must be {LEAST_S} to {MOST_S} seconds")
        account.countdown_no += 1
        if not timeout_s:
            account.trigger_ms = 0
            return Countdown(active=False, trigger_ms=0)
        number = account.countdown_no
        account.trigger_ms = self._scheduler.now_ns() // MS + timeout_s * 1_000
        self._scheduler.call_at(account.trigger_ms * MS, lambda: self._fire(account, number))
        return Countdown(active=True, trigger_ms=account.trigger_ms)

    def _fire(self, account: TradingAccount, number: int) -> None:
        if account.countdown_no != number or not account.trigger_ms:
            return
        account.trigger_ms = 0
        account.purging = True
        self._purge(account)

    def _purge(self, account: TradingAccount) -> None:
        for order_id in list(account.live)[:_BATCH]:
            self._cancel(account, order_id)
        if not account.live:
            account.purging = False
            return
        self._scheduler.call_at(self._scheduler.now_ns() + _PAUSE_MS * MS, lambda: self._purge(account))
