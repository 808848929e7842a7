"""The artifact layer: how every stage is carried out, whoever calls it.

A stage is a pure function in its own room plus a `Stage` that reads artifacts and writes one. `carry_out`
opens and verifies the inputs, leaves finished work alone, runs the stage into a draft and seals it. The
command line, the containers and the pipelines all go through it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from lstm_adversarial_attack.artifacts import (
    Artifact,
    Draft,
    Identity,
    Manifest,
    discard_work,
    local_folder,
    occupant,
    open_artifact,
    write_artifact,
)
from lstm_adversarial_attack.artifacts.manifest import code_fingerprint
from lstm_adversarial_attack.checkpoints import Checkpoints, open_checkpoints
from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.progress import Reporter, StageProgress
from lstm_adversarial_attack.settings import SETTINGS, Execution, as_manifest
from lstm_adversarial_attack.sources import EventSource
from lstm_adversarial_attack.tracking import StageTracker, Tracker

#: The stages in their order; the word names the command, the package, the component and the image.
STAGES = tuple(SETTINGS)


@dataclass(frozen=True)
class Context:
    """What a stage works with: verified inputs, settings, where to write and whom to tell."""

    inputs: Mapping[str, Artifact]
    settings: Any
    execution: Execution
    draft: Draft
    progress: StageProgress
    source: EventSource | None = None
    tracker: StageTracker = field(default_factory=StageTracker)
    checkpoints: Checkpoints = field(default_factory=Checkpoints)


@dataclass(frozen=True)
class Stage:
    """One of the seven stages: what it takes (artifact kinds), what it makes, and how.

    ``may_take_many`` tells the kind of what may be given several times, numbered, as in ``other-examples/1``.
    ``identity`` turns settings into what the manifest says of them, which tells same work from other work.
    ``on_device`` says that it works with tensors on a device, whose arithmetic tells unfinished work from other.
    """

    name: str
    makes: str
    takes: tuple[str, ...]
    run: Callable[[Context], None]
    may_take: tuple[str, ...] = ()
    may_take_many: Mapping[str, str] = field(default_factory=dict)
    identity: Callable[[Any], dict[str, Any]] = as_manifest
    on_device: bool = True


def load_stage(name: str) -> Stage:
    """Return a stage by its name; the libraries that it works with are imported now and not before."""
    stage: Stage = import_module(f"lstm_adversarial_attack.{name.replace('-', '_')}.stage").STAGE
    return stage


@dataclass(frozen=True)
class Outcome:
    """The artifact of a stage, and whether it was there already."""

    artifact: Artifact
    up_to_date: bool


def carry_out(
    stage: Stage,
    *,
    settings: Any,
    inputs: Mapping[str, str | Path],
    out: str | Path,
    execution: Execution | None = None,
    reporter: Reporter | None = None,
    source: EventSource | None = None,
    force: bool = False,
    tracker: Tracker | None = None,
) -> Outcome:
    """Run ``stage`` on the artifacts at ``inputs`` (kind to address) and write its artifact to ``out``.

    Work that stands finished at ``out``, made by this code from the same inputs and settings, is left alone
    unless ``force`` is set. Work that was killed is taken up where it stopped. Without ``tracker`` nothing is tracked.

    Raises:
        UserError: an input is missing or damaged, or ``out`` holds something else.
    """
    shown, out = out, local_folder(out)
    opened = _open_inputs(stage, inputs)
    identity = Identity(
        kind=stage.makes,
        settings=stage.identity(settings),
        seed=getattr(settings, "seed", None),
        inputs={kind: artifact.digest for kind, artifact in opened.items()},
    )
    fingerprint = source.fingerprint() if source else None
    execution = execution or Execution()
    with (reporter or Reporter(quiet=True)).stage(stage.name) as progress:
        there = occupant(out, stage.makes)
        if there.damage:
            progress.say(f"{there.damage}: done again")
        known = source is None or fingerprint is not None
        if there.artifact and known and not force and _up_to_date(there.artifact.manifest, identity, fingerprint):
            discard_work(out)
            progress.say(f"up to date, left as it is: {shown}")
            return Outcome(there.artifact, up_to_date=True)
        started = time.monotonic()
        with tracker.stage(stage.name, out, progress.say) if tracker else nullcontext(StageTracker()) as tracked:
            with write_artifact(out, identity, stage=stage.name, how=_arithmetic(stage, execution)) as draft:
                draft.environment["source"] = fingerprint
                with open_checkpoints(execution.checkpoints, draft.work, progress.say) as checkpoints:
                    stage.run(Context(opened, settings, execution, draft, progress, source, tracked, checkpoints))
                draft.environment["seconds"] = round(time.monotonic() - started, 1)
            checkpoints.discard()
            tracked.finish(out)
        progress.say(f"done in {draft.environment['seconds']:g} s: {shown}")
    return Outcome(open_artifact(out, stage.makes), up_to_date=False)


def _arithmetic(stage: Stage, execution: Execution) -> dict[str, Any] | None:
    if not stage.on_device:  # and maybe no torch is installed
        return None
    from lstm_adversarial_attack.devices import arithmetic

    return arithmetic(execution)


def _open_inputs(stage: Stage, inputs: Mapping[str, str | Path]) -> dict[str, Artifact]:
    missing = [kind for kind in stage.takes if kind not in inputs]
    if missing:
        raise UserError(f"stage {stage.name}: no --{missing[0]} given")
    kinds = {name: stage.may_take_many.get(name.rpartition("/")[0], name) for name in inputs}
    unknown = set(kinds.values()) - {*stage.takes, *stage.may_take, *stage.may_take_many.values()}
    if unknown:
        raise UserError(f"stage {stage.name} takes no {', '.join(sorted(unknown))}")
    return {name: open_artifact(address, kinds[name]) for name, address in inputs.items()}


def numbered(name: str, addresses: Iterable[str | Path]) -> dict[str, str | Path]:
    """Return inputs that may be given several times (`Stage.may_take_many`) by the names that `carry_out` takes."""
    return {f"{name}/{number:02}": address for number, address in enumerate(addresses, start=1)}


def _up_to_date(manifest: Manifest, identity: Identity, fingerprint: str | None) -> bool:
    made_by = (manifest.environment.get("code"), manifest.environment.get("source"))
    return manifest.identity == identity and made_by == (code_fingerprint(), fingerprint)
