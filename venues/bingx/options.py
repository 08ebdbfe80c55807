"""Options of BingX: strings in, one checked value out. `TABLE` is the one list of them."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec

from sor.errors import CallerError
from sor.ids import Symbol
from sor.instruments import canonical_symbol
from venues.bingx import wire
from venues.bingx.environments import EMULATOR_KEY, EMULATOR_NAMES, EMULATOR_SECRET, PLACES, Env, Place
from venues.bingx.reports import PushFee
from venues.plumbing.credentials import Keys, read_keys
from venues.plumbing.keys import Secret

E = TypeVar("E", bound=StrEnum)
LEVERAGE_CAP: int = 3
"""What no intent exceeds unless the option says otherwise (B4)."""

TABLE: Mapping[str, str] = {
    "env": "emulator, vst (the demo, which is the default) or live",
    "allow_live": "yes: env live may be used, with real money",
    "url": "where the emulator is, on this machine: http://127.0.0.1:8731",
    "secrets": "a file with the keys, which only you can read; without it they are taken from the environment",
    "symbols": "contracts to know of, separated by commas; without it all that can be routed",
    "load_all_instruments": "yes: know of all contracts, also where symbols names some; no: only of those",
    "recv_window_ms": "for how long a request is good, 1 to 5000",
    "leverage_cap": f"no leverage above this is set; {LEVERAGE_CAP}",
    "leverage_cache": "a directory for the leverages that are known to be in force; without it the system's own",
    "reduce_only": "no: orders that close carry no reduce-only flag in one-way mode; yes",
    "newest_limits": "yes: the newest documented rate limits instead of the smallest",
    "push_fee": "what a pushed fee is: first_only, per_fill or cumulative",
    "transport": "httpx, on asyncio and trio, or lean: quicker, on asyncio and uvloop alone",
}
"""Every option, and what it means."""
_NAMES: Mapping[Env, tuple[str, str]] = {
    Env.VST: ("BINGX_VST_API_KEY", "BINGX_VST_API_SECRET"),
    Env.LIVE: ("BINGX_API_KEY", "BINGX_API_SECRET"),
}
"""Demo and live have names of their own, so that neither can be taken for the other (B7)."""


class TransportKind(StrEnum):
    """What carries requests and sockets."""

    HTTPX = "httpx"
    LEAN = "lean"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How one session is to be.

    symbols           contracts to know of; all_instruments: of all that can be routed.
    leverage_cap      whole number, at least 1. leverage_cache: None for the system's own place.
    reduce_only       orders that close say so with the flag, where the mode has one.
    """

    env: Env
    place: Place
    secrets: Path | None
    symbols: tuple[Symbol, ...]
    all_instruments: bool
    recv_window_ms: int
    leverage_cap: int
    leverage_cache: Path | None
    reduce_only: bool
    newest_limits: bool
    push_fee: PushFee
    transport: TransportKind = TransportKind.HTTPX

    def keys(self) -> Keys:
        """The account's keys. Raises `CallerError`, saying what to set, when there are none."""
        names = _NAMES.get(self.env, EMULATOR_NAMES)
        public = Keys(Secret(EMULATOR_KEY), Secret(EMULATOR_SECRET)) if names is EMULATOR_NAMES else None
        return read_keys(key_name=names[0], secret_name=names[1], file=self.secrets, public=public)


def read(options: Mapping[str, str]) -> Settings:
    """Check options and give them their types; keys are read later.

    Raises `CallerError`, naming the option, for one that is unknown, out of bounds, or not allowed: nothing was sent.
    """
    for name in options:
        if name not in TABLE:
            raise CallerError(f"BingX has no option {name!r}; nothing was sent. It has: {', '.join(TABLE)}")
    env = _choice(options, "env", Env, Env.VST)
    if env is Env.LIVE and options.get("allow_live", "") != "yes":
        raise CallerError(
            "env live trades real money and is refused without permission; nothing was sent. Give allow_live=yes, or "
            "use env vst"
        )
    symbols = tuple(canonical_symbol(one) for one in options.get("symbols", "").split(",") if one.strip())
    cache = options.get("leverage_cache", "")
    secrets = options.get("secrets", "")
    return Settings(
        env=env,
        place=_place(options, env),
        secrets=Path(secrets).expanduser() if secrets else None,
        symbols=tuple(dict.fromkeys(symbols)),
        all_instruments=_yes(options, "load_all_instruments", default=not symbols) or not symbols,
        recv_window_ms=_whole(options, "recv_window_ms", wire.RECV_WINDOW_MS, 1, wire.RECV_WINDOW_MS),
        leverage_cap=_whole(options, "leverage_cap", LEVERAGE_CAP, 1, wire.LEVERAGE_MAX),
        leverage_cache=Path(cache).expanduser() if cache else None,
        reduce_only=_yes(options, "reduce_only", default=True),
        newest_limits=_yes(options, "newest_limits", default=False),
        push_fee=_choice(options, "push_fee", PushFee, PushFee.FIRST_ONLY),
        transport=_choice(options, "transport", TransportKind, TransportKind.HTTPX),
    )


def clamped(leverage: Decimal, cap: int) -> int:
    """A wish for leverage as a whole number from 1 to `cap`, rounded down. Raises `CallerError` for what is none."""
    if not leverage.is_finite() or leverage <= 0:
        raise CallerError(f"leverage {leverage} is not a positive number; nothing was sent")
    return max(1, int(min(leverage, Decimal(cap))))


def _place(options: Mapping[str, str], env: Env) -> Place:
    """The addresses; they may be moved only for the emulator, and only on this machine."""
    url = options.get("url", "")
    if not url:
        return PLACES[env]
    if env is not Env.EMULATOR:
        raise CallerError("the option url is for env emulator alone; nothing was sent. Leave it away")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port = "", None
        parts = urlsplit("")
    bare = parts.scheme == "http" and parts.path in {"", "/"} and not parts.query and "@" not in parts.netloc
    if not (bare and port and _is_here(host)):
        raise CallerError(
            f"url {url!r} is not an emulator on this machine; nothing was sent. Try http://127.0.0.1:8731"
        )
    here = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return Place(rest=f"http://{here}", socket=f"ws://{here}{wire.STREAM_PATH}", settle=PLACES[env].settle)


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _yes(options: Mapping[str, str], name: str, *, default: bool) -> bool:
    text = options.get(name, "")
    if text not in {"", "yes", "no"}:
        raise CallerError(f"option {name} is yes or no, not {text!r}; nothing was sent")
    return text == "yes" if text else default


def _whole(options: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    text = options.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and low <= int(text) <= high):
        raise CallerError(f"option {name} is a whole number from {low} to {high}, not {text!r}; nothing was sent")
    return int(text)


def _choice(options: Mapping[str, str], name: str, words: type[E], default: E) -> E:
    text = options.get(name, "")
    if not text:
        return default
    try:
        return words(text)
    except ValueError:
        known = ", ".join(word.value for word in words)
        raise CallerError(f"option {name} is one of {known}, not {text!r}; nothing was sent") from None
