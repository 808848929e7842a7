"""The parameters of a pipeline: the options of `lstm-aa run`, and what only a cluster can do."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, List  # noqa: UP035 - kfp looks for typing.List

from components.contract import Option, as_option
from lstm_adversarial_attack.cli import app
from lstm_adversarial_attack.settings import SEEDED
from lstm_adversarial_attack.stage import STAGES

#: Options of `run` that are none here: --out is Kubeflow's, --features is short for another, --settings is a file.
NO_PARAMETERS = ("out", "features", "settings")
#: One seed for all stages, as `run --seed`; and shards come from the list of them.
_ONE_FOR_ALL = {*(f"{stage.replace('-', '_')}_seed" for stage in SEEDED), "attack_shard"}

SNAPSHOT = (
    "Name of the state of the source, such as its load date. Events read under the same name from the same source are "
    "taken from the cache: change it when the data have changed."
)
FAN_OUT = {
    "tune_pods": (
        List[int],  # noqa: UP006
        [1],
        "A pod of tune for each entry, with so many workers: [1, 1, 1] for three. Several share one study, and so need "
        "storage; without it, give one.",
    ),
    "attack_shards": (
        List[str],  # noqa: UP006
        ["1/1"],
        'Shards of the attack, a pod each, which are joined afterwards: ["1/2", "2/2"] for two.',
    ),
}


@dataclass(frozen=True)
class Parameter:
    """A parameter of a pipeline; ``stages`` are those whose options it gives, none of what is the run's own."""

    name: str
    kind: Any
    default: Any
    explanation: str
    stages: tuple[str, ...] = ()

    #: The default of what has none.
    REQUIRED: ClassVar[Any] = inspect.Parameter.empty


def parameters(stages: Iterable[str], device: str = "auto") -> dict[str, Parameter]:
    """Return the parameters of a pipeline of some stages, by name; ``device`` is the default of that parameter."""
    chosen = tuple(stage for stage in STAGES if stage in set(stages))
    return {one.name: one for one in _all(device) if not one.stages or set(one.stages) & set(chosen)}


def _all(device: str) -> Iterator[Parameter]:
    takers = {stage: set(_named(stage)) for stage in STAGES}
    for argument in app["run"].assemble_argument_collection(parse_docstring=True):
        option = as_option(argument)
        if not argument.show or option.name in NO_PARAMETERS or option.name in _ONE_FOR_ALL:
            continue
        own = [stage for stage in STAGES if option.name.startswith(f"{stage.replace('-', '_')}_")]
        stages = tuple(stage for stage in STAGES if option.name in takers[stage])
        if own:
            stages = (max(own, key=len),)  # attack_tune_steps begins with attack_ as well
        yield _adapted(option, stages, device)
    for name, (kind, items, explanation) in FAN_OUT.items():
        yield Parameter(name, kind, items, explanation, (name.partition("_")[0],))


def _adapted(option: Option, stages: tuple[str, ...], device: str) -> Parameter:
    default, explanation = option.default, option.explanation
    if option.name == "snapshot_id":
        default, explanation = Parameter.REQUIRED, SNAPSHOT
    elif option.name == "device":
        default = device
    elif option.name == "enforce_gate":
        stages, explanation = ("evaluate",), "Let the run fail where the report's gate is not passed."
    elif option.name == "seed":
        return Parameter("seed", int, 0, "Seed of every stage.", SEEDED)
    elif option.name == "workers":
        stages = ("attack-tune",)  # those of tune are told pod by pod
    return Parameter(option.name, option.kind, default, explanation, stages)


def _named(stage: str) -> Iterator[str]:
    for argument in app[stage].assemble_argument_collection():
        if argument.show:
            yield argument.name.removeprefix("--").replace("-", "_")
