"""OpenAI chat-completions wire form: engine request -> body, body -> engine reply."""

from __future__ import annotations

from typing import Any

from judge_serve.judging.engine import EngineReply, EngineRequest
from judge_serve.judging.errors import MalformedAnswerError

REASONING_TOKENS = 4_096  # room for hidden reasoning on top of the visible answer


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
    """Read a chat completion.

    Raises: MalformedAnswerError if the body is no chat completion (a broken endpoint, not a bad judgment).
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
        raise MalformedAnswerError(
            f"{source} answered without a chat completion ({type(error).__name__}: {error}); "
            "check that it speaks the OpenAI chat API"
        ) from error


def _first_token_logprobs(logprobs: Any) -> tuple[tuple[str, float], ...] | None:
    content = (logprobs or {}).get("content")
    if not content:
        return None
    alternatives = content[0].get("top_logprobs") or ()
    return tuple((str(entry["token"]), float(entry["logprob"])) for entry in alternatives) or None
