"""Whatever an endpoint sends, an engine over HTTP raises an error of engines or gives the reply that was sent."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
import zlib
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judge_serve.engines.http import HttpEngine, HttpEngineConfig
from judge_serve.judging import EngineError, EngineReply, Item, JudgeCall, RetryPolicy, judge_pair
from judge_serve.judging.errors import EngineTimeoutError, TransientError
from tests.builders import JUDGE
from tests.contract.endpoints import Answer, Endpoint, complete, completion, json_answer

KEYS = ["error", "code", "message", "choices", "content", "finish_reason", "usage", "object", "detail", "loc", "param"]
KEYS += ["logprobs", "top_logprobs", "token", "logprob", "role", "refusal", "type", "text", "status", "prompt_tokens"]
WORDS = ["error", "stop", "length", "content_filter", "temperature", "Unsupported parameter: 'seed'", "429", "text", ""]
WORDS += [
    "System role not supported",
    "response_format is not supported",
    "top_logprobs must be at most 5",
    "4",
    "\ud800",
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-600, 600) | st.floats() | st.sampled_from(WORDS) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=15,
)
GOOD = json.dumps(completion(EngineReply('{"rating": 4, "explanation": "x"}', "stop"))).encode()
ODD = [  # what no generator finds by itself
    GOOD.decode().encode("utf-16"),
    GOOD.decode().encode("utf-32"),
    b"\xef\xbb\xbf" + GOOD,
    GOOD + GOOD,
    GOOD + b"\n",
    b"\x00" * 50,
    b"[" * 50_000,
    b'{"a":' * 5_000,
    b'{"choices": ' + b"9" * 5_000 + b"}",
    b'{"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 1e999}}',
    b'{"choices": [{"message": {"content": "x"}}], "usage": {"completion_tokens": NaN}}',
    b'{"choices": [{"message": {"content": {"text": "x"}}}]}',
    b'{"choices": [{"message": {"content": [{"type": "text"}, null, 5]}}]}',
    b'{"choices": [{"message": {"content": null, "refusal": null}}]}',
    b'{"choices": [{"message": null}]}',
    b'{"choices": {"0": {}}}',
    b'{"choices": [{"message": {"content": "4"}, "logprobs": {"content": [{"top_logprobs": [{"token": 4}]}]}}]}',
    b'data: {"choices": []}\n\ndata: [DONE]\n\n',
    gzip.compress(GOOD),
    gzip.compress(GOOD)[:-9],
    zlib.compress(GOOD),
    b"<html><head><title>502</title></head></html>",
    b"",
]
STATUSES = st.integers(200, 599).filter(lambda status: status not in (204, 205, 304))  # these have no body
WAITS = ["1", "-1", "nan", "inf", "1e400", "soon", "0x10", "1,2", "1;2", "\u0664", ",", "-", "Sun, 06 Nov"]
WAITS += ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]
WAITS += ["Sun, 06 Nov 99999 08:49:37 GMT", "Fri, 31 Dec 9999 23:59:59 -2359", "Mon, 01 Jan 0001 00:00:00 +2359"]
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "content-type": st.sampled_from(
            ["application/json", "text/html; charset=hex", "a/b; charset=nonsense", "", ";;;", "a/b; charset=utf-7"]
        ),
        "content-encoding": st.sampled_from(["identity", "gzip", "deflate", "br", "zstd", "nonsense"]),
        "retry-after": st.sampled_from(WAITS),
        "retry-after-ms": st.sampled_from(WAITS),
        "date": st.sampled_from(WAITS),
        "transfer-encoding": st.sampled_from(["identity", "chunked", "gzip, chunked", "nonsense"]),
        "content-length": st.sampled_from(["0", "1", "5", "70", "-1", "x", "1e3"]),
        "connection": st.just("close"),
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


def http_engine(endpoint: Endpoint, timeout_s: float = 5.0) -> HttpEngine:
    return HttpEngine(HttpEngineConfig(base_url=endpoint.url, model="m", timeout_s=timeout_s))


def sent_headers(headers: dict[str, str]) -> dict[str, str]:
    """As they go over the wire: of a body of no length the sender hangs up, so that nobody waits for more."""
    encoded = {name: value.encode().decode("latin-1") for name, value in headers.items()}
    ends_openly = {"transfer-encoding", "content-length"} & encoded.keys()
    return encoded | ({"connection": "close"} if ends_openly else {})


@settings(max_examples=200, deadline=None)
@given(
    STATUSES,
    st.binary(max_size=60) | JSON.map(lambda body: json.dumps(body).encode()) | st.sampled_from(ODD),
    HEADERS,
)
def test_no_answer_raises_anything_but_an_error_of_engines(running, status, body, headers):
    running.answer = Answer(body, status, sent_headers(headers))
    try:
        reply = complete(http_engine(running))
    except EngineError:
        return
    assert status == 200
    assert isinstance(reply, EngineReply)


CHUNKS = [
    b"5\r\nhello\r\n0\r\n\r\n",
    b"5\r\nhel",
    b"zz\r\nhello\r\n",
    b"-1\r\n",
    b"0\r\n\r\nmore",
    b"ffffffffff\r\nx",
    b"",
]


@pytest.mark.parametrize("chunks", [*CHUNKS, b"%x\r\n%s\r\n0\r\n\r\n" % (len(GOOD), GOOD)])
@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_chunks_that_are_whole_are_read_and_others_may_pass(running, chunks, encoding):
    headers = {"transfer-encoding": "chunked", "content-encoding": encoding, "connection": "close"}
    running.answer = Answer(chunks, 200, headers)
    if GOOD in chunks and encoding == "identity":
        assert complete(http_engine(running)).text == '{"rating": 4, "explanation": "x"}'
        return
    with pytest.raises(TransientError):
        complete(http_engine(running))


@pytest.mark.parametrize("cut", range(0, len(GOOD), 9))
def test_a_body_that_is_cut_off_is_no_answer(running, cut):
    running.answer = Answer(GOOD[:cut], headers={"content-length": str(len(GOOD)), "connection": "close"})
    with pytest.raises(TransientError):
        complete(http_engine(running))


@pytest.mark.parametrize("byte_delay_s", [0.02, 0.2])
def test_a_trickling_body_ends_by_the_deadline(running, byte_delay_s):
    running.answer = Answer(GOOD, byte_delay_s=byte_delay_s)
    began = time.monotonic()
    with pytest.raises(EngineTimeoutError):
        complete(http_engine(running, timeout_s=0.5))
    assert time.monotonic() - began < 3.0


@pytest.mark.parametrize("encoded", [gzip.compress(GOOD), zlib.compress(GOOD)])
def test_a_compressed_body_is_read(running, encoded):
    name = "gzip" if encoded[:2] == b"\x1f\x8b" else "deflate"
    running.answer = Answer(encoded, headers={"content-encoding": name})
    assert complete(http_engine(running)).text == '{"rating": 4, "explanation": "x"}'


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
