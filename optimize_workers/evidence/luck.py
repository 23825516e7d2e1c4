"""Luck of selection: how much better the best of k candidates looks on the examples that it was chosen on.

Two resamplings of the queries say between which bounds it lies:

- the optimism of Efron ("Estimating the Error Rate of a Prediction Rule", 1983) for the rule "take the best": in each
  resample the best candidate is chosen again, and its error there is held against its error on the sample itself. It
  takes the differences that were seen for real ones, and says too little where the candidates are alike.
- what selection alone would give, after White ("A Reality Check for Data Snooping", 2000): the same with every
  candidate's mean taken off, so that none is better than another. It says too much where one really is.

A search that let the same examples guide what it tried next has had more chances than its candidates say.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from judge_serve.judging.program import Program
from judge_serve.judging.task import Example
from optimize_workers.statistics.resampling import MIN_GROUPS, FloatArray, Groups
from optimize_workers.study import Trial, able_trials
from optimize_workers.texts.query_groups import query_groups


class SelectionLuck(NamedTuple):
    """What choosing the best of some candidates did to its figure; all in NMSE points.

    Attributes:
        num_candidates: programs that were judged on all validation examples and could have won.
        validation_nmse: of the chosen one, on the examples that it was chosen on.
        by_selection: how much too low choosing makes that figure, by Efron's optimism; None of too few queries.
        by_selection_alone: how much too low it would be, were all candidates equally good; None of too few queries.
        test_nmse: of the chosen one on held-out examples.
    """

    num_candidates: int
    validation_nmse: float
    by_selection: float | None
    by_selection_alone: float | None
    test_nmse: float

    def as_dict(self) -> dict[str, Any]:
        """JSON form, `luck` of `result.json`."""
        return self._asdict()


def selection_luck(
    trials: Sequence[Trial], winner: Program, baseline: Program, examples: Sequence[Example], test_nmse: float
) -> SelectionLuck | None:
    """What choosing did, from the trials of a search; None if they do not hold the scores of these examples.

    Args:
        trials: of the whole search.
        winner: the program that was chosen.
        baseline: may win whatever its validity.
        examples: validation examples, in the order of the trials' scores.
        test_nmse: of the winner.
    """
    by_program = {trial.program.digest: trial for trial in reversed(able_trials(trials, baseline))}
    judged = [trial for trial in by_program.values() if len(trial.scores) == len(examples)]
    chosen = by_program.get(winner.digest)
    if chosen is None or chosen not in judged:
        return None
    losses = 100.0 * (1.0 - np.array([trial.scores for trial in judged]))
    places = np.flatnonzero(~np.isnan(losses).any(axis=0))  # of what all of them were judged on
    groups = query_groups(example.item for example in examples)
    found = optimism_of_the_best(losses[:, places], [groups[place] for place in places])
    as_seen, alone = found or (None, None)
    return SelectionLuck(len(judged), 100.0 * (1.0 - chosen.score), as_seen, alone, test_nmse)


def optimism_of_the_best(losses: FloatArray, queries: Sequence[str], seed: int = 0) -> tuple[float, float] | None:
    """How much lower the mean loss of the best of k candidates is than it would be on other queries, on the average.

    Args:
        losses: shape (k, n), of each candidate on the same examples.
        queries: of the n examples.
        seed: of the resamples.

    Returns: taking the candidates as they are, and as equally good; None of fewer than `MIN_GROUPS` queries.
    """
    groups = Groups(queries, seed)
    if groups.num_groups < MIN_GROUPS:
        return None
    if len(losses) == 1:
        return 0.0, 0.0
    own = losses.mean(axis=1)
    *tops, size = groups.resampled(groups.sums(np.concatenate([losses, np.ones((1, losses.shape[1]))])))
    gains = own[:, None] - np.array(tops) / size  # of a resample over the sample itself
    best = (own[:, None] - gains).argmin(axis=0)
    return float(gains[best, np.arange(gains.shape[1])].mean()), float(gains.max(axis=0).mean())
