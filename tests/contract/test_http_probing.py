"""Endpoints of vLLM are recognised once and held to the digits; a probe that fails changes nothing."""

from __future__ import annotations

import asyncio
import json
import math
from typing import Any

import pytest

from judge_serve.engines.http import HttpEngine, HttpEngineConfig
from judge_serve.engines.probing import recognised
from judge_serve.judging import AnswerMode, EngineReply, Item, JudgeCall, Judgment, judge_pair
from tests.builders import JUDGE
from tests.contract.endpoints import Answer, Endpoint, completion, json_answer

VLLM = json_answer({"object": "list", "data": [{"id": "m", "object": "model", "owned_by": "vllm"}]})
DIGITS = EngineReply("4", "stop", first_token_logprobs=(("4", math.log(0.75)), ("2", math.log(0.25))))


def config(endpoint: Endpoint, **more: Any) -> HttpEngineConfig:
    return HttpEngineConfig(base_url=endpoint.url, model="m", **more)


@pytest.mark.parametrize(
    ("models", "version", "is_vllm"),
    [
        (VLLM, json_answer({"version": "0.29.0"}), True),
        (VLLM, json_answer({"version": "1.0.0"}), True),
        (VLLM, Answer(b"not found", 404), True),  # a proxy that hides it
        (VLLM, json_answer({"version": "0.10.2"}), False),  # too old for structured outputs
        (json_answer({"data": [{"id": "m", "owned_by": "openai"}]}), json_answer({"version": "0.29.0"}), False),
        (json_answer({"data": [{"id": "other", "owned_by": "vllm"}, {"id": "m", "owned_by": "x"}]}), VLLM, False),
        (json_answer({"data": []}), VLLM, False),
        (json_answer([]), VLLM, False),
        (json_answer({"data": 5}), VLLM, False),
        (json_answer({"data": [None, 5, []]}), VLLM, False),
        (Answer(b"<html>"), VLLM, False),
        (Answer(b"\xff\xfe"), VLLM, False),
        (Answer(b"[" * 100_000), VLLM, False),
        (Answer(b"{}", headers={"content-encoding": "gzip"}), VLLM, False),
        (Answer(b"{}", 401), VLLM, False),
        (Answer(b"", 302, {"location": "http://["}), VLLM, False),
        (Answer(b"{", headers={"content-length": "10", "connection": "close"}), VLLM, False),
    ],
)
def test_vllm_is_known_by_the_owner_of_its_models(endpoint, models, version, is_vllm):
    endpoint.gets = {"/v1/models": models, "/version": version}
    assert recognised(config(endpoint)).is_vllm is is_vllm


def test_a_probe_shows_the_key_and_the_query(endpoint):
    endpoint.gets = {"/v1/models?v=1": VLLM}
    assert recognised(config(endpoint, key_header="api-key", query={"v": "1"}), "secret").is_vllm
    assert endpoint.received[0].headers["api-key"] == "secret"


def test_a_probe_that_trickles_ends(endpoint, monkeypatch):
    monkeypatch.setattr("judge_serve.engines.probing.PROBE_S", 0.3)
    endpoint.gets = {"/v1/models": VLLM._replace(byte_delay_s=0.1)}
    assert not recognised(config(endpoint)).is_vllm


def test_nobody_who_answers_is_no_vllm():
    assert not recognised(HttpEngineConfig(base_url="http://127.0.0.1:1/v1", model="m")).is_vllm


def test_what_is_known_is_not_asked(endpoint):
    assert recognised(config(endpoint, is_vllm=True)).is_vllm
    assert endpoint.received == []


@pytest.mark.parametrize("is_vllm", [True, False])
def test_vllm_is_held_to_the_digits(endpoint, is_vllm):
    endpoint.gets = {"/v1/models": VLLM if is_vllm else json_answer({"data": []})}
    endpoint.answer = json_answer(completion(DIGITS))

    async def judge_once() -> Judgment:
        engine = HttpEngine(await asyncio.to_thread(recognised, config(endpoint)))
        try:
            judge = JUDGE.model_copy(update={"mode": AnswerMode.EXPECTED})
            return await judge_pair(JudgeCall(judge, Item("q", "d", "q1", "d1")), engine)
        finally:
            await engine.close()

    judgment = asyncio.run(judge_once())
    assert (judgment.expected_rating, judgment.digit_mass) == (pytest.approx(3.5), pytest.approx(1.0))
    sent = endpoint.received[-1].body
    assert sent.get("structured_outputs") == ({"choice": ["1", "2", "3", "4", "5"]} if is_vllm else None)
    assert json.dumps(sent)
