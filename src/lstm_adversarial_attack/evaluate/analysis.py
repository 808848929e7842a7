"""From what the other stages made to the numbers, the tables and the report: pure functions, no files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import polars as pl

from lstm_adversarial_attack.evaluate import report
from lstm_adversarial_attack.evaluate.attack_results import attack_directions, cells_out_of_range
from lstm_adversarial_attack.evaluate.classification import classifications
from lstm_adversarial_attack.evaluate.explorer import Explorer
from lstm_adversarial_attack.evaluate.gate import Figures, gate, turned_within
from lstm_adversarial_attack.evaluate.headline import headline
from lstm_adversarial_attack.evaluate.inputs import DIRECTIONS, EvaluationInputs, Progress
from lstm_adversarial_attack.evaluate.prediction_results import (
    calibration_result,
    model_figures,
    split_figures,
    subgroup_figures,
)
from lstm_adversarial_attack.evaluate.results import (
    Gate,
    Metrics,
    SplitCounts,
    Susceptibility,
    as_json,
)
from lstm_adversarial_attack.evaluate.susceptibility import Condition, conditions, susceptibility
from lstm_adversarial_attack.evaluate.tables import tables
from lstm_adversarial_attack.frames import SPLITS
from lstm_adversarial_attack.metrics import confusion
from lstm_adversarial_attack.settings import EvaluateSettings

__all__ = ["Evaluation", "EvaluationInputs", "evaluate"]

_DEFAULTS = EvaluateSettings()
_STEPS = ("prediction", "attack", "susceptibility", "report")


@dataclass(frozen=True)
class Evaluation:
    """What comes out.

    ``metrics`` is for strict JSON and has the keys of `results.Metrics`; ``tables`` are those of
    `tables.tables`, none with a row for a patient.
    """

    metrics: dict[str, Any]
    tables: dict[str, pl.DataFrame]
    report_html: str
    headline: tuple[str, ...]
    gate: Gate


def evaluate(
    inputs: EvaluationInputs,
    settings: EvaluateSettings = _DEFAULTS,
    *,
    explorer: Explorer | None = None,
    on_progress: Progress | None = None,
) -> Evaluation:
    """Evaluate the prediction and the attack.

    Args:
        inputs: what the other stages made.
        settings: of the bootstrap and the gate.
        explorer: single samples that the report shows; none by default.
        on_progress: called as each step begins, and once at the end.

    Raises:
        ValueError: parts of ``inputs`` contradict each other (a defect of the program, not of the data).
    """

    def begin(step: str) -> None:
        if on_progress:
            on_progress(step, _STEPS.index(step), len(_STEPS))

    begin("prediction")
    prediction = {split: split_figures(inputs, split, settings) for split in SPLITS}
    calibration = calibration_result(inputs, settings)
    begin("attack")
    attack = attack_directions(inputs, resamples=settings.resamples, seed=settings.seed)
    begin("susceptibility")
    found = conditions(inputs)
    test = inputs.predictions_of("test")
    metrics = Metrics(
        schema_version=3,
        headline=(),
        gate=gate(
            inputs,
            Figures(
                auroc=prediction["test"]["auroc"].value,
                calibration_error=calibration.calibrated["ece"].value,
                turned=turned_within(inputs, settings.gate_cells),
            ),
            settings,
        ),
        settings=settings,
        threshold=inputs.threshold,
        cohort_flow=inputs.cohort_flow,
        cohort=_counts(inputs.samples),
        splits={split: _counts(inputs.samples_of(split)) for split in SPLITS},
        shared_patients=_shared_patients(inputs),
        prediction=prediction,
        confusion=confusion(test["label"], test["probability"], inputs.threshold),
        calibration=calibration,
        models=model_figures(inputs, settings),
        subgroups=subgroup_figures(inputs, settings),
        attacked_split=inputs.attacked_split,
        attack=attack,
        classification=classifications(inputs, settings),
        changed_cells=inputs.perturbations.height,
        cells_out_of_range=cells_out_of_range(inputs),
        susceptibility=_susceptibility(inputs, found, settings),
    )
    metrics = msgspec.structs.replace(metrics, headline=headline(metrics, inputs.features, _changeable(inputs)))
    begin("report")
    frames = tables(inputs, metrics, found)
    page = report.render(inputs, metrics, frames, explorer)
    if on_progress:
        on_progress("done", len(_STEPS), len(_STEPS))
    return Evaluation(as_json(metrics), frames, page, metrics.headline, metrics.gate)


def _changeable(inputs: EvaluationInputs) -> float:
    """Return how many cells of a sample may change: the median of the attacked ones, where it is known."""
    cells = inputs.singles.group_by("sample").agg(pl.col("changeable").sum())["changeable"]
    return float(np.median(cells)) if len(cells) else float(inputs.cells)


def _counts(samples: pl.DataFrame) -> SplitCounts:
    return SplitCounts(
        samples=samples.height,
        patients=samples["subject_id"].n_unique(),
        deaths=int((samples["label"] == 1).sum()),
    )


def _shared_patients(inputs: EvaluationInputs) -> int:
    splits = inputs.samples.group_by("subject_id").agg(pl.col("split").n_unique())
    return splits.filter(pl.col("split") > 1).height


def _susceptibility(
    inputs: EvaluationInputs, found: list[Condition], settings: EvaluateSettings
) -> dict[str, dict[str, Susceptibility]]:
    places: dict[str, dict[str, Susceptibility]] = {direction.key: {} for direction in DIRECTIONS}
    for condition in found:
        places[condition.direction.key][condition.kind] = susceptibility(
            inputs, condition, resamples=settings.resamples, seed=settings.seed
        )
    return places
