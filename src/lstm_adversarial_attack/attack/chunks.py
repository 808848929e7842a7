"""The chunks of an attack: what is attacked at once, kept when it is finished, and dealt out to shards."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from lstm_adversarial_attack.attack.keeper import KINDS, SIZES
from lstm_adversarial_attack.attack.result import AttackResult, Found, Frontier
from lstm_adversarial_attack.attack.singles import Singles
from lstm_adversarial_attack.settings import shard_of

_SINGLES = tuple(field.name for field in fields(Singles))
_NAME = re.compile(r"chunk-([0-9]+)-[0-9]+\.safetensors")


@dataclass(frozen=True)
class Chunk:
    """Samples that are attacked at once, as indices into the dataset; their predictions; the file for what is found."""

    samples: Tensor
    predicted: Tensor
    file: Path


def chunks_of(chosen: Tensor, predicted: Tensor, size: int, shard: str, work: Path) -> list[Chunk]:
    """Cut the ``chosen`` samples into chunks, and return those of a shard, as in 2/4: every fourth from the second on.

    The size stands in the files' names, so that chunks of another size are never taken for these.
    """
    number, shards = shard_of(shard)
    return [
        Chunk(samples, labels, work / f"chunk-{size}-{place:06}.safetensors")
        for place, (samples, labels) in enumerate(
            zip(torch.split(chosen, size), torch.split(predicted, size), strict=True)
        )
        if place % shards == number - 1
    ]


def chunk_size(given: int, fitting: Callable[[], int], work: Path) -> int:
    """Return the samples of a chunk: as given; else that of unfinished work, where it fits; else what fits."""
    if given:
        return given
    fits = fitting()
    begun = {int(match[1]) for path in work.iterdir() if (match := _NAME.fullmatch(path.name))}
    return max((size for size in begun if size <= fits), default=fits)


def save(result: AttackResult, singles: Singles | None, path: Path) -> None:
    """Write what was found of a chunk; the file is whole when it is there."""
    tensors = {"gradients": result.gradients, "forwards": result.forwards}
    for kind in KINDS:
        found = result.found(kind)
        tensors |= {f"{kind}.{name}": getattr(found, name) for name in ("cells", "changes", "iteration")}
    for size, frontier in result.frontier.items():
        tensors |= {f"frontier.{size}.{name}": getattr(frontier, name) for name in ("sizes", "cells", "changes")}
    if singles is not None:
        tensors |= {f"singles.{name}": getattr(singles, name) for name in _SINGLES}
    tensors["shape"] = torch.tensor(result.first.shape)
    partial = path.with_suffix(".partial")
    save_file({name: tensor.cpu().contiguous() for name, tensor in tensors.items()}, partial)
    partial.replace(path)


def load(path: Path, device: torch.device) -> tuple[AttackResult, Singles | None]:
    """Read what was found of a chunk."""
    tensors = load_file(path, device=str(device))
    samples, hours, features = tensors["shape"].tolist()
    shape = (samples, hours, features)
    found = {
        kind: Found(shape, *(tensors[f"{kind}.{name}"] for name in ("cells", "changes", "iteration"))) for kind in KINDS
    }
    frontier = {
        size: Frontier(shape, *(tensors[f"frontier.{size}.{name}"] for name in ("sizes", "cells", "changes")))
        for size in SIZES
    }
    result = AttackResult(**found, frontier=frontier, gradients=tensors["gradients"], forwards=tensors["forwards"])
    known = [tensors[name] for name in (f"singles.{part}" for part in _SINGLES) if name in tensors]
    return result, Singles(*known) if known else None
