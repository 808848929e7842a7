"""What published figures say of the samples they were computed on, and what ranking a published F1 would need."""

from __future__ import annotations

from lstm_adversarial_attack.metrics import max_f1

_HALVINGS = 80
_ROUNDING = 1e-9


def implied_prevalence(accuracy: float, precision: float, recall: float) -> float:
    """Return the share of deaths among the samples that these three figures were computed on.

    With prevalence ``p``, recall ``R`` and precision ``P``, the wrong predictions are the missed deaths ``p (1 - R)``
    and the false alarms ``p R (1 - P) / P``, and they make up ``1 - accuracy``; so
    ``p = (1 - accuracy) / (1 - R + R (1 - P) / P)``.

    Raises:
        ValueError: precision or recall is 0, or the classifier is perfect, which leaves the share open; or no
            confusion matrix has these figures.
    """
    if not (0 < precision <= 1 and 0 < recall <= 1 and 0 <= accuracy <= 1):
        raise ValueError("accuracy must lie in [0, 1], precision and recall in (0, 1]")
    errors_for_each_death = 1 - recall + recall * (1 - precision) / precision
    if errors_for_each_death == 0:
        raise ValueError("a perfect classifier says nothing of the prevalence")
    prevalence = (1 - accuracy) / errors_for_each_death
    predicted = prevalence * recall / precision
    if max(prevalence, predicted) > 1 + _ROUNDING:
        raise ValueError(f"no samples have accuracy {accuracy}, precision {precision} and recall {recall}")
    return min(prevalence, 1.0)


def f1_of_always_death(prevalence: float) -> float:
    """Return the F1 of predicting death of everybody: precision is the prevalence and recall 1."""
    return 2 * prevalence / (1 + prevalence)


def auroc_needed(f1: float, prevalence: float) -> float:
    """Return the AUROC from which `metrics.max_f1` reaches ``f1`` at this prevalence; 0.5 where no ranking is needed.

    Raises:
        ValueError: a number lies outside (0, 1).
    """
    if not (0 < f1 < 1 and 0 < prevalence < 1):
        raise ValueError("f1 and prevalence must lie in (0, 1)")
    low, high = 0.5, 1.0
    if max_f1(low, prevalence) >= f1:
        return low
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (low, middle) if max_f1(middle, prevalence) >= f1 else (middle, high)
    return high
