"""Files beside the report that others show as they are: static figures, Markdown, and what the Kubeflow UI draws."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from lstm_adversarial_attack.evaluate.analysis import Evaluation
from lstm_adversarial_attack.evaluate.classification import CONDITIONS
from lstm_adversarial_attack.evaluate.inputs import EvaluationInputs
from lstm_adversarial_attack.evaluate.kubeflow import classification_metrics, scalars
from lstm_adversarial_attack.evaluate.results import Metrics
from lstm_adversarial_attack.evaluate.static_drawing import Numbers
from lstm_adversarial_attack.evaluate.static_figures import static_figures
from lstm_adversarial_attack.evaluate.summary import summary


def outputs(inputs: EvaluationInputs, evaluation: Evaluation) -> dict[str, bytes]:
    """Return the files by their names in the report: the same arguments give the same bytes.

    ``summary.md``; ``figures/NAME.png`` and ``figures/NAME.svg``; ``kubeflow/metrics.json`` (system.Metrics),
    ``kubeflow/classification_metrics_clean.json`` and ``..._attacked.json`` (system.ClassificationMetrics), each the
    metadata of its artifact. They say what ``metrics.json`` and the tables say, with the digits that stand there.
    """
    metrics = msgspec.convert(evaluation.metrics, Metrics)
    labels = {feature.name: feature.measurement.label for feature in inputs.features}
    drawn = static_figures(Numbers(metrics, evaluation.tables, labels))
    roc = evaluation.tables["classification_roc"]
    return {
        "summary.md": summary(inputs, metrics).encode(),
        **{f"figures/{name}": content for name, content in drawn.items()},
        "kubeflow/metrics.json": _json(scalars(metrics)),
        **{
            f"kubeflow/classification_metrics_{condition}.json": _json(classification_metrics(metrics, roc, condition))
            for condition in CONDITIONS
        },
    }


def _json(value: Mapping[str, object]) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value, order="deterministic"), indent=1) + b"\n"
