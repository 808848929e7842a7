"""Stage ``attack``, and the attack as a library.

>>> import torch
>>> from lstm_adversarial_attack.attack import attack
>>> class Threshold(torch.nn.Module):
...     def forward(self, values):
...         score = values[:, 3, 1] - 1.0
...         return torch.stack([-score, score], dim=1)
>>> result = attack(Threshold(), torch.zeros(2, 6, 4), torch.zeros(2, dtype=torch.int64))
>>> result.success.tolist(), result.sparsest.l0.tolist()
([True, True], [1, 1])
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lstm_adversarial_attack.attack.engine import attack
    from lstm_adversarial_attack.attack.methods import METHODS
    from lstm_adversarial_attack.attack.result import AttackResult, Found, Frontier

__all__ = ["METHODS", "AttackResult", "Found", "Frontier", "attack"]

_HOMES = {"METHODS": "methods", "AttackResult": "result", "Found": "result", "Frontier": "result", "attack": "engine"}


def __getattr__(name: str) -> Any:
    """Import what is asked for: joining shards, for which this package is opened too, goes without torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
