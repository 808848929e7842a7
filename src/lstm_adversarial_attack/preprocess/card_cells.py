"""What a data card needs of the tensors, gathered part by part while they are written."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lstm_adversarial_attack.preprocess.hourly import Int, Mask

Single = npt.NDArray[np.float32]


class CellSummary:
    """Counts of the measured cells, and each sample's mean over them.

    What it keeps is one number for each sample and feature, not for each cell.
    """

    def __init__(self, hours: int, features: int) -> None:
        self._by_hour = np.zeros((hours, features), np.int64)
        self._counts: list[npt.NDArray[np.uint16]] = [np.empty((0, features), np.uint16)]
        self._means: list[Single] = [np.empty((0, features), np.float32)]

    def add(self, values: Single, observed: Mask) -> None:
        """Take the next samples.

        Args:
            values: [sample, hour, feature], model units.
            observed: the same shape, whether the cell was measured.
        """
        self._by_hour += np.add.reduce(observed, axis=0, dtype=np.int64)
        counts = np.add.reduce(observed, axis=1, dtype=np.uint16)
        # Multiplied, then added hour by hour: the same bits on every processor.
        sums = np.add.reduce(values * observed, axis=1)
        with np.errstate(invalid="ignore"):
            self._means.append(sums / counts.astype(np.float32))
        self._counts.append(counts)

    @property
    def by_hour(self) -> Int:
        """How many samples have a measured cell: [hour, feature]."""
        return self._by_hour

    def counts(self) -> npt.NDArray[np.uint16]:
        """Return how many hours of each sample are measured: [sample, feature]."""
        return np.concatenate(self._counts)

    def means(self) -> Single:
        """Return each sample's mean over its measured cells [sample, feature], model units; NaN without any."""
        return np.concatenate(self._means)
