"""Who works on this machine."""

from __future__ import annotations

import getpass

MAX_AUTHOR_CHARS = 100


def user_name() -> str:
    """This machine's user, or 'unknown'."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no name for the user's id, as in some containers
        return "unknown"
