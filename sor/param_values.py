"""The values of a param-set as policies, machines and invariants read them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from sor.definition import family_of
from sor.features import Features
from sor.models.covariates import COVARIATES
from sor.regime import THRESHOLDS, Regime, Thresholds, regime_of

_RANGES = tuple(f"range.{name}_{end}" for name in COVARIATES for end in ("low", "high"))


class Params:
    """The values of one param-set, resolved for one venue and symbol.

    set_id    the set's name, such as `baseline/2026-11-21`.
    digest    content digest of the whole set, 16 hex characters; goes into every decision record.

    ranges    where nearly all orders lay that it was fitted on: (low, high) of each of `COVARIATES`; none if not given.

    What it gives as such holds in no particular regime; `within` gives what holds in one. Numbers are read by
    `params["placement.collar_bps"]`, words by `params.choice(...)`, a family by `params.family("fill.beta_NN")`.
    """

    __slots__ = ("_choices", "_families", "_ids", "_thresholds", "_values", "_within", "digest", "ranges", "set_id")

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
        self._ids = frozenset((*self._values, *self._choices, *self._families))
        self._within = dict(within or {})
        self.ranges: tuple[tuple[float, float], ...] = ()
        if not self.missing(_RANGES):
            self.ranges = tuple([(values[f"range.{name}_low"], values[f"range.{name}_high"]) for name in COVARIATES])
        self._thresholds: Thresholds | None = None
        if not self.missing(THRESHOLDS):
            bounds = {field: self._values[f"regime.{field}"] for field in Thresholds.__struct_fields__}
            self._thresholds = Thresholds(**bounds)

    def __getitem__(self, param_id: str) -> float:
        return self._values[param_id]

    def __contains__(self, param_id: str) -> bool:
        return param_id in self._ids

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

    def missing(self, needs: Collection[str]) -> tuple[str, ...]:
        """Which of `needs` this set does not give here; a parent that needs them is refused with their names."""
        if self._ids.issuperset(needs):  # nearly always, and asked for every parent
            return ()
        return tuple(param_id for param_id in needs if param_id not in self._ids)

    @property
    def thresholds(self) -> Thresholds | None:
        """Where this set's regimes begin; None where it does not say."""
        return self._thresholds

    def regime_of(self, features: Features | None) -> Regime | None:
        """The regime of a moment by this set's thresholds; None without features, or without thresholds."""
        if features is None or self._thresholds is None:
            return None
        return regime_of(features, self._thresholds)

    @property
    def regimes(self) -> Mapping[Regime, Params]:
        """The values of those regimes that have some of their own."""
        return self._within

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
