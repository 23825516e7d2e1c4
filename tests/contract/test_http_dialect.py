"""An engine over HTTP finds out what its endpoint does not take, once."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

import pytest

from judge_serve.engines.dialect import Dialect
from judge_serve.engines.http import HttpEngine, HttpEngineConfig
from judge_serve.judging import AnswerMode, EngineReply, EngineRequest, InvalidReason, Item, Judgment, judge_pair
from judge_serve.judging.errors import BadRequestError, PromptTooLongError
from judge_serve.judging.judge_call import JudgeCall, build_request
from tests.builders import JUDGE
from tests.contract.endpoints import (
    GOOD,
    REQUEST,
    TOO_LONG,
    Answer,
    Endpoint,
    Received,
    complete,
    completion,
    json_answer,
)

OK = json_answer(completion(GOOD))
ITEM = Item("q", "d", "q1", "d1")
DIGIT = EngineRequest(REQUEST.messages, 1, top_logprobs=20)


def refusing(names: Callable[[dict[str, Any]], str | None]) -> Callable[[Received], Answer]:
    """An endpoint that answers 400 with what a function of the body says, and well where it says nothing."""

    def answer(received: Received) -> Answer:
        said = names(received.body)
        return OK if said is None else Answer(said.encode(), 400)

    return answer


def unsupported(name: str) -> str:
    message = f"Unsupported parameter: '{name}' is not supported with this model."
    return json.dumps({"error": {"code": "unsupported_parameter", "param": name, "message": message}})


def complete_twice(endpoint: Endpoint, request: EngineRequest = REQUEST, **config: Any) -> HttpEngine:
    """Ask the same thing twice; the engine, closed."""
    engine = HttpEngine(HttpEngineConfig(base_url=endpoint.url, model="m", **config))

    async def ask() -> list[EngineReply]:
        try:
            return [await engine.complete(request), await engine.complete(request)]
        finally:
            await engine.close()

    assert asyncio.run(ask()) == [GOOD, GOOD]
    return engine


def bodies(endpoint: Endpoint) -> list[dict[str, Any]]:
    return [received.body for received in endpoint.received]


@pytest.mark.parametrize("name", ["temperature", "seed"])
def test_a_refused_parameter_is_dropped_once_for_all_requests(endpoint, name, caplog):
    endpoint.answer = refusing(lambda body: unsupported(name) if name in body else None)
    complete_twice(endpoint)
    assert [name in body for body in bodies(endpoint)] == [True, False, False]
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == [
        f"endpoint {endpoint.url} refused a parameter; from now on {name!r} is left out"
    ]


def test_the_bound_of_tokens_is_renamed_and_kept(endpoint):
    endpoint.answer = refusing(lambda body: unsupported("max_tokens") if "max_tokens" in body else None)
    complete_twice(endpoint)
    assert [body.get("max_completion_tokens") for body in bodies(endpoint)] == [None, 16, 16]


def test_token_probabilities_are_lowered_to_what_the_endpoint_returns(endpoint):
    said = json.dumps({"error": {"param": "top_logprobs", "message": "top_logprobs must be at most 5"}})
    endpoint.answer = refusing(lambda body: said if body["top_logprobs"] > 5 else None)
    complete_twice(endpoint, DIGIT)
    assert [body["top_logprobs"] for body in bodies(endpoint)] == [20, 5, 5]


def test_a_schema_loses_the_words_that_are_refused_and_keeps_the_rest(endpoint):
    def words(body: dict[str, Any]) -> str | None:
        text = json.dumps(body["response_format"])
        named = next((word for word in ("minLength", "maxLength") if word in text), None)
        return named and json.dumps(
            {"error": {"param": "response_format", "message": f"Invalid schema: {named!r} is not permitted."}}
        )

    endpoint.answer = refusing(words)
    complete_twice(endpoint, build_request(JudgeCall(JUDGE.model_copy(update={"mode": AnswerMode.GUIDED}), ITEM)))
    schema = bodies(endpoint)[-1]["response_format"]["json_schema"]["schema"]
    assert schema["properties"]["explanation"] == {"type": "string"}
    assert schema["properties"]["rating"] == {"type": "integer", "enum": [1, 2, 3, 4, 5]}
    assert schema["additionalProperties"] is False
    assert len(endpoint.received) == 4


def test_several_refusals_are_found_out_one_after_the_other(endpoint):
    def first_refused(body: dict[str, Any]) -> str | None:
        return next((unsupported(name) for name in ("max_tokens", "temperature", "seed") if name in body), None)

    endpoint.answer = refusing(first_refused)
    engine = complete_twice(endpoint)
    assert len(endpoint.received) == 5
    assert engine.dialect == Dialect(dropped={"temperature", "seed"}, token_limit="max_completion_tokens")


@pytest.mark.parametrize("status", [400, 422, 500])
def test_an_endpoint_without_a_system_role_gets_the_same_text(endpoint, status):
    def answer(received: Received) -> Answer:
        if received.body["messages"][0]["role"] == "system":
            return json_answer({"error": {"message": "System role not supported"}}, status)
        return OK

    endpoint.answer = answer
    request = build_request(JudgeCall(JUDGE, ITEM))
    engine = complete_twice(endpoint, request)
    sent, *folded = [body["messages"] for body in bodies(endpoint)]
    assert sent == list(request.messages)
    text = f"{request.messages[0]['content']}\n\n{request.messages[1]['content']}"
    assert folded == [[{"role": "user", "content": text}]] * 2
    assert engine.learned == {"folds_system": True}


def test_a_format_that_is_refused_is_left_out_and_the_reply_read_as_strictly(endpoint, caplog):
    judge = JUDGE.model_copy(update={"mode": AnswerMode.GUIDED})
    said = '{"error": {"message": "This response_format type is unavailable now"}}'
    chatty = completion(EngineReply('Sure: {"rating": 4, "explanation": "x"}', "stop"))
    endpoint.answer = lambda got: Answer(said.encode(), 400) if "response_format" in got.body else json_answer(chatty)

    async def judge_once() -> Judgment:
        engine = HttpEngine(HttpEngineConfig(base_url=endpoint.url, model="m"))
        try:
            return await judge_pair(JudgeCall(judge, ITEM), engine)
        finally:
            await engine.close()

    assert asyncio.run(judge_once()).invalid_reason is InvalidReason.EXTRA_TEXT
    assert "nothing constrains replies and they are read as strictly as ever" in caplog.text


def test_a_dialect_that_is_known_beforehand_is_spoken_at_once(endpoint):
    endpoint.answer = refusing(lambda body: unsupported("seed") if "seed" in body else None)
    complete_twice(endpoint, dialect=Dialect(dropped={"seed"}))
    assert len(endpoint.received) == 2


def test_a_refusal_in_a_success_is_one_too(endpoint):
    error = json_answer({"error": {"code": 400, "message": "Unsupported parameter: 'seed'"}})
    endpoint.answer = lambda received: error if "seed" in received.body else OK
    complete_twice(endpoint)
    assert ["seed" in body for body in bodies(endpoint)] == [True, False, False]


def num_sent_until(kind: type[Exception], endpoint: Endpoint) -> int:
    """How many bodies one request sends until it fails with an error."""
    engine = HttpEngine(HttpEngineConfig(base_url=endpoint.url, model="m"))
    with pytest.raises(kind):
        complete(engine)
    return len(endpoint.received)


def test_a_refusal_that_names_nothing_is_asked_once(endpoint):
    endpoint.answer = Answer(b'{"error": "invalid request"}', 400)
    assert num_sent_until(BadRequestError, endpoint) == 1


def test_a_parameter_that_is_refused_though_it_was_left_out_ends_it(endpoint):
    endpoint.answer = Answer(unsupported("seed").encode(), 400)
    assert num_sent_until(BadRequestError, endpoint) == 2


def test_an_endpoint_that_refuses_both_names_of_a_bound_ends_it(endpoint):
    endpoint.answer = refusing(
        lambda body: next(unsupported(name) for name in ("max_tokens", "max_completion_tokens") if name in body)
    )
    assert num_sent_until(BadRequestError, endpoint) == 2


def test_a_prompt_that_is_too_long_teaches_nothing(endpoint):
    endpoint.answer = Answer(f"'max_tokens' is too large: 16. {TOO_LONG}".encode(), 400)
    assert num_sent_until(PromptTooLongError, endpoint) == 1
