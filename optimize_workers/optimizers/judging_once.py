"""Judging in threads: programs on examples, each pair of the two once, whoever needs it first pays for it.

Who that is follows from the order of `start`, never from the order in which calls come back.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from judge_serve.judging.judgment import Judgment
from judge_serve.judging.program import Program
from judge_serve.judging.scale import Scale
from judge_serve.judging.task import Example, Item
from optimize_workers.evaluation.plane import JudgeCall
from optimize_workers.optimizers.gepa.lessons import Judged
from optimize_workers.statistics.metrics import example_score
from optimize_workers.study import Study

_Place = tuple[Future[list[Judgment]], int]  # a wave under way, and which of its judgments


@dataclass(frozen=True)
class Judging:
    """Judgments under way or in: of a program on examples, in their order; `num_new` of them were asked for it."""

    program: Program
    examples: Sequence[Example]
    num_new: int
    places: Sequence[_Place]
    scale: Scale

    def wait(self) -> Judged:
        """All judgments.

        Raises:
            BudgetExceededError: tokens or dollars ran out before they were asked.
            EngineError: the engine failed.
        """
        judgments = [wave.result()[at] for wave, at in self.places]
        pairs = zip(judgments, self.examples, strict=True)  # a pair may occur twice, with different human ratings
        return Judged(judgments, [example_score(judgment, example, self.scale) for judgment, example in pairs])


class JudgingOnce:
    """Judges for one study; to be called by one thread."""

    def __init__(self, study: Study, threads: ThreadPoolExecutor) -> None:
        self._study = study
        self._threads = threads
        self._known: dict[tuple[str, Item], _Place] = {}

    def num_new(self, program: Program, examples: Sequence[Example]) -> int:
        """How many judge calls it takes to judge a program on these examples."""
        return len(self._new(program, examples))

    def start(self, program: Program, examples: Sequence[Example]) -> Judging:
        """Judge a program on examples; what is known or under way is not asked again."""
        new = self._new(program, examples)
        if new:
            wave = self._threads.submit(self._study.plane.evaluate, [JudgeCall(program, example) for example in new])
            self._known |= {(program.digest, example.item): (wave, at) for at, example in enumerate(new)}
        places = [self._known[program.digest, example.item] for example in examples]
        return Judging(program, examples, len(new), places, self._study.judge.task.scale)

    def _new(self, program: Program, examples: Sequence[Example]) -> list[Example]:
        items = dict.fromkeys(example.item for example in examples if (program.digest, example.item) not in self._known)
        firsts = {example.item: example for example in reversed(examples)}
        return [firsts[item] for item in items]
