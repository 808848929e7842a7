"""What the LSTM reads of each hour, computed from values and masks alone and differentiable in the values.

An hour sees what was measured up to its end and nothing later. Gradients reach a cell through its own hour and
through the running figures of later hours.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

#: Hours after which a measurement counts as old: time since is 1 - exp(-hours / this).
_FRESH_HOURS = 8.0
_FAR = 1e9

#: Blocks of inputs by the name of the choice; each choice adds to those before it.
BLOCKS: dict[str, tuple[str, ...]] = {
    "values": ("value",),
    "masks": ("observed",),
    "time-since": ("since",),
    "summaries": ("mean", "least", "greatest", "trend", "count"),
}


def blocks_of(choice: str) -> tuple[str, ...]:
    """Return the names of the blocks that a choice of inputs holds."""
    names = list(BLOCKS)
    return tuple(block for name in names[: names.index(choice) + 1] for block in BLOCKS[name])


def hours_since(observed: Tensor) -> Tensor:
    """Return the hours since the last measurement [sample, hour, feature]; before the first, those since admission.

    An hour with a measurement has 0. Before the first measurement it counts as one hour more than have passed.
    """
    hours = torch.arange(observed.shape[1], device=observed.device, dtype=torch.float32)[None, :, None]
    last = torch.where(observed, hours, -1.0).cummax(dim=1).values
    return hours - last


def running(values: Tensor, observed: Tensor, choice: str) -> Tensor:
    """Return the inputs of each hour, [sample, hour, block x feature].

    ``mean``, ``least``, ``greatest`` are of the measurements so far, ``trend`` is the value less the first
    measurement, ``count`` the logarithm of their number. Before the first measurement they are those of the value
    that fills its place.

    Args:
        values: [sample, hour, feature] float32, standardised units.
        observed: [sample, hour, feature] bool.
        choice: key of `BLOCKS`.
    """
    blocks = blocks_of(choice)
    parts: dict[str, Tensor] = {"value": values, "observed": observed.to(values.dtype)}
    if "since" in blocks:
        parts["since"] = 1 - torch.exp(-hours_since(observed) / _FRESH_HOURS)
    if "mean" in blocks:
        mask = parts["observed"]
        count = mask.cumsum(dim=1)
        seen = count > 0
        first = values.gather(1, mask.argmax(dim=1, keepdim=True))
        parts["mean"] = torch.where(seen, (values * mask).cumsum(dim=1) / count.clamp_min(1), values)
        parts["least"] = torch.where(seen, values.masked_fill(~observed, _FAR).cummin(dim=1).values, values)
        parts["greatest"] = torch.where(seen, values.masked_fill(~observed, -_FAR).cummax(dim=1).values, values)
        parts["trend"] = torch.where(seen, values - first, 0.0)
        parts["count"] = torch.log1p(count) / 2
    return torch.cat([parts[block] for block in blocks], dim=2)


class Decay(nn.Module):
    """Values that were carried forward decay towards the mean of training patients, which is 0.

    ``gamma = exp(-max(0, w * hours + b))`` for each feature, as the input decay of GRU-D (Che et al., Recurrent Neural
    Networks for Multivariate Time Series with Missing Values, Scientific Reports 8:6085, 2018).
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.rate = nn.Parameter(torch.full((features,), 0.05))
        self.offset = nn.Parameter(torch.zeros(features))

    def forward(self, values: Tensor, observed: Tensor) -> Tensor:
        """Return the decayed values [sample, hour, feature]; cells that were measured stay as they are."""
        kept = torch.exp(-torch.relu(self.rate * hours_since(observed) + self.offset))
        return torch.where(observed, values, values * kept)
