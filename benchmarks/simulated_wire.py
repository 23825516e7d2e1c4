"""The other side of `judge_serve.engines.wire`: chat body -> engine request, engine reply -> completion."""

from __future__ import annotations

import time
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from judge_serve.judging.engine import EngineReply, EngineRequest


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


class Message(_Strict):
    """One chat turn."""

    role: Literal["system", "user", "assistant"]
    content: str


class JsonSchema(_Strict):
    """A schema as `response_format` carries it."""

    name: str
    json_schema: dict[str, Any] = Field(alias="schema")
    strict: bool = True


class ResponseFormat(_Strict):
    """Constrain the reply to a schema."""

    type: Literal["json_schema"]
    json_schema: JsonSchema


class StructuredOutputs(_Strict):
    """Constrain the reply to one of some texts, as vLLM understands it."""

    choice: list[str] = Field(min_length=1)


class ChatBody(_Strict):
    """What `to_chat_body` writes for a model that does not reason; any other field is refused."""

    model: str
    messages: list[Message] = Field(min_length=1)
    max_tokens: int = Field(ge=1)
    temperature: float = Field(ge=0.0, le=2.0)
    frequency_penalty: float = 0.0
    seed: int | None = None
    response_format: ResponseFormat | None = None
    structured_outputs: StructuredOutputs | None = None
    logprobs: bool = False
    top_logprobs: int = Field(0, ge=0)
    stream: Literal[False] = False


def read_chat_body(body: dict[str, Any]) -> tuple[str, EngineRequest]:
    """The model asked for and the request.

    Raises: pydantic's ValidationError (a ValueError) if the body is not what `to_chat_body` writes.
    """
    chat = ChatBody.model_validate(body)
    return chat.model, EngineRequest(
        messages=tuple({"role": message.role, "content": message.content} for message in chat.messages),
        max_tokens=chat.max_tokens,
        temperature=chat.temperature,
        frequency_penalty=chat.frequency_penalty,
        seed=chat.seed,
        json_schema=chat.response_format.json_schema.json_schema if chat.response_format else None,
        choices=tuple(chat.structured_outputs.choice) if chat.structured_outputs else None,
        top_logprobs=chat.top_logprobs if chat.logprobs else 0,
    )


def write_completion(reply: EngineReply, model: str) -> dict[str, Any]:
    """The chat completion that says what a reply says; of its tokens only the first is listed."""
    choice: dict[str, Any] = {
        "index": 0,
        "message": {"role": "assistant", "content": reply.text},
        "finish_reason": reply.finish_reason,
    }
    if reply.first_token_logprobs is not None:
        alternatives = [{"token": token, "logprob": logprob} for token, logprob in reply.first_token_logprobs]
        choice["logprobs"] = {"content": [{**alternatives[0], "top_logprobs": alternatives}]}
    return {
        "id": "chatcmpl-simulated",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [choice],
        "usage": {
            "prompt_tokens": reply.prompt_tokens,
            "completion_tokens": reply.completion_tokens,
            "total_tokens": reply.prompt_tokens + reply.completion_tokens,
        },
    }
