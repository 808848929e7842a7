"""``audit.html``: one page that holds everything it shows, runs no script and loads nothing."""

from __future__ import annotations

import jinja2

from lstm_adversarial_attack.audit import charts
from lstm_adversarial_attack.audit.conclude import f1_of
from lstm_adversarial_attack.audit.findings import Findings
from lstm_adversarial_attack.metrics import Estimate

_FIGURES = {
    "prevalence": "Died",
    "accuracy": "Accuracy",
    "precision": "Precision",
    "recall": "Recall",
    "auroc": "AUROC",
    "auprc": "AUPRC",
}


def page(findings: Findings) -> str:
    """Return the page. The same findings give the same text."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("lstm_adversarial_attack.audit", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": _number, "interval": _interval, "f1": f1_of}
    template = environment.get_template("audit.html.j2")
    return template.render(findings=findings, limits=findings.limits, steps=findings.steps, figures=_FIGURES, c=charts)


def _number(value: float | None, decimals: int = 3) -> str:
    return "\N{EN DASH}" if value is None else f"{value:.{decimals}f}"


def _interval(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return "\N{EN DASH}"
    return f"{estimate.low:.3f} to {estimate.high:.3f}"
