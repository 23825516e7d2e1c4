"""Judging in threads: programs on examples, each pair of the two once, whoever needs it first pays for it.

Who that is follows from the order of `start`, never from the order in which calls come back; and what is left of the
budget follows from the order of `start` and `wait`.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from judge_serve.judging.judgment import Judgment
from judge_serve.judging.program import Program
from judge_serve.judging.task import Example, Item
from optimize_workers.evaluation.budget import Promise
from optimize_workers.study import Judged, Study

_Place = tuple[Future[list[Judgment]], int]  # a wave under way, and which of its judgments


@dataclass(frozen=True)
class Started:
    """Judgments under way or in: of a program on examples, in their order; `promise` holds the calls asked for it."""

    study: Study
    program: Program
    examples: Sequence[Example]
    promise: Promise
    places: Sequence[_Place]

    def wait(self) -> Judged:
        """All judgments; those that were asked for it are settled.

        Raises:
            BudgetExceededError: tokens or dollars ran out before they were asked.
            EngineError: the engine failed.
        """
        try:
            judgments = [wave.result()[at] for wave, at in self.places]
        finally:
            self.study.budget.settle(self.promise)
        return self.study.scored(self.program, self.examples, judgments)  # a pair may occur with several human ratings


class JudgingOnce:
    """Judges for one study; to be called by one thread."""

    def __init__(self, study: Study, threads: ThreadPoolExecutor) -> None:
        self._study = study
        self._threads = threads
        self._known: dict[tuple[str, Item], _Place] = {}

    def num_new(self, program: Program, examples: Sequence[Example]) -> int:
        """How many judge calls it takes to judge a program on these examples."""
        return len(self._new(program, examples))

    def start(self, program: Program, examples: Sequence[Example]) -> Started:
        """Judge a program on examples; what is known or under way is not asked again.

        Raises: BudgetExceededError if the budget does not hold the calls.
        """
        new = self._new(program, examples)
        promise = self._study.budget.promise(len(new))
        if new:
            wave = self._threads.submit(self._study.judge_program, program, new, promise)
            self._known |= {(program.digest, example.item): (wave, at) for at, example in enumerate(new)}
        places = [self._known[program.digest, example.item] for example in examples]
        return Started(self._study, program, examples, promise, places)

    def _new(self, program: Program, examples: Sequence[Example]) -> list[Example]:
        items = dict.fromkeys(example.item for example in examples if (program.digest, example.item) not in self._known)
        firsts = {example.item: example for example in reversed(examples)}
        return [firsts[item] for item in items]
