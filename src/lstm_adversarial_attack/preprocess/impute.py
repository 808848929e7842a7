"""What cells without a value hold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lstm_adversarial_attack.preprocess.hourly import Float, Hourly, Mask

Hours = npt.NDArray[np.int16]


@dataclass(frozen=True)
class Outside:
    """The measured hours next to the window, which interpolation reads.

    Attributes:
        hour_before: [stay, feature], hour of the last value before the window, NaN where there is none.
        before: [stay, feature], that value.
        hour_after: [stay, feature], hour of the first value after the window, NaN where there is none.
        after: [stay, feature], that value.
    """

    hour_before: Float
    before: Float
    hour_after: Float
    after: Float

    @classmethod
    def blank(cls, stays: int, features: int) -> Outside:
        """Return one that holds nothing sensible before every part is `put`."""
        return cls(*(np.empty((stays, features)) for _ in range(4)))

    def put(self, hourly: Hourly, hours: int) -> None:
        """Take over what lies next to the window of ``hours`` from all hours of the same stays."""
        _put_last(self.hour_before, self.before, hourly.where(hourly.hour < 0))
        late = hourly.where(hourly.hour >= hours)
        backward = Hourly(late.stay[::-1], late.hour[::-1], late.values[:, ::-1])
        _put_last(self.hour_after, self.after, backward)

    def closed(self, values: Float, first: Hours, last: Hours) -> Outside:
        """Return one without gaps: beyond the first and the last value a stay has, the line goes on level.

        Args:
            values: [stay, hour, feature], those of the window, NaN where not measured.
            first: [stay, 1, feature], the first measured hour; the length of the window if there is none.
            last: the same shape, the last measured hour, -1 if there is none.
        """
        length = values.shape[1]
        known = np.concatenate([self.before[:, None], values, self.after[:, None]], axis=1)
        return Outside(
            np.where(np.isnan(self.before), -1.0, self.hour_before),
            np.where(np.isnan(self.before), _at_hours(known, first + 1)[:, 0], self.before),
            np.where(np.isnan(self.after), length, self.hour_after),
            np.where(np.isnan(self.after), _at_hours(known, last + 1)[:, 0], self.after),
        )

    def __getitem__(self, part: slice) -> Outside:
        """Return that of some stays."""
        return Outside(self.hour_before[part], self.before[part], self.hour_after[part], self.after[part])


def _put_last(hour: Float, value: Float, hourly: Hourly) -> None:
    """Write what each stay's last row with a value says into ``hour`` and ``value`` [stay, feature]."""
    hour[:], value[:] = np.nan, np.nan
    first = np.flatnonzero(np.diff(hourly.stay, prepend=-1))
    if len(first) == 0:
        return
    row = np.where(np.isnan(hourly.values), -1, np.arange(len(hourly.stay)))
    last = np.maximum.reduceat(row, first, axis=1).T
    known, stay = last >= 0, hourly.stay[first]
    hour[stay] = np.where(known, hourly.hour[last], np.nan)
    value[stay] = np.where(known, hourly.values[np.arange(last.shape[1]), last], np.nan)


def last_observed_hours(observed: Mask) -> Hours:
    """Return for each cell the last hour up to its own in which the feature was measured, -1 if there is none.

    Args:
        observed: [stay, hour, feature].
    """
    hours = np.arange(observed.shape[1], dtype=np.int16)[None, :, None]
    return np.maximum.accumulate(np.where(observed, hours, np.int16(-1)), axis=1)


def forward_fill(values: Float, last_observed: Hours) -> Float:
    """Fill each gap with the last measured value; what lies before the first stays NaN.

    Args:
        values: [stay, hour, feature], NaN where not measured.
        last_observed: the same shape, as `last_observed_hours` returns it.
    """
    return _at_hours(values, np.maximum(last_observed, 0))  # before the first value, hour 0 holds none


def interpolate(values: Float, last_observed: Hours, outside: Outside) -> Float:
    """Fill each gap with the straight line between the values next to it, inside the window or not.

    Before the first value stands the first, after the last the last; a feature that a stay never measured
    stays NaN.

    Args:
        values: [stay, hour, feature], NaN where not measured.
        last_observed: the same shape, as `last_observed_hours` returns it.
        outside: of the same stays.
    """
    stays, length, features = values.shape
    following = np.full((stays, length + 1, features), length, np.int16)  # from an hour before the window on
    backward = np.where(np.isnan(values), np.int16(length), np.arange(length, dtype=np.int16)[:, None])[:, ::-1]
    np.minimum.accumulate(backward, axis=1, out=following[:, -2::-1])
    ends = outside.closed(values, following[:, :1], last_observed[:, -1:])
    known = np.concatenate([ends.before[:, None], values, ends.after[:, None]], axis=1)
    left, line = _at_hours(known, last_observed + 1), _at_hours(known, following[:, 1:] + 1)
    left_hour = np.where(last_observed < 0, ends.hour_before[:, None], last_observed)
    right_hour = np.where(following[:, 1:] == length, ends.hour_after[:, None], following[:, 1:])
    line -= left
    line /= right_hour - left_hour
    line *= np.arange(length)[:, None] - left_hour
    line += left
    return line


def _at_hours(values: Float, hours: Hours) -> Float:
    """Return for each stay, hour and feature the value of another hour, which ``hours`` names.

    Args:
        values: [stay, any hour, feature].
        hours: [stay, hour, feature], places in the second axis of ``values``.
    """
    stays, length, features = values.shape
    first = np.arange(stays)[:, None, None] * (length * features) + np.arange(features)
    taken: Float = np.take(values, first + hours.astype(np.int64) * features)
    return taken
