"""Reflecting over a real HTTP endpoint: what it says of a reply's end decides whether the reply holds a text."""

from __future__ import annotations

import json
from typing import Any

import pytest

from judge_serve.engines.http import HttpEngine, HttpEngineConfig
from judge_serve.judging import EngineReply, EngineRequest, ModelIdentity
from optimize_workers.guardrails import Refusal
from optimize_workers.reflection import ReflectionModel, Reflector
from tests.contract.endpoints import TOO_LONG, Answer, Endpoint, complete, completion
from tests.fakes import MemoryStore

TEXT = "Read all of it."


def body_of(finish_reason: str, **message: Any) -> dict[str, Any]:
    body = completion(EngineReply(TEXT, finish_reason, 100, 20))
    body["choices"][0]["message"].update(message)
    return body


def reflect(endpoint: Endpoint, store: MemoryStore) -> str | Refusal:
    def ask(request: EngineRequest) -> EngineReply:
        return complete(HttpEngine(HttpEngineConfig(base_url=endpoint.url, model="m")), request)

    return Reflector(ReflectionModel(ask, ModelIdentity(name="writer"), 200), store=store)("Improve it.")


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (200, body_of("stop"), None),
        (200, body_of("stop", content=f"<think>Why?</think>{TEXT}"), None),
        (200, body_of("length"), "truncated"),
        (200, body_of("length", content=None), "truncated"),
        (200, body_of("content_filter"), "refusal"),
        (200, body_of("stop", content=None, refusal="I will not."), "refusal"),
        (400, {"error": {"message": TOO_LONG, "code": "context_length_exceeded"}}, "prompt_too_long"),
    ],
)
def test_the_end_of_a_reply_decides_whether_it_holds_a_text(
    endpoint: Endpoint, status: int, body: dict[str, Any], reason: str | None
) -> None:
    store = MemoryStore()
    endpoint.answer = Answer(json.dumps(body).encode(), status)
    found = reflect(endpoint, store)
    assert found == TEXT if reason is None else isinstance(found, Refusal) and found.reason == reason
    endpoint.answer = Answer(json.dumps(body_of("stop", content="Something else.")).encode())
    again = reflect(endpoint, store)
    assert again == found or reason == "prompt_too_long"  # recorded, but for what no key names
