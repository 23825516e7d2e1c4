"""`report.html`: the figures of a run, its candidates, worst disagreements and provenance, self-contained."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from jinja2 import Environment, PackageLoader

from cluster.measure import Measured
from cluster.report.course import course_of, line_of
from cluster.report.lineage import lineage_of
from cluster.report.waterfall import waterfall_of
from cluster.run_folder import RunFolder
from optimize_workers.metrics import losses
from optimize_workers.study import StudyResult

NUM_DISAGREEMENTS = 10
_MAX_SHOWN_CHARS = 600


def write_report(
    folder: RunFolder,
    title: str,
    arms: Sequence[tuple[str, Measured]],
    result: dict[str, Any],
    study: StudyResult | None = None,
) -> None:
    """Write the report, with the candidates if there was a study; all texts of documents and models are escaped."""
    environment = Environment(loader=PackageLoader("cluster.report"), autoescape=True)
    html = environment.get_template("report.html").render(
        title=title,
        arms=[{"name": name, "figures": m.figures, "release": m.release} for name, m in arms],
        disagreements=_disagreements(arms[-1][1]),
        result=json.dumps(result, indent=2, ensure_ascii=False),
        gate=result.get("gate"),
        comparison=result.get("comparison"),
        test_openings=result.get("test_openings"),
        **(_candidates(study) if study else {}),
        **(_waterfall(result) if result.get("waterfall") else {}),
    )
    folder.write_text("report.html", html)


def _candidates(study: StudyResult) -> dict[str, Any]:
    """What `candidates.html` shows."""
    course = course_of(study.trials)
    num_calls = max((trial.calls for trial in study.trials), default=0)
    return {
        "study": study,
        "lineage": lineage_of(study),
        "course": course,
        "line": line_of(course, num_calls) if course else None,
        "calls_saved": study.calls_saved,
        "refusals": dict(sorted(study.refusals.items(), key=lambda counted: (-counted[1], counted[0]))),
    }


def _waterfall(result: dict[str, Any]) -> dict[str, Any]:
    """What `waterfall.html` shows."""
    picture = waterfall_of([step["nmse"] for step in result["waterfall"]])
    return {"picture": picture, **{key: result[key] for key in ("steps", "waterfall", "harmful", "diff_budget")}}


def _disagreements(measured: Measured) -> list[dict[str, Any]]:
    scale = measured.release.judge.task.scale
    import numpy as np

    gold = np.array([example.gold_rating for example in measured.examples])
    loss = losses(measured.judgments, gold, scale)
    worst = sorted(range(len(loss)), key=lambda i: (-loss[i], i))[:NUM_DISAGREEMENTS]
    return [
        {
            "query": measured.examples[i].item.query,
            "document": measured.examples[i].item.document[:_MAX_SHOWN_CHARS],
            "human": measured.examples[i].gold_rating,
            "human_reason": measured.examples[i].explanation,
            "judge": measured.judgments[i].value,
            "judge_reason": measured.judgments[i].explanation or measured.judgments[i].raw_reply[:_MAX_SHOWN_CHARS],
            "invalid_reason": measured.judgments[i].invalid_reason,
        }
        for i in worst
        if loss[i] > 0
    ]
