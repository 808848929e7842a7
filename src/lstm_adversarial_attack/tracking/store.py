"""A store of MLflow, local or on a server: runs, and what is logged in them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from lstm_adversarial_attack.artifacts import Artifact
from lstm_adversarial_attack.tracking import contents
from lstm_adversarial_attack.tracking.model import REGISTERED, crown, log_model

EXPERIMENT = "lstm-adversarial-attack"
#: Most metrics that MLflow takes in one request.
MOST_METRICS = 1000
_MOST_PARAMETERS = 100
_SQLITE = "sqlite:///"

Step = Callable[[], None]


class Unregistered(Exception):  # noqa: N818 - no error of the program
    """The registry has no version of the model that was judged."""


class _Gate(msgspec.Struct):
    passed: bool


class _Judgement(msgspec.Struct):
    gate: _Gate


class Store:
    """The runs of the stages in one store."""

    def __init__(self, folder: Path) -> None:
        """Use the store that MLFLOW_TRACKING_URI names, else one below ``folder``."""
        self._folder = folder
        self.address = os.environ.get("MLFLOW_TRACKING_URI") or f"{_SQLITE}{folder}/mlflow.db"
        self._local = not os.environ.get("MLFLOW_TRACKING_URI")
        self._client: Any = None
        self._run_id = ""
        self._joined = False
        self._stage = ""

    def begin(self, stage: str) -> None:
        """Join the run that MLFLOW_RUN_ID names, or make one in the experiment."""
        import mlflow

        if self._client is None:
            if self._local:
                self._folder.mkdir(parents=True, exist_ok=True)
            mlflow.set_tracking_uri(self.address)
            self._client = mlflow.MlflowClient()
        self._stage = stage
        given = os.environ.get("MLFLOW_RUN_ID", "")
        if given:
            run, self._joined = self._client.get_run(given), True
        else:
            name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
            tags = {"mlflow.source.name": f"lstm-aa {stage}", "mlflow.source.type": "LOCAL"}
            run = self._client.create_run(self._experiment(name), tags=tags, run_name=stage)
        mlflow.set_experiment(experiment_id=run.info.experiment_id)  # logged models go to the one that is set
        self._run_id = run.info.run_id

    def metrics(self, points: Sequence[tuple[int, int, Mapping[str, float]]]) -> None:
        """Log figures, each with its step and the time in ms, in one request."""
        from mlflow.entities import Metric

        found = [
            Metric(f"{self._stage}/{name}", value, time_ms, step)
            for step, time_ms, values in points
            for name, value in values.items()
        ]
        for start in range(0, len(found), MOST_METRICS):
            self._client.log_batch(self._run_id, metrics=found[start : start + MOST_METRICS])

    def steps(self, artifact: Artifact) -> list[Step]:
        """Return what is to be done with a sealed artifact, in parts that can be tried again one by one."""
        files = artifact.manifest.files
        steps: list[Step] = [lambda: self._summary(artifact)]
        if "history.parquet" in files:
            steps.append(lambda: self._history(artifact))
        if "weights.safetensors" in files:
            steps.append(lambda: log_model(artifact, self._run_id))
        if "report.html" in files:
            steps += [partial(self._file, artifact, name) for name in contents.shown(artifact)]
            steps.append(lambda: self._judged(artifact))
        return [*steps, lambda: self.end("FINISHED")]

    def end(self, status: str) -> None:
        """Close the run, unless it is somebody else's."""
        if self._run_id and not self._joined:
            self._client.set_terminated(self._run_id, status)
        self._run_id = ""

    def _experiment(self, name: str) -> str:
        from mlflow.exceptions import MlflowException

        found = self._client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        place = None  # that of the server
        if self.address.startswith(_SQLITE):
            place = (Path(self.address.removeprefix(_SQLITE)).absolute().parent / "artifacts").as_uri()
        try:
            return str(self._client.create_experiment(name, artifact_location=place))
        except MlflowException:  # another stage was faster
            found = self._client.get_experiment_by_name(name)
            if found is None:
                raise
            return str(found.experiment_id)

    def _summary(self, artifact: Artifact) -> None:
        from mlflow.entities import Metric, Param, RunTag

        now = time.time_ns() // 1_000_000
        metrics = [Metric(name, value, now, 0) for name, value in contents.final_metrics(artifact).items()]
        parameters = [Param(name, value) for name, value in contents.parameters(artifact).items()]
        tags = [RunTag(name, value) for name, value in contents.tags(artifact).items()]
        self._client.log_batch(self._run_id, tags=tags)
        for start in range(0, len(metrics), MOST_METRICS):
            self._client.log_batch(self._run_id, metrics=metrics[start : start + MOST_METRICS])
        for start in range(0, len(parameters), _MOST_PARAMETERS):
            self._client.log_batch(self._run_id, params=parameters[start : start + _MOST_PARAMETERS])

    def _history(self, artifact: Artifact) -> None:
        from lstm_adversarial_attack.tracking.figures import history

        figure = history(contents.curves(artifact))
        self._client.log_figure(self._run_id, figure, f"{self._stage}/history.png")

    def _file(self, artifact: Artifact, name: str) -> None:
        folder = "/".join([self._stage, *Path(name).parts[:-1]])
        self._client.log_artifact(self._run_id, str(artifact.file(name)), folder)

    def _judged(self, report: Artifact) -> None:
        judgement = report.json("metrics.json", _Judgement)
        if not crown(self._client, report.manifest.inputs["model"], passed=judgement.gate.passed):
            raise Unregistered(f"no version of {REGISTERED} was made from this model")
