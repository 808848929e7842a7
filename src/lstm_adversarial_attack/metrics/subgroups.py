"""Figures of prediction in parts of the patients, none so small that it would show single ones."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from lstm_adversarial_attack.metrics.bootstrap import Estimate, numbered
from lstm_adversarial_attack.metrics.calibration import calibration_metrics
from lstm_adversarial_attack.metrics.prediction import prediction_metrics
from lstm_adversarial_attack.metrics.ranking import checked

#: A group of fewer patients is not shown by itself.
LEAST_PATIENTS = 10
#: A group with fewer patients who died or who survived is shown by its size alone.
LEAST_OF_A_CLASS = 10

SUBGROUP_FIGURES = ("auroc", "auprc", "brier", "prevalence", "recall", "precision")

_ANY = npt.NDArray[np.generic]


class Subgroup(msgspec.Struct, frozen=True):
    """Part of the samples; deaths and figures are None where they, or those of another group, would show too few."""

    attribute: str
    group: str  # several names where small groups were put together
    samples: int
    patients: int
    deaths: int | None
    figures: dict[str, Estimate] | None  # SUBGROUP_FIGURES


def subgroups(
    labels: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    patients: npt.ArrayLike,
    groups: Sequence[str],
    *,
    attribute: str,
    threshold: float,
    calibrated: npt.ArrayLike | None = None,
    order: Sequence[str] | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[Subgroup, ...]:
    """Return the figures of each group that an attribute makes of the samples.

    A group of fewer than ten patients is put together with the smaller of its neighbours in ``order``, until no such
    group is left. (Hiding it alone would not do: its size is what the others lack of the total.) Fewer than ten
    patients in all make no group. Of a group with fewer than ten patients who died or who survived, only samples and
    patients are counted. Where that is one group alone, the next smallest is treated alike: else its deaths would be
    what the others lack of the total.

    Args:
        labels: 0 or 1 (died), ``[sample]``.
        probabilities: of death, ``[sample]``.
        patients: who the sample belongs to, any whole numbers, ``[sample]``.
        groups: name of the group, ``[sample]``.
        attribute: what makes the groups, for the answer.
        threshold: the prediction is death where ``probability >= threshold``.
        calibrated: probability behind the Brier score, ``[sample]``; ``probabilities`` where it is not given.
        order: of the groups; by falling number of samples where it is not given.
        resamples: bootstrap resamples.
        seed: of the bootstrap.

    Raises:
        ValueError: lengths differ, a label is not 0 or 1, or a probability is outside [0, 1].
    """
    y, p = checked(labels, probabilities)
    _, mended = (y, p) if calibrated is None else checked(labels, calibrated)
    who, _ = numbered(patients, y.size)
    of = np.asarray(groups, dtype=str)
    if of.shape != y.shape:
        raise ValueError(f"groups has shape {of.shape}, labels {y.shape}")
    merged = _merged(of, who, order)
    parts = [np.isin(of, names) for names in merged]
    shown = _shown(y, who, parts)
    found = []
    for number, (names, inside) in enumerate(zip(merged, parts, strict=True)):
        figures = None
        if number in shown:
            drawn = {"resamples": resamples, "seed": seed}
            figures = prediction_metrics(y[inside], p[inside], who[inside], threshold=threshold, **drawn)
            figures["brier"] = calibration_metrics(y[inside], mended[inside], who[inside], **drawn)["brier"]
            figures = {name: figures[name] for name in SUBGROUP_FIGURES}
        found.append(
            Subgroup(
                attribute=attribute,
                group=", ".join(names),
                samples=int(inside.sum()),
                patients=np.unique(who[inside]).size,
                deaths=int(y[inside].sum()) if number in shown else None,
                figures=figures,
            )
        )
    return tuple(found)


def _shown(y: _ANY, who: _ANY, parts: Sequence[npt.NDArray[np.bool_]]) -> set[int]:
    """Return which parts are shown with their deaths: never all but one."""

    def fewest(inside: npt.NDArray[np.bool_]) -> int:
        return min(np.unique(who[inside & (y == died)]).size for died in (True, False))

    shown = {number for number, inside in enumerate(parts) if fewest(inside) >= LEAST_OF_A_CLASS}
    if shown and len(shown) == len(parts) - 1:
        shown.remove(min(shown, key=lambda number: np.unique(who[parts[number]]).size))
    return shown


def _merged(of: _ANY, who: _ANY, order: Sequence[str] | None) -> list[list[str]]:
    """Return the groups in order, each as the names that it is made of."""
    names, counts = np.unique(of, return_counts=True)
    present = dict(zip(names.tolist(), counts.tolist(), strict=True))
    if order is None:
        order = sorted(present, key=lambda name: (-present[name], name))
    merged = [[name] for name in order if name in present]
    merged += [[name] for name in present if name not in order]

    def patients(group: list[str]) -> int:
        return np.unique(who[np.isin(of, group)]).size

    while merged:
        sizes = [patients(group) for group in merged]
        least = int(np.argmin(sizes))
        if sizes[least] >= LEAST_PATIENTS:
            break
        beside = [place for place in (least - 1, least + 1) if 0 <= place < len(merged)]
        if not beside:
            return []
        first, second = sorted((least, min(beside, key=lambda place: sizes[place])))
        merged[first : second + 1] = [merged[first] + merged[second]]
    return merged
