"""Races on the validation examples: which of a few changes is accepted, by a paired test and within the floors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from judge_serve.judging.task import Example
from optimize_workers.accepting import broken_floor, chance_of_no_gain
from optimize_workers.optimizers.bullet_judging import Chosen, SelectionJudging
from optimize_workers.optimizers.lessons import Judged
from optimize_workers.racing import DROP_BELOW, chance_to_win, paired_gains, race_stages
from optimize_workers.selection import Change
from optimize_workers.study import MIN_VALIDITY, Study


class Limits(NamedTuple):
    """What a step must hold: the level of its one-sided test, NMSE points that a human grade may lose."""

    level: float
    grade_margin: float


class Contender(NamedTuple):
    """A change that may become the next step: what it did to which bullets, and what is chosen with it."""

    change: Change
    changed: tuple[int, ...]
    chosen: Chosen


class Outcome(NamedTuple):
    """A contender judged on all validation examples, held against the judge as it stands.

    Attributes:
        gain: mean bounded difference of the scores.
        p_value: of the one-sided test of that gain.
        refused: why it may not be accepted whatever its gain; None if it may.
    """

    contender: Contender
    judged: Judged
    gain: float
    p_value: float
    refused: str | None


class Race:
    """Races of one study.

    Attributes:
        chosen, current: the judge as it stands, and its judgments of all validation examples.
    """

    def __init__(
        self,
        study: Study,
        judging: SelectionJudging,
        validation: Sequence[Example],
        chosen: Chosen,
        baseline: Judged,
        limits: Limits,
    ) -> None:
        self._study = study
        self._judging = judging
        self._validation = validation
        self._baseline = self.current = baseline
        self.chosen = chosen
        self._limits = limits
        self._num_races = 0

    def run(self, contenders: Sequence[Contender]) -> Outcome | None:
        """The first of those that pass; None if none does.

        They are judged on a part of the examples, and those that will not win go no further. Not the best of them is
        taken: that is the luckiest one, which the next step would have to beat.
        """
        self._num_races += 1
        rng = np.random.default_rng([self._study.seed, 8, self._num_races])
        places = list(map(int, rng.permutation(len(self._validation))))[: race_stages(len(self._validation))[0]]
        examples = [self._validation[place] for place in places]
        first = self._judging.judge([one.chosen for one in contenders], examples)
        if first is None:
            return None
        going = []
        for contender, judged in zip(contenders, first, strict=True):
            reference = [self.current.scores[place] for place in places]
            chance = chance_to_win(judged.scores, reference, len(self._validation))
            if chance >= DROP_BELOW:
                going.append(contender)
            else:
                self._record(contender, judged, examples, {"chance": round(chance, 3)})
                self._study.calls_saved += len(self._validation) - len(places)
        passed = (one for one in self._judge(going) if one.p_value <= self._limits.level and one.refused is None)
        return next(passed, None)

    def spare(self, contenders: Sequence[Contender]) -> Outcome | None:
        """The best of those that are at least as good as the judge as it stands; None if none is."""
        able = [one for one in self._judge(contenders) if one.gain >= 0.0 and one.refused is None]
        return max(able, key=lambda one: one.gain, default=None)

    def _judge(self, contenders: Sequence[Contender]) -> list[Outcome]:
        """Outcomes on all validation examples; none where the budget ends."""
        judged = self._judging.judge([one.chosen for one in contenders], self._validation)
        if judged is None:
            return []
        outcomes = [self._hold(*pair) for pair in zip(contenders, judged, strict=True)]
        for one in outcomes:
            origin = {"p_value": one.p_value, **({"refused": one.refused} if one.refused else {})}
            self._record(one.contender, one.judged, self._validation, origin)
        return outcomes

    def _hold(self, contender: Contender, judged: Judged) -> Outcome:
        refused = broken_floor(
            judged.judgments,
            self._baseline.judgments,
            self._validation,
            self._study.judge.task.scale,
            min_validity=MIN_VALIDITY,
            grade_margin=self._limits.grade_margin,
        )
        if float(np.mean(judged.scores)) < float(np.mean(self.current.scores)):
            refused = "the mean loss on validation rises"  # it may where unreadable replies outweigh bounded gains
        gain = float(paired_gains(judged.scores, self.current.scores).mean())
        p_value = chance_of_no_gain(judged.scores, self.current.scores, self._validation)
        return Outcome(contender, judged, gain, p_value, refused)

    def _record(
        self, contender: Contender, judged: Judged, examples: Sequence[Example], origin: dict[str, Any]
    ) -> None:
        self._judging.record(
            contender.chosen,
            examples,
            judged,
            {
                "stage": str(contender.change),
                "race": self._num_races,
                "parents": [self._judging.program(self.chosen).digest],
                "changed": self._judging.ids(contender.changed),
                **origin,
            },
            is_full=len(examples) == len(self._validation),
        )
