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

from lstm_adversarial_attack.attack.engine import attack
from lstm_adversarial_attack.attack.methods import METHODS
from lstm_adversarial_attack.attack.result import AttackResult, Found, Frontier

__all__ = ["METHODS", "AttackResult", "Found", "Frontier", "attack"]
