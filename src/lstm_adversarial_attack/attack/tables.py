"""The tables of ``examples``: written in one way, whether of all samples or of shards that are joined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from lstm_adversarial_attack.artifacts import Draft
from lstm_adversarial_attack.artifacts.contents import AttackCard
from lstm_adversarial_attack.frames import EDITS, EXAMPLES, FRONTIER, PERTURBATIONS, SINGLES, Schema, with_features

CARD_FILE = "attack.json"
#: The tables, by the name of their file: columns, and what their rows are sorted by.
TABLES: dict[str, tuple[Schema, tuple[str, ...]]] = {
    "examples.parquet": (EXAMPLES, ("sample", "kind")),
    "frontier.parquet": (FRONTIER, ("sample", "cells")),
    "perturbations.parquet": (PERTURBATIONS, ("sample", "kind", "hour", "feature")),
    "singles.parquet": (SINGLES, ("sample", "feature")),
    "edits.parquet": (EDITS, ("sample", "kind", "minute", "feature", "value", "edited")),
}

#: Tables by the name of their file.
Tables = Mapping[str, pl.DataFrame]


def schema_of(name: str, features: tuple[str, ...]) -> Schema:
    """Return the columns of a table where the features are called ``features``."""
    schema, _ = TABLES[name]
    return with_features(schema, features) if "feature" in schema else schema


def write_tables(draft: Draft, parts: Sequence[Tables], features: tuple[str, ...], card: AttackCard) -> pl.DataFrame:
    """Write the artifact's files from ``parts`` of its tables, none or any number, and return the examples.

    ``card`` holds the settings, what was found or chosen included.
    """
    for name, (_, by) in TABLES.items():
        schema = schema_of(name, features)
        # In one piece of memory, so that the same rows give the same file.
        whole = pl.concat([pl.DataFrame(schema=dict(schema)), *(part[name] for part in parts)]).sort(by).rechunk()
        draft.write_frame(name, whole, schema)
        if name == "examples.parquet":
            examples = whole
    draft.write_json(CARD_FILE, card)
    return examples


def summary(examples: pl.DataFrame) -> str:
    """Return how many samples were turned in each direction, in words."""
    sparsest = examples.filter(pl.col("kind") == "sparsest")
    parts = []
    for label, name in ((0, "0 -> 1"), (1, "1 -> 0")):
        part = sparsest.filter(pl.col("predicted") == label)
        cells = part["l0"].drop_nulls().to_numpy()
        shown = f" (median {np.median(cells):g} changed cells)" if len(cells) else ""
        parts.append(f"{name}: {part['success'].sum()} of {len(part)} turned{shown}")
    return "; ".join(parts)
