"""The command `calibrate`: a calibration fitted on the training split, proven on the test split, registered."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any, NamedTuple

from cluster.adapting.calibration import (
    Calibrating,
    calibrate_on_train,
    calibration_as_dict,
    evidence_of,
    measure_applied,
    training_examples,
)
from cluster.adapting.config import CalibrateConfig
from cluster.adapting.proof import with_evidence
from cluster.endpoint.judges import judge_to_run
from cluster.endpoint.models import ModelChoice
from cluster.endpoint.session import open_session
from cluster.gating.record import record_of
from cluster.machine.stores import open_ledger
from cluster.measuring.measure import Measured, measure_judge
from cluster.progress import Progress
from cluster.registry.card import model_card
from cluster.registry.store import Registry
from cluster.report.html import FIGURES, REPORT, write_report
from cluster.runs.folder import RunFolder
from cluster.runs.versions import made_with
from judge_serve.judging.judge_call import calls_of
from judge_serve.judging.release import Release
from judge_serve.serving.home import home
from optimize_workers.dataset.splits import Dataset, draw_examples, load_dataset
from optimize_workers.evaluation.layer import Layer
from optimize_workers.evaluation.recorded import are_recorded
from optimize_workers.evidence.calibration_fit import Method
from optimize_workers.evidence.gate.check import GateResult, check_gate
from optimize_workers.evidence.gate.evidence import GateEvidence, HeldOut, TextFindings
from optimize_workers.statistics.comparison import Comparison, compare


class Calibrated(NamedTuple):
    """A release without and with its calibration on the same held-out examples, compared."""

    made: Calibrating
    before: Measured
    after: Measured
    comparison: Comparison
    gate: GateResult
    test_openings: int


def run_calibrate(config: CalibrateConfig, progress: Progress) -> dict[str, Any]:
    """Calibrate on train, prove on test, register; returns the content of `result.json`."""
    RunFolder.check(config.out, config.saved() if config.resume else None)
    given, choice = judge_to_run(config)
    plain = given if given.calibration is None else Release(name=given.name, judge=given.judge, parents=(given.digest,))
    dataset = load_dataset(config.data, plain.judge.task.scale)
    for split in ("train", "test"):
        dataset.require_split(split)
    dataset.require_unseen(plain.judge.program.demonstrations)
    registry = Registry(home())
    registry.releases()  # stores that cannot be reached are told before the judging, not after it
    calibrated, folder = _calibrate(plain, choice, dataset, config, progress)
    result = _result(calibrated, dataset, config)
    _finish(calibrated, result, dataset, folder, registry)
    folder.write_json("result.json", result)  # written last: its presence means that the run is complete
    return result


def _calibrate(
    plain: Release, choice: ModelChoice, dataset: Dataset, config: CalibrateConfig, progress: Progress
) -> tuple[Calibrated, RunFolder]:
    judge = plain.judge
    training = training_examples(judge, dataset, config.limit)
    held_out = draw_examples(dataset.by_split["test"], config.limit)
    calls = calls_of(judge, (*training, *held_out))
    with open_ledger() as ledger, ExitStack() as stack:
        pool: Layer | None = None
        if not are_recorded(calls, ledger):  # a model that is not asked is not started
            pool = stack.enter_context(open_session(choice, home(), progress)).pool
        folder = RunFolder.create(config.out, config.saved(), resume=config.resume)
        ledger.record_run(str(folder.path.resolve()), "calibrate")
        made = calibrate_on_train(judge, dataset, training, pool, ledger, progress, Method(config.method))
        dataset.open_split("test", lambda digest: ledger.record_test_opening(digest, "calibrate", str(folder.path)))
        openings = ledger.count_test_openings(dataset.fingerprint)
        title = f"uncalibrated on {len(held_out)} held-out test examples"
        before = measure_judge(plain, held_out, pool, progress, title, ledger)
    after = measure_applied(made, before, progress)
    compared = compare(before.judgments, after.judgments, held_out, judge.task.scale)
    after = with_evidence(after, before, compared, dataset, {"calibration": evidence_of(made.fitted)})
    pairs = HeldOut(held_out, after.judgments, before.judgments, judge.task.scale)
    texts = TextFindings(no_guardrails="a calibration writes no text")
    evidence = GateEvidence(after.figures, compared, pairs, texts=texts, against="the release without it")
    gate = check_gate(evidence)
    return Calibrated(made, before, after, compared, gate, openings), folder


def _result(calibrated: Calibrated, dataset: Dataset, config: CalibrateConfig) -> dict[str, Any]:
    made, before, after = calibrated.made, calibrated.before, calibrated.after
    on_test = before.as_dict(dataset, "test")
    return {
        "method": config.method,
        "calls": made.counts.calls + on_test["calls"],
        "cached": made.counts.cached + on_test["cached"],
        "baseline": on_test,
        "winner": after.as_dict(dataset, "test"),
        "comparison": calibrated.comparison.as_dict(),
        "calibration": calibration_as_dict(made, before, after),
        "test_openings": calibrated.test_openings,
        "release": after.release.id,
        "gate": calibrated.gate.as_dict(),
        **made_with(),
    }


def _finish(
    calibrated: Calibrated, result: dict[str, Any], dataset: Dataset, folder: RunFolder, registry: Registry
) -> None:
    made, before, after, gate = calibrated.made, calibrated.before, calibrated.after, calibrated.gate
    arms = [("baseline", before), ("winner", after)]
    judged = [(arm, m.release.id, m.judgments, m.examples) for arm, m in arms]
    folder.write_text("release.json", after.release.to_json())
    folder.write_judgments([*judged, ("calibration", before.release.id, made.judgments, made.examples)])
    write_report(folder, result)
    registry.register(before.release)  # so that a later gate finds what it was made from
    against = (before.release.id, "uncalibrated")
    record = record_of("calibrate", gate, after, dataset, against, calibrated.test_openings)
    entry = registry.register(after.release, gate=record)
    folder.write_text("model_card.md", model_card(entry, [before.release]))
    registry.log_run(
        f"calibrate {after.release.judge.model.name}",
        {"method": result["method"], "kind": result["calibration"]["kind"], "release": after.release.id},
        {
            "baseline_nmse": before.figures.nmse,
            "winner_nmse": after.figures.nmse,
            "winner_validity": after.figures.validity,
            **{f"cv_nmse_{kind}": nmse for kind, nmse in made.fitted.cv_nmse.items()},
        },
        [folder.path / name for name in ("release.json", REPORT, FIGURES)],
    )
