"""GEPA: rewrites the program's sections from feedback, many proposals at once, decided in a fixed order.

The idea is GEPA's (arXiv 2507.19457): parents from the best and the per-example Pareto front, reflection on a
minibatch, a child must beat its parent there, then the validation examples decide. What differs from the library:

- Proposals come in generations, and several generations are under way at once: while the children of one race, the
  next ones are being proposed from the programs known when they began. Which those are follows from the number of the
  generation; the order in which calls come back changes nothing, and a study run anew on recorded judgments repeats
  itself.
- Children that passed their minibatch are put together: carried over to the best program, as version control merges
  branches. Several improvements at once show on far fewer examples than each alone. A pack that loses is tried again
  in halves.
- Candidates are judged on a growing part of the validation examples and dropped when they will not win (`racing`). One
  that leads after the first stage is a parent already, and the base of the next race, while the rest is judged.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from judge_serve.judging.program import Program
from judge_serve.judging.task import Example
from optimize_workers.evaluation.budget import BudgetExceededError, Promise
from optimize_workers.guardrails import Refusal
from optimize_workers.optimizers.gepa.lessons import Candidate, Generation, Lesson, Passed, Proposal, origin_of
from optimize_workers.optimizers.gepa.merge import merge_sections
from optimize_workers.optimizers.gepa.population import Member, Population
from optimize_workers.optimizers.gepa.revision import propose_program
from optimize_workers.statistics.racing import DROP_BELOW, chance_to_win, paired_gains, race_stages
from optimize_workers.study import Judged, Study, StudyResult

MINIBATCH = 8
VALIDATION_SHARE = 6  # the budget is worth at least this many full evaluations
BROOD = 4  # proposals made from one lesson
MAX_GENERATIONS = 5  # planned for
GENERATION_COST = 3  # full evaluations that a generation is worth at least: width costs depth, races cost width
FIRST_SIZES = (1.2, 0.5)  # of an equal share: these start from the baseline together, before anything is known
AHEAD = 3  # generations under way at once
MAX_PROPOSALS = 48  # of a generation
MAX_PACK = 32  # children put together
MAX_CANDIDATES = 3  # of one race
MAX_FRUITLESS_PROPOSALS = 20  # refused or beaten proposals in a row before the search ends
MAX_THREADS = AHEAD * MAX_PROPOSALS * 2  # they wait for models
T = TypeVar("T")


@dataclass(frozen=True)
class GepaOptimizer:
    """Reflective rewriting of the sections of a program.

    Attributes:
        ahead: generations under way at once; 1 waits for each race before the next proposals are made.
    """

    ahead: int = AHEAD

    def run(self, study: Study) -> StudyResult:
        """See `Optimizer.run`."""
        validation = study.validation_examples(max(4, study.budget.left // VALIDATION_SHARE))
        if study.budget.left >= len(validation):
            _Search(study, validation, self.ahead).run()
        return study.result()


class _Search:
    def __init__(self, study: Study, validation: Sequence[Example], ahead: int) -> None:
        self._study = study
        self._ahead = ahead
        self._validation = validation
        self._guard = study.guard  # built here: threads share it
        self._population = Population(study.seed)
        self._first_stage = race_stages(len(validation))[0]
        self._minibatch = min(MINIBATCH, len(study.data.train))
        self._budget = study.budget
        self._baseline = self._budget.promise(len(validation))
        left = self._budget.calls_left
        self._num_planned = max(1, min(MAX_GENERATIONS, left // (GENERATION_COST * len(validation))))
        self._generations: deque[Generation] = deque()  # under way
        self._num_generations = self._num_lessons = self._num_proposals = self._num_races = 0
        self._packs: list[list[Passed]] = []  # children to be raced together
        self._tried = {study.judge.program.digest}
        self._leading: Candidate | None = None  # ahead after its first stage, the last one is being judged
        self._fruitless = 0
        self._is_over = False

    def run(self) -> None:
        """Search until the budget, or the ideas, are spent."""
        self._threads = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="gepa")
        try:
            baseline = self._threads.submit(self._judge, self._study.judge.program, self._validation, self._baseline)
            if not self._study.budget.has_token_limits:  # with them the baseline comes first: else nothing can win
                self._start_generations(min(self._ahead, len(FIRST_SIZES)))
            self._add_baseline(baseline)
            self._start_generations(1)
            while self._generations or self._packs:
                if self._generations:
                    self._pack(self._take_generation(self._generations.popleft()))
                self._race()
                self._start_generations(self._ahead)
            self._take_leading()
        finally:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._budget.settle_all()

    # --- proposing ---

    def _start_generations(self, most: int) -> None:
        while len(self._generations) < most:
            generation = self._next_generation()
            if generation is None:
                return
            self._generations.append(generation)

    def _next_generation(self) -> Generation | None:
        """Lessons with their proposals, and the judge calls promised to them and to a race of their children."""
        if self._is_over or self._fruitless >= MAX_FRUITLESS_PROPOSALS:
            return None
        share = self._budget.calls_left / max(1, self._num_planned - self._num_generations)
        if self._num_planned > 1 and self._num_generations < len(FIRST_SIZES):
            share *= FIRST_SIZES[self._num_generations]
        num_race, lesson_cost = len(self._validation), self._minibatch * (1 + BROOD)
        num_lessons = int(min(MAX_PROPOSALS // BROOD, max(1, (share - num_race) // lesson_cost)))
        if self._budget.calls_left < num_race + 2 * self._minibatch:  # a lesson of one proposal
            return None
        generation = Generation([], self._budget.promise(num_race))
        for _ in range(num_lessons):
            num_proposals = min(BROOD, self._budget.calls_left // self._minibatch - 1)
            if num_proposals < 1:
                break
            generation.lessons.append(self._start_lesson(num_proposals))
        self._num_generations += 1
        return generation

    def _start_lesson(self, num_proposals: int) -> Lesson:
        self._num_lessons += 1
        train, seed = self._study.data.train, self._study.seed
        drawn = np.random.default_rng([seed, 3, self._num_lessons]).permutation(len(train))[: self._minibatch]
        parent = self._parent()
        lesson = Lesson(parent, [train[place] for place in drawn], self._budget.promise(self._minibatch))
        names = list(lesson.parent.sections)
        for _ in range(num_proposals):
            self._num_proposals += 1
            section = names[self._num_proposals % len(names)]
            promise = self._budget.promise(self._minibatch)
            lesson.proposals.append(Proposal(self._num_proposals, lesson, section, promise))
        lesson.taught = self._threads.submit(self._teach, lesson)
        return lesson

    def _parent(self) -> Program:
        if not self._population.members:
            return self._study.judge.program
        return self._population.parent(self._num_lessons, self._leading.program if self._leading else None)

    def _teach(self, lesson: Lesson) -> Judged:
        """In a thread: judge the parent; if it makes mistakes, the proposals go their ways."""
        judged = self._judge(lesson.parent, lesson.minibatch, lesson.promise)
        if any(score < 1.0 for score in judged.scores):
            for proposal in lesson.proposals:
                proposal.outcome = self._threads.submit(self._propose, proposal, judged)
        return judged

    def _propose(self, proposal: Proposal, parent: Judged) -> Judged | Refusal:
        proposed = propose_program(self._study, parent, proposal.section, proposal.number)
        if isinstance(proposed, Refusal):
            return proposed
        return self._judge(proposed, proposal.lesson.minibatch, proposal.promise)

    def _judge(self, program: Program, examples: Sequence[Example], promise: Promise) -> Judged:
        return self._study.scored(program, examples, self._study.judge_program(program, examples, promise))

    def _wait(self, future: Future[T]) -> T | None:
        """What came back; None where tokens or dollars ran out: then what is under way is finished, nothing begun."""
        try:
            return future.result()
        except BudgetExceededError:
            self._is_over = True
            return None

    # --- taking note, in the order of the numbers ---

    def _add_baseline(self, baseline: Future[Judged]) -> None:
        judged = self._wait(baseline)
        self._budget.settle(self._baseline)
        if judged is None:
            return
        self._population.members.append(Member(judged.program, list(judged.scores)))
        self._study.record(judged, {"optimizer": "gepa"}, is_full=True)

    def _take_generation(self, generation: Generation) -> list[Passed]:
        """Wait for all proposals; returns the children that beat their parents."""
        children: list[Passed] = []
        for lesson in generation.lessons:
            assert lesson.taught is not None
            parent = self._wait(lesson.taught)
            self._budget.settle(lesson.promise)
            for proposal in lesson.proposals:
                child = self._take_proposal(proposal, parent) if parent and proposal.outcome else None
                if child:
                    children.append(child)
                    self._fruitless = 0
                else:
                    self._fruitless += 1
                self._budget.settle(proposal.promise)  # where nothing was judged
        self._budget.release(generation.race)  # it begins now
        return children

    def _take_proposal(self, proposal: Proposal, parent: Judged) -> Passed | None:
        assert proposal.outcome is not None
        outcome = self._wait(proposal.outcome)
        self._budget.settle(proposal.promise)
        if outcome is None:
            return None
        if isinstance(outcome, Refusal):
            self._study.refuse(outcome, origin_of(proposal, parent, None))
            return None
        is_better = bool(paired_gains(outcome.scores, parent.scores).sum() > 0.0)
        origin = origin_of(proposal, parent, outcome)
        self._study.record(outcome, {**origin, "passed": is_better}, is_full=False, split="train")
        return Passed(proposal, outcome.program, origin) if is_better else None

    # --- racing ---

    def _pack(self, children: Sequence[Passed]) -> None:
        self._packs += [list(children[at : at + MAX_PACK]) for at in range(0, len(children), MAX_PACK)]

    def _race(self) -> None:
        """Race the packs that are there; the one that leads goes on, the others come back."""
        if not self._population.members:
            self._packs.clear()
            return
        order = np.random.default_rng([self._study.seed, 4, self._num_races]).permutation(len(self._validation))
        self._num_races += 1
        candidates = self._candidates([int(place) for place in order])
        first = [self._validation[place] for place in order[: self._first_stage]]
        started = [self._threads.submit(self._judge, one.program, first, one.promise) for one in candidates]
        self._take_leading()
        best = self._population.best.scores
        ranked: list[Candidate] = []
        for candidate, judging in zip(candidates, started, strict=True):
            judged = self._wait(judging)
            self._budget.settle(candidate.promise)
            if judged:
                candidate.add(judged)
                rival = [best[place] for place in candidate.order[: len(first)]]
                candidate.chance = chance_to_win(candidate.scores, rival, len(self._validation))
                ranked.append(candidate)
        ranked.sort(key=lambda candidate: -candidate.chance)
        num_rest = len(self._validation) - len(first)
        for candidate in ranked:
            if self._leading is None and candidate.chance >= DROP_BELOW and self._budget.calls_left >= num_rest:
                rest = [self._validation[place] for place in candidate.order[len(first) :]]
                candidate.promise = self._budget.promise(num_rest)
                candidate.rest = self._threads.submit(self._judge, candidate.program, rest, candidate.promise)
                self._leading = candidate
                continue
            self._record(candidate)
            if candidate.chance >= DROP_BELOW:
                self._packs.insert(0, candidate.children)
            else:
                self._study.calls_saved += num_rest
                self._fruitless += len(candidate.children)
                self._packs += _halves(candidate.children)

    def _candidates(self, order: list[int]) -> list[Candidate]:
        """Programs of the packs, as many as are raced at once and can be judged to the end."""
        base = self._leading.program if self._leading else self._population.best.program
        candidates: list[Candidate] = []
        num_rest = len(self._validation) - self._first_stage
        packs, self._packs = deque(self._packs), []
        num_all = self._first_stage + num_rest
        while packs and len(candidates) < MAX_CANDIDATES and self._budget.calls_left >= num_all:
            program, fitting, others = self._put_together(packs.popleft(), base)
            if others:
                packs.append(others)
            if program.digest in self._tried:  # the same lines from fewer children
                packs.extendleft(reversed(_halves(fitting)))
            else:
                self._tried.add(program.digest)
                promise = self._budget.promise(self._first_stage)
                candidates.append(Candidate(program, base, fitting, order, promise))
        if candidates:  # else no budget is left for them
            self._packs = list(packs)
        return candidates

    def _put_together(self, pack: Sequence[Passed], base: Program) -> tuple[Program, list[Passed], list[Passed]]:
        """The base with the children's changes, whose changes they are, and the children that do not fit in.

        A child whose changes do not even fit to the base races as it is.
        """
        program, fitting, others = base, list[Passed](), list[Passed]()
        for child in pack:
            merged = merge_sections(child.parent.sections, program.sections, child.program.sections)
            joined = program.with_sections(merged) if merged is not None else None
            if joined is None or self._guard.refusal(joined.instruction):  # together they may be too long
                others.append(child)
            else:
                program = joined
                fitting.append(child)
        if not fitting:
            return others[0].program, others[:1], others[1:]
        return program, fitting, others

    def _take_leading(self) -> None:
        """Take in the leading candidate with all of its scores."""
        leading, self._leading = self._leading, None
        if leading is None:
            return
        assert leading.rest is not None
        judged = self._wait(leading.rest)
        self._budget.settle(leading.promise)
        if judged:
            leading.add(judged)
            member = Member(leading.program, leading.scores_in_place())
            if member.mean > self._population.best.mean:
                self._fruitless = 0
            self._population.members.append(member)
        self._record(leading)

    def _record(self, candidate: Candidate) -> None:
        judged = [self._validation[place] for place in candidate.order[: len(candidate.judgments)]]
        is_full = len(judged) == len(self._validation)
        self._study.record(
            Judged(candidate.program, judged, candidate.judgments, candidate.scores), candidate.origin, is_full=is_full
        )


def _halves(children: list[Passed]) -> list[list[Passed]]:
    """A pack that lost, in two parts that are tried apart; a single child has had its try."""
    middle = len(children) // 2
    return [children[:middle], children[middle:]] if middle else []
