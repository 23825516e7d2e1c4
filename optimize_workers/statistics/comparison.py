"""Paired comparison of two judges on the same examples, resampled by query.

`compare` gives the difference of NMSE that the gate reads; `compare_fully` the same for every figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from judge_serve.judging.judgment import Judgment
from judge_serve.judging.scale import Scale
from judge_serve.judging.task import Example
from optimize_workers.statistics.judged_pairs import judged_by_all
from optimize_workers.statistics.metrics import gold_of, losses
from optimize_workers.statistics.resampling import Estimate, FloatArray, Groups, Interval, estimate_of, mean_estimates
from optimize_workers.texts.query_groups import query_groups

NMSE_RANGE = (-100.0, 100.0)  # of a difference


class Comparison(NamedTuple):
    """Difference of NMSE (second - first, below 0 is better), its 95 % interval, share of resamples below 0.

    With fewer than `resampling.MIN_GROUPS` queries no interval can be given: it is then -100 to 100, where every
    difference lies, and `p_better` is 0.5, so that no gate passes on it.
    """

    delta_nmse: float
    ci95: Interval
    p_better: float

    def as_dict(self) -> dict[str, Any]:
        """The contract's `comparison`."""
        return {"delta_nmse": self.delta_nmse, "ci95": list(self.ci95), "p_better": self.p_better}


class Difference(NamedTuple):
    """A figure of two judges on the same examples; None where it is undefined or no interval can be given.

    Attributes:
        n: examples that it is about; for `qwk` and `bias` the valid judgments of the judge that has fewer.
        first, second: the figure of each judge.
        delta: second - first.
        ci95: interval of `delta`, by query.
        p_better: share of resamples in which the second judge is better.
    """

    n: int
    first: float | None
    second: float | None
    delta: float | None
    ci95: Interval | None
    p_better: float | None

    def as_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {**self._asdict(), "ci95": list(self.ci95) if self.ci95 else None}


class Differences(NamedTuple):
    """All differences of two judges.

    Attributes:
        nmse: below 0 the second is better.
        validity: above 0 the second is better.
        qwk: quadratic weighted kappa with the human over each judge's valid judgments; above 0 is better.
        bias: each judge's over its valid judgments; it has no better or worse.
        abs_bias: distance of `bias` from 0; below 0 the second is better.
        grades: NMSE of the examples of each human rating, rounded half up, that occurs.
    """

    nmse: Difference
    validity: Difference
    qwk: Difference
    bias: Difference
    abs_bias: Difference
    grades: dict[int, Difference]

    def as_dict(self) -> dict[str, Any]:
        """JSON form, `differences` of `result.json`."""
        figures = {name: value.as_dict() for name, value in self._asdict().items() if name != "grades"}
        return {**figures, "grades": {str(grade): value.as_dict() for grade, value in self.grades.items()}}


def compare(
    first: Sequence[Judgment], second: Sequence[Judgment], examples: Sequence[Example], scale: Scale, seed: int = 0
) -> Comparison:
    """Compare judgments of two judges on the same examples in the same order, on those that both judged.

    Raises: ValueError if lengths differ or there are none; see `judged_by_all`.
    """
    examples, (first, second) = judged_by_all(examples, first, second)
    gold = gold_of(examples)
    difference = losses(second, gold, scale) - losses(first, gold, scale)
    (found,) = mean_estimates(difference[None, :], _queries(examples, seed), [NMSE_RANGE])
    assert found is not None, "every example has a weight"
    if found.ci95 is None or found.share_below_0 is None:
        return Comparison(found.value, NMSE_RANGE, 0.5)
    return Comparison(found.value, found.ci95, found.share_below_0)


def compare_fully(
    first: Sequence[Judgment], second: Sequence[Judgment], examples: Sequence[Example], scale: Scale, seed: int = 0
) -> Differences:
    """Compare every figure of two judges on the same examples in the same order, on those that both judged.

    Raises: ValueError if lengths differ or there are none; see `judged_by_all`.
    """
    examples, (first, second) = judged_by_all(examples, first, second)
    gold, groups = gold_of(examples), _queries(examples, seed)
    loss = np.stack([losses(first, gold, scale), losses(second, gold, scale)])
    is_valid = np.array([[judgment.is_valid for judgment in judge] for judge in (first, second)], dtype=np.float64)
    grades = np.array([scale.nearest(rating) for rating in gold])
    of_grade = np.array([grades == grade for grade in scale.ratings])
    nmse, validity, *by_grade = mean_estimates(
        np.stack([loss[1] - loss[0], is_valid[1] - is_valid[0], *[loss[1] - loss[0]] * len(of_grade)]),
        groups,
        [NMSE_RANGE, (-1.0, 1.0), *[NMSE_RANGE] * len(of_grade)],
        np.concatenate([np.ones((2, len(gold))), of_grade]),
    )
    counts = np.stack([_confusions(judge, grades, scale) for judge in (first, second)])
    gaps = np.array(
        [
            [0.0 if j.value is None else j.value - h for j, h in zip(judge, gold, strict=True)]
            for judge in (first, second)
        ]
    )
    bias, abs_bias = _biases(gaps, is_valid, groups)
    return Differences(
        nmse=_of_means(loss, nmse),
        validity=_of_means(is_valid, validity, more_is_better=True),
        qwk=_of_kappas(counts, groups),
        bias=bias,
        abs_bias=abs_bias,
        grades={
            grade: _of_means(loss[:, own], found)
            for grade, own, found in zip(scale.ratings, of_grade, by_grade, strict=True)
            if own.any()
        },
    )


def _queries(examples: Sequence[Example], seed: int) -> Groups:
    return Groups(query_groups(example.item for example in examples), seed)


def _of_means(values: FloatArray, found: Estimate | None, *, more_is_better: bool = False) -> Difference:
    """A difference of means of values [judge][example]."""
    assert found is not None, "what has no weight is not asked for"
    first, second = (float(mean) for mean in values.mean(axis=1))
    p_better = found.share_above_0 if more_is_better else found.share_below_0
    return Difference(values.shape[1], first, second, found.value, found.ci95, p_better)


def _biases(gaps: FloatArray, is_valid: FloatArray, groups: Groups) -> tuple[Difference, Difference]:
    """Differences of bias and of its distance from 0, from judge minus human, 0 if invalid; all [judge][example]."""
    num_valid = int(is_valid.sum(axis=1).min())
    sums = groups.sums(np.concatenate([gaps, is_valid]))
    if not num_valid:
        values = [float(gap.sum() / own.sum()) if own.any() else None for gap, own in zip(gaps, is_valid, strict=True)]
        distances = [None if value is None else abs(value) for value in values]
        return _undefined(0, *values), _undefined(0, *distances)
    resampled = groups.resampled(sums)
    with np.errstate(invalid="ignore"):  # no valid judgment in a resample: NaN, which is left out
        biases = resampled[:2] / resampled[2:]
    first, second = (float(gap.sum() / own.sum()) for gap, own in zip(gaps, is_valid, strict=True))
    num_groups = int(np.count_nonzero(sums[2:], axis=1).min())
    signed = estimate_of(second - first, biases[1] - biases[0], num_groups)
    distance = estimate_of(abs(second) - abs(first), abs(biases[1]) - abs(biases[0]), num_groups)
    return (
        Difference(num_valid, first, second, signed.value, signed.ci95, None),
        Difference(num_valid, abs(first), abs(second), distance.value, distance.ci95, distance.share_below_0),
    )


def _confusions(judgments: Sequence[Judgment], grades: npt.NDArray[np.int64], scale: Scale) -> FloatArray:
    """Which cell of the confusion matrix each example is in, all 0 if invalid; shape (ratings x ratings, n)."""
    size = len(scale.ratings)
    cells = np.zeros((size * size, len(judgments)))
    for place, (judgment, grade) in enumerate(zip(judgments, grades, strict=True)):
        if judgment.rating is not None:
            cells[(grade - scale.minimum) * size + judgment.rating - scale.minimum, place] = 1.0
    return cells


def _of_kappas(cells: FloatArray, groups: Groups) -> Difference:
    """The difference of quadratic weighted kappas, from confusion matrices [judge][cell][example]."""
    kappas = _kappas(cells.sum(axis=2)[:, :, None])[:, 0]
    first, second = (None if np.isnan(kappa) else float(kappa) for kappa in kappas)
    num_valid = int(cells.sum(axis=(1, 2)).min())
    if first is None or second is None:
        return _undefined(num_valid, first, second)
    sums = groups.sums(np.concatenate(list(cells)))
    resampled = _kappas(groups.resampled(sums).reshape(2, cells.shape[1], -1))
    num_groups = int(np.count_nonzero(sums.reshape(2, cells.shape[1], -1).sum(axis=1), axis=1).min())
    found = estimate_of(second - first, resampled[1] - resampled[0], num_groups)
    return Difference(num_valid, first, second, found.value, found.ci95, found.share_above_0)


def _kappas(cells: FloatArray) -> FloatArray:
    """Quadratic weighted kappas of confusion matrices [judge][cell][resample]; NaN where `metrics` says None."""
    size = round(cells.shape[1] ** 0.5)
    counts = cells.reshape(len(cells), size, size, -1)
    weights = np.subtract.outer(np.arange(size), np.arange(size)) ** 2.0
    found = np.einsum("ij,kijb->kb", weights, counts) * counts.sum(axis=(1, 2))
    expected = np.einsum("ij,kib,kjb->kb", weights, counts.sum(axis=2), counts.sum(axis=1), optimize=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(expected > 0, 1.0 - found / expected, np.nan)


def _undefined(n: int, first: float | None, second: float | None) -> Difference:
    return Difference(n, first, second, None, None, None)
