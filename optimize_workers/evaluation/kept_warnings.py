"""What is warned of in a worker, kept until the pool takes it along: Ray's log files are where nobody looks."""

from __future__ import annotations

import logging


class KeptWarnings(logging.Handler):
    """Keeps the warnings of engines in this process, as text; used from one thread."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._kept: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler.emit`."""
        self._kept.append(record.getMessage())

    def take(self) -> list[str]:
        """What was kept since the last time."""
        kept, self._kept = self._kept, []
        return kept
