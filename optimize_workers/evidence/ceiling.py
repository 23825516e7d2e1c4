"""The human ceiling: how well people agree with each other, on the loss that judges are measured by.

A rater is held against the mean of the others of the same pair. That target is noisier than the mean of all raters,
which judges and the constant are measured against, so people look a little worse than they are beside them;
`against_others` holds judges and constant to the raters' own target.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from judge_serve.judging.judgment import Judgment
from judge_serve.judging.scale import Scale
from judge_serve.judging.task import Example
from optimize_workers.statistics.metrics import (
    constant_losses,
    gold_of,
    losses,
    nmse_interval,
    quadratic_weighted_kappa,
)
from optimize_workers.statistics.resampling import FloatArray, Interval
from optimize_workers.texts.query_groups import query_groups

MIN_RATERS = 2


class HumanCeiling(NamedTuple):
    """What people reach on the pairs that two or more of them rated.

    Attributes:
        n: such pairs.
        raters: most of one pair.
        nmse: of a rater against the mean of the others, 0-100; each pair counts once.
        nmse_ci95: by query.
        nmse_constant: of the mean human rating of these pairs as the answer to all, against the mean of all raters.
        krippendorff_alpha: ordinal; 1 is perfect, 0 is chance; None if all ratings are the same.
        qwk: quadratic weighted kappa of two raters of a pair, any two being alike; None if all ratings are the same.
        nmse_of: of each judge on these pairs, against the mean of all raters.
        against_others: NMSE of the constant and of each judge on these pairs against what `nmse` is measured against.
    """

    n: int
    raters: int
    nmse: float
    nmse_ci95: Interval
    nmse_constant: float
    krippendorff_alpha: float | None
    qwk: float | None
    nmse_of: dict[str, float]
    against_others: dict[str, float]

    def as_dict(self) -> dict[str, Any]:
        """JSON form, `human` of `result.json`."""
        return {**self._asdict(), "nmse_ci95": list(self.nmse_ci95)}


def human_ceiling(
    examples: Sequence[Example], scale: Scale, judged: Mapping[str, Sequence[Judgment]], seed: int = 0
) -> HumanCeiling | None:
    """How people do on the pairs with two or more raters, and judges on the same pairs; None without such pairs.

    Pairs that one of the judges did not judge are left out.

    Args:
        examples: of a split.
        scale: of the ratings.
        judged: by name of a judge, its judgments of the examples in the same order.
        seed: of the interval.
    """
    places = [
        place
        for place, example in enumerate(examples)
        if len(example.gold_ratings) >= MIN_RATERS and all(own[place].is_judged for own in judged.values())
    ]
    if not places:
        return None
    pairs = [examples[place] for place in places]
    ratings = [np.array(pair.gold_ratings, dtype=np.float64) for pair in pairs]
    others = [(own.sum() - own) / (len(own) - 1) for own in ratings]
    loss = np.array([_mean_loss(own, target, scale) for own, target in zip(ratings, others, strict=True)])
    gold = gold_of(pairs)
    middle = float(np.mean([target.mean() for target in others]))
    mine = {name: [judgments[place] for place in places] for name, judgments in judged.items()}
    return HumanCeiling(
        n=len(pairs),
        raters=max(map(len, ratings)),
        nmse=float(loss.mean()),
        nmse_ci95=nmse_interval(loss, query_groups(pair.item for pair in pairs), seed),
        nmse_constant=float(constant_losses(gold, scale).mean()),
        krippendorff_alpha=ordinal_alpha([pair.gold_ratings for pair in pairs]),
        qwk=_kappa_of_raters(ratings, scale),
        nmse_of={name: float(losses(own, gold, scale).mean()) for name, own in mine.items()},
        against_others={
            "constant": float(np.mean([_mean_loss(middle, target, scale) for target in others])),
            **{name: _against(own, others, scale) for name, own in mine.items()},
        },
    )


def ordinal_alpha(units: Sequence[Sequence[float]]) -> float | None:
    """Krippendorff's alpha with the ordinal metric; units of fewer than two ratings say nothing.

    Args: ratings of each unit, in any order of raters.
    Returns: 1 is perfect, 0 chance, below 0 worse than that; None if no two ratings differ.
    Source: Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011).
    """
    paired = [np.asarray(unit, dtype=np.float64) for unit in units if len(unit) >= MIN_RATERS]
    if not paired:
        return None
    values, codes = np.unique(np.concatenate(paired), return_inverse=True)
    totals = np.bincount(codes).astype(np.float64)
    middles = np.cumsum(totals) - totals / 2  # the metric is the gap between the middles of two ranks
    distances = np.subtract.outer(middles, middles) ** 2
    coincidences = _coincidences([np.searchsorted(values, unit) for unit in paired], len(values))
    expected = float((np.outer(totals, totals) * distances).sum() / (totals.sum() - 1))
    return 1.0 - float((coincidences * distances).sum()) / expected if expected > 0 else None


def _coincidences(units: Sequence[Any], size: int) -> FloatArray:
    """How often two ratings meet in a unit, by places of the ratings, so that each rating counts once in all."""
    found = np.zeros((size, size))
    for unit in units:
        counts = np.bincount(unit, minlength=size).astype(np.float64)
        found += (np.outer(counts, counts) - np.diag(counts)) / (len(unit) - 1)
    return found


def _kappa_of_raters(ratings: Sequence[FloatArray], scale: Scale) -> float | None:
    units = [np.array([scale.nearest(rating) - scale.minimum for rating in own]) for own in ratings]
    return quadratic_weighted_kappa(_coincidences(units, len(scale.ratings)))


def _against(judgments: Sequence[Judgment], others: Sequence[FloatArray], scale: Scale) -> float:
    return float(
        np.mean([losses([one] * len(own), own, scale).mean() for one, own in zip(judgments, others, strict=True)])
    )


def _mean_loss(values: float | FloatArray, targets: FloatArray, scale: Scale) -> float:
    return float(np.mean(100.0 * ((values - targets) / scale.width) ** 2))
