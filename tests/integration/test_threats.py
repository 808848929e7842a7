"""What an attack says it changed, done to the events and sent through `preprocess` alone, turns the prediction."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from lstm_adversarial_attack.artifacts import Identity, open_artifact, write_artifact
from lstm_adversarial_attack.attack.slips import SLIPS, slips
from lstm_adversarial_attack.attack.target import Target, load_target
from lstm_adversarial_attack.attack.threats import threat_of
from lstm_adversarial_attack.catalogue import FeatureSet
from lstm_adversarial_attack.datasets import LoadedDataset, load_dataset
from lstm_adversarial_attack.evaluate.explorer import chosen_samples, explorer_of
from lstm_adversarial_attack.evaluate.inputs import EvaluationInputs
from lstm_adversarial_attack.evaluate.page import clinical_decimals
from lstm_adversarial_attack.evaluate.shown_samples import perturbed
from lstm_adversarial_attack.evaluate.stage import inputs_of
from lstm_adversarial_attack.frames import EDITS, EXAMPLE_KINDS, EXAMPLES, PERTURBATIONS, with_features
from lstm_adversarial_attack.models import Decision, load_model, predict_logits
from lstm_adversarial_attack.settings import AttackSettings, EvaluateSettings

CPU = torch.device("cpu")
TRAINING = ("--max-epochs", "20", "--patience", "20", "--distillation", "0", "--lr", "0.003")
#: Half of the demo's few patients are attacked.
SHARES = ("--seed", "2", "--test-share", "0.5", "--validation-share", "0.2")


@dataclass
class Trained:
    """A model and what it was made from."""

    events: Path
    dataset: Path
    model: Path
    shares: tuple[str, ...]

    def attack(self, out: Path, call: Callable[..., None], *options: object, steps: int = 120) -> Path:
        inputs = ("--dataset", self.dataset, "--model", self.model)
        call("attack", *inputs, "--steps", steps, "--out", out, *options)
        return out


@pytest.fixture(scope="module")
def call() -> Callable[..., None]:
    from lstm_adversarial_attack import cli

    return lambda *arguments: cli.main([str(argument) for argument in arguments])


@pytest.fixture(scope="module", params=["demo", "set-a", "synthetic"])
def trained(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, call: Callable[..., None]
) -> Trained:
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "demo":
        source, shares = f"csv:{request.getfixturevalue('demo')}", SHARES
    elif request.param == "set-a":
        source, shares = f"challenge2012:{request.getfixturevalue('challenge2012') / 'set-a.tar.gz'}", ()
    else:
        source, shares = "synthetic:600", ()
    found = Trained(folder / "events", folder / "dataset", folder / "model", shares)
    features = "icu-19" if request.param == "synthetic" else "icu-extended"
    call("extract", "--source", source, "--features", features, "--out", found.events)
    call("preprocess", "--events", found.events, "--out", found.dataset, *shares)
    call("train", "--dataset", found.dataset, "--out", found.model, *TRAINING)
    return found


def edits_of(examples: Path, features: FeatureSet) -> pl.DataFrame:
    return open_artifact(examples, "examples").frame("edits.parquet", with_features(EDITS, features.names))


def edited_events(trained: Trained, edits: pl.DataFrame, samples: pl.DataFrame, out: Path) -> Path:
    """Write the events with the charted values changed; every change must find the value that it names."""
    events = open_artifact(trained.events, "events")
    features = events.json("features.json", FeatureSet)
    rows = pl.read_parquet(events.file("measurements.parquet")).with_row_index("at")
    place = samples.with_row_index("sample").select(pl.col("sample").cast(pl.Int32), "stay_id")
    wanted = edits.join(place, on="sample").select(
        "stay_id", "minute", pl.col("feature").cast(pl.String), "value", "edited"
    )
    # Of equal values in a minute each is meant once.
    key = ["stay_id", "minute", "feature", "value"]
    number = pl.int_range(pl.len()).over(key).alias("number")
    plain = rows.with_columns(pl.col("feature").cast(pl.String)).with_columns(number)
    joined = plain.join(wanted.with_columns(number), on=[*key, "number"], how="left", maintain_order="left")
    assert joined["edited"].is_not_null().sum() == len(edits)
    changed = joined.with_columns(value=pl.coalesce("edited", "value")).select(rows.columns).drop("at")
    changed = changed.with_columns(pl.col("feature").cast(pl.Enum(features.recorded_names)))
    changed = changed.sort(changed.columns)
    settings = events.manifest.settings | {"edited": str(out)}
    identity = Identity(kind=events.manifest.kind, settings=settings, seed=None, inputs={})
    with write_artifact(out, identity, stage="extract") as draft:
        for name in events.manifest.files:
            (draft.path / name).write_bytes(events.file(name).read_bytes())
        changed.write_parquet(draft.path / "measurements.parquet")
    return out


def check_recreated(
    trained: Trained, examples: Path, tmp_path: Path, call: Callable[..., None], *, paired: bool = False
) -> None:
    """See that every example stands on its edits alone, and, if ``paired``, keeps measurements apart that belong so."""
    artifact = open_artifact(examples, "examples")
    found = artifact.frame("examples.parquet", EXAMPLES)
    clean = load_dataset(open_artifact(trained.dataset, "dataset"), CPU)
    cells = artifact.frame("perturbations.parquet", with_features(PERTURBATIONS, clean.features.names))
    model, card = load_model(open_artifact(trained.model, "model"))
    decision = Decision(model, card.threshold).eval()
    edits = edits_of(examples, clean.features)
    assert set(edits["sample"].unique()) == set(found.filter("success")["sample"].unique())
    for kind in EXAMPLE_KINDS:
        own = edits.filter(pl.col("kind").cast(pl.String) == kind)
        events = edited_events(trained, own, clean.samples, tmp_path / f"events-{kind}")
        made = tmp_path / f"dataset-{kind}"
        call("preprocess", "--events", events, "--out", made, *trained.shares)
        again: LoadedDataset = load_dataset(open_artifact(made, "dataset"), CPU)
        assert again.scaling == clean.scaling
        assert torch.equal(again.tensors.observed, clean.tensors.observed)
        succeeded = found.filter(pl.col("kind").cast(pl.String) == kind, "success").sort("sample")
        index = torch.from_numpy(succeeded["sample"].to_numpy().astype("int64"))
        assert len(index) > 0
        decided = predict_logits(decision, again.tensors[index]).argmax(dim=1)
        before = predict_logits(decision, clean.tensors[index]).argmax(dim=1)
        assert torch.equal(before, torch.from_numpy(succeeded["predicted"].to_numpy().astype("int64")))
        assert torch.equal(decided, 1 - before)
        # What the artifact says of the cells is what preprocessing made of them.
        said = cells.filter(pl.col("kind").cast(pl.String) == kind)
        place = said["sample"].to_numpy(), said["hour"].to_numpy(), said["feature"].to_physical().to_numpy()
        change = (again.tensors.values - clean.tensors.values).numpy()[place]
        np.testing.assert_allclose(change, said["delta"].to_numpy(), rtol=1e-3, atol=1e-4)
        untouched = torch.ones(len(clean.samples), dtype=torch.bool)
        untouched[index] = False
        assert torch.equal(again.tensors.values[untouched], clean.tensors.values[untouched])
        if paired:
            check_pairs(again, clean, index)


def check_pairs(again: LoadedDataset, clean: LoadedDataset, index: torch.Tensor) -> None:
    """See that what exceeds another measurement still does wherever it did."""
    mean, std = (torch.tensor(figure, dtype=torch.float64) for figure in (clean.scaling.mean, clean.scaling.std))
    for above, feature in enumerate(clean.features.features):
        for other in set(feature.measurement.exceeds) & set(clean.features.names):
            below = clean.features.names.index(other)
            before, after = (t.tensors.values[index].double() * std + mean for t in (clean, again))
            charted = clean.tensors.observed[index].cumsum(dim=1)[:, :, [above, below]].gt(0).all(dim=2)
            exceeded = charted & (before[:, :, above] > before[:, :, below])
            assert exceeded.any()
            assert (after[:, :, above] >= after[:, :, below])[exceeded].all()


def test_charted_examples_stand_on_edited_charted_values(
    trained: Trained, tmp_path: Path, call: Callable[..., None]
) -> None:
    examples = trained.attack(tmp_path / "examples", call, "--max-samples", 150)
    check_recreated(trained, examples, tmp_path, call, paired=True)
    features = open_artifact(trained.events, "events").json("features.json", FeatureSet).features
    edits = edits_of(examples, load_dataset(open_artifact(trained.dataset, "dataset"), CPU).features)
    for feature in features:
        own = edits.filter(pl.col("feature").cast(pl.String) == feature.name)
        low, high = feature.measurement.physiological
        assert own["edited"].is_between(low, high).all()
        steps = own["edited"].to_numpy() / feature.measurement.precision
        np.testing.assert_allclose(steps, steps.round(), atol=1e-6)
        # All values of an hour move alike, but for rounding.
        moved = own.with_columns(hour=pl.col("minute") // 60, move=pl.col("edited") - pl.col("value"))
        spread = moved.group_by("sample", "kind", "hour").agg(pl.col("move").max() - pl.col("move").min())
        assert (spread["move"] <= feature.measurement.precision + 1e-9).all()
    assert edits["slip"].is_null().all()


def test_data_entry_examples_are_slips_of_one_or_two_values(
    trained: Trained, tmp_path: Path, call: Callable[..., None]
) -> None:
    examples = trained.attack(tmp_path / "examples", call, "--threat", "data-entry", "--max-samples", 6, "--pairs", 24)
    check_recreated(trained, examples, tmp_path, call)
    dataset = load_dataset(open_artifact(trained.dataset, "dataset"), CPU)
    edits = edits_of(examples, dataset.features)
    assert edits.group_by("sample", "kind").len()["len"].max() <= 2
    measurements = {feature.name: feature.measurement for feature in dataset.features.features}
    charted = pl.read_parquet(open_artifact(trained.events, "events").file("measurements.parquet"))
    for sample, feature, value, edited, slip in edits.select(
        "sample", "feature", "value", "edited", "slip"
    ).iter_rows():
        assert slip in SLIPS
        if slip == "copied":
            stay = dataset.samples["stay_id"][sample]
            own = charted.filter(pl.col("stay_id") == stay, pl.col("feature").cast(pl.String) == feature)
            assert edited in own["value"].to_list()
        else:
            assert (slip, edited) in slips(value, measurements[feature])


def test_a_rate_limits_how_steep_a_series_becomes(trained: Trained, tmp_path: Path, call: Callable[..., None]) -> None:
    steepest = 0.2
    examples = trained.attack(tmp_path / "examples", call, "--max-samples", 40, "--max-rate", steepest)
    dataset = load_dataset(open_artifact(trained.dataset, "dataset"), CPU)
    cells = open_artifact(examples, "examples").frame(
        "perturbations.parquet", with_features(PERTURBATIONS, dataset.features.names)
    )
    assert len(cells) > 0
    for (sample, _kind), own in cells.group_by("sample", "kind"):
        observed = dataset.tensors.observed[sample].numpy()
        before = dataset.tensors.values[sample].double().numpy()
        after = before.copy()
        after[own["hour"].to_numpy(), own["feature"].to_physical().to_numpy()] += own["delta"].to_numpy()
        for feature in own["feature"].to_physical().unique():
            if dataset.features.features[feature].measurement.hourly == "sum":
                continue
            hours = np.flatnonzero(observed[:, feature])
            slope, was = (np.abs(np.diff(series[hours, feature]) / np.diff(hours)) for series in (after, before))
            assert (slope <= np.maximum(steepest, was) + 1e-4).all()


def test_misclassified_samples_are_attacked_on_request(
    trained: Trained, tmp_path: Path, call: Callable[..., None]
) -> None:
    right, all_ = (
        open_artifact(trained.attack(tmp_path / name, call, *options, steps=30), "examples").frame(
            "examples.parquet", EXAMPLES
        )
        for name, options in (("right", ()), ("all", ("--misclassified",)))
    )
    assert (right["label"] == right["predicted"]).all()
    wrong = all_.filter(pl.col("label") != pl.col("predicted"))
    assert len(wrong) > 0
    assert all_.filter(pl.col("label") == pl.col("predicted"))["sample"].equals(right["sample"])
    turned = wrong.filter("success")
    assert len(turned) > 0
    called_dead = pl.col("probability") > pl.col("clean_probability")
    assert turned.select((called_dead == (pl.col("predicted") == 0)).all()).item()


@pytest.mark.parametrize("threat", ["charted", "data-entry", "grid"])
def test_the_report_shows_what_the_model_read(
    trained: Trained, tmp_path: Path, call: Callable[..., None], threat: str
) -> None:
    """The series are derived anew in `evaluate`; here they go through the model, and beside the attack's own."""
    limits = ("--max-samples", 6, "--pairs", 16) if threat == "data-entry" else ("--max-samples", 40)
    artifact = open_artifact(trained.attack(tmp_path / "examples", call, "--threat", threat, *limits), "examples")
    dataset, model = open_artifact(trained.dataset, "dataset"), open_artifact(trained.model, "model")
    inputs = inputs_of(dataset, model, artifact)
    target = load_target(dataset, model, CPU)
    shown = explorer_of(dataset, artifact, inputs, EvaluateSettings(explorer="on", explorer_samples=8))
    assert shown is not None
    found = inputs.examples.filter("success")
    of = {(sample, kind): values for kind in EXAMPLE_KINDS for sample, values in read_by(target, inputs, kind, threat)}
    assert len(of) == len(found) > 0
    # All examples: the model says of the derived input what the attack has written down.
    index = torch.tensor([sample for sample, _ in of])
    said = target.death_probability(index, torch.from_numpy(np.stack(list(of.values()))))
    written = {(row["sample"], row["kind"]): row["probability"] for row in found.iter_rows(named=True)}
    np.testing.assert_allclose(said.numpy(), [written[key] for key in of], rtol=0, atol=1e-6)
    # Those shown: each series is the derived input, in its unit, rounded for the eye.
    mean, std = np.array(target.dataset.scaling.mean), np.array(target.dataset.scaling.std)
    for sample, at in zip(shown.samples, chosen_samples(inputs.examples, 8), strict=True):
        before = target.dataset.tensors.values[at].double().numpy() * std + mean
        for place, feature in enumerate(inputs.features):
            near = 0.5 * 10.0 ** -clinical_decimals(feature.measurement.precision) + 1e-6
            np.testing.assert_allclose(unrolled(sample.series[place]), before[:, place], rtol=0, atol=near)
            for one in sample.kinds:
                after = of[at, one.kind].astype(float)[:, place] * std[place] + mean[place]
                drawn = unrolled(one.series.get(place, sample.series[place]))
                np.testing.assert_allclose(drawn, after, rtol=0, atol=near)


def unrolled(runs: list[float]) -> np.ndarray:
    return np.repeat(runs[::2], np.array(runs[1::2], dtype=int))


def read_by(target: Target, inputs: EvaluationInputs, kind: str, threat: str) -> Iterator[tuple[int, np.ndarray]]:
    """Yield each turned sample and the input that the report derives for it, once it is seen to be the attack's own."""
    cells = inputs.perturbations.filter(pl.col("kind").cast(pl.String) == kind)
    volumes = np.array([f.measurement.hourly == "sum" for f in inputs.features])
    judge = threat_of(target, AttackSettings(threat=threat))
    for sample in cells["sample"].unique().sort().to_list():
        own = cells.filter(pl.col("sample") == sample)
        values, observed = (getattr(target.dataset.tensors, name)[sample].numpy() for name in ("values", "observed"))
        change = np.zeros_like(values)
        change[own["hour"].to_numpy(), own["feature"].to_physical().to_numpy()] = own["delta"].to_numpy()
        derived = perturbed(values, observed, change, carried=threat != "grid", volumes=volumes)
        assert not np.array_equal(derived, values)
        attacked = judge.perturbed(torch.tensor([sample]), torch.from_numpy(change)[None])[0].numpy()
        np.testing.assert_array_equal(derived, attacked)
        yield sample, derived
