"""The pipelines: everything, and the parts that are of use alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kfp import dsl
from kfp.dsl.base_component import BaseComponent

from lstm_adversarial_attack.stage import STAGES
from pipelines.cluster import Cluster
from pipelines.dag import Dag, pipeline
from pipelines.parameters import Parameter, parameters

Addresses = dict[str, tuple[type[dsl.Artifact], str]]
_WHERE = "Address of an artifact of {}, as the UI shows it: s3://BUCKET/KEY, minio://BUCKET/KEY or gs://BUCKET/KEY."


def train_and_attack(cluster: Cluster, image_of: Callable[[str], str]) -> BaseComponent:
    """Everything, from an ICU database to a report: the parameters are the options of `lstm-aa run`."""

    def body(dag: Dag) -> None:
        events = dag.add("extract").outputs["events"]
        dataset = dag.add("preprocess", events=events).outputs["dataset"]
        hyperparameters = _searched(dag, dataset)
        model = dag.add("train", dataset=dataset, hyperparameters=hyperparameters).outputs["model"]
        _attacked(dag, dataset, model, hyperparameters=hyperparameters)

    return _built(
        "train-and-attack",
        "Learn to predict in-hospital death from an ICU database, attack the model, and report on both.",
        STAGES,
        {},
        body,
        cluster,
        image_of,
    )


def attack_model(cluster: Cluster, image_of: Callable[[str], str]) -> BaseComponent:
    """The attack on a model that is there already."""

    def body(dag: Dag) -> None:
        _attacked(dag, dag.find("dataset", dsl.Dataset), dag.find("model", dsl.Model))

    return _built(
        "attack-model",
        "Attack a model that was trained before, and report on it.",
        ("attack-tune", "attack", "evaluate"),
        {"dataset": (dsl.Dataset, "preprocess"), "model": (dsl.Model, "train")},
        body,
        cluster,
        image_of,
    )


def reevaluate(cluster: Cluster, image_of: Callable[[str], str]) -> BaseComponent:
    """The report on an attack that was made already, such as with another gate."""

    def body(dag: Dag) -> None:
        artifacts = {name: dag.find(name, kind) for name, (kind, _) in needed.items()}
        _reported(dag, **artifacts)

    needed: Addresses = {
        "dataset": (dsl.Dataset, "preprocess"),
        "model": (dsl.Model, "train"),
        "examples": (dsl.Artifact, "attack"),
    }
    return _built("reevaluate", "Write the report of an attack anew.", ("evaluate",), needed, body, cluster, image_of)


def tune_model(cluster: Cluster, image_of: Callable[[str], str]) -> BaseComponent:
    """The search for hyperparameters alone."""

    def body(dag: Dag) -> None:
        _searched(dag, dag.find("dataset", dsl.Dataset))

    return _built(
        "tune-model",
        "Search the classifier's hyperparameters on a dataset that was made before.",
        ("tune",),
        {"dataset": (dsl.Dataset, "preprocess")},
        body,
        cluster,
        image_of,
    )


#: The pipelines by their names.
PIPELINES: dict[str, Callable[[Cluster, Callable[[str], str]], BaseComponent]] = {
    "train-and-attack": train_and_attack,
    "attack-model": attack_model,
    "reevaluate": reevaluate,
    "tune-model": tune_model,
}


def _built(
    name: str,
    explanation: str,
    stages: tuple[str, ...],
    needed: Addresses,
    body: Callable[[Dag], None],
    cluster: Cluster,
    image_of: Callable[[str], str],
) -> BaseComponent:
    """Return a pipeline, whose end is told, however it ends, where the cluster has it so."""
    addresses = [
        Parameter(f"{artifact}_uri", str, Parameter.REQUIRED, _WHERE.format(stage))
        for artifact, (_, stage) in needed.items()
    ]
    given = [*addresses, *parameters(stages, device="cuda" if cluster.accelerator else "auto").values()]

    def within(values: Mapping[str, Any]) -> None:
        dag = Dag(cluster, image_of, values)
        if not cluster.notify:
            body(dag)
            return
        with dsl.ExitHandler(dag.add("notify", run=dsl.PIPELINE_JOB_NAME_PLACEHOLDER), name="run"):
            body(dag)

    return pipeline(f"lstm-aa-{name}", explanation, given, within)


def _searched(dag: Dag, dataset: Any) -> Any:
    """Add the search, a task for each pod of it, and return what it found."""
    # The loop's item has to be used within: without that kfp 2.17.0 does not hand the list on to the exit handler.
    with dsl.ParallelFor(dag.values["tune_pods"], name="tune-pods") as workers:
        found = dag.add("tune", dataset=dataset, workers=workers).outputs["hyperparameters"]
    return dag.add("merge-hyperparameters", hyperparameters=dsl.Collected(found)).outputs["merged"]


def _attacked(dag: Dag, dataset: Any, model: Any, **searches: Any) -> None:
    """Add the attack, a task for each shard of it, and the report."""
    settings = dag.add("attack-tune", dataset=dataset, model=model).outputs["attack_settings"]
    with dsl.ParallelFor(dag.values["attack_shards"], name="attack-shards") as shard:
        found = dag.add("attack", dataset=dataset, model=model, attack_settings=settings, shard=shard)
    examples = dag.add("merge-examples", examples=dsl.Collected(found.outputs["examples"])).outputs["merged"]
    _reported(dag, dataset=dataset, model=model, examples=examples, attack_settings=settings, **searches)


def _reported(dag: Dag, **artifacts: Any) -> None:
    report = dag.add("evaluate", **artifacts).outputs["report"]
    dag.add("gate", report=report, enforce=dag.values["enforce_gate"])
