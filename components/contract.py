"""How the spec of a component becomes a component.

A spec says which command it runs, in whose image, and which artifacts go in and come out. Its parameters are the
options of the command, with the same names, types, defaults and explanations: they are read from the command line's own
declaration, so that the two cannot differ.

Every parameter is written on the command line, as ``--name=value``, so that nothing depends on how a backend treats one
that was left out. The command takes a value that is the option's default for none (`lstm_adversarial_attack.kubeflow`):
a protocol, and what a search has found, come before it. The artifact's metadata say which settings were used.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import NoneType
from typing import Any, List, get_args  # noqa: UP035 - kfp looks for typing.List

from cyclopts.argument import Argument
from kfp import dsl
from kfp.dsl.base_component import BaseComponent

from lstm_adversarial_attack import kubeflow
from lstm_adversarial_attack.cli import app

#: Options without a parameter: a file of settings, work that is there already, the gate, which is a task of its own,
#: and artifacts of other pipelines to compare with.
LEFT_OUT = ("--out", "--settings", "--force", "--enforce-gate", "--other-examples", "--transfers")
_NUMBERS_AND_TEXT = (bool, int, float, str)


@dataclass(frozen=True)
class Contract:
    """The spec of a component.

    Attributes:
        command: command of ``lstm-aa``.
        image: stage whose image it runs in; by default that of the command's name.
        inputs: artifacts that it needs, by their names on the command line.
        optional: artifacts that it can do without.
        several: artifacts of which it takes a list, such as those of a fan-out.
        outputs: what it writes. The first is the artifact at ``--out``, the others are views of it, which the UI draws.
        accelerated: whether it calculates on a GPU where there is one.
        status: whether it is an exit task, and told how the run has ended.
    """

    command: str
    image: str = ""
    inputs: Mapping[str, type[dsl.Artifact]] = field(default_factory=dict)
    optional: Mapping[str, type[dsl.Artifact]] = field(default_factory=dict)
    several: Mapping[str, type[dsl.Artifact]] = field(default_factory=dict)
    outputs: Mapping[str, type[dsl.Artifact]] = field(default_factory=dict)
    accelerated: bool = False
    status: bool = False

    @property
    def name(self) -> str:
        """The name as an identifier, such as ``attack_tune``."""
        return self.command.replace("-", "_")

    @property
    def stage(self) -> str:
        """The stage whose image it runs in."""
        return self.image or self.command


@dataclass(frozen=True)
class Option:
    """An option of a command as a parameter: ``kind`` is str, int, float or bool; no default means required."""

    name: str
    kind: type
    default: Any
    explanation: str

    @property
    def flag(self) -> str:
        """The option as it is typed."""
        return "--" + self.name.replace("_", "-")


def options(command: str) -> dict[str, Option]:
    """Return the parameters of a command by their names, artifacts and folders left out."""
    return {option.name: option for option in _options(command)}


def _options(command: str) -> Iterator[Option]:
    for argument in app[command].assemble_argument_collection(parse_docstring=True):
        if argument.show and argument.name not in LEFT_OUT:
            yield as_option(argument)


def as_option(argument: Argument) -> Option:
    """Return an option of the command line as a parameter; one that may be left out has empty text for no value."""
    kind = argument.hint if argument.hint in _NUMBERS_AND_TEXT else str
    default = argument.field_info.default
    explanation = " ".join((argument.parameter.help or "").split())
    if NoneType in get_args(argument.hint):
        kind, default = str, ""
    name = argument.name.removeprefix("--").replace("-", "_").replace(".", "_")
    return Option(name, kind, inspect.Parameter.empty if argument.required else default, explanation)


def component(contract: Contract, image: str) -> BaseComponent:
    """Return the component of a spec, to be run in ``image``.

    Raises:
        ValueError: the spec names an artifact that the command does not take.
    """
    parameters = [*_artifacts(contract), *_parameters(contract)]
    strange = {*contract.inputs, *contract.optional, *contract.several} - set(options(contract.command))
    if strange:
        raise ValueError(f"lstm-aa {contract.command} takes no {', '.join(sorted(strange))}")

    def spec(*placeholders: Any) -> dsl.ContainerSpec:
        given = {one.name: placeholder for one, placeholder in zip(parameters, placeholders, strict=True)}
        named = [f"--{name.replace('_', '-')}={given[name].path}" for name in contract.inputs]
        valued = [f"{option.flag}={given[option.name]}" for option in _settable(contract)]
        out = [f"--out={given[next(iter(contract.outputs))].path}"] if contract.outputs else []
        status = [f"--status={given['status']}"] if contract.status else []
        # What is optional or a list has no placeholder of its own; the command finds it in the executor input.
        line = [*named, *valued, *status, *out, kubeflow.OPTION, dsl.PIPELINE_TASK_EXECUTOR_INPUT_PLACEHOLDER]
        return dsl.ContainerSpec(image=image, command=["lstm-aa", contract.command], args=line)

    return dsl.container_component(shaped(spec, contract.name, _explained(contract), parameters))


def shaped(
    function: Callable[..., Any], name: str, explanation: str, parameters: list[inspect.Parameter]
) -> Callable[..., Any]:
    """Give a function the name, docstring and signature that kfp is to read."""
    function.__name__ = function.__qualname__ = name
    function.__doc__ = explanation
    function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return function


def parameter(name: str, kind: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    """Return a parameter of a signature."""
    return inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=kind)


def _settable(contract: Contract) -> list[Option]:
    artifacts = {*contract.inputs, *contract.optional, *contract.several, "status" if contract.status else ""}
    return [option for name, option in options(contract.command).items() if name not in artifacts]


def _artifacts(contract: Contract) -> Iterator[inspect.Parameter]:
    for name, kind in contract.inputs.items():
        yield parameter(name, dsl.Input[kind])
    for name, kind in contract.several.items():
        yield parameter(name, dsl.Input[List[kind]])  # type: ignore[valid-type]  # noqa: UP006
    for name, kind in contract.outputs.items():
        yield parameter(name, dsl.Output[kind])


def _parameters(contract: Contract) -> Iterator[inspect.Parameter]:
    chosen = [parameter(option.name, option.kind, option.default) for option in _settable(contract)]
    if contract.status:
        yield parameter("status", dsl.PipelineTaskFinalStatus)
    yield from (one for one in chosen if one.default is inspect.Parameter.empty)
    for name, kind in contract.optional.items():
        yield parameter(name, dsl.Input[kind], None)
    yield from (one for one in chosen if one.default is not inspect.Parameter.empty)


def _explained(contract: Contract) -> str:
    """Return the docstring from which kfp takes what the UI shows."""
    said = options(contract.command)
    views = {
        "card": "Page that describes the data.",
        "metrics": "Figures, for the UI.",
        "page": "The report, for the UI.",
        "summary": "The report's findings in a few lines, for the UI.",
        "clean": "ROC curve and confusion matrix of the attacked split as it is.",
        "attacked": "The same after the attack.",
        "merged": "The artifact that came of it.",
    }
    lines = [f"{name}: {option.explanation}" for name, option in said.items()]
    main = f"Artifact of {contract.command}."
    lines += [f"{name}: {views.get(name, main)}" for name in contract.outputs]
    introduction = " ".join((app[contract.command].help or "").split("\n\n")[0].split())
    return "\n".join([introduction, "", "Args:", *(f"    {line}" for line in lines)])
