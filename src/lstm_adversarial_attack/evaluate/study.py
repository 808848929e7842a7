"""The searches behind a model and an attack, for the report: history, importance, and slices through the settings."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate
from typing import Any

import msgspec

from lstm_adversarial_attack.artifacts import Artifact
from lstm_adversarial_attack.artifacts.contents import Search, Trial
from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.evaluate.drawing import Figure, layout_of, line_of, short

#: The artifacts that hold a search: whose inputs must name it, and how the report calls it.
_KINDS = {
    "hyperparameters": ("model", "tune", "Hyperparameters of the model"),
    "attack-settings": ("examples", "attack-tune", "Settings of the attack"),
}
_OBJECTIVES = {
    "validation_auprc": "AUPRC on validation patients",
    "folds_auprc": "Mean AUPRC over folds of the training split",
    "area": "Area under success against changed cells, on validation samples",
    "sparsity": "Sum of the share of untouched cells over turned validation samples",
    "sparse_small": "Sum of the share of untouched cells over L1, over turned validation samples",
    "sparse_small_max": "Sum of the share of untouched cells over the largest change, over turned validation samples",
    "max_num_nonzero": "Validation samples turned by few changed cells",
}
_STATES = {
    "COMPLETE": ("complete", {"color": "$0_to_1", "size": 8}),
    "PRUNED": ("pruned", {"color": "$faint", "size": 8, "symbol": "x-thin", "line": {"color": "$faint", "width": 2}}),
}
#: Settings that are searched on a logarithmic scale, and shown on one where none is 0.
_LOGARITHMIC = ("lr", "weight_decay")
#: So few whole numbers are shown side by side.
_FEW_CHOICES = 4
#: So few trials are counted one by one on their axis.
_FEW_TRIALS = 12


class Setting(msgspec.Struct, frozen=True):
    """One searched setting: what was tried, what the best trial had, and how much it mattered (None: not known)."""

    name: str
    tried: str
    best: str
    importance: float | None


class Study(msgspec.Struct, frozen=True):
    """One search as the report shows it; ``slices`` are ids of figures."""

    key: str
    title: str
    objective: str
    complete: int
    pruned: int
    best_value: float
    best_trial: int
    settings: list[Setting]
    slices: list[str]


def searches_of(inputs: Mapping[str, Artifact]) -> dict[str, Search]:
    """Return the searches among the inputs of a stage, by the kind of their artifact.

    Raises:
        UserError: the model or the examples among the inputs were made with another one, or with none.
    """
    found = {}
    for kind, (user, stage, _) in _KINDS.items():
        if kind not in inputs:
            continue
        if inputs[user].manifest.inputs.get(kind) != inputs[kind].digest:
            raise UserError(
                f"{inputs[kind].path}: {inputs[user].path} was made without this artifact of {stage}; "
                f"leave out --{kind}, or give the artifacts that belong together"
            )
        found[kind] = inputs[kind].json("search.json", Search)
    return found


def studies(searches: Mapping[str, Search]) -> list[Study]:
    """Return what the report says of each search."""
    return [_study(_KINDS[kind][1], _KINDS[kind][2], search) for kind, search in searches.items()]


def study_figures(searches: Mapping[str, Search]) -> dict[str, Figure]:
    """Return the figures of all searches by id."""
    made = []
    for kind, search in searches.items():
        key = _KINDS[kind][1]
        made.append(_history(key, search))
        if search.importances:
            made.append(_importance(key, search))
        made += [_slice(key, search, name) for name in _varied(search)]
    return {figure.id: figure for figure in made}


def _study(key: str, title: str, search: Search) -> Study:
    complete = [trial for trial in search.trials if trial.state == "COMPLETE"]
    return Study(
        key=key,
        title=title,
        objective=_words(search),
        complete=len(complete),
        pruned=len(search.trials) - len(complete),
        best_value=search.best_value,
        best_trial=next(trial.number for trial in complete if trial.value == search.best_value) + 1,
        settings=[
            Setting(name, _tried(search, name), _shown(search.best.get(name)), search.importances.get(name))
            for name in _by_importance(search)
        ],
        slices=[_slice_id(key, name) for name in _varied(search)],
    )


def _words(search: Search) -> str:
    return _OBJECTIVES.get(search.objective, search.objective)


def _by_importance(search: Search) -> list[str]:
    """Return the settings of all trials, the most important first, the others as they come."""
    names = list(dict.fromkeys(name for trial in search.trials for name in trial.settings))
    return sorted(names, key=lambda name: -search.importances.get(name, 0.0))


def _varied(search: Search) -> list[str]:
    return [name for name in _by_importance(search) if len({repr(value) for value in _values(search, name)}) > 1]


def _values(search: Search, name: str) -> list[Any]:
    return [trial.settings[name] for trial in search.trials if name in trial.settings]


def _tried(search: Search, name: str) -> str:
    values = _values(search, name)
    if _is_number(values):
        low, high = _shown(min(values)), _shown(max(values))
        return low if low == high else f"{low} to {high}"
    return ", ".join(dict.fromkeys(map(_shown, values)))


def _is_number(values: list[Any]) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _shown(value: Any) -> str:
    if value is None:
        return "\N{EN DASH}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _history(key: str, search: Search) -> Figure:
    numbers = [trial.number + 1 for trial in search.trials]
    complete = [trial.value if trial.state == "COMPLETE" else None for trial in search.trials]
    best = list(
        accumulate(complete, lambda so_far, value: max((v for v in (so_far, value) if v is not None), default=None))
    )
    line = line_of(numbers, _shorts(best), "best so far", "$1_to_0", "solid")
    line["line"]["shape"] = "hv"
    return Figure(
        id=f"{key}-history",
        title="Score by trial",
        alt=f"{_words(search)} of {len(numbers)} trials in their order, and the best so far. "
        f"Best: {search.best_value:.4g}. Trial 1 is the defaults, so far as they were searched.",
        data=[line, *_points(search.trials, numbers, "trial %{x}: %{y:.4~g}")],
        layout=layout_of("Trial", "Score", xaxis_dtick=1 if len(numbers) <= _FEW_TRIALS else None),
    )


def _importance(key: str, search: Search) -> Figure:
    names = [name for name in _by_importance(search) if name in search.importances][::-1]
    shares = [short(search.importances[name]) for name in names]
    return Figure(
        id=f"{key}-importance",
        title="What mattered",
        alt="Bars: share of each setting in what set the better trials apart. The table holds the numbers.",
        data=[
            {
                "type": "bar",
                "orientation": "h",
                "x": shares,
                "y": names,
                "marker": {"color": "$0_to_1"},
                "hovertemplate": "%{y}: %{x:.1%}<extra></extra>",
            }
        ],
        layout=layout_of(
            "Importance (PED-ANOVA)",
            "",
            height=max(320, 70 + 22 * len(names)),
            bargap=0.3,
            xaxis_tickformat=".0%",
            xaxis_rangemode="tozero",
            yaxis_showgrid=False,
            yaxis_dtick=1,
        ),
    )


def _slice(key: str, search: Search, name: str) -> Figure:
    trials = [trial for trial in search.trials if name in trial.settings]
    values = _values(search, name)
    few = len(set(values)) <= _FEW_CHOICES and all(isinstance(value, int) for value in values)
    number = _is_number(values) and not few
    x = [short(value) for value in values] if number else [_shown(value) for value in values]
    log = number and name in _LOGARITHMIC and min(values) > 0
    return Figure(
        id=_slice_id(key, name),
        title=name,
        alt=f"{_words(search)} against {name}, a point a trial.",
        data=_points(trials, x, "%{x}: %{y:.4~g}"),
        layout=layout_of(
            name,
            "Score",
            height=230,
            xaxis_type="log" if log else "linear" if number else "category",
            xaxis_categoryarray=None if number else [_shown(value) for value in sorted(set(values))],
            xaxis_nticks=5 if number and not log else None,
            xaxis_dtick="D2" if log else None,
            yaxis_nticks=5,
        ),
    )


def _slice_id(key: str, name: str) -> str:
    return f"{key}-slice-{name}"


def _points(trials: list[Trial], x: list[Any], hover: str) -> list[dict[str, Any]]:
    """Return the trials as points, those of each state by themselves; those without a value are left out."""
    made = []
    for state, (name, marker) in _STATES.items():
        shown = [(at, trial.value) for at, trial in zip(x, trials, strict=True) if trial.state == state]
        shown = [(at, value) for at, value in shown if value is not None]
        if shown:
            made.append(
                {
                    "type": "scatter",
                    "mode": "markers",
                    "name": name,
                    "x": [at for at, _ in shown],
                    "y": _shorts([value for _, value in shown]),
                    "marker": marker,
                    "hovertemplate": f"{hover} ({name})<extra></extra>",
                }
            )
    return made


def _shorts(values: list[Any]) -> list[float | None]:
    return [None if value is None else short(value) for value in values]
