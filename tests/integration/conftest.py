"""A real PostgreSQL with the MIMIC-III demo in it, and artifacts made from a synthetic cohort."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psycopg2
import pytest

from lstm_adversarial_attack import cli
from lstm_adversarial_attack.database import load_database
from postgres_server import READER, Server, running_postgres
from workers import made_once

#: A schema of another name that shows the same tables; the name needs quotes in SQL.
OTHER_SCHEMA = "Hospital 2"
#: A schema in which labevents is missing.
INCOMPLETE_SCHEMA = "incomplete"


@pytest.fixture(scope="session")
def empty_postgres() -> Iterator[Server]:
    """A running server with the reader's role."""
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def postgres(empty_postgres: Server, demo: Path) -> Server:
    """The server with the demo's tables in schema `mimiciii`, and views of them in other schemas."""
    with closing(empty_postgres.as_admin("postgres")) as admin, admin.cursor() as cursor:
        cursor.execute("create database mimic")
    loaded = load_database(demo, empty_postgres.admin_address("mimic"), tables="pipeline", reader_role=READER)
    tables = [load.table for load in loaded.tables]
    with closing(empty_postgres.as_admin("mimic")) as admin, admin.cursor() as cursor:
        _views(cursor, OTHER_SCHEMA, tables)
        _views(cursor, INCOMPLETE_SCHEMA, [table for table in tables if table != "labevents"])
        for schema in (OTHER_SCHEMA, INCOMPLETE_SCHEMA):
            cursor.execute(f'grant usage on schema "{schema}" to {READER}')
            cursor.execute(f'grant select on all tables in schema "{schema}" to {READER}')
    return empty_postgres


def _views(cursor: psycopg2.extensions.cursor, schema: str, tables: list[str]) -> None:
    cursor.execute(f'create schema "{schema}"')
    for table in tables:
        cursor.execute(f'create view "{schema}".{table} as select * from mimiciii.{table}')


@dataclass(frozen=True)
class Artifacts:
    """Artifacts of one small run on the synthetic cohort, and a second dataset from the same events."""

    events: Path
    dataset: Path
    other_dataset: Path
    model: Path
    examples: Path


@pytest.fixture(scope="session")
def artifacts(synthetic_tables: Path, tmp_path_factory: pytest.TempPathFactory) -> Artifacts:
    """Artifacts to read; copy one before changing it."""

    def made_in(out: Path) -> Artifacts:
        return Artifacts(*(out / name for name in ("events", "dataset", "other-dataset", "model", "examples")))

    return made_in(made_once(tmp_path_factory, "artifacts", lambda out: make(synthetic_tables, made_in(out))))


def make(synthetic_tables: Path, made: Artifacts) -> None:
    """Carry out the stages."""
    dataset = ["--dataset", str(made.dataset)]
    for command in (
        ["extract", "--source", f"csv:{synthetic_tables}", "--out", str(made.events)],
        ["preprocess", "--events", str(made.events), "--out", str(made.dataset)],
        ["preprocess", "--events", str(made.events), "--out", str(made.other_dataset), "--test-share", "0.2"],
        ["train", *dataset, "--out", str(made.model), "--hidden-units", "4", "--max-epochs", "1",
         "--resamples", "10"],
        ["attack", *dataset, "--model", str(made.model), "--out", str(made.examples), "--steps", "3",
         "--max-samples", "4"],
    ):  # fmt: skip
        cli.main(command)
