"""`extract` on real and hand-made MIMIC-III tables: the numbers, the edges, and two databases that agree."""

from __future__ import annotations

import csv
import gzip
import io
import re
import shutil
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest

from lstm_adversarial_attack.artifacts import Artifact, open_artifact
from lstm_adversarial_attack.artifacts.contents import Extraction
from lstm_adversarial_attack.catalogue import Source, load_catalogue
from lstm_adversarial_attack.extract.access import access_of
from lstm_adversarial_attack.sources import open_source
from lstm_adversarial_attack.sources.synthetic import COLUMNS

FEATURE_SETS = ("icu-19", "reference-19", "icu-extended")
OTHER_SCHEMA = "Hospital 2"

Extract = Callable[..., Artifact]


@pytest.fixture
def extract(lstm_aa_inside: Any, tmp_path: Path) -> Extract:
    """Run `lstm-aa extract` and open what it made."""

    def call(source: str, *options: object, out: str = "events", env: dict[str, str] | None = None) -> Artifact:
        result = lstm_aa_inside("extract", "--source", source, "--out", out, *options, env=env)
        assert result.returncode == 0, result.stderr
        return open_artifact(tmp_path / out, "events")

    return call


def measurements(events: Artifact) -> pl.DataFrame:
    return pl.read_parquet(events.file("measurements.parquet")).cast({"feature": pl.String})


# --- the demo -------------------------------------------------------------------------------------------------


@pytest.mark.demo
def test_cohort_flow_of_the_demo(extract: Extract, demo: Path) -> None:
    events = extract(f"csv:{demo}")

    flow = events.json("extraction.json", Extraction).cohort_flow
    assert [(step.rule, step.stays, step.patients, step.deaths) for step in flow] == [
        ("all", 136, 100, 46),
        ("adult", 135, 99, 46),
        ("whole_window", 72, 56, 27),
        ("min_measurements", 72, 56, 27),
    ]
    stays = pl.read_parquet(events.file("stays.parquet"))
    assert (stays.height, stays["subject_id"].n_unique(), stays["label"].sum()) == (72, 56, 27)


@pytest.mark.demo
def test_the_demo_is_known_to_be_open(extract: Extract, demo: Path) -> None:
    with closing(open_source(f"csv:{demo}")) as source:
        stays = source.stays()
    assert access_of("mimic-iii", stays.sort("los_hours")) == "open"
    assert access_of("mimic-iii", stays[:-1]) == "unknown"
    other = pl.concat([stays[:-1], stays[-1:].with_columns(pl.col("stay_id") + 1)])
    assert access_of("mimic-iii", other) == "unknown"
    assert extract(f"csv:{demo}").json("extraction.json", Extraction).access == "open"


@pytest.mark.parametrize("form", ["synthetic:300", "csv:{tables}"])
def test_tables_of_a_synthetic_cohort_may_be_anybodys(extract: Extract, synthetic_tables: Path, form: str) -> None:
    """What lies in a folder in the form of MIMIC-III is taken for MIMIC-III, whoever wrote it."""
    access = extract(form.format(tables=synthetic_tables)).json("extraction.json", Extraction).access
    assert access == ("synthetic" if form.startswith("synthetic") else "unknown")


@pytest.mark.demo
def test_values_of_the_demo(extract: Extract, demo: Path) -> None:
    values = measurements(extract(f"csv:{demo}"))

    counts = dict(values.group_by("feature").len().iter_rows())
    expected = {
        "heart_rate": 3969,
        "sysbp": 4080,
        "spo2": 3921,
        "temperature": 1186,
        "potassium": 359,
        "glucose": 327,
        "lactate": 160,
        "albumin": 44,
    }
    assert {name: counts[name] for name in expected} == expected
    assert values.filter(pl.col("feature") == "temperature")["value"].sum() == pytest.approx(43737.29, abs=0.005)
    assert 0 <= values["minute"].min() <= values["minute"].max() < 2880  # type: ignore[operator]


@pytest.mark.demo
@pytest.mark.parametrize("feature_set", FEATURE_SETS)
def test_counts_and_sums_of_the_demo_agree_with_pandas(extract: Extract, demo: Path, feature_set: str) -> None:
    values = measurements(extract(f"csv:{demo}", "--features", feature_set))

    found = {name: (n, total) for name, n, total in values.group_by("feature").agg(pl.len(), pl.sum("value")).rows()}
    expected = _counted_by_pandas(demo, feature_set)
    assert found.keys() == expected.keys()
    for name, (count, total) in expected.items():
        assert found[name] == (count, pytest.approx(total, rel=1e-12)), name


def _counted_by_pandas(demo: Path, feature_set: str) -> dict[str, tuple[int, float]]:
    """Count and sum the accepted values of each feature without the package's SQL and cohort code."""
    stays = pd.read_csv(demo / "ICUSTAYS.csv.gz", parse_dates=["intime"])
    patients = pd.read_csv(demo / "PATIENTS.csv.gz", parse_dates=["dob"])
    stays = stays.merge(patients[["subject_id", "dob"]], on="subject_id")
    came, born = stays["intime"].dt, stays["dob"].dt
    before_birthday = came.month * 100 + came.day < born.month * 100 + born.day
    age = came.year - born.year - before_birthday
    stays = stays[(age >= 18) & (stays["los"] >= 2)]
    keys = {"chartevents": ["icustay_id"], "labevents": ["subject_id"], "outputevents": ["icustay_id"]}
    rows = {}
    for table, key in keys.items():
        frame = pd.read_csv(demo / f"{table.upper()}.csv.gz", parse_dates=["charttime"], low_memory=False)
        if table == "outputevents":
            frame = frame.rename(columns={"value": "valuenum", "iserror": "error"})
        frame = frame.merge(stays[["subject_id", "icustay_id", "intime"]], on=key, suffixes=("", "_of_stay"))
        after = frame["charttime"] - frame["intime"]
        frame = frame[(after >= pd.Timedelta(0)) & (after < pd.Timedelta(hours=48)) & frame["valuenum"].notna()]
        rows[table] = frame[frame["error"] != 1] if "error" in frame else frame
    found = {}
    for feature in load_catalogue().feature_set(feature_set).recorded:
        parts = [_accepted(rows[s.table], s) for s in feature.measurement.sources if s.table in rows]
        values = pd.concat(parts) if parts else pd.Series()
        if len(values):
            found[feature.name] = (len(values), float(values.sum()))
    return found


def _accepted(frame: pd.DataFrame, source: Source) -> pd.Series:
    values = frame.loc[frame["itemid"].isin(source.items), "valuenum"]
    limits = source.accepted
    for bound, test in ((limits.gt, values.gt), (limits.ge, values.ge), (limits.lt, values.lt), (limits.le, values.le)):
        if bound is not None:
            values = values[test(bound).reindex(values.index)]
    return (values + source.conversion.add) * source.conversion.multiply


@pytest.mark.demo
def test_no_date_leaves_extract(extract: Extract, demo: Path) -> None:
    events = extract(f"csv:{demo}")

    tables = list(events.path.glob("*.parquet"))
    assert {table.name for table in tables} == {"stays.parquet", "measurements.parquet"}
    for table in tables:
        temporal = [name for name, kind in pl.read_parquet_schema(table).items() if kind.is_temporal()]
        assert not temporal, f"{table.name}: {temporal}"
    for file in events.path.glob("*.json"):
        assert not re.search(r"2[12]\d\d-\d\d-\d\d", file.read_text()), file.name  # MIMIC-III lies in 2100 to 2200


@pytest.mark.demo
@pytest.mark.postgres
@pytest.mark.parametrize("feature_set", FEATURE_SETS)
def test_postgres_gives_the_digest_of_csv(extract: Extract, demo: Path, postgres: Any, feature_set: str) -> None:
    options = ("--features", feature_set)
    from_csv = extract(f"csv:{demo}", *options, out="from-csv")
    from_postgres = extract(postgres.address(), *options, out="from-postgres", env=postgres.env)

    assert from_postgres.manifest.files == from_csv.manifest.files
    assert from_postgres.digest == from_csv.digest


@pytest.mark.demo
@pytest.mark.postgres
def test_postgres_schema_of_another_name(extract: Extract, postgres: Any) -> None:
    usual = extract(postgres.address(), out="usual", env=postgres.env)
    other = extract(postgres.address(schema=OTHER_SCHEMA), out="other", env=postgres.env)

    assert other.digest == usual.digest


@pytest.mark.demo
@pytest.mark.postgres
def test_postgres_is_read_again_unless_its_state_has_a_name(lstm_aa_inside: Any, postgres: Any, tmp_path: Path) -> None:
    def again(*options: str) -> bool:
        command = ("extract", "--source", postgres.address(), "--out", tmp_path / "events", *options)
        result = lstm_aa_inside(*command, env=postgres.env)
        assert result.returncode == 0, result.stderr
        return "up to date" not in result.stderr

    assert again()
    assert again()
    assert again("--snapshot-id", "monday")
    assert not again("--snapshot-id", "monday")
    assert again("--snapshot-id", "tuesday")


# --- a release written by hand --------------------------------------------------------------------------------

ADMITTED = datetime(2150, 3, 1, 10, 0, 30)
HEART_RATE, CELSIUS, FAHRENHEIT, POTASSIUM, FOLEY = 220045, 223762, 223761, 50971, 226559


class Release:
    """Rows of a tiny release: one woman of 60, in the ICU for 72 h, unless a test adds to it."""

    def __init__(self) -> None:
        self.rows: dict[str, list[dict[str, object]]] = {table: [] for table in COLUMNS}
        self.patient(1)
        self.stay(100, subject_id=1)

    def patient(self, subject_id: int, *, born: datetime = ADMITTED - timedelta(days=60 * 365.25)) -> None:
        self.rows["PATIENTS"].append({"SUBJECT_ID": subject_id, "GENDER": "F", "DOB": born, "EXPIRE_FLAG": 0})

    def stay(self, icustay_id: int, *, subject_id: int, intime: datetime = ADMITTED, los_days: float = 3,
             hadm_id: int | None = None, charted: int = 1) -> None:  # fmt: skip
        hadm_id = hadm_id or icustay_id + 1000
        ids = {"SUBJECT_ID": subject_id, "HADM_ID": hadm_id}
        stayed = {"ADMITTIME": intime - timedelta(hours=5), "DISCHTIME": intime + timedelta(days=los_days + 1)}
        if not any(row["HADM_ID"] == hadm_id for row in self.rows["ADMISSIONS"]):
            self.rows["ADMISSIONS"].append(
                {**ids, **stayed, "HOSPITAL_EXPIRE_FLAG": 0, "HAS_CHARTEVENTS_DATA": charted}
            )
        self.rows["ICUSTAYS"].append(
            {**ids, "ICUSTAY_ID": icustay_id, "DBSOURCE": "metavision", "FIRST_CAREUNIT": "MICU",
             "INTIME": intime, "LOS": los_days}
        )  # fmt: skip

    def chart(self, value: object, *, at: timedelta = timedelta(hours=1), itemid: int = HEART_RATE,
              icustay_id: object = 100, error: object = 0) -> None:  # fmt: skip
        self.rows["CHARTEVENTS"].append(
            {"SUBJECT_ID": 1, "HADM_ID": 1100, "ICUSTAY_ID": icustay_id, "ITEMID": itemid,
             "CHARTTIME": ADMITTED + at, "VALUE": value, "VALUENUM": value, "ERROR": error}
        )  # fmt: skip

    def lab(self, value: object, *, at: timedelta = timedelta(hours=1), hadm_id: object = 1100) -> None:
        self.rows["LABEVENTS"].append(
            {"SUBJECT_ID": 1, "HADM_ID": hadm_id, "ITEMID": POTASSIUM, "CHARTTIME": ADMITTED + at,
             "VALUE": value, "VALUENUM": value}
        )  # fmt: skip

    def output(self, value: object, *, at: timedelta = timedelta(hours=1), error: object = "") -> None:
        self.rows["OUTPUTEVENTS"].append(
            {"SUBJECT_ID": 1, "HADM_ID": 1100, "ICUSTAY_ID": 100, "CHARTTIME": ADMITTED + at, "ITEMID": FOLEY,
             "VALUE": value, "ISERROR": error}
        )  # fmt: skip

    def write(self, folder: Path, *, lower: bool = False, compressed: bool = True, lower_files: bool = False) -> str:
        """Write the tables that are read and return the source's address."""
        folder.mkdir()
        for table, rows in self.rows.items():
            if table.startswith("D_") or (table == "OUTPUTEVENTS" and not rows):
                continue
            header = [name.lower() if lower else name for name in COLUMNS[table]]  # type: ignore[index]
            text = io.StringIO()
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(header)
            for number, row in enumerate(rows):
                writer.writerow([{"ROW_ID": number, **row}.get(name.upper(), "") for name in header])
            name = f"{table.lower() if lower_files else table}.csv"
            if compressed:
                (folder / f"{name}.gz").write_bytes(gzip.compress(text.getvalue().encode()))
            else:
                (folder / name).write_text(text.getvalue())
        return f"csv:{folder}"


@pytest.fixture
def release() -> Release:
    return Release()


def test_window_is_closed_at_admission_and_open_at_its_end(release: Release, extract: Extract, tmp_path: Path) -> None:
    edges = {
        71: timedelta(seconds=-1),
        72: timedelta(0),
        73: timedelta(seconds=59),
        74: timedelta(seconds=60),
        75: timedelta(hours=48, seconds=-1),
        76: timedelta(hours=48),
        77: timedelta(hours=48, seconds=1),
    }
    for value, at in edges.items():
        release.chart(value, at=at)
        release.lab(value / 10, at=at)

    values = measurements(extract(release.write(tmp_path / "csv")))

    assert dict(values.filter(feature="heart_rate").select("value", "minute").rows()) == {
        72.0: 0,
        73.0: 0,
        74.0: 1,
        75.0: 2879,
    }
    assert values.filter(feature="potassium")["value"].sort().to_list() == [7.2, 7.3, 7.4, 7.5]


def test_charted_rows_that_are_left_out(release: Release, extract: Extract, tmp_path: Path) -> None:
    release.chart(80)
    release.chart(81, error="")  # CareVue leaves it empty
    release.chart(82, error=1)
    release.chart(83, icustay_id="")
    release.chart(84, icustay_id=999)
    release.chart("")
    release.chart(0)
    release.chart(300)

    events = extract(release.write(tmp_path / "csv"))

    assert measurements(events)["value"].to_list() == [80.0, 81.0]
    counted = events.json("extraction.json", Extraction).values["heart_rate"]
    assert (counted.read, counted.accepted) == (4, 2)


def test_lab_without_an_admission_is_kept(release: Release, extract: Extract, tmp_path: Path) -> None:
    release.lab(4.5, hadm_id="")

    assert measurements(extract(release.write(tmp_path / "csv"))).rows() == [(100, 60, "potassium", 4.5)]


def test_lab_of_overlapping_stays_counts_in_each(release: Release, extract: Extract, tmp_path: Path) -> None:
    release.stay(101, subject_id=1, intime=ADMITTED + timedelta(hours=10))
    release.lab(4.1, at=timedelta(hours=5))  # the second stay has not begun
    release.lab(4.2, at=timedelta(hours=20))
    release.lab(4.3, at=timedelta(hours=50))  # the first window is over

    values = measurements(extract(release.write(tmp_path / "csv")))

    assert values.select("stay_id", "minute", "value").rows() == [
        (100, 5 * 60, 4.1),
        (100, 20 * 60, 4.2),
        (101, 10 * 60, 4.2),
        (101, 40 * 60, 4.3),
    ]


def test_temperatures_in_both_units(release: Release, extract: Extract, tmp_path: Path) -> None:
    release.chart(37.5, itemid=CELSIUS)
    release.chart(98.6, itemid=FAHRENHEIT, at=timedelta(hours=2))
    release.chart(98.6, itemid=CELSIUS, at=timedelta(hours=3))  # Fahrenheit in the Celsius item
    release.chart(37.0, itemid=FAHRENHEIT, at=timedelta(hours=4))  # and the other way round

    values = measurements(extract(release.write(tmp_path / "csv")))

    assert values["minute"].to_list() == [60, 120]
    assert values["value"].to_list() == pytest.approx([37.5, 37.0], abs=1e-9)


def test_outputs(release: Release, extract: Extract, tmp_path: Path) -> None:
    release.output(120)
    release.output(130, at=timedelta(hours=2), error=1)
    release.output("", at=timedelta(hours=3))
    release.output(140, at=timedelta(hours=48))

    values = measurements(extract(release.write(tmp_path / "csv"), "--features", "icu-extended"))

    assert values.rows() == [(100, 60, "urine_output", 120.0)]


def test_outputs_are_needed_only_by_features_that_read_them(release: Release, lstm_aa_inside: Any, extract: Extract,
                                                            tmp_path: Path) -> None:  # fmt: skip
    release.chart(80)
    source = release.write(tmp_path / "csv")

    assert measurements(extract(source)).height == 1
    refused = lstm_aa_inside("extract", "--source", source, "--features", "icu-extended", "--out", "extended")
    assert refused.returncode == 2
    assert "no file for table OUTPUTEVENTS" in refused.stderr


def test_one_wrong_bit_in_a_gzip_file_is_seen(release: Release, lstm_aa_inside: Any, tmp_path: Path) -> None:
    """A stored (not compressed) block: the changed byte is a digit like any other, and only the checksum tells."""
    release.chart(80)
    source = release.write(tmp_path / "csv")
    file = tmp_path / "csv" / "CHARTEVENTS.csv.gz"
    stored = bytearray(gzip.compress(gzip.decompress(file.read_bytes()), compresslevel=0))
    at = stored.rindex(b"80")
    stored[at : at + 2] = b"90"
    file.write_bytes(stored)

    result = lstm_aa_inside("extract", "--source", source, "--out", "events")

    assert result.returncode == 2
    assert str(file) in result.stderr
    assert "not a whole .gz file" in result.stderr
    assert not (tmp_path / "events").exists()


@pytest.mark.parametrize("table", ["CHARTEVENTS", "LABEVENTS"])
@pytest.mark.parametrize("line", [2, 300_000])
def test_bad_row_anywhere_in_a_large_gzip_file_ends_the_work(
    lstm_aa: Any, synthetic_tables: Path, tmp_path: Path, table: str, line: int
) -> None:
    """Far more is left to read than any buffer holds when the reader gives up."""
    shutil.copytree(synthetic_tables, tmp_path / "csv")
    file = tmp_path / "csv" / f"{table}.csv.gz"
    header, *rows = gzip.decompress(file.read_bytes()).splitlines(keepends=True)
    rows = (rows * (1 + 600_000 // len(rows)))[:600_000]
    column = header.decode().upper().split(",").index("CHARTTIME")
    cells = rows[line - 2].split(b",")
    rows[line - 2] = b",".join([*cells[:column], b"garbage", *cells[column + 1 :]])
    file.write_bytes(gzip.compress(header + b"".join(rows), compresslevel=1))

    result = lstm_aa("extract", "--source", f"csv:{tmp_path / 'csv'}", "--out", "events", timeout=120)

    assert result.returncode == 2, result.stderr
    assert str(file) in result.stderr
    assert "garbage" not in result.stderr


# --- what a foreign database may hold -----------------------------------------------------------------------------


@pytest.mark.parametrize("table", ["ICUSTAYS", "PATIENTS", "ADMISSIONS"])
def test_rows_that_stand_twice_are_refused(release: Release, lstm_aa_inside: Any, tmp_path: Path, table: str) -> None:
    release.chart(80)
    release.rows[table] *= 2

    result = lstm_aa_inside("extract", "--source", release.write(tmp_path / "csv"), "--out", "events")

    assert result.returncode == 2
    assert "1 of 2 ICU stays are there more than once" in result.stderr


@pytest.mark.parametrize(("table", "key"), [("PATIENTS", "SUBJECT_ID"), ("ADMISSIONS", "HADM_ID")])
def test_stay_without_a_patient_or_an_admission_is_counted(
    release: Release, extract: Extract, tmp_path: Path, table: str, key: str
) -> None:
    release.chart(80)
    release.stay(101, subject_id=2)
    release.patient(2)
    release.rows[table] = [row for row in release.rows[table] if row[key] in (1, 1100)]

    events = extract(release.write(tmp_path / "csv"))

    flow = events.json("extraction.json", Extraction).cohort_flow
    assert [(step.rule, step.stays) for step in flow] == [
        ("all", 2), ("linked", 1), ("adult", 1), ("whole_window", 1), ("min_measurements", 1),
    ]  # fmt: skip


def test_stay_without_an_outcome_is_counted(release: Release, extract: Extract, tmp_path: Path) -> None:
    release.chart(80)
    release.stay(101, subject_id=1)
    release.rows["ADMISSIONS"][1]["HOSPITAL_EXPIRE_FLAG"] = ""

    flow = extract(release.write(tmp_path / "csv")).json("extraction.json", Extraction).cohort_flow

    assert [(step.rule, step.stays) for step in flow][:3] == [("all", 2), ("outcome", 1), ("adult", 1)]


def test_outcome_that_is_none_is_refused(release: Release, lstm_aa_inside: Any, tmp_path: Path) -> None:
    release.chart(80)
    release.rows["ADMISSIONS"][0]["HOSPITAL_EXPIRE_FLAG"] = 2

    result = lstm_aa_inside("extract", "--source", release.write(tmp_path / "csv"), "--out", "events")

    assert result.returncode == 2
    assert "1 of 1 ICU stays have a hospital_expire_flag that is neither 0 nor 1" in result.stderr


@pytest.mark.parametrize("protocol", ["clinical", "reference"])
def test_stay_of_unknown_length_is_left_out(
    release: Release, lstm_aa_inside: Any, tmp_path: Path, protocol: str
) -> None:
    for hour in (0, 47):
        release.chart(80, at=timedelta(hours=hour))
    release.rows["ICUSTAYS"][0]["LOS"] = ""

    source = release.write(tmp_path / "csv")
    result = lstm_aa_inside("extract", "--source", source, "--protocol", protocol, "--out", "events")

    assert result.returncode == 2
    assert "leaves none of 1 stays" in result.stderr


@pytest.mark.demo
@pytest.mark.postgres
@pytest.mark.parametrize("kind", ["numeric(3,1)", "boolean", "varchar"])
def test_database_with_other_types_of_columns(extract: Extract, demo: Path, postgres: Any, kind: str) -> None:
    schema = f"as {kind}"
    with closing(postgres.as_admin("mimic")) as admin, admin.cursor() as cursor:
        cursor.execute(f'create schema "{schema}"')
        for table in ("patients", "chartevents", "labevents"):
            cursor.execute(f'create view "{schema}".{table} as select * from mimiciii.{table}')
        cursor.execute(
            f'create view "{schema}".icustays as select icustay_id::numeric(9,1), subject_id::bigint, '
            "hadm_id::numeric, dbsource, first_careunit, intime, los::numeric from mimiciii.icustays"
        )
        cursor.execute(
            f'create view "{schema}".admissions as select hadm_id::numeric(9,1), admittime, dischtime, '
            f"hospital_expire_flag::integer::{kind} as hospital_expire_flag, has_chartevents_data::text::numeric as "
            "has_chartevents_data from mimiciii.admissions"
        )
        cursor.execute(f'grant usage on schema "{schema}" to {postgres.user}')
        cursor.execute(f'grant select on all tables in schema "{schema}" to {postgres.user}')
        cursor.execute(f"alter role {postgres.user} set extra_float_digits = 0")
    try:
        from_csv = extract(f"csv:{demo}", out="from-csv")
        other = extract(postgres.address(schema=schema), out="other", env=postgres.env)
    finally:
        with closing(postgres.as_admin("mimic")) as admin, admin.cursor() as cursor:
            cursor.execute(f"alter role {postgres.user} reset extra_float_digits")

    assert other.digest == from_csv.digest


# --- whole admissions, as the reference system takes them ---------------------------------------------------------


def test_an_admission_brings_all_its_values(release: Release, extract: Extract, tmp_path: Path) -> None:
    for hours in (-3, 0, 47, 60):
        release.chart(80, at=timedelta(hours=hours), icustay_id="")
        release.lab(4.1, at=timedelta(hours=hours, minutes=30))
    release.lab(4.2, hadm_id="")
    release.chart(81, error=1)

    values = measurements(extract(release.write(tmp_path / "csv"), "--sample", "admission"))

    assert values.filter(feature="heart_rate")["minute"].to_list() == [-180, 0, 47 * 60, 60 * 60]
    assert values.filter(feature="potassium")["minute"].to_list() == [-150, 30, 47 * 60 + 30, 60 * 60 + 30]


def test_rules_of_admissions(release: Release, extract: Extract, tmp_path: Path) -> None:
    def reaching(stay: int) -> None:
        for hour in (0, 47):
            release.rows["CHARTEVENTS"].append(
                {"SUBJECT_ID": 1, "HADM_ID": stay + 1000, "ITEMID": HEART_RATE, "VALUENUM": 80,
                 "CHARTTIME": ADMITTED + timedelta(hours=hour), "ERROR": 0}
            )  # fmt: skip

    reaching(100)
    release.stay(101, subject_id=1, intime=ADMITTED + timedelta(days=4), hadm_id=1100)  # second of its admission
    release.stay(102, subject_id=1, charted=0)
    release.stay(103, subject_id=1, los_days=0.9)
    release.stay(104, subject_id=1)  # values end before the window does
    release.rows["CHARTEVENTS"].append(
        {"SUBJECT_ID": 1, "HADM_ID": 1104, "ITEMID": HEART_RATE, "VALUENUM": 80, "CHARTTIME": ADMITTED, "ERROR": 0}
    )
    release.stay(105, subject_id=1, los_days=1.0)  # a day in the ICU, but values over the whole window
    reaching(105)

    events = extract(release.write(tmp_path / "csv"), "--sample", "admission")

    flow = events.json("extraction.json", Extraction).cohort_flow
    assert [(step.rule, step.stays) for step in flow] == [
        ("all", 6),
        ("charted", 5),
        ("first_stay", 4),
        ("adult", 4),
        ("whole_day", 3),
        ("hourly_rows", 2),
        ("min_measurements", 2),
    ]
    assert pl.read_parquet(events.file("stays.parquet"))["stay_id"].to_list() == [100, 105]
    assert measurements(events).height == 4


@pytest.mark.demo
@pytest.mark.postgres
def test_protocol_reference_is_the_same_from_both_databases(extract: Extract, demo: Path, postgres: Any) -> None:
    options = ("--protocol", "reference")
    from_csv = extract(f"csv:{demo}", *options, out="from-csv")
    from_postgres = extract(postgres.address(), *options, out="from-postgres", env=postgres.env)

    assert measurements(from_csv)["minute"].min() < 0
    assert measurements(from_csv)["minute"].max() > 2880
    assert from_postgres.digest == from_csv.digest


def test_ages(release: Release, extract: Extract, tmp_path: Path) -> None:
    born = {
        2: ADMITTED.replace(year=ADMITTED.year - 300),  # hidden: above 89
        3: ADMITTED.replace(year=ADMITTED.year - 89) - timedelta(days=30),
        4: ADMITTED.replace(year=ADMITTED.year - 18) - timedelta(days=2),
        5: ADMITTED.replace(year=ADMITTED.year - 18) + timedelta(days=2),  # still 17
    }
    for subject, birth in born.items():
        release.patient(subject, born=birth)
        release.stay(100 + subject, subject_id=subject)
        release.chart(80, icustay_id=100 + subject)
    release.chart(80)

    events = extract(release.write(tmp_path / "csv"))

    stays = pl.read_parquet(events.file("stays.parquet"))
    assert dict(stays.select("subject_id", "age_years").rows()) == {1: 60, 2: 91, 3: 89, 4: 18}


def test_a_stay_of_exactly_the_window_is_kept(release: Release, extract: Extract, tmp_path: Path) -> None:
    release.stay(101, subject_id=1, los_days=2.0)
    release.stay(102, subject_id=1, los_days=1.9999)
    for stay in (100, 101, 102):
        release.chart(80, icustay_id=stay)

    events = extract(release.write(tmp_path / "csv"))

    assert pl.read_parquet(events.file("stays.parquet"))["stay_id"].to_list() == [100, 101]


@pytest.mark.parametrize(
    "form",
    [
        pytest.param({"lower": True}, id="lower-case-headers"),
        pytest.param({"lower_files": True}, id="lower-case-file-names"),
        pytest.param({"compressed": False}, id="plain-csv"),
        pytest.param({"lower": True, "lower_files": True, "compressed": False}, id="all-of-it"),
    ],
)
def test_form_of_the_files_does_not_matter(
    release: Release, extract: Extract, tmp_path: Path, form: dict[str, bool]
) -> None:
    for hour in range(5):
        release.chart(80 + hour, at=timedelta(hours=hour))
        release.lab(4 + hour / 10, at=timedelta(hours=hour))

    usual = extract(release.write(tmp_path / "usual"), out="usual-events")
    other = extract(release.write(tmp_path / "other", **form), out="other-events")

    assert other.digest == usual.digest


def test_order_of_the_rows_does_not_matter(release: Release, extract: Extract, tmp_path: Path) -> None:
    for hour in (3, 1, 1, 2):  # two of the same minute
        release.chart(80 + hour, at=timedelta(hours=hour))
        release.chart(90 + hour, at=timedelta(hours=hour))
    usual = extract(release.write(tmp_path / "usual"), out="usual-events")
    release.rows["CHARTEVENTS"].reverse()
    other = extract(release.write(tmp_path / "other"), out="other-events")

    assert other.digest == usual.digest
