"""Param-sets: calibrated values with unit, bounds, provenance, scope and validity (S3).

Here are the sets that there are; `param_records` says what a set is, `param_file` reads one, and `param_values` is what
is read of one. A file that breaks a rule is refused whole, with the line and the reason, and what was in force before
stays in force.

Nothing here reads a clock or polls: the shell calls `ParamStore.reload` and hands `now_ns` in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

import msgspec

from sor.errors import CallerError
from sor.param_file import FILE_BYTES_MAX, ParamFileError, parse, parse_bytes, parse_placed
from sor.param_records import Evidence, Kind, ParamSet, Record, Scope, Score
from sor.param_values import Params

__all__ = [
    "Adopted",
    "Evidence",
    "Kind",
    "ParamFileError",
    "ParamSet",
    "ParamStore",
    "Params",
    "Record",
    "Refused",
    "Scope",
    "Score",
    "parse",
    "parse_bytes",
]


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
            if not file.is_file():  # a pipe of that name would keep whoever opens it waiting
                raise ParamFileError(where=where, line=1, reason="it is no file, or gone")
            with file.open("rb") as opened:
                content = opened.read(FILE_BYTES_MAX + 1)
        except OSError as error:
            raise ParamFileError(where=where, line=1, reason=f"it cannot be read: {error}") from error
        fingerprint = hashlib.sha256(content).digest()
        if self._read.get(where) == fingerprint:
            return None
        self._read[where] = fingerprint
        param_set = parse_placed(content, where=where, place=set_id)
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

    def published(self, name: str) -> tuple[ParamSet, ...]:
        """All sets of a family, or the one of that full name, the oldest first, valid or not.

        Raises `CallerError` saying which there are when there is none.
        """
        found = [self._sets[full] for full in self.names() if name in (full, self._sets[full].family)]
        if not found:
            raise CallerError(f"there is no param-set {name!r}; nothing was sent. There are: {self._listed()}")
        return tuple(found)

    def of_venue(self, venue: str, *, now_ns: int) -> str | None:
        """The family that is a venue's own at `now_ns`: it bears its name, and has values for it; None without one.

        By name and not by scope alone: there may be any number of fits for one venue, and only one is its own.
        """
        newest = self.in_force(now_ns=now_ns).get(venue)
        if newest is None or all(record.scope.venue != venue for record in newest.records):
            return None
        return newest.family

    def _listed(self) -> str:
        return ", ".join(self.names()) or "none"

    def get(self, name: str, *, now_ns: int) -> ParamSet:
        """A set by its full name, or the newest of a family that is valid at `now_ns`.

        Raises `CallerError` saying which there are when there is none.
        """
        exact = self._sets.get(name)
        found = [exact] if exact else [one for one in self._sets.values() if one.family == name]
        valid = [one for one in found if one.valid_at(now_ns)]
        if not valid:
            why = f"{name} is not valid at this time" if found else f"there is no param-set {name!r}"
            raise CallerError(f"{why}; nothing was sent. There are: {self._listed()}")
        return max(valid, key=lambda one: one.published)


def _entries(directory: Traversable) -> list[Traversable]:
    """What lies in a directory, in name order; nothing where there is none, or it cannot be read."""
    try:
        return sorted(directory.iterdir(), key=lambda entry: entry.name)
    except OSError:
        return []
