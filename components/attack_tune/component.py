"""Search the attack's settings.

The contract stands in README.md beside this file.
"""

from kfp import dsl

from components.contract import Contract

CONTRACT = Contract(
    command="attack-tune",
    inputs={"dataset": dsl.Dataset, "model": dsl.Model},
    outputs={"attack_settings": dsl.Artifact},
    accelerated=True,
)
