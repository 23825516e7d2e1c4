"""Runs as `optimize` leaves them, for tests of what reads them: a study and judgments by a formula, without a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cluster.report.record import BASELINE_FILE
from cluster.runs.folder import RunFolder
from judge_serve.judging import Example, Judgment, Program, Release
from optimize_workers.statistics.comparison import compare
from optimize_workers.statistics.metrics import measure
from optimize_workers.study import StudyResult, Trial
from tests.builders import JUDGE, PROGRAM, SCALE
from tests.recorded_runs import judge_pairs, make_pairs


def of_pairs(judgments: Sequence[Judgment], pairs: Sequence[Example]) -> list[Judgment]:
    """The judgments with the ids of their pairs, as a run records them."""
    return [
        replace(judgment, query_id=pair.item.query_id, doc_id=pair.item.doc_id)
        for judgment, pair in zip(judgments, pairs, strict=True)
    ]


def evaluation(pairs: Sequence[Example], judgments: Sequence[Judgment], release: Release) -> dict[str, Any]:
    """What `result.json` of `evaluate` says of these judgments."""
    queries = len({pair.item.query_id for pair in pairs})
    return {
        "dataset": {
            "path": "labelled.jsonl",
            "fingerprint": "f" * 64,
            "split": "test",
            "n": len(pairs),
            "queries": queries,
        },
        "judge": {"release": release.id, "model": release.judge.model.name, "mode": "generate"},
        **measure(judgments, pairs, SCALE).as_dict(),
        "calls": len(judgments),
        "cached": 0,
        "prompt_tokens": 100 * len(judgments),
        "completion_tokens": 20 * len(judgments),
        "wall_s": 2.5,
    }


def write_evaluation(
    path: Path, pairs: Sequence[Example], judgments: Sequence[Judgment], program: Program = PROGRAM, **more: Any
) -> Path:
    """A finished run of `evaluate`; `more` stands in its result."""
    release = Release(judge=JUDGE.model_copy(update={"program": program}))
    mine = of_pairs(judgments, pairs)
    folder = RunFolder.create(path, {"data": "labelled.jsonl"})
    folder.write_judgments([("judge", release.id, mine, pairs)])
    folder.write_json("release_document.json", {**release.model_dump(mode="json"), "digest": release.digest})
    folder.write_json("result.json", {**evaluation(pairs, mine, release), **more})
    return path


def write_search(
    path: Path,
    study: StudyResult | None = None,
    pairs: Sequence[Example] | None = None,
    arms: tuple[Sequence[Judgment], Sequence[Judgment]] | None = None,
    baseline: Program = PROGRAM,
    **more: Any,
) -> Path:
    """A finished run of `optimize`; `more` stands in its result."""
    found = study or StudyResult(PROGRAM, (Trial(0, PROGRAM, 0.7, 1.0, 40, True, calls=40),), {})
    pairs = pairs or make_pairs(20, "test")
    before, after = arms or (judge_pairs(pairs), judge_pairs(pairs, lambda _, pair: int(pair.gold_rating)))
    judged = [of_pairs(before, pairs), of_pairs(after, pairs)]
    first = Release(judge=JUDGE.model_copy(update={"program": baseline}))
    second = Release(judge=JUDGE.model_copy(update={"program": found.winner}), parents=(first.digest,))
    folder = RunFolder.create(path, {"data": "labelled.jsonl", "optimizer": "gepa", "price": {}})
    for trial in found.trials:
        folder.append_line("candidates.jsonl", trial.as_dict())
    for reason in found.refusals:
        folder.append_line("candidates.jsonl", {"refused": reason, "detail": "", "origin": {}})
    folder.write_text(BASELINE_FILE, first.to_json())
    folder.write_text("release.json", second.to_json())
    groups = [("baseline", first.id, judged[0], pairs), ("winner", second.id, judged[1], pairs)]
    folder.write_judgments(groups)
    result = {
        "optimizer": "gepa",
        "seed": 3,
        "budget": 300,
        "calls": 250,
        "calls_saved": found.calls_saved,
        "cached": 0,
        "baseline": evaluation(pairs, judged[0], first),
        "winner": evaluation(pairs, judged[1], second),
        "comparison": compare(judged[0], judged[1], pairs, SCALE).as_dict(),
        "refusals": found.refusals,
        "test_openings": 1,
        "release": second.id,
        "gate": {"passed": True, "reasons": []},
    }
    folder.write_json("result.json", {**result, **more})
    return path
