"""Where BingX is: live, its demo (VST), or an emulator on this machine. Nothing else can be reached from here."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

EMULATOR_PORT: Final = 8731
"""Where `sor emulate bingx` listens unless told otherwise."""
EMULATOR_KEY: Final = "emulator-one-way-key"
"""Public test key of the emulator's first account, in one-way mode; nobody else takes it."""
EMULATOR_SECRET: Final = "emulator-one-way-secret"
EMULATOR_HEDGE_KEY: Final = "emulator-hedge-key"
EMULATOR_HEDGE_SECRET: Final = "emulator-hedge-secret"
EMULATOR_NAMES: Final = ("BINGX_EMULATOR_API_KEY", "BINGX_EMULATOR_API_SECRET")
"""Variables, or entries of a file, that name keys of the emulator other than those of its first account."""


class Env(StrEnum):
    """Which BingX."""

    EMULATOR = "emulator"
    VST = "vst"
    """The demo: real market data, virtual money."""
    LIVE = "live"


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Base addresses of one environment.

    rest      scheme and host, no path.
    socket    market and account socket; the account's has `?listenKey=` behind it.
    settle    the asset that is capital there.
    """

    rest: str
    socket: str
    settle: str = "USDT"


PLACES: Final = {
    Env.EMULATOR: Place(rest=f"http://127.0.0.1:{EMULATOR_PORT}", socket=f"ws://127.0.0.1:{EMULATOR_PORT}/swap-market"),
    Env.VST: Place(
        rest="https://open-api-vst.bingx.com", socket="wss://vst-open-api-ws.bingx.com/swap-market", settle="VST"
    ),
    Env.LIVE: Place(rest="https://open-api.bingx.com", socket="wss://open-api-swap.bingx.com/swap-market"),
}
