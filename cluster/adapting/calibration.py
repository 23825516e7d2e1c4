"""Calibration: fitted on the training split, proven on the test split; of a search's winner, or by `calibrate`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from cluster.adapting.config import CalibrateConfig
from cluster.adapting.data_notes import crossings_of, tell_nobody
from cluster.adapting.evidence import Proof, with_evidence
from cluster.adapting.finish import PROOF_FILES, keep_proof
from cluster.endpoint.judges import JudgeToRun, judge_to_run, reach_judge
from cluster.measuring.measure import JudgedGroup, Measured, Measurer, open_measurer
from cluster.progress import Progress
from cluster.registry import Registry
from cluster.runs.run import Run, begin_run, check_out, count_opening, open_ledger, planned_run
from judge_serve.judging.judge import Judge
from judge_serve.judging.judge_call import calls_of, num_samples_of
from judge_serve.judging.judgment import Judgment
from judge_serve.judging.release import Release
from judge_serve.judging.task import Example
from judge_serve.serving.home import home
from optimize_workers.dataset.splits import Dataset, draw_examples, load_dataset
from optimize_workers.evaluation.watched import Counts
from optimize_workers.evidence.calibration_fit import Fitted, Method, fit_calibration
from optimize_workers.evidence.gate.check import check_gate
from optimize_workers.evidence.gate.evidence import GateEvidence, HeldOut, TextFindings
from optimize_workers.evidence.reliability import reliability, reliability_as_dict
from optimize_workers.statistics.comparison import compare


class TrainFit(NamedTuple):
    """A judge's judgments of training examples, the calibration fitted on them, and what they cost."""

    judge: Judge
    examples: tuple[Example, ...]
    judgments: list[Judgment]
    fitted: Fitted
    counts: Counts

    def group(self, release: Release) -> JudgedGroup:
        """The judgments of train for the run's `judgments.parquet`."""
        return "calibration", release.id, self.judgments, self.examples

    def applied_to(self, release: Release) -> Release:
        """The release with the calibration, its child; the release itself where there is no calibration."""
        if self.fitted.calibration is None:
            return release
        return Release(
            name=release.name, judge=release.judge, calibration=self.fitted.calibration, parents=(release.digest,)
        )


class _Named(NamedTuple):
    """What the config names, read and checked; nobody is asked for it."""

    judge: JudgeToRun
    dataset: Dataset
    training: tuple[Example, ...]
    held_out: tuple[Example, ...]
    registry: Registry


def _read_named(config: CalibrateConfig, tell: Callable[[Dataset], None], *, read_only: bool = False) -> _Named:
    """`tell` hears of the data before they are refused; `read_only` leaves the registry as it is."""
    check_out(config.out, config.saved(), resume=config.resume)
    given, choice = judge_to_run(config, read_only=read_only)
    choice = choice.with_max_in_flight(config.max_in_flight)
    dataset = load_dataset(config.data, given.judge.task.scale)
    for split in ("train", "test"):
        dataset.require_split(split)
    tell(dataset)
    dataset.require_unseen(given.judge.program.demonstrations)
    registry = Registry(home(), read_only=read_only)
    registry.check_reachable()  # stores that cannot be reached are told before the judging, not after it
    training = training_examples(given.judge, dataset, config.limit)
    held_out = draw_examples(dataset.by_split["test"], config.limit)
    return _Named(JudgeToRun(given, choice), dataset, training, held_out, registry)


def plan_calibrate(config: CalibrateConfig) -> dict[str, Any]:
    """What would be judged and fitted, as far as that is known before anybody is asked."""
    named = _read_named(config, tell_nobody, read_only=True)
    judge = named.judge.release.judge
    fitting, proof = (num_samples_of(calls_of(judge, part)) for part in (named.training, named.held_out))
    return {
        "data": named.dataset.as_dict(),
        **named.judge.as_dict(is_release=config.release is not None),
        "judge_calls": {"train": fitting, "test": proof, "at_most": fitting + proof},
        **planned_run(config.out, resume=config.resume),
        "notes": list(crossings_of(named.dataset)),
    }


def run_calibrate(config: CalibrateConfig, progress: Progress) -> dict[str, Any]:
    """Calibrate on train, prove on test, register; returns the content of `result.json`."""

    def tell(dataset: Dataset) -> None:
        for note in crossings_of(dataset):
            progress.note(note)

    (given, choice), dataset, training, held_out, registry = _read_named(config, tell)
    given, choice = reach_judge(config, given, choice, progress)
    plain = given if given.calibration is None else Release(name=given.name, judge=given.judge, parents=(given.digest,))
    judge = plain.judge
    calls = calls_of(judge, [*training, *held_out])
    limit, fresh = config.max_not_judged, config.asks_again
    with open_ledger() as ledger, open_measurer(choice, ledger, progress, calls, limit, fresh=fresh) as measurer:
        run = begin_run("calibrate", config.out, config.saved(), ledger, progress, resume=config.resume)
        run.note_model(measurer.met.identity)
        made = calibrate_on_train(judge, dataset, training, measurer, Method(config.method))
        openings = count_opening(dataset, "test", ledger, "calibrate", run.folder.path)
        title = f"uncalibrated on {len(held_out)} held-out test examples"
        before = measurer.measure(plain, held_out, title)
        proof = _prove(made, before, dataset, measurer, openings)
    result = _result_of(made, proof, dataset, config) | run.made_with()
    keep_proof(proof, dataset, run, registry, result, [made.group(plain)])
    _log(made, proof, run, registry, config)
    return run.finish(result)


def _prove(made: TrainFit, before: Measured, dataset: Dataset, measurer: Measurer, openings: int) -> Proof:
    """The calibrated release compared with the one without calibration, and the gate's answer."""
    scale, held_out = before.release.judge.task.scale, before.examples
    after = measure_applied(made, before, measurer)
    compared = compare(before.judgments, after.judgments, held_out, scale)
    after = with_evidence(after, before, compared, dataset, {"calibration": evidence_of(made.fitted)})
    pairs = HeldOut(held_out, after.judgments, before.judgments, scale)
    texts = TextFindings(no_guardrails="a calibration writes no text")
    gate = check_gate(GateEvidence(after.figures, compared, pairs, texts=texts, against="the release without it"))
    shown = calibration_as_dict(made, before, after)
    return Proof(before, after, compared, gate, openings, calibration=shown, role="uncalibrated")


def _result_of(made: TrainFit, proof: Proof, dataset: Dataset, config: CalibrateConfig) -> dict[str, Any]:
    on_test = proof.baseline.as_dict(dataset, "test")
    return {
        "method": config.method,
        "calls": made.counts.calls + on_test["calls"],
        "cached": made.counts.cached + on_test["cached"],
        "baseline": on_test,
        "winner": proof.winner.as_dict(dataset, "test"),
        "comparison": proof.comparison.as_dict(),
        "calibration": proof.calibration,
        "test_openings": proof.test_openings,
        "release": proof.winner.release.id,
        "gate": proof.gate.as_dict(),
    }


def _log(made: TrainFit, proof: Proof, run: Run, registry: Registry, config: CalibrateConfig) -> None:
    release = proof.winner.release
    registry.log_run(
        f"calibrate {release.judge.model.name}",
        {"method": config.method, "kind": str(made.fitted.method), "release": release.id},
        {
            "baseline_nmse": proof.baseline.figures.nmse,
            "winner_nmse": proof.winner.figures.nmse,
            "winner_validity": proof.winner.figures.validity,
            **{f"cv_nmse_{kind}": nmse for kind, nmse in made.fitted.cv_nmse.items()},
        },
        [run.folder.path / name for name in PROOF_FILES],
    )


def training_examples(judge: Judge, dataset: Dataset, limit: int | None = None) -> tuple[Example, ...]:
    """What a calibration is fitted on: train without what the judge has seen the answers of, at most `limit`."""
    return draw_examples(dataset.for_optimizers(judge.program.demonstrations).train, limit)


def calibrate_on_train(
    judge: Judge, dataset: Dataset, examples: tuple[Example, ...], measurer: Measurer, method: Method = Method.AUTO
) -> TrainFit:
    """Judge training examples, those in the store at no cost, and fit; val and test stay out of it."""
    title = f"judging {len(examples)} training examples for the calibration"
    judgments, counts = measurer.answer(calls_of(judge, examples), title)
    fitted = fit_calibration(judge, judgments, examples, dataset.fingerprint, method)
    errors = ", ".join(f"{kind} {nmse:.1f}" for kind, nmse in fitted.cv_nmse.items())
    found = f"NMSE on train by cross-validation: {errors}; " if errors else ""
    measurer.progress.note(f"{found}calibration {fitted.method}" + (f" ({fitted.reason})" if fitted.reason else ""))
    return TrainFit(judge, examples, judgments, fitted, counts)


def measure_applied(made: TrainFit, plain: Measured, measurer: Measurer) -> Measured:
    """The calibrated release on the judgments of the one without calibration; asks nobody."""
    release = made.applied_to(plain.release)
    return plain if release is plain.release else measurer.remeasure(release, plain)


def calibration_as_dict(made: TrainFit, before: Measured, after: Measured) -> dict[str, Any]:
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
