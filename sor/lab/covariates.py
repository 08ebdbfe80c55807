"""Covariates of many orders at once: the formulas of `sor.models.covariates` over numpy columns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sor.models.covariates import Terms, covariates

Floats = NDArray[np.float64]


class _Columns:
    """`Maths` over columns."""

    __slots__ = ()

    def log(self, value: Floats) -> Floats:
        return np.log(value)

    def log1p(self, value: Floats) -> Floats:
        return np.log1p(value)

    def within(self, value: Floats, low: float, high: float) -> Floats:
        return np.clip(value, low, high)

    def least(self, value: Floats, low: float) -> Floats:
        return np.maximum(value, low)


def covariate_columns(terms: Terms[Floats]) -> Floats:
    """The covariates of N orders, (N, len(COVARIATES)); NaN where the terms are not known."""
    return np.stack(covariates(terms, _Columns()), axis=1)
