"""The files of a release: their columns in order, and the writer that streams them block by block."""

import gzip
import io
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, get_args

import polars as pl

TableName = Literal[
    "PATIENTS", "ADMISSIONS", "ICUSTAYS", "CHARTEVENTS", "LABEVENTS", "OUTPUTEVENTS", "D_ITEMS", "D_LABITEMS"
]
TABLE_NAMES: tuple[TableName, ...] = get_args(TableName)

COLUMNS: dict[TableName, tuple[str, ...]] = {
    "PATIENTS": ("ROW_ID", "SUBJECT_ID", "GENDER", "DOB", "DOD", "DOD_HOSP", "DOD_SSN", "EXPIRE_FLAG"),
    "ADMISSIONS": (
        "ROW_ID",
        "SUBJECT_ID",
        "HADM_ID",
        "ADMITTIME",
        "DISCHTIME",
        "DEATHTIME",
        "ADMISSION_TYPE",
        "ADMISSION_LOCATION",
        "DISCHARGE_LOCATION",
        "INSURANCE",
        "LANGUAGE",
        "RELIGION",
        "MARITAL_STATUS",
        "ETHNICITY",
        "EDREGTIME",
        "EDOUTTIME",
        "DIAGNOSIS",
        "HOSPITAL_EXPIRE_FLAG",
        "HAS_CHARTEVENTS_DATA",
    ),
    "ICUSTAYS": (
        "ROW_ID",
        "SUBJECT_ID",
        "HADM_ID",
        "ICUSTAY_ID",
        "DBSOURCE",
        "FIRST_CAREUNIT",
        "LAST_CAREUNIT",
        "FIRST_WARDID",
        "LAST_WARDID",
        "INTIME",
        "OUTTIME",
        "LOS",
    ),
    "CHARTEVENTS": (
        "ROW_ID",
        "SUBJECT_ID",
        "HADM_ID",
        "ICUSTAY_ID",
        "ITEMID",
        "CHARTTIME",
        "STORETIME",
        "CGID",
        "VALUE",
        "VALUENUM",
        "VALUEUOM",
        "WARNING",
        "ERROR",
        "RESULTSTATUS",
        "STOPPED",
    ),
    "LABEVENTS": (
        "ROW_ID",
        "SUBJECT_ID",
        "HADM_ID",
        "ITEMID",
        "CHARTTIME",
        "VALUE",
        "VALUENUM",
        "VALUEUOM",
        "FLAG",
    ),
    "OUTPUTEVENTS": (
        "ROW_ID",
        "SUBJECT_ID",
        "HADM_ID",
        "ICUSTAY_ID",
        "CHARTTIME",
        "ITEMID",
        "VALUE",
        "VALUEUOM",
        "STORETIME",
        "CGID",
        "STOPPED",
        "NEWBOTTLE",
        "ISERROR",
    ),
    "D_ITEMS": (
        "ROW_ID",
        "ITEMID",
        "LABEL",
        "ABBREVIATION",
        "DBSOURCE",
        "LINKSTO",
        "CATEGORY",
        "UNITNAME",
        "PARAM_TYPE",
        "CONCEPTID",
    ),
    "D_LABITEMS": ("ROW_ID", "ITEMID", "LABEL", "FLUID", "CATEGORY", "LOINC_CODE"),
}

TIME_FORMAT = "%Y-%m-%d %H:%M:%S"
GZIP_LEVEL = 1
PENDING_FRAMES = 8  # that wait to be written while the next are generated


class _TableStream:
    """One `<TABLE>.csv.gz` under construction, as a single gzip member without name or time in its header."""

    def __init__(self, path: Path, columns: tuple[str, ...], stack: ExitStack) -> None:
        raw = stack.enter_context(path.open("wb"))
        self._gzip = stack.enter_context(
            gzip.GzipFile(filename="", mode="wb", compresslevel=GZIP_LEVEL, fileobj=raw, mtime=0)
        )
        self._columns = columns
        self._gzip.write((",".join(columns) + "\n").encode())

    def append(self, frame: pl.DataFrame, first_row_id: int) -> None:
        numbered = frame.with_row_index("ROW_ID", offset=first_row_id).select(self._columns)
        buffer = io.BytesIO()
        numbered.write_csv(buffer, include_header=False, datetime_format=TIME_FORMAT, quote_style="necessary")
        self._gzip.write(buffer.getbuffer())


class ReleaseWriter:
    """Streams frames into the files of a release; use as a context manager.

    A frame needs the columns of its table except ROW_ID, in any order; ROW_ID counts from 1 per table. Frames are
    written by one thread in the order in which they come, a few behind, so that the next can be made meanwhile.
    """

    def __init__(self, out: Path) -> None:
        """Create the files in the existing folder `out`."""
        self._stack = ExitStack()
        with ExitStack() as opening:
            self._streams = {
                name: _TableStream(out / f"{name}.csv.gz", columns, opening) for name, columns in COLUMNS.items()
            }
            self._stack = opening.pop_all()
        self._rows = dict.fromkeys(COLUMNS, 0)
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="synthetic-tables")
        self._pending: deque[Future[None]] = deque()

    def append(self, table: TableName, frame: pl.DataFrame) -> None:
        """Append `frame` to `table`; what is wrong with it, or with the disk, is raised here or later."""
        while len(self._pending) >= PENDING_FRAMES:
            self._pending.popleft().result()
        stream, first_row_id = self._streams[table], self._rows[table] + 1
        self._pending.append(self._pool.submit(stream.append, frame, first_row_id))
        self._rows[table] += frame.height

    def rows(self, table: TableName) -> int:
        """Rows appended to `table` so far."""
        return self._rows[table]

    def __enter__(self) -> Self:
        """Return the writer."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish and close the files; after an error, without what is still to be written."""
        with self._stack:
            try:
                while kind is None and self._pending:
                    self._pending.popleft().result()
            finally:
                self._pool.shutdown(cancel_futures=True)
