"""Figures of prediction, with intervals from a bootstrap over patients."""

from lstm_adversarial_attack.metrics.agreement import average_ranks, spearman
from lstm_adversarial_attack.metrics.bootstrap import (
    Estimate,
    estimate_of,
    patient_median,
    patient_ratios,
    patient_shares,
    resampled_ratios,
)
from lstm_adversarial_attack.metrics.calibration import (
    CALIBRATION_FIGURES,
    CalibrationBin,
    calibration_bins,
    calibration_metrics,
)
from lstm_adversarial_attack.metrics.comparison import PAIRED_FIGURES, Difference, paired_differences
from lstm_adversarial_attack.metrics.curves import (
    Curve,
    ThresholdCurve,
    precision_recall_points,
    roc_at_thresholds,
    roc_curve_points,
)
from lstm_adversarial_attack.metrics.f1_limits import f1_bound, max_f1
from lstm_adversarial_attack.metrics.prediction import (
    FIGURES,
    Confusion,
    best_f1_threshold,
    confusion,
    prediction_metrics,
)
from lstm_adversarial_attack.metrics.subgroups import (
    LEAST_OF_A_CLASS,
    LEAST_PATIENTS,
    SUBGROUP_FIGURES,
    Subgroup,
    subgroups,
)

__all__ = [
    "CALIBRATION_FIGURES",
    "FIGURES",
    "LEAST_OF_A_CLASS",
    "LEAST_PATIENTS",
    "PAIRED_FIGURES",
    "SUBGROUP_FIGURES",
    "CalibrationBin",
    "Confusion",
    "Curve",
    "Difference",
    "Estimate",
    "Subgroup",
    "ThresholdCurve",
    "average_ranks",
    "best_f1_threshold",
    "calibration_bins",
    "calibration_metrics",
    "confusion",
    "estimate_of",
    "f1_bound",
    "max_f1",
    "paired_differences",
    "patient_median",
    "patient_ratios",
    "patient_shares",
    "precision_recall_points",
    "prediction_metrics",
    "resampled_ratios",
    "roc_at_thresholds",
    "roc_curve_points",
    "spearman",
    "subgroups",
]
