"""What the `--json` documents of all designs have in common, so that programs read every comparison alike.

A number that is not finite has no place in JSON: a bound that is not known yet is null.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from sor.experiment.bounds import TAIL
from sor.lab.ab.family import Verdict, Versus
from sor.lab.ab.guards import Guard
from sor.lab.ab.paired import ALPHA, Decision
from sor.lab.ab.sequential import Looks
from sor.lab.stationary import Series

Floats = NDArray[np.float64]


def estimate_document(
    mean: float, low: float | None, high: float | None, **more: float | None
) -> dict[str, float | None]:
    """The difference with its interval of one look, and what else the design knows of it."""
    known = {"mean": mean, "low": low, "high": high, "alpha": round(ALPHA, 12), **more}
    return {name: finite(value) for name, value in known.items()}


def series_document(series: Series) -> dict[str, float | None]:
    """What the stationary bootstrap says of the same mean, and how long its blocks are, in parents."""
    return {
        "low": series.low,
        "high": series.high,
        "alpha": round(ALPHA, 12),
        "block_parents": round(series.block_parents, 3),
    }


def sequential_document(looks: Looks | None, *, stopped_at: int | None) -> dict[str, float | None]:
    """What holds however often one looks. stopped_at: when zero was excluded, in what the design counts."""
    return {
        "low": None if looks is None else finite(looks.low[-1]),
        "high": None if looks is None else finite(looks.high[-1]),
        "p_always_valid": None if looks is None else finite(looks.p_value[-1]),
        "stopped_at": stopped_at,
    }


def conclusion(
    *,
    looks: Looks | None,
    stopped_at: int | None,
    decision: Decision,
    why: str,
    effect_bps: float,
    needed: int | None,
    costs: Mapping[str, Floats],
    guards: Sequence[Guard],
) -> dict[str, object]:
    """How every document ends. costs: of each arm's parents, for the tail."""
    return {
        "sequential": sequential_document(looks, stopped_at=stopped_at),
        "decision": str(decision),
        "why": why,
        "effect_bps": finite(effect_bps),
        "needed_n": needed,
        "tail": _tail_document(costs),
        "guards": guards_document(guards),
    }


def family_document(
    verdict: Verdict, versus: Sequence[Versus], *, costs: Mapping[str, Floats], guards: Sequence[Guard]
) -> dict[str, object]:
    """How the document of several arms ends. costs: of each arm's parents; guards: of all arms together."""
    return {
        "family": str(verdict.family),
        "comparisons": [_versus_document(one) for one in versus],
        "decision": verdict.decision,
        "cheapest": list(verdict.cheapest),
        "why": verdict.why,
        "needed_n": verdict.needed,
        "tail": _tail_document(costs),
        "guards": guards_document(guards),
    }


def _versus_document(one: Versus) -> dict[str, object]:
    """One comparison of a family, in the words of a comparison of two; intervals and the sequence hold for all."""
    return {
        "first": one.first,
        "second": one.second,
        "n": one.parents,
        "units": one.units,
        "estimate_bps": estimate_document(one.mean, one.low, one.high, p_value=one.p_value),
        **({} if one.series is None else {"stationary_bootstrap": series_document(one.series)}),
        "sequential": {
            **sequential_document(one.looks, stopped_at=one.stopped_at),
            "e_value": finite(one.e_value),
            "listed": one.listed,
        },
        "decision": one.decision,
        "why": one.why,
        "effect_bps": finite(one.effect_bps),
        "needed_n": one.needed,
        "guards": guards_document(one.guards),
    }


def _tail_document(costs: Mapping[str, Floats]) -> dict[str, float | None]:
    return {"quantile": TAIL, **{name: finite(np.quantile(cost, TAIL)) for name, cost in costs.items()}}


def guards_document(guards: Sequence[Guard]) -> dict[str, object]:
    """Every guard by its name."""
    return {guard.name: {"holds": guard.holds, "says": guard.says} for guard in guards}


def finite(value: float | np.floating | None) -> float | None:
    """A number that JSON has, else None."""
    return float(value) if value is not None and np.isfinite(value) else None
