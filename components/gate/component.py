"""Hold the report's gate against the figures, and fail where it is enforced.

The contract stands in README.md beside this file.
"""

from kfp import dsl

from components.contract import Contract

CONTRACT = Contract(
    command="gate",
    image="evaluate",
    inputs={"report": dsl.Artifact},
)
