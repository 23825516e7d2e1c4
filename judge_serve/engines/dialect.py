"""The dialect of an endpoint: which parameters it takes, found out by what it refuses.

A dialect is plain data and changes bodies only: what is asked for stays in the request, and so do its keys.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from judge_serve.engines.error_bodies import ErrorBody

TOKEN_LIMITS = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
DROPPABLE = ("temperature", "seed", "frequency_penalty")  # endpoints have a usual value for these
SCHEMA_WORDS = frozenset({"minLength", "maxLength", "additionalProperties"})  # a reply is read strictly without them
USUAL_TOP_LOGPROBS = 5  # what endpoints return that return few

_REFUSES = re.compile(
    r"unsupported|not support|unknown|unrecogni[sz]ed|unexpected|extra (?:inputs?|fields?|parameters?)"
    r"|not (?:be )?(?:permitted|allowed|available|accepted)|cannot find field|additional properties|deprecated"
    r"|extra_forbidden|invalid|must be|should be|at most|above max|greater than|maximum|expected a value",
    re.IGNORECASE,
)
_BOUND = re.compile(
    r"(?:at most|less than or equal to|<=|no more than|not exceed|up to|between \d+ and|\[\d+, ?"
    r"|max(?:imum)?(?: value)?(?: allowed)?(?: is| of|:)?) ?(\d+)",
    re.IGNORECASE,
)
_TOO_MUCH = re.compile(r"too (?:large|high|small)|at most|at least|<=|less than|greater than", re.IGNORECASE)


class Dialect(BaseModel):
    """What is known of the parameters that an endpoint takes.

    Attributes:
        dropped: parameters that it refuses.
        token_limit: the name it takes for the bound of generated tokens, if the usual one was refused.
        max_top_logprobs: the most alternatives of a token that it returns.
        dropped_schema_words: words of JSON schema that it refuses.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    dropped: frozenset[str] = frozenset()
    token_limit: str | None = None
    max_top_logprobs: int | None = Field(None, ge=1)
    dropped_schema_words: frozenset[str] = frozenset()

    def say(self, body: dict[str, Any]) -> dict[str, Any]:
        """A chat body as the endpoint takes it; the one that is given stays as it is."""
        said = {name: value for name, value in body.items() if name not in self.dropped}
        if self.token_limit is not None:
            for name in [name for name in TOKEN_LIMITS if name in said and name != self.token_limit]:
                said[self.token_limit] = said.pop(name)
        if self.max_top_logprobs is not None and "top_logprobs" in said:
            said["top_logprobs"] = min(said["top_logprobs"], self.max_top_logprobs)
        if self.dropped_schema_words and "response_format" in said:
            said["response_format"] = _without(said["response_format"], self.dropped_schema_words)
        return said

    def learned(self, error: ErrorBody, sent: dict[str, Any]) -> Dialect:
        """The dialect after a refusal; the same if the refusal names nothing that could be left out.

        Args:
            error: what the endpoint said to the body.
            sent: the body as it was sent.
        """
        if not _REFUSES.search(error.words):
            return self
        for name in _named(error, sent):
            changed = self._after_refusal_of(name, error, sent)
            if changed != self:
                return changed
        return self

    def difference(self, other: Dialect) -> str:
        """What another dialect changes, in words."""
        changes = [f"{name!r} is left out" for name in sorted(other.dropped - self.dropped)]
        if other.token_limit != self.token_limit:
            changes.append(f"the bound of tokens is called {other.token_limit!r}")
        if other.max_top_logprobs != self.max_top_logprobs:
            changes.append(f"'top_logprobs' is at most {other.max_top_logprobs}")
        words = sorted(other.dropped_schema_words - self.dropped_schema_words)
        return ", ".join([*changes, *(f"{word!r} is left out of the schema" for word in words)])

    def _after_refusal_of(self, name: str, error: ErrorBody, sent: dict[str, Any]) -> Dialect:
        change: dict[str, Any] = {}
        if name in DROPPABLE:
            change = {"dropped": self.dropped | {name}}
        elif name in TOKEN_LIMITS and self.token_limit is None and _refuses_the_name(error):
            change = {"token_limit": TOKEN_LIMITS[name]}
        elif name in ("logprobs", "top_logprobs"):
            bound = _lower_bound(error, sent.get("top_logprobs", 0), is_certain=name == "top_logprobs")
            lost = frozenset({"logprobs", "top_logprobs"})
            change = {"max_top_logprobs": bound} if bound else {"dropped": self.dropped | lost}
        elif name == "response_format":
            words = _schema_words(sent["response_format"])
            named = frozenset(word for word in words if re.search(rf"\b{word}\b", error.words))
            # some say only that they do not take the schema: the lengths are the words that fewest take
            change = {"dropped_schema_words": self.dropped_schema_words | (named or words - {"additionalProperties"})}
        return self.model_copy(update=change)


def _named(error: ErrorBody, sent: dict[str, Any]) -> Iterator[str]:
    """Parameters of a body that a refusal names: where it points first, then as they stand in its words."""
    places = {
        name: match.start() for name in sent if (match := re.search(rf"\b{re.escape(name)}\b", error.words)) is not None
    }
    if "response_format" in sent and any(
        re.search(rf"\b{word}\b", error.words) for word in _schema_words(sent["response_format"]) | {"schema"}
    ):
        places.setdefault("response_format", len(error.words))
    if "logprobs" in sent and "logprobs" in error.words:
        places.setdefault("logprobs", len(error.words))
    pointed = [part for part in error.parameters if part in sent]
    yield from dict.fromkeys([*pointed, *sorted(places, key=places.__getitem__)])


def _refuses_the_name(error: ErrorBody) -> bool:
    """Whether a refusal is about a parameter as such: a bound that is too high is not mended by another name."""
    return _TOO_MUCH.search(error.words) is None


def _lower_bound(error: ErrorBody, sent: int, *, is_certain: bool) -> int | None:
    """The most alternatives that a refusal names, or the usual few; None if fewer would not help."""
    named = [int(number) for number in _BOUND.findall(error.words)]
    lower = [number for number in named if 1 <= number < sent]
    if lower:
        return max(lower)
    return USUAL_TOP_LOGPROBS if is_certain and sent > USUAL_TOP_LOGPROBS else None


def _schema_words(response_format: dict[str, Any]) -> frozenset[str]:
    return frozenset(_keys(response_format.get("json_schema", {}).get("schema"))) & SCHEMA_WORDS


def _keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value
        for inner in value.values():
            yield from _keys(inner)


def _without(value: Any, words: frozenset[str]) -> Any:
    """A schema without some of its words, at every depth."""
    if isinstance(value, dict):
        return {key: _without(inner, words) for key, inner in value.items() if key not in words}
    return value
