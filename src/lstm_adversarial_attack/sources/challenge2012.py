"""The PhysioNet/CinC Challenge 2012 as a source: sets of record files with their outcomes files.

A record file holds the rows ``Time,Parameter,Value`` of one ICU stay, with times as HH:MM since ICU admission.
Archives are read member by member in memory: nothing is ever written to disk, whatever a member is called.

Of an outcomes file only RecordID and In-hospital_death are read. Its other columns (severity scores, length of
stay, survival) are known after the fact, and never get past this module.

Duplicate rows of one record, time and parameter are kept: the hourly mean is over all of them. Values that no
patient can have are kept too: they fall at the catalogue's accepted ranges, as those of every source do.
"""

from __future__ import annotations

import errno
import gzip
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path

import numpy as np
import polars as pl

from lstm_adversarial_attack.artifacts import digest_of
from lstm_adversarial_attack.catalogue import Item, Table
from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.frames import typed
from lstm_adversarial_attack.sources import RAW_STAYS, RAW_VALUES, Reach

_FORM = "challenge2012:PATH[,PATH...], each a folder, .tar.gz, .tgz or .zip of record files"
_HEADER = "Time,Parameter,Value"
_LABEL = "In-hospital_death"
_RECORD_FILE = re.compile(r"([1-9][0-9]{0,14})\.txt")
_OUTCOMES_FILE = re.compile(r"outcomes.*\.txt", re.IGNORECASE)
_LETTER = re.compile(r"set-([a-z])(?![a-z])", re.IGNORECASE)

_UNKNOWN = -1.0
#: Where -1 stands for a value that is not known; elsewhere it is a value like any other.
_MAY_BE_UNKNOWN = ("Age", "Gender", "Height", "ICUType", "Weight")
_SEXES = {0.0: "F", 1.0: "M"}
_UNITS = {1.0: "CCU", 2.0: "CSRU", 3.0: "MICU", 4.0: "SICU"}
#: Only stays of 48 hours or more were made into records. How long they really were is an outcome.
_LEAST_HOURS = 48.0

#: Parsing takes some ten times as much memory as the text; a set is about 20 MB of text.
_BATCH_BYTES = 4 << 20
#: A record file has some 8 kB: what exceeds this is something else, and is not read into memory.
_MAX_FILE_BYTES = 16 << 20


class Challenge2012:
    """One or more sets, as ``PATH[,PATH...]``, where no path can hold a comma.

    Each path is a folder of record files, a .tar.gz (.tgz) or a .zip of them. The outcomes file lies in it or,
    failing that, beside it: ``Outcomes-a.txt`` where the path's name has ``set-a``, else the only ``Outcomes*.txt``.

    The Challenge tells neither patients nor admissions apart: RecordID stands for stay, patient and admission,
    so a patient with two records counts as two.
    """

    name = "challenge-2012"
    tables: tuple[Table, ...] = ("challenge2012",)  # its items are the names of parameters

    def __init__(self, address: str) -> None:
        """Find the sets.

        Raises:
            UserError: a path is empty, not there, of no known form, or given twice.
        """
        parts = address.split(",")
        if not all(parts):
            raise UserError(f"source challenge2012:{address}: a path is empty; give {_FORM}")
        self._sets = [_Set(Path(part)) for part in parts]
        for one, other in combinations(self._sets, 2):
            if one.path.resolve() == other.path.resolve():
                raise UserError(f"source challenge2012:{address}: {other.path} is given twice")
        self._nameless_rows = 0

    def close(self) -> None:
        """Nothing stays open between calls."""

    @property
    def notes(self) -> tuple[str, ...]:
        """See `sources.EventSource`; set-c has rows without a parameter's name."""
        return (f"{self._nameless_rows:,} rows without a parameter's name skipped",) if self._nameless_rows else ()

    def fingerprint(self) -> str:
        """Return a digest of names, sizes and modification times of the files.

        Raises:
            UserError: a file cannot be looked at.
        """
        return digest_of(sorted(one.stamps() for one in self._sets))

    def stays(self) -> pl.DataFrame:
        """Return every record (`sources.RAW_STAYS`), having read and checked all files.

        Sex, unit and age are null where the record does not tell them. Lengths of stay are the least that a
        record can have: 48 hours.

        Raises:
            UserError: a file is missing, damaged or not of the Challenge's form, records and outcomes do not
                belong together, or two sets have a record in common.
        """
        self._nameless_rows = 0
        found = [(one, self._stays_of(one)) for one in self._sets]
        for (one, records), (other, more) in combinations(found, 2):
            common = more.join(records, on="stay_id", how="semi")["stay_id"].sort()
            if common.len():
                raise UserError(
                    f"{other.path}: {common.len()} of its records are in {one.path} too, the first {common[0]}.txt; "
                    "give each set once"
                )
        return pl.concat([records for _, records in found]).sort("stay_id")

    def values(
        self, table: Table, *, stay_ids: list[int], items: list[Item], window_hours: int, reach: Reach
    ) -> Iterator[pl.DataFrame]:
        """Yield the values of the parameters ``items`` (`sources.RAW_VALUES`, itemid a string), some MB at a time.

        Records hold the first 48 hours alone, the minute 48:00 included. ``reach`` "admission" therefore gives
        the values that "window" does, without its cut at ``window_hours``.

        Raises:
            UserError: as `stays`.
        """
        if table not in self.tables:
            raise ValueError(f"no table {table!r} in the Challenge 2012")
        names = pl.Series([item for item in items if item != "RecordID"], dtype=pl.String).implode()
        stays = pl.Series(stay_ids, dtype=pl.Int64).implode()
        unknown = pl.col("itemid").is_in(_MAY_BE_UNKNOWN) & (pl.col("value") == _UNKNOWN)
        wanted = pl.col("itemid").is_in(names) & pl.col("stay_id").is_in(stays) & ~unknown
        if reach == "window":
            wanted &= pl.col("minute") < 60 * window_hours
        for one in self._sets:
            for rows in _record_rows(one, {}):
                yield typed(rows.filter(wanted), {**RAW_VALUES, "itemid": pl.String})

    def _stays_of(self, one: _Set) -> pl.DataFrame:
        inside: dict[str, bytes] = {}
        parts = []
        for rows in _record_rows(one, inside):
            self._nameless_rows += int((rows["itemid"] == "").sum())
            parts.append(_descriptors(one, rows))
        if not parts:
            raise UserError(f"{one.path}: no record files such as 132539.txt in it; give {_FORM}")
        where, content = one.outcomes(inside)
        return _labelled(one, pl.concat(parts), where, _labels(where, content))


class _Set:
    """A folder or an archive, and the outcomes file in or beside it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        name = path.name.lower()
        with _explained(str(path)):
            self.is_folder = path.is_dir()
            if not path.exists():
                raise UserError(f"source challenge2012:{path}: no such file or folder; give {_FORM}")
        if not self.is_folder and not name.endswith((".tar.gz", ".tgz", ".zip")):
            raise UserError(f"source challenge2012:{path}: neither folder nor archive; give {_FORM}")
        self._is_zip = name.endswith(".zip")

    def place(self, stay_id: object) -> str:
        """Return where the record file of a stay is, for a message."""
        return self._place(f"{stay_id}.txt")

    def _place(self, name: str) -> str:
        return str(self.path / name) if self.is_folder else f"{self.path}: {name}"

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Yield name and content of the record and outcomes files in it, wherever in an archive they lie."""
        with _explained(str(self.path)):
            if self.is_folder:
                yield from self._files_of_folder()
            elif self._is_zip:
                yield from self._files_of_zip()
            else:
                yield from self._files_of_tar()

    def _files_of_folder(self) -> Iterator[tuple[str, bytes]]:
        for file in _wanted_files(self.path):
            with _explained(str(file)):
                status = file.stat()
                if not stat.S_ISREG(status.st_mode):
                    raise UserError(f"{file}: not a file, though it has the name of one; remove it")
                _check_size(status.st_size, str(file))
                content = file.read_bytes()
            yield file.name, content

    def _files_of_zip(self) -> Iterator[tuple[str, bytes]]:
        with zipfile.ZipFile(self.path) as archive:
            for member in archive.infolist():
                name = member.filename.rpartition("/")[2]
                if not _is_wanted(name):
                    continue
                with _explained(self._place(name)):
                    _check_size(member.file_size, self._place(name))
                    content = archive.read(member)
                yield name, content

    def _files_of_tar(self) -> Iterator[tuple[str, bytes]]:
        with gzip.open(self.path) as stream, tarfile.open(fileobj=stream, mode="r:") as archive:
            for member in archive:
                name = member.name.rpartition("/")[2]
                if not (_is_wanted(name) and member.isreg()):
                    continue
                with _explained(self._place(name)):
                    _check_size(member.size, self._place(name))
                    content = archive.extractfile(member).read()  # type: ignore[union-attr]  # a regular file has one
                yield name, content
            while stream.read(1 << 20):  # the checksum is at the very end, past what tarfile reads
                pass

    def outcomes(self, inside: dict[str, bytes]) -> tuple[str, bytes]:
        """Return place and content of the outcomes file, of which those ``inside`` come first.

        Raises:
            UserError: there is none, there are several, or it cannot be read.
        """
        letter, expected = self._expected_outcomes()
        found = [(self._place(name), content) for name, content in inside.items() if expected.fullmatch(name)]
        for file in () if found else self._outcomes_beside():
            with _explained(str(file)):
                _check_size(file.stat().st_size, str(file))
                found.append((str(file), file.read_bytes()))
        if not found:
            raise UserError(f"{self.path}: no Outcomes-{letter or '*'}.txt in it or beside it; put it there")
        if len(found) > 1:
            listed = " and ".join(place for place, _ in found)
            raise UserError(f"{self.path}: which are its outcomes, {listed}? Leave one, or name the set as in set-a")
        return found[0]

    def _expected_outcomes(self) -> tuple[str, re.Pattern[str]]:
        """Return the set's letter (or nothing) and what its outcomes file may be called."""
        letter = _LETTER.search(self._named_path().name)
        if not letter:
            return "", _OUTCOMES_FILE
        return letter[1].lower(), re.compile(rf"outcomes-{letter[1]}\.txt", re.IGNORECASE)

    def _outcomes_beside(self) -> list[Path]:
        _, expected = self._expected_outcomes()
        folder = self._named_path().parent
        with _explained(str(folder)):
            return sorted(file for file in folder.iterdir() if expected.fullmatch(file.name))

    def _named_path(self) -> Path:
        """Return the path with a name and a parent, which "." and ".." do not tell."""
        return self.path if self.path.name not in ("", "..") else self.path.resolve()

    def stamps(self) -> list[tuple[str, int, int]]:
        """Return name, size in bytes and modification time in ns of the files."""
        with _explained(str(self.path)):
            own = _wanted_files(self.path) if self.is_folder else [self.path]
            files = [*own, *self._outcomes_beside()]
            return [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]


def _is_wanted(name: str) -> bool:
    return bool(_RECORD_FILE.fullmatch(name) or _OUTCOMES_FILE.fullmatch(name))


def _wanted_files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if _is_wanted(file.name))


def _check_size(size: int, where: str) -> None:
    if size > _MAX_FILE_BYTES:
        raise UserError(f"{where}: too large for a file of the Challenge ({size:,} bytes); is it another file?")


@contextmanager
def _explained(where: str) -> Iterator[None]:
    """Turn what reading raises into a `UserError` about ``where``."""
    damaged = UserError(f"{where}: not a whole archive (truncated or damaged); download it again")
    try:
        yield
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, UnicodeError) as error:
        raise damaged from error
    except OSError as error:
        if error.errno in (None, errno.EINVAL):  # not the system's: a wrong checksum, an offset before the file
            raise damaged from error
        raise UserError(f"{where}: cannot be read ({error.strerror}); check the file and its permissions") from error
    except RuntimeError as error:  # zipfile's word for a password or an unknown compression
        raise UserError(f"{where}: the archive is encrypted or of a rare kind; pack it as a plain .zip") from error


def _record_rows(one: _Set, outcomes: dict[str, bytes]) -> Iterator[pl.DataFrame]:
    """Yield the checked rows of the record files, some MB at a time; put outcomes files on the way into ``outcomes``.

    Columns: stay_id, line (in the file, from 1), minute, itemid (the parameter's name, or empty), value. Where
    the name is empty, minute and value may be null. Rows of a parameter without a value are left out.
    """
    batch: dict[int, bytes] = {}
    seen: set[int] = set()
    size = 0
    for name, content in one.files():
        record = _RECORD_FILE.fullmatch(name)
        stay_id = int(record[1]) if record else None
        if stay_id in seen or name in outcomes:
            raise UserError(f"{one.path}: {name} is in it twice; remove one")
        if stay_id is None:
            outcomes[name] = content
            continue
        seen.add(stay_id)
        batch[stay_id] = content
        size += len(content)
        if size > _BATCH_BYTES:
            yield _parsed(one, batch)
            batch, size = {}, 0
    if batch:
        yield _parsed(one, batch)


def _parsed(one: _Set, batch: dict[int, bytes]) -> pl.DataFrame:
    """Parse record files, by stay, in one go: their lines one below the other, then split into columns."""
    texts = [content if content.endswith(b"\n") else content + b"\n" for content in batch.values()]
    counts = [text.count(b"\n") for text in texts]
    starts = np.repeat(np.cumsum([0, *counts[:-1]]), counts)
    lines = pl.DataFrame(
        {
            "stay_id": np.repeat(np.array(list(batch), dtype=np.int64), counts),
            "line": np.arange(1, len(starts) + 1) - starts,
            "text": _lines(b"".join(texts)).head(len(starts)),
        }
    ).filter((pl.col("line") == 1) | (pl.col("text") != ""))
    time, number = pl.col("time"), pl.col("number")
    rows = lines.with_columns(
        pl.col("text").str.splitn(",", 3).struct.rename_fields(["time", "itemid", "number"]).alias("fields")
    ).unnest("fields")
    rows = rows.with_columns(
        minute=time.str.head(2).cast(pl.Int32, strict=False) * 60 + time.str.tail(2).cast(pl.Int32, strict=False),
        value=number.cast(pl.Float64, strict=False),
    )
    _check_rows(one, rows)
    missing = (pl.col("itemid") != "") & (number == "")
    rows = rows.filter((pl.col("line") > 1) & ~missing).select("stay_id", "line", "minute", "itemid", "value")
    _check_record_ids(one, rows, set(batch))
    return rows


def _lines(content: bytes) -> pl.Series:
    """Return the lines of a text. What is no text turns into characters that no check accepts."""
    text = pl.Series("text", [content.decode("utf-8", "replace")])
    return text.str.split("\n").explode().str.strip_chars_end("\r")


def _check_rows(one: _Set, rows: pl.DataFrame) -> None:
    """Check the form of every line. A row without a parameter's name needs neither time nor number."""
    body, number = pl.col("line") > 1, pl.col("number")
    named = body & (pl.col("itemid") != "")
    problems = {
        f"not the header {_HEADER}": ~body & (pl.col("text") != _HEADER),
        "not three columns": body & (pl.col("text").str.count_matches(",", literal=True) != 2),
        "the time is not of the form HH:MM": named & ~pl.col("time").str.contains(r"^[0-9]{2}:[0-5][0-9]$"),
        "the value is not a number": named & (number != "") & ~pl.col("value").is_finite().fill_null(False),
    }
    _refuse_first(one, rows, problems)


def _check_record_ids(one: _Set, rows: pl.DataFrame, stay_ids: set[int]) -> None:
    """Check that every file says which record it is, and is called after it."""
    found = rows.filter(pl.col("itemid") == "RecordID")
    _refuse_first(one, found, {"the RecordID is not that of the file's name": pl.col("value") != pl.col("stay_id")})
    without = stay_ids.difference(found["stay_id"])
    if without:
        raise UserError(f"{one.place(min(without))}: no row with a RecordID; the file is damaged, download it again")


def _descriptors(one: _Set, rows: pl.DataFrame) -> pl.DataFrame:
    """Return stay_id, age_years, sex and unit of every record."""
    name, value = pl.col("itemid"), pl.col("value")
    told = rows.filter(name.is_in(["RecordID", "Age", "Gender", "ICUType"]))
    problems = {
        "the Gender is not -1, 0 or 1": (name == "Gender") & ~value.is_in([_UNKNOWN, *_SEXES]),
        "the ICUType is not -1 or 1 to 4": (name == "ICUType") & ~value.is_in([_UNKNOWN, *_UNITS]),
        "the Age is not -1 or 0 to 120": (name == "Age") & (value != _UNKNOWN) & ~value.is_between(0, 120),
    }
    _refuse_first(one, told, problems)
    first = {item: value.filter(name == item).first() for item in ("Age", "Gender", "ICUType")}
    return told.group_by("stay_id").agg(
        age_years=first["Age"].replace(_UNKNOWN, None),
        sex=first["Gender"].replace_strict(_SEXES, default=None, return_dtype=pl.String),
        unit=first["ICUType"].replace_strict(_UNITS, default=None, return_dtype=pl.String),
    )


def _refuse_first(one: _Set, rows: pl.DataFrame, problems: dict[str, pl.Expr]) -> None:
    """Raise for the first row that has one of the problems; the message never shows the row."""
    bad = rows.lazy().filter(pl.any_horizontal(problems.values())).head(1)
    first = bad.select("stay_id", "line", *(test.alias(problem) for problem, test in problems.items())).collect()
    if first.height:
        row = first.row(0, named=True)
        problem = next(name for name in problems if row[name])
        where = f"{one.place(row['stay_id'])}: line {row['line']}"
        raise UserError(f"{where}: {problem}; the file is damaged or not a record of the Challenge 2012")


def _labels(where: str, content: bytes) -> pl.DataFrame:
    """Return stay_id and label of an outcomes file; its other columns are not looked at.

    Raises:
        UserError: a column is missing, or a line is not of the form.
    """
    lines = _lines(content)
    columns = [name.strip() for name in lines[0].split(",")]
    missing = [name for name in ("RecordID", _LABEL) if name not in columns]
    if missing:
        raise UserError(f"{where}: no column {', '.join(missing)}; is it an outcomes file of the Challenge 2012?")
    cells = pl.col("text").str.split(",")
    cell = {name: cells.list.get(columns.index(name), null_on_oob=True).str.strip_chars() for name in columns}
    rows = pl.DataFrame(lines).with_row_index("line", 1).slice(1).filter(pl.col("text") != "")
    rows = rows.with_columns(
        stay_id=cell["RecordID"].cast(pl.Int64, strict=False),
        label=cell[_LABEL].replace_strict({"0": 0, "1": 1}, default=None, return_dtype=pl.Int8),
    )
    problems = {
        f"not {len(columns)} columns as in the header": cells.list.len() != len(columns),
        "the RecordID is not a whole number": pl.col("stay_id").is_null(),
        f"the {_LABEL} is not 0 or 1": pl.col("label").is_null(),
        "the RecordID has an outcome already": ~pl.col("stay_id").is_first_distinct(),
    }
    for problem, test in problems.items():
        bad = rows.filter(test)
        if bad.height:
            raise UserError(f"{where}: line {bad['line'][0]}: {problem}; the file is damaged, download it again")
    return rows.select("stay_id", "label")


def _labelled(one: _Set, records: pl.DataFrame, where: str, labels: pl.DataFrame) -> pl.DataFrame:
    """Join records and outcomes, each of which must have the other, to `sources.RAW_STAYS`."""
    without = records.join(labels, on="stay_id", how="anti")["stay_id"].sort()
    if without.len():
        raise UserError(
            f"{where}: no outcome for {without.len()} of {records.height} records, the first {without[0]}.txt; "
            f"is it the outcomes file of {one.path}?"
        )
    left = labels.height - records.height
    if left:
        raise UserError(
            f"{one.path}: no record file for {left} of {labels.height} outcomes in {where}; is the set complete, "
            "and are these its outcomes?"
        )
    stays = records.join(labels, on="stay_id").with_columns(
        subject_id=pl.col("stay_id"),
        hadm_id=pl.col("stay_id"),
        charting_system=pl.lit(Challenge2012.name),
        los_hours=_LEAST_HOURS,
        hospital_los_hours=_LEAST_HOURS,
        stay_number=1,
        charted=1,
        linked=1,
    )
    return typed(stays, RAW_STAYS)
