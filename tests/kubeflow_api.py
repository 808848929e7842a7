"""A server that answers as the API of Kubeflow Pipelines does, as far as a submission asks, and keeps what it was sent.

The real one needs a cluster. What is tested against this is what is sent, not what becomes of it.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_MADE = "2026-11-01T00:00:00Z"


class Recorder(ThreadingHTTPServer):
    """What was posted to it: path, authorization, and body where it was JSON."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.posted: list[tuple[str, str | None, dict[str, Any]]] = []
        self.state = "SUCCEEDED"
        self.refuse = 0
        self.away = 0

    @property
    def address(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def running_kubeflow_api() -> Iterator[Recorder]:
    """Yield a server on a free port of this machine."""
    recorder = Recorder()
    threading.Thread(target=recorder.serve_forever, daemon=True).start()
    try:
        yield recorder
    finally:
        recorder.shutdown()
        recorder.server_close()


class _Answer(BaseHTTPRequestHandler):
    server: Recorder

    def do_GET(self) -> None:
        if "/healthz" in self.path:
            self._answer({"multi_user": True})
        elif "/runs/" in self.path and self.server.away:
            self.server.away -= 1
            self._answer({}, 503)
        elif "/runs/" in self.path:
            self._answer({"run_id": "run-1", "display_name": "a run", "state": self.server.state, "created_at": _MADE})
        elif self.path.partition("?")[0].endswith("/versions"):
            self._answer({"pipeline_versions": [{"pipeline_version_id": "version-1", "created_at": _MADE}]})
        elif "/pipelines/" in self.path:
            self._answer({"pipeline_id": "pipeline-1", "display_name": "a pipeline", "created_at": _MADE})
        else:
            self._answer({"experiments": []})

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers["Content-Length"]))
        body = json.loads(sent) if "json" in self.headers["Content-Type"] else {"bytes": len(sent)}
        self.server.posted.append((self.path, self.headers["Authorization"], body))
        if self.server.refuse and not self.path.endswith("/experiments"):
            self._answer({"error": "no such\nservice account"}, self.server.refuse)
        elif self.path.endswith("/experiments"):
            self._answer({"experiment_id": "experiment-1", "display_name": body["display_name"]})
        elif self.path.endswith("/recurringruns"):
            self._answer({"recurring_run_id": "schedule-1"})
        elif "/pipelines/upload" in self.path:
            self._answer({"pipeline_id": "pipeline-1", "display_name": "a pipeline", "created_at": _MADE})
        else:
            self._answer({"run_id": "run-1", "state": "PENDING"})

    def _answer(self, content: dict[str, Any], status: int = 200) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: Any) -> None:
        pass
