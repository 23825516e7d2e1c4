"""The evaluation plane: judge (program, example) pairs, in order, within a budget.

Every optimizer and comparison goes through `EvaluationPlane.evaluate`; the pool behind it is Ray actors in
every path that a user runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from judge_serve.judging.judge import Judge
from judge_serve.judging.judgment import Judgment
from judge_serve.judging.program import Program
from judge_serve.judging.task import Example, Item


class JudgeCall(NamedTuple):
    """One thing to judge: a program, an example, and which repetition it is."""

    program: Program
    example: Example
    occurrence: int = 0


class Pool(Protocol):
    """What carries out judge calls, see `workers.WorkerPool.judge`."""

    def judge(
        self, calls: Sequence[tuple[Judge, Item, int]], on_done: Callable[[Sequence[Judgment]], None] | None = None
    ) -> list[Judgment]:
        """Judgments in the order of the calls; raises EngineError if an engine gave up."""
        ...


class BudgetExceededError(RuntimeError):
    """A wave would exceed the budget; it was not sent."""


@dataclass
class Budget:
    """Judge calls that may be spent; counted when a wave is sent."""

    total: int
    used: int = 0

    @property
    def left(self) -> int:
        """Judge calls that may still be sent."""
        return self.total - self.used

    def reserve(self, num_calls: int) -> None:
        """Take calls before they are sent."""
        if num_calls > self.left:
            raise BudgetExceededError(f"{num_calls} judge calls asked, {self.left} of {self.total} left")
        self.used += num_calls


class EvaluationPlane:
    """Judges programs on the model, task and mode of one judge."""

    def __init__(
        self,
        judge: Judge,
        pool: Pool,
        budget: Budget | None = None,
        on_done: Callable[[Sequence[Judgment]], None] | None = None,
    ) -> None:
        self.judge = judge
        self.budget = budget
        self._pool = pool
        self._on_done = on_done

    def evaluate(self, calls: Sequence[JudgeCall]) -> list[Judgment]:
        """Judge all calls; judgments in the order of the calls.

        Raises:
            BudgetExceededError: before anything is sent.
            EngineError: the engine failed; no judgment of this wave may score a candidate.
        """
        if self.budget is not None:
            self.budget.reserve(len(calls))
        judges: dict[str, Judge] = {}
        for call in calls:
            if call.program.digest not in judges:
                judges[call.program.digest] = self.judge.model_copy(update={"program": call.program})
        return self._pool.judge(
            [(judges[call.program.digest], call.example.item, call.occurrence) for call in calls], self._on_done
        )
