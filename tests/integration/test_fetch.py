"""`lstm-aa fetch` against a real HTTPS server on this machine that cuts, damages, stalls, redirects and forgets."""

from __future__ import annotations

import email.utils
import gzip
import hashlib
import os
import random
import re
import resource
import shlex
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from lstm_adversarial_attack import progress
from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.fetch import download, folder
from lstm_adversarial_attack.fetch.options import FetchOptions
from lstm_adversarial_attack.fetch.releases import DEMO_TABLES, RELEASES
from lstm_adversarial_attack.fetch.sums import parse_sums

SUMS = "SHA256SUMS.txt"
WORK = ".lstm-aa-fetch"
Fetch = Callable[..., subprocess.CompletedProcess[str]]
Refused = Callable[..., str]


# --- a server ---------------------------------------------------------------------------------------------------


@dataclass
class Fault:
    """What goes wrong with one answer; None and False: nothing of the kind."""

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    cut_after_bytes: int | None = None
    stall_after_bytes: int | None = None
    damage_at: int | None = None
    without_length: bool = False
    chunked: bool = False
    whole: bool = False
    """Ranges are ignored."""
    blind: bool = False
    """Ranges are answered whatever If-Range says."""


@dataclass
class Asked:
    """One request, and how many bytes of the body were sent."""

    method: str
    name: str
    headers: dict[str, str]
    sent_bytes: int = 0


class Server(ThreadingHTTPServer):
    """Serves files from memory over TLS; each GET of a file takes the next of its faults."""

    daemon_threads = True
    #: Answers that stall wait for this, so that no test waits for them.
    end: threading.Event

    def __init__(self, context: ssl.SSLContext | None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.context, self.end = context, threading.Event()
        self.files: dict[str, bytes | Callable[[], bytes]] = {}
        self.faults: dict[str, list[Fault]] = {}
        self.always: dict[str, Fault] = {}
        self.etag: Callable[[bytes], str | None] = lambda content: f'"{len(content)}-1"'
        self.tells_sizes = True
        self.asked: list[Asked] = []

    @property
    def address(self) -> str:
        return f"{'https' if self.context else 'http'}://127.0.0.1:{self.server_address[1]}/files/"

    def get_request(self) -> tuple[Any, Any]:
        connection, client = super().get_request()
        if self.context:  # the handshake comes with the first read, so in the connection's own thread
            connection = self.context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, client

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away are part of the tests."""

    def content(self, name: str) -> bytes | None:
        if name == SUMS and SUMS not in self.files:
            return self.sums()
        content = self.files.get(name)
        return content() if callable(content) else content

    def sums(self) -> bytes:
        names = [name for name in self.files if name != SUMS]
        digests = {name: hashlib.sha256(self.content(name) or b"").hexdigest() for name in names}
        return "".join(f"{digest} {name}\n" for name, digest in digests.items()).encode()

    def got(self, name: str | None = None, method: str = "GET") -> list[Asked]:
        """Return the requests of ``method`` for a file, or for all but the list of checksums."""
        wanted = [asked for asked in self.asked if asked.method == method]
        return [asked for asked in wanted if (asked.name != SUMS if name is None else asked.name == name)]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        if self.server.tells_sizes:
            return self._answer()
        return self._short(405, {})

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        name = self.path.removeprefix("/files/")
        asked = Asked(self.command, name, dict(self.headers.items()))
        self.server.asked.append(asked)
        waiting = self.server.faults.get(name, []) if self.command == "GET" else []
        fault = waiting.pop(0) if waiting else self.server.always.get(name, Fault())
        content = self.server.content(name)
        if content is None or fault.status:
            return self._short(fault.status or 404, fault.headers)
        return self._send(asked, content, fault)

    def _short(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": "0", **headers}.items():
            self.send_header(key, value)
        self.end_headers()

    def _send(self, asked: Asked, content: bytes, fault: Fault) -> None:
        etag = self.server.etag(content)
        start = self._start(etag, fault)
        if start >= len(content) > 0 and start:
            return self._short(416, {"Content-Range": f"bytes */{len(content)}"})
        body = bytearray(content[start:])
        if fault.damage_at is not None and fault.damage_at >= start:
            body[fault.damage_at - start] ^= 0xFF
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if etag:
            self.send_header("ETag", etag)
        if fault.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        elif fault.without_length:
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self._send_body(asked, bytes(body), fault)
        return None

    def _start(self, etag: str | None, fault: Fault) -> int:
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if not wanted or fault.whole:
            return 0
        if not fault.blind and self.headers.get("If-Range", etag) != etag:
            return 0
        return int(wanted[1])

    def _send_body(self, asked: Asked, body: bytes, fault: Fault) -> None:
        limits = [n for n in (fault.cut_after_bytes, fault.stall_after_bytes) if n is not None]
        body = body[: limits[0]] if limits else body
        for at in range(0, len(body), 1 << 16):
            part = body[at : at + (1 << 16)]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part) if fault.chunked else part)
            asked.sent_bytes += len(part)
        self.wfile.flush()
        if fault.stall_after_bytes is not None:
            self.server.end.wait(60)
        if limits or fault.without_length:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        elif fault.chunked:
            self.wfile.write(b"0\r\n\r\n")


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """A certificate authority that nobody knows but who is told of it."""
    return trustme.CA()


@pytest.fixture(scope="session")
def authority_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("authority") / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    return file


@contextmanager
def serving(certificate: trustme.LeafCert | None) -> Iterator[Server]:
    context = None
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
    with Server(context) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.end.set()
            server.shutdown()
            thread.join()


@pytest.fixture
def server(authority: trustme.CA) -> Iterator[Server]:
    """A server without files."""
    with serving(authority.issue_cert("127.0.0.1")) as started:
        yield started


def noise(size_bytes: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size_bytes)


@pytest.fixture
def challenge(server: Server) -> Server:
    """A small release in the form of Challenge 2012."""
    for at, name in enumerate("abc"):
        server.files[f"set-{name}.tar.gz"] = noise(300_000 + at, at)
        server.files[f"Outcomes-{name}.txt"] = noise(1_000 + at, at)
    server.files["set-a.zip"] = noise(10)
    server.files["LICENSE.txt"] = b"Do as you like.\r\n"
    return server


@pytest.fixture
def fetch(lstm_aa_inside: Any, server: Server, authority_file: Path, monkeypatch: pytest.MonkeyPatch) -> Fetch:
    """Fetch from the server into `data`, hardly waiting between tries; `dataset` is challenge-2012, its set a."""
    monkeypatch.setattr(download, "_FIRST_WAIT_S", 0.01)

    def call(
        *options: object,
        dataset: str = "challenge-2012",
        mirror: str | None = None,
        out: object = "data",
        env: dict[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        sets = ["--sets", "a"] if dataset == "challenge-2012" and "--sets" not in options else []
        where = ["--mirror", server.address if mirror is None else mirror, "--out", out]
        environment = {"SSL_CERT_FILE": str(authority_file), "NO_PROXY": "127.0.0.1", **(env or {})}
        result = lstm_aa_inside("fetch", dataset, *sets, *where, *options, env=environment)
        assert isinstance(result, subprocess.CompletedProcess)
        return result

    return call


@pytest.fixture
def fetched(fetch: Fetch) -> Fetch:
    """The same, where it must succeed and leave nothing unfinished behind."""

    def call(*options: object, **more: Any) -> subprocess.CompletedProcess[str]:
        result = fetch(*options, **more)
        assert result.returncode == 0, result.stderr
        return result

    return call


@pytest.fixture
def refused(fetch: Fetch) -> Refused:
    """The same, where it must fail with one line; return the message."""

    def call(*options: object, **more: Any) -> str:
        return message_of(fetch(*options, **more))

    return call


def message_of(result: subprocess.CompletedProcess[str]) -> str:
    assert result.returncode == 2, result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    *before, last = result.stderr.splitlines()
    assert all(line.startswith("fetch  ") for line in before), result.stderr
    assert last.startswith("lstm-aa: error: ")
    return last.removeprefix("lstm-aa: error: ")


def says(message: str, *parts: object) -> None:
    for part in parts:
        assert str(part) in message, f"{part!r} is not in {message!r}"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The folder that is fetched into."""
    return tmp_path / "data"


@pytest.fixture
def set_a(challenge: Server) -> dict[str, bytes]:
    """What set a consists of."""
    return {name: challenge.content(name) or b"" for name in ("LICENSE.txt", "Outcomes-a.txt", "set-a.tar.gz")}


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits between tries, which are noted and not waited."""
    noted: list[float] = []
    monkeypatch.setattr(download, "time", SimpleNamespace(sleep=noted.append))
    return noted


# --- the real data ----------------------------------------------------------------------------------------------


@pytest.mark.demo
def test_demo_is_fetched_whole_and_is_ready_for_the_next_command(
    fetched: Fetch, lstm_aa_inside: Any, server: Server, demo: Path, data: Path
) -> None:
    sums = (demo / SUMS).read_bytes()
    served = {name: unpacked(demo, name) for name in parse_sums(sums, SUMS)}
    server.files = {**served, SUMS: sums}
    server.faults["CHARTEVENTS.csv"] = [Fault(cut_after_bytes=40_000_000)]

    result = fetched(dataset="mimic-iii-demo")

    assert contents(data) == served
    says(result.stdout, "27 files: 27 fetched, 0 there already", "Open Database License", "10.13026/C2HM2Q")
    assert sum(asked.sent_bytes for asked in server.got()) == sum(map(len, served.values()))
    (command,) = re.findall(r"^Go on with: (.*)$", result.stdout, flags=re.M)
    assert shlex.split(command)[:4] == ["lstm-aa", "run", "--source", "csv:data"]
    assert lstm_aa_inside("extract", "--source", "csv:data", "--out", "events").returncode == 0

    server.asked.clear()
    again = fetched(dataset="mimic-iii-demo")

    assert [(asked.method, asked.name) for asked in server.asked] == [("GET", SUMS)]
    says(again.stdout, "27 files: 0 fetched, 27 there already", command)


def unpacked(demo: Path, name: str) -> bytes:
    packed = demo / f"{name}.gz"
    return gzip.decompress(packed.read_bytes()) if packed.is_file() else (demo / name).read_bytes()


def test_challenge_is_fetched_and_is_ready_for_the_next_command(
    fetched: Fetch, lstm_aa_inside: Any, server: Server, shared_data: Path, data: Path
) -> None:
    served = {name: (shared_data / "challenge-2012" / name) for name in ("Outcomes-a.txt", "set-a.tar.gz")}
    server.files = {name: path.read_bytes() for name, path in served.items()}

    result = fetched()

    assert contents(data) == server.files
    says(result.stdout, "2 files: 2 fetched", "Attribution License", "Computing in Cardiology 39:245-248")
    source = "challenge2012:data/set-a.tar.gz"
    says(result.stdout, f"Go on with: lstm-aa run --source {source} --out runs/challenge-2012\n")
    assert lstm_aa_inside("extract", "--source", source, "--out", "events").returncode == 0


def test_tables_of_the_demo_are_those_of_the_release(demo: Path) -> None:
    listed = parse_sums((demo / SUMS).read_bytes(), SUMS)

    assert RELEASES["mimic-iii-demo"].choose(listed, FetchOptions()) == listed
    assert len(DEMO_TABLES) == 26


# --- which files ------------------------------------------------------------------------------------------------


def test_all_sets_unless_some_are_named(fetched: Fetch, challenge: Server, data: Path) -> None:
    result = fetched("--sets", "a,b,c")

    assert set(contents(data)) == set(challenge.files) - {"set-a.zip"}
    says(result.stdout, "challenge2012:data/set-a.tar.gz,data/set-b.tar.gz,data/set-c.tar.gz")
    assert FetchOptions().sets == "a,b,c"


@pytest.mark.parametrize(
    ("listed", "files", "source"),
    [
        (["set-a.tar.gz", "set-a.zip", "set-a/1.txt"], ["set-a.tar.gz"], "set-a.tar.gz"),
        (["set-a.zip", "set-a/1.txt"], ["set-a.zip"], "set-a.zip"),
        (["set-a/1.txt", "set-a/2.txt", "set-b/3.txt", "set-a/notes.html"], ["set-a/1.txt", "set-a/2.txt"], "set-a"),
    ],
    ids=["tar.gz", "zip", "records"],
)
def test_best_form_of_a_set(
    fetched: Fetch, server: Server, data: Path, listed: list[str], files: list[str], source: str
) -> None:
    server.files = {name: noise(50, at) for at, name in enumerate([*listed, "Outcomes-a.txt"])}

    result = fetched()

    assert set(contents(data)) == {*files, "Outcomes-a.txt"}
    says(result.stdout, f"challenge2012:data/{source} ")


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--sets", "a,d"], ["--sets a,d", "'d'", "a,b,c"]),
        (["--sets", "z"], ["--sets z", "'z'", "a,b,c"]),
        (["--sets", ""], ["--sets", "''", "a,b,c"]),
        (["--timeout-s", "0"], ["--timeout-s 0", "> 0"]),
        (["--timeout-s", "nan"], ["--timeout-s"]),
        (["--retries", "-1"], ["--retries -1", ">= 0"]),
        (["--retries", "1.5"], ["--retries 1.5", "whole number"]),
    ],
)
def test_bad_options(refused: Refused, challenge: Server, data: Path, options: list[str], parts: list[str]) -> None:
    says(refused(*options), *parts)
    assert challenge.asked == []
    assert not data.exists()


def test_sets_are_not_for_the_demo(refused: Refused, challenge: Server) -> None:
    says(refused("--sets", "a", dataset="mimic-iii-demo"), "--sets a", "only challenge-2012 has sets (a,b,c)")
    assert challenge.asked == []


def test_list_of_another_data_set(refused: Refused, challenge: Server, data: Path) -> None:
    says(refused(dataset="mimic-iii-demo"), "lists no ADMISSIONS.csv", "of this data set")
    del challenge.files["set-c.tar.gz"]
    says(refused("--sets", "c"), "set c", "--sets")
    del challenge.files["Outcomes-b.txt"]
    says(refused("--sets", "b"), "lists no Outcomes-b.txt")
    assert not data.exists()


def test_unknown_data_set(lstm_aa_inside: Any) -> None:
    says(message_of(lstm_aa_inside("fetch", "mimic-iv", "--out", "data")), "mimic-iv", "challenge-2012", "--help")


@pytest.mark.usefixtures("challenge")
def test_next_command_survives_a_shell(fetched: Fetch) -> None:
    result = fetched(out="my data; rm")

    (command,) = re.findall(r"^Go on with: (.*)$", result.stdout, flags=re.M)
    assert shlex.split(command)[3] == "challenge2012:my data; rm/set-a.tar.gz"


# --- cut connections --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [{}, {"chunked": True}], ids=["length", "chunked"])
@pytest.mark.parametrize("cuts", [[0], [1], [150_000], [100, 200_000, 0, 0, 99_000], [299_999], [70_000] * 4])
def test_cut_connection_goes_on_where_it_was_cut(
    fetched: Fetch, challenge: Server, set_a: dict[str, bytes], data: Path, cuts: list[int], form: dict[str, Any]
) -> None:
    challenge.faults["set-a.tar.gz"] = [Fault(cut_after_bytes=cut, **form) for cut in cuts]

    result = fetched()

    assert contents(data) == set_a
    got = challenge.got("set-a.tar.gz")
    assert sum(asked.sent_bytes for asked in got) == 300_000
    here = 0
    for asked in got:
        assert asked.headers.get("Range") == (f"bytes={here}-" if here else None)
        assert asked.headers.get("If-Range") == ('"300000-1"' if here else None)
        here += asked.sent_bytes
    says(result.stderr, "the connection was cut; trying again in 0 s (1 of 5)")


def test_cut_without_a_length_shows_in_the_checksum(
    fetched: Fetch, challenge: Server, set_a: dict[str, bytes], data: Path
) -> None:
    challenge.faults["set-a.tar.gz"] = [Fault(cut_after_bytes=1000, without_length=True), Fault(without_length=True)]

    says(fetched().stderr, "set-a.tar.gz: the checksum does not hold")
    assert contents(data) == set_a


def test_any_number_of_cuts_as_long_as_it_gets_on(
    fetched: Fetch, challenge: Server, set_a: dict[str, bytes], data: Path
) -> None:
    challenge.always["set-a.tar.gz"] = Fault(cut_after_bytes=20_000)

    fetched("--retries", 1)

    assert contents(data) == set_a
    assert len(challenge.got("set-a.tar.gz")) == 15


def test_a_server_that_never_gets_on_is_given_up(
    refused: Refused, challenge: Server, data: Path, waits: list[float]
) -> None:
    challenge.always["set-a.tar.gz"] = Fault(cut_after_bytes=20_000, whole=True)

    message = refused("--retries", 3)

    says(message, "set-a.tar.gz: the connection was cut", "after 4 tries in a row", "start it again")
    assert not (data / "set-a.tar.gz").exists()
    assert len(challenge.got("set-a.tar.gz")) == 4
    longest_s = [download._FIRST_WAIT_S * factor for factor in (1, 2, 4)]
    assert all(most / 2 <= wait <= most for most, wait in zip(longest_s, waits, strict=True))


def test_server_without_ranges_begins_anew(
    fetched: Fetch, challenge: Server, set_a: dict[str, bytes], data: Path
) -> None:
    challenge.faults["set-a.tar.gz"] = [Fault(cut_after_bytes=200_000), Fault(whole=True)]

    fetched()

    assert contents(data) == set_a
    assert [asked.sent_bytes for asked in challenge.got("set-a.tar.gz")] == [200_000, 300_000]


@pytest.mark.parametrize("blind", [False, True], ids=["heeds If-Range", "does not heed If-Range"])
def test_changed_etag_begins_anew(
    fetched: Fetch, challenge: Server, set_a: dict[str, bytes], data: Path, blind: bool
) -> None:
    versions = iter(['"1"', '"2"', '"2"'])
    challenge.etag = lambda content: next(versions) if len(content) == 300_000 else None
    challenge.faults["set-a.tar.gz"] = [Fault(cut_after_bytes=200_000), Fault(blind=blind)]
    challenge.tells_sizes = False  # they would use up the ETags

    fetched()

    assert contents(data) == set_a
    assert challenge.got("set-a.tar.gz")[1].headers["If-Range"] == '"1"'
    assert challenge.got("set-a.tar.gz")[-1].headers.get("Range") == (None if blind else "bytes=200000-")


@pytest.mark.parametrize("etag", ['W/"1"', None, "unquoted", '"sp ace"'])
def test_etag_that_does_not_vouch_for_the_bytes_is_not_sent(
    fetched: Fetch, challenge: Server, set_a: dict[str, bytes], data: Path, etag: str | None
) -> None:
    challenge.etag = lambda _: etag
    challenge.faults["set-a.tar.gz"] = [Fault(cut_after_bytes=200_000)]

    fetched()

    assert contents(data) == set_a
    second = challenge.got("set-a.tar.gz")[1].headers
    assert second["Range"] == "bytes=200000-"
    assert "If-Range" not in second


def test_empty_file(fetched: Fetch, challenge: Server, data: Path) -> None:
    challenge.files["LICENSE.txt"] = b""

    fetched()

    assert (data / "LICENSE.txt").read_bytes() == b""


# --- killed and started again -----------------------------------------------------------------------------------


def test_killed_fetch_goes_on_where_it_stopped(
    fetched: Fetch, challenge: Server, set_a: dict[str, bytes], authority_file: Path, data: Path
) -> None:
    challenge.faults["set-a.tar.gz"] = [Fault(stall_after_bytes=200_000)]
    command = [sys.executable, "-m", "lstm_adversarial_attack", "fetch", "challenge-2012", "--sets", "a"]
    environment = {**os.environ, "SSL_CERT_FILE": str(authority_file), "NO_PROXY": "127.0.0.1"}
    process = subprocess.Popen(
        [*command, "--mirror", challenge.address, "--out", str(data)], env=environment, stderr=subprocess.DEVNULL
    )
    wait_for(lambda: any(path.stat().st_size > 190_000 for path in data.glob(f"{WORK}/*.partial")))
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert {path.name for path in data.iterdir()} == {WORK, "LICENSE.txt", "Outcomes-a.txt"}
    (partial,) = data.glob(f"{WORK}/*.partial")
    here_bytes = partial.stat().st_size
    challenge.asked.clear()

    result = fetched()

    assert contents(data) == set_a
    (rest,) = challenge.got()
    assert (rest.headers["Range"], rest.headers["If-Range"]) == (f"bytes={here_bytes}-", '"300000-1"')
    says(result.stdout, "1 fetched, 2 there already")
    says(result.stderr, "kB of 1 files: going on after ", " of 300\n")


def wait_for(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture
def left(data: Path) -> Callable[[bytes], Path]:
    """Leave a partial file of set a behind, as a killed fetch does."""

    def call(content: bytes, whole: bytes) -> Path:
        partial = folder.Folder(data, replace=False).partial("set-a.tar.gz", hashlib.sha256(whole).hexdigest())
        partial.path.parent.mkdir(parents=True)
        partial.begin(None)
        partial.path.write_bytes(content)
        return partial.path

    return call  # type: ignore[return-value]


def test_killed_before_the_rename(
    fetched: Fetch, challenge: Server, set_a: dict[str, bytes], left: Any, data: Path
) -> None:
    left(set_a["set-a.tar.gz"], set_a["set-a.tar.gz"])

    fetched()

    assert contents(data) == set_a
    assert not challenge.got("set-a.tar.gz")


@pytest.mark.parametrize("size_bytes", [150_000, 300_000, 300_001])
def test_damaged_partial_file(fetched: Fetch, set_a: dict[str, bytes], left: Any, data: Path, size_bytes: int) -> None:
    left(noise(size_bytes, 99), set_a["set-a.tar.gz"])

    fetched()

    assert contents(data) == set_a


def test_partial_file_of_another_version_is_not_used(
    fetched: Fetch, challenge: Server, set_a: dict[str, bytes], left: Any, data: Path
) -> None:
    left(noise(1000, 99), noise(2000, 99))

    fetched()

    assert contents(data) == set_a
    assert "Range" not in challenge.got("set-a.tar.gz")[0].headers


def test_another_process_is_fetching(refused: Refused, challenge: Server, data: Path) -> None:
    with folder.opened_folder(data, replace=False):
        says(refused(), "data: another process is fetching", "wait for it")
    assert challenge.got() == []


# --- damaged on the way -----------------------------------------------------------------------------------------


def test_damaged_once_is_fetched_once_more(
    fetched: Fetch, challenge: Server, set_a: dict[str, bytes], data: Path
) -> None:
    challenge.faults["set-a.tar.gz"] = [Fault(damage_at=123_456)]

    says(fetched().stderr, "set-a.tar.gz: the checksum does not hold, the first time")

    assert contents(data) == set_a
    assert [asked.headers.get("Range") for asked in challenge.got("set-a.tar.gz")] == [None, None]


def test_damaged_twice_is_refused(refused: Refused, challenge: Server, set_a: dict[str, bytes], data: Path) -> None:
    challenge.always["set-a.tar.gz"] = Fault(damage_at=299_999)

    message = refused()

    says(message, f"{challenge.address}set-a.tar.gz: came twice with a checksum other than {SUMS} says", "try again")
    del set_a["set-a.tar.gz"]
    assert contents(data) == set_a
    assert not (data / WORK).exists()
    assert len(challenge.got("set-a.tar.gz")) == 2


def test_damaged_before_a_cut(fetched: Fetch, challenge: Server, set_a: dict[str, bytes], data: Path) -> None:
    challenge.faults["set-a.tar.gz"] = [Fault(damage_at=5, cut_after_bytes=10), Fault(), Fault(cut_after_bytes=7)]

    fetched()

    assert contents(data) == set_a


def test_compressed_on_the_way_is_not_unpacked(fetched: Fetch, challenge: Server, data: Path) -> None:
    """Some servers mark .tar.gz files as gzip-encoded; the checksum is of the file as it lies there."""
    packed = gzip.compress(b"records", mtime=0)
    challenge.files["set-a.tar.gz"] = packed
    challenge.etag = lambda _: '"1"\r\nContent-Encoding: gzip'

    fetched()

    assert (data / "set-a.tar.gz").read_bytes() == packed
    assert all(asked.headers["Accept-Encoding"] == "identity" for asked in challenge.asked)


# --- a server with troubles -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [SUMS, "set-a.tar.gz"])
@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 522])
def test_busy_server_is_tried_again(
    fetched: Fetch, challenge: Server, set_a: dict[str, bytes], data: Path, name: str, status: int
) -> None:
    challenge.faults[name] = [Fault(status=status), Fault(status=status)]

    says(fetched().stderr, f"the server answers {status} (", "(2 of 5)")
    assert contents(data) == set_a


@pytest.mark.parametrize(
    ("asked", "low_s", "high_s"),
    [("7", 7, 7), ("0", 0, 0), ("soon", 0.005, 0.01), ("-3", 0.005, 0.01), ("date", 50, 60), ("past", 0, 0)],
)
def test_retry_after(
    fetched: Fetch, challenge: Server, waits: list[float], asked: str, low_s: float, high_s: float
) -> None:
    moments = {"date": timedelta(minutes=1), "past": timedelta(minutes=-1)}
    if asked in moments:
        asked = email.utils.format_datetime(datetime.now(UTC) + moments[asked], usegmt=True)
    challenge.faults["set-a.tar.gz"] = [Fault(status=429, headers={"Retry-After": asked})]

    fetched()

    (waited,) = waits
    assert low_s <= waited <= high_s


def test_retry_after_an_hour_is_not_waited_for(
    refused: Refused, challenge: Server, waits: list[float], data: Path
) -> None:
    challenge.faults["set-a.tar.gz"] = [Fault(status=503, headers={"Retry-After": "3600"})]

    says(refused(), "503 (Service Unavailable)", "more than 5 minutes", "start it again then")
    assert waits == []
    assert not (data / WORK).exists()


def test_busy_for_good(refused: Refused, challenge: Server, data: Path) -> None:
    challenge.always[SUMS] = Fault(status=503)

    says(refused("--retries", 2), f"{challenge.address}{SUMS}: the server answers 503", "after 3 tries")
    assert not data.exists()


@pytest.mark.parametrize("after_bytes", [0, 123_000])
def test_stalled_server_is_tried_again(
    fetched: Fetch, challenge: Server, set_a: dict[str, bytes], data: Path, after_bytes: int
) -> None:
    challenge.faults["set-a.tar.gz"] = [Fault(stall_after_bytes=after_bytes)]

    says(fetched("--timeout-s", 1).stderr, "no sign of the server for 1 s")
    assert contents(data) == set_a
    assert sum(asked.sent_bytes for asked in challenge.got("set-a.tar.gz")) == 300_000


def test_stalled_for_good(refused: Refused, challenge: Server, data: Path) -> None:
    challenge.always["set-a.tar.gz"] = Fault(stall_after_bytes=0)

    says(refused("--timeout-s", 0.2, "--retries", 1), "no sign of the server for 0.2 s", "given up after 2 tries")
    assert len(challenge.got("set-a.tar.gz")) == 2
    assert not (data / "set-a.tar.gz").exists()


def test_nobody_answers_connections(refused: Refused) -> None:
    """A socket that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        mirror = f"https://127.0.0.1:{silent.getsockname()[1]}/"
        says(refused("--timeout-s", 0.2, "--retries", 0, mirror=mirror), "no sign of the server for 0.2 s")


@pytest.mark.parametrize(
    ("status", "part"),
    [(404, "not there (404)"), (410, "not there (410)"), (403, "refuses access (403)"), (401, "refuses access (401)"),
     (418, "answers 418"), (204, "answers 204"), (206, "answers 206"), (416, "answers 416"), (302, "answers 302")],
)  # fmt: skip
@pytest.mark.parametrize("name", [SUMS, "set-a.tar.gz"])
def test_answers_that_another_try_would_not_mend(
    refused: Refused, challenge: Server, data: Path, name: str, status: int, part: str
) -> None:
    challenge.always[name] = Fault(status=status)

    says(refused(), f"{challenge.address}{name}: ", part, "check the address")
    assert len(challenge.got(name)) == 1
    assert not (data / "set-a.tar.gz").exists()
    assert not (data / WORK).exists()


def test_server_that_knows_no_head(fetched: Fetch, challenge: Server, set_a: dict[str, bytes], data: Path) -> None:
    challenge.tells_sizes = False

    fetched()

    assert contents(data) == set_a


# --- addresses and redirects ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "mirror",
    ["http://127.0.0.1/files/", "HTTP://example.org", "ftp://example.org/", "file:///etc/", "example.org", "https://",
     "https:///files", "https://example.org:port/", "https://[::1/", "https://example.org/?a=b",
     "https://example.org/#top", "https://example.org:99999/"],
)  # fmt: skip
def test_address_that_is_no_https_folder(refused: Refused, data: Path, mirror: str) -> None:
    says(refused(mirror=mirror), "--mirror", mirror, "https://")
    assert not data.exists()


@pytest.mark.parametrize("mirror", ["https://me:secret@example.org/", "http://me:secret@example.org/"])
def test_password_in_the_address_is_refused_and_not_shown(refused: Refused, mirror: str) -> None:
    message = refused(mirror=mirror)

    says(message, "--mirror", "leave user and password out")
    assert "secret" not in message


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_to_https_is_followed(
    fetched: Fetch, challenge: Server, set_a: dict[str, bytes], data: Path, status: int
) -> None:
    challenge.files["set-b.zip"] = set_a["set-a.tar.gz"]
    challenge.always["set-a.tar.gz"] = Fault(status=status, headers={"Location": "set-b.zip"})
    challenge.faults["set-b.zip"] = [Fault(cut_after_bytes=1000)]

    fetched()

    assert contents(data) == set_a


@pytest.mark.parametrize("name", [SUMS, "set-a.tar.gz"])
@pytest.mark.parametrize("target", ["http://127.0.0.1:1/x?token=secret", "//127.0.0.1:1/x", "file:///etc/passwd"])
def test_redirect_to_anything_else_is_refused(
    refused: Refused, challenge: Server, data: Path, name: str, target: str
) -> None:
    challenge.always[name] = Fault(status=302, headers={"Location": target})

    message = refused("--retries", 0)

    if target.startswith("//"):
        says(message, "127.0.0.1:1: no connection (Connection refused)")
    else:
        says(message, f"{challenge.address}{name}: redirects to ", "not https://")
    assert "secret" not in message
    assert not (data / "set-a.tar.gz").exists()


def test_redirect_to_no_address(refused: Refused, challenge: Server) -> None:
    for target in ("https://[/x", "https://a:b:c/", "https://"):
        challenge.always[SUMS] = Fault(status=302, headers={"Location": target})

        says(refused(), "address")


def test_redirect_in_a_circle(refused: Refused, challenge: Server) -> None:
    challenge.always[SUMS] = Fault(status=302, headers={"Location": SUMS})

    says(refused(), "redirects more than 5 times")


def test_unknown_host(refused: Refused, data: Path) -> None:
    says(refused(mirror="https://no-such-host.invalid/"), "no-such-host.invalid: no such host", "network")
    assert not data.exists()


def test_no_server_at_the_address(refused: Refused, data: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]

    says(refused("--retries", 1, mirror=f"https://127.0.0.1:{port}/"), f"127.0.0.1:{port}: no connection", "2 tries")
    assert not data.exists()


# --- trust ------------------------------------------------------------------------------------------------------


def test_certificate_of_an_unknown_authority(refused: Refused, challenge: Server, tmp_path: Path) -> None:
    stranger = tmp_path / "stranger.pem"
    trustme.CA().cert_pem.write_to_path(str(stranger))

    message = refused(env={"SSL_CERT_FILE": str(stranger)})

    says(message, "certificate is not trusted", "SSL_CERT_FILE")
    assert challenge.asked == []


@pytest.mark.parametrize("wrong", ["host", "expired"])
def test_certificate_that_is_not_good(refused: Refused, authority: trustme.CA, wrong: str) -> None:
    if wrong == "host":
        certificate, part = authority.issue_cert("example.org"), "IP address mismatch"
    else:
        past = datetime.now(UTC) - timedelta(days=1)
        certificate, part = authority.issue_cert("127.0.0.1", not_after=past), "expired"
    with serving(certificate) as other:
        says(refused(mirror=other.address), "127.0.0.1:", "certificate is not trusted", part)
        assert other.asked == []


def test_server_without_tls(refused: Refused) -> None:
    with serving(None) as plain:
        mirror = plain.address.replace("http:", "https:")
        says(refused(mirror=mirror), "no TLS there", "check address and port")


@pytest.mark.parametrize(("content", "part"), [(None, "No such file"), ("not a certificate", "holds no certificates")])
def test_named_authorities_that_are_none(refused: Refused, tmp_path: Path, content: str | None, part: str) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)

    says(refused(env={"SSL_CERT_FILE": str(file)}), f"SSL_CERT_FILE {file}", part)


@pytest.fixture
def no_authorities(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, str]:
    """A system as slim as can be; return its environment."""
    (tmp_path / "certs").mkdir()
    monkeypatch.setattr(ssl, "create_default_context", lambda: ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    monkeypatch.setitem(sys.modules, "certifi", None)
    return {"SSL_CERT_FILE": "", "SSL_CERT_DIR": str(tmp_path / "certs")}


def test_system_without_authorities(refused: Refused, no_authorities: dict[str, str]) -> None:
    says(refused(env=no_authorities), "no certificate authorities", "ca-certificates", "certifi", "SSL_CERT_FILE")


@pytest.mark.usefixtures("challenge")
def test_system_without_authorities_but_certifi(
    fetched: Fetch, no_authorities: dict[str, str], authority_file: Path, monkeypatch: Any
) -> None:
    monkeypatch.setitem(sys.modules, "certifi", SimpleNamespace(where=lambda: str(authority_file)))

    fetched(env=no_authorities)


WITHOUT_URLLIB3 = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name == "urllib3":
            raise ModuleNotFoundError("No module named 'urllib3'", name=name)

sys.meta_path.insert(0, Refuse())
from lstm_adversarial_attack.cli import main
main()
"""


def test_missing_library_is_named() -> None:
    command = [sys.executable, "-c", WITHOUT_URLLIB3, "fetch", "mimic-iii-demo", "--out", "data"]

    says(message_of(subprocess.run(command, capture_output=True, text=True, check=False)), "urllib3", "extra 'fetch'")


# --- proxies ----------------------------------------------------------------------------------------------------


@contextmanager
def proxy(*, allows: bool) -> Iterator[tuple[str, list[str]]]:
    """A proxy that lets through one connection at a time; yield its address and the heads of what it was asked."""
    heads: list[str] = []

    def serve(listening: socket.socket) -> None:
        while True:
            try:
                client, _ = listening.accept()
            except OSError:
                return
            head = client.recv(65536).decode()
            heads.append(head)
            if not allows:
                client.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
                client.close()
                continue
            host, port = head.split()[1].split(":")
            behind = socket.create_connection((host, int(port)))
            client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            threading.Thread(target=pump, args=(client, behind), daemon=True).start()
            threading.Thread(target=pump, args=(behind, client), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=serve, args=(listening,), daemon=True).start()
        yield f"127.0.0.1:{listening.getsockname()[1]}", heads
        listening.shutdown(socket.SHUT_RDWR)


def pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def test_proxy_is_heeded(fetched: Fetch, set_a: dict[str, bytes], data: Path) -> None:
    with proxy(allows=True) as (address, heads):
        fetched(env={"https_proxy": f"http://me:secret@{address}", "NO_PROXY": "", "no_proxy": ""})

    assert contents(data) == set_a
    assert heads[0].startswith("CONNECT 127.0.0.1:")
    assert "proxy-authorization: Basic bWU6c2VjcmV0\r\n" in heads[0]


@pytest.mark.usefixtures("challenge")
def test_proxy_that_lets_nothing_through(refused: Refused) -> None:
    with proxy(allows=False) as (address, _):
        message = refused(env={"https_proxy": f"http://me:secret@{address}", "NO_PROXY": "", "no_proxy": ""})

    says(message, "the proxy that https_proxy names")
    assert "secret" not in message


@pytest.mark.usefixtures("challenge")
def test_proxy_that_is_no_address(refused: Refused) -> None:
    for address in ("somewhere", "socks5://127.0.0.1:1", "http://["):
        message = refused(env={"https_proxy": address, "NO_PROXY": "", "no_proxy": ""})
        says(message, "https_proxy: not the address of a proxy")


# --- the list of checksums --------------------------------------------------------------------------------------


A, B = "a" * 64, "B" * 64


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ["holds no checksums"]),
        ("\n\n", ["holds no checksums"]),
        ("<html><body>Please log in</body></html>", ["not a list of checksums (line 1)"]),
        (f"{A} x\n{A[1:]} y", ["not a list of checksums (line 2)"]),
        (f"{A}", ["not a list of checksums (line 1)"]),
        (f"{A[1:]}g x", ["not a list of checksums (line 1)"]),
        ("\udcff\udcfe", ["not text"]),
        (f"{A} x\n{B} x", ["two checksums for 'x' (line 2)"]),
        *(
            (f"{A} LICENSE.txt\n{A} {name}", ["line 2 names ", repr(name), "outside the folder"])
            for name in ("../x", "/etc/passwd", "a/../../x", "..", "a//b", "a/", "a/./b", "a\\b", "C:x", "x\x1b[2J")
        ),
    ],
)
def test_malformed_list(refused: Refused, challenge: Server, data: Path, text: str, parts: list[str]) -> None:
    challenge.files[SUMS] = text.encode(errors="surrogateescape")

    says(refused(), f"{challenge.address}{SUMS}: ", *parts)
    assert not data.exists()
    assert challenge.got() == []


def test_endless_list(refused: Refused, challenge: Server) -> None:
    challenge.files[SUMS] = b" " * (2**24 + 1)

    says(refused(), f"{challenge.address}{SUMS}: larger than 16,777,216 bytes")


def test_list_in_any_of_its_forms() -> None:
    text = f"{A} x y.txt\r\n{B}  b\n\n{A} *c/d.txt\n{A} ./e\n{A} x y.txt\n"

    assert parse_sums(text.encode(), "list") == {"x y.txt": A, "b": B.lower(), "c/d.txt": A, "e": A}


@given(name=st.text(st.sampled_from("./\\ab:~ \n\x00é"), min_size=1, max_size=12))
def test_no_name_leads_out_of_the_folder(name: str) -> None:
    try:
        names = parse_sums(f"{A} {name}\n".encode(), "list")
    except UserError:
        return
    for found in names:
        path = Path(os.path.normpath(Path("/folder") / found))
        assert path.is_relative_to("/folder")
        assert path != Path("/folder")


# --- the user's files -------------------------------------------------------------------------------------------


def test_other_files_in_the_folder_stay(fetched: Fetch, set_a: dict[str, bytes], data: Path) -> None:
    mine = {"thesis.tex": b"years of work", SUMS: b"mine", "set-a.tar.gz.partial": b"mine", "sub/set-a.zip": b"mine"}
    for name, content in mine.items():
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_bytes(content)

    fetched()

    assert contents(data) == mine | set_a


@pytest.mark.parametrize("kind", ["file", "link", "broken link"])
def test_file_of_the_same_name_is_refused_before_anything_is_fetched(
    refused: Refused, fetched: Fetch, challenge: Server, set_a: dict[str, bytes], data: Path, tmp_path: Path, kind: str
) -> None:
    data.mkdir()
    mine = tmp_path / "mine"
    if kind == "file":
        (data / "set-a.tar.gz").write_bytes(b"years of work")
    else:
        (data / "set-a.tar.gz").symlink_to(mine)
    if kind == "link":
        mine.write_bytes(b"years of work")
    before = contents(tmp_path)

    message = refused()

    says(message, "data/set-a.tar.gz: differs from the release (checksum)", "may be yours", "--replace")
    assert contents(tmp_path) == before
    assert challenge.got() == []

    fetched("--replace")

    assert contents(data) == set_a
    assert not (data / "set-a.tar.gz").is_symlink()
    assert kind != "link" or mine.read_bytes() == b"years of work"


def test_link_to_the_right_file_is_kept(
    fetched: Fetch, challenge: Server, set_a: dict[str, bytes], data: Path, tmp_path: Path
) -> None:
    data.mkdir()
    (tmp_path / "elsewhere").write_bytes(set_a["set-a.tar.gz"])
    (data / "set-a.tar.gz").symlink_to(tmp_path / "elsewhere")

    fetched()

    assert (data / "set-a.tar.gz").is_symlink()
    assert not challenge.got("set-a.tar.gz")


def test_damaged_replacement_leaves_the_older_file(refused: Refused, challenge: Server, data: Path) -> None:
    data.mkdir()
    (data / "set-a.tar.gz").write_bytes(b"years of work")
    challenge.always["set-a.tar.gz"] = Fault(damage_at=0)

    refused("--replace")

    assert (data / "set-a.tar.gz").read_bytes() == b"years of work"


def test_file_that_appears_while_fetching(refused: Refused, challenge: Server, data: Path) -> None:
    content = challenge.content("set-a.tar.gz") or b""

    def appears() -> bytes:
        if challenge.got("set-a.tar.gz"):
            (data / "set-a.tar.gz").write_bytes(b"years of work")
        return content

    challenge.files["set-a.tar.gz"] = appears

    says(refused(), "set-a.tar.gz: differs")
    assert (data / "set-a.tar.gz").read_bytes() == b"years of work"


@pytest.mark.usefixtures("challenge")
@pytest.mark.parametrize("options", [[], ["--replace"]])
def test_folder_where_a_file_belongs(refused: Refused, data: Path, options: list[str]) -> None:
    (data / "set-a.tar.gz").mkdir(parents=True)
    (data / "set-a.tar.gz" / "mine").write_text("years of work")

    says(refused(*options), "data/set-a.tar.gz: a folder where a file of the release belongs")
    assert (data / "set-a.tar.gz" / "mine").read_text() == "years of work"


def test_file_where_the_folder_belongs(refused: Refused, challenge: Server, data: Path) -> None:
    data.write_text("years of work")

    says(refused(), "data: not a folder", "--out")
    says(refused(out="data/below"), "cannot be written here (Not a directory)", "--out")
    assert data.read_text() == "years of work"
    assert challenge.got() == []


# --- the disk ---------------------------------------------------------------------------------------------------


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mount a file system in memory; needs root."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(options: str) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", options, "lstm-aa-test", str(place)]
        if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("mounting a file system needs root")
        return place

    yield mount
    if place.is_mount():
        subprocess.run(["umount", str(place)], check=True)


def test_full_disk(refused: Refused, set_a: dict[str, bytes], mounted: Any) -> None:
    disk = mounted("size=200k")

    says(refused(out=disk / "data"), "the disk is full", "free some space")
    del set_a["set-a.tar.gz"]
    assert {path.name for path in (disk / "data").iterdir()} - {WORK} == set(set_a)


def test_largest_file_size_is_reached(challenge: Server, authority_file: Path, data: Path) -> None:
    """The same without root: the system lets no file grow over 100 KiB."""
    command = [sys.executable, "-m", "lstm_adversarial_attack", "fetch", "challenge-2012", "--sets", "a"]
    result = subprocess.run(
        [*command, "--mirror", challenge.address, "--out", str(data)],
        env={**os.environ, "SSL_CERT_FILE": str(authority_file), "NO_PROXY": "127.0.0.1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (102_400, 102_400)),
        capture_output=True,
        text=True,
        check=False,
    )

    says(message_of(result), "the disk is full", "free some space")
    assert not (data / "set-a.tar.gz").exists()


def test_disk_that_can_only_be_read(refused: Refused, challenge: Server, mounted: Any) -> None:
    disk = mounted("ro")

    says(refused(out=disk), "cannot be written here (Read-only file system)", "--out")
    says(refused(out=disk / "data"), "cannot be written here (Read-only file system)", "--out")
    assert challenge.got() == []


# --- progress ---------------------------------------------------------------------------------------------------


def test_progress_is_by_bytes_over_all_files(
    fetched: Fetch, challenge: Server, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_LINE_EVERY_S", -1.0)
    challenge.faults["set-b.tar.gz"] = [Fault(cut_after_bytes=1000)]

    lines = fetched("--sets", "a,b").stderr.splitlines()

    total = 2 * 300 + 1 + 2 + 1 + 1  # kB, rounded up at the end alone
    found = [re.fullmatch(r"fetch        kB of 5 files: (\d+) of (\d+) (\S+)", line) for line in lines]
    steps = [(int(match[1]), int(match[2])) for match in found if match]
    assert steps == sorted(steps)
    assert steps[-1][0] == steps[-1][1]
    assert abs(steps[-1][1] - total) <= 3
    assert {match[3] for match in found if match} == set(contents(data))
