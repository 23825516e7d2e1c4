"""A run that has everything a report shows, for browser tests and the pictures of the documents.

No model judges here: ratings are formulas over the shipped examples, so that the report is the same every time.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from cluster.endpoint.config import EXAMPLES
from cluster.report.html import REPORT, write_report
from cluster.runs.folder import RunFolder
from judge_serve.judging import Example, Judgment, Program, load_judge_file
from optimize_workers.dataset.splits import load_dataset
from optimize_workers.study import StudyResult, Trial
from tests.builders import SCALE, make_judgment
from tests.recorded_searches import write_search

EARLIER = load_judge_file(EXAMPLES / "judge.toml").program
LATER = EARLIER.model_copy(
    update={
        "sections": {
            **EARLIER.sections,
            "rubric": EARLIER.sections["rubric"].replace(
                "decide how well it serves that need", "decide which part of that need it meets, and how well"
            ),
        },
        "bullets": ("Words in common are no evidence; name what the person would do with the document.",),
    }
)


def shared_words(pair: Example) -> float:
    """Share of the query's words that stand in the document."""
    words = set(pair.item.query.lower().split())
    return len(words & set(pair.item.document.lower().replace(".", " ").split())) / len(words)


def earlier(number: int, pair: Example) -> Judgment:
    """A naive judge, every third of its replies unreadable."""
    if number % 3 == 0:
        return make_judgment(None, raw_reply="Rating: somewhere between 3 and 4, I would say.")
    return make_judgment(max(1, min(5, 1 + round(4 * shared_words(pair)))), explanation="The words of the query occur.")


def later(number: int, pair: Example) -> Judgment:
    """A judge that is right two times in three, and rarely far off."""
    off = (0, 0, 1, 0, -1, 0, 0, 2, 0, 1, -1, 0)[number % 12]
    rating = max(1, min(5, int(pair.gold_rating) + off))
    return make_judgment(rating, explanation="It says where to look, which is part of what is needed.")


def lineage(baseline: Program, winner: Program) -> StudyResult:
    """A search of nine candidates."""
    trials = [Trial(0, baseline, 0.52, 0.66, 50, True, {}, "val", 50)]
    nmses = [41.0, 26.5, 29.0, 17.4, 21.0, 8.8, 4.1]
    for number, nmse in enumerate(nmses, 1):
        program = winner if nmse == min(nmses) else baseline.with_sections({"rubric": f"Candidate {number}."})
        origin = {"parents": [trials[(number - 1) // 2].program.digest], "proposal": number, "section": "rubric"}
        is_full = number not in (3, 5)
        origin |= {} if is_full else {"chance": 0.1 if number == 3 else 0.6}
        n, calls = (50 if is_full else 20), 50 + 34 * number
        trials.append(Trial(number, program, 1 - nmse / 100, 0.98, n, is_full, origin, "val", calls))
    return StudyResult(winner, tuple(trials), {"copied_text": 3, "scale_change": 1}, calls_saved=118)


def evidence() -> dict[str, Any]:
    """The parts of a result that later steps of a run add."""
    tricks = (("keyword stuffing", 0.42), ("instructions inside", 0.18), ("padding", 0.05), ("swapped query", -1.6))
    rules = (
        ("minimum sample", 40, 80, True, ""),
        ("skill over the constant", 0.0, 0.71, True, ""),
        ("rating collapse", 0.9, 0.25, True, ""),
        ("adversarial suite", 0.25, 0.42, False, "keyword stuffing raises ratings by 0.42, at most 0.25 is allowed"),
        ("champion", None, None, None, "there is no champion to compare with"),
    )
    return {
        "human": {"n": 80, "raters": 3, "nmse": 3.4, "nmse_ci95": [2.6, 4.3], "krippendorff_alpha": 0.72, "qwk": 0.78},
        "luck": {"num_candidates": 6, "validation_nmse": 4.1, "test_nmse": 3.6, "by_selection": 0.4},
        "adversarial": [
            {"kind": kind, "expected": "none", "n": 40, "mean_shift": shift, "ci95": [shift - 0.2, shift + 0.2]}
            | {"moved_share": abs(shift) / 2, "invalid": 0}
            for kind, shift in tricks
        ],
        "calibration": {
            "kind": "isotonic",
            "cv_nmse": {"none": 6.2, "affine": 4.4, "isotonic": 4.1},
            "before": {
                "reliability": [{"predicted": 2.2 + 0.4 * n, "human": 1.4 + 0.8 * n, "n": 10 + 5 * n} for n in range(5)]
            },
            "after": {
                "reliability": [{"predicted": 1.5 + 0.8 * n, "human": 1.4 + 0.8 * n, "n": 10 + 5 * n} for n in range(5)]
            },
        },
        "gate": {
            "passed": False,
            "reasons": [reason for *_, passed, reason in rules if passed is False],
            "rules": [dict(zip(("name", "limit", "found", "passed", "reason"), rule, strict=True)) for rule in rules],
        },
        "versions": {"python": "3.11", "ray": "2.60.0", "vllm": "0.24.0", "mlflow": "3.17.0"},
        "finished_at": "2026-11-22T12:00:00+00:00",
    }


def write_full_report(path: Path, change: dict[int, str] | None = None) -> Path:
    """The report of such a run; `change` are other documents by number of the pair. Returns the file."""
    pairs = load_dataset(str(EXAMPLES / "workplace.jsonl"), SCALE).by_split["test"]
    shown = [
        replace(pair, item=replace(pair.item, document=(change or {}).get(number, pair.item.document)))
        for number, pair in enumerate(pairs)
    ]
    judged = tuple([judge(number, pair) for number, pair in enumerate(shown)] for judge in (earlier, later))
    study = lineage(EARLIER, LATER)
    folder = write_search(path, study, shown, (judged[0], judged[1]), EARLIER, **evidence())
    write_report(RunFolder(folder))
    return folder / REPORT
