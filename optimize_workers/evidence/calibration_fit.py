"""A calibration fitted on training judgments; cross-validation by query decides whether and which.

Both curves are held back where examples are few: the slope of the line is drawn towards 0 by what its own error could
explain, and isotonic regression sees means of at least `MIN_BIN` pairs instead of single ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np
from sklearn.isotonic import IsotonicRegression
from sklearn.model_selection import GroupKFold

from judge_serve.judging.calibration import Affine, Calibration, Curve, FittedOn, Isotonic
from judge_serve.judging.judge import Judge
from judge_serve.judging.judgment import Judgment
from judge_serve.judging.scale import Scale
from judge_serve.judging.task import Example
from optimize_workers.evidence.reliability import Reliability, equal_count_bins, reliability, reliability_as_dict
from optimize_workers.statistics.judged_pairs import judged_by_all
from optimize_workers.statistics.resampling import FloatArray
from optimize_workers.texts.query_groups import query_groups

MIN_PAIRS = 20  # readable pairs under which nothing is fitted
MIN_QUERIES = 3
NUM_FOLDS = 5
MIN_BIN = 10


class Method(StrEnum):
    """How a calibration is chosen: the best of the others by cross-validation, or one of them."""

    AUTO = "auto"
    NONE = "none"
    AFFINE = "affine"
    ISOTONIC = "isotonic"


Fit = Callable[[FloatArray, FloatArray], Curve]


class TrainingPairs(NamedTuple):
    """Readable judgments: the judge's values and human ratings, shape (n,), and the queries they belong to."""

    values: FloatArray
    human: FloatArray
    queries: list[str]


@dataclass(frozen=True)
class Fitted:
    """What came of fitting.

    Attributes:
        calibration: None where none was fitted or none was better than the judge as it is.
        reason: why there is none; None where there is one.
        cv_nmse: NMSE over readable training judgments, predicted from the other folds, by method; empty where nothing
            could be fitted.
        before: reliability of the judge on train as it is.
        after: the same of what the chosen method predicts for the folds that it was not fitted on.
        num_judged: training judgments, unreadable ones included.
        num_pairs, num_queries: those of them that are readable, and their queries.
    """

    calibration: Calibration | None
    reason: str | None
    cv_nmse: dict[str, float]
    before: Reliability
    after: Reliability
    num_judged: int
    num_pairs: int
    num_queries: int

    @property
    def method(self) -> Method:
        """Which method it came to."""
        return Method.NONE if self.calibration is None else Method(self.calibration.curve.kind)

    def as_dict(self) -> dict[str, Any]:
        """The part of `result.json` that the training split gives."""
        return {
            "kind": str(self.method),
            "reason": self.reason,
            "curve": self.calibration and self.calibration.curve.model_dump(mode="json"),
            "cv_nmse": self.cv_nmse,
            "train": {
                "n": self.num_judged,
                "valid": self.num_pairs,
                "queries": self.num_queries,
                "before": reliability_as_dict(self.before),
                "after": reliability_as_dict(self.after),
            },
        }


def fit_calibration(
    judge: Judge,
    judgments: Sequence[Judgment],
    examples: Sequence[Example],
    fingerprint: str,
    method: Method = Method.AUTO,
) -> Fitted:
    """Fit a calibration of a judge on its judgments of training examples, in the same order.

    Args:
        judge: who judged.
        judgments: as the judge gave them, not calibrated.
        examples: of split train; those that the judge's own demonstrations show are left out by the caller.
        fingerprint: of the data.
        method: `auto` takes the one with the lowest cross-validated NMSE, the simpler one where two are equal; a named
            one is taken whether or not it is better than none.

    Raises: ValueError if an example is not of split train or lengths differ.
    """
    others = {example.split for example in examples} - {"train"}
    if others:
        raise ValueError(f"a calibration is fitted on split 'train' only, got examples of {', '.join(sorted(others))}")
    examples, (judgments,) = judged_by_all(examples, judgments)
    pairs = _readable(judgments, examples)
    scale = judge.task.scale
    reason = _why_not(pairs, len(judgments))
    as_it_is = reliability(pairs.values, pairs.human)
    counts = {"num_judged": len(judgments), "num_pairs": len(pairs.values), "num_queries": len(set(pairs.queries))}
    if reason is not None:
        return Fitted(None, reason, {}, as_it_is, as_it_is, **counts)
    predicted = cross_predict(pairs, scale)
    cv_nmse = {str(kind): _nmse(values, pairs.human, scale) for kind, values in predicted.items()}
    chosen = min(predicted, key=lambda kind: cv_nmse[kind]) if method is Method.AUTO else method
    if chosen is Method.NONE:
        reason = (
            "none was asked for"
            if method is Method.NONE
            else "no curve was better than the judge as it is, by cross-validation on the training split"
        )
        return Fitted(None, reason, cv_nmse, as_it_is, as_it_is, **counts)
    fitted_on = FittedOn(
        dataset=fingerprint, n=counts["num_pairs"], queries=counts["num_queries"], mode=judge.mode, judge=judge.digest
    )
    calibration = Calibration(curve=FITS[chosen](pairs.values, pairs.human), fitted_on=fitted_on)
    return Fitted(calibration, None, cv_nmse, as_it_is, reliability(predicted[chosen], pairs.human), **counts)


def fit_affine(values: FloatArray, human: FloatArray) -> Affine:
    """Least squares with a slope of at least 0, drawn towards 0 by 1 - 1/t^2 (positive-part James-Stein).

    t is the slope over its standard error; a slope that could well be noise becomes 0 and the line the mean.
    """
    centred = values - values.mean()
    spread = float((centred**2).sum())
    if len(values) < 3 or spread <= 0.0:
        return Affine(slope=0.0, intercept=float(human.mean()))
    slope = float((centred * human).sum()) / spread
    residuals = human - human.mean() - slope * centred
    error_squared = float((residuals**2).sum()) / (len(values) - 2) / spread
    held_back = slope * max(0.0, 1.0 - error_squared / slope**2) if slope > 0.0 else 0.0
    return Affine(slope=held_back, intercept=float(human.mean() - held_back * values.mean()))


def fit_isotonic(values: FloatArray, human: FloatArray) -> Isotonic:
    """Isotonic regression over means of bins of at least `MIN_BIN` pairs; only the knots at which it bends are kept."""
    bins = equal_count_bins(values, MIN_BIN)
    x = [float(values[one].mean()) for one in bins]
    y = [float(human[one].mean()) for one in bins]
    fitted = IsotonicRegression().fit(x, y, sample_weight=[len(one) for one in bins])
    rising = np.maximum.accumulate(fitted.y_thresholds_)  # rounding may leave a level part a hair apart
    return Isotonic(x=tuple(map(float, fitted.X_thresholds_)), y=tuple(map(float, rising)))


FITS: dict[Method, Fit] = {Method.AFFINE: fit_affine, Method.ISOTONIC: fit_isotonic}


def cross_predict(pairs: TrainingPairs, scale: Scale) -> dict[Method, FloatArray]:
    """What each method predicts for pairs whose queries it was not fitted on, the simplest method first."""
    predicted = {kind: pairs.values.copy() for kind in (Method.NONE, *FITS)}
    folds = GroupKFold(n_splits=min(NUM_FOLDS, len(set(pairs.queries))))
    for train, held_out in folds.split(pairs.values, groups=pairs.queries):
        for kind, fit in FITS.items():
            curve = fit(pairs.values[train], pairs.human[train])
            predicted[kind][held_out] = _answers(curve, pairs.values[held_out], scale)
    return predicted


def _answers(curve: Curve, values: FloatArray, scale: Scale) -> FloatArray:
    at: FloatArray = np.array([curve.at(float(value)) for value in values], dtype=np.float64)
    return np.clip(at, scale.minimum, scale.maximum)


def _nmse(values: FloatArray, human: FloatArray, scale: Scale) -> float:
    return float(np.mean(100.0 * ((values - human) / scale.width) ** 2))


def _readable(judgments: Sequence[Judgment], examples: Sequence[Example]) -> TrainingPairs:
    read = [(j.value, e) for j, e in zip(judgments, examples, strict=True) if j.value is not None]
    return TrainingPairs(
        np.array([value for value, _ in read], dtype=np.float64),
        np.array([example.gold_rating for _, example in read], dtype=np.float64),
        query_groups(example.item for _, example in read),
    )


def _why_not(pairs: TrainingPairs, num_judged: int) -> str | None:
    num_queries = len(set(pairs.queries))
    if len(pairs.values) < MIN_PAIRS:
        return f"{len(pairs.values)} of {num_judged} training judgments are readable, at least {MIN_PAIRS} are needed"
    if num_queries < MIN_QUERIES:
        return f"the training judgments are of {num_queries} queries, at least {MIN_QUERIES} are needed"
    if np.ptp(pairs.human) == 0.0:
        return "all human ratings of the training examples are equal: there is nothing to calibrate to"
    if np.ptp(pairs.values) == 0.0:
        return "the judge answers the same to all training examples: a calibration could only answer a constant"
    return None
