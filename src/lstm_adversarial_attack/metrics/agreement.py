"""Whether two rankings agree."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def average_ranks(values: Floats) -> Floats:
    """Return the ranks of ``values`` [row, item] within their row, 1 for the largest; equals share their mean rank.

    A row that holds NaN has NaN for its ranks.
    """
    larger = (values[:, :, None] < values[:, None, :]).sum(axis=2)
    equal = (values[:, :, None] == values[:, None, :]).sum(axis=2)
    ranks: Floats = 1 + larger + (equal - 1) / 2
    return np.where(np.isnan(values).any(axis=1, keepdims=True), np.nan, ranks)


def spearman(one: Floats, other: Floats) -> Floats:
    """Return Spearman's rank correlation of each row [row] of ``one`` and ``other`` [row, item].

    It is Pearson's correlation of the ranks, equals sharing their mean rank (Spearman 1904). NaN where a row holds NaN
    or all of its items are equal.
    """
    ranks = [average_ranks(values) for values in (one, other)]
    a, b = (rank - rank.mean(axis=1, keepdims=True) for rank in ranks)
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Floats = (a * b).sum(axis=1) / np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    return found
