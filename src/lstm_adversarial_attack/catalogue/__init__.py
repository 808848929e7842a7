"""The measurements: what they are called, where they come from, and what values they can take.

The catalogue is one data file (``catalogue.yaml`` beside this module); a user's own file of the same form
takes its place. `load_catalogue` reads and checks it, `Catalogue.feature_set` picks the features of a run.
"""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import yaml

from lstm_adversarial_attack.errors import UserError

Table = Literal["chartevents", "labevents"]
Positive = Annotated[float, msgspec.Meta(gt=0)]
_NAME = re.compile(r"[a-z][a-z0-9_]*")


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
    items: tuple[int, ...]
    accepted: Limits = Limits()
    conversion: Conversion = Conversion()


class Measurement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of the catalogue; the fields are explained at the head of ``catalogue.yaml``."""

    label: str
    unit: str
    normal: float
    precision: Positive
    physiological: tuple[float, float]
    sources: tuple[Source, ...]


class FeatureSetEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A named, ordered choice of measurements; ``only_items`` narrows the items of some."""

    label: str
    features: tuple[str, ...]
    only_items: dict[str, tuple[int, ...]] = {}


class Feature(msgspec.Struct, frozen=True):
    """A measurement as a column of the model's input: its name and its entry."""

    name: str
    measurement: Measurement


class FeatureSet(msgspec.Struct, frozen=True):
    """The features of a run, in column order."""

    name: str
    features: tuple[Feature, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Feature names in column order."""
        return tuple(feature.name for feature in self.features)


class Catalogue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    schema_version: Literal[1]
    measurements: dict[str, Measurement]
    feature_sets: dict[str, FeatureSetEntry]

    def feature_set(self, name: str) -> FeatureSet:
        """Return the feature set called ``name``, its measurements narrowed to the items it reads.

        Raises:
            UserError: no such set; the message lists those there are.
        """
        if name not in self.feature_sets:
            known = ", ".join(sorted(self.feature_sets))
            raise UserError(f"feature set {name!r} is not in the catalogue; it has: {known}")
        entry = self.feature_sets[name]
        return FeatureSet(name, tuple(Feature(f, self._narrowed(entry, f)) for f in entry.features))

    def _narrowed(self, entry: FeatureSetEntry, feature: str) -> Measurement:
        measurement = self.measurements[feature]
        if feature not in entry.only_items:
            return measurement
        wanted = set(entry.only_items[feature])
        sources = (
            msgspec.structs.replace(source, items=tuple(i for i in source.items if i in wanted))
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
    except yaml.YAMLError as error:
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
    for name, entry in catalogue.feature_sets.items():
        yield from _feature_set_problems(name, entry, catalogue)


def _measurement_problems(name: str, measurement: Measurement) -> Any:
    if not _NAME.fullmatch(name):
        yield f"measurement {name!r}: a name is lower-case letters, digits and underscores"
    low, high = measurement.physiological
    if not low < high:
        yield f"measurement {name!r}: physiological range [{low}, {high}] is empty"
    if not low <= measurement.normal <= high:
        yield f"measurement {name!r}: normal value {measurement.normal} lies outside [{low}, {high}]"
    if measurement.precision > high - low:
        yield f"measurement {name!r}: precision {measurement.precision} exceeds the range [{low}, {high}]"
    seen: set[tuple[str, int]] = set()
    for source in measurement.sources:
        if not source.items:
            yield f"measurement {name!r}: a source without items"
        for item in source.items:
            if (source.table, item) in seen:
                yield f"measurement {name!r}: item {item} of {source.table} is named twice"
            seen.add((source.table, item))
    if not seen:
        yield f"measurement {name!r}: no sources"


def _feature_set_problems(name: str, entry: FeatureSetEntry, catalogue: Catalogue) -> Any:
    if not entry.features:
        yield f"feature set {name!r}: no features"
    if len(set(entry.features)) < len(entry.features):
        yield f"feature set {name!r}: a feature is named twice"
    for feature in entry.features:
        if feature not in catalogue.measurements:
            yield f"feature set {name!r}: {feature!r} is not among the measurements"
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
    used: dict[tuple[str, int], str] = {}
    for feature in (f for f in entry.features if f in catalogue.measurements):
        for source in catalogue.measurements[feature].sources:
            for item in source.items:
                other = used.setdefault((source.table, item), feature)
                if other != feature:
                    yield f"feature set {name!r}: item {item} records both {other!r} and {feature!r}"
