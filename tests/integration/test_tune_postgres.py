"""Tuning on a study in a real PostgreSQL: made once, shared by commands and workers, and no trial is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from optuna.exceptions import StorageInternalError

from lstm_adversarial_attack import cli
from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.search import Attempt, Objective, Plan, search
from lstm_adversarial_attack.search.database import Database, _connect
from lstm_adversarial_attack.search.patience import patiently
from lstm_adversarial_attack.sources.postgres import parse_address
from postgres_server import Server

pytestmark = pytest.mark.postgres

TRIALS = 3


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("tune")
    cli.main(["extract", "--source", "synthetic:300", "--out", str(out / "events")])
    cli.main(["preprocess", "--events", str(out / "events"), "--out", str(out / "dataset")])
    return out / "dataset"


@pytest.fixture
def database(empty_postgres: Server, request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of an empty database that the reader owns."""
    name = f"study_{abs(hash(request.node.name)) % 10**8}"
    with closing(empty_postgres.as_admin("postgres")) as admin, admin.cursor() as cursor:
        cursor.execute(f"create database {name} owner {empty_postgres.user}")
        yield name
        cursor.execute(f"drop database {name} with (force)")


def rows(server: Server, database: str, query: str) -> list[Any]:
    with closing(server.as_admin(database)) as admin, admin.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchall()


def states(server: Server, database: str) -> dict[str, int]:
    return dict(rows(server, database, "select state::text, count(*) from trials group by 1"))


def tune(
    server: Server, address: str, dataset: Path, out: Path, *, workers: int = 1, epochs: int = 1
) -> subprocess.Popen[str]:
    """Start a search; an epoch takes a twentieth of a second."""
    arguments = ["tune", "--dataset", str(dataset), "--out", str(out), "--storage", address]
    arguments += ["--trials", str(TRIALS), "--max-epochs", str(epochs), "--patience", str(epochs)]
    arguments += ["--workers", str(workers)]
    return subprocess.Popen(
        [sys.executable, "-m", "lstm_adversarial_attack", *arguments],
        env={**os.environ, **server.env, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> str:
    """Wait for a command, and return what it printed."""
    try:
        out, err = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == 0, err
    return out + err


def until(condition: Callable[[], Any], process: subprocess.Popen[str]) -> Any:
    """Return what ``condition`` gives as soon as it holds; the process has to be at work till then."""
    while not (found := condition()):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    return found


def assert_kept_secret(server: Server, *texts: str) -> None:
    assert not [text for text in texts if server.password in text]


def assert_all_finished(server: Server, database: str, trials: int) -> None:
    """No trial is lost: as many are finished as were asked for, and none is left running or waiting."""
    found = states(server, database)
    assert found.get("COMPLETE", 0) + found.get("PRUNED", 0) == trials
    assert found.keys() <= {"COMPLETE", "PRUNED", "FAIL"}


def test_commands_at_once_on_an_empty_database_share_one_study(
    empty_postgres: Server, database: str, dataset: Path, tmp_path: Path
) -> None:
    address = empty_postgres.address(database, schema="Shared studies")
    outs = [tmp_path / f"{number}" for number in range(3)]

    said = [ended(process) for process in [tune(empty_postgres, address, dataset, out) for out in outs]]

    counted = 'select (select count(*) from "Shared studies".studies), (select count(*) from "Shared studies".trials)'
    assert rows(empty_postgres, database, counted) == [(1, TRIALS)]
    found = [(out / "search.json").read_text() for out in outs]
    assert len(json.loads(found[0])["trials"]) == TRIALS
    assert len(set(found)) == 1
    digests = {json.loads((out / "manifest.json").read_text())["digest"] for out in outs}
    assert len(digests) == 1, "where the study is kept is no part of what was done"
    assert_kept_secret(empty_postgres, *said, *found, *((out / "manifest.json").read_text() for out in outs))


@pytest.fixture(scope="module")
def model(dataset: Path) -> Path:
    out = dataset.parent / "model"
    cli.main(["train", "--dataset", str(dataset), "--out", str(out), "--hidden-units", "4", "--max-epochs", "1",
              "--resamples", "10", "--no-baselines"])  # fmt: skip
    return out


def attack_tune(
    server: Server, address: str, dataset: Path, model: Path, out: Path, *, workers: int = 1
) -> subprocess.Popen[str]:
    arguments = ["attack-tune", "--dataset", str(dataset), "--model", str(model), "--out", str(out)]
    arguments += ["--storage", address, "--workers", str(workers), "--trials", str(TRIALS), "--steps", "10"]
    return subprocess.Popen(
        [sys.executable, "-m", "lstm_adversarial_attack", *arguments, "--max-samples", "8", "--objective", "sparsity"],
        env={**os.environ, **server.env, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("workers", [1, 2])
def test_commands_of_attack_tune_at_once_share_one_study(
    empty_postgres: Server, database: str, dataset: Path, model: Path, tmp_path: Path, workers: int
) -> None:
    address = empty_postgres.address(database)
    outs = [tmp_path / f"{number}" for number in range(2)]

    begun = [attack_tune(empty_postgres, address, dataset, model, out, workers=workers) for out in outs]
    said = [ended(process) for process in begun]

    assert rows(empty_postgres, database, "select count(*) from studies") == [(1,)]
    (name,) = rows(empty_postgres, database, "select study_name from studies")[0]
    assert name.startswith("attack-tune-")
    assert_all_finished(empty_postgres, database, TRIALS)
    found = [(out / "search.json").read_text() for out in outs]
    assert len(json.loads(found[0])["trials"]) == TRIALS
    assert len(set(found)) == 1
    digests = {json.loads((out / "manifest.json").read_text())["digest"] for out in outs}
    assert len(digests) == 1, "where the study is kept is no part of what was done"
    assert_kept_secret(empty_postgres, *said, *found, *((out / "manifest.json").read_text() for out in outs))


def workers_of(process: subprocess.Popen[str]) -> list[int]:
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def test_a_worker_killed_in_a_trial_loses_none(
    empty_postgres: Server, database: str, dataset: Path, tmp_path: Path
) -> None:
    address = empty_postgres.address(database)
    process = tune(empty_postgres, address, dataset, tmp_path / "out", workers=2, epochs=40)

    def stopped_at_work() -> list[int]:
        """Return the two workers, stopped in the middle of a trial each, or none."""
        if rows(empty_postgres, database, "select to_regclass('trial_intermediate_values')") == [(None,)]:
            return []
        workers = workers_of(process)
        for worker in workers:
            os.kill(worker, signal.SIGSTOP)
        signed = "select 1 from trials join trial_user_attributes using (trial_id) where state = 'RUNNING'"
        if len(rows(empty_postgres, database, signed)) == 2:
            return workers
        for worker in workers:
            os.kill(worker, signal.SIGCONT)
        return []

    killed, other = until(stopped_at_work, process)
    os.kill(killed, signal.SIGKILL)
    os.kill(other, signal.SIGCONT)
    said = ended(process)

    assert "a worker was ended by signal 9; its trial is tried again" in said
    assert_all_finished(empty_postgres, database, TRIALS)
    dropped = rows(empty_postgres, database, "select trial_id, number from trials where state = 'FAIL'")
    again = "select value_json from trial_system_attributes where key = 'failed_trial'"
    assert rows(empty_postgres, database, again) == [(str(dropped[0][1]),)]
    assert len(dropped) == 1
    search_json = (tmp_path / "out" / "search.json").read_text()
    assert len(json.loads(search_json)["trials"]) == TRIALS
    assert_kept_secret(empty_postgres, said, search_json, (tmp_path / "out" / "manifest.json").read_text())


def test_workers_end_with_a_command_that_is_killed(
    empty_postgres: Server, database: str, dataset: Path, tmp_path: Path
) -> None:
    address = empty_postgres.address(database)
    process = tune(empty_postgres, address, dataset, tmp_path / "out", workers=2)
    workers = until(lambda: (found := workers_of(process)) and len(found) == 2 and found, process)
    process.kill()
    process.communicate()
    while [pid for pid in workers if Path(f"/proc/{pid}").exists() and "Z" not in status_of(pid)]:
        time.sleep(0.02)  # pytest's timeout ends the test where a worker lives on


def status_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "Z"


# --- a machine that vanishes, a server that goes away -----------------------------------------------------------


def parabola(attempt: Attempt) -> float:
    return -(attempt.trial.suggest_float("x", -4, 4) ** 2)


def run(server: Server, database: str, objective: Objective = parabola, trials: int = 6) -> int:
    place = Database(server.address(database), heartbeat_s=1, grace_s=2)
    return len(search(lambda: objective, Plan("test", trials, 0), place, objective="height").trials)


VANISHES = """
import os, signal, sys
from lstm_adversarial_attack.search import Plan, search
from lstm_adversarial_attack.search.database import Database

def objective(attempt):
    attempt.trial.suggest_float("x", -4, 4)
    if {number} == attempt.number:
        os.kill(os.getpid(), signal.SIGKILL)
    return 0.0

place = Database(sys.argv[1], heartbeat_s=1, grace_s=2)
search(lambda: objective, Plan("test", 6, 0), place, objective="height")
"""


def test_the_trial_of_a_machine_that_vanished_is_tried_again(
    empty_postgres: Server, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", empty_postgres.password)
    gone = [sys.executable, "-c", VANISHES.format(number=2), empty_postgres.address(database)]
    assert subprocess.run(gone, check=False).returncode == -signal.SIGKILL
    assert states(empty_postgres, database) == {"COMPLETE": 2, "RUNNING": 1}

    assert run(empty_postgres, database) == 6

    assert states(empty_postgres, database) == {"COMPLETE": 6, "FAIL": 1}
    again = "select trial_id from trial_system_attributes where (key, value_json) = ('failed_trial', '2')"
    tried = (
        f"select param_value from trial_params join trials using (trial_id) where number = 2 or trial_id in ({again})"
    )
    values = [value for (value,) in rows(empty_postgres, database, tried)]
    assert values == [values[0]] * 2, "the same parameters"


def test_a_trial_whose_worker_died_before_its_first_heartbeat_is_not_lost(
    empty_postgres: Server, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Optuna by itself never calls such a trial stale."""
    monkeypatch.setenv("PGPASSWORD", empty_postgres.password)
    Database(empty_postgres.address(database)).open("test").ask()
    assert states(empty_postgres, database) == {"RUNNING": 1}

    assert run(empty_postgres, database) == 6

    assert_all_finished(empty_postgres, database, 6)


def test_connections_that_break_lose_nothing(
    empty_postgres: Server, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", empty_postgres.password)
    broken = partial(
        rows,
        empty_postgres,
        "postgres",
        f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{database}'",
    )
    cut: list[int] = []

    def objective(attempt: Attempt) -> float:
        cut.append(len(broken()))
        value = parabola(attempt)
        cut.append(len(broken()))
        attempt.report(value, 0, may_prune=False)
        cut.append(len(broken()))
        return value

    assert run(empty_postgres, database, objective) == 6

    assert len(cut) == 18
    assert min(cut) >= 1
    assert states(empty_postgres, database) == {"COMPLETE": 6}


def test_claims_exclude_each_other_on_one_study_and_not_on_others(
    empty_postgres: Server, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", empty_postgres.password)
    place, same = (
        Database(empty_postgres.address(database)),
        Database(empty_postgres.address(database, schema="public")),
    )
    elsewhere = Database(empty_postgres.address(database, schema="elsewhere"))
    study, other, apart = place.open("test"), place.open("other"), elsewhere.open("test")
    claimed = threading.Event()

    def claim() -> None:
        with same.claim(same.open("test")) as still_mine:
            assert still_mine()
            claimed.set()

    with place.claim(study) as still_mine, place.claim(other), elsewhere.claim(apart):
        waits = threading.Thread(target=claim)
        waits.start()
        assert not claimed.wait(2)
        assert still_mine()
        elsewhere.open("made while others claim")
    assert claimed.wait(20)
    waits.join()


def test_the_server_looks_whether_a_client_is_there(
    empty_postgres: Server, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", empty_postgres.password)
    address = parse_address(empty_postgres.address(database))
    with closing(_connect(address)) as connection, connection.cursor() as cursor:
        cursor.execute("select name, setting from pg_settings where name like 'tcp_keepalives_%'")
        found = dict(cursor.fetchall())
    assert found == {"tcp_keepalives_idle": "20", "tcp_keepalives_interval": "10", "tcp_keepalives_count": "3"}


def test_a_server_that_stays_away_is_told_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lstm_adversarial_attack.search.patience._PATIENCE_S", 0.0)
    monkeypatch.setattr("lstm_adversarial_attack.search.patience._FIRST_PAUSE_S", 0.01)

    def away() -> None:
        raise StorageInternalError("a query") from psycopg2.OperationalError("could not connect:\n too many clients")

    with pytest.raises(UserError, match=r"away for ten minutes \(could not connect: too many clients\); start again"):
        patiently(away)
    with pytest.raises(UserError, match=r"away for ten minutes \(.*check host, port and that the server runs\)"):
        patiently(partial(opened, "postgresql://reader@127.0.0.1:9/db"))


# --- what a user can mend ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("postgresql://reader:hunter2@127.0.0.1/db", "no password in the address"),
        ("postgresql://reader@127.0.0.1/db?password=hunter2", "no password in the address"),
        ("mysql://reader@127.0.0.1/hunter2", "not of the form"),
        ("sqlite:///hunter2", "not of the form"),
        ("journal.log", "not of the form"),
    ],
)
def test_bad_addresses_are_refused_before_any_work(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], address: str, said: str
) -> None:
    with pytest.raises(SystemExit) as ended_with:
        cli.main(["tune", "--dataset", str(dataset), "--out", str(tmp_path / "out"), "--storage", address])

    printed = capsys.readouterr().err
    assert ended_with.value.code == 2
    assert said in printed
    assert "--storage" in printed
    assert "hunter2" not in printed
    assert not (tmp_path / "out").exists()


def opened(address: str) -> None:
    Database(address).open("test")


def test_a_server_that_is_not_there_or_refuses_is_told(
    empty_postgres: Server, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", empty_postgres.password)
    with pytest.raises(UserError, match=r"no PostgreSQL answers there .*check host, port"):
        opened("postgresql://reader@127.0.0.1:9/db")
    with pytest.raises(UserError, match="refused user or password"):
        opened(empty_postgres.address(database, user="nobody"))
    with pytest.raises(UserError, match="does not exist; mend the address"):
        opened(empty_postgres.address("nowhere"))
    monkeypatch.setenv("PGPASSWORD", "not this one")
    with pytest.raises(UserError, match="refused user or password") as refused:
        opened(empty_postgres.address(database))
    assert "not this one" not in str(refused.value)


def test_a_user_without_rights_is_told_what_to_ask_for(empty_postgres: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", empty_postgres.password)
    for schema in (None, "studies"):
        with pytest.raises(UserError, match=r"may not make the study's tables .*have an admin grant create"):
            opened(empty_postgres.address("postgres", schema=schema))
