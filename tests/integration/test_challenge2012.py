"""The Challenge 2012 as a source: what set-a holds, what hand-made sets become, and what bad input is told."""

from __future__ import annotations

import csv
import gzip
import io
import os
import random
import tarfile
import tempfile
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lstm_adversarial_attack.artifacts import Artifact, open_artifact
from lstm_adversarial_attack.artifacts.contents import Extraction
from lstm_adversarial_attack.catalogue import Limits, load_catalogue
from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.extract.cohort import tidy
from lstm_adversarial_attack.frames import STAYS, conform
from lstm_adversarial_attack.sources import RAW_STAYS, RAW_VALUES, open_source
from lstm_adversarial_attack.sources.challenge2012 import Challenge2012

VALUES = {**RAW_VALUES, "itemid": pl.String}
HEADER = "Time,Parameter,Value"
OUTCOMES_HEADER = "RecordID,SAPS-I,SOFA,Length_of_stay,Survival,In-hospital_death"
#: Every parameter of set-a but RecordID, and how many rows it has.
ROWS = {
    "ALP": 3092, "ALT": 3177, "AST": 3182, "Age": 4000, "Albumin": 2356, "BUN": 13916, "Bilirubin": 3191,
    "Cholesterol": 315, "Creatinine": 13983, "DiasABP": 145567, "FiO2": 32390, "GCS": 61563, "Gender": 4000,
    "Glucose": 13021, "HCO3": 13613, "HCT": 18271, "HR": 228538, "Height": 4000, "ICUType": 4000, "K": 14440,
    "Lactate": 8024, "MAP": 145760, "MechVent": 31144, "Mg": 13590, "NIDiasABP": 98210, "NIMAP": 96871,
    "NISysABP": 98331, "Na": 13570, "PaCO2": 23293, "PaO2": 23268, "Platelets": 14104, "RespRate": 55051,
    "SaO2": 8185, "SysABP": 145650, "Temp": 86405, "TroponinI": 435, "TroponinT": 2126, "Urine": 136918,
    "WBC": 12910, "Weight": 129165, "pH": 24355,
}  # fmt: skip
UNKNOWN = {"Gender": 3, "Height": 1894, "Weight": 326}


def read(
    address: str, *items: str, window_hours: int = 48, reach: Any = "admission"
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return stays and values (all parameters of set-a unless some are named), both sorted."""
    source = open_source(f"challenge2012:{address}")
    stays = conform(source.stays(), RAW_STAYS)
    batches = source.values(
        "challenge2012",
        stay_ids=stays["stay_id"].to_list(),
        items=list(items or ROWS),
        window_hours=window_hours,
        reach=reach,
    )
    values = pl.concat([conform(batch, VALUES) for batch in batches]).sort(list(VALUES))
    source.close()
    return stays, values


# --- set-a ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def set_a(challenge2012: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    return read(f"{challenge2012}/set-a.tar.gz")


@pytest.fixture(scope="session")
def plain_rows(challenge2012: Path) -> list[tuple[int, int, str, float]]:
    """Every row of set-a but the RecordIDs, read by the standard library one by one."""
    rows = []
    with tarfile.open(challenge2012 / "set-a.tar.gz") as archive:
        for member in archive.getmembers():
            if member.isfile():
                record = int(Path(member.name).stem)
                text = archive.extractfile(member).read().decode()  # type: ignore[union-attr]
                for row in csv.DictReader(io.StringIO(text)):
                    hours, minutes = row["Time"].split(":")
                    rows.append((record, int(hours) * 60 + int(minutes), row["Parameter"], float(row["Value"])))
    return [row for row in rows if row[2] != "RecordID"]


@pytest.mark.challenge2012
def test_stays_of_set_a(set_a: tuple[pl.DataFrame, pl.DataFrame], challenge2012: Path) -> None:
    stays, _ = set_a

    assert stays.height == stays["stay_id"].n_unique() == 4000
    assert stays["stay_id"].equals(stays["subject_id"])
    assert stays["stay_id"].equals(stays["hadm_id"])
    assert dict(stays["unit"].value_counts().rows()) == {"CCU": 577, "CSRU": 874, "MICU": 1481, "SICU": 1068}
    assert dict(stays["sex"].value_counts().rows()) == {"F": 1751, "M": 2246, None: 3}
    assert (stays["age_years"].min(), stays["age_years"].max(), stays["age_years"].null_count()) == (15, 90, 0)
    assert stays.filter(pl.col("age_years") < 18).height == 6
    for column, value in {"los_hours": 48.0, "hospital_los_hours": 48.0, "stay_number": 1, "charted": 1}.items():
        assert stays[column].unique().to_list() == [value]
    with (challenge2012 / "Outcomes-a.txt").open() as file:
        died = {int(row["RecordID"]): int(row["In-hospital_death"]) for row in csv.DictReader(file)}
    assert dict(stays.select("stay_id", "label").rows()) == died
    assert sum(died.values()) == 554


@pytest.mark.challenge2012
def test_values_of_set_a_equal_a_plain_reader(
    set_a: tuple[pl.DataFrame, pl.DataFrame], plain_rows: list[tuple[int, int, str, float]]
) -> None:
    """Every value of every parameter, bit for bit, but for the unknown ones."""
    _, values = set_a

    assert Counter(row[2] for row in plain_rows) == ROWS
    known = [row for row in plain_rows if row[2] not in UNKNOWN or row[3] != -1]
    assert len(plain_rows) - len(known) == sum(UNKNOWN.values())
    expected = pl.DataFrame(known, schema=VALUES, orient="row").sort(list(VALUES))
    assert values.equals(expected)
    counted = dict(values["itemid"].value_counts().rows())
    assert counted == {name: count - UNKNOWN.get(name, 0) for name, count in ROWS.items()}


@pytest.mark.challenge2012
@pytest.mark.parametrize("hours", [48, 6])
def test_window_of_set_a(set_a: tuple[pl.DataFrame, pl.DataFrame], challenge2012: Path, hours: int) -> None:
    _, whole = set_a

    _, window = read(f"{challenge2012}/set-a.tar.gz", window_hours=hours, reach="window")

    assert window.equals(whole.filter(pl.col("minute") < 60 * hours))
    if hours == 48:
        left_out = whole.filter(pl.col("minute") >= 2880)
        assert (left_out.height, left_out["minute"].max()) == (455, 2880)


@pytest.mark.challenge2012
def test_oddities_of_set_a_are_kept(set_a: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    """What is beyond a patient falls at the accepted ranges, and duplicates go into the hourly mean."""
    stays, values = set_a

    assert values.height - values.unique(["stay_id", "minute", "itemid"]).height == 3744
    extremes = {name: (low, high) for name, low, high in _extremes(values).rows()}
    assert extremes["pH"] == (1.0, 735.0)
    assert extremes["Temp"][0] == -17.8
    series = values.filter(~pl.col("itemid").is_in(["Age", "Gender", "Height", "ICUType", "Weight"]))
    without = stays.join(series, on="stay_id", how="anti")
    assert without["stay_id"].to_list() == [140501, 140936, 141264]
    assert without["label"].sum() == 0


def _extremes(values: pl.DataFrame) -> pl.DataFrame:
    value = pl.col("value")
    return values.group_by("itemid").agg(low=value.min(), high=value.max())


@pytest.mark.challenge2012
def test_folder_and_zip_of_set_a_equal_its_tar(
    set_a: tuple[pl.DataFrame, pl.DataFrame], challenge2012: Path, tmp_path: Path
) -> None:
    with tarfile.open(challenge2012 / "set-a.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    (tmp_path / "Outcomes-a.txt").write_bytes((challenge2012 / "Outcomes-a.txt").read_bytes())
    with zipfile.ZipFile(tmp_path / "set-a.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for file in sorted((tmp_path / "set-a").iterdir()):
            archive.write(file, f"set-a/{file.name}")

    for form in ("set-a", "set-a.zip"):
        stays, values = read(f"{tmp_path}/{form}")
        assert stays.equals(set_a[0])
        assert values.equals(set_a[1])


@pytest.mark.challenge2012
def test_two_large_sets(set_a: tuple[pl.DataFrame, pl.DataFrame], challenge2012: Path, tmp_path: Path) -> None:
    """A second set as large as set-a: the same records under other ids."""
    more = 1_000_000
    source = challenge2012 / "set-a.tar.gz"
    with tarfile.open(source) as old, tarfile.open(tmp_path / "set-b.tar.gz", "w:gz", compresslevel=1) as new:
        for member in old:
            if member.isfile():
                record = Path(member.name).stem
                content = old.extractfile(member).read()  # type: ignore[union-attr]
                changed = content.replace(f"RecordID,{record}".encode(), f"RecordID,{int(record) + more}".encode())
                add_to_tar(new, f"set-b/{int(record) + more}.txt", changed)
    header, *lines = (challenge2012 / "Outcomes-a.txt").read_text().splitlines()
    renamed = [f"{int(line.partition(',')[0]) + more},{line.partition(',')[2]}" for line in lines]
    (tmp_path / "Outcomes-b.txt").write_text("\n".join([header, *renamed]))

    stays, values = read(f"{source},{tmp_path}/set-b.tar.gz", "HR", "Temp")

    assert stays.height == 8000
    assert stays["label"].sum() == 2 * 554
    first = set_a[1].filter(pl.col("itemid").is_in(["HR", "Temp"]))
    assert values.equals(pl.concat([first, first.with_columns(pl.col("stay_id") + more)]).sort(list(VALUES)))


@pytest.mark.challenge2012
def test_set_a_is_read_in_parts(challenge2012: Path) -> None:
    source = Challenge2012(f"{challenge2012}/set-a.tar.gz")
    stays = source.stays()["stay_id"].to_list()
    batches = source.values("challenge2012", stay_ids=stays, items=list(ROWS), window_hours=48, reach="window")
    sizes = [batch.height for batch in batches]

    assert max(sizes) < 600_000 < 1_700_000 < sum(sizes)


# --- hand-made sets ---------------------------------------------------------------------------------------------


def record(stay_id: int, *rows: str, age: object = 60, sex: object = 0, height: object = 170, unit: object = 3,
           weight: object = 70) -> str:  # fmt: skip
    """Return the text of a record file; ``rows`` follow the descriptors."""
    told = {"RecordID": stay_id, "Age": age, "Gender": sex, "Height": height, "ICUType": unit, "Weight": weight}
    return "\n".join([HEADER, *(f"00:00,{name},{value}" for name, value in told.items()), *rows, ""])


def outcomes(labels: dict[int, int]) -> str:
    return "\n".join([OUTCOMES_HEADER, *(f"{stay},11,5,9,-1,{label}" for stay, label in labels.items()), ""])


def add_to_tar(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def pack(files: dict[str, bytes], at: Path) -> Path:
    """Write files as the folder or archive that the name of ``at`` asks for."""
    at.parent.mkdir(parents=True, exist_ok=True)
    if at.name.endswith((".tar.gz", ".tgz")):
        with tarfile.open(at, "w:gz") as archive:
            for name, content in files.items():
                add_to_tar(archive, name, content)
    elif at.name.endswith(".zip"):
        with zipfile.ZipFile(at, "w", zipfile.ZIP_DEFLATED) as zipped:
            for name, content in files.items():
                zipped.writestr(name, content)
    else:
        at.mkdir()
        for name, content in files.items():
            (at / Path(name).name).write_bytes(content)
    return at


FORMS = ("set-a", "set-a.tar.gz", "set-a.tgz", "set-a.zip")
RECORDS = {7: record(7, "00:07,HR,80", "01:30,HR,82"), 8: record(8, "00:10,HR,90", sex=1, unit=1)}


class Made:
    """A small set with its outcomes beside it; a test changes it before it writes it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = {f"set-a/{stay}.txt": text.encode() for stay, text in RECORDS.items()}
        self.outcomes: str | None = outcomes({7: 0, 8: 1})

    def write(self, form: str = "set-a") -> str:
        at = pack(self.files, self.folder / form)
        if self.outcomes is not None:
            (self.folder / "Outcomes-a.txt").write_text(self.outcomes)
        return str(at)

    def change(self, old: str, new: str) -> None:
        """Change the text of record 7."""
        text = self.files["set-a/7.txt"].decode()
        assert old in text
        self.files["set-a/7.txt"] = text.replace(old, new).encode()


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path / "made")


@pytest.mark.parametrize("form", FORMS)
def test_small_set(made: Made, form: str) -> None:
    stays, values = read(made.write(form), "HR", "Height", "Weight")

    columns = ("stay_id", "subject_id", "hadm_id", "age_years", "sex", "unit", "charting_system", "label")
    assert stays.select(columns).rows() == [
        (7, 7, 7, 60.0, "F", "MICU", "challenge-2012", 0),
        (8, 8, 8, 60.0, "M", "CCU", "challenge-2012", 1),
    ]
    assert values.rows() == [
        (7, 0, "Height", 170.0),
        (7, 0, "Weight", 70.0),
        (7, 7, "HR", 80.0),
        (7, 90, "HR", 82.0),
        (8, 0, "Height", 170.0),
        (8, 0, "Weight", 70.0),
        (8, 10, "HR", 90.0),
    ]


def test_unknown_descriptors(made: Made) -> None:
    made.files["set-a/7.txt"] = record(7, "01:00,Weight,-1", "02:00,Weight,71", age=-1, sex=-1, height=-1, unit=-1,
                                       weight=-1).encode()  # fmt: skip
    made.files["set-a/8.txt"] = f"{HEADER}\n00:00,RecordID,8\n".encode()
    stays, values = read(made.write())

    told = stays.select("stay_id", "age_years", "sex", "unit")
    assert told.rows() == [(7, None, None, None), (8, None, None, None)]
    assert values.rows() == [(7, 120, "Weight", 71.0)]
    assert conform(tidy(stays), STAYS).height == 2


def test_parameter_without_a_value_is_missing(made: Made) -> None:
    made.change("00:07,HR,80", "00:07,HR,")

    assert read(made.write(), "HR")[1].select("stay_id", "minute").rows() == [(7, 90), (8, 10)]


def test_minus_one_is_a_value_of_a_series(made: Made) -> None:
    made.change("00:07,HR,80", "00:07,Temp,-1")

    assert read(made.write(), "Temp")[1].rows() == [(7, 7, "Temp", -1.0)]


def test_only_what_is_asked_for(made: Made) -> None:
    source = open_source(f"challenge2012:{made.write()}")
    source.stays()

    def rows(stay_ids: list[int], items: list[int | str]) -> list[tuple[Any, ...]]:
        asked: dict[str, Any] = {"stay_ids": stay_ids, "items": items, "window_hours": 1, "reach": "window"}
        return pl.concat(list(source.values("challenge2012", **asked))).sort("stay_id", "minute").rows()

    assert (source.name, source.tables) == ("challenge-2012", ("challenge2012",))
    assert rows([8], ["HR"]) == [(8, 10, "HR", 90.0)]
    assert rows([7, 8], ["HR"]) == [(7, 7, "HR", 80.0), (8, 10, "HR", 90.0)]  # 01:30 is past the window
    assert rows([7, 8], ["Mood", "RecordID"]) == []
    assert rows([7, 8], []) == []
    assert rows([], ["HR"]) == []
    with pytest.raises(ValueError, match="labevents"):
        list(source.values("labevents", stay_ids=[7], items=["HR"], window_hours=48, reach="window"))


def test_window_is_open_at_its_end(made: Made) -> None:
    made.change("01:30,HR,82", "47:59,HR,1\n48:00,HR,2\n49:10,HR,3")
    address = made.write()

    def minutes(**options: Any) -> list[int]:
        return read(address, "HR", **options)[1].filter(pl.col("stay_id") == 7)["minute"].to_list()

    assert minutes(reach="window") == [7, 2879]
    assert minutes(reach="admission") == [7, 2879, 2880, 2950]
    assert minutes(reach="admission", window_hours=1) == [7, 2879, 2880, 2950]


def test_rows_without_a_name_are_skipped_and_counted(made: Made) -> None:
    made.change("00:07,HR,80", "00:07,HR,80\n00:09,,80\n,,\n00:10,,text")
    source = Challenge2012(made.write())

    source.stays()
    assert source.notes == ("3 rows without a parameter's name skipped",)
    source.stays()
    assert source.notes == ("3 rows without a parameter's name skipped",)
    assert read(str(made.folder / "set-a"), "HR")[1].height == 3


@pytest.mark.parametrize(
    "rewritten",
    [
        pytest.param(lambda text: text.replace("\n", "\r\n"), id="windows"),
        pytest.param(lambda text: text.rstrip("\n"), id="no-last-newline"),
        pytest.param(lambda text: text + "\n\n", id="blank-lines-at-the-end"),
        pytest.param(lambda text: text + "03:00,Mood,5\n", id="unknown-parameter"),
    ],
)
def test_form_of_the_text_does_not_matter(made: Made, tmp_path: Path, rewritten: Callable[[str], str]) -> None:
    usual = read(made.write())
    other = Made(tmp_path / "other")
    other.files = {name: rewritten(text.decode()).encode() for name, text in made.files.items()}
    assert made.outcomes
    other.outcomes = made.outcomes.replace("\n", "\r\n")

    stays, values = read(other.write())

    assert stays.equals(usual[0])
    assert values.equals(usual[1])


def test_what_else_lies_in_an_archive_is_left_alone(made: Made) -> None:
    made.files |= {
        "README.txt": b"hello",
        "__MACOSX/set-a/._7.txt": b"\0\1",
        "set-a/7.txt.bak": b"x",
        "set-a/07.txt": b"",
    }

    assert read(made.write("set-a.zip"))[0].height == 2


def test_two_sets(made: Made, tmp_path: Path) -> None:
    other = Made(tmp_path / "other")
    other.files = {"set-b/9.txt": record(9, "00:01,HR,60").encode()}
    other.outcomes = None
    second = other.write("set-b.zip")
    (other.folder / "Outcomes-b.txt").write_text(outcomes({9: 1}))
    first = made.write()

    stays, values = read(f"{first},{second}", "HR")
    swapped = read(f"{second},{first}", "HR")

    assert stays.select("stay_id", "label").rows() == [(7, 0), (8, 1), (9, 1)]
    assert values["stay_id"].to_list() == [7, 7, 8, 9]
    assert stays.equals(swapped[0])
    assert values.equals(swapped[1])


# --- outcomes ---------------------------------------------------------------------------------------------------


def test_other_outcomes_never_leave_the_reader(made: Made) -> None:
    """Severity scores, length of stay and survival may be anything, or missing: the frames are the same."""
    address = made.write()
    usual = read(address)
    assert tuple(usual[0].columns) == tuple(RAW_STAYS)

    for text in (
        f"{OUTCOMES_HEADER}\n7,99,98,97,96,0\n8,95,94,93,92,1\n",
        f"{OUTCOMES_HEADER}\n8,a,b,c,d,1\n7,,,,,0\n",
        "RecordID,In-hospital_death\n7,0\n8,1\n",
        "In-hospital_death,Survival,RecordID\n0,3,7\n1,3,8\n",
    ):
        (made.folder / "Outcomes-a.txt").write_text(text)
        stays, values = read(address)
        assert stays.equals(usual[0])
        assert values.equals(usual[1])


@pytest.mark.challenge2012
def test_lengths_of_stay_of_set_a_are_not_those_of_the_outcomes(
    set_a: tuple[pl.DataFrame, pl.DataFrame], challenge2012: Path
) -> None:
    """No column of the stays follows an outcome but the label's."""
    with (challenge2012 / "Outcomes-a.txt").open() as file:
        rows = sorted(csv.DictReader(file), key=lambda row: int(row["RecordID"]))
    hidden = [[float(row[name]) for row in rows] for name in ("SAPS-I", "SOFA", "Length_of_stay", "Survival")]

    for name, column in zip(set_a[0].columns, set_a[0].iter_columns(), strict=True):
        if column.dtype.is_numeric():
            assert column.cast(pl.Float64).to_list() not in hidden, name


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["Outcomes-a.txt", "outcomes-A.TXT"])
def test_outcomes_inside_come_first(made: Made, form: str, name: str) -> None:
    assert made.outcomes
    made.files[f"set-a/{name}"] = made.outcomes.encode()
    made.outcomes = outcomes({7: 1, 8: 1})

    assert read(made.write(form))[0]["label"].to_list() == [0, 1]


@pytest.mark.parametrize("form", ["records", "records.zip", "records.tar.gz", "a-set-of-mine"])
@pytest.mark.parametrize("inside", [True, False])
def test_the_only_outcomes_of_a_set_without_a_letter(made: Made, form: str, inside: bool) -> None:
    assert made.outcomes
    if inside:
        made.files["Outcomes.txt"] = made.outcomes.encode()
        made.outcomes = None

    assert read(made.write(form))[0]["label"].to_list() == [0, 1]


def test_folder_given_as_a_dot(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    made.write()
    (made.folder / "Outcomes-b.txt").write_text("")
    monkeypatch.chdir(made.folder / "set-a")

    assert read(".")[0].height == 2
    monkeypatch.chdir(made.folder)
    assert read("set-a")[0].height == 2


# --- generated records ------------------------------------------------------------------------------------------

_numbers = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-2, 400).map(float)
_rows = st.lists(
    st.tuples(st.integers(0, 2880), st.sampled_from(["HR", "Temp", "Height", "Weight", "Mood", ""]), _numbers),
    max_size=30,
)
_texts = st.tuples(st.booleans(), st.booleans())


@given(data=st.dictionaries(st.integers(1, 10**15 - 1), st.tuples(_rows, _texts), min_size=1, max_size=5))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_generated_records_come_back(data: dict[int, Any]) -> None:
    expected: dict[int, list[tuple[int, str, float]]] = defaultdict(list)
    files = {}
    for stay, (rows, (windows, cut_last)) in data.items():
        text = record(stay, *(f"{m // 60:02}:{m % 60:02},{name},{value!r}" for m, name, value in rows))
        text = text.rstrip("\n") if cut_last else text
        files[f"{stay}.txt"] = (text.replace("\n", "\r\n") if windows else text).encode()
        for minute, name, value in [(0, "Height", 170.0), (0, "Weight", 70.0), *rows]:
            if name in ("HR", "Temp") or (name in ("Height", "Weight") and value != -1):
                expected[stay].append((minute, name, value))
    with tempfile.TemporaryDirectory() as folder:
        for form in ("set-a", "set-a.tar.gz", "set-a.zip"):
            pack(files, Path(folder, form))
        Path(folder, "Outcomes-a.txt").write_text(outcomes({stay: stay % 2 for stay in data}))
        found = [
            read(f"{folder}/{form}", "HR", "Temp", "Height", "Weight")
            for form in ("set-a", "set-a.tar.gz", "set-a.zip")
        ]

    rows = [(stay, *row) for stay, values in expected.items() for row in values]
    for stays, values in found:
        assert stays["stay_id"].to_list() == sorted(data)
        assert stays["label"].to_list() == [stay % 2 for stay in sorted(data)]
        assert values.equals(pl.DataFrame(rows, schema=VALUES, orient="row").sort(list(VALUES)))


# --- fingerprint ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_fingerprint_changes_with_the_files(made: Made, form: str) -> None:
    address = made.write(form)

    def fingerprint() -> str | None:
        return open_source(f"challenge2012:{address}").fingerprint()

    before = fingerprint()
    assert fingerprint() == before
    os.utime(made.folder / "Outcomes-a.txt", (1, 1))
    after_outcomes = fingerprint()
    file = made.folder / form / "7.txt" if form == "set-a" else made.folder / form
    os.utime(file, (1, 1))
    after_records = fingerprint()
    with file.open("ab") as more:
        more.write(b"\n")
    os.utime(file, (1, 1))
    assert len({before, after_outcomes, after_records, fingerprint()}) == 4


def test_fingerprint_does_not_depend_on_the_order_of_sets(made: Made, tmp_path: Path) -> None:
    first, second = made.write(), Made(tmp_path / "other").write("set-a.zip")

    fingerprints = {open_source(f"challenge2012:{a},{b}").fingerprint() for a, b in ((first, second), (second, first))}

    assert len(fingerprints) == 1


# --- bad input --------------------------------------------------------------------------------------------------

SECRET = "Mrs Doe 31415.9265"


def refused(address: object) -> str:
    """Read bad input and return the message, which must be one line that shows no row."""
    with pytest.raises(UserError) as caught:
        read(str(address))
    message = str(caught.value)
    assert "\n" not in message
    assert not [word for word in SECRET.split() if word in message]
    return message


def says(message: str, *parts: object) -> None:
    for part in parts:
        assert str(part) in message, f"{part!r} is not in {message!r}"


@pytest.mark.parametrize(
    ("address", "part"),
    [("", "a path is empty"), ("set-a,", "a path is empty"), (",", "a path is empty"), ("nowhere", "no such file"),
     ("x" * 5000, "cannot be read"), ("set-a,nowhere", "nowhere: no such file"), ("set-a,./set-a", "given twice"),
     ("set-a,../made/set-a", "given twice"), ("Outcomes-a.txt", "neither folder nor archive")],
)  # fmt: skip
def test_bad_address(made: Made, monkeypatch: pytest.MonkeyPatch, address: str, part: str) -> None:
    made.write()
    monkeypatch.chdir(made.folder)

    says(refused(address), part)


BAD_TEXTS = {
    "time of one digit": ("00:07,HR,80", f"0:07,HR,{SECRET}", ["line 8", "HH:MM"]),
    "minute 60": ("00:07,HR,80", "00:60,HR,80", ["line 8", "HH:MM"]),
    "no time": ("00:07,HR,80", ",HR,80", ["line 8", "HH:MM"]),
    "negative time": ("00:07,HR,80", "-1:07,HR,80", ["line 8", "HH:MM"]),
    "time with a date": ("00:07,HR,80", f"{SECRET},HR,80", ["line 8", "HH:MM"]),
    "text for a number": ("01:30,HR,82", f"01:30,HR,{SECRET}", ["line 9", "not a number"]),
    "nan": ("00:07,HR,80", "00:07,HR,nan", ["line 8", "not a number"]),
    "infinity": ("00:07,HR,80", "00:07,HR,inf", ["line 8", "not a number"]),
    "number of an unknown parameter": ("00:07,HR,80", f"00:07,Mood,{SECRET}", ["line 8", "not a number"]),
    "two columns": ("00:07,HR,80", f"00:07,{SECRET}", ["line 8", "not three columns"]),
    "four columns": ("00:07,HR,80", f"00:07,HR,80,{SECRET}", ["line 8", "not three columns"]),
    "no columns": ("00:07,HR,80", SECRET, ["line 8", "not three columns"]),
    "quoted": ("00:07,HR,80", '00:07,HR,"80"', ["line 8", "not a number"]),
    "header of another file": (HEADER, SECRET, ["line 1", "not the header Time,Parameter,Value"]),
    "no header": (f"{HEADER}\n", "", ["line 1", "not the header"]),
    "blank line above the header": (HEADER, f"\n{HEADER}", ["line 1", "not the header"]),
    "no RecordID": ("00:00,RecordID,7\n", "", ["no row with a RecordID"]),
    "RecordID of another": ("RecordID,7", "RecordID,31415", ["line 2", "not that of the file's name"]),
    "second RecordID of another": ("00:07,HR,80", "00:07,RecordID,6", ["line 8", "not that of the file's name"]),
    "gender": ("Gender,0", "Gender,2", ["line 4", "Gender is not -1, 0 or 1"]),
    "unit": ("ICUType,3", "ICUType,5", ["line 6", "ICUType is not -1 or 1 to 4"]),
    "unit of none": ("ICUType,3", "ICUType,0", ["line 6", "ICUType"]),
    "age": ("Age,60", "Age,300", ["line 3", "Age is not -1 or 0 to 120"]),
    "bytes that are no text": ("HR,80", "HR,\udcff\udcfe", ["line 8", "not a number"]),
}


@pytest.mark.parametrize("form", ["set-a", "set-a.tar.gz", "set-a.zip"])
@pytest.mark.parametrize(("old", "new", "parts"), BAD_TEXTS.values(), ids=BAD_TEXTS.keys())
def test_bad_record(made: Made, form: str, old: str, new: str, parts: list[str]) -> None:
    text = made.files["set-a/7.txt"].decode()
    assert old in text
    made.files["set-a/7.txt"] = text.replace(old, new).encode(errors="surrogateescape")

    address = made.write(form)
    where = f"{address}/7.txt: " if form == "set-a" else f"{address}: 7.txt: "
    says(refused(address), where, *parts)


@pytest.mark.parametrize("form", FORMS)
def test_empty_record(made: Made, form: str) -> None:
    made.files["set-a/8.txt"] = b""

    says(refused(made.write(form)), "8.txt: line 1: not the header")


def test_first_of_several_bad_rows_is_named(made: Made) -> None:
    made.change("01:30,HR,82", "1:30,HR,82")
    made.change("00:07,HR,80", "00:07,HR,x")
    made.files["set-a/8.txt"] = b"x"

    says(refused(made.write()), "7.txt: line 8: the value is not a number")


BAD_OUTCOMES = {
    "no column": ("RecordID,SOFA\n7,1\n8,1\n", ["no column In-hospital_death"]),
    "no RecordID": ("In-hospital_death\n1\n0\n", ["no column RecordID"]),
    "empty": ("", ["no column RecordID, In-hospital_death"]),
    "another file": (SECRET, ["no column RecordID, In-hospital_death"]),
    "text for an id": (f"RecordID,In-hospital_death\n7,0\n{SECRET},1\n", ["line 3", "RecordID is not a whole number"]),
    "text for a label": (
        f"RecordID,In-hospital_death\n7,{SECRET}\n8,1\n",
        ["line 2", "In-hospital_death is not 0 or 1"],
    ),
    "no label": ("RecordID,In-hospital_death\n7,\n8,1\n", ["line 2", "In-hospital_death is not 0 or 1"]),
    "label of 2": ("RecordID,In-hospital_death\n7,0\n8,2\n", ["line 3", "In-hospital_death is not 0 or 1"]),
    "label of -1": ("RecordID,In-hospital_death\n7,-1\n8,1\n", ["line 2", "In-hospital_death is not 0 or 1"]),
    "too few cells": (f"{OUTCOMES_HEADER}\n7,1,1,1,1,0\n8,1\n", ["line 3", "not 6 columns"]),
    "too many cells": (f"{OUTCOMES_HEADER}\n7,1,1,1,1,1,0\n8,1,1,1,1,1\n", ["line 2", "not 6 columns"]),
    "record twice": ("RecordID,In-hospital_death\n7,0\n8,1\n7,1\n", ["line 4", "has an outcome already"]),
    "record without outcome": ("RecordID,In-hospital_death\n7,0\n", ["no outcome for 1 of 2 records", "first 8.txt"]),
    "no records' outcomes": ("RecordID,In-hospital_death\n", ["no outcome for 2 of 2 records", "first 7.txt"]),
    "outcome without record": (
        "RecordID,In-hospital_death\n7,0\n8,1\n9,1\n10,0\n",
        ["no record file for 2 of 4 outcomes", "complete"],
    ),
}


@pytest.mark.parametrize("form", ["set-a", "set-a.zip"])
@pytest.mark.parametrize(("text", "parts"), BAD_OUTCOMES.values(), ids=BAD_OUTCOMES.keys())
def test_bad_outcomes(made: Made, form: str, text: str, parts: list[str]) -> None:
    made.outcomes = text

    says(refused(made.write(form)), made.folder / "Outcomes-a.txt", *parts)


@pytest.mark.parametrize("form", FORMS)
def test_missing_outcomes(made: Made, form: str) -> None:
    made.outcomes = None
    address = made.write(form)
    (made.folder / "Outcomes-b.txt").write_text(outcomes({7: 0, 8: 1}))  # of another set

    says(refused(address), address, "no Outcomes-a.txt in it or beside it")


@pytest.mark.parametrize("form", ["records", "records.zip"])
@pytest.mark.parametrize("inside", [True, False])
def test_ambiguous_outcomes(made: Made, form: str, inside: bool) -> None:
    text, made.outcomes = made.outcomes, None
    assert text
    if inside:
        made.files |= {"Outcomes-a.txt": text.encode(), "Outcomes-b.txt": text.encode()}
    address = made.write(form)
    if not inside:
        says(refused(address), address, "no Outcomes-*.txt in it or beside it")
        for letter in "ab":
            (made.folder / f"Outcomes-{letter}.txt").write_text(text)

    says(refused(address), address, "Outcomes-a.txt and ", "Outcomes-b.txt?", "name the set as in set-a")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("files", [{}, {"set-a/README.txt": b"hello", "set-a/notes.csv": b"1,2"}])
def test_no_records(made: Made, form: str, files: dict[str, bytes]) -> None:
    made.files = files

    says(refused(made.write(form)), "no record files such as 132539.txt in it")


def test_folder_of_the_sets_instead_of_a_set(made: Made) -> None:
    made.write()

    says(refused(made.folder), "no record files such as 132539.txt in it")


@pytest.mark.parametrize("form", ["set-a.tar.gz", "set-a.zip"])
def test_record_twice_in_an_archive(made: Made, form: str) -> None:
    made.files["again/7.txt"] = made.files["set-a/7.txt"]

    says(refused(made.write(form)), form, "7.txt is in it twice")


def test_outcomes_twice_in_an_archive(made: Made) -> None:
    made.files |= {"Outcomes-a.txt": b"", "set-a/Outcomes-a.txt": b""}

    says(refused(made.write("set-a.zip")), "Outcomes-a.txt is in it twice")


def test_record_in_two_sets(made: Made) -> None:
    folder, archive = made.write("set-a"), made.write("set-a.zip")

    says(
        refused(f"{folder},{archive}"),
        f"{archive}: 2 of its records are in {folder} too",
        "7.txt",
        "give each set once",
    )


@pytest.mark.parametrize("form", ["set-a.tar.gz", "set-a.tgz", "set-a.zip"])
@pytest.mark.parametrize(
    "keep", [lambda _: 0, lambda _: 5, lambda n: n // 2, lambda n: n - 8, lambda n: n - 1],
    ids=["nothing", "five bytes", "half", "all but eight bytes", "all but one byte"],
)  # fmt: skip
def test_truncated_archive(made: Made, form: str, keep: Callable[[int], int]) -> None:
    file = Path(made.write(form))
    content = file.read_bytes()
    file.write_bytes(content[: keep(len(content))])

    says(refused(file), file, "not a whole archive", "download it again")


@pytest.mark.parametrize("form", ["set-a.tar.gz", "set-a.zip"])
@pytest.mark.parametrize("content", [b"hello\n" * 1000, gzip.compress(b"hello\n" * 1000)], ids=["text", "gzip of text"])
def test_not_an_archive(made: Made, form: str, content: bytes) -> None:
    file = Path(made.write(form))
    file.write_bytes(content)

    says(refused(file), file, "not a whole archive")


def test_tar_cut_before_it_was_compressed(made: Made) -> None:
    """The compression is whole, and tarfile takes the missing rest for the archive's end."""
    file = Path(made.write("set-a.tar.gz"))
    whole = gzip.decompress(file.read_bytes())
    file.write_bytes(gzip.compress(whole[:1024]))

    says(refused(file), file, "no record file for 1 of 2 outcomes")
    file.write_bytes(gzip.compress(whole[:600]))
    says(refused(file), file, "not a whole archive")


def test_checksum_of_a_zip_names_the_member(made: Made) -> None:
    file = made.folder / "set-a.zip"
    made.write("set-a.zip")
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, text in made.files.items():
            archive.writestr(name, text)
    file.write_bytes(file.read_bytes().replace(b"00:10,HR,90", b"00:10,HR,91"))

    says(refused(file), f"{file}: 8.txt: not a whole archive")


@pytest.mark.parametrize("form", ["set-a.tar.gz", "set-a.zip"])
def test_damage_anywhere_is_told_or_harmless(made: Made, form: str) -> None:
    """One byte changed, at 300 places: an error of one line, or the same frames (a date, say, was changed)."""
    file = Path(made.write(form))
    usual = read(str(file))
    content = file.read_bytes()
    places = random.Random(0)
    messages = []
    for _ in range(300):
        changed = bytearray(content)
        changed[places.randrange(len(content))] ^= places.randrange(1, 256)
        file.write_bytes(changed)
        try:
            stays, values = read(str(file))
        except UserError as error:
            messages.append(str(error))
        else:
            assert stays.equals(usual[0])
            assert values.equals(usual[1])
    assert len(messages) > 100
    assert not [message for message in messages if "\n" in message]


@pytest.mark.parametrize(("at_local", "at_central", "value"), [(6, 8, 1), (8, 10, 99)], ids=["password", "compression"])
def test_zip_that_cannot_be_unpacked(made: Made, at_local: int, at_central: int, value: int) -> None:
    file = Path(made.write("set-a.zip"))
    content = bytearray(file.read_bytes())
    for signature, offset in ((b"PK\3\4", at_local), (b"PK\1\2", at_central)):
        at = content.find(signature)
        while at >= 0:
            content[at + offset] = value
            at = content.find(signature, at + 1)
    file.write_bytes(content)

    says(refused(file), "7.txt", "encrypted or of a rare kind")


@pytest.mark.parametrize("form", FORMS)
def test_huge_file_is_not_read(made: Made, form: str) -> None:
    made.files["set-a/8.txt"] = b"\n" * (17 << 20)

    says(refused(made.write(form)), "8.txt", "too large")


@pytest.mark.parametrize("name", ["../../outside/9.txt", "/outside/9.txt", "..\\9.txt", "set-a/\n/9.txt"])
@pytest.mark.parametrize("form", ["set-a.tar.gz", "set-a.zip"])
def test_names_that_point_elsewhere_write_nothing(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, name: str
) -> None:
    made.files[name] = record(9, "00:01,HR,60").encode()
    made.outcomes = outcomes({7: 0, 8: 1, **({} if "\\" in name else {9: 1})})
    address = made.write(form)
    monkeypatch.chdir(made.folder)
    before = sorted(tmp_path.rglob("*"))

    stays, _ = read(address)

    assert stays.height == (2 if "\\" in name else 3)
    assert sorted(tmp_path.rglob("*")) == before
    assert not Path("/outside").exists()


def test_links_in_a_tar_are_not_followed(made: Made, tmp_path: Path) -> None:
    (tmp_path / "elsewhere.txt").write_text(record(9))
    file = Path(made.write("set-a.tar.gz"))
    with tarfile.open(file, "w:gz") as archive:
        for name, content in made.files.items():
            add_to_tar(archive, name, content)
        for kind, linked in ((tarfile.SYMTYPE, "9"), (tarfile.LNKTYPE, "10"), (tarfile.CHRTYPE, "11")):
            member = tarfile.TarInfo(f"set-a/{linked}.txt")
            member.type, member.linkname = kind, str(tmp_path / "elsewhere.txt")
            archive.addfile(member)

    assert read(str(file))[0].height == 2


@pytest.mark.parametrize(
    ("make", "part"),
    [
        pytest.param(lambda at: at.mkdir(), "not a file", id="folder"),
        pytest.param(lambda at: at.symlink_to("nowhere"), "cannot be read", id="broken-link"),
        pytest.param(os.mkfifo, "not a file", id="pipe"),
    ],
)
def test_record_that_is_no_file(made: Made, make: Callable[[Path], None], part: str) -> None:
    address = made.write()
    at = Path(address, "8.txt")
    at.unlink()
    make(at)

    says(refused(address), at, part)


@pytest.mark.parametrize("form", FORMS)
def test_no_permission(made: Made, form: str) -> None:
    address = Path(made.write(form))
    address.chmod(0)
    user = os.geteuid()
    if user == 0:  # root may read everything
        os.seteuid(65_534)
    try:
        says(refused(address), address, "cannot be read", "permissions")
    finally:
        os.seteuid(user)
        address.chmod(0o755)


def test_outcomes_that_are_a_folder(made: Made) -> None:
    made.outcomes = None
    address = made.write()
    (made.folder / "Outcomes-a.txt").mkdir()

    says(refused(address), "Outcomes-a.txt", "cannot be read")


# --- the command line -------------------------------------------------------------------------------------------

Extract = Callable[..., Artifact]


@pytest.fixture
def extract(lstm_aa_inside: Any, tmp_path: Path) -> Extract:
    """Run `lstm-aa extract` and open what it made."""

    def call(address: object, *options: object, out: str = "events") -> Artifact:
        result = lstm_aa_inside("extract", "--source", f"challenge2012:{address}", "--out", out, *options)
        assert result.returncode == 0, result.stderr
        return open_artifact(tmp_path / out, "events")

    return call


def measurements(events: Artifact) -> pl.DataFrame:
    return pl.read_parquet(events.file("measurements.parquet")).cast({"feature": pl.String})


@pytest.mark.challenge2012
@pytest.mark.parametrize(("feature_set", "measured"), [("icu-19", 3990), ("icu-extended", 3991)])
def test_extracted_set_a_equals_a_plain_loop(
    extract: Extract,
    challenge2012: Path,
    plain_rows: list[tuple[int, int, str, float]],
    feature_set: str,
    measured: int,
) -> None:
    """The cohort flow, and every accepted value in its measurement's unit."""
    events = extract(challenge2012 / "set-a.tar.gz", "--features", feature_set)

    extraction = events.json("extraction.json", Extraction)
    assert extraction.access == "open"
    assert [(step.rule, step.stays, step.patients, step.deaths) for step in extraction.cohort_flow] == [
        ("all", 4000, 4000, 554),
        ("adult", 3994, 3994, 554),
        ("whole_window", 3994, 3994, 554),
        ("min_measurements", measured, measured, 554),
    ]
    expected = _accepted(plain_rows, feature_set)
    assert measurements(events).equals(expected.select(measurements(events).columns))
    counts = {name: count.accepted for name, count in extraction.values.items()}
    assert counts == dict(expected["feature"].value_counts().rows())
    assert "calcium" not in counts


def _accepted(rows: list[tuple[int, int, str, float]], feature_set: str) -> pl.DataFrame:
    """Return what a feature set accepts of adults' first 48 hours, in the order of an artifact's rows."""
    features = load_catalogue().feature_set(feature_set).within(("challenge2012",))
    sources = {
        item: (feature.name, source)
        for feature in features.recorded
        for source in feature.measurement.sources
        for item in source.items
    }
    adults = {stay for stay, _, name, value in rows if name == "Age" and value >= 18}
    found = []
    for stay, minute, item, value in rows:
        if item not in sources or stay not in adults or minute >= 2880 or (item in UNKNOWN and value == -1):
            continue
        feature, source = sources[item]
        if _within(value, source.accepted):
            converted = (value + source.conversion.add) * source.conversion.multiply
            found.append((stay, minute, feature, converted))
    schema = {"stay_id": pl.Int64, "minute": pl.Int32, "feature": pl.Enum(features.recorded_names), "value": pl.Float64}
    frame = pl.DataFrame(found, schema=schema, orient="row")
    return frame.sort(list(schema)).cast({"feature": pl.String})


def _within(value: float, limits: Limits) -> bool:
    return (
        (limits.gt is None or value > limits.gt)
        and (limits.ge is None or value >= limits.ge)
        and (limits.lt is None or value < limits.lt)
        and (limits.le is None or value <= limits.le)
    )


@pytest.mark.challenge2012
def test_other_outcomes_are_in_no_artifact(extract: Extract, challenge2012: Path) -> None:
    events = extract(challenge2012 / "set-a.tar.gz", "--features", "icu-extended")

    assert tuple(pl.read_parquet_schema(events.file("stays.parquet"))) == tuple(STAYS)
    assert pl.read_parquet(events.file("stays.parquet"))["los_hours"].unique().to_list() == [48.0]
    files = [file for file in events.path.iterdir() if file.is_file()]
    assert len(files) > 3
    for file in files:
        content = file.read_bytes().lower()
        assert not [w for w in (b"saps", b"sofa", b"survival", b"length_of_stay") if w in content], file.name


@pytest.mark.challenge2012
def test_whole_admissions_of_set_a_go_on_to_the_last_minute(extract: Extract, challenge2012: Path) -> None:
    whole = measurements(extract(challenge2012 / "set-a.tar.gz", "--sample", "admission", out="whole"))

    assert (whole["minute"].min(), whole["minute"].max()) == (0, 2880)


@pytest.mark.parametrize("form", FORMS)
def test_extracted_small_set_has_one_digest(extract: Extract, made: Made, form: str) -> None:
    usual = extract(made.write("set-a"), out="usual")
    if form == "set-a":
        made.folder = made.folder.with_name("other")

    other = extract(made.write(form), out="other-events")

    assert other.digest == usual.digest
    assert measurements(other)["value"].to_list() == [80.0, 82.0, 90.0]


def test_extracted_set_is_up_to_date_until_a_file_changes(lstm_aa_inside: Any, made: Made) -> None:
    address = made.write("set-a.zip")

    def again() -> bool:
        result = lstm_aa_inside("extract", "--source", f"challenge2012:{address}", "--out", "events")
        assert result.returncode == 0, result.stderr
        return "up to date" not in result.stderr

    assert again()
    assert not again()
    os.utime(made.folder / "Outcomes-a.txt", (1, 1))
    assert again()


@pytest.mark.parametrize(
    ("change", "part"),
    [
        pytest.param(lambda made: made.files.clear(), "no record files", id="no-records"),
        pytest.param(lambda made: made.change("HR,80", f"HR,{SECRET}"), "7.txt: line 8: the value", id="number"),
        pytest.param(lambda made: made.change("RecordID,7", "RecordID,6"), "7.txt: line 2: the RecordID", id="id"),
        pytest.param(lambda made: setattr(made, "outcomes", None), "no Outcomes-a.txt", id="no-outcomes"),
        pytest.param(lambda made: setattr(made, "outcomes", "RecordID\n7\n"), "no column In-hospital", id="column"),
    ],
)
@pytest.mark.parametrize("form", ["set-a", "set-a.tar.gz", "set-a.zip"])
def test_bad_input_through_the_command_line(
    lstm_aa_inside: Any, made: Made, tmp_path: Path, form: str, change: Callable[[Made], Any], part: str
) -> None:
    change(made)

    result = lstm_aa_inside("extract", "--source", f"challenge2012:{made.write(form)}", "--out", "out/events")

    assert result.returncode == 2, result.stderr
    assert result.stdout == ""
    assert result.stderr.startswith("lstm-aa: error: ")
    assert result.stderr.count("\n") == 1
    says(result.stderr, part)
    assert not [word for word in SECRET.split() if word in result.stderr]
    assert not [path for path in tmp_path.rglob("*") if ".work" in path.name or path.name == "events"]
