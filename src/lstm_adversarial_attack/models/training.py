"""Fitting a classifier: shared by the stages that train one and that search for its settings."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from lstm_adversarial_attack.artifacts.contents import Architecture
from lstm_adversarial_attack.datasets import Tensors
from lstm_adversarial_attack.devices import derive_seed
from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.models.lstm import LstmClassifier
from lstm_adversarial_attack.models.prediction import death_probability, predict_logits
from lstm_adversarial_attack.settings import TrainSettings

_LAST_LR_SHARE = 0.05


class DivergedError(UserError):
    """The weights have left the range of numbers."""


class Epoch(msgspec.Struct, frozen=True):
    """What is known after an epoch: mean losses, and the validation figures (None where undefined)."""

    epoch: int
    train_loss: float
    validation_loss: float
    validation_auroc: float | None
    validation_auprc: float | None

    @property
    def score(self) -> float:
        """What early stopping maximises: validation AUPRC, or where that is undefined the negative loss."""
        return -self.validation_loss if self.validation_auprc is None else self.validation_auprc


@dataclass(frozen=True)
class Fit:
    """A fitted classifier with the weights of its best epoch, and the history of all epochs."""

    model: LstmClassifier
    history: list[Epoch]
    best: Epoch


def architecture_of(settings: TrainSettings, features: int) -> Architecture:
    """Return the architecture that the settings describe."""
    return Architecture(
        features=features,
        hidden_units=settings.hidden_units,
        layers=settings.layers,
        bidirectional=settings.bidirectional,
        dropout=settings.dropout,
    )


def fit(
    train: Tensors,
    validation: Tensors,
    settings: TrainSettings,
    *,
    checkpoint: Path | None = None,
    on_start: Callable[[int], None] = lambda _done: None,
    on_epoch: Callable[[Epoch], None] = lambda _epoch: None,
) -> Fit:
    """Fit an LSTM on ``train`` and keep the epoch with the best AUPRC on ``validation``.

    Every epoch draws its order and dropout from a seed of its own, so that a fit that goes on from its
    ``checkpoint`` ends, on the CPU, with the bits of one that was never stopped. ``on_start`` is told how many
    epochs the checkpoint holds; ``on_epoch`` may raise to end the fit.

    Raises:
        DivergedError: the learning rate was too large for the weights to stay finite.
    """
    run = _Run(train, validation, settings)
    if checkpoint is not None and checkpoint.is_file():
        run.load(checkpoint)
    on_start(run.epochs)
    while not run.finished:
        epoch = run.one_epoch()
        if checkpoint is not None:
            run.save(checkpoint)
        on_epoch(epoch)
    return run.result()


class _Run:
    """The moving parts of a fit: weights, optimizer, history and the best weights so far."""

    def __init__(self, train: Tensors, validation: Tensors, settings: TrainSettings) -> None:
        self._train, self._validation, self._settings = train, validation, settings
        torch.manual_seed(derive_seed(settings.seed, "weights"))
        self._model = LstmClassifier(architecture_of(settings, train.values.shape[2])).to(train.values.device)
        self._optimizer = torch.optim.AdamW(
            self._model.parameters(), lr=settings.lr, weight_decay=settings.weight_decay
        )
        self._history: list[Epoch] = []
        self._best_weights: dict[str, Tensor] = {}

    @property
    def _best(self) -> Epoch:
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
        order = torch.randperm(len(self._train)).to(self._train.labels.device)
        for group in self._optimizer.param_groups:
            group["lr"] = self._lr(number)
        self._model.train()
        total = torch.zeros((), device=order.device)
        for batch in torch.split(order, self._settings.batch_size):
            total += self._step(self._train[batch]) * len(batch)
        epoch = _judge(self._model, self._validation, number, float(total) / len(self._train))
        self._history.append(epoch)
        if self._best.epoch == number:
            self._best_weights = {name: w.detach().clone() for name, w in self._model.state_dict().items()}
        return epoch

    def _lr(self, epoch: int) -> float:
        """Return the learning rate of an epoch: a cosine from the peak to a twentieth."""
        turn = math.cos(math.pi * (epoch - 1) / self._settings.max_epochs)
        return self._settings.lr * (_LAST_LR_SHARE + (1 - _LAST_LR_SHARE) * (1 + turn) / 2)

    def _step(self, batch: Tensors) -> Tensor:
        loss = cross_entropy(self._model(batch.values, batch.observed), batch.labels)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._model.parameters(), self._settings.gradient_clip)
        self._optimizer.step()
        return loss.detach()

    def result(self) -> Fit:
        self._model.load_state_dict(self._best_weights)
        return Fit(self._model.eval(), self._history, self._best)

    def save(self, path: Path) -> None:
        """Write everything in one file, under another name first, so that a kill leaves the last one whole."""
        tensors = {f"model.{name}": weight for name, weight in self._model.state_dict().items()}
        tensors |= {f"best.{name}": weight for name, weight in self._best_weights.items()}
        for index, state in self._optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": value for name, value in state.items()}
        history = msgspec.json.encode(self._history).decode()
        partial = path.with_suffix(".partial")
        save_file({n: t.detach().cpu().contiguous() for n, t in tensors.items()}, partial, {"history": history})
        partial.replace(path)

    def load(self, path: Path) -> None:
        device = str(self._train.values.device)
        with safe_open(path, framework="pt", device=device) as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
            self._history = msgspec.json.decode(file.metadata()["history"], type=list[Epoch])
        self._model.load_state_dict(_below(tensors, "model."))
        self._best_weights = _below(tensors, "best.")
        states: dict[int, dict[str, Tensor]] = {}
        for name, value in _below(tensors, "optimizer.").items():
            index, _, key = name.partition(".")
            states.setdefault(int(index), {})[key] = value.cpu() if key == "step" else value
        self._optimizer.load_state_dict({**self._optimizer.state_dict(), "state": states})


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _judge(model: nn.Module, validation: Tensors, number: int, train_loss: float) -> Epoch:
    logits = predict_logits(model, validation)
    if not logits.isfinite().all():
        raise DivergedError(f"training diverged in epoch {number}: its outputs are no numbers; lower --lr")
    loss = float(cross_entropy(logits, validation.labels))
    labels, probability = validation.labels.cpu().numpy(), death_probability(logits).cpu().numpy()
    both = 0 < labels.sum() < len(labels)
    return Epoch(
        epoch=number,
        train_loss=train_loss,
        validation_loss=loss,
        validation_auroc=float(roc_auc_score(labels, probability)) if both else None,
        validation_auprc=float(average_precision_score(labels, probability)) if both else None,
    )
