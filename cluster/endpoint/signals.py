"""Signals that end a command: Ctrl-C, and a friendly kill, which ends it in the same way."""

from __future__ import annotations

import signal
import threading
from typing import NoReturn


class Terminated(KeyboardInterrupt):
    """SIGTERM came; what cleans up after Ctrl-C does so after it."""


def end_on_sigterm() -> None:
    """Have SIGTERM end this process as Ctrl-C does: by an exception, so that all that was started is stopped.

    Ray has its own idea of it each time it is started or attached to: it ends the process at once. So this is called
    again after that. SIGINT is left as it is: whoever starts a command with it ignored wants it ignored.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _terminate)


def _terminate(*_: object) -> NoReturn:
    signal.signal(signal.SIGTERM, lambda *_: None)  # another one must not end what cleans up
    raise Terminated


def stop_on_signals() -> threading.Event:
    """An event that SIGINT and SIGTERM set from now on; for the main thread."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop
