"""Attack the samples that the model gets right, or a shard of them.

The contract stands in README.md beside this file.
"""

from kfp import dsl

from components.contract import Contract

CONTRACT = Contract(
    command="attack",
    inputs={"dataset": dsl.Dataset, "model": dsl.Model},
    optional={"attack_settings": dsl.Artifact},
    outputs={"examples": dsl.Artifact},
    accelerated=True,
)
