"""Errors that a user can mend, told in one line."""

import errno


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
