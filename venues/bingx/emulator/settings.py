"""How an emulated exchange is set up, and what can be changed about it while it runs."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec

from venues.bingx.emulator.contracts import DEFAULTS, Contract
from venues.bingx.emulator.orders import State
from venues.bingx.emulator.refusals import DUPLICATE_CODE
from venues.bingx.environments import EMULATOR_HEDGE_KEY, EMULATOR_HEDGE_SECRET, EMULATOR_KEY, EMULATOR_SECRET
from venues.matching.rules import Oversize


class AccountSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One customer.

    hedge       position mode: LONG and SHORT, else BOTH.
    fees        the account's own rates, the same for all contracts.
    """

    name: str
    api_key: str
    secret: str
    hedge: bool = False
    balance: Decimal = Decimal(100_000)
    maker_fee: Decimal = Decimal("0.0002")
    taker_fee: Decimal = Decimal("0.0005")
    leverage: int = 10

    def __repr__(self) -> str:
        """Without key and secret, public as those of the defaults are."""
        return f"AccountSettings({self.name!r}, hedge={self.hedge})"


ONE_WAY: Final = AccountSettings(name="one-way", api_key=EMULATOR_KEY, secret=EMULATOR_SECRET)
HEDGE: Final = AccountSettings(name="hedge", api_key=EMULATOR_HEDGE_KEY, secret=EMULATOR_HEDGE_SECRET, hedge=True)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The exchange as it starts.

    seed            of everything that looks random: listen keys and the skips of update ids.
    settle          the asset that balances are in: USDT, or VST as on the demo.
    same_id_ms      the same client id, or the same cancel, again within this is 109201; 0 never.
    funding_rate    paid at every settlement, whatever the market does.
    mark_ms         how often marks are published.
    """

    seed: str = "1"
    settle: str = "USDT"
    accounts: tuple[AccountSettings, ...] = (ONE_WAY, HEDGE)
    contracts: tuple[Contract, ...] = DEFAULTS
    same_id_ms: int = 1_000
    funding_rate: Decimal = Decimal("0.0001")
    mark_ms: int = 1_000


class Switches:
    """Where the facts leave open how BingX behaves, or it behaves differently at times. All may be set at any moment.

    duplicate_code       a used client id: 101400 (as captured) or 101481 (as documented).
    reduce_oversize      a reduce-only order larger than the position: CLIP, or REFUSE with 101290.
    post_only_async      a post-only order that would take: accepted and then cancelled, instead of 101215.
    leftover             how the rest of a MARKET, IOC or FOK order ends: CANCELED or EXPIRED.
    settling             funding is being settled: orders are answered with 101214.
    skips_ids            update ids of books skip by 2 to 9 instead of counting on.
    amend_keeps_place    an amendment to a smaller quantity keeps its place in the queue; nowhere said.
    reduce_any_value     orders that only close need not reach the minimum value.
    """

    __slots__ = (
        "amend_keeps_place",
        "duplicate_code",
        "leftover",
        "post_only_async",
        "reduce_any_value",
        "reduce_oversize",
        "settling",
        "skips_ids",
    )

    def __init__(self) -> None:
        self.duplicate_code = DUPLICATE_CODE
        self.reduce_oversize = Oversize.CLIP
        self.post_only_async = False
        self.leftover = State.CANCELED
        self.settling = False
        self.skips_ids = True
        self.amend_keeps_place = False
        self.reduce_any_value = False
