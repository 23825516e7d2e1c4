"""Progress of long work on stderr: a live line on a terminal, plain lines every few seconds elsewhere.

`Progress` counts and decides what is shown when; `Tally` holds the numbers of a phase and words them.
"""

from __future__ import annotations

import atexit
import re
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn
from rich.progress import Progress as LiveDisplay
from rich.text import Text

from judge_serve.judging.judgment import Judgment

PLAIN_LINE_EVERY_S = 5.0
REDRAW_EVERY_S = 0.1
RATE_WINDOW_S = 30.0  # the rate is that of so many seconds past
_BAR_CHARS = 20
_BREAKS = re.compile("[\t\n\v\f\r\x1c-\x1e\x85\u2028\u2029]+")
# control characters, marks that turn the direction of writing, and lone surrogates
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class Tally:
    """The numbers of one phase: judgments so far, their recent rate, what is left of a budget.

    Args:
        total: judge calls expected, 0 if unknown.
        started: when the phase began, on the clock of all other times given.
    """

    def __init__(self, total: int, started: float) -> None:
        self.total = total
        self.done = self.invalid = self.cached = self.not_judged = 0
        self.calls_left: int | None = None
        self.usd_left: float | None = None
        self.tokens_left: int | None = None
        self._started = started
        self._recent: deque[tuple[float, int]] = deque()  # (when, judgments that an engine gave)
        self._recent_sum = 0

    def add(self, judgments: Sequence[Judgment], now: float) -> None:
        """Count judgments that came in now."""
        fresh = sum(not judgment.cached for judgment in judgments)
        self.done += len(judgments)
        self.cached += len(judgments) - fresh
        self.invalid += sum(judgment.invalid_reason is not None for judgment in judgments)
        self.not_judged += sum(judgment.cause is not None for judgment in judgments)
        self._recent.append((now, fresh))
        self._recent_sum += fresh

    def rate(self, now: float) -> float:
        """Judgments per second of the last `RATE_WINDOW_S`, or since the phase began; cached ones do not count."""
        while self._recent and self._recent[0][0] <= now - RATE_WINDOW_S:
            self._recent_sum -= self._recent.popleft()[1]
        seconds = min(now - self._started, RATE_WINDOW_S)
        return self._recent_sum / seconds if seconds > 0 else 0.0

    def line(self, now: float) -> str:
        """All of it in words; empty where nothing is counted."""
        if not (self.total or self.done):
            return ""
        rate = self.rate(now)
        parts = [f"judged {self.done}/{self.total}" if self.total else f"judged {self.done}", f"{self.invalid} invalid"]
        if self.not_judged:
            parts.append(f"{self.not_judged} not judged")
        if self.cached:
            parts.append(f"{self.cached} cached")
        parts.append(f"{rate:.1f}/s")
        if self.calls_left is not None:
            parts.append(f"{self.calls_left} calls left")
        if self.tokens_left is not None:
            parts.append(f"{self.tokens_left:,} tokens left")
        if self.usd_left is not None:
            parts.append(f"{self.usd_left:.{2 if self.usd_left >= 1 else 4}f} USD left")
        if self.total > self.done and rate:
            parts.append(f"about {_duration((self.total - self.done) / rate)} left")
        return ", ".join(parts)


class Progress:
    """Counts judgments and says what is going on; any thread may call it.

    On a terminal the live line is erased before every line that stays and by `close`, which also runs when the
    process ends.

    Args:
        console: where to show it; stderr by default.
        clock: seconds, from any start.
    """

    def __init__(self, console: Console | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        # said here, because rich also takes a file for a terminal where FORCE_COLOR is set
        self._console = console or Console(stderr=True, force_terminal=sys.stderr.isatty())
        self._clock = clock
        self._lock = threading.RLock()
        self._started = clock()
        self._tally = Tally(0, self._started)
        self._waiting = ""
        self._reflecting = ""
        self._shown_at = self._started
        self._is_live = self._console.is_terminal and not self._console.is_dumb_terminal
        self._live: tuple[LiveDisplay, TaskID] | None = None
        if self._is_live:
            atexit.register(self.close)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def phase(self, title: str, total: int = 0) -> None:
        """Begin a phase of about `total` judge calls (0 if unknown)."""
        with self._lock:
            self._shown_at = self._clock()
            self._tally, self._waiting = Tally(total, self._shown_at), ""
            self._print(f"[{self._elapsed()}] {printable(title)}")

    def judged(self, judgments: Sequence[Judgment]) -> None:
        """Count judgments as they arrive."""
        with self._lock:
            if judgments:
                self._tally.add(judgments, self._clock())
                self._waiting = ""
            self._show()

    def spent(
        self, calls_left: int | None = None, usd_left: float | None = None, tokens_left: int | None = None
    ) -> None:
        """Show what is left of a budget; None where there is no limit."""
        with self._lock:
            tally = self._tally
            tally.calls_left, tally.usd_left, tally.tokens_left = calls_left, usd_left, tokens_left
            self._show()

    def waiting(self, text: str) -> None:
        """Show what is waited for, until judgments arrive: at once on a terminal, now and then elsewhere."""
        with self._lock:
            is_new = text != self._waiting
            self._waiting = text
            self._show(at_once=is_new)

    def reflecting(self, num_asked: int, num_answered: int) -> None:
        """Show how many texts the reflection model was asked and how many it answered, as long as one is missing."""
        with self._lock:
            missing = num_answered < num_asked
            self._reflecting = f"reflections: {num_answered} of {num_asked} answered" if missing else ""
            self._show()

    def note(self, text: str) -> None:
        """A line that stays."""
        with self._lock:
            self._print(f"[{self._elapsed()}]   {printable(text)}")

    def close(self) -> None:
        """Erase the live line and show none from now on; safe to repeat."""
        with self._lock:
            self._erase()
            self._is_live = False
            atexit.unregister(self.close)

    def _show(self, at_once: bool = False) -> None:
        """Bring the line up to date where that is due."""
        now = self._clock()
        every_s = REDRAW_EVERY_S if self._is_live else PLAIN_LINE_EVERY_S
        if now - self._shown_at < every_s and not (self._is_live and (at_once or self._live is None)):
            return
        line = "; ".join(filter(None, (self._tally.line(now), self._reflecting, printable(self._waiting))))
        if not line:
            return
        self._shown_at = now
        if not self._is_live:
            self._print(f"[{self._elapsed()}]   {line}")
            return
        self._draw(f"[{self._elapsed()}]   {line}", self._tally)

    def _draw(self, description: str, tally: Tally) -> None:
        if self._live is not None:
            display, task = self._live
            display.update(task, description=description, completed=tally.done, total=tally.total or None)
            display.refresh()
            return
        text = TextColumn("{task.description}", markup=False)
        display = LiveDisplay(
            *((BarColumn(_BAR_CHARS), text) if tally.total else (text,)),
            console=self._console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live = display, display.add_task(description, total=tally.total or None, completed=tally.done)
        display.start()
        self._console.show_cursor(True)  # rich hides it; a killed process must not leave a terminal without

    def _print(self, line: str) -> None:
        self._erase()
        self._console.print(Text(line), soft_wrap=True)  # as a Text, so that neither markup nor emoji codes are read

    def _erase(self) -> None:
        if self._live is not None:
            display, self._live = self._live[0], None
            display.stop()

    def _elapsed(self) -> str:
        seconds = int(self._clock() - self._started)
        return f"{seconds // 60:02d}:{seconds % 60:02d}"


def printable(text: str) -> str:
    """The text in one line, with what could steer a terminal replaced by U+FFFD."""
    return _CONTROLS.sub("\ufffd", _BREAKS.sub(" ", text))


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6_000 else f"{seconds / 3_600:.1f} h"
