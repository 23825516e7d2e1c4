"""The dialect of an endpoint: which parameters it takes, found out by what it refuses.

A dialect is plain data and changes bodies only: what is asked for stays in the request, and so do its keys. How a reply
is read never depends on it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from judge_serve.engines.error_bodies import ErrorBody

TOKEN_LIMITS = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
# endpoints have a usual value for these, or answer without what they ask for
DROPPABLE = ("temperature", "seed", "frequency_penalty", "structured_outputs")
SCHEMA_LENGTHS = frozenset({"minLength", "maxLength"})  # the words of schemas that fewest take
SCHEMA_WORDS = SCHEMA_LENGTHS | {"additionalProperties", "strict"}  # a reply is read strictly without them
USUAL_TOP_LOGPROBS = 5  # what endpoints return that return few
Dropped = Literal[
    "temperature", "seed", "frequency_penalty", "structured_outputs", "response_format", "logprobs", "top_logprobs"
]

_REFUSES = re.compile(
    r"unsupported|not (?:currently |yet )?support|unknown|unrecogni[sz]ed|unexpected"
    r"|extra (?:inputs?|fields?|parameters?)|not (?:be )?(?:permitted|allowed|available|accepted|enabled|implemented)"
    r"|unavailable|cannot find field|additional properties|deprecated|enabled only|only (?:supported|available|enabled)"
    r"|extra_forbidden|invalid|must be|should be|at most|above max|greater than|maximum|expected a value",
    re.IGNORECASE,
)
_BOUND = re.compile(
    r"(?:at most|less than or equal to|<=|no more than|not exceed|up to|between \d+ and|\[\d+, ?"
    r"|max(?:imum)?(?: value)?(?: allowed)?(?: is| of|:)?) ?(\d+)",
    re.IGNORECASE,
)
_TOO_MUCH = re.compile(r"too (?:large|high|small)|at most|at least|<=|less than|greater than", re.IGNORECASE)
# chat templates (Gemma, Mistral) as vLLM, TGI, llama.cpp, LM Studio and MLX hand their words on; OpenAI's first
# reasoning models, Anthropic, Bedrock, Google
NO_SYSTEM_ROLE = re.compile(
    r"system['\"]?[ _]?(?:role|message|prompt|instruction|turn)s?\b.{0,60}"
    r"(?:not (?:currently |yet )?(?:be )?(?:supported|allowed|enabled|available|permitted)|unsupported)"
    r"|(?:not|n['\u2019]t) (?:currently |yet )?support (?:the )?['\"`]?system\b"
    r"|unsupported (?:role:? )?['\"`]?system\b|unexpected role ['\"`]?system"
    r"|roles? ['\"`]?system['\"`]? (?:is |are )?(?:not|unsupported|invalid)"
    r"|invalid role:? ['\"`]?system"
    r"|only ['\"`]?user['\"`]?,? (?:and|or) ['\"`]?(?:assistant|model)['\"`]? roles are"
    r" supported(?!, with the exception)"
    r"|(?<!optional system message, )conversation roles must alternate"
    r"|valid role: user, model|developer instruction is not enabled",
    re.IGNORECASE,
)
_ABOUT_THE_FORMAT = re.compile(
    r"response[ _]?format|json[ _]?schema|json mode|\bschema\b|structured[ _]output|guided|grammar", re.IGNORECASE
)
_FORMAT = r"(?:response[ _]format|json[ _]schema|json mode|structured[ _]outputs?)"
# the format as such, not what stands in its schema
_NO_FORMAT = re.compile(
    rf"{_FORMAT}['\"`]?(?: (?:parameter|value|type|of type ['\"`]?json_schema['\"`]?|as json_schema))* "
    r"(?:is|are) (?:currently |yet )?(?:not |un|only |enabled only)"
    rf"|(?:not|n['\u2019]t) (?:currently |yet )?support(?:ed)?:? .{{0,30}}{_FORMAT}"
    r"|(?:unknown|unsupported|unrecogni[sz]ed|unexpected)(?: \w+){0,3}:? ?['\"`]?response_format['\"`]?(?!\.)",
    re.IGNORECASE,
)


class Dialect(BaseModel):
    """What is known of the parameters that an endpoint takes.

    Attributes:
        dropped: parameters that it refuses. Without `response_format` nothing constrains replies of mode `guided`.
        token_limit: the name it takes for the bound of generated tokens, if the usual one was refused.
        max_top_logprobs: the most alternatives of a token that it returns.
        dropped_schema_words: words of JSON schema that it refuses.
        folds_system: it takes no system turn, which is sent as the beginning of the first user turn.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    dropped: frozenset[Dropped] = frozenset()
    token_limit: Literal["max_tokens", "max_completion_tokens"] | None = None
    max_top_logprobs: int | None = Field(None, ge=1)
    dropped_schema_words: frozenset[str] = frozenset()
    folds_system: bool = False

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
        if self.folds_system and "messages" in said:
            said["messages"] = _folded(said["messages"])
        return said

    def learned(self, error: ErrorBody, sent: dict[str, Any]) -> Dialect:
        """The dialect after a refusal; the same if the refusal names nothing that could be left out.

        Args:
            error: what the endpoint said to the body.
            sent: the body as it was sent.
        """
        if _begins_with_system(sent.get("messages")) and NO_SYSTEM_ROLE.search(error.words):
            return self.model_copy(update={"folds_system": True})
        if not _REFUSES.search(error.words):
            return self
        for name in _named(error, sent):
            changed = self._after_refusal_of(name, error, sent)
            if changed != self:
                return changed
        return self

    def joined(self, other: Dialect) -> Dialect:
        """What both know."""
        bounds = [bound for bound in (self.max_top_logprobs, other.max_top_logprobs) if bound is not None]
        return Dialect(
            dropped=self.dropped | other.dropped,
            token_limit=other.token_limit or self.token_limit,
            max_top_logprobs=min(bounds, default=None),
            dropped_schema_words=self.dropped_schema_words | other.dropped_schema_words,
            folds_system=self.folds_system or other.folds_system,
        )

    def as_dict(self) -> dict[str, Any]:
        """What differs from the usual, as JSON; the order of names is that of the alphabet."""
        usual = self.model_dump(mode="json", exclude_defaults=True)
        return {name: sorted(value) if isinstance(value, list) else value for name, value in usual.items()}

    def difference(self, other: Dialect) -> str:
        """What another dialect changes, in words."""
        new = sorted(other.dropped - self.dropped)
        changes = [f"{name!r} is left out" for name in new if name != "response_format"]
        if "response_format" in new:
            changes.append(
                "'response_format' is left out, nothing constrains replies and they are read as strictly as ever"
            )
        if other.folds_system and not self.folds_system:
            changes.append("the system turn is sent as the beginning of the first user turn")
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
            words = _refused_words(error, sent["response_format"])
            if words:
                change = {"dropped_schema_words": self.dropped_schema_words | words}
            else:
                change = {"dropped": self.dropped | {name}}
        return self.model_copy(update=change)


def _named(error: ErrorBody, sent: dict[str, Any]) -> Iterator[str]:
    """Parameters of a body that a refusal names: where it points first, then as they stand in its words."""
    places = {
        name: match.start() for name in sent if (match := re.search(rf"\b{re.escape(name)}\b", error.words)) is not None
    }
    if "response_format" in sent and (
        _ABOUT_THE_FORMAT.search(error.words)
        or any(re.search(rf"\b{word}\b", error.words) for word in _schema_words(sent["response_format"]))
    ):
        places.setdefault("response_format", len(error.words))
    if "structured_outputs" in sent and re.search(r"structured.output|guided|grammar", error.words, re.IGNORECASE):
        places.setdefault("structured_outputs", len(error.words))
    if "logprobs" in sent and re.search(r"log_?probs|log probabilities", error.words, re.IGNORECASE):
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


def _refused_words(error: ErrorBody, response_format: dict[str, Any]) -> frozenset[str]:
    """Words of a schema that a refusal means; none where it means the format as a whole, or where none is left.

    Some say only that they do not take the schema: then first the lengths are left out, at last the rest.
    """
    words = _schema_words(response_format)
    named = frozenset(word for word in words if re.search(rf"\b{word}\b", error.words))
    if named or _NO_FORMAT.search(error.words):
        return named
    return words & SCHEMA_LENGTHS or words


def _schema_words(response_format: dict[str, Any]) -> frozenset[str]:
    return frozenset(_keys(response_format)) & SCHEMA_WORDS


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


def _begins_with_system(messages: Any) -> bool:
    return bool(messages) and messages[0].get("role") == "system"


def _folded(messages: list[dict[str, str]]) -> list[dict[str, str]]:
    """The turns without a system turn, whose text the first user turn begins with."""
    if not _begins_with_system(messages):
        return messages
    system, *rest = messages
    if not rest or rest[0].get("role") != "user":
        return [{"role": "user", "content": system["content"]}, *rest]
    return [{**rest[0], "content": f"{system['content']}\n\n{rest[0]['content']}"}, *rest[1:]]
