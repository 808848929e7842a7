"""How tasks are put into a pipeline: image, parameters, and what the cluster gives them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from typing import Any

from kfp import dsl, kubernetes
from kfp.dsl.base_component import BaseComponent

from components.contract import Contract, component, options, parameter, shaped
from lstm_adversarial_attack.stage import STAGES
from pipelines.cluster import STORE, TRACKING, Cluster
from pipelines.parameters import Parameter

_SHARED_MEMORY, _SCRATCH = "/dev/shm", "/tmp"
_PASSWORD, _DIGEST = "PGPASSWORD", "LSTM_AA_IMAGE_DIGEST"
_KEEPS_CHECKPOINTS = ("tune", "train", "attack-tune", "attack")
_KEEPS_STUDIES = ("tune", "attack-tune")
_READS_FILES = ("extract", "preprocess")


@dataclass
class Dag:
    """A pipeline being put together for a cluster; ``image_of`` names the image of a stage."""

    cluster: Cluster
    image_of: Callable[[str], str]
    values: Mapping[str, Any] = field(default_factory=dict)

    def add(self, command: str, **given: Any) -> dsl.PipelineTask:
        """Add a task of a component, with artifacts and values by their names.

        Parameters that are not given come from the pipeline's: ``train_lr``, and where there is none, ``lr``. Every one
        is handed on, since a backend of version 2.17.0 does not fill in the defaults of a component.
        """
        contract = contract_of(command)
        artifacts = {*contract.inputs, *contract.optional, *contract.several}
        for name, option in options(command).items():
            if name in given or name in artifacts or (contract.status and name == "status"):
                continue
            own = f"{contract.name}_{name}"
            given[name] = self.values.get(own, self.values.get(name, option.default))
        task = self._component(contract)(**given)
        self._place(task, contract)
        return task

    def find(self, name: str, kind: type[dsl.Artifact]) -> Any:
        """Add a task that takes up an artifact from the address in parameter ``name``."""
        task = dsl.importer(artifact_uri=self.values[f"{name}_uri"], artifact_class=kind, reimport=False)
        task.set_display_name(name.replace("_", "-"))
        return task.output

    @cached_property
    def _components(self) -> dict[str, BaseComponent]:
        return {}

    def _component(self, contract: Contract) -> BaseComponent:
        if contract.command not in self._components:
            self._components[contract.command] = component(contract, self.image_of(contract.stage))
        return self._components[contract.command]

    def _place(self, task: dsl.PipelineTask, contract: Contract) -> None:
        cluster, needs = self.cluster, self.cluster.of(contract.command)
        task.set_cpu_request(needs.cpu_request).set_cpu_limit(needs.cpu_limit)
        task.set_memory_request(needs.memory_request).set_memory_limit(needs.memory_limit)
        task.set_caching_options(needs.cached)
        if needs.retries.count:
            retries = needs.retries
            task.set_retry(retries.count, f"{retries.wait}s", retries.factor, f"{needs.all_seconds}s")
        kubernetes.set_timeout(task, needs.seconds)
        kubernetes.set_image_pull_policy(task, cluster.image_pull_policy)
        if cluster.image_pull_secret:
            kubernetes.set_image_pull_secrets(task, [cluster.image_pull_secret])
        kubernetes.set_security_context(
            task, run_as_user=cluster.run_as_user, run_as_group=cluster.run_as_group, run_as_non_root=True
        )
        labels = {
            "app.kubernetes.io/part-of": "lstm-adversarial-attack",
            "app.kubernetes.io/component": contract.command,
        }
        for key, value in {**labels, **cluster.labels}.items():
            kubernetes.add_pod_label(task, key, value)
        kubernetes.empty_dir_mount(task, "scratch", _SCRATCH, size_limit=needs.scratch)
        if needs.shared_memory:
            kubernetes.empty_dir_mount(
                task, "shared-memory", _SHARED_MEMORY, medium="Memory", size_limit=needs.shared_memory
            )
        if needs.accelerated and cluster.accelerator:
            self._accelerate(task)
        self._tell(task, contract)

    def _accelerate(self, task: dsl.PipelineTask) -> None:
        accelerator = self.cluster.accelerator
        assert accelerator is not None
        task.set_accelerator_type(accelerator.type).set_accelerator_limit(accelerator.count)
        for key, value in self.cluster.node_selector.items():
            kubernetes.add_node_selector(task, key, value)
        for toleration in self.cluster.tolerations:
            kubernetes.add_toleration(
                task, toleration.key, toleration.operator, toleration.value or None, toleration.effect or None
            )

    def _tell(self, task: dsl.PipelineTask, contract: Contract) -> None:
        """Give a task what it finds in its environment; secrets by their names alone."""
        cluster, command = self.cluster, contract.command
        digest = self.image_of(contract.stage).partition("@")[2]
        if digest:
            task.set_env_variable(_DIGEST, digest)
        variables = (*(TRACKING if command in STAGES else ()), *(STORE if command in _KEEPS_CHECKPOINTS else ()))
        if variables:
            kubernetes.use_config_map_as_env(
                task, cluster.config_map, {name: name for name in variables}, optional=True
            )
        if command in STAGES:
            keys = {"token": "MLFLOW_TRACKING_TOKEN", "username": "MLFLOW_TRACKING_USERNAME"}
            keys["password"] = "MLFLOW_TRACKING_PASSWORD"
            kubernetes.use_secret_as_env(task, cluster.secrets.tracking, keys, optional=True)
        if command in _READS_FILES and cluster.data_claim:
            kubernetes.mount_pvc(task, cluster.data_claim, cluster.data_path)
        if command == "extract":
            kubernetes.use_secret_as_env(task, cluster.secrets.database, {"password": _PASSWORD}, optional=True)
        if command in _KEEPS_STUDIES:
            kubernetes.use_secret_as_env(task, cluster.secrets.study, {"password": _PASSWORD}, optional=True)
        if command in _KEEPS_CHECKPOINTS:
            keys = {"access-key": "LSTM_AA_S3_ACCESS_KEY_ID", "secret-key": "LSTM_AA_S3_SECRET_ACCESS_KEY"}
            kubernetes.use_secret_as_env(task, cluster.secrets.objects, keys, optional=True)
        if contract.status:
            kubernetes.use_secret_as_env(task, cluster.secrets.webhook, {"url": "LSTM_AA_WEBHOOK_URL"}, optional=True)


def contract_of(command: str) -> Contract:
    """Return the spec of a component by the name of its command."""
    contract: Contract = import_module(f"components.{command.replace('-', '_')}.component").CONTRACT
    return contract


def pipeline(
    name: str, explanation: str, given: Iterable[Parameter], body: Callable[[Mapping[str, Any]], None]
) -> BaseComponent:
    """Return a pipeline of these parameters; ``body`` is called with their values by name, and adds the tasks."""
    ordered = sorted(given, key=lambda one: one.default is not one.REQUIRED)

    def function(*values: Any) -> None:
        body({one.name: value for one, value in zip(ordered, values, strict=True)})

    lines = [explanation, "", "Args:", *(f"    {one.name}: {one.explanation}" for one in ordered)]
    signature = [parameter(one.name, one.kind, one.default) for one in ordered]
    return dsl.pipeline(name=name)(shaped(function, name.replace("-", "_"), "\n".join(lines), signature))
