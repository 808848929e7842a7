"""What the LSTM reads of each hour, computed from values and masks alone and differentiable in the values.

An hour sees what was measured up to its end and nothing later. Gradients reach a cell through its own hour and
through the running figures of later hours.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

#: Hours after which a measurement counts as old: time since is 1 - exp(-hours / this).
_FRESH_HOURS = 8.0
#: Hours that the recent mean goes back.
_RECENT_HOURS = 8
_FAR = 1e9

#: Blocks of inputs by the name of the choice; each choice adds to those before it.
BLOCKS: dict[str, tuple[str, ...]] = {
    "values": ("value",),
    "masks": ("observed",),
    "time-since": ("since",),
    "summaries": ("mean", "least", "greatest", "spread", "trend", "recent", "count"),
}

#: Samples whose hours give the edges of the encoding.
_MOST_SAMPLES = 1024
#: Least width of a bin of the encoding, in standardised units: a function that is steeper is no use to a model, and
#: would be turned by changes that no chart can hold.
_LEAST_WIDTH = 0.05


def blocks_of(choice: str) -> tuple[str, ...]:
    """Return the names of the blocks that a choice of inputs holds."""
    names = list(BLOCKS)
    return tuple(block for name in names[: names.index(choice) + 1] for block in BLOCKS[name])


def hours_since(observed: Tensor) -> Tensor:
    """Return the hours since the last measurement [sample, hour, feature]; an hour with a measurement has 0.

    Before the first measurement they are counted as if there had been one in the hour before admission.
    """
    hours = torch.arange(observed.shape[1], device=observed.device, dtype=torch.float32)[None, :, None]
    last = torch.where(observed, hours, -1.0).cummax(dim=1).values
    return hours - last


def running(values: Tensor, observed: Tensor, choice: str) -> Tensor:
    """Return the inputs of each hour, [sample, hour, block, feature].

    ``mean``, ``least``, ``greatest``, ``spread`` (standard deviation) are of the measurements so far, ``recent`` is
    their mean over the last eight hours, ``trend`` the value less the first measurement, ``count`` a logarithm of
    their number. Where there is no measurement yet, they are those of the value that fills its place.

    Args:
        values: [sample, hour, feature] float32, standardised units.
        observed: [sample, hour, feature] bool.
        choice: key of `BLOCKS`.
    """
    blocks = blocks_of(choice)
    mask = observed.to(values.dtype)
    parts: dict[str, Tensor] = {"value": values, "observed": mask}
    if "since" in blocks:
        parts["since"] = 1 - torch.exp(-hours_since(observed) / _FRESH_HOURS)
    if "mean" in blocks:
        measured = values * mask
        count, total, squares = (x.cumsum(dim=1) for x in (mask, measured, measured * values))
        seen, divisor = count > 0, count.clamp_min(1)
        mean = total / divisor
        first = values.gather(1, mask.argmax(dim=1, keepdim=True))
        late_count, late_total = (_less_the_past(x) for x in (count, total))
        # A root has no slope at 0, which is what one measurement alone gives.
        variance = (squares / divisor - mean * mean).clamp_min(0)
        varies = variance > 1e-6
        parts |= {
            "mean": torch.where(seen, mean, values),
            "least": torch.where(seen, values.masked_fill(~observed, _FAR).cummin(dim=1).values, values),
            "greatest": torch.where(seen, values.masked_fill(~observed, -_FAR).cummax(dim=1).values, values),
            "spread": torch.where(varies, variance.where(varies, torch.ones_like(variance)).sqrt(), 0.0),
            "trend": torch.where(seen, values - first, 0.0),
            "recent": torch.where(late_count > 0.5, late_total / late_count.clamp_min(1), values),
            "count": torch.log1p(count) / 2,
        }
    return torch.stack([parts[block] for block in blocks], dim=2)


def _less_the_past(sums: Tensor) -> Tensor:
    """Turn running sums over the hours [sample, hour, feature] into sums over the recent hours alone."""
    past = torch.zeros_like(sums)
    past[:, _RECENT_HOURS:] = sums[:, :-_RECENT_HOURS]
    return sums - past


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


class PiecewiseLinear(nn.Module):
    """Each number as how far it has come through each bin between quantiles of training patients: 0 to 1 a bin.

    A linear layer after it is a piecewise linear function of each number, which is what trees are good at and a plain
    network is not (Gorishniy et al., On Embeddings for Numerical Features in Tabular Deep Learning, NeurIPS 2022).
    Masks stay as they are. Beyond the outermost quantiles nothing changes any more.
    """

    edges: Tensor

    def __init__(self, choice: str, features: int, bins: int) -> None:
        super().__init__()
        self._choice = choice
        self._encoded = [number for number, block in enumerate(blocks_of(choice)) if block != "observed"]
        self._plain = [number for number, block in enumerate(blocks_of(choice)) if block == "observed"]
        self.register_buffer("edges", torch.zeros(len(self._encoded), features, bins + 1))
        self.width = features * (len(self._encoded) * bins + len(self._plain))

    @torch.no_grad()
    def fit(self, values: Tensor, observed: Tensor) -> None:
        """Take the edges from the hours of training samples at which a feature has been measured already.

        Where a feature has too few different values, or none, its bins are fewer, or none.

        Args:
            values: [sample, hour, feature] float32, as those of `running`.
            observed: [sample, hour, feature] bool.
        """
        chosen = torch.linspace(0, len(values) - 1, min(len(values), _MOST_SAMPLES)).long().to(values.device)
        values, observed = values[chosen], observed[chosen]
        blocks = running(values, observed, self._choice)[:, :, self._encoded].flatten(0, 1).double()
        seen = (observed.cumsum(dim=1) > 0).flatten(0, 1)
        shares = torch.linspace(0, 1, self.edges.shape[2], dtype=torch.float64, device=values.device)
        blank = torch.where(seen[:, None], blocks, torch.nan)
        edges = torch.stack([blank[:, block].nanquantile(shares, dim=0).T for block in range(blank.shape[1])])
        edges = edges.nan_to_num(0.0).float()
        for number in range(1, edges.shape[2]):  # a bin that would be too narrow gets no width
            before = edges[..., number - 1]
            wide = edges[..., number] - before >= _LEAST_WIDTH
            edges[..., number] = torch.where(wide, edges[..., number], before)
        self.edges.copy_(edges)

    def forward(self, blocks: Tensor) -> Tensor:
        """Return the code [sample, hour, width] of what `running` gives."""
        low, high = self.edges[..., :-1], self.edges[..., 1:]
        width = high - low
        scale = torch.where(width > 0, 1 / width.clamp_min(_LEAST_WIDTH / 2), 0.0)
        code = torch.addcmul(-low * scale, blocks[:, :, self._encoded, :, None], scale).clamp(0, 1)
        return torch.cat([code.flatten(2), blocks[:, :, self._plain].flatten(2)], dim=2)
