"""Images are pushed to a real registry, and locked by the digests that it answers."""

from __future__ import annotations

import http.client
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
import yaml

from images import build, names
from images.engine import HARDENED, NO_NETWORK, Engine, Failure
from pipelines.cluster import NEEDS, read_cluster
from pipelines.compile import compile_pipelines, images_for
from pipelines.dag import contract_of
from private_engine import need

_MANIFEST = ", ".join(
    (
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
    )
)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an empty registry on loopback, where engines ask for no TLS."""
    folder = tmp_path_factory.mktemp("registry")
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = folder / "registry.yml"
    settings.write_text(
        f"version: 0.1\nlog: {{level: error}}\nhttp: {{addr: '127.0.0.1:{port}'}}\n"
        f"storage: {{filesystem: {{rootdirectory: '{folder}/images'}}}}\n"
    )
    process = subprocess.Popen([need("docker-registry"), "serve", settings], start_new_session=True)
    try:
        deadline = time.monotonic() + 30
        while asked(port, "/v2/") is None:
            assert process.poll() is None, "docker-registry has ended"
            assert time.monotonic() < deadline, "docker-registry does not answer"
            time.sleep(0.1)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()
        process.wait()


def asked(port: int, path: str) -> http.client.HTTPMessage | None:
    """Return the headers that the registry answers, or None where it does not."""
    with suppress(OSError), closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request("HEAD" if "manifests" in path else "GET", path, headers={"Accept": _MANIFEST})
        response = connection.getresponse()
        response.read()
        return response.headers if response.status == http.HTTPStatus.OK else None
    return None


@pytest.fixture
def version(monkeypatch: pytest.MonkeyPatch) -> str:
    """A version that the package does not have, so that no image of it is there."""
    for module in (names, build):
        monkeypatch.setattr(module, "version", lambda: "0.0.0")
    return "0.0.0"


def test_what_was_not_built_is_not_pushed(engine: Engine, version: str, tmp_path: Path) -> None:
    lock = tmp_path / "images.lock.yaml"
    with pytest.raises(Failure, match=rf"not built for cpu, version {version}: extract, .*make images ACCELERATOR=cpu"):
        build.push("127.0.0.1:1", engine, lock)
    assert not lock.exists()


@pytest.fixture
def built(engine: Engine, images: dict[str, str], version: str) -> Iterator[dict[str, str]]:
    """Names by key as if images of all stages had been built for both accelerators.

    All are made of the smallest of those that were built, since the others would take minutes to compress; a label
    tells them apart, so that no digest can be taken for another.
    """
    known = {names.key(stage, each): names.tagged(stage, each) for stage in names.STAGES for each in names.ACCELERATORS}
    container = engine.must("create", images["preprocess"], "true")
    for key, name in known.items():
        engine.must("commit", "--change", f"LABEL test.key={key}", container, name)
    engine.must("rm", container)
    yield known
    listed = engine.must("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").splitlines()
    engine.must("image", "rm", *(name for name in listed if name.endswith(f":{version}") or f":{version}-" in name))


@pytest.mark.usefixtures("built")
def test_a_registry_that_is_not_there_leaves_the_lock(engine: Engine, version: str, tmp_path: Path) -> None:
    lock = tmp_path / "images.lock.yaml"
    before = names.Lock("127.0.0.1:1", version, {"extract": f"sha256:{'0' * 64}"})
    names.write_lock(before, lock)
    with pytest.raises(Failure, match="push"):
        build.push("127.0.0.1:1", engine, lock, anyway=True)
    assert names.read_lock(lock) == before


@pytest.mark.usefixtures("built", "version")
def test_images_on_the_base_of_the_tests_or_of_other_commits_are_not_pushed(engine: Engine, tmp_path: Path) -> None:
    lock = tmp_path / "images.lock.yaml"
    with pytest.raises(Failure, match=r"was built of|the base that the tests make"):
        build.push("127.0.0.1:1", engine, lock)
    assert not lock.exists()


def test_the_lock_holds_what_the_registry_answers(
    registry: str, engine: Engine, built: dict[str, str], version: str, tmp_path: Path
) -> None:
    lock = tmp_path / "images.lock.yaml"
    build.main(["push", "--registry", registry, "--lock", str(lock), "--anyway"])
    known = names.read_lock(lock)
    assert known is not None
    assert (known.registry, known.version, known.revision) == (registry, version, "")
    assert set(known.digests) == set(built)
    assert len(set(known.digests.values())) == len(built)
    port = int(registry.rpartition(":")[2])
    for key, name in built.items():
        path, _, tag = name.partition(":")
        headers = asked(port, f"/v2/{path}/manifests/{tag}")
        assert headers is not None, f"{name} is not in the registry"
        assert known.digests[key] == headers["Docker-Content-Digest"]
    pinned = names.image("train", "cuda", registry, lock=lock)
    assert pinned == f"{registry}/lstm-adversarial-attack/train:{version}-cuda@{known.digests['train/cuda']}"
    engine.must("image", "rm", names.tagged("train", "cuda", registry))
    engine.must("pull", "--quiet", pinned)
    pulled = engine.inspect(pinned)
    assert pulled is not None
    assert pulled["Config"]["Labels"]["test.key"] == "train/cuda"
    done = engine.must("run", "--rm", *HARDENED, *NO_NETWORK, pinned, "lstm-aa", "preprocess", "--help")
    assert "lstm-aa preprocess" in done


@pytest.mark.usefixtures("version")
def test_pipelines_are_compiled_to_what_the_registry_holds(
    registry: str, engine: Engine, built: dict[str, str], tmp_path: Path
) -> None:
    lock = tmp_path / "images.lock.yaml"
    build.main(["push", "--registry", registry, "--lock", str(lock), "--anyway"])
    known = names.read_lock(lock)
    assert known is not None
    for cluster, accelerator in (("gpu", "cuda"), ("cpu", "cpu")):
        described = read_cluster(cluster)
        folder = tmp_path / cluster
        compile_pipelines(described, images_for(described, registry, lock), folder)
        pipeline = next(yaml.safe_load_all((folder / "train-and-attack.yaml").read_text()))
        found = pipeline["deploymentSpec"]["executors"]
        executors = {name.removeprefix("exec-"): one["container"] for name, one in found.items()}
        assert set(executors) == set(NEEDS)
        for command, container in executors.items():
            key = names.key(contract_of(command).stage, accelerator)
            assert container["image"] == f"{registry}/{built[key]}@{known.digests[key]}"
        on_gpus = {command for command, container in executors.items() if "accelerator" in container["resources"]}
        assert on_gpus == ({"tune", "train", "attack-tune", "attack"} if cluster == "gpu" else set())
        engine.must("pull", "--quiet", executors["train"]["image"])
