"""Accepting a change: the paired test that it must pass on the validation examples, and the floors it must not break.

Gains are bounded as in `racing`, so that one unreadable reply decides nothing; unreadable replies have a floor of their
own.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from judge_serve.judging.judgment import Judgment
from judge_serve.judging.scale import Scale
from judge_serve.judging.task import Example
from optimize_workers.metrics import example_score, resampled_means
from optimize_workers.racing import paired_gains

MIN_OF_GRADE = 5  # examples; the mean of fewer says nothing about a grade


def scores_of(judgments: Sequence[Judgment], examples: Sequence[Example], scale: Scale) -> list[float]:
    """Scores in [0, 1], in the order of the examples."""
    return [example_score(judgment, example, scale) for judgment, example in zip(judgments, examples, strict=True)]


def chance_of_no_gain(scores: Sequence[float], reference: Sequence[float], examples: Sequence[Example]) -> float:
    """One-sided p-value of a gain: share of resamples, whole queries together, in which there is none.

    Args: scores of a candidate and of the current program on the same examples.
    Returns: in [0, 1]; at or under the level the candidate is better.
    """
    gains = paired_gains(scores, reference)
    means = resampled_means(gains[None, :], [example.item.query_id for example in examples])[0]
    return float((means <= 0.0).mean())


def broken_floor(
    candidate: Sequence[Judgment],
    baseline: Sequence[Judgment],
    examples: Sequence[Example],
    scale: Scale,
    *,
    min_validity: float,
    grade_margin: float,
) -> str | None:
    """Which floor a candidate breaks, if it breaks one.

    Args:
        candidate: judgments of the examples.
        baseline: the baseline's of the same examples.
        examples: with their human ratings; a grade is such a rating rounded to the scale.
        scale: of the ratings.
        min_validity: share of readable replies that it must have.
        grade_margin: NMSE points that the mean loss of a grade may rise above the baseline's.
    """
    validity = float(np.mean([judgment.is_valid for judgment in candidate]))
    if validity < min_validity:
        return f"validity {validity:.2f} is under {min_validity}"
    gains = paired_gains(scores_of(candidate, examples, scale), scores_of(baseline, examples, scale))
    grades = np.array([scale.nearest(example.gold_rating) for example in examples])
    for grade in scale.ratings:
        own = gains[grades == grade]
        if len(own) >= MIN_OF_GRADE and -100.0 * own.mean() > grade_margin:
            return f"grade {grade} loses {-100.0 * own.mean():.1f} NMSE points, at most {grade_margin:g} are allowed"
    return None
