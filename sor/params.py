"""Param-sets: calibrated values with unit, bounds, provenance, scope and validity (S3).

A set is one JSON file, `<family>/<date>.json`, and is never changed once published: a better value is a new file.
`paramsets/README.md` defines every field, `sor.param_table` every parameter of our own. A file that breaks a rule is
refused whole, with the line and the reason, and what was in force before stays in force. The digest is taken over the
content in a canonical form: white space, order and `5.0` for `5` do not change it.

Nothing here reads a clock or polls: the shell calls `ParamStore.reload` and hands `now_ns` in.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from difflib import get_close_matches
from enum import StrEnum
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    field_validator,
    model_validator,
)

from sor.definition import Unit, family_of
from sor.errors import CallerError
from sor.features import Features
from sor.ids import Symbol, VenueName
from sor.instruments import canonical_symbol
from sor.param_table import ALWAYS, EVERY_REGIME, RESERVED, TABLE, definition_of
from sor.regime import THRESHOLDS, Regime, Thresholds, regime_of
from sor.units import NS

FILE_BYTES_MAX = 1_000_000
"""A larger file is refused unread."""
_RESOLVED_MAX = 4096
_ALWAYS_NS = 1 << 62
_ANY = "*"


class Params:
    """The values of one param-set, resolved for one venue and symbol.

    set_id    the set's name, such as `baseline/2026-11-21`.
    digest    content digest of the whole set, 16 hex characters; goes into every decision record.

    What it gives as such holds in no particular regime; `within` gives what holds in one. Numbers are read by
    `params["placement.collar_bps"]`, words by `params.choice(...)`, a family by `params.family("fill.beta_NN")`.
    """

    __slots__ = ("_choices", "_families", "_thresholds", "_values", "_within", "digest", "set_id")

    def __init__(
        self,
        *,
        set_id: str,
        digest: str,
        values: Mapping[str, float],
        choices: Mapping[str, str] | None = None,
        within: Mapping[Regime, Params] | None = None,
    ) -> None:
        self.set_id = set_id
        self.digest = digest
        self._values = dict(values)
        self._choices = dict(choices or {})
        self._families = _families(self._values)
        self._within = dict(within or {})
        self._thresholds: Thresholds | None = None
        if not self.missing(THRESHOLDS):
            bounds = {field: self._values[f"regime.{field}"] for field in Thresholds.__struct_fields__}
            self._thresholds = Thresholds(**bounds)

    def __getitem__(self, param_id: str) -> float:
        return self._values[param_id]

    def __contains__(self, param_id: str) -> bool:
        return param_id in self._values or param_id in self._choices or param_id in self._families

    def __iter__(self) -> Iterator[str]:
        yield from self._values
        yield from self._choices

    def choice(self, param_id: str) -> str:
        """The word that a parameter of unit `choice` has; one of those in the definition table. Raises KeyError."""
        return self._choices[param_id]

    def family(self, family_id: str) -> tuple[float, ...]:
        """The members of a family such as `fill.beta_NN`, by number from 00, at least one. Raises KeyError."""
        return self._families[family_id]

    def as_dict(self) -> dict[str, float]:
        """A copy of the numbers, for records."""
        return dict(self._values)

    def choices(self) -> dict[str, str]:
        """A copy of the words, for records."""
        return dict(self._choices)

    def missing(self, needs: Iterable[str]) -> tuple[str, ...]:
        """Which of `needs` this set does not give here; a parent that needs them is refused with their names."""
        return tuple(param_id for param_id in needs if param_id not in self)

    def regime_of(self, features: Features | None) -> Regime | None:
        """The regime of a moment by this set's thresholds; None without features, or without thresholds."""
        if features is None or self._thresholds is None:
            return None
        return regime_of(features, self._thresholds)

    def within(self, regime: Regime | None) -> Params:
        """The values in force in a regime: this very object where the set has none of its own for it."""
        return self if regime is None else self._within.get(regime, self)


def _families(values: Mapping[str, float]) -> dict[str, tuple[float, ...]]:
    """The families among `values`, each by its id; what has no number 00 is none."""
    members: dict[str, list[str]] = {}
    for param_id in sorted(values):
        family = family_of(param_id)
        if family:
            members.setdefault(family, []).append(param_id)
    return {family: tuple(values[param_id] for param_id in ids) for family, ids in members.items()}


class ParamFileError(CallerError):
    """A param-set that breaks a rule: `where` it stands, the `line` (from 1) and the `reason`."""

    def __init__(self, *, where: str, line: int, reason: str) -> None:
        super().__init__(
            f"{where}:{line}: {reason}. The file is refused whole and nothing of it is in force; correct it there"
        )
        self.where = where
        self.line = line
        self.reason = reason


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
Word = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
SetId = Annotated[str, Field(pattern=r"^[a-z0-9_-]+/\d{4}-\d{2}-\d{2}$"), AfterValidator(_dated)]
_STRICT = ConfigDict(frozen=True, extra="forbid", strict=True)


class _BadRecordError(ValueError):
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
    window: tuple[AwareDatetime, AwareDatetime] | None = None
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
_ESTIMATED = (Kind.MEASURED, Kind.FITTED)


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
    valid_from: AwareDatetime | None = None
    valid_until: AwareDatetime | None = None
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
        if self.kind not in _ESTIMATED:
            given = (name for name in (*EVIDENCE, "interval") if getattr(self, name) is not None)
            yield from (f"kind {self.kind} has no {name}" for name in given)
        if self.valid_from and self.valid_until and self.valid_from >= self.valid_until:
            yield "valid_until is not after valid_from"
        if self.id in ALWAYS and (self.valid_from or self.valid_until):
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


class ParamSet(BaseModel):
    """One published set: frozen, named `<family>/<date>`, identified by the digest of its content."""

    model_config = _STRICT

    format: Literal[1]
    set_id: SetId
    note: str = ""
    evidence: Evidence = Evidence()
    valid_from: AwareDatetime | None = None
    valid_until: AwareDatetime | None = None
    records: tuple[Record, ...] = Field(min_length=1)

    # Slots, not private attributes of pydantic: those take microseconds to read, and `resolve` is asked often.
    __slots__ = ("_digest", "_resolved", "_text")
    _digest: str
    _resolved: dict[tuple[VenueName, Symbol], tuple[int, int, Params]]
    _text: str

    @model_validator(mode="after")
    def _sound(self) -> ParamSet:
        for index, wrong in _contradictions(self.records, self.evidence):
            raise _BadRecordError(index, wrong)
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

    def valid_at(self, now_ns: int) -> bool:
        """Whether the set as a whole may be used at `now_ns`."""
        since_ns, until_ns = _window(self.valid_from, self.valid_until)
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
            if record.scope.venue not in (_ANY, venue) or record.scope.symbol not in (_ANY, symbol):
                continue
            window = _window(record.valid_from, record.valid_until)
            for edge_ns in window:
                if edge_ns <= now_ns:
                    since_ns = max(since_ns, edge_ns)
                else:
                    until_ns = min(until_ns, edge_ns)
            if window[0] <= now_ns < window[1]:
                held.append(record)
        within = {
            regime: self._params(_best(held, regime))
            for regime in Regime
            if any(record.scope.regime == regime for record in held)
        }
        params = self._params(_best(held, None), within)
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
        if record.kind not in _ESTIMATED:
            return Evidence()
        return _evidence(record, self.evidence)


def _evidence(record: Record, common: Evidence) -> Evidence:
    """A record's own evidence, and what it leaves open out of the set's."""
    own = {name: getattr(record, name) for name in EVIDENCE}
    return common.model_copy(update={name: given for name, given in own.items() if given is not None})


def _best(held: list[Record], regime: Regime | None) -> list[Record]:
    """Of records that hold for one venue and symbol the most specific of each id, by id; a family is from one scope.

    The members of a family belong together: those of a symbol's own fit are never filled up from another one.
    """
    held = [record for record in held if record.scope.regime in (_ANY, regime)]
    heaviest: dict[str, int] = {}
    for record in held:
        heaviest[record.group] = max(heaviest.get(record.group, 0), record.scope.weight)
    best = [record for record in held if record.scope.weight == heaviest[record.group]]
    return sorted(best, key=lambda record: record.id)


def _window(valid_from: datetime | None, valid_until: datetime | None) -> tuple[int, int]:
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
        if record.id in ALWAYS and (record.id, _ANY, _ANY, _ANY) not in seen:
            yield index, "the machines read it everywhere, and it stands for no more than a venue, symbol or regime"
        if record.kind in _ESTIMATED:
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


# --- reading a file ---------------------------------------------------------------------------------------------------


def parse(text: str, *, where: str) -> ParamSet:
    """A param-set out of its JSON text, a file's or a canonical one; `where` is named in errors.

    Raises `ParamFileError`, which is a `CallerError`, with the line of the first thing that is wrong.
    """
    try:
        json.loads(text, object_pairs_hook=_no_repeats, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        reason = f"column {error.colno}: this is not JSON: {error.msg}"
        raise ParamFileError(where=where, line=error.lineno, reason=reason) from error
    except _BadKey as error:
        raise ParamFileError(where=where, line=_line_of_repeat(text, error.key), reason=str(error)) from error
    except RecursionError as error:
        raise ParamFileError(where=where, line=1, reason="it is nested too deeply") from error
    try:
        return ParamSet.model_validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        path = list(first["loc"])
        cause = first.get("ctx", {}).get("error")
        if isinstance(cause, _BadRecordError):
            path = ["records", cause.index]
        line, record_id = _locate(text, path)
        field = ".".join(part for part in path if isinstance(part, str) and part != "records")
        words = (record_id, field, str(cause) if isinstance(cause, ValueError) else first["msg"])
        raise ParamFileError(where=where, line=line, reason=": ".join(word for word in words if word)) from error


class _BadKey(ValueError):
    """A key that stands twice in one object, or a constant that JSON does not have."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(reason)
        self.key = key


def _no_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise _BadKey(key, f"{key} stands twice in one object")
        found[key] = value
    return found


def _no_constant(constant: str) -> object:
    raise _BadKey(constant, f"{constant} is not a number")


def _line_of(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _line_of_repeat(text: str, key: str) -> int:
    """Line of a repeated key: its second place in the first object that holds it twice; of a constant, its first."""
    quoted = json.dumps(key, ensure_ascii=False)
    places = [(match.start(), match.end()) for match in re.finditer(re.escape(quoted) + r"\s*:", text)]
    if not places:
        return _line_of(text, max(text.find(key), 0))
    for start, end in _spans(text):
        inside = [place for place, _ in places if start <= place < end]
        if len(inside) > 1:
            return _line_of(text, inside[1])
    return _line_of(text, places[min(1, len(places) - 1)][0])


def _spans(text: str) -> list[tuple[int, int]]:
    """(start, end) of each record: the objects at depth two, in order. `text` is sound JSON."""
    spans: list[tuple[int, int]] = []
    depth = start = 0
    for match in re.finditer(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', text):
        token = match.group()
        if token in "[{":
            if token == "{" and depth == 2:
                start = match.start()
            depth += 1
        elif token in "]}":
            depth -= 1
            if token == "}" and depth == 2:
                spans.append((start, match.end()))
    return spans


def _locate(text: str, path: list[int | str]) -> tuple[int, str]:
    """(line, id of the record or "") of what a validation error speaks of."""
    start, end, record_id = 0, len(text), ""
    names = [part for part in path if isinstance(part, str)]
    if len(path) > 1 and path[0] == "records" and isinstance(path[1], int):
        spans = _spans(text)
        if path[1] < len(spans):
            start, end = spans[path[1]]
            record = json.loads(text[start:end])
            record_id = str(record.get("id", "")) if isinstance(record, dict) else ""
        names = names[1:]
    if names:
        found = re.compile(re.escape(json.dumps(names[-1])) + r"\s*:").search(text, start, end)
        start = found.start() if found else start
    return _line_of(text, start), record_id


# --- the sets that are there ------------------------------------------------------------------------------------------


class Adopted(msgspec.Struct, frozen=True):
    """A set came into force; `replaced` is the digest of the one of that name before, None when it is new."""

    set_id: str
    digest: str
    where: str
    replaced: str | None


class Refused(msgspec.Struct, frozen=True):
    """A file was refused whole; `kept` is the digest of the set of that name that stays in force, None without one."""

    where: str
    line: int
    reason: str
    kept: str | None


class ParamStore:
    """The param-sets of some directories, and by default those that come with the package.

    Each directory holds `<family>/<date>.json`. A store opens whole or not at all: its constructor raises `CallerError`
    with every bad file. From then on `reload` adopts what has changed and refuses what is bad, and refusing one file
    leaves everything else as it was; a file that has disappeared stays in force until the process ends.
    """

    def __init__(self, *directories: Path, packaged: bool = True) -> None:
        """Read everything. Raises `CallerError` for a directory that is not there, or any bad file."""
        for directory in directories:
            if not directory.is_dir():
                raise CallerError(f"{directory} is not a directory of param-sets; nothing was loaded. Name one that is")
        packaged_roots: list[Traversable] = [resources.files("paramsets")] if packaged else []
        self._roots: tuple[Traversable, ...] = (*packaged_roots, *directories)
        self._sets: dict[str, ParamSet] = {}
        self._homes: dict[str, str] = {}
        self._read: dict[str, bytes] = {}
        refused = [news for news in self.reload() if isinstance(news, Refused)]
        if refused:
            listing = "; ".join(f"{news.where}:{news.line}: {news.reason}" for news in refused)
            raise CallerError(f"param-sets are refused, nothing is in force and nothing was sent: {listing}")

    def reload(self, path: Path | None = None) -> list[Adopted | Refused]:
        """Read again what has changed, all of it or the one file at `path`; what has not is not mentioned.

        Raises `CallerError` when `path` is not a param-set file of this store.
        """
        files = list(self._files())
        if path is not None:
            files = [(set_id, file) for set_id, file in files if str(file) == str(path)]
            if not files:
                raise CallerError(f"{path} is not a param-set file of this store; what was in force stays in force")
        news: list[Adopted | Refused] = []
        for set_id, file in files:
            try:
                adopted = self._adopt(set_id, file)
            except ParamFileError as error:
                kept = self._sets.get(set_id)
                news.append(
                    Refused(error.where, line=error.line, reason=error.reason, kept=kept.digest if kept else None)
                )
            else:
                news += [adopted] if adopted else []
        return news

    def _files(self) -> Iterator[tuple[str, Traversable]]:
        """(set name by place, file) of every JSON file one folder down, in name order.

        A directory that cannot be read any more gives no files, like one whose files have disappeared.
        """
        for root in self._roots:
            for folder in _entries(root):
                for file in _entries(folder):
                    if file.name.endswith(".json"):
                        yield f"{folder.name}/{file.name.removesuffix('.json')}", file

    def _adopt(self, set_id: str, file: Traversable) -> Adopted | None:
        """Read one file if its bytes are new. None when its content is what was in force already."""
        where = str(file)
        try:
            content = file.read_bytes()
        except OSError as error:
            raise ParamFileError(where=where, line=1, reason=f"it cannot be read: {error}") from error
        fingerprint = hashlib.sha256(content).digest()
        if self._read.get(where) == fingerprint:
            return None
        self._read[where] = fingerprint
        if len(content) > FILE_BYTES_MAX:
            raise ParamFileError(where=where, line=1, reason=f"it is larger than {FILE_BYTES_MAX} bytes")
        try:
            text = content.decode()
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            raise ParamFileError(where=where, line=line, reason="it is not UTF-8 text") from error
        param_set = parse(text, where=where)
        if param_set.set_id != set_id:
            line, _ = _locate(text, ["set_id"])
            raise ParamFileError(where=where, line=line, reason=f"it says {param_set.set_id} and lies at {set_id}")
        home = self._homes.setdefault(set_id, where)
        if home != where:
            raise ParamFileError(where=where, line=1, reason=f"{set_id} is already taken by {home}")
        old = self._sets.get(set_id)
        self._sets[set_id] = param_set
        if old is not None and old.digest == param_set.digest:
            return None
        return Adopted(set_id, digest=param_set.digest, where=where, replaced=old.digest if old else None)

    def in_force(self, *, now_ns: int) -> dict[str, ParamSet]:
        """The sets that are valid at `now_ns`: each by its full name, and the newest of each family by the family's."""
        valid = {name: self._sets[name] for name in self.names() if self._sets[name].valid_at(now_ns)}
        newest = {one.family: one for one in sorted(valid.values(), key=lambda one: one.published)}
        return valid | newest

    def names(self) -> tuple[str, ...]:
        """Full names of all sets, in order."""
        return tuple(sorted(self._sets))

    def get(self, name: str, *, now_ns: int) -> ParamSet:
        """A set by its full name, or the newest of a family that is valid at `now_ns`.

        Raises `CallerError` saying which there are when there is none.
        """
        exact = self._sets.get(name)
        found = [exact] if exact else [one for one in self._sets.values() if one.family == name]
        valid = [one for one in found if one.valid_at(now_ns)]
        if not valid:
            why = f"{name} is not valid at this time" if found else f"there is no param-set {name!r}"
            raise CallerError(f"{why}; nothing was sent. There are: {', '.join(self.names()) or 'none'}")
        return max(valid, key=lambda one: one.published)


def _entries(directory: Traversable) -> list[Traversable]:
    """What lies in a directory, in name order; nothing where there is none, or it cannot be read."""
    try:
        return sorted(directory.iterdir(), key=lambda entry: entry.name)
    except OSError:
        return []
