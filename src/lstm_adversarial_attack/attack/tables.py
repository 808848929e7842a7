"""The tables of ``examples``: written in one way, whether of all samples or of shards that are joined."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import polars as pl

from lstm_adversarial_attack.artifacts import Draft
from lstm_adversarial_attack.artifacts.contents import AttackCard
from lstm_adversarial_attack.frames import EXAMPLES, PERTURBATIONS, Schema, with_features

EXAMPLES_FILE, PERTURBATIONS_FILE, CARD_FILE = "examples.parquet", "perturbations.parquet", "attack.json"


def write_tables(
    draft: Draft,
    examples: Sequence[pl.DataFrame],
    perturbations: Sequence[pl.DataFrame],
    features: tuple[str, ...],
    settings: dict[str, Any],
) -> pl.DataFrame:
    """Write the artifact's files from parts of its tables, none or any number, and return the examples.

    ``settings`` are those of the attack, what was found or chosen included.
    """
    whole = _joined(examples, EXAMPLES, "sample", "kind")
    draft.write_frame(EXAMPLES_FILE, whole, EXAMPLES)
    cells = with_features(PERTURBATIONS, features)
    draft.write_frame(PERTURBATIONS_FILE, _joined(perturbations, cells, "sample", "kind", "hour", "feature"), cells)
    draft.write_json(CARD_FILE, AttackCard(settings))
    return whole


def _joined(parts: Iterable[pl.DataFrame], schema: Schema, *by: str) -> pl.DataFrame:
    """Return the rows of all parts, sorted, in one piece of memory: the same rows give the same file."""
    return pl.concat([pl.DataFrame(schema=dict(schema)), *parts]).sort(by).rechunk()


def summary(examples: pl.DataFrame) -> str:
    """Return how many samples were turned in each direction, in words."""
    sparsest = examples.filter(pl.col("kind") == "sparsest")
    parts = []
    for label, name in ((0, "0 -> 1"), (1, "1 -> 0")):
        part = sparsest.filter(pl.col("label") == label)
        cells = part["l0"].drop_nulls().to_numpy()
        shown = f" (median {np.median(cells):g} changed cells)" if len(cells) else ""
        parts.append(f"{name}: {part['success'].sum()} of {len(part)} turned{shown}")
    return "; ".join(parts)
