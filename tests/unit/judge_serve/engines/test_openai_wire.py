"""The OpenAI wire form, both ways."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judge_serve.engines.wire import from_chat_body, to_chat_body, to_engine_error
from judge_serve.judging import EngineError, EngineReply, EngineRequest, PromptTooLongError

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
        chat({"content": [{"type": "text", "text": "parts"}]}),
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
    with pytest.raises(EngineError, match="endpoint x answered without a chat completion") as caught:
        from_chat_body(body, "endpoint x")
    assert not caught.value.is_retryable


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                [
                    "choices",
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
def test_no_json_body_raises_anything_but_an_engine_error(body):
    with contextlib.suppress(EngineError):
        assert isinstance(from_chat_body(body, "x").text, str)


# --- error -> exception ---


@pytest.mark.parametrize(
    "detail",
    [
        "This model's maximum context length is 4096 tokens. However, you requested 16 output tokens and your prompt "
        "contains at least 4081 input tokens",
        "The decoder prompt (length 5000) is longer than the maximum model length of 4096. Make sure that "
        "`max_model_len` is no smaller than the number of text tokens.",
        '{"error": {"code": "context_length_exceeded"}}',
        "Your input exceeds the context window of this model.",
        "prompt is too long: 210000 tokens > 200000 maximum",
        "the request exceeds the available context size, try increasing it",
        "The input token count (40000) exceeds the maximum number of tokens allowed (32768).",
        "Input exceeds the model's context length",
    ],
)
@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_context_error_is_told_by_its_words(status, detail):
    error = to_engine_error(status, detail, "endpoint x")
    assert isinstance(error, PromptTooLongError)
    assert not error.is_retryable


@pytest.mark.parametrize(
    "detail",
    [
        "top_logprobs exceeds the maximum of 5",
        "temperature exceeds the maximum allowed value",
        "Unknown parameter: max_tokens",
        "Rate limit reached: tokens per minute",
        "this prompt is fine, thank you",
    ],
)
def test_a_wrong_setting_is_not_taken_for_a_long_prompt(detail):
    assert type(to_engine_error(400, detail, "endpoint x")) is EngineError


def test_a_server_failure_is_not_taken_for_a_long_prompt():
    assert type(to_engine_error(500, "maximum context length", "x")) is EngineError


@pytest.mark.parametrize(
    ("status", "is_retryable"), [(429, True), (503, True), (500, True), (400, False), (404, False), (501, False)]
)
def test_the_status_says_whether_a_failure_may_pass(status, is_retryable):
    assert to_engine_error(status, "oops", "endpoint x").is_retryable is is_retryable


def test_the_message_names_endpoint_status_and_detail():
    assert str(to_engine_error(500, "  oops\n", "endpoint x")) == "endpoint x answered 500: oops"


def test_the_wait_is_kept():
    assert to_engine_error(429, "", "x", 3.0).retry_after_s == 3.0


def test_the_detail_is_cut():
    assert str(to_engine_error(500, "y" * 9_999, "x")) == "x answered 500: " + "y" * 300
