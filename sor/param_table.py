"""The definition table: every parameter that the router's own policies, models, invariants and machines read.

A published param-set gives the value, this table says what the value means and within which bounds any calibration
must stay. Ids are dotted, the first part says whose they are. The first parts that stand here are reserved: an id
under them that is not in the table is a spelling mistake and is refused. Other packages choose a first part of their
own (`acme.patience_s`) and document it themselves; their bounds are those in the record alone.

A new parameter is a row in the file of its first part in `sor/param_rows`; a new first part is a file there and a line
in `_GROUPS`.

Not here, because no calibration may touch them: the limits in `sor.invariants`.
"""

from __future__ import annotations

from collections.abc import Mapping

from sor.definition import Definition, Unit, family_of
from sor.param_rows import chase, explore, forecast, impact, ladder, machines, placement, qvi, regime, remainder, split

__all__ = ["ALWAYS", "EVERY_REGIME", "RESERVED", "TABLE", "TOGETHER", "Definition", "Unit", "definition_of"]

_GROUPS: tuple[tuple[Definition, ...], ...] = (
    chase.ROWS,
    explore.ROWS,
    forecast.ROWS,
    impact.ROWS,
    ladder.ROWS,
    machines.ROWS,
    placement.ROWS,
    qvi.ROWS,
    regime.ROWS,
    remainder.ROWS,
    split.ROWS,
)

TABLE: Mapping[str, Definition] = {row.id: row for rows in _GROUPS for row in rows}
"""Definitions by id; a family stands under the id that ends in `_NN`."""

_MACHINES = ("market", "risk", "recovery", "deadline")

IF_GIVEN: tuple[str, ...] = ("risk.daily_loss_max",)
"""Limits of the machines that nobody needs to have; where they are given they hold like the others."""

LIMITS: tuple[str, ...] = (
    *(param_id for param_id in TABLE if param_id.partition(".")[0] in _MACHINES),
    "placement.collar_bps",
)
"""What the machines and the invariants read whichever policy places: no record of them may hold for a time only, as a
limit that runs out is no limit."""

ALWAYS: tuple[str, ...] = tuple(param_id for param_id in LIMITS if param_id not in IF_GIVEN)
"""Those of them that no parent is taken in without."""

EVERY_REGIME: tuple[str, ...] = tuple(
    param_id for param_id in TABLE if param_id.partition(".")[0] in (*_MACHINES, "regime")
)
"""What is read outside a decision, or decides what the regime is: it cannot differ by regime."""

TOGETHER: tuple[frozenset[str], ...] = tuple(
    frozenset(row.id for row in forecast.ROWS if row.id.partition(".")[0] in parts)
    for parts in (("fill", "fading", "drift"), ("markout",), ("range",))
)
"""Ids, a family by its own, that mean something only together: a model, half of which is none."""

RESERVED = frozenset(param_id.partition(".")[0] for param_id in TABLE)
"""First parts of ids that belong to this package."""


def definition_of(param_id: str) -> Definition | None:
    """The row of an id, or of the family it is a member of; None for what is not ours."""
    return TABLE.get(param_id) or TABLE.get(family_of(param_id))
