"""Settings that Ray reads at its first import, so that they are made before it: this module imports nothing of Ray."""

from __future__ import annotations

import logging
import os
from pathlib import Path

logger = logging.getLogger(__name__)

_TOKEN_VARIABLES = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")


RAY_ADDRESS = "RAY_ADDRESS"  # of the cluster that this program runs in


def prepare_ray_environment() -> None:
    """Token authentication, loopback only, no usage statistics, no niceness; what is set already stays.

    A cluster that was started by others is met as it is: with a token where there is one, without where there is none.
    """
    if not os.environ.get(RAY_ADDRESS):
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # the switch by which Ray stays on 127.0.0.1
    if not os.environ.get(RAY_ADDRESS) or _has_token():
        os.environ.setdefault("RAY_AUTH_MODE", "token")  # a new Ray turns it on by itself, attaching to one does not
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_worker_niceness", "0")  # by default Ray's workers, vLLM among them, yield to everything


def keep_ray_quiet() -> None:
    """Keep what Serve tells of its own starting and stopping off the terminal, but for errors.

    A filter, since Serve sets its logger's level when it is imported. What Ray prints, such as raylets that miss the
    actors which a command has stopped, goes where a command leads `print`.
    """
    logging.getLogger("ray.serve").addFilter(lambda record: record.levelno >= logging.ERROR)


def keep_ray_token_private() -> None:
    """Let nobody else read the token that lets its holder run code on this user's Ray.

    Ray writes `~/.ray/auth_token` readable by all. To be called before Ray starts, so that a new folder is closed when
    the token is written, and after it. A token from the environment, or of somebody else, is left as it is.
    """
    if any(map(os.environ.get, _TOKEN_VARIABLES)):
        return
    token = _token_file()
    try:
        token.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if token.exists():
            token.chmod(0o600)
    except OSError as error:
        logger.warning("%s cannot be made private (%s); see that nobody else reads it", token, error.strerror)


def _has_token() -> bool:
    return any(map(os.environ.get, _TOKEN_VARIABLES)) or _token_file().exists()


def _token_file() -> Path:
    return Path.home() / ".ray" / "auth_token"
