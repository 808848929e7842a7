"""The reference system's training of one fold, written from its description, with its mistakes.

The network's output has been through a softmax when cross-entropy takes another, class balance comes from a sampler
that draws with replacement, and the kept epoch is the one with the best F1 over the training fold seen through that
sampler.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from sklearn.metrics import f1_score, roc_auc_score
from torch import Tensor
from torch.nn.functional import cross_entropy

from lstm_adversarial_attack.audit.checkpoint import EpochScore, load, save
from lstm_adversarial_attack.audit.settings import AuditSettings, architecture_of
from lstm_adversarial_attack.datasets import Tensors
from lstm_adversarial_attack.devices import derive_seed
from lstm_adversarial_attack.models import LstmClassifier, predict_logits
from lstm_adversarial_attack.models.training import DivergedError

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

#: A death is predicted from this probability on, as the reference system does.
THRESHOLD = 0.5


@dataclass(frozen=True)
class FoldFit:
    """A fold's network with the weights of its best epoch.

    Attributes:
        model: the network.
        history: of all epochs.
        best_epoch: the first with the best reference-style F1, from 1.
        probability: of death by these weights, for every sample of the dataset, ``[sample]``.
        drawn: the draw of the training fold on which that epoch was chosen, as indices into the dataset.
    """

    model: LstmClassifier
    history: list[EpochScore]
    best_epoch: int
    probability: Floats
    drawn: Integers


def balanced_draw(labels: Tensor, seed: int) -> Tensor:
    """Return as many indices as there are samples, drawn with replacement so that both classes are as likely.

    Args:
        labels: [sample] int64, 0 or 1, both present.
        seed: of the draw.
    """
    weights = (1.0 / torch.bincount(labels.cpu(), minlength=2).double())[labels.cpu()]
    generator = torch.Generator().manual_seed(seed)
    return torch.multinomial(weights, len(labels), replacement=True, generator=generator).to(labels.device)


def death_shares(model: LstmClassifier, samples: Tensors) -> Floats:
    """Return the probability of death ``[sample]`` that the recipe's network gives: its outputs are probabilities."""
    outputs = predict_logits(model, samples)
    if not outputs.isfinite().all():
        raise DivergedError("training diverged: the network's outputs are no numbers; lower --lr")
    return outputs[:, 1].double().cpu().numpy()


def train_fold(
    samples: Tensors,
    held_out: npt.NDArray[np.bool_],
    settings: AuditSettings,
    fold: int,
    *,
    mixed_precision: bool = False,
    checkpoint: Path | None = None,
    on_start: Callable[[int], None] = lambda _done: None,
    on_epoch: Callable[[EpochScore], None] = lambda _epoch: None,
) -> FoldFit:
    """Train the recipe on the samples that are not held out, and keep its best epoch by its own score.

    Every epoch draws from a seed of its own, so that training that goes on from its ``checkpoint`` ends, on the CPU,
    with the bits of one that was never stopped.

    Args:
        samples: of the whole dataset, on the device to work on.
        held_out: which of them this fold holds out, ``[sample]``.
        settings: of the audit.
        fold: its number, from 0, which enters the seed.
        mixed_precision: compute in bfloat16 where that is safe; weights stay float32.
        checkpoint: file written after every epoch, and gone on from where it exists.
        on_start: told how many epochs the checkpoint holds.
        on_epoch: told of every epoch.

    Raises:
        DivergedError: the learning rate was too large for the weights to stay finite.
    """
    run = _Run(samples, held_out, settings, fold, mixed_precision=mixed_precision)
    if checkpoint is not None and checkpoint.is_file():
        run.load(checkpoint)
    on_start(len(run.history))
    while len(run.history) < settings.epochs:
        epoch = run.one_epoch()
        if checkpoint is not None:
            run.save(checkpoint)
        on_epoch(epoch)
    return run.result()


class _Run:
    """The moving parts of a fold's training."""

    def __init__(
        self,
        samples: Tensors,
        held_out: npt.NDArray[np.bool_],
        settings: AuditSettings,
        fold: int,
        *,
        mixed_precision: bool,
    ) -> None:
        device = samples.labels.device
        self._samples, self._settings, self._fold = samples, settings, fold
        self._train = torch.from_numpy(np.flatnonzero(~held_out)).to(device)
        self._held_out, self._mixed_precision = held_out, mixed_precision
        self._labels = samples.labels.cpu().numpy()
        torch.manual_seed(self._seed("weights"))
        self._model = LstmClassifier(architecture_of(settings, samples.values.shape[2])).to(device)
        self._optimizer = torch.optim.Adam(self._model.parameters(), lr=settings.lr)
        self._best: dict[str, Tensor] = {}
        self.history: list[EpochScore] = []

    def _seed(self, *parts: int | str) -> int:
        return derive_seed(self._settings.seed, "fold", self._fold, *parts)

    @property
    def _best_epoch(self) -> int:
        return max(self.history, key=lambda epoch: (epoch.reference_f1, -epoch.epoch)).epoch

    def one_epoch(self) -> EpochScore:
        number = len(self.history) + 1
        torch.manual_seed(self._seed("epoch", number))
        self._model.train()
        total = torch.zeros((), device=self._train.device)
        drawn = self._draw("training draw", number)
        for index in torch.split(drawn, self._settings.batch_size):
            total += self._step(index) * len(index)
        epoch = self._judge(number, float(total) / len(drawn))
        self.history.append(epoch)
        if self._best_epoch == number:
            self._best = {name: weight.detach().clone() for name, weight in self._model.state_dict().items()}
        return epoch

    def _draw(self, purpose: str, number: int) -> Tensor:
        """Return indices into the dataset: the training fold as the class-balancing sampler shows it."""
        return self._train[balanced_draw(self._samples.labels[self._train], self._seed(purpose, number))]

    def _step(self, index: Tensor) -> Tensor:
        batch = self._samples[index]
        with torch.autocast(index.device.type, torch.bfloat16, enabled=self._mixed_precision):
            outputs = self._model(batch.values, *batch.context).float()
        loss = cross_entropy(outputs, batch.labels)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        return loss.detach()

    def _judge(self, number: int, loss: float) -> EpochScore:
        probability, labels = death_shares(self._model, self._samples), self._labels
        died, out = probability >= THRESHOLD, self._held_out
        drawn = self._draw("scored draw", number).cpu().numpy()
        return EpochScore(
            epoch=number,
            loss=loss,
            reference_f1=float(f1_score(labels[drawn], died[drawn], zero_division=0)),
            held_out_f1=float(f1_score(labels[out], died[out], zero_division=0)),
            held_out_auroc=float(roc_auc_score(labels[out], probability[out])),
        )

    def result(self) -> FoldFit:
        self._model.load_state_dict(self._best)
        return FoldFit(
            self._model.eval(),
            self.history,
            self._best_epoch,
            death_shares(self._model, self._samples),
            self._draw("scored draw", self._best_epoch).cpu().numpy(),
        )

    def save(self, path: Path) -> None:
        save(path, self._model.state_dict(), self._best, self._optimizer, self.history)

    def load(self, path: Path) -> None:
        weights, self._best, self.history = load(path, self._optimizer, self._train.device)
        self._model.load_state_dict(weights)
