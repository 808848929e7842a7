"""Baselines that a reviewer asks for: logistic regression and gradient boosting on summaries of each series.

They answer to the same interface as the LSTM (`prediction.Classifier`), so that they are judged by the same code.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegressionCV
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from lstm_adversarial_attack.datasets import Tensors

Floats = npt.NDArray[np.float64]
Groups = npt.NDArray[np.int64]

#: Inner folds over patients, for the regression's penalty and for predictions of the training samples themselves.
_FOLDS = 5
_SMALLEST_PROBABILITY = 1e-6
_PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1)


def summaries(values: Tensor, observed: Tensor, static: Tensor, static_observed: Tensor) -> Floats:
    """Return what the baselines read of each sample [sample, column], NaN where nothing was measured.

    Of each feature's measured hours: least, greatest, mean, standard deviation, first, last, their number, the mean of
    the first and of the last half, sixth and sixth, the change from first to last, and the hours since the last; then
    the static data.

    Args:
        values: [sample, hour, feature], standardised units.
        observed: [sample, hour, feature] bool.
        static: [sample, column].
        static_observed: [sample, column] bool.
    """
    x, mask = values.double().cpu().numpy(), observed.cpu().numpy()
    measured = np.where(mask, x, np.nan)
    hours = x.shape[1]
    any_measured = mask.any(axis=1)
    first = np.take_along_axis(measured, mask.argmax(axis=1)[:, None], axis=1)[:, 0]
    since = mask[:, ::-1].argmax(axis=1)
    last = np.take_along_axis(measured, (hours - 1 - since)[:, None], axis=1)[:, 0]
    half, sixth = hours // 2, max(1, hours // 6)
    parts = ((0, half), (half, hours), (hours - sixth, hours), (0, sixth))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of empty slices: the answer is NaN, as it should be
        columns = [
            np.nanmin(measured, axis=1),
            np.nanmax(measured, axis=1),
            np.nanmean(measured, axis=1),
            np.nanstd(measured, axis=1),
            *(np.nanmean(measured[:, start:end], axis=1) for start, end in parts),
        ]
    columns += [first, last, last - first, mask.sum(axis=1).astype(float), np.where(any_measured, since, np.nan)]
    known = np.where(static_observed.cpu().numpy(), static.double().cpu().numpy(), np.nan)
    return np.concatenate([*columns, known], axis=1)


class Baseline:
    """A fitted estimator of scikit-learn behind the interface of a classifier."""

    def __init__(self, estimator: Any, known: npt.NDArray[np.bool_]) -> None:
        """Wrap ``estimator``, which reads the columns that are ``known`` [column] to somebody it was fitted on."""
        self._estimator, self._known = estimator, known

    def death_probability(self, columns: Floats) -> Floats:
        """Return the probability of death [sample] for `summaries` [sample, column]."""
        probability: Floats = self._estimator.predict_proba(columns[:, self._known])[:, 1]
        return probability.clip(_SMALLEST_PROBABILITY, 1 - _SMALLEST_PROBABILITY)

    def __call__(self, values: Tensor, observed: Tensor, static: Tensor, static_observed: Tensor, /) -> Tensor:
        """Return logits [sample, 2], float64."""
        columns = summaries(values, observed, static, static_observed)
        death = torch.from_numpy(self.death_probability(columns)).logit()
        return torch.stack([torch.zeros_like(death), death], dim=1).to(values.device)


def _logistic_regression(x: Floats, y: Groups, patients: Groups, seed: int) -> Any:
    """Return a fitted regression; its penalty is chosen by log loss on inner folds of other patients."""
    prepared = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
    folds = list(_folds(y, patients, seed))
    regression = LogisticRegressionCV(
        Cs=_PENALTIES,
        cv=folds or 2,
        scoring="neg_log_loss",
        max_iter=2000,
        l1_ratios=(0.0,),
        use_legacy_attributes=False,
    )
    return make_pipeline(*(step for _, step in prepared.steps), regression).fit(x, y)


def _gradient_boosting(x: Floats, y: Groups, _patients: Groups, seed: int) -> Any:
    return HistGradientBoostingClassifier(
        learning_rate=0.03,
        max_iter=300,
        max_leaf_nodes=8,
        l2_regularization=5.0,
        max_features=0.3,
        early_stopping=False,
        random_state=seed % 2**32,
    ).fit(x, y)


def _extra_trees(x: Floats, y: Groups, _patients: Groups, seed: int) -> Any:
    trees = ExtraTreesClassifier(100, min_samples_leaf=3, max_features=0.3, random_state=seed % 2**32)
    return make_pipeline(SimpleImputer(strategy="median"), trees).fit(x, y)


_FITTED: dict[str, Callable[[Floats, Groups, Groups, int], Any]] = {
    "logistic-regression": _logistic_regression,
    "gradient-boosting": _gradient_boosting,
    "extra-trees": _extra_trees,
}
#: Those that are judged beside the LSTM.
BASELINES = ("logistic-regression", "gradient-boosting")
_TEACHERS = ("gradient-boosting", "extra-trees", "logistic-regression")


def fit_baseline(name: str, train: Tensors, patients: Groups, seed: int = 0) -> Baseline:
    """Fit one of `BASELINES`.

    Args:
        name: which.
        train: the training samples, of both classes.
        patients: [sample], who each belongs to.
        seed: of inner folds and of the choice of columns.
    """
    return _fitted(name, summaries(train.values, *train.context), train.labels.cpu().numpy(), patients, seed)


def _fitted(name: str, x: Floats, y: Groups, patients: Groups, seed: int) -> Baseline:
    known = np.logical_not(np.isnan(x).all(axis=0))
    return Baseline(_FITTED[name](x[:, known], y, patients, seed), known)


def lesson(train: Tensors, patients: Groups, seed: int = 0) -> Tensor:
    """Return what the teachers say of the training samples together: the probability of death [sample], float32.

    It is that of the mean of their log-odds. Each sample is judged by fits on other patients alone.

    Args:
        train: the training samples.
        patients: [sample], who each belongs to.
        seed: of folds and fits.
    """
    x, y = summaries(train.values, *train.context), train.labels.cpu().numpy()
    predicted = np.full(len(y), y.mean())
    for fitted_on, left_out in _folds(y, patients, seed):
        said = []
        for name in _TEACHERS:
            teacher = _fitted(name, x[fitted_on], y[fitted_on], patients[fitted_on], seed)
            said.append(torch.from_numpy(teacher.death_probability(x[left_out])).logit())
        predicted[left_out] = torch.stack(said).mean(dim=0).sigmoid().numpy()
    return torch.from_numpy(predicted).float().to(train.values.device)


def _folds(y: Groups, patients: Groups, seed: int) -> list[tuple[Groups, Groups]]:
    """Return folds over patients with both classes in each; none where there are too few of one."""
    fewest = min(len(np.unique(patients[y == label])) for label in (0, 1))
    folds = min(_FOLDS, fewest)
    if folds < 2:
        return []
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed % 2**32)
    return [pair for pair in splitter.split(y, y, patients) if y[pair[0]].min() != y[pair[0]].max()]
