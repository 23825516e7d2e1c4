"""Progress of long work on stderr: a live line on a terminal, plain lines every few seconds elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from rich.console import Console

from judge_serve.judging.judgment import Judgment

PLAIN_LINE_EVERY_S = 5.0


class Progress:
    """Counts judgments and says what is going on."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._started = time.monotonic()
        self._last_line = 0.0
        self._is_live = sys.stderr.isatty()
        self._title, self._total = "", 0
        self._done = self._invalid = 0
        self._phase_started = self._started

    def phase(self, title: str, total: int = 0) -> None:
        """Begin a phase of about `total` judge calls (0 if unknown)."""
        self._end_live_line()
        self._title, self._total, self._done, self._invalid = title, total, 0, 0
        self._phase_started = self._last_line = time.monotonic()
        self._console.print(f"[{self._clock()}] {title}", markup=False)

    def judged(self, judgments: Sequence[Judgment]) -> None:
        """Count judgments as they arrive."""
        self._done += len(judgments)
        self._invalid += sum(not judgment.is_valid for judgment in judgments)
        self.waiting(self._counts())

    def waiting(self, text: str) -> None:
        """Show what is waited for: at once on a terminal, now and then elsewhere."""
        now = time.monotonic()
        if self._is_live:
            self._console.file.write(f"\r\x1b[2K[{self._clock()}]   {text}")
            self._console.file.flush()
        elif now - self._last_line >= PLAIN_LINE_EVERY_S:
            self._last_line = now
            self._console.print(f"[{self._clock()}]   {text}", markup=False)

    def note(self, text: str) -> None:
        """A line that stays."""
        self._end_live_line()
        self._console.print(f"[{self._clock()}]   {text}", markup=False)

    def _counts(self) -> str:
        elapsed = max(time.monotonic() - self._phase_started, 1e-9)
        rate = self._done / elapsed
        total = f"/{self._total}" if self._total else ""
        left = f", about {(self._total - self._done) / rate:.0f} s left" if self._total > self._done and rate else ""
        return f"judged {self._done}{total}, {self._invalid} invalid, {rate:.1f}/s{left}"

    def _clock(self) -> str:
        seconds = int(time.monotonic() - self._started)
        return f"{seconds // 60:02d}:{seconds % 60:02d}"

    def _end_live_line(self) -> None:
        if self._is_live:
            self._console.file.write("\r\x1b[2K")
