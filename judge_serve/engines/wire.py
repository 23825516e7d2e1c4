"""OpenAI chat-completions wire form: engine request -> body, body -> engine reply."""

from __future__ import annotations

from typing import Any

from judge_serve.engines.error_bodies import error_in
from judge_serve.engines.failures import failure_in_success
from judge_serve.judging.engine import EngineReply, EngineRequest
from judge_serve.judging.errors import MalformedAnswerError

REASONING_TOKENS = 4_096  # room for hidden reasoning on top of the visible answer
_FAILED = frozenset({"error", "abort"})  # reasons to finish that leave no answer
_MAX_NAME_CHARS = 200
_TEXT_PARTS = frozenset({"text", "output_text"})


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


def from_chat_body(body: dict[str, Any], source: str) -> EngineReply:
    """Read a chat completion; one that was cut off before any text is an empty reply.

    Raises: EngineError: of the error that the body carries; MalformedAnswerError if it is no chat completion, or one
        that the engine could not finish (a broken endpoint, not a bad judgment).
    """
    error = error_in(body)
    if error is not None:
        raise failure_in_success(error, source)
    try:
        choice = body["choices"][0]
        finish_reason = str(choice.get("finish_reason") or "unknown")
        if finish_reason in _FAILED:
            raise ValueError(f"finish_reason is {finish_reason!r}")
        message = choice["message"]
        usage = body.get("usage") or {}
        refusal = message.get("refusal")
        return EngineReply(
            text=_text_of(message.get("content")) or _text_of(refusal),
            finish_reason="content_filter" if refusal else finish_reason,
            prompt_tokens=int(usage.get("prompt_tokens") or 0),
            completion_tokens=int(usage.get("completion_tokens") or 0),
            first_token_logprobs=_first_token_logprobs(choice.get("logprobs")),
            model=_named(body.get("model")),
            system_fingerprint=_named(body.get("system_fingerprint")),
        )
    except (KeyError, IndexError, TypeError, AttributeError, ValueError, OverflowError) as fault:
        raise MalformedAnswerError(
            f"{source} answered without a chat completion ({type(fault).__name__}: {fault}); "
            "check that it speaks the OpenAI chat API"
        ) from fault


def _named(value: Any) -> str | None:
    """A name as an endpoint gives it; what is no text names nothing."""
    return value[:_MAX_NAME_CHARS] if isinstance(value, str) and value.strip() else None


def _text_of(content: Any) -> str:
    """Content as one text: it comes as a text, as nothing, or as a list of parts of which some are text."""
    if isinstance(content, list):
        return "".join(_text_of(part["text"]) for part in content if part.get("type") in _TEXT_PARTS)
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    raise TypeError("content is not text")


def _first_token_logprobs(logprobs: Any) -> tuple[tuple[str, float], ...] | None:
    content = (logprobs or {}).get("content")
    if not content:
        return None
    alternatives = content[0].get("top_logprobs") or ()
    return tuple((str(entry["token"]), float(entry["logprob"])) for entry in alternatives) or None
