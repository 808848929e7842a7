"""Progress of long work: bars on a terminal, plain lines elsewhere. It goes to standard error."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

_LINE_EVERY_S = 10.0
#: Before so long a time it is not said how long the rest takes.
_NO_GUESS_BEFORE_S = 10.0


def in_words(seconds: float) -> str:
    """Return a time in one or two units, as in ``40 s``, ``3 min`` or ``2 h 5 min``."""
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


class StageProgress:
    """Progress of one stage: what it is doing now, and how far it has come."""

    def __init__(self, name: str, console: Console, bars: Progress | None) -> None:
        self._name = name
        self._console = console
        self._bars = bars
        self._task: TaskID | None = None
        self._step, self._done, self._total = "", 0, 0
        self._begun, self._done_before = time.monotonic(), 0
        self._last_line = time.monotonic()

    def start(self, step: str, total: int = 0, done: int = 0) -> None:
        """Begin a step of ``total`` parts (0: unknown), ``done`` of which are there already."""
        self._step, self._total, self._done = step, total, done
        self._begun, self._done_before = time.monotonic(), done
        if done:
            self.say(f"{step}: going on after {done} of {total}")
        if self._bars is None:
            self._last_line = time.monotonic()
            return
        if self._task is not None:
            self._bars.remove_task(self._task)
        self._task = self._bars.add_task(f"{self._name}: {step}", total=total or None, completed=done, note="")

    def advance(self, parts: int = 1, note: str = "") -> None:
        """Count ``parts`` more as done; ``note`` is a short word on how it goes, such as a score."""
        self.reach(self._done + parts, note)

    def reach(self, done: int, note: str = "") -> None:
        """Say that ``done`` parts in all are done."""
        self._done = done
        if self._bars is not None and self._task is not None:
            self._bars.update(self._task, completed=self._done, note=note)
        elif time.monotonic() - self._last_line > _LINE_EVERY_S:
            self._last_line = time.monotonic()
            of = f" of {self._total}" if self._total else ""
            self.say(f"{self._step}: {self._done}{of} {note}".rstrip() + self._left())

    def _left(self) -> str:
        """Return how long the rest takes if it goes on like this, as in ``, 3 min left``."""
        taken_s, here = time.monotonic() - self._begun, self._done - self._done_before
        if taken_s < _NO_GUESS_BEFORE_S or here <= 0 or not self._done < self._total:
            return ""
        return f", {in_words(taken_s * (self._total - self._done) / here)} left"

    def say(self, text: str) -> None:
        """Print a line."""
        self._console.print(f"{self._name:<12} {text}", highlight=False, markup=False, soft_wrap=True)


class Reporter:
    """Hands out the progress of stages; quiet reporters print nothing."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = Console(stderr=True, quiet=quiet)

    @contextmanager
    def stage(self, name: str) -> Iterator[StageProgress]:
        """Show the progress of stage ``name`` while the block runs."""
        if not self._console.is_terminal:
            yield StageProgress(name, self._console, None)
            return
        columns = (
            TextColumn("{task.description:<32}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        with Progress(*columns, console=self._console, transient=True) as bars:
            yield StageProgress(name, self._console, bars)
