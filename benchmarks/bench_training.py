"""Training against its limit: a bare loop over tensors that lie ready, with the same network, backward pass and step.

Both fit the same network on the same samples in alternate rounds of one run, and the ratio of their medians is what
counts. What training does beside the steps (order, learning rate, clipping, judging on validation samples, history,
checkpoint after each epoch) is the excess.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy

from lstm_adversarial_attack.datasets import Tensors
from lstm_adversarial_attack.models import LstmClassifier
from lstm_adversarial_attack.models.training import architecture_of, fit
from lstm_adversarial_attack.settings import TrainSettings

HOURS = 48
GOAL = 0.9


def samples(count: int, features: int, seed: int, device: torch.device) -> Tensors:
    """Return random samples; a tenth dies."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(count, HOURS, features, generator=generator)
    observed = torch.rand(count, HOURS, features, generator=generator) < 0.3
    labels = (torch.rand(count, generator=generator) < 0.1).long()
    static, known = torch.randn(count, 7, generator=generator), torch.ones(count, 7, dtype=torch.bool)
    return Tensors(*(part.to(device) for part in (values, observed, labels, static, known)))


def bare(train: Tensors, settings: TrainSettings, *, mixed: bool) -> None:
    """Take the steps of training and nothing else."""
    torch.manual_seed(0)
    architecture = architecture_of(settings, train.values.shape[2], train.static.shape[1])
    model = LstmClassifier(architecture).to(train.values.device).train()
    model.fit_encoding(train.values, train.observed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)
    ready = [train[index] for index in torch.arange(len(train)).to(train.labels.device).split(settings.batch_size)]
    for _ in range(settings.max_epochs):
        for batch in ready:
            with torch.autocast(batch.labels.device.type, torch.bfloat16, enabled=mixed):
                logits = model(batch.values, *batch.context).float()
            optimizer.zero_grad(set_to_none=True)
            cross_entropy(logits, batch.labels).backward()
            optimizer.step()


def whole(train: Tensors, validation: Tensors, settings: TrainSettings, *, mixed: bool) -> None:
    """Train as the stage does."""
    with tempfile.TemporaryDirectory() as folder:
        fit(train, validation, settings, mixed_precision=mixed, checkpoint=Path(folder) / "checkpoint.safetensors")


def seconds(work: object, device: torch.device) -> float:
    """Time one call to its end, on the device too."""
    started = time.perf_counter()
    work()  # type: ignore[operator]
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def main() -> None:
    """Print the table and the targets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=3000)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    torch.set_num_threads(1)
    mixed = device.type == "cuda"
    fixed = {"max_epochs": arguments.epochs, "patience": arguments.epochs, "batch_size": arguments.batch_size}
    default = replace(TrainSettings(), **fixed)
    plain = replace(default, inputs="masks", encoding_bins=0, projection_units=0, shortcut_units=0, hours_per_step=1)
    cases = {
        "default, 19 features": (default, 19),
        "default, 54 features": (default, 54),
        "LSTM on values and masks": (plain, 19),
    }
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU, one thread"
    steps = -(-arguments.samples // arguments.batch_size) * arguments.epochs
    print(
        f"{arguments.samples} samples, {arguments.epochs} epochs, {steps} gradients of {arguments.batch_size}; {where}"
    )
    print(f"{'network':<28} {'bare, samples/s':>16} {'training, samples/s':>20} {'ratio':>6}")
    ratios = {}
    for name, (settings, features) in cases.items():
        train = samples(arguments.samples, features, 0, device)
        validation = samples(arguments.samples // 5, features, 1, device)

        def alone(train: Tensors = train, settings: TrainSettings = settings) -> None:
            bare(train, settings, mixed=mixed)

        def all_of_it(
            train: Tensors = train, validation: Tensors = validation, settings: TrainSettings = settings
        ) -> None:
            whole(train, validation, settings, mixed=mixed)

        alone(), all_of_it()
        times = [(seconds(alone, device), seconds(all_of_it, device)) for _ in range(arguments.rounds)]
        bare_s, whole_s = (statistics.median(column) for column in zip(*times, strict=True))
        seen = arguments.samples * arguments.epochs
        ratios[name] = bare_s / whole_s
        print(f"{name:<28} {seen / bare_s:>16,.0f} {seen / whole_s:>20,.0f} {ratios[name]:>6.3f}")
    for name, ratio in ratios.items():
        print(f"target training, {name}: {ratio:.3f} (>= {GOAL}) {'met' if ratio >= GOAL else 'missed'}")


if __name__ == "__main__":
    main()
