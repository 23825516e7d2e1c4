"""Signals that end a command: Ctrl-C, and a friendly kill, which ends it in the same way."""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import NoReturn

_SEND_AGAIN_S = 0.05  # long enough for what was being freed to be gone


class Terminated(KeyboardInterrupt):
    """SIGTERM came; what cleans up after Ctrl-C does so after it."""


def end_on_signals() -> None:
    """Have SIGTERM end this process as Ctrl-C does, and let neither get lost; for the main thread.

    Where an object is freed Python only tells of an exception and goes on; what came of a signal is then sent again.
    SIGINT is otherwise left as it is: whoever starts a command with it ignored wants it ignored.
    """
    end_on_sigterm()
    sys.unraisablehook = _send_again


def end_on_sigterm() -> None:
    """Have SIGTERM raise `Terminated`, so that all that was started is stopped.

    Ray's core puts a handler of its own in place, so this is called again when Ray is started or attached to.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _terminate)


def _terminate(*_: object) -> NoReturn:
    signal.signal(signal.SIGTERM, lambda *_: None)  # another one must not end what cleans up
    raise Terminated


def _send_again(lost: sys.UnraisableHookArgs) -> None:
    if not isinstance(lost.exc_value, KeyboardInterrupt):
        sys.__unraisablehook__(lost)
        return
    number = signal.SIGINT
    if isinstance(lost.exc_value, Terminated):
        number = signal.SIGTERM
        end_on_sigterm()
    timer = threading.Timer(_SEND_AGAIN_S, os.kill, (os.getpid(), number))
    timer.daemon = True
    timer.start()


def stop_on_signals() -> threading.Event:
    """An event that SIGINT and SIGTERM set from now on; for the main thread."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop
