"""Telling a webhook how a pipeline has ended."""

from __future__ import annotations

import json
import os
import sys
import time
from http.client import HTTPException
from typing import Any
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from lstm_adversarial_attack.errors import UserError

ADDRESS = "LSTM_AA_WEBHOOK_URL"
_TRIES = 3
_FIRST_WAIT_S = 1.0
_LONGEST_ANSWER_S = 10.0
_LONGEST_MESSAGE = 2000
#: What backends call an end, by what it is called here. Some ask before the end has reached the group of all tasks: of
#: them it is not known how the run has ended, and nothing is claimed.
_STATES = {"COMPLETE": "SUCCEEDED", "CACHED": "SUCCEEDED", "RUNNING": "ENDED", "": "ENDED"}
_UNKNOWN = "this version of Kubeflow does not say how; look at the run"


def tell(status: str, run: str) -> None:
    """Post the final status of a run to the address in the environment, and print it in a line.

    Args:
        status: JSON object with ``state`` and, of a run that failed, ``error``, as Kubeflow gives it to an exit task.
        run: what the run is called.

    Raises:
        UserError: ``status`` is no JSON object.
    """
    message = described(status, run)
    print(message["text"])
    address = os.environ.get(ADDRESS, "").strip()
    if not address:
        return
    problem = _post(address, message)
    if problem:
        print(f"lstm-aa: the webhook was not told: {problem}", file=sys.stderr)


def described(status: str, run: str) -> dict[str, Any]:
    """Return what the webhook is told.

    Raises:
        UserError: ``status`` is no JSON object.
    """
    try:
        given = json.loads(status)
    except ValueError as error:
        raise UserError(f"--status: not JSON: {error}") from error
    if not isinstance(given, dict):
        raise UserError("--status: not a JSON object")
    told = str(given.get("state") or "").upper()
    state = _STATES.get(told, told)
    name = run or str(given.get("pipelineJobResourceName", ""))
    failure = given.get("error")
    reason = str(failure.get("message", ""))[:_LONGEST_MESSAGE] if isinstance(failure, dict) else ""
    reason = reason or (_UNKNOWN if state == "ENDED" else "")
    text = f"lstm-aa: run {name}: {state}" + (f": {reason}" if reason else "")
    return {"text": text, "run": name, "state": state, "error": reason}


def _post(address: str, message: dict[str, Any]) -> str:
    """Post a message; return why that did not succeed, without the address, which may hold a secret."""
    try:
        known = urlsplit(address).scheme in ("http", "https")
    except ValueError:
        known = False
    if not known:
        return f"{ADDRESS} is no http:// or https:// address"
    body = json.dumps(message).encode()
    problem = ""
    for attempt in range(_TRIES):
        if attempt:
            time.sleep(_FIRST_WAIT_S * 2 ** (attempt - 1))
        try:
            request = Request(address, body, {"Content-Type": "application/json"})
            with urlopen(request, timeout=_LONGEST_ANSWER_S):
                return ""
        except (URLError, OSError, ValueError, HTTPException) as error:
            status = getattr(error, "code", None)
            problem = f"it answered {status}" if status else type(error).__name__
            if status is not None and status < 500:
                break
    return problem
