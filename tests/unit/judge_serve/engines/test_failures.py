"""What the failure of an endpoint means: status and words -> the class of the error, and what it says.

The bodies are what endpoints send, found in public reports.
"""

import json
import pickle
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judge_serve.engines.error_bodies import read_error
from judge_serve.engines.failures import connection_failure, failure_in_success, no_answer_in, status_failure
from judge_serve.judging.errors import (
    BadRequestError,
    ContentRefusedError,
    EngineError,
    EngineTimeoutError,
    MalformedAnswerError,
    MisconfiguredError,
    OverloadedError,
    PromptTooLongError,
    QuotaExhaustedError,
    RateLimitedError,
    ServerError,
    UnreachableError,
)

CONTEXT_WORDS = {
    "openai": '{"error": {"message": "This model\'s maximum context length is 4096 tokens. However, you requested 16 '
    'output tokens and your prompt contains at least 4081 input tokens", "code": "context_length_exceeded"}}',
    "openai code": '{"error": {"code": "context_length_exceeded"}}',
    "openai window": "Your input exceeds the context window of this model.",
    "openai string": "Invalid 'messages[1].content': string too long. Expected a string with maximum length 1048576, "
    "but got a string with length 1500000 instead.",
    "vllm": "The decoder prompt (length 5000) is longer than the maximum model length of 4096. Make sure that "
    "`max_model_len` is no smaller than the number of text tokens.",
    "vllm no room": "max_tokens must be at least 1, got -904.",
    "sglang": '{"object": "error", "message": "The input (61709 tokens) is longer than the model\'s context length '
    '(40960 tokens).", "type": "BadRequestError", "param": null, "code": 400}',
    "sglang total": "Requested token count exceeds the model's maximum context length of 202752 tokens. You requested "
    "a total of 202941 tokens: 170941 tokens from the input messages and 32000 tokens for the completion.",
    "sglang length": "Input length (160062 tokens) exceeds the maximum allowed length (59862 tokens).",
    "tgi": '{"error": "Input validation error: `inputs` must have less than 4095 tokens. Given: 5000", '
    '"error_type": "validation"}',
    "tgi, together": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4097. Given: 4500 `inputs` "
    "tokens and 128 `max_new_tokens`",
    "llama.cpp": '{"error": {"code": 400, "message": "the request exceeds the available context size, try increasing '
    'it", "type": "exceed_context_size_error", "n_prompt_tokens": 5000, "n_ctx": 4096}}',
    "llama.cpp batch": "input is too large to process. increase the physical batch size",
    "lm studio": '{"error": "Trying to keep the first 15857 tokens when context the overflows. However, the model is '
    'loaded with context length of only 4096 tokens, which is not enough."}',
    "lm studio 2": "The number of tokens to keep from the initial prompt is greater than the context length.",
    "groq": '{"error": {"message": "Please reduce the length of the messages or completion.", "type": '
    '"invalid_request_error", "param": "messages", "code": "context_length_exceeded"}}',
    "anthropic": "prompt is too long: 210000 tokens > 200000 maximum",
    "anthropic sum": "input length and `max_tokens` exceed context limit: 199000 + 4096 > 200000",
    "bedrock": '{"message": "Input is too long for requested model."}',
    "bedrock schema": "Malformed input request: expected maxLength: 200000, actual: 201134, please reformat your input "
    "and try again.",
    "bedrock tokens": "Too many input tokens. Max input tokens: 8192, request input token count: 9001",
    "nim": '{"object": "error", "message": "This model\'s maximum context length is 8192 tokens.", "type": '
    '"BadRequestError"}',
    "tensorrt-llm": "Prompt length (200) exceeds maximum input length (128)",
    "tensorrt-llm sum": "The sum of prompt length (5000.0), query length (0) should not exceed max_num_tokens (4096)",
    "gemini": '[{"error": {"code": 400, "message": "The input token count (40000) exceeds the maximum number of tokens '
    'allowed (32768).", "status": "INVALID_ARGUMENT"}}]',
    "mistral": "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length",
    "xai": "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
    "deepseek": "length of prompt_tokens (163280) must be less than max_seq_len (32768).",
    "alibaba": "<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 30720]",
    "azure": "Input exceeds the model's context length",
}

REFUSALS = {
    "azure": (
        400,
        '{"error": {"message": "The response was filtered due to the prompt triggering Azure OpenAI\'s content '
        'management policy. Please modify your prompt and retry.", "type": null, "param": "prompt", "code": '
        '"content_filter", "status": 400, "innererror": {"code": "ResponsibleAIPolicyViolation"}}}',
    ),
    "azure through a proxy": (
        400,
        '{"error": {"message": "litellm.BadRequestError: litellm.ContentPolicyViolationError: AzureException", '
        '"type": null, "param": null, "code": "400"}}',
    ),
    "openai": (
        400,
        '{"error": {"message": "Invalid prompt: your prompt was flagged as potentially violating our usage policy. '
        'Please try again with a different prompt", "type": "invalid_request_error", "code": "invalid_prompt"}}',
    ),
    "openai safety": (
        400,
        '{"error": {"code": "content_policy_violation", "message": "Your request was rejected as a result of our '
        'safety system."}}',
    ),
    "openrouter": (
        403,
        '{"error": {"code": 403, "message": "Input was flagged by moderation", "metadata": {"reasons": ["violence"], '
        '"flagged_input": "..."}}}',
    ),
    "gemini": (400, '{"error": {"message": "The prompt was blocked: PROHIBITED_CONTENT"}}'),
    "bedrock": (400, '{"message": "GUARDRAIL_INTERVENED: Sorry, the model cannot answer this question."}'),
    "guardrails": (422, '{"detail": "Blocked by guardrail: toxicity"}'),
    "law": (451, '{"error": {"message": "Content blocked", "code": "safety"}}'),
    "alibaba": (
        400,
        '{"error": {"code": "data_inspection_failed", "message": "Input data may contain inappropriate content."}}',
    ),
    "zhipu": (400, '{"error": {"code": "1301", "message": "possibly unsafe or sensitive content in the input"}}'),
}


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (301, MisconfiguredError),
        (400, BadRequestError),
        (401, MisconfiguredError),
        (402, QuotaExhaustedError),
        (403, MisconfiguredError),
        (404, MisconfiguredError),
        (405, MisconfiguredError),
        (408, EngineTimeoutError),
        (409, ServerError),
        (413, PromptTooLongError),
        (422, BadRequestError),
        (425, ServerError),
        (429, RateLimitedError),
        (500, ServerError),
        (501, MisconfiguredError),
        (502, ServerError),
        (503, OverloadedError),
        (504, EngineTimeoutError),
        (529, OverloadedError),
    ],
)
def test_a_status_means_one_class(status, kind):
    assert type(status_failure(status, "oops", "endpoint x")) is kind


@pytest.mark.parametrize("detail", CONTEXT_WORDS.values(), ids=CONTEXT_WORDS)
@pytest.mark.parametrize("status", [400, 413, 422, 500])
def test_a_context_error_is_told_by_its_words(status, detail):
    assert type(status_failure(status, detail, "endpoint x")) is PromptTooLongError


def test_a_request_too_large_for_any_minute_never_passes():
    detail = (
        "Request too large for gpt-4o in organization org-1 on tokens per min (TPM): Limit 10000, Requested 12000. "
        "The input or output tokens must be reduced in order to run successfully."
    )
    assert type(status_failure(429, detail, "endpoint x")) is PromptTooLongError


@pytest.mark.parametrize(("status", "detail"), REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_by_a_filter_is_told_by_its_words(status, detail):
    error = status_failure(status, detail, "endpoint x")
    assert type(error) is ContentRefusedError
    assert str(error) == detail[:300]  # it becomes the raw reply of a judgment


@pytest.mark.parametrize(
    ("status", "detail"),
    [
        (403, "Forbidden"),
        (403, '{"error": {"message": "You are not allowed to sample from this model", "code": "permission_denied"}}'),
        (403, "Country, region, or territory not supported"),
        (403, "Your account has been blocked for violating our usage policies"),
        (400, "This organization has been disabled."),
        (403, "<html>Sorry, you have been blocked</html>"),
        (401, "content_filter"),
    ],
)
def test_what_is_said_of_account_or_key_is_not_taken_for_a_refusal_of_one_text(status, detail):
    assert type(status_failure(status, detail, "endpoint x")) is MisconfiguredError


@pytest.mark.parametrize("key", ["input", "body", "messages"])
@pytest.mark.parametrize("words", ["the prompt was flagged by moderation", "prompt is too long", "insufficient_quota"])
def test_what_an_error_repeats_of_the_request_decides_nothing(key, words):
    detail = json.dumps({"detail": [{"loc": ["body", "messages"], "msg": "Field required", key: {"content": words}}]})
    assert type(status_failure(422, detail, "endpoint x")) is BadRequestError
    assert type(status_failure(403, detail, "endpoint x")) is MisconfiguredError


@pytest.mark.parametrize(
    ("status", "detail"),
    [
        (
            429,
            '{"error": {"message": "You exceeded your current quota, please check your plan", '
            '"type": "insufficient_quota", "code": "insufficient_quota"}}',
        ),
        (429, '{"error": {"message": "Your account is not active, please check your billing details."}}'),
        (400, '{"type": "error", "error": {"message": "Your credit balance is too low to access the Anthropic API."}}'),
        (402, '{"error": {"message": "This request requires more credits", "code": 402}}'),
        (402, "Insufficient Balance"),
        (403, '{"error": {"code": "insufficient_user_quota"}}'),
    ],
)
def test_an_exhausted_quota_does_not_pass_and_says_so(status, detail):
    error = status_failure(status, detail, "endpoint x")
    assert type(error) is QuotaExhaustedError
    assert str(error).endswith("; add credit at the provider, or choose another endpoint")


@pytest.mark.parametrize(
    "detail",
    [
        "slow down",
        "Rate limit reached for gpt-4o on requests per min (RPM): Limit 3. Please try again in 20s.",
        '[{"error": {"code": 429, "message": "You exceeded your current quota, please check your plan and billing '
        'details. Please retry in 35.1s.", "status": "RESOURCE_EXHAUSTED"}}]',
    ],
)
def test_a_limit_per_minute_passes(detail):
    assert type(status_failure(429, detail, "endpoint x")) is RateLimitedError


@pytest.mark.parametrize(
    "detail",
    [
        "top_logprobs exceeds the maximum of 5",
        "temperature exceeds the maximum allowed value",
        "Unknown parameter: max_tokens",
        "Rate limit reached: tokens per minute",
        "this prompt is fine, thank you",
        "max_tokens is too large: 10000. This model supports at most 4096 completion tokens",
        "Unsupported parameter: 'seed' is not supported with this model.",
        "messages: at least one message is required",
    ],
)
def test_a_wrong_setting_is_not_taken_for_a_long_prompt_or_a_refusal(detail):
    assert type(status_failure(400, detail, "endpoint x")) is BadRequestError


@pytest.mark.parametrize("status", [502, 503, 529])
def test_an_overloaded_server_is_not_taken_for_a_long_prompt(status):
    assert type(status_failure(status, "maximum context length", "x")) in (ServerError, OverloadedError)


@pytest.mark.parametrize("detail", ["CUDA out of memory", "content_filter service unavailable", "oops"])
def test_a_server_failure_stays_one(detail):
    assert type(status_failure(500, detail, "x")) is ServerError


def test_a_request_refused_without_a_word_still_says_something():
    assert str(status_failure(413, "", "endpoint x")) == "endpoint x answered 413"


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
        (302, "endpoint x answered 302: oops; write the address that it points to, without /chat/completions"),
        (402, "endpoint x answered 402: oops; add credit at the provider, or choose another endpoint"),
        (418, "endpoint x answered 418: oops; check the address"),
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


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": 503, "message": "upstream overloaded"}, OverloadedError),
        ({"code": "503", "message": "upstream overloaded"}, OverloadedError),
        ({"code": "rate_limit_exceeded"}, RateLimitedError),
        ({"type": "overloaded_error"}, OverloadedError),
        ({"status": "DEADLINE_EXCEEDED", "code": 504}, EngineTimeoutError),
        ({"code": "invalid_api_key", "message": "no"}, MisconfiguredError),
        ({"code": "model_not_found"}, MisconfiguredError),
        ({"code": "insufficient_quota"}, QuotaExhaustedError),
        ({"code": "content_filter"}, ContentRefusedError),
        ({"code": "context_length_exceeded"}, PromptTooLongError),
        ({"code": 400, "message": "no"}, BadRequestError),
        ({"message": "prompt is too long"}, PromptTooLongError),
        ({"message": "flagged by moderation"}, ContentRefusedError),
        ({"message": "something went wrong"}, MalformedAnswerError),
        ({"code": 200}, MalformedAnswerError),
        ({"code": "1234"}, MalformedAnswerError),
        ({"code": True}, MalformedAnswerError),
        ("provider disconnected", MalformedAnswerError),
    ],
)
def test_an_error_in_a_success_means_what_its_code_or_words_say(error, kind):
    assert type(failure_in_success(read_error(json.dumps({"error": error})), "endpoint x")) is kind


def test_a_certificate_that_is_not_trusted_does_not_pass_and_names_cause_and_remedy():
    cause = ssl.SSLCertVerificationError(1, "certificate verify failed")
    cause.verify_message = "self-signed certificate"
    error = OSError("connect")
    error.__cause__ = cause
    found = connection_failure(error, "endpoint x")
    assert type(found) is MisconfiguredError
    assert "endpoint x is not trusted (self-signed certificate); set SSL_CERT_FILE" in str(found)


def test_a_handshake_that_broke_off_may_pass():
    assert type(connection_failure(ssl.SSLEOFError(8, "EOF occurred"), "endpoint x")) is UnreachableError


def test_a_connection_that_was_not_made_names_its_cause_and_what_to_check():
    error = connection_failure(ConnectionRefusedError(), "endpoint x")
    assert type(error) is UnreachableError
    assert str(error) == "cannot reach endpoint x (ConnectionRefusedError); check the address and that it is running"


def test_a_request_without_an_answer_names_how_long_it_waited():
    error = no_answer_in(0.5, TimeoutError(), "endpoint x")
    assert type(error) is EngineTimeoutError
    assert str(error).startswith("endpoint x did not answer in 0.5 s (TimeoutError); check")


@pytest.mark.parametrize(
    ("status", "detail", "may_be"),
    [
        (401, "who are you", False),
        (404, "no such model", False),
        (301, "it points to elsewhere", False),
        (403, "Forbidden", True),
        (403, "<html>Sorry, you have been blocked</html>", True),
        (405, "no", True),
        (451, "no", True),
    ],
)
def test_a_firewall_may_refuse_one_item_but_a_wrong_key_or_address_is_never_an_items_fault(status, detail, may_be):
    error = status_failure(status, detail, "endpoint x")
    assert type(error) is MisconfiguredError
    assert error.may_be_the_items is may_be
    assert pickle.loads(pickle.dumps(error)).may_be_the_items is may_be
    assert error.with_advice("go on").may_be_the_items is may_be
