"""Bootstrapping: demonstrations from sets of training examples, their reasons from people or from the judge itself.

Every second set is judged once, by a teacher: the program with the demonstrations of the set before it. Where the
teacher agrees with the human exactly, its own reason is shown, which is how this model explains; elsewhere the
human's. Where people gave no reasons, or none for some grade, examples without a reason are judged as well, twice as
many as are to be shown, and those are left out that neither explains.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import wait
from typing import NamedTuple

from judge_serve.judging.judgment import AnswerMode, Judgment
from judge_serve.judging.program import Demonstration, Program
from judge_serve.judging.task import Example
from optimize_workers.dataset.near_copies import are_near_copies, shingles_of
from optimize_workers.optimizers.judging_once import JudgingOnce, Started
from optimize_workers.optimizers.mipro.example_sets import (
    MAX_EXPLANATION_CHARS,
    draw_example_sets,
    grades_to_show,
    to_demonstration,
)
from optimize_workers.study import Study
from optimize_workers.texts.query_groups import query_names

SIZES = (4, 3, 5, 4, 2, 6)  # demonstrations of a set, in turn
_UNEXPLAINED_SPARES = 2  # examples judged for each that is to be shown, where people gave no reasons


class _Taught(NamedTuple):
    examples: tuple[Example, ...]
    size: int
    started: Started


class Bootstrap:
    """Draws the sets and starts the teachers; `sets` waits for them.

    Args:
        study: its training examples are shown.
        judging: carries out the teachers' calls.
        num_sets: how many sets; fewer where the examples do not suffice.
        most: demonstrations of a set at most.
        max_calls: judge calls that teachers may cost.
        in_line: whether one teacher waits for the other.
    """

    def __init__(
        self,
        study: Study,
        judging: JudgingOnce,
        *,
        num_sets: int,
        most: int,
        max_calls: int,
        in_line: bool = False,
    ) -> None:
        self._study = study
        self._in_line = in_line
        scale, train, mode = study.judge.task.scale, study.data.train, study.judge.mode
        sizes = [min(size, most) for size in SIZES]
        needs_reason = mode is not AnswerMode.EXPECTED

        def draw(sizes: Sequence[int], needs_reason: bool) -> list[tuple[Example, ...]]:
            return draw_example_sets(
                train, scale, num_sets=num_sets, sizes=sizes, seed=study.seed, needs_reason=needs_reason
            )

        self.num_calls = 0
        self._sets: list[tuple[Example, ...] | _Taught] = []
        self._explained = draw(sizes, needs_reason)
        if grades_to_show(train, scale, needs_reason=needs_reason) == grades_to_show(train, scale, needs_reason=False):
            for number, examples in enumerate(self._explained):
                is_taught = needs_reason and number % 2 == 1 and self.num_calls + len(examples) <= max_calls
                shown = self._explained[number - 1]
                self._sets.append(self._teach(examples, shown, judging) if is_taught else examples)
            return
        for number, examples in enumerate(draw([_UNEXPLAINED_SPARES * size for size in sizes], False)):
            if self.num_calls + len(examples) <= max_calls:
                taught = self._teach(examples, self._explained[0] if self._explained else (), judging)
                self._sets.append(taught._replace(size=sizes[number % len(sizes)]))

    @property
    def shown(self) -> list[tuple[Example, ...]]:
        """The training examples of each set."""
        drawn = [one.examples if isinstance(one, _Taught) else one for one in self._sets]
        return drawn or self._explained

    def sets(self) -> list[tuple[Demonstration, ...]]:
        """All sets that hold something, each once; the teachers' trials are recorded.

        Raises: as `Started.wait`.
        """
        made = []
        for drawn in self._sets:
            if isinstance(drawn, _Taught):
                made.append(self._explain(drawn))
            else:
                made.append(tuple(map(to_demonstration, drawn)))
        made = [one for one in made if one] or [tuple(map(to_demonstration, examples)) for examples in self._explained]
        return list(dict.fromkeys(made))

    def _teach(self, examples: tuple[Example, ...], shown: Sequence[Example], judging: JudgingOnce) -> _Taught:
        program = self._study.judge.program
        teachers = [e for e in shown if not any(_gives_away(e, example) for example in examples)]
        if teachers:  # else the judge as it is
            program = with_demonstrations(program, [to_demonstration(e) for e in teachers])
        self.num_calls += judging.num_new(program, examples)
        taught = _Taught(examples, len(examples), judging.start(program, examples))
        if self._in_line:
            wait([wave for wave, _ in taught.started.places])
        return taught

    def _explain(self, drawn: _Taught) -> tuple[Demonstration, ...]:
        judged = drawn.started.wait()
        origin = {"optimizer": "mipro", "stage": "demonstrations"}
        self._study.record(judged, origin, is_full=False, split="train")
        pairs = zip(drawn.examples, judged.judgments, strict=True)
        explained = [_explained(example, judgment) for example, judgment in pairs]
        return tuple([shown for shown in explained if shown.explanation][: drawn.size])


def with_demonstrations(program: Program, demonstrations: Sequence[Demonstration]) -> Program:
    """The same instruction and bullets with other demonstrations."""
    return Program(sections=program.sections, bullets=program.bullets, demonstrations=tuple(demonstrations))


def _explained(example: Example, judgment: Judgment) -> Demonstration:
    shown, reason = to_demonstration(example), judgment.explanation or ""
    has_agreed = judgment.value == example.gold_rating and reason.strip()
    if not has_agreed or len(reason) > MAX_EXPLANATION_CHARS:
        return shown
    return shown.model_copy(update={"explanation": reason.strip()})


def _gives_away(one: Example, other: Example) -> bool:
    """Whether who is shown one has an easy time with the other."""
    first, second = one.item, other.item
    return (
        not query_names(first).isdisjoint(query_names(second))
        or first.doc_id == second.doc_id
        or are_near_copies(shingles_of(first.document), shingles_of(second.document))
    )
