"""Rows of tables as the report's templates read them: with labels, estimates and decimals."""

from __future__ import annotations

from typing import Any

import polars as pl

from lstm_adversarial_attack.evaluate.inputs import DIRECTIONS, EvaluationInputs
from lstm_adversarial_attack.evaluate.page import clinical_decimals
from lstm_adversarial_attack.evaluate.smallest_edits import ANY
from lstm_adversarial_attack.metrics import Estimate

_ARROWS = {direction.key: direction.arrow for direction in DIRECTIONS}
_RANKED_BY = {
    "first": "the first examples",
    "smallest": "the smallest examples (L1)",
    "chance": "cells drawn by lot",
    "saliency": "the gradient of the unperturbed input",
}


def edits_view(inputs: EvaluationInputs, edits: pl.DataFrame) -> dict[str, Any]:
    """Return by direction: ``any``, the row of any measurement, ``rows`` of those that turn, most first, ``never``."""
    if edits.height == 0:
        return {}
    labels = _labels(inputs)
    view = {}
    for direction in DIRECTIONS:
        rows = [
            {**row, "estimate": _estimate(row, "share")}
            for row in edits.filter(direction=direction.key).sort("suffices", descending=True).to_dicts()
        ]
        of_one = [_labelled(inputs, row) for row in rows if row["feature"] != ANY]
        view[direction.key] = {
            "any": next((row for row in rows if row["feature"] == ANY), None),
            "rows": [row for row in of_one if row["suffices"]],
            "never": [labels[row["feature"]] for row in of_one if not row["suffices"]],
        }
    return view


def sturdy_view(inputs: EvaluationInputs, sturdy: pl.DataFrame) -> dict[str, list[dict[str, Any]]]:
    """Return by direction the rows of the sparsest examples by rank; measurements never changed come last."""
    names = ("share", "share_matched", "delta_clinical_mean", "delta_clinical_matched", "times_chance", "saliency")
    view = {}
    for direction in DIRECTIONS:
        rows = sturdy.filter(direction=direction.key, kind="sparsest").sort("rank", maintain_order=True).to_dicts()
        view[direction.key] = [
            {**_labelled(inputs, row), "estimates": {name: _estimate(row, name) for name in names}} for row in rows
        ]
    return view


def agreement_view(agreement: pl.DataFrame) -> list[dict[str, Any]]:
    """Return what each ranking was compared with, in words."""
    return [
        {
            **row,
            "arrow": _ARROWS[row["direction"]],
            "words": _RANKED_BY.get(row["against"], row["against"]),
            "estimate": _estimate(row, "spearman"),
        }
        for row in agreement.to_dicts()
    ]


def observed_view(observed: pl.DataFrame) -> list[dict[str, Any]]:
    """Return the rows with their intervals."""
    return [
        {**row, "arrow": _ARROWS[row["direction"]], "estimate": _estimate(row, "observed_share")}
        for row in observed.to_dicts()
    ]


def others_view(others: pl.DataFrame) -> list[dict[str, Any]]:
    """Return the other attacks with the intervals of what is compared."""
    return [
        {
            **row,
            "arrow": _ARROWS[row["direction"]],
            "estimates": {name: _estimate(row, name) for name in ("sparser", "this_sparser")},
        }
        for row in others.to_dicts()
    ]


def transfers_view(transfers: pl.DataFrame) -> list[dict[str, Any]]:
    """Return the transfers of the sparsest and smallest examples."""
    return [
        {**row, "arrow": _ARROWS[row["direction"]], "estimate": _estimate(row, "turned")}
        for row in transfers.filter(pl.col("kind") != "first").to_dicts()
    ]


def _labels(inputs: EvaluationInputs) -> dict[str, str]:
    return {feature.name: feature.measurement.label for feature in inputs.features}


def _labelled(inputs: EvaluationInputs, row: dict[str, Any]) -> dict[str, Any]:
    measurement = next(feature.measurement for feature in inputs.features if feature.name == row["feature"])
    return {**row, "label": measurement.label, "decimals": clinical_decimals(measurement.precision)}


def _estimate(row: dict[str, Any], name: str) -> Estimate:
    return Estimate(row[name], row[f"{name}_low"], row[f"{name}_high"])
