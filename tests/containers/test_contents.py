"""What is in the images, and what is not."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from images.engine import HARDENED, NO_NETWORK, Engine
from images.names import STAGES, TORCH_STAGES, version
from images.sbom import write
from images.table import measure
from small_stages import REPOSITORY, USERS, Contained

REQUIREMENTS = REPOSITORY / "images" / "requirements"
_LABEL = "org.opencontainers.image."
#: Run in an image: names and versions of its Python packages.
_LISTED = """
import importlib.metadata as found, json, re
print(json.dumps({re.sub("[-_.]+", "-", d.name).lower(): d.version for d in found.distributions()}))
"""
#: Run in an image as root: what ought not to be there.
_UNWANTED = r"""
import pathlib, re, shutil, stat
import importlib.util
if importlib.util.find_spec("ensurepip"):
    print("module ensurepip")
for program in ("pip", "pip3", "gcc", "cc", "g++", "make", "ld", "git", "curl", "wget"):
    if shutil.which(program):
        print("program", program)
for top in ("bin", "sbin", "etc", "home", "opt", "root", "runs", "source", "srv", "tmp", "usr", "var", "wheel"):
    for path in pathlib.Path("/", top).rglob("*"):
        if path.is_symlink():
            continue
        name, mode = str(path), path.stat().st_mode
        if re.search(r"/pip/__init__\.py$|\.whl$|/\.netrc$|/pip\.conf$|/\.cache/|/id_(rsa|ed25519)$", name):
            print("file", name)
        if name.startswith("/tmp/") and not path.is_dir():
            print("left", name)
        if path.is_file() and mode & (stat.S_ISUID | stat.S_ISGID) and name.startswith("/opt"):
            print("gains rights", name)
        if mode & stat.S_IWOTH and not name.startswith(("/tmp", "/var/tmp", "/var/lock")):
            print("anybody may write", name)
        elif mode & stat.S_IWGRP and path.stat().st_gid == 0 and name not in ("/runs", "/var/tmp", "/var/lock"):
            print("group 0 may write", name)
"""
_COMPILED = """
import pathlib, sysconfig
site = pathlib.Path(sysconfig.get_path("purelib"))
for module in ("lstm_adversarial_attack/cli.py", "polars/__init__.py"):
    file = site / module
    print(len(list((file.parent / "__pycache__").glob(file.stem + ".*.pyc"))))
import json
print(len(list((pathlib.Path(json.__file__).parent / "__pycache__").glob("decoder.*.pyc"))))
"""


def locked(stage: str) -> dict[str, str]:
    """Return what the lock files say that an image for the CPU holds, on Python 3.11."""
    files = [REQUIREMENTS / "base.txt", REQUIREMENTS / f"{stage}.txt"]
    if stage in TORCH_STAGES:
        files += [REQUIREMENTS / "torch.txt", REPOSITORY / "requirements" / "torch.txt"]
    found = {"lstm-adversarial-attack": version()}
    for file in files:
        for name, release, marker in re.findall(
            r"^([a-z0-9.-]+)==(\S+)(?: ; (.+?))? \\$", file.read_text(), flags=re.M
        ):
            if "win32" not in marker and ">= '3.12'" not in marker:
                found[name] = release
    return found


@pytest.mark.parametrize("stage", STAGES)
def test_an_image_holds_what_is_locked_and_nothing_else(stage: str, contained: Contained) -> None:
    done = contained(stage, "python", "-c", _LISTED)
    held = {name: release.partition("+")[0] for name, release in json.loads(done.stdout).items()}
    assert held == locked(stage)
    assert ("torch" in held) == (stage in TORCH_STAGES)


@pytest.mark.parametrize("stage", STAGES)
def test_an_image_says_what_it_is(stage: str, engine: Engine, images: dict[str, str]) -> None:
    known = engine.inspect(images[stage])
    assert known is not None
    config = known["Config"]
    assert config.get("Entrypoint") is None
    assert config["User"] == USERS[0]
    assert config["Cmd"] == ["lstm-aa", "--help"]
    labels = {name.removeprefix(_LABEL): value for name, value in config["Labels"].items() if name.startswith(_LABEL)}
    assert labels["title"] == f"lstm-adversarial-attack {stage}"
    assert (labels["version"], labels["licenses"]) == (version(), "Apache-2.0")
    assert re.fullmatch(r"([0-9a-f]{40}(-dirty)?)?", labels["revision"])
    assert {"description", "source", "created", "base.name"} <= set(labels)
    secret = re.compile(r"password|token|secret|://[^ ]*@", flags=re.I)
    assert not [item for item in config["Env"] if secret.search(item)]
    assert not [line for line in _history(images[stage], engine) if secret.search(line)]


def _history(image: str, engine: Engine) -> list[str]:
    """Return the commands of the layers, without the mounts of build secrets, which say where and not what."""
    lines = engine.must("history", "--no-trunc", "--format", "{{.CreatedBy}}", image).splitlines()
    return [re.sub(r"--mount=type=secret\S+", "", line) for line in lines]


def test_stages_share_all_layers_but_their_own(engine: Engine, images: dict[str, str]) -> None:
    known = [engine.inspect(image) for image in images.values()]
    layers = [set(image["RootFS"]["Layers"]) for image in known if image]
    counted = Counter(layer for image in layers for layer in image)
    assert set(counted.values()) >= {len(STAGES), len(TORCH_STAGES)}
    assert all(sum(counted[layer] < len(TORCH_STAGES) for layer in image) <= 3 for image in layers)


@pytest.mark.parametrize("stage", ["extract", "train"])
def test_nothing_of_the_build_is_left(stage: str, engine: Engine, images: dict[str, str]) -> None:
    command = ["run", "--rm", "--network", "none", "--user", "0:0", images[stage], "python", "-c", _UNWANTED]
    assert engine.must(*command) == ""


def test_modules_are_compiled(contained: Contained) -> None:
    """A root that is read-only keeps no bytecode, so it has to be there."""
    assert contained("extract", "python", "-c", _COMPILED).stdout.split() == ["1", "1", "1"]


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("stage", STAGES)
def test_an_image_explains_its_stage(stage: str, user: str, contained: Contained) -> None:
    done = contained(stage, "lstm-aa", stage, "--help", user=user)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"lstm-aa {stage}" in done.stdout


def test_an_image_without_a_command_shows_help(engine: Engine, images: dict[str, str]) -> None:
    assert "lstm-aa COMMAND" in engine.must("run", "--rm", *HARDENED, *NO_NETWORK, images["attack"])


@pytest.mark.parametrize("stage", STAGES)
def test_lists_of_contents_agree_with_the_image(
    stage: str, images: dict[str, str], engine: Engine, tmp_path: Path
) -> None:
    found = write(stage, images[stage], engine, tmp_path, audit=False)
    listed = json.loads((tmp_path / f"{stage}.python.cdx.json").read_text())["components"]
    named = {
        re.sub("[-_.]+", "-", component["name"]).lower(): component["version"].partition("+")[0] for component in listed
    }
    assert named == locked(stage)
    assert found.python == len(named)
    debian = json.loads((tmp_path / f"{stage}.debian.cdx.json").read_text())["components"]
    assert {"libc6", "libssl3", "tzdata"} & {component["name"] for component in debian}
    assert found.debian > 50
    assert all(component["purl"].startswith("pkg:deb/debian/") for component in debian)


def test_a_measured_image_gives_a_row(
    images: dict[str, str], engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("images.table.FOLDER", tmp_path)
    row = measure("preprocess", images["preprocess"], engine, rounds=1, audit=False)
    assert row.own < row.size / 10
    assert 0 < row.process_s < row.run_s
    assert row.cells()[0] == "`preprocess`"
