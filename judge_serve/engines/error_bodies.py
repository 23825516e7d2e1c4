"""What an endpoint's error says, whatever its form: status, words, and the parameters that it names.

Forms read: OpenAI's `{"error": {message, type, param, code}}`, the same without the outer object (vLLM, SGLang), in a
list (Gemini) or as a text (TGI), `{"message": ...}` (Bedrock), and `{"detail": [{loc, msg}]}` (FastAPI). What an error
repeats of the request is left out: a document that speaks of content filters was not refused by one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

_REPEATED_REQUEST = frozenset({"input", "inputs", "body", "messages", "prompt", "request", "failed_generation"})
_MAX_DEPTH = 8
# what stands in the place of a status -> the status that it means
STATUS_OF_CODE = {
    "invalid_request_error": 400,
    "invalid_argument": 400,
    "invalid_prompt": 400,
    "context_length_exceeded": 400,
    "content_filter": 400,
    "content_policy_violation": 400,
    "badrequesterror": 400,
    "invalid_api_key": 401,
    "authentication_error": 401,
    "unauthenticated": 401,
    "insufficient_quota": 402,
    "billing_error": 402,
    "permission_error": 403,
    "permission_denied": 403,
    "model_not_found": 404,
    "not_found_error": 404,
    "not_found": 404,
    "timeout": 408,
    "request_too_large": 413,
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "resource_exhausted": 429,
    "too_many_requests": 429,
    "server_error": 500,
    "api_error": 500,
    "internal_error": 500,
    "internal_server_error": 500,
    "internal": 500,
    "bad_gateway": 502,
    "service_unavailable": 503,
    "unavailable": 503,
    "overloaded": 503,
    "deadline_exceeded": 504,
    "overloaded_error": 529,
}


class ErrorBody(NamedTuple):
    """What an error says.

    Attributes:
        status: the status that it names, if any; a 200 may carry an error.
        words: codes and messages, a line each.
        parameters: where in the request it points, from the whole to the part: `("messages", "0", "role")`.
    """

    status: int | None
    words: str
    parameters: tuple[str, ...] = ()


def read_error(text: str) -> ErrorBody:
    """Read the body of an answer that is no success; any text is one."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return ErrorBody(None, text.strip())
    return error_of(body)


def error_of(body: Any) -> ErrorBody:
    """Read an error that came as JSON."""
    errors = list(_objects(body, 0))
    statuses = [status for error in errors for status in _statuses(error)]
    words = "\n".join(_words(body, 0))
    parameters = tuple(part for error in errors for part in _parameters(error))
    return ErrorBody(statuses[0] if statuses else None, words, parameters)


def error_in(answer: Any) -> ErrorBody | None:
    """The error that a success carries in place of a completion, beside it, or in its first choice."""
    if not isinstance(answer, dict):
        return None
    choices = answer.get("choices")
    if answer.get("error") or (not choices and answer.get("object") == "error"):
        return error_of({name: said for name, said in answer.items() if name != "choices"})
    first = choices[0] if isinstance(choices, list) and choices else None
    if isinstance(first, dict) and first.get("error"):
        return error_of(first["error"])
    return None


def _objects(value: Any, depth: int) -> Iterator[dict[str, Any]]:
    """All objects of an error, the outermost first."""
    if depth > _MAX_DEPTH:
        return
    if isinstance(value, dict):
        yield value
    for inner in _inner(value):
        yield from _objects(inner, depth + 1)


def _words(value: Any, depth: int) -> Iterator[str]:
    if isinstance(value, str) and value.strip():
        yield value.strip()
    elif depth <= _MAX_DEPTH:
        for inner in _inner(value):
            yield from _words(inner, depth + 1)


def _inner(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [inner for key, inner in value.items() if key not in _REPEATED_REQUEST]
    return value if isinstance(value, list) else []


def _statuses(error: dict[str, Any]) -> Iterator[int]:
    for key in ("code", "status", "status_code", "type"):
        value = error.get(key)
        if isinstance(value, str):
            known = value.strip().lower()
            value = int(known) if known.isdecimal() and len(known) == 3 else STATUS_OF_CODE.get(known)
        if isinstance(value, int) and not isinstance(value, bool) and 400 <= value <= 599:
            yield value


def _parameters(error: dict[str, Any]) -> Iterator[str]:
    param, location = error.get("param"), error.get("loc")
    if isinstance(param, str):
        yield from (part for part in param.replace("[", ".").replace("]", "").split(".") if part)
    if isinstance(location, list):
        yield from (str(part) for part in location)
