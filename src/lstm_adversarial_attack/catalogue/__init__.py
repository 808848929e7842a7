"""The measurements: what they are called, where they come from, and what values they can take.

The catalogue is one data file (``catalogue.yaml`` beside this module); a user's own file of the same form
takes its place. `load_catalogue` reads and checks it, `Catalogue.feature_set` picks the features of a run.
"""

from __future__ import annotations

import math
import re
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import yaml

from lstm_adversarial_attack.errors import UserError

Table = Literal["chartevents", "labevents", "outputevents", "challenge2012"]
Item = int | str
Positive = Annotated[float, msgspec.Meta(gt=0)]
_NAME = re.compile(r"[a-z][a-z0-9_]*")
#: The tables that are not of MIMIC-III; their items are names, not numbers.
_NAMED_ITEMS: tuple[Table, ...] = ("challenge2012",)
#: Static data that come with the stay itself; every other static name is a measurement.
STAY_STATIC = ("age", "sex", "unit")
#: Item ids of MIMIC-III are positive 32-bit integers.
_HIGHEST_ITEM = 2**31 - 1
#: Relative error that rounding brings into a change of unit.
_ROUNDING = 1e-9


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Limits of an accepted value, each optional: ``gt`` and ``lt`` exclusive, ``ge`` and ``le`` inclusive."""

    gt: float | None = None
    ge: float | None = None
    lt: float | None = None
    le: float | None = None


class Conversion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A change of unit: ``(value + add) * multiply``."""

    add: float = 0.0
    multiply: Positive = 1.0


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Items of one table that record a measurement in one unit."""

    table: Table
    items: tuple[Item, ...]
    accepted: Limits = Limits()
    conversion: Conversion = Conversion()

    def accepts(self, value: float) -> bool:
        """Tell whether a value in the measurement's unit lies in the accepted range, which is in the items' unit."""
        limits, own = self.accepted, value / self.conversion.multiply - self.conversion.add
        return (
            (limits.gt is None or own > limits.gt)
            and (limits.ge is None or own >= limits.ge)
            and (limits.lt is None or own < limits.lt)
            and (limits.le is None or own <= limits.le)
        )


class Measurement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of the catalogue; the fields are explained at the head of ``catalogue.yaml``."""

    label: str
    unit: str
    normal: float
    precision: Positive
    physiological: tuple[float, float]
    sources: tuple[Source, ...]
    hourly: Literal["mean", "sum"] = "mean"
    exceeds: tuple[str, ...] = ()
    mistaken: tuple[Conversion, ...] = ()
    references: tuple[str, ...] = ()

    def accepts(self, value: float) -> bool:
        """Tell whether a value in the measurement's unit lies in the accepted range of any of its sources."""
        return any(source.accepts(value) for source in self.sources)


class FeatureSetEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A named, ordered choice of measurements; ``only_items`` narrows the items of some."""

    label: str
    features: tuple[str, ...]
    static: tuple[str, ...] = ()
    only_items: dict[str, tuple[Item, ...]] = {}


class Feature(msgspec.Struct, frozen=True):
    """A measurement as a column of the model's input: its name and its entry."""

    name: str
    measurement: Measurement


class FeatureSet(msgspec.Struct, frozen=True):
    """The features of a run, in column order, and the static data beside them.

    ``static`` names `STAY_STATIC` data and measurements; the latter stand in ``static_measurements``, and a
    stay has the first value inside its window.
    """

    name: str
    features: tuple[Feature, ...]
    static: tuple[str, ...] = ()
    static_measurements: tuple[Feature, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Feature names in column order."""
        return tuple(feature.name for feature in self.features)

    @property
    def recorded(self) -> tuple[Feature, ...]:
        """Everything that is read from the source: features, then static measurements."""
        return self.features + self.static_measurements

    @property
    def recorded_names(self) -> tuple[str, ...]:
        """Names of `recorded`."""
        return tuple(feature.name for feature in self.recorded)

    def within(self, tables: tuple[Table, ...]) -> FeatureSet:
        """Return the part that ``tables`` can provide; features without a source there are left out."""
        features, measured = _within(self.features, tables), _within(self.static_measurements, tables)
        lost = {f.name for f in self.static_measurements} - {f.name for f in measured}
        return FeatureSet(self.name, features, tuple(s for s in self.static if s not in lost), measured)


def _within(features: tuple[Feature, ...], tables: tuple[Table, ...]) -> tuple[Feature, ...]:
    kept = []
    for feature in features:
        sources = tuple(source for source in feature.measurement.sources if source.table in tables)
        if sources:
            kept.append(Feature(feature.name, msgspec.structs.replace(feature.measurement, sources=sources)))
    return tuple(kept)


class Catalogue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    schema_version: Literal[1]
    measurements: dict[str, Measurement]
    feature_sets: dict[str, FeatureSetEntry]
    references: dict[str, str] = {}

    def feature_set(self, name: str) -> FeatureSet:
        """Return the feature set called ``name``, its measurements narrowed to the items it reads.

        Raises:
            UserError: no such set; the message lists those there are.
        """
        if name not in self.feature_sets:
            known = ", ".join(sorted(self.feature_sets))
            raise UserError(f"feature set {name!r} is not in the catalogue; it has: {known}")
        entry = self.feature_sets[name]
        measured = (name for name in entry.static if name not in STAY_STATIC)
        return FeatureSet(
            name,
            tuple(Feature(f, self._narrowed(entry, f)) for f in entry.features),
            entry.static,
            tuple(Feature(f, self._narrowed(entry, f)) for f in measured),
        )

    def _narrowed(self, entry: FeatureSetEntry, feature: str) -> Measurement:
        """Return a feature's entry with the items it reads, and without references, which do no work."""
        measurement = msgspec.structs.replace(self.measurements[feature], references=())
        if feature not in entry.only_items:
            return measurement
        wanted = set(entry.only_items[feature])
        kinds = {type(item) for item in wanted}  # sources of a data set of which no item is named stay as they are
        sources = (
            msgspec.structs.replace(source, items=tuple(i for i in source.items if i in wanted))
            if {type(item) for item in source.items} & kinds
            else source
            for source in measurement.sources
        )
        return msgspec.structs.replace(measurement, sources=tuple(s for s in sources if s.items))


def load_catalogue(path: str | Path | None = None) -> Catalogue:
    """Read and check a catalogue file; without a path, the one that comes with the package.

    Raises:
        UserError: the file cannot be read, is not YAML, or an entry is wrong; the message names the entry.
    """
    where = str(path) if path else "built-in catalogue"
    try:
        text = Path(path).read_text() if path else _built_in_text()
        raw = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"catalogue {where}: cannot be read ({error}); give a YAML file") from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: what looks like a date or a number and is none
        raise UserError(f"catalogue {where}: not YAML: {' '.join(str(error).split())}") from error
    catalogue = _decode(raw, where)
    problem = next(_problems(catalogue), None)
    if problem:
        raise UserError(f"catalogue {where}: {problem}")
    return catalogue


def _built_in_text() -> str:
    return resources.files(__package__).joinpath("catalogue.yaml").read_text()


def _decode(raw: Any, where: str) -> Catalogue:
    """Decode entry by entry, so that an error names the entry and not only its place."""
    for section, kind in (("measurements", Measurement), ("feature_sets", FeatureSetEntry)):
        entries = raw.get(section) if isinstance(raw, dict) else None
        if not isinstance(entries, dict):
            raise UserError(f"catalogue {where}: no section {section!r}")
        for name, entry in entries.items():
            try:
                msgspec.convert(entry, kind)
            except msgspec.ValidationError as error:
                raise UserError(f"catalogue {where}: {section}: {name!r}: {error}") from error
    try:
        return msgspec.convert(raw, Catalogue)
    except msgspec.ValidationError as error:
        raise UserError(f"catalogue {where}: {error}") from error


def _problems(catalogue: Catalogue) -> Any:
    """Yield what is wrong beyond types, one sentence each."""
    for name, measurement in catalogue.measurements.items():
        yield from _measurement_problems(name, measurement)
        for other in measurement.exceeds:
            if other not in catalogue.measurements or other == name:
                yield f"measurement {name!r}: exceeds {other!r}, which is no other measurement"
        for reference in measurement.references:
            if reference not in catalogue.references:
                yield f"measurement {name!r}: {reference!r} is not among the references"
    for name, entry in catalogue.feature_sets.items():
        yield from _feature_set_problems(name, entry, catalogue)


def _measurement_problems(name: str, measurement: Measurement) -> Any:
    if not _NAME.fullmatch(name):
        yield f"measurement {name!r}: a name is lower-case letters, digits and underscores"
    low, high = measurement.physiological
    numbers = {"normal": measurement.normal, "precision": measurement.precision, "low end": low, "high end": high}
    for what, number in numbers.items():
        if not math.isfinite(number):
            yield f"measurement {name!r}: {what} {number} is not a finite number"
    if not low < high:
        yield f"measurement {name!r}: physiological range [{low}, {high}] is empty"
    if not low <= measurement.normal <= high:
        yield f"measurement {name!r}: normal value {measurement.normal} lies outside [{low}, {high}]"
    for conversion in measurement.mistaken:
        if not (math.isfinite(conversion.add) and math.isfinite(conversion.multiply)):
            yield f"measurement {name!r}: a mistaken unit that is not made of finite numbers"
    if measurement.precision > high - low:
        yield f"measurement {name!r}: precision {measurement.precision} exceeds the range [{low}, {high}]"
    seen: set[tuple[str, Item]] = set()
    for source in measurement.sources:
        kind = str if source.table in _NAMED_ITEMS else int
        if not source.items:
            yield f"measurement {name!r}: a source without items"
        if any(type(item) is not kind for item in source.items):
            words = "names" if kind is str else "whole numbers"
            yield f"measurement {name!r}: items of {source.table} are {words}"
        for problem in _range_problems(source, measurement):
            yield f"measurement {name!r}: {source.table} {list(source.items)}: {problem}"
        for item in source.items:
            if isinstance(item, int) and not 1 <= item <= _HIGHEST_ITEM:
                yield f"measurement {name!r}: item {item} of {source.table} lies outside 1 to {_HIGHEST_ITEM}"
            if (source.table, item) in seen:
                yield f"measurement {name!r}: item {item} of {source.table} is named twice"
            seen.add((source.table, item))
    if not seen:
        yield f"measurement {name!r}: no sources"


def _range_problems(source: Source, measurement: Measurement) -> Any:
    limits, conversion = source.accepted, source.conversion
    for what, number in (msgspec.structs.asdict(limits) | msgspec.structs.asdict(conversion)).items():
        if number is not None and not math.isfinite(number):
            yield f"{what} {number} is not a finite number"
    # Of two equal limits the exclusive one counts; its mark sorts it as the narrower.
    lower = [(end, out) for end, out in ((limits.ge, 0), (limits.gt, 1)) if end is not None]
    upper = [(end, out) for end, out in ((limits.le, 0), (limits.lt, -1)) if end is not None]
    (low, low_out), (high, high_out) = max(lower, default=(-math.inf, 0)), min(upper, default=(math.inf, 0))
    if low > high or (low == high and (low_out or high_out)):
        yield "the accepted range is empty"
    lowest, highest = ((end + conversion.add) * conversion.multiply for end in (low, high))
    first, last = measurement.physiological
    if not (_below(lowest, first, or_same=not low_out) and _below(last, highest, or_same=not high_out)):
        yield (
            f"the accepted range ({lowest:g} to {highest:g} {measurement.unit}) "
            f"does not hold the physiological one, [{first}, {last}]"
        )


def _below(left: float, right: float, *, or_same: bool) -> bool:
    """Compare two numbers of which one may have been rounded in a change of unit."""
    if math.isclose(left, right, rel_tol=_ROUNDING, abs_tol=_ROUNDING):
        return or_same
    return left < right


def _feature_set_problems(name: str, entry: FeatureSetEntry, catalogue: Catalogue) -> Any:
    if not entry.features:
        yield f"feature set {name!r}: no features"
    if len(set(entry.features)) < len(entry.features):
        yield f"feature set {name!r}: a feature is named twice"
    measured = tuple(static for static in entry.static if static not in STAY_STATIC)
    for feature in (*entry.features, *measured):
        if feature not in catalogue.measurements:
            yield f"feature set {name!r}: {feature!r} is not among the measurements"
    for static in entry.static:
        if static in entry.features or entry.static.count(static) > 1:
            yield f"feature set {name!r}: {static!r} is named twice"
    for feature, items in entry.only_items.items():
        if feature not in entry.features:
            yield f"feature set {name!r}: only_items names {feature!r}, which is not one of its features"
            continue
        known = {i for source in catalogue.measurements[feature].sources for i in source.items}
        for item in items:
            if item not in known:
                yield f"feature set {name!r}: only_items: item {item} does not record {feature!r}"
        if not items:
            yield f"feature set {name!r}: only_items leaves {feature!r} without items"
    used: dict[tuple[str, Item], str] = {}
    for feature in (f for f in (*entry.features, *measured) if f in catalogue.measurements):
        for source in catalogue.measurements[feature].sources:
            for item in source.items:
                other = used.setdefault((source.table, item), feature)
                if other != feature:
                    yield f"feature set {name!r}: item {item} records both {other!r} and {feature!r}"
