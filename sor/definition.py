"""What one row of the definition table is: a number within bounds, a word out of a closed set, or a family of numbers.

A family is an id that ends in `_NN`: `fill.beta_NN` stands for `fill.beta_00`, `fill.beta_01` and so on, as many as a
fit has, up to a hundred. Its members are given together or not at all, and read together (`Params.family`).
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import msgspec

MEMBER = "_NN"
"""How the id of a family ends."""


class Unit(StrEnum):
    """Closed set of units; a record in any other is refused.

    RATIO     a share or a factor, not negative. ONE: a number of any sign without a dimension, such as a coefficient.
    CHOICE    no number at all: one word out of a closed set.
    """

    BPS = "bps"
    BPS_PER_ROOT_S = "bps/sqrt(s)"
    MS = "ms"
    S = "s"
    PER_S = "1/s"
    RATIO = "ratio"
    COUNT = "count"
    QUOTE = "quote"
    ONE = "1"
    LOG_ODDS = "log-odds"
    LOG_PER_S = "log(1/s)"
    CHOICE = "choice"


class Definition(msgspec.Struct, frozen=True, gc=False):
    """What one parameter, or each member of one family, means.

    low, high    inclusive; a record may only narrow them. Both 0 for a choice.
    words        what a choice may be, and a record may only narrow it; empty for a number.
    """

    id: str
    unit: Unit
    low: Decimal
    high: Decimal
    meaning: str
    words: tuple[str, ...] = ()


def number(param_id: str, unit: Unit, low: str, high: str, meaning: str) -> Definition:
    """A row for a number, or for a family of them where the id ends in `_NN`."""
    return Definition(param_id, unit, Decimal(low), Decimal(high), meaning)


def choice(param_id: str, words: tuple[str, ...], meaning: str) -> Definition:
    """A row for a parameter that is one of `words`."""
    return Definition(param_id, Unit.CHOICE, Decimal(0), Decimal(0), meaning, words)


def family_of(param_id: str) -> str:
    """The family that `param_id` would be a member of: `fill.beta_NN` of `fill.beta_03`; "" of what ends otherwise."""
    stem, _, tail = param_id.rpartition("_")
    return f"{stem}{MEMBER}" if stem and len(tail) == len(MEMBER) - 1 and tail.isascii() and tail.isdigit() else ""
