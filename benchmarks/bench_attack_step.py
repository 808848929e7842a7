"""The attack's loop against its limit: one forward pass and input gradient of the same batch.

Both are timed alternately in one run, and the ratio of their medians is what counts; other work on the machine
changes that of processor time less. Everything that a step of the attack (ISTA, from which no sample leaves early)
does beside the gradient (shrinking, clamping, keeping the best) is the excess; the forward passes before and after the
loop are no part of it. Peak memory is that of a process of its own
for each batch size. With --all, a cohort of the size of MIMIC-III is attacked, as a run on a GPU would.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lstm_adversarial_attack.artifacts.contents import Architecture
from lstm_adversarial_attack.attack import attack
from lstm_adversarial_attack.attack.keeper import Keeper
from lstm_adversarial_attack.attack.memory import bytes_per_sample, fitting_batch
from lstm_adversarial_attack.attack.methods.ista import ista
from lstm_adversarial_attack.attack.model import attackable
from lstm_adversarial_attack.attack.problem import Problem
from lstm_adversarial_attack.models import Decision, LstmClassifier

HOURS, FEATURES, HIDDEN = 48, 19, 128
GOAL = 1.15
#: Samples of MIMIC-III in the published reference study.
ALL = 37_832


def seconds(work: Callable[[], object], device: torch.device) -> tuple[float, float]:
    """Time one call to its end, on the device too: seconds, and those of the processor."""
    started, started_cpu = time.perf_counter(), time.process_time()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started, time.process_time() - started_cpu


def example(samples: int, device: torch.device) -> tuple[Decision, Tensor, Tensor, Tensor]:
    """Return a model, values, masks and labels to be turned away from."""
    torch.manual_seed(0)
    model = Decision(LstmClassifier(Architecture(FEATURES, HIDDEN, 1, True, 0.0)), 0.5).to(device).eval()
    values = torch.randn(samples, HOURS, FEATURES).to(device)
    observed = (torch.rand(samples, HOURS, FEATURES) < 0.3).to(device)
    with torch.no_grad():
        parts = zip(values.split(1024), observed.split(1024), strict=True)
        labels = torch.cat([model(*part).argmax(dim=1) for part in parts])
    return model, values, observed, labels


def loop(model: Decision, values: Tensor, observed: Tensor, labels: Tensor, steps: int) -> None:
    """Make ``steps`` steps of the attack on one batch."""
    free = torch.full_like(values, torch.inf).flatten(1)
    spent = torch.zeros(len(values), dtype=torch.int32, device=values.device)
    problem = Problem(
        model=model,
        values=values,
        labels=labels,
        context=(observed,),
        low=-free,
        high=free,
        weight=torch.ones_like(free),
        grid=None,
        kappa=0.0,
        batch=len(values),
        rows=torch.arange(len(values), device=values.device),
        gradients=spent,
        forwards=spent.clone(),
    )
    ista(problem, Keeper(problem), steps=steps, tolerance=0.0)


def ratio(samples: int, steps: int, rounds: int, device: torch.device) -> tuple[float, float, float, float]:
    """Return seconds a step of the bare gradient and of the attack, their ratio, and that of processor time."""
    model, values, observed, labels = example(samples, device)

    def bare(steps: int = steps) -> None:
        with attackable(model):
            for _ in range(steps):
                moved = values.detach().requires_grad_()
                logits = model(moved, observed)
                torch.autograd.grad((logits[:, 0] - logits[:, 1]).sum(), moved)

    def whole(steps: int = steps) -> None:
        with attackable(model):
            loop(model, values, observed, labels, steps)

    bare(1), whole(1)
    pairs = [(seconds(bare, device), seconds(whole, device)) for _ in range(rounds)]
    (bare_s, whole_s), (bare_cpu, whole_cpu) = (
        [statistics.median(pair[which][clock] for pair in pairs) / steps for which in (0, 1)] for clock in (0, 1)
    )
    return bare_s, whole_s, whole_s / bare_s, whole_cpu / bare_cpu


def peak_memory(samples: int, device: torch.device) -> int:
    """Return bytes at the peak of an attack on one batch, of this process or of the device."""
    model, values, observed, labels = example(samples, device)
    with attackable(model):
        loop(model, values, observed, labels, 2)
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def in_child(samples: int, device: str) -> int:
    """Return `peak_memory` of a fresh process."""
    command = [sys.executable, __file__, "--memory-of", str(samples), "--device", device]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def main() -> None:
    """Print the tables and the targets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, nargs="+", default=[64, 256, 1024, 4096, 8192])
    parser.add_argument("--gradients", type=int, default=4096, help="of each round at least, for all samples together")
    parser.add_argument("--steps", type=int, default=4, help="of each round at least")
    parser.add_argument("--rounds", type=int, default=3, help="for up to 1,024 samples; one for more on a CPU")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--all", action="store_true", help=f"attack {ALL:,} samples, 1,000 steps (for a GPU)")
    parser.add_argument("--all-samples", type=int, default=ALL)
    parser.add_argument("--all-steps", type=int, default=1000)
    parser.add_argument("--memory-of", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    device = torch.device(options.device)
    if options.memory_of:
        print(peak_memory(options.memory_of, device))
        return
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU, one thread"
    print(f"bidirectional LSTM, {HIDDEN} units, {HOURS} x {FEATURES}, {where}, torch {torch.__version__}")
    print(f"{'samples':>8} {'steps':>6} {'bare ms/step':>13} {'attack ms/step':>15}", end="")
    print(f" {'ratio':>6} {'by CPU':>6} {'peak MiB':>9}")
    figures: dict[int, tuple[float, float]] = {}
    for samples in options.samples:
        steps = max(options.steps, options.gradients // samples)
        rounds = options.rounds if samples <= 1024 or device.type == "cuda" else 1
        bare_s, whole_s, *both = ratio(samples, steps, rounds, device)
        figures[samples] = (both[0], both[1])
        peak = in_child(samples, options.device) / 2**20
        row = f"{samples:>8} {steps:>6} {bare_s * 1e3:>13.1f} {whole_s * 1e3:>15.1f} {both[0]:>6.3f}"
        print(f"{row} {both[1]:>6.3f} {peak:>9.0f}", flush=True)
    model, values, observed, _ = example(2, device)
    with attackable(model):
        each, fits = bytes_per_sample(model, values, (observed,)), fitting_batch(model, values, (observed,))
    print(f"batch size chosen for the memory that is free: {fits}, at an estimated {each / 2**20:.2f} MiB a sample")
    for samples, (figure, by_cpu) in figures.items():
        verdict = "met" if figure <= GOAL else "missed"
        print(f"target attack-step-{samples}: {figure:.3f}, {by_cpu:.3f} by CPU (at most {GOAL}) {verdict}")
    if options.all:
        model, values, observed, labels = example(options.all_samples, device)
        for method in ("ista", "frontier"):
            settings: dict[str, Any] = {"tolerance": 0.0} if method == "ista" else {}  # all steps are made

            def whole(method: str = method, settings: dict[str, Any] = settings) -> None:
                attack(model, values, labels, method=method, context=(observed,), steps=options.all_steps, **settings)

            taken, _ = seconds(whole, device)
            print(f"{method}, {options.all_samples:,} samples, {options.all_steps:,} steps: {taken:.0f} s", flush=True)


if __name__ == "__main__":
    main()
