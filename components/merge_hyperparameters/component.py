"""Keep one of the results of a study that several tasks have searched.

The contract stands in README.md beside this file.
"""

from kfp import dsl

from components.contract import Contract

CONTRACT = Contract(
    command="merge-hyperparameters",
    image="evaluate",
    several={"hyperparameters": dsl.Artifact},
    outputs={"merged": dsl.Artifact},
)
