"""What a refusal says of an endpoint's dialect, in the words that endpoints use; a body is only ever made smaller."""

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judge_serve.engines.dialect import SCHEMA_WORDS, Dialect
from judge_serve.engines.error_bodies import read_error

SCHEMA = {
    "type": "object",
    "properties": {"explanation": {"type": "string", "minLength": 1, "maxLength": 500}},
    "additionalProperties": False,
}
BODY = {
    "model": "m",
    "messages": [{"role": "user", "content": "Does temperature or seed matter?"}],
    "max_tokens": 128,
    "temperature": 0.0,
    "seed": 7,
    "frequency_penalty": 0.5,
    "response_format": {"type": "json_schema", "json_schema": {"name": "judgment", "schema": SCHEMA, "strict": True}},
    "logprobs": True,
    "top_logprobs": 20,
    "structured_outputs": {"choice": ["1", "2"]},
}
RENAMED = Dialect(token_limit="max_completion_tokens")


def dropping(*names):
    return Dialect(dropped=frozenset(names))


def without_words(*words):
    return Dialect(dropped_schema_words=frozenset(words))


REFUSALS = [
    # OpenAI
    (
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
        RENAMED,
    ),
    (
        '{"error": {"message": "Unsupported value: \'temperature\' does not support 0 with this model. Only the '
        'default (1) value is supported.", "param": "temperature", "code": "unsupported_value"}}',
        dropping("temperature"),
    ),
    ("Unrecognized request argument supplied: seed", dropping("seed")),
    (
        '{"error": {"message": "Invalid value: integer above maximum value. Expected a value <= 5, but got 20 '
        'instead.", "param": "top_logprobs", "code": "integer_above_max_value"}}',
        Dialect(max_top_logprobs=5),
    ),
    (
        '{"error": {"message": "Invalid schema for response_format \'judgment\': In context=(\'properties\', '
        '\'explanation\'), \'minLength\' is not permitted.", "param": "response_format", "code": null}}',
        without_words("minLength"),
    ),
    # FastAPI and what is built on it
    (
        '{"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]}',
        dropping("seed"),
    ),
    (
        '{"object": "error", "message": {"detail": [{"type": "extra_forbidden", "loc": ["body", "frequency_penalty"], '
        '"msg": "Extra inputs are not permitted", "input": 0.5}]}, "type": "invalid_request_error"}',
        dropping("frequency_penalty"),
    ),
    (
        '{"detail": [{"loc": ["body", "top_logprobs"], "msg": "Input should be less than or equal to 8"}]}',
        Dialect(max_top_logprobs=8),
    ),
    # Groq, TGI, Gemini, Anthropic, vLLM
    ("property 'logprobs' is unsupported", dropping("logprobs", "top_logprobs")),
    ("Input validation error: `temperature` must be strictly positive", dropping("temperature")),
    ('Invalid JSON payload. Unknown name "frequency_penalty": Cannot find field.', dropping("frequency_penalty")),
    (
        "Unknown name \"additionalProperties\" at 'generation_config.response_schema': Cannot find field.",
        without_words("additionalProperties"),
    ),
    (
        "output_format.schema: For 'string' type, properties maxLength, minLength are not supported",
        without_words("minLength", "maxLength"),
    ),
    (
        '{"message": "The provided JSON schema contains features not supported by xgrammar.", "code": 400}',
        without_words("minLength", "maxLength"),
    ),
    ("Requested sample logprobs of 20, which is greater than max allowed: 10", Dialect(max_top_logprobs=10)),
    ("top_logprobs is not supported", Dialect(max_top_logprobs=5)),
    ("top_logprobs must be between 0 and 5", Dialect(max_top_logprobs=5)),
    ("does not support parameters: ['seed']", dropping("seed")),
    # Azure, an older Azure, DeepSeek, Groq, LiteLLM before Bedrock, Mistral: the format as a whole
    (
        "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model.",
        dropping("response_format"),
    ),
    (
        "response_format value as json_schema is enabled only for api versions 2024-08-01-preview and later",
        dropping("response_format"),
    ),
    ('{"error": {"message": "This response_format type is unavailable now"}}', dropping("response_format")),
    ("This model does not support response format `json_schema`. See supported models", dropping("response_format")),
    ("bedrock does not support parameters: ['response_format'], for model=titan", dropping("response_format")),
    ("json_schema is not supported for this model", dropping("response_format")),
    ("Unrecognized request argument supplied: response_format", dropping("response_format")),
    (
        '{"error": {"message": "Unknown parameter: \'response_format.json_schema.strict\'.", '
        '"param": "response_format.json_schema.strict", "code": "unknown_parameter"}}',
        without_words("strict"),
    ),
    ("structured_outputs: Extra inputs are not permitted", dropping("structured_outputs")),
    ("logprobs, best_of and echo parameters are not available on gpt-35 model", dropping("logprobs", "top_logprobs")),
]

NO_SYSTEM_ROLE = [
    # Gemma's and Mistral's chat templates as vLLM and SGLang, TGI, LM Studio, llama.cpp and MLX hand their words on
    '{"object": "error", "message": "System role not supported", "type": "BadRequestError", "code": 400}',
    '{"error": "Template error: invalid operation: System role not supported (in <string>:1)", "error_type": "tmpl"}',
    'Error rendering prompt with jinja template: "System role not supported"',
    '{"error": {"code": 500, "message": "System role not supported at row 1, column 50", "type": "server_error"}}',
    "Conversation roles must alternate user/assistant/user/assistant/...",
    "Only user and assistant roles are supported!",
    # OpenAI's first reasoning models, Anthropic, Bedrock, Google, others
    "Unsupported value: 'messages[0].role' does not support 'system' with this model.",
    'messages: Unexpected role "system". The Messages API accepts a top-level `system` parameter',
    "This model doesn't support system messages. Try again without a system message",
    "This model doesn\u2019t support the system field",
    "Developer instruction is not enabled for models/gemma-3-27b-it",
    "System instruction is not enabled for models/gemma-2",
    "Please use a valid role: user, model.",
    "role 'system' is not supported",
    "Invalid role: system",
]


@pytest.mark.parametrize("said", NO_SYSTEM_ROLE)
def test_an_endpoint_without_a_system_role_gets_its_text_in_the_first_user_turn(said):
    turns = [
        {"role": "system", "content": "Judge."},
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "two"},
        {"role": "user", "content": "three"},
    ]
    body = {**BODY, "messages": turns}
    dialect = Dialect().learned(read_error(said), body)
    assert dialect == Dialect(folds_system=True)
    assert dialect.say(body)["messages"] == [{"role": "user", "content": "Judge.\n\none"}, *turns[2:]]
    assert body["messages"] == turns
    assert "first user turn" in Dialect().difference(dialect)
    assert dialect.learned(read_error(said), dialect.say(body)) == dialect


def test_a_system_turn_without_a_user_turn_becomes_one():
    said = Dialect(folds_system=True).say({"messages": [{"role": "system", "content": "a"}]})
    assert said["messages"] == [{"role": "user", "content": "a"}]


@pytest.mark.parametrize(
    "said",
    [
        "After the optional system message, conversation roles must alternate user/assistant/user/assistant/...",
        "Only user and assistant roles are supported, with the exception of an initial system message!",
        "system is overloaded",
    ],
)
def test_what_allows_a_system_turn_does_not_refuse_it(said):
    body = {**BODY, "messages": [{"role": "system", "content": "a"}, *BODY["messages"]]}
    assert Dialect().learned(read_error(said), body) == Dialect()


def test_a_format_that_is_refused_without_a_reason_loses_its_lengths_first_and_is_left_out_at_last():
    refusal = read_error('{"detail": [{"loc": ["body", "response_format"], "msg": "Extra inputs are not permitted"}]}')
    dialects = [Dialect()]
    for _ in range(3):
        dialects.append(dialects[-1].learned(refusal, dialects[-1].say(BODY)))
    assert dialects[1:] == [
        without_words("minLength", "maxLength"),
        without_words(*SCHEMA_WORDS),
        Dialect(dropped={"response_format"}, dropped_schema_words=SCHEMA_WORDS),
    ]


def test_what_several_workers_learned_is_joined():
    one = Dialect(dropped={"seed"}, max_top_logprobs=8, token_limit="max_completion_tokens")
    other = Dialect(dropped={"temperature"}, max_top_logprobs=5, folds_system=True, dropped_schema_words={"strict"})
    joined = one.joined(other)
    assert joined == other.joined(one)
    assert joined.as_dict() == {
        "dropped": ["seed", "temperature"],
        "token_limit": "max_completion_tokens",
        "max_top_logprobs": 5,
        "dropped_schema_words": ["strict"],
        "folds_system": True,
    }
    assert Dialect().as_dict() == {}


@pytest.mark.parametrize(("said", "dialect"), REFUSALS)
def test_a_refusal_teaches_the_dialect(said, dialect):
    assert Dialect().learned(read_error(said), BODY) == dialect
    assert Dialect().difference(dialect)


@pytest.mark.parametrize(
    "said",
    [
        "",
        "invalid request",
        "Unsupported parameter: 'top_k'",
        "max_tokens is too large: 10000. This model supports at most 4096 completion tokens",
        '{"detail": [{"loc": ["body", "messages", 0], "msg": "Input should be a dictionary", "input": "temperature"}]}',
        "Unsupported model: m",
    ],
)
def test_what_names_no_parameter_that_could_be_spared_teaches_nothing(said):
    assert Dialect().learned(read_error(said), BODY) == Dialect()


def test_probabilities_that_are_refused_at_the_usual_bound_too_are_dropped():
    lowered = Dialect(max_top_logprobs=5)
    learned = lowered.learned(read_error("top_logprobs is not supported"), lowered.say(BODY))
    assert not {"logprobs", "top_logprobs"} & learned.say(BODY).keys()


def test_a_usual_dialect_says_the_body_as_it_is():
    assert Dialect().say(BODY) == BODY


def test_saying_leaves_the_body_and_its_schema_as_they_are():
    before = copy.deepcopy(BODY)
    said = Dialect(
        dropped={"seed"}, token_limit="max_completion_tokens", max_top_logprobs=5, dropped_schema_words=SCHEMA_WORDS
    ).say(BODY)
    assert before == BODY
    assert said["max_completion_tokens"] == 128
    assert said["top_logprobs"] == 5
    assert said["response_format"]["json_schema"]["schema"] == {
        "type": "object",
        "properties": {"explanation": {"type": "string"}},
    }


@given(st.text() | st.sampled_from([said for said, _ in REFUSALS]), st.sampled_from([said for said, _ in REFUSALS]))
def test_refusals_come_to_an_end_and_never_touch_model_or_messages(first, second):
    dialect = Dialect()
    for said in [first, second] * 8:
        dialect = dialect.learned(read_error(said), dialect.say(BODY))
    for said in [first, second]:
        assert dialect.learned(read_error(said), dialect.say(BODY)) == dialect
    spoken = dialect.say(BODY)
    assert (spoken["model"], spoken["messages"]) == (BODY["model"], BODY["messages"])


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["error", "detail", "loc", "param", "code", "message", "type"]), inner, max_size=4
            )
        ),
        max_leaves=12,
    )
)
def test_any_body_can_be_read(body):
    error = read_error(json.dumps(body))
    assert error.status is None or 400 <= error.status <= 599
    Dialect().learned(error, BODY)
