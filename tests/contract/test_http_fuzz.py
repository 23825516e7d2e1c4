"""Whatever an endpoint sends, an engine over HTTP raises an error of engines or gives the reply that was sent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judge_serve.engines.http import HttpEngine, HttpEngineConfig
from judge_serve.judging import EngineError, EngineReply, Item, JudgeCall, RetryPolicy, judge_pair
from tests.builders import JUDGE
from tests.contract.endpoints import Answer, Endpoint, complete, completion, json_answer

KEYS = ["error", "code", "message", "choices", "content", "finish_reason", "usage", "object", "detail", "loc", "param"]
WORDS = ["error", "stop", "length", "content_filter", "temperature", "Unsupported parameter: 'seed'", "429", "text", ""]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-600, 600) | st.floats() | st.sampled_from(WORDS) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=15,
)
STATUSES = st.integers(200, 599).filter(lambda status: status not in (204, 205, 304))  # these have no body
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "content-type": st.sampled_from(
            ["application/json", "text/html; charset=hex", "a/b; charset=nonsense", "", ";;;", "a/b; charset=utf-7"]
        ),
        "content-encoding": st.sampled_from(["identity", "gzip", "deflate", "br", "zstd", "nonsense"]),
        "retry-after": st.sampled_from(["1", "-1", "nan", "inf", "1e400", "soon", "Wed, 21 Oct 2026 07:28:00 GMT"]),
        "location": st.sampled_from(["", "/", "http://[", "https://\u00e9.test/", "http://x:99999/", "//", "%"]),
        "set-cookie": st.sampled_from(["", "a=b", "; ;=", "a=b; expires=never; max-age=x", "a=b; domain=other.test"]),
    },
)
NO_RETRY = RetryPolicy(attempts=1)


@pytest.fixture(scope="module")
def running() -> Iterator[Endpoint]:
    endpoint = Endpoint()
    yield endpoint
    endpoint.close()


def http_engine(endpoint: Endpoint) -> HttpEngine:
    return HttpEngine(HttpEngineConfig(base_url=endpoint.url, model="m", timeout_s=5.0))


@settings(max_examples=150, deadline=None)
@given(STATUSES, st.binary(max_size=60) | JSON.map(lambda body: json.dumps(body).encode()), HEADERS)
def test_no_answer_raises_anything_but_an_error_of_engines(running, status, body, headers):
    running.answer = Answer(body, status, {name: value.encode().decode("latin-1") for name, value in headers.items()})
    try:
        reply = complete(http_engine(running))
    except EngineError:
        return
    assert status == 200
    assert isinstance(reply, EngineReply)


@settings(max_examples=100, deadline=None)
@given(STATUSES, JSON, st.sampled_from(["error", "stop", "length", "content_filter", "abort"]))
def test_no_rating_is_there_that_was_not_sent(running, status, error, finish_reason):
    """A rating stands in every answer; it counts only in a success without an error that ended well."""
    sent = completion(EngineReply('{"rating": 4, "explanation": "x"}', finish_reason)) | {"error": error}
    running.answer = json_answer(sent, status)

    async def judge_once():
        engine = http_engine(running)
        try:
            return await judge_pair(JudgeCall(JUDGE, Item("q", "d", "q1", "d1")), engine, retry=NO_RETRY)
        finally:
            await engine.close()

    try:
        judgment = asyncio.run(judge_once())
    except EngineError:
        return
    may_count = status == 200 and not error and finish_reason in ("stop", "length")
    assert judgment.rating == (4 if may_count else None)
    assert (judgment.rating is None) != (judgment.invalid_reason is None)
