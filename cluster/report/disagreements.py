"""The pairs where judge and people differ most, with both reasons, cut to what fits a page."""

from __future__ import annotations

from typing import NamedTuple

from cluster.report.blocks import Section, cut, shown
from cluster.report.record import Record
from optimize_workers.statistics.metrics import gold_of, losses

NUM_DISAGREEMENTS = 10
MAX_QUERY_CHARS, MAX_DOCUMENT_CHARS, MAX_REASON_CHARS = 300, 600, 400


class Disagreement(NamedTuple):
    """A pair with both ratings and reasons; `is_reply` where the judge gave no reason and its reply stands there."""

    query: str
    document: str
    human: str
    human_reason: str
    judge: str
    judge_reason: str
    is_reply: bool


def disagreements(record: Record) -> Section | None:
    """The worst ones of the judge that the report is about; none if it agrees everywhere."""
    arm = record.after
    loss = losses(arm.judgments, gold_of(arm.examples), record.scale)
    worst = sorted(range(len(loss)), key=lambda place: (-loss[place], place))[:NUM_DISAGREEMENTS]
    found = []
    for place in worst:
        judgment, example = arm.judgments[place], arm.examples[place]
        if loss[place] > 0:
            rating = str(judgment.invalid_reason) if judgment.value is None else shown_rating(judgment.value)
            found.append(
                Disagreement(
                    query=cut(example.item.query, MAX_QUERY_CHARS),
                    document=cut(example.item.document, MAX_DOCUMENT_CHARS),
                    human=shown_rating(example.gold_rating),
                    human_reason=cut(example.explanation, MAX_REASON_CHARS),
                    judge=rating,
                    judge_reason=cut(judgment.explanation or judgment.raw_reply, MAX_REASON_CHARS),
                    is_reply=not judgment.explanation,
                )
            )
    if not found:
        return None
    return Section(
        "disagreements", f"Worst disagreements, {arm.title}", partial="disagreements.html", content=tuple(found)
    )


def shown_rating(rating: float) -> str:
    """A rating, with decimals only where it has some."""
    return str(int(rating)) if float(rating).is_integer() else shown(rating, 2)
