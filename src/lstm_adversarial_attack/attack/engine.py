"""The attack as a library: any model, any values, no artifacts."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from lstm_adversarial_attack.attack.keeper import KINDS, SIZES, Keeper
from lstm_adversarial_attack.attack.memory import fitting_batch
from lstm_adversarial_attack.attack.methods import METHODS, OF_EVERY_METHOD
from lstm_adversarial_attack.attack.model import attackable, judging
from lstm_adversarial_attack.attack.problem import Grid, Problem
from lstm_adversarial_attack.attack.result import AttackResult, Found, Frontier, Size, joined
from lstm_adversarial_attack.attack.settle import settled
from lstm_adversarial_attack.attack.singles import Singles, singles_of

Bound = Tensor | float | None

#: Logits by which an example must be turned beside kappa: what rounding in another batch or device may change.
_SURE = 1e-5
#: Share of the budget for the search where cells change in steps; the rest brings what was found onto the steps.
_SEARCHING = 0.6


def attack(
    model: nn.Module,
    values: Tensor,
    labels: Tensor,
    *,
    method: str = "frontier",
    context: tuple[Tensor, ...] = (),
    lower: Bound = None,
    upper: Bound = None,
    editable: Tensor | None = None,
    cost: Tensor | float | None = None,
    step: Tensor | float | None = None,
    offset: Tensor | float | None = None,
    steps: int = 300,
    kappa: float = 0.0,
    most_cells: int = 16,
    seed: int = 0,
    batch_size: int | None = None,
    on_batch: Callable[[AttackResult], None] = lambda _result: None,
    **options: Any,
) -> AttackResult:
    """Look for sparse and small perturbations of ``values`` that turn the model's predictions.

    The larger of the two logits is the prediction. Every example returned was verified by a plain forward pass,
    stays within the bounds and leaves the cells that are not editable untouched. A sample that the model already gets
    wrong counts as a failure: there is nothing to turn.

    Args:
        model: maps ``values`` and ``context`` to logits [sample, 2]; its parameters are left as they are.
        values: [sample, hour, feature] float32, in whatever unit the model reads.
        labels: [sample] int64, 0 or 1, the class to be turned away from.
        method: key of `methods.METHODS`.
        context: more inputs of the model, each [sample, ...], that the attack does not change.
        lower: least value of a perturbed cell, broadcast to ``values``; where a value lies below it already, the value
            itself is the bound.
        upper: likewise, the largest.
        editable: bool, broadcast to ``values``; all cells where None.
        cost: what a unit of change costs, above 0, broadcast to ``values``; 1 where None.
        step: above 0, broadcast to ``values``: cells change in whole multiples of it; by any amount where None.
        offset: with ``step``: a changed cell changes by so much more.
        steps: budget of a sample in gradient evaluations; a forward pass alone counts a third. A look at the sample
            before and the verification of each example come on top.
        kappa: margin by which the logits must be turned for an example to count.
        most_cells: up to how many changed cells `AttackResult.frontier` goes.
        seed: of methods that draw by lot.
        batch_size: samples attacked at once; chosen by the memory that is free where None.
        on_batch: told the result of every batch.
        options: more settings of the method.

    Raises:
        ValueError: shapes that do not fit, an unknown method or option, or settings out of range.
    """
    run = METHODS.get(method)
    if run is None:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, not {method!r}")
    known = inspect.signature(run).parameters
    unknown = options.keys() - (known.keys() - OF_EVERY_METHOD)
    if unknown:
        raise ValueError(f"method {method} has no option {', '.join(sorted(unknown))}")
    if "seed" in known:
        options["seed"] = seed
    _check(steps=steps, most_cells=most_cells)
    results = []
    for problem in _problems(
        model,
        values,
        labels,
        context=context,
        lower=lower,
        upper=upper,
        editable=editable,
        cost=cost,
        step=step,
        offset=offset,
        kappa=kappa,
        batch_size=batch_size,
    ):
        with attackable(model):
            keeper = _searched(problem, Keeper(problem, min(most_cells, problem.low.shape[1])), run, steps, options)
        results.append(verified(model, problem, keeper))
        on_batch(results[-1])
    return joined(results)


def single_edits(
    model: nn.Module,
    values: Tensor,
    labels: Tensor,
    *,
    context: tuple[Tensor, ...] = (),
    lower: Bound = None,
    upper: Bound = None,
    editable: Tensor | None = None,
    step: Tensor | float | None = None,
    offset: Tensor | float | None = None,
    kappa: float = 0.0,
    batch_size: int | None = None,
) -> Singles:
    """Look for the smallest change of one cell of each feature that alone turns the prediction of each sample.

    Arguments are those of `attack`. What is found is an upper bound: of each feature the hours are tried, at their
    bounds, that the gradient puts first.

    Raises:
        ValueError: shapes that do not fit, or settings out of range.
    """
    parts = []
    for problem in _problems(
        model,
        values,
        labels,
        context=context,
        lower=lower,
        upper=upper,
        editable=editable,
        cost=None,
        step=step,
        offset=offset,
        kappa=kappa,
        batch_size=batch_size,
    ):
        with attackable(model):
            parts.append(singles_of(problem))
    return Singles.joined(parts)


def _problems(
    model: nn.Module,
    values: Tensor,
    labels: Tensor,
    *,
    context: tuple[Tensor, ...],
    lower: Bound,
    upper: Bound,
    editable: Tensor | None,
    cost: Tensor | float | None,
    step: Tensor | float | None,
    offset: Tensor | float | None,
    kappa: float,
    batch_size: int | None,
) -> Iterator[Problem]:
    """Check what `attack` was given, and yield it in batches, at least one."""
    _check_samples(values, labels, kappa=kappa, batch_size=batch_size)
    low, high = _room(values, lower, upper, editable)
    weight = torch.ones_like(values) if cost is None else _for_cells("cost", cost, values)
    if not (weight > 0).all():
        raise ValueError("cost must be above 0")
    grid = _grid(values, step, offset)
    with attackable(model):
        size = batch_size or fitting_batch(model, values, context)
    if grid is not None:
        low, high = (grid.inward(bound.flatten(1)).view_as(bound) for bound in (low, high))
    for part in torch.split(torch.arange(len(values), device=values.device), size):
        yield Problem(
            model=model,
            values=values[part],
            labels=labels[part],
            context=tuple(one[part] for one in context),
            low=low[part].flatten(1),
            high=high[part].flatten(1),
            weight=weight[part].flatten(1),
            grid=None if grid is None else grid.at(part),
            kappa=kappa + _SURE,
            batch=size,
            rows=torch.arange(len(part), device=values.device),
            gradients=torch.zeros(len(part), dtype=torch.int32, device=values.device),
            forwards=torch.zeros(len(part), dtype=torch.int32, device=values.device),
        )


def _searched(
    problem: Problem, keeper: Keeper, run: Callable[..., None], steps: int, options: dict[str, Any]
) -> Keeper:
    """Let a method search, and return what it found; on the steps of the problem, where cells change in steps."""
    untouched = problem.at(problem.margin(problem.zeros()) > problem.kappa)
    if problem.grid is None:
        run(untouched, keeper, steps=steps, **options)
        return keeper
    searching = max(1, min(int(_SEARCHING * steps), steps - 1))
    if "reserve" in inspect.signature(run).parameters:
        run(untouched, keeper, steps=steps, reserve=steps - searching, **options)
    else:
        run(untouched, keeper, steps=searching, **options)
    return settled(problem, keeper, steps)


def _grid(values: Tensor, step: Tensor | float | None, offset: Tensor | float | None) -> Grid | None:
    """Return the steps of all cells, [sample, cell]."""
    if step is None:
        if offset is not None:
            raise ValueError("offset is of steps, but no step is given")
        return None
    steps, offsets = _for_cells("step", step, values), _for_cells("offset", 0.0 if offset is None else offset, values)
    if not (steps > 0).all():
        raise ValueError("step must be above 0")
    return Grid(steps.flatten(1), offsets.flatten(1))


def _for_cells(name: str, given: Tensor | float, values: Tensor) -> Tensor:
    """Return what was given for cells, broadcast to ``values`` [sample, hour, feature]."""
    tensor = torch.as_tensor(given, dtype=values.dtype, device=values.device)
    if tensor.isnan().any():
        raise ValueError(f"{name} holds NaN")
    try:
        return tensor.expand_as(values)
    except RuntimeError as error:
        raise ValueError(f"{name} {list(tensor.shape)} cannot be broadcast to {list(values.shape)}") from error


def _check(*, steps: int, most_cells: int) -> None:
    if steps < 1:
        raise ValueError(f"steps must be 1 or more, not {steps}")
    if most_cells < 1:
        raise ValueError(f"most_cells must be 1 or more, not {most_cells}")


def _check_samples(values: Tensor, labels: Tensor, *, kappa: float, batch_size: int | None) -> None:
    if values.ndim != 3 or values.dtype != torch.float32:
        raise ValueError(f"values must be [sample, hour, feature] float32, not {list(values.shape)} {values.dtype}")
    if labels.shape != values.shape[:1]:
        raise ValueError(f"labels must be [{len(values)}], not {list(labels.shape)}")
    if not ((labels == 0) | (labels == 1)).all():
        raise ValueError("labels must be 0 or 1")
    if not kappa >= 0:
        raise ValueError(f"kappa must be 0 or more, not {kappa}")
    if batch_size is not None and batch_size < 1:
        raise ValueError(f"batch_size must be 1 or more, not {batch_size}")


def _room(values: Tensor, lower: Bound, upper: Bound, editable: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return how far each cell may move down and up, [sample, hour, feature]."""
    low, high = (
        _for_cells(name, default if bound is None else bound, values)
        for name, bound, default in (("lower", lower, -torch.inf), ("upper", upper, torch.inf))
    )
    if (low > high).any():
        raise ValueError("lower exceeds upper in some cell")
    down, up = (low - values).clamp_max(0), (high - values).clamp_min(0)
    if editable is not None:
        fixed = _for_cells("editable", editable, values) == 0
        down, up = down.masked_fill(fixed, 0.0), up.masked_fill(fixed, 0.0)
    return down, up


@torch.no_grad()
def verified(model: nn.Module, problem: Problem, keeper: Keeper) -> AttackResult:
    """Return what the keeper holds, without the examples that a plain forward pass in eval mode does not confirm."""
    with judging(model):
        shape = (len(problem), *problem.values.shape[1:])
        found = {}
        for kind in KINDS:
            claimed = keeper.iterations[kind] > 0
            delta, iteration = keeper.deltas[kind], keeper.iterations[kind]
            if claimed.any():
                here = problem.at(claimed)
                holds = claimed.clone()
                holds[claimed] = here.margin(delta[claimed]) < 0
                delta, iteration = delta * holds[:, None], iteration * holds
            found[kind] = Found.of(delta.view(shape), iteration)
        frontier: dict[Size, Frontier] = {}
        for size in SIZES:
            sizes = keeper.sizes[size]
            for column in range(sizes.shape[1]):
                claimed = sizes[:, column].isfinite()
                if claimed.any():
                    rows = claimed.nonzero()[:, 0]
                    count = torch.full_like(rows, column + 1)
                    holds = problem.at(rows).margin(keeper.best(size, rows, count)) < 0
                    sizes[rows, column] = torch.where(holds, sizes[rows, column], torch.inf)
                    keeper.changes[size][rows, column] *= holds[:, None]
            frontier[size] = Frontier(shape, sizes, keeper.cells[size], keeper.changes[size])
        return AttackResult(
            found["first"],
            found["sparsest"],
            found["smallest"],
            frontier,
            problem.gradients,
            problem.forwards,
        )
