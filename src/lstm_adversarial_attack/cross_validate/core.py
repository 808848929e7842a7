"""Fitting every method on every fold, in processes of their own, and what they predict of the held-out patients."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import torch
from threadpoolctl import threadpool_limits

from lstm_adversarial_attack.artifacts import open_artifact
from lstm_adversarial_attack.cross_validate.folds import Indices, folds, held_back, in_units_of
from lstm_adversarial_attack.datasets import LoadedDataset, Tensors, load_dataset
from lstm_adversarial_attack.devices import derive_seed, is_mixed, prepare
from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.models import death_probability, predict_logits
from lstm_adversarial_attack.models.baselines import BASELINES, fit_baseline, lesson
from lstm_adversarial_attack.models.training import fit
from lstm_adversarial_attack.processes import end_with_parent
from lstm_adversarial_attack.settings import Execution, TrainSettings


class Task(msgspec.Struct, frozen=True):
    """One fit: a method (a baseline, or a name that `Plan.methods` gives settings of) on a fold, with a seed."""

    method: str
    fold: int
    member: int

    @property
    def file(self) -> str:
        """Name of the file that its result is kept in."""
        return f"{self.method}-{self.fold}-{self.member}.json"


class Predicted(msgspec.Struct, frozen=True):
    """What a fit says of its fold's test samples, in their order, and of the samples it was stopped by."""

    probability: list[float]
    validation: list[float] = []  # in the order of `folds.held_back`; baselines have none
    epochs: int = 0


@dataclass(frozen=True)
class Plan:
    """What is repeated: the dataset, the folds, and the settings of each network by the name of its method.

    With ``refit``, networks learn from all training patients of a fold and make all their epochs; else a part of the
    patients is held back, another for each member, to stop by.
    """

    dataset: Path
    folds: int
    seed: int
    methods: Mapping[str, TrainSettings]
    execution: Execution
    refit: bool = False


class Worker:
    """Holds the dataset, and carries out tasks on it."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._device = prepare(plan.execution)
        threadpool_limits(plan.execution.threads)  # of scikit-learn, whose sums must not depend on the machine's cores
        self._mixed = is_mixed(plan.execution, self._device)
        self._dataset = load_dataset(open_artifact(plan.dataset, "dataset"), self._device)
        self.labels, self.patients = labels_and_patients(self._dataset)
        self._lessons: dict[tuple[int, int], torch.Tensor] = {}
        self._folds = folds(self.labels, self.patients, plan.folds, plan.seed)

    def carry_out(self, task: Task) -> Predicted:
        """Fit and predict; the fold's test samples are looked at by nothing but the prediction."""
        fold = self._folds[task.fold]
        tensors = in_units_of(self._dataset.tensors, self._index(fold.train))
        test = tensors[self._index(fold.test)]
        seed = derive_seed(self._plan.seed, task.method, task.fold, task.member)
        if task.method in BASELINES:
            train = tensors[self._index(fold.train)]
            baseline = fit_baseline(task.method, train, self.patients[fold.train], seed)
            return Predicted(death_probability(predict_logits(baseline, test)).tolist())
        settings = replace(self._plan.methods[task.method], seed=seed)
        learned_from, stopped_by = fold.train, fold.train[:0]
        if not self._plan.refit:
            learned_from, stopped_by = held_back(self.labels, self.patients, fold, task.member, self._plan.seed)
        train, validation = tensors[self._index(learned_from)], tensors[self._index(stopped_by)]
        taught = self._lesson(task, train, learned_from) if settings.distillation else None
        judged_by = None if self._plan.refit else validation
        fitted = fit(train, judged_by, settings, taught=taught, mixed_precision=self._mixed)
        probability, seen = (death_probability(predict_logits(fitted.model, part)) for part in (test, validation))
        return Predicted(probability.tolist(), seen.tolist(), len(fitted.history))

    def _lesson(self, task: Task, train: Tensors, learned_from: Indices) -> torch.Tensor:
        """Return what is taught of the training samples; made once for all fits on the same."""
        key = (task.fold, 0 if self._plan.refit else task.member)
        if key not in self._lessons:
            seed = derive_seed(self._plan.seed, "lesson", *key)
            self._lessons[key] = lesson(train, self.patients[learned_from], seed)
        return self._lessons[key]

    def _index(self, samples: Indices) -> torch.Tensor:
        return torch.from_numpy(samples).to(self._device)


def labels_and_patients(dataset: LoadedDataset) -> tuple[Indices, Indices]:
    """Return label and patient of each sample."""
    return dataset.tensors.labels.cpu().numpy(), dataset.samples["subject_id"].to_numpy()


def tasks_of(plan: Plan, members: Mapping[str, int]) -> list[Task]:
    """Return the tasks: ``members`` fits of each method in each fold, fold by fold."""
    return [
        Task(method, fold, member)
        for fold in range(plan.folds)
        for method, count in members.items()
        for member in range(count)
    ]


def carry_out(
    plan: Plan,
    tasks: list[Task],
    *,
    work: Path,
    workers: int = 1,
    on_start: Callable[[int], None] = lambda _done: None,
    on_task: Callable[[Task], None] = lambda _task: None,
) -> dict[Task, Predicted]:
    """Carry out what is not done yet, ``workers`` at a time, and return the results of all tasks.

    A result is kept in ``work`` as soon as it is there, so that after a kill only unfinished fits are done again.

    Args:
        plan: what is repeated.
        tasks: what to do, in this order.
        work: folder that outlives a kill.
        workers: processes; with one, the work is done in this process.
        on_start: told how many tasks are done already.
        on_task: told of every task as it is finished.
    """
    results = {task: _load(work / task.file) for task in tasks if (work / task.file).is_file()}
    left = [task for task in tasks if task not in results]
    on_start(len(results))
    for task, predicted in _results(plan, left, workers):
        partial = work / f"{task.file}.partial"
        partial.write_bytes(msgspec.json.encode(predicted))
        partial.replace(work / task.file)
        results[task] = predicted
        on_task(task)
    return {task: results[task] for task in tasks}


def _load(file: Path) -> Predicted:
    return msgspec.json.decode(file.read_bytes(), type=Predicted)


_worker: Worker | None = None


def _start(plan: Plan) -> None:
    global _worker
    end_with_parent()
    _worker = Worker(plan)


def _carry_out_here(task: Task) -> Predicted:
    assert _worker is not None
    return _worker.carry_out(task)


def _results(plan: Plan, tasks: list[Task], workers: int) -> Iterator[tuple[Task, Predicted]]:
    """Yield each task with its result, as they end."""
    if not tasks:
        return
    if workers == 1:
        worker = Worker(plan)
        yield from ((task, worker.carry_out(task)) for task in tasks)
        return
    context = multiprocessing.get_context("spawn")  # forked children of a process with threads may hang
    with ProcessPoolExecutor(workers, context, initializer=_start, initargs=(plan,)) as pool:
        waiting = {pool.submit(_carry_out_here, task): task for task in tasks}
        try:
            for done in _as_they_end(waiting):
                yield waiting[done], done.result()
        except BrokenProcessPool as error:
            pool.shutdown(wait=False, cancel_futures=True)
            raise UserError(
                "a worker was killed, as happens where memory runs out; finished fits are kept: give fewer --workers "
                "and start again"
            ) from error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _as_they_end(futures: Iterable[Future[Predicted]]) -> Iterator[Future[Predicted]]:
    left = set(futures)
    while left:
        done, left = wait(left, return_when=FIRST_COMPLETED)
        yield from done


def ensemble(members: list[npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
    """Return the probabilities of an ensemble [sample]: those of the mean log-odds of its members' [sample]."""
    inside = np.clip(np.stack(members), 1e-12, 1 - 1e-12)
    return np.asarray(1 / (1 + np.exp(-np.log(inside / (1 - inside)).mean(axis=0))))
