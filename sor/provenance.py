"""Where a value comes from: what one set changed against another, and which record won where several hold."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import msgspec

from sor.ids import Symbol, VenueName
from sor.param_records import ParamSet, Record, best_of, window_ns
from sor.regime import Regime

_KEY = ("id", "scope")


class FieldChange(msgspec.Struct, frozen=True):
    """One field of a record, or of the set itself; None where it was not, or is no longer, given."""

    field: str
    before: str | None
    after: str | None


class Change(msgspec.Struct, frozen=True):
    """What became of one record; `id` and `scope` are "" for the fields of the set itself."""

    id: str
    scope: str
    what: str
    fields: tuple[FieldChange, ...]


class Beaten(msgspec.Struct, frozen=True):
    """A record that would hold for this venue and symbol, and does not count; `why` is a clause."""

    record: Record
    why: str


class Contest(msgspec.Struct, frozen=True):
    """One parameter at one place and time: the record in force, None when there is none, and those it beat."""

    id: str
    winner: Record | None
    beaten: tuple[Beaten, ...]


def changes(before: ParamSet, after: ParamSet) -> tuple[Change, ...]:
    """What differs in content, by id and scope; the set's own evidence counts at the records that rest on it."""
    found = [*_changed("", "", _own(before), _own(after))]
    olds, news = ({record.key: record for record in each.records} for each in (before, after))
    for key in sorted({**olds, **news}):
        old, new = olds.get(key), news.get(key)
        record = new or old
        assert record is not None
        found += _changed(
            record.id,
            str(record.scope),
            {} if old is None else _fields(before, old),
            {} if new is None else _fields(after, new),
        )
    return tuple(found)


def history(sets: tuple[ParamSet, ...]) -> tuple[tuple[Change, ...], ...]:
    """What each set of a family changed against the one before it; nothing for the first. `sets` in order."""
    return ((),)[: len(sets)] + tuple(changes(before, after) for before, after in pairwise(sets))


def contests(
    param_set: ParamSet, venue: VenueName, symbol: Symbol, regime: Regime | None, *, now_ns: int
) -> tuple[Contest, ...]:
    """For each parameter that the set gives for a venue and symbol at some time: who is in force, and who is not."""
    near = [record for record in param_set.records if record.scope.covers(venue, symbol)]
    held = [record for record in near if _holds(record, now_ns)]
    winners = {record.key: record for record in best_of(held, regime)}
    by_id: dict[str, Record] = {record.id: record for record in winners.values()}
    found: list[Contest] = []
    for param_id in sorted({record.id: None for record in near}):
        winner = by_id.get(param_id)
        rivals = [record for record in near if record.id == param_id and record.key not in winners]
        beaten = [Beaten(record, _why(record, winner, regime, now_ns)) for record in rivals]
        found.append(Contest(param_id, winner, tuple(beaten)))
    return tuple(found)


def _holds(record: Record, now_ns: int) -> bool:
    since_ns, until_ns = window_ns(record.valid_from, record.valid_until)
    return since_ns <= now_ns < until_ns


def _why(record: Record, winner: Record | None, regime: Regime | None, now_ns: int) -> str:
    """Why a record of the right venue and symbol does not count."""
    since_ns, until_ns = window_ns(record.valid_from, record.valid_until)
    if now_ns < since_ns:
        return f"it is valid from {record.valid_from} on"
    if now_ns >= until_ns:
        return f"it was valid until {record.valid_until}"
    if record.scope.regime not in ("*", regime):
        return f"the regime is {'none' if regime is None else regime.value}"
    if winner is None:
        return f"another scope has more to say of {record.group}, which is used as a whole"
    for part in ("symbol", "venue", "regime"):
        if getattr(winner.scope, part) != "*" and getattr(record.scope, part) == "*":
            return f"the one in force names the {part}"
    raise AssertionError(f"{record.id} is beaten by nothing")


def _own(param_set: ParamSet) -> dict[str, str]:
    """The set's own fields, but for its name and what stands at the records."""
    content = param_set.model_dump(mode="json", exclude_defaults=True, exclude={"records", "set_id", "evidence"})
    return {name: _text(value) for name, value in content.items()}


def _fields(param_set: ParamSet, record: Record) -> dict[str, str]:
    """A record's fields as text, with all the evidence it rests on."""
    content = record.model_dump(mode="json", exclude_defaults=True)
    content |= param_set.evidence_of(record).model_dump(mode="json", exclude_defaults=True)
    return {name: _text(value) for name, value in content.items() if name not in _KEY}


def _text(value: object) -> str:
    if isinstance(value, list):
        return " to ".join(_text(each) for each in value)
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(each)}" for name, each in value.items())
    return str(value)


def _changed(param_id: str, scope: str, before: dict[str, str], after: dict[str, str]) -> Iterator[Change]:
    fields = tuple(
        FieldChange(name, before.get(name), after.get(name))
        for name in {**before, **after}
        if before.get(name) != after.get(name)
    )
    if fields:
        yield Change(param_id, scope, "changed" if before and after else "added" if after else "removed", fields)
