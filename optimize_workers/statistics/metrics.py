"""The figures: NMSE, validity and what stands beside them, exactly as docs/decisions/0001-objective.md says."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from judge_serve.judging.judgment import Judgment
from judge_serve.judging.scale import Scale
from judge_serve.judging.task import Example
from optimize_workers.statistics.judged_pairs import judged_by_all
from optimize_workers.statistics.resampling import FloatArray, Interval, mean_interval
from optimize_workers.texts.query_groups import query_groups

INVALID_LOSS = 100.0


@dataclass(frozen=True)
class Figures:
    """Figures of one judge on n examples; None where a figure is undefined (no valid judgment, no variance).

    Attributes:
        nmse: 0-100, lower is better, an invalid judgment counts 100.
        nmse_valid: the same over valid judgments only.
        nmse_rounded: `nmse` with judge and human rounded to ratings.
        nmse_constant: NMSE of answering the mean human rating of these examples to all of them.
        skill: 1 - nmse / nmse_constant; above 0 beats the constant.
        skill_ci95: its interval, the constant's NMSE held fixed; None too where queries are too few for one.
        bias: mean(judge - human) over valid judgments, in rating units.
        confusion: counts [human][judge] over valid judgments, lowest rating first.
        rating_counts: how often the judge gave each rating, by rating.
        exact, within_one: shares of valid judgments.
        nmse_ci95: bootstrap interval of `nmse`, resampled by query; 0 to 100 where queries are too few for one.
        mean_digit_mass: of the judgments that have one, see `Judgment.digit_mass`; left out of the JSON where none has.
        not_judged: further examples that were not judged; they are part of no other figure.
    """

    n: int
    valid: int
    invalid: int
    invalid_reasons: dict[str, int]
    nmse: float
    nmse_ci95: tuple[float, float]
    nmse_valid: float | None
    nmse_rounded: float
    nmse_constant: float
    skill: float | None
    skill_ci95: Interval | None
    bias: float | None
    qwk: float | None
    exact: float | None
    within_one: float | None
    confusion: list[list[int]]
    rating_counts: dict[str, int]
    mean_digit_mass: float | None = None
    not_judged: int = 0

    @property
    def largest_rating_share(self) -> float:
        """Share of the most frequent rating among valid judgments; 0 if there are none."""
        return max(self.rating_counts.values()) / self.valid if self.valid else 0.0

    @property
    def validity(self) -> float:
        """Share of judgments that hold a rating."""
        return self.valid / self.n

    @property
    def share_valid_of_all(self) -> float:
        """The same with what was not judged counted as invalid."""
        return self.valid / (self.n + self.not_judged)

    def as_dict(self) -> dict[str, Any]:
        """JSON form, with `validity` and `largest_rating_share`."""
        fields = asdict(self)
        if self.mean_digit_mass is None:
            del fields["mean_digit_mass"]
        return {
            **fields,
            "nmse_ci95": list(self.nmse_ci95),
            "skill_ci95": list(self.skill_ci95) if self.skill_ci95 else None,
            "validity": self.validity,
            "largest_rating_share": self.largest_rating_share,
        }


def example_score(judgment: Judgment, example: Example, scale: Scale) -> float:
    """What optimizers maximise: 1 - (gap / widest gap)^2, 0 if invalid; its mean is 1 - NMSE / 100.

    NaN where nothing was judged: there is no score.
    """
    if not judgment.is_judged:
        return math.nan
    if judgment.value is None:
        return 0.0
    return float(1.0 - ((judgment.value - example.gold_rating) / scale.width) ** 2)


def losses(judgments: Sequence[Judgment], gold_ratings: FloatArray, scale: Scale) -> FloatArray:
    """Loss of each judgment in [0, 100]: squared error over the worst one, invalid 100; shape (n,).

    Raises: ValueError if lengths differ, there are none, or one was not judged, see `judged_pairs`.
    """
    _check_lengths(judgments, gold_ratings)
    values = np.array([np.nan if j.value is None else j.value for j in judgments], dtype=np.float64)
    squared = 100.0 * ((values - gold_ratings) / scale.width) ** 2
    return np.where(np.isnan(values), INVALID_LOSS, squared)


def nmse(judgments: Sequence[Judgment], gold_ratings: FloatArray, scale: Scale) -> float:
    """Mean squared error against human ratings, as a percentage of the worst possible error.

    Args: n judgments and gold ratings of shape (n,), same order, in scale units.
    Returns: in [0, 100], lower is better; an invalid judgment counts 100.
    Raises: ValueError if lengths differ or n is 0 (an NMSE of nothing is undefined, not 0).
    Source: docs/decisions/0001-objective.md.
    """
    return float(losses(judgments, gold_ratings, scale).mean())


def measure(judgments: Sequence[Judgment], examples: Sequence[Example], scale: Scale, seed: int = 0) -> Figures:
    """All figures of one judge; judgments and examples in the same order.

    Raises: ValueError if lengths differ or there are none; see `judged_by_all`.
    """
    num_all = len(examples)
    examples, (judgments,) = judged_by_all(examples, judgments)
    gold = gold_of(examples)
    loss = losses(judgments, gold, scale)
    is_valid = np.array([j.is_valid for j in judgments])
    reasons = Counter(str(j.invalid_reason) for j in judgments if j.invalid_reason is not None)
    num_valid = int(is_valid.sum())
    constant = float(constant_losses(gold, scale).mean())
    total = float(loss.mean())
    values = np.array([j.value for j in judgments if j.value is not None], dtype=np.float64)
    rated = np.array([j.rating for j in judgments if j.rating is not None], dtype=np.int64)
    gold_rated = np.array([scale.nearest(rating) for rating in gold], dtype=np.int64)
    gaps = rated - gold_rated[is_valid]
    rounded = np.full(len(gold), INVALID_LOSS)
    rounded[is_valid] = 100.0 * (gaps / scale.width) ** 2
    confusion = np.zeros((len(scale.ratings), len(scale.ratings)), dtype=np.int64)
    np.add.at(confusion, (gold_rated[is_valid] - scale.minimum, rated - scale.minimum), 1)
    digit_masses = [j.digit_mass for j in judgments if j.digit_mass is not None]
    return Figures(
        n=len(judgments),
        valid=num_valid,
        invalid=len(judgments) - num_valid,
        invalid_reasons=dict(sorted(reasons.items())),
        nmse=total,
        nmse_ci95=nmse_interval(loss, query_groups(e.item for e in examples), seed),
        nmse_valid=float(loss[is_valid].mean()) if num_valid else None,
        nmse_rounded=float(rounded.mean()),
        nmse_constant=constant,
        skill=1.0 - total / constant if constant > 0 else None,
        skill_ci95=skill_interval(judgments, examples, scale, seed),
        bias=float((values - gold[is_valid]).mean()) if num_valid else None,
        qwk=quadratic_weighted_kappa(confusion),
        exact=float((gaps == 0).mean()) if num_valid else None,
        within_one=float((abs(gaps) <= 1).mean()) if num_valid else None,
        confusion=confusion.tolist(),
        rating_counts={str(r): int(n) for r, n in zip(scale.ratings, confusion.sum(axis=0), strict=True)},
        mean_digit_mass=float(np.mean(digit_masses)) if digit_masses else None,
        not_judged=num_all - len(examples),
    )


def constant_losses(gold_ratings: FloatArray, scale: Scale) -> FloatArray:
    """Losses of answering the mean of these ratings to all of them, shape (n,); exactly 0 where they are all equal."""
    if np.ptp(gold_ratings) == 0.0:  # their mean may be a rounding error away
        return np.zeros_like(gold_ratings)
    constant: FloatArray = 100.0 * ((gold_ratings.mean() - gold_ratings) / scale.width) ** 2
    return constant


def skill_interval(
    judgments: Sequence[Judgment], examples: Sequence[Example], scale: Scale, seed: int = 0
) -> Interval | None:
    """The 95 % interval of the skill over the mean human rating of these examples, by query.

    None where people gave one rating, or where the queries are too few for an interval.

    Raises: ValueError if lengths differ or there are none; see `judged_by_all`.
    """
    examples, (judgments,) = judged_by_all(examples, judgments)
    gold = gold_of(examples)
    constant = constant_losses(gold, scale)
    gained = constant - losses(judgments, gold, scale)
    whole = float(constant.mean())
    interval = mean_interval(gained, query_groups(e.item for e in examples), seed) if whole > 0 else None
    return (interval[0] / whole, interval[1] / whole) if interval else None


def gold_of(examples: Sequence[Example]) -> FloatArray:
    """Human ratings, shape (n,)."""
    return np.array([e.gold_rating for e in examples], dtype=np.float64)


def quadratic_weighted_kappa(confusion: npt.NDArray[np.int64] | FloatArray) -> float | None:
    """Cohen's kappa with quadratic weights from counts [one][other]; None without any expected disagreement."""
    counts = confusion.astype(np.float64)
    total = counts.sum()
    if total == 0:
        return None
    positions = np.arange(len(counts))
    weights = (positions[:, None] - positions[None, :]) ** 2
    expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / total
    disagreement = float((weights * expected).sum())
    return 1.0 - float((weights * counts).sum()) / disagreement if disagreement > 0 else None


def nmse_interval(loss: FloatArray, queries: Sequence[str], seed: int = 0) -> Interval:
    """95 % interval of the mean of losses (n,), by query; 0 to 100, which always holds, where queries are too few."""
    return mean_interval(loss, queries, seed, (0.0, INVALID_LOSS)) or (0.0, INVALID_LOSS)


def _check_lengths(judgments: Sequence[Judgment], gold_ratings: FloatArray) -> None:
    if len(judgments) != len(gold_ratings):
        raise ValueError(f"{len(judgments)} judgments for {len(gold_ratings)} human ratings")
    if not judgments:
        raise ValueError("no judgments: the figures of nothing are undefined")
    if not all(judgment.is_judged for judgment in judgments):
        raise ValueError("an example that was not judged has no loss; leave it out by judged_by_all")
