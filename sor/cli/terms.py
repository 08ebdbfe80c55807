"""What is typed as text and meant as a number, a duration or a list. What cannot be read is one `BadValue`."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal, InvalidOperation

from sor.errors import CallerError
from sor.ids import ClOrdId

_UNITS = (("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0), ("", 1.0))


class BadValue(CallerError):
    """An option whose text cannot be read, whatever the venue and the market: wrong usage, exit code 2."""


def names(text: str, *, what: str) -> tuple[str, ...]:
    """A comma-separated list without repetitions. Raises `BadValue` for an empty or repeated name."""
    found = [name.strip() for name in text.split(",")]
    if not all(found) or len(dict.fromkeys(found)) != len(found):
        raise BadValue(f"{what} {text!r}: give each name once, separated by commas; nothing was done")
    return tuple(found)


def decimal(text: str, *, what: str = "--qty") -> Decimal:
    """A positive number, exactly as written. Raises `BadValue` for anything else."""
    try:
        value = Decimal(text)
    except InvalidOperation as error:
        raise BadValue(f"{what} {text!r} is not a number; nothing was done") from error
    if not value.is_finite() or value <= 0:
        raise BadValue(f"{what} {text!r} must be positive; nothing was done")
    return value


def seconds(text: str) -> float:
    """A duration such as `15s`, `2m`, `500ms` or plain seconds. Raises `BadValue` for anything else."""
    for unit, factor in _UNITS:
        number = text.removesuffix(unit) if unit else text
        if text.endswith(unit):
            try:
                value = float(number) * factor
            except ValueError:
                continue
            if 0 < value < 1e7:
                return value
    raise BadValue(f"duration {text!r}: write it like 15s, 500ms or 2m, and positive; nothing was done")


def seconds_or_none(text: str) -> float:
    """As `seconds`, and `0` for no time at all."""
    return 0.0 if text in ("0", "0s") else seconds(text)


def orders(pairs: Iterable[str]) -> tuple[tuple[ClOrdId, Decimal], ...]:
    """`ORDER=FILLED`, each once: ids of orders and a quantity from 0 on. Raises `BadValue` for anything else."""
    found: dict[ClOrdId, Decimal] = {}
    for pair in pairs:
        name, _, number = pair.partition("=")
        try:
            filled = Decimal(number)
        except InvalidOperation:
            filled = Decimal(-1)
        if not name or name in found or not filled.is_finite() or filled < 0:
            raise BadValue(f"--settle {pair!r}: write each once, like ORDER=0.01; nothing was done")
        found[ClOrdId(name)] = filled
    return tuple(found.items())


def arguments(pairs: Iterable[str]) -> dict[str, float]:
    """`NAME=NUMBER` of a schedule, each once. Raises `BadValue` for anything else."""
    found: dict[str, float] = {}
    for pair in pairs:
        name, _, number = pair.partition("=")
        try:
            value = float(number)
        except ValueError:
            value = None
        if not name or name in found or value is None:
            raise BadValue(f"--schedule-arg {pair!r}: write each once, like slices=5; nothing was done")
        found[name] = value
    return found
