"""A place in which the commands of a page are carried out: small sizes, real servers, and nothing left behind.

Every program that a page may tell the reader to type has a way to be carried out here. One that has none fails.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack, chdir, closing, redirect_stderr, redirect_stdout
from dataclasses import fields
from pathlib import Path
from unittest import mock

import pytest
import yaml
from optuna import create_study
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from documents import ROOT, Block
from kubeflow_api import running_kubeflow_api
from lstm_adversarial_attack.cli import app, main
from lstm_adversarial_attack.protocols import load_settings
from lstm_adversarial_attack.settings import EvaluateSettings
from pipelines.cluster import STORE, TRACKING, Cluster
from pipelines.submit import checked
from postgres_server import Server, running_postgres
from seaweedfs_server import running_seaweedfs
from serving import answer, serving
from workers import free_port

#: Small searches and trainings: what a command does not say itself, it takes from here. A model that has learned next
#: to nothing passes a gate that asks for nothing.
_LIMITS = [field.name for field in fields(EvaluateSettings) if field.name.startswith(("min_", "max_"))]
_GATE = {name: int(name.startswith("max_")) for name in _LIMITS}
QUICK: dict[str, dict[str, float]] = {
    "tune": {"trials": 1, "max_epochs": 2},
    "train": {"max_epochs": 3, "resamples": 50},
    "attack-tune": {"trials": 1, "steps": 10, "max_samples": 16},
    "attack": {"steps": 20, "max_samples": 32},
    "evaluate": {"resamples": 50, **_GATE},
}
#: What a page says outright is made small here.
_SMALLER = {
    r"\bsynthetic:\d+": "synthetic:600",
    r"(--trials) \d+": r"\1 2",
    r"(--workers) 2\b": r"\1 1",
    r"(--workers) [3-9]\b": r"\1 2",
    r"(--stays) \d+": r"\1 200",
    r"(--train\.max-epochs) \d+": r"\1 3",
}
#: No stages, and so without a section in a settings file.
_MORE = {
    "audit": "--folds 2 --epochs 2 --hidden-units 8 --resamples 20",
    "check-attack": "--methods random --seeds 1 --no-plain --max-samples 6 --evaluate.resamples 20",
    "cross-validate": "--folds 2 --seeds 1 --no-compare --resamples 20 --train.max-epochs 1",
}
#: Folders in which the reader has put data; here they lie elsewhere.
_DATA = re.compile(r"/?\bdata/(mimic-iii|challenge)[\w-]*")
_BENCHMARK = re.compile(r"benchmarks/\w+\.py")


class Workshop:
    """A folder with the shared data and an earlier run, an environment, and servers that start when they are needed."""

    def __init__(self, folder: Path, need: Callable[[str], Path], stack: ExitStack) -> None:
        """Work in ``folder``; ``need`` returns one of the shared data sets, or skips where it is missing."""
        self.folder = folder
        self._need, self._stack = need, stack
        self._env = os.environ | {"LSTM_AA_TRACKING": "off", "OMP_NUM_THREADS": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}
        self._env["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"  # a server's other processes, which no page is about
        self._postgres: Server | None = None
        self._mlflow = ""
        (folder / "quick.yaml").write_text(yaml.safe_dump(QUICK), encoding="utf-8")

    def track(self) -> None:
        """Let stages log, as they do unless they are told not to."""
        del self._env["LSTM_AA_TRACKING"]

    def do(self, block: Block) -> None:
        """Carry out a code block."""
        if block.language == "sh":
            for words in block.commands:
                self._command(block, words)
        elif block.language == "python":
            self._run(block, [sys.executable, "-c", block.text])
        elif block.language == "yaml":
            settings = self.folder / "page.yaml"
            settings.write_text(block.text, encoding="utf-8")
            assert load_settings(settings), f"{block}: no settings"
        elif block.language == "sql":
            self._sql(block)

    def _command(self, block: Block, words: list[str]) -> None:
        ways: dict[str, Callable[[Block, list[str]], None]] = {
            "lstm-aa": self._lstm_aa,
            "make": self._make,
            "pip": self._pip,
            "export": self._export,
            ".": self._activate,
            "mlflow": self._mlflow_command,
            "tensorboard": self._show,
            "optuna-dashboard": self._dashboard,
            "python": self._module,
            "kfp": self._kfp,
            "kubectl": self._kubectl,
        }
        if words[0] not in ways:
            pytest.fail(f"{block}: no test knows how to carry out {' '.join(words)!r}")
        ways[words[0]](block, words)

    def _lstm_aa(self, block: Block, words: list[str]) -> None:
        """Run it with small sizes; `fetch`, which needs the internet, is run in tests of its own against a server."""
        app.parse_args(words[1:], exit_on_error=False, print_error=False)
        if words[1] == "fetch":
            return
        line = " ".join(words[1:])
        for pattern, smaller in _SMALLER.items():
            line = re.sub(pattern, smaller, line)
        line = _DATA.sub(lambda match: str(self._need("challenge2012" if "2012" in match[0] else "demo")), line)
        if "postgresql://" in line:
            line = re.sub(r"@[\w.]+:5432/", f"@127.0.0.1:{self._server().port}/", line)
        arguments = line.split()
        if words[1] in _MORE:
            arguments += _MORE[words[1]].split()
        elif words[1] not in ("synthesize", "load-database", "merge-examples", "compare", "transfer"):
            arguments += ["--settings", "quick.yaml"]
        if "--storage" in arguments:  # the command before it has made the same artifact with a journal
            arguments.append("--force")
        self._inside(block, arguments)
        if self._mlflow and self._env.get("MLFLOW_TRACKING_URI") == self._mlflow:
            models = answer(int(self._mlflow.rpartition(":")[2]), "/api/2.0/mlflow/registered-models/search")
            assert "lstm-adversarial-attack" in models, f"{block}: the server was told nothing: {models}"
        if "--reader-role" in arguments:  # the step between the two commands, in which an admin sets a password
            self._as_admin("mimic", f"alter role {arguments[arguments.index('--reader-role') + 1]} password %s")

    def _inside(self, block: Block, arguments: list[str]) -> None:
        """Call the command line in this process, which saves it the three seconds in which torch is imported."""
        said = io.StringIO()
        with (
            chdir(self.folder),
            mock.patch.dict(os.environ, self._env, clear=True),
            redirect_stdout(said),
            redirect_stderr(said),
        ):
            try:
                main(arguments)
            except SystemExit as end:
                pytest.fail(f"{block}: lstm-aa {' '.join(arguments)}: exit code {end.code}\n{said.getvalue()[-4000:]}")

    def _make(self, block: Block, words: list[str]) -> None:
        """See what make would do; the benchmarks, which take minutes to hours, at least start and know their options.

        The targets themselves are what the continuous integration runs, or what other tests do step by step.
        """
        shown = self._run(block, ["make", "--dry-run", "--always-make", *words[1:]], folder=ROOT).stdout
        assert shown.strip(), f"{block}: make {words[1]} does nothing"
        for script in set(_BENCHMARK.findall(shown)):
            self._run(block, [sys.executable, str(ROOT / script), "--help"])

    def _pip(self, block: Block, words: list[str]) -> None:
        """See that pip would install what is named, without asking an index for the requirements."""
        offline = ["--dry-run", "--no-deps", "--no-index", "--no-build-isolation", "--ignore-installed"]
        done = self._run(block, [sys.executable, "-m", "pip", *words[1:2], *offline, *words[2:]], folder=ROOT)
        assert "Would install lstm" in done.stdout, f"{block}: {done.stdout}"
        assert "does not provide" not in done.stdout + done.stderr, f"{block}: {done.stderr}"

    def _module(self, block: Block, words: list[str]) -> None:
        """Run a program of the repository, against a server that answers as Kubeflow does."""
        assert words[1:3] == ["-m", "pipelines.submit"], f"{block}: {words}"
        self._submit(block, [sys.executable, *words[1:]], words[words.index("--host") + 1])

    def _kfp(self, block: Block, words: list[str]) -> None:
        program = str(Path(sys.executable).with_name("kfp"))
        self._submit(block, [program, *words[1:]], words[words.index("--endpoint") + 1])

    def _submit(self, block: Block, command: list[str], host: str) -> None:
        with running_kubeflow_api() as server:
            self._run(block, [server.address if word == host else word for word in command], folder=ROOT)
            assert server.posted, f"{block}: nothing was sent"
            for path, _, body in server.posted:
                if path.endswith(("/runs", "/recurringruns")):
                    given, package = body["runtime_config"]["parameters"], self.folder / "sent.yaml"
                    package.write_text(yaml.safe_dump(body["pipeline_spec"]["pipeline_spec"]), encoding="utf-8")
                    assert checked(package, given) == given, f"{block}: {given}"

    def _kubectl(self, block: Block, words: list[str]) -> None:
        """See that what it makes has the names and keys that the pipelines read."""
        assert words[1] == "create", f"{block}: {words}"
        cluster, name = Cluster(), words[3] if words[2] == "configmap" else words[4]
        keys = {re.split("=", word)[1] for word in words if word.startswith("--from-")}
        known = {
            cluster.secrets.database: {"password"},
            cluster.secrets.study: {"password"},
            cluster.secrets.objects: {"access-key", "secret-key"},
            cluster.secrets.webhook: {"url"},
            cluster.secrets.tracking: {"token"},
        }
        assert keys == known[name] if words[2] == "secret" else keys <= {*STORE, *TRACKING}, f"{block}: {name}: {keys}"
        assert words[2] == "secret" or name == cluster.config_map, f"{block}: {name}"

    def _export(self, _block: Block, words: list[str]) -> None:
        """Set a variable, of the servers here."""
        name, _, value = words[1].partition("=")
        ours = {"PGPASSWORD": lambda: self._server().password, "MLFLOW_TRACKING_URI": lambda: self._mlflow}
        self._env[name] = ours[name]() if name in ours else value
        assert self._env[name]

    def _activate(self, block: Block, words: list[str]) -> None:
        """The tests run in an environment already; what is named is the one that make makes."""
        assert words == [".", ".venv/bin/activate"], f"{block}: {words}"

    def _mlflow_command(self, _block: Block, words: list[str]) -> None:
        port = str(free_port())
        words = [*words, "--host", "127.0.0.1", "--port", port, "--workers", "1"]
        if words[1] == "server":
            server, s3 = self._server(), self._stack.enter_context(running_seaweedfs())
            s3.client.make_bucket("mlflow")
            self._as_admin("postgres", "create database mlflow")
            place = f"postgres:{server.password}@127.0.0.1:{server.port}"
            words = [word.replace("USER@HOST", place).replace("BUCKET", "mlflow") for word in words]
            self._env |= s3.env | {"MLFLOW_S3_ENDPOINT_URL": s3.env["AWS_ENDPOINT_URL"]}
            self._mlflow = f"http://127.0.0.1:{port}"
        self._stack.enter_context(serving(words, int(port), self.folder, self._env))

    def _show(self, _block: Block, words: list[str]) -> None:
        port = free_port()
        self._stack.enter_context(serving([*words, "--port", str(port)], port, self.folder, self._env))

    def _dashboard(self, block: Block, words: list[str]) -> None:
        """Show a study; a journal is there only while a search runs, so one is put where the page looks for it."""
        address = words[1]
        if address.endswith(".log"):
            journal = self.folder / address.replace("*", "key")
            journal.parent.mkdir(parents=True)
            create_study(storage=JournalStorage(JournalFileBackend(str(journal))), study_name="of a test")
            (address,) = map(str, self.folder.glob(address))  # as a shell does
        else:
            address = re.sub(r"@[\w.]+:5432/", f"@127.0.0.1:{self._server().port}/", address)
        self._show(block, [words[0], address, *words[2:]])

    def _sql(self, block: Block) -> None:
        """Carry it out on a database that `load-database` has made of a synthetic cohort."""
        for line in (
            "lstm-aa synthesize --stays 200 --out tables",
            "lstm-aa load-database --csv tables --database postgresql://admin@localhost:5432/mimic --tables pipeline",
        ):
            self._lstm_aa(block, line.split())
        self._as_admin("mimic", block.text)

    def _server(self) -> Server:
        """Return a PostgreSQL with the databases and roles that pages name; it asks all for the same password."""
        if self._postgres is None:
            self._postgres = self._stack.enter_context(running_postgres())
            self._env["PGPASSWORD"] = self._postgres.password
            for statement in (
                "alter role postgres password %s",
                "create role admin superuser login password %s",
                "create role tuner login password %s",
                "create database mimic owner admin",
                "create database studies owner tuner",
            ):
                self._as_admin("postgres", statement)
        return self._postgres

    def _as_admin(self, database: str, statement: str) -> None:
        """Carry out a statement; its parameter, if it has one, is the password of all roles."""
        server = self._server()
        with closing(server.as_admin(database)) as admin, admin.cursor() as cursor:
            cursor.execute(statement, [server.password] if "%s" in statement else None)

    def _run(self, block: Block, command: list[str], folder: Path | None = None) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command,
            cwd=folder or self.folder,
            env=self._env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )
        assert done.returncode == 0, f"{block}: {' '.join(command)}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        return done
