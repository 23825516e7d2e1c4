"""Paired comparison of two judges on the same examples, bootstrapped by query."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from judge_serve.judging.judgment import Judgment
from judge_serve.judging.scale import Scale
from judge_serve.judging.task import Example
from optimize_workers.metrics import gold_of, losses, resampled_means


class Comparison(NamedTuple):
    """Difference of NMSE (second - first, below 0 is better), its 95 % interval, share of resamples below 0."""

    delta_nmse: float
    ci95: tuple[float, float]
    p_better: float


def compare(
    first: Sequence[Judgment], second: Sequence[Judgment], examples: Sequence[Example], scale: Scale, seed: int = 0
) -> Comparison:
    """Compare judgments of two judges on the same examples in the same order."""
    gold = gold_of(examples)
    difference = losses(second, gold, scale) - losses(first, gold, scale)
    means = resampled_means(difference[None, :], [e.item.query_id for e in examples], seed)[0]
    low, high = np.quantile(means, [0.025, 0.975])
    return Comparison(float(difference.mean()), (float(low), float(high)), float((means < 0).mean()))
