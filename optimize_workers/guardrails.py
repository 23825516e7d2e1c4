"""Guardrails: what a proposed instruction may not do. Mechanical, before any judge call is spent on it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from judge_serve.judging.scale import Scale
from judge_serve.judging.task import Example

NGRAM_WORDS = 8  # a run of this many words of an example counts as copied
MAX_GROWTH = 3.0  # times the length of the baseline, plus the allowance
GROWTH_ALLOWANCE_CHARS = 1_500
_WORD = re.compile(r"\w+")
# three digits at most begin a scale: 2019-2024 are years
_RANGE = re.compile(r"\b(\d{1,3})\s*(?:-|\u2013|\u2014|to|through|out of|/)\s*(\d+)\b", re.IGNORECASE)
_BETWEEN = re.compile(r"\bbetween\s+(\d{1,3})\s+and\s+(\d+)\b", re.IGNORECASE)
_RATING_CONTEXT = re.compile(r"\b(?:rat(?:e|es|ed|ing|ings)|scale|scores?|grades?|points?)\b", re.IGNORECASE)
_OUT_OF = re.compile(r"\bout of (?:\d+|three|four|six|seven|ten|hundred)\b", re.IGNORECASE)
_TEMPLATE = re.compile(r"</?(?:query|document)\b|<\||\|>", re.IGNORECASE)
_CONTEXT_CHARS = 40


class Guardrails:
    """Checks instruction texts against the scale, the baseline and the examples they were written from."""

    def __init__(self, scale: Scale, baseline: str, examples: Iterable[Example]) -> None:
        self._scale = scale
        self._max_chars = int(MAX_GROWTH * len(baseline)) + GROWTH_ALLOWANCE_CHARS
        own = set(_ngrams(baseline))
        texts = (text for e in examples for text in (e.item.query, e.item.document, *e.explanations))
        self._copied = {ngram for text in texts for ngram in _ngrams(text)} - own

    def refusal(self, text: str) -> str | None:
        """Why an instruction is refused (`empty`, `too_long`, `template`, `scale_change`, `copied_text`), or None."""
        if not text.strip():
            return "empty"
        if len(text) > self._max_chars:
            return "too_long"
        if _TEMPLATE.search(text):
            return "template"
        if self._changes_scale(text):
            return "scale_change"
        if any(ngram in self._copied for ngram in _ngrams(text)):
            return "copied_text"
        return None

    def _changes_scale(self, text: str) -> bool:
        if _OUT_OF.search(text) and not re.search(rf"\bout of {self._scale.maximum}\b", text, re.IGNORECASE):
            return True
        for match in (*_RANGE.finditer(text), *_BETWEEN.finditer(text)):
            nearby = text[max(0, match.start() - _CONTEXT_CHARS) : match.end() + _CONTEXT_CHARS]
            low, high = int(match.group(1)), int(match.group(2))
            is_within = self._scale.minimum <= low and high <= self._scale.maximum
            is_scale = (low, high) == (self._scale.minimum, self._scale.maximum)
            names_whole_scale = low <= self._scale.minimum and match.re is _RANGE  # "torn between 1 and 2" does not
            if _RATING_CONTEXT.search(nearby) and not is_scale and (names_whole_scale or not is_within):
                return True
        return False


def _ngrams(text: str) -> list[tuple[str, ...]]:
    words = _WORD.findall(text.lower())
    return [tuple(words[i : i + NGRAM_WORDS]) for i in range(len(words) - NGRAM_WORDS + 1)]
