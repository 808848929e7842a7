"""The catalogue: the built-in file says what it should, and a user's file is checked entry by entry."""

from __future__ import annotations

from importlib import resources
from typing import Any

import pytest
import yaml

from lstm_adversarial_attack.catalogue import load_catalogue
from lstm_adversarial_attack.errors import UserError

NAMES = [
    "potassium",
    "calcium",
    "ph",
    "pco2",
    "lactate",
    "albumin",
    "bun",
    "creatinine",
    "sodium",
    "bicarbonate",
    "platelet",
    "glucose",
    "magnesium",
    "heart_rate",
    "sysbp",
    "diasbp",
    "temperature",
    "resp_rate",
    "spo2",
]


def items(feature_set: str) -> dict[str, set[int]]:
    features = load_catalogue().feature_set(feature_set).features
    return {f.name: {i for source in f.measurement.sources for i in source.items} for f in features}


def test_both_sets_hold_the_nineteen_in_the_reference_order() -> None:
    catalogue = load_catalogue()
    assert catalogue.feature_set("icu-19").names == tuple(NAMES)
    assert catalogue.feature_set("reference-19").names == tuple(NAMES)


def test_the_sets_differ_in_three_measurements_alone() -> None:
    wide, narrow = items("icu-19"), items("reference-19")
    assert {name for name in NAMES if wide[name] != narrow[name]} == {"potassium", "sodium", "glucose"}
    assert (wide["potassium"], narrow["potassium"]) == ({50822, 50971}, {50822})
    assert (wide["sodium"], narrow["sodium"]) == ({50983, 50824}, {50983})
    assert (wide["glucose"], narrow["glucose"]) == ({50931, 50809}, {50931})


def test_fahrenheit_items_are_converted_and_limited_in_fahrenheit() -> None:
    sources = load_catalogue().measurements["temperature"].sources
    fahrenheit = next(source for source in sources if 678 in source.items)
    assert set(fahrenheit.items) == {678, 223761}
    assert (212 + fahrenheit.conversion.add) * fahrenheit.conversion.multiply == pytest.approx(100)
    assert (fahrenheit.accepted.gt, fahrenheit.accepted.lt) == (70, 120)


@pytest.fixture
def raw() -> dict[str, Any]:
    text = resources.files("lstm_adversarial_attack.catalogue").joinpath("catalogue.yaml").read_text()
    content: dict[str, Any] = yaml.safe_load(text)
    return content


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c["measurements"]["ph"].pop("unit"), "'ph'.*`unit`"),
        (lambda c: c["measurements"]["ph"].update(precision=0), "'ph'.*precision"),
        (lambda c: c["measurements"]["ph"].update(physiological=[8, 7]), "'ph'.*is empty"),
        (lambda c: c["measurements"]["ph"].update(normal=9.0), "'ph'.*outside"),
        (lambda c: c["measurements"]["ph"].update(colour="red"), "'ph'.*colour"),
        (lambda c: c["measurements"]["ph"].update(sources=[]), "'ph': no sources"),
        (lambda c: c["measurements"]["ph"]["sources"][0].update(table="drugs"), "'ph'.*drugs"),
        (lambda c: c["measurements"]["ph"]["sources"].append(c["measurements"]["ph"]["sources"][0]), "50820.*twice"),
        (lambda c: c["measurements"]["ph"]["sources"][0].update(items=[50808]), "50808.*both 'calcium' and 'ph'"),
        (lambda c: c["feature_sets"]["icu-19"]["features"].append("mood"), "'icu-19'.*'mood'"),
        (lambda c: c["feature_sets"]["icu-19"]["features"].append("ph"), "'icu-19'.*twice"),
        (lambda c: c["feature_sets"]["reference-19"]["only_items"].update(ph=[1]), "item 1 does not record 'ph'"),
        (lambda c: c.update(schema_version=2), "schema_version"),
        (lambda c: c.pop("feature_sets"), "no section 'feature_sets'"),
    ],
)
def test_a_wrong_entry_is_named(raw: dict[str, Any], tmp_path: Any, change: Any, said: str) -> None:
    change(raw)
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(raw))
    with pytest.raises(UserError, match=rf"mine\.yaml: .*{said}"):
        load_catalogue(file)


def test_an_unknown_feature_set_lists_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"'icu-20'.*icu-19, reference-19"):
        load_catalogue().feature_set("icu-20")


@pytest.mark.parametrize("content", ["a: [", "- 1", "", "3"])
def test_what_is_no_catalogue_is_refused(tmp_path: Any, content: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(content)
    with pytest.raises(UserError, match=r"mine\.yaml"):
        load_catalogue(file)


def test_a_missing_file_is_named(tmp_path: Any) -> None:
    with pytest.raises(UserError, match=r"nowhere\.yaml.*cannot be read"):
        load_catalogue(tmp_path / "nowhere.yaml")
