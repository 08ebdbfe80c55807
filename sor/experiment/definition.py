"""The experiment file: who may take part, which arms there are, and what stops one. docs/experiments.md has the fields.

A file that breaks a rule is refused whole, with the line and the reason. Numbers are decimal text, as in param-sets.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sor.instruments import canonical_symbol
from sor.param_file import validated
from sor.param_records import BadRecordError, Number, Word
from sor.units import NS

SALT_BOUND = 2**53
"""Salts below this are the same number in every program that reads the file."""
_STRICT = ConfigDict(frozen=True, extra="forbid", strict=True)
_Share = Annotated[Number, Field(gt=0, lt=1)]


class By(StrEnum):
    """What the coin is thrown for."""

    PARENT = "parent"
    PERIOD = "period"
    """A switchback: all parents of one period of time have one arm."""


class Shadow(BaseModel):
    """A policy with a set that says what it would have done with each view of each parent, and trades nothing."""

    model_config = _STRICT

    name: Word
    policy: str = Field(min_length=1)
    param_set: str = Field(min_length=1)


class Arm(Shadow):
    """A policy with a set that works the parents it is given; `share` of them is meant to be its."""

    share: _Share


class Eligible(BaseModel):
    """Which parents take part; what is left empty leaves nobody out. Quantities are in the venue's unit."""

    model_config = _STRICT

    venues: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    side: Literal["buy", "sell"] | None = None
    quantity_min: Number | None = None
    quantity_max: Number | None = None

    @model_validator(mode="after")
    def _canonical(self) -> Eligible:
        for symbol in self.symbols:
            if symbol != canonical_symbol(symbol):
                raise ValueError(f"{symbol} would never match; spell it {canonical_symbol(symbol)}")
        low, high = self.quantity_min, self.quantity_max
        if low is not None and high is not None and low > high:
            raise ValueError(f"no quantity lies between {low} and {high}")
        return self


class Guards(BaseModel):
    """What stops an arm, or all of them. Each may be looked at after every parent, and errs with a chance of `alpha`.

    harm_bps       an arm is stopped once its mean cost is more than this above that of the first.
    cost_max_bps   ... once its mean cost is above this. cut_bps: dearer and cheaper parents count as so much.
    rejects_max    ... once the share of its parents with an order that the venue refused is above this.
    timeouts_max   ... once the share of its parents with an order that rested until its time was over is above this.
    ratio_level    everything is stopped once arms that get as many parents as they do were less likely than this.
    """

    model_config = _STRICT

    alpha: _Share = Decimal("0.05")
    cut_bps: Annotated[Number, Field(gt=0)] = Decimal(100)
    harm_bps: Annotated[Number, Field(ge=0)]
    cost_max_bps: Number | None = None
    rejects_max: _Share | None = None
    timeouts_max: _Share | None = None
    ratio_level: _Share = Decimal("0.001")


class Rule(BaseModel):
    """What a promotion takes beside the evidence: parents of each arm, and by how much the tail may be worse."""

    model_config = _STRICT

    parents_min: int = Field(default=100, ge=1)
    tail_margin_bps: Annotated[Number, Field(ge=0)] = Decimal("0.5")


class Experiment(BaseModel):
    """One experiment: frozen, known by its name and by the digest of its content. The first arm is the reference."""

    model_config = _STRICT

    format: Literal[1]
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")
    note: str = ""
    salt: int = Field(ge=0, lt=SALT_BOUND)
    by: By = Field(default=By.PARENT, strict=False)
    period_s: Annotated[Number, Field(ge=1, le=604_800)] | None = None
    lag: int = Field(default=0, ge=0, le=100)
    eligible: Eligible = Eligible()
    arms: tuple[Arm, ...] = Field(min_length=2, max_length=10)
    shadows: tuple[Shadow, ...] = Field(default=(), max_length=4)
    guards: Guards
    rule: Rule = Rule()

    __slots__ = ("_digest", "_text")
    _digest: str
    _text: str

    @model_validator(mode="after")
    def _sound(self) -> Experiment:
        for index, wrong in self._wrong_arms():
            raise BadRecordError(index, wrong)
        for wrong in self._wrong():
            raise ValueError(wrong)
        content = self.model_dump(mode="json", exclude_defaults=True)
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        object.__setattr__(self, "_text", text)
        object.__setattr__(self, "_digest", hashlib.sha256(text.encode()).hexdigest()[:16])
        return self

    @property
    def digest(self) -> str:
        """Content digest, 16 hex characters."""
        return self._digest

    @property
    def text(self) -> str:
        """The canonical form: `parse_experiment` of it gives the same digest. What a journal keeps."""
        return self._text

    @property
    def reference(self) -> Arm:
        """What the other arms are measured against."""
        return self.arms[0]

    @property
    def period_ns(self) -> int:
        """Length of a period. Only of a switchback."""
        assert self.period_s is not None
        return int(self.period_s * NS)

    @property
    def coin_periods(self) -> int:
        """How many periods of a switchback go by one coin."""
        return max(1, self.lag)

    def _wrong_arms(self) -> Iterator[tuple[int, str]]:
        names = [one.name for one in (*self.arms, *self.shadows)]
        terms = [(arm.policy, arm.param_set) for arm in self.arms]
        for index, arm in enumerate(self.arms):
            if names.index(arm.name) < index:
                yield index, f"there are two arms {arm.name!r}"
            if terms.index(terms[index]) < index and not self.note:
                yield index, "it is the same as an arm before it; where that is meant (A/A), `note` says why"
        if sum(arm.share for arm in self.arms) != 1:
            told = " + ".join(f"{arm.share}" for arm in self.arms)
            yield len(self.arms) - 1, f"shares add up to 1, and {told} do not"

    def _wrong(self) -> Iterator[str]:
        names = [one.name for one in (*self.arms, *self.shadows)]
        if len(set(names)) < len(names):
            yield "arms and shadows have names of their own, each another one"
        if self.by is By.PARENT:
            if self.period_s is not None or self.lag:
                yield "period_s and lag are for `by: period`"
            return
        if self.period_s is None:
            yield "by period needs period_s"
        if len(self.eligible.venues) != 1 or len(self.eligible.symbols) != 1:
            yield "by period needs one venue and one symbol: the arms of several are several experiments"
        if len(self.arms) != len(_FAIR) or any(arm.share != _FAIR[0] for arm in self.arms):
            yield "by period takes two arms of a share of 0.5 each"


_FAIR = (Decimal("0.5"), Decimal("0.5"))


def parse_experiment(text: str, *, where: str) -> Experiment:
    """An experiment out of its JSON text; `where` is named in errors.

    Raises `ParamFileError`, which is a `CallerError`, with the line of the first thing that is wrong.
    """
    return validated(text, Experiment.model_validate_json, where=where, rows="arms")
