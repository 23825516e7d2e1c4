"""The layer that counts what was judged and tells a watcher about it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from judge_serve.judging.judge_call import JudgeCall
from judge_serve.judging.judgment import Judgment
from optimize_workers.evaluation.layer import Layer, OnDone


class Watcher(Protocol):
    """Who is told how judging goes on; implemented by `cluster.progress.Progress`."""

    def judged(self, judgments: Sequence[Judgment]) -> None:
        """Judgments came in, from an engine or from the store."""
        ...

    def waiting(self, text: str) -> None:
        """Nothing came in for some time, because of this."""
        ...

    def spent(self, calls_left: int | None, usd_left: float | None, tokens_left: int | None) -> None:
        """What is left of the budget; None where there is no limit."""
        ...


@dataclass
class Counts:
    """What was judged, in all: judge calls, those of them that cost nothing, tokens of the others."""

    calls: int = 0
    cached: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def add(self, judgments: Sequence[Judgment]) -> None:
        """Take these in."""
        fresh = [judgment for judgment in judgments if not judgment.cached]
        self.calls += len(judgments)
        self.cached += len(judgments) - len(fresh)
        self.prompt_tokens += sum(judgment.prompt_tokens for judgment in fresh)
        self.completion_tokens += sum(judgment.completion_tokens for judgment in fresh)


class Watched:
    """See the module; `counts` are of all that was judged through it."""

    def __init__(self, inner: Layer, watcher: Watcher | None = None) -> None:
        self._inner = inner
        self._watcher = watcher
        self._lock = threading.Lock()
        self.counts = Counts()

    def judge(self, calls: Sequence[JudgeCall], on_done: OnDone | None = None) -> list[Judgment]:
        """See `Layer.judge`."""

        def watch(places: Sequence[int], judgments: Sequence[Judgment]) -> None:
            with self._lock:
                self.counts.add(judgments)
            if self._watcher:
                self._watcher.judged(judgments)
            if on_done:
                on_done(places, judgments)

        return self._inner.judge(calls, watch)
