"""`load-database` with a real PostgreSQL: the demo's 26 tables, kills, bad files and servers, the reader's role."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import os
import random
import re
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from lstm_adversarial_attack import cli
from lstm_adversarial_attack.database.load import chosen, load_database
from lstm_adversarial_attack.database.release import TABLES, published_rows
from lstm_adversarial_attack.sources.synthetic import synthesize

pytestmark = pytest.mark.postgres

LOADER = "mimic_loader"
READER = 'ward "7" reader'  # needs quotes in SQL
#: Tables that every synthetic cohort has.
SYNTHETIC = "patients,admissions,icustays,chartevents,labevents,d_items,d_labitems"

#: What may be shown to nobody.
SECRETS = ("987654321", "Mrs Doe", "31415.9265", "2150-01-02 03:04:05")

#: Columns with their types in the public MIMIC-III v1.4 schema.
PUBLIC_TYPES = {
    ("admissions", "diagnosis"): "character varying(255)",
    ("admissions", "hospital_expire_flag"): "smallint",
    ("callout", "callout_service"): "character varying(10)",
    ("caregivers", "description"): "character varying(30)",
    ("chartevents", "charttime"): "timestamp(0) without time zone",
    ("chartevents", "error"): "integer",
    ("chartevents", "value"): "character varying(255)",
    ("chartevents", "valuenum"): "double precision",
    ("cptevents", "cpt_number"): "integer",
    ("d_cpt", "category"): "smallint",
    ("d_items", "conceptid"): "integer",
    ("datetimeevents", "value"): "timestamp(0) without time zone",
    ("datetimeevents", "error"): "smallint",
    ("drgcodes", "drg_severity"): "smallint",
    ("icustays", "first_wardid"): "smallint",
    ("icustays", "los"): "double precision",
    ("inputevents_cv", "newbottle"): "integer",
    ("inputevents_mv", "patientweight"): "double precision",
    ("labevents", "value"): "character varying(200)",
    ("microbiologyevents", "isolate_num"): "smallint",
    ("noteevents", "iserror"): "character(1)",
    ("noteevents", "text"): "text",
    ("outputevents", "newbottle"): "character(1)",
    ("outputevents", "value"): "double precision",
    ("patients", "dob"): "timestamp(0) without time zone",
    ("prescriptions", "gsn"): "character varying(200)",
    ("procedureevents_mv", "comments_canceledby"): "character varying(30)",
    ("transfers", "los"): "double precision",
}


@dataclass(frozen=True)
class Place:
    """A database of its own, and the role that may create in it."""

    server: Any
    database: str
    password: str

    @property
    def address(self) -> str:
        return str(self.server.address(self.database, user=LOADER))

    @property
    def env(self) -> dict[str, str]:
        return {"PGPASSWORD": self.password}

    def query(self, text: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Run a query as superuser."""
        with closing(self.server.as_admin(self.database)) as admin, admin.cursor() as cursor:
            cursor.execute(text, parameters)
            return list(cursor.fetchall()) if cursor.description else []

    def tables(self, schema: str = "mimiciii") -> set[str]:
        found = self.query("select tablename from pg_tables where schemaname = %s", schema)
        return {name for (name,) in found}

    def rows(self, table: str, schema: str = "mimiciii") -> int:
        return int(self.query(f'select count(*) from "{schema}".{table}')[0][0])

    def contents(self) -> dict[str, tuple[Any, ...]]:
        """A checksum over the rows of each table, whatever their order."""
        text = "select count(*), sum(hashtextextended(t::text, 0)) from mimiciii.{} t"
        return {table: self.query(text.format(table))[0] for table in self.tables()}


@pytest.fixture(scope="module")
def new_place(empty_postgres: Any) -> Callable[..., Place]:
    """Make databases in which `LOADER`, who is no superuser, may create."""
    password = secrets.token_urlsafe(16)
    with closing(empty_postgres.as_admin("postgres")) as admin, admin.cursor() as cursor:
        cursor.execute(f"create role {LOADER} login createrole password %s", [password])

    def call(options: str = "") -> Place:
        name = f"built_{secrets.token_hex(4)}"
        with closing(empty_postgres.as_admin("postgres")) as admin, admin.cursor() as cursor:
            cursor.execute(f"create database {name} owner {LOADER} {options}")
        return Place(empty_postgres, name, password)

    return call


@pytest.fixture
def place(new_place: Callable[..., Place]) -> Place:
    return new_place()


Load = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def load(lstm_aa_inside: Any) -> Load:
    """Run `lstm-aa load-database` into a place."""

    def call(place: Place, folder: Path, *options: object) -> subprocess.CompletedProcess[str]:
        command = ("load-database", "--csv", folder, "--database", place.address, *options)
        return lstm_aa_inside(*command, env=place.env)  # type: ignore[no-any-return]

    return call


def refused(result: subprocess.CompletedProcess[str], *parts: object) -> str:
    """Check that it ended with one line of error that holds ``parts`` and no row, and return that line."""
    assert result.returncode == 2, result.stderr
    assert not [cell for cell in SECRETS if cell in result.stdout + result.stderr]
    assert "CONTEXT" not in result.stderr
    assert "Traceback" not in result.stderr
    *before, message = result.stderr.splitlines()
    assert message.startswith("lstm-aa: error: ")
    assert all(line.startswith("load ") for line in before), result.stderr
    for part in parts:
        assert str(part) in message, f"{part!r} is not in {message!r}"
    return message


# --- the demo -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def built(new_place: Callable[..., Place], demo: Path) -> Place:
    """The demo, loaded once; to be read only."""
    place = new_place()
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PGPASSWORD", place.password)
        result = load_database(demo, place.address, reader_role=READER)
    assert result.release == "demo"
    return place


@pytest.mark.demo
def test_all_tables_of_the_demo_have_the_rows_of_their_files(built: Place, demo: Path) -> None:
    assert built.tables() == set(TABLES)
    for table in TABLES:
        with gzip.open(demo / f"{table.upper()}.csv.gz", "rt", newline="") as file:
            rows = sum(1 for _ in csv.reader(file)) - 1
        assert built.rows(table) == published_rows("demo", table) == rows, table


@pytest.mark.demo
def test_names_and_types_are_those_of_the_public_schema(built: Place, demo: Path) -> None:
    found = built.query(
        "select c.relname, a.attname, format_type(a.atttypid, a.atttypmod) from pg_attribute a"
        " join pg_class c on c.oid = a.attrelid where c.relnamespace = 'mimiciii'::regnamespace"
        " and c.relkind = 'r' and a.attnum > 0 order by a.attnum"
    )
    types = {(table, column): kind for table, column, kind in found}
    assert {name: types[name] for name in PUBLIC_TYPES} == PUBLIC_TYPES
    for table in TABLES:
        with gzip.open(demo / f"{table.upper()}.csv.gz", "rt") as file:
            assert [column for name, column, _ in found if name == table] == next(csv.reader(file)), table


@pytest.mark.demo
def test_keys_statistics_and_marks(built: Place, demo: Path) -> None:
    keys = built.query(
        "select conrelid::regclass::text from pg_constraint"
        " where contype = 'p' and connamespace = 'mimiciii'::regnamespace"
    )
    assert {name.rpartition(".")[2] for (name,) in keys} == {"patients", "admissions", "icustays"}
    analyzed = built.query("select relname from pg_class where reltuples > 0 and relkind = 'r' and relname = any(%s)",
                           list(TABLES))  # fmt: skip
    assert {name for (name,) in analyzed} == set(TABLES) - {"noteevents"}
    (text,) = built.query("select obj_description('mimiciii.chartevents'::regclass, 'pg_class')")[0]
    file = demo / "CHARTEVENTS.csv.gz"
    content = file.read_bytes()
    assert json.loads(text) == {
        "lstm_aa": 1,
        "file": file.name,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "rows": 758_355,
        "mtime_ns": file.stat().st_mtime_ns,
    }


@pytest.mark.demo
def test_a_second_run_skips_what_is_finished(built: Place, demo: Path, load: Load) -> None:
    before = built.query(
        "select oid, xmin::text from pg_class where relnamespace = 'mimiciii'::regnamespace order by 1"
    )

    result = load(built, demo)

    assert result.returncode == 0, result.stderr
    assert result.stderr.count("rows are there already, from the same file") == len(TABLES)
    assert result.stdout.count("ok, loaded before") == len(TABLES)
    after = built.query("select oid, xmin::text from pg_class where relnamespace = 'mimiciii'::regnamespace order by 1")
    assert after == before


@pytest.mark.demo
def test_the_table_at_the_end_tells_of_every_table(place: Place, demo: Path, load: Load) -> None:
    result = load(place, demo, "--tables", "pipeline")

    assert result.returncode == 0, result.stderr
    head, *lines = result.stdout.splitlines()
    assert head.split() == ["table", "expected", "found", "verdict"]
    assert [line.split() for line in lines if line.startswith("chartevents")] == [
        ["chartevents", "758,355", "758,355", "ok"]
    ]
    assert [line.split()[0] for line in lines] == sorted(chosen("pipeline"))
    assert place.tables() == set(chosen("pipeline"))


# --- the reader's role ------------------------------------------------------------------------------------------


@pytest.fixture
def reader(built: Place) -> Iterator[Any]:
    """A connection as the reader, after an admin has set its password."""
    with closing(built.server.as_admin(built.database)) as admin, admin.cursor() as cursor:
        cursor.execute("select rolpassword is null, rolcanlogin from pg_authid where rolname = %s", [READER])
        assert cursor.fetchone() in [(True, True), (False, True)]
        quoted = READER.replace('"', '""')
        cursor.execute(f'alter role "{quoted}" password %s', ["set by the admin"])
    with closing(
        psycopg2.connect(
            host="127.0.0.1", port=built.server.port, dbname=built.database, user=READER, password="set by the admin"
        )
    ) as connection:
        connection.autocommit = True
        yield connection


@pytest.mark.demo
def test_the_reader_reads(reader: Any) -> None:
    with reader.cursor() as cursor:
        for table in TABLES:
            cursor.execute(f"select count(*) from mimiciii.{table}")
            assert cursor.fetchone()[0] == published_rows("demo", table)


@pytest.mark.demo
@pytest.mark.parametrize(
    "statement",
    [
        "insert into mimiciii.patients select * from mimiciii.patients",
        "delete from mimiciii.patients",
        "truncate mimiciii.patients",
        "create table mimiciii.mine (x int)",
        "drop table mimiciii.patients",
    ],
)
@pytest.mark.parametrize("read_only", [True, False])
def test_the_reader_does_nothing_else(reader: Any, statement: str, read_only: bool) -> None:
    """The right is missing, and even before that, sessions are read-only."""
    with reader.cursor() as cursor:
        cursor.execute("show default_transaction_read_only")
        assert cursor.fetchone() == ("on",)
        if not read_only:
            cursor.execute("set default_transaction_read_only = off")
        error = psycopg2.errors.ReadOnlySqlTransaction if read_only else psycopg2.errors.InsufficientPrivilege
        with pytest.raises((error, psycopg2.errors.InsufficientPrivilege)):
            cursor.execute(statement)


@pytest.mark.demo
def test_a_reader_that_could_do_more_is_refused(place: Place, demo: Path, load: Load) -> None:
    refused(load(place, demo, "--reader-role", LOADER), f"--reader-role {LOADER}", "the role that loads")
    refused(load(place, demo, "--reader-role", "postgres"), "--reader-role postgres", "superuser")
    somebody_elses = place.server.user
    refused(load(place, demo, "--reader-role", somebody_elses), "the user may not make or change", "ask an admin")
    assert not place.tables()


# --- the same events --------------------------------------------------------------------------------------------


@pytest.fixture
def digest(lstm_aa_inside: Any, tmp_path: Path) -> Callable[..., str]:
    """Extract events and return their digest."""

    def call(source: str, env: dict[str, str] | None = None) -> str:
        out = tmp_path / f"events-{secrets.token_hex(4)}"
        result = lstm_aa_inside("extract", "--source", source, "--out", out, env=env)
        assert result.returncode == 0, result.stderr
        return str(json.loads((out / "manifest.json").read_text())["digest"])

    return call


@pytest.mark.demo
def test_events_are_those_of_the_files(built: Place, demo: Path, digest: Callable[..., str]) -> None:
    assert digest(built.address, built.env) == digest(f"csv:{demo}")


#: Item ids at which the public scripts cut chartevents into partitions (some of them).
CUTS = (0, 127, 210, 425, 549, 643, 741, 1483, 3458, 3695, 8440, 8553, 220274, 223921, 224859, 999999999)


def declarative(cursor: Any, schema: str) -> None:
    cursor.execute(f"create table {schema}.chartevents (like mimiciii.chartevents) partition by range (itemid)")
    for number, (low, high) in enumerate(pairwise(CUTS)):
        cursor.execute(
            f"create table {schema}.chartevents_{number} partition of {schema}.chartevents"
            f" for values from ({low}) to ({high})"
        )
    cursor.execute(f"insert into {schema}.chartevents select * from mimiciii.chartevents")


def inheritance(cursor: Any, schema: str) -> None:
    cursor.execute(f"create table {schema}.chartevents (like mimiciii.chartevents)")
    for number, (low, high) in enumerate(pairwise(CUTS)):
        part = f"{schema}.chartevents_{number}"
        cursor.execute(
            f"create table {part} (check (itemid >= {low} and itemid < {high})) inherits ({schema}.chartevents)"
        )
        cursor.execute(
            f"insert into {part} select * from mimiciii.chartevents where itemid >= {low} and itemid < {high}"
        )


@pytest.mark.demo
@pytest.mark.parametrize("partition", [declarative, inheritance])
def test_a_partitioned_chartevents_gives_the_same_events(
    built: Place, digest: Callable[..., str], partition: Callable[..., None]
) -> None:
    schema = f"{partition.__name__}_partitions"
    with closing(built.server.as_admin(built.database)) as admin, admin.cursor() as cursor:
        cursor.execute(f"create schema {schema} authorization {LOADER}")
        partition(cursor, schema)
        for table in set(chosen("pipeline")) - {"chartevents"}:
            cursor.execute(f"create view {schema}.{table} as select * from mimiciii.{table}")
        cursor.execute(f"grant select on all tables in schema {schema} to {LOADER}")

    assert digest(f"{built.address}?schema={schema}", built.env) == digest(built.address, built.env)


# --- killed, cut off --------------------------------------------------------------------------------------------


def start(place: Place, folder: Path, *options: str) -> subprocess.Popen[str]:
    command = ["load-database", "--csv", str(folder), "--database", place.address, *options]
    sources = str(Path(cli.__file__).parents[1])
    return subprocess.Popen(
        [sys.executable, "-m", "lstm_adversarial_attack", *command],
        env={**os.environ, **place.env, "PYTHONPATH": sources},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def backend_in_the_middle(place: Place, process: subprocess.Popen[str], at_least_rows: int = 100_000) -> int:
    """Wait until the server has taken that many rows of one table, and return the pid that does it."""
    deadline = time.monotonic() + 60
    text = "select pid from pg_stat_progress_copy where datname = %s and tuples_processed > %s"
    with closing(place.server.as_admin(place.database)) as admin, admin.cursor() as cursor:
        while time.monotonic() < deadline and process.poll() is None:
            cursor.execute(text, [place.database, at_least_rows])
            if found := cursor.fetchone():
                return int(found[0])
    process.kill()
    pytest.fail("the load was never seen at work")


@pytest.mark.demo
@pytest.mark.parametrize("jobs", [1, 3])
def test_a_killed_load_ends_the_same_when_started_again(
    place: Place, built: Place, demo: Path, load: Load, jobs: int
) -> None:
    with start(place, demo, "--jobs", str(jobs)) as process:
        backend_in_the_middle(place, process)
        process.send_signal(signal.SIGKILL)
    assert "chartevents" not in place.tables()

    result = load(place, demo)

    assert result.returncode == 0, result.stderr
    assert place.contents() == built.contents()


@pytest.mark.demo
def test_an_interrupt_leaves_nothing_half_done(place: Place, demo: Path) -> None:
    with start(place, demo) as process:
        backend_in_the_middle(place, process)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)

    assert process.returncode == 130
    assert "Traceback" not in told
    assert "chartevents" not in place.tables()


@pytest.mark.demo
def test_a_connection_lost_in_the_middle(place: Place, built: Place, demo: Path, load: Load) -> None:
    with start(place, demo, "--jobs", "1") as process:
        pid = backend_in_the_middle(place, process)
        place.query("select pg_terminate_backend(%s)", pid)
        out, told = process.communicate(timeout=60)

    done = subprocess.CompletedProcess(process.args, process.returncode, out, told)
    message = refused(done, f"127.0.0.1:{place.server.port}", "the connection broke", "start again", "CHARTEVENTS")
    assert message.count("the connection broke") == 1
    assert "NOT LOADED" in out
    assert "chartevents" not in place.tables()
    assert load(place, demo).returncode == 0
    assert place.contents() == built.contents()


@pytest.fixture
def place_on_a_small_disk(new_place: Callable[..., Place], empty_postgres: Any) -> Iterator[Place]:
    """A database in a tablespace of 48 MB; mounting it needs root."""
    name = f"small_{secrets.token_hex(4)}"
    disk = Path(empty_postgres.socket_folder).parent / name
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=48m", "lstm-aa-test", str(disk)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system needs root")
    owner = Path(empty_postgres.socket_folder).stat()
    os.chown(disk, owner.st_uid, owner.st_gid)
    with closing(empty_postgres.as_admin("postgres")) as admin, admin.cursor() as cursor:
        cursor.execute(f"create tablespace {name} location '{disk}'")
        place = new_place(f"tablespace {name}")
        yield place
        cursor.execute(f"drop database {place.database} with (force)")
        cursor.execute(f"drop tablespace {name}")
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.demo
def test_a_full_disk_of_the_server(place_on_a_small_disk: Place, demo: Path, load: Load) -> None:
    place = place_on_a_small_disk

    refused(load(place, demo), "the server's disk is full", "free some space", "nothing of it was kept")

    assert "chartevents" not in place.tables()


# --- bad files --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def small_tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small-release")
    synthesize(30, 7, folder)
    return folder


@pytest.fixture
def tables(small_tables: Path, tmp_path: Path) -> Path:
    """A small release that a test may damage."""
    return Path(shutil.copytree(small_tables, tmp_path / "tables"))


Rows = list[list[str]]
EMPTY = "\x01"


def rewrite(file: Path, change: Callable[[Rows], None]) -> None:
    """Change the rows (the header is the first) of a .csv.gz file; an empty text stays apart from NULL."""
    content = re.sub(r'(?<=,)""(?=[,\n])', EMPTY, gzip.decompress(file.read_bytes()).decode())
    rows = list(csv.reader(io.StringIO(content)))
    change(rows)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    file.write_bytes(gzip.compress(text.getvalue().replace(EMPTY, '""').encode()))


def edit(file: Path, change: Callable[[bytes], bytes]) -> None:
    file.write_bytes(gzip.compress(change(gzip.decompress(file.read_bytes()))))


def put(file: Path, line: int, **cells: str) -> None:
    """Write cells into a line (2 is the first after the header)."""

    def change(rows: Rows) -> None:
        for name, cell in cells.items():
            rows[line - 1][rows[0].index(name.upper())] = cell

    rewrite(file, change)


def secret_row(file: Path, change: Callable[[list[str]], list[str]]) -> None:
    """Fill the seventh line with what nobody may see, and change it further."""

    def change_rows(rows: Rows) -> None:
        row = dict(zip(rows[0], rows[6], strict=True))
        row |= {"SUBJECT_ID": SECRETS[0], "VALUE": SECRETS[1], "VALUENUM": SECRETS[2], "CHARTTIME": SECRETS[3]}
        rows[6] = change([row[name] for name in rows[0]])

    rewrite(file, change_rows)


def corrupt(file: Path) -> None:
    content = bytearray(file.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 64] = random.Random(0).randbytes(64)
    file.write_bytes(content)


def wrong_checksum(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-8] ^= 1
    file.write_bytes(content)


DAMAGED = ("not a whole .gz file", "download it again")
CHART, STAYS = "CHARTEVENTS.csv.gz", "ICUSTAYS.csv.gz"
BAD_FILES: dict[str, tuple[str, Callable[[Path], Any], tuple[str, ...]]] = {
    "truncated": (CHART, lambda f: f.write_bytes(f.read_bytes()[:-9]), DAMAGED),
    "half": (CHART, lambda f: f.write_bytes(f.read_bytes()[: f.stat().st_size // 2]), DAMAGED),
    "without its trailer": (CHART, lambda f: f.write_bytes(f.read_bytes()[:-8]), DAMAGED),
    "wrong checksum": (CHART, wrong_checksum, DAMAGED),
    "wrong length": (CHART, lambda f: f.write_bytes(f.read_bytes()[:-1] + b"\x7f"), DAMAGED),
    "corrupt": (CHART, corrupt, DAMAGED),
    "more after the end": (CHART, lambda f: f.write_bytes(f.read_bytes() + b"something else"), DAMAGED),
    "short row": (CHART, lambda f: secret_row(f, lambda row: row[:10]), ("line 7", "fewer columns")),
    "long row": (CHART, lambda f: secret_row(f, lambda row: [*row, "Mrs Doe"]), ("line 7", "more columns")),
    "text for a number": (
        CHART,
        lambda f: secret_row(f, lambda row: [*row[:4], "Mrs Doe", *row[5:]]),
        ("line 7", "column itemid", "wrong type"),
    ),
    "number out of range": (
        CHART,
        lambda f: secret_row(f, lambda row: [*row[:4], "98765432109876", *row[5:]]),
        ("line 7", "column itemid", "out of range"),
    ),
    "no time": (
        CHART,
        lambda f: secret_row(f, lambda row: [*row[:5], "Mrs Doe", *row[6:]]),
        ("line 7", "column charttime", "no time"),
    ),
    "long text": (CHART, lambda f: put(f, 7, value="Mrs Doe " * 40), ("line 7", "column value", "longer text")),
    "empty id": (CHART, lambda f: put(f, 7, subject_id="", value="Mrs Doe"), ("line 7", "column subject_id", "empty")),
    "not UTF-8": (
        CHART,
        lambda f: edit(f, lambda text: text.replace(b"\n", b"\nMrs Doe \xff", 1)),
        ("line 2", "no UTF-8"),
    ),
    "open quote": (CHART, lambda f: put(f, 7, value="Mrs Doe") or edit(f, lambda t: t.replace(b"Mrs", b'"Mrs')),
                   ("a quote that is never closed",)),
    "row twice": (CHART, lambda f: rewrite(f, lambda rows: rows.append(rows[5])), ("1 of", "row_id", "twice")),
    "stay twice": (
        STAYS,
        lambda f: rewrite(f, lambda rows: rows.append(["9999", *rows[5][1:]])),
        ("a key is there twice", "icustays_pkey"),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("name", "damage", "parts"), BAD_FILES.values(), ids=BAD_FILES.keys())
def test_a_bad_file(
    place: Place, tables: Path, load: Load, name: str, damage: Callable[[Path], Any], parts: tuple[str, ...]
) -> None:
    damage(tables / name)

    result = load(place, tables, "--tables", SYNTHETIC)

    message = refused(result, tables / name, *parts)
    bad = name.partition(".")[0].lower()
    assert place.tables() == set(SYNTHETIC.split(",")) - {bad}, "the other tables are there, and nothing of the bad one"
    assert message.count(name) == 1
    assert [line.split()[-1] for line in result.stdout.splitlines()].count("LOADED") == 1


def test_a_mended_file_is_all_that_is_loaded_again(place: Place, small_tables: Path, tables: Path, load: Load) -> None:
    corrupt(tables / CHART)
    refused(load(place, tables, "--tables", SYNTHETIC), *DAMAGED)
    shutil.copy(small_tables / CHART, tables)

    result = load(place, tables, "--tables", SYNTHETIC)

    assert result.returncode == 0, result.stderr
    assert result.stderr.count("rows are there already") == 6


def without_column(file: Path) -> None:
    def change(rows: Rows) -> None:
        at = rows[0].index("ERROR")
        for row in rows:
            del row[at]

    rewrite(file, change)


#: Found out before any work: what is done to the folder, and parts of the message.
BAD_FOLDERS: dict[str, tuple[Callable[[Path], Any], tuple[str, ...]]] = {
    "no folder": (shutil.rmtree, ("tables: cannot be read", "--csv")),
    "missing files": (
        lambda f: [(f / CHART).unlink(), (f / "LABEVENTS.csv.gz").unlink()],
        ("CHARTEVENTS, LABEVENTS", "--tables"),
    ),
    "a table twice": (
        lambda f: (f / "icustays.csv").write_bytes(gzip.decompress((f / STAYS).read_bytes())),
        ("ICUSTAYS.csv.gz and icustays.csv", "twice", "remove one"),
    ),
    "missing column": (lambda f: without_column(f / CHART), (CHART, "no column error", "CHARTEVENTS")),
    "another table": (lambda f: shutil.copy(f / STAYS, f / CHART), (CHART, "no column")),
    "one column more": (
        lambda f: rewrite(f / CHART, lambda rows: [row.append("MORE") for row in rows].clear()),
        (CHART, "more columns", "is it that table"),
    ),
    "empty file": (lambda f: (f / CHART).write_bytes(b""), (CHART, *DAMAGED)),
    "not gzip": (lambda f: (f / CHART).write_text("ROW_ID\n"), (CHART, *DAMAGED)),
    "a folder for a file": (lambda f: [(f / CHART).unlink(), (f / CHART).mkdir()], (CHART, "cannot be read")),
}


@pytest.mark.parametrize(("damage", "parts"), BAD_FOLDERS.values(), ids=BAD_FOLDERS.keys())
def test_a_bad_folder_is_found_out_before_any_work(
    place: Place, tables: Path, load: Load, damage: Callable[[Path], Any], parts: tuple[str, ...]
) -> None:
    damage(tables)

    result = load(place, tables, "--tables", SYNTHETIC)

    refused(result, *parts)
    assert (result.stdout, result.stderr.count("\n")) == ("", 1)
    assert not place.query("select 1 from pg_namespace where nspname = 'mimiciii'")


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--tables", "icustay"], ("--tables 'icustay'", "ICUSTAYS")),
        (["--jobs", "0"], ("--jobs 0", ">= 1")),
        (["--release", "fool"], ("--release", '"fool"')),
    ],
)
def test_a_bad_option(place: Place, tables: Path, load: Load, options: list[str], parts: tuple[str, ...]) -> None:
    refused(load(place, tables, *options), *parts)
    assert not place.tables()


# --- row counts -------------------------------------------------------------------------------------------------


@pytest.mark.demo
@pytest.mark.parametrize("table", ["SERVICES", "PATIENTS"])
def test_a_file_cut_at_a_line_is_found_out_by_its_rows(
    place: Place, demo: Path, tmp_path: Path, load: Load, table: str
) -> None:
    """PATIENTS by the rows of the tables beside it, which say that this is the demo."""
    folder = tmp_path / "cut"
    folder.mkdir()
    for file in demo.glob("*.csv.gz"):
        (folder / file.name).symlink_to(file)
    cut = folder / f"{table}.csv.gz"
    cut.unlink()
    content = gzip.decompress((demo / cut.name).read_bytes())
    cut.write_bytes(gzip.compress(b"".join(content.splitlines(keepends=True)[:-1])))

    result = load(place, folder, "--tables", "services,patients,icustays,admissions")

    refused(result, cut, "the demo release", "get the whole file")
    expected = {"SERVICES": 163, "PATIENTS": 100}[table]
    (line,) = (line for line in result.stdout.splitlines() if line.startswith(table.lower()))
    assert line.split() == [table.lower(), str(expected), str(expected - 1), "NOT", "LOADED"]
    assert place.tables() == {"services", "patients", "icustays", "admissions"} - {table.lower()}


def test_rows_of_the_wrong_release(place: Place, tables: Path, load: Load) -> None:
    options = ("--tables", "icustays")
    refused(load(place, tables, *options, "--release", "full"), "30 rows", "61,532", "--release other")
    assert not place.tables()
    assert load(place, tables, *options).returncode == 0

    result = load(place, tables, *options, "--release", "demo")

    refused(result, "30 rows", "136")
    assert "WRONG, as loaded before" in result.stdout


# --- what is there already --------------------------------------------------------------------------------------


def test_tables_of_others_are_left_alone(place: Place, tables: Path, load: Load) -> None:
    place.query("create schema mimiciii authorization mimic_loader")
    place.query("create table mimiciii.icustays as select 1 as x")
    place.query("create table mimiciii.patients ()")
    place.query("alter table mimiciii.icustays owner to mimic_loader")
    place.query("alter table mimiciii.patients owner to mimic_loader")
    options = ("--tables", SYNTHETIC)

    message = refused(load(place, tables, *options), "icustays was made by something else", "--replace", "schema")

    assert "patients" not in message, "an empty table is not in the way"
    assert place.tables() == {"icustays", "patients"}
    assert place.query("select x from mimiciii.icustays") == [(1,)]
    result = load(place, tables, *options, "--replace")
    assert result.returncode == 0, result.stderr
    assert place.rows("icustays") == 30


def test_a_table_from_another_file_is_replaced_when_told_so(place: Place, tables: Path, load: Load) -> None:
    assert load(place, tables, "--tables", "icustays").returncode == 0
    rewrite(tables / STAYS, lambda rows: rows.pop())

    refused(load(place, tables, "--tables", "icustays"), "icustays comes from another file", STAYS, "--replace")
    assert place.rows("icustays") == 30
    assert load(place, tables, "--tables", "icustays", "--replace").returncode == 0
    assert place.rows("icustays") == 29


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("insert into mimiciii.labevents select * from mimiciii.labevents", 2.0),
        ("delete from mimiciii.labevents where mod(row_id, 2) = 0", 0.5),
        ("truncate mimiciii.labevents", 0.0),
    ],
    ids=["doubled", "halved", "emptied"],
)
def test_a_finished_table_that_somebody_changed(
    place: Place, tables: Path, load: Load, change: str, found: float
) -> None:
    options = ("--tables", "labevents,icustays")
    assert load(place, tables, *options).returncode == 0
    loaded = place.rows("labevents")
    place.query(change)
    rows = place.rows("labevents")
    assert rows == pytest.approx(loaded * found, rel=0.1)

    result = load(place, tables, *options)

    message = refused(result, "table labevents", f"holds {rows:,} rows", f"{loaded:,} were loaded", "--replace")
    assert "icustays" not in message
    verdicts = {line.split()[0]: line for line in result.stdout.splitlines()}
    assert "WRONG, as loaded before" in verdicts["labevents"]
    assert f"{rows:,}" in verdicts["labevents"]
    assert "ok, loaded before" in verdicts["icustays"]
    assert place.rows("labevents") == rows, "it is left as it was"
    assert load(place, tables, *options, "--replace").returncode == 0
    assert place.rows("labevents") == loaded


CHECKSUM = "computing its checksum"


def touch(file: Path) -> None:
    """Let ``file`` be one second younger."""
    time_ns = file.stat().st_mtime_ns + 10**9
    os.utime(file, ns=(time_ns, time_ns))


def test_a_file_that_was_only_touched_is_the_same(place: Place, tables: Path, load: Load) -> None:
    options = ("--tables", "icustays")
    assert load(place, tables, *options).returncode == 0
    again = load(place, tables, *options)
    assert (again.returncode, CHECKSUM in again.stderr) == (0, False), again.stderr
    touch(tables / STAYS)

    result = load(place, tables, *options)

    assert result.returncode == 0, result.stderr
    assert f"icustays: {STAYS} may have changed" in result.stderr
    assert CHECKSUM in result.stderr
    assert "30 rows are there already, from the same file" in result.stderr


def test_a_mark_of_an_earlier_version_is_read(place: Place, tables: Path, load: Load) -> None:
    options = ("--tables", "icustays")
    assert load(place, tables, *options).returncode == 0
    (text,) = place.query("select obj_description('mimiciii.icustays'::regclass, 'pg_class')")[0]
    mark = json.loads(text)
    del mark["mtime_ns"]
    place.query("comment on table mimiciii.icustays is " + f"'{json.dumps(mark)}'")

    result = load(place, tables, *options)

    assert result.returncode == 0, result.stderr
    assert CHECKSUM in result.stderr
    assert "ok, loaded before" in result.stdout


def test_another_file_of_the_same_name_and_size(place: Place, tables: Path, load: Load) -> None:
    file = tables / STAYS.removesuffix(".gz")
    file.write_bytes(gzip.decompress((tables / STAYS).read_bytes()))
    (tables / STAYS).unlink()
    options = ("--tables", "icustays,patients")
    assert load(place, tables, *options).returncode == 0
    before = place.query("select sum(hashtextextended(t::text, 0)) from mimiciii.icustays t")
    size = file.stat().st_size
    content = file.read_bytes().rstrip(b"\n")
    file.write_bytes(content[:-1] + (b"1" if content[-1:] != b"1" else b"2") + b"\n")
    assert file.stat().st_size == size
    touch(file)

    result = load(place, tables, *options)

    refused(result, "table icustays", f"comes from another {file.name} of the same size", "--replace")
    assert [line.split()[-3:] for line in result.stdout.splitlines() if line.startswith("patients")] == [
        ["ok,", "loaded", "before"]
    ]
    assert place.query("select sum(hashtextextended(t::text, 0)) from mimiciii.icustays t") == before
    replaced = load(place, tables, *options, "--replace")
    assert (replaced.returncode, CHECKSUM in replaced.stderr) == (0, False), replaced.stderr
    assert place.query("select sum(hashtextextended(t::text, 0)) from mimiciii.icustays t") != before


def test_views_on_a_table_keep_it_from_being_replaced(place: Place, tables: Path, load: Load) -> None:
    assert load(place, tables, "--tables", "icustays").returncode == 0
    place.query("create view mimiciii.mine as select * from mimiciii.icustays")

    refused(load(place, tables, "--tables", "icustays", "--replace"), "depend on the table", "drop them first")
    assert place.rows("icustays") == 30


def test_another_load_at_work(place: Place, tables: Path, load: Load, demo: Path) -> None:
    with start(place, demo) as process:
        backend_in_the_middle(place, process)
        refused(load(place, tables, "--tables", SYNTHETIC), "another load-database is at work", "wait for it")
        process.kill()


# --- forms of the files -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["plain", "lower", "columns in another order", "two members", "CRLF"])
def test_the_form_of_the_files_does_not_matter(
    new_place: Callable[..., Place], small_tables: Path, tables: Path, load: Load, form: str
) -> None:
    for file in sorted(tables.iterdir()):
        content = gzip.decompress(file.read_bytes())
        head, _, rest = content.partition(b"\n")
        if form == "plain":
            file.with_suffix("").write_bytes(content)
            file.unlink()
        elif form == "lower":
            file.write_bytes(gzip.compress(head.lower() + b"\n" + rest))
            file.rename(file.with_name(file.name.lower()))
        elif form == "columns in another order":
            rewrite(file, lambda rows: [row.reverse() for row in rows].clear())
        elif form == "two members":
            middle = len(content) // 2
            file.write_bytes(gzip.compress(content[:middle]) + gzip.compress(content[middle:]) + bytes(100))
        else:
            file.write_bytes(gzip.compress(content.replace(b"\n", b"\r\n")))
    usual, other = new_place(), new_place()

    assert load(usual, small_tables, "--tables", SYNTHETIC).returncode == 0
    result = load(other, tables, "--tables", SYNTHETIC)

    assert result.returncode == 0, result.stderr
    assert other.contents() == usual.contents()


def test_a_schema_whose_name_needs_quotes(place: Place, tables: Path, lstm_aa_inside: Any) -> None:
    address = place.server.address(place.database, user=LOADER, schema="Hospital 2")

    result = lstm_aa_inside(
        "load-database", "--csv", tables, "--database", address, "--tables", SYNTHETIC, env=place.env
    )

    assert result.returncode == 0, result.stderr
    assert place.tables("Hospital 2") == set(SYNTHETIC.split(","))


# --- a bad server -----------------------------------------------------------------------------------------------


def test_no_right_to_create(place: Place, tables: Path, lstm_aa_inside: Any) -> None:
    command = ("load-database", "--csv", tables, "--tables", SYNTHETIC)
    address = place.server.address(place.database)  # of the reader's
    result = lstm_aa_inside(*command, "--database", address, env=place.server.env)

    refused(result, f"127.0.0.1:{place.server.port}", "the user may not do this", "right to create")
    place.query("create schema mimiciii")
    place.query(f"grant usage on schema mimiciii to {place.server.user}")
    again = lstm_aa_inside(*command, "--database", address, env=place.server.env)
    message = refused(again, "the user may not do this", "nothing of it was kept")
    assert message.count("may not") == 1
    assert not place.tables()


def test_a_wrong_password_is_never_shown(place: Place, tables: Path, lstm_aa_inside: Any) -> None:
    password = f"wrong-{secrets.token_hex(8)}"
    result = lstm_aa_inside(
        "load-database", "--csv", tables, "--tables", SYNTHETIC, "--database", place.address,
        env={"PGPASSWORD": password},
    )  # fmt: skip

    assert password not in refused(result, "refused user or password", "PGPASSWORD")


@pytest.mark.parametrize(
    "address", ["postgresql://a:hunter2@127.0.0.1:1/x", "mysql://a@127.0.0.1/x", "postgresql://a:b/c@127.0.0.1/x"]
)
def test_a_bad_address(tables: Path, lstm_aa_inside: Any, address: str) -> None:
    message = refused(lstm_aa_inside("load-database", "--csv", tables, "--database", address), "--database postgresql")

    assert "hunter2" not in message
