"""A published split: a CSV file that says which samples are for training, validation and test.

Messages name lines, never ids.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl
from polars.exceptions import PolarsError

from lstm_adversarial_attack.artifacts.manifest import file_entry
from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.frames import SAMPLES, SPLITS, conform

#: Columns that say which sample is meant, the most exact first, and what they are called in `frames.STAYS`.
KEYS = {"stay_id": "stay_id", "icustay_id": "stay_id", "hadm_id": "hadm_id", "subject_id": "subject_id"}
#: Words for a split, and the split.
WORDS = {**{split: split for split in SPLITS}, "val": "validation", "valid": "validation"}


def split_file_digest(path: str) -> str:
    """Return the SHA-256 of the file's content.

    Raises:
        UserError: the file cannot be read.
    """
    try:
        return str(file_entry(Path(path)).sha256)
    except OSError as error:
        raise _unreadable(path, error) from error


def named_samples(stays: pl.DataFrame, path: str) -> pl.DataFrame:
    """Return the stays that the file names, with their split (`frames.SAMPLES`).

    Args:
        stays: `frames.STAYS`.
        path: of the file; its columns are told in `PreprocessSettings.split_file`.

    Raises:
        UserError: the file cannot be read or lacks a column, a line is wrong, a sample is put into two splits, a
            patient is, or no sample is named.
    """
    lines = _read(path)
    key = lines.columns[1]
    samples = stays.join(lines, on=key, how="inner", maintain_order="left")
    if samples.is_empty():
        raise UserError(f"split file {path}: names none of the {len(stays)} samples by their {key}; give another file")
    _refuse_two_splits(samples, "subject_id", path, "the same patient")
    return conform(samples, SAMPLES)


def _read(path: str) -> pl.DataFrame:
    """Return line number, key (named as in `frames.STAYS`) and split; one row for each key."""
    table = _table(path)
    names = {name.strip().lower(): name for name in reversed(table.columns)}
    key = next((name for name in KEYS if name in names), None)
    if key is None or "split" not in names:
        raise UserError(f"split file {path}: needs a header with the column split and one of {', '.join(KEYS)}")
    lines = table.select(
        "line",
        key=pl.col(names[key]).str.strip_chars(),
        split=pl.col(names["split"]).str.strip_chars().str.to_lowercase(),
    ).filter(pl.any_horizontal(pl.col("key", "split").fill_null("") != ""))
    lines = lines.with_columns(
        pl.col("key").cast(pl.Int64, strict=False),
        pl.col("split").replace_strict(WORDS, default=None, return_dtype=SAMPLES["split"]),
    )
    _refuse_missing(lines, "key", path, f"no whole number as {key}")
    _refuse_missing(lines, "split", path, f"a split is one of {', '.join(WORDS)}")
    _refuse_two_splits(lines, "key", path, f"the same {key}")
    return lines.unique("key", keep="first", maintain_order=True).rename({"key": KEYS[key]})


def _table(path: str) -> pl.DataFrame:
    """Return the file's columns as text, with the number of each line."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error
    before = content[: len(content) - len(content.lstrip())].count(b"\n")
    try:
        return pl.read_csv(content, infer_schema=False).with_row_index("line", offset=before + 2)
    except PolarsError as error:
        raise UserError(
            f"split file {path}: not a CSV file in UTF-8 with a header and as many fields in each line"
        ) from error


def _refuse_missing(lines: pl.DataFrame, column: str, path: str, reason: str) -> None:
    wrong = lines.filter(pl.col(column).is_null())["line"]
    if len(wrong):
        raise UserError(f"split file {path}: line {wrong[0]}: {reason}")


def _refuse_two_splits(lines: pl.DataFrame, key: str, path: str, what: str) -> None:
    """Raise an error that names the first line that contradicts an earlier one."""
    first = lines.sort("line").with_columns(
        earlier=pl.col("line").first().over(key), agreed=pl.col("split").first().over(key)
    )
    wrong = first.filter(pl.col("split") != pl.col("agreed"))
    if len(wrong):
        raise UserError(
            f"split file {path}: lines {wrong['earlier'][0]} and {wrong['line'][0]} put {what} into two splits; "
            "give each patient one split"
        )


def _unreadable(path: str, error: OSError) -> UserError:
    return UserError(f"split file {path}: cannot be read ({error.strerror}); give a CSV file")
