"""Attacks of other libraries, on a model whose passes are counted.

The libraries are no dependencies of this project. They are installed into a folder of their own, see `INSTALL`.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from unittest.mock import MagicMock

import torch
from torch import Tensor, nn

INSTALL = """Peers are installed beside the development environment, into a folder that --peers (make: PEERS=) names:
  pip install --target TOOLS 'setuptools<80' wheel
  pip install --target FOLDER --no-deps foolbox==3.3.4 eagerpy==0.30.0 adversarial-robustness-toolbox==1.20.1
  PYTHONPATH=TOOLS pip install --target FOLDER --no-deps --no-build-isolation adv-lib==0.2.8"""
#: What adv-lib imports for attacks that are not called here.
_UNUSED = ("torchvision", "torchvision.models", "torchvision.transforms", "visdom")
#: A forward pass costs a third of a gradient evaluation, a backward pass two thirds.
FORWARD, BACKWARD = 1 / 3, 2 / 3
#: Gradient evaluations of a step: two forward passes and a backward one; ElasticNet makes four of each, as counted.
_EAD_STEP, _FAB_STEP, _ELASTIC_NET_STEP = 2 * FORWARD + BACKWARD, 2 * FORWARD + BACKWARD, 4.0


class Counted(nn.Module):
    """A model of values in [0, 1], whose forward and backward passes are counted for each sample.

    Attributes:
        forwards: [sample] float64; where the samples are not named in a call, each gets an equal share.
        backwards: likewise.
    """

    def __init__(self, model: nn.Module, low: Tensor, high: Tensor) -> None:
        """Wrap ``model``, which reads values and masks; ``low`` and ``high`` [feature] are 0 and 1 of the values."""
        super().__init__()
        self.model = model
        self.low, self.span = low, (high - low).clamp_min(1e-6)
        self.reset(1)

    def reset(self, samples: int) -> None:
        """Count anew."""
        self.forwards, self.backwards = (torch.zeros(samples, dtype=torch.float64) for _ in range(2))

    @property
    def evaluations(self) -> Tensor:
        """[sample], forward and backward passes in gradient evaluations."""
        return FORWARD * self.forwards + BACKWARD * self.backwards

    def forward(self, values: Tensor, rows: Tensor | None = None) -> Tensor:
        """Return logits [sample, 2] of values [sample, hour, feature]; ``rows`` [sample] says which samples."""
        self._count(self.forwards, values, rows)
        logits: Tensor = self.model(values * self.span + self.low, torch.ones_like(values, dtype=torch.bool))
        if logits.requires_grad:
            logits.register_hook(lambda _gradient: self._count(self.backwards, values, rows))
        return logits

    @staticmethod
    def _count(passes: Tensor, values: Tensor, rows: Tensor | None) -> None:
        if rows is None:
            passes += len(values) / len(passes)
        else:
            passes.index_add_(0, rows.cpu(), torch.ones(len(rows), dtype=torch.float64))


@dataclass(frozen=True)
class Peer:
    """An attack of another library.

    Attributes:
        package: distribution that holds it.
        run: model, values [sample, hour, feature] in [0, 1], labels and gradient evaluations in, values out.
    """

    package: str
    run: Callable[[Counted, Tensor, Tensor, int], Tensor]

    @property
    def version(self) -> str | None:
        """Return the installed version; None where it is missing."""
        with suppress(PackageNotFoundError):
            return version(self.package)
        return None


def find(folder: str | None) -> None:
    """Look for libraries in ``folder`` too."""
    if folder:
        sys.path.append(folder)
    for name in _UNUSED:
        try:
            import_module(name)
        except ImportError:
            sys.modules[name] = MagicMock(__spec__=None)


def _adv_lib(name: str, steps_of: str, **settings: Any) -> Callable[[Counted, Tensor, Tensor, int], Tensor]:
    share = _FAB_STEP if name == "fab" else 1.0

    def run(model: Counted, values: Tensor, labels: Tensor, steps: int) -> Tensor:
        attack = getattr(import_module("adv_lib.attacks"), name)
        found: Tensor = attack(model, values, labels, **{steps_of: round(steps / share)}, **settings)
        return found

    return run


def _foolbox(make: Callable[[Any, int], Any]) -> Callable[[Counted, Tensor, Tensor, int], Tensor]:
    def run(model: Counted, values: Tensor, labels: Tensor, steps: int) -> Tensor:
        foolbox = import_module("foolbox")
        wrapped = foolbox.PyTorchModel(model, bounds=(0, 1), device=values.device)
        found: Tensor = make(foolbox, steps).run(wrapped, values, foolbox.criteria.Misclassification(labels))
        return found.detach()

    return run


def _ead(rounds: int, **settings: Any) -> Callable[[Any, int], Any]:
    def make(foolbox: Any, steps: int) -> Any:
        each = max(1, math.floor(steps / _EAD_STEP / rounds))
        return foolbox.attacks.EADAttack(binary_search_steps=rounds, steps=each, decision_rule="L1", **settings)

    return make


def _elastic_net(rounds: int, **settings: Any) -> Any:
    def run(model: Counted, values: Tensor, labels: Tensor, steps: int) -> Tensor:
        classifier = import_module("art.estimators.classification").PyTorchClassifier(
            model,
            loss=nn.CrossEntropyLoss(),
            input_shape=tuple(values.shape[1:]),
            nb_classes=2,
            clip_values=(0, 1),
            device_type="gpu" if values.is_cuda else "cpu",
        )
        attack = import_module("art.attacks.evasion").ElasticNet(
            classifier,
            binary_search_steps=rounds,
            max_iter=max(1, math.floor(steps / _ELASTIC_NET_STEP / rounds)),
            batch_size=len(values),
            decision_rule="L1",
            verbose=False,
            **settings,
        )
        found = attack.generate(values.cpu().numpy(), nn.functional.one_hot(labels, 2).cpu().numpy())
        return torch.from_numpy(found).to(values)

    return run


#: Settings beside the number of steps are the libraries' own, but for those of the two elastic-net attacks: theirs are
#: meant for thousands of steps. The ones here reached the least median L1 of some 20 and 10 tried on 32 samples.
PEERS: dict[str, Peer] = {
    "adv-lib sigma-zero": Peer("adv-lib", _adv_lib("sigma_zero", "num_steps")),
    "adv-lib FMN-L0": Peer("adv-lib", _adv_lib("fmn", "steps", norm=0)),
    "adv-lib FMN-L1": Peer("adv-lib", _adv_lib("fmn", "steps", norm=1)),
    "adv-lib PDPGD-L1": Peer("adv-lib", _adv_lib("pdpgd", "num_steps", norm=1)),
    "adv-lib FAB-L1": Peer("adv-lib", _adv_lib("fab", "n_iter", norm=1)),
    "foolbox EAD": Peer("foolbox", _foolbox(_ead(5, initial_const=1.0, initial_stepsize=0.005, abort_early=False))),
    "foolbox L0FMN": Peer("foolbox", _foolbox(lambda foolbox, steps: foolbox.attacks.L0FMNAttack(steps=steps))),
    "ART ElasticNet": Peer(
        "adversarial-robustness-toolbox", _elastic_net(3, initial_const=10.0, learning_rate=0.005, beta=0.01)
    ),
}


def serial_ista(
    model: Counted, values: Tensor, labels: Tensor, *, weights: int = 25, iterations: int = 100, lr: float = 0.05
) -> Tensor:
    """Attack one patient at a time as Sun et al. (KDD 2018) do; return values [sample, hour, feature].

    For each of the ``weights`` of the L1 term, iterative shrinkage-thresholding goes on until the prediction turns,
    ``iterations`` at most; the smallest example of all weights is kept. The first step moves the cell of the largest
    gradient by ``lr``; weights are shares of that gradient, from 0.001 to 0.9.
    """
    found = values.clone()
    for row in range(len(values)):
        one, label = values[row : row + 1], labels[row : row + 1]
        best = math.inf
        scale = None
        for share in torch.logspace(math.log10(0.001), math.log10(0.9), weights).tolist():
            changed = one.clone()
            for _ in range(iterations):
                changed.requires_grad_()
                logits = model(changed)
                margin = logits[0, label] - logits[0, 1 - label]
                if float(margin.detach()) < 0:
                    size = float((changed - one).detach().abs().sum())
                    if size < best:
                        best, found[row] = size, changed[0].detach()
                    break
                (gradient,) = torch.autograd.grad(margin.sum(), changed)
                scale = gradient.abs().max() if scale is None else scale
                step = lr / scale
                moved = changed.detach() - step * gradient - one
                shrunk = moved.sign() * (moved.abs() - step * share * scale).clamp_min(0)
                changed = (one + shrunk).clamp(0, 1)
    return found
