"""Optuna's storage in a database whose server may go away for a while."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import psycopg2
import sqlalchemy.exc
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage

from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.sources.postgres import one_line

T = TypeVar("T")

#: A server that goes away is waited for so long, and asked again after these pauses; seconds.
_PATIENCE_S = 600.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 10.0


def cause_of(error: BaseException) -> psycopg2.Error | None:
    """Return the error of psycopg2 behind one of SQLAlchemy or Optuna."""
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, psycopg2.Error):
        seen = getattr(seen, "orig", None) or seen.__cause__
    return seen


def patiently(action: Callable[[], T], say: Callable[[str], None] = lambda _text: None) -> T:
    """Return what ``action`` returns, asked again while the server is away.

    Raises:
        UserError: it has been away for ten minutes; with the words of the last try.
    """
    begun, pause = time.monotonic(), _FIRST_PAUSE_S
    while True:
        try:
            return action()
        except (UserError, StorageInternalError, sqlalchemy.exc.SQLAlchemyError, psycopg2.Error) as error:
            away = isinstance(error, UserError) or isinstance(
                cause_of(error), psycopg2.OperationalError | psycopg2.InterfaceError
            )
            if not away:
                raise
            if time.monotonic() - begun > _PATIENCE_S:
                cause = cause_of(error)
                reason = one_line(cause) if cause else str(error)
                raise UserError(
                    f"the study's server has been away for ten minutes ({reason}); start again to go on"
                ) from error
            if pause == 2 * _FIRST_PAUSE_S:  # a connection that broke is back at once
                say("the study's server does not answer; waiting for it")
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_S)


class PatientStorage(RDBStorage):
    """Optuna's storage, whose steps wait for a server that is away. All may be done twice.

    But for the making of a trial: one that is made twice has no worker, and so is taken for dead at the next claim.
    """

    say: Callable[[str], None] = staticmethod(lambda _text: None)


def _patient(method: Callable[..., T]) -> Callable[..., T]:
    @wraps(method)
    def repeated(self: PatientStorage, *args: Any, **kwargs: Any) -> T:
        return patiently(lambda: method(self, *args, **kwargs), self.say)

    return repeated


#: What Optuna's cache and samplers ask of the storage; the underscored are those that its cache calls.
for _name in (
    "_create_new_trial",
    "_get_best_trial_id",
    "_get_stale_trial_ids",
    "_get_trials",
    "_set_trial_param",
    "get_study_directions",
    "get_study_id_from_name",
    "get_study_name_from_id",
    "get_study_system_attrs",
    "get_study_user_attrs",
    "get_trial",
    "get_trial_id_from_study_id_trial_number",
    "record_heartbeat",
    "set_trial_intermediate_value",
    "set_trial_state_values",
    "set_trial_system_attr",
    "set_trial_user_attr",
):
    setattr(PatientStorage, _name, _patient(getattr(RDBStorage, _name)))
