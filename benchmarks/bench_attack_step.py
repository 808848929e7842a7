"""The attack's loop against its limit: one forward pass and input gradient of the same batch.

Both are timed alternately in one run, and the ratio of their medians is what counts. Everything the attack
does beside the gradient (shrinking, clamping, keeping the best) is the excess.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from lstm_adversarial_attack.attack.gradients import attackable, margin_and_gradient

from lstm_adversarial_attack.artifacts.contents import Architecture
from lstm_adversarial_attack.attack import attack
from lstm_adversarial_attack.models import Decision, LstmClassifier

HOURS, FEATURES, HIDDEN = 48, 19, 128
GOAL = 1.15


def seconds(work: object, device: torch.device) -> float:
    """Time one call to its end, on the device too."""
    started = time.perf_counter()
    work()  # type: ignore[operator]
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def ratio(samples: int, steps: int, rounds: int, device: torch.device) -> tuple[float, float, float]:
    """Return seconds a step of the bare gradient and of the attack, and the ratio of the two."""
    torch.manual_seed(0)
    model = Decision(LstmClassifier(Architecture(FEATURES, HIDDEN, 1, True, 0.0)), 0.5).to(device).eval()
    values = torch.randn(samples, HOURS, FEATURES, device=device)
    observed = torch.rand(samples, HOURS, FEATURES, device=device) < 0.3
    labels = model(values, observed).argmax(dim=1)

    def bare() -> None:
        with attackable(model):
            for _ in range(steps):
                margin_and_gradient(model, values, labels, (observed,))

    def whole() -> None:
        attack(model, values, labels, context=(observed,), steps=steps)

    bare(), whole()
    pairs = [(seconds(bare, device), seconds(whole, device)) for _ in range(rounds)]
    bare_s, whole_s = (statistics.median(times) / steps for times in zip(*pairs, strict=True))
    return bare_s, whole_s, whole_s / bare_s


def main() -> None:
    """Print the table and the targets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"bidirectional LSTM, {HIDDEN} units, {HOURS} x {FEATURES}, {options.device}, torch {torch.__version__}")
    print(f"{'samples':>8} {'gradients':>10} {'bare ms/step':>13} {'attack ms/step':>15} {'ratio':>6}")
    figures = {}
    for samples in options.samples:
        bare_s, whole_s, figures[samples] = ratio(samples, options.steps, options.rounds, torch.device(options.device))
        spent = samples * options.steps
        row = f"{samples:>8} {spent:>10} {bare_s * 1e3:>13.1f} {whole_s * 1e3:>15.1f} {figures[samples]:>6.3f}"
        print(row, flush=True)
    for samples, figure in figures.items():
        verdict = "met" if figure <= GOAL else "missed"
        print(f"target attack-step-{samples}: {figure:.3f} (at most {GOAL}) {verdict}")


if __name__ == "__main__":
    main()
