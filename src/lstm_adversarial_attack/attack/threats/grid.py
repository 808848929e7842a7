"""Threat model ``grid``: every cell of the model's input changes by itself, measured or not, as published."""

from __future__ import annotations

from typing import Any

import polars as pl
from torch import Tensor

from lstm_adversarial_attack.attack.engine import attack, single_edits
from lstm_adversarial_attack.attack.result import AttackResult, Found
from lstm_adversarial_attack.attack.singles import Singles
from lstm_adversarial_attack.attack.target import Target, options_of
from lstm_adversarial_attack.settings import AttackSettings

#: Standardised units by which float32 may miss a bound, such as a saturation of 100 %.
_SLACK = 1e-4


class GridThreat:
    """See the module. Cells keep to the physiological range; those outside it already are left alone."""

    def __init__(self, target: Target, settings: AttackSettings) -> None:
        """Attack ``target``."""
        self._target, self._settings = target, settings

    def attack(self, index: Tensor, labels: Tensor, batch_size: int | None = None) -> AttackResult:
        """See `threats.Threat`."""
        settings = self._settings
        return attack(
            **self._search(index, labels, batch_size),
            cost=self._target.cost,
            method=settings.method,
            steps=settings.steps,
            seed=settings.seed,
            **options_of(settings),
        )

    def singles(self, index: Tensor, labels: Tensor, batch_size: int | None = None) -> Singles:
        """See `threats.Threat`."""
        return single_edits(**self._search(index, labels, batch_size))

    def _search(self, index: Tensor, labels: Tensor, batch_size: int | None) -> dict[str, Any]:
        """Return what any search is told of the samples at ``index``."""
        target = self._target
        batch = target.dataset.tensors[index]
        return {
            "model": target.decision,
            "values": batch.values,
            "labels": labels,
            "context": batch.context,
            "lower": target.lower,
            "upper": target.upper,
            "editable": (batch.values >= target.lower - _SLACK) & (batch.values <= target.upper + _SLACK),
            "kappa": self._settings.kappa,
            "batch_size": batch_size or len(index),
        }

    def perturbed(self, index: Tensor, delta: Tensor) -> Tensor:
        """See `threats.Threat`."""
        return self._target.dataset.tensors[index].values + delta

    def edits(self, _index: Tensor, _found: Found) -> pl.DataFrame | None:
        """See `threats.Threat`."""
        return None
