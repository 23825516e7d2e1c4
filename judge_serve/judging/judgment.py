"""A judgment: the record of one judge call, holding a rating, or why the reply has none, or why nobody replied."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum
from operator import attrgetter
from typing import Any


class AnswerMode(StrEnum):
    """How a rating is read from the model."""

    GENERATE = "generate"  # the model writes JSON freely
    GUIDED = "guided"  # decoding constrained to the JSON schema
    EXPECTED = "expected"  # one token; the rating is the expectation over the digits' probabilities


class InvalidReason(StrEnum):
    """Why a reply holds no rating."""

    NOT_JSON = "not_json"
    TRUNCATED = "truncated"
    OFF_SCALE = "off_scale"
    NOT_AN_INTEGER = "not_an_integer"
    MISSING_FIELD = "missing_field"
    EMPTY_EXPLANATION = "empty_explanation"
    EXTRA_TEXT = "extra_text"
    NO_DIGIT = "no_digit"
    REFUSAL = "refusal"
    PROMPT_TOO_LONG = "prompt_too_long"


@dataclass(frozen=True, slots=True)
class Judgment:
    """One judge call: exactly one of `rating`, `invalid_reason` and `cause` is set.

    Attributes:
        invalid_reason: why the model's reply holds no rating.
        expected_rating: fractional rating, in mode `expected` and after a release's calibration.
        program: digest of the program that was judged with.
        occurrence: number of this repetition within a study.
        latency_s: seconds from first send to reply, retries included.
        cached: whether a stored judgment answered instead of a model.
        digit_mass: in mode `expected` the probability, 0 to 1, on the digits of the scale before it is scaled to sum
            to one; None in other modes and for judgments recorded without it. Engines that allow nothing but the digits
            (vLLM, which masks before it takes probabilities) always say 1: there it tells nothing of what the model
            would have said.
        cause: why this call was not judged, though the engine answers others; it is part of no figure, is recorded
            nowhere, and is asked again.
        identity: id of what answered, see `ModelIdentity.id`.
    """

    query_id: str
    doc_id: str
    rating: int | None
    expected_rating: float | None
    explanation: str | None
    invalid_reason: InvalidReason | None
    raw_reply: str
    finish_reason: str
    program: str
    model: str
    mode: AnswerMode
    occurrence: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    latency_s: float = 0.0
    cached: bool = False
    digit_mass: float | None = None
    cause: str | None = None
    identity: str = ""

    def __reduce__(self) -> tuple[type[Judgment], tuple[Any, ...]]:
        """Sent to other processes as its fields in order: half the time of what a dataclass does by itself."""
        return Judgment, _FIELDS_OF(self)

    def recorded_for(self, program: str, identity: str) -> Judgment:
        """The same judgment as the answer of a program and a model; a third of the time of `dataclasses.replace`."""
        values = list(_FIELDS_OF(self))
        values[_PROGRAM], values[_IDENTITY] = program, identity
        return Judgment(*values)

    @property
    def is_valid(self) -> bool:
        """Whether the judgment holds a rating."""
        return self.rating is not None

    @property
    def is_judged(self) -> bool:
        """Whether a model replied at all, be it unreadably."""
        return self.cause is None

    @property
    def value(self) -> float | None:
        """What the figures use: the expected rating where there is one, the rating otherwise."""
        return self.expected_rating if self.expected_rating is not None else self.rating


_NAMES = [field.name for field in fields(Judgment)]
_FIELDS_OF = attrgetter(*_NAMES)
_PROGRAM, _IDENTITY = _NAMES.index("program"), _NAMES.index("identity")
