"""How an attack is cut into chunks and dealt out to shards, and how many samples are attacked at once."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from torch import Tensor, nn

from lstm_adversarial_attack.artifacts.contents import Search
from lstm_adversarial_attack.attack import memory
from lstm_adversarial_attack.attack.chunks import chunk_size, chunks_of
from lstm_adversarial_attack.attack.memory import fitting_batch
from lstm_adversarial_attack.attack.stage import _with_found
from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.progress import StageProgress, in_words
from lstm_adversarial_attack.settings import AttackSettings, checked, shard_of


@given(samples=st.integers(1, 60), size=st.integers(1, 20), shards=st.integers(1, 9))
def test_shards_share_all_chunks_and_cut_them_alike(samples: int, size: int, shards: int) -> None:
    chosen = torch.arange(samples) * 3
    whole = chunks_of(chosen, chosen % 2, size, "", Path("work"))
    assert torch.equal(torch.cat([chunk.samples for chunk in whole]), chosen)

    parts = [chunks_of(chosen, chosen % 2, size, f"{number}/{shards}", Path("work")) for number in range(1, shards + 1)]

    dealt = {chunk.file: chunk.samples.tolist() for part in parts for chunk in part}
    assert dealt == {chunk.file: chunk.samples.tolist() for chunk in whole}
    assert sum(map(len, parts)) == len(whole) == len(dealt)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("text", ["0/4", "5/4", "1/0", "2", "/4", "2/", "-1/4", "1/-4", "1.0/2", "01/4", "a/b", " 1/2"])
def test_shards_that_there_are_not_are_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"^--attack\.shard .*: (not of the form 2/4|with N shards)"):
        checked(AttackSettings(shard=text), prefix="--attack.")


def test_a_shard_says_which_of_how_many() -> None:
    assert [shard_of(text) for text in ("", "1/1", "2/4", "12/12")] == [(1, 1), (1, 1), (2, 4), (12, 12)]


def test_the_size_is_as_given_else_of_unfinished_work_where_it_fits_else_what_fits(tmp_path: Path) -> None:
    def fitting() -> int:
        return 256

    assert chunk_size(0, fitting, tmp_path) == 256
    (tmp_path / "chunk-128-000003.safetensors").touch()
    (tmp_path / "chunk-64-000000.partial").touch()
    assert chunk_size(0, fitting, tmp_path) == 128
    (tmp_path / "chunk-512-000000.safetensors").touch()
    assert chunk_size(0, fitting, tmp_path) == 128
    assert chunk_size(16, fitting, tmp_path) == 16


class Squares(nn.Module):
    def forward(self, values: Tensor) -> Tensor:
        score = (values**2).flatten(1).sum(dim=1)
        return torch.stack([-score, score], dim=1)


@pytest.mark.parametrize(("megabytes", "size"), [(10_000, 64), (100, 64), (20, 32), (10, 16), (0.0001, 1)])
def test_the_batch_is_halved_until_it_fits(monkeypatch: pytest.MonkeyPatch, megabytes: float, size: int) -> None:
    values = torch.zeros(1, 48, 15)  # 720 cells of 4 bytes, 60 times, and what the model keeps: 176 to 184 kB a sample
    monkeypatch.setattr(memory, "free_bytes", lambda _device: megabytes * 1e6)
    assert fitting_batch(Squares(), values, ()) == size


def test_a_container_s_limit_counts(tmp_path: Path) -> None:
    files = {
        "memory.max": "1000000\n",
        "memory.current": "400000\n",
        "memory.stat": "anon 1\ninactive_file 50000\nx 2\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert memory.free_in_container(tmp_path) == 650_000
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.free_in_container(tmp_path) == float("inf")
    assert memory.free_in_container(tmp_path / "none") == float("inf")


def test_free_memory_is_known() -> None:
    assert memory.free_bytes(torch.device("cpu")) > 1e8


# --- what a search has found, of this method or another ---------------------------------------------------------


def settled(settings: AttackSettings, best: dict[str, object]) -> tuple[AttackSettings, str]:
    said = io.StringIO()
    progress = StageProgress("attack", Console(file=said, width=300), None)
    return _with_found(settings, Search("area", best, 0.5, []), progress), said.getvalue()


def test_the_method_that_was_tuned_is_used_where_none_was_given() -> None:
    found, said = settled(AttackSettings(), {"method": "ista", "lr": 0.1, "sparsity": 0.3})
    assert (found.method, found.lr, found.sparsity) == ("ista", 0.1, 0.3)
    assert "method ista" in said


def test_what_was_found_of_the_method_asked_for_is_used_save_where_a_value_was_given() -> None:
    found, said = settled(AttackSettings(method="ista", lr=0.7), {"method": "ista", "lr": 0.1, "sparsity": 0.3})
    assert (found.method, found.lr, found.sparsity) == ("ista", 0.7, 0.3)
    assert not said


def test_what_was_found_of_another_method_is_not_used_and_that_is_said() -> None:
    given_by_user = AttackSettings(method="fmn", lr=0.7)
    found, said = settled(given_by_user, {"method": "ista", "lr": 0.1, "sparsity": 0.3})
    assert found == given_by_user
    assert "was found for method ista and is not used; method fmn" in said


# --- progress ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "0 s"), (99, "99 s"), (100, "2 min"), (3600, "60 min"), (5990, "1 h 40 min"), (7500, "2 h 5 min")],
)
def test_times_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


def test_lines_say_what_is_done_and_how_long_the_rest_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    now, said = [0.0], io.StringIO()
    monkeypatch.setattr("lstm_adversarial_attack.progress.time.monotonic", lambda: now[0])
    progress = StageProgress("attack", Console(file=said, width=300), None)
    progress.start("samples", 1000, 200)
    for at, done in ((5.0, 210), (60.0, 400), (120.0, 600), (240.0, 1000)):
        now[0] = at
        progress.reach(done, "61 % turned")
    assert [line.split(maxsplit=1)[1] for line in said.getvalue().splitlines()] == [
        "samples: going on after 200 of 1000",
        "samples: 400 of 1000 61 % turned, 3 min left",
        "samples: 600 of 1000 61 % turned, 2 min left",
        "samples: 1000 of 1000 61 % turned",
    ]
