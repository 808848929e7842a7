"""The artifact folder: what is written is what is read, whole or not at all."""

from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_adversarial_attack.artifacts import (
    Artifact,
    Draft,
    Manifest,
    digest_of,
    occupant,
    open_artifact,
    write_artifact,
)
from lstm_adversarial_attack.artifacts.manifest import SCHEMA_VERSIONS, Identity, is_file_path
from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.settings import EvaluateSettings, Execution
from lstm_adversarial_attack.stage import Context, Stage, carry_out

SCHEMA = {"hour": pl.Int32, "value": pl.Float64}
FRAME = pl.DataFrame({"hour": [0, 1, 2], "value": [1.5, None, -0.0]}, schema=SCHEMA)


class Note(msgspec.Struct, frozen=True):
    text: str
    number: float


NOTE = Note("grüße", 0.1)


def identity(kind: str = "report", **changes: Any) -> Identity:
    return Identity(**{"kind": kind, "settings": {"seed": 1}, "seed": 1, "inputs": {"dataset": "a" * 64}, **changes})


def fill(draft: Draft, order: tuple[str, ...] = ("table", "note")) -> None:
    """Write a table and a note."""
    for what in order:
        if what == "table":
            draft.write_frame("table.parquet", FRAME, SCHEMA)
        else:
            draft.write_json("note.json", NOTE)


def write(out: Path, work: Identity | None = None, fill: Callable[[Draft], None] = fill) -> Artifact:
    work = work or identity()
    with write_artifact(out, work, stage="evaluate") as draft:
        fill(draft)
    return open_artifact(out, work.kind)


def fail_at_the_end(draft: Draft) -> None:
    fill(draft)
    (draft.path / "more.txt").write_text("more")
    raise RuntimeError("killed")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


# --- round trip -------------------------------------------------------------------------------------------------


def test_what_is_written_is_read(tmp_path: Path) -> None:
    artifact = write(tmp_path / "report")

    assert artifact.frame("table.parquet", SCHEMA).equals(FRAME)
    assert artifact.json("note.json", Note) == NOTE
    assert artifact.manifest.rows == {"table": 3}
    assert artifact.manifest.identity == identity()
    assert set(artifact.manifest.files) == {"table.parquet", "note.json"}
    assert [entry.name for entry in tmp_path.iterdir()] == ["report"]


@pytest.mark.parametrize("kind", SCHEMA_VERSIONS)
def test_every_kind_can_be_written_and_opened_as_itself_alone(tmp_path: Path, kind: str) -> None:
    assert write(tmp_path / kind, identity(kind)).manifest.schema_version == SCHEMA_VERSIONS[kind]
    for other in set(SCHEMA_VERSIONS) - {kind}:
        with pytest.raises(UserError, match=f"holds '{kind}' where '{other}' is needed"):
            open_artifact(tmp_path / kind, other)


def test_manifest_is_strict_json_without_nan(tmp_path: Path) -> None:
    def not_a_number(draft: Draft) -> None:
        draft.write_json("note.json", Note("nan", float("nan")))

    artifact = write(tmp_path / "report", fill=not_a_number)

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    assert json.loads(artifact.file("note.json").read_text(), parse_constant=refuse)["number"] is None
    json.loads((artifact.path / "manifest.json").read_text(), parse_constant=refuse)


def test_a_frame_of_another_schema_is_refused(tmp_path: Path) -> None:
    artifact = write(tmp_path / "report")

    with pytest.raises(UserError, match=r"table\.parquet: not the table expected: .*value is Float64, not String"):
        artifact.frame("table.parquet", {**SCHEMA, "value": pl.String})
    with pytest.raises(UserError, match="columns missing: minute"):
        artifact.frame("table.parquet", {"minute": pl.Int32})


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"without weights\.safetensors"):
        write(tmp_path / "report").file("weights.safetensors")


# --- digest -----------------------------------------------------------------------------------------------------


def test_digest_does_not_depend_on_place_time_machine_or_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = write(tmp_path / "here")
    monkeypatch.setenv("LSTM_AA_IMAGE_DIGEST", "sha256:other")
    monkeypatch.setattr("platform.platform", lambda: "another machine")

    def backwards(draft: Draft) -> None:
        draft.environment["seconds"] = 1e6
        fill(draft, ("note", "table"))

    there = write(tmp_path / "deeper" / "there", fill=backwards)

    assert there.manifest.environment != here.manifest.environment
    assert there.manifest.environment["image_digest"] == "sha256:other"
    assert there.digest == here.digest
    shutil.move(here.path, tmp_path / "moved")
    assert open_artifact(tmp_path / "moved", "report").digest == here.digest


CHANGES: dict[str, Identity] = {
    "settings": identity(settings={"seed": 1, "resamples": 5}),
    "seed": identity(seed=2),
    "no seed": identity(seed=None),
    "inputs": identity(inputs={"dataset": "b" * 64}),
    "kind of input": identity(inputs={"model": "a" * 64}),
    "kind": identity("model"),
}


@pytest.mark.parametrize("changed", CHANGES.values(), ids=CHANGES.keys())
def test_digest_depends_on_what_was_done(tmp_path: Path, changed: Identity) -> None:
    assert write(tmp_path / "one").digest != write(tmp_path / "two", changed).digest


def test_digest_depends_on_names_and_contents_of_files(tmp_path: Path) -> None:
    def digest(number: int, name: str, text: str) -> str:
        def one_file(draft: Draft) -> None:
            draft.write_json(name, Note(text, 1.0))

        return write(tmp_path / str(number), fill=one_file).digest

    assert len({digest(1, "a.json", "x"), digest(2, "b.json", "x"), digest(3, "a.json", "y")}) == 3


_numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
_plain = st.recursive(
    st.none() | st.booleans() | _numbers | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(settings=st.dictionaries(st.text(min_size=1), _plain, max_size=5))
def test_digest_survives_json_and_does_not_depend_on_the_order_of_keys(settings: dict[str, Any]) -> None:
    backwards = dict(reversed(settings.items()))
    read_again = json.loads(msgspec.json.encode(settings))

    assert digest_of(backwards) == digest_of(settings) == digest_of(read_again)


# --- whole or not at all ----------------------------------------------------------------------------------------


def test_failure_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="killed"):
        write(tmp_path / "report", fill=fail_at_the_end)

    assert list(tmp_path.iterdir()) == []


def test_failure_leaves_the_older_artifact(tmp_path: Path) -> None:
    older = write(tmp_path / "report")
    before = contents(tmp_path)

    with pytest.raises(RuntimeError, match="killed"):
        write(tmp_path / "report", fill=fail_at_the_end)

    assert contents(tmp_path) == before
    assert open_artifact(tmp_path / "report", "report").digest == older.digest


def test_nothing_stands_at_the_address_before_the_end(tmp_path: Path) -> None:
    def look(draft: Draft) -> None:
        fill(draft)
        assert not (tmp_path / "report").exists()
        assert not (draft.path / "manifest.json").exists()

    write(tmp_path / "report", fill=look)


def test_an_older_artifact_is_replaced_whole(tmp_path: Path) -> None:
    write(tmp_path / "report")

    def less(draft: Draft) -> None:
        draft.write_json("other.json", NOTE)

    write(tmp_path / "report", identity(seed=2), fill=less)

    assert {entry.name for entry in (tmp_path / "report").iterdir()} == {"other.json", "manifest.json"}
    assert [entry.name for entry in tmp_path.iterdir()] == ["report"]


def _die_with_a_draft(out: Path) -> None:
    with write_artifact(out, identity(), stage="evaluate") as draft:
        fill(draft)
        (draft.work / "checkpoint").write_text("half-way")
        os.kill(os.getpid(), 9)


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """The address of an artifact whose process was killed while it wrote."""
    out = tmp_path / "report"
    process = multiprocessing.get_context("spawn").Process(target=_die_with_a_draft, args=(out,))
    process.start()
    process.join()
    assert process.exitcode == -9
    assert not out.exists()
    assert (tmp_path / ".report.work" / "draft" / "note.json").is_file()
    return out


def test_a_killed_draft_is_dropped_and_its_work_kept_for_the_same_work(killed: Path) -> None:
    def go_on(draft: Draft) -> None:
        assert list(draft.path.iterdir()) == []
        assert (draft.work / "checkpoint").read_text() == "half-way"
        fill(draft)

    write(killed, fill=go_on)

    assert [entry.name for entry in killed.parent.iterdir()] == ["report"]


@pytest.mark.parametrize("changed", CHANGES.values(), ids=CHANGES.keys())
def test_kept_work_is_dropped_for_other_work(killed: Path, changed: Identity) -> None:
    def begin_anew(draft: Draft) -> None:
        assert list(draft.work.iterdir()) == []
        folders = {entry for entry in draft.work.parent.iterdir() if entry.is_dir()}
        assert folders == {draft.work, draft.path}
        fill(draft)

    write(killed, changed, fill=begin_anew)


def test_work_is_kept_over_a_failure_until_the_artifact_is_done(tmp_path: Path) -> None:
    def fail(draft: Draft) -> None:
        fill(draft)
        (draft.work / "checkpoint").write_text("half-way")
        raise RuntimeError("killed")

    def go_on(draft: Draft) -> None:
        assert (draft.work / "checkpoint").is_file()

    with pytest.raises(RuntimeError, match="killed"):
        write(tmp_path / "report", fill=fail)
    assert {file.name for file in tmp_path.rglob("*") if file.is_file()} == {"checkpoint", "lock"}
    write(tmp_path / "report", fill=go_on)
    assert [entry.name for entry in tmp_path.iterdir()] == ["report"]


def test_only_one_writer_at_a_time(tmp_path: Path) -> None:
    def second(draft: Draft) -> None:
        fill(draft)
        with pytest.raises(UserError, match="another process is writing this artifact"):
            write(tmp_path / "report", identity(seed=2))
        write(tmp_path / "another")

    write(tmp_path / "report", fill=second)

    assert open_artifact(tmp_path / "report", "report").manifest.seed == 1


def test_lock_of_a_killed_writer_is_free(killed: Path) -> None:
    write(killed)


@pytest.mark.parametrize("out", ["/proc/x", "/proc/x/y"])
def test_where_no_folder_can_be_made_is_told_at_once(out: str) -> None:
    with pytest.raises(UserError, match=rf"^{out}: cannot be written here \([\w ]+\); give --out another address$"):
        write(Path(out))


@pytest.mark.parametrize(("times", "tries"), [(3, 4), (99, 100), (1_000, 100)])
def test_a_work_folder_that_vanishes_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int, tries: int
) -> None:
    """Who held the lock removes the folder after it was opened and before it was locked; not for ever, though."""
    flock = fcntl.flock
    locked: list[int] = []

    def vanishing(handle: int, operation: int) -> None:
        locked.append(handle)
        if len(locked) <= times:
            shutil.rmtree(tmp_path / ".report.work")
        flock(handle, operation)

    monkeypatch.setattr(fcntl, "flock", vanishing)
    if times < tries:
        write(tmp_path / "report")
    else:
        with pytest.raises(UserError, match=r"cannot be written here .*vanishes"):
            write(tmp_path / "report")
    assert len(locked) == tries


# --- what is refused --------------------------------------------------------------------------------------------


def resealed(path: Path, **changes: Any) -> None:
    """Change fields of the manifest and give it the digest that goes with them."""
    manifest = msgspec.json.decode((path / "manifest.json").read_bytes(), type=Manifest)
    manifest = msgspec.structs.replace(manifest, **msgspec.convert(changes, dict[str, Any]))
    manifest = msgspec.structs.replace(manifest, digest=manifest.expected_digest())
    (path / "manifest.json").write_bytes(msgspec.json.encode(manifest))


@pytest.mark.parametrize(
    "name",
    [
        *("../secret", "/etc/passwd", "a/b/c", "a/../b", "a/..", "a//b", "a/", "a/.b", "..", ".", ".hidden", ""),
        *("a\\b", "a b", "manifest.json", "a/manifest.json", "a\n"),
    ],
)
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_text("secret")
    artifact = write(tmp_path / "report")
    entry = artifact.manifest.files["note.json"]

    resealed(artifact.path, files={name: entry})

    assert not is_file_path(name)
    with pytest.raises(UserError, match="not a plain file name"):
        open_artifact(artifact.path, "report")


def test_a_link_in_place_of_a_file_is_refused(tmp_path: Path) -> None:
    artifact = write(tmp_path / "report")
    file = artifact.file("note.json")
    file.rename(tmp_path / "elsewhere.json")
    file.symlink_to(tmp_path / "elsewhere.json")

    with pytest.raises(UserError, match=r"note\.json: missing"):
        open_artifact(artifact.path, "report")


def illustrated(draft: Draft) -> None:
    fill(draft)
    draft.write_bytes("figures/roc.png", b"points")
    draft.write_bytes("figures/forest.png", b"intervals")


def test_files_in_a_folder_are_part_of_the_artifact(tmp_path: Path) -> None:
    artifact = write(tmp_path / "report", fill=illustrated)

    assert set(artifact.manifest.files) == {"table.parquet", "note.json", "figures/roc.png", "figures/forest.png"}
    assert artifact.file("figures/roc.png").read_bytes() == b"points"
    assert artifact.digest != write(tmp_path / "other").digest
    artifact.file("figures/roc.png").write_bytes(b"paints")
    with pytest.raises(UserError, match=r"figures/roc\.png: checksum"):
        open_artifact(artifact.path, "report")
    write(tmp_path / "report", fill=fill)
    assert not (tmp_path / "report" / "figures").exists()


def test_a_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    artifact = write(tmp_path / "report", fill=illustrated)
    (artifact.path / "figures").rename(tmp_path / "elsewhere")
    (artifact.path / "figures").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(UserError, match=r"figures/\w+\.png: missing"):
        open_artifact(artifact.path, "report")


@pytest.mark.parametrize("name", ["figures/mine.png", "mine/roc.png"])
def test_what_somebody_put_beside_the_files_is_never_overwritten(tmp_path: Path, name: str) -> None:
    write(tmp_path / "report", fill=illustrated)
    (tmp_path / "report" / name).parent.mkdir(exist_ok=True)
    (tmp_path / "report" / name).write_text("mine")

    with pytest.raises(UserError, match=f"holds something else than 'report' .{name.removesuffix('/roc.png')}"):
        occupant(tmp_path / "report", "report")
    assert (tmp_path / "report" / name).read_text() == "mine"


@pytest.mark.parametrize("field", ["settings", "seed", "inputs", "kind", "digest", "files"])
def test_a_manifest_that_was_changed_is_refused(tmp_path: Path, field: str) -> None:
    artifact = write(tmp_path / "report")
    file = artifact.path / "manifest.json"
    content = json.loads(file.read_text())
    content[field] = {"settings": {}, "seed": 9, "inputs": {}, "kind": "examples", "digest": "0" * 64, "files": {}}[
        field
    ]
    content["schema_version"] = SCHEMA_VERSIONS[content["kind"]]
    file.write_text(json.dumps(content))

    with pytest.raises(UserError, match="was changed" if field != "kind" else "holds 'examples' where 'report'"):
        open_artifact(artifact.path, "report")


def test_an_unknown_schema_version_is_told_before_anything_else(tmp_path: Path) -> None:
    artifact = write(tmp_path / "report")
    file = artifact.path / "manifest.json"
    file.write_text(json.dumps({"kind": "report", "schema_version": 7, "fields": "that we do not know"}))

    with pytest.raises(UserError, match=f"schema version 7, but this package reads {SCHEMA_VERSIONS['report']}"):
        open_artifact(artifact.path, "report")


def test_every_changed_byte_is_found(tmp_path: Path) -> None:
    artifact = write(tmp_path / "report")
    file = artifact.file("note.json")
    content = file.read_bytes()
    for at in range(len(content)):
        file.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        with pytest.raises(UserError, match=r"note\.json: checksum does not match"):
            open_artifact(artifact.path, "report")
    file.write_bytes(content)
    open_artifact(artifact.path, "report")


def test_occupant_tells_nothing_whole_damaged_and_foreign_apart(tmp_path: Path) -> None:
    assert occupant(tmp_path / "nothing", "report").artifact is None
    (tmp_path / "empty").mkdir()
    assert occupant(tmp_path / "empty", "report").damage is None
    whole = write(tmp_path / "whole")
    found = occupant(whole.path, "report").artifact
    assert found is not None
    assert found.digest == whole.digest
    with pytest.raises(UserError, match="something else than 'model'"):
        occupant(whole.path, "model")
    foreign = whole.path / "thesis.tex"
    foreign.write_text("mine")
    with pytest.raises(UserError, match=r"something else than 'report' \(thesis\.tex\)"):
        occupant(whole.path, "report")
    foreign.unlink()
    whole.file("note.json").unlink()
    assert re.search(r"note\.json: missing", occupant(whole.path, "report").damage or "")


@pytest.mark.parametrize("moved", [False, True])
def test_a_kill_between_the_two_renames_is_put_right(tmp_path: Path, moved: bool) -> None:
    old = write(tmp_path / "report")
    work = tmp_path / ".report.work"
    work.mkdir()
    shutil.copytree(old.path, work / "replaced")
    if not moved:
        shutil.rmtree(old.path)
    found = occupant(tmp_path / "report", "report").artifact
    assert found is not None
    assert found.digest == old.digest
    assert not (work / "replaced").exists()


def test_the_working_folder_and_mounts_are_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="working folder cannot be replaced"):
        occupant(Path(), "report")
    with pytest.raises(UserError, match="mount point"):
        occupant(Path("/proc"), "report")


# --- left alone, or done again ----------------------------------------------------------------------------------


class FakeSource:
    """A source that is known by its fingerprint alone."""

    def __init__(self, fingerprint: str | None) -> None:
        self._fingerprint = fingerprint

    def fingerprint(self) -> str | None:
        return self._fingerprint


class CountedStage:
    """A stage without inputs that counts how often it is run."""

    def __init__(self, out: Path) -> None:
        self.out, self.runs = out, 0

    def __call__(self, *, fingerprint: str | None = "monday", force: bool = False, **settings: Any) -> bool:
        """Carry the stage out, and tell whether it was run."""

        def run(context: Context) -> None:
            self.runs += 1
            fill(context.draft)

        before = self.runs
        outcome = carry_out(
            Stage(name="evaluate", makes="report", takes=(), run=run),
            settings=EvaluateSettings(**settings),
            inputs={},
            out=self.out,
            source=FakeSource(fingerprint),  # type: ignore[arg-type]
            force=force,
        )
        assert outcome.up_to_date == (self.runs == before)
        return self.runs > before


@pytest.fixture
def run_stage(tmp_path: Path) -> CountedStage:
    return CountedStage(tmp_path / "report")


def test_the_same_again_is_left_alone(run_stage: CountedStage) -> None:
    assert run_stage()
    before = (run_stage.out / "manifest.json").stat().st_mtime_ns
    assert not run_stage()
    assert (run_stage.out / "manifest.json").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    "change",
    [{"seed": 1}, {"resamples": 5}, {"force": True}, {"fingerprint": "tuesday"}, {"fingerprint": None}],
    ids=lambda change: next(iter(change)) + str(next(iter(change.values()))),
)
def test_a_change_makes_it_be_done_again(run_stage: CountedStage, change: dict[str, Any]) -> None:
    assert run_stage()
    assert run_stage(**change)


def work_of(out: Path, stage: Stage | None = None, **execution: Any) -> str:
    """Return the name of the folder for unfinished work."""
    found: list[str] = []

    def run(context: Context) -> None:
        found.append(context.draft.work.name)
        fill(context.draft)

    stage = replace(stage or Stage(name="evaluate", makes="report", takes=(), run=run), run=run)
    carry_out(stage, settings=EvaluateSettings(), inputs={}, out=out, execution=Execution(**execution), force=True)
    return found[0]


def test_unfinished_work_is_told_apart_by_the_arithmetic_that_it_came_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GPU that is there today and not tomorrow changes what auto means."""
    out, found = tmp_path / "report", {"auto": work_of(tmp_path / "report")}
    assert work_of(out, device="cpu") == work_of(out, precision="float32") == found["auto"]
    found["mixed"], found["threads"] = work_of(out, precision="mixed"), work_of(out, threads=2)
    with pytest.raises(UserError, match="no GPU is visible"):
        work_of(out, device="cuda")

    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    for name in ("NVIDIA A", "NVIDIA B"):
        monkeypatch.setattr("torch.cuda.get_device_name", lambda _device, name=name: name)
        found[name] = work_of(out)
        assert work_of(out, device="cuda") == work_of(out, precision="mixed") == found[name]
        found[f"{name} float32"] = work_of(out, precision="float32")
        assert work_of(out, device="cpu") == found["auto"]

    assert len(set(found.values())) == len(found)


def test_work_without_tensors_does_not_depend_on_the_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(name="evaluate", makes="report", takes=(), run=lambda _context: None, on_device=False)
    without = work_of(tmp_path / "report", stage)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert work_of(tmp_path / "report", stage) == work_of(tmp_path / "report", stage, device="cpu") == without


def test_a_source_that_cannot_be_told_is_always_read(run_stage: CountedStage) -> None:
    assert run_stage(fingerprint=None)
    assert run_stage(fingerprint=None)


def test_other_code_does_it_again(run_stage: CountedStage, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_stage()
    monkeypatch.setattr("lstm_adversarial_attack.stage.code_fingerprint", lambda: "other")
    assert run_stage()


def _drop_a_file(out: Path) -> None:
    (out / "note.json").unlink()


def _change_a_byte(out: Path) -> None:
    file = out / "table.parquet"
    file.write_bytes(file.read_bytes()[:-1] + b"x")


def _change_the_manifest(out: Path) -> None:
    file = out / "manifest.json"
    file.write_text(file.read_text().replace('"seed": 0', '"seed": 5'))


def _age_the_schema(out: Path) -> None:
    file = out / "manifest.json"
    version = SCHEMA_VERSIONS["report"]
    file.write_text(file.read_text().replace(f'"schema_version": {version}', f'"schema_version": {version - 1}'))


@pytest.mark.parametrize("damage", [_drop_a_file, _change_a_byte, _change_the_manifest, _age_the_schema])
def test_a_damaged_artifact_is_done_again(run_stage: CountedStage, damage: Callable[[Path], None]) -> None:
    assert run_stage()
    whole = open_artifact(run_stage.out, "report").digest
    damage(run_stage.out)

    assert run_stage()

    assert open_artifact(run_stage.out, "report").digest == whole
    assert not run_stage()


def test_changed_files_of_a_source_are_read_again(lstm_aa_inside: Any, synthetic_tables: Path, tmp_path: Path) -> None:
    tables = Path(shutil.copytree(synthetic_tables, tmp_path / "tables"))

    def extract() -> str:
        result = lstm_aa_inside("extract", "--source", f"csv:{tables}", "--out", "events")
        assert result.returncode == 0, result.stderr
        return "left alone" if "up to date" in result.stderr else "read"

    assert [extract(), extract()] == ["read", "left alone"]
    file = tables / "LABEVENTS.csv.gz"
    stat = file.stat()
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1_000_000_000))
    assert [extract(), extract()] == ["read", "left alone"]


def test_other_inputs_make_the_next_stage_be_done_again(lstm_aa_inside: Any, synthetic_tables: Path) -> None:
    """A change goes down the line as far as it changes anything: the same bytes stop it."""

    def both(*extract_options: str) -> list[bool]:
        commands = (
            ("extract", "--source", f"csv:{synthetic_tables}", "--out", "events", *extract_options),
            ("preprocess", "--events", "events", "--out", "dataset"),
        )
        results = [lstm_aa_inside(*command) for command in commands]
        assert [result.returncode for result in results] == [0, 0], results
        return ["up to date" not in result.stderr for result in results]

    assert both() == [True, True]
    assert both() == [False, False]
    assert both("--force") == [True, False]
    assert both("--features", "reference-19") == [True, True]
