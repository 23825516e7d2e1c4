"""Acceptance of a change: the paired tests that it must pass on validation examples, the floors it must not break.

The tests bound gains as in `racing`, so that one unreadable reply decides nothing; unreadable replies have a floor and
a test of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import comb

import numpy as np
import numpy.typing as npt

from judge_serve.judging.judgment import Judgment
from judge_serve.judging.scale import Scale
from judge_serve.judging.task import Example
from optimize_workers.statistics.judged_pairs import judged_by_all
from optimize_workers.statistics.metrics import gold_of, losses
from optimize_workers.statistics.racing import paired_gains
from optimize_workers.texts.query_groups import query_groups

NUM_FLIPS = 4_096  # of the signs of all queries
MIN_OF_GRADE = 5  # examples that both could be read of; the mean of fewer says nothing about a grade


def chance_of_no_gain(
    scores: Sequence[float], reference: Sequence[float], examples: Sequence[Example], margin: float = 0.0
) -> float:
    """One-sided p-value of a gain: how often it would be as large if each query's sum were as likely a loss.

    A sign-flip test, exact for up to 12 queries. Fewer than five queries are never significant at 0.05.

    Args:
        scores: of a candidate.
        reference: of the current program on the same examples.
        examples: say which scores are of one query.
        margin: mean loss that is allowed, on the scale of scores. Above 0 the test is one of non-inferiority: what is
            tested is whether the candidate loses as much as that.

    Returns: in (0, 1]; at or under the level the candidate is better, or not worse by the margin.
    """
    is_scored = ~np.isnan(np.asarray(scores, np.float64) - np.asarray(reference, np.float64))
    groups = query_groups(example.item for example, is_pair in zip(examples, is_scored, strict=True) if is_pair)
    if not groups:
        return 1.0
    _, query_of = np.unique(groups, return_inverse=True)
    sums = np.bincount(query_of, weights=paired_gains(scores, reference) + margin)
    is_as_large = _signs(len(sums)) @ sums >= sums.sum() - 1e-9
    return float(is_as_large.mean())


def chance_of_no_fall(candidate: Sequence[Judgment], reference: Sequence[Judgment]) -> float:
    """One-sided p-value of a fall in validity, exact: McNemar's test on the same examples.

    How often as many examples or more would become unreadable, of those that only one of both could be read of, if
    each were as likely to become readable. Queries are not held together: a floor had better be broken too early.
    What one of both was not judged on is left out.

    Returns: in (0, 1]; 1 where none became unreadable.
    """
    judged = [pair for pair in zip(candidate, reference, strict=True) if all(one.is_judged for one in pair)]
    pairs = [(one.is_valid, other.is_valid) for one, other in judged]
    lost, regained = pairs.count((False, True)), pairs.count((True, False))
    total = lost + regained
    return sum(comb(total, count) for count in range(lost, total + 1)) / (1 << total)


def _signs(count: int) -> npt.NDArray[np.float64]:
    """Rows of `count` signs: all there are, or as many as `NUM_FLIPS` drawn, the first of them all plus."""
    if 2**count <= NUM_FLIPS:
        return np.array(list(product((1.0, -1.0), repeat=count)))
    signs = np.random.default_rng(count).choice((1.0, -1.0), (NUM_FLIPS, count))
    signs[0] = 1.0
    return signs


def broken_floor(
    candidate: Sequence[Judgment],
    baseline: Sequence[Judgment],
    examples: Sequence[Example],
    scale: Scale,
    *,
    min_validity: float,
    grade_margin: float,
) -> str | None:
    """Which floor a candidate breaks, if it breaks one, on the examples that both were judged on.

    Args:
        candidate: judgments of the examples.
        baseline: the baseline's of the same examples.
        examples: with their human ratings; a grade is such a rating rounded to the scale.
        scale: of the ratings.
        min_validity: share of readable replies that it must have.
        grade_margin: NMSE points that the mean loss of a grade may rise above the baseline's, where both are readable.
    """
    examples, (candidate, baseline) = judged_by_all(examples, candidate, baseline)
    validity = float(np.mean([judgment.is_valid for judgment in candidate]))
    if validity < min_validity:
        return f"validity {validity:.2f} is under {min_validity}"
    gold = gold_of(examples)
    rises = losses(candidate, gold, scale) - losses(baseline, gold, scale)
    is_readable = np.array([one.is_valid and other.is_valid for one, other in zip(candidate, baseline, strict=True)])
    grades = np.array([scale.nearest(rating) for rating in gold])
    for grade in scale.ratings:
        own = rises[is_readable & (grades == grade)]
        if len(own) >= MIN_OF_GRADE and own.mean() > grade_margin:
            return f"grade {grade} loses {own.mean():.1f} NMSE points, at most {grade_margin:g} are allowed"
    return None
