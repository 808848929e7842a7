"""What the JSON files inside artifacts say: small types that stages share."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

#: Who may see a data set. synthetic: it is of no patient. open: de-identified, under an open licence. unknown: to be
#: treated as if it were handed out to credentialed people alone.
Access = Literal["synthetic", "open", "unknown"]


class CohortStep(msgspec.Struct, frozen=True):
    """What is left of the cohort after a rule: ICU stays, their patients, and stays that ended in death."""

    rule: str
    description: str
    stays: int
    patients: int
    deaths: int


class ValueCount(msgspec.Struct, frozen=True):
    """How many values of a feature were read, and how many of them lay inside the accepted range."""

    read: int
    accepted: int


class ItemValues(msgspec.Struct, frozen=True):
    """The values of one item of a source, as counts.

    ``histogram`` counts the accepted values, in the feature's unit: below the physiological range, in equal
    parts of it, above it. The values that are not accepted are ``read - accepted``.
    """

    feature: str
    table: str
    item: int | str
    read: int
    accepted: int
    histogram: list[int]


class Extraction(msgspec.Struct, frozen=True):
    """``extraction.json`` of events: what was read, the cohort flow, and the values of each feature and item.

    ``sample`` is icu-stay or admission; in the latter case measurements reach beyond the window. ``left_out``
    names the features that the source cannot provide, ``notes`` say what else a reader should know of it.
    """

    window_hours: int
    sample: str
    source: str  # mimic-iii, challenge-2012 or synthetic
    cohort_flow: list[CohortStep]
    values: dict[str, ValueCount]
    items: list[ItemValues]
    left_out: list[str]
    notes: list[str] = []
    access: Access = "unknown"


class DataSource(msgspec.Struct, frozen=True):
    """``source.json`` of a dataset: the data set it was made of, as ``extraction.json`` of the events names it."""

    name: str
    access: Access


class Scaling(msgspec.Struct, frozen=True):
    """``scaling.json`` of a dataset: ``(value - mean) / std`` of each feature, in column order.

    Of method min-max, ``mean`` is the 5th percentile and ``std`` the way from there to the 95th. ``low`` and
    ``high`` are where the model's values are clipped, in its units; null where they are not. ``fill`` is what a
    cell holds for which the stay itself gives no value, in the feature's unit.
    """

    mean: list[float]
    std: list[float]
    method: str = "standard"  # or min-max
    low: list[float] | None = None
    high: list[float] | None = None
    fill: list[float] = []


class StaticColumn(msgspec.Struct, frozen=True):
    """One column of ``static.json`` of a dataset: ``(value - mean) / std`` in the tensor ``static``.

    A column of yes and no has mean 0 and standard deviation 1, which leaves 1 and 0 as they are.
    """

    name: str
    label: str
    unit: str
    mean: float
    std: float


class Architecture(msgspec.Struct, frozen=True):
    """What it takes to build a classifier before its weights are loaded; fields are those of `TrainSettings`.

    The last two are mistakes of the published reference system, to be compared with: the backward direction is read
    after its first step alone, and the output is put through a softmax before the loss takes another.
    """

    features: int
    hidden_units: int
    layers: int
    bidirectional: bool
    dropout: float
    static_columns: int = 0
    inputs: str = "masks"
    decay: bool = False
    pooling: str = "all"
    state_activation: str = "none"
    head_units: int = 0
    head_activation: str = "relu"
    input_dropout: float = 0.0
    encoding_bins: int = 0
    projection_units: int = 0
    shortcut_units: int = 0
    hours_per_step: int = 1
    members: int = 1  # networks whose logits are averaged
    backward_one_hour: bool = False
    softmax_twice: bool = False


class Calibration(msgspec.Struct, frozen=True):
    """How the probabilities of a model are mended, as fitted on validation patients (`models.calibration`).

    none: not at all. temperature and platt: the log-odds times ``slope`` (one over the temperature) plus ``shift`` (0
    of temperature). isotonic: a line through ``knots`` (probabilities before) and ``heights`` (after), level beyond
    its ends.
    """

    method: str
    slope: float = 1.0
    shift: float = 0.0
    knots: tuple[float, ...] = ()
    heights: tuple[float, ...] = ()


class ModelCard(msgspec.Struct, frozen=True):
    """``model.json`` of a model: the architecture, the features it reads, and its decision threshold.

    ``threshold`` is the probability of death, before calibration, from which a death is predicted; it was chosen on
    validation patients.
    """

    architecture: Architecture
    features: tuple[str, ...]
    threshold: float
    calibration: Calibration
    best_epochs: tuple[int, ...]  # of each network
    epochs: int  # of all networks
    settings: dict[str, Any]  # of the training, what a search had found included


class Trial(msgspec.Struct, frozen=True):
    """One finished trial of a search: its place in the order of finishing, its settings and its score."""

    number: int
    state: str  # COMPLETE or PRUNED
    value: float | None
    settings: dict[str, Any]


class Search(msgspec.Struct, frozen=True):
    """``search.json`` of hyperparameters and attack settings: the best settings and all trials.

    ``importances`` says how much each setting mattered, as shares; none where too few trials came to an end. ``events``
    is the digest of the events that the search's dataset was made of, whichever way it was split; ``threat`` the threat
    model of a search for attack settings.
    """

    objective: str
    best: dict[str, Any]
    best_value: float
    trials: list[Trial]
    importances: dict[str, float] = {}
    events: str = ""
    threat: str = ""


class AttackCard(msgspec.Struct, frozen=True):
    """``attack.json`` of examples: the settings of the attack and of the model's training, what was found included."""

    settings: dict[str, Any]
    model: dict[str, Any]


class TransferCard(msgspec.Struct, frozen=True):
    """``transfer.json``: the judging model's decision threshold, and how the attacked and the judging were trained."""

    threshold: float
    attacked: dict[str, Any]
    judging: dict[str, Any]


class Headline(msgspec.Struct, frozen=True):
    """What ``metrics.json`` of a report says first: what the run has shown, a sentence a line."""

    headline: tuple[str, ...]


class GateVerdict(msgspec.Struct, frozen=True):
    """Whether a report's gate is passed, and why not."""

    passed: bool
    reasons: tuple[str, ...]


class Verdict(msgspec.Struct, frozen=True):
    """What ``metrics.json`` of a report says of the gate."""

    gate: GateVerdict
