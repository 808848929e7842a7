"""Write the report.

The contract stands in README.md beside this file.
"""

from kfp import dsl

from components.contract import Contract

CONTRACT = Contract(
    command="evaluate",
    inputs={"dataset": dsl.Dataset, "model": dsl.Model, "examples": dsl.Artifact},
    optional={"hyperparameters": dsl.Artifact, "attack_settings": dsl.Artifact},
    outputs={
        "report": dsl.Artifact,
        "page": dsl.HTML,
        "summary": dsl.Markdown,
        "metrics": dsl.Metrics,
        "clean": dsl.ClassificationMetrics,
        "attacked": dsl.ClassificationMetrics,
    },
)
