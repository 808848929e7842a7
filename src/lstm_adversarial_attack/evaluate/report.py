"""The report: one HTML page that holds everything it shows and loads nothing."""

from __future__ import annotations

from importlib import metadata, resources

import jinja2
import msgspec
import plotly.offline
import polars as pl
from markupsafe import Markup

from lstm_adversarial_attack.evaluate.attack_figures import KIND_DASHES
from lstm_adversarial_attack.evaluate.attack_results import CELL_BUDGETS
from lstm_adversarial_attack.evaluate.drawing import PALETTES
from lstm_adversarial_attack.evaluate.figures import QUANTITIES, figures, susceptibility_data
from lstm_adversarial_attack.evaluate.headline import (
    UNDEFINED,
    counted,
    interval,
    number,
    number_interval,
    percent,
    percent_interval,
)
from lstm_adversarial_attack.evaluate.inputs import DIRECTIONS, EvaluationInputs
from lstm_adversarial_attack.evaluate.prediction_figures import ATTRIBUTE_WORDS
from lstm_adversarial_attack.evaluate.results import Metrics, Quantiles
from lstm_adversarial_attack.evaluate.study import studies, study_figures
from lstm_adversarial_attack.evaluate.views import (
    agreement_view,
    clinical_decimals,
    edits_view,
    observed_view,
    others_view,
    sturdy_view,
    transfers_view,
)
from lstm_adversarial_attack.frames import EXAMPLE_KINDS, SPLITS
from lstm_adversarial_attack.metrics import LEAST_OF_A_CLASS, LEAST_PATIENTS, Difference

_KIND_WORDS = {
    "first": "the first that turned the prediction",
    "sparsest": "fewest changed cells",
    "smallest": "smallest sum of changes (L1)",
}
_FIGURE_WORDS = {
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


def render(inputs: EvaluationInputs, metrics: Metrics, tables: dict[str, pl.DataFrame]) -> str:
    """Return the page. The same arguments give the same text."""
    charts = figures(inputs, metrics, tables) | study_figures(inputs.searches)
    data = {
        "palettes": PALETTES,
        "figures": {name: {"data": chart.data, "layout": chart.layout} for name, chart in charts.items()},
        "susceptibility": susceptibility_data(inputs, metrics, tables),
    }
    return (
        _environment()
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
            figure_words=_FIGURE_WORDS,
            model_words=_MODEL_WORDS,
            calibration_words=_CALIBRATION_WORDS,
            attribute_words=ATTRIBUTE_WORDS,
            least=(LEAST_PATIENTS, LEAST_OF_A_CLASS),
            splits=SPLITS,
            budgets=CELL_BUDGETS,
            light_palette_css=Markup(_css("light")),
            dark_palette_css=Markup(_css("dark")),
            style=Markup(_asset("report.css")),
            script=Markup(_asset("report.js")),
            plotly_js=Markup(plotly.offline.get_plotlyjs()),
            plotly_version=metadata.version("plotly"),
            data=Markup(_script_json(data)),
        )
    )


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("lstm_adversarial_attack.evaluate", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "counted": counted,
        "number": number,
        "number_interval": number_interval,
        "percent": percent,
        "percent_interval": percent_interval,
        "spread": _spread,
        "difference": _difference,
        "clinical_decimals": clinical_decimals,
        "interval": interval,
        "infinite": lambda value: "∞" if value is None else f"{value:,.3g}",
        "unit": _unit,
    }
    return environment


def _asset(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _css(scheme: str) -> str:
    """Return the colours of a scheme as CSS properties: ``$ink`` is ``--ink``."""
    colours = (f"--{name[1:]}:{value}" for name, value in PALETTES[scheme].items() if isinstance(value, str))
    return ";".join(colours)


def _script_json(data: object) -> str:
    """Encode ``data`` for a script element: no text in it can end the element."""
    return msgspec.json.encode(data).decode().replace("<", "\\u003c")


def _spread(sizes: Quantiles, decimals: int | None = None) -> str:
    """Return a median with its quartiles, such as ``0.45 (0.20 to 0.90)``; infinity where attacks failed.

    Without ``decimals``, as many as are needed: a median of whole numbers is whole or a half.
    """
    form = ",.5g" if decimals is None else f",.{decimals}f"
    p25, median, p75 = ("∞" if value is None else format(value, form) for value in (sizes.p25, sizes.median, sizes.p75))
    return f"{median} ({p25} to {p75})"


def _difference(difference: Difference) -> str:
    """Return a difference with interval and p-value, such as ``+0.012 (-0.003 to +0.027), p 0.120``."""
    if difference.value is None:
        return UNDEFINED
    text = f"{difference.value:+.3f}"
    if difference.p_value is not None:
        text += f" ({difference.low:+.3f} to {difference.high:+.3f}), p {difference.p_value:.3f}"
    return text.replace("-", "\N{MINUS SIGN}")


def _unit(unit: str) -> str:
    """Return a unit as a reader sees it: none for a pure number."""
    return "" if unit == "1" else unit
