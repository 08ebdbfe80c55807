"""Keys of account streams: made, extended, closed, and expired after an hour."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Final

from sor.adapter import Scheduler
from sor.units import MS
from venues.bingx.emulator.accounts import TradingAccount
from venues.bingx.emulator.events import Event, ListenKeyExpired

VALID_MS: Final = 3_600_000
_KEYS_MAX: Final = 64
"""Of one account; the oldest goes when there are more."""


class _Key:
    __slots__ = ("account", "until_ms")

    def __init__(self, account: str, *, until_ms: int) -> None:
        self.account = account
        self.until_ms = until_ms


class ListenKeys:
    """See the module; an exchange has one."""

    __slots__ = ("_keys", "_n_made", "_scheduler", "_seed", "_tell")

    def __init__(self, scheduler: Scheduler, *, tell: Callable[[Event], None], seed: str) -> None:
        self._scheduler = scheduler
        self._tell = tell
        self._seed = seed
        self._n_made = 0
        self._keys: dict[str, _Key] = {}

    def create(self, account: TradingAccount) -> str:
        """A new key; older ones stay valid (whether BingX gives the old one again is not known)."""
        self._n_made += 1
        name = sha256(f"{self._seed}/{account.name}/{self._n_made}/{self._scheduler.now_ns()}".encode()).hexdigest()
        own = [one for one, key in self._keys.items() if key.account == account.name]
        if len(own) >= _KEYS_MAX:
            self.expire(own[0])
        until_ms = self._scheduler.now_ns() // MS + VALID_MS
        self._keys[name] = _Key(account.name, until_ms=until_ms)
        self._scheduler.call_at(until_ms * MS, lambda: self._look(name))
        return name

    def extend(self, account: TradingAccount, listen_key: str) -> bool:
        """Sixty minutes from now; False when the account has no such key."""
        key = self._keys.get(listen_key)
        if key is None or key.account != account.name:
            return False
        key.until_ms = self._scheduler.now_ns() // MS + VALID_MS
        return True

    def close(self, account: TradingAccount, listen_key: str) -> bool:
        """End it, untold; False when the account has no such key."""
        if self.owner(listen_key) != account.name:
            return False
        del self._keys[listen_key]
        return True

    def owner(self, listen_key: str) -> str | None:
        """Name of the account that a valid key belongs to."""
        key = self._keys.get(listen_key)
        return key.account if key is not None else None

    def expire(self, listen_key: str) -> None:
        """End it now as if its hour were over: tells `ListenKeyExpired`. Unknown keys are fine."""
        key = self._keys.pop(listen_key, None)
        if key is not None:
            at_ms = self._scheduler.now_ns() // MS
            self._tell(ListenKeyExpired(account=key.account, at_ms=at_ms, listen_key=listen_key))

    def _look(self, listen_key: str) -> None:
        """Its hour is over, unless it was extended meanwhile: then look again when that is."""
        key = self._keys.get(listen_key)
        if key is None:
            return
        if key.until_ms <= self._scheduler.now_ns() // MS:
            self.expire(listen_key)
        else:
            self._scheduler.call_at(key.until_ms * MS, lambda: self._look(listen_key))
