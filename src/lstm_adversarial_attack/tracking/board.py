"""TensorBoard event files, written as figures come in."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any


class Board:
    """The event files of one run of a stage; without TensorBoard it writes nothing."""

    def __init__(self, folder: Path, stage: str) -> None:
        """Write below ``folder``, into a folder named after the stage and the time."""
        self._folder = folder / f"{stage}-{time.strftime('%Y%m%d-%H%M%S')}"
        self._stage = stage
        self._writer: Any = None

    def add(self, values: Mapping[str, float], step: int, time_ms: int) -> None:
        """Write figures of a step."""
        try:
            from tensorboard.compat.proto.event_pb2 import Event
            from tensorboard.compat.proto.summary_pb2 import Summary
            from tensorboard.summary.writer.event_file_writer import EventFileWriter
        except ImportError:
            return
        points = [Summary.Value(tag=f"{self._stage}/{name}", simple_value=value) for name, value in values.items()]
        with suppress(OSError):  # a full disk: the stage itself will tell
            if self._writer is None:
                self._writer = EventFileWriter(str(self._folder), flush_secs=1)
            self._writer.add_event(Event(wall_time=time_ms / 1000, step=step, summary=Summary(value=points)))

    def close(self) -> None:
        """See that everything is in the file."""
        with suppress(OSError):
            if self._writer is not None:
                self._writer.close()
