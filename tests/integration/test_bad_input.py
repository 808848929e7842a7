"""Bad input, through the real command line: one line that says what, where and how to mend it, and exit code 2."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import random
import re
import resource
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
import yaml

from lstm_adversarial_attack.artifacts import write_artifact
from lstm_adversarial_attack.artifacts.manifest import Identity, digest_of
from lstm_adversarial_attack.catalogue import load_catalogue
from lstm_adversarial_attack.sources.synthetic import synthesize
from workers import free_port

Refused = Callable[..., str]
Damage = Callable[[Path], None]

STAGE_LINE = re.compile(r"(extract|preprocess|tune|train|attack-tune|attack|evaluate|synthesize) ")


@pytest.fixture
def refused(lstm_aa: Any, lstm_aa_inside: Any, tmp_path: Path, request: pytest.FixtureRequest) -> Refused:
    """Run `lstm-aa` on bad input, check the form of what it says, and return the message.

    ``apart`` runs it in a process of its own; ``early`` says that the error comes before any work.
    """

    def call(*arguments: object, env: dict[str, str] | None = None, apart: bool = False, early: bool = False) -> str:
        result = (lstm_aa if apart else lstm_aa_inside)(*arguments, env=env)
        assert result.returncode == 2, result.stderr
        assert result.stdout == ""
        assert "Traceback" not in result.stderr
        *before, last = result.stderr.splitlines()
        assert last.startswith("lstm-aa: error: ")
        assert not before if early else all(STAGE_LINE.match(line) for line in before), result.stderr
        left = [path for path in tmp_path.rglob("*") if ".work" in path.name or ".partial" in path.name]
        assert not left
        message = last.removeprefix("lstm-aa: error: ")
        request.node.user_properties.append(("message", message))
        return message

    return call


def says(message: str, *parts: object) -> None:
    """Check that the message holds every part."""
    for part in parts:
        assert str(part) in message, f"{part!r} is not in {message!r}"


@pytest.fixture
def out(tmp_path: Path) -> Iterator[Path]:
    """An output address at which nothing may stand when the test ends."""
    address = tmp_path / "out" / "artifact"
    yield address
    assert not address.exists()


@pytest.fixture(scope="session")
def small_tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    synthesize(30, 7, folder)
    return folder


@pytest.fixture
def tables(small_tables: Path, tmp_path: Path) -> Path:
    """A small release that a test may damage."""
    return Path(shutil.copytree(small_tables, tmp_path / "tables"))


# --- damaged tables ---------------------------------------------------------------------------------------------


def rewrite(file: Path, change: Callable[[list[list[str]]], None]) -> None:
    """Change the rows (the header is the first) of a .csv.gz file."""
    rows = list(csv.reader(io.StringIO(gzip.decompress(file.read_bytes()).decode())))
    change(rows)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    file.write_bytes(gzip.compress(text.getvalue().encode()))


def without_column(file: Path, name: str) -> None:
    def change(rows: list[list[str]]) -> None:
        at = rows[0].index(name)
        for row in rows:
            del row[at]

    rewrite(file, change)


def cut(file: Path, keep: Callable[[int], int]) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: keep(len(content))])


def corrupt(file: Path) -> None:
    """Overwrite a stretch in the middle; the header stays readable."""
    content = bytearray(file.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 64] = random.Random(0).randbytes(64)
    file.write_bytes(content)


def twice(folder: Path) -> None:
    (folder / "labevents.csv").write_bytes(gzip.decompress((folder / "LABEVENTS.csv.gz").read_bytes()))


def not_gzip(file: Path) -> None:
    file.write_bytes(gzip.decompress(file.read_bytes()))


def empty_table(file: Path) -> None:
    rewrite(file, lambda rows: rows.__delitem__(slice(1, None)))


DAMAGES = {
    "missing folder": (shutil.rmtree, ["tables: no such folder", "give the folder"]),
    "missing table": (
        lambda f: (f / "LABEVENTS.csv.gz").unlink(),
        ["tables: no file for table LABEVENTS", ".csv or .csv.gz"],
    ),
    "missing column": (
        lambda f: without_column(f / "CHARTEVENTS.csv.gz", "VALUENUM"),
        ["CHARTEVENTS.csv.gz", "no column valuenum"],
    ),
    "table twice": (twice, ["LABEVENTS.csv.gz", "labevents.csv", "twice", "remove one"]),
    "not a gzip": (
        lambda f: not_gzip(f / "ICUSTAYS.csv.gz"),
        ["ICUSTAYS.csv.gz", "not a whole .gz file", "download it again"],
    ),
    "empty file": (lambda f: (f / "PATIENTS.csv.gz").write_bytes(b""), ["PATIENTS.csv.gz", "no column"]),
    "folder in place of a file": (
        lambda f: ((f / "PATIENTS.csv.gz").unlink(), (f / "PATIENTS.csv").mkdir()),
        ["PATIENTS.csv", "cannot be read"],
    ),
    "no stays": (lambda f: empty_table(f / "ICUSTAYS.csv.gz"), ["no ICU stay", "not empty"]),
}
TABLES = ("PATIENTS", "ICUSTAYS", "CHARTEVENTS", "LABEVENTS")
DAMAGES |= {
    f"{table} truncated to {keep}": (
        lambda f, table=table, kept=kept: cut(f / f"{table}.csv.gz", kept),
        [f"{table}.csv.gz", "not a whole .gz file", "download it again"],
    )
    for table in TABLES
    for keep, kept in {
        "all but the last byte": lambda n: n - 1,
        "all but the checksum": lambda n: n - 8,
        "half": lambda n: n // 2,
        "five bytes": lambda _: 5,
    }.items()
}


@pytest.mark.parametrize(("damage", "parts"), DAMAGES.values(), ids=DAMAGES.keys())
def test_damaged_release(refused: Refused, tables: Path, out: Path, damage: Damage, parts: list[str]) -> None:
    damage(tables)

    says(refused("extract", "--source", f"csv:{tables}", "--out", out, early=True), *parts)


@pytest.mark.parametrize("table", TABLES)
def test_corrupted_bytes(refused: Refused, tables: Path, out: Path, table: str) -> None:
    """DuckDB reads what it can, so the message names the file or the line where reading stops."""
    corrupt(tables / f"{table}.csv.gz")

    message = refused("extract", "--source", f"csv:{tables}", "--out", out, early=True)

    says(message, f"{table}.csv.gz", "damaged")


def test_bytes_after_the_end(refused: Refused, tables: Path, out: Path) -> None:
    with (tables / "CHARTEVENTS.csv.gz").open("ab") as file:
        file.write(b"something else")

    says(refused("extract", "--source", f"csv:{tables}", "--out", out), "CHARTEVENTS.csv.gz", "not a whole .gz file")


SECRET_CELLS = ("987654321", "Mrs Doe", "31415.9265", "2150-01-02 03:04:05")


@pytest.mark.parametrize("apart", [False, True], ids=["inside", "apart"])
@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        pytest.param("too few columns", "3 columns where the header has 15", id="too-few-columns"),
        pytest.param("too many columns", "columns where the header has 15", id="too-many-columns"),
        pytest.param("text in a number", "column VALUENUM holds something of the wrong type", id="text-in-a-number"),
        pytest.param("text in a date", "column CHARTTIME holds something of the wrong type", id="text-in-a-date"),
        pytest.param("open quote", "", id="open-quote"),
    ],
)
def test_damaged_row_is_named_but_not_shown(
    refused: Refused, tables: Path, out: Path, damage: str, reason: str, apart: bool
) -> None:
    file = tables / "CHARTEVENTS.csv.gz"
    number, name, value, time = SECRET_CELLS

    def change(rows: list[list[str]]) -> None:
        columns = {column: at for at, column in enumerate(rows[0])}
        row = list(rows[5])
        row[columns["SUBJECT_ID"]], row[columns["VALUE"]] = number, name
        row[columns["VALUENUM"]], row[columns["CHARTTIME"]] = value, time
        if damage == "too few columns":
            row = [number, name, value]
        elif damage == "too many columns":
            row += [name, name]
        elif damage == "text in a number":
            row[columns["VALUENUM"]] = name
        elif damage == "text in a date":
            row[columns["CHARTTIME"]] = name
        rows[5] = row

    rewrite(file, change)
    if damage == "open quote":
        text = gzip.decompress(file.read_bytes()).decode().replace(name, f'"{name}', 1)
        file.write_bytes(gzip.compress(text.encode()))

    message = refused("extract", "--source", f"csv:{tables}", "--out", out, apart=apart, early=True)

    says(message, file, reason, "damaged")
    assert not [cell for cell in SECRET_CELLS if cell in message]


# --- PostgreSQL -------------------------------------------------------------------------------------------------


def test_no_postgres_at_the_address(refused: Refused, out: Path) -> None:
    address = f"postgresql://somebody@127.0.0.1:{free_port()}/mimic"

    message = refused("extract", "--source", address, "--out", out, early=True)

    says(message, address.replace("somebody@", ""), "no PostgreSQL answers there", "check host, port")


@pytest.mark.postgres
@pytest.mark.parametrize("apart", [False, True], ids=["inside", "apart"])
def test_wrong_password_is_never_shown(
    refused: Refused, empty_postgres: Any, out: Path, tmp_path: Path, apart: bool
) -> None:
    password = f"wrong-{secrets.token_hex(8)}"
    address = empty_postgres.address("postgres")

    message = refused(
        "extract", "--source", address, "--out", out, env={"PGPASSWORD": password}, apart=apart, early=True
    )

    says(message, f"127.0.0.1:{empty_postgres.port}", "refused user or password", "PGPASSWORD")
    assert password not in message
    assert not [file for file in tmp_path.rglob("*") if file.is_file() and password.encode() in file.read_bytes()]


@pytest.mark.postgres
def test_right_password_is_never_written(lstm_aa: Any, postgres: Any, tmp_path: Path) -> None:
    result = lstm_aa("extract", "--source", postgres.address(), "--out", "events", env=postgres.env)

    assert result.returncode == 0, result.stderr
    assert postgres.password not in result.stdout + result.stderr
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert files
    assert not [file for file in files if postgres.password.encode() in file.read_bytes()]


PASSWORD = "hunter2secret"


@pytest.mark.parametrize(
    "address",
    [
        f"postgresql://reader:{PASSWORD}@127.0.0.1:1/mimic",
        f"postgres://reader:{PASSWORD}@127.0.0.1:1/mimic",
        f"postgresql://reader@127.0.0.1:1/mimic?password={PASSWORD}",
        f"postgresql://reader@127.0.0.1:1/mimic?sslpassword={PASSWORD}",
        f"postgresql://reader:12/{PASSWORD}@127.0.0.1:1/mimic",
        f"postgresql://reader:12#{PASSWORD}@127.0.0.1:1/mimic",
        f"postgresql://reader:12?{PASSWORD}@127.0.0.1:1/mimic",
        f"postgresql://reader:{PASSWORD}/@127.0.0.1:1/mimic",
        f"postgresql+psycopg2://reader:{PASSWORD}@127.0.0.1:1/mimic",
        f"mysql://reader:{PASSWORD}@127.0.0.1:1/mimic",
    ],
)
@pytest.mark.parametrize("command", ["extract", "run"])
def test_password_in_the_address_is_refused_and_not_shown(
    refused: Refused, out: Path, command: str, address: str
) -> None:
    message = refused(command, "--source", address, "--out", out, early=True)

    says(message, "source ")
    assert PASSWORD not in message


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("place", "parts"),
    [
        pytest.param({"database": "nowhere"}, ['database "nowhere" does not exist', "mend the address"], id="database"),
        pytest.param({"user": "nobody_here"}, ["refused user or password", "PGPASSWORD"], id="user"),
        pytest.param({"schema": "elsewhere"}, ["no schema 'elsewhere'", "?schema=NAME"], id="schema"),
        pytest.param({"schema": "incomplete"}, ["'incomplete'", "labevents", "is it a MIMIC-III database"], id="table"),
        pytest.param({"schema": "closed"}, ["'closed'", "permission denied"], id="rights"),
        pytest.param({"schema": "altered"}, ["'altered'", "hospital_expire_flag", "MIMIC-III"], id="column"),
    ],
)
def test_wrong_place_in_postgres(
    refused: Refused, postgres: Any, out: Path, place: dict[str, str], parts: list[str]
) -> None:
    with postgres.as_admin("mimic") as admin, admin.cursor() as cursor:
        cursor.execute("create schema if not exists closed")
        cursor.execute("create schema if not exists altered")
        for table in ("patients", "admissions", "icustays"):
            cursor.execute(f"create or replace view closed.{table} as select * from mimiciii.{table}")
            columns = "hadm_id" if table == "admissions" else "*"
            cursor.execute(f"create or replace view altered.{table} as select {columns} from mimiciii.{table}")
        cursor.execute(f"grant usage on schema closed, altered to {postgres.user}")
        cursor.execute(f"grant select on all tables in schema altered to {postgres.user}")
    admin.close()

    message = refused("extract", "--source", postgres.address(**place), "--out", out, env=postgres.env)

    says(message, f"127.0.0.1:{postgres.port}", *parts)


# --- cohort and split -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "option", "value"),
    [("adult", "--min-age-years", 400), ("whole_window", "--window-hours", 240),
     ("min_measurements", "--min-measurements", 10**6)],
)  # fmt: skip
def test_empty_cohort_names_the_rule(
    refused: Refused, tables: Path, out: Path, rule: str, option: str, value: int
) -> None:
    if rule == "whole_window":
        rewrite(tables / "ICUSTAYS.csv.gz", lambda rows: _set_column(rows, "LOS", "3.5"))

    message = refused("extract", "--source", f"csv:{tables}", "--out", out, option, value)

    says(message, f"cohort rule '{rule}'", f"change {option}")


def _set_column(rows: list[list[str]], name: str, value: str) -> None:
    at = rows[0].index(name)
    for row in rows[1:]:
        row[at] = value


@pytest.fixture
def events_of(lstm_aa_inside: Any, tables: Path, tmp_path: Path) -> Callable[..., Path]:
    """Extract events from the small release after a change to one of its tables."""

    def call(table: str, change: Callable[[list[list[str]]], None]) -> Path:
        rewrite(tables / f"{table}.csv.gz", change)
        result = lstm_aa_inside("extract", "--source", f"csv:{tables}", "--out", "events")
        assert result.returncode == 0, result.stderr
        return tmp_path / "events"

    return call


@pytest.mark.parametrize(("outcome", "deaths"), [("0", "0 deaths"), ("1", "deaths, so it lacks one class")])
def test_split_with_one_class(
    refused: Refused, events_of: Callable[..., Path], out: Path, outcome: str, deaths: str
) -> None:
    events = events_of("ADMISSIONS", lambda rows: _set_column(rows, "HOSPITAL_EXPIRE_FLAG", outcome))

    message = refused("preprocess", "--events", events, "--out", out)

    says(message, "the train split", "lacks one class", deaths, "--seed")


def test_fewer_patients_than_splits(
    refused: Refused, events_of: Callable[..., Path], small_tables: Path, out: Path
) -> None:
    def two_patients(rows: list[list[str]]) -> None:
        patient, los = rows[0].index("SUBJECT_ID"), rows[0].index("LOS")
        long = [row for row in rows[1:] if float(row[los]) >= 2 and row[patient] in adults]
        kept = list(dict.fromkeys(row[patient] for row in long))[:2]
        rows[1:] = [row for row in long if row[patient] in kept]

    adults = _adults(small_tables)
    message = refused("preprocess", "--events", events_of("ICUSTAYS", two_patients), "--out", out)

    says(message, "2 patients", "3 parts", "give a larger source")


def _adults(tables: Path) -> set[str]:
    """Return the patients who were grown up at their first stay."""
    people = pl.read_csv(tables / "PATIENTS.csv.gz", try_parse_dates=True)
    stays = pl.read_csv(tables / "ICUSTAYS.csv.gz", try_parse_dates=True).join(people, on="SUBJECT_ID")
    grown = stays.filter((pl.col("INTIME") - pl.col("DOB")).dt.total_days() > 19 * 365.25)
    return set(grown["SUBJECT_ID"].cast(pl.String))


# --- names, options and files of settings -----------------------------------------------------------------------


def test_unknown_feature_set(refused: Refused, tables: Path, out: Path) -> None:
    message = refused("extract", "--source", f"csv:{tables}", "--out", out, "--features", "icu-20", early=True)

    says(message, "'icu-20'", "icu-19, icu-extended, reference-19")


@pytest.mark.parametrize("command", ["extract", "run"])
def test_unknown_protocol(refused: Refused, out: Path, command: str) -> None:
    message = refused(command, "--source", "synthetic:10", "--out", out, "--protocol", "clinicall", early=True)

    says(message, "--protocol clinicall", "clinical", ".yaml")


@pytest.mark.parametrize(
    ("source", "part"),
    [("synthetic:many", "synthetic:STAYS"), ("synthetic:0", "synthetic:STAYS"), ("tables", "csv:FOLDER"),
     ("synthetic:99999999", "ICU stays"), ("csv:nowhere", "give the folder")],
)  # fmt: skip
def test_unknown_source(refused: Refused, out: Path, source: str, part: str) -> None:
    says(refused("extract", "--source", source, "--out", out, early=True), source, part)


BAD_SETTINGS = {
    "unknown key": ("extract:\n  feature: icu-19\n", ["my.yaml", "feature"]),
    "unknown section": ("extrakt:\n  features: icu-19\n", ["my.yaml", "'extrakt'", "extract"]),
    "section of the wrong spelling": ("attack_tune:\n  trials: 3\n", ["my.yaml", "'attack_tune'", "attack-tune"]),
    "not YAML": ("extract: [1\n", ["my.yaml", "not YAML"]),
    "a list": ("- extract\n", ["my.yaml", "a section for each stage"]),
    "no sections": ("features: icu-19\n", ["my.yaml", "a section for each stage"]),
    "wrong type": ("extract:\n  window_hours: long\n", ["my.yaml", "window_hours 'long'", "whole number"]),
    "out of range": ("extract:\n  window_hours: 0\n", ["window_hours 0", ">= 1"]),
    "a fraction": ("train:\n  max_epochs: 1.5\n", ["max_epochs 1.5", "whole number"]),
    "a mapping for a number": ("extract:\n  window_hours: {hours: 3}\n", ["my.yaml", "window_hours"]),
    "not text": ("\udcff\udcfe", ["my.yaml", "cannot be read"]),
}


@pytest.mark.parametrize("command", ["extract", "run"])
@pytest.mark.parametrize("option", ["--settings", "--protocol"])
@pytest.mark.parametrize(("text", "parts"), BAD_SETTINGS.values(), ids=BAD_SETTINGS.keys())
def test_malformed_settings_file(
    refused: Refused, out: Path, tmp_path: Path, text: str, parts: list[str], option: str, command: str
) -> None:
    file = tmp_path / "my.yaml"
    file.write_bytes(text.encode(errors="surrogateescape"))

    message = refused(command, "--source", "synthetic:10", "--out", out, option, file, early=True)

    says(message, *parts)


def test_missing_settings_file(refused: Refused, out: Path) -> None:
    message = refused("run", "--source", "synthetic:10", "--out", out, "--settings", "no.yaml", early=True)

    says(message, "no.yaml", "cannot be read")


BAD_OPTIONS = {
    "learning rate below 0": (["--lr", "-1"], ["--lr -1.0", "> 0.0"]),
    "share of 1": (["--dropout", "1"], ["--dropout 1.0", "< 1.0"]),
    "no epochs": (["--max-epochs", "0"], ["--max-epochs 0", ">= 1"]),
    "not a number": (["--lr", "fast"], ["--lr", '"fast"', "float"]),
    "not a choice": (["--device", "tpu"], ["--device", '"tpu"', "cuda"]),
    "unknown option": (["--learning-rate", "1"], ["--learning-rate", "lstm-aa train --help"]),
    "option without a value": (["--lr"], ["--lr", "requires an argument"]),
    "a word too many": (["again"], ["again"]),
}


@pytest.mark.parametrize(("options", "parts"), BAD_OPTIONS.values(), ids=BAD_OPTIONS.keys())
def test_bad_option(refused: Refused, artifacts: Any, out: Path, options: list[str], parts: list[str]) -> None:
    message = refused("train", "--dataset", artifacts.dataset, "--out", out, *options, early=True)

    says(message, *parts)


def test_bad_option_of_a_stage_in_run(refused: Refused, out: Path) -> None:
    message = refused("run", "--source", "synthetic:10", "--out", out, "--train.lr", "-1", early=True)

    says(message, "--train.lr -1.0", "> 0.0")


@pytest.mark.parametrize("arguments", [["tran"], ["train"], ["train", "--out", "x"]])
def test_incomplete_command(refused: Refused, arguments: list[str]) -> None:
    says(refused(*arguments, early=True), arguments[0], "--help")


def test_gpu_where_there_is_none(refused: Refused, artifacts: Any, out: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    message = refused("train", "--dataset", artifacts.dataset, "--out", out, "--device", "cuda", early=True)

    says(message, "--device cuda", "no GPU", "--device auto")


# --- catalogue --------------------------------------------------------------------------------------------------


def _without(entry: dict[str, Any], key: str) -> None:
    del entry[key]


BAD_CATALOGUES: dict[str, tuple[Callable[[dict[str, Any]], Any], list[str]]] = {
    "missing field": (lambda c: _without(c["measurements"]["lactate"], "unit"), ["'lactate'", "unit"]),
    "unknown field": (lambda c: c["measurements"]["lactate"].update(units="x"), ["'lactate'", "units"]),
    "text for a number": (lambda c: c["measurements"]["lactate"].update(normal="low"), ["'lactate'", "normal"]),
    "unknown table": (
        lambda c: c["measurements"]["lactate"]["sources"][0].update(table="inputevents"),
        ["'lactate'", "inputevents"],
    ),
    "name for an item of MIMIC-III": (
        lambda c: c["measurements"]["lactate"]["sources"][0].update(items=["Lactate"]),
        ["'lactate'", "items of labevents are whole numbers"],
    ),
    "number for an item of Challenge 2012": (
        lambda c: c["measurements"]["lactate"]["sources"][1].update(items=[50813]),
        ["'lactate'", "items of challenge2012 are names"],
    ),
    "unknown reference": (
        lambda c: c["measurements"]["lactate"].update(references=["hearsay"]),
        ["'lactate'", "'hearsay'", "references"],
    ),
    "unknown static": (lambda c: c["feature_sets"]["icu-19"].update(static=["mood"]), ["'icu-19'", "'mood'"]),
    "static twice": (
        lambda c: c["feature_sets"]["icu-19"].update(static=["age", "age"]),
        ["'icu-19'", "'age'", "twice"],
    ),
    "static and feature": (
        lambda c: c["feature_sets"]["icu-19"].update(static=["lactate"]),
        ["'icu-19'", "'lactate'", "twice"],
    ),
    "empty range": (
        lambda c: c["measurements"]["lactate"].update(physiological=[5.0, 1.0]),
        ["'lactate'", "[5.0, 1.0] is empty"],
    ),
    "normal outside the range": (lambda c: c["measurements"]["lactate"].update(normal=99.0), ["'lactate'", "99.0"]),
    "limit that is no number": (
        lambda c: c["measurements"]["lactate"]["sources"][0].update(accepted={"gt": float("nan")}),
        ["'lactate'", "50813", "gt nan is not a finite number"],
    ),
    "item that no table can have": (
        lambda c: c["measurements"]["lactate"]["sources"][0].update(items=[2**31]),
        ["'lactate'", "2147483648", "outside 1 to 2147483647"],
    ),
    "nothing accepted": (
        lambda c: c["measurements"]["lactate"]["sources"][0].update(accepted={"gt": 5, "lt": 5}),
        ["'lactate'", "50813", "the accepted range is empty"],
    ),
    "too little accepted": (
        lambda c: c["measurements"]["lactate"]["sources"][0].update(accepted={"gt": 0, "lt": 5}),
        ["'lactate'", "50813", "0 to 5 mmol/L", "does not hold", "[0.2, 30.0]"],
    ),
    "no items": (lambda c: c["measurements"]["lactate"]["sources"][0].update(items=[]), ["'lactate'", "items"]),
    "item named twice": (
        lambda c: c["measurements"]["lactate"]["sources"][0].update(items=[50813, 50813]),
        ["'lactate'", "50813", "twice"],
    ),
    "item of two features": (
        lambda c: c["measurements"]["lactate"]["sources"][0].update(items=[50862]),
        ["'icu-19'", "50862", "'lactate'", "'albumin'"],
    ),
    "unknown feature": (lambda c: c["feature_sets"]["icu-19"]["features"].append("mood"), ["'icu-19'", "'mood'"]),
    "feature twice": (lambda c: c["feature_sets"]["icu-19"]["features"].append("lactate"), ["'icu-19'", "twice"]),
    "no features": (lambda c: c["feature_sets"]["icu-19"].update(features=[]), ["'icu-19'", "no features"]),
    "foreign only_items": (
        lambda c: c["feature_sets"]["icu-19"].update(only_items={"lactate": [1]}),
        ["'icu-19'", "item 1", "'lactate'"],
    ),
    "bad name": (
        lambda c: c["measurements"].update({"Blood Lactate": c["measurements"]["lactate"]}),
        ["'Blood Lactate'", "lower-case"],
    ),
    "no measurements": (lambda c: _without(c, "measurements"), ["'measurements'"]),
    "schema version": (lambda c: c.update(schema_version=9), ["9"]),
}


@pytest.mark.parametrize(("change", "parts"), BAD_CATALOGUES.values(), ids=BAD_CATALOGUES.keys())
def test_bad_catalogue_names_the_entry(
    refused: Refused, tables: Path, out: Path, tmp_path: Path, change: Callable[[dict[str, Any]], Any], parts: list[str]
) -> None:
    content = json.loads(json.dumps(_built_in_catalogue()))
    change(content)
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(content))

    message = refused("extract", "--source", f"csv:{tables}", "--out", out, "--catalogue", file, early=True)

    says(message, "catalogue", "mine.yaml", *parts)


def _built_in_catalogue() -> dict[str, Any]:
    import msgspec

    content: dict[str, Any] = msgspec.to_builtins(load_catalogue())
    return content


def test_catalogue_that_is_not_yaml_or_not_there(refused: Refused, tables: Path, out: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text("measurements: [")
    command = ("extract", "--source", f"csv:{tables}", "--out", out, "--catalogue")

    says(refused(*command, "broken.yaml", early=True), "broken.yaml", "not YAML")
    says(refused(*command, "no.yaml", early=True), "no.yaml", "cannot be read", "give a YAML file")


# --- artifacts --------------------------------------------------------------------------------------------------


def edit_manifest(folder: Path, *, mended: bool = False, **changes: Any) -> None:
    """Change fields of the manifest; ``mended`` makes its digest fit again."""
    file = folder / "manifest.json"
    content = json.loads(file.read_text()) | changes
    if mended:
        named = {name: content[name] for name in ("kind", "schema_version", "settings", "seed", "inputs")}
        named["files"] = {name: entry["sha256"] for name, entry in content["files"].items()}
        content["digest"] = digest_of(named)
    file.write_text(json.dumps(content))


def flip_a_byte(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


BAD_ARTIFACTS: dict[str, tuple[Damage, list[str]]] = {
    "wrong checksum": (
        lambda a: flip_a_byte(a / "measurements.parquet"),
        ["measurements.parquet", "checksum does not match", "make the artifact again"],
    ),
    "wrong size": (
        lambda a: cut(a / "stays.parquet", lambda n: n - 1),
        ["stays.parquet", "checksum does not match", "make the artifact again"],
    ),
    "missing file": (lambda a: (a / "stays.parquet").unlink(), ["stays.parquet", "missing", "again"]),
    "changed manifest": (lambda a: edit_manifest(a, seed=5), ["manifest.json was changed", "again"]),
    "schema version": (lambda a: edit_manifest(a, schema_version=99, mended=True), ["version 99", "reads 1", "again"]),
    "unknown kind": (lambda a: edit_manifest(a, kind="stories", mended=True), ["'stories'", "again"]),
    "manifest without a field": (
        lambda a: (a / "manifest.json").write_text('{"kind": "events", "schema_version": 1}'),
        ["not a manifest", "again"],
    ),
    "manifest that is not JSON": (lambda a: (a / "manifest.json").write_text("{"), ["not a manifest", "again"]),
    "no manifest": (lambda a: (a / "manifest.json").unlink(), ["no manifest.json", "'events'"]),
    "no folder": (shutil.rmtree, ["no such folder", "'events'"]),
    "file outside": (
        lambda a: edit_manifest(a, mended=True, files={"../x": {"sha256": "0" * 64, "size": 0}}),
        ["'../x'", "not a plain file name"],
    ),
}


@pytest.mark.parametrize(("damage", "parts"), BAD_ARTIFACTS.values(), ids=BAD_ARTIFACTS.keys())
def test_damaged_artifact(
    refused: Refused, artifacts: Any, out: Path, tmp_path: Path, damage: Damage, parts: list[str]
) -> None:
    copy = Path(shutil.copytree(artifacts.events, tmp_path / "copy"))
    damage(copy)

    says(refused("preprocess", "--events", copy, "--out", out, early=True), copy, *parts)


def test_artifact_of_the_wrong_kind(refused: Refused, artifacts: Any, out: Path) -> None:
    message = refused("preprocess", "--events", artifacts.dataset, "--out", out, early=True)

    says(message, artifacts.dataset, "'dataset'", "'events'")


@pytest.mark.parametrize("command", ["attack", "attack-tune"])
def test_model_of_another_dataset(refused: Refused, artifacts: Any, out: Path, command: str) -> None:
    message = refused(command, "--dataset", artifacts.other_dataset, "--model", artifacts.model, "--out", out)

    says(message, artifacts.model, "another dataset", artifacts.other_dataset)


def test_examples_of_another_dataset(refused: Refused, artifacts: Any, out: Path) -> None:
    message = refused(
        "evaluate", "--dataset", artifacts.other_dataset, "--model", artifacts.model,
        "--examples", artifacts.examples, "--out", out,
    )  # fmt: skip

    says(message, artifacts.examples, "another dataset", "belong together")


# --- where the output goes --------------------------------------------------------------------------------------


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def foreign_folder(at: Path) -> None:
    at.mkdir()
    (at / "thesis.tex").write_text("years of work")


def foreign_link(at: Path) -> None:
    foreign_folder(at.with_name("elsewhere"))
    at.symlink_to(at.with_name("elsewhere"))


@pytest.mark.parametrize(
    ("make", "part"),
    [
        pytest.param(lambda at: at.write_text("years of work"), "not a folder", id="file"),
        pytest.param(foreign_folder, "holds something else", id="foreign-folder"),
        pytest.param(foreign_link, "", id="link"),
    ],
)
@pytest.mark.parametrize("command", ["extract", "run", "synthesize"])
def test_output_address_that_is_taken(
    refused: Refused, tables: Path, tmp_path: Path, command: str, make: Damage, part: str
) -> None:
    taken = tmp_path / "taken"
    make(taken)
    before = contents(tmp_path)
    source = [] if command == "synthesize" else ["--source", f"csv:{tables}"]

    message = refused(command, *source, "--out", taken, early=True)

    says(message, taken, "--out", "holds something already" if command == "synthesize" else part)
    assert contents(tmp_path) == before


def test_output_address_of_another_kind_of_artifact(refused: Refused, artifacts: Any, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(artifacts.dataset, tmp_path / "copy"))
    before = contents(copy)

    message = refused("train", "--dataset", artifacts.dataset, "--out", copy, early=True)

    says(message, copy, "'model'", "--out")
    assert contents(copy) == before


@pytest.mark.parametrize("command", ["extract", "run", "synthesize"])
def test_output_below_a_file(refused: Refused, tables: Path, tmp_path: Path, command: str) -> None:
    (tmp_path / "file").write_text("years of work")
    source = [] if command == "synthesize" else ["--source", f"csv:{tables}"]

    message = refused(command, *source, "--out", tmp_path / "file" / "below", early=True)

    says(message, tmp_path / "file", "cannot be written here", "--out")
    assert (tmp_path / "file").read_text() == "years of work"


def test_another_process_is_writing_the_same_artifact(lstm_aa: Any, tables: Path, tmp_path: Path) -> None:
    address = tmp_path / "events"
    work = Identity(kind="events", settings={}, seed=None, inputs={})
    with write_artifact(address, work, stage="extract") as draft:
        (draft.path / "half.txt").write_text("half")

        result = lstm_aa("extract", "--source", f"csv:{tables}", "--out", address)

        assert result.returncode == 2
        assert result.stderr.count("\n") == 1
        says(result.stderr, "lstm-aa: error: ", address, "another process is writing", "wait for it")
        assert (draft.path / "half.txt").read_text() == "half"
    assert (address / "half.txt").read_text() == "half"


# --- a full disk ------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Mount a file system of some KiB; needs root."""
    mounted = tmp_path / "disk"
    mounted.mkdir()

    def mount(kibibytes: int) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", f"size={kibibytes}k", "lstm-aa-test", str(mounted)]
        if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("mounting a small file system needs root")
        return mounted

    yield mount
    if mounted.is_mount():
        subprocess.run(["umount", str(mounted)], check=True)


@pytest.mark.parametrize("kibibytes", [4, 16, 48, 600, 1200, 1450, 1600])
def test_full_disk(refused: Refused, synthetic_tables: Path, small_disk: Any, kibibytes: int) -> None:
    disk = small_disk(kibibytes)

    message = refused("extract", "--source", f"csv:{synthetic_tables}", "--out", disk / "events")

    says(message, "free some space" if "the disk is full" in message else "No space left on device")
    assert not list(disk.rglob("*"))


def test_full_disk_while_synthesizing(refused: Refused, small_disk: Any) -> None:
    disk = small_disk(64)

    says(refused("synthesize", "--stays", "50", "--out", disk / "tables"), "the disk is full", "free some space")
    assert not list(disk.rglob("*"))


def test_full_temporary_folder(refused: Refused, small_disk: Any, out: Path) -> None:
    disk = small_disk(16)

    message = refused("extract", "--source", "synthetic:200", "--out", out, env={"TMPDIR": str(disk)}, apart=True)

    says(message, "the disk is full", "free some space")
    assert not list(disk.rglob("*"))


@pytest.mark.parametrize("stage", ["train", "tune", "attack"])
def test_full_disk_in_a_stage_that_can_be_taken_up_again(
    lstm_aa_inside: Any, artifacts: Any, small_disk: Any, stage: str
) -> None:
    """What was finished stays in the work folder, but nothing stands at the output address."""
    disk = small_disk(4)
    model = ["--model", artifacts.model] if stage == "attack" else []

    result = lstm_aa_inside(stage, "--dataset", artifacts.dataset, *model, "--out", disk / "made")

    assert result.returncode == 2, result.stderr
    says(result.stderr.splitlines()[-1], "lstm-aa: error: the disk is full", "free some space")
    assert "Traceback" not in result.stderr
    assert not (disk / "made").exists()


def test_largest_file_size_is_reached(tables: Path, tmp_path: Path) -> None:
    """The same without root: the system lets no file grow over 8 KiB."""
    command = [sys.executable, "-m", "lstm_adversarial_attack", "extract", "--source", f"csv:{tables}"]
    result = subprocess.run(
        [*command, "--out", str(tmp_path / "out" / "events")],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192)),
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 2, result.stderr
    says(result.stderr.splitlines()[-1], "lstm-aa: error: the disk is full", "free some space")
    assert not list((tmp_path / "out").iterdir())


# --- an older artifact ------------------------------------------------------------------------------------------


def test_failure_leaves_the_older_artifact_as_it_was(
    refused: Refused, lstm_aa_inside: Any, tables: Path, tmp_path: Path
) -> None:
    command = ("extract", "--source", f"csv:{tables}", "--out", "events")
    assert lstm_aa_inside(*command).returncode == 0
    before = contents(tmp_path / "events")
    corrupt(tables / "CHARTEVENTS.csv.gz")

    refused(*command)

    assert contents(tmp_path / "events") == before


def test_run_stops_at_the_first_stage_that_fails(refused: Refused, tables: Path, tmp_path: Path) -> None:
    """Events are finished and stay; the rest is not begun."""
    rewrite(tables / "ADMISSIONS.csv.gz", lambda rows: _set_column(rows, "HOSPITAL_EXPIRE_FLAG", "0"))

    message = refused("run", "--source", f"csv:{tables}", "--out", tmp_path / "run", apart=True)

    says(message, "lacks one class")
    assert [entry.name for entry in (tmp_path / "run").iterdir()] == ["events"]
