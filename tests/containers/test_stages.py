"""Each stage in its image: it does its work hardened, whoever it runs as, and refuses bad input without a trace."""

from __future__ import annotations

import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from images.engine import HARDENED, NO_NETWORK, Engine
from images.names import STAGES, TORCH_STAGES
from lstm_adversarial_attack.artifacts import open_artifact
from lstm_adversarial_attack.stage import load_stage
from small_stages import COMMANDS, MAKES, USERS, Contained, command, on_host

#: The input of a stage that is damaged, left out, or of the wrong kind.
_INPUTS = {stage: load_stage(stage).takes for stage in STAGES if stage != "extract"}


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_makes_what_it_makes_on_the_host(
    stage: str, user: str, made: Path, out: Path, contained: Contained
) -> None:
    done = contained(stage, "lstm-aa", *command(stage, "/in", "/out"), mounts={made: "/in", out: "/out"}, user=user)
    assert done.returncode == 0, done.stderr
    kind = MAKES[stage]
    assert open_artifact(out / kind, kind).digest == open_artifact(made / kind, kind).digest
    assert [path.name for path in out.iterdir()] == [kind]
    assert str((out / kind).stat().st_uid) == user.partition(":")[0]


@pytest.mark.parametrize("stage", STAGES)
def test_bad_input_ends_with_2_and_leaves_nothing(
    stage: str, made: Path, tmp_path: Path, out: Path, contained: Contained
) -> None:
    """The option that is not one, and of what a stage reads: nothing there, damaged, of another kind."""
    good = COMMANDS[stage].replace("{in}", "/in")
    cases = {f"{good} --no-such-option 1": "--no-such-option"}
    mounts = {made: "/in", out: "/out"}
    if stage == "extract":
        cases["--source csv:/in/nowhere"] = "/in/nowhere"
        cases["--source synthetic:many"] = "synthetic:many"
    else:
        kind = _INPUTS[stage][0]
        damaged = tmp_path / "damaged"
        shutil.copytree(made / kind, damaged)
        (damaged / next(iter(open_artifact(damaged, kind).manifest.files))).write_bytes(b"cut off")
        mounts[damaged] = "/in-damaged"
        other = "report" if kind != "report" else "events"
        given = f"--{kind} /in/{kind}"
        cases[good.replace(given, f"--{kind} /in/nowhere")] = "/in/nowhere"
        cases[good.replace(given, f"--{kind} /in-damaged")] = "manifest.json"
        cases[good.replace(given, f"--{kind} /in/{other}")] = f"/in/{other}"

    def refused(words: str) -> tuple[int, str, str]:
        done = contained(stage, "lstm-aa", stage, *words.split(), "--out", "/out/new", mounts=mounts)
        return done.returncode, done.stdout, done.stderr

    with ThreadPoolExecutor(2) as pool:
        for words, (code, said, told) in zip(cases, pool.map(refused, cases), strict=True):
            assert (code, said) == (2, ""), f"{words}\n{said}\n{told}"
            assert told.startswith("lstm-aa: error: "), f"{words}\n{told}"
            assert cases[words] in told, f"{words}\n{told}"
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("stage", TORCH_STAGES)
def test_without_a_gpu_cuda_is_refused(stage: str, made: Path, out: Path, contained: Contained) -> None:
    words = [*command(stage, "/in", "/out"), "--device", "cuda"]
    done = contained(stage, "lstm-aa", *words, mounts={made: "/in", out: "/out"})
    assert done.returncode == 2, done.stderr
    assert "no GPU is visible here" in done.stderr
    assert list(out.iterdir()) == []


def test_a_folder_that_may_not_be_written_is_told(made: Path, tmp_path: Path, contained: Contained) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o755)
    words = command("preprocess", "/in", "/out")
    done = contained("preprocess", "lstm-aa", *words, mounts={made: "/in", closed: "/out"}, user="10001:10001")
    assert done.returncode == 2, done.stderr
    assert "/out" in done.stderr


def test_a_named_volume_can_be_written_by_any_user_of_group_0(engine: Engine, contained: Contained) -> None:
    volume = engine.must("volume", "create")
    try:
        for user, out in zip(USERS, ("/runs/1/events", "/runs/2/events"), strict=True):
            words = ("lstm-aa", "extract", "--source", "synthetic:50", "--out", out)
            done = contained("extract", *words, user=user, more=("--volume", f"{volume}:/runs"))
            assert done.returncode == 0, done.stderr
    finally:
        engine.must("volume", "rm", volume)


def test_what_is_written_without_a_mount_goes_to_tmp_alone(engine: Engine, images: dict[str, str]) -> None:
    """With a root that may be written, the engine tells what was."""
    words = ["lstm-aa", "extract", "--source", "synthetic:50", "--out", "/tmp/events"]
    container = engine.must("create", "--network", "none", images["extract"], *words)
    try:
        engine.must("start", "--attach", container)
        changed = [line.split(maxsplit=1)[1] for line in engine.must("diff", container).splitlines()]
        assert "/tmp/events/manifest.json" in changed
        assert [path for path in changed if not path.startswith("/tmp")] == []
    finally:
        engine.must("rm", "--force", container)


def test_a_container_that_is_stopped_ends_at_once_and_another_goes_on(
    made: Path, out: Path, engine: Engine, images: dict[str, str], contained: Contained
) -> None:
    words = ["train", "--dataset", "/in/dataset", "--out", "/out/model", "--resamples", "20"]
    words += ["--max-epochs", "60", "--patience", "60"]
    volumes = ["--volume", f"{made}:/in:ro", "--volume", f"{out}:/out"]
    container = engine.must("run", "--detach", *HARDENED, *NO_NETWORK, *volumes, images["train"], "lstm-aa", *words)
    try:
        deadline = time.monotonic() + 120
        while not list(out.glob(".model.work/*/*")) and time.monotonic() < deadline:
            time.sleep(0.1)
        started = time.monotonic()
        engine.must("stop", "--time", "60", container)
        took = time.monotonic() - started
        state = engine.must("inspect", "--format", "{{.State.ExitCode}}", container)
        told = engine.run("logs", container).stderr
    finally:
        engine.must("rm", "--force", container)
    assert (state, took < 20) == ("143", True), f"{took:.0f} s\n{told}"
    assert "lstm-aa: stopped; start it again to go on" in told
    again = contained("train", "lstm-aa", *words, mounts={made: "/in", out: "/out"})
    assert again.returncode == 0, again.stderr
    on_host(*(word.replace("/in", str(made)).replace("/out", str(out.parent / "host")) for word in words))
    assert open_artifact(out / "model", "model").digest == open_artifact(out.parent / "host" / "model", "model").digest
