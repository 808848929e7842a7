"""The attack beside those of other libraries: how sparse, how small, how many gradient evaluations, how fast.

Bidirectional LSTMs of 128 units are trained on Challenge 2012 set-a and on a synthetic cohort, and test samples that
they get right are attacked in both directions. Values are scaled to [0, 1] between the least and the largest of each
feature, and every cell may change within: sizes are in this space for all attacks. Every attack may spend as many
gradient evaluations a sample; forward and backward passes are counted in the model, a forward pass as a third. The
samples are attacked in batches, and all attacks take their turn at a batch before the next one.

What is done is kept in --cache, so that a run that was stopped goes on. Seconds are of the run that made a result:
where the table names more than one run, its rates may come from times of different load.
"""

from __future__ import annotations

import argparse
import itertools
import math
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from attack_peers import INSTALL, PEERS, Counted, find, serial_ista
from bench_prediction import SOURCE, dataset_of
from lstm_adversarial_attack.artifacts import open_artifact
from lstm_adversarial_attack.artifacts.manifest import code_fingerprint
from lstm_adversarial_attack.attack import AttackResult, attack
from lstm_adversarial_attack.cross_validate.settings import REFERENCE
from lstm_adversarial_attack.datasets import load_dataset
from lstm_adversarial_attack.models import Decision, LstmClassifier, predict_logits
from lstm_adversarial_attack.models.training import architecture_of, fit
from lstm_adversarial_attack.progress import Reporter

COHORTS = [SOURCE, "synthetic:6000,0"]
NETWORK = replace(
    REFERENCE, max_epochs=15, state_activation="none", head_units=0, dropout=0.3, hidden_units=128, pooling="last"
)
#: Methods of ours and their options.
OURS: dict[str, dict[str, Any]] = {
    # The look at the samples before and the verification of all examples after it, forward passes, come on top of the
    # budget: so that the whole call costs no more than its peers, it is given less.
    "frontier": {"method": "frontier", "less": math.ceil((1 + 3 + 3 * 16) / 3)},
    "greedy": {"method": "greedy"},
    "ista": {"method": "ista"},
    "sigma-zero": {"method": "sigma-zero"},
    "fmn l0": {"method": "fmn", "norm": "l0"},
    "fmn l1": {"method": "fmn", "norm": "l1"},
}
SERIAL = "Sun-style serial loop"
#: Namesakes of ours, and the figure in which ours may be no worse.
NAMESAKES = (
    ("sigma-zero", "adv-lib sigma-zero", "l0"),
    ("ista", "foolbox EAD", "l1"),
    ("ista", "ART ElasticNet", "l1"),
    ("ista", SERIAL, "l1"),
)
L0_SHARE, L1_SHARE, L1_WITHIN, FASTER, NAMESAKE_FASTER = 0.98, 0.95, 1.005, 3.0, 2.0
#: Changes below this, in shares of a feature's range, are rounding.
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Cohort:
    """A model and the samples to attack, with a class after the other in turn."""

    name: str
    model: Counted
    values: Tensor
    labels: Tensor


@dataclass
class Outcome:
    """What an attack reached.

    Attributes:
        l0: [sample], changed cells; infinite where it failed.
        l1: [sample], likewise the sum of absolute changes.
        linf: [sample], likewise the largest absolute change.
        evaluations: [sample], gradient evaluations as counted.
        seconds: for all samples.
        runs: in which it was measured.
        cpu_seconds: of this process, which other work on the machine changes less.
    """

    l0: Tensor
    l1: Tensor
    linf: Tensor
    evaluations: Tensor
    seconds: float
    runs: set[str]
    cpu_seconds: float = math.nan

    @property
    def rate(self) -> float:
        """Samples a second."""
        return len(self.l0) / self.seconds

    @classmethod
    def joined(cls, parts: list[Outcome]) -> Outcome:
        """Return the outcome of several batches as one."""
        tensors = [torch.cat([getattr(part, name) for part in parts]) for name in ("l0", "l1", "linf", "evaluations")]
        seconds, cpu_seconds = (sum(getattr(part, name) for part in parts) for name in ("seconds", "cpu_seconds"))
        return cls(*tensors, seconds, set().union(*(part.runs for part in parts)), cpu_seconds)


def cohort_of(source: str, samples: int, cache: Path, device: torch.device) -> Cohort:
    """Train the model, where the cache does not hold it, and choose test samples that it gets right."""
    name = "synthetic" if source.startswith("synthetic") else "set-a"
    work = cache / "".join(letter if letter.isalnum() else "-" for letter in source)[-40:]
    artifact = open_artifact(dataset_of("icu-19", source, work, Reporter()), "dataset")
    dataset = load_dataset(artifact, device)
    tensors = dataset.tensors
    kept = work / f"model-{artifact.digest[:16]}.pt"
    model = LstmClassifier(architecture_of(NETWORK, tensors.values.shape[2], tensors.static.shape[1])).to(device)
    if not kept.is_file():
        started = time.monotonic()
        train, validation = (tensors[dataset.of_split(split)] for split in ("train", "validation"))
        fitted = fit(train, validation, NETWORK)
        score = predict_logits(fitted.model, validation).diff(dim=1)[:, 0]
        # As many deaths are predicted as there are.
        threshold = float(torch.quantile(score, 1 - validation.labels.float().mean()).sigmoid())
        torch.save({"weights": fitted.model.state_dict(), "threshold": threshold, "auroc": fitted.best}, kept)
        print(f"{name}: trained in {time.monotonic() - started:.0f} s", flush=True)
    held = torch.load(kept, weights_only=False)
    model.load_state_dict(held["weights"])
    decision = Decision(model, held["threshold"]).to(device).eval()
    for weight in decision.parameters():
        weight.requires_grad_(False)
    test = tensors[dataset.of_split("test")]
    right = test[predict_logits(decision, test).argmax(dim=1) == test.labels]
    deaths, others = ((right.labels == label).nonzero()[:, 0] for label in (1, 0))
    deaths = deaths[: samples // 2]
    others = others[: samples - len(deaths)]
    chosen = torch.cat([deaths, others])
    order = torch.randperm(len(chosen), generator=torch.Generator().manual_seed(0)).to(device)
    chosen = chosen[order]
    cells = tensors.values.flatten(0, 1)
    counted = Counted(decision, cells.amin(dim=0), cells.amax(dim=0)).to(device).eval()
    values = ((right.values[chosen] - counted.low) / counted.span).clamp(0, 1)
    still = predict_logits_of(counted, values).argmax(dim=1) == right.labels[chosen]
    print(
        f"{name}: {len(test)} test samples, {len(right)} right, attacked: {int(right.labels[chosen][still].sum())} of "
        f"class 1 and {int((right.labels[chosen][still] == 0).sum())} of class 0",
        flush=True,
    )
    return Cohort(name, counted, values[still], right.labels[chosen][still])


@torch.no_grad()
def predict_logits_of(model: Counted, values: Tensor) -> Tensor:
    """Return logits [sample, 2]."""
    return torch.cat([model(part) for part in values.split(256)])


def timed(
    model: Counted, samples: int, work: Callable[[], Any], device: torch.device
) -> tuple[Any, Tensor, float, float]:
    """Return what ``work`` returns, its gradient evaluations [sample], its seconds and the processor's."""
    model.reset(samples)
    started, started_cpu = time.perf_counter(), time.process_time()
    found = work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - started_cpu
    return found, model.evaluations.clone(), seconds, cpu_seconds


def of_peer(model: Counted, values: Tensor, labels: Tensor, found: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return L0, L1 and L-infinity [sample] of the examples ``found``; changes by rounding alone are put back."""
    with torch.no_grad():
        raw = found - values
        tidy = raw.where(raw.abs() > _ROUNDING, 0.0)
        holds = model(values + tidy).argmax(dim=1) != labels
        delta = torch.where(holds[:, None, None], tidy, raw).flatten(1)
        turned = holds | (model(found).argmax(dim=1) != labels)
        inside = ((found >= -_ROUNDING) & (found <= 1 + _ROUNDING)).flatten(1).all(dim=1)
    sizes = ((delta != 0).sum(dim=1).float(), delta.abs().sum(dim=1), delta.abs().amax(dim=1))
    return tuple(torch.where(turned & inside, size, torch.inf).cpu() for size in sizes)  # type: ignore[return-value]


class Bench:
    """One cohort: what was done so far, and the next."""

    def __init__(self, cohort: Cohort, cache: Path, arguments: argparse.Namespace, run: str) -> None:
        self.cohort, self.run = cohort, run
        self.steps, self.device = arguments.steps, torch.device(arguments.device)
        self.batches = torch.arange(len(cohort.labels)).split(arguments.batch)
        folder = f"{cohort.name}-{len(cohort.labels)}-{arguments.batch}-{self.steps}-{self.device.type}"
        self.folder = cache / "results" / folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.outcomes: dict[str, list[Outcome]] = {}

    def take(self, name: str, number: int, tag: str) -> None:
        """Attack batch ``number`` by method ``name``, or take what was kept under ``tag``."""
        kept = self.folder / f"{name.replace(' ', '-')}-{number}-{tag}.pt"
        if kept.is_file():
            outcome = Outcome(**torch.load(kept, weights_only=False))
        else:
            index = self.batches[number]
            try:
                outcome = self._ours(name, index) if name in OURS else self._peer(name, index)
            except Exception as error:  # a peer's own failure is part of the comparison
                if name in OURS:
                    raise
                print(f"{name} failed on batch {number}: {error!r}", flush=True)
                lost = torch.full((len(index),), torch.inf)
                outcome = Outcome(lost, lost, lost, lost, torch.inf, {self.run})
            torch.save(vars(outcome), kept)
        self.outcomes.setdefault(name, []).append(outcome)
        print(
            f"  {self.cohort.name} batch {number + 1}/{len(self.batches)} {name}: {outcome.seconds:.1f} s, "
            f"median L0 {float(outcome.l0.median()):g}, L1 {float(outcome.l1.median()):.4g}",
            flush=True,
        )

    def _ours(self, name: str, index: Tensor) -> Outcome:
        values, labels = self.cohort.values[index], self.cohort.labels[index]
        rows = torch.arange(len(index), device=self.device)
        options = dict(OURS[name])
        less = options.pop("less", 0)

        def work() -> AttackResult:
            return attack(
                self.cohort.model,
                values,
                labels,
                context=(rows,),
                lower=0.0,
                upper=1.0,
                steps=max(1, self.steps - less),
                batch_size=len(index),
                **options,
            )

        found, evaluations, seconds, cpu_seconds = timed(self.cohort.model, len(index), work, self.device)
        return Outcome(found.l0.cpu(), found.l1.cpu(), found.linf.cpu(), evaluations, seconds, {self.run}, cpu_seconds)

    def _peer(self, name: str, index: Tensor) -> Outcome:
        values, labels = self.cohort.values[index], self.cohort.labels[index]
        model = self.cohort.model

        def work() -> Tensor:
            return PEERS[name].run(model, values.clone(), labels, self.steps)

        found, evaluations, seconds, cpu_seconds = timed(model, len(index), work, self.device)
        return Outcome(*of_peer(model, values, labels, found), evaluations, seconds, {self.run}, cpu_seconds)

    def serial(self, samples: int) -> Outcome:
        """Time the serial loop on a few samples of the first batch."""
        values, labels = self.cohort.values[:samples], self.cohort.labels[:samples]
        kept = self.folder / f"serial-{samples}.pt"
        if kept.is_file():
            return Outcome(**torch.load(kept, weights_only=False))
        model = self.cohort.model
        found, evaluations, seconds, cpu_seconds = timed(
            model, samples, lambda: serial_ista(model, values, labels), self.device
        )
        outcome = Outcome(*of_peer(model, values, labels, found), evaluations, seconds, {self.run}, cpu_seconds)
        torch.save(vars(outcome), kept)
        return outcome


def show(outcomes: dict[str, Outcome]) -> None:
    """Print the table."""
    columns = ("L0 median", "90 %", "L1 median", "90 %", "Linf median", "90 %")
    print(f"{'attack':<22} {'success':>8}", *(f"{column:>11}" for column in columns), end="")
    print(f" {'evaluations, mean':>18} {'most':>6} {'samples/s':>10} {'CPU s':>8}")
    for name, one in outcomes.items():
        sizes = (one.l0, one.l1, one.linf)
        figures = [float(size.quantile(q, interpolation="lower")) for size in sizes for q in (0.5, 0.9)]
        row = " ".join(f"{figure:>11.4g}" for figure in figures)
        print(
            f"{name:<22} {float(one.l0.isfinite().float().mean()):>8.1%} {row} "
            f"{float(one.evaluations.mean()):>18.1f} {float(one.evaluations.max()):>6.0f} {one.rate:>10.3f} "
            f"{one.cpu_seconds:>8.1f}"
        )


def needed(peers: dict[str, Outcome], l0: Tensor, l1: Tensor) -> tuple[list[str], float]:
    """Return the peers that together reach what is asked of `frontier` in the least time, and their seconds.

    Their per-sample best must be the best of all peers on as many samples, in L0 and L1.
    """
    best: tuple[list[str], float] = (list(peers), sum(peer.seconds for peer in peers.values()))
    for count in range(1, len(peers) + 1):
        for names in itertools.combinations(peers, count):
            seconds = sum(peers[name].seconds for name in names)
            if seconds < best[1]:
                some_l0, some_l1 = (
                    torch.stack([getattr(peers[name], size) for name in names]).amin(dim=0) for size in ("l0", "l1")
                )
                if (
                    float((some_l0 <= l0).float().mean()) >= L0_SHARE
                    and float((some_l1 <= L1_WITHIN * l1).float().mean()) >= L1_SHARE
                ):
                    best = (list(names), seconds)
    return best


def targets(cohort: str, outcomes: dict[str, Outcome], missing: list[str], steps: int) -> list[str]:
    """Return a line for each target."""

    def line(name: str, figure: str, goal: str, met: bool) -> str:
        return f"target {cohort} {name}: {figure} ({goal}) {'met' if met else 'missed'}"

    ours = outcomes["frontier"]
    success = float(ours.l0.isfinite().float().mean())
    most = float(ours.evaluations.max())
    lines = [
        line("frontier success", f"{success:.1%}", "100 %", success == 1),
        line("frontier gradient evaluations, most", f"{most:.0f}", f"<= {steps}", most <= steps),
    ]
    peers = {name: outcomes[name] for name in PEERS if name in outcomes}
    if missing:
        gone = f"not measured (missing peer: {', '.join(missing)})"
        lines += [f"target {cohort} {name}: {gone}" for name in ("frontier L0", "frontier L1", "frontier samples/s")]
    else:
        l0, l1 = (torch.stack([getattr(peer, size) for peer in peers.values()]).amin(dim=0) for size in ("l0", "l1"))
        sparse = float((ours.l0 <= l0).float().mean())
        small = float((ours.l1 <= L1_WITHIN * l1).float().mean())
        names, seconds = needed(peers, l0, l1)
        faster = seconds / ours.seconds
        cpu = sum(peers[name].cpu_seconds for name in names) / ours.cpu_seconds
        shown = f"{faster:.2f} times ({cpu:.2f} by CPU) {' + '.join(names)}"
        goal_l0 = f"no larger than the best of all peers on >= {L0_SHARE:.0%}"
        goal_l1 = f"within 0.5 % of the best of all peers or better on >= {L1_SHARE:.0%}"
        lines += [
            line("frontier L0", f"{sparse:.1%}", goal_l0, sparse >= L0_SHARE),
            line("frontier L1", f"{small:.1%}", goal_l1, small >= L1_SHARE),
            line(
                "frontier samples/s",
                f"{faster:.2f} times ({cpu:.2f} by CPU) {' + '.join(names)}",
                f">= {FASTER}",
                faster >= FASTER,
            ),
        ]
    for name, other, size in NAMESAKES:
        about = f"{name} against {other}"
        if other not in outcomes:
            lines.append(f"target {cohort} {about}: not measured (missing peer)")
            continue
        faster = outcomes[name].rate / outcomes[other].rate
        compared = len(outcomes[other].l0)
        cpu = outcomes[other].cpu_seconds / compared / outcomes[name].cpu_seconds * len(outcomes[name].l0)
        shown = f"{faster:.2f} times ({cpu:.2f} by CPU)"
        mine, its = (float(getattr(outcomes[who], size)[:compared].median()) for who in (name, other))
        lines += [
            line(f"{about}, samples/s", shown, f">= {NAMESAKE_FASTER}", faster >= NAMESAKE_FASTER),
            line(f"{about}, median {size.upper()}", f"{mine:.4g}", f"<= {its:.4g}", mine <= its),
        ]
    return lines


def main() -> None:
    """Print the tables and the targets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", nargs="+", default=COHORTS)
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--batch", type=int, default=64, help="samples attacked at once")
    parser.add_argument("--steps", type=int, default=300, help="gradient evaluations a sample")
    parser.add_argument("--serial", type=int, default=2, help="samples for the serial loop")
    parser.add_argument("--peers", default="", help="folder of the other libraries")
    parser.add_argument("--cache", type=Path, help="folder for models and results (default: a temporary one)")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    find(arguments.peers)
    missing = [name for name, peer in PEERS.items() if peer.version is None]
    for name in missing:
        print(f"{name}: skipped, {PEERS[name].package} is not installed")
    if missing:
        print(INSTALL)
    versions = sorted({f"{peer.package} {peer.version}" for peer in PEERS.values() if peer.version})
    print(f"{arguments.device}, one thread, torch {torch.__version__}; {', '.join(versions) or 'no peers'}")
    run, code = time.strftime("%Y-%m-%dT%H:%M:%S"), code_fingerprint()[:12]
    lines: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        cache = arguments.cache or Path(folder)
        for source in arguments.source:
            cohort = cohort_of(source, arguments.samples, cache, torch.device(arguments.device))
            bench = Bench(cohort, cache, arguments, run)
            others = [name for name in PEERS if name not in missing]
            turns = [name for pair in itertools.zip_longest(OURS, others) for name in pair if name]
            for number in range(len(bench.batches)):
                for name in turns:
                    bench.take(name, number, code if name in OURS else "peer")
            outcomes = {name: Outcome.joined(bench.outcomes[name]) for name in (*OURS, *others)}
            if arguments.serial:
                outcomes[SERIAL] = bench.serial(arguments.serial)
            print(
                f"\n{cohort.name}: {len(cohort.labels)} samples, {arguments.batch} at once, {arguments.steps} steps; "
                f"{SERIAL} on {arguments.serial}"
            )
            show(outcomes)
            runs = set().union(*(outcome.runs for outcome in outcomes.values()))
            print(f"measured in the runs of {', '.join(sorted(runs))}\n", flush=True)
            lines += targets(cohort.name, outcomes, missing, arguments.steps)
    print(*lines, sep="\n")


if __name__ == "__main__":
    main()
