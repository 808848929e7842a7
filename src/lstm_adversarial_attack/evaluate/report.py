"""The report: one HTML page that holds everything it shows and loads nothing."""

from __future__ import annotations

import polars as pl

from lstm_adversarial_attack.evaluate.attack_figures import KIND_DASHES
from lstm_adversarial_attack.evaluate.attack_results import CELL_BUDGETS
from lstm_adversarial_attack.evaluate.explorer import Explorer
from lstm_adversarial_attack.evaluate.figures import QUANTITIES, figures, susceptibility_data
from lstm_adversarial_attack.evaluate.inputs import DIRECTIONS, EvaluationInputs
from lstm_adversarial_attack.evaluate.page import asset, environment, page_parts
from lstm_adversarial_attack.evaluate.prediction_figures import ATTRIBUTE_WORDS
from lstm_adversarial_attack.evaluate.results import Metrics
from lstm_adversarial_attack.evaluate.study import studies, study_figures
from lstm_adversarial_attack.evaluate.views import (
    agreement_view,
    edits_view,
    observed_view,
    others_view,
    sturdy_view,
    transfers_view,
)
from lstm_adversarial_attack.frames import EXAMPLE_KINDS, SPLITS
from lstm_adversarial_attack.metrics import LEAST_OF_A_CLASS, LEAST_PATIENTS

_KIND_WORDS = {
    "first": "the first that turned the prediction",
    "sparsest": "fewest changed cells",
    "smallest": "smallest sum of changes (L1)",
}
FIGURE_WORDS = {
    "auroc": "AUROC",
    "auprc": "AUPRC (average precision)",
    "f1": "F1",
    "precision": "Precision",
    "recall": "Recall (sensitivity)",
    "specificity": "Specificity",
    "accuracy": "Accuracy",
    "brier": "Brier score, before calibration",
    "prevalence": "Share of deaths",
}
_MODEL_WORDS = {
    "lstm": "LSTM",
    "logistic-regression": "Logistic regression",
    "gradient-boosting": "Gradient boosting",
}
_CALIBRATION_WORDS = {
    "temperature": "Log-odds are divided by one number",
    "platt": "Log-odds are multiplied by one number and shifted by another",
    "isotonic": "Probabilities go through a rising function",
}


def render(
    inputs: EvaluationInputs, metrics: Metrics, tables: dict[str, pl.DataFrame], explorer: Explorer | None = None
) -> str:
    """Return the page, with single samples if there is an ``explorer``. The same arguments give the same text."""
    charts = figures(inputs, metrics, tables) | study_figures(inputs.searches)
    data = {
        "figures": {name: {"data": chart.data, "layout": chart.layout} for name, chart in charts.items()},
        "susceptibility": susceptibility_data(inputs, metrics, tables),
        **({"explorer": explorer} if explorer else {}),
    }
    parts = ("report", "explorer") if explorer else ("report",)
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            inputs=inputs,
            metrics=metrics,
            charts=charts,
            studies=studies(inputs.searches),
            directions=DIRECTIONS,
            kinds=EXAMPLE_KINDS,
            kind_words=_KIND_WORDS,
            kind_dashes=KIND_DASHES,
            quantities=QUANTITIES,
            edits=edits_view(inputs, tables["smallest_edits"]),
            sturdy=sturdy_view(inputs, tables["susceptibility_sturdy"]),
            agreement=agreement_view(tables["rank_agreement"]),
            observed=observed_view(tables["observed_cells"]),
            others=others_view(tables["other_attacks"]),
            transfers=transfers_view(tables["transfer"]),
            figure_words=FIGURE_WORDS,
            model_words=_MODEL_WORDS,
            calibration_words=_CALIBRATION_WORDS,
            attribute_words=ATTRIBUTE_WORDS,
            least=(LEAST_PATIENTS, LEAST_OF_A_CLASS),
            splits=SPLITS,
            budgets=CELL_BUDGETS,
            explorer=explorer,
            **page_parts(
                "report",
                data,
                scripts=tuple(asset(f"{part}.js") for part in parts),
                styles=tuple(asset(f"{part}.css") for part in parts[1:]),
            ),
        )
    )
