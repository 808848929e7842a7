"""Join the shards of an attack.

The contract stands in README.md beside this file.
"""

from kfp import dsl

from components.contract import Contract

CONTRACT = Contract(
    command="merge-examples",
    image="evaluate",
    several={"examples": dsl.Artifact},
    outputs={"merged": dsl.Artifact},
)
