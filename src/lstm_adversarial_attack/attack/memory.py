"""How many samples a device can attack at once."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

#: Share of the free memory that an attack may take, and most samples at once: more are no faster, and on a CPU slower
#: (LSTM of 128 units, processor time of a gradient: 0.62 ms a sample at 64, 0.89 at 128, 1.4 at 1,024).
_SHARE = 0.5
_MOST = {"cpu": 64, "cuda": 8192}
#: Copies of a sample's cells that an attack holds beside what the model does.
_COPIES = 60
_PROBE = 2


def bytes_per_sample(model: Callable[..., Tensor], values: Tensor, context: tuple[Tensor, ...]) -> int:
    """Return what a gradient evaluation of one more sample takes: what the model keeps for its backward pass."""

    def kept(samples: int) -> int:
        seen: dict[int, int] = {}

        def pack(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            seen[storage.data_ptr()] = storage.nbytes()
            return tensor

        repeated = [part[:1].repeat_interleave(samples, dim=0) for part in (values, *context)]
        with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            held = model(repeated[0].detach().requires_grad_(), *repeated[1:])
        size = sum(seen.values())
        del held
        return size

    grown = (kept(2 * _PROBE) - kept(_PROBE)) // _PROBE
    return max(grown, 0) + _COPIES * values[0].numel() * values.element_size()


def free_bytes(device: torch.device) -> float:
    """Return the memory that is free on ``device``; what the system keeps of files counts as free."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    try:
        described = Path("/proc/meminfo").read_text(encoding="ascii")
        free = int(described.partition("MemAvailable:")[2].split()[0]) * 1024
    except (OSError, ValueError, IndexError):  # not Linux
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min(free, free_in_container(Path("/sys/fs/cgroup")))


def free_in_container(group: Path) -> float:
    """Return the bytes that a container may still take by its control group (version 2), infinite without a limit."""
    try:
        limit, used = ((group / name).read_text(encoding="ascii").strip() for name in ("memory.max", "memory.current"))
        inactive = (group / "memory.stat").read_text(encoding="ascii").partition("inactive_file ")[2].split()
        return max(int(limit) - int(used) + int(inactive[0]), 0)
    except (OSError, ValueError, IndexError):  # no such group, or the limit is "max"
        return math.inf


def fitting_batch(model: Callable[..., Tensor], values: Tensor, context: tuple[Tensor, ...]) -> int:
    """Return how many samples to attack at once: as many as are worth while, halved until they fit; at least 1.

    Halving keeps the number the same from run to run, for as long as memory is not short.
    """
    if len(values) == 0:
        return 1
    fits = _SHARE * free_bytes(values.device) / bytes_per_sample(model, values, context)
    size = _MOST.get(values.device.type, _MOST["cuda"])
    while size > max(fits, 1):
        size //= 2
    return size
