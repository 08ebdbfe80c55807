"""How a recording is traded on, and how that is read from configuration."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

import msgspec

from sor.errors import CallerError
from sor.ids import VenueName
from sor.instruments import Instrument
from sor.models.queues import EXACT, queue_model
from venues.simulated.tape_latency import Delay, read_delay
from venues.simulated.tape_owner import owners_named

DEFAULT_DELAY = "5ms"


class TapeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a recording is traded on.

    queue            name of a queue model, see `sor.models.queues.QUEUES`, or `exact`.
    seed             of every delay that is drawn.
    entry, response  delay of requests on their way in, and of reports on their way back.
    opening_lots     position that every owner starts with, signed.
    equity           what the account starts with, in the settlement asset.
    owners           a name of `venues.simulated.tape_owner.OWNERS`: who must not trade with whom, and shares queues.
    amends           whether the venue changes orders that rest; where it does not, they are withdrawn and sent anew.
    """

    queue: str = "risk_averse"
    seed: int = 0
    entry: Delay = read_delay(DEFAULT_DELAY)
    response: Delay = read_delay(DEFAULT_DELAY)
    opening_lots: int = 0
    equity: Decimal = Decimal(1_000_000)
    owners: str = "one"
    amends: bool = True


_OPTIONS = (
    "market",
    "tape",
    "queue",
    "seed",
    "feed",
    "entry",
    "response",
    "maker_fee_bps",
    "taker_fee_bps",
    "name",
    "opening_lots",
    "equity",
    "owners",
    "amends",
)


def read_settings(options: dict[str, str]) -> TapeSettings:
    """The settings that options ask for. Raises `CallerError` for an unknown option or one that does not read."""
    for option in options:
        if option not in _OPTIONS:
            raise CallerError(
                f"{option!r} is no option of a recorded venue; nothing was opened. Use {', '.join(_OPTIONS)}"
            )
    settings = TapeSettings(
        queue=options.get("queue", "risk_averse"),
        seed=whole_option(options, "seed", 0),
        entry=read_delay(options.get("entry", DEFAULT_DELAY)),
        response=read_delay(options.get("response", DEFAULT_DELAY)),
        opening_lots=whole_option(options, "opening_lots", 0),
        equity=decimal_option(options, "equity", Decimal(1_000_000)),
        owners=options.get("owners", "one"),
        amends=choice_option(options, "amends", {"yes": True, "no": False}, default=True),
    )
    if settings.queue != EXACT:
        queue_model(settings.queue)
    owners_named(settings.owners)
    if options.get("market", "tape") != "tape":
        raise CallerError(
            f"market {options['market']!r} is no recording; nothing was opened. Leave it out, or say tape"
        )
    return settings


def read_feed(options: dict[str, str]) -> Delay | None:
    """The delay of market data that options ask for; None for the times at which it was recorded."""
    feed = options.get("feed", DEFAULT_DELAY)
    return None if feed == "recorded" else read_delay(feed)


def read_instrument(options: dict[str, str], recorded: Instrument) -> Instrument:
    """The recorded instrument under the name and the fees that options ask for."""
    return msgspec.structs.replace(
        recorded,
        venue=VenueName(options.get("name", recorded.venue)),
        maker_fee_e8=rate_option_e8(options, "maker_fee_bps", recorded.maker_fee_e8),
        taker_fee_e8=rate_option_e8(options, "taker_fee_bps", recorded.taker_fee_e8),
    )


def decimal_option(options: dict[str, str], name: str, default: Decimal) -> Decimal:
    """A finite number. Raises `CallerError` for anything else."""
    text = options.get(name)
    if text is None:
        return default
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite():
        raise CallerError(f"option {name}: {text!r} is not a number; nothing was opened")
    return value


def whole_option(options: dict[str, str], name: str, default: int) -> int:
    """A whole number. Raises `CallerError` for anything else."""
    value = decimal_option(options, name, Decimal(default))
    if value != int(value):
        raise CallerError(f"option {name}: {value} is not a whole number; nothing was opened")
    return int(value)


def choice_option(options: dict[str, str], name: str, choices: Mapping[str, bool], *, default: bool) -> bool:
    """One of a few words. Raises `CallerError` for another one."""
    text = options.get(name)
    if text is None:
        return default
    if text not in choices:
        raise CallerError(f"option {name}: {text!r} is none; nothing was opened. Use {' or '.join(choices)}")
    return choices[text]


def rate_option_e8(options: dict[str, str], name: str, default: int) -> int:
    """A fee rate in bps as 1e-8 of notional. Raises `CallerError` for more than four decimals."""
    if name not in options:
        return default
    rate_e8 = decimal_option(options, name, Decimal(0)) * 10_000
    if rate_e8 != int(rate_e8):
        raise CallerError(f"option {name}: {options[name]} has more than four decimals; nothing was opened")
    return int(rate_e8)
