"""Param-sets as data: one record with all that has to be known of it, and the set that holds many.

A set is one JSON file, `<family>/<date>.json`, and is never changed once published: a better value is a new file.
`paramsets/README.md` defines every field, `sor.param_table` every parameter of our own. The digest is taken over the
content in a canonical form: white space, order and `5.0` for `5` do not change it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timezone
from decimal import Decimal
from difflib import get_close_matches
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    field_validator,
    model_validator,
)

from sor.definition import Unit, family_of
from sor.ids import Symbol, VenueName
from sor.instruments import canonical_symbol
from sor.param_table import EVERY_REGIME, LIMITS, RESERVED, TABLE, TOGETHER, definition_of
from sor.param_values import Params
from sor.regime import THRESHOLDS, Regime
from sor.units import NS

_RESOLVED_MAX = 4096
_ALWAYS_NS = 1 << 62
_ANY = "*"


class Kind(StrEnum):
    """Where a value comes from, from the strongest to the weakest claim that somebody else can check."""

    PUBLISHED = "published"
    MEASURED = "measured"
    FITTED = "fitted"
    ASSUMED = "assumed"


def _decimal_text(value: object) -> object:
    """Only plain decimal text is a number here: floats have lost digits, and `1e3` and `NaN` hide what they are."""
    if isinstance(value, str) and re.fullmatch(r"-?\d{1,24}(\.\d{1,24})?", value, re.ASCII):
        return Decimal(value)
    if isinstance(value, Decimal):
        return value
    raise ValueError('a number is decimal text such as "4.5", in quotes')


def _number_or_word(value: object) -> object:
    """A word is told from a number by its first character."""
    if isinstance(value, str) and _WORD.fullmatch(value):
        return value
    return _decimal_text(value)


def _of_the_standard_library(moment: datetime) -> datetime:
    """The same moment with the same offset, without pydantic's own kind of time zone.

    One of those that is alive when the interpreter ends may be freed after the memory that freeing it reads: a
    segmentation fault at exit, sometimes (pydantic 12867, open in 2.14; seen with `python -X dev`).
    """
    offset = moment.utcoffset()
    assert offset is not None, moment  # it is aware
    return moment.replace(tzinfo=timezone(offset))


def _plain(value: Decimal | str) -> str:
    """The shortest plain spelling, so that 5 and 5.0 are one content."""
    if isinstance(value, str):
        return value
    return f"{value.normalize():f}" if value else "0"


def _dated(set_id: str) -> str:
    day = set_id.partition("/")[2]
    try:
        date.fromisoformat(day)
    except ValueError:
        raise ValueError(f"{day} is not a date") from None
    return set_id


_WORD = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)

Number = Annotated[Decimal, BeforeValidator(_decimal_text), PlainSerializer(_plain)]
Value = Annotated[Decimal | str, BeforeValidator(_number_or_word), PlainSerializer(_plain)]
Moment = Annotated[AwareDatetime, AfterValidator(_of_the_standard_library)]
Word = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
SetId = Annotated[str, Field(pattern=r"^[a-z0-9_-]+/\d{4}-\d{2}-\d{2}$"), AfterValidator(_dated)]
_STRICT = ConfigDict(frozen=True, extra="forbid", strict=True)


class BadRecordError(ValueError):
    """A record that is sound alone and not beside the others."""

    def __init__(self, index: int, wrong: str) -> None:
        super().__init__(wrong)
        self.index = index


class Scope(BaseModel):
    """Where a value applies; `*` is everywhere, of a regime: in every one and in none.

    Of several scopes that hold, one with a symbol beats one without; of two alike in that, one with a venue; then one
    with a regime. A symbol's own fit knows more of it than what holds for a regime of all symbols.
    """

    model_config = _STRICT

    venue: str = Field(default=_ANY, pattern=r"^(\*|[a-z0-9][a-z0-9_-]*)$")
    symbol: str = _ANY
    regime: str = Field(default=_ANY, pattern=rf"^(\*|{'|'.join(Regime)})$")

    @model_validator(mode="after")
    def _canonical(self) -> Scope:
        if self.symbol != _ANY and self.symbol != canonical_symbol(self.symbol):
            raise ValueError(f"{self.symbol} would never match; spell it {canonical_symbol(self.symbol)}")
        return self

    def covers(self, venue: VenueName, symbol: Symbol) -> bool:
        """Whether it holds for one venue and symbol, in some regime at least."""
        return self.venue in (_ANY, venue) and self.symbol in (_ANY, symbol)

    def holds_in(self, narrower: Scope) -> bool:
        """Whether it holds wherever `narrower` does."""
        return (
            self.venue in (_ANY, narrower.venue)
            and self.symbol in (_ANY, narrower.symbol)
            and self.regime in (_ANY, narrower.regime)
        )

    @property
    def weight(self) -> int:
        """More specific is larger."""
        return 4 * (self.symbol != _ANY) + 2 * (self.venue != _ANY) + (self.regime != _ANY)

    def __str__(self) -> str:
        return f"venue {self.venue}, symbol {self.symbol}" + ("" if self.regime == _ANY else f", regime {self.regime}")


class Score(BaseModel):
    """How a fit did on data that it had not seen: `name` says which figure, `reference` what it had to beat."""

    model_config = _STRICT

    name: str = Field(min_length=1)
    value: Number
    reference: Number | None = None


class Evidence(BaseModel):
    """What a measured or fitted value rests on: its record's own, and for what that leaves open the set's."""

    model_config = _STRICT

    method: str | None = Field(default=None, min_length=1)
    version: str | None = Field(default=None, min_length=1)
    window: tuple[Moment, Moment] | None = None
    fee_tier: str | None = Field(default=None, min_length=1)
    sample_size: int | None = Field(default=None, gt=0)
    input_digest: str | None = Field(default=None, pattern=r"^[0-9a-f]{16,64}$")
    score: Score | None = None
    author: str | None = Field(default=None, min_length=1)

    @field_validator("window")
    @classmethod
    def _forward(cls, window: tuple[datetime, datetime] | None) -> tuple[datetime, datetime] | None:
        if window is not None and window[0] >= window[1]:
            raise ValueError("the window does not end after it begins")
        return window


EVIDENCE = tuple(Evidence.model_fields)
_NEEDED = ("method", "version", "window", "sample_size", "input_digest", "author")
ESTIMATED = (Kind.MEASURED, Kind.FITTED)


class Record(Evidence):
    """One value with everything that has to be known of it; `paramsets/README.md` defines the fields."""

    id: str = Field(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$", max_length=80)
    value: Value
    unit: Unit
    bounds: tuple[Number, Number] | None = None
    words: Annotated[tuple[Word, ...], Field(min_length=1)] | None = None
    kind: Kind
    source: str = Field(min_length=1)
    observed: date
    interval: tuple[Number, Number] | None = None
    scope: Scope = Scope()
    valid_from: Moment | None = None
    valid_until: Moment | None = None
    supersedes: SetId | None = None

    @model_validator(mode="after")
    def _sound(self) -> Record:
        for wrong in self._wrong():
            raise ValueError(wrong)
        return self

    def _wrong(self) -> Iterator[str]:
        """What one record can have wrong with itself, in sentences without a full stop."""
        yield from self._wrong_word() if self.unit is Unit.CHOICE else self._wrong_number()
        if definition_of(self.id) is None and self.id.partition(".")[0] in RESERVED:
            near = get_close_matches(self.id, TABLE, n=1)
            yield f"there is no such parameter{f'; did you mean {near[0]}' if near else ''}"
        if self.kind not in ESTIMATED:
            given = (name for name in (*EVIDENCE, "interval") if getattr(self, name) is not None)
            yield from (f"kind {self.kind} has no {name}" for name in given)
        if self.valid_from and self.valid_until and self.valid_from >= self.valid_until:
            yield "valid_until is not after valid_from"
        if self.id in LIMITS and (self.valid_from or self.valid_until):
            yield "the machines read it at any time, so it cannot begin or cease to be valid; publish another set"
        if self.id in EVERY_REGIME and self.scope.regime != _ANY:
            yield "it is read outside of decisions, so it cannot differ by regime"

    def _wrong_number(self) -> Iterator[str]:
        """What is wrong with a number."""
        definition = definition_of(self.id)
        if definition is not None and self.unit is not definition.unit:
            yield f"unit {self.unit} is wrong, it is measured in {definition.unit}"
        if self.words is not None:
            yield f"a number in {self.unit} has bounds and no words"
        if self.bounds is None:
            yield f"a number in {self.unit} needs bounds"
        elif isinstance(self.value, str):
            yield f"value {self.value} is no number, and the unit is {self.unit}"
        else:
            low, high = self.bounds
            if not low <= self.value <= high:
                yield f"value {self.value} is outside its bounds {low} to {high}"
            if self.unit is Unit.COUNT and self.value != int(self.value):
                yield f"value {self.value} is a count and must be whole"
            if definition is not None and (low < definition.low or high > definition.high):
                yield f"bounds {low} to {high} reach beyond {definition.low} to {definition.high}, where it must stay"
            if self.interval is not None and not self.interval[0] <= self.value <= self.interval[1]:
                yield f"value {self.value} is outside its own interval {self.interval[0]} to {self.interval[1]}"

    def _wrong_word(self) -> Iterator[str]:
        """What is wrong with a choice."""
        definition = definition_of(self.id)
        if definition is not None and definition.unit is not Unit.CHOICE:
            yield f"unit {self.unit} is wrong, it is measured in {definition.unit}"
        if self.bounds is not None or self.interval is not None:
            yield "a choice has words, and neither bounds nor an interval"
        if self.words is None:
            yield "a choice needs words: all that it may be"
        elif self.value not in self.words:
            yield f"value {_plain(self.value)} is none of its words {', '.join(self.words)}"
        elif definition is not None:
            strange = [word for word in self.words if word not in definition.words]
            yield from (f"word {word} is none of {', '.join(definition.words)}" for word in strange)

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What there may be one of in a set."""
        return (self.id, self.scope.venue, self.scope.symbol, self.scope.regime)

    @property
    def group(self) -> str:
        """What is resolved together: the family that this is a member of, else the id itself."""
        return family_of(self.id) or self.id


class Origin(BaseModel):
    """Whose values a set has that no estimator has just made: those of an experiment's arm, or of an earlier set.

    set_id, digest    of the set that they were taken from. reason: somebody's words, where the evidence did not do.
    gap_bps           mean cost of the arm less that of the first one, with bounds that hold at all times at once.
    parents           of both that have a cost.
    """

    model_config = _STRICT

    what: Literal["promoted", "rolled_back"]
    set_id: SetId
    digest: str = Field(pattern=r"^[0-9a-f]{16}$")
    reason: str = ""
    experiment: str = ""
    experiment_digest: str = ""
    arm: str = ""
    reference: str = ""
    journal_epoch: int | None = None
    parents: int | None = None
    gap_bps: tuple[Number, Number, Number] | None = None


class ParamSet(BaseModel):
    """One published set: frozen, named `<family>/<date>`, identified by the digest of its content."""

    model_config = _STRICT

    format: Literal[1]
    set_id: SetId
    note: str = ""
    evidence: Evidence = Evidence()
    origin: Origin | None = None
    valid_from: Moment | None = None
    valid_until: Moment | None = None
    records: tuple[Record, ...] = Field(min_length=1)

    # Slots, not private attributes of pydantic: those take microseconds to read, and `resolve` is asked often.
    __slots__ = ("_digest", "_resolved", "_text")
    _digest: str
    _resolved: dict[tuple[VenueName, Symbol], tuple[int, int, Params]]
    _text: str

    @model_validator(mode="after")
    def _sound(self) -> ParamSet:
        for index, wrong in _contradictions(self.records, self.evidence):
            raise BadRecordError(index, wrong)
        content = self.model_dump(mode="json", exclude_defaults=True)
        content["records"] = [
            record.model_dump(mode="json", exclude_defaults=True)
            for record in sorted(self.records, key=lambda record: record.key)
        ]
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        object.__setattr__(self, "_text", text)
        object.__setattr__(self, "_digest", hashlib.sha256(text.encode()).hexdigest()[:16])
        object.__setattr__(self, "_resolved", {})
        return self

    @property
    def family(self) -> str:
        """The part of the name before the slash."""
        return self.set_id.partition("/")[0]

    @property
    def published(self) -> str:
        """The part of the name after the slash; ISO, so that text order is time order."""
        return self.set_id.partition("/")[2]

    @property
    def digest(self) -> str:
        """Content digest, 16 hex characters."""
        return self._digest

    @property
    def text(self) -> str:
        """The canonical form: `parse` of it gives a set of the same digest. What a journal keeps."""
        return self._text

    def fitted_elsewhere(self, params: Params) -> tuple[str, ...]:
        """Scopes of the set's fitted models where none of them holds for what `params` were resolved for, else ()."""
        if "fill.se" in params:
            return ()
        return tuple(dict.fromkeys(str(record.scope) for record in self.records if record.id == "fill.se"))

    def valid_at(self, now_ns: int) -> bool:
        """Whether the set as a whole may be used at `now_ns`."""
        since_ns, until_ns = window_ns(self.valid_from, self.valid_until)
        return since_ns <= now_ns < until_ns

    def lost(self, before: ParamSet) -> tuple[str, ...]:
        """Ids and families that `before` gives for every venue and symbol, and this set does not."""
        given = dict.fromkeys(record.group for record in self.records if record.scope == Scope())
        before_it = dict.fromkeys(record.group for record in before.records if record.scope == Scope())
        return tuple(group for group in before_it if group not in given)

    def resolve(self, venue: VenueName, symbol: Symbol, *, now_ns: int) -> Params:
        """The values in force for one venue and symbol at `now_ns`: per id the most specific record that is valid.

        An id whose records have all expired is absent, which refuses whoever needs it. Repeated calls are cheap: the
        answer is kept until the next moment at which a record begins or ceases to be valid.
        """
        kept = self._resolved.get((venue, symbol))
        if kept is not None and kept[0] <= now_ns < kept[1]:
            return kept[2]
        since_ns, until_ns = -_ALWAYS_NS, _ALWAYS_NS
        held: list[Record] = []
        for record in self.records:
            if not record.scope.covers(venue, symbol):
                continue
            window = window_ns(record.valid_from, record.valid_until)
            for edge_ns in window:
                if edge_ns <= now_ns:
                    since_ns = max(since_ns, edge_ns)
                else:
                    until_ns = min(until_ns, edge_ns)
            if window[0] <= now_ns < window[1]:
                held.append(record)
        within = {
            regime: self._params(best_of(held, regime))
            for regime in Regime
            if any(record.scope.regime == regime for record in held)
        }
        params = self._params(best_of(held, None), within)
        if len(self._resolved) >= _RESOLVED_MAX:
            self._resolved.clear()
        self._resolved[venue, symbol] = (since_ns, until_ns, params)
        return params

    def _params(self, best: list[Record], within: Mapping[Regime, Params] | None = None) -> Params:
        """The values of records of which each id has one."""
        return Params(
            set_id=self.set_id,
            digest=self.digest,
            values={record.id: float(record.value) for record in best if not isinstance(record.value, str)},
            choices={record.id: record.value for record in best if isinstance(record.value, str)},
            within=within,
        )

    def evidence_of(self, record: Record) -> Evidence:
        """What one of this set's records rests on; all empty for what is published or assumed."""
        if record.kind not in ESTIMATED:
            return Evidence()
        return _evidence(record, self.evidence)


def _evidence(record: Record, common: Evidence) -> Evidence:
    """A record's own evidence, and what it leaves open out of the set's."""
    own = {name: getattr(record, name) for name in EVIDENCE}
    return common.model_copy(update={name: given for name, given in own.items() if given is not None})


def best_of(held: list[Record], regime: Regime | None) -> list[Record]:
    """Of records that hold for one venue and symbol the most specific of each id; a family is from one scope.

    The members of a family belong together: those of a symbol's own fit are never filled up from another one.
    """
    held = [record for record in held if record.scope.regime in (_ANY, regime)]
    heaviest: dict[str, int] = {}
    for record in held:
        heaviest[record.group] = max(heaviest.get(record.group, 0), record.scope.weight)
    best = [record for record in held if record.scope.weight == heaviest[record.group]]
    return sorted(best, key=lambda record: record.id)


def window_ns(valid_from: datetime | None, valid_until: datetime | None) -> tuple[int, int]:
    """Half-open validity in ns since the epoch."""
    return (
        -_ALWAYS_NS if valid_from is None else _epoch_ns(valid_from),
        _ALWAYS_NS if valid_until is None else _epoch_ns(valid_until),
    )


def _epoch_ns(moment: datetime) -> int:
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * NS + since.microseconds * 1_000


def _contradictions(records: tuple[Record, ...], common: Evidence) -> Iterator[tuple[int, str]]:
    """(index of the later record, what is wrong) for records that are sound alone and not together."""
    seen: dict[tuple[str, str, str, str], int] = {}
    for index, record in enumerate(records):
        if record.key in seen:
            yield index, f"it stands twice for {record.scope}"
        seen[record.key] = index
    for index, record in enumerate(records):
        if record.id in LIMITS and (record.id, _ANY, _ANY, _ANY) not in seen:
            yield index, "the machines read it everywhere, and it stands for no more than a venue, symbol or regime"
        if record.kind in ESTIMATED:
            yield from ((index, wrong) for wrong in _unproven(record, common))
        if record.group != record.id:
            yield from ((index, wrong) for wrong in _incomplete(record, records, seen))
    # A policy's collar beyond the gate's would have every taking order denied, and the parent would never cross.
    gates = [number_of(record) for record in records if record.id == "risk.collar_bps"]
    for index, record in enumerate(records):
        if record.id == "placement.collar_bps" and gates and number_of(record) > min(gates):
            yield index, f"{record.value} is more than risk.collar_bps {min(gates)}: the gate would deny the order"
    lacking = [need for need in THRESHOLDS if (need, _ANY, _ANY, _ANY) not in seen]
    for index, record in enumerate(records):
        if lacking and (record.id in THRESHOLDS or record.scope.regime != _ANY):
            yield index, f"it speaks of regimes, and nothing says everywhere what they are: {lacking[0]} is not given"
        if record.id in THRESHOLDS and (record.valid_from or record.valid_until):
            yield index, "it says what the regimes are, so it cannot begin or cease to be valid; publish another set"
    for group in TOGETHER:
        yield from _halves(records, group)


def _halves(records: tuple[Record, ...], group: frozenset[str]) -> Iterator[tuple[int, str]]:
    """Where a scope has some of the ids that mean something only together, and neither it nor a wider one the rest."""
    told: set[Scope] = set()
    for index, record in enumerate(records):
        scope = record.scope
        if record.group not in group or scope in told:
            continue
        told.add(scope)
        given = {one.group for one in records if one.scope.holds_in(scope)}
        lacking = sorted(group - given)
        if lacking:
            yield index, f"a fit is whole or not there: {scope} lacks {lacking[0]}, and what is left would not be used"


def _unproven(record: Record, common: Evidence) -> Iterator[str]:
    """What a measured or fitted record lacks."""
    evidence = _evidence(record, common)
    needed = (*_NEEDED, "score") if record.kind is Kind.FITTED else _NEEDED
    yield from (f"kind {record.kind} needs {name}" for name in needed if getattr(evidence, name) is None)
    if record.unit is not Unit.CHOICE and record.interval is None:
        yield f"kind {record.kind} needs interval"


def _incomplete(
    record: Record, records: tuple[Record, ...], seen: Mapping[tuple[str, str, str, str], int]
) -> Iterator[str]:
    """What the member of a family lacks: the one before it, of the same scope and time."""
    number = int(record.id[-2:])
    if number:
        before_id = f"{record.id[:-2]}{number - 1:02d}"
        before = seen.get((before_id, *record.key[1:]))
        if before is None:
            yield f"{before_id} is not given for {record.scope}, and a family is numbered from 00 without gaps"
        elif _times(records[before]) != _times(record):
            yield f"it is not valid at the same time as {before_id}, and a family is used as a whole"


def _times(record: Record) -> tuple[datetime | None, datetime | None]:
    return (record.valid_from, record.valid_until)


def number_of(record: Record) -> Decimal:
    """The value of a record that is no choice."""
    assert not isinstance(record.value, str)
    return record.value
