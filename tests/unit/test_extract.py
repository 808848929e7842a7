"""Sorting and counting of measurements, batch by batch."""

from __future__ import annotations

import itertools
import math
import tempfile
from pathlib import Path
from unittest import mock

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstm_adversarial_attack.artifacts.contents import ItemValues
from lstm_adversarial_attack.catalogue import Conversion, Feature, Limits, Measurement, Source
from lstm_adversarial_attack.extract import spool
from lstm_adversarial_attack.extract.convert import BINS, Converted, Converter, by_feature
from lstm_adversarial_attack.extract.spool import Spool
from lstm_adversarial_attack.frames import MEASUREMENTS, with_features
from lstm_adversarial_attack.sources import RAW_VALUES

SCHEMA = with_features(MEASUREMENTS, ("b", "a"))
ROWS = st.lists(
    st.tuples(st.integers(1, 9), st.integers(-5, 5), st.sampled_from("ab"), st.sampled_from([0.5, -1.0, 2.0])),
    max_size=60,
)


def frame(rows: list[tuple[int, int, str, float]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=dict(SCHEMA), orient="row")


def converted(rows: pl.DataFrame) -> Converted:
    feature = rows["feature"].to_physical().cast(pl.Int64).to_numpy()
    return Converted(rows["stay_id"].to_numpy(), rows["minute"].to_numpy(), feature, rows["value"].to_numpy())


def rows_of(found: Converted, names: str) -> list[tuple[int, int, str, float]]:
    named = [names[index] for index in found.feature]
    columns = (found.stay_id.tolist(), found.minute.tolist(), named, found.value.tolist())
    return list(zip(*columns, strict=True))


@settings(deadline=None)
@given(rows=ROWS, cuts=st.lists(st.integers(0, 60), max_size=4), kept=st.sets(st.integers(1, 9)))
def test_spooled_rows_are_those_sorted_in_memory(
    rows: list[tuple[int, int, str, float]], cuts: list[int], kept: set[int]
) -> None:
    stays = pl.Series("stay_id", range(1, 10), dtype=pl.Int64)
    chosen = pl.Series("stay_id", sorted(kept), dtype=pl.Int64)
    edges = [0, *sorted(cuts), len(rows)]
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.object(spool, "STAYS_A_BUCKET", 2),
        Spool(Path(folder) / "spool", stays, SCHEMA) as spooled,
    ):
        for start, end in itertools.pairwise(edges):
            spooled.add(converted(frame(rows[start:end])))
        counts = {stay: values for stay, values, _, _ in spooled.counts().iter_rows()}
        written = spooled.write(Path(folder) / "sorted.parquet", chosen)
        found = pl.read_parquet(Path(folder) / "sorted.parquet")

    expected = frame([row for row in rows if row[0] in kept]).sort(list(SCHEMA))
    assert found.equals(expected)
    assert found.schema == expected.schema
    assert written == expected.height
    assert counts == {stay: n for stay in range(1, 10) if (n := sum(row[0] == stay for row in rows))}


def test_bytes_do_not_depend_on_how_rows_came(tmp_path: Path) -> None:
    rows = frame([(stay, minute, "ab"[minute % 2], 0.25 * minute) for stay in range(1, 50) for minute in range(200)])
    stays = rows["stay_id"].unique()
    written = []
    for number in range(3):
        target = tmp_path / f"{number}.parquet"
        mixed = rows.sample(fraction=1, shuffle=True, seed=number)
        with (
            mock.patch.object(spool, "STAYS_A_BUCKET", 7 + number),
            Spool(tmp_path / "spool", stays, SCHEMA) as spooled,
        ):
            for part in mixed.iter_slices(997):
                spooled.add(converted(part))
            spooled.write(target, stays)
        written.append(target.read_bytes())
    assert written[0] == written[1] == written[2]


def test_the_spool_leaves_nothing_behind(tmp_path: Path) -> None:
    stays = pl.Series("stay_id", [1], dtype=pl.Int64)

    def fail() -> None:
        with Spool(tmp_path / "spool", stays, SCHEMA) as spooled:
            spooled.add(converted(frame([(1, 0, "a", 0.5)])))
            spooled.counts()
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert list(tmp_path.iterdir()) == []


def feature(name: str, *items: int) -> Feature:
    sources = (Source("labevents", items, Limits(lt=50), Conversion(multiply=0.5)),)
    return Feature(name, Measurement(name, "1", 5.0, 1.0, (0.0, 10.0), sources))


def raw(rows: list[tuple[int, float]]) -> pl.DataFrame:
    return pl.DataFrame([(1, 0, item, value) for item, value in rows], schema=dict(RAW_VALUES), orient="row")


def test_tally_by_item() -> None:
    """Values are halved on the way; below 50 (before that) they are accepted."""
    converter = Converter("labevents", (feature("a", 1, 2), feature("b", 3)))
    converter.convert(raw([(1, -0.1), (1, 0.0), (1, 20.0), (2, 20.1), (9, 1.0)]))
    converter.convert(raw([(1, 0.0), (1, 50.0), (1, float("nan"))]))

    def parts(**counts: int) -> list[int]:
        return [counts.get("below", 0), counts.get("first", 0), *[0] * (BINS - 2), counts.get("last", 0),
                counts.get("above", 0)]  # fmt: skip

    items = converter.tally()
    assert items == [
        ItemValues("a", "labevents", 1, 6, 4, parts(below=1, first=2, last=1)),
        ItemValues("a", "labevents", 2, 1, 1, parts(above=1)),
        ItemValues("b", "labevents", 3, 0, 0, parts()),
    ]
    assert converter.read == 7
    values = by_feature(items, ["b", "a"])
    assert {name: (count.read, count.accepted) for name, count in values.items()} == {"b": (0, 0), "a": (7, 5)}


def test_items_with_names() -> None:
    source = Source("challenge2012", ("HR", "MAP"))
    converter = Converter("challenge2012", (Feature("a", Measurement("A", "1", 5.0, 1.0, (0.0, 10.0), (source,))),))
    rows = pl.DataFrame({"stay_id": [1, 1], "minute": [0, 1], "itemid": ["MAP", "K"], "value": [7.0, 8.0]})

    assert rows_of(converter.convert(rows), "a") == [(1, 0, "a", 7.0)]
    assert [(item.item, item.accepted) for item in converter.tally()] == [("HR", 0), ("MAP", 1)]


# --- conversion and acceptance ----------------------------------------------------------------------------------

_finite = st.floats(-1e6, 1e6)
_bound = st.none() | st.sampled_from([-5.0, 0.0, 0.1, 10.0]) | _finite
_limits = st.builds(Limits, gt=_bound, ge=_bound, lt=_bound, le=_bound)
_conversions = st.builds(Conversion, add=_finite, multiply=st.floats(1e-3, 1e3))


@st.composite
def _wanted(draw: st.DrawFn) -> list[tuple[str, Source]]:
    """Features with sources; no item occurs twice."""
    items = draw(st.lists(st.integers(1, 30), unique=True, max_size=12))
    wanted = []
    while items:
        count = draw(st.integers(1, len(items)))
        taken, items = items[:count], items[count:]
        source = Source("labevents", tuple(taken), draw(_limits), draw(_conversions))
        wanted.append((draw(st.sampled_from(["a", "b", "c"])), source))
    return wanted


_value = st.sampled_from([-5.0, 0.0, 0.1, 10.0, math.nan, math.inf, -math.inf]) | _finite
_rows = st.lists(st.tuples(st.integers(1, 3), st.integers(0, 2879), st.integers(1, 35), _value), max_size=40)


@given(rows=_rows, wanted=_wanted())
def test_conversion_and_acceptance_equal_a_plain_loop(
    rows: list[tuple[int, int, int, float]], wanted: list[tuple[str, Source]]
) -> None:
    converter = Converter("labevents", _features(wanted))
    batch = pl.DataFrame(rows, schema=dict(RAW_VALUES), orient="row")

    found = rows_of(converter.convert(batch), "".join(sorted({name for name, _ in wanted})))

    looped = _looped(rows, wanted)
    assert sorted(found) == sorted(row[:4] for row in looped if row[4])
    assert converter.read == len(looped)
    assert sum(item.accepted for item in converter.tally()) == len(found)


@pytest.mark.parametrize(
    ("limit", "accepted"),
    [
        ("gt", [False, False, True]),
        ("ge", [False, True, True]),
        ("lt", [True, False, False]),
        ("le", [True, True, False]),
    ],
)
def test_acceptance_at_a_limit(limit: str, accepted: list[bool]) -> None:
    """The limit holds for the value in the item's unit, before the conversion."""
    source = Source("labevents", (7,), Limits(**{limit: 10.0}), Conversion(add=100.0, multiply=0.5))
    converter = Converter("labevents", _features([("a", source)]))

    values = sorted(converter.convert(raw([(7, 9.9), (7, 10.0), (7, 10.1)])).value)

    assert values == pytest.approx([v for v, kept in zip([54.95, 55.0, 55.05], accepted, strict=True) if kept])


def _features(wanted: list[tuple[str, Source]]) -> tuple[Feature, ...]:
    names = sorted({name for name, _ in wanted})
    return tuple(
        Feature(name, Measurement(name, "1", 5.0, 1.0, (0.0, 10.0), tuple(s for n, s in wanted if n == name)))
        for name in names
    )


def _looped(
    rows: list[tuple[int, int, int, float]], wanted: list[tuple[str, Source]]
) -> list[tuple[int, int, str, float, bool]]:
    found = []
    for stay, minute, item, value in rows:
        for name, source in wanted:
            if item not in source.items:
                continue
            limits = source.accepted
            accepted = (
                math.isfinite(value)
                and (limits.gt is None or value > limits.gt)
                and (limits.ge is None or value >= limits.ge)
                and (limits.lt is None or value < limits.lt)
                and (limits.le is None or value <= limits.le)
            )
            converted = (value + source.conversion.add) * source.conversion.multiply
            found.append((stay, minute, name, converted, accepted))
    return found
