"""Reading one param-set: a file that breaks a rule is refused whole, with the line and the reason."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

from pydantic import ValidationError

from sor.errors import CallerError
from sor.param_records import BadRecordError, ParamSet

FILE_BYTES_MAX = 1_000_000
"""A larger file is refused; no more of it is read."""
KEPT = 32
"""Sets that are kept once they are read; as few as one start reads would be thrown out by the next."""


class ParamFileError(CallerError):
    """A param-set that breaks a rule: `where` it stands, the `line` (from 1) and the `reason`."""

    def __init__(self, *, where: str, line: int, reason: str) -> None:
        super().__init__(
            f"{where}:{line}: {reason}. The file is refused whole and nothing of it is in force; correct it there"
        )
        self.where = where
        self.line = line
        self.reason = reason


def parse_bytes(content: bytes, *, where: str) -> ParamSet:
    """A param-set out of the bytes of a file. Raises as `parse`, and for what is too large or no text."""
    if len(content) > FILE_BYTES_MAX:
        raise ParamFileError(where=where, line=1, reason=f"it is larger than {FILE_BYTES_MAX} bytes")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ParamFileError(where=where, line=line, reason="it is not UTF-8 text") from error
    return parse(text, where=where)


def parse_placed(content: bytes, *, where: str, place: str) -> ParamSet:
    """As `parse_bytes`, and it has to stand where its name says: `place` is `<folder>/<file without .json>`."""
    param_set = parse_bytes(content, where=where)
    if param_set.set_id != place:
        line, _ = locate(content.decode(), ["set_id"])
        raise ParamFileError(where=where, line=line, reason=f"it says {param_set.set_id} and lies at {place}")
    return param_set


@lru_cache(maxsize=KEPT)
def parse(text: str, *, where: str) -> ParamSet:
    """A param-set out of its JSON text, a file's or a canonical one; `where` is named in errors.

    The last few are kept, as a journal has the same one for each session: they are frozen.
    Raises `ParamFileError`, which is a `CallerError`, with the line of the first thing that is wrong.
    """
    return validated(text, ParamSet.model_validate_json, where=where, rows="records")


Model = TypeVar("Model")


def validated(text: str, read: Callable[..., Model], *, where: str, rows: str) -> Model:
    """What `read` makes of a JSON text, strictly; no key stands twice, and no number is infinite.

    rows      the list whose objects a `BadRecordError` counts.
    Raises    `ParamFileError` with the line of the first thing that is wrong.
    """
    try:
        json.loads(text, object_pairs_hook=_no_repeats, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        reason = f"column {error.colno}: this is not JSON: {error.msg}"
        raise ParamFileError(where=where, line=error.lineno, reason=reason) from error
    except _BadKey as error:
        raise ParamFileError(where=where, line=_line_of_repeat(text, error.key, rows), reason=str(error)) from error
    except RecursionError as error:
        raise ParamFileError(where=where, line=1, reason="it is nested too deeply") from error
    try:
        return read(text, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        path = list(first["loc"])
        cause = first.get("ctx", {}).get("error")
        if isinstance(cause, BadRecordError):
            path = [rows, cause.index]
        line, record_id = locate(text, path, rows=rows)
        field = ".".join(part for part in path if isinstance(part, str) and part != rows)
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


def _line_of_repeat(text: str, key: str, rows: str) -> int:
    """Line of a repeated key: its second place in the first object that holds it twice; of a constant, its first."""
    quoted = json.dumps(key, ensure_ascii=False)
    places = [(match.start(), match.end()) for match in re.finditer(re.escape(quoted) + r"\s*:", text)]
    if not places:
        return _line_of(text, max(text.find(key), 0))
    for start, end in _spans(text, rows):
        inside = [place for place, _ in places if start <= place < end]
        if len(inside) > 1:
            return _line_of(text, inside[1])
    return _line_of(text, places[min(1, len(places) - 1)][0])


def _spans(text: str, rows: str) -> list[tuple[int, int]]:
    """(start, end) of each record, in order: the objects in the file's list `rows`. `text` is sound JSON."""
    spans: list[tuple[int, int]] = []
    within: list[str] = []  # the objects and lists that are open
    said = ""  # the last string: of what an object opens, the key
    listed = False
    start = 0
    for match in re.finditer(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', text):
        token = match.group()
        if token in "[{":
            if within == ["{"]:
                listed = token == "[" and said == f'"{rows}"'
            elif listed and len(within) == 2:
                start = match.start()
            within.append(token)
        elif token in "]}":
            within.pop()
            if listed and len(within) == 2:
                spans.append((start, match.end()))
        else:
            said = token
    return spans


def locate(text: str, path: list[int | str], *, rows: str = "records") -> tuple[int, str]:
    """(line, id or name of the record or "") of what a validation error speaks of."""
    start, end, record_id = 0, len(text), ""
    names = [part for part in path if isinstance(part, str)]
    if len(path) > 1 and path[0] == rows and isinstance(path[1], int):
        spans = _spans(text, rows)
        if path[1] < len(spans):
            start, end = spans[path[1]]
            record = json.loads(text[start:end])
            record_id = str(record.get("id", record.get("name", ""))) if isinstance(record, dict) else ""
        names = names[1:]
    if names:
        found = re.compile(re.escape(json.dumps(names[-1])) + r"\s*:").search(text, start, end)
        start = found.start() if found else start
    return _line_of(text, start), record_id
