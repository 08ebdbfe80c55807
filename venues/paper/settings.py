"""How paper orders are filled, and which market they are filled on, read from configuration."""

from __future__ import annotations

from decimal import Decimal
from importlib.metadata import EntryPoint, entry_points

import msgspec

from sor.adapter import MarketSource
from sor.errors import CallerError
from sor.models.queues import queue_model
from sor.units import MS
from venues.simulated.tape_latency import Delay, read_delay
from venues.simulated.tape_settings import decimal_option, rate_option_e8, whole_option

MARKETS = "sor.markets"
"""The group of entry points that open the public side of a venue."""
PREFIX = "paper."
_OPTIONS = (
    "queue",
    "entry",
    "response",
    "seed",
    "maker_fee_bps",
    "taker_fee_bps",
    "name",
    "account",
    "equity",
    "asset",
    "stale_ms",
    "leverage_max",
)


class PaperSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How paper orders are filled.

    queue             name of a queue model, see `sor.models.queues.QUEUES`.
    entry, response   delay of requests on their way in, and of reports on their way back. The book that a request
                      meets is the one known here when it arrives, which is older than the venue's by the delay of the
                      feed: add that to `entry` where it matters.
    seed              of delays that are drawn.
    maker_fee_e8, taker_fee_e8    instead of those that the market lists; None keeps them.
    name              what the venue is called, "" for the market's own name.
    account           what the account is called, by which a journal tells it from others.
    equity, asset     paper money to begin with.
    stale_ns          a book that has not changed for longer fills nothing.
    leverage_max      what leverage is capped at.
    """

    queue: str = "risk_averse"
    entry: Delay = read_delay("50ms")
    response: Delay = read_delay("50ms")
    seed: int = 0
    maker_fee_e8: int | None = None
    taker_fee_e8: int | None = None
    name: str = ""
    account: str = "paper"
    equity: Decimal = Decimal(10_000)
    asset: str = "USDT"
    stale_ns: int = 10_000 * MS
    leverage_max: int = 3


def read_settings(options: dict[str, str]) -> PaperSettings:
    """The settings in the options that begin with `paper.`. Raises `CallerError` for one that is none or does not read.

    Fees at most four decimals of a bp.
    """
    own = {name.removeprefix(PREFIX): text for name, text in options.items() if name.startswith(PREFIX)}
    for name in own:
        if name not in _OPTIONS:
            known = ", ".join(PREFIX + option for option in _OPTIONS)
            raise CallerError(f"{PREFIX + name!r} is no option of paper trading; nothing was opened. Use {known}")
    settings = PaperSettings(
        queue=own.get("queue", "risk_averse"),
        entry=read_delay(own.get("entry", "50ms")),
        response=read_delay(own.get("response", "50ms")),
        seed=whole_option(own, "seed", 0),
        maker_fee_e8=rate_option_e8(own, "maker_fee_bps", 0) if "maker_fee_bps" in own else None,
        taker_fee_e8=rate_option_e8(own, "taker_fee_bps", 0) if "taker_fee_bps" in own else None,
        name=own.get("name", ""),
        account=own.get("account", "paper"),
        equity=decimal_option(own, "equity", Decimal(10_000)),
        asset=own.get("asset", "USDT"),
        stale_ns=whole_option(own, "stale_ms", 10_000) * MS,
        leverage_max=whole_option(own, "leverage_max", 3),
    )
    queue_model(settings.queue)
    if settings.stale_ns <= 0 or settings.leverage_max < 1 or settings.equity < 0:
        raise CallerError(
            "paper.stale_ms and paper.leverage_max must be positive, and paper.equity not negative; nothing was opened"
        )
    return settings


def open_market(options: dict[str, str]) -> MarketSource:
    """The market that the option `market` names, with every option that is not ours. Raises `CallerError`.

    It is looked up among the entry points of what is installed, as the router looks up venues: a venue sees neither
    the router's plug-ins nor other venues' modules.
    """
    name = options.get("market", "")
    known: dict[str, list[EntryPoint]] = {}
    for entry in entry_points(group=MARKETS):
        same = known.setdefault(entry.name, [])
        if entry not in same:
            same.append(entry)
    found = known.get(name, [])
    if len(found) != 1:
        why = "no market is called that" if not found else "several packages have a market of that name"
        raise CallerError(
            f"paper trading needs the option market, and {name!r} is none: {why}; nothing was opened. "
            f"Installed: {', '.join(sorted(known)) or 'none'}"
        )
    theirs = {option: text for option, text in options.items() if option != "market" and not option.startswith(PREFIX)}
    market = found[0].load()(theirs)
    if not isinstance(market, MarketSource):
        raise CallerError(f"what {found[0].value!r} opens is no market; nothing was opened")
    return market
