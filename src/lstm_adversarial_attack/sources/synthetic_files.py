"""Writing a synthetic cohort to a folder of the user's."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path

from lstm_adversarial_attack.errors import UserError, disk_is_full
from lstm_adversarial_attack.progress import Reporter
from lstm_adversarial_attack.sources.synthetic import synthesize


def write_tables(stays: int, seed: int, out: Path, reporter: Reporter) -> dict[str, int]:
    """Write the tables to ``out`` and return their row counts; a kill leaves nothing that looks complete.

    Raises:
        UserError: ``out`` holds something, or the number of stays is out of range.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out}: holds something already; give --out a new or an empty folder")
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        with reporter.stage("synthesize") as progress:
            progress.start("ICU stays", stays)
            counts = synthesize(stays, seed, partial, on_progress=lambda done, _: progress.reach(done))
        if out.exists():
            out.rmdir()
        partial.rename(out)
    except ValueError as error:
        raise UserError(f"--stays {stays}, --seed {seed}: {error}") from error
    except OSError as error:
        if disk_is_full(error):
            raise
        raise UserError(f"{out}: cannot be written here ({error.strerror}); give --out another address") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return asdict(counts)
