"""Probabilities mended on validation patients, so that they come true as often as they say.

Decisions and attacks go by the probabilities of the model itself; the mended ones are for people who read them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from lstm_adversarial_attack.artifacts.contents import Calibration

Floats = npt.NDArray[np.float64]

#: Log-odds of probabilities of 0 and 1 would be infinite.
_SMALLEST_PROBABILITY = 1e-12
#: A slope below it says that validation patients are ranked no better than by chance; turning the ranking round, or
#: giving everybody the same, would not mend that.
_SMALLEST_SLOPE = 0.01


def fit_calibration(method: str, probability: npt.ArrayLike, labels: npt.ArrayLike) -> Calibration:
    """Fit a calibration to validation samples; with labels of one class there is none to fit, and it is ``none``.

    ``temperature`` (Guo et al., On calibration of modern neural networks, ICML 2017) and ``platt`` minimise the log
    loss; ``isotonic`` (Zadrozny and Elkan, KDD 2002) the squared error. With n1 deaths and n0 survivors, targets are
    ``(n1 + 1) / (n1 + 2)`` and ``1 / (n0 + 2)`` in place of 1 and 0, and these bound the isotonic function, so that few
    or separable samples do not call for certainty (Platt, Probabilistic outputs for support vector machines, 1999).

    Args:
        method: field ``calibration`` of `TrainSettings`.
        probability: of death, ``[sample]``.
        labels: 0 or 1 (died), ``[sample]``.

    Raises:
        ValueError: no such method.
    """
    p, died = np.asarray(probability, dtype=np.float64), np.asarray(labels) == 1
    if method not in ("none", "temperature", "platt", "isotonic"):
        raise ValueError(f"no calibration is called {method!r}")
    if method == "none" or died.all() or not died.any():
        return Calibration("none")
    low, high = 1 / (np.sum(~died) + 2), 1 - 1 / (np.sum(died) + 2)
    if method == "isotonic":
        fitted = IsotonicRegression(y_min=low, y_max=high, out_of_bounds="clip").fit(p, died)
        knots, heights = fitted.X_thresholds_.tolist(), fitted.y_thresholds_.tolist()
        return Calibration(method, knots=tuple(knots), heights=tuple(heights))
    slope, shift = _line(_log_odds(p), np.where(died, high, low), with_shift=method == "platt")
    return Calibration(method, slope=slope, shift=shift)


def calibrated(calibration: Calibration, probability: npt.ArrayLike) -> Floats:
    """Return the mended probabilities; they rise with ``probability``, and have its shape."""
    p = np.asarray(probability, dtype=np.float64)
    if calibration.method == "none":
        return p
    if calibration.method == "isotonic":
        return np.interp(p, calibration.knots, calibration.heights)
    return _sigmoid(calibration.slope * _log_odds(p) + calibration.shift)


def _line(x: Floats, targets: Floats, *, with_shift: bool) -> tuple[float, float]:
    """Return slope and shift of the logistic regression of ``targets`` (shares) on ``x``; shift 0 without one."""
    regression = LogisticRegression(C=np.inf, fit_intercept=with_shift, tol=1e-10, max_iter=10_000)
    # Each sample stands there twice: as a death and as a survivor, with the weights of the target.
    regression.fit(np.tile(x, 2)[:, None], np.repeat([1, 0], x.size), sample_weight=np.append(targets, 1 - targets))
    slope, shift = float(regression.coef_[0, 0]), float(regression.intercept_[0]) if with_shift else 0.0
    if slope >= _SMALLEST_SLOPE:
        return slope, shift
    flat = float(_log_odds(targets.mean()) - _SMALLEST_SLOPE * x.mean()) if with_shift else 0.0
    return _SMALLEST_SLOPE, flat


def _log_odds(p: npt.ArrayLike) -> Floats:
    inside = np.clip(p, _SMALLEST_PROBABILITY, 1 - _SMALLEST_PROBABILITY)
    return np.asarray(np.log(inside) - np.log1p(-inside))


def _sigmoid(x: Floats) -> Floats:
    return np.exp(-np.logaddexp(0.0, -x))
