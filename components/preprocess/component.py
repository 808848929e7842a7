"""Turn events into tensors, scaled and split by patient.

The contract stands in README.md beside this file.
"""

from kfp import dsl

from components.contract import Contract

CONTRACT = Contract(
    command="preprocess",
    inputs={"events": dsl.Dataset},
    outputs={"dataset": dsl.Dataset, "card": dsl.HTML},
)
