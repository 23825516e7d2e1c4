"""OpenAI chat-completions wire form: engine request -> body, body -> engine reply, error -> exception."""

from __future__ import annotations

import re
from typing import Any

from judge_serve.judging.engine import EngineReply, EngineRequest
from judge_serve.judging.errors import EngineError, PromptTooLongError

_CONTEXT_ERROR = re.compile(
    r"context_length_exceeded|maximum context length|context window|max_model_len|longer than the maximum model length"
    r"|exceeds? the (?:model'?s? )?(?:available |maximum )?(?:context|model length|input|number of (?:input )?tokens)"
    r"|prompt is too long",
    re.IGNORECASE,
)
_RETRYABLE_STATUS = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_MAX_DETAIL_CHARS = 300


def to_chat_body(request: EngineRequest, model: str, *, is_vllm: bool, is_reasoning: bool = False) -> dict[str, Any]:
    """Body of `POST /v1/chat/completions`.

    Args:
        request: what to complete.
        model: name the endpoint knows the model by.
        is_vllm: the endpoint understands vLLM's `structured_outputs`; others ignore `choices`.
        is_reasoning: the endpoint refuses sampling parameters and counts hidden reasoning as completion tokens.
    """
    body: dict[str, Any] = {"model": model, "messages": list(request.messages)}
    if is_reasoning:
        body["max_completion_tokens"] = request.max_tokens + REASONING_TOKENS
    else:
        body["max_tokens"] = request.max_tokens
        body["temperature"] = request.temperature
        if request.frequency_penalty:
            body["frequency_penalty"] = request.frequency_penalty
        if request.seed is not None:
            body["seed"] = request.seed
    if request.json_schema is not None:
        schema = {"name": "judgment", "schema": request.json_schema, "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    if request.choices is not None and is_vllm:
        body["structured_outputs"] = {"choice": list(request.choices)}
    if request.top_logprobs:
        body["logprobs"] = True
        body["top_logprobs"] = request.top_logprobs
    return body


REASONING_TOKENS = 4_096  # room for hidden reasoning on top of the visible answer


def from_chat_body(body: dict[str, Any], source: str) -> EngineReply:
    """Read a chat completion.

    Raises: EngineError if the body is no chat completion (a broken endpoint, not a bad judgment).
    """
    try:
        choice = body["choices"][0]
        message = choice["message"]
        usage = body.get("usage") or {}
        refusal = message.get("refusal")
        text = message.get("content") or refusal or ""
        if not isinstance(text, str):
            raise TypeError("content is not text")
        return EngineReply(
            text=text,
            finish_reason="content_filter" if refusal else str(choice.get("finish_reason") or "unknown"),
            prompt_tokens=int(usage.get("prompt_tokens") or 0),
            completion_tokens=int(usage.get("completion_tokens") or 0),
            first_token_logprobs=_first_token_logprobs(choice.get("logprobs")),
        )
    except (KeyError, IndexError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise EngineError(
            f"{source} answered without a chat completion ({type(error).__name__}: {error}); "
            "check that it speaks the OpenAI chat API",
            is_retryable=False,
        ) from error


def to_engine_error(status: int, detail: str, source: str, retry_after_s: float | None = None) -> EngineError:
    """The exception for an error status of an endpoint."""
    is_too_long = 400 <= status < 500 and _CONTEXT_ERROR.search(detail)
    detail = detail.strip()[:_MAX_DETAIL_CHARS]
    if is_too_long:
        return PromptTooLongError(detail, is_retryable=False)
    advice = {
        401: "; check RELEVANCE_JUDGE_MODEL_KEY",
        403: "; check RELEVANCE_JUDGE_MODEL_KEY",
        404: "; check the model name after '#' and the address",
    }.get(status, "")
    is_retryable = status in _RETRYABLE_STATUS
    return EngineError(
        f"{source} answered {status}: {detail}{advice}", is_retryable=is_retryable, retry_after_s=retry_after_s
    )


def _first_token_logprobs(logprobs: Any) -> tuple[tuple[str, float], ...] | None:
    content = (logprobs or {}).get("content")
    if not content:
        return None
    alternatives = content[0].get("top_logprobs") or ()
    return tuple((str(entry["token"]), float(entry["logprob"])) for entry in alternatives) or None
