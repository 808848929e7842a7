"""The settings of each stage: one frozen dataclass a stage, every field with its unit and range.

The same names and defaults appear on the command line, in a settings file and in a manifest. Settings say
what is computed and enter the artifact's digest; `Execution` says how, and does not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from typing import Annotated, Any, Literal, TypeVar, get_args, get_type_hints

import msgspec
from msgspec import Meta

from lstm_adversarial_attack.errors import UserError

Natural = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Count = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Positive = Annotated[float, Meta(gt=0, le=1e6)]
Share = Annotated[float, Meta(gt=0, lt=1)]


@dataclass(frozen=True, kw_only=True)
class Execution:
    """How a stage is carried out; the results do not depend on it but for the device's arithmetic."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where tensors live. auto takes a GPU where there is one; cuda without a GPU is an error."""

    threads: Count = 1
    """Threads of one tensor operation on the CPU. More may change the last bits of the results."""

    precision: Literal["auto", "float32", "mixed"] = "auto"
    """Arithmetic of training. mixed: bfloat16 where that is safe, weights in float32; auto does so on a GPU."""

    checkpoints: str = ""
    """Where a copy of unfinished work is kept, so that a killed run can go on elsewhere: the last epoch of train, the
    finished chunks of attack, the journal of tune and attack-tune. A folder, or s3://BUCKET/PREFIX with endpoint and
    credentials from AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. Without it, unfinished work is kept
    beside the output alone."""


@dataclass(frozen=True, kw_only=True)
class TuneExecution(Execution):
    """How a search, for hyperparameters or for the attack's settings, is carried out beside that."""

    storage: str = ""
    """Where the study is kept that workers share: postgresql://USER@HOST:PORT/DATABASE, with ?schema=NAME for Optuna's
    tables. The password comes from PGPASSWORD or a password file. Without it, a journal file beside the artifact."""

    workers: Annotated[int, Meta(ge=1, le=1000)] = 1
    """Processes on this machine that take trials of the search at once, with as many --threads each. With several,
    or with --storage, which trials are drawn depends on who is faster."""


@dataclass(frozen=True, kw_only=True)
class CrossValidateExecution(Execution):
    """How cross-validation is carried out beside that."""

    workers: Annotated[int, Meta(ge=1, le=1000)] = 1
    """Processes that fit at once, with as many --threads each. The results do not depend on it."""


@dataclass(frozen=True, kw_only=True)
class ExtractSettings:
    """Which stays and which measurements are read."""

    features: str = "icu-19"
    """Feature set of the catalogue: icu-19, icu-extended, reference-19, or one of your own catalogue file."""

    catalogue: str = ""
    """Path of a YAML file that takes the place of the built-in catalogue of measurements."""

    sample: Literal["icu-stay", "admission"] = "icu-stay"
    """What a sample is. icu-stay: an ICU stay that lasted the whole window, with the values charted in it.
    admission: a hospital admission of a day or more, from its first ICU stay on, with all its values, those from
    before and after the window included, as the published reference system does."""

    min_age_years: Natural = 18
    """Cohort rule: least age in whole years at ICU admission."""

    window_hours: Annotated[int, Meta(ge=1, le=240)] = 48
    """Hours from ICU admission that a model sees. Only stays at least this long are kept (cohort rule); of
    admissions, those with values over all these hours."""

    min_measurements: Natural = 1
    """Cohort rule: least number of accepted values inside the window, or in the admission where that is the sample."""


@dataclass(frozen=True, kw_only=True)
class PreprocessSettings:
    """How events become tensors, and how patients are split."""

    imputation: Literal["forward-fill", "interpolate"] = "forward-fill"
    """What cells without a value hold. forward-fill: the last hour's value, and before the first value the
    catalogue's normal value. interpolate: the straight line between the values before and after, which looks into
    the future, and the median of all samples where a feature was never measured. Volumes, which add up over an hour,
    are 0 in hours without one."""

    scaling: Literal["standard", "min-max"] = "standard"
    """standard: subtract the mean and divide by the standard deviation of the measured cells. min-max: clip to
    their 5th and 95th percentile and map these to 0 and 1."""

    statistics: Literal["train", "all"] = "train"
    """Patients whose cells give the statistics of scaling and imputation. all includes test patients, and so is no
    honest choice; protocol reference makes it."""

    split_file: str = ""
    """CSV file with a published split: columns stay_id, hadm_id or subject_id, and split (train, validation or
    test). It takes the place of the shares and the seed; samples that it does not name are left out."""

    validation_share: Share = 0.15
    """Share of patients in the validation split."""

    test_share: Share = 0.15
    """Share of patients in the test split."""

    seed: Natural = 0
    """Seed of the split. A patient's split depends on it and on the patient alone."""


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """The classifier and its training."""

    inputs: Literal["values", "masks", "time-since", "summaries"] = "summaries"
    """What the LSTM reads of each hour; each choice adds to those before it. values: the standardised values. masks:
    whether each was measured in its hour. time-since: how long ago it was last measured. summaries: its mean, least and
    greatest value, spread, trend, recent mean and number of measurements so far."""

    encoding_bins: Annotated[int, Meta(ge=0, le=64)] = 8
    """Bins of a piecewise linear encoding of each number that the shortcut reads, between quantiles of training
    patients (Gorishniy et al., NeurIPS 2022); 0 leaves the numbers as they are."""

    projection_units: Annotated[int, Meta(ge=0, le=4096)] = 48
    """Units of a linear layer between the inputs and the LSTM; 0 goes without."""

    shortcut_units: Annotated[int, Meta(ge=0, le=4096)] = 64
    """Units of a layer that leads from the inputs of the last hour, and static data, past the LSTM to the logits; 0
    goes without."""

    hours_per_step: Annotated[int, Meta(ge=1, le=240)] = 4
    """Hours between two steps of the LSTM, the last of which is the last hour. Running figures hold what is in
    between; with other inputs than summaries, hours that are no step are not read."""

    decay: bool = False
    """Let a value that was carried forward decay to the mean of training patients, at a rate learned for each feature
    (Che et al., Scientific Reports 2018)."""

    static: bool = True
    """Read static data, such as age and unit type, where the feature set has them."""

    hidden_units: Annotated[int, Meta(ge=1, le=4096)] = 32
    """Units of the LSTM in each direction."""

    layers: Annotated[int, Meta(ge=1, le=8)] = 1
    """Stacked LSTM layers."""

    bidirectional: bool = True
    """Read the hours in both directions."""

    pooling: Literal["last", "mean", "max", "attention", "all"] = "all"
    """What the output layer sees of the hours: the last state of each direction, the mean or the maximum over the
    hours, a mean with learned weights, or all of the first three."""

    state_activation: Literal["none", "relu", "tanh"] = "none"
    """What is applied to the pooled states."""

    head_units: Annotated[int, Meta(ge=0, le=4096)] = 0
    """Units of a layer between the pooled states and the two logits; 0 goes without."""

    head_activation: Literal["relu", "tanh"] = "relu"
    """What is applied to that layer."""

    dropout: Annotated[float, Meta(ge=0, lt=1)] = 0.5
    """Share of units dropped before the output layer and between LSTM layers."""

    input_dropout: Annotated[float, Meta(ge=0, lt=1)] = 0.2
    """Share of the LSTM's inputs dropped, each for all hours of a sample."""

    optimizer: Literal["adamw", "adam", "rmsprop", "sgd"] = "adamw"
    """What makes a step of a gradient. sgd has momentum 0.9."""

    lr: Positive = 2e-3
    """Peak learning rate, a step."""

    schedule: Literal["one-cycle", "cosine", "constant"] = "one-cycle"
    """Learning rate over the steps of max_epochs. one-cycle: up to the peak and down again. cosine: from the peak down
    to a twentieth."""

    weight_decay: Annotated[float, Meta(ge=0)] = 1e-2
    """Weight decay, a step; of adamw relative to the learning rate."""

    weight_averaging: Annotated[float, Meta(ge=0, lt=1)] = 0.99
    """Share of the running mean of the weights that a step keeps; the mean is what is judged and kept. 0 goes
    without."""

    class_weight: Positive = 1.0
    """Weight of a death in the loss, where a survivor's is 1. Probabilities are mended by calibration."""

    distillation: Annotated[float, Meta(ge=0, le=1)] = 0.0
    """Weight of a second target beside the labels: what gradient boosting, extra trees and logistic regression predict
    of the training samples. Each sample is predicted by fits on other patients."""

    batch_size: Count = 128
    """Samples a step."""

    max_epochs: Count = 30
    """Most passes over the training split."""

    patience: Count = 10
    """Epochs without a better validation AUPRC after which training stops."""

    gradient_clip: Positive = 1.0
    """Largest norm of the gradient of a step; longer ones are shortened to it."""

    ensemble: Annotated[int, Meta(ge=1, le=100)] = 1
    """Networks trained from different seeds, whose logits are averaged."""

    calibration: Literal["platt", "temperature", "isotonic", "none"] = "platt"
    """How probabilities are mended on validation patients, for people who read them; decisions and attacks go by those
    of the model itself. temperature: log-odds are divided by one number. platt: and shifted by another, which class
    weights call for. isotonic: any rising function."""

    baselines: bool = True
    """Fit logistic regression and gradient boosting to summaries of the same samples, to compare with."""

    resamples: Count = 1000
    """Bootstrap resamples over patients for the intervals."""

    seed: Natural = 0
    """Seed of initial weights, order of samples and dropout."""


@dataclass(frozen=True, kw_only=True)
class TuneSettings:
    """The search for hyperparameters, judged on validation patients or on folds of the training split.

    The first trial is the defaults of train; what is not searched has them.
    """

    trials: Count = 6
    """Finished trials to end with."""

    max_minutes: Annotated[float, Meta(ge=0, le=1e6)] = 0.0
    """Minutes after which the search ends with fewer trials, but with one at least; 0 for any time it takes."""

    space: Literal["default", "reference"] = "default"
    """What is searched. default: the network's size, pooling and head, dropout, optimizer, learning rate, weight decay,
    class weight, distillation and batch size. reference: what the published reference system searched."""

    folds: Annotated[int, Meta(ge=0, le=100)] = 0
    """Parts of the training split, by patient, of which each is left out of a fit once and judges it; the score is
    their mean. 0 judges one fit by the validation split, which is faster."""

    max_epochs: Count = 20
    """Most passes over the training samples in one fit."""

    patience: Count = 4
    """Epochs without a better AUPRC after which a fit stops."""

    seed: Natural = 0
    """Seed of the sampler and of each trial's training."""


Threat = Literal["charted", "grid", "data-entry"]
AttackMethod = Literal["frontier", "greedy", "ista", "sigma-zero", "fmn", "reference", "random", "gradient-free"]


@dataclass(frozen=True, kw_only=True)
class AttackSettings:
    """The attack and the samples it is made on."""

    threat: Threat = "charted"
    """What may change. charted: values that were charted, all of an hour together, within the physiological range and
    in steps of the recording precision; the change flows through forward fill. grid: every cell of the model's input by
    itself, as published attacks do. data-entry: one or two single values, by slips that people make."""

    split: Literal["train", "validation", "test"] = "test"
    """Split whose correctly classified samples are attacked."""

    max_samples: Natural = 0
    """Most samples to attack (the first in the dataset's order); 0 attacks all."""

    misclassified: bool = False
    """Attack also the samples that the model gets wrong, away from what it predicts."""

    max_rate: Positive | None = None
    """Of charted: most that a measurement may come to change from one charted hour to the next, in standard deviations
    an hour, where it does not do so already."""

    pairs: Annotated[int, Meta(ge=1, le=2000)] | None = None
    """Of data-entry: all pairs are tried among so many slips of a sample, those that alone come closest; 64 if not
    given. Of 2000 there are 2 million pairs."""

    method: AttackMethod = "frontier"
    """How cells are searched; data-entry tries everything instead. frontier: the sparsest and the smallest example and
    the whole trade-off between, in one go. greedy: cells at their bounds, one by one. ista: proximal gradient.
    sigma-zero and fmn: published attacks on the number of cells (fmn --norm l1: on their sum). reference: the published
    reference system's loop. random and gradient-free: controls."""

    steps: Count = 300
    """Budget of a sample in gradient evaluations; a forward pass alone counts a third. The attack goes on after its
    first success."""

    width: Count | None = None
    """Cells tried in a round of frontier and greedy; 8 if not given."""

    descent: Share | None = None
    """Share of the budget for the first descent of frontier; 0.2 if not given."""

    lr: Positive | None = None
    """Step size of ista, sigma-zero, fmn and reference; each has a default of its own."""

    sparsity: Share | None = None
    """First weight of the L1 term of ista, as a share of the largest entry of the gradient; 0.5 if not given."""

    acceleration: Literal["none", "fista", "adam"] | None = None
    """Of ista; fista if not given."""

    sigma: Positive | None = None
    """Smoothness of the count of sigma-zero; 0.001 if not given."""

    norm: Literal["l0", "l1"] | None = None
    """What fmn makes small; l0 if not given."""

    weight: Positive | None = None
    """Weight and threshold of the reference system's norm; 1.6e-5 if not given."""

    optimizer: Literal["adam", "rmsprop", "sgd"] | None = None
    """Of reference; sgd if not given."""

    kappa: Annotated[float, Meta(ge=0)] = 0.0
    """Margin by which the logits must be turned for an example to count."""

    chunk_size: Natural = 0
    """Samples attacked at once; a finished chunk survives a kill. 0 chooses: 64 on a CPU, 8192 on a GPU, halved until
    they fit into half of the memory that is free."""

    shard: str = ""
    """Which part of the samples, as in 2/4: every fourth chunk from the second on, so that several machines or GPUs
    share the work; `lstm-aa merge-examples` joins the parts. Without it, all samples."""

    seed: Natural = 0
    """Seed of the methods that draw by lot."""


@dataclass(frozen=True, kw_only=True)
class AttackTuneSettings:
    """The search for the attack's settings, judged on validation patients.

    What is searched depends on the method; what is not searched has the defaults of attack.
    """

    threat: Literal["charted", "grid"] = "charted"
    """What may change, as in attack; slips of data-entry have nothing to search."""

    method: AttackMethod = "frontier"
    """Method whose settings are searched; all but the controls have some."""

    trials: Count = 6
    """Finished trials to end with."""

    steps: Count = 100
    """Gradient steps a sample in one trial."""

    max_samples: Natural = 128
    """Most validation samples to attack in one trial; 0 attacks all."""

    objective: Literal["area", "sparsity", "sparse_small", "sparse_small_max", "max_num_nonzero"] = "area"
    """What is maximised. area: the area under success against number of changed cells, 0 to max_cells. The others are
    the published reference system's, each a sum over the samples that were turned. sparsity: of S, the share of cells
    left as they are. sparse_small: of S over the sum of the changes. sparse_small_max: of S over the largest change.
    max_num_nonzero: of 1 where max_cells or fewer cells were changed."""

    max_cells: Count = 32
    """Number of changed cells at which the area ends, and the most that max_num_nonzero counts."""

    seed: Natural = 0
    """Seed of the sampler."""


@dataclass(frozen=True, kw_only=True)
class EvaluateSettings:
    """The figures of the report."""

    resamples: Count = 1000
    """Bootstrap resamples over patients for the intervals."""

    min_auroc: Annotated[float, Meta(ge=0, le=1)] = 0.7
    """Gate: least held-out AUROC."""

    max_calibration_error: Annotated[float, Meta(ge=0, le=1)] = 0.1
    """Gate: largest expected calibration error of the calibrated probabilities, held out."""

    gate_cells: Count = 1
    """Gate: the number of changed cells that --max-turned is about."""

    max_turned: Annotated[float, Meta(ge=0, le=1)] = 1.0
    """Gate: largest share of attacked samples of either direction turned by --gate-cells cells or fewer. At 1, the
    default, nothing is asked of robustness: a published LSTM is turned by a single cell in most samples."""

    explorer: Literal["auto", "on", "off"] = "auto"
    """Whether the report shows hourly series of single patients before and after the attack. auto: of synthetic
    cohorts, of Challenge 2012 and of the MIMIC-III demo, which are open to everybody, and of no other data. on: of any
    data; keep such a report where the data may be kept."""

    explorer_samples: Annotated[int, Meta(ge=1, le=200)] = 24
    """Most samples it shows, half of each direction; fewer where the page would grow too large."""

    seed: Natural = 0
    """Seed of the bootstrap."""


#: The settings of each stage.
SETTINGS: dict[str, type] = {
    "extract": ExtractSettings,
    "preprocess": PreprocessSettings,
    "tune": TuneSettings,
    "train": TrainSettings,
    "attack-tune": AttackTuneSettings,
    "attack": AttackSettings,
    "evaluate": EvaluateSettings,
}

#: The stages that draw at random.
SEEDED = tuple(stage for stage, kind in SETTINGS.items() if any(field.name == "seed" for field in fields(kind)))

S = TypeVar("S")


def checked(settings: S, *, prefix: str = "--") -> S:
    """Return ``settings`` after a check of every field's range.

    Raises:
        UserError: a value lies outside its range; the message names the option.
    """
    try:
        converted = msgspec.convert(msgspec.to_builtins(settings), type(settings))
    except msgspec.ValidationError as error:
        name, reason = _explained(error)
        raise UserError(f"{prefix}{name.replace('_', '-')} {getattr(settings, name, '')}: {reason}") from error
    if isinstance(converted, AttackSettings):
        shard_of(converted.shard, prefix=prefix)
    return converted


def shard_of(text: str, *, prefix: str = "--") -> tuple[int, int]:
    """Return which of how many shards `AttackSettings.shard` names, from 1; the only one where it names none.

    Raises:
        UserError: it is not of the form 2/4, or names a shard that there is not.
    """
    if not text:
        return 1, 1
    match = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text, re.ASCII)
    if match is None:
        raise UserError(f"{prefix}shard {text}: not of the form 2/4, the second of four")
    number, shards = int(match[1]), int(match[2])
    if text != f"{number}/{shards}" or not 1 <= number <= shards:
        raise UserError(f"{prefix}shard {text}: with N shards they are 1/N to N/N")
    return number, shards


def with_found(given: S, found: dict[str, Any]) -> S:
    """Return settings with what a search has found, save where an option was given another value than its default.

    Raises:
        UserError: the search found something that the settings do not have, or that is out of range.
    """
    default = type(given)()
    strange = set(found) - {field.name for field in fields(given)}  # type: ignore[arg-type]
    if strange:
        raise UserError(f"the search found {', '.join(sorted(strange))}, which are no options of this stage")
    kept = {name: value for name, value in found.items() if getattr(given, name) == getattr(default, name)}
    return checked(replace(given, **kept))  # type: ignore[type-var]


def checked_section(where: str, stage: str, section: dict[str, Any]) -> dict[str, Any]:
    """Return a stage's section of a settings file after a check of names, types and ranges.

    Raises:
        UserError: an option that the stage does not have, or a value of the wrong type or out of range.
    """
    plain = {str(name).replace("-", "_"): value for name, value in section.items()}
    kinds = get_type_hints(SETTINGS[stage])
    known = set(kinds)
    for name, value in plain.items():
        if isinstance(value, bool) and "on" in get_args(kinds.get(name)):
            plain[name] = "on" if value else "off"  # YAML reads these words as yes and no
    strange = next((name for name in plain if name not in known), None)
    if strange is not None:
        raise UserError(f"{where}: {stage} has no option {strange!r}; it has {', '.join(sorted(known))}")
    try:
        msgspec.convert(plain, SETTINGS[stage])
    except msgspec.ValidationError as error:
        name, reason = _explained(error)
        raise UserError(f"{where}: {stage}: {name} {plain.get(name)!r}: {reason}") from error
    return plain


def _explained(error: msgspec.ValidationError) -> tuple[str, str]:
    """Return the field that is wrong and why, in words."""
    reason, _, place = str(error).partition(" - at `$.")
    for kind, words in {"float": "a number", "int": "a whole number", "str": "text", "bool": "yes or no"}.items():
        reason = reason.replace(f"`{kind}`", words)
    return place.rstrip("`"), reason[:1].lower() + reason[1:]


def as_manifest(settings: Any) -> dict[str, Any]:
    """Return settings as a manifest holds them: names to plain values."""
    plain: dict[str, Any] = msgspec.to_builtins(settings)
    return plain
