"""The report's headline and tables, computed anew from the artifacts by other code: pandas, scikit-learn, loops."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file
from sklearn.metrics import average_precision_score, brier_score_loss, f1_score, roc_auc_score

from end_to_end.conftest import Run, read_json

LABELS = ((0, "0_to_1"), (1, "1_to_0"))


class Recomputed:
    """The artifacts of a run as pandas frames."""

    def __init__(self, out: Path) -> None:
        self.metrics = read_json(out / "report" / "metrics.json")
        self.samples = pd.read_parquet(out / "dataset" / "samples.parquet")
        self.predictions = pd.read_parquet(out / "model" / "predictions.parquet")
        self.threshold = read_json(out / "model" / "model.json")["threshold"]
        self.examples = pd.read_parquet(out / "examples" / "examples.parquet")
        self.cells = pd.read_parquet(out / "examples" / "perturbations.parquet")
        self.singles = pd.read_parquet(out / "examples" / "singles.parquet")
        self.observed = load_file(out / "dataset" / "tensors.safetensors")["observed"].astype(bool)
        self.report = out / "report"
        page = (out / "report" / "report.html").read_text().split("<main>")[0]
        self.first_screen = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))

    def table(self, name: str) -> pd.DataFrame:
        return pd.read_csv(self.report / f"{name}.csv")  # as its readers do

    def sparsest(self, label: int) -> pd.DataFrame:
        rows = self.examples[(self.examples["kind"] == "sparsest") & (self.examples["label"] == label)]
        return rows[rows["predicted"] == rows["label"]]


@pytest.fixture(params=["synthetic_run", pytest.param("demo_run", marks=pytest.mark.demo)])
def run(request: pytest.FixtureRequest) -> Recomputed:
    found: Run = request.getfixturevalue(request.param)
    return Recomputed(found.out)


def test_the_cohort(run: Recomputed) -> None:
    stays, patients = len(run.samples), run.samples["subject_id"].nunique()
    share = 100 * (run.samples["label"] == 1).sum() / stays
    assert f"{stays:,} ICU stays of {patients:,} patients, {share:.1f} % of the stays" in run.first_screen
    test = run.samples[run.samples["split"] == "test"]
    others = run.samples[run.samples["split"] != "test"]
    assert f"the test holds {len(test):,} stays of {test['subject_id'].nunique():,} patients" in run.first_screen
    assert not set(test["subject_id"]) & set(others["subject_id"])
    assert "none in another split" in run.first_screen


def test_the_prediction(run: Recomputed) -> None:
    test = run.predictions[run.predictions["split"] == "test"]
    called = test["probability"] >= run.threshold
    figures = {
        "auroc": roc_auc_score(test["label"], test["probability"]),
        "auprc": average_precision_score(test["label"], test["probability"]),
        "f1": f1_score(test["label"], called),
        "brier": brier_score_loss(test["label"], test["probability"]),
    }
    for name, value in figures.items():
        assert run.metrics["prediction"]["test"][name]["value"] == pytest.approx(value, abs=1e-8), name
    assert f"AUROC {figures['auroc']:.3f} (" in run.first_screen
    assert f"AUPRC {figures['auprc']:.3f} (" in run.first_screen
    assert f"F1 {figures['f1']:.3f} (" in run.first_screen


def test_the_attack_and_the_smallest_change(run: Recomputed) -> None:
    for label, key in LABELS:
        of_split = run.predictions[(run.predictions["split"] == "test") & (run.predictions["label"] == label)]
        right = of_split[(of_split["probability"] >= run.threshold) == bool(label)]
        sparsest = run.sparsest(label)
        assert len(sparsest) == len(right) == run.metrics["attack"][key]["attacked"]
        assert set(sparsest["sample"]) == set(right["sample"])
        if sparsest.empty:
            continue
        called = (sparsest["probability"] >= run.threshold).where(sparsest["probability"].notna())
        turned = called == (label == 0)  # nothing where no example was found
        who = "survivors" if label == 0 else "deaths"
        assert re.search(
            rf"{100 * turned.mean():.1f} % (\([^)]*\) )?of {len(right):,} attacked {who}", run.first_screen
        )
        listed = run.cells[run.cells["kind"] == "sparsest"].groupby("sample").size()
        cells = sparsest["sample"].map(listed).where(turned.to_numpy(), np.inf)
        median = np.quantile(cells, 0.5, method="linear") if np.isfinite(cells).all() else None
        if median is not None:
            assert run.metrics["attack"][key]["kinds"]["sparsest"]["l0"]["median"] == median
            assert f"turned by changing {median:.5g} of" in run.first_screen
        for budget in (1, 5):
            shown = run.metrics["attack"][key]["kinds"]["sparsest"]["within_cells"][str(budget)]
            assert shown == pytest.approx((cells <= budget).mean())
        smallest = run.cells[run.cells["kind"] == "smallest"].groupby("sample")["delta"].agg(lambda d: d.abs().sum())
        sizes = sparsest["sample"].map(smallest)
        if sizes.notna().all():
            assert f"sum to {sizes.median():.2f} standard deviations" in run.first_screen


def test_the_most_susceptible(run: Recomputed) -> None:
    for label, key in LABELS:
        found = run.sparsest(label)
        found = found[found["success"]]
        cells = run.cells[(run.cells["kind"] == "sparsest") & run.cells["sample"].isin(found["sample"])]
        if found.empty:
            continue
        shares = cells.drop_duplicates(["sample", "feature"])["feature"].value_counts() / len(found)
        table = run.table("susceptibility_measurements")
        shown = table[(table["direction"] == key) & (table["kind"] == "sparsest")].set_index("feature")["share"]
        for feature, share in shares.items():
            assert shown[feature] == pytest.approx(share), feature
        assert f"({100 * shares.max():.1f} %)" in run.first_screen.split("Most susceptible")[1]
        grid = run.table("susceptibility_cells")
        grid = grid[(grid["direction"] == key) & (grid["kind"] == "sparsest")].set_index(["hour", "feature"])
        counted = cells.groupby(["hour", "feature"], observed=True)
        for place, count in counted.size().items():
            here = grid.loc[place]
            size = counted.get_group(place)["delta"].abs()
            gpp = count / len(found)
            assert here["gpp"] == pytest.approx(gpp)
            assert here["ganzp"] == pytest.approx(size.mean(), rel=1e-6)
            assert here["sensitivity"] == pytest.approx(gpp / size.mean(), rel=1e-6)
            assert here["gmp"] == pytest.approx(size.max(), rel=1e-6)
            assert here["gap"] == pytest.approx(size.sum() / len(found), rel=1e-6)
            assert here["s"] == pytest.approx(size.max() * gpp, rel=1e-6)
            assert here["gpp_low"] <= gpp + 1e-9
            assert here["gpp_high"] >= gpp - 1e-9


def test_smallest_edits(run: Recomputed) -> None:
    alone = run.examples[run.examples["success"] & (run.examples["l0"] == 1)][["sample", "kind"]]
    alone = alone.merge(run.cells, on=["sample", "kind"])[["sample", "feature", "delta_clinical", "delta"]]
    looked_for = run.singles[run.singles["delta"].notna()][["sample", "feature", "delta_clinical", "delta"]]
    known = pd.concat([looked_for, alone]).astype({"feature": str})
    known["size"], known["clinical"] = known["delta"].abs(), known["delta_clinical"].abs()
    least = known.sort_values("size", kind="stable").drop_duplicates(["sample", "feature"])
    table = run.table("smallest_edits").set_index(["direction", "feature"])
    for label, key in LABELS:
        attacked = run.sparsest(label)["sample"]
        if attacked.empty:
            continue
        here = least[least["sample"].isin(attacked)]
        assert table.loc[(key, "any"), "share"] == pytest.approx(here["sample"].nunique() / len(attacked))
        for feature, part in here.groupby("feature"):
            row = table.loc[(key, feature)]
            assert row["share"] == pytest.approx(len(part) / len(attacked))
            middle = part["clinical"].sort_values().iloc[len(part) // 2]
            assert row["median_clinical"] == pytest.approx(middle, rel=1e-5)
            assert row["median_clinical_low"] <= middle * 1.00001 or np.isnan(row["median_clinical_low"])


def test_measured_cells(run: Recomputed) -> None:
    table = run.table("observed_cells")
    for row in table.itertuples():
        found = run.examples[run.examples["success"] & (run.examples["kind"] == row.kind)]
        found = found[found["label"] == int(row.direction[0])]
        cells = run.cells[(run.cells["kind"] == row.kind) & run.cells["sample"].isin(found["sample"])]
        measured = [run.observed[c.sample, c.hour, run.cells["feature"].cat.categories.get_loc(c.feature)]
                    for c in cells.itertuples()]  # fmt: skip
        assert row.cells == len(cells)
        assert row.observed_share == pytest.approx(np.mean(measured))
        assert row.observed_of_all == pytest.approx(run.observed[found["sample"]].mean())
