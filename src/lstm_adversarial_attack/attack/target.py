"""What is attacked: a trained model, the samples it gets right, and the bounds of their cells."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lstm_adversarial_attack.artifacts import Artifact
from lstm_adversarial_attack.attack.memory import fitting_batch
from lstm_adversarial_attack.attack.methods import METHODS, OF_EVERY_METHOD
from lstm_adversarial_attack.attack.model import attackable
from lstm_adversarial_attack.catalogue import Measurement
from lstm_adversarial_attack.datasets import LoadedDataset, load_dataset
from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.models import Decision, death_probability, load_model, predict_logits
from lstm_adversarial_attack.settings import AttackSettings

_CHARTED = "measurements.parquet"
#: Training samples looked at together.
_AT_ONCE = 4096


@dataclass(frozen=True)
class Target:
    """A model with its threshold, a dataset, and the bounds of each feature.

    Attributes:
        lower: [feature], model units.
        upper: [feature], model units.
        cost: [feature], what a change of one model unit costs: in multiples of the mean absolute change from one
            charted hour to the next, of the training samples.
        charted: file of what was charted (`frames.MEASUREMENTS`), where the values show it as it is carried forward;
            None of datasets whose gaps are filled otherwise, or whose values are clipped.
    """

    decision: Decision
    dataset: LoadedDataset
    lower: Tensor
    upper: Tensor
    cost: Tensor
    charted: Path | None

    @property
    def device(self) -> torch.device:
        """Where the tensors live."""
        return self.lower.device

    @property
    def std(self) -> Tensor:
        """[feature] float64, one model unit in the measurement's unit."""
        return torch.tensor(self.dataset.scaling.std, dtype=torch.float64, device=self.device)

    def clinical(self, values: Tensor) -> Tensor:
        """Return ``values`` [..., feature] in the measurements' units, float64."""
        mean = torch.tensor(self.dataset.scaling.mean, dtype=torch.float64, device=self.device)
        return values.double() * self.std + mean

    def figures(self, of: Callable[[Measurement], float]) -> Tensor:
        """Return a figure of each measurement, [feature] float64."""
        figures = [of(feature.measurement) for feature in self.dataset.features.features]
        return torch.tensor(figures, dtype=torch.float64, device=self.device)

    def chosen(self, split: str, most: int = 0, *, misclassified: bool = False) -> tuple[Tensor, Tensor]:
        """Return the indices [n] of the samples of ``split`` to attack, and what is predicted of each [n].

        They are those that are classified correctly, or all, the first ``most`` of them (0: all).
        """
        index = self.dataset.of_split(split)
        if len(index) == 0:
            return index, index
        decided = predict_logits(self.decision, self.dataset.tensors[index]).argmax(dim=1)
        if not misclassified:
            right = decided == self.dataset.tensors.labels[index]
            index, decided = index[right], decided[right]
        return (index[:most], decided[:most]) if most else (index, decided)

    def batch_size(self) -> int:
        """Return how many samples to attack at once here, by the memory that is free."""
        one = self.dataset.tensors[:1]
        with attackable(self.decision):
            return fitting_batch(self.decision, one.values, one.context)

    def death_probability(self, index: Tensor, values: Tensor | None = None) -> Tensor:
        """Return the probability of death [n], float64, of the samples at ``index``, with other ``values`` if given."""
        samples = self.dataset.tensors[index]
        if values is not None:
            samples = replace(samples, values=values)
        return death_probability(predict_logits(self.decision.model, samples))


def check_threat(settings: AttackSettings) -> None:
    """See that what was given is of use under the threat model.

    Raises:
        UserError: it is not.
    """
    for name, threat in (("max_rate", "charted"), ("pairs", "data-entry")):
        if getattr(settings, name) is not None and settings.threat != threat:
            raise UserError(f"--{name.replace('_', '-')} is of threat model {threat}, not of {settings.threat}")
    if settings.threat == "data-entry":
        given = "method" if settings.method != AttackSettings().method else next(iter(options_of(settings)), None)
        if given:
            raise UserError(f"--{given} has no use under threat model data-entry, which tries everything")


def options_of(settings: AttackSettings) -> dict[str, Any]:
    """Return the options of the method that were given a value.

    Raises:
        UserError: one of them is none of the method's.
    """
    names = {name for method in METHODS.values() for name in inspect.signature(method).parameters}
    given = {
        field.name: getattr(settings, field.name)
        for field in fields(settings)
        if field.name in names - OF_EVERY_METHOD and getattr(settings, field.name) is not None
    }
    known = inspect.signature(METHODS[settings.method]).parameters
    for name in given.keys() - known.keys():
        has = ", ".join(f"--{other}" for other in known if other not in OF_EVERY_METHOD) or "none"
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
    clipped = dataset.scaling.low is not None
    return Target(
        Decision(model, card.threshold).to(device).eval(),
        dataset,
        lower,
        upper,
        (1 / typical_changes(dataset)).float(),
        dataset_artifact.file(_CHARTED) if _CHARTED in dataset_artifact.manifest.files and not clipped else None,
    )


def typical_changes(dataset: LoadedDataset) -> Tensor:
    """Return the mean absolute change from one charted hour of a training sample to the next, [feature] model units.

    A feature that was not charted twice in any of them, or never changed, has 1.
    """
    training = dataset.of_split("train")
    total = dataset.tensors.values.new_zeros(len(dataset.features.features), dtype=torch.float64)
    count = torch.zeros_like(total)
    for part in torch.split(training, _AT_ONCE):
        samples = dataset.tensors[part]
        hours = torch.arange(samples.observed.shape[1], device=training.device)[:, None]
        last = torch.where(samples.observed, hours, -1).cummax(dim=1).values[:, :-1]
        again = samples.observed[:, 1:] & (last >= 0)
        change = (samples.values[:, 1:] - samples.values.gather(1, last.clamp_min(0))).abs().double()
        total += (change * again).sum(dim=(0, 1))
        count += again.sum(dim=(0, 1))
    return torch.where(total > 0, total / count.clamp_min(1), 1.0)


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
