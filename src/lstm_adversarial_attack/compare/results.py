"""The numbers of a comparison: what ``comparison.json`` holds, and its tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

import msgspec
import numpy as np
import polars as pl

from lstm_adversarial_attack.compare.differences import Differing, differing, unknown_stages
from lstm_adversarial_attack.compare.runs import Run
from lstm_adversarial_attack.evaluate.inputs import DIRECTIONS
from lstm_adversarial_attack.evaluate.results import AttackOutcome, Gate, finite
from lstm_adversarial_attack.metrics import PAIRED_FIGURES, Difference, Estimate, paired_differences, spearman

#: Ranks of fewer measurements say nothing.
_LEAST_RANKED = 3
#: The kind of example whose measurements are compared: it names the fewest.
KIND = "sparsest"


class RunSummary(msgspec.Struct, frozen=True):
    """One run: ``unknown`` names the stages of whose settings nothing is known."""

    label: str
    report: str  # digest
    dataset: str  # digest
    headline: tuple[str, ...]
    gate: Gate
    unknown: tuple[str, ...]


class Paired(msgspec.Struct, frozen=True):
    """A run less the first on the same test patients; without figures, ``reason`` says why there are none."""

    run: str
    less: str
    figures: dict[str, Difference] | None
    reason: str = ""


class RankCorrelation(msgspec.Struct, frozen=True):
    """Spearman's rank correlation of the susceptibility of the measurements that two runs have in common."""

    direction: str
    run: str
    other: str
    measurements: int
    value: float | None


class Comparison(msgspec.Struct, frozen=True):
    """The whole of ``comparison.json``; runs are named by their labels, in their order."""

    schema_version: int
    runs: tuple[RunSummary, ...]
    differences: tuple[Differing, ...]
    prediction: dict[str, dict[str, Estimate]]  # run, figure; of the test split
    paired: tuple[Paired, ...]
    attack: dict[str, dict[str, dict[str, AttackOutcome]]]  # run, direction, kind
    susceptibility: dict[str, dict[str, dict[str, Estimate]]]  # run, direction, measurement: share of KIND
    rank_correlations: tuple[RankCorrelation, ...]


def compared(runs: Sequence[Run]) -> Comparison:
    """Return the numbers."""
    shares = {
        run.label: {
            direction: {name: m.share for name, m in kinds[KIND].measurements.items()} if kinds[KIND].examples else {}
            for direction, kinds in run.metrics.susceptibility.items()
        }
        for run in runs
    }
    return Comparison(
        schema_version=1,
        runs=tuple(
            RunSummary(
                run.label,
                run.report.digest,
                run.dataset,
                run.metrics.headline,
                run.metrics.gate,
                unknown_stages(run),
            )
            for run in runs
        ),
        differences=differing(runs),
        prediction={run.label: run.metrics.prediction["test"] for run in runs},
        paired=tuple(_paired(run, runs[0]) for run in runs[1:]),
        attack={run.label: {key: attack.kinds for key, attack in run.metrics.attack.items()} for run in runs},
        susceptibility=shares,
        rank_correlations=tuple(_rank_correlations(shares)),
    )


def tables_of(runs: Sequence[Run], comparison: Comparison) -> dict[str, pl.DataFrame]:
    """Return the tables by name; a row belongs to the ``run`` whose label it holds.

    ``differences``, ``prediction``, ``paired`` and ``rank_correlations`` are of the comparison; ``attack``,
    ``attack_curves`` and ``susceptibility_measurements`` are the reports' own, one below the other.
    """
    labels = [run.label for run in comparison.runs]
    text, number = pl.String, pl.Float64
    figure = {"value": number, "low": number, "high": number}
    schemas: dict[str, dict[str, Any]] = {
        "differences": {"group": text, "item": text, "run": text, "value": text},
        "prediction": {"run": text, "figure": text, **figure},
        "paired": {"run": text, "less": text, "figure": text, **figure, "p_value": number},
        "rank_correlations": {"direction": text, "run": text, "other": text, "measurements": pl.Int64, "value": number},
    }
    rows: dict[str, list[tuple[Any, ...]]] = {
        "differences": [
            (row.group, row.item, label, value)
            for row in comparison.differences
            for label, value in zip(labels, row.values, strict=True)
        ],
        "prediction": [
            (label, name, *msgspec.structs.astuple(estimate))
            for label, figures in comparison.prediction.items()
            for name, estimate in figures.items()
        ],
        "paired": [
            (pair.run, pair.less, name, *msgspec.structs.astuple(difference))
            for pair in comparison.paired
            for name, difference in (pair.figures or {}).items()
        ],
        "rank_correlations": [msgspec.structs.astuple(one) for one in comparison.rank_correlations],
    }
    made = {name: pl.DataFrame(rows[name], schema=schemas[name], orient="row") for name in schemas}
    for name in ("attack", "attack_curves", "susceptibility_measurements"):
        made[name] = pl.concat([run.table(name).select(pl.lit(run.label).alias("run"), pl.all()) for run in runs])
    return made


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Return Spearman's rank correlation, as `metrics.spearman`; None of fewer than three pairs, or undefined."""
    if len(first) < _LEAST_RANKED:
        return None
    (found,) = spearman(np.array([first], dtype=float), np.array([second], dtype=float))
    return finite(found)


def _paired(run: Run, first: Run) -> Paired:
    if run.dataset != first.dataset:
        reason = "the datasets differ, so the test patients are not the same"
    elif missing := [one.label for one in (run, first) if one.predictions is None]:
        reason = f"the model of {' and of '.join(missing)} is not beside its report"
    else:
        return Paired(run.label, first.label, _differences(run, first))
    return Paired(run.label, first.label, None, reason)


def _differences(run: Run, first: Run) -> dict[str, Difference]:
    """Return the differences on the test split; Brier scores are of calibrated probabilities, as in the report."""
    assert run.predictions is not None
    assert first.predictions is not None
    a, b = (one.filter(pl.col("split").cast(pl.String) == "test") for one in (run.predictions, first.predictions))
    settings = first.metrics.settings
    found: dict[str, Difference] = {}
    for column, figures in (("probability", PAIRED_FIGURES[:2]), ("calibrated", PAIRED_FIGURES[2:])):
        found |= paired_differences(
            a["label"],
            a[column],
            b[column],
            a["subject_id"],
            figures=figures,
            resamples=settings.resamples,
            seed=settings.seed,
        )
    return found


def _rank_correlations(shares: dict[str, dict[str, dict[str, Estimate]]]) -> Iterator[RankCorrelation]:
    for direction in DIRECTIONS:
        for one, other in combinations(shares, 2):
            a, b = shares[one].get(direction.key, {}), shares[other].get(direction.key, {})
            common = [name for name in a if name in b and a[name].value is not None and b[name].value is not None]
            value = rank_correlation(*([side[name].value or 0.0 for name in common] for side in (a, b)))
            yield RankCorrelation(direction.key, one, other, len(common), value)
