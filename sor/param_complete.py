"""Whether a set is whole: what the machines and each policy would miss in it, for one venue and symbol, or for any.

What is only given for one venue, symbol or regime, or for a time, is missing elsewhere; so a set may be whole for the
venue it was made for and for no other.
"""

from __future__ import annotations

from collections.abc import Mapping

from sor.ids import Symbol, VenueName
from sor.param_records import ParamSet
from sor.param_table import ALWAYS

ANYWHERE = "*"
"""A venue or a symbol that no record names: only what a set gives everywhere counts."""
ROUTER = "the router"
"""Who needs what is read whichever policy places."""


def lacking(
    param_set: ParamSet,
    needs: Mapping[str, tuple[str, ...]],
    *,
    venue: str = ANYWHERE,
    symbol: str = ANYWHERE,
    now_ns: int,
) -> dict[str, tuple[str, ...]]:
    """What is not given at `now_ns`, by whoever needs it: the router first, then each policy; empty for a whole set.

    needs    ids that each policy reads, by its name; what the router misses is not repeated for them.
    """
    params = param_set.resolve(VenueName(venue), Symbol(symbol), now_ns=now_ns)
    found = {ROUTER: params.missing(ALWAYS)}
    for name, ids in needs.items():
        found[name] = params.missing(tuple(param_id for param_id in ids if param_id not in ALWAYS))
    return {who: missing for who, missing in found.items() if missing}
