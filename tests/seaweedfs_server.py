"""A real S3 server (SeaweedFS) for tests: started from a package, on loopback, ended by its process."""

from __future__ import annotations

import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import urllib3
from minio import Minio
from minio.error import MinioException

from workers import BLOCK, HIGHER, free_ports

#: Its five ports, and for each one that is 10,000 above it.
_PORTS = [*range(BLOCK), *range(HIGHER, HIGHER + BLOCK)]


@dataclass
class Server:
    """An S3 server on loopback with one user."""

    port: int
    folder: Path
    access_key: str = "tester"
    secret_key: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        """The address of the server."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def env(self) -> dict[str, str]:
        """The environment in which a client finds server and credentials."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": "us-east-1",
        }

    @property
    def client(self) -> Minio:
        """A client that gives up quickly."""
        pool = urllib3.PoolManager(timeout=2, retries=False)
        return Minio(
            endpoint=f"127.0.0.1:{self.port}",
            access_key=self.access_key,
            secret_key=self.secret_key,
            secure=False,
            region="us-east-1",
            http_client=pool,
        )

    def names(self, bucket: str) -> list[str]:
        """Return the names of all objects in a bucket."""
        found = self.client.list_objects(bucket, recursive=True)
        return sorted(item.object_name or "" for item in found)

    def start(self) -> None:
        """Start it and wait until it takes a bucket."""
        weed = Path(sys.executable).parent / "weed"
        port, folder = self.port, self.folder
        command = [
            *(str(weed), "-logtostderr=true", "mini", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
            *(f"-s3.port={port}", f"-master.port={port + 1}", f"-volume.port={port + 2}", f"-filer.port={port + 3}"),
            *(f"-admin.port={port + 4}", "-webdav=false", "-admin.ui=false", "-s3.port.iceberg=0", "-s3.port.lance=0"),
            *("-master.telemetry=false", "-volume.max=500", "-volume.preStopSeconds=0"),
            *("-s3.allowDeleteBucketNotEmpty=false", "-s3.autoCreateBucket=false"),
            *(f"-filer.localSocket={folder}/filer.sock", f"-s3.localSocket={folder}/s3.sock"),
        ]
        env = self.env | {"GOMEMLIMIT": "400MiB", "HOME": str(folder), "PATH": "/usr/bin:/bin"}
        with (folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, env=env, stdout=log, stderr=log, cwd=folder)
        deadline = time.monotonic() + 60
        while not self._takes_a_bucket():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"SeaweedFS did not start:\n{(folder / 'log').read_text()[-2000:]}")
            time.sleep(0.1)

    def _takes_a_bucket(self) -> bool:
        try:
            if not self.client.bucket_exists("ready"):
                self.client.make_bucket("ready")
        except (MinioException, urllib3.exceptions.HTTPError, OSError):
            return False
        return True

    def kill(self) -> None:
        """End it without warning."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()


@contextmanager
def running_seaweedfs() -> Iterator[Server]:
    """Start a server, and end it."""
    folder = Path(tempfile.mkdtemp(prefix="lstm-aa-s3-", dir="/tmp"))
    server = Server(free_ports(_PORTS), folder)
    try:
        server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)
