"""What the search for an attack's settings maximises: one number for the examples of many samples."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lstm_adversarial_attack.attack import AttackResult
from lstm_adversarial_attack.attack.keeper import KINDS
from lstm_adversarial_attack.attack.result import Found


def area(result: AttackResult, max_cells: int) -> float:
    """Return the area under success against number of changed cells, from 0 to ``max_cells``, as a share.

    1 would mean that every prediction turns without a change, 0 that none turns within ``max_cells``. Unlike
    a sum over successes it does not reward samples that lie on the boundary anyway above all others.
    """
    cells = torch.where(result.success, result.sparsest.l0, max_cells).clamp_max(max_cells)
    return float((1 - cells.double() / max_cells).mean())


def sparsity(result: AttackResult, max_cells: int) -> float:  # noqa: ARG001
    """Return the sum of S over the samples that were turned: the share of cells left as they are."""
    return _sum_of_best(result, _untouched)


def sparse_small(result: AttackResult, max_cells: int) -> float:  # noqa: ARG001
    """Return the sum of S / L1 over the samples that were turned."""
    return _sum_of_best(result, lambda found: _untouched(found) / found.l1.double())


def sparse_small_max(result: AttackResult, max_cells: int) -> float:  # noqa: ARG001
    """Return the sum of S / largest change over the samples that were turned."""
    return _sum_of_best(result, lambda found: _untouched(found) / found.linf.double())


def max_num_nonzero(result: AttackResult, max_cells: int) -> float:
    """Return how many samples were turned by changes of ``max_cells`` cells or fewer."""
    return _sum_of_best(result, lambda found: (found.l0 <= max_cells).double())


#: By name, each a function of what was found and of `AttackTuneSettings.max_cells`.
OBJECTIVES: dict[str, Callable[[AttackResult, int], float]] = {
    "area": area,
    "sparsity": sparsity,
    "sparse_small": sparse_small,
    "sparse_small_max": sparse_small_max,
    "max_num_nonzero": max_num_nonzero,
}


def _untouched(found: Found) -> Tensor:
    """Return the share of each sample's cells that are left as they are [sample], float64."""
    _, hours, features = found.shape
    return 1 - found.l0.double() / (hours * features)


def _sum_of_best(result: AttackResult, value: Callable[[Found], Tensor]) -> float:
    """Sum a value over the samples that were turned, each with its example for which the value is largest."""
    values = [torch.where(found.success, value(found), 0.0) for found in map(result.found, KINDS)]
    return float(torch.stack(values).amax(dim=0).sum())
