"""What `lstm-aa check-attack` does beside the run that is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter
from msgspec import Meta

from lstm_adversarial_attack.settings import AttackMethod

Methods = Annotated[tuple[AttackMethod, ...], Parameter(consume_multiple=True)]


@dataclass(frozen=True, kw_only=True)
class CheckAttackSettings:
    """Which checks are made."""

    methods: Methods = ("random", "gradient-free", "ista", "sigma-zero")
    """Other methods that attack the same samples; random and gradient-free are controls, which should do worse."""

    seeds: Annotated[int, Meta(ge=0, le=100)] = 2
    """Models trained from other seeds, attacked, and shown each other's examples."""

    plain: bool = True
    """Do the same with a plain network: one direction, values and masks of every hour, its last state."""

    max_samples: Annotated[int, Meta(ge=0)] = 200
    """Most samples of each of these attacks, the first in the dataset's order; 0 attacks all."""
