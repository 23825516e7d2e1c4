"""The OpenAI wire form, both ways."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judge_serve.engines.wire import from_chat_body, to_chat_body
from judge_serve.judging import EngineReply, EngineRequest
from judge_serve.judging.errors import EngineError, MalformedAnswerError, OverloadedError

MESSAGES = ({"role": "system", "content": "s"}, {"role": "user", "content": "u"})
SCHEMA = {"type": "object"}


def body_of(is_vllm=True, is_reasoning=False, **request):
    return to_chat_body(
        EngineRequest(MESSAGES, max_tokens=64, **request), "m", is_vllm=is_vllm, is_reasoning=is_reasoning
    )


def chat(message, **choice):
    return {"choices": [{"message": message, **choice}], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}


# --- request -> body ---


def test_a_plain_request_by_hand():
    assert body_of(temperature=0.5, seed=3) == {
        "model": "m",
        "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}],
        "max_tokens": 64,
        "temperature": 0.5,
        "seed": 3,
    }


def test_seed_zero_is_sent():
    assert body_of(seed=0)["seed"] == 0


def test_no_seed_is_not_sent():
    assert "seed" not in body_of()


def test_reasoning_models_get_room_and_no_sampling_parameters():
    assert body_of(is_reasoning=True, temperature=0.5, seed=3) == {
        "model": "m",
        "messages": list(MESSAGES),
        "max_completion_tokens": 64 + 4_096,
    }


@pytest.mark.parametrize("is_vllm", [True, False])
def test_a_schema_is_sent_as_strict_response_format(is_vllm):
    assert body_of(is_vllm, json_schema=SCHEMA)["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "judgment", "schema": SCHEMA, "strict": True},
    }


def test_choices_are_sent_to_vllm():
    assert body_of(choices=("1", "2"))["structured_outputs"] == {"choice": ["1", "2"]}


def test_choices_are_not_sent_to_others():
    assert "structured_outputs" not in body_of(is_vllm=False, choices=("1", "2"))


def test_probabilities_are_asked_for():
    body = body_of(top_logprobs=20)
    assert (body["logprobs"], body["top_logprobs"]) == (True, 20)


def test_probabilities_are_not_asked_for_without_need():
    assert not {"logprobs", "top_logprobs"} & body_of().keys()


# --- body -> reply ---


def test_a_completion_by_hand():
    assert from_chat_body(chat({"content": "hi"}, finish_reason="stop"), "x") == EngineReply("hi", "stop", 7, 3, None)


def test_a_completion_without_usage_counts_nothing():
    reply = from_chat_body({"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}, "x")
    assert (reply.prompt_tokens, reply.completion_tokens) == (0, 0)


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": None, "completion_tokens": None}])
def test_empty_usage_counts_nothing(usage):
    assert from_chat_body(chat({"content": "hi"}) | {"usage": usage}, "x").prompt_tokens == 0


@pytest.mark.parametrize("message", [{"content": None}, {"content": ""}, {}])
def test_no_content_is_an_empty_reply(message):
    assert from_chat_body(chat(message, finish_reason="length"), "x").text == ""


@pytest.mark.parametrize("finish_reason", [None, ""])
def test_an_unsaid_finish_reason_is_unknown(finish_reason):
    assert from_chat_body(chat({"content": "hi"}, finish_reason=finish_reason), "x").finish_reason == "unknown"


def test_a_refusal_reads_as_content_filter():
    reply = from_chat_body(chat({"content": None, "refusal": "I can't."}, finish_reason="stop"), "x")
    assert (reply.text, reply.finish_reason) == ("I can't.", "content_filter")


def test_hidden_reasoning_is_not_part_of_the_reply():
    assert from_chat_body(chat({"content": "4", "reasoning_content": "hm"}), "x").text == "4"


def test_alternatives_of_the_first_token_are_kept():
    first = {
        "token": "4",
        "logprob": -0.1,
        "top_logprobs": [{"token": "4", "logprob": -0.1}, {"token": "5", "logprob": -2}],
    }
    second = {"token": "!", "logprob": 0.0, "top_logprobs": [{"token": "!", "logprob": 0.0}]}
    reply = from_chat_body(chat({"content": "4!"}, logprobs={"content": [first, second]}), "x")
    assert reply.first_token_logprobs == (("4", -0.1), ("5", -2.0))


@pytest.mark.parametrize(
    "logprobs",
    [
        None,
        {},
        {"content": None},
        {"content": []},
        {"content": [{"token": "4", "logprob": -0.1}]},
        {"content": [{"top_logprobs": []}]},
    ],
)
def test_probabilities_that_did_not_come_are_none(logprobs):
    assert from_chat_body(chat({"content": "4"}, logprobs=logprobs), "x").first_token_logprobs is None


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        "text",
        4,
        {},
        {"choices": None},
        {"choices": []},
        {"choices": ["text"]},
        {"choices": [{}]},
        {"choices": [{"message": None}]},
        {"choices": [{"text": "legacy completion"}]},
        {"object": "list", "data": []},
        chat({"content": ["parts"]}),
        chat({"content": [{"type": "text"}]}),
        chat({"content": [{"type": "text", "text": 5}]}),
        chat({"content": '{"rating": 5'}, finish_reason="error"),
        chat({"content": '{"rating": 5'}, finish_reason="abort"),
        chat({"content": {"rating": 5}}),
        chat({"content": 5}),
        chat({"content": "x"}) | {"usage": 7},
        chat({"content": "x"}) | {"usage": {"prompt_tokens": "many"}},
        chat({"content": "x"}) | {"usage": {"prompt_tokens": float("inf")}},
        chat({"content": "x"}, logprobs={"content": [{"top_logprobs": [{"token": "4"}]}]}),
        chat({"content": "x"}, logprobs={"content": [{"top_logprobs": [{"token": "4", "logprob": None}]}]}),
        chat({"content": "x"}, logprobs=[1]),
    ],
)
def test_anything_else_is_a_broken_endpoint(body):
    with pytest.raises(MalformedAnswerError, match="endpoint x answered without a chat completion"):
        from_chat_body(body, "endpoint x")


@pytest.mark.parametrize("kind", ["text", "output_text"])
def test_content_in_parts_is_read_as_one_text(kind):
    parts = [{"type": "thinking", "thinking": "hm"}, {"type": kind, "text": "one "}, {"type": kind, "text": "two"}]
    assert from_chat_body(chat({"content": parts}), "x").text == "one two"


def test_no_content_at_the_bound_of_tokens_is_a_reply_that_was_cut_off():
    reply = from_chat_body(chat({"content": None}, finish_reason="length"), "x")
    assert (reply.text, reply.finish_reason) == ("", "length")


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "upstream overloaded", "code": 503}},
        {"error": {"message": "upstream overloaded", "code": 503}, "choices": []},
        {"error": {"message": "upstream overloaded", "code": 503}} | chat({"content": '{"rating": 5}'}),
        {"object": "error", "message": "upstream overloaded", "code": 503},
        {"choices": [{"error": {"message": "upstream overloaded", "code": 503}, "finish_reason": "error"}]},
    ],
)
def test_an_error_in_a_success_is_that_error(body):
    with pytest.raises(OverloadedError, match="upstream overloaded"):
        from_chat_body(body, "x")


def test_an_empty_error_beside_an_answer_is_none():
    assert from_chat_body(chat({"content": "x"}) | {"error": None}, "x").text == "x"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                [
                    "choices",
                    "error",
                    "code",
                    "message",
                    "content",
                    "usage",
                    "logprobs",
                    "top_logprobs",
                    "prompt_tokens",
                    "refusal",
                    "token",
                    "logprob",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(json_values)
def test_no_json_body_raises_anything_but_an_error_of_engines(body):
    with contextlib.suppress(EngineError):
        assert isinstance(from_chat_body(body, "x").text, str)
