"""The largest F1 that an AUROC and a prevalence allow.

With true positive rate t, false positive rate f and prevalence pi, ``F1 = 2 pi t / (pi (1 + t) + (1 - pi) f)``: it
rises with t and falls with f. Calling everybody dead gives ``2 pi / (1 + pi)``, whatever the model.
"""

from __future__ import annotations

import math
from statistics import NormalDist

_ROUNDS = 200


def max_f1(auroc: float, prevalence: float) -> float:
    """Return the largest F1 over all thresholds under the binormal model with equal variances.

    Scores of survivors are N(0, 1) and of deaths N(d, 1), so that ``AUROC = Phi(d / sqrt 2)`` and the ROC curve is
    ``t = Phi(d + Phi^-1(f))`` (Green and Swets, Signal Detection Theory and Psychophysics, 1966). The largest ratio is
    found by Dinkelbach's iteration (Management Science 13, 1967): with the best F1 so far, k, the next threshold is
    where ``dt/df = k (1 - pi) / (pi (2 - k))``, where the gain of numerator over k times denominator is largest.

    Raises:
        ValueError: a share is out of range, or there are only deaths or only survivors.
    """
    _check(auroc, prevalence)
    normal = NormalDist()
    best = _f1(1.0, 1.0, prevalence)
    if auroc <= 0.5:
        return best
    if auroc == 1:
        return 1.0
    d = math.sqrt(2) * normal.inv_cdf(auroc)
    for _ in range(_ROUNDS):
        slope = best * (1 - prevalence) / (prevalence * (2 - best))
        threshold = math.log(slope) / d + d / 2  # dt/df there is exp(d * threshold - d * d / 2)
        found = _f1(normal.cdf(d - threshold), normal.cdf(-threshold), prevalence)
        if found <= best:
            break
        best = found
    return best


def f1_bound(auroc: float, prevalence: float, *, concave: bool = True) -> float:
    """Return what F1 cannot exceed, at any threshold of any classifier with this AUROC; some classifier reaches it.

    Concave: the curve lies on or above the lines from (0, 0) over (f, t) to (1, 1), so ``(1 + t - f) / 2 <= AUROC``, or
    ``t <= f + g`` with ``g = 2 AUROC - 1``. Along ``t = f + g``, dF1/df has the sign of ``pi (1 + g) - g`` throughout,
    so the maximum lies at an end: ``(f, t) = (0, g)`` or ``(1 - g, 1)``, and past it t stays 1 and F1 falls with f.

    Not concave: the curve only rises, so ``t (1 - f) <= AUROC``. Along ``t = AUROC / (1 - f)``, 1 / F1 is a parabola in
    f that opens downwards, ``(pi (1 - f) + pi AUROC + (1 - pi) f (1 - f)) / (2 pi AUROC)``, so it is least at an end:
    ``(f, t) = (0, AUROC)`` or ``(1 - AUROC, 1)``.

    The empirical curve of a classifier is concave only after its hull is taken: give the AUROC of the hull, or ask for
    the bound over all curves. No concave curve has an AUROC below 0.5; its bound is that of 0.5.

    Raises:
        ValueError: a share is out of range, or there are only deaths or only survivors.
    """
    _check(auroc, prevalence)
    height = max(0.0, 2 * auroc - 1) if concave else auroc
    return max(_f1(height, 0.0, prevalence), _f1(1.0, 1 - height, prevalence))


def _f1(true_positive_rate: float, false_positive_rate: float, prevalence: float) -> float:
    positive = prevalence * (1 + true_positive_rate)
    return 2 * prevalence * true_positive_rate / (positive + (1 - prevalence) * false_positive_rate)


def _check(auroc: float, prevalence: float) -> None:
    if not 0 <= auroc <= 1:
        raise ValueError(f"auroc is {auroc}; it must lie in [0, 1]")
    if not 0 < prevalence < 1:
        raise ValueError(f"prevalence is {prevalence}; F1 needs both survivors and deaths")
