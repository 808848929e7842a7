"""Compile the pipelines and components for a cluster: `python -m pipelines.compile --help`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from kfp import compiler

from components.contract import component
from images.names import LOCK_FILE, image, read_lock
from pipelines.cluster import NEEDS, Cluster, read_cluster
from pipelines.dag import contract_of
from pipelines.definitions import PIPELINES

HERE = Path(__file__).parent
#: The packages of the repository, whose images are named by tags without a registry; and those of who compiles.
COMPILED = HERE / "compiled"
OWN = HERE.parent / "build" / "pipelines"


def images_for(cluster: Cluster, registry: str, lock: Path = LOCK_FILE) -> Callable[[str], str]:
    """Return what names the image of a stage on a cluster: by digest where the lock knows it, else by tag."""
    accelerator = "cuda" if cluster.accelerator else "cpu"
    return lambda stage: image(stage, accelerator, registry, lock=lock)


def compile_pipelines(cluster: Cluster, image_of: Callable[[str], str], out: Path) -> list[Path]:
    """Write each pipeline as a package of two YAML documents, the pipeline and what Kubernetes gives it."""
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for name, define in PIPELINES.items():
        file = out / f"{name}.yaml"
        compiler.Compiler().compile(define(cluster, image_of), str(file))
        written.append(file)
    return written


def compile_components(image_of: Callable[[str], str], out: Path) -> list[Path]:
    """Write each component as YAML, to be loaded by other pipelines; those of the exit task cannot stand alone."""
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for command in NEEDS:
        contract = contract_of(command)
        if not contract.status:
            file = out / f"{command}.yaml"
            compiler.Compiler().compile(component(contract, image_of(contract.stage)), str(file))
            written.append(file)
    return written


def main(arguments: list[str] | None = None) -> None:
    """Compile as the command line says."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.compile",
        description="Compile the pipelines, and the components for pipelines of your own, for a cluster.",
        epilog="Images are named by the digests in images/images.lock.yaml, which make push writes. Without it, or for "
        "another registry, they are named by their exact tags, and a warning says so. pipelines.submit takes what was "
        "compiled here before what lies in pipelines/compiled.",
    )
    parser.add_argument(
        "--cluster",
        default="gpu",
        help="gpu (the default) or cpu, of pipelines/clusters, or the path of a file such as those",
    )
    parser.add_argument(
        "--registry", help="where the images are: HOST[:PORT][/PATH]; by default that of the lock, if any"
    )
    parser.add_argument("--out", type=Path, help="folder; by default build/pipelines/CLUSTER")
    parser.add_argument("--by-tag", action="store_true", help="name by tag what the lock does not know")
    parser.add_argument(
        "--golden", action="store_true", help="renew pipelines/compiled: no registry, no lock, for the tests"
    )
    given = parser.parse_args(arguments)
    try:
        cluster, lock = read_cluster(given.cluster), None if given.golden else read_lock()
        registry = given.registry if given.registry is not None else lock.registry if lock else ""
        image_of = images_for(cluster, registry)
        named = {stage: image_of(stage) for stage in sorted({contract_of(command).stage for command in NEEDS})}
    except ValueError as error:
        sys.exit(f"pipelines.compile: error: {error}")
    loose = [stage for stage, name in named.items() if "@" not in name]
    if loose and lock and lock.registry == registry.rstrip("/") and not given.by_tag:
        sys.exit(
            f"pipelines.compile: error: the lock of images knows no {', '.join(loose)} for this cluster and version: "
            "build and push them (make images ACCELERATOR=cuda, make push), or say --by-tag"
        )
    out = given.out or (COMPILED if given.golden else OWN) / Path(given.cluster).stem
    files = [*compile_pipelines(cluster, image_of, out), *compile_components(image_of, out / "components")]
    for stage, name in named.items():
        print(f"{stage:12} {name}")
    if loose:
        print(f"by tag, not by digest: {', '.join(loose)}; make push writes the digests", file=sys.stderr)
    print(*files, sep="\n")


if __name__ == "__main__":
    main()
