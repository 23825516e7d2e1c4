"""The demo: the whole loop on the embedded model and the shipped examples, nothing in it a stand-in."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from cluster.adapting.calibration import (
    calibrate_on_train,
    calibration_as_dict,
    evidence_of,
    measure_applied,
    training_examples,
)
from cluster.adapting.config import OptimizeConfig
from cluster.adapting.finish import Adapted, finish_adaptation
from cluster.adapting.optimize import adapt_judge
from cluster.adapting.proof import with_evidence
from cluster.commands.demo import DemoConfig
from cluster.endpoint.config import EXAMPLES
from cluster.endpoint.deploy import deploy_release
from cluster.endpoint.lifecycle import LOOPBACK
from cluster.endpoint.models import resolve_model
from cluster.endpoint.session import Session, open_session
from cluster.gating.record import record_of
from cluster.labeling.bulk import label_rows
from cluster.machine.stores import open_ledger
from cluster.measuring.measure import Measured, measure_judge
from cluster.progress import Progress
from cluster.registry.store import Registry
from cluster.report.html import write_report
from cluster.runs.folder import RunFolder
from judge_serve.catalogue.entries import EMBEDDED
from judge_serve.judging.judge_file import load_judge_file
from judge_serve.judging.judgment import AnswerMode
from judge_serve.judging.release import Release
from judge_serve.serving.home import home, models_dir
from optimize_workers.dataset.splits import Dataset, load_dataset, load_items
from optimize_workers.evidence.gate.check import GateResult, check_gate
from optimize_workers.evidence.gate.evidence import GateEvidence, HeldOut, TextFindings
from optimize_workers.statistics.comparison import compare

QUICK_BUDGET = 60
QUICK_EXAMPLES = 16
CALIBRATION_EXAMPLES = 120  # training examples that the winner is calibrated on, about 30 s of one-token answers
QUICK_CALIBRATION_EXAMPLES = 40
_STORES_OF_OTHERS = ("MLFLOW_TRACKING_URI", "RELEVANCE_JUDGE_STORE", "RELEVANCE_JUDGE_API_KEYS_FILE", "RAY_ADDRESS")
OVERRIDE = "demo: a weak embedded model, deployed to its own loopback endpoint only"


def run_demo(config: DemoConfig, progress: Progress) -> dict[str, Any]:
    """Serve, baseline, optimize, prove, register, deploy, judge over HTTP, label; returns `result.json`."""
    started = time.perf_counter()
    _move_home(config.out / "home")
    optimize = _search_of(config)
    choice = resolve_model(EMBEDDED)
    judge = load_judge_file(optimize.judge).judge(choice.identity, optimize.mode)
    dataset = load_dataset(optimize.data, judge.task.scale)
    folder = RunFolder.create(config.out, config.model_dump(mode="json"))
    registry = Registry(home())
    with open_ledger() as ledger, open_session(choice, home(), progress, ledger=ledger) as session:
        ledger.record_run(str(folder.path.resolve()), "demo")
        adapted = adapt_judge(judge, dataset, session, ledger, folder, progress, optimize)
        num_fitted = QUICK_CALIBRATION_EXAMPLES if config.quick else CALIBRATION_EXAMPLES
        expected = _measure_expected(adapted, dataset, session, progress, num_fitted)
        arms = [("baseline_expected", expected.baseline), ("winner_expected", expected.winner)]
        arms.append(("winner_calibrated", expected.calibrated))
        result = finish_adaptation(adapted, dataset, folder, registry, optimize, arms, "demo")
        deployed, gate = _better_of(adapted, expected, progress)
        folder.write_text("release.json", deployed.release.to_json())
        against = (adapted.proof.baseline.release.id, "the baseline")
        record = record_of("demo", gate, deployed, dataset, against, adapted.proof.test_openings)
        registered = registry.register(deployed.release, gate=record)
        progress.note("gate: passed" if gate.passed else f"gate: refused, because {'; '.join(gate.reasons)}")
        override = None if gate.passed else OVERRIDE
        if override:
            progress.note(f"deploying all the same, override recorded: {override}")
        assert session.url is not None and choice.served is not None, "the embedded model is served by this session"
        port = int(session.url.rsplit(":", 1)[1])
        live = deploy_release(registered, registry, [choice.served], LOOPBACK, port, override, progress)
        answer = _ask_endpoint(live.url, progress)
        rows = load_items(str(EXAMPLES / "unlabelled.parquet"))
        labels = label_rows(rows, deployed.release, session.pool, folder.path, progress)
        openings = ledger.count_test_openings(dataset.fingerprint)
        progress.phase("stopping vLLM and Ray")
    result.update(
        {
            "winner_release": result["release"],
            "expected": expected.winner.as_dict(dataset, "test"),
            "expected_baseline": expected.baseline.as_dict(dataset, "test"),
            "calibrated": expected.calibrated.as_dict(dataset, "test"),
            "calibration": expected.calibration,
            "release": deployed.release.id,
            "deployed_mode": str(deployed.release.judge.mode),
            "deployed_gate": {**gate.as_dict(), "override": override},
            "endpoint_answer": answer,
            "labels": labels["shards"][0],
            "test_openings": openings,
            "wall_s": round(time.perf_counter() - started, 1),
        }
    )
    write_report(folder, result)  # again, with what came after the search
    folder.write_json("result.json", result)
    return result


def _search_of(config: DemoConfig) -> OptimizeConfig:
    return OptimizeConfig(
        data=str(EXAMPLES / "workplace.jsonl"),
        optimizer="mipro",
        budget=QUICK_BUDGET if config.quick else config.budget,
        seed=config.seed,
        limit=QUICK_EXAMPLES if config.quick else 0,
        out=config.out,
    )


def _move_home(folder: Path) -> None:
    """The demo's releases and runs stay in its own folder; only the converted model is shared."""
    for elsewhere in _STORES_OF_OTHERS:
        os.environ.pop(elsewhere, None)
    os.environ["RELEVANCE_JUDGE_MODELS"] = str(models_dir())
    os.environ["RELEVANCE_JUDGE_HOME"] = str(folder.resolve())


class Expected(NamedTuple):
    """Baseline and winner in mode 'expected' on the test split, and the winner calibrated on train.

    `validation_nmse` is of the calibrated winner on the validation examples.
    """

    baseline: Measured
    winner: Measured
    calibrated: Measured
    calibration: dict[str, Any]
    gate: GateResult
    validation_nmse: float


def _measure_expected(
    adapted: Adapted, dataset: Dataset, session: Session, progress: Progress, num_fitted: int
) -> Expected:
    pool, ledger = session.pool, session.ledger
    title = "in mode 'expected'"
    release = _in_expected(adapted.proof.winner.release)
    examples = training_examples(release.judge, dataset, num_fitted)
    made = calibrate_on_train(release.judge, dataset, examples, pool, ledger, progress)
    validation = adapted.search.validation.examples
    chosen = measure_judge(release, validation, pool, progress, f"winner {title} on validation", ledger)
    chosen = measure_applied(made, chosen, progress)
    baseline, winner = (
        measure_judge(_in_expected(m.release), m.examples, pool, progress, f"{name} {title} on test", ledger)
        for name, m in (("baseline", adapted.proof.baseline), ("winner", adapted.proof.winner))
    )
    calibrated = measure_applied(made, winner, progress)
    scale = release.judge.task.scale
    compared = compare(baseline.judgments, calibrated.judgments, calibrated.examples, scale)
    made_by = {"derived_from": adapted.proof.winner.release.digest, "calibration": evidence_of(made.fitted)}
    proven = with_evidence(calibrated, baseline, compared, dataset, made_by)
    held_out = HeldOut(winner.examples, calibrated.judgments, baseline.judgments, scale)
    texts = TextFindings(adapted.search.refusal, no_guardrails="")
    gate = check_gate(GateEvidence(calibrated.figures, compared, held_out, texts=texts))
    shown = calibration_as_dict(made, winner, calibrated)
    return Expected(baseline, winner, proven, shown, gate, chosen.figures.nmse)


def _in_expected(release: Release) -> Release:
    judge = release.judge.model_copy(update={"mode": AnswerMode.EXPECTED})
    return Release(name=release.name, judge=judge, parents=(release.digest,))


def _better_of(adapted: Adapted, expected: Expected, progress: Progress) -> tuple[Measured, GateResult]:
    """The winner in the mode that is better on the validation examples; the test split only proves it."""
    validation = adapted.search.validation
    progress.note(
        f"winner on {len(validation.examples)} validation examples: NMSE {validation.nmse:.1f} "
        f"in mode 'generate', {expected.validation_nmse:.1f} in mode 'expected', calibrated; the better one is deployed"
    )
    if expected.validation_nmse < validation.nmse:
        return expected.calibrated, expected.gate
    return adapted.proof.winner, adapted.proof.gate


def _ask_endpoint(url: str, progress: Progress) -> dict[str, Any]:
    pair = {
        "query": "how do I reset my password",
        "document": "Password help: open the login page, choose 'Forgot password' and follow the link in the mail.",
    }
    progress.phase(f"asking {url}/v1/judge")
    response = httpx.post(f"{url}/v1/judge", json=pair, timeout=120.0, trust_env=False)
    response.raise_for_status()
    answer: dict[str, Any] = response.json()
    return {**pair, **answer}
