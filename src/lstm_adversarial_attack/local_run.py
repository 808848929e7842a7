"""All seven stages in one process, one after the other."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from lstm_adversarial_attack.artifacts import Artifact, local_folder
from lstm_adversarial_attack.artifacts.contents import Headline
from lstm_adversarial_attack.artifacts.manifest import SCHEMA_VERSIONS
from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.progress import Reporter
from lstm_adversarial_attack.settings import Execution
from lstm_adversarial_attack.sources import EventSource, open_source
from lstm_adversarial_attack.stage import STAGES, carry_out, load_stage
from lstm_adversarial_attack.tracking import Tracker
from lstm_adversarial_attack.tracking.tracker import FOLDER


def run_all(
    source: str,
    out: Path,
    settings: Mapping[str, Any],
    execution: Execution,
    reporter: Reporter,
    *,
    snapshot_id: str = "",
) -> tuple[Path, tuple[str, ...]]:
    """Carry out the stages that are not up to date, each artifact in a folder of its own below ``out``.

    Args:
        source: address of the ICU database.
        out: folder of the run.
        settings: those of each stage, by its name.
        execution: device and threads.
        reporter: where progress goes.
        snapshot_id: see `open_source`.

    Returns:
        The path of the report, and the lines that sum it up.

    Raises:
        UserError: bad input of a stage; what was finished before it stays.
    """
    if settings["attack"].shard:
        raise UserError(
            f"--attack.shard {settings['attack'].shard}: run reports on all samples; give --shard to the command attack"
        )
    out = local_folder(out)
    check_out(
        out, {*SCHEMA_VERSIONS, FOLDER, "checks"} - {"audit"}
    )  # an audit's events and dataset are of another protocol

    def carry_out_one(name: str, tracker: Tracker, opened: EventSource | None = None) -> Artifact:
        stage = load_stage(name)
        return carry_out(
            stage,
            settings=settings[name],
            inputs={kind: out / kind for kind in (*stage.takes, *stage.may_take)},
            out=out / stage.makes,
            execution=execution,
            reporter=reporter,
            source=opened,
            tracker=tracker,
        ).artifact

    with Tracker() as tracker:
        with closing(open_source(source, snapshot_id=snapshot_id)) as opened:
            last = carry_out_one(STAGES[0], tracker, opened)
        for name in STAGES[1:]:
            last = carry_out_one(name, tracker)
    return last.file("report.html"), last.json("metrics.json", Headline).headline


def check_out(out: Path, known: Collection[str]) -> None:
    """See that the folder is new, empty, or holds nothing but what is ``known`` and hidden files.

    Raises:
        UserError: it holds something else, or is no folder.
    """
    if not out.exists():
        return
    if not out.is_dir():
        raise UserError(f"{out}: not a folder; give --out another address")
    strange = sorted(p.name for p in out.iterdir() if p.name not in known and not p.name.startswith("."))
    if strange:
        raise UserError(f"{out}: the output folder holds something else ({strange[0]}); empty it or give --out another")
