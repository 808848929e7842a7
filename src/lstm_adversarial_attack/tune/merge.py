"""Keeping one of the results that several searches of one study have written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lstm_adversarial_attack.artifacts import Artifact, local_folder, occupant, open_artifact, write_artifact
from lstm_adversarial_attack.artifacts.contents import Search
from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.progress import Reporter

_KIND = "hyperparameters"
_FILE = "search.json"


def merge_hyperparameters(searches: Sequence[str | Path], out: str | Path, reporter: Reporter) -> Artifact:
    """Copy to ``out`` the one of the artifacts at ``searches`` that knows most trials; of equals, the first.

    Raises:
        UserError: none is given, one is missing or damaged, they are not of the same search, or ``out`` holds
            something else.
    """
    shown, out = out, local_folder(out)
    with reporter.stage("merge-hyperparameters") as progress:
        opened = [open_artifact(address, _KIND) for address in searches]
        if not opened:
            raise UserError("no searches given; name each with --hyperparameters")
        for other in opened[1:]:
            if other.manifest.identity != opened[0].manifest.identity:
                raise UserError(f"{other.path}: not of the same search as {opened[0].path}: settings or inputs differ")
        best = max(opened, key=lambda artifact: len(artifact.json(_FILE, Search).trials))
        there = occupant(out, _KIND)
        if there.artifact is None or there.artifact.digest != best.digest:
            with write_artifact(out, best.manifest.identity, stage=best.manifest.stage) as draft:
                draft.write_bytes(_FILE, best.file(_FILE).read_bytes())
                draft.environment |= best.manifest.environment
        trials = len(best.json(_FILE, Search).trials)
        progress.say(f"{trials} trials, the most of {len(opened)} searches: {shown}")
    return open_artifact(out, _KIND)
