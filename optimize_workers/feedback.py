"""Feedback per example for reflective optimization: the gap and its direction, the reasons, and the rules."""

from __future__ import annotations

from typing import Any

from judge_serve.judging.judgment import Judgment
from judge_serve.judging.scale import Scale
from judge_serve.judging.task import Example

RULES = (
    "Write general rules only. Do not copy words, names, numbers or phrases of these examples, and do not change "
    "the task, the rating scale or the answer format."
)
_MAX_SHOWN_CHARS = 600  # of a document or reply within a reflection prompt


def feedback_on(judgment: Judgment, example: Example, scale: Scale) -> str:
    """What went right or wrong on one example, for a model that improves the instruction."""
    human = f"The human rating is {example.gold_rating:g} on scale {scale}."
    reason = f' The human\'s reason: "{example.explanation}"' if example.explanation else ""
    if judgment.value is None:
        return (
            f"The reply could not be read ({judgment.invalid_reason}) and counts as fully wrong. "
            f"A reply must be exactly one JSON object with an integer rating and an explanation. {human}{reason}"
        )
    gap = judgment.value - example.gold_rating
    if abs(gap) < 0.5:
        return f"Right: the judge said {judgment.value:g}. {human}{reason}"
    direction = "too high" if gap > 0 else "too low"
    thought = f' The judge\'s reasoning: "{judgment.explanation}"' if judgment.explanation else ""
    return f"The judge said {judgment.value:g}, {abs(gap):g} {direction}. {human}{reason}{thought}"


def reflection_record(judgment: Judgment, example: Example, scale: Scale) -> dict[str, Any]:
    """One record of a reflection prompt; texts are shortened, invalid replies show their raw text."""
    return {
        "Inputs": {"query": _shorten(example.item.query), "document": _shorten(example.item.document)},
        "Generated Outputs": _shorten(judgment.raw_reply),
        "Feedback": feedback_on(judgment, example, scale),
    }


def _shorten(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN_CHARS else text[:_MAX_SHOWN_CHARS] + " [...]"
