"""MIPROv2: searches instructions and demonstrations jointly; the one that repairs a weak model's format.

The three stages are those of DSPy's (arXiv 2406.11695): demonstration sets from training examples (`bootstrap`),
instructions by the reflection model (`instructions`), and Optuna's TPE over pairs of the two (`trials`). The first two
and the baseline's measurement go on at once, and so do several trials. An unreadable reply scores 0 for its example
only, an unreadable proposal is refused alone, and an outage raises instead of scoring a candidate.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from judge_serve.judging.program import Demonstration, Program
from judge_serve.judging.task import Example
from optimize_workers.evaluation.budget import BudgetExceededError
from optimize_workers.guardrails import Refusal
from optimize_workers.optimizers.judging_once import JudgingOnce, Started
from optimize_workers.optimizers.mipro.bootstrap import Bootstrap, with_demonstrations
from optimize_workers.optimizers.mipro.instructions import MAX_BATCHES, Proposed, fixed_variants, propose_instructions
from optimize_workers.optimizers.mipro.trials import AHEAD, FULL_EVALUATION_STEP, JointSearch, SearchSize
from optimize_workers.study import Judged, Study, StudyResult

logger = logging.getLogger(__name__)

MINIBATCH = 35  # DSPy's
VALIDATION_SHARE = 6  # the budget is worth at least this many full evaluations
BOOTSTRAPPING_SHARE = 12  # at most this part of the budget goes to teachers
MAX_DEMONSTRATIONS = 6
TRIALS_PER_CHOICE = 2  # at most
WHOLE_INSTRUCTION = "instruction"  # section that holds an instruction proposed as one text
_SIZES = ((0, 6, 4), (600, 6, 6), (2_000, 8, 8))  # from this budget on: sets, instructions
T = TypeVar("T")


class MiproPlan(NamedTuple):
    """How a budget is spent.

    Attributes:
        num_validation: examples of a full evaluation.
        minibatch: examples of a trial.
        num_trials: at most; the budget may end before.
        num_sets: demonstration sets, the program's own included.
        num_instructions: instructions, the program's own included.
        max_demonstrations: of a set.
        max_bootstrapping: judge calls for the demonstrations' reasons.
    """

    num_validation: int
    minibatch: int
    num_trials: int
    num_sets: int
    num_instructions: int
    max_demonstrations: int = MAX_DEMONSTRATIONS
    max_bootstrapping: int = 12

    @property
    def worst_case(self) -> int:
        """Judge calls up to the last trial, if none could use what another one asked; races take what is left then."""
        num_full = -(-self.num_trials // FULL_EVALUATION_STEP)
        return self.max_bootstrapping + self.num_validation * (1 + num_full) + self.minibatch * self.num_trials


def plan_budget(budget: int, num_val: int) -> MiproPlan:
    """The plan for a budget of judge calls and so many validation examples."""
    num_validation = min(num_val, max(4, budget // VALIDATION_SHARE))
    num_sets, num_instructions = next(sizes for least, *sizes in reversed(_SIZES) if budget >= least)
    return MiproPlan(
        num_validation=num_validation,
        minibatch=max(2, min(MINIBATCH, num_validation, num_validation // 3 + 1)),
        num_trials=TRIALS_PER_CHOICE * num_sets * num_instructions,
        num_sets=num_sets,
        num_instructions=num_instructions,
        max_bootstrapping=budget // BOOTSTRAPPING_SHARE,
    )


@dataclass(frozen=True)
class MiproOptimizer:
    """Joint search over instructions and demonstrations.

    Attributes:
        plan: how the budget is spent; by default as `plan_budget` says.
        ahead: trials under way at once; 1 chooses each trial knowing all before it, as DSPy does, and so does a search
            under a limit of tokens or dollars.
    """

    plan: MiproPlan | None = None
    ahead: int = AHEAD

    def run(self, study: Study) -> StudyResult:
        """See `Optimizer.run`."""
        plan = self.plan or plan_budget(study.budget.left, len(study.data.val))
        # what is refused for want of tokens depends on what was settled by then, so then all goes in one line
        ahead = 1 if study.budget.has_token_limits else self.ahead
        threads = ThreadPoolExecutor(2 + plan.num_sets + 2 * ahead, thread_name_prefix="mipro")
        try:
            _Search(study, plan, ahead, threads).run()
        finally:
            threads.shutdown(wait=False, cancel_futures=True)
            study.budget.settle_all()
        return study.result()


class _Search:
    def __init__(self, study: Study, plan: MiproPlan, ahead: int, threads: ThreadPoolExecutor) -> None:
        self._study = study
        self._plan = plan
        self._ahead = ahead
        self._threads = threads
        self._judging = JudgingOnce(study, threads)
        self._is_over = False

    def run(self) -> None:
        """All stages."""
        study, plan = self._study, self._plan
        in_line = study.budget.has_token_limits
        validation = study.validation_examples(plan.num_validation)
        num_calls = study.budget.left
        if num_calls < len(validation):
            return
        baseline = self._judging.start(study.judge.program, validation)
        measured = self._measure(baseline) if in_line else None
        if self._is_over:
            return
        bootstrapping = Bootstrap(
            study,
            self._judging,
            num_sets=plan.num_sets - 1,
            most=plan.max_demonstrations,
            max_calls=min(plan.max_bootstrapping, num_calls - len(validation)),
            in_line=in_line,
        )
        proposing = None if in_line else self._threads.submit(self._propose, bootstrapping.shown)
        measured = measured or self._measure(baseline)
        if measured is None:
            return
        sets = self._wait(bootstrapping.sets) or []
        if not sets:
            logger.warning("no demonstrations: no training example has a reason that can be shown; add explanations")
        study.on_stage("demonstrations")
        propose = proposing.result if proposing else lambda: self._propose(bootstrapping.shown)
        programs = self._programs(self._instructions(self._wait(propose) or []), sets)
        study.on_stage("instructions")
        if not self._is_over:
            num_trials = min(plan.num_trials, TRIALS_PER_CHOICE * len(programs) * len(programs[0]))
            search = JointSearch(
                study,
                programs,
                validation,
                SearchSize(plan.minibatch, num_trials, self._ahead),
                self._judging,
                lambda started: self._wait(started.wait),
            )
            search.run(measured)
        study.on_stage("trials")

    def _measure(self, baseline: Started) -> Judged | None:
        """Wait for the baseline and record it."""
        measured = self._wait(baseline.wait)
        if measured is not None:
            self._study.record(measured, {"optimizer": "mipro"}, is_full=True)
        return measured

    def _propose(self, shown: Sequence[Sequence[Example]]) -> list[Proposed]:
        """Instructions by the reflection model; in a thread where nothing has to wait for anything."""
        num_proposals = self._plan.num_instructions - 1
        if not self._study.can_propose or not num_proposals:
            return []
        at_once = 1 if self._study.budget.has_token_limits else max(MAX_BATCHES, num_proposals)
        with ThreadPoolExecutor(at_once, thread_name_prefix="mipro-proposing") as threads:
            return propose_instructions(self._study, shown, num_proposals, threads)

    def _instructions(self, proposed: Sequence[Proposed]) -> list[Program]:
        """The baseline without sets, then what the guardrails let through; fixed variants where nothing is left."""
        study, baseline = self._study, self._study.judge.program
        texts: dict[str, None] = {}
        for number, text in proposed:
            refusal = text if isinstance(text, Refusal) else study.guard.explain(text, baseline.instruction)
            if refusal is not None:
                study.refuse(refusal, {"optimizer": "mipro", "proposal": number})
            else:
                texts[str(text)] = None
        if texts:
            return [baseline, *(baseline.with_sections({WHOLE_INSTRUCTION: text}) for text in texts)]
        return [baseline, *fixed_variants(study)[: self._plan.num_instructions - 1]]

    def _programs(
        self, instructions: Sequence[Program], sets: Sequence[tuple[Demonstration, ...]]
    ) -> list[list[Program]]:
        """Candidates by instruction and demonstration set; the baseline's own set first, each set once."""
        own = self._study.judge.program.demonstrations
        return [
            [with_demonstrations(program, shown) for shown in dict.fromkeys([own, *sets])] for program in instructions
        ]

    def _wait(self, result: Callable[[], T]) -> T | None:
        """What comes back; None where tokens or dollars ran out: then what is under way is finished, nothing begun."""
        try:
            return result()
        except BudgetExceededError:
            if not self._study.budget.has_token_limits:
                raise  # judge calls are counted before they are started
            self._is_over = True
            return None
