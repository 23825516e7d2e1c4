"""Which examples figures are about: those that every judge in question judged.

An example that a judge did not judge has no loss, score or rating, neither a good nor a bad one. Where judges are
compared it is left out for all of them; single scores of a search are NaN there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from judge_serve.judging.errors import TooManyNotJudgedError
from judge_serve.judging.judgment import Judgment
from judge_serve.judging.task import Example
from optimize_workers.statistics.resampling import FloatArray


class JudgedPairs(NamedTuple):
    """Examples and each judge's judgments of them, in one order."""

    examples: Sequence[Example]
    judges: Sequence[Sequence[Judgment]]


def judged_by_all(examples: Sequence[Example], *judges: Sequence[Judgment]) -> JudgedPairs:
    """The examples that each of these judges judged, and their judgments of these; all in the same order.

    Raises:
        ValueError: lengths differ.
        TooManyNotJudgedError: there is no such example though there are examples.
    """
    if any(len(judge) != len(examples) for judge in judges):
        lengths = ", ".join(str(len(judge)) for judge in judges)
        raise ValueError(f"{lengths} judgments for {len(examples)} human ratings")
    if all(judgment.is_judged for judge in judges for judgment in judge):
        return JudgedPairs(examples, judges)
    kept = [place for place in range(len(examples)) if all(judge[place].is_judged for judge in judges)]
    if not kept:
        raise TooManyNotJudgedError(
            f"none of {len(examples)} examples was judged by {'all judges' if len(judges) > 1 else 'the judge'}; "
            "see to the causes and run the same command again"
        )
    return JudgedPairs([examples[place] for place in kept], [[judge[place] for place in kept] for judge in judges])


def mean_score(scores: Sequence[float]) -> float:
    """Mean of the scores that there are; 0 where nothing was judged, so that nothing is won by it."""
    known = np.asarray(scores, np.float64)
    known = known[~np.isnan(known)]
    return float(np.mean(known)) if len(known) else 0.0


def both_scored(scores: Sequence[float], reference: Sequence[float]) -> tuple[FloatArray, FloatArray]:
    """Scores of two programs on the same examples, without the examples that one of them was not judged on."""
    first, second = np.asarray(scores, np.float64), np.asarray(reference, np.float64)
    is_missing = np.isnan(first) | np.isnan(second)
    return (first[~is_missing], second[~is_missing]) if is_missing.any() else (first, second)


def shown_scores(scores: Sequence[float]) -> list[float | None]:
    """Scores as JSON: None where nothing was judged."""
    return [None if np.isnan(score) else score for score in scores]
