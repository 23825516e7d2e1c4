"""Calibrating a judge on the training split, and what results say about it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from cluster.measuring.measure import Measured, remeasure, watched_by
from cluster.progress import Progress
from judge_serve.judging.judge import Judge
from judge_serve.judging.judge_call import calls_of
from judge_serve.judging.judgment import Judgment
from judge_serve.judging.release import Release
from judge_serve.judging.task import Example
from judge_serve.judging.votes import sample_numbers
from optimize_workers.dataset.splits import Dataset, draw_examples
from optimize_workers.evaluation.layer import Layer
from optimize_workers.evaluation.recorded import JudgmentStore
from optimize_workers.evaluation.voted import Voted
from optimize_workers.evaluation.watched import Counts
from optimize_workers.evidence.calibration_fit import Fitted, Method, fit_calibration
from optimize_workers.evidence.reliability import reliability, reliability_as_dict


class Calibrating(NamedTuple):
    """A judge's judgments of training examples, the calibration fitted on them, and what they cost."""

    judge: Judge
    examples: tuple[Example, ...]
    judgments: list[Judgment]
    fitted: Fitted
    counts: Counts

    def applied_to(self, release: Release) -> Release:
        """The release with the calibration, its child; the release itself where there is no calibration."""
        if self.fitted.calibration is None:
            return release
        return Release(
            name=release.name, judge=release.judge, calibration=self.fitted.calibration, parents=(release.digest,)
        )


def training_examples(judge: Judge, dataset: Dataset, limit: int | None = None) -> tuple[Example, ...]:
    """What a calibration is fitted on: train without what the judge has seen the answers of, at most `limit`."""
    return draw_examples(dataset.for_optimizers(judge.program.demonstrations).train, limit)


def calibrate_on_train(
    judge: Judge,
    dataset: Dataset,
    examples: tuple[Example, ...],
    pool: Layer | None,
    store: JudgmentStore | None,
    progress: Progress,
    method: Method = Method.AUTO,
) -> Calibrating:
    """Judge training examples, those in the store at no cost, and fit; val and test stay out of it."""
    progress.phase(
        f"judging {len(examples)} training examples for the calibration",
        len(examples) * len(sample_numbers(judge.votes)),
    )
    watched = watched_by(progress, pool, store)
    judgments = Voted(watched).judge(calls_of(judge, examples))
    fitted = fit_calibration(judge, judgments, examples, dataset.fingerprint, method)
    errors = ", ".join(f"{kind} {nmse:.1f}" for kind, nmse in fitted.cv_nmse.items())
    found = f"NMSE on train by cross-validation: {errors}; " if errors else ""
    progress.note(f"{found}calibration {fitted.method}" + (f" ({fitted.reason})" if fitted.reason else ""))
    return Calibrating(judge, examples, judgments, fitted, watched.counts)


def measure_applied(made: Calibrating, plain: Measured, progress: Progress) -> Measured:
    """The calibrated release on the judgments of the one without calibration; asks nobody."""
    release = made.applied_to(plain.release)
    return plain if release is plain.release else remeasure(release, plain, progress)


def calibration_as_dict(made: Calibrating, before: Measured, after: Measured) -> dict[str, Any]:
    """What `result.json` says about a calibration: how it was chosen on train, figures before and after on test.

    Args:
        made: the calibration and the judgments that it was fitted on.
        before: the release without it.
        after: the release with it, on the same examples.
    """
    return {
        **made.fitted.as_dict(),
        "calls": made.counts.calls,
        "cached": made.counts.cached,
        "before": _with_reliability(before),
        "after": _with_reliability(after),
    }


def evidence_of(fitted: Fitted) -> dict[str, Any]:
    """What a release says about how it came to its calibration, or to none."""
    return {"kind": str(fitted.method), "reason": fitted.reason, "cv_nmse": fitted.cv_nmse}


def _with_reliability(measured: Measured) -> dict[str, Any]:
    rated = [(j.value, e) for j, e in zip(measured.judgments, measured.examples, strict=True) if j.value is not None]
    values = np.array([value for value, _ in rated], dtype=np.float64)
    human = np.array([example.gold_rating for _, example in rated], dtype=np.float64)
    return {**measured.figures.as_dict(), **reliability_as_dict(reliability(values, human))}
