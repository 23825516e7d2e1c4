"""Votes: a judge that is asked several times about an item, and how one judgment is made of its samples.

Each sample is a judge call of its own, told apart by its occurrence; what is recorded and paid for are the samples.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from statistics import fmean

from pydantic import BaseModel, ConfigDict, Field

from judge_serve.judging.judgment import Judgment
from judge_serve.judging.scale import Scale

MAX_SAMPLES = 50


class Combine(StrEnum):
    """How a rating is made of several."""

    MEAN = "mean"  # their mean, fractional; the rating is its rounding
    MAJORITY = "majority"  # the most frequent one


class Votes(BaseModel):
    """How often a judge is asked about an item, and what is made of it; costs `num_samples` times the calls."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_samples: int = Field(ge=2, le=MAX_SAMPLES)
    combine: Combine = Combine.MEAN


def sample_numbers(votes: Votes | None, occurrence: int = 0) -> range:
    """Occurrences of the samples behind one judgment; no two judgments of an item share one."""
    count = votes.num_samples if votes else 1
    return range(occurrence * count, (occurrence + 1) * count)


def combine(samples: Sequence[Judgment], how: Combine, scale: Scale, occurrence: int = 0) -> Judgment:
    """One judgment of several of the same item and judge.

    Samples that were not judged are left out; it is judged if at least half of the samples were, and otherwise not, for
    the first of their causes.

    It is valid if at least half of the judged samples are, and otherwise invalid for the most frequent of their reasons
    (the one that came first, of equally frequent ones). Invalid samples have no say in the rating. Of equally frequent
    ratings the one nearest to their mean is taken, the lower one of two. Reply and explanation are those of the first
    sample nearest to the combined rating, or with the combined reason. Tokens are summed, the latency is the longest.

    Args:
        samples: one or more judgments.
        how: how a rating is made of several.
        scale: of the ratings.
        occurrence: of the combined judgment.
    """
    if not samples:
        raise ValueError("no samples: nothing to combine")
    judged = [sample for sample in samples if sample.is_judged]
    if 2 * len(judged) < len(samples):
        missing = next(sample for sample in samples if not sample.is_judged)
        return _combined(missing, samples, occurrence)
    samples = judged
    valid = [sample for sample in samples if sample.is_valid]
    if 2 * len(valid) < len(samples):
        reasons = Counter(sample.invalid_reason for sample in samples if not sample.is_valid)
        reason = reasons.most_common(1)[0][0]  # keeps the order of first arrival among equals
        shown = next(sample for sample in samples if sample.invalid_reason is reason)
        rating, expected_rating = None, None
    else:
        rating, expected_rating = _rating_of(valid, how, scale)
        target = rating if expected_rating is None else expected_rating
        shown = min(valid, key=lambda sample: abs(_value_of(sample) - target))
        reason = None
    shown = replace(shown, rating=rating, expected_rating=expected_rating, invalid_reason=reason)
    return _combined(shown, samples, occurrence)


def _combined(shown: Judgment, samples: Sequence[Judgment], occurrence: int) -> Judgment:
    """A judgment as that of all samples: with what they cost together."""
    return replace(
        shown,
        occurrence=occurrence,
        prompt_tokens=sum(sample.prompt_tokens for sample in samples),
        completion_tokens=sum(sample.completion_tokens for sample in samples),
        latency_s=max(sample.latency_s for sample in samples),
        cached=all(sample.cached for sample in samples),
    )


def _rating_of(valid: Sequence[Judgment], how: Combine, scale: Scale) -> tuple[int, float | None]:
    mean = fmean(_value_of(sample) for sample in valid)
    if how is Combine.MEAN:
        return scale.nearest(mean), mean
    counts = Counter(sample.rating for sample in valid if sample.rating is not None)
    most = max(counts.values())
    tied = sorted(rating for rating, count in counts.items() if count == most)
    return min(tied, key=lambda rating: abs(rating - mean)), None


def _value_of(sample: Judgment) -> float:
    assert sample.value is not None, "only valid samples have a say"
    return float(sample.value)
