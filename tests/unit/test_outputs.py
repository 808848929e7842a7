"""The files beside the report: static figures, the Markdown summary, and what the Kubeflow UI draws."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
import struct
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import msgspec
import numpy as np
import polars as pl
import pytest
from markdown_it import MarkdownIt
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Text
from sklearn.metrics import auc, confusion_matrix, roc_auc_score

from lstm_adversarial_attack.evaluate import static_attack, static_prediction
from lstm_adversarial_attack.evaluate.analysis import Evaluation, EvaluationInputs, evaluate
from lstm_adversarial_attack.evaluate.outputs import outputs
from lstm_adversarial_attack.evaluate.results import Metrics
from lstm_adversarial_attack.evaluate.static_drawing import (
    ONE_COLUMN_MM,
    SMALL_PT,
    TWO_COLUMNS_MM,
    Drawing,
    Numbers,
    style,
)
from lstm_adversarial_attack.evaluate.static_figures import FIGURES, static_figures
from lstm_adversarial_attack.evaluate.summary import plain, summary
from lstm_adversarial_attack.settings import EvaluateSettings
from unit.test_evaluate import TINY, plausible_inputs, tiny_inputs

MM_PER_INCH = 25.4
TESTS = Path(__file__).parents[1]

#: Prints the digest of all files of a run, in a process with settings of its own.
DIGEST = """
import hashlib, sys
sys.path.insert(0, sys.argv[1])
from unit.test_evaluate import tiny_inputs
from unit.test_outputs import files_of
print(hashlib.sha256(repr(sorted(files_of(tiny_inputs()).items())).encode()).hexdigest())
"""


def numbers_of(inputs: EvaluationInputs, evaluation: Evaluation) -> Numbers:
    labels = {feature.name: feature.measurement.label for feature in inputs.features}
    return Numbers(msgspec.convert(evaluation.metrics, Metrics), evaluation.tables, labels)


def files_of(inputs: EvaluationInputs) -> dict[str, bytes]:
    return outputs(inputs, evaluate(inputs, TINY))


@pytest.fixture(scope="module")
def plausible() -> Numbers:
    inputs = plausible_inputs()
    return numbers_of(inputs, evaluate(inputs, EvaluateSettings(resamples=50)))


@pytest.fixture(scope="module")
def tiny_files() -> dict[str, bytes]:
    return files_of(tiny_inputs())


@pytest.fixture(scope="module")
def plausible_files() -> dict[str, bytes]:
    return files_of(plausible_inputs())


def drawn(function: Any, numbers: Numbers) -> list[Drawing]:
    with style("test"):
        found = list(function(numbers))
        for drawing in found:
            drawing.figure.draw_without_rendering()
    return found


def lines(figure: Figure) -> dict[str, np.ndarray]:
    """Return the lines that stand in the legend, ``[2, point]`` by label."""
    return {str(line.get_label()): np.array(line.get_data()) for axes in figure.axes for line in axes.get_lines()}


def edges_are_white(name: str, content: bytes) -> None:
    picture = imread(BytesIO(content))[..., :3]
    assert picture[8:-8, 8:-8].min() < 0.5
    for edge in (picture[:8], picture[-8:], picture[:, :8], picture[:, -8:]):
        assert edge.min() == 1, name


class TestFigures:
    def test_a_run_with_everything_has_every_figure_twice(self, plausible):
        budgets = set(plausible.tables["attack_curves"]["against"]) - {"iteration"}
        assert budgets >= {"l0", "l1", "linf"}
        names = {
            *("roc", "precision-recall", "calibration", "models", "forest", "roc-attacked", "confusion"),
            *(f"success-{budget}" for budget in budgets),
            *("single-edits", "discovery", "by-measurement", "by-hour"),
            *("susceptibility-0-to-1", "susceptibility-1-to-0"),
        }
        assert set(static_figures(plausible)) == {f"{name}.{kind}" for name in names for kind in ("png", "svg")}

    def test_they_have_the_width_of_a_column_and_300_dots_an_inch(self, plausible_files):
        widths = {}
        for name, content in plausible_files.items():
            if name.endswith(".png"):
                assert content.startswith(b"\x89PNG\r\n\x1a\n")
                (widths[name],) = struct.unpack(">I", content[16:20])
                at = content.index(b"pHYs") + 4
                per_metre, _, unit = struct.unpack(">IIB", content[at : at + 9])
                assert unit == 1
                assert per_metre == pytest.approx(300 * 1000 / MM_PER_INCH, abs=1)
        columns = [int(mm / MM_PER_INCH * 300) for mm in (ONE_COLUMN_MM, TWO_COLUMNS_MM)]
        assert set(widths.values()) == set(columns)

    def test_nothing_is_cut_off_at_the_edge(self, tiny_files, plausible_files):
        for name, content in (*tiny_files.items(), *plausible_files.items()):
            if name.endswith(".png"):
                edges_are_white(name, content)

    def test_svg_is_well_formed_and_as_large(self, plausible_files):
        for name, content in plausible_files.items():
            if name.endswith(".svg"):
                root = ElementTree.fromstring(content.decode())
                width_mm = float(root.get("width").removesuffix("pt")) / 72 * MM_PER_INCH
                assert min(abs(width_mm - mm) for mm in (85, 180)) < 0.001
                assert b"<dc:date>" not in content
                assert b"<dc:title>" in content
                assert len(content) < 1_000_000

    @pytest.mark.parametrize("function", FIGURES, ids=lambda function: function.__name__)
    def test_text_is_large_enough_and_covers_no_data(self, plausible, function):
        for drawing in drawn(function, plausible):
            figure = drawing.figure
            shown = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
            assert shown
            assert min(text.get_fontsize() for text in shown) >= SMALL_PT
            for legend in figure.legends:
                for axes in figure.axes:
                    assert not legend.get_window_extent().overlaps(axes.get_tightbbox())
            assert all(axes.get_legend() is None for axes in figure.axes)

    @pytest.mark.parametrize("function", FIGURES, ids=lambda function: function.__name__)
    def test_axes_say_what_they_show(self, plausible, function):
        for drawing in drawn(function, plausible):
            axes = drawing.figure.axes
            assert any(one.get_xlabel() for one in axes)
            named = any(one.get_ylabel() for one in axes) or drawing.figure.get_supylabel()
            assert named or all(label.get_text() for label in axes[0].get_yticklabels())
            assert drawing.title

    def test_the_same_numbers_give_the_same_bytes_whatever_the_users_settings(self, tiny_files, tmp_path):
        (tmp_path / "matplotlibrc").write_text("font.size: 20\naxes.grid: False\nsavefig.dpi: 50\nsvg.fonttype: none\n")
        env = os.environ | {"PYTHONHASHSEED": "17", "TZ": "Asia/Tokyo", "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            [sys.executable, "-c", DIGEST, TESTS], cwd=tmp_path, env=env, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == hashlib.sha256(repr(sorted(tiny_files.items())).encode()).hexdigest()

    def test_what_has_no_numbers_is_left_out(self):
        inputs = tiny_inputs()
        nothing_found = dataclasses.replace(
            inputs, examples=inputs.examples.filter(pl.col("label") == 1), perturbations=inputs.perturbations.clear()
        )
        names = {name for name in files_of(nothing_found) if name.endswith(".png")}
        assert names == {
            *("figures/roc.png", "figures/precision-recall.png", "figures/calibration.png", "figures/models.png"),
            *("figures/roc-attacked.png", "figures/confusion.png"),
        }

    def test_an_empty_run_has_none(self):
        inputs = tiny_inputs()
        frames = ("samples", "predictions", "baselines", "history", "examples", "perturbations")
        cleared = {name: getattr(inputs, name).clear() for name in frames}
        empty = dataclasses.replace(inputs, cohort_flow=(), observed_hours=inputs.observed_hours[:0], **cleared)
        assert set(files_of(empty)) == {
            *("summary.md", "kubeflow/metrics.json"),
            *(f"kubeflow/classification_metrics_{condition}.json" for condition in ("clean", "attacked")),
        }

    def test_a_new_budget_is_drawn_without_being_named_anywhere(self, plausible):
        l1 = plausible.tables["attack_curves"].filter(against="l1")
        curves = pl.concat([l1.with_columns(against=pl.lit(name)) for name in ("l1", "effort", "cost")])
        more = dataclasses.replace(plausible, tables=plausible.tables | {"attack_curves": curves})
        found = {drawing.name: drawing for drawing in drawn(static_attack.success, more)}
        assert list(found) == ["success-l1", "success-effort", "success-cost"]
        assert found["success-effort"].figure.axes[0].get_xlabel() == "effort"
        files = static_figures(more)
        for name in found:
            edges_are_white(name, files[f"{name}.png"])


class TestWhatIsDrawn:
    def test_the_roc_curve_is_that_of_the_table(self, plausible):
        (drawing,) = drawn(static_prediction.roc, plausible)
        test = plausible.tables["roc"].filter(split="test")
        (line,) = [line for label, line in lines(drawing.figure).items() if label.startswith("test, AUROC")]
        assert line.tolist() == [test["false_positive_rate"].to_list(), test["true_positive_rate"].to_list()]

    def test_curves_of_success_end_at_the_success_rate(self, plausible):
        for drawing in drawn(static_attack.success, plausible):
            ends = {label: line[1][-1] for label, line in lines(drawing.figure).items()}
            assert len(ends) == 4
            for label, end in ends.items():
                key = "0_to_1" if label.startswith("0") else "1_to_0"
                rate = plausible.metrics.attack[key].kinds["first"].success_rate
                assert end == pytest.approx(rate.value)

    def test_the_heat_map_has_hours_across_and_measurements_down(self, plausible):
        drawing, _ = drawn(static_attack.heat_maps, plausible)
        (mesh,) = drawing.figure.axes[0].collections
        shares = np.asarray(mesh.get_array())
        cells = plausible.tables["susceptibility_cells"].filter(direction="0_to_1", kind="sparsest")
        for row, feature in enumerate(plausible.labels):
            for hour in (0, 20, 47):
                assert shares[row, hour] == cells.filter(feature=feature, hour=hour)["gpp"].item()
        names = [label.get_text() for label in drawing.figure.axes[0].get_yticklabels()]
        assert names == list(plausible.labels.values())

    def test_measurements_stand_where_their_share_is(self, plausible):
        (drawing,) = drawn(static_attack.by_measurement, plausible)
        axes = drawing.figure.axes[0]
        names = [label.get_text() for label in axes.get_yticklabels()]
        shares, places = lines(drawing.figure)["0 → 1, survivors called dead"]
        measured = plausible.metrics.susceptibility["0_to_1"]["sparsest"].measurements
        for share, place in zip(shares, places, strict=True):
            (feature,) = [key for key, label in plausible.labels.items() if label == names[round(place)]]
            assert share == pytest.approx(measured[feature].share.value)

    def test_the_confusion_matrices_hold_the_counts(self):
        inputs = tiny_inputs()
        (drawing,) = drawn(
            static_prediction.confusions, numbers_of(inputs, evaluate(inputs, EvaluateSettings(resamples=5)))
        )
        counts = [[text.get_text().split("\n")[0] for text in axes.texts] for axes in drawing.figure.axes]
        assert counts == [["3", "1", "0", "2"], ["1", "3", "0", "2"]]


def points(told: dict[str, Any]) -> list[tuple[float, float, float]]:
    """Return threshold, false positive rate and recall of each point."""
    return [(p["confidenceThreshold"], p["falsePositiveRate"], p["recall"]) for p in told["confidenceMetrics"]]


class TestKubeflow:
    def test_the_attacked_split_by_hand(self, tiny_files):
        """Of survivors 0, 1 and 2, called right, two are turned; 3 is wrong anyway; deaths 4 and 5 withstand."""
        clean, attacked = (
            json.loads(tiny_files[f"kubeflow/classification_metrics_{condition}.json"])
            for condition in ("clean", "attacked")
        )
        names = [{"displayName": "survived"}, {"displayName": "died"}]
        assert clean["confusionMatrix"] == {"annotationSpecs": names, "rows": [{"row": [3, 1]}, {"row": [0, 2]}]}
        assert attacked["confusionMatrix"] == {"annotationSpecs": names, "rows": [{"row": [1, 3]}, {"row": [0, 2]}]}
        # Survivors have .1 .1 .1 .6, and after the attack .9 .9 .1 .6; deaths .9 .9.
        assert points(clean) == [(0.901, 0, 0), (0.601, 0, 1), (0.101, 0.25, 1), (0, 1, 1)]
        assert points(attacked) == [(0.901, 0, 0), (0.601, 0.5, 1), (0.101, 0.75, 1), (0, 1, 1)]
        assert "kind smallest" in attacked["definition"]

    def test_it_agrees_with_an_independent_count(self, plausible_files):
        inputs = plausible_inputs()
        test = inputs.predictions.filter(pl.col("split") == "test")
        turned = {
            row["sample"]: row["probability"]
            for row in inputs.examples.iter_rows(named=True)
            if row["kind"] == "smallest" and row["success"]
        }
        attacked = [turned.get(s, p) for s, p in zip(test["sample"], test["probability"], strict=True)]
        for condition, probabilities in (("clean", test["probability"].to_list()), ("attacked", attacked)):
            told = json.loads(plausible_files[f"kubeflow/classification_metrics_{condition}.json"])
            called = np.array(probabilities) >= inputs.threshold
            rows = [row["row"] for row in told["confusionMatrix"]["rows"]]
            assert rows == confusion_matrix(test["label"], called).tolist()
            curve = told["confidenceMetrics"]
            assert 2 < len(curve) <= 200
            area = auc([p["falsePositiveRate"] for p in curve], [p["recall"] for p in curve])
            assert area == pytest.approx(roc_auc_score(test["label"], probabilities), abs=0.005)
            at_threshold = next(p for p in curve if p["confidenceThreshold"] <= inputs.threshold)
            assert at_threshold["recall"] == pytest.approx(rows[1][1] / sum(rows[1]), abs=1e-6)
            assert at_threshold["falsePositiveRate"] == pytest.approx(rows[0][1] / sum(rows[0]), abs=1e-6)

    def test_numbers_are_finite_and_names_flat(self, tiny_files, plausible_files):
        for files in (tiny_files, plausible_files):
            for name, content in files.items():
                if name.startswith("kubeflow/"):
                    json.loads(content, parse_constant=lambda word: pytest.fail(f"{word} is not strict JSON"))
                    assert len(content) < 64_000
            scalars = json.loads(files["kubeflow/metrics.json"])
            assert all(isinstance(value, int | float) and math.isfinite(value) for value in scalars.values())
            assert all(name.isidentifier() or name.replace("-", "_").isidentifier() for name in scalars)

    def test_scalars_say_what_the_metrics_say(self, plausible, plausible_files):
        scalars = json.loads(plausible_files["kubeflow/metrics.json"])
        assert scalars["test_auroc"] == plausible.metrics.prediction["test"]["auroc"].value
        assert scalars["median_cells_1_to_0"] == plausible.metrics.attack["1_to_0"].kinds["sparsest"].l0.median
        assert scalars["gate_passed"] == plausible.metrics.gate.passed

    def test_what_is_undefined_is_left_out(self):
        inputs = tiny_inputs()
        keep = (pl.col("split").cast(pl.String) != "test") | (pl.col("label") == 0)
        one_class = dataclasses.replace(
            inputs,
            samples=inputs.samples.filter(keep),
            observed_hours=inputs.observed_hours[inputs.samples.select(keep).to_series().to_numpy()],
            predictions=inputs.predictions.filter(keep),
            baselines=inputs.baselines.filter(keep),
            examples=inputs.examples.filter(pl.col("label") == 0),
        )
        files = files_of(one_class)
        scalars = json.loads(files["kubeflow/metrics.json"])
        assert "test_auroc" not in scalars
        assert scalars["gate_passed"] == 0
        told = json.loads(files["kubeflow/classification_metrics_clean.json"])
        assert "confidenceMetrics" not in told
        assert told["confusionMatrix"]["rows"] == [{"row": [3, 1]}, {"row": [0, 0]}]


def summary_of(inputs: EvaluationInputs, evaluation: Evaluation) -> str:
    return summary(inputs, msgspec.convert(evaluation.metrics, Metrics))


class TestSummary:
    def test_it_is_markdown_without_html(self, tiny_files, plausible_files):
        for files, tables in ((tiny_files, 7), (plausible_files, 8)):
            text = files["summary.md"].decode()
            assert len(text) < 1_000_000
            tokens = MarkdownIt("commonmark").enable("table").parse(text)
            inline = [child for token in tokens for child in token.children or ()]
            assert not [token for token in [*tokens, *inline] if token.type.startswith("html")]
            assert not [token for token in inline if token.type in ("link_open", "image", "em_open")]
            assert sum(token.type == "table_open" for token in tokens) == tables
            assert "|" not in "".join(token.content for token in inline if token.type == "text")

    def test_it_holds_the_five_sentences_and_the_verdict(self):
        inputs = tiny_inputs()
        evaluation = evaluate(inputs, TINY)
        text = summary_of(inputs, evaluation)
        assert all(f"\n- {plain(line)}\n" in text for line in evaluation.headline)
        assert "**Quality gate: passed.**" in text
        failing = dataclasses.replace(inputs, threshold=0.05)
        evaluation = evaluate(failing, EvaluateSettings(resamples=20))
        text = summary_of(failing, evaluation)
        assert "**Quality gate: not passed.**" in text
        assert evaluation.gate.reasons
        assert all(f"\n- {plain(reason)}\n" in text for reason in evaluation.gate.reasons)

    def test_it_escapes_what_it_is_given(self, tiny_files):
        text = tiny_files["summary.md"].decode()
        assert "sha256:\\<i\\>abc\\</i\\>" in text
        assert MarkdownIt("commonmark").render(plain("a_b* <i>|`x`&amp;")) == "<p>a_b* &lt;i&gt;|`x`&amp;amp;</p>\n"

    def test_failures_stand_as_infinite(self, tiny_files):
        text = tiny_files["summary.md"].decode()
        outcome, within = (line for line in text.splitlines() if line.startswith("| 1 → 0, first"))
        assert outcome.count("∞") == 3
        assert within.count("| 0.0 % ") == 6
