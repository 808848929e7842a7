"""Errors of the system that a user can mend, in words."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from lstm_adversarial_attack import cli
from lstm_adversarial_attack.errors import refused_by_system


@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_a_refusal_of_the_system_names_the_file_and_the_user(code: int) -> None:
    told = refused_by_system(OSError(code, "refused", "/runs/model"))
    assert told is not None
    assert told.startswith("/runs/model: refused; this runs as user ")


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), ValueError("no"), KeyError("file")])
def test_other_errors_are_no_refusal(error: Exception) -> None:
    assert refused_by_system(error) is None


def test_a_refusal_is_told_with_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_given: object, **_more: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "events"))

    monkeypatch.setattr(cli, "carry_out", refuse)
    with pytest.raises(SystemExit, match="2"):
        cli.main(["preprocess", "--events", str(tmp_path / "events"), "--out", str(tmp_path / "dataset")])
    assert f"{tmp_path / 'events'}: Permission denied; this runs as user" in capsys.readouterr().err
