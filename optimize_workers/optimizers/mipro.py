"""MIPROv2: searches instructions and demonstrations jointly; the one that repairs a weak model's format.

DSPy's `MIPROv2` conducts the three stages. Stage 1 draws demonstrations from human labels of the training split,
stage 2 is DSPy's grounded proposer (fixed honest variants where the proposing model is too weak), stage 3 is
Optuna's TPE over waves of our evaluation plane: an unreadable reply scores 0 for its example only, and an outage
raises instead of scoring a candidate.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

import dspy
import numpy as np
import optuna
from dspy.teleprompt import MIPROv2
from dspy.utils.exceptions import AdapterParseError, LMUnexpectedError

from judge_serve.judging.errors import EngineError
from optimize_workers.budget import BudgetExceededError
from optimize_workers.demonstrations import draw_demonstration_sets
from optimize_workers.dspy_bridge import (
    reflection_lm,
    to_dspy_demonstrations,
    to_dspy_examples,
    to_program,
    to_student,
)
from optimize_workers.guardrails import Refusal
from optimize_workers.study import Study, StudyResult, Trial

logger = logging.getLogger(__name__)

DEMONSTRATION_SIZES = (4, 3, 5, 4, 2, 6)
NUM_DEMONSTRATION_SETS = 8
NUM_INSTRUCTIONS = 4
FULL_EVALUATION_STEP = 4  # trials between two full evaluations
_VARIANTS = (
    "Write the JSON object on one line: start with an opening brace, end with a closing brace.",
    "Keep the explanation short: one sentence of at most fifteen words.",
    "First decide what the person who typed the query needs, then check whether the document gives it.",
)


class MiproPlan(NamedTuple):
    """How a budget is spent: `num_validation` x (1 + `num_full`) + `num_trials` x `minibatch` judge calls at most."""

    num_validation: int
    minibatch: int
    num_trials: int
    num_full: int

    @property
    def worst_case(self) -> int:
        """Judge calls if everything planned is done."""
        return self.num_validation * (1 + self.num_full) + self.minibatch * self.num_trials


def plan_budget(budget: int, num_val: int) -> MiproPlan:
    """The largest plan within a budget, baseline evaluation included."""
    num_validation = min(num_val, max(4, budget // 6))
    minibatch = max(2, min(num_validation, num_validation // 3 + 1))
    num_trials = 1
    while True:
        more = num_trials + 1
        num_full = -(-more // FULL_EVALUATION_STEP)
        if MiproPlan(num_validation, minibatch, more, num_full).worst_case > budget:
            break
        num_trials = more
    return MiproPlan(num_validation, minibatch, num_trials, -(-num_trials // FULL_EVALUATION_STEP))


class MiproOptimizer:
    """Joint search over instructions and demonstrations."""

    def run(self, study: Study) -> StudyResult:
        """See `Optimizer.run`."""
        reflect = _OutageRecorder(study.reflect)
        search = _PooledMIPROv2(study, reflection_lm(reflect), reflect)
        logging.getLogger("dspy").setLevel(logging.WARNING)
        with suppress(BudgetExceededError):  # tokens and dollars may end before the planned calls
            search.compile(
                to_student(study.judge.task, study.judge.program),
                trainset=to_dspy_examples(study.data.train),
                valset=to_dspy_examples(study.data.val),
                num_trials=search.plan.num_trials,
                minibatch=False,
                seed=study.seed + 1,  # MIPROv2 takes 0 for "not given"
            )
        return study.result()


class _OutageRecorder:
    """Remembers why the reflection model gave no answer, which DSPy's proposer would swallow."""

    def __init__(self, reflect: Callable[[str], str]) -> None:
        self._reflect = reflect
        self.outage: EngineError | BudgetExceededError | None = None

    def __call__(self, prompt: str) -> str:
        try:
            return self._reflect(prompt)
        except (EngineError, BudgetExceededError) as error:
            self.outage = error
            raise


class _PooledMIPROv2(MIPROv2):
    """DSPy's MIPROv2 with demonstrations from human labels and trials on the evaluation plane."""

    def __init__(self, study: Study, lm: dspy.LM, reflect: _OutageRecorder) -> None:
        super().__init__(
            metric=_never_called, prompt_model=lm, task_model=lm, auto=None, num_candidates=NUM_INSTRUCTIONS
        )
        self._study = study
        self._reflect = reflect
        self.plan = plan_budget(study.budget.left, len(study.data.val))

    def _bootstrap_fewshot_examples(self, program: Any, trainset: list[Any], seed: int, teacher: Any, **_: Any) -> Any:
        study = self._study
        sets = draw_demonstration_sets(
            study.data.train,
            study.judge.task.scale,
            num_sets=NUM_DEMONSTRATION_SETS,
            sizes=DEMONSTRATION_SIZES,
            seed=study.seed,
        )
        own = study.judge.program.demonstrations
        return {0: [to_dspy_demonstrations(shown) for shown in [own, *sets]]}

    def _propose_instructions(self, program: Any, trainset: list[Any], *args: Any, **kwargs: Any) -> Any:
        study = self._study
        baseline = study.judge.program.instruction
        if study.can_propose:
            try:
                proposed = super()._propose_instructions(program, trainset, *args, **kwargs)[0][1:]
            except AdapterParseError:  # one unreadable proposal ends DSPy's proposer
                proposed = []
                study.refuse(Refusal("unreadable", "DSPy could not read a proposal"), {"optimizer": "mipro"})
            except LMUnexpectedError:
                if self._reflect.outage is None:
                    raise
            if self._reflect.outage is not None:
                raise self._reflect.outage
        else:
            logger.info("the reflection model is too weak to write instructions, using fixed variants of the baseline")
            proposed = [f"{baseline}\n\n{variant}" for variant in _VARIANTS]
        kept = [baseline]
        for text in proposed:
            refusal = study.guard.explain(text, baseline)
            if refusal is not None:
                study.refuse(refusal, {"optimizer": "mipro"})
            elif text not in kept:
                kept.append(text)
        return {0: kept}

    def _optimize_prompt_parameters(
        self, program: Any, instruction_candidates: Any, demo_candidates: Any, *_: Any
    ) -> Any:
        study, plan = self._study, self.plan
        instructions, demonstrations = instruction_candidates[0], (demo_candidates or {0: [[]]})[0]
        validation = study.validation_examples(plan.num_validation)
        space = {
            "0_predictor_instruction": optuna.distributions.CategoricalDistribution(range(len(instructions))),
            "0_predictor_demos": optuna.distributions.CategoricalDistribution(range(len(demonstrations))),
        }
        baseline = study.try_program(study.judge.program, validation, is_full=True, origin={"optimizer": "mipro"})
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.TPESampler(seed=self._study.seed + 1, multivariate=True)
        search = optuna.create_study(direction="maximize", sampler=sampler)
        default = dict.fromkeys(space, 0)
        search.add_trial(optuna.trial.create_trial(params=default, distributions=space, value=baseline.score))
        tried: dict[tuple[int, int], list[Trial]] = defaultdict(list)
        fully_tried = {(0, 0)}
        for number in range(1, plan.num_trials + 1):
            asked = search.ask(space)
            choice = (asked.params["0_predictor_instruction"], asked.params["0_predictor_demos"])
            candidate = to_program(study.judge.program, instructions[choice[0]], demonstrations[choice[1]])
            drawn = np.random.default_rng([study.seed, 3, number]).permutation(len(validation))[: plan.minibatch]
            origin = {"optimizer": "mipro", "instruction": choice[0], "demonstrations": choice[1]}
            trial = study.try_program(candidate, [validation[i] for i in sorted(drawn)], is_full=False, origin=origin)
            search.tell(asked, trial.score)
            tried[choice].append(trial)
            if number % FULL_EVALUATION_STEP == 0 or number == plan.num_trials:
                self._evaluate_best_fully(tried, fully_tried, validation, search, space)
        return program

    def _evaluate_best_fully(
        self, tried: Any, fully_tried: set[tuple[int, int]], validation: Any, search: Any, space: Any
    ) -> None:
        means = {
            choice: float(np.mean([trial.score for trial in trials]))
            for choice, trials in tried.items()
            if choice not in fully_tried
        }
        if not means:
            return
        best = max(means, key=lambda choice: means[choice])
        fully_tried.add(best)
        first = tried[best][0]
        trial = self._study.try_program(first.program, validation, is_full=True, origin=first.origin)
        params = {"0_predictor_instruction": best[0], "0_predictor_demos": best[1]}
        search.add_trial(optuna.trial.create_trial(params=params, distributions=space, value=trial.score))


def _never_called(*_: Any) -> float:
    raise AssertionError("trials are scored by the evaluation plane, not by a DSPy metric")
