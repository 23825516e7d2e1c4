"""Bootstrapping: demonstrations from sets of training examples, their reasons from people or from the judge itself.

Every second set is judged once, by a teacher: the program with the demonstrations of the set before it. Where the
teacher agrees with the human exactly, its own reason is shown, which is how this model explains; elsewhere the
human's. Where people gave no reasons, a demonstration needs the judge's, and what it did not agree upon is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from judge_serve.judging.judgment import AnswerMode, Judgment
from judge_serve.judging.program import Demonstration, Program
from judge_serve.judging.task import Example
from optimize_workers.demonstrations import MAX_EXPLANATION_CHARS, draw_example_sets, to_demonstration
from optimize_workers.optimizers.judging_once import Judging, JudgingOnce
from optimize_workers.study import Study

SIZES = (4, 3, 5, 4, 2, 6)  # demonstrations of a set, in turn
_UNEXPLAINED_SPARES = 2  # examples judged for each that is to be shown, where people gave no reasons


class DemonstrationSet(NamedTuple):
    """What is shown together, and the training examples it was made from."""

    demonstrations: tuple[Demonstration, ...]
    examples: tuple[Example, ...]


class _Taught(NamedTuple):
    examples: tuple[Example, ...]
    size: int
    judging: Judging


class Bootstrapping:
    """Draws the sets and starts the teachers; `sets` waits for them.

    Args:
        study: its training examples are shown.
        judging: carries out the teachers' calls.
        num_sets: how many sets; fewer where the examples do not suffice.
        most: demonstrations of a set at most.
        max_calls: judge calls that teachers may cost.
    """

    def __init__(self, study: Study, judging: JudgingOnce, *, num_sets: int, most: int, max_calls: int) -> None:
        self._study = study
        scale, train, mode = study.judge.task.scale, study.data.train, study.judge.mode
        sizes = [min(size, most) for size in SIZES]
        needs_reason = mode is not AnswerMode.EXPECTED

        def draw(sizes: Sequence[int], needs_reason: bool) -> list[tuple[Example, ...]]:
            return draw_example_sets(
                train, scale, num_sets=num_sets, sizes=sizes, seed=study.seed, needs_reason=needs_reason
            )

        self.num_calls = 0
        self._sets: list[tuple[Example, ...] | _Taught] = []
        drawn = draw(sizes, needs_reason)
        for number, examples in enumerate(drawn):
            is_taught = needs_reason and number % 2 == 1 and self.num_calls + len(examples) <= max_calls
            self._sets.append(self._teach(examples, drawn[number - 1], judging) if is_taught else examples)
        if drawn:
            return
        for number, examples in enumerate(draw([_UNEXPLAINED_SPARES * size for size in sizes], False)):
            if self.num_calls + len(examples) <= max_calls:
                taught = self._teach(examples, (), judging)
                self._sets.append(taught._replace(size=sizes[number % len(sizes)]))

    @property
    def shown(self) -> list[tuple[Example, ...]]:
        """The training examples of each set."""
        return [drawn.examples if isinstance(drawn, _Taught) else drawn for drawn in self._sets]

    def sets(self, spent: int) -> list[DemonstrationSet]:
        """All sets that hold something, in order; the teachers' trials are recorded, after `spent` judge calls.

        Raises: as `Judging.wait`.
        """
        made = []
        for drawn in self._sets:
            if isinstance(drawn, _Taught):
                spent += drawn.judging.num_new
                made.append(self._explain(drawn, spent))
            else:
                made.append(DemonstrationSet(tuple(map(to_demonstration, drawn)), drawn))
        return [one for one in made if one.demonstrations]

    def _teach(self, examples: tuple[Example, ...], shown: Sequence[Example], judging: JudgingOnce) -> _Taught:
        program = self._study.judge.program
        teachers = [e for e in shown if not any(_is_same(e, example) for example in examples)]
        if teachers:  # else the judge as it is
            program = with_demonstrations(program, [to_demonstration(e) for e in teachers])
        self.num_calls += judging.num_new(program, examples)
        return _Taught(examples, len(examples), judging.start(program, examples))

    def _explain(self, drawn: _Taught, spent: int) -> DemonstrationSet:
        judged = drawn.judging.wait()
        self._study.record(
            drawn.judging.program,
            drawn.examples,
            judged.judgments,
            is_full=False,
            origin={"optimizer": "mipro", "stage": "demonstrations"},
            split="train",
            calls=spent,
        )
        pairs = [(_explained(e, j), e) for e, j in zip(drawn.examples, judged.judgments, strict=True)]
        kept = [(shown, example) for shown, example in pairs if shown.explanation][: drawn.size]
        return DemonstrationSet(tuple(shown for shown, _ in kept), tuple(example for _, example in kept))


def with_demonstrations(program: Program, demonstrations: Sequence[Demonstration]) -> Program:
    """The same instruction and bullets with other demonstrations."""
    return Program(sections=program.sections, bullets=program.bullets, demonstrations=tuple(demonstrations))


def _explained(example: Example, judgment: Judgment) -> Demonstration:
    shown, reason = to_demonstration(example), judgment.explanation or ""
    has_agreed = judgment.value == example.gold_rating and reason.strip()
    if not has_agreed or len(reason) > MAX_EXPLANATION_CHARS:
        return shown
    return shown.model_copy(update={"explanation": reason.strip()})


def _is_same(one: Example, other: Example) -> bool:
    """Whether one could give the other away."""
    return one.item.query_id == other.item.query_id or one.item.doc_id == other.item.doc_id
