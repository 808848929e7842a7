"""Methods of attack, one file each; a method takes a `Problem` and a `Keeper`, and spends ``steps`` a sample."""

from __future__ import annotations

from collections.abc import Callable

from lstm_adversarial_attack.attack.methods.controls import gradient_free, random
from lstm_adversarial_attack.attack.methods.fmn import fmn
from lstm_adversarial_attack.attack.methods.frontier import frontier
from lstm_adversarial_attack.attack.methods.greedy import greedy
from lstm_adversarial_attack.attack.methods.ista import ista
from lstm_adversarial_attack.attack.methods.reference import reference
from lstm_adversarial_attack.attack.methods.sigma_zero import sigma_zero

#: Arguments of a method that are no options of it.
OF_EVERY_METHOD = frozenset({"problem", "keeper", "steps", "seed", "reserve"})

METHODS: dict[str, Callable[..., None]] = {
    "frontier": frontier,
    "greedy": greedy,
    "ista": ista,
    "sigma-zero": sigma_zero,
    "fmn": fmn,
    "reference": reference,
    "random": random,
    "gradient-free": gradient_free,
}
