"""All seven stages in one process, one after the other."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lstm_adversarial_attack.artifacts import Artifact
from lstm_adversarial_attack.artifacts.contents import Headline
from lstm_adversarial_attack.artifacts.manifest import SCHEMA_VERSIONS
from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.progress import Reporter
from lstm_adversarial_attack.settings import Execution
from lstm_adversarial_attack.sources import EventSource, open_source
from lstm_adversarial_attack.stage import STAGES, Stage, carry_out, load_stage


@dataclass(frozen=True)
class Finished:
    """The end of a run: the report's path and the lines that sum it up."""

    report: Path
    headline: tuple[str, ...]


@dataclass(frozen=True)
class LocalRun:
    """A run of all stages into one folder, an artifact folder for each."""

    out: Path
    settings: dict[str, Any]
    execution: Execution
    reporter: Reporter

    def go(self, source: str, snapshot_id: str = "") -> Finished:
        """Carry out the stages that are not up to date.

        Raises:
            UserError: bad input of a stage; what was finished before it stays.
        """
        self._check_out()
        with closing(open_source(source, snapshot_id=snapshot_id)) as opened:
            self._carry_out(load_stage("extract"), opened)
        for name in STAGES[1:]:
            last = self._carry_out(load_stage(name))
        headline = last.json("headline.json", Headline)
        return Finished(last.file("report.html"), headline.lines)

    def _carry_out(self, chosen: Stage, source: EventSource | None = None) -> Artifact:
        outcome = carry_out(
            chosen,
            settings=self.settings[chosen.name],
            inputs={kind: self.out / kind for kind in (*chosen.takes, *chosen.may_take)},
            out=self.out / chosen.makes,
            execution=self.execution,
            reporter=self.reporter,
            source=source,
        )
        return outcome.artifact

    def _check_out(self) -> None:
        """See that the folder is new, empty, or of an earlier run."""
        if not self.out.exists():
            return
        if not self.out.is_dir():
            raise UserError(f"{self.out}: not a folder; give --out another address")
        strange = [p.name for p in self.out.iterdir() if p.name not in SCHEMA_VERSIONS and not p.name.startswith(".")]
        if strange:
            raise UserError(
                f"{self.out}: the output folder holds something else ({strange[0]}); empty it or give --out another"
            )
