"""Protocols: named settings files that fix cohort, window, features, imputation, scaling and split."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.settings import SETTINGS, checked_section


def protocol_names() -> list[str]:
    """Return the names of the protocols that come with the package."""
    files = resources.files(__package__).iterdir()
    return sorted(file.name.removesuffix(".yaml") for file in files if file.name.endswith(".yaml"))


def load_protocol(name: str) -> dict[str, Any]:
    """Return the settings of a protocol: one of the package's by name, or a user's YAML file by path.

    Raises:
        UserError: no such protocol, or not a settings file.
    """
    if name in protocol_names():
        return read_settings(name, resources.files(__package__).joinpath(f"{name}.yaml").read_text())
    if name.endswith((".yaml", ".yml")):
        return load_settings(Path(name))
    known = ", ".join(protocol_names())
    raise UserError(f"--protocol {name}: no such protocol; choose one of {known}, or give a .yaml file")


def load_settings(path: Path) -> dict[str, Any]:
    """Read a settings file: sections named as the stages, fields named as their options."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: the settings file cannot be read ({error})") from error
    return read_settings(str(path), text)


def read_settings(where: str, text: str) -> dict[str, Any]:
    """Parse YAML into sections."""
    try:
        content = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise UserError(f"{where}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict) or not all(isinstance(section, dict) for section in content.values()):
        raise UserError(f"{where}: a settings file has a section for each stage, such as `train:`, with options below")
    strange = next((name for name in content if name not in SETTINGS), None)
    if strange is not None:
        raise UserError(f"{where}: section {strange!r} is none of the stages; the sections are {', '.join(SETTINGS)}")
    return {stage: checked_section(where, stage, section) for stage, section in content.items()}
