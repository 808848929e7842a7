"""What a cluster gives to each task: nodes, memory, time, secrets; compiled into a pipeline, no parameter of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
import yaml
from msgspec import Meta

CLUSTERS = Path(__file__).parent / "clusters"

Quantity = Annotated[str, Meta(pattern=r"^[0-9]+(\.[0-9]+)?(m|[KMGTP]i?)?$")]
Name = Annotated[str, Meta(min_length=1, max_length=253)]


class Accelerator(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The extended resource that a GPU, or a part of one, is, and how many of it a task gets; the images hold CUDA."""

    type: Annotated[str, Meta(pattern=r"^nvidia\.com/[A-Za-z0-9.-]+$")] = "nvidia.com/gpu"
    count: Annotated[int, Meta(ge=1, le=64)] = 1


class Toleration(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A toleration of a Kubernetes pod."""

    key: str
    operator: Literal["Exists", "Equal"] = "Exists"
    value: str = ""
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = ""


class Retries(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How often a task is begun again, after ``wait`` seconds at first, ``factor`` times as long each time."""

    count: Annotated[int, Meta(ge=0, le=20)] = 2
    wait: Annotated[int, Meta(ge=1, le=3600)] = 60
    factor: Annotated[int, Meta(ge=1, le=10)] = 2  # Argo reads a whole number

    def waits(self) -> int:
        """Return the seconds of all waits together."""
        return sum(self.wait * self.factor**attempt for attempt in range(self.count))


class Needs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a task needs. CPUs and memory as Kubernetes writes them, time in minutes.

    ``accelerated``: it gets the accelerator, its node selector and its tolerations. ``shared_memory`` is the size of
    /dev/shm, ``scratch`` that of /tmp. ``cached``: a task with the same inputs and parameters is not run again.
    """

    cpu_request: Quantity = "1"
    cpu_limit: Quantity = "2"
    memory_request: Quantity = "1Gi"
    memory_limit: Quantity = "2Gi"
    minutes: Annotated[int, Meta(ge=1, le=60 * 24 * 30)] = 60
    accelerated: bool = False
    shared_memory: str = ""
    scratch: Quantity = "5Gi"
    cached: bool = True
    retries: Retries = Retries()

    @property
    def seconds(self) -> int:
        """The longest that one attempt may take."""
        return self.minutes * 60

    @property
    def all_seconds(self) -> int:
        """The longest that the task may take, begun again as often as it may be.

        Argo counts the longest backoff from the start of the first attempt, and tries no more, nor lets an attempt end,
        after it.
        """
        return (self.retries.count + 1) * self.seconds + self.retries.waits()


class Secrets(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Names of secrets in the namespace of the runs. A task starts without one that is not there.

    ``database`` and ``study`` hold a ``password``, of the source database and of the database of studies; ``objects``
    holds ``access-key`` and ``secret-key`` of the store of checkpoints; ``tracking`` a ``token``, or ``username`` and
    ``password``, of the MLflow server; ``webhook`` a ``url``.
    """

    database: Name = "lstm-aa-database"
    study: Name = "lstm-aa-study"
    objects: Name = "lstm-aa-objects"
    tracking: Name = "lstm-aa-tracking"
    webhook: Name = "lstm-aa-webhook"


#: Keys of the config map: where checkpoints are kept, by names that Kubeflow's own launcher does not read, and MLflow.
STORE = ("LSTM_AA_S3_ENDPOINT_URL", "LSTM_AA_S3_REGION")
TRACKING = ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME")

#: What each task needs, by the name of its command.
NEEDS = {
    "extract": Needs("2", "4", "4Gi", "16Gi", minutes=240, scratch="50Gi"),
    "preprocess": Needs("2", "4", "8Gi", "32Gi", minutes=120, scratch="20Gi"),
    "tune": Needs("4", "8", "16Gi", "32Gi", minutes=1440, accelerated=True, shared_memory="8Gi"),
    "merge-hyperparameters": Needs("100m", "1", "256Mi", "1Gi", minutes=10, scratch="1Gi"),
    "train": Needs("4", "8", "16Gi", "32Gi", minutes=720, accelerated=True, shared_memory="8Gi"),
    "attack-tune": Needs("4", "8", "16Gi", "32Gi", minutes=720, accelerated=True, shared_memory="8Gi"),
    "attack": Needs(
        "4", "8", "16Gi", "48Gi", minutes=1440, accelerated=True, shared_memory="8Gi", retries=Retries(count=5)
    ),
    "merge-examples": Needs("1", "2", "4Gi", "16Gi", minutes=60),
    "evaluate": Needs("2", "4", "8Gi", "32Gi", minutes=240),
    "gate": Needs("100m", "1", "256Mi", "1Gi", minutes=10, scratch="1Gi", cached=False, retries=Retries(count=0)),
    "notify": Needs("100m", "1", "128Mi", "512Mi", minutes=10, scratch="1Gi", cached=False, retries=Retries(count=0)),
}


class Cluster(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A cluster as a file describes it.

    Without ``accelerator`` there are no GPUs, and the images are those without CUDA. ``data_claim`` names a
    PersistentVolumeClaim that extract and preprocess find at ``data_path``, for sources and splits that are files.
    ``config_map`` holds the addresses of `STORE` and `TRACKING`. ``run_as_user`` may be null, where the cluster draws a
    user of its own. ``notify`` puts all tasks under an exit handler that tells a webhook how the run has ended.
    ``needs`` overrides `NEEDS`, by task and field.
    """

    accelerator: Accelerator | None = Accelerator()
    node_selector: dict[str, str] = {}
    tolerations: list[Toleration] = []
    run_as_user: Annotated[int, Meta(ge=1)] | None = 10001
    run_as_group: Annotated[int, Meta(ge=0)] | None = 0
    image_pull_policy: Literal["IfNotPresent", "Always", "Never"] = "IfNotPresent"
    image_pull_secret: str = ""
    secrets: Secrets = Secrets()
    config_map: Name = "lstm-aa"
    data_claim: str = ""
    data_path: str = "/data"
    notify: bool = True
    labels: dict[str, str] = {}
    needs: dict[str, dict[str, object]] = {}

    def of(self, task: str) -> Needs:
        """Return what a task needs here."""
        needs = {**msgspec.to_builtins(NEEDS[task]), **self.needs.get(task, {})}
        if self.accelerator is None:
            needs["accelerated"] = False
        return msgspec.convert(needs, Needs)


def read_cluster(name: str) -> Cluster:
    """Return a cluster of ``pipelines/clusters`` by its name, or of a file by its path.

    A file of one's own has a name of its own, by which its packages are found.

    Raises:
        ValueError: there is none, or it says something that no cluster has.
    """
    file = Path(name) if name.endswith((".yaml", ".yml")) else CLUSTERS / f"{name}.yaml"
    if (CLUSTERS / f"{file.stem}.yaml").exists() and file.resolve().parent != CLUSTERS.resolve():
        raise ValueError(f"{file}: there is a cluster {file.stem} already; give the file another name")
    if not file.is_file():
        known = ", ".join(sorted(path.stem for path in CLUSTERS.glob("*.yaml")))
        raise ValueError(f"no cluster {name!r}: give one of {known}, or the path of a YAML file")
    try:
        cluster = msgspec.convert(yaml.safe_load(file.read_text(encoding="utf-8")) or {}, Cluster)
        strange = set(cluster.needs) - set(NEEDS)
        if strange:
            raise ValueError(f"needs: no task {', '.join(sorted(strange))}; there are {', '.join(NEEDS)}")
        for task in NEEDS:
            cluster.of(task)
    except (msgspec.ValidationError, yaml.YAMLError, ValueError) as error:
        raise ValueError(f"{file}: {error}") from error
    return cluster
