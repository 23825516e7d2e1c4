"""The writer: a thread that stores what waits, at once and in one transaction, while its callers go on.

There is no timer: what waits is written as soon as the transaction before it is committed, so that little is lost
when the process dies. The queue is bounded; a caller that is faster than the store waits for room.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from optimize_workers.ledger.failures import LedgerError

MAX_WAITING = 10_000  # entries in memory and in one transaction
Entry = TypeVar("Entry")


class Writer(Generic[Entry]):
    """Hands entries to `store`, in the order of `put`; after a failure it stores nothing more."""

    def __init__(self, store: Callable[[Sequence[Entry]], None]) -> None:
        self._store = store
        self._changed = threading.Condition()
        self._waiting: deque[Entry] = deque()
        self._num_put = 0
        self._num_stored = 0
        self._failure: Exception | None = None
        self._is_told = False
        self._is_closing = False
        self._thread: threading.Thread | None = None

    def put(self, entries: Sequence[Entry]) -> None:
        """Queue entries; waits only where the queue is full.

        Raises: LedgerError if the writer has failed or is closed.
        """
        start = 0
        while start < len(entries):
            with self._changed:
                self._changed.wait_for(lambda: len(self._waiting) < MAX_WAITING or self._failure or self._is_closing)
                self._raise_failure()
                if self._is_closing:
                    raise LedgerError("the ledger is closed; nothing can be added to it")
                part = entries[start : start + MAX_WAITING - len(self._waiting)]
                self._waiting.extend(part)
                self._num_put += len(part)
                start += len(part)
                self._start()
                self._changed.notify_all()

    def flush(self) -> None:
        """Wait until all that was put before is committed; LedgerError if the writer failed."""
        with self._changed:
            goal = self._num_put
            self._changed.wait_for(lambda: self._num_stored >= goal or self._failure)
            self._raise_failure()

    def close(self) -> None:
        """Flush and stop the thread; a failure that a caller was told of already is not told again."""
        try:
            if not self._is_told:
                self.flush()
        finally:
            with self._changed:
                self._is_closing = True
                self._changed.notify_all()
            if self._thread is not None:
                self._thread.join()

    def _start(self) -> None:
        if self._thread is None:
            # a daemon: a process that never closes its ledger can still end
            self._thread = threading.Thread(target=self._run, name="ledger-writer", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._is_closing)
                if not self._waiting:
                    return
                entries = list(self._waiting)
                self._waiting.clear()
                self._changed.notify_all()
            try:
                self._store(entries)
            except Exception as error:  # the boundary of the thread: its callers are told
                with self._changed:
                    self._failure = error
                    self._waiting.clear()
                    self._changed.notify_all()
                return
            with self._changed:
                self._num_stored += len(entries)
                self._changed.notify_all()

    def _raise_failure(self) -> None:
        if self._failure is None:
            return
        self._is_told = True
        if isinstance(self._failure, LedgerError):
            raise LedgerError(str(self._failure)) from self._failure
        named = f"{type(self._failure).__name__}: {self._failure}"
        raise LedgerError(f"a judgment or reflection cannot be stored ({named})") from self._failure
