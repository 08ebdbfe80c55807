"""Keys of account streams: made, extended, closed, and expired after an hour."""

from __future__ import annotations

from venues.bingx.emulator.accounts import TradingAccount

VALID_MS = 3_600_000


class ListenKeys:
    """See the module; an exchange has one."""

    def create(self, account: TradingAccount) -> str:
        """A new key; older ones stay valid (whether BingX gives the old one again is not known)."""
        raise NotImplementedError

    def extend(self, account: TradingAccount, listen_key: str) -> bool:
        """Sixty minutes from now; False when the account has no such key."""
        raise NotImplementedError

    def close(self, account: TradingAccount, listen_key: str) -> bool:
        """End it, untold; False when the account has no such key."""
        raise NotImplementedError

    def owner(self, listen_key: str) -> str | None:
        """Name of the account that a valid key belongs to."""
        raise NotImplementedError

    def expire(self, listen_key: str) -> None:
        """End it now as if its hour were over: tells `ListenKeyExpired`. Unknown keys are fine."""
        raise NotImplementedError
