"""What a cluster gives to each task: nodes, memory, time, secrets; compiled into a pipeline, no parameter of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import yaml
from msgspec import Meta

CLUSTERS = Path(__file__).parent / "clusters"

Quantity = Annotated[str, Meta(pattern=r"^[0-9]+(\.[0-9]+)?(m|[KMGTP]i?)?$")]
Name = Annotated[str, Meta(min_length=1, max_length=253)]


class Accelerator(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The extended resource that a GPU is, and how many of it a task gets."""

    type: Name = "nvidia.com/gpu"
    count: Annotated[int, Meta(ge=1, le=64)] = 1


class Toleration(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A toleration of a Kubernetes pod."""

    key: str
    operator: str = "Exists"
    value: str = ""
    effect: str = ""


class Retries(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How often a task is begun again, and after how long: ``wait`` first, ``factor`` times as long each time."""

    count: Annotated[int, Meta(ge=0, le=100)] = 2
    wait: str = "60s"
    factor: float = 2.0
    longest_wait: str = "1800s"


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


class Secrets(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Names of secrets in the namespace of the runs. A task starts without one that is not there.

    ``database`` and ``study`` hold a ``password``, of the source database and of the database of studies; ``objects``
    holds ``access-key`` and ``secret-key`` of the store of checkpoints; ``webhook`` a ``url``.
    """

    database: Name = "lstm-aa-database"
    study: Name = "lstm-aa-study"
    objects: Name = "lstm-aa-objects"
    webhook: Name = "lstm-aa-webhook"


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
    PersistentVolumeClaim that extract finds at ``data_path``, for sources that are files. ``config_map`` holds
    environment variables of all tasks, such as AWS_ENDPOINT_URL and MLFLOW_TRACKING_URI. ``needs`` overrides `NEEDS`,
    by task and field.
    """

    accelerator: Accelerator | None = Accelerator()
    node_selector: dict[str, str] = {}
    tolerations: list[Toleration] = []
    run_as_user: Annotated[int, Meta(ge=1)] = 10001
    run_as_group: Annotated[int, Meta(ge=0)] = 0
    image_pull_policy: str = "IfNotPresent"
    image_pull_secret: str = ""
    secrets: Secrets = Secrets()
    config_map: Name = "lstm-aa"
    config: tuple[str, ...] = ("AWS_ENDPOINT_URL", "AWS_REGION", "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME")
    data_claim: str = ""
    data_path: str = "/data"
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

    Raises:
        ValueError: there is none, or it says something that no cluster has.
    """
    file = Path(name) if name.endswith((".yaml", ".yml")) else CLUSTERS / f"{name}.yaml"
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
