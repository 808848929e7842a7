"""The LSTM classifier."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lstm_adversarial_attack.artifacts.contents import Architecture


class LstmClassifier(nn.Module):
    """An LSTM over values and masks, pooled over the hours, and a linear layer to two logits.

    The input of an hour is the feature's standardised values and whether each was measured in that hour. The
    output layer sees the mean and the maximum over the hours and the state after each direction's last hour.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.lstm = nn.LSTM(
            2 * architecture.features,
            architecture.hidden_units,
            num_layers=architecture.layers,
            bidirectional=architecture.bidirectional,
            dropout=architecture.dropout if architecture.layers > 1 else 0.0,
            batch_first=True,
        )
        width = architecture.hidden_units * (2 if architecture.bidirectional else 1)
        self.dropout = nn.Dropout(architecture.dropout)
        self.output = nn.Linear(3 * width, 2)

    def forward(self, values: Tensor, observed: Tensor) -> Tensor:
        """Return logits [batch, 2] of survival and death.

        Args:
            values: [batch, hour, feature] float32, standardised units.
            observed: [batch, hour, feature] bool, whether the cell was measured in its hour.
        """
        states, (last, _) = self.lstm(torch.cat([values, observed.to(values.dtype)], dim=2))
        directions = 2 if self.architecture.bidirectional else 1
        end = last[-directions:].transpose(0, 1).flatten(1)
        pooled = torch.cat([states.mean(dim=1), states.amax(dim=1), end], dim=1)
        logits: Tensor = self.output(self.dropout(pooled))
        return logits
