"""The synthetic release: format, oddities, determinism, and how hard its prediction problem is."""

import gzip
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pytest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lstm_adversarial_attack.sources import synthetic
from lstm_adversarial_attack.sources.synthetic import MAX_STAYS, TABLE_NAMES, SyntheticCounts, synthesize

STAYS = 3_000

HEADERS = {
    "PATIENTS": "ROW_ID,SUBJECT_ID,GENDER,DOB,DOD,DOD_HOSP,DOD_SSN,EXPIRE_FLAG",
    "ADMISSIONS": "ROW_ID,SUBJECT_ID,HADM_ID,ADMITTIME,DISCHTIME,DEATHTIME,ADMISSION_TYPE,ADMISSION_LOCATION,"
    "DISCHARGE_LOCATION,INSURANCE,LANGUAGE,RELIGION,MARITAL_STATUS,ETHNICITY,EDREGTIME,EDOUTTIME,DIAGNOSIS,"
    "HOSPITAL_EXPIRE_FLAG,HAS_CHARTEVENTS_DATA",
    "ICUSTAYS": "ROW_ID,SUBJECT_ID,HADM_ID,ICUSTAY_ID,DBSOURCE,FIRST_CAREUNIT,LAST_CAREUNIT,FIRST_WARDID,"
    "LAST_WARDID,INTIME,OUTTIME,LOS",
    "CHARTEVENTS": "ROW_ID,SUBJECT_ID,HADM_ID,ICUSTAY_ID,ITEMID,CHARTTIME,STORETIME,CGID,VALUE,VALUENUM,"
    "VALUEUOM,WARNING,ERROR,RESULTSTATUS,STOPPED",
    "LABEVENTS": "ROW_ID,SUBJECT_ID,HADM_ID,ITEMID,CHARTTIME,VALUE,VALUENUM,VALUEUOM,FLAG",
    "D_ITEMS": "ROW_ID,ITEMID,LABEL,ABBREVIATION,DBSOURCE,LINKSTO,CATEGORY,UNITNAME,PARAM_TYPE,CONCEPTID",
    "D_LABITEMS": "ROW_ID,ITEMID,LABEL,FLUID,CATEGORY,LOINC_CODE",
}

CHART_FEATURES = {
    "heart_rate": (211, 220045),
    "sysbp": (51, 442, 455, 6701, 220179, 220050),
    "diasbp": (8368, 8440, 8441, 8555, 220180, 220051),
    "temperature": (223761, 678, 223762, 676),
    "resp_rate": (615, 618, 220210, 224690),
    "spo2": (646, 220277),
}
CHART_RANGES = {
    "heart_rate": (0, 300),
    "sysbp": (0, 400),
    "diasbp": (0, 300),
    "temperature": (10, 50),
    "resp_rate": (0, 70),
    "spo2": (0, 100.01),
}
LAB_FEATURES = {
    "potassium": 50822,
    "calcium": 50808,
    "ph": 50820,
    "pco2": 50818,
    "lactate": 50813,
    "albumin": 50862,
    "bun": 51006,
    "creatinine": 50912,
    "sodium": 50983,
    "bicarbonate": 50882,
    "platelet": 51265,
    "glucose": 50931,
    "magnesium": 50960,
}

STAY_VIEW = """
create table stays as
select i.subject_id as subject, i.hadm_id as hadm, i.icustay_id as stay, i.dbsource as dbsource,
       intime::timestamp as intime, outtime::timestamp as outtime, los::double as los,
       admittime::timestamp as admittime, dischtime::timestamp as dischtime,
       deathtime::timestamp as deathtime,
       dob::timestamp as dob, hospital_expire_flag::int as died, has_chartevents_data::int as has_chart,
       date_diff('day', dob::timestamp, intime::timestamp) / 365.2425 as age
from ICUSTAYS i join ADMISSIONS a using (hadm_id) join PATIENTS p on p.subject_id = i.subject_id
"""


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SyntheticCounts]:
    out = tmp_path_factory.mktemp("synthetic")
    return out, synthesize(STAYS, 7, out)


@pytest.fixture(scope="module")
def db(release: tuple[Path, SyntheticCounts]) -> Iterator[duckdb.DuckDBPyConnection]:
    """Every file of the release as a table of text columns, and `stays` joined and typed."""
    out, _ = release
    connection = duckdb.connect()
    for table in TABLE_NAMES:
        connection.execute(
            f"create table {table} as select * from read_csv('{out / table}.csv.gz', header=true, delim=',', "
            "quote='\"', escape='\"', all_varchar=true)"
        )
    connection.execute(STAY_VIEW)
    yield connection
    connection.close()


def count(db: duckdb.DuckDBPyConnection, sql: str) -> float:
    """The single number a query returns."""
    row = db.execute(sql).fetchone()
    assert row is not None
    return float(row[0])


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def synthesized(folder: Path, stays: int, seed: int) -> dict[str, str]:
    folder.mkdir()
    synthesize(stays, seed, folder)
    return digests(folder)


def test_headers_are_those_of_the_release(release: tuple[Path, SyntheticCounts]) -> None:
    out, _ = release
    assert {path.name for path in out.iterdir()} == {f"{table}.csv.gz" for table in HEADERS}
    for table, header in HEADERS.items():
        with gzip.open(out / f"{table}.csv.gz", "rt") as lines:
            assert next(lines) == header + "\n"


def test_gzip_header_holds_neither_time_nor_name(release: tuple[Path, SyntheticCounts]) -> None:
    for path in release[0].iterdir():
        start = path.read_bytes()[:10]
        assert start[3] == 0, "no optional fields"
        assert start[4:8] == bytes(4), "no modification time"


def test_counts_are_rows(db: duckdb.DuckDBPyConnection, release: tuple[Path, SyntheticCounts]) -> None:
    for table in TABLE_NAMES:
        assert count(db, f"select count(*) from {table}") == getattr(release[1], table.lower())
    assert release[1].icustays == STAYS
    assert 400 <= release[1].chartevents / STAYS <= 1_000


@pytest.mark.parametrize("table", TABLE_NAMES)
def test_row_ids_increase(db: duckdb.DuckDBPyConnection, table: str) -> None:
    # `rowid` is DuckDB's own row number, which follows the order of the file.
    assert count(db, f"select count(*) from {table} where row_id::bigint <> rowid + 1") == 0


def test_same_seed_gives_same_bytes(tmp_path: Path) -> None:
    first = synthesized(tmp_path / "a", 150, 3)
    again = tmp_path / "b"
    again.mkdir()
    code = f"from pathlib import Path; import sys; from {synthesize.__module__} import synthesize\n"
    code += "synthesize(150, 3, Path(sys.argv[1]))"
    environment = os.environ | {"PYTHONHASHSEED": "11", "POLARS_MAX_THREADS": "3", "TZ": "Asia/Tokyo"}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    subprocess.run([sys.executable, "-c", code, str(again)], check=True, env=environment)
    assert digests(again) == first


def test_other_seed_gives_other_bytes(tmp_path: Path) -> None:
    first, other = synthesized(tmp_path / "a", 60, 3), synthesized(tmp_path / "b", 60, 4)
    same = {name for name in first if first[name] == other[name]}
    assert same == {"D_ITEMS.csv.gz", "D_LABITEMS.csv.gz"}


def test_a_single_stay_is_a_release(tmp_path: Path) -> None:
    assert synthesize(1, 0, tmp_path).icustays == 1


def test_progress_is_told_per_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthetic, "BLOCK_STAYS", 20)
    calls: list[tuple[int, int]] = []
    synthesize(45, 0, tmp_path, on_progress=lambda done, total: calls.append((done, total)))
    assert calls == [(20, 45), (40, 45), (45, 45)]


@pytest.mark.parametrize("stays", [-1, 0, MAX_STAYS + 1, 10**12])
def test_impossible_sizes_are_refused(tmp_path: Path, stays: int) -> None:
    with pytest.raises(ValueError, match=f"stays={stays}: .* 1 to {MAX_STAYS}"):
        synthesize(stays, 0, tmp_path)
    assert not list(tmp_path.iterdir())


def test_negative_seed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="seed=-1"):
        synthesize(1, -1, tmp_path)


@pytest.mark.parametrize(
    ("table", "column", "low", "high"),
    [
        ("PATIENTS", "SUBJECT_ID", 1, 99_999),
        ("ADMISSIONS", "HADM_ID", 100_000, 199_999),
        ("ICUSTAYS", "ICUSTAY_ID", 200_000, 299_999),
    ],
)
def test_ids_are_unique_and_in_range(
    db: duckdb.DuckDBPyConnection, table: str, column: str, low: int, high: int
) -> None:
    ids = np.array([int(row[0]) for row in db.execute(f"select {column} from {table} order by rowid").fetchall()])
    assert np.unique(ids).size == ids.size
    assert low <= ids.min() <= ids.max() <= high
    assert abs(np.corrcoef(ids, np.arange(ids.size))[0, 1]) < 0.1


@pytest.mark.parametrize(
    ("child", "column", "parent"),
    [
        ("ADMISSIONS", "SUBJECT_ID", "PATIENTS"),
        ("ICUSTAYS", "HADM_ID", "ADMISSIONS"),
        ("CHARTEVENTS", "HADM_ID", "ADMISSIONS"),
        ("CHARTEVENTS", "ICUSTAY_ID", "ICUSTAYS"),
        ("CHARTEVENTS", "ITEMID", "D_ITEMS"),
        ("LABEVENTS", "SUBJECT_ID", "PATIENTS"),
        ("LABEVENTS", "HADM_ID", "ADMISSIONS"),
        ("LABEVENTS", "ITEMID", "D_LABITEMS"),
    ],
)
def test_references_resolve(db: duckdb.DuckDBPyConnection, child: str, column: str, parent: str) -> None:
    orphans = f"select count(*) from {child} c anti join {parent} p using ({column}) where c.{column} is not null"
    assert count(db, orphans) == 0


def test_stay_of_a_chart_row_is_of_its_patient(db: duckdb.DuckDBPyConnection) -> None:
    sql = """select count(*) from CHARTEVENTS c join ICUSTAYS i using (icustay_id)
    where c.subject_id <> i.subject_id or c.hadm_id <> i.hadm_id"""
    assert count(db, sql) == 0


def test_systems_chart_their_own_items(db: duckdb.DuckDBPyConnection) -> None:
    sql = """select count(*)
    from CHARTEVENTS c join ICUSTAYS i using (icustay_id) join D_ITEMS d using (itemid)
    where i.dbsource <> d.dbsource or (itemid::int < 220000) <> (i.dbsource = 'carevue')"""
    assert count(db, sql) == 0
    assert 0.5 < count(db, "select avg((dbsource = 'carevue')::int) from ICUSTAYS") < 0.6


def test_all_feature_items_and_others_occur(db: duckdb.DuckDBPyConnection) -> None:
    charted = {int(row[0]) for row in db.execute("select distinct itemid from CHARTEVENTS").fetchall()}
    tested = {int(row[0]) for row in db.execute("select distinct itemid from LABEVENTS").fetchall()}
    chart_features = {item for items in CHART_FEATURES.values() for item in items}
    assert chart_features < charted
    assert set(LAB_FEATURES.values()) | {50971, 50824, 50809} < tested


def test_times_are_in_order(db: duckdb.DuckDBPyConnection) -> None:
    broken = {
        "admission": "admittime > intime",
        "stay": "outtime <= intime",
        # Discharge and death carry no seconds, the end of a stay does.
        "discharge": "date_trunc('minute', outtime) > dischtime",
        "death": "deathtime <> dischtime",
        "length": "abs(date_diff('second', intime, outtime) / 86400.0 - los) > 0.00006",
        "century": "year(admittime) not between 2100 and 2210",
        "label": "(deathtime is not null) <> (died = 1)",
    }
    for name, condition in broken.items():
        assert count(db, f"select count(*) from stays where {condition}") == 0, name


def test_stays_of_a_patient_do_not_overlap(db: duckdb.DuckDBPyConnection) -> None:
    sql = """select count(*) from (
        select intime, lag(outtime) over w as last_out, hadm <> lag(hadm) over w as moved,
               lag(dischtime) over w as last_disch, lag(died) over w as was_dead, admittime
        from stays window w as (partition by subject order by intime))
    where intime <= last_out or (moved and (admittime <= last_disch or was_dead = 1))"""
    assert count(db, sql) == 0


def test_death_is_told_consistently(db: duckdb.DuckDBPyConnection) -> None:
    sql = """select count(*) from PATIENTS p
    left join (select subject, max(deathtime) as deathtime from stays group by all) s
    on s.subject = p.subject_id
    where (p.dod_hosp is not null) <> (s.deathtime is not null)
       or p.dod_hosp::date <> s.deathtime::date
       or (p.dod is not null) <> (p.expire_flag = '1')
       or coalesce(p.dod_hosp, p.dod_ssn) is distinct from p.dod"""
    assert count(db, sql) == 0
    assert count(db, "select count(*) from PATIENTS where dod_hosp is null and dod_ssn is not null") > 0
    assert count(db, "select count(*) from ADMISSIONS where discharge_location = 'DEAD/EXPIRED'") == count(
        db, "select count(*) from ADMISSIONS where hospital_expire_flag = '1'"
    )


def test_events_lie_in_their_time(db: duckdb.DuckDBPyConnection) -> None:
    outside = """select count(*) from CHARTEVENTS join stays on stay = icustay_id
    where charttime::timestamp < date_trunc('minute', intime) or charttime::timestamp > outtime
       or charttime::timestamp > deathtime"""
    posthumous = """select count(*) from LABEVENTS l join PATIENTS p using (subject_id)
    where charttime::timestamp >= dod_hosp::timestamp + interval 1 day"""
    assert count(db, outside) == 0
    assert count(db, posthumous) == 0


def test_chart_flag_tells_whether_there_are_chart_rows(db: duckdb.DuckDBPyConnection) -> None:
    sql = """select count(*) from ADMISSIONS
    where has_chartevents_data::int <> (hadm_id in (select hadm_id from CHARTEVENTS))::int"""
    assert count(db, sql) == 0


ODDITIES = {
    "error row": "from CHARTEVENTS where error = '1' and itemid::int > 220000",
    "warning row": "from CHARTEVENTS where warning = '1'",
    "carevue row without value": "from CHARTEVENTS where value is null and error is null",
    "text in the chart": "from CHARTEVENTS where valuenum is null and value is not null",
    "zero respiratory rate": "from CHARTEVENTS where itemid = '618' and valuenum = '0'",
    "zero systolic": "from CHARTEVENTS where itemid = '51' and valuenum = '0'",
    "zero diastolic": "from CHARTEVENTS where itemid = '8368' and valuenum = '0'",
    "systolic 11647": "from CHARTEVENTS where valuenum = '11647' and error is distinct from '1'",
    "saturation above 100": "from CHARTEVENTS where itemid in ('646', '220277') and valuenum::double > 100 "
    "and error is distinct from '1'",
    "impossible temperature": "from CHARTEVENTS where itemid in ('678', '223761') and "
    "not valuenum::double between 70 and 120 and error is distinct from '1'",
    "Deg. F": "from CHARTEVENTS where itemid = '678' and valueuom = 'Deg. F'",
    "?F": "from CHARTEVENTS where itemid = '223761' and valueuom = '?F'",
    "Deg. C": "from CHARTEVENTS where itemid = '676' and valueuom = 'Deg. C'",
    "?C": "from CHARTEVENTS where itemid = '223762' and valueuom = '?C'",
    "single precision": "from CHARTEVENTS where itemid = '678' and length(valuenum) > 10",
    "chart row without stay": "from CHARTEVENTS where icustay_id is null",
    "text result": "from LABEVENTS where valuenum is null and value = 'HEMOLYZED'",
    "bounded result": "from LABEVENTS where valuenum is null and value = 'GREATER THAN 30'",
    "abnormal result": "from LABEVENTS where flag = 'abnormal'",
    "lab without admission": "from LABEVENTS where hadm_id is null",
    "lab before the ICU": "from LABEVENTS l join stays on hadm = hadm_id where charttime::timestamp < intime",
    "lab after the ICU": "from LABEVENTS l join stays on hadm = hadm_id where charttime::timestamp > outtime",
    "two stays in an admission": "from (from stays select hadm group by hadm having count(*) > 1)",
    "two admissions of a patient": "from (from ADMISSIONS select subject_id group by 1 having count(*) > 1)",
    "newborn": "from stays where age < 0.1",
    "child": "from stays where age between 1 and 16",
    "age above 89": "from stays where age between 299 and 320",
    "stay without chart": "from stays where stay not in (select distinct icustay_id from CHARTEVENTS "
    "where icustay_id is not null)",
    "admission without chart": "from ADMISSIONS where has_chartevents_data = '0'",
    "stay without end": "from ICUSTAYS where outtime is null and los is null",
    "death inside 48 hours": "from stays where deathtime < intime + interval 48 hour and los < 2",
    "comma in a label": "from D_ITEMS where label = 'WBC (4-11,000)'",
    "quote in a diagnosis": "from ADMISSIONS where diagnosis like '%\"%'",
}


@pytest.mark.parametrize("name", ODDITIES)
def test_oddity_of_the_real_release_is_present(db: duckdb.DuckDBPyConnection, name: str) -> None:
    assert count(db, "select count(*) " + ODDITIES[name]) > 0


def test_error_flag_belongs_to_metavision(db: duckdb.DuckDBPyConnection) -> None:
    sql = "select count(*) from CHARTEVENTS where (error is null) <> (itemid::int < 220000)"
    assert count(db, sql) == 0
    assert count(db, "select avg((error = '1')::int) from CHARTEVENTS") < 0.005


def test_shares_are_realistic(db: duckdb.DuckDBPyConnection) -> None:
    assert 0.06 < count(db, "select avg((age < 16)::int) from stays") < 0.12
    assert 0.5 < count(db, "select avg((los >= 2)::int) from stays where age >= 16") < 0.62
    several = "select avg((n > 1)::int) from (select count(*) as n from stays group by subject)"
    assert 0.12 < count(db, several) < 0.22
    assert 0.08 < count(db, "select avg(died) from stays where age >= 16 and los >= 2") < 0.14


def test_vital_signs_are_about_hourly(db: duckdb.DuckDBPyConnection) -> None:
    sql = """select sum(n) / sum(hours) from (
        select count(*) as n, any_value(date_diff('minute', intime, outtime)) / 60 as hours
        from CHARTEVENTS join stays on stay = icustay_id
        where itemid in ('211', '220045') and los < 9 group by stay)"""
    assert 0.9 < count(db, sql) < 1.3


def test_physiology_hangs_together(db: duckdb.DuckDBPyConnection) -> None:
    lab_mean = "avg(valuenum::double) filter (itemid = '{}')"
    columns = ", ".join(lab_mean.format(item) for item in (50813, 50882, 51006, 50912, 50820, 50818))
    sql = f"""select {columns} from LABEVENTS where hadm_id is not null and valuenum is not null
    group by hadm_id having count(distinct itemid) >= 12"""
    rows = np.array(db.execute(sql).fetchall(), dtype=float)
    complete = rows[~np.isnan(rows).any(axis=1)]
    lactate, bicarbonate, bun, creatinine, ph, pco2 = complete.T
    assert np.corrcoef(lactate, bicarbonate)[0, 1] < -0.15
    assert np.corrcoef(np.log(bun), np.log(creatinine))[0, 1] > 0.3
    expected_ph = 6.1 + np.log10(bicarbonate / (0.0307 * pco2))
    assert np.corrcoef(ph, expected_ph)[0, 1] > 0.7


def first_48_hours(db: duckdb.DuckDBPyConnection) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Summaries [stay, summary], labels [stay] and patients [stay] of adult stays of at least 48 h."""
    db.execute("create or replace temp table items (item varchar, feature varchar, low double, high double)")
    rows = [(str(item), name, *CHART_RANGES[name]) for name, items in CHART_FEATURES.items() for item in items]
    rows += [(str(item), name, 0, 10_000) for name, item in LAB_FEATURES.items()]
    db.executemany("insert into items values (?, ?, ?, ?)", rows)
    db.execute("""create or replace temp table cohort as
        select *, row_number() over (order by stay) - 1 as position
        from stays where los >= 2 and age >= 16""")
    measurements = """
        with measured as (
            select position, feature, low, high, charttime::timestamp as charted, intime,
                   case when itemid in ('678', '223761') then (valuenum::double - 32) / 1.8
                        else valuenum::double end as value
            from CHARTEVENTS join items on item = itemid join cohort on stay = icustay_id
            where valuenum is not null and error is distinct from '1'
            union all
            select position, feature, low, high, charttime::timestamp, intime, valuenum::double
            from LABEVENTS join items on item = itemid join cohort on subject = subject_id
            where valuenum is not null)
        select position, dense_rank() over (order by feature) - 1 as feature,
               avg(value), min(value), max(value), arg_max(value, charted), count(*)
        from measured
        where value > low and value < high and charted >= intime and charted < intime + interval 2880 minute
        group by position, measured.feature"""
    found = np.array(db.execute(measurements).fetchall(), dtype=float)
    cohort = db.execute("select died, subject from cohort order by position").fetchall()
    summaries = np.full((len(cohort), 19, 5), np.nan)
    summaries[found[:, 0].astype(int), found[:, 1].astype(int)] = found[:, 2:]
    summaries[:, :, 4] = np.nan_to_num(summaries[:, :, 4])
    labels, patients = (np.array(column, dtype=int) for column in zip(*cohort, strict=True))
    return summaries.reshape(len(cohort), -1), labels, patients


def test_prediction_is_as_hard_as_on_real_data(db: duckdb.DuckDBPyConnection) -> None:
    summaries, labels, patients = first_48_hours(db)
    model = make_pipeline(
        SimpleImputer(strategy="median"), StandardScaler(), LogisticRegression(C=0.01, max_iter=2_000)
    )
    scores = cross_val_predict(model, summaries, labels, groups=patients, cv=GroupKFold(5), method="predict_proba")
    assert 0.80 < roc_auc_score(labels, scores[:, 1]) < 0.90
