"""What came of loading a database."""

from __future__ import annotations

from dataclasses import dataclass

from lstm_adversarial_attack.database.release import Release, published_rows
from lstm_adversarial_attack.errors import UserError


@dataclass(frozen=True)
class TableLoad:
    """What came of one table; where ``problem`` says something, it was not loaded (or, ``skipped``, stays as it was).

    ``rows`` were found in the file, or None where it was not read to its end. The seconds are those of copying rows,
    of making and checking keys and statistics, and all of them together with waiting for locks and the commit.
    """

    table: str
    rows: int | None = None
    skipped: bool = False
    problem: str | None = None
    copy_seconds: float = 0.0
    finish_seconds: float = 0.0
    total_seconds: float = 0.0


@dataclass(frozen=True)
class LoadResult:
    """What came of all tables, in the order of their names."""

    release: Release
    tables: tuple[TableLoad, ...]

    def shown(self) -> str:
        """Return a table for people: found and expected rows and the verdict on each table."""
        lines = [f"{'table':<20} {'expected':>13} {'found':>13}  verdict"]
        for load in self.tables:
            expected = published_rows(self.release, load.table)
            lines.append(f"{load.table:<20} {_number(expected):>13} {_number(load.rows):>13}  {self._verdict(load)}")
        return "\n".join(lines)

    def _verdict(self, load: TableLoad) -> str:
        if load.problem is not None:
            return "WRONG, as loaded before" if load.skipped else "NOT LOADED"
        return "ok, loaded before" if load.skipped else "ok"


class NotLoaded(UserError):  # noqa: N818 - reads as what happened
    """Tables that could not be loaded, or have the wrong number of rows; ``result`` tells of all tables."""

    def __init__(self, result: LoadResult) -> None:
        super().__init__("; ".join(load.problem for load in result.tables if load.problem))
        self.result = result


def _number(rows: int | None) -> str:
    return "-" if rows is None else f"{rows:,}"
