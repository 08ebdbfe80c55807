"""Param-sets: calibrated values with unit, bounds, provenance, scope and validity."""

from __future__ import annotations


class Params:
    """The values of one param-set, resolved for one venue and symbol.

    set_id    the set's name, such as `baseline/2026-11-21`.
    digest    content digest of the whole set, 16 hex characters; goes into every decision record.
    """

    __slots__ = ("_values", "digest", "set_id")

    def __init__(self, *, set_id: str, digest: str, values: dict[str, float]) -> None:
        self.set_id = set_id
        self.digest = digest
        self._values = values

    def __getitem__(self, param_id: str) -> float:
        return self._values[param_id]

    def __contains__(self, param_id: str) -> bool:
        return param_id in self._values

    def as_dict(self) -> dict[str, float]:
        """A copy of the values, for records."""
        return dict(self._values)
