"""Train the classifier.

The contract stands in README.md beside this file.
"""

from kfp import dsl

from components.contract import Contract

CONTRACT = Contract(
    command="train",
    inputs={"dataset": dsl.Dataset},
    optional={"hyperparameters": dsl.Artifact},
    outputs={"model": dsl.Model, "metrics": dsl.Metrics},
    accelerated=True,
)
