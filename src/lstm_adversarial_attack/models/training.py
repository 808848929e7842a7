"""Fitting a classifier: shared by the stages that train one and that search for its settings."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TypeVar

import msgspec
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from lstm_adversarial_attack.artifacts.contents import Architecture
from lstm_adversarial_attack.datasets import Tensors
from lstm_adversarial_attack.devices import derive_seed
from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.models.lstm import Ensemble, LstmClassifier, Read
from lstm_adversarial_attack.models.prediction import death_probability
from lstm_adversarial_attack.settings import TrainSettings

_LAST_LR_SHARE = 0.05
#: Share of the steps in which the learning rate of one-cycle rises, from a twentieth of its peak.
_RISE = 0.15
_MOMENTUM = 0.9
#: Samples that are read, or judged, at once.
_AT_ONCE = 256

_Sliced = TypeVar("_Sliced", Tensors, "_Samples")


class DivergedError(UserError):
    """The weights have left the range of numbers."""


class Epoch(msgspec.Struct, frozen=True):
    """What is known after an epoch: mean losses, and the validation figures (None where undefined)."""

    epoch: int
    train_loss: float
    validation_loss: float | None
    validation_auroc: float | None
    validation_auprc: float | None
    member: int = 0  # of an ensemble

    @property
    def score(self) -> float:
        """What early stopping maximises: validation AUPRC, or where that is undefined the negative loss."""
        if self.validation_auprc is not None:
            return self.validation_auprc
        return -(self.train_loss if self.validation_loss is None else self.validation_loss)


@dataclass(frozen=True)
class Fit:
    """A fitted network with the weights of its best epoch, and the history of all epochs."""

    model: LstmClassifier
    history: list[Epoch]
    best: Epoch


@dataclass(frozen=True)
class EnsembleFit:
    """A fitted classifier, of one network or several, and how each of them was fitted."""

    model: LstmClassifier | Ensemble
    members: list[Fit]

    @property
    def architecture(self) -> Architecture:
        """What it takes to build the model anew."""
        return msgspec.structs.replace(self.members[0].model.architecture, members=len(self.members))


def architecture_of(settings: TrainSettings, features: int, static_columns: int = 0) -> Architecture:
    """Return the architecture of one network that the settings describe."""
    return Architecture(
        features=features,
        static_columns=static_columns if settings.static else 0,
        hidden_units=settings.hidden_units,
        layers=settings.layers,
        bidirectional=settings.bidirectional,
        dropout=settings.dropout,
        inputs=settings.inputs,
        decay=settings.decay,
        pooling=settings.pooling,
        state_activation=settings.state_activation,
        head_units=settings.head_units,
        head_activation=settings.head_activation,
        input_dropout=settings.input_dropout,
        encoding_bins=settings.encoding_bins,
        projection_units=settings.projection_units,
        shortcut_units=settings.shortcut_units,
        hours_per_step=settings.hours_per_step,
    )


def fit(
    train: Tensors,
    validation: Tensors | None,
    settings: TrainSettings,
    *,
    taught: Tensor | None = None,
    mixed_precision: bool = False,
    checkpoint: Path | None = None,
    on_start: Callable[[int], None] = lambda _done: None,
    on_epoch: Callable[[Epoch], None] = lambda _epoch: None,
) -> Fit:
    """Fit an LSTM on ``train`` and keep the epoch with the best AUPRC on ``validation``.

    Every epoch draws its order and dropout from a seed of its own, so that a fit that goes on from its
    ``checkpoint`` ends, on the CPU, with the bits of one that was never stopped.

    Args:
        train: samples to learn from, on the device to work on.
        validation: samples to stop by. With None all epochs are made, and the last one's weights are kept.
        settings: of the network and its training; ``ensemble`` is not read.
        taught: a teacher's probability of death [sample] of the training samples, learned beside the labels with the
            weight ``settings.distillation``.
        mixed_precision: compute in bfloat16 where that is safe; weights stay float32.
        checkpoint: file written after every epoch, and gone on from where it exists.
        on_start: told how many epochs the checkpoint holds.
        on_epoch: told of every epoch; it may raise to end the fit.

    Raises:
        DivergedError: the learning rate was too large for the weights to stay finite.
    """
    run = _Run(train, validation, settings, taught, mixed_precision=mixed_precision)
    if checkpoint is not None and checkpoint.is_file():
        run.load(checkpoint)
    on_start(run.epochs)
    while not run.finished:
        epoch = run.one_epoch()
        if checkpoint is not None:
            run.save(checkpoint)
        on_epoch(epoch)
    return run.result()


def fit_ensemble(
    train: Tensors,
    validation: Tensors,
    settings: TrainSettings,
    *,
    taught: Tensor | None = None,
    mixed_precision: bool = False,
    checkpoint: Callable[[int], Path] | None = None,
    on_start: Callable[[int], None] = lambda _done: None,
    on_epoch: Callable[[Epoch], None] = lambda _epoch: None,
) -> EnsembleFit:
    """Fit ``settings.ensemble`` networks that differ in their seed; arguments as those of `fit`.

    The first member is what `fit` with the same settings gives. ``checkpoint`` names the file of each member;
    ``on_start`` is told how many epochs of all members are done.
    """
    fits: list[Fit] = []
    for member in range(settings.ensemble):
        seed = settings.seed if member == 0 else derive_seed(settings.seed, "member", member)

        def tell(epoch: Epoch, member: int = member) -> None:
            on_epoch(msgspec.structs.replace(epoch, member=member))

        def start(done: int, member: int = member) -> None:
            if member == 0 or done:
                on_start(sum(len(other.history) for other in fits) + done)

        fitted = fit(
            train,
            validation,
            replace(settings, seed=seed),
            taught=taught,
            mixed_precision=mixed_precision,
            checkpoint=checkpoint(member) if checkpoint else None,
            on_start=start,
            on_epoch=tell,
        )
        history = [msgspec.structs.replace(epoch, member=member) for epoch in fitted.history]
        fits.append(Fit(fitted.model, history, fitted.best))
    models = [fitted.model for fitted in fits]
    return EnsembleFit(models[0] if len(models) == 1 else Ensemble(models).eval(), fits)


class _Samples:
    """Labelled samples as the network reads them: once and for all, where that stays the same while it learns."""

    def __init__(self, model: LstmClassifier, samples: Tensors) -> None:
        self.labels = samples.labels
        self._given: Tensors | Read = samples
        if model.reads_alike and len(samples):
            with torch.no_grad():
                parts = [model.read(part.values, *part.context) for part in _parts(samples, len(samples), _AT_ONCE)]
            self._given = Read(*(torch.cat([getattr(p, f.name) for p in parts]) for f in fields(Read)))

    def __getitem__(self, index: Tensor | slice) -> _Samples:
        chosen = object.__new__(_Samples)
        chosen.labels, chosen._given = self.labels[index], self._given[index]
        return chosen

    def split(self, size: int) -> Iterator[_Samples]:
        """Return ``size`` samples at a time."""
        return _parts(self, len(self.labels), size)

    def logits(self, model: LstmClassifier) -> Tensor:
        """Return the logits [sample, 2] of ``model``."""
        if isinstance(self._given, Read):
            return model.decide(self._given)
        logits: Tensor = model(self._given.values, *self._given.context)
        return logits


def _parts(samples: _Sliced, count: int, size: int) -> Iterator[_Sliced]:
    return (samples[slice(start, start + size)] for start in range(0, count, size))


class _Run:
    """The moving parts of a fit: weights, optimizer, history and the best weights so far."""

    def __init__(
        self,
        train: Tensors,
        validation: Tensors | None,
        settings: TrainSettings,
        taught: Tensor | None,
        *,
        mixed_precision: bool,
    ) -> None:
        self._settings = settings
        self._target, self._mixed_precision = taught, mixed_precision
        torch.manual_seed(derive_seed(settings.seed, "weights"))
        architecture = architecture_of(settings, train.values.shape[2], train.static.shape[1])
        self._model = LstmClassifier(architecture).to(train.values.device)
        self._model.fit_encoding(train.values, train.observed)
        self._train = _Samples(self._model, train)
        self._validation: _Samples | None = None
        if validation is not None:
            self._validation = _Samples(self._model, validation)
        self._average: AveragedModel | None = None
        if settings.weight_averaging:
            average = get_ema_multi_avg_fn(settings.weight_averaging)  # type: ignore[no-untyped-call]
            self._average = AveragedModel(self._model, multi_avg_fn=average)
        self._optimizer = _optimizer(self._model, settings)
        self._class_weights = torch.tensor([1.0, settings.class_weight], device=train.values.device)
        self._history: list[Epoch] = []
        self._best_weights: dict[str, Tensor] = {}

    @property
    def _judged(self) -> LstmClassifier:
        """What is judged and kept: the network, or the running mean of it."""
        model = self._model if self._average is None else self._average.module
        assert isinstance(model, LstmClassifier)
        return model

    @property
    def _best(self) -> Epoch:
        if self._validation is None:
            return self._history[-1]
        return max(self._history, key=lambda epoch: (epoch.score, -epoch.epoch))

    @property
    def epochs(self) -> int:
        return len(self._history)

    @property
    def finished(self) -> bool:
        done = len(self._history)
        return done > 0 and (done >= self._settings.max_epochs or done - self._best.epoch >= self._settings.patience)

    def one_epoch(self) -> Epoch:
        number = len(self._history) + 1
        torch.manual_seed(derive_seed(self._settings.seed, "epoch", number))
        order = torch.randperm(len(self._train.labels)).to(self._train.labels.device)
        self._model.train()
        total = torch.zeros((), device=order.device)
        shuffled = self._train[order]  # at once: batches are then views of it
        target = None if self._target is None else self._target[order]
        size = self._settings.batch_size
        starts = range(0, len(order), size)
        for done, start in enumerate(starts):
            part = slice(start, start + size)
            for group in self._optimizer.param_groups:
                group["lr"] = lr_at(self._settings, number - 1 + done / len(starts))
            batch = shuffled[part]
            loss = self._step(batch, None if target is None else target[part])
            total += loss * len(batch.labels)
        epoch = _judge(self._judged, self._validation, number, float(total) / len(order))
        self._history.append(epoch)
        if self._best.epoch == number:
            self._best_weights = {name: w.detach().clone() for name, w in self._judged.state_dict().items()}
        return epoch

    def _step(self, batch: _Samples, target: Tensor | None) -> Tensor:
        with torch.autocast(batch.labels.device.type, torch.bfloat16, enabled=self._mixed_precision):
            logits = batch.logits(self._model).float()
        loss = cross_entropy(logits, batch.labels, weight=self._class_weights)
        if target is not None:
            by_target = binary_cross_entropy_with_logits(logits[:, 1] - logits[:, 0], target)
            loss = loss + self._settings.distillation * (by_target - loss)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._model.parameters(), self._settings.gradient_clip)
        self._optimizer.step()
        if self._average is not None:
            self._average.update_parameters(self._model)
        return loss.detach()

    def result(self) -> Fit:
        self._model.load_state_dict(self._best_weights)
        return Fit(self._model.eval(), self._history, self._best)

    def save(self, path: Path) -> None:
        """Write everything in one file, under another name first, so that a kill leaves the last one whole."""
        tensors = {f"model.{name}": weight for name, weight in self._model.state_dict().items()}
        if self._average is not None:
            tensors |= {f"average.{name}": weight for name, weight in self._average.state_dict().items()}
        tensors |= {f"best.{name}": weight for name, weight in self._best_weights.items()}
        for index, state in self._optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": value for name, value in state.items() if value is not None}
        history = msgspec.json.encode(self._history).decode()
        partial = path.with_suffix(".partial")
        save_file({n: t.detach().cpu().contiguous() for n, t in tensors.items()}, partial, {"history": history})
        partial.replace(path)

    def load(self, path: Path) -> None:
        device = str(self._train.labels.device)
        with safe_open(path, framework="pt", device=device) as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
            self._history = msgspec.json.decode(file.metadata()["history"], type=list[Epoch])
        self._model.load_state_dict(_below(tensors, "model."))
        if self._average is not None:
            self._average.load_state_dict(_below(tensors, "average."))
        self._best_weights = _below(tensors, "best.")
        states: dict[int, dict[str, Tensor]] = {}
        for name, value in _below(tensors, "optimizer.").items():
            index, _, key = name.partition(".")
            states.setdefault(int(index), {})[key] = value.cpu() if key == "step" else value
        self._optimizer.load_state_dict({**self._optimizer.state_dict(), "state": states})


def _optimizer(model: nn.Module, settings: TrainSettings) -> torch.optim.Optimizer:
    lr, decay = settings.lr, settings.weight_decay
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=decay)
    if settings.optimizer == "adam":
        return torch.optim.Adam(model.parameters(), lr=lr, weight_decay=decay)
    if settings.optimizer == "rmsprop":
        return torch.optim.RMSprop(model.parameters(), lr=lr, weight_decay=decay)
    return torch.optim.SGD(model.parameters(), lr=lr, weight_decay=decay, momentum=_MOMENTUM)


def lr_at(settings: TrainSettings, epochs: float) -> float:
    """Return the learning rate after so many epochs, fractions included."""
    if settings.schedule == "constant":
        return settings.lr
    done = epochs / settings.max_epochs
    if settings.schedule == "one-cycle":
        if done < _RISE:
            return settings.lr * (_LAST_LR_SHARE + (1 - _LAST_LR_SHARE) * done / _RISE)
        done = (done - _RISE) / (1 - _RISE)
    return settings.lr * (_LAST_LR_SHARE + (1 - _LAST_LR_SHARE) * (1 + math.cos(math.pi * done)) / 2)


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _judge(model: LstmClassifier, validation: _Samples | None, number: int, train_loss: float) -> Epoch:
    if not math.isfinite(train_loss):
        raise DivergedError(f"training diverged in epoch {number}: its loss is no number; lower --lr")
    if validation is None:
        return Epoch(number, train_loss, None, None, None)
    model.eval()
    with torch.no_grad():
        logits = torch.cat([part.logits(model) for part in validation.split(_AT_ONCE)])
    if not logits.isfinite().all():
        raise DivergedError(f"training diverged in epoch {number}: its outputs are no numbers; lower --lr")
    loss = float(cross_entropy(logits, validation.labels))
    if not math.isfinite(loss):
        raise DivergedError(f"training diverged in epoch {number}: its loss is no number; lower --lr")
    labels, probability = validation.labels.cpu().numpy(), death_probability(logits).cpu().numpy()
    both = 0 < labels.sum() < len(labels)
    return Epoch(
        epoch=number,
        train_loss=train_loss,
        validation_loss=loss,
        validation_auroc=float(roc_auc_score(labels, probability)) if both else None,
        validation_auprc=float(average_precision_score(labels, probability)) if both else None,
    )
