"""The data card: one HTML page that says what a dataset is made of, so that it can be judged before it is used.

The page holds everything it shows, runs no script and loads nothing. It depends on the dataset alone, not on the
time or the version of the package, because it is part of the dataset's artifact and so of its digest.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from itertools import pairwise
from pathlib import Path

import jinja2
import numpy as np
import polars as pl
from markupsafe import Markup

from lstm_adversarial_attack.artifacts.contents import CohortStep, Extraction, Scaling
from lstm_adversarial_attack.catalogue import Feature, FeatureSet
from lstm_adversarial_attack.preprocess import card_missing, card_splits, card_values
from lstm_adversarial_attack.preprocess.card_cells import CellSummary
from lstm_adversarial_attack.preprocess.card_missing import HeatMap, heat_map
from lstm_adversarial_attack.preprocess.card_outcomes import Outcomes, outcomes
from lstm_adversarial_attack.preprocess.card_shown import (
    FEW,
    accepted_range,
    charted_decimals,
    counted,
    few,
    few_of,
    few_percent,
    is_few,
    number,
    percent,
    plain,
    unit,
)
from lstm_adversarial_attack.preprocess.card_splits import Group, shared_patients, split_groups
from lstm_adversarial_attack.preprocess.card_values import FeatureValues, feature_values
from lstm_adversarial_attack.preprocess.hourly import Mask
from lstm_adversarial_attack.preprocess.static import StaticData
from lstm_adversarial_attack.settings import PreprocessSettings

#: A feature that a smaller share of the samples has at all is pointed out.
MEASURED_SHARE = 0.1

_SOURCES = {
    "mimic-iii": "MIMIC-III",
    "challenge-2012": "PhysioNet/CinC Challenge 2012",
    "synthetic": "synthetic cohort in the form of MIMIC-III",
}
_SAMPLES = {"icu-stay": "ICU stay", "admission": "hospital admission"}


@dataclass(frozen=True)
class CardInputs:
    """What the card is made of.

    Attributes:
        samples: `frames.SAMPLES`.
        features: the feature set, as far as the source can provide it.
        extraction: of the events.
        cohort_flow: of the dataset.
        settings: of the preprocessing.
        scaling: of the features.
        static: the static data.
        cells: of all samples, in their order.
        events_digest: the digest of the events artifact.
    """

    samples: pl.DataFrame
    features: FeatureSet
    extraction: Extraction
    cohort_flow: list[CohortStep]
    settings: PreprocessSettings
    scaling: Scaling
    static: StaticData
    cells: CellSummary
    events_digest: str


@dataclass(frozen=True)
class Scale:
    """How a feature is scaled, in its unit: from ``low`` to ``high``, which are one SD each side of the mean.

    Of min-max scaling they are the percentiles that become 0 and 1, and there is no ``middle``.
    """

    low: float
    middle: float | None
    high: float
    spread: float
    of_catalogue: bool  # too few values were measured, so it says nothing of them


@dataclass(frozen=True)
class FeatureCard:
    """All about one feature's values; of static measurements ``outcomes`` is None.

    ``known`` is the number of samples with any value among those that the statistics come from.
    """

    values: FeatureValues
    known: int
    scale: Scale
    fill: float | None
    outcomes: Outcomes | None
    is_static: bool

    @property
    def feature(self) -> Feature:
        """The feature."""
        return self.values.feature

    @property
    def is_rare(self) -> bool:
        """Whether the statistics come from so few samples that they could tell of a single one."""
        return self.known < FEW


@dataclass(frozen=True)
class Drop:
    """What a rule of the cohort left out."""

    stays: int
    patients: int
    deaths: int


@dataclass(frozen=True)
class Finding:
    """Something a reader should look at: the section, and a sentence."""

    section: str
    text: str


def write_card(path: Path, inputs: CardInputs) -> None:
    """Write the page to ``path``."""
    path.write_bytes(card_html(inputs).encode())


def card_html(inputs: CardInputs) -> str:
    """Return the page. The same inputs give the same text."""
    cards = feature_cards(inputs)
    groups = split_groups(inputs.samples)
    heat = heat_map(inputs.features.features, inputs.cells, len(inputs.samples))
    return (
        _environment()
        .get_template("card.html.j2")
        .render(
            inputs=inputs,
            source=_SOURCES.get(inputs.extraction.source, inputs.extraction.source),
            sample=_SAMPLES.get(inputs.extraction.sample, inputs.extraction.sample),
            patients=inputs.samples["subject_id"].n_unique(),
            deaths=int(inputs.samples["label"].sum()),
            warnings=warnings(inputs),
            findings=findings(inputs, cards, groups, heat),
            drops=drops(inputs.cohort_flow),
            groups=groups,
            heat=heat,
            cards=cards,
            known=(inputs.static.observed.sum(axis=0)).tolist(),
            rules=card_values,
            split_rules=card_splits,
            classes=card_missing.CLASSES,
            few_below=FEW,
            style=Markup(resources.files(__package__).joinpath("card.css").read_text(encoding="utf-8")),
        )
    )


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("lstm_adversarial_attack.preprocess", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for shown in (counted, few, few_of, few_percent, is_few, number, percent, plain, unit, accepted_range):
        environment.filters[shown.__name__] = shown
    environment.filters |= {"decimals": charted_decimals, "bars": card_values.bars, "across": _across}
    return environment


def _across(value: float, feature: Feature) -> str:
    """Return where a value lies in a histogram, in its own units: 0 and 300 are the ends of the range."""
    low, high = feature.measurement.physiological
    return f"{300 * min(max((value - low) / (high - low), 0), 1):.1f}".removesuffix(".0")


def warnings(inputs: CardInputs) -> list[str]:
    """Return why results on this dataset would not be honest, a sentence each."""
    settings, admission = inputs.settings, inputs.extraction.sample == "admission"
    found = []
    if settings.imputation == "interpolate":
        reach = "what was measured later" + (", also after the window" if admission else "")
        found.append(f"Gaps are filled by interpolation, which looks into the future: at {reach}.")
    if admission:
        found.append(
            "A sample is a hospital admission, and whether it is one of the cohort depends on values from after the "
            "window; values from before and after it were read."
        )
    if settings.statistics == "all":
        found.append("The statistics of scaling and imputation come from all patients, those of the test included.")
    shared = shared_patients(inputs.samples)
    if shared:
        verb = "stands" if shared == 1 else "stand"
        found.append(f"{counted(shared, 'patient')} {verb} in more than one split, so the test is not held out.")
    return found


def findings(inputs: CardInputs, cards: list[FeatureCard], groups: list[Group], heat: HeatMap) -> list[Finding]:
    """Return what was flagged, section by section."""
    unlike = [f"{group.label}: {row.label}" for group in groups for row in group.rows if row.mark == "large"]
    rare = [row.feature.measurement.label for row in heat.rows if row.measured < MEASURED_SHARE * len(inputs.samples)]
    outside = [(card.feature.measurement.label, card.values.all) for card in cards if card.values.all.strays]
    shares = [f"{label} ({percent(values.outside / values.total)})" for label, values in outside]
    flagged = sum(len(card.values.flagged) for card in cards)
    items = counted(sum(len(card.values.items) for card in cards), "item")
    left_out = counted(len(inputs.extraction.left_out), "feature")
    found = (
        ("splits", unlike, f"The splits differ by more than chance in {', '.join(unlike)}."),
        ("missing", rare, f"Hardly measured, in fewer than 10 % of the samples: {', '.join(rare)}."),
        ("values", outside, f"More than 1 % of the values outside the physiological range: {', '.join(shares)}."),
        ("units", flagged, f"{flagged} of {items} flagged in the check of units."),
        ("left-out", inputs.extraction.left_out, f"{left_out} of the feature set not recorded by the source."),
    )
    return [Finding(section, text) for section, any_found, text in found if any_found]


def drops(flow: list[CohortStep]) -> list[Drop]:
    """Return what each rule but the first left out."""
    return [
        Drop(before.stays - after.stays, before.patients - after.patients, before.deaths - after.deaths)
        for before, after in pairwise(flow)
    ]


def feature_cards(inputs: CardInputs) -> list[FeatureCard]:
    """Return a card for everything that was recorded, static measurements last."""
    values = feature_values(inputs.features, inputs.extraction)
    width = len(inputs.features.features)
    counted_in = _in_statistics(inputs)
    known = (inputs.cells.counts()[counted_in] > 0).sum(axis=0).tolist()
    of_outcomes = outcomes(inputs.samples, inputs.cells, inputs.scaling)
    scaling, cards = inputs.scaling, []
    for index, each in enumerate(values[:width]):
        scale = _scale(each.feature, scaling.mean[index], scaling.std[index], scaling.method)
        fill = scaling.fill[index] if scaling.fill else None
        cards.append(FeatureCard(each, known[index], scale, fill, of_outcomes[index], is_static=False))
    names = [column.name for column in inputs.static.columns]
    for each in values[width:]:
        index = names.index(each.feature.name)
        column, observed = inputs.static.columns[index], inputs.static.observed[counted_in, index]
        scale = _scale(each.feature, column.mean, column.std, "standard")
        cards.append(FeatureCard(each, int(observed.sum()), scale, column.mean, None, is_static=True))
    return cards


def _in_statistics(inputs: CardInputs) -> Mask:
    """Return which samples the statistics of scaling come from."""
    if inputs.settings.statistics == "all":
        return np.ones(len(inputs.samples), bool)
    training: Mask = (inputs.samples["split"] == "train").to_numpy()
    return training


def _scale(feature: Feature, mean: float, std: float, method: str) -> Scale:
    low, high = feature.measurement.physiological
    if method == "min-max":
        return Scale(mean, None, mean + std, std, of_catalogue=(mean, std) == (low, high - low))
    of_catalogue = (mean, std) == (feature.measurement.normal, (high - low) / 6)
    return Scale(mean - std, mean, mean + std, std, of_catalogue)
