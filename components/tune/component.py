"""Search the classifier's hyperparameters.

The contract stands in README.md beside this file.
"""

from kfp import dsl

from components.contract import Contract

CONTRACT = Contract(
    command="tune",
    inputs={"dataset": dsl.Dataset},
    outputs={"hyperparameters": dsl.Artifact},
    accelerated=True,
)
