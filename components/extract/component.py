"""Read stays and measurements from an ICU database.

The contract stands in README.md beside this file.
"""

from kfp import dsl

from components.contract import Contract

CONTRACT = Contract(
    command="extract",
    outputs={"events": dsl.Dataset},
)
