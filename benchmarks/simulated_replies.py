"""What a simulated model writes: well-formed judgments, malformed ones of several kinds, digit probabilities."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

CHARS_PER_TOKEN = 4
RATINGS = range(1, 6)
EXPLANATIONS = (
    "The document names what the query asks for.",
    "It covers the topic but leaves out the main point of the need.",
    "Only some words are shared; the need behind the query is another one.",
    "The document is about the same team and period, and gives the steps in full.",
)
_FALLOFF = 1.8  # natural log of how much less likely a digit is, per step away from the chosen one
_LOOP = "The document is related to the query and "


class Text(NamedTuple):
    """A generated text and why it ended."""

    text: str
    finish_reason: str


def write_well_formed(rating: int, lane: int) -> Text:
    """The JSON object that was asked for; `lane` chooses the explanation."""
    return Text(f'{{"rating": {rating}, "explanation": "{EXPLANATIONS[lane % len(EXPLANATIONS)]}"}}', "stop")


def cut(text: Text, max_tokens: int) -> Text:
    """The text as far as the token limit lets the model write it."""
    max_chars = max_tokens * CHARS_PER_TOKEN
    return text if len(text.text) <= max_chars else Text(text.text[:max_chars], "length")


def write_truncated(rating: int, max_tokens: int) -> Text:
    """A sentence that repeats itself until the token limit cuts the JSON off."""
    loop = _LOOP * (max_tokens * CHARS_PER_TOKEN // len(_LOOP) + 1)
    return cut(Text(f'{{"rating": {rating}, "explanation": "{loop}', "stop"), max_tokens)


def write_prose(rating: int, _max_tokens: int) -> Text:
    """A sentence instead of JSON."""
    return Text(f"I would rate this document {rating} out of 5, because it answers part of the query.", "stop")


def write_preamble(rating: int, _max_tokens: int) -> Text:
    """JSON with something before it."""
    return Text(f"Here is my rating:\n{write_well_formed(rating, 0).text}", "stop")


def write_off_scale(rating: int, _max_tokens: int) -> Text:
    """A rating in percent."""
    return Text(json.dumps({"rating": 20 * rating, "explanation": EXPLANATIONS[0]}), "stop")


def write_as_text(rating: int, _max_tokens: int) -> Text:
    """A rating in quotes."""
    return Text(json.dumps({"rating": str(rating), "explanation": EXPLANATIONS[0]}), "stop")


def write_no_explanation(rating: int, _max_tokens: int) -> Text:
    """A rating without its reason."""
    return Text(json.dumps({"rating": rating}), "stop")


MALFORMED: dict[str, Callable[[int, int], Text]] = {
    "truncated": write_truncated,
    "prose": write_prose,
    "preamble": write_preamble,
    "off_scale": write_off_scale,
    "as_text": write_as_text,
    "no_explanation": write_no_explanation,
}
MALFORMED_KINDS = tuple(MALFORMED)


def first_token_logprobs(
    texts: Sequence[str], chosen: int, lean: float, num_alternatives: int
) -> tuple[tuple[str, float], ...]:
    """(token, natural log probability) of the most likely texts, likeliest first.

    Args:
        texts: what may be answered, in the order of the scale.
        chosen: index of the likeliest.
        lean: in (-0.5, 0.5), how far the model leans to the next text (positive) or the one before.
        num_alternatives: how many to return at most.
    """
    logits = [-_FALLOFF * abs(index - chosen - lean) for index in range(len(texts))]
    log_total = math.log(sum(map(math.exp, logits)))
    alternatives = sorted(zip(texts, logits, strict=True), key=lambda pair: -pair[1])
    return tuple((text, logit - log_total) for text, logit in alternatives[:num_alternatives])


def num_tokens(num_chars: int) -> int:
    """About how many tokens a text of so many characters is."""
    return -(-num_chars // CHARS_PER_TOKEN)
