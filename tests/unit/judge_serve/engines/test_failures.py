"""What the failure of an endpoint means: status and words -> the class of the error, and what it says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judge_serve.engines.failures import connection_failure, no_answer_in, status_failure
from judge_serve.judging.errors import (
    BadRequestError,
    EngineError,
    EngineTimeoutError,
    MisconfiguredError,
    PromptTooLongError,
    RateLimitedError,
    ServerError,
    UnreachableError,
)

CONTEXT_WORDS = [
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
]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (301, MisconfiguredError),
        (400, BadRequestError),
        (401, MisconfiguredError),
        (403, MisconfiguredError),
        (404, MisconfiguredError),
        (405, MisconfiguredError),
        (408, EngineTimeoutError),
        (409, ServerError),
        (413, BadRequestError),
        (422, BadRequestError),
        (425, ServerError),
        (429, RateLimitedError),
        (500, ServerError),
        (501, MisconfiguredError),
        (502, ServerError),
        (503, ServerError),
        (504, EngineTimeoutError),
        (529, ServerError),
    ],
)
def test_a_status_means_one_class(status, kind):
    assert type(status_failure(status, "oops", "endpoint x")) is kind


@pytest.mark.parametrize("detail", CONTEXT_WORDS)
@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_context_error_is_told_by_its_words(status, detail):
    assert type(status_failure(status, detail, "endpoint x")) is PromptTooLongError


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
    assert type(status_failure(400, detail, "endpoint x")) is BadRequestError


def test_a_server_failure_is_not_taken_for_a_long_prompt():
    assert type(status_failure(500, "maximum context length", "x")) is ServerError


def test_a_prompt_that_is_too_long_says_only_what_the_endpoint_said():
    """It becomes the raw reply of a judgment."""
    assert str(status_failure(400, " prompt is too long \n", "endpoint x")) == "prompt is too long"


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (500, "endpoint x answered 500: oops"),
        (400, "endpoint x answered 400: oops"),
        (401, "endpoint x answered 401: oops; check RELEVANCE_JUDGE_MODEL_KEY"),
        (403, "endpoint x answered 403: oops; check RELEVANCE_JUDGE_MODEL_KEY"),
        (404, "endpoint x answered 404: oops; check the model name after '#' and the address"),
        (302, "endpoint x answered 302: oops; check the address"),
    ],
)
def test_the_message_names_endpoint_status_detail_and_what_to_check(status, message):
    assert str(status_failure(status, "  oops\n", "endpoint x")) == message


@pytest.mark.parametrize("status", [408, 429, 500, 503, 504])
def test_the_wait_that_was_asked_for_is_kept(status):
    assert status_failure(status, "", "x", 3.0).retry_after_s == 3.0


def test_the_detail_is_cut():
    assert str(status_failure(500, "y" * 9_999, "x")) == "x answered 500: " + "y" * 300


@given(st.integers(), st.text(), st.floats(min_value=0.0))
def test_every_answer_means_something(status, detail, wait_s):
    assert isinstance(status_failure(status, detail, "x", wait_s), EngineError)


def test_a_connection_that_was_not_made_names_its_cause_and_what_to_check():
    error = connection_failure(ConnectionRefusedError(), "endpoint x")
    assert type(error) is UnreachableError
    assert str(error) == "cannot reach endpoint x (ConnectionRefusedError); check the address and that it is running"


def test_a_request_without_an_answer_names_how_long_it_waited():
    error = no_answer_in(0.5, TimeoutError(), "endpoint x")
    assert type(error) is EngineTimeoutError
    assert str(error) == "endpoint x did not answer in 0.5 s (TimeoutError)"
