"""`lstm-aa audit`: from a source, or from a dataset that is there, to the findings."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from lstm_adversarial_attack.artifacts import local_folder
from lstm_adversarial_attack.audit.findings import Findings
from lstm_adversarial_attack.audit.settings import AuditSettings
from lstm_adversarial_attack.audit.stage import STAGE, summary
from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.local_run import check_out
from lstm_adversarial_attack.progress import Reporter
from lstm_adversarial_attack.protocols import load_protocol
from lstm_adversarial_attack.settings import Execution, ExtractSettings, PreprocessSettings
from lstm_adversarial_attack.sources import open_source
from lstm_adversarial_attack.stage import carry_out, load_stage

#: The artifacts of an audit's folder.
_KINDS = ("events", "dataset", "audit")


def run_audit(
    out: Path,
    settings: AuditSettings,
    execution: Execution,
    reporter: Reporter,
    *,
    source: str | None = None,
    dataset: str | None = None,
    snapshot_id: str = "",
    force: bool = False,
) -> tuple[Path, str]:
    """Carry out what is not up to date below ``out``: with a source, ``events`` and ``dataset``; then ``audit``.

    Args:
        out: folder of the artifacts.
        settings: of the audit.
        execution: device and threads.
        reporter: where progress goes.
        source: address of the ICU database, read under protocol `reference`.
        dataset: address of a dataset made under that protocol, in place of a source.
        snapshot_id: see `open_source`.
        force: do the audit again even where it is up to date.

    Returns:
        The path of the page, and the summary.

    Raises:
        UserError: neither source nor dataset or both, bad input, or ``out`` holds something else.
    """
    if (source is None) == (dataset is None):
        raise UserError("give either --source, such as synthetic:8000, or --dataset, a folder made by preprocess")
    out = local_folder(out)
    check_out(out, _KINDS)
    if source is not None:
        dataset = str(_dataset(source, snapshot_id, out, execution, reporter))
    artifact = carry_out(
        STAGE,
        settings=settings,
        inputs={"dataset": str(dataset)},
        out=out / STAGE.makes,
        execution=execution,
        reporter=reporter,
        force=force,
    ).artifact
    return artifact.file("audit.html"), summary(artifact.json("audit.json", Findings))


def _dataset(source: str, snapshot_id: str, out: Path, execution: Execution, reporter: Reporter) -> Path:
    """Extract and preprocess under protocol `reference`, and return the folder of the dataset."""
    protocol = load_protocol("reference")
    with closing(open_source(source, snapshot_id=snapshot_id)) as opened:
        carry_out(
            load_stage("extract"),
            settings=ExtractSettings(**protocol["extract"]),
            inputs={},
            out=out / "events",
            execution=execution,
            reporter=reporter,
            source=opened,
        )
    return carry_out(
        load_stage("preprocess"),
        settings=PreprocessSettings(**protocol["preprocess"]),
        inputs={"events": out / "events"},
        out=out / "dataset",
        execution=execution,
        reporter=reporter,
    ).artifact.path
