"""What the images are called: the one place that knows.

An image is named ``[REGISTRY/]lstm-adversarial-attack/STAGE:TAG``. The tag is the package's version, and of an image
that holds torch, the accelerator after it, as in ``0.1.0-cpu`` and ``0.1.0-cuda``. Images that were pushed are known by
the digests that the registry answered, which `make push` writes to ``images.lock.yaml`` beside this module.

Only the standard library is imported here, and PyYAML where there is a lock, so that images can be built and pipelines
compiled without the package.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
LOCK_FILE = HERE / "images.lock.yaml"

STAGES = ("extract", "preprocess", "tune", "train", "attack-tune", "attack", "evaluate")
#: Stages that calculate with torch, and so have an image for each accelerator.
TORCH_STAGES = ("tune", "train", "attack-tune", "attack")
ACCELERATORS = ("cpu", "cuda")
PROJECT = "lstm-adversarial-attack"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class Lock:
    """The images of one version, built of one commit, in one registry: their digests by `key`."""

    registry: str
    version: str
    digests: Mapping[str, str] = field(default_factory=dict)
    revision: str = ""


@cache
def version() -> str:
    """Return the package's version, which is also that of its images."""
    project = tomllib.loads((HERE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project["version"])


def key(stage: str, accelerator: str = "cpu") -> str:
    """Return what tells an image from the others: the stage, and of one with torch the accelerator after a slash.

    Raises:
        ValueError: there is no such stage or accelerator.
    """
    if stage not in STAGES:
        raise ValueError(f"no stage {stage!r}; there are {', '.join(STAGES)}")
    if accelerator not in ACCELERATORS:
        raise ValueError(f"no accelerator {accelerator!r}; there are {', '.join(ACCELERATORS)}")
    return f"{stage}/{accelerator}" if stage in TORCH_STAGES else stage


def keys(accelerator: str = "cpu") -> dict[str, str]:
    """Return the `key` of every stage's image for an accelerator, by stage."""
    return {stage: key(stage, accelerator) for stage in STAGES}


def tagged(stage: str, accelerator: str = "cpu", registry: str = "") -> str:
    """Return the name of a stage's image with its tag.

    ``accelerator`` is heeded for `TORCH_STAGES` alone. ``registry`` is a host, with a port or a path where it has one,
    as in ``registry.example:5000/team``; without it the name is that of a local image.

    Raises:
        ValueError: there is no such stage or accelerator.
    """
    suffix = key(stage, accelerator).partition("/")[2]
    tag = f"{version()}-{suffix}" if suffix else version()
    return f"{_prefix(registry)}{PROJECT}/{stage}:{tag}"


def image(stage: str, accelerator: str = "cpu", registry: str = "", *, lock: Path = LOCK_FILE) -> str:
    """Return the name to run a stage's image by: `tagged`, and its digest where the lock knows it.

    The lock knows an image that was pushed to ``registry`` in this version. Its name then reads ``NAME:TAG@sha256:..``,
    which stays the same image even where somebody pushes another one by that tag.

    Raises:
        ValueError: there is no such stage or accelerator, or the lock is damaged.
    """
    name = tagged(stage, accelerator, registry)
    known = read_lock(lock)
    if not registry or known is None or (known.registry, known.version) != (registry.rstrip("/"), version()):
        return name
    digest = known.digests.get(key(stage, accelerator))
    return f"{name}@{digest}" if digest else name


def read_lock(file: Path = LOCK_FILE) -> Lock | None:
    """Return what `make push` wrote, or None where nothing was pushed from this checkout.

    Raises:
        ValueError: the file is not what `write_lock` writes.
    """
    if not file.exists():
        return None
    import yaml  # here, because names alone need nothing beyond the standard library

    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        lock = Lock(
            content["registry"], content["version"], dict(_flat(content["images"])), content.get("revision", "")
        )
    except (KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
        told = " ".join(str(error).split())
        raise ValueError(f"{file}: not a lock of images ({told}); write it anew with make push") from error
    strange = {name: digest for name, digest in lock.digests.items() if not _DIGEST.fullmatch(str(digest))}
    if strange:
        raise ValueError(f"{file}: no digests: {strange}; write it anew with make push")
    return lock


def write_lock(lock: Lock, file: Path = LOCK_FILE) -> None:
    """Write the digests of pushed images, by stage and where a stage has several images, by accelerator."""
    nested: dict[str, Any] = {}
    for name in sorted(lock.digests, key=lambda name: STAGES.index(name.partition("/")[0])):
        stage, _, accelerator = name.partition("/")
        if accelerator:
            nested.setdefault(stage, {})[accelerator] = lock.digests[name]
        else:
            nested[stage] = lock.digests[name]
    content = {"registry": lock.registry, "version": lock.version, "revision": lock.revision, "images": nested}
    import yaml

    head = "# Digests of pushed images, as the registry answered them. Written by make push.\n"
    draft = file.with_name(f".{file.name}")
    draft.write_text(head + yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    draft.replace(file)


def _flat(images: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for stage, digest in images.items():
        if isinstance(digest, Mapping):
            yield from ((key(stage, accelerator), one) for accelerator, one in digest.items())
        else:
            yield stage, digest


def _prefix(registry: str) -> str:
    return f"{registry.rstrip('/')}/" if registry else ""
