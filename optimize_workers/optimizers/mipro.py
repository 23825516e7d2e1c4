"""MIPROv2: searches instructions and demonstrations jointly; the one that repairs a weak model's format.

The three stages are those of DSPy's (arXiv 2406.11695), on the evaluation plane: demonstration sets from training
examples (`bootstrapping`), instructions by the reflection model (`proposing`), and Optuna's TPE over pairs of the two
(`joint_search`). The first two and the baseline's measurement go on at once, and so do several trials. An unreadable
reply scores 0 for its example only, an unreadable proposal is refused alone, and an outage raises instead of scoring
a candidate.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from judge_serve.judging.program import Program
from optimize_workers.budget import BudgetExceededError
from optimize_workers.guardrails import Refusal
from optimize_workers.optimizers.bootstrapping import Bootstrapping, DemonstrationSet, with_demonstrations
from optimize_workers.optimizers.joint_search import AHEAD, FULL_EVALUATION_STEP, JointSearch, SearchSize
from optimize_workers.optimizers.judging_once import JudgingOnce
from optimize_workers.optimizers.proposing import MAX_BATCHES, Proposed, fixed_variants, propose_instructions
from optimize_workers.study import Study, StudyResult

MINIBATCH = 35  # DSPy's
VALIDATION_SHARE = 6  # the budget is worth at least this many full evaluations
BOOTSTRAPPING_SHARE = 12  # at most this part of the budget goes to teachers
MAX_DEMONSTRATIONS = 6
TRIALS_PER_CHOICE = 2  # at most, on average
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
        """Judge calls of all trials, if none of them could use what another one asked."""
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
        ahead: trials under way at once; 1 chooses each trial knowing all before it, as DSPy does.
    """

    plan: MiproPlan | None = None
    ahead: int = AHEAD

    def run(self, study: Study) -> StudyResult:
        """See `Optimizer.run`."""
        plan = self.plan or plan_budget(study.budget.left, len(study.data.val))
        threads = ThreadPoolExecutor(
            1 + MAX_BATCHES + plan.num_instructions + plan.num_sets + 2 * self.ahead, thread_name_prefix="mipro"
        )
        try:
            _Search(study, plan, self.ahead, threads).run()
        finally:
            threads.shutdown(wait=False, cancel_futures=True)
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
        validation = study.validation_examples(plan.num_validation)
        num_calls = study.budget.left
        baseline = self._judging.start(study.judge.program, validation)
        if study.budget.has_token_limits:  # nothing can win that is not held against the baseline
            self._wait(baseline.wait)
        bootstrapping = Bootstrapping(
            study,
            self._judging,
            num_sets=plan.num_sets - 1,
            most=plan.max_demonstrations,
            max_calls=min(plan.max_bootstrapping, num_calls - len(validation)),
        )
        proposing = self._threads.submit(self._propose, bootstrapping)
        measured = self._wait(baseline.wait)
        if measured is None:
            return
        spent = len(validation)
        study.record(
            study.judge.program,
            validation,
            measured.judgments,
            is_full=True,
            origin={"optimizer": "mipro"},
            calls=spent,
        )
        sets = self._wait(lambda: bootstrapping.sets(spent)) or []
        study.on_stage("demonstrations")
        instructions = self._instructions(self._wait(proposing.result) or [])
        study.on_stage("instructions")
        if not self._is_over:
            spent += bootstrapping.num_calls
            search = JointSearch(
                study,
                self._programs(instructions, sets),
                validation,
                SearchSize(plan.minibatch, plan.num_trials, self._ahead),
                self._judging,
                lambda judging: self._wait(judging.wait),
                spent=spent,
                left=num_calls - spent,
            )
            search.run(measured)
        study.on_stage("trials")

    def _propose(self, bootstrapping: Bootstrapping) -> list[Proposed]:
        """In a thread: instructions by the reflection model."""
        num_proposals = self._plan.num_instructions - 1
        if not self._study.can_propose or not num_proposals:
            return []
        return propose_instructions(self._study, bootstrapping.shown, num_proposals, self._threads)

    def _instructions(self, proposed: list[Proposed]) -> list[str]:
        """The baseline's, then what the guardrails let through; fixed variants where nothing is left."""
        study = self._study
        baseline = study.judge.program.instruction
        kept = [baseline]
        for number, text in proposed:
            refusal = text if isinstance(text, Refusal) else study.guard.explain(text, baseline)
            if refusal is not None:
                study.refuse(refusal, {"optimizer": "mipro", "proposal": number})
            elif text not in kept:
                kept.append(str(text))
        if len(kept) == 1:  # the reflection model is too weak to write any
            kept += fixed_variants(study)[: self._plan.num_instructions - 1]
        return kept

    def _programs(self, instructions: list[str], sets: list[DemonstrationSet]) -> list[list[Program]]:
        """Candidates by instruction and demonstration set, the baseline's own first."""
        baseline = self._study.judge.program
        rows = []
        for text in instructions:
            own = baseline if text == baseline.instruction else baseline.with_sections({WHOLE_INSTRUCTION: text})
            rows.append([own, *(with_demonstrations(own, one.demonstrations) for one in sets)])
        return rows

    def _wait(self, result: Callable[[], T]) -> T | None:
        """What comes back; None where tokens or dollars ran out: then what is under way is finished, nothing begun."""
        try:
            return result()
        except BudgetExceededError:
            self._is_over = True
            return None
