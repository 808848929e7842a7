"""Threat models: what an attack may do to a sample."""

from __future__ import annotations

from typing import Protocol

import polars as pl
from torch import Tensor

from lstm_adversarial_attack.attack.result import AttackResult, Found
from lstm_adversarial_attack.attack.singles import Singles
from lstm_adversarial_attack.attack.target import Target
from lstm_adversarial_attack.attack.threats.charted import ChartedThreat
from lstm_adversarial_attack.attack.threats.data_entry import DataEntryThreat
from lstm_adversarial_attack.attack.threats.grid import GridThreat
from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.settings import AttackSettings


class Threat(Protocol):
    """What may be done to the samples of a target."""

    def attack(self, index: Tensor, labels: Tensor, batch_size: int | None = None) -> AttackResult:
        """Attack the samples at ``index`` [n], away from ``labels`` [n]; changes are in model units.

        They are attacked all at once if ``batch_size`` says no other number.
        """
        ...

    def singles(self, index: Tensor, labels: Tensor, batch_size: int | None = None) -> Singles | None:
        """Return what single edits do to the samples at ``index`` [n]; None where the threat model has no search."""
        ...

    def perturbed(self, index: Tensor, delta: Tensor) -> Tensor:
        """Return what the model reads [n, hour, feature] once the samples at ``index`` are changed by ``delta``."""
        ...

    def edits(self, index: Tensor, found: Found) -> pl.DataFrame | None:
        """Return the charted values that the examples ``found`` of the samples at ``index`` change.

        Columns: row (into ``index``), minute, feature (column), value, edited, slip. None where the threat model is not
        about charted values.
        """
        ...


def threat_of(target: Target, settings: AttackSettings) -> Threat:
    """Return the threat model that ``settings`` name.

    Raises:
        UserError: it needs charted values, and the dataset does not show them as they are.
    """
    if settings.threat == "grid":
        return GridThreat(target, settings)
    if target.charted is None:
        raise UserError(
            f"threat model {settings.threat} needs a dataset whose gaps are filled forward and whose values are not "
            "clipped; this one was made otherwise (protocol reference does so): give --threat grid"
        )
    if settings.threat == "charted":
        return ChartedThreat(target, settings, target.charted)
    return DataEntryThreat(target, settings, target.charted)
