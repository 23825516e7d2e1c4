"""Judging selections of bullets: programs that differ in nothing else, within the budget, each pair judged once.

Between waves all that was started is in and settled, so that what is left of the budget never depends on speed. Under
a limit of tokens or dollars what is refused depends on what was settled by then, so then all goes in one line.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from judge_serve.judging.program import Program
from judge_serve.judging.task import Example
from optimize_workers.evaluation.budget import BudgetExceededError
from optimize_workers.library.bullets import Bullet
from optimize_workers.optimizers.judging_once import JudgingOnce
from optimize_workers.study import Judged, Study

Chosen = tuple[int, ...]  # numbers of bullets, in their order in the program


class SelectionJudging:
    """Judges selections; to be called by one thread."""

    def __init__(self, study: Study, texts: Sequence[str], threads: ThreadPoolExecutor) -> None:
        self._study = study
        self._texts = texts
        self._ids = [Bullet(text=text).id for text in texts]
        self._judging = JudgingOnce(study, threads)
        self._kept = study.budget.promise(0)

    def program(self, chosen: Chosen) -> Program:
        """The study's program with these bullets; everything else in it is as it was."""
        own = self._study.judge.program
        bullets = tuple(self._texts[number] for number in chosen)
        return own if bullets == own.bullets else own.model_copy(update={"bullets": bullets})

    def ids(self, chosen: Chosen) -> list[str]:
        """Ids of bullets by which trials name them."""
        return [self._ids[number] for number in chosen]

    @property
    def left(self) -> int:
        """Judge calls that may still be started; under a limit of tokens or dollars, at the mean cost so far.

        In one line hardly more than that is ever reserved; `Budget.left` counts each call as the costliest.
        """
        budget = self._study.budget
        left = budget.calls_left + self._kept.calls
        for remaining, used in ((budget.tokens_left, budget.used_tokens), (budget.usd_left, budget.used_usd)):
            if remaining is not None and used > 0:
                left = min(left, int(remaining * budget.used / used))
        return left

    @property
    def free(self) -> int:
        """Judge calls that may be started now."""
        return self.left - self._kept.calls

    @property
    def kept(self) -> int:
        """Judge calls that are kept for what comes later."""
        return self._kept.calls

    def keep(self, num_calls: int) -> None:
        """Keep so many judge calls, or what is left, for what comes later."""
        budget = self._study.budget
        budget.release(self._kept)
        self._kept = budget.promise(min(num_calls, budget.calls_left))

    def judge(self, selections: Sequence[Chosen], examples: Sequence[Example]) -> list[Judged] | None:
        """Judge several selections on the same examples at once; see `judge_wave`."""
        return self.judge_wave([(chosen, examples) for chosen in selections])

    def judge_wave(self, wave: Sequence[tuple[Chosen, Sequence[Example]]]) -> list[Judged] | None:
        """Judge selections on examples, all at once or in one line; None where the budget ends.

        Raises: EngineError if the engine failed.
        """
        programs = [(self.program(chosen), examples) for chosen, examples in wave]
        if sum(self._judging.num_new(*one) for one in programs) > self.free:
            return None
        if not self._study.budget.has_token_limits:
            started = [self._judging.start(*one) for one in programs]
            return [one.wait() for one in started]
        try:
            return [self._judging.start(*one).wait() for one in programs]
        except BudgetExceededError:
            return None

    def record(self, chosen: Chosen, judged: Judged, origin: dict[str, Any], *, is_full: bool = False) -> None:
        """Record a judged selection as a trial; its origin names the bullets by their ids."""
        named = {"optimizer": "bullets", **origin, "bullets": self.ids(chosen)}
        self._study.record(judged, named, is_full=is_full, split=judged.examples[0].split)
