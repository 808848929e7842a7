"""A study in PostgreSQL, on which any number of workers on any number of machines work."""

from __future__ import annotations

import hashlib
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import cast

import optuna
import psycopg2
import sqlalchemy.exc
from optuna.exceptions import ExperimentalWarning, OptunaError, StorageInternalError
from optuna.storages import RDBStorage
from psycopg2 import sql

from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.search.patience import PatientStorage, cause_of, patiently
from lstm_adversarial_attack.search.place import Place, make_study
from lstm_adversarial_attack.search.trials import Retry
from lstm_adversarial_attack.sources.postgres import Address, connect, one_line, parse_address

#: Not the server's address: connections are made by libpq's rules, so neither it nor a password is in any text.
_URL = "postgresql+psycopg2://"
#: SQLSTATE of what a server refuses for want of a right, or because it is a read-only copy.
_NO_RIGHT = ("42501", "25006")
#: libpq notices within a minute that a server has vanished without a word, and a server that a client has.
_KEEPALIVE = {"keepalives_idle": 20, "keepalives_interval": 10, "keepalives_count": 3}


@dataclass(frozen=True)
class Database(Place):
    """A PostgreSQL database at an address as `sources.postgres` reads it.

    Optuna's tables are made in the schema that the address names, else where the server makes a user's tables. A
    worker writes a heartbeat every ``heartbeat_s``; a trial without one for ``grace_s`` is tried again.
    """

    address: str
    heartbeat_s: int = 10
    grace_s: int = 60

    def __post_init__(self) -> None:
        self._parsed  # noqa: B018 - a bad address is told before any work

    @property
    def _parsed(self) -> Address:
        return parse_address(self.address, "--storage", schema="")

    def open(self, name: str, say: Callable[[str], None] = lambda _text: None) -> optuna.Study:
        """Return the study, made if it is not there; tables and study are made once, whoever comes first.

        Raises:
            UserError: no such server, it refuses the user, or the user may not make tables there.
        """
        where = self._parsed
        with _worded(where), closing(_connect(where)) as connection, warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            _lock(connection, "tables")
            if where.schema:
                _make_schema(connection, where.schema)
            storage = PatientStorage(
                _URL,
                {"creator": lambda: _connect(where), "pool_pre_ping": True, "pool_size": 2},
                heartbeat_interval=self.heartbeat_s,
                grace_period=self.grace_s,
                heartbeat_stale_trial_callback=Retry(),
            )
            storage.say = say
            return make_study(name, storage)

    @contextmanager
    def claim(self, study: optuna.Study) -> Iterator[Callable[[], bool]]:
        """Keep others from claiming while the block runs; the server takes the lock back from who is killed."""
        where, name = self._parsed, study.study_name
        with closing(patiently(lambda: _locked(where, name))) as connection:
            yield lambda: _answers(connection)

    def tidy(self, study: optuna.Study) -> None:
        """Put the trials of workers that are gone back into the queue, wherever they were."""
        super().tidy(study)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            optuna.storages.fail_stale_trials(study)

    def sign(self, trial: optuna.Trial, worker: str) -> None:
        """Begin the heartbeats and note who is at the trial."""
        _storage_of(trial.study).record_heartbeat(_id_of(trial))
        super().sign(trial, worker)

    @contextmanager
    def beating(self, study: optuna.Study, trial: optuna.Trial) -> Iterator[None]:
        """Write a heartbeat again and again while the block runs."""
        storage, trial_id, ended = _storage_of(study), _id_of(trial), threading.Event()

        def beat() -> None:
            while not ended.wait(self.heartbeat_s):
                try:
                    storage.record_heartbeat(trial_id)
                except (OptunaError, UserError, sqlalchemy.exc.SQLAlchemyError):
                    continue  # without heartbeats the trial is tried again elsewhere

        threading.Thread(target=beat, daemon=True, name="heartbeat").start()
        try:
            yield
        finally:
            ended.set()


def _storage_of(study: optuna.Study) -> RDBStorage:
    return cast(RDBStorage, study._storage)  # Optuna has no other way to it from a study


def _id_of(trial: optuna.Trial) -> int:
    return int(trial._trial_id)


def _connect(where: Address) -> psycopg2.extensions.connection:
    """Connect, with the schema first in the search path, and times in one zone: stale is told by their difference.

    A server that looks whether the client is there gives a lock back soon whose holder has vanished.
    """
    connection = connect(Address({**_KEEPALIVE, **where.parameters}, where.schema, where.shown))
    with connection.cursor() as cursor:
        cursor.execute("set timezone to 'UTC'")
        for name, value in _KEEPALIVE.items():
            cursor.execute(f"set tcp_{name} to {value}")
        if where.schema:
            cursor.execute(sql.SQL("set search_path to {}").format(sql.Identifier(where.schema)))
    connection.commit()
    return connection


def _make_schema(connection: psycopg2.extensions.connection, name: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("select 1 from pg_namespace where nspname = %s", [name])
        if cursor.fetchone() is None:
            cursor.execute(sql.SQL("create schema {}").format(sql.Identifier(name)))
    connection.commit()


def _locked(where: Address, study: str) -> psycopg2.extensions.connection:
    """Return a connection that claims.

    The lock is of the study and its table, however the address leads there: with or without a schema.
    """
    connection = _connect(where)
    try:
        with connection.cursor() as cursor:
            cursor.execute("select 'studies'::regclass::oid")
            row = cursor.fetchone()
        assert row is not None
        _lock(connection, f"claim {row[0]} {study}")
    except BaseException:
        connection.close()
        raise
    return connection


def _lock(connection: psycopg2.extensions.connection, what: str) -> None:
    """Take a lock of the database until the connection ends."""
    key = int.from_bytes(hashlib.sha256(f"lstm-aa study {what}".encode()).digest()[:8], "big", signed=True)
    with connection.cursor() as cursor:
        cursor.execute("select pg_advisory_lock(%s)", [key])
    connection.commit()


def _answers(connection: psycopg2.extensions.connection) -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("select 1")
        connection.commit()
    except psycopg2.Error:
        return False
    return True


@contextmanager
def _worded(where: Address) -> Iterator[None]:
    """Tell errors of the server in one line, with what to do."""
    try:
        yield
    except (psycopg2.Error, sqlalchemy.exc.SQLAlchemyError, StorageInternalError) as error:
        cause = cause_of(error)
        if cause is None:
            raise
        if cause.pgcode in _NO_RIGHT:
            place = f"schema {where.schema}" if where.schema else "the schema of the user's tables"
            raise UserError(
                f"{where.shown}: the user may not make the study's tables ({one_line(cause)}); have an admin grant "
                f"create on {place}, or name another with ?schema= in --storage"
            ) from None
        raise UserError(f"{where.shown}: {one_line(cause)}") from None
    except RuntimeError as error:
        if "version" not in str(error):
            raise
        raise UserError(
            f"{where.shown}: another version of Optuna made the tables there; name another ?schema= in --storage"
        ) from error
