"""`lstm-aa compare`: from the folders of runs to a page, its numbers and its tables."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import msgspec

from lstm_adversarial_attack.artifacts import local_folder
from lstm_adversarial_attack.compare.page import MARK, render
from lstm_adversarial_attack.compare.results import Comparison, compared, tables_of
from lstm_adversarial_attack.compare.runs import open_runs
from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.local_run import check_out

PAGE, NUMBERS = "comparison.html", "comparison.json"


def compare_runs(addresses: Sequence[str], out: str, labels: Sequence[str] | None = None) -> tuple[Path, Comparison]:
    """Compare runs and write what was found to ``out``.

    Args:
        addresses: folders of two or more runs, or of their reports.
        out: a folder for the page, `NUMBERS` and the tables as Parquet and CSV; or, where it ends in ``.html``, the
            page alone.
        labels: what the runs are called; the names of their folders by default.

    Returns:
        The path of the page, and the numbers.

    Raises:
        UserError: see `open_runs`; or ``out`` holds something else than an older comparison.
    """
    target = local_folder(out)
    alone = target.suffix.lower() in (".html", ".htm")
    if alone:
        _check_file(target)
    runs = open_runs(addresses, labels)
    comparison = compared(runs)
    tables = tables_of(runs, comparison)
    page = render(comparison, tables).encode()
    if alone:
        _write(target, page)
        return target, comparison
    check_out(target, {PAGE, NUMBERS, *(f"{name}.{form}" for name in tables for form in ("parquet", "csv"))})
    for name, table in tables.items():
        encoded = BytesIO()
        table.write_parquet(encoded)
        _write(target / f"{name}.parquet", encoded.getvalue())
        _write(target / f"{name}.csv", table.write_csv().encode())
    _write(target / NUMBERS, msgspec.json.format(msgspec.json.encode(comparison), indent=1) + b"\n")
    _write(target / PAGE, page)
    return target / PAGE, comparison


def _check_file(file: Path) -> None:
    """See that a page can be written to ``file`` without a loss."""
    if file.is_dir():
        raise UserError(f"{file}: a folder; give --out the address of a page, or a folder without .html in its name")
    if file.exists() and MARK not in file.read_text(encoding="utf-8", errors="replace"):
        raise UserError(f"{file}: holds something else than a comparison; give --out another address")


def _write(file: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    part = file.with_name(f".{file.name}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content)
        part.replace(file)
    except (FileExistsError, NotADirectoryError, PermissionError) as error:
        raise UserError(f"{file}: cannot be written ({error.strerror}); give --out another address") from error
