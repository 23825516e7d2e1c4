"""A study: one optimizer's search under a budget, and what every optimizer receives and returns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from judge_serve.judging.errors import RefusedInputError
from judge_serve.judging.judge import Judge
from judge_serve.judging.judge_call import calls_of
from judge_serve.judging.judgment import Judgment
from judge_serve.judging.program import Program
from judge_serve.judging.task import Example
from optimize_workers.dataset.splits import OptimizationData
from optimize_workers.evaluation.budget import Budget, Promise
from optimize_workers.evaluation.budgeted import Budgeted
from optimize_workers.guardrails import Guardrails, Refusal
from optimize_workers.library.bullets import Bullet
from optimize_workers.library.selection import Selection
from optimize_workers.statistics.judged_pairs import mean_score
from optimize_workers.statistics.metrics import example_score

MIN_BUDGET = 24
MIN_VALIDATION = 4
MIN_VALIDITY = 0.9  # under it a candidate cannot win; below the gate's, which looks at more examples


class Judged(NamedTuple):
    """A program judged on some examples: judgments and scores in [0, 1], in the order of the examples.

    The score is NaN where an example was not judged: it has no say then, see `statistics.judged_pairs`.
    """

    program: Program
    examples: Sequence[Example]
    judgments: Sequence[Judgment]
    scores: Sequence[float]


@dataclass(frozen=True)
class Trial:
    """One evaluation of a candidate: mean score and validity, both in [0, 1], over n judged examples of a split.

    `calls` are the judge calls of the study up to it, of all that was decided upon. `scores` are those of the
    `examples`, NaN where one was not judged; in memory only, where the trial is full.
    """

    number: int
    program: Program
    score: float
    validity: float
    n: int
    is_full: bool
    origin: dict[str, Any] = field(default_factory=dict)
    split: str = "val"
    calls: int = 0
    scores: tuple[float, ...] = field(default=(), repr=False)
    examples: tuple[Example, ...] = field(default=(), repr=False)
    not_judged: int = 0

    def as_dict(self) -> dict[str, Any]:
        """One line of `candidates.jsonl`."""
        return {
            "trial": self.number,
            "candidate": self.program.digest,
            "score": self.score,
            "nmse": 100.0 * (1.0 - self.score),
            "validity": self.validity,
            "n": self.n,
            **({"not_judged": self.not_judged} if self.not_judged else {}),
            "split": self.split,
            "calls": self.calls,
            "is_full": self.is_full,
            "origin": self.origin,
            "program": self.program.model_dump(mode="json"),
        }


@dataclass(frozen=True)
class StudyResult:
    """What a search came to.

    Attributes:
        winner: the best program on the validation examples, of those that are readable enough to win.
        trials: all of them, in order.
        refusals: refused proposals by reason.
        calls_saved: judge calls that racing did without.
        under_floor: the best trial of a program that is better than the winner, but not readable enough to win.
        selection: the steps of a search that only chooses bullets.
    """

    winner: Program
    trials: tuple[Trial, ...]
    refusals: dict[str, int]
    calls_saved: int = 0
    under_floor: Trial | None = None
    selection: Selection | None = None


@dataclass
class Study:
    """What an optimizer works with.

    Attributes:
        judge: the baseline judge; only its program may change.
        judging: carries out judge calls, within the budget.
        reflect: completes a prompt with the reflection model, or says why its reply holds no text.
        can_propose: whether the reflection model is able to write instructions.
        bullets: what a search that only chooses bullets chooses from.
        on_trial: told about every trial, for progress and `candidates.jsonl`.
        on_refusal: told about every refused proposal, for `candidates.jsonl`.
        on_stage: told the name of a stage that was completed.
        journal: file for the optimizer's own record of its choices; None keeps it in memory.
        trials, refusals: what came of the search so far; refusals counted by reason.
        calls_saved: judge calls that racing did without.
    """

    judge: Judge
    data: OptimizationData
    judging: Budgeted
    seed: int
    reflect: Callable[[str], str | Refusal]
    can_propose: bool = True
    bullets: Sequence[Bullet] = ()
    on_trial: Callable[[Trial], None] = lambda trial: None
    on_refusal: Callable[[dict[str, Any]], None] = lambda refusal: None
    on_stage: Callable[[str], None] = lambda stage: None
    journal: Path | None = None
    trials: list[Trial] = field(default_factory=list)
    refusals: Counter[str] = field(default_factory=Counter)
    calls_saved: int = 0

    @property
    def budget(self) -> Budget:
        """What the search may spend."""
        return self.judging.budget

    @cached_property
    def guard(self) -> Guardrails:
        """What refuses proposed texts, before any judge call is spent on them and again before a release."""
        task = self.judge.task
        examples = [*self.data.train, *self.data.val]
        return Guardrails(task.scale, self.judge.program.instruction, examples, own_texts=[task.description])

    def validation_examples(self, most: int) -> tuple[Example, ...]:
        """At most `most` validation examples, drawn by the seed."""
        val = self.data.val
        if len(val) <= most:
            return val
        chosen = np.random.default_rng([self.seed, 1]).permutation(len(val))[:most]
        return tuple(val[i] for i in sorted(chosen))

    def judge_program(
        self, program: Program, examples: Sequence[Example], promise: Promise | None = None
    ) -> list[Judgment]:
        """Judge a program on examples, once each; the calls are drawn from a promise where there is one.

        Raises: as `Budgeted.judge`.
        """
        judge = self.judge.model_copy(update={"program": program})
        return self.judging.judge(calls_of(judge, examples), promise=promise)

    def scored(self, program: Program, examples: Sequence[Example], judgments: Sequence[Judgment]) -> Judged:
        """Judgments of a program on examples with their scores."""
        scale = self.judge.task.scale
        scores = [example_score(j, e, scale) for j, e in zip(judgments, examples, strict=True)]
        return Judged(program, examples, judgments, scores)

    def record(self, judged: Judged, origin: dict[str, Any], *, is_full: bool, split: str = "val") -> Trial:
        """Record what was judged as a trial of a split, after all judge calls that are settled."""
        is_valid = [judgment.is_valid for judgment in judged.judgments if judgment.is_judged]
        trial = Trial(
            number=len(self.trials),
            program=judged.program,
            score=mean_score(judged.scores),
            validity=float(np.mean(is_valid)) if is_valid else 0.0,
            n=len(is_valid),
            is_full=is_full,
            origin=origin,
            split=split,
            calls=self.budget.used,
            scores=tuple(judged.scores) if is_full else (),
            examples=tuple(judged.examples) if is_full else (),
            not_judged=len(judged.judgments) - len(is_valid),
        )
        self.trials.append(trial)
        self.on_trial(trial)
        return trial

    def refuse(self, refusal: Refusal, origin: dict[str, Any]) -> None:
        """Count and note a proposal that was refused before any judge call was spent on it."""
        self.refusals[refusal.reason] += 1
        self.on_refusal({"refused": refusal.reason, "detail": refusal.detail, "origin": origin})

    def result(self) -> StudyResult:
        """What the search came to; the earliest of equals wins, so that the baseline wins a tie.

        A candidate under `MIN_VALIDITY` cannot win, the baseline may stay with any validity. Where a full trial lacks
        an example that was not judged, all are ranked by the others: a hard example less must win nothing.
        """
        full = [trial for trial in self.trials if trial.is_full]
        able = able_trials(full, self.judge.program)
        rank = _ranking(full)
        best = max(full, key=rank, default=None)
        winner = max(able, key=rank, default=None)
        return StudyResult(
            winner=winner.program if winner else self.judge.program,
            trials=tuple(self.trials),
            refusals=dict(self.refusals),
            calls_saved=self.calls_saved,
            under_floor=best if best is not winner else None,
        )


def able_trials(trials: Sequence[Trial], baseline: Program) -> list[Trial]:
    """The full trials that may win: of the baseline, and of what is readable enough."""
    own = baseline.digest
    return [
        trial for trial in trials if trial.is_full and (trial.validity >= MIN_VALIDITY or trial.program.digest == own)
    ]


def _ranking(trials: Sequence[Trial]) -> Callable[[Trial], tuple[float, int]]:
    """How trials compare: by the score on the examples that all of them were judged on, then by age."""
    missing = {
        example
        for trial in trials
        for example, score in zip(trial.examples, trial.scores, strict=True)
        if np.isnan(score)
    }

    def rank(trial: Trial) -> tuple[float, int]:
        if not missing:
            return trial.score, -trial.number
        pairs = zip(trial.examples, trial.scores, strict=True)
        return mean_score([score for example, score in pairs if example not in missing]), -trial.number

    return rank


class Optimizer(Protocol):
    """A search: spends the study's budget and returns its best program."""

    def run(self, study: Study) -> StudyResult:
        """Search until the budget is spent.

        Raises:
            EngineError: the engine failed; nothing was scored by the outage.
        """
        ...


def check_study(data: OptimizationData, budget: int) -> None:
    """Raise RefusedInputError if the data or the budget cannot carry a search."""
    if budget < MIN_BUDGET:
        raise RefusedInputError(f"--budget {budget} is too small, a search needs at least {MIN_BUDGET} judge calls")
    if not data.train or len(data.val) < MIN_VALIDATION:
        raise RefusedInputError(
            f"optimizing needs train rows and at least {MIN_VALIDATION} val rows, "
            f"found {len(data.train)} and {len(data.val)}; add rows or a 'split' column"
        )
