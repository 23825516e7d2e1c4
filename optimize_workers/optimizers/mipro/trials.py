"""The joint search of MIPROv2: Optuna's TPE chooses an instruction and a demonstration set for each trial.

Several trials are under way at once. They are asked for and told in one order, so that the order in which judgments
come back changes nothing; Optuna takes those under way for bad ones meanwhile (`constant_liar`) and does not choose
them again. With one at a time the trials are those of DSPy's stage 3.

Minibatches are drawn by the number of the trial. After every `FULL_EVALUATION_STEP` trials, and at the end, the choice
with the best mean that is not judged on all validation examples is; Optuna is told of that too. What is left of the
budget then goes to the choices that may still be the best, and of that Optuna hears nothing: whether a choice is
judged further depends on how it did so far, which would bias its model.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from judge_serve.judging.judgment import Judgment
from judge_serve.judging.program import Program
from judge_serve.judging.task import Example
from optimize_workers.optimizers.judging_once import JudgingOnce, Started
from optimize_workers.statistics.judged_pairs import mean_score
from optimize_workers.statistics.racing import DROP_BELOW, chance_to_win
from optimize_workers.study import MIN_VALIDITY, Judged, Study, Trial

FULL_EVALUATION_STEP = 5  # trials between two full evaluations
AHEAD = 6  # trials under way at once
RANDOM_TRIALS = 10  # known or under way before Optuna's model chooses
MAX_CANDIDATES = 3  # judged to the end together, after the last trial
_DIGITS = 6  # of a score that Optuna is told: equal programs are to have equal ones
_INSTRUCTION, _DEMONSTRATIONS = "0_predictor_instruction", "0_predictor_demos"  # DSPy's names

Wait = Callable[[Started], Judged | None]


class Choice(NamedTuple):
    """Places of an instruction and a demonstration set; (0, 0) is the baseline."""

    instruction: int
    demonstrations: int

    @property
    def params(self) -> dict[str, int]:
        """As Optuna knows it."""
        return {_INSTRUCTION: self.instruction, _DEMONSTRATIONS: self.demonstrations}


class SearchSize(NamedTuple):
    """How long a search is: examples of a minibatch, trials at most, trials under way at once."""

    minibatch: int
    max_trials: int
    ahead: int = AHEAD


@dataclass
class _Tried:
    """What is known of a choice: judgments and scores by place of the validation example, means of its trials.

    A score is NaN where the example was not judged.
    """

    program: Program
    judgments: dict[int, Judgment] = field(default_factory=dict)
    scores: dict[int, float] = field(default_factory=dict)
    means: list[float] = field(default_factory=list)

    @property
    def num_invalid(self) -> int:
        """Unreadable replies so far."""
        return sum(judgment.invalid_reason is not None for judgment in self.judgments.values())

    @property
    def mean(self) -> float:
        """Mean score of what was judged so far."""
        known = [score for score in self.scores.values() if not math.isnan(score)]
        return sum(known) / len(known) if known else 0.0


class _Attempt(NamedTuple):
    """A trial under way; `asked` is Optuna's, None for a full evaluation."""

    choice: Choice
    places: Sequence[int]
    started: Started
    asked: optuna.Trial | None


class JointSearch:
    """One search; `run` spends what is left.

    Args:
        study: records trials; its seed decides what is drawn.
        programs: the program of each choice.
        validation: examples that trials are judged on.
        size: minibatch, trials, width.
        judging: carries judge calls out.
        wait: waits for them; None where tokens or dollars have run out.
    """

    def __init__(
        self,
        study: Study,
        programs: Sequence[Sequence[Program]],
        validation: Sequence[Example],
        size: SearchSize,
        judging: JudgingOnce,
        wait: Wait,
    ) -> None:
        self._study = study
        self._programs = programs
        self._validation = validation
        self._size = size
        self._max_trials = size.max_trials if len(programs) * len(programs[0]) > 1 else 0  # else nothing to choose
        self._judging = judging
        self._wait = wait
        self._is_over = False  # tokens or dollars have run out
        self._max_invalid = int((1.0 - MIN_VALIDITY) * len(validation) + 1e-9)
        self._space = {
            _INSTRUCTION: optuna.distributions.CategoricalDistribution(range(len(programs))),
            _DEMONSTRATIONS: optuna.distributions.CategoricalDistribution(range(len(programs[0]))),
        }
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.TPESampler(
            seed=study.seed + 1,  # as DSPy's, for which 0 is "not given"
            multivariate=True,
            constant_liar=True,
            n_startup_trials=max(1, RANDOM_TRIALS - (size.ahead - 1)),
        )
        self._optuna = optuna.create_study(
            study_name="mipro", storage=_open_journal(study.journal), sampler=sampler, direction="maximize"
        )
        self._queue: deque[_Attempt] = deque()
        self._tried: dict[Choice, _Tried] = {}
        self._full: set[Choice] = set()  # judged on all validation examples, as a trial of its own
        self._num_asked = self._num_told = 0
        self._is_full_due = False  # trials were told since the last full evaluation

    def run(self, baseline: Judged) -> None:
        """Search, given the judgments of the baseline on all validation examples."""
        self._note(Choice(0, 0), range(len(self._validation)), baseline)
        self._full.add(Choice(0, 0))
        self._tell_full(Choice(0, 0), mean_score(baseline.scores))
        while True:
            while len(self._queue) < self._size.ahead and self._may_ask():
                self._ask()
            if not self._queue and not (self._is_full_due and self._start_full(is_last=True)):
                break
            self._take(self._queue.popleft())
        self._finish_candidates()

    # --- trials ---

    @property
    def _left(self) -> int:
        """Judge calls that may still be started."""
        return 0 if self._is_over else self._study.budget.calls_left

    def _may_ask(self) -> bool:
        """A trial may cost a minibatch, and a full evaluation must be left after it."""
        return self._num_asked < self._max_trials and self._left >= self._size.minibatch + len(self._validation)

    def _ask(self) -> None:
        self._num_asked += 1
        asked = self._optuna.ask(self._space)
        choice = Choice(asked.params[_INSTRUCTION], asked.params[_DEMONSTRATIONS])
        rng = np.random.default_rng([self._study.seed, 3, self._num_asked])
        places = sorted(map(int, rng.permutation(len(self._validation))[: self._size.minibatch]))
        self._start(choice, places, asked)

    def _start(self, choice: Choice, places: Sequence[int], asked: optuna.Trial | None) -> None:
        started = self._judging.start(self._program(choice), [self._validation[place] for place in places])
        self._queue.append(_Attempt(choice, places, started, asked))

    def _take(self, attempt: _Attempt) -> None:
        """Wait for a trial, record it, tell Optuna."""
        judged = self._wait(attempt.started)
        if judged is None:
            self._is_over = True
            if attempt.asked:
                self._optuna.tell(attempt.asked, state=optuna.trial.TrialState.FAIL)
            return
        self._note(attempt.choice, attempt.places, judged)
        trial = self._record(attempt, judged)
        if attempt.asked is None:
            self._tell_full(attempt.choice, trial.score)
            return
        self._optuna.tell(attempt.asked, round(trial.score, _DIGITS))
        self._tried[attempt.choice].means.append(trial.score)
        self._num_told += 1
        self._is_full_due = True
        if self._num_told % FULL_EVALUATION_STEP == 0:
            self._start_full(is_last=False)

    def _record(self, attempt: _Attempt, judged: Judged) -> Trial:
        if attempt.asked is None:
            self._full.add(attempt.choice)
        origin = {"optimizer": "mipro", **attempt.choice._asdict()}
        return self._study.record(judged, origin, is_full=attempt.asked is None)

    def _program(self, choice: Choice) -> Program:
        return self._programs[choice.instruction][choice.demonstrations]

    # --- full evaluations ---

    def _start_full(self, *, is_last: bool) -> bool:
        """Begin to judge the best choice on all validation examples that is not yet; False if there is none."""
        self._is_full_due = False
        under_way = {attempt.choice for attempt in self._queue if attempt.asked is None}
        open_choices = [choice for choice in self._open_choices() if choice not in under_way]
        if not open_choices:
            return False
        best = max(open_choices, key=lambda choice: float(np.mean(self._tried[choice].means)))  # the first of equals
        cost = self._judging.num_new(self._program(best), self._validation)
        if cost + (0 if is_last else len(self._validation)) > self._left:
            return False
        self._start(best, range(len(self._validation)), None)
        return True

    def _open_choices(self) -> list[Choice]:
        """Tried choices that are not judged in full, without those too unreadable to win, unless all are."""
        tried = [choice for choice in self._tried if choice not in self._full]
        return [choice for choice in tried if self._tried[choice].num_invalid <= self._max_invalid] or tried

    def _finish_candidates(self) -> None:
        """Race the choices that may still be the best: judge them to the end, the likeliest first."""
        while self._left:
            candidates = sorted(self._candidates(), key=lambda candidate: -candidate[0])
            for _, choice in candidates[:MAX_CANDIDATES]:
                if self._judging.num_new(self._program(choice), self._validation) <= self._left:
                    self._start(choice, range(len(self._validation)), None)
            if not self._queue:
                break
            while self._queue:
                attempt = self._queue.popleft()
                judged = self._wait(attempt.started)
                if judged is None:
                    self._is_over = True
                else:
                    self._note(attempt.choice, attempt.places, judged)
                    self._record(attempt, judged)
        if self._left:  # what is dropped could have been judged
            dropped = [self._tried[choice] for choice in self._open_choices() if self._chance(choice) < DROP_BELOW]
            self._study.calls_saved += sum(len(self._validation) - len(known.scores) for known in dropped)

    def _candidates(self) -> list[tuple[float, Choice]]:
        """Choices that may still win, with their chance to."""
        able = [choice for choice in self._open_choices() if self._tried[choice].num_invalid <= self._max_invalid]
        chances = [(self._chance(choice), choice) for choice in able]
        return [(chance, choice) for chance, choice in chances if chance >= DROP_BELOW]

    def _chance(self, choice: Choice) -> float:
        """A choice's chance to beat the best, held against it on the examples that both were judged on."""
        known, best = self._tried[choice].scores, self._tried[self._best()].scores
        return chance_to_win(list(known.values()), [best[place] for place in known], len(self._validation))

    def _best(self) -> Choice:
        """The best that could win today."""
        able = [
            choice
            for choice, known in self._tried.items()
            if choice in self._full and (known.num_invalid <= self._max_invalid or choice == (0, 0))
        ]
        return max(able, key=lambda choice: self._tried[choice].mean)

    # --- taking note ---

    def _note(self, choice: Choice, places: Sequence[int], judged: Judged) -> None:
        known = self._tried.setdefault(choice, _Tried(self._program(choice)))
        known.judgments |= dict(zip(places, judged.judgments, strict=True))
        known.scores |= dict(zip(places, judged.scores, strict=True))

    def _tell_full(self, choice: Choice, score: float) -> None:
        self._optuna.add_trial(
            optuna.trial.create_trial(params=choice.params, distributions=self._space, value=round(score, _DIGITS))
        )


def _open_journal(path: Path | None) -> Any:
    """A fresh journal: a resumed study makes all its choices anew, from recorded judgments."""
    if path is None:
        return None
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.with_name(path.name + ".lock").unlink(missing_ok=True)  # of a killed process
    return JournalStorage(JournalFileBackend(str(path)))
