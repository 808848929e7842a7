"""Start a run on a cluster, or have it started on a schedule: `python -m pipelines.submit --help`.

The `kfp` command does the same, but for pipeline root, caching and service account, and it sends what it is given
without a look at it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import warnings
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from kfp.client import Client

from images.names import PROJECT
from pipelines.compile import COMPILED, HERE, OWN
from pipelines.definitions import PIPELINES

PARAMETERS = HERE / "parameters"
TOKEN = "KFP_TOKEN"
_KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "STRING": ((str,), "text"),
    "BOOLEAN": ((bool,), "true or false"),
    "NUMBER_INTEGER": ((int,), "a whole number"),
    "NUMBER_DOUBLE": ((int, float), "a number"),
    "LIST": ((list,), "a list"),
    "STRUCT": ((dict,), "a mapping"),
}
#: Numbers travel as doubles, which hold no more digits.
_LARGEST = 2**53
#: Shards whose metadata fit into one argument of the task that joins them.
_MOST_SHARDS = 32
_ENDED = {"SUCCEEDED": 0, "SKIPPED": 0, "FAILED": 1, "CANCELED": 1, "CANCELLED": 1, "ERROR": 1}
_PAUSE_S, _MOST_LOST = 10.0, 30


class SubmitError(Exception):
    """What the user can mend; nothing was sent."""


def read_parameters(name: str) -> dict[str, Any]:
    """Return the values in a file of ``pipelines/parameters`` by its name, or in a YAML file by its path.

    Raises:
        SubmitError: there is no such file, or it holds no mapping.
    """
    file = Path(name) if name.endswith((".yaml", ".yml")) else PARAMETERS / f"{name}.yaml"
    if not file.is_file():
        known = ", ".join(sorted(path.stem for path in PARAMETERS.glob("*.yaml")))
        raise SubmitError(f"no parameters {name!r}: give one of {known}, or the path of a YAML file")
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise SubmitError(f"{file}: {error}") from error
    if not isinstance(content, dict):
        raise SubmitError(f"{file}: not a mapping of names to values")
    return content


def takes_of(package: Path) -> dict[str, dict[str, Any]]:
    """Return what a package takes: its parameters by name.

    Raises:
        SubmitError: the package cannot be read.
    """
    if not package.is_file():
        raise SubmitError(f"{package}: no such package; make it with make compile")
    try:
        pipeline = next(yaml.safe_load_all(package.read_text(encoding="utf-8")))
        takes: dict[str, dict[str, Any]] = pipeline["root"].get("inputDefinitions", {}).get("parameters", {})
    except (yaml.YAMLError, TypeError, KeyError, AttributeError, UnicodeDecodeError) as error:
        raise SubmitError(f"{package}: not a compiled pipeline") from error
    return takes


def checked(package: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a run after a check against what the package takes.

    Raises:
        SubmitError: the package cannot be read, or a parameter is unknown, of the wrong type, missing, or would let the
            run fail when hours have been spent on it.
    """
    takes = takes_of(package)
    values = {}
    for name, value in given.items():
        if name not in takes:
            raise SubmitError(
                f"parameter {name}: the pipeline has none of that name; it has {', '.join(sorted(takes))}"
            )
        values[name] = _of_kind(name, value, takes[name]["parameterType"])
    missing = [name for name, one in takes.items() if not one.get("isOptional") and name not in values]
    if missing:
        raise SubmitError(f"no value for {', '.join(sorted(missing))}; give it in --params or with --set NAME=VALUE")
    _check_fan_out(values)
    return values


def _of_kind(name: str, value: Any, kind: str) -> Any:
    """Return a value as the kind that a parameter is of; a number where text is asked for is meant as text."""
    kinds, word = _KINDS[kind]
    if kind == "STRING" and isinstance(value, (bool, int, float)):
        return ("on" if value else "off") if isinstance(value, bool) else str(value)  # YAML reads these words as bools
    if not isinstance(value, kinds) or (isinstance(value, bool) and kind != "BOOLEAN"):
        hint = "; put it between quotes" if kind == "STRING" else ""
        raise SubmitError(f"parameter {name}: {value!r} is not {word}{hint}")
    if isinstance(value, int) and abs(value) > _LARGEST:
        raise SubmitError(
            f"parameter {name}: {value} has more digits than Kubeflow hands on; {_LARGEST} is the largest"
        )
    return value


def _check_fan_out(values: Mapping[str, Any]) -> None:
    shards = values.get("attack_shards")
    if shards is not None:
        wanted = [f"{number}/{len(shards)}" for number in range(1, len(shards) + 1)]
        if not shards or sorted(map(str, shards)) != sorted(wanted):
            raise SubmitError(f"parameter attack_shards: {shards} are not all shards; three are [1/3, 2/3, 3/3]")
        if len(shards) > _MOST_SHARDS:
            raise SubmitError(f"parameter attack_shards: {len(shards)} shards; at most {_MOST_SHARDS} can be joined")
    pods = values.get("tune_pods")
    if pods is not None:
        if not pods or not all(type(one) is int and one >= 1 for one in pods):
            raise SubmitError(
                f"parameter tune_pods: {pods}: a number of workers for each pod is expected, as in [1, 1]"
            )
        if len(pods) > 1 and not values.get("storage"):
            raise SubmitError("parameter tune_pods: several pods search one study, so storage has to say where it is")


def check_images(package: Path, *, local: bool) -> None:
    """See that a cluster can find the images.

    Raises:
        SubmitError: they are of no registry, and ``local`` does not say that the nodes have them.
    """
    pipeline = next(yaml.safe_load_all(package.read_text(encoding="utf-8")))
    images = sorted(
        {
            one["container"]["image"]
            for one in pipeline["deploymentSpec"]["executors"].values()
            if "container" in one and one["container"]["image"].startswith(f"{PROJECT}/")
        }
    )
    if images and not local:
        raise SubmitError(
            f"{package}: {images[0]} is in no registry, and a node without it would ask a public one: push the images "
            "and compile for their registry, or say --local-images where every node has them"
        )


def without_cache(package: Path, folder: Path) -> Path:
    """Write a package whose tasks are all run again to ``folder``, and return it.

    The SDK's own switch reaches the outermost tasks alone, and these pipelines lie within an exit handler.
    """
    pipeline, platform = yaml.safe_load_all(package.read_text(encoding="utf-8"))
    for dag in (pipeline["root"], *pipeline["components"].values()):
        for task in dag.get("dag", {}).get("tasks", {}).values():
            task["cachingOptions"] = {}
    written = folder / package.name
    written.write_text(yaml.safe_dump_all([pipeline, platform], sort_keys=True), encoding="utf-8")
    return written


def set_values(pairs: list[str], takes: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return what ``--set`` says; a value is read as what the parameter of its name is.

    Raises:
        SubmitError: one is not of the form NAME=VALUE.
    """
    values = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise SubmitError(f"--set {pair}: not of the form NAME=VALUE")
        values[name] = _read(value, takes.get(name, {}).get("parameterType", "STRING"))
    return values


def _read(value: str, kind: str) -> Any:
    """Return a value as typed, where it can be one of its kind; else it stays text, and is refused as such."""
    if kind == "STRING":
        return value
    if kind in ("NUMBER_INTEGER", "NUMBER_DOUBLE"):
        for number in (int, float):
            with suppress(ValueError):
                return number(value)
        return value
    with suppress(yaml.YAMLError):
        return yaml.safe_load(value)
    return value


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    made = argparse.ArgumentParser(
        prog="python -m pipelines.submit",
        description="Start a run of a compiled pipeline on a cluster, now or on a schedule.",
        epilog=f"The token is read from {TOKEN} or --token-file, never from the command line. On most clusters: "
        f'{TOKEN}="$(kubectl --namespace NAMESPACE create token default-editor)". '
        "Example: python -m pipelines.submit --host https://kubeflow.example --params smoke",
    )
    what = made.add_argument_group("what")
    what.add_argument("--pipeline", choices=PIPELINES, default="train-and-attack", help="default: %(default)s")
    what.add_argument("--cluster", default="gpu", help="compiled for which cluster; default: %(default)s")
    what.add_argument("--package", type=Path, help="compiled package; by default that of --pipeline and --cluster")
    what.add_argument("--params", help="smoke, demo or full, or the path of a YAML file of names and values")
    what.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="one parameter, before --params; repeatable"
    )
    where = made.add_argument_group("where")
    where.add_argument("--host", default=os.environ.get("KF_PIPELINES_ENDPOINT"), help="address of Kubeflow Pipelines")
    where.add_argument("--namespace", help="of the runs, where there are several users")
    where.add_argument("--token-file", type=Path, help=f"file with the token; by default it is read from {TOKEN}")
    where.add_argument("--ca", help="certificate authorities of the host, a PEM file")
    how = made.add_argument_group("how")
    how.add_argument("--experiment", default="lstm-adversarial-attack", help="default: %(default)s")
    how.add_argument("--run-name", help="by default the pipeline's name and the time")
    how.add_argument("--pipeline-root", help="where artifacts go, such as s3://BUCKET/PREFIX; default: the cluster's")
    how.add_argument("--service-account", help="of the pods; default: the cluster's")
    how.add_argument("--no-cache", action="store_true", help="run every task again")
    how.add_argument(
        "--schedule",
        metavar="CRON",
        help='start it again and again: six fields, the first for seconds, as in "0 0 2 * * 1" for Mondays at two',
    )
    how.add_argument("--local-images", action="store_true", help="the nodes have the images, which are in no registry")
    how.add_argument("--wait", action="store_true", help="wait for the end, and exit with 1 where the run fails")
    how.add_argument("--dry-run", action="store_true", help="check, print what would be sent, and send nothing")
    return made


def main(arguments: list[str] | None = None) -> None:
    """Submit as the command line says; exit 0, 1 where a run failed, 2 for what the user can mend."""
    given = parser().parse_args(arguments)
    try:
        package = given.package or _package(given.cluster, given.pipeline)
        takes = takes_of(package)
        values = {**(read_parameters(given.params) if given.params else {}), **set_values(given.set, takes)}
        values = checked(package, values)
        if given.schedule is not None and len(given.schedule.split()) != 6:
            raise SubmitError(f"--schedule {given.schedule!r}: six fields are expected, the first of them for seconds")
        if given.dry_run:
            print(json.dumps({"package": str(package), "parameters": values}, indent=1))
            return
        check_images(package, local=given.local_images)
        code = _start(_client(given), given, package, values)
    except SubmitError as error:
        print(f"pipelines.submit: error: {error}", file=sys.stderr)
        sys.exit(2)
    if code:
        sys.exit(code)


def _package(cluster: str, pipeline: str) -> Path:
    """Return the package that was compiled last for a cluster: by who submits, or else in the repository."""
    name = Path(cluster).stem
    own = OWN / name / f"{pipeline}.yaml"
    return own if own.exists() else COMPILED / name / f"{pipeline}.yaml"


def _client(given: argparse.Namespace) -> Client:
    if not given.host:
        raise SubmitError("no --host: the address of Kubeflow Pipelines, such as https://kubeflow.example/pipeline")
    token = os.environ.get(TOKEN)
    if given.token_file:
        try:
            token = given.token_file.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise SubmitError(f"--token-file {given.token_file}: {error.strerror}") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # that it needs a server of version 2
            return Client(
                host=given.host,
                namespace=given.namespace or "kubeflow",
                existing_token=token or None,
                ssl_ca_cert=given.ca,
            )
    except Exception as error:  # kfp lets those of several HTTP libraries through
        raise SubmitError(f"{given.host}: {_reason(error)}") from error


def _start(client: Client, given: argparse.Namespace, package: Path, values: dict[str, Any]) -> int:
    name = given.run_name or f"{given.pipeline} {datetime.now(UTC):%Y-%m-%d %H:%M:%S}"
    try:
        with TemporaryDirectory() as folder:
            if given.no_cache:
                package = without_cache(package, Path(folder))
            if given.schedule:
                print(f"scheduled: {_schedule(client, given, package, values, name)}")
                return 0
            run = client.create_run_from_pipeline_package(
                str(package),
                arguments=values,
                run_name=name,
                experiment_name=given.experiment,
                namespace=given.namespace,
                pipeline_root=given.pipeline_root,
                service_account=given.service_account,
            )
    except Exception as error:
        raise SubmitError(f"{given.host}: {_reason(error)}") from error
    print(f"started: {run.run_id}")
    return _wait(client, run.run_id) if given.wait else 0


def _wait(client: Client, run: str) -> int:
    """Return 0 when a run has succeeded, 1 when it has ended otherwise; a server that is away for a while is forgiven.

    Raises:
        SubmitError: the server did not answer for long.
    """
    lost = 0
    while True:
        try:
            state = str(client.get_run(run).state).upper()
        except Exception as error:
            lost += 1
            if lost > _MOST_LOST or getattr(error, "status", 500) < 500:
                raise SubmitError(f"run {run} goes on, but its state cannot be read: {_reason(error)}") from error
        else:
            lost = 0
            if state in _ENDED:
                print(f"{run}: {state}")
                return _ENDED[state]
        time.sleep(_PAUSE_S)


def _schedule(client: Client, given: argparse.Namespace, package: Path, values: dict[str, Any], name: str) -> str:
    experiment = client.create_experiment(given.experiment, namespace=given.namespace)
    job = client.create_recurring_run(
        experiment.experiment_id,
        name,
        cron_expression=given.schedule,
        max_concurrency=1,
        no_catchup=True,
        params=values,
        pipeline_package_path=str(package),
        pipeline_root=given.pipeline_root,
        service_account=given.service_account,
    )
    return str(job.recurring_run_id)


def _reason(error: Exception) -> str:
    """Return why the server could not be asked, in a line."""
    status, body = getattr(error, "status", None), getattr(error, "body", None)
    if status:
        return f"it answered {status}: {' '.join(str(body or getattr(error, 'reason', '')).split())[:500]}"
    return " ".join(str(error).split())[:500] or type(error).__name__


if __name__ == "__main__":
    main()
