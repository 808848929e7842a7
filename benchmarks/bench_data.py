"""The data layer at size: a synthetic release through CSV -> PostgreSQL -> events -> dataset, step by step.

Every step of ours is a process of its own, so that its peak memory can be told, and is timed in turn with its
yardstick: loading with a plain COPY of the same rows, extraction with COPY (same query) TO STDOUT to nowhere, and
extraction from CSV.gz files with plain decompression of the same files. `bench_preprocess.py` does the rest.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from lstm_adversarial_attack.catalogue import load_catalogue
from lstm_adversarial_attack.extract.cohort import stay_rules
from lstm_adversarial_attack.extract.convert import Converter
from lstm_adversarial_attack.settings import ExtractSettings
from lstm_adversarial_attack.sources import MIMIC_TABLES
from lstm_adversarial_attack.sources.mimic_postgres import MimicPostgres, with_parameters_of_postgres
from lstm_adversarial_attack.sources.sql import sql_text, values_query

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from postgres_server import Server, running_postgres

FULL_RELEASE_CHART_ROWS = 330_712_483
LOAD_GOAL, EXTRACT_GOAL, MEMORY_GOAL_GB = 0.8, 1.25, 2.0
TABLES = ("patients", "admissions", "icustays", "chartevents", "labevents", "outputevents")


@dataclass(frozen=True)
class Finished:
    """A process that has ended well: its wall seconds and its peak memory."""

    seconds: float
    peak_gb: float


def ours(*arguments: object) -> Finished:
    """Run `lstm-aa` as a process and wait for it."""
    command = [sys.executable, "-m", "lstm_adversarial_attack", *map(str, arguments)]
    started = time.perf_counter()
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            log.seek(0)
            sys.exit(f"{' '.join(command)}: {log.read().decode()}")
    return Finished(time.perf_counter() - started, usage.ru_maxrss / 2**20)


def seconds(work: Callable[[], object]) -> float:
    """Time one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


class Steps:
    """The table, and the targets that follow it."""

    def __init__(self) -> None:
        self.targets: list[str] = []
        self.peaks: list[float] = []
        print(f"{'step':<44} {'rows':>12} {'seconds':>9} {'rows/s':>11} {'peak GB':>8}")

    def row(self, name: str, rows: int, took: list[float], peak_gb: float | None = None) -> None:
        middle = statistics.median(took)
        peak = f"{peak_gb:8.2f}" if peak_gb is not None else f"{'-':>8}"
        print(f"{name:<44} {rows:>12,} {middle:>9.1f} {rows / middle:>11,.0f} {peak}", flush=True)
        if peak_gb is not None:
            self.peaks.append(peak_gb)

    def target(self, name: str, figure: float, goal: str, met: bool) -> None:
        self.targets.append(f"target {name}: {figure:.2f} ({goal}) {'met' if met else 'missed'}")


@contextmanager
def uncompressed(folder: Path, work: Path) -> Iterator[Path]:
    """Give the same files without compression, for the time of the block."""
    target = work / "plain"
    target.mkdir()
    try:
        for table in TABLES:
            with gzip.open(folder / f"{table.upper()}.csv.gz") as packed, (target / f"{table}.csv").open("wb") as plain:
                shutil.copyfileobj(packed, plain, 1 << 20)
        yield target
    finally:
        shutil.rmtree(target)


def plain_copy(server: Server, folder: Path) -> None:
    """COPY every table of the uncompressed folder, one after the other, with nothing before or after."""
    with closing(server.as_admin("plain")) as connection, connection.cursor() as cursor:
        cursor.execute("drop schema if exists mimiciii cascade")
        cursor.execute("create schema mimiciii")
        cursor.execute("set search_path to mimiciii")
        cursor.execute(sql_text("schema/tables"))
        for table in TABLES:
            with (folder / f"{table}.csv").open("rb") as rows:
                columns = rows.readline().decode().strip()
                cursor.copy_expert(f"copy {table} ({columns}) from stdin with (format csv)", rows, 1 << 20)


def load(steps: Steps, server: Server, folder: Path, work: Path, rounds: int) -> None:
    """Time loading against plain COPY."""
    for database in ("plain", "mimic"):
        with closing(server.as_admin("postgres")) as admin, admin.cursor() as cursor:
            cursor.execute(f"create database {database}")
    command = ("load-database", "--csv", folder, "--database", server.admin_address("mimic"))
    plain, loads = [], []
    with uncompressed(folder, work) as plain_folder:
        for _ in range(rounds):
            plain.append(seconds(lambda: plain_copy(server, plain_folder)))
            loads.append(ours(*command, "--tables", "pipeline", "--release", "other", "--replace"))
    with closing(server.as_admin("mimic")) as admin, admin.cursor() as cursor:
        cursor.execute(" union all ".join(f"select count(*) from mimiciii.{table}" for table in TABLES))
        rows = sum(count for (count,) in cursor.fetchall())
    took = [finished.seconds for finished in loads]
    steps.row("plain COPY of uncompressed files", rows, plain)
    steps.row("load-database from CSV.gz, checked", rows, took, max(f.peak_gb for f in loads))
    share = statistics.median(plain) / statistics.median(took)
    steps.target("load, share of plain COPY's rows/s", share, f">= {LOAD_GOAL}", share >= LOAD_GOAL)


def queries(server: Server, address: str, feature_set: str) -> list[str]:
    """Return the queries that extraction puts to PostgreSQL, with their parameters in them."""
    source = MimicPostgres(address)
    settings = ExtractSettings(features=feature_set)
    stays = source.stays()
    for rule in stay_rules(settings):
        stays = stays.filter(rule.keep)
    features = load_catalogue().feature_set(feature_set).within(source.tables)
    texts: list[tuple[str, dict[str, object]]] = [(sql_text("extract/stays"), {})]
    for table in MIMIC_TABLES:
        items = Converter(table, features.recorded).items
        if items:
            stay_ids = stays["stay_id"].to_list()
            texts.append(values_query(table, stay_ids=stay_ids, items=items, window_hours=48, reach="window"))
    source.close()
    with closing(server.as_admin("mimic")) as admin, admin.cursor() as cursor:
        return [with_parameters_of_postgres(cursor, text, parameters) for text, parameters in texts]


def copy_to_nowhere(server: Server, texts: list[str]) -> None:
    """COPY (query) TO STDOUT, each query to nowhere."""
    with closing(server.as_admin("mimic")) as connection, connection.cursor() as cursor:
        cursor.execute("set search_path to mimiciii")
        with Path(os.devnull).open("wb") as nowhere:
            for text in texts:
                cursor.copy_expert(f"copy ({text}) to stdout", nowhere, 1 << 20)


def extract(steps: Steps, server: Server, work: Path, rounds: int, feature_set: str) -> Path:
    """Time extraction against COPY of the same queries to nowhere."""
    address = server.admin_address("mimic")
    texts = queries(server, address, feature_set)
    out = work / f"events-{feature_set}"
    nowhere, extracts, inside = [], [], []
    for _ in range(rounds):
        nowhere.append(seconds(lambda: copy_to_nowhere(server, texts)))
        options = ("--source", address, "--features", feature_set, "--out", out, "--force")
        extracts.append(ours("extract", *options))
        inside.append(manifest(out)["environment"]["seconds"])
    rows = manifest(out)["rows"]["measurements"]
    steps.row(f"COPY (same queries) to nowhere, {feature_set}", rows, nowhere)
    steps.row(f"extract from PostgreSQL, {feature_set}", rows, inside, max(f.peak_gb for f in extracts))
    ratio = statistics.median(inside) / statistics.median(nowhere)
    steps.target(f"extraction over COPY, {feature_set}", ratio, f"<= {EXTRACT_GOAL}", ratio <= EXTRACT_GOAL)
    return out


def extract_csv(steps: Steps, folder: Path, work: Path, rounds: int) -> None:
    """Time extraction from CSV.gz files against plain decompression of the files that it reads."""
    files = [folder / f"{table.upper()}.csv.gz" for table in TABLES if table != "outputevents"]

    def decompress() -> None:
        for file in files:
            with gzip.open(file) as packed:
                while packed.read(1 << 20):
                    pass

    out = work / "events-csv"
    plain, extracts, inside = [], [], []
    for _ in range(rounds):
        plain.append(seconds(decompress))
        extracts.append(ours("extract", "--source", f"csv:{folder}", "--out", out, "--force"))
        inside.append(manifest(out)["environment"]["seconds"])
    rows = manifest(out)["rows"]["measurements"]
    steps.row("plain decompression of the CSV.gz files", rows, plain)
    steps.row("extract from CSV.gz, icu-19", rows, inside, max(f.peak_gb for f in extracts))
    ratio = statistics.median(inside) / statistics.median(plain)
    print(f"extraction from CSV.gz takes {ratio:.2f} times plain decompression")
    if manifest(out)["digest"] != manifest(work / "events-icu-19")["digest"]:
        sys.exit("events from CSV and from PostgreSQL differ")
    print("events from CSV and from PostgreSQL have the same digest")


def preprocess(steps: Steps, events: Path, work: Path, feature_set: str) -> None:
    """Make the dataset of the events."""
    out = work / f"dataset-{feature_set}"
    finished = ours("preprocess", "--events", events, "--out", out, "--force")
    rows = manifest(events)["rows"]["measurements"]
    steps.row(f"preprocess, {feature_set}, whole process", rows, [finished.seconds], finished.peak_gb)


def manifest(artifact: Path) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = json.loads((artifact / "manifest.json").read_text())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stays", type=int, default=20_000, help="ICU stays of the synthetic release; 61532: all")
    parser.add_argument("--rounds", type=int, default=3, help="times each step is measured; the median counts")
    parser.add_argument("--work", type=Path, help="folder for tables, database and artifacts; default: a temporary one")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="lstm-aa-bench-", dir=arguments.work) as folder,
        running_postgres() as server,
    ):
        work = Path(folder)
        steps = Steps()
        made = ours("synthesize", "--stays", arguments.stays, "--seed", "0", "--out", work / "release")
        with gzip.open(work / "release" / "CHARTEVENTS.csv.gz") as rows:
            chart_rows = sum(chunk.count(b"\n") for chunk in iter(lambda: rows.read(1 << 20), b"")) - 1
        steps.row("synthesize (chart rows)", chart_rows, [made.seconds], made.peak_gb)
        load(steps, server, work / "release", work, arguments.rounds)
        for feature_set in ("icu-19", "icu-extended"):
            events = extract(steps, server, work, arguments.rounds, feature_set)
            preprocess(steps, events, work, feature_set)
        extract_csv(steps, work / "release", work, arguments.rounds)
        peak = max(steps.peaks)
        steps.target("peak memory of our processes, GB", peak, f"< {MEMORY_GOAL_GB}", peak < MEMORY_GOAL_GB)
    print(
        f"The full MIMIC-III has {FULL_RELEASE_CHART_ROWS:,} chart rows, {FULL_RELEASE_CHART_ROWS / chart_rows:.1f} "
        "times as many. Extrapolated, not measured: loading, and extraction that scans all rows, take so many times as "
        "long; memory does not grow."
    )
    print(*steps.targets, sep="\n")


if __name__ == "__main__":
    main()
