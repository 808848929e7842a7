"""Why something could not be logged, in words that never hold an address's password.

Messages of exceptions are not passed on: MLflow's hold the whole address of the server.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_REFUSED = (401, 403)
_SERVER_ERROR = 500


@dataclass(frozen=True)
class Problem:
    """What went wrong, and whether it may pass by itself: the connection for long, an error of the server soon."""

    words: str
    unreachable: bool = False
    server_error: bool = False


def explain(error: BaseException) -> Problem:
    """Say what kind of problem an exception of MLflow, or of what it works with, stands for."""
    import requests
    import urllib3

    unopened = _errors_of_databases()
    # A timeout after retries comes wrapped in a broken connection.
    late = (requests.exceptions.Timeout, urllib3.exceptions.ReadTimeoutError, TimeoutError)
    if any(isinstance(cause, late) for cause in _causes(error)):
        return Problem("does not answer in time", unreachable=True)
    for cause in _causes(error):
        if isinstance(cause, requests.exceptions.ConnectionError | ConnectionError):
            return Problem("cannot be reached", unreachable=True)
        if isinstance(cause, unopened):
            return Problem("is no database that lets itself be opened", unreachable=True)
    for cause in _causes(error):
        status = _status(cause)
        if status in _REFUSED:
            return Problem("refuses: wrong user or password, or no permission")
        if (status is not None and status >= _SERVER_ERROR) or isinstance(cause, requests.exceptions.RetryError):
            return Problem("answers with an error of its own", server_error=True)
        if status is not None:
            code = getattr(cause, "error_code", f"HTTP {status}")
            return Problem(f"refuses ({code})")
    return Problem(f"cannot be used ({type(error).__name__})")


def _errors_of_databases() -> tuple[type[Exception], ...]:
    """Return what a database raises that cannot be opened; what speaks with servers alone comes without SQLAlchemy."""
    try:
        from sqlalchemy.exc import OperationalError
    except ImportError:
        return ()
    return (OperationalError,)


def shown(address: str) -> str:
    """Return an address of a store without user, password and options."""
    scheme, separator, rest = address.partition("://")
    if not separator:
        return address.partition("?")[0]
    user, _, place = rest.rpartition("@")  # before all else: a password may hold / ? and #
    if "=" in user.partition("?")[2]:  # or the @ is of the options, and what follows it is no place
        return f"{scheme}://..."
    return f"{scheme}://{re.split('[?#]', place)[0]}".rstrip("/")


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


def _status(error: BaseException) -> int | None:
    """Return the HTTP status that an exception tells of."""
    response = getattr(error, "response", None)
    if response is not None:
        return int(response.status_code)
    get_status = getattr(error, "get_http_status_code", None)
    return int(get_status()) if get_status else None
