"""One customer: wallet, positions, leverage, orders."""

from __future__ import annotations

from venues.bingx.emulator.settings import AccountSettings


class TradingAccount:
    """One customer of the exchange.

    name, secret    as set up.
    user_id         a number, as BingX has them.
    hedge           LONG and SHORT positions, else BOTH.
    """

    def __init__(self, settings: AccountSettings, *, user_id: int) -> None:
        self.name = settings.name
        self.api_key = settings.api_key
        self.secret = settings.secret
        self.user_id = user_id
        self.hedge = settings.hedge
