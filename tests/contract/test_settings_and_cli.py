"""Settings and command line say the same: names, defaults, help, and which of several values counts."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec
import pytest
import yaml
from cyclopts.argument import Argument

from lstm_adversarial_attack import cli, local_run
from lstm_adversarial_attack.protocols import load_protocol, load_settings, protocol_names
from lstm_adversarial_attack.settings import (
    SEEDED,
    AttackSettings,
    AttackTuneSettings,
    EvaluateSettings,
    Execution,
    ExtractSettings,
    PreprocessSettings,
    TrainSettings,
    TuneExecution,
    TuneSettings,
    as_manifest,
    checked,
)
from lstm_adversarial_attack.stage import STAGES, load_stage

SETTINGS: dict[str, Any] = {
    "extract": ExtractSettings,
    "preprocess": PreprocessSettings,
    "tune": TuneSettings,
    "train": TrainSettings,
    "attack-tune": AttackTuneSettings,
    "attack": AttackSettings,
    "evaluate": EvaluateSettings,
}
COMMANDS = (*STAGES, "merge-examples", "run", "audit", "fetch", "load-database", "synthesize")
ON_A_DEVICE = ("tune", "train", "attack-tune", "attack", "run")
SEARCHING = ("tune", "attack-tune", "run")
WITH_PROTOCOL = ("extract", "preprocess", "attack-tune", "attack", "run")


def options_of(command: str) -> dict[str, Argument]:
    """Return the options of a command by their first name, without the groups that hold others."""
    arguments = cli.app[command].assemble_argument_collection(parse_docstring=True)
    return {argument.names[0]: argument for argument in arguments if argument.show}


def dashed(field: str) -> str:
    return field.replace("_", "-")


def defaults_of(kind: Any) -> dict[str, Any]:
    return {field.name: field.default for field in dataclasses.fields(kind)}


def execution_of(command: str) -> dict[str, Any]:
    """Return the options of a command that say how it is carried out, with their defaults."""
    if command in SEARCHING:
        return defaults_of(TuneExecution)
    return defaults_of(Execution) if command in ON_A_DEVICE else {}


# --- names, defaults and help -----------------------------------------------------------------------------------


def test_every_stage_is_a_command_and_has_settings() -> None:
    assert set(STAGES) == set(SETTINGS)
    for name in STAGES:
        assert load_stage(name).name == name
        assert cli.app[name].name == (name,)


@pytest.mark.parametrize("stage", STAGES)
def test_options_of_a_stage_are_the_fields_of_its_settings(stage: str) -> None:
    options = options_of(stage)
    loaded = load_stage(stage)
    of_inputs = {f"--{kind}" for kind in (*loaded.takes, *loaded.may_take, *loaded.may_take_many)}
    of_execution = {f"--{name}" for name in execution_of(stage)}
    common = {"--out", "--settings", "--force"} | ({"--protocol"} if stage in WITH_PROTOCOL else set())
    common |= {"--enforce-gate"} if stage == "evaluate" else set()
    of_source = {"--source", "--snapshot-id"} if stage == "extract" else set()

    of_settings = set(options) - of_inputs - of_execution - common - of_source

    assert of_settings == {f"--{dashed(name)}" for name in defaults_of(SETTINGS[stage])}
    assert set(options) == of_settings | of_inputs | of_execution | common | of_source


@pytest.mark.parametrize("stage", STAGES)
def test_defaults_of_a_stage_are_those_of_its_settings(stage: str) -> None:
    options = options_of(stage)
    defaults = defaults_of(SETTINGS[stage]) | execution_of(stage)

    assert {name: options[f"--{dashed(name)}"].field_info.default for name in defaults} == defaults


def test_run_has_the_options_of_every_stage() -> None:
    options = options_of("run")
    expected = {
        f"--{stage}.{dashed(name)}": default
        for stage in STAGES
        for name, default in defaults_of(SETTINGS[stage]).items()
    }

    assert {name: a.field_info.default for name, a in options.items() if "." in name} == expected
    for name, default in execution_of("run").items():
        assert options[f"--{name}"].field_info.default == default


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_has_help(command: str) -> None:
    silent = [name for name, argument in options_of(command).items() if not (argument.parameter.help or "").strip()]

    assert not silent


@pytest.mark.parametrize("command", COMMANDS)
def test_help_names_every_option(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")  # narrow tables break long names

    cli.main([command, "--help"])

    printed = capsys.readouterr().out.split()
    assert not [name for name in options_of(command) if name not in printed]


# --- protocols and files ----------------------------------------------------------------------------------------


def test_protocol_clinical_is_the_defaults() -> None:
    protocol = load_protocol("clinical")

    for stage, section in protocol.items():
        defaults = defaults_of(SETTINGS[stage])
        assert section == {name: defaults[name] for name in section}
    assert protocol["extract"].keys() == defaults_of(ExtractSettings).keys() - {"catalogue"}
    assert protocol["preprocess"].keys() == defaults_of(PreprocessSettings).keys() - {"seed", "split_file"}


@pytest.mark.parametrize("name", protocol_names())
def test_protocols_of_the_package_name_settings_that_exist(name: str) -> None:
    for stage, section in load_protocol(name).items():
        checked(SETTINGS[stage](**section))


@pytest.mark.parametrize("stage", STAGES)
def test_settings_survive_yaml(stage: str, tmp_path: Path) -> None:
    changed = SETTINGS[stage](**_others(SETTINGS[stage]))
    file = tmp_path / "settings.yaml"
    file.write_text(yaml.safe_dump({stage: as_manifest(changed)}))

    section = load_settings(file)[stage]

    assert msgspec.convert(section, SETTINGS[stage]) == changed


@pytest.mark.parametrize("word", ["on", "off", "auto"])
def test_on_and_off_need_no_quotes_in_a_settings_file(word: str, tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(f"evaluate: {{explorer: {word}}}\n")
    assert load_settings(file)["evaluate"] == {"explorer": word}


def _others(kind: type[Any]) -> dict[str, Any]:
    """Return other values of all fields, of the same types and within their ranges."""
    hints = get_type_hints(kind)
    return {name: _other(value, hints[name]) for name, value in defaults_of(kind).items()}


def _other(value: Any, hint: Any) -> Any:
    """Return another value of the same type that lies in the range; texts stay as they are."""
    if value is None:
        first = get_args(hint)[0]
        return get_args(first)[0] if get_origin(first) is Literal else first(0.5) or 1
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    return value / 2 + 0.25 if isinstance(value, float) else value


# --- which value counts -----------------------------------------------------------------------------------------


@pytest.fixture
def settings_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Return the settings that a command line leads to, stage to settings; nothing is run."""
    found: dict[str, Any] = {}

    def one_stage(stage: Any, *, settings: Any, **_: Any) -> None:
        found[stage.name] = settings

    def no_run(_source: str, _out: Path, settings: dict[str, Any], *_: Any, **__: Any) -> tuple[Path, tuple[str, ...]]:
        found.update(settings)
        return Path("report.html"), ()

    monkeypatch.setattr(cli, "carry_out", one_stage)
    monkeypatch.setattr(local_run, "run_all", no_run)
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> dict[str, Any]:
        found.clear()
        cli.main(list(arguments))
        return dict(found)

    return call


#: Command lines that lack only what a test is about.
COMPLETE = {
    "extract": ["extract", "--source", "synthetic:5", "--out", "x"],
    "preprocess": ["preprocess", "--events", "x", "--out", "x"],
    "tune": ["tune", "--dataset", "x", "--out", "x"],
    "train": ["train", "--dataset", "x", "--out", "x"],
    "attack-tune": ["attack-tune", "--dataset", "x", "--model", "x", "--out", "x"],
    "attack": ["attack", "--dataset", "x", "--model", "x", "--out", "x"],
    "evaluate": ["evaluate", "--dataset", "x", "--model", "x", "--examples", "x", "--out", "x"],
}


def written(file: str, content: Any) -> str:
    Path(file).write_text(yaml.safe_dump(content))
    return file


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_without_options_takes_the_defaults(settings_of: Any, stage: str) -> None:
    assert settings_of(*COMPLETE[stage]) == {stage: SETTINGS[stage]()}


def test_run_without_options_takes_the_defaults(settings_of: Any) -> None:
    assert settings_of("run") == {stage: kind() for stage, kind in SETTINGS.items()}


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("form", ["alone", "run"])
def test_every_field_can_come_from_the_settings_file(settings_of: Any, stage: str, form: str) -> None:
    changed = SETTINGS[stage](**_others(SETTINGS[stage]))
    file = written("settings.yaml", {stage: as_manifest(changed)})

    command = COMPLETE[stage] if form == "alone" else ["run"]

    assert settings_of(*command, "--settings", file)[stage] == changed


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("form", ["alone", "run"])
def test_every_field_can_come_from_the_command_line(settings_of: Any, stage: str, form: str) -> None:
    values = _others(SETTINGS[stage])
    command, prefix = (COMPLETE[stage], "--") if form == "alone" else (["run"], f"--{stage}.")

    found = settings_of(*command, *(f"{prefix}{dashed(name)}={value}" for name, value in values.items()))

    assert found[stage] == SETTINGS[stage](**values)


@pytest.mark.parametrize("form", ["alone", "run"])
def test_precedence(settings_of: Any, form: str) -> None:
    """Command line over --settings over --protocol over the default, field by field."""
    fields = ("window_hours", "min_age_years", "min_measurements")
    protocol = written("protocol.yaml", {"extract": dict.fromkeys(fields, 40)})
    settings = written("settings.yaml", {"extract": dict.fromkeys(fields[:2], 30)})
    command, prefix = (COMPLETE["extract"], "--") if form == "alone" else (["run"], "--extract.")

    found = settings_of(*command, "--protocol", protocol, "--settings", settings, f"{prefix}{dashed(fields[0])}", "20")

    assert found["extract"] == ExtractSettings(window_hours=20, min_age_years=30, min_measurements=40)
    assert found["extract"].features == ExtractSettings().features


def test_sections_of_other_stages_do_not_reach_a_stage(settings_of: Any) -> None:
    file = written("settings.yaml", {"tune": {"seed": 5}, "train": {"seed": 6}})

    assert settings_of(*COMPLETE["train"], "--settings", file)["train"].seed == 6
    assert settings_of(*COMPLETE["evaluate"], "--settings", file)["evaluate"].seed == 0


def test_seed_of_run_reaches_every_stage_that_has_one(settings_of: Any) -> None:
    found = settings_of("run", "--seed", "7")

    assert {stage: found[stage].seed for stage in SEEDED} == dict.fromkeys(SEEDED, 7)
    assert set(STAGES) - set(SEEDED) == {"extract"}
    assert found["extract"] == ExtractSettings()


def test_seed_of_run_gives_way_to_a_seed_of_the_stage(settings_of: Any) -> None:
    settings = written("settings.yaml", {"tune": {"seed": 2}})
    protocol = written("protocol.yaml", {"preprocess": {"seed": 3}})

    found = settings_of("run", "--seed", "7", "--train.seed", "1", "--settings", settings, "--protocol", protocol)

    seeds = {stage: found[stage].seed for stage in SEEDED}
    assert seeds == dict.fromkeys(SEEDED, 7) | {"train": 1, "tune": 2, "preprocess": 3}


def test_features_of_run_is_short_for_those_of_extract(settings_of: Any) -> None:
    assert settings_of("run", "--features", "reference-19")["extract"] == ExtractSettings(features="reference-19")


# --- ranges -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", STAGES)
def test_defaults_lie_in_their_ranges(stage: str) -> None:
    assert checked(SETTINGS[stage]()) == SETTINGS[stage]()
    assert checked(Execution()) == Execution()
    assert checked(TuneExecution()) == TuneExecution()


@pytest.mark.parametrize("stage", STAGES)
def test_every_number_has_a_range_below_which_it_is_refused(stage: str) -> None:
    for name, default in defaults_of(SETTINGS[stage]).items():
        if isinstance(default, bool | str):
            continue
        with pytest.raises(Exception, match=f"--{dashed(name)} -1"):
            checked(SETTINGS[stage](**{name: -1}))
