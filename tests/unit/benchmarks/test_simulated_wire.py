"""The simulated endpoint's wire form undoes `to_chat_body` and is undone by `from_chat_body`."""

from dataclasses import replace

import pytest
from pydantic import ValidationError

from benchmarks.simulated_wire import read_chat_body, write_completion
from judge_serve.engines.wire import from_chat_body, to_chat_body
from judge_serve.judging import AnswerMode, EngineReply, EngineRequest, Item
from judge_serve.judging.judge_call import JudgeCall, build_request
from tests.builders import JUDGE

TURNS = ({"role": "system", "content": "Rate."}, {"role": "user", "content": "Is 2 < 3? \u00e9"})
BODY = to_chat_body(EngineRequest(TURNS, 16, seed=7), "m", is_vllm=True)


@pytest.mark.parametrize("mode", AnswerMode)
def test_a_judges_request_comes_through_unchanged(mode):
    request = build_request(JudgeCall(JUDGE.model_copy(update={"mode": mode}), Item("q", "d", "q", "d")))
    assert read_chat_body(to_chat_body(request, "m", is_vllm=True)) == ("m", request)


@pytest.mark.parametrize(
    "request_",
    [
        EngineRequest(TURNS, 16, temperature=0.7, frequency_penalty=0.5, seed=3),
        EngineRequest(TURNS, 1, choices=("a", "b")),
        EngineRequest(TURNS, 1, top_logprobs=20),
    ],
)
def test_any_request_comes_through_unchanged(request_):
    assert read_chat_body(to_chat_body(request_, "m", is_vllm=True)) == ("m", request_)


@pytest.mark.parametrize(
    "reply",
    [
        EngineReply("r\u00e9ply", "stop", 120, 9),
        EngineReply("", "length", 1, 0),
        EngineReply("4", "stop", 5, 1, first_token_logprobs=(("4", -0.25), ("5", -1.5))),
    ],
)
def test_a_reply_comes_through_unchanged(reply):
    assert from_chat_body(write_completion(reply, "m"), "here") == replace(reply, model="m")


def test_a_body_that_says_not_streamed_is_read():
    assert read_chat_body({**BODY, "stream": False}) == read_chat_body(BODY)


@pytest.mark.parametrize(
    "change",
    [
        {"stream": True},
        {"messages": []},
        {"messages": [{"role": "tool", "content": "x"}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]},
        {"max_tokens": 0},
        {"max_tokens": "16"},
        {"max_completion_tokens": 16},
        {"temperature": 3.0},
        {"n": 2},
        {"structured_outputs": {"choice": []}},
        {"structured_outputs": {"regex": "x"}},
        {"response_format": {"type": "json_object"}},
    ],
)
def test_anything_else_is_refused(change):
    with pytest.raises(ValidationError):
        read_chat_body({**BODY, **change})


@pytest.mark.parametrize("name", ["model", "messages", "max_tokens", "temperature"])
def test_a_missing_field_is_refused(name):
    with pytest.raises(ValidationError, match=name):
        read_chat_body({key: value for key, value in BODY.items() if key != name})
