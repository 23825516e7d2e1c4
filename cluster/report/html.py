"""`report.html`: the figures of a run, its worst disagreements and its provenance, self-contained."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from jinja2 import Environment, PackageLoader

from cluster.measure import Measured
from cluster.run_folder import RunFolder
from optimize_workers.metrics import losses

NUM_DISAGREEMENTS = 10
_MAX_SHOWN_CHARS = 600


def write_report(folder: RunFolder, title: str, arms: Sequence[tuple[str, Measured]], result: dict[str, Any]) -> None:
    """Write the report; every text of documents and models is escaped."""
    environment = Environment(loader=PackageLoader("cluster.report"), autoescape=True)
    html = environment.get_template("report.html").render(
        title=title,
        arms=[{"name": name, "figures": m.figures, "release": m.release} for name, m in arms],
        disagreements=_disagreements(arms[-1][1]),
        result=json.dumps(result, indent=2, ensure_ascii=False),
        gate=result.get("gate"),
        comparison=result.get("comparison"),
        test_openings=result.get("test_openings"),
    )
    folder.write_text("report.html", html)


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
