"""Which place a command's options ask for."""

from __future__ import annotations

from pathlib import Path

from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.search.place import Journal, Place
from lstm_adversarial_attack.settings import Execution, TuneExecution

#: Name of the journal in the work folder of a stage. A copy made at any moment serves: a line cut off is dropped.
JOURNAL = "journal.log"


def workers_of(execution: Execution) -> int:
    """Return how many processes search on this machine."""
    return execution.workers if isinstance(execution, TuneExecution) else 1


def place_of(execution: Execution, work: Path) -> Place:
    """Return where the study is kept: in the database that is named, else in a journal in the folder ``work``.

    Raises:
        UserError: the address of the database is not of the form, or the library for it is missing.
    """
    storage = execution.storage if isinstance(execution, TuneExecution) else ""
    if not storage:
        return Journal(work / JOURNAL, alone=workers_of(execution) == 1)
    try:
        from lstm_adversarial_attack.search.database import Database
    except ModuleNotFoundError as error:
        if error.name != "psycopg2":
            raise
        extras = "'tune' or 'attack-tune'"
        raise UserError(f"--storage needs psycopg2; install it, or this package with its extra {extras}") from error
    return Database(storage)
