"""What is attacked: a trained model, the samples it gets right, and the bounds of their cells."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from lstm_adversarial_attack.artifacts import Artifact
from lstm_adversarial_attack.attack.engine import attack
from lstm_adversarial_attack.attack.memory import fitting_batch
from lstm_adversarial_attack.attack.methods import METHODS
from lstm_adversarial_attack.attack.model import attackable
from lstm_adversarial_attack.attack.result import AttackResult
from lstm_adversarial_attack.datasets import LoadedDataset, load_dataset
from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.models import Decision, death_probability, load_model, predict_logits
from lstm_adversarial_attack.settings import AttackSettings

#: Standardised units by which float32 may miss a bound, such as a saturation of 100 %.
_SLACK = 1e-4
_OF_EVERY_METHOD = {"problem", "keeper", "steps", "seed"}


@dataclass(frozen=True)
class Target:
    """A model with its threshold, a dataset, and the bounds of each feature.

    Attributes:
        lower: [feature], model units.
        upper: [feature], model units.
    """

    decision: Decision
    dataset: LoadedDataset
    lower: Tensor
    upper: Tensor

    @property
    def device(self) -> torch.device:
        """Where the tensors live."""
        return self.lower.device

    def correct(self, split: str, most: int = 0) -> Tensor:
        """Return the indices of the correctly classified samples of ``split``, the first ``most`` (0: all)."""
        index = self.dataset.of_split(split)
        if len(index) == 0:
            return index
        decided = predict_logits(self.decision, self.dataset.tensors[index]).argmax(dim=1)
        right = index[decided == self.dataset.tensors.labels[index]]
        return right[:most] if most else right

    def batch_size(self) -> int:
        """Return how many samples to attack at once here, by the memory that is free."""
        one = self.dataset.tensors[:1]
        with attackable(self.decision):
            return fitting_batch(self.decision, one.values, one.context)

    def attack(self, index: Tensor, settings: AttackSettings, batch_size: int | None = None) -> AttackResult:
        """Attack the samples at ``index``, all at once if ``batch_size`` says no other number.

        Cells that lie outside the physiological range already are left alone.
        """
        batch = self.dataset.tensors[index]
        return attack(
            self.decision,
            batch.values,
            batch.labels,
            context=batch.context,
            lower=self.lower,
            upper=self.upper,
            editable=(batch.values >= self.lower - _SLACK) & (batch.values <= self.upper + _SLACK),
            method=settings.method,
            steps=settings.steps,
            kappa=settings.kappa,
            seed=settings.seed,
            batch_size=batch_size or len(index),
            **options_of(settings),
        )

    def death_probability(self, index: Tensor, delta: Tensor | None = None) -> Tensor:
        """Return the probability of death [n], float64, of the samples at ``index``, perturbed by ``delta``."""
        samples = self.dataset.tensors[index]
        if delta is not None:
            samples = replace(samples, values=samples.values + delta)
        return death_probability(predict_logits(self.decision.model, samples))


def options_of(settings: AttackSettings) -> dict[str, Any]:
    """Return the options of the method that were given a value.

    Raises:
        UserError: one of them is none of the method's.
    """
    names = {name for method in METHODS.values() for name in inspect.signature(method).parameters}
    given = {
        field.name: getattr(settings, field.name)
        for field in fields(settings)
        if field.name in names - _OF_EVERY_METHOD and getattr(settings, field.name) is not None
    }
    known = inspect.signature(METHODS[settings.method]).parameters
    for name in given.keys() - known.keys():
        has = ", ".join(f"--{other}" for other in known if other not in _OF_EVERY_METHOD) or "none"
        raise UserError(f"--{name} is no option of method {settings.method}, which has: {has}")
    return given


def load_target(dataset_artifact: Artifact, model_artifact: Artifact, device: torch.device) -> Target:
    """Load dataset and model and see that they belong together.

    Raises:
        UserError: the model was trained on another dataset.
    """
    trained_on = model_artifact.manifest.inputs.get("dataset")
    if trained_on != dataset_artifact.digest:
        raise UserError(
            f"{model_artifact.path}: the model was trained on another dataset than {dataset_artifact.path}; "
            "its split and scaling would not hold here; give the dataset it was trained on"
        )
    dataset = load_dataset(dataset_artifact, device)
    model, card = load_model(model_artifact)
    lower, upper = (bound.float().to(device) for bound in _bounds(dataset))
    return Target(Decision(model, card.threshold).to(device).eval(), dataset, lower, upper)


def _bounds(dataset: LoadedDataset) -> tuple[Tensor, Tensor]:
    """Return the physiological range in model units [feature], within the range that scaling can produce."""
    scaling = dataset.scaling
    mean, std = (torch.tensor(figure, dtype=torch.float64) for figure in (scaling.mean, scaling.std))
    ranges = torch.tensor([f.measurement.physiological for f in dataset.features.features], dtype=torch.float64)
    lower, upper = ((ranges[:, side] - mean) / std for side in (0, 1))
    if scaling.low is not None and scaling.high is not None:
        lower = torch.maximum(lower, torch.tensor(scaling.low, dtype=torch.float64))
        upper = torch.minimum(upper, torch.tensor(scaling.high, dtype=torch.float64))
    return lower, torch.maximum(lower, upper)  # where the two ranges do not meet, nothing can be changed
