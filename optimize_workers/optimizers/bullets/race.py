"""Races on the validation examples: which of a few changes is accepted, by a paired test and within the floors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from judge_serve.judging.task import Example
from optimize_workers.library.selection import Change, Ground
from optimize_workers.optimizers.bullets.judging import Chosen, SelectionJudging
from optimize_workers.statistics.acceptance import broken_floor, chance_of_no_fall, chance_of_no_gain
from optimize_workers.statistics.judged_pairs import both_scored
from optimize_workers.statistics.racing import DROP_BELOW, chance_to_win, paired_gains, race_stages
from optimize_workers.study import MIN_VALIDITY, Judged, Study


class Limits(NamedTuple):
    """What a step must hold.

    Attributes:
        level: of its one-sided paired test.
        grade_margin: NMSE points that a human grade may lose against the baseline.
        removal_margin: NMSE points; a removal is held to be worse by no more than that.
        validity_level: of the one-sided test of a fall in validity; at or under it a step is refused.
    """

    level: float
    grade_margin: float
    removal_margin: float
    validity_level: float


class Contender(NamedTuple):
    """A change that may become the next step: what it did to which bullets, and what is chosen with it."""

    change: Change
    changed: tuple[int, ...]
    chosen: Chosen


class Outcome(NamedTuple):
    """A contender judged on all validation examples, held against the judge as it stands.

    Attributes:
        gain: mean bounded difference of the scores.
        p_value: of the one-sided test of that gain; where only a removal's other test is passed, of that one.
        ground: what was shown; None if nothing was.
        refused: why it may not be accepted whatever was shown; None if it may.
    """

    contender: Contender
    judged: Judged
    gain: float
    p_value: float
    ground: Ground | None
    refused: str | None

    @property
    def is_accepted(self) -> bool:
        """Whether a test is passed and no floor broken."""
        return self.ground is not None and self.refused is None


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
                self._record(contender, judged, {"chance": round(chance, 3)})
                self._study.calls_saved += len(self._validation) - len(places)
        return next((one for one in self._judge(going) if one.is_accepted), None)

    def spare(self, contenders: Sequence[Contender]) -> Outcome | None:
        """The best of the removals that pass; None if none does."""
        able = [one for one in self._judge(contenders) if one.is_accepted]
        return max(able, key=lambda one: one.gain, default=None)

    def _judge(self, contenders: Sequence[Contender]) -> list[Outcome]:
        """Outcomes on all validation examples; none where the budget ends."""
        judged = self._judging.judge([one.chosen for one in contenders], self._validation)
        if judged is None:
            return []
        outcomes = [self._hold(*pair) for pair in zip(contenders, judged, strict=True)]
        for one in outcomes:
            told = {"ground": one.ground and str(one.ground), "refused": one.refused}
            origin = {"p_value": one.p_value, **{name: value for name, value in told.items() if value}}
            self._record(one.contender, one.judged, origin)
        return outcomes

    def _hold(self, contender: Contender, judged: Judged) -> Outcome:
        gain = float(paired_gains(judged.scores, self.current.scores).mean())
        ground, p_value = self._test(contender, judged, gain)
        return Outcome(contender, judged, gain, p_value, ground, self._refused(judged))

    def _test(self, contender: Contender, judged: Judged, gain: float) -> tuple[Ground | None, float]:
        """What the paired tests show, with the p-value of the one that shows it.

        A bullet is not needed where the loss without it is shown to be under the margin and is none on these examples:
        the margin alone would let the judge get worse bit by bit.
        """
        scores, level = (judged.scores, self.current.scores), self._limits.level
        p_value = chance_of_no_gain(*scores, self._validation)
        if p_value <= level:
            return Ground.BETTER, p_value
        if contender.change is Change.REMOVED and gain >= 0.0:
            p_of_removal = chance_of_no_gain(*scores, self._validation, self._limits.removal_margin / 100.0)
            if p_of_removal <= level:
                return Ground.NOT_NEEDED, p_of_removal
        return None, p_value

    def _refused(self, judged: Judged) -> str | None:
        """Which floor is broken, if one is."""
        refused = broken_floor(
            judged.judgments,
            self._baseline.judgments,
            self._validation,
            self._study.judge.task.scale,
            min_validity=MIN_VALIDITY,
            grade_margin=self._limits.grade_margin,
        )
        scores, before = both_scored(judged.scores, self.current.scores)
        if len(scores) and float(np.mean(scores)) < float(np.mean(before)):
            refused = "the mean loss on validation rises"  # it may where unreadable replies outweigh bounded gains
        for name, reference in (("the step before", self.current), ("the baseline", self._baseline)):
            p_value = chance_of_no_fall(judged.judgments, reference.judgments)
            if p_value <= self._limits.validity_level:  # also held against the baseline, or many steps lose a little
                refused = refused or f"validity falls against {name} (p {p_value:.3f})"
        return refused

    def _record(self, contender: Contender, judged: Judged, origin: dict[str, Any]) -> None:
        self._judging.record(
            contender.chosen,
            judged,
            {
                "stage": str(contender.change),
                "race": self._num_races,
                "parents": [self._judging.program(self.chosen).digest],
                "changed": self._judging.ids(contender.changed),
                **origin,
            },
            is_full=len(judged.examples) == len(self._validation),
        )
