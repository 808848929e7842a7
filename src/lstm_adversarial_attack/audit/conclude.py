"""From views to what they mean: the steps between the two scores, the limits, and the sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lstm_adversarial_attack.audit.findings import Limits, Steps, View
from lstm_adversarial_attack.audit.implied import auroc_needed, f1_of_always_death
from lstm_adversarial_attack.metrics import f1_bound, max_f1

#: Mean F1 of the five folds that the reference system publishes.
PUBLISHED_F1 = 0.967


def steps_between(views: Mapping[str, View]) -> Steps:
    """Return what each trick adds to F1."""
    honest, training = f1_of(views["held-out"]), f1_of(views["training"])
    resampled, claimed = f1_of(views["held-out-balanced"]), f1_of(views["reference"])
    return Steps(
        honest=honest,
        training_alone=training - honest,
        resampling_alone=resampled - honest,
        together=claimed - training - resampled + honest,
        claimed=claimed,
    )


def limits_of(views: Mapping[str, View], prevalence: float) -> Limits:
    """Return what F1 the held-out AUROC allows at the dataset's prevalence, and what the claimed F1 would need."""
    auroc = views["held-out"].mean["auroc"]
    if auroc is None:
        raise ValueError("every fold holds out both outcomes, so AUROC is defined")
    claimed = f1_of(views["reference"])
    return Limits(
        prevalence=prevalence,
        auroc=auroc,
        max_f1=max_f1(auroc, prevalence),
        f1_bound=f1_bound(auroc, prevalence),
        claimed_f1=claimed,
        auroc_for_claimed=auroc_needed(claimed, prevalence) if 0 < claimed < 1 else None,
        published_f1=PUBLISHED_F1,
        auroc_for_published=auroc_needed(PUBLISHED_F1, prevalence),
        always_death=f1_of_always_death(prevalence),
        always_death_balanced=f1_of_always_death(0.5),
    )


def f1_of(view: View) -> float:
    """Return the mean F1 over the folds; 0 where no fold predicts or sees a death."""
    return view.mean["f1"] or 0.0


def headline(views: Mapping[str, View], steps: Steps, limits: Limits, folds: int) -> tuple[str, ...]:
    """Return what was found, a sentence each."""
    honest, chosen, hindsight = (views[name] for name in ("held-out", "held-out-threshold", "held-out-hindsight"))
    implied = views["reference"].implied_prevalence
    sentences = [
        f"Scored the reference's way, on its own training patients with the deaths multiplied, the recipe reaches F1 "
        f"{steps.claimed:.3f} (mean of {folds} folds).",
        f"The same weights reach F1 {steps.honest:.3f} on patients they have not seen ({f1_of(chosen):.3f} at a "
        f"threshold chosen on others, {f1_of(hindsight):.3f} at the best one in hindsight); AUROC {limits.auroc:.3f}, "
        f"AUPRC {honest.mean['auprc'] or 0.0:.3f}.",
        f"Of the difference, judging on training patients alone makes {steps.training_alone:+.3f}, resampling alone "
        f"{steps.resampling_alone:+.3f}, and both together {steps.together:+.3f} more.",
        f"With an AUROC of {limits.auroc:.3f} and {100 * limits.prevalence:.1f} % deaths, normally distributed scores "
        f"allow an F1 of {limits.max_f1:.3f} at most, and no concave ROC curve one above {limits.f1_bound:.3f}; an F1 "
        f"of {limits.published_f1:.3f}, as published, would need an AUROC of {limits.auroc_for_published:.4f}.",
    ]
    if implied is not None:
        sentences.append(
            f"Accuracy, precision and recall give the resampling away: they imply that {100 * implied:.0f} % of the "
            f"scored samples died, where {100 * limits.prevalence:.1f} % of the dataset did."
        )
    return tuple(sentences)


def table(views: Sequence[View]) -> list[str]:
    """Return the figures as lines of text of equal columns: means over the folds, F1 with its pooled interval."""
    columns = ("prevalence", "accuracy", "precision", "recall", "auroc", "auprc")
    head = f"{'':<50} {'F1':>5} {'95 % interval':>15} " + " ".join(f"{name[:9]:>9}" for name in columns)
    lines = [head]
    for view in views:
        f1 = view.pooled["f1"]
        between = "" if f1.low is None or f1.high is None else f"{f1.low:.3f} to {f1.high:.3f}"
        figures = (view.mean.get(name) for name in columns)
        shown = " ".join(f"{'' if value is None else format(value, '.3f'):>9}" for value in figures)
        lines.append(f"{view.title:<50} {f1_of(view):>5.3f} {between:>15} {shown}".rstrip())
    return lines
