"""A real MLflow server for tests, on real PostgreSQL and real S3, behind a proxy that asks for a password."""

from __future__ import annotations

import base64
import http.client
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from postgres_server import running_postgres
from seaweedfs_server import running_seaweedfs
from workers import free_port

USER = "researcher"
_ARTIFACTS = "mlflow"


@dataclass
class Server:
    """An MLflow server, and the proxy in front of it."""

    port: int
    folder: Path
    database: str
    s3: dict[str, str]
    password: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    process: subprocess.Popen[bytes] | None = None
    proxy: int = 0

    @property
    def address(self) -> str:
        """The server itself, which asks for no password."""
        return f"http://127.0.0.1:{self.port}"

    def guarded(self, password: str | None = None) -> str:
        """The address with user and password in it, as users should not write it and do."""
        return f"http://{USER}:{password or self.password}@127.0.0.1:{self.proxy}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        env = {
            **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
            **self.s3,
            "MLFLOW_S3_ENDPOINT_URL": self.s3["AWS_ENDPOINT_URL"],
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "OMP_NUM_THREADS": "1",
        }
        command = [
            *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)),
            *("--workers", "1", "--backend-store-uri", self.database),
            *("--artifacts-destination", f"s3://{_ARTIFACTS}/artifacts"),
        ]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command, env=env, cwd=self.folder, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + 180
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"MLflow did not start:\n{(self.folder / 'log').read_text()[-3000:]}")
            time.sleep(0.2)

    def _answers(self) -> bool:
        try:
            with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)) as connection:
                connection.request("GET", "/health")
                return connection.getresponse().status == http.HTTPStatus.OK
        except OSError:
            return False

    def send_signal(self, which: signal.Signals) -> None:
        """Send a signal to the server and the processes it has started."""
        assert self.process is not None
        os.killpg(self.process.pid, which)

    def kill(self) -> None:
        """End it without warning."""
        if self.process is not None and self.process.poll() is None:
            self.send_signal(signal.SIGKILL)
            self.process.wait()


@contextmanager
def running_mlflow() -> Iterator[Server]:
    """Start PostgreSQL, S3, the server and the proxy, and end them."""
    with (
        running_postgres() as postgres,
        running_seaweedfs() as s3,
        tempfile.TemporaryDirectory(prefix="lstm-aa-mlflow-", dir="/tmp") as folder,
    ):
        s3.client.make_bucket(_ARTIFACTS)
        with closing(postgres.as_admin("postgres")) as admin, admin.cursor() as cursor:
            cursor.execute(f"create database mlflow owner {postgres.user}")
        database = f"postgresql+psycopg2://{postgres.user}:{postgres.password}@127.0.0.1:{postgres.port}/mlflow"
        server = Server(free_port(), Path(folder), database, s3.env)
        guard = _guard(server)
        try:
            server.start()
            yield server
        finally:
            guard.shutdown()
            guard.server_close()
            server.kill()


def _guard(server: Server) -> ThreadingHTTPServer:
    """Pass requests on to the server that come with user and password, and refuse others."""
    expected = "Basic " + base64.b64encode(f"{USER}:{server.password}".encode()).decode()

    class Guard(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.headers.get("Authorization") != expected:
                self.answer(http.HTTPStatus.UNAUTHORIZED, b"wrong user or password", "text/plain")
                return
            try:
                with closing(http.client.HTTPConnection("127.0.0.1", server.port)) as connection:
                    headers = {"Content-Type": self.headers.get("Content-Type") or "application/octet-stream"}
                    connection.request(self.command, self.path, body or None, headers)
                    answer = connection.getresponse()
                    self.answer(answer.status, answer.read(), answer.getheader("Content-Type") or "text/plain")
            except OSError:  # as a proxy does whose server is gone: it closes the connection
                self.close_connection = True

        def answer(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = pass_on  # noqa: N815

    guard = ThreadingHTTPServer(("127.0.0.1", 0), Guard)
    server.proxy = guard.server_address[1]
    threading.Thread(target=guard.serve_forever, daemon=True).start()
    return guard
