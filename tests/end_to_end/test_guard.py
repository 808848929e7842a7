"""Only the tables of an artifact tell who a patient was: no id and no date of the input stands anywhere else."""

from __future__ import annotations

import csv
import gzip
import io
import re
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from end_to_end.conftest import Run, command, read_json

#: Files for patients' rows; every other file is for people and logs.
TABLES = {".parquet", ".safetensors"}
ID_COLUMNS = {"subject_id", "hadm_id", "icustay_id"}
RECORDS = 300


def texts_of(run: Run) -> Iterator[tuple[str, str]]:
    """Yield what a run has printed, and every file of its artifacts that is no table."""
    yield "what was printed", run.stdout + run.stderr
    files = sorted(file for file in run.out.rglob("*") if file.is_file() and file.suffix not in TABLES)
    assert {"card.html", "report.html", "manifest.json", "metrics.json"} <= {file.name for file in files}
    for file in files:
        text = file.read_bytes().decode("latin-1")  # so that pictures are searched too; ids and dates are ASCII
        if file.name == "manifest.json":
            text = text.replace(read_json(file)["environment"]["created"], "")  # when it was made
        if file.name == "report.html":
            text, libraries = re.subn(r'<script id="plotly".*?</script>', "", text, flags=re.DOTALL)
            assert libraries == 1
        yield str(file.relative_to(run.out)), text


def told(text: str, ids: set[str], dates: set[str]) -> set[str]:
    """Return the ids and dates that stand in ``text``."""
    numbers = set(re.findall(r"(?<![\w.])\d{5,6}(?![\w.])", text))
    days = set(re.findall(r"(?<!\d)\d{4}-\d\d-\d\d(?!\d)", text))
    return numbers & ids | days & dates


@pytest.fixture(scope="module")
def identities(demo: Path) -> tuple[set[str], set[str]]:
    """Return all ids and all days that stand in any table of the demo."""
    ids: set[str] = set()
    dates: set[str] = set()
    for file in demo.glob("*.csv.gz"):
        if file.name.startswith("D_"):
            continue
        with gzip.open(file, "rt") as table:
            rows = csv.DictReader(table)
            named = [name for name in rows.fieldnames or () if name in ID_COLUMNS]
            for row in rows:
                ids.update(row[name] for name in named)
                dates.update(day for value in row.values() for day in re.findall(r"^\d{4}-\d\d-\d\d(?= )", value or ""))
    return ids - {""}, dates


@pytest.mark.demo
def test_what_is_looked_for_would_be_found(identities: tuple[set[str], set[str]]) -> None:
    ids, dates = identities
    assert len(ids) == 100 + 129 + 136
    assert len(dates) > 1_000
    some_id, some_date = min(ids), min(dates)

    assert told(f'{{"x": {some_id}, "y": 1}}', ids, dates) == {some_id}
    assert told(f"<td>{some_date} 10:00</td>", ids, dates) == {some_date}
    assert told(f"7{some_id} {some_id}.5 0x{some_id}", ids, dates) == set()


@pytest.mark.demo
@pytest.mark.parametrize("options", [("--features", "icu-extended"), ("--protocol", "reference")], ids=lambda o: o[1])
def test_nobody_of_the_demo_is_told(
    finish_inside: Callable[..., Run],
    demo: Path,
    identities: tuple[set[str], set[str]],
    tmp_path: Path,
    options: tuple[str, ...],
) -> None:
    ids, dates = identities
    run = finish_inside(tmp_path / "run", f"csv:{demo}", *options)

    assert {where: found for where, text in texts_of(run) if (found := told(text, ids, dates))} == {}


@pytest.mark.challenge2012
def test_no_record_of_the_challenge_is_told(
    finish_inside: Callable[..., Run], challenge2012: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "set-a"
    folder.mkdir()
    with tarfile.open(challenge2012 / "set-a.tar.gz") as archive:
        records = [member for member in archive if member.name.endswith(".txt")][:RECORDS]
        for member in records:
            content = archive.extractfile(member)
            assert content is not None
            (folder / Path(member.name).name).write_bytes(content.read())
    ids = {Path(member.name).stem for member in records}
    outcomes = (challenge2012 / "Outcomes-a.txt").read_text().splitlines()
    kept = [outcomes[0], *(line for line in outcomes[1:] if next(csv.reader(io.StringIO(line)))[0] in ids)]
    (tmp_path / "Outcomes-a.txt").write_text("\n".join(kept))

    run = finish_inside(tmp_path / "run", f"challenge2012:{folder}", "--features", "icu-extended")

    assert {where: found for where, text in texts_of(run) if (found := told(text, ids, set()))} == {}


@pytest.mark.demo
@pytest.mark.parametrize("table", ["CHARTEVENTS", "ICUSTAYS", "LABEVENTS"])
@pytest.mark.parametrize("damage", ["text for a number", "short row", "cut off"])
def test_no_failure_tells_of_anybody(
    demo: Path, identities: tuple[set[str], set[str]], tmp_path: Path, table: str, damage: str
) -> None:
    ids, dates = identities
    for file in demo.glob("*.csv.gz"):
        (tmp_path / file.name).symlink_to(file)
    lines = gzip.decompress((demo / f"{table}.csv.gz").read_bytes()).splitlines(keepends=True)
    middle = len(lines) // 2
    if damage == "text for a number":
        lines[middle] = lines[middle].replace(b",", b",x", 1)
        lines[middle] = b",".join(cell[:1] + b"?" if cell[:1].isdigit() else cell for cell in lines[middle].split(b","))
    elif damage == "short row":
        lines[middle] = lines[middle].rpartition(b",")[0] + b"\n"
    (tmp_path / f"{table}.csv.gz").unlink()
    content = gzip.compress(b"".join(lines), compresslevel=1)
    (tmp_path / f"{table}.csv.gz").write_bytes(content[: len(content) // 2] if damage == "cut off" else content)

    failed = subprocess.run(
        command("extract", "--source", f"csv:{tmp_path}", "--out", tmp_path / "events"),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert failed.returncode == 2, failed.stderr
    assert f"{table}.csv.gz" in failed.stderr
    assert len([line for line in failed.stderr.splitlines() if "error" in line.lower()]) == 1
    assert told(failed.stdout + failed.stderr, ids, dates) == set()
