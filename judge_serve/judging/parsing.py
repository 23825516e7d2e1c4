"""Strict reading of model replies: a rating exactly as the schema says, or the reason why not.

Nothing is repaired. White space and one Markdown code fence around the object are allowed.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from judge_serve.judging.judgment import InvalidReason
from judge_serve.judging.scale import Scale

_FENCE = re.compile(r"\A```(?:json|JSON)?[ \t]*\n(.*?)\n?```\Z", re.DOTALL)
_REFUSAL = re.compile(
    r"\A\W*(?:i['\u2019]?m (?:really |very |so )?(?:sorry|unable)|i am (?:sorry|unable|not able)|sorry|i apologi[sz]e"
    r"|i (?:can(?:not|['\u2019]t)|won['\u2019]t|will not)"
    r"|as an ai\b)",
    re.IGNORECASE,
)
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_FIELDS = frozenset({"rating", "explanation"})
MIN_DIGIT_MASS = 0.5  # below, the model is more likely to have answered something else than a rating
_DECODER = json.JSONDecoder(
    object_pairs_hook=lambda pairs: _Object(pairs), parse_constant=lambda name: _raise_not_json(name)
)


class Reading(NamedTuple):
    """What a reply says: `rating` and `explanation`, or `invalid_reason`.

    Digit probabilities say `expected_rating` and its rounding instead, without an explanation, and their sum, of which
    see `Judgment.digit_mass`.
    """

    rating: int | None
    explanation: str | None
    invalid_reason: InvalidReason | None
    expected_rating: float | None = None
    digit_mass: float | None = None


class _Object(list[tuple[str, Any]]):
    """The key-value pairs of a JSON object, repeated keys kept."""


def parse_reply(reply: str, finish_reason: str, scale: Scale) -> Reading:
    """Read one JSON object `{"rating": integer, "explanation": text}` from a reply.

    Args:
        reply: the model's text, unchanged and untrusted.
        finish_reason: `length` marks a reply cut off by the token limit, `content_filter` a refusal.
        scale: the ratings allowed.

    Never raises on any text and never invents a rating.
    """
    if finish_reason == "content_filter":
        return _invalid(InvalidReason.REFUSAL)
    text = reply.strip()
    fence = _FENCE.match(text)
    if fence:
        text = fence.group(1).strip()
    is_cut_off = finish_reason == "length"
    try:
        value, end = _DECODER.raw_decode(text)
    except (ValueError, RecursionError):
        return _invalid(_why_not_json(text, is_cut_off))
    if not isinstance(value, _Object):
        return _invalid(InvalidReason.TRUNCATED if is_cut_off else InvalidReason.NOT_JSON)
    if text[end:].strip():
        return _invalid(InvalidReason.EXTRA_TEXT)
    return _read_fields(value, scale)


def read_expected(
    top_logprobs: Sequence[tuple[str, float]], scale: Scale, min_digit_mass: float = MIN_DIGIT_MASS
) -> Reading:
    """Expectation of the rating over the probabilities of the scale's digits in one token position.

    Args:
        top_logprobs: (token text, natural log probability) pairs; tokens that are the same digit after
            stripping white space (" 4" and "4") count together, all others are left out.
        scale: the ratings allowed.
        min_digit_mass: probability that the scale's digits must have together.

    Returns: `no_digit` as the reason where they have less, or none at all.
    """
    weights = dict.fromkeys(scale.ratings, 0.0)
    for token, logprob in top_logprobs:
        digit = token.strip()
        if len(digit) == 1 and digit in "0123456789" and int(digit) in weights and math.isfinite(logprob):
            weights[int(digit)] += math.exp(min(logprob, 0.0))  # above 0 only by a broken endpoint: no overflow
    total = sum(weights.values())
    digit_mass = min(total, 1.0)  # rounding, or a broken endpoint
    if total <= 0.0 or digit_mass < min_digit_mass:
        return Reading(None, None, InvalidReason.NO_DIGIT, digit_mass=digit_mass)
    expected = sum(rating * weight for rating, weight in weights.items()) / total
    expected = min(max(expected, float(scale.minimum)), float(scale.maximum))
    return Reading(scale.nearest(expected), None, None, expected, digit_mass)


def storable(text: str) -> str:
    """The text with what UTF-8 files and databases refuse (NUL, lone surrogates) replaced by U+FFFD."""
    is_plain = text.isascii() and "\x00" not in text
    return text if is_plain else _UNSTORABLE.sub("\ufffd", text)


def _read_fields(pairs: _Object, scale: Scale) -> Reading:
    fields = dict(pairs)
    if not fields.keys() >= _FIELDS:
        return _invalid(InvalidReason.MISSING_FIELD)
    if len(pairs) != len(_FIELDS):  # unknown or repeated fields
        return _invalid(InvalidReason.EXTRA_TEXT)
    rating, explanation = fields["rating"], fields["explanation"]
    if not isinstance(rating, int) or isinstance(rating, bool):
        return _invalid(InvalidReason.NOT_AN_INTEGER)
    if rating not in scale.ratings:
        return _invalid(InvalidReason.OFF_SCALE)
    if not isinstance(explanation, str):
        return _invalid(InvalidReason.MISSING_FIELD)
    explanation = storable(explanation).strip()
    if not explanation:
        return _invalid(InvalidReason.EMPTY_EXPLANATION)
    return Reading(rating, explanation, None)


def _why_not_json(text: str, is_cut_off: bool) -> InvalidReason:
    if is_cut_off:
        return InvalidReason.TRUNCATED
    start = text.find("{")
    if start > 0 and _holds_object(text[start:]):
        return InvalidReason.EXTRA_TEXT
    if _REFUSAL.match(text):
        return InvalidReason.REFUSAL
    if start == 0 and text.count("{") > text.count("}"):
        return InvalidReason.TRUNCATED
    return InvalidReason.NOT_JSON


def _holds_object(text: str) -> bool:
    try:
        value, _ = _DECODER.raw_decode(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, _Object)


def _raise_not_json(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _invalid(reason: InvalidReason) -> Reading:
    return Reading(None, None, reason)
