"""The specs of the components say the same as the command line, and rely on nothing of the image but the command."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from types import NoneType
from typing import Any, get_args

import pytest
import yaml
from kfp import compiler

from components.contract import LEFT_OUT, Contract, component
from images.names import STAGES as STAGES_WITH_IMAGES
from images.names import tagged
from lstm_adversarial_attack import cli, kubeflow
from lstm_adversarial_attack.artifacts.manifest import SCHEMA_VERSIONS
from lstm_adversarial_attack.stage import STAGES, load_stage
from pipelines.cluster import NEEDS
from pipelines.dag import contract_of

ROOT = Path(__file__).parents[2]
COMMANDS = tuple(NEEDS)
ALONE = tuple(command for command in COMMANDS if command != "notify")  # an exit task cannot be compiled alone
KINDS = {str: "STRING", int: "NUMBER_INTEGER", float: "NUMBER_DOUBLE", bool: "BOOLEAN"}
#: Names of outputs that are not the kind of their artifact.
MERGED = {"merge-examples": "examples", "merge-hyperparameters": "hyperparameters"}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Each component's definition and container as compiled."""
    folder = tmp_path_factory.mktemp("components")
    found = {}
    for command in ALONE:
        file = folder / f"{command}.yaml"
        compiler.Compiler().compile(component(contract_of(command), "an/image:1"), str(file))
        found[command] = yaml.safe_load(file.read_text())
    return found


def spec_of(compiled: dict[str, dict[str, Any]], command: str) -> tuple[dict[str, Any], dict[str, Any]]:
    definition = compiled[command]["components"][f"comp-{command}"]
    container = compiled[command]["deploymentSpec"]["executors"][f"exec-{command}"]["container"]
    return definition, container


def arguments_of(command: str) -> dict[str, Any]:
    """Return the options of a command that a component ought to have, straight from the command line."""
    arguments = cli.app[command].assemble_argument_collection(parse_docstring=True)
    return {
        argument.name.removeprefix("--").replace("-", "_"): argument
        for argument in arguments
        if argument.show and argument.name not in LEFT_OUT
    }


def test_there_is_a_component_for_every_stage_and_a_folder_for_every_component() -> None:
    assert set(STAGES) <= set(COMMANDS)
    folders = {path.parent.name for path in (ROOT / "components").glob("*/component.py")}
    assert folders == {command.replace("-", "_") for command in COMMANDS}
    assert set(STAGES) == set(STAGES_WITH_IMAGES)


@pytest.mark.parametrize("command", ALONE)
def test_names_types_defaults_and_explanations_are_those_of_the_command_line(command: str, compiled: Any) -> None:
    definition, _ = spec_of(compiled, command)
    inputs = definition.get("inputDefinitions", {})
    artifacts, parameters = set(inputs.get("artifacts", {})), inputs.get("parameters", {})
    options = arguments_of(command)
    assert artifacts | set(parameters) == set(options)
    for name, given in parameters.items():
        argument = options[name]
        may_be_missing = NoneType in get_args(argument.hint)
        kind = argument.hint if argument.hint in KINDS else str
        assert given["parameterType"] == KINDS[kind], name
        assert given["description"] == " ".join(argument.parameter.help.split()), name
        if argument.required:
            assert "defaultValue" not in given, name
        else:
            default = argument.field_info.default
            assert given.get("defaultValue", "") == ("" if may_be_missing else default), name


@pytest.mark.parametrize("command", STAGES)
def test_artifacts_are_those_of_the_stage(command: str, compiled: Any) -> None:
    definition, _ = spec_of(compiled, command)
    stage = load_stage(command)
    artifacts = definition.get("inputDefinitions", {}).get("artifacts", {})
    needed = {name.replace("_", "-") for name, one in artifacts.items() if not one.get("isOptional")}
    optional = {name.replace("_", "-") for name, one in artifacts.items() if one.get("isOptional")}
    assert needed == set(stage.takes)
    assert optional == set(stage.may_take)
    outputs = [name.replace("_", "-") for name in contract_of(command).outputs]
    assert outputs[0] == stage.makes
    assert set(outputs[1:]) == set(kubeflow.VIEWS.get(stage.makes, {}))


@pytest.mark.parametrize("command", ALONE)
def test_every_output_has_a_type_that_the_ui_knows(command: str, compiled: Any) -> None:
    definition, _ = spec_of(compiled, command)
    kinds = {
        one["artifactType"]["schemaTitle"]
        for part in ("inputDefinitions", "outputDefinitions")
        for one in definition.get(part, {}).get("artifacts", {}).values()
    }
    known = ("Artifact", "Dataset", "Model", "HTML", "Markdown", "Metrics", "ClassificationMetrics")
    assert kinds <= {f"system.{name}" for name in known}


@pytest.mark.parametrize("command", ALONE)
def test_the_command_line_is_one_that_the_command_takes(command: str, compiled: Any) -> None:
    _, container = spec_of(compiled, command)
    assert container["command"] == ["lstm-aa", command]
    *options, flag, placeholder = container["args"]
    assert (flag, placeholder) == ("--executor-input", "{{$}}")
    known = {argument.name for argument in cli.app[command].assemble_argument_collection() if argument.show}
    pattern = re.compile(
        r"(--[a-z0-9-]+)=\{\{\$\.(inputs|outputs)\.(parameters|artifacts)\['([a-z_0-9]+)'\](\.path)?\}\}"
    )
    named = {}
    for option in options:
        match = pattern.fullmatch(option)
        assert match, option
        named[match[1]] = match[4]
    assert set(named) <= known
    contract = contract_of(command)
    found_in_the_executor_input = {f"--{name.replace('_', '-')}" for name in (*contract.optional, *contract.several)}
    assert known - set(named) <= {*LEFT_OUT, *found_in_the_executor_input}
    for option, name in named.items():
        assert name == option.removeprefix("--").replace("-", "_") or option == "--out"


@pytest.mark.parametrize("command", COMMANDS)
def test_a_spec_is_nothing_but_a_spec(command: str) -> None:
    source = (ROOT / "components" / command.replace("-", "_") / "component.py").read_text()
    statements = ast.parse(source).body
    assert [type(one) for one in statements if not isinstance(one, ast.Expr | ast.Import | ast.ImportFrom)] == [
        ast.Assign
    ]
    assert ast.get_docstring(ast.parse(source))


@pytest.mark.parametrize(
    "file", sorted((ROOT / "pipelines" / "compiled").glob("**/*.yaml")), ids=lambda file: file.stem
)
def test_compiled_text_is_ascii(file: Path) -> None:
    """Kubeflow keeps it in a column that takes no other characters of four bytes; ASCII is safe everywhere."""
    assert file.read_bytes().isascii()


def test_the_views_are_those_that_an_artifact_kind_has() -> None:
    assert set(kubeflow.VIEWS) <= set(SCHEMA_VERSIONS)


def test_a_spec_that_names_no_option_of_the_command_cannot_be_compiled() -> None:
    from kfp import dsl

    wrong = Contract(command="train", inputs={"datasets": dsl.Dataset}, outputs={"model": dsl.Model})
    # its artifact would become a parameter of text beside the real one
    with pytest.raises(ValueError, match="datasets"):
        component(wrong, "an/image:1")


# --- the contract that people read -----------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_the_readme_names_everything(command: str) -> None:
    contract = contract_of(command)
    text = (ROOT / "components" / contract.name / "README.md").read_text()
    for name in (*contract.inputs, *contract.optional, *contract.several, *contract.outputs):
        assert f"`{name}`" in text, name
    assert tagged(contract.stage, "cpu") in text
    assert f"lstm-aa {command}" in text
    assert "docker run" in text
