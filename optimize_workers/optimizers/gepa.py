"""GEPA: rewrites the program's sections from feedback, many proposals at once, decided in a fixed order.

The idea is GEPA's (arXiv 2507.19457): parents from the best and the per-example Pareto front, reflection on a
minibatch, a child must beat its parent there, then the validation examples decide. What differs from the library:

- Every proposal goes its way alone. A schedule in virtual time says in which order what comes back is taken note of;
  the order of real completions changes nothing, so that a study run anew on recorded judgments repeats itself.
- Children that passed their minibatch are put together: their changes are carried over to the best program, as
  version control merges branches, and judged as one candidate. Several improvements at once show on far fewer
  examples than each alone. If they lose together, each is tried alone.
- A candidate is judged on a growing part of the validation examples and dropped when it will not win (`racing`).
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from judge_serve.judging.judgment import Judgment
from judge_serve.judging.program import Program
from judge_serve.judging.task import Example
from optimize_workers.budget import BudgetExceededError
from optimize_workers.evaluate import JudgeCall
from optimize_workers.guardrails import Guardrails
from optimize_workers.metrics import example_score
from optimize_workers.optimizers.merging import merge_sections
from optimize_workers.optimizers.population import Member, Population, next_section
from optimize_workers.optimizers.reflecting import propose_program
from optimize_workers.racing import DROP_BELOW, chance_to_win, paired_gains, race_stages
from optimize_workers.study import Study, StudyResult

MINIBATCH = 8
VALIDATION_SHARE = 6  # the budget is worth at least this many full evaluations
CALLS_PER_PROPOSAL = 100  # one proposal under way for so many judge calls of budget: width costs depth
MAX_WIDTH = 32
BROOD = 4  # proposals made from one lesson
MIN_GROUP, MAX_GROUP = 4, 16  # children put together
MAX_FRUITLESS_PROPOSALS = 20  # refused or beaten proposals in a row before the search ends
JUDGING, REFLECTING = 0.3, 0.6  # virtual time of a wave of judge calls and of a reflection


class GepaOptimizer:
    """Reflective rewriting of the sections of a program."""

    def run(self, study: Study) -> StudyResult:
        """See `Optimizer.run`."""
        validation = study.validation_examples(max(4, study.budget.left // VALIDATION_SHARE))
        if study.budget.left < len(validation):
            return study.result()
        search = _Search(study, list(validation))
        search.run()
        return study.result(dict(search.refusals))


@dataclass
class _Lesson:
    """A parent judged on a minibatch, from which several proposals are made."""

    parent: Member
    minibatch: list[Example]
    numbers: range  # of the proposals
    judgments: list[Judgment] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)


@dataclass
class _Proposal:
    """A child on its way: from a lesson to a program that beats its parent on the minibatch, or not."""

    number: int
    lesson: _Lesson
    section: str
    program: Program | None = None
    refusal: str | None = None
    scores: list[float] = field(default_factory=list)
    judgments: list[Judgment] = field(default_factory=list)

    @property
    def parent(self) -> Member:
        """The program that was revised."""
        return self.lesson.parent

    @property
    def origin(self) -> dict[str, Any]:
        """Where the child came from, for `candidates.jsonl`."""
        return {
            "optimizer": "gepa",
            "proposal": self.number,
            "parents": [self.parent.program.digest],
            "section": self.section,
            "feedback": [example.item.doc_id for example in self.lesson.minibatch],
            "minibatch_scores": {"parent": self.lesson.scores, "child": self.scores},
        }


@dataclass
class _Race:
    """A candidate on its way over the validation examples, in an order of its own.

    Were the order the same for all, luck on the first examples would be inherited.
    """

    program: Program
    rival: Member
    children: list[_Proposal]
    order: list[int]
    num_last_stage: int = 0
    judgments: list[Judgment] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)

    @property
    def origin(self) -> dict[str, Any]:
        """Where the candidate came from, for `candidates.jsonl`."""
        if not self.children:
            return {"optimizer": "gepa"}
        if len(self.children) == 1:
            return self.children[0].origin
        return {
            "optimizer": "gepa",
            "proposals": [child.number for child in self.children],
            "parents": [self.rival.program.digest],
            "merged": [child.program.digest for child in self.children if child.program],
        }


Take = Callable[[], None]


class _Search:
    def __init__(self, study: Study, validation: list[Example]) -> None:
        self._study = study
        self._validation = validation
        self._scale = study.judge.task.scale
        self._guard = Guardrails(self._scale, study.judge.program.instruction, [*study.data.train, *study.data.val])
        self._population = Population(study.seed)
        self._baseline = Member(study.judge.program, [], 0)
        self._stages = race_stages(len(validation))
        self._minibatch = min(MINIBATCH, len(study.data.train))
        self._width = max(1, min(MAX_WIDTH, study.budget.left // CALLS_PER_PROPOSAL))
        self._schedule: list[tuple[float, int, Future[None], Take]] = []
        self._now = 0.0
        self._num_started = self._num_proposals = self._num_races = 0
        self._num_racing = self._num_proposing = 0
        self._ready: list[list[_Proposal]] = []  # children to be judged together; a group that lost comes back in parts
        self._fresh: list[_Proposal] = []  # children that no group has taken yet
        self._tried = {study.judge.program.digest}
        self._calls = 0  # judge calls promised: spent, or the most that what is under way may spend
        self._spent = 0  # judge calls of all that was taken note of
        self._fruitless = 0
        self._is_over = False
        self.refusals: Counter[str] = Counter()

    def run(self) -> None:
        """Search until the budget, or the ideas, are spent."""
        self._threads = ThreadPoolExecutor(self._width + 2, thread_name_prefix="gepa")
        try:
            first = _Race(self._baseline.program, self._baseline, [], list(range(len(self._validation))))
            self._start(
                len(first.order),
                JUDGING,
                lambda: self._judge_next(first, len(first.order)),
                lambda: self._take_baseline(first),
            )
            while self._schedule:
                self._fill()
                self._now, _, future, take = heapq.heappop(self._schedule)
                try:
                    future.result()
                except BudgetExceededError:  # tokens or dollars: what is under way is finished, nothing is begun
                    self._is_over = True
                    continue
                take()
                if not self._schedule:
                    self._fill()
        finally:
            self._threads.shutdown(wait=False, cancel_futures=True)

    # --- starting work ---

    def _fill(self) -> None:
        """Start what there is room and budget for: races first, they are what improves the best program."""
        if not self._population.members and self._study.budget.has_token_limits:
            return  # the baseline first: without it nothing can win
        while not self._is_over:
            if not self._num_racing and self._population.members and self._start_group():
                continue
            if not self._start_lesson():
                return

    def _start_lesson(self) -> bool:
        room = min(BROOD, self._width - self._num_proposing)
        calls = self._minibatch * (1 + room)
        worst = calls + len(self._validation) * (1 + min(1, self._num_racing))
        if (
            room < min(BROOD, self._width)
            or self._left() < worst
            or self._fruitless >= max(MAX_FRUITLESS_PROPOSALS, 2 * self._width)
        ):
            return False
        numbers = range(self._num_proposals + 1, self._num_proposals + 1 + room)
        self._num_proposals += room
        self._num_proposing += room
        parent = self._population.parent(numbers[0]) if self._population.members else self._baseline
        drawn = np.random.default_rng([self._study.seed, 3, numbers[0]]).permutation(len(self._study.data.train))
        minibatch = [self._study.data.train[place] for place in drawn[: self._minibatch]]
        lesson = _Lesson(parent, minibatch, numbers)
        self._start(calls, JUDGING, lambda: self._judge_lesson(lesson), lambda: self._take_lesson(lesson))
        return True

    def _start_group(self) -> bool:
        """Race the next group of children, or those that are there when no more will come."""
        no_more = not self._schedule
        if not self._ready and (len(self._fresh) >= MIN_GROUP or (self._fresh and no_more)):
            self._ready.append(self._fresh[:MAX_GROUP])
            del self._fresh[:MAX_GROUP]
        while self._ready:
            race = self._race(self._ready.pop(0))
            if race and self._start_stage(race):
                return True
        return False

    def _race(self, children: list[_Proposal]) -> _Race | None:
        """The best program with the children's changes; a child whose changes do not fit there races as it is."""
        rival = self._population.best
        program, fitting = rival.program, []
        for child in children:
            assert child.program is not None
            merged = merge_sections(child.parent.program.sections, program.sections, child.program.sections)
            if merged is not None:
                program = program.with_sections(merged)
                fitting.append(child)
            elif len(children) > 1:
                self._ready.append([child])
        if not fitting:
            if len(children) > 1:
                return None
            (child,) = children
            assert child.program is not None
            program, rival, fitting = child.program, child.parent, [child]
        if program.digest in self._tried:
            return None
        if self._guard.refusal(program.instruction):  # together they may be too long
            self._ready += _halves(fitting)
            return None
        self._tried.add(program.digest)
        self._num_races += 1
        order = np.random.default_rng([self._study.seed, 4, self._num_races]).permutation(len(self._validation))
        return _Race(program, rival, fitting, [int(place) for place in order])

    def _start_stage(self, race: _Race) -> bool:
        until = next(stage for stage in self._stages if stage > len(race.judgments))
        calls = until - len(race.judgments)
        if self._left() < calls:
            self._note(race, {"dropped": "budget"})
            return False
        self._num_racing += 1
        self._start(calls, JUDGING, lambda: self._judge_next(race, until), lambda: self._take_race(race))
        return True

    def _start(self, calls: int, takes: float, work: Take, take: Take) -> None:
        self._calls += calls
        self._num_started += 1
        heapq.heappush(self._schedule, (self._now + takes, self._num_started, self._threads.submit(work), take))

    def _left(self) -> int:
        return self._study.budget.total - self._calls

    # --- work, in threads ---

    def _judge_next(self, race: _Race, until: int) -> None:
        examples = [self._validation[place] for place in race.order[len(race.judgments) : until]]
        race.num_last_stage = len(examples)
        judgments, scores = self._judge(race.program, examples)
        race.judgments += judgments
        race.scores += scores

    def _judge_lesson(self, lesson: _Lesson) -> None:
        lesson.judgments, lesson.scores = self._judge(lesson.parent.program, lesson.minibatch)

    def _propose(self, proposal: _Proposal) -> None:
        lesson = proposal.lesson
        proposed = propose_program(
            self._study,
            self._guard,
            lesson.parent.program,
            proposal.section,
            lesson.judgments,
            lesson.minibatch,
            proposal.number,
        )
        if isinstance(proposed, str):
            proposal.refusal = proposed
            return
        proposal.program = proposed
        proposal.judgments, proposal.scores = self._judge(proposed, lesson.minibatch)

    def _judge(self, program: Program, examples: list[Example]) -> tuple[list[Judgment], list[float]]:
        judgments = self._study.plane.evaluate([JudgeCall(program, example) for example in examples])
        return judgments, [example_score(j, e, self._scale) for j, e in zip(judgments, examples, strict=True)]

    # --- taking note of it, in the order of the schedule ---

    def _take_baseline(self, race: _Race) -> None:
        self._spent += len(race.judgments)
        self._baseline.scores = race.scores
        self._population.members.append(self._baseline)
        self._note(race, {})

    def _take_lesson(self, lesson: _Lesson) -> None:
        self._spent += len(lesson.minibatch)
        if min(lesson.scores) == 1.0:  # nothing to improve
            self._calls -= len(lesson.numbers) * len(lesson.minibatch)
            self._num_proposing -= len(lesson.numbers)
            self._fruitless += len(lesson.numbers)
            return
        for number in lesson.numbers:
            proposal = _Proposal(number, lesson, next_section(lesson.parent))
            takes = JUDGING + REFLECTING
            # its judge calls were promised to the lesson
            self._start(0, takes, partial(self._propose, proposal), partial(self._take_proposal, proposal))

    def _take_proposal(self, proposal: _Proposal) -> None:
        self._num_proposing -= 1
        minibatch = proposal.lesson.minibatch
        if proposal.program is None:
            self._calls -= len(minibatch)  # no child was judged
            self._fruitless += 1
            reason = proposal.refusal or "unknown"
            self.refusals[reason] += 1
            self._study.refuse(reason, proposal.origin)
            return
        self._spent += len(minibatch)
        is_better = paired_gains(proposal.scores, proposal.lesson.scores).sum() > 0.0
        origin = {**proposal.origin, "passed": bool(is_better)}
        self._study.record(
            proposal.program,
            minibatch,
            proposal.judgments,
            is_full=False,
            origin=origin,
            split="train",
            calls=self._spent,
        )
        if is_better:
            self._fresh.append(proposal)
            self._fruitless = 0
        else:
            self._fruitless += 1

    def _take_race(self, race: _Race) -> None:
        self._num_racing -= 1
        self._spent += race.num_last_stage
        num_judged, num_all = len(race.judgments), len(self._validation)
        rival_scores = [race.rival.scores[place] for place in race.order[:num_judged]]
        chance = chance_to_win(race.scores, rival_scores, num_all)
        if num_judged < num_all and chance >= DROP_BELOW:
            self._start_stage(race)
            return
        if num_judged == num_all:
            scores = [score for _, score in sorted(zip(race.order, race.scores, strict=True))]
            self._population.members.append(Member(race.program, scores, race.children[0].number))
        if chance >= 0.5:
            self._fruitless = 0
        else:
            self._fruitless += len(race.children)
            self._ready += _halves(race.children)
        self._note(race, {"chance": round(chance, 3)})

    def _note(self, race: _Race, outcome: dict[str, Any]) -> None:
        if race.judgments:
            judged = [self._validation[place] for place in race.order[: len(race.judgments)]]
            is_full = len(judged) == len(self._validation)
            self._study.record(
                race.program,
                judged,
                race.judgments,
                is_full=is_full,
                origin={**race.origin, **outcome},
                calls=self._spent,
            )


def _halves(children: list[_Proposal]) -> list[list[_Proposal]]:
    """A group that lost, in two parts that are tried apart; a single child has had its try."""
    middle = len(children) // 2
    return [children[:middle], children[middle:]] if middle else []
