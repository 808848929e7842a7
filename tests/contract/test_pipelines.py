"""The pipelines as they are compiled: what each task gets, what it is told, and that nothing has changed unseen."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf import json_format
from kfp.kubernetes import kubernetes_executor_config_pb2
from kfp.pipeline_spec import pipeline_spec_pb2

from components.contract import options
from images.names import Lock, key, tagged, write_lock
from lstm_adversarial_attack import cli
from lstm_adversarial_attack.settings import SEEDED
from lstm_adversarial_attack.settings import checked as settings_checked
from lstm_adversarial_attack.stage import STAGES
from pipelines import compile as compiling
from pipelines.cluster import NEEDS, read_cluster
from pipelines.definitions import PIPELINES
from pipelines.parameters import parameters
from pipelines.submit import checked, read_parameters

ROOT = Path(__file__).parents[2]
COMPILED = ROOT / "pipelines" / "compiled"
CLUSTERS = ("gpu", "cpu")


@dataclass(frozen=True)
class Row:
    """What a task gets on the cluster with GPUs. A person has looked at every line of it."""

    cpu: tuple[str, str]
    memory: tuple[str, str]
    minutes: int
    retries: int
    gpu: bool = False
    shared_memory: str = ""
    scratch: str = "5Gi"
    cached: bool = True
    secrets: tuple[str, ...] = ()


STUDY, OBJECTS, MLFLOW = "lstm-aa-study", "lstm-aa-objects", "lstm-aa-tracking"
#: The reviewed table. A change of it is a change of what the pipeline costs or may do.
TABLE = {
    "extract": Row(("2", "4"), ("4Gi", "16Gi"), 240, 2, scratch="50Gi", secrets=(MLFLOW, "lstm-aa-database")),
    "preprocess": Row(("2", "4"), ("8Gi", "32Gi"), 120, 2, scratch="20Gi", secrets=(MLFLOW,)),
    "tune": Row(("4", "8"), ("16Gi", "32Gi"), 1440, 2, True, "8Gi", secrets=(MLFLOW, STUDY, OBJECTS)),
    "merge-hyperparameters": Row(("100m", "1"), ("256Mi", "1Gi"), 10, 2, scratch="1Gi"),
    "train": Row(("4", "8"), ("16Gi", "32Gi"), 720, 2, True, "8Gi", secrets=(MLFLOW, OBJECTS)),
    "attack-tune": Row(("4", "8"), ("16Gi", "32Gi"), 720, 2, True, "8Gi", secrets=(MLFLOW, STUDY, OBJECTS)),
    "attack": Row(("4", "8"), ("16Gi", "48Gi"), 1440, 5, True, "8Gi", secrets=(MLFLOW, OBJECTS)),
    "merge-examples": Row(("1", "2"), ("4Gi", "16Gi"), 60, 2),
    "evaluate": Row(("2", "4"), ("8Gi", "32Gi"), 240, 2, secrets=(MLFLOW,)),
    "gate": Row(("100m", "1"), ("256Mi", "1Gi"), 10, 0, scratch="1Gi", cached=False),
    "notify": Row(("100m", "1"), ("128Mi", "512Mi"), 10, 0, scratch="1Gi", cached=False, secrets=("lstm-aa-webhook",)),
}
SECRETS = {
    *("PGPASSWORD", "LSTM_AA_S3_ACCESS_KEY_ID", "LSTM_AA_S3_SECRET_ACCESS_KEY", "LSTM_AA_WEBHOOK_URL"),
    *("MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"),
}
TOLERATIONS = [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
NODES = {"nvidia.com/gpu.present": "true"}
#: The tasks of each pipeline, in no order.
TASKS = {
    "train-and-attack": set(TABLE),
    "attack-model": {"attack-tune", "attack", "merge-examples", "evaluate", "gate", "notify"},
    "reevaluate": {"evaluate", "gate", "notify"},
    "tune-model": {"tune", "merge-hyperparameters", "notify"},
}


@dataclass(frozen=True)
class Package:
    """A compiled pipeline: its two documents."""

    pipeline: dict[str, Any]
    platform: dict[str, Any]

    @classmethod
    def read(cls, file: Path) -> Package:
        pipeline, platform = yaml.load_all(file.read_text(), yaml.CSafeLoader)  # six times as fast
        return cls(pipeline, platform)

    @property
    def executors(self) -> dict[str, dict[str, Any]]:
        found = self.pipeline["deploymentSpec"]["executors"]
        return {name.removeprefix("exec-"): one for name, one in found.items() if "container" in one}

    @property
    def kubernetes(self) -> dict[str, dict[str, Any]]:
        found = self.platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
        return {name.removeprefix("exec-"): one for name, one in found.items()}

    def tasks(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield every task with its command, those of loops and of the exit handler too."""
        for dag in (self.pipeline["root"], *self.pipeline["components"].values()):
            for task in dag.get("dag", {}).get("tasks", {}).values():
                command = task["componentRef"]["name"].removeprefix("comp-")
                if command in self.executors:
                    yield command, task


@cache
def package(name: str, cluster: str = "gpu") -> Package:
    return Package.read(COMPILED / cluster / f"{name}.yaml")


def row_of(package: Package, command: str) -> Row:
    """Return the line of the table that a compiled pipeline has for a task."""
    container, kubernetes = package.executors[command]["container"], package.kubernetes[command]
    resources = container["resources"]
    accelerator = resources.get("accelerator")
    (task,) = [task for name, task in package.tasks() if name == command]
    mounts = {one["mountPath"]: one for one in kubernetes["emptyDirMounts"]}
    gpu = accelerator is not None
    if gpu:
        assert accelerator["resourceType"] == "nvidia.com/gpu"
        assert accelerator["resourceCount"] == "1"
    assert kubernetes.get("tolerations", []) == (TOLERATIONS if gpu else []), "tolerations"
    assert kubernetes.get("nodeSelector", {}).get("labels", {}) == (NODES if gpu else {}), "node selector"
    assert mounts.get("/dev/shm", {}).get("medium", "Memory") == "Memory"
    retries = task.get("retryPolicy", {})
    if retries:
        assert retries["backoffDuration"] == "60s"
        assert retries["backoffFactor"] == 2.0
        # Counted from the first start: all attempts and the waits between them have to lie within it.
        waits = sum(60 * 2**attempt for attempt in range(retries["maxRetryCount"]))
        attempts = (retries["maxRetryCount"] + 1) * int(kubernetes["activeDeadlineSeconds"])
        assert retries["backoffMaxDuration"] == f"{attempts + waits}s"
    return Row(
        (resources["resourceCpuRequest"], resources["resourceCpuLimit"]),
        (resources["resourceMemoryRequest"], resources["resourceMemoryLimit"]),
        int(kubernetes["activeDeadlineSeconds"]) // 60,
        retries.get("maxRetryCount", 0),
        gpu,
        mounts.get("/dev/shm", {}).get("sizeLimit", ""),
        mounts["/tmp"]["sizeLimit"],
        task["cachingOptions"].get("enableCache", False),
        tuple(one["secretName"] for one in kubernetes.get("secretAsEnv", [])),
    )


# --- what each task gets ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PIPELINES)
def test_every_task_gets_what_the_table_says(name: str) -> None:
    found = package(name)
    assert set(found.executors) == set(found.kubernetes) == TASKS[name]
    assert {command: row_of(found, command) for command in found.executors} == {
        command: TABLE[command] for command in TASKS[name]
    }


@pytest.mark.parametrize("part", ["tolerations", "nodeSelector", "secretAsEnv", "activeDeadlineSeconds"])
def test_the_table_would_notice_that_something_is_missing(part: str) -> None:
    found = deepcopy(package("train-and-attack"))
    del found.kubernetes["attack"][part]
    with pytest.raises((AssertionError, KeyError)):
        assert row_of(found, "attack") == TABLE["attack"]


@pytest.mark.parametrize("name", PIPELINES)
@pytest.mark.parametrize("cluster", CLUSTERS)
def test_every_task_runs_as_nobody_special(name: str, cluster: str) -> None:
    found = package(name, cluster)
    for command, kubernetes in found.kubernetes.items():
        context = {"runAsUser": "10001", "runAsGroup": "0", "runAsNonRoot": True}
        assert kubernetes["securityContext"] == context, command
        assert kubernetes["podMetadata"]["labels"] == {
            "app.kubernetes.io/part-of": "lstm-adversarial-attack",
            "app.kubernetes.io/component": command,
        }


@pytest.mark.parametrize("name", PIPELINES)
def test_without_gpus_nothing_asks_for_one(name: str) -> None:
    found = package(name, "cpu")
    for command, one in found.executors.items():
        assert "accelerator" not in one["container"]["resources"], command
        assert "tolerations" not in found.kubernetes[command], command
        assert "cuda" not in one["container"]["image"], command


@pytest.mark.parametrize("name", PIPELINES)
@pytest.mark.parametrize("cluster", CLUSTERS)
def test_secrets_are_named(name: str, cluster: str) -> None:
    found = package(name, cluster)
    told = {one["envVar"] for k in found.kubernetes.values() for s in k.get("secretAsEnv", []) for one in s["keyToEnv"]}
    assert told <= SECRETS
    for one in found.executors.values():
        assert {entry["name"] for entry in one["container"].get("env", [])} <= {"LSTM_AA_IMAGE_DIGEST"}


@pytest.mark.parametrize("name", PIPELINES)
def test_addresses_are_told_to_whom_they_concern_and_not_to_kubeflow_s_launcher(name: str) -> None:
    """The launcher runs in the same container, and takes AWS_... for the store of all artifacts."""
    for command, kubernetes in package(name).kubernetes.items():
        maps = kubernetes.get("configMapAsEnv", [])
        told = {one["envVar"] for entry in maps for one in entry["keyToEnv"]}
        wanted = {"MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"} if command in STAGES else set()
        if command in ("tune", "train", "attack-tune", "attack"):
            wanted |= {"LSTM_AA_S3_ENDPOINT_URL", "LSTM_AA_S3_REGION"}
        assert told == wanted, command


def test_secrets_of_who_compiles_do_not_get_into_the_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SECRETS:
        monkeypatch.setenv(name, "hunter2-hunter2")
    compiling.main(["--cluster", "gpu", "--out", str(tmp_path)])
    files = list(tmp_path.glob("**/*.yaml"))
    assert len(files) == len(PIPELINES) + len(NEEDS) - 1
    assert not [file for file in files if "hunter2" in file.read_text()]


@pytest.mark.parametrize("name", PIPELINES)
@pytest.mark.parametrize("cluster", CLUSTERS)
def test_images_are_exact_and_commands_are_given(name: str, cluster: str) -> None:
    found = package(name, cluster)
    for command, one in found.executors.items():
        container = one["container"]
        stage = command if command in STAGES else "evaluate"
        assert container["image"] == tagged(stage, "cuda" if cluster == "gpu" else "cpu")
        assert container["command"] == ["lstm-aa", command]  # so the image needs no ENTRYPOINT


# --- parameters ------------------------------------------------------------------------------------------------------


def run_options() -> dict[str, Any]:
    """Return the options of `lstm-aa run` by the names of parameters."""
    arguments = cli.app["run"].assemble_argument_collection(parse_docstring=True)
    return {
        argument.name.removeprefix("--").replace("-", "_").replace(".", "_"): argument
        for argument in arguments
        if argument.show
    }


def test_the_parameters_of_the_whole_are_the_options_of_run() -> None:
    takes = package("train-and-attack", "cpu").pipeline["root"]["inputDefinitions"]["parameters"]
    wanted = run_options()
    seeds = {f"{stage.replace('-', '_')}_seed" for stage in SEEDED}
    assert set(wanted) - set(takes) == {"out", "features", "settings", "attack_shard", *seeds}
    assert set(takes) - set(wanted) == {"tune_pods", "attack_shards"}
    for name in set(takes) & set(wanted) - {"snapshot_id", "seed"}:
        default = wanted[name].field_info.default
        assert takes[name].get("defaultValue", "") == ("" if default is None else default), name
        assert takes[name]["isOptional"], name
    assert "isOptional" not in takes["snapshot_id"]  # the cache's key: who starts a run has to think about it
    assert takes["seed"]["defaultValue"] == 0


def test_on_gpus_a_gpu_is_insisted_on() -> None:
    takes = package("train-and-attack").pipeline["root"]["inputDefinitions"]["parameters"]
    assert takes["device"]["defaultValue"] == "cuda"
    cpu = package("train-and-attack", "cpu").pipeline["root"]["inputDefinitions"]["parameters"]
    assert {name for name in takes if takes[name] != cpu[name]} == {"device"}


@pytest.mark.parametrize("name", PIPELINES)
def test_every_task_is_given_every_parameter(name: str) -> None:
    """Backends of version 2.17.0 fail where a component's default is left to them."""
    found = package(name)
    for command, task in found.tasks():
        given = task["inputs"].get("parameters", {})
        takes = found.pipeline["components"][f"comp-{command}"].get("inputDefinitions", {}).get("parameters", {})
        assert set(given) == set(takes), command


@pytest.mark.parametrize("name", PIPELINES)
def test_every_parameter_comes_from_the_one_of_its_name(name: str) -> None:
    found = package(name)
    loops = {("attack", "shard"): "attack_shards-loop-item", ("tune", "workers"): "tune_pods-loop-item"}
    for command, task in found.tasks():
        for parameter, given in task["inputs"].get("parameters", {}).items():
            source = given.get("componentInputParameter", "").removeprefix("pipelinechannel--")
            own = f"{command.replace('-', '_')}_{parameter}"
            if command == "notify" or (command, parameter) in loops:
                assert source == loops.get((command, parameter), "")
            elif (command, parameter) == ("gate", "enforce"):
                assert source == "enforce_gate"
            else:
                assert source in (own, parameter), (command, parameter)


@pytest.mark.parametrize("file", ["smoke", "demo", "full"])
@pytest.mark.parametrize("cluster", CLUSTERS)
def test_the_parameter_files_fit(file: str, cluster: str) -> None:
    given = read_parameters(file)
    assert checked(COMPILED / cluster / "train-and-attack.yaml", given) == given


@pytest.mark.parametrize("file", ["smoke", "demo", "full"])
def test_the_command_line_takes_the_same_values(file: str) -> None:
    """What a file of parameters says passes the checks of the stages, and not only those of Kubeflow."""
    wanted, given = run_options(), read_parameters(file)
    line = [f"{wanted[name].name}={value}" for name, value in given.items() if name in wanted]
    assert len(line) >= 3
    _, bound, _ = cli.app.parse_args(["run", *line], exit_on_error=False, print_error=False)
    for value in bound.arguments.values():
        if is_dataclass(value):
            settings_checked(value)
    shards = given.get("attack_shards", ["1/1"])
    assert shards == [f"{number}/{len(shards)}" for number in range(1, len(shards) + 1)]


def test_every_stage_parameter_reaches_its_task() -> None:
    for stage in STAGES:
        reached = set(options(stage)) - {"shard", "seed", "workers"}
        names = set(parameters([stage]))
        artifacts = {"events", "dataset", "hyperparameters", "model", "attack_settings", "examples"}
        for option in reached - artifacts:
            assert option in names or f"{stage.replace('-', '_')}_{option}" in names, (stage, option)


# --- shape -----------------------------------------------------------------------------------------------------------


def dag_of(found: Package, component: str) -> dict[str, Any]:
    tasks: dict[str, Any] = found.pipeline["components"][component]["dag"]["tasks"]
    return tasks


def test_tune_and_attack_fan_out_and_are_joined() -> None:
    found = package("train-and-attack")
    tasks = dag_of(found, "comp-exit-handler-1")
    loops = {task["taskInfo"]["name"]: name for name, task in tasks.items() if "parameterIterator" in task}
    assert set(loops) == {"tune-pods", "attack-shards"}
    for loop, inside, after in (
        ("tune-pods", "tune", "merge-hyperparameters"),
        ("attack-shards", "attack", "merge-examples"),
    ):
        assert set(dag_of(found, f"comp-{loops[loop]}")) == {inside}
        assert loops[loop] in tasks[after]["dependentTasks"]
    assert tasks["train"]["inputs"]["artifacts"]["hyperparameters"]["taskOutputArtifact"]["producerTask"] == (
        "merge-hyperparameters"
    )
    assert (
        tasks["evaluate"]["inputs"]["artifacts"]["examples"]["taskOutputArtifact"]["producerTask"] == "merge-examples"
    )
    assert tasks["gate"]["dependentTasks"] == ["evaluate"]


@pytest.mark.parametrize("name", PIPELINES)
def test_the_end_is_told_however_it_ends(name: str) -> None:
    root = package(name).pipeline["root"]["dag"]["tasks"]
    assert set(root) == {"exit-handler-1", "notify"}
    assert root["notify"]["triggerPolicy"] == {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}
    assert root["notify"]["inputs"]["parameters"]["status"] == {"taskFinalStatus": {"producerTask": "exit-handler-1"}}


@pytest.mark.parametrize("name", PIPELINES)
@pytest.mark.parametrize("cluster", CLUSTERS)
def test_both_documents_are_of_the_form_that_kubeflow_reads(name: str, cluster: str) -> None:
    found = package(name, cluster)
    spec = json_format.ParseDict(found.pipeline, pipeline_spec_pb2.PipelineSpec())
    assert spec.schema_version == "2.1.0"
    json_format.ParseDict(found.platform, pipeline_spec_pb2.PlatformSpec())
    for one in found.kubernetes.values():
        json_format.ParseDict(one, kubernetes_executor_config_pb2.KubernetesExecutorConfig())
    used = {task["componentRef"]["name"] for dag in (found.pipeline["root"], *found.pipeline["components"].values())
            for task in dag.get("dag", {}).get("tasks", {}).values()}  # fmt: skip
    assert used == set(found.pipeline["components"])


# --- goldens and images ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_what_is_committed_is_what_compiles(cluster: str, tmp_path: Path) -> None:
    described = read_cluster(cluster)
    image_of = compiling.images_for(described, "", tmp_path / "no.lock.yaml")
    compiling.compile_pipelines(described, image_of, tmp_path)
    compiling.compile_components(image_of, tmp_path / "components")
    fresh = {file.relative_to(tmp_path): file.read_text() for file in tmp_path.glob("**/*.yaml")}
    folder = COMPILED / cluster
    committed = {file.relative_to(folder): file.read_text() for file in folder.glob("**/*.yaml")}
    assert fresh == committed, "make goldens"


def test_images_that_were_pushed_are_named_by_their_digests(tmp_path: Path) -> None:
    registry, lock = "registry.example:5000/team", tmp_path / "images.lock.yaml"
    digests = {key(stage, "cuda"): f"sha256:{number:064x}" for number, stage in enumerate(STAGES)}
    version = tagged("extract").partition(":")[2]
    write_lock(Lock(registry, version, digests), lock)
    described = read_cluster("gpu")
    compiling.compile_pipelines(described, compiling.images_for(described, registry, lock), tmp_path / "out")
    found = Package.read(tmp_path / "out" / "train-and-attack.yaml")
    for command, one in found.executors.items():
        stage = command if command in STAGES else "evaluate"
        digest = digests[key(stage, "cuda")]
        assert one["container"]["image"] == f"{tagged(stage, 'cuda', registry)}@{digest}"
        assert one["container"]["env"] == [{"name": "LSTM_AA_IMAGE_DIGEST", "value": digest}]


def test_a_lock_that_lacks_an_image_is_no_reason_to_fall_back_to_tags(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = "registry.example/team"
    pushed = Lock(
        registry, tagged("extract").partition(":")[2], {key(stage, "cpu"): f"sha256:{'1' * 64}" for stage in STAGES}
    )
    monkeypatch.setattr(compiling, "read_lock", lambda: pushed)
    with pytest.raises(SystemExit, match=r"knows no attack, attack-tune, .*ACCELERATOR=cuda"):
        compiling.main(["--cluster", "gpu", "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


def test_compiling_says_which_images_have_no_digest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compiling.main(["--cluster", "cpu", "--registry", "registry.example/team", "--out", str(tmp_path)])
    said = capsys.readouterr()
    assert f"train        {tagged('train', 'cpu', 'registry.example/team')}" in said.out
    assert "by tag, not by digest" in said.err


# --- clusters --------------------------------------------------------------------------------------------------------


def test_a_cluster_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        "accelerator: {type: nvidia.com/mig-3g.40gb, count: 2}\n"
        "node_selector: {pool: a}\n"
        "tolerations: [{key: dedicated, operator: Equal, value: ml, effect: NoExecute}]\n"
        "data_claim: mimic\n"
        "image_pull_secret: registry\n"
        "labels: {team: icu}\n"
        "run_as_user: null\n"
        "notify: false\n"
        "needs: {train: {minutes: 5, retries: {count: 9, wait: 1, factor: 1}}}\n"
    )
    compiling.main(["--cluster", str(file), "--out", str(tmp_path / "out")])
    found = Package.read(tmp_path / "out" / "train-and-attack.yaml")
    train = found.kubernetes["train"]
    assert found.executors["train"]["container"]["resources"]["accelerator"]["resourceType"] == "nvidia.com/mig-3g.40gb"
    assert found.executors["train"]["container"]["resources"]["accelerator"]["resourceCount"] == "2"
    assert train["nodeSelector"]["labels"] == {"pool": "a"}
    assert train["tolerations"] == [{"key": "dedicated", "operator": "Equal", "value": "ml", "effect": "NoExecute"}]
    assert train["activeDeadlineSeconds"] == "300"
    assert train["podMetadata"]["labels"]["team"] == "icu"
    assert train["imagePullSecret"][0]["secretName"] == "registry"
    mounted = {command for command, one in found.kubernetes.items() if "pvcMount" in one}
    assert mounted == {"extract", "preprocess"}
    assert found.kubernetes["extract"]["pvcMount"][0]["mountPath"] == "/data"
    assert train["securityContext"] == {"runAsGroup": "0", "runAsNonRoot": True}
    assert "notify" not in found.executors
    assert "exit-handler-1" not in found.pipeline["root"]["dag"]["tasks"]
    (task,) = [task for command, task in found.tasks() if command == "train"]
    assert task["retryPolicy"]["maxRetryCount"] == 9
    assert task["retryPolicy"]["backoffMaxDuration"] == f"{10 * 300 + 9}s"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("accelerators: {}", "accelerators"),
        ("needs: {training: {minutes: 3}}", "no task training"),
        ("needs: {train: {minuts: 3}}", "minuts"),
        ("needs: {train: {memory_limit: lots}}", "memory_limit"),
        ("run_as_user: 0", "run_as_user"),
        ("accelerator: {type: amd.com/gpu}", "type"),  # the images hold CUDA
        ("tolerations: [{key: a, effect: Never}]", "effect"),
        ("needs: {train: {retries: {factor: 1.5}}}", "factor"),
        ("[", "while parsing"),
    ],
)
def test_a_cluster_that_says_nonsense_is_refused(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(SystemExit) as stopped:
        compiling.main(["--cluster", str(file), "--out", str(tmp_path / "out")])
    assert said in str(stopped.value.code)
    assert not (tmp_path / "out").exists()


def test_a_cluster_of_ones_own_has_a_name_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "gpu.yaml").write_text("accelerator: null\n")
    with pytest.raises(SystemExit, match="another name"):
        compiling.main(["--cluster", str(tmp_path / "gpu.yaml"), "--out", str(tmp_path / "out")])


def test_needs_are_asked_of_every_component() -> None:
    assert set(NEEDS) == set(TABLE)
