"""Errors that a user can mend, told in one line."""

import errno
import os


class UserError(Exception):
    """Bad input, a bad address or a bad setting: what, where and how to mend it.

    The command line prints the message alone (no traceback) and exits with 2.
    """


_FULL = ("no space left on device", "disk quota exceeded", "file too large")


def disk_is_full(error: BaseException) -> bool:
    """Tell whether ``error`` says that a disk is full.

    DuckDB and Polars wrap the system's error in types of their own and keep only its words.
    """
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    return any(words in str(error).lower() for words in _FULL)


def refused_by_system(error: BaseException) -> str | None:
    """Return what to tell of an error that says that a file may not be read or written; None of any other."""
    if not isinstance(error, OSError) or error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
        return None
    who = f"user {os.geteuid()} of group {os.getegid()}"
    return f"{error.filename or 'a file'}: {error.strerror}; this runs as {who}, which must be allowed to"
