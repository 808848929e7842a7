"""What can be said of the images without building them: the Dockerfile, the lock files and the names."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from documents import ROOT
from images import names
from images.build import built, main, parser, pip_settings
from images.engine import Engine, Failure
from lstm_adversarial_attack.stage import STAGES, load_stage

REQUIREMENTS = ROOT / "images" / "requirements"
DOCKERFILE = ROOT / "images" / "Dockerfile"
INSTALL = ROOT / "images" / "install.sh"


def blocks(file: Path) -> set[str]:
    """Return the entries of a lock file, hashes included."""
    return {block.strip() for block in re.split(r"\n(?=[a-z0-9])", file.read_text().strip()) if block.strip()}


def test_hadolint_finds_nothing() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("hadolint"), "--no-color", DOCKERFILE],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_the_dockerfile_builds_with_what_old_and_new_engines_know() -> None:
    text = DOCKERFILE.read_text()
    assert not re.search(r"^#\s*syntax=|<<|COPY --link|^ENTRYPOINT", text, flags=re.M)
    assert not re.search(r"https?://", text)
    assert all(f" AS on-{stage}\n" in text for stage in STAGES)


@pytest.mark.parametrize("file", sorted(REQUIREMENTS.glob("*.txt")), ids=lambda file: file.name)
def test_images_install_what_is_locked_for_all(file: Path) -> None:
    """The same versions by the same hashes as on a laptop, and no address."""
    assert blocks(file) <= blocks(ROOT / "requirements" / "run.txt")
    assert "://" not in file.read_text()
    assert "torch==" not in file.read_text()


def test_the_stages_are_those_of_the_package() -> None:
    assert names.STAGES == STAGES
    assert tuple(stage for stage in STAGES if load_stage(stage).on_device) == names.TORCH_STAGES


def test_names_tell_version_and_accelerator() -> None:
    version = names.version()
    assert names.image("extract") == f"lstm-adversarial-attack/extract:{version}"
    assert names.image("extract", "cuda") == names.image("extract", "cpu")
    assert names.image("attack-tune", "cuda") == f"lstm-adversarial-attack/attack-tune:{version}-cuda"
    assert (
        names.image("train", "cpu", "host:5000/team/") == f"host:5000/team/lstm-adversarial-attack/train:{version}-cpu"
    )


@pytest.mark.parametrize(("stage", "accelerator"), [("predict", "cpu"), ("train", "tpu")])
def test_what_there_is_not_has_no_name(stage: str, accelerator: str) -> None:
    with pytest.raises(ValueError, match=r"no (stage 'predict'|accelerator 'tpu'); there are"):
        names.image(stage, accelerator)


def test_a_lock_pins_what_was_pushed_in_this_version_to_this_registry(tmp_path: Path) -> None:
    lock, digest = tmp_path / "images.lock.yaml", f"sha256:{'1' * 64}"
    names.write_lock(names.Lock("host:5000", names.version(), {"train/cuda": digest, "extract": digest}), lock)
    assert names.read_lock(lock) == names.Lock("host:5000", names.version(), {"extract": digest, "train/cuda": digest})
    assert (
        names.image("train", "cuda", "host:5000", lock=lock) == f"{names.tagged('train', 'cuda', 'host:5000')}@{digest}"
    )
    for stage, accelerator, registry in (
        ("train", "cpu", "host:5000"),
        ("train", "cuda", ""),
        ("train", "cuda", "other"),
    ):
        assert "@" not in names.image(stage, accelerator, registry, lock=lock)
    names.write_lock(names.Lock("host:5000", "0.0.0", {"extract": digest}), lock)
    assert "@" not in names.image("extract", registry="host:5000", lock=lock)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "images: {}",
        "registry: a\nversion: b\nimages: {extract: latest}\n",
        "registry: a\nversion: b\nimages: {extract: 'sha256:'}\n",
        "{",
    ],
)
def test_a_damaged_lock_is_told(content: str, tmp_path: Path) -> None:
    (tmp_path / "images.lock.yaml").write_text(content)
    with pytest.raises(ValueError, match=r"images\.lock\.yaml: .*write it anew with make push"):
        names.read_lock(tmp_path / "images.lock.yaml")


def test_without_an_engine_it_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DOCKER", str(tmp_path / "no-client"))
    with pytest.raises(SystemExit, match="2"):
        main(["images"])
    assert "install Docker, or name another with DOCKER=PATH" in capsys.readouterr().err
    client = tmp_path / "client"
    client.write_text("#!/bin/sh\necho 'Cannot connect' >&2\nexit 1\n")
    client.chmod(0o755)
    monkeypatch.setenv("DOCKER", str(client))
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere")
    with pytest.raises(SystemExit, match="2"):
        main(["push", "--registry", "host:5000"])
    assert "no container engine answers" in (told := capsys.readouterr().err)
    assert "unix:///nowhere" in told


def test_every_option_is_explained() -> None:
    for command in ("images", "push"):
        with pytest.raises(SystemExit, match="0"):
            parser().parse_args([command, "--help"])
    commands = next(action for action in parser()._actions if isinstance(action.choices, dict))
    assert commands.choices is not None
    for one in commands.choices.values():
        assert all(action.help for action in one._actions), one.prog


def test_settings_of_pip_are_read_as_pip_means_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One setting may be of several lines, and its quotes are pip's."""
    (tmp_path / "pip.conf").write_text(
        f"[global]\nindex-url = https://a.example/x'y\nfind-links =\n    {tmp_path}/one\n    {tmp_path}/two\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    for name in ("PIP_INDEX_URL", "PIP_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    settings = pip_settings()
    assert settings["index-url"] == "https://a.example/x'y"
    assert settings["find-links"].split()[-2:] == [f"{tmp_path}/one", f"{tmp_path}/two"]


def test_only_wheels_are_installed_and_only_by_hash() -> None:
    """A source package would fetch what builds it without any hash."""
    (line,) = re.findall(r"pip --python /opt/venv install (.*?\$@)", INSTALL.read_text(), flags=re.S)
    assert "--require-hashes" in line
    assert "--no-deps" in line
    assert "--only-binary :all:" in line


def test_a_lock_is_of_one_commit(tmp_path: Path) -> None:
    lock = names.Lock("host:5000", "0.1.0", {"extract": f"sha256:{'1' * 64}"}, "c0ffee")
    names.write_lock(lock, tmp_path / "images.lock.yaml")
    assert names.read_lock(tmp_path / "images.lock.yaml") == lock
    assert [file.name for file in tmp_path.iterdir()] == ["images.lock.yaml"]


class _Shelf(Engine):
    """An engine that has the images named and can do nothing else."""

    def inspect(self, image: str) -> dict[str, Any] | None:
        return {"Id": image} if image in self.environ else None


@pytest.mark.parametrize("accelerators", [("cpu",), ("cuda",), ("cpu", "cuda")])
def test_what_was_built_is_told_by_accelerator(accelerators: tuple[str, ...]) -> None:
    known = {names.key(stage, each): names.tagged(stage, each) for each in accelerators for stage in names.STAGES}
    assert built(_Shelf(environ=dict.fromkeys(known.values(), "")), complete=True) == known


def test_an_accelerator_with_some_stages_alone_is_refused() -> None:
    there = [*names.keys("cpu"), "train"]
    shelf = {names.tagged(stage, "cpu"): "" for stage in there} | {names.tagged("train", "cuda"): ""}
    with pytest.raises(Failure, match=r"not built for cuda, .*: tune, attack-tune, attack; run make"):
        built(_Shelf(environ=shelf), complete=True)
    assert set(built(_Shelf(environ=shelf))) == {*names.keys("cpu").values(), "train/cuda"}
    with pytest.raises(Failure, match=r"not built for cpu, .*: extract, "):
        built(_Shelf(environ={}))
