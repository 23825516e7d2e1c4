"""What is particular to engines over HTTP: keys, statuses, broken answers."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import pickle
import time
import traceback
from dataclasses import replace
from email.utils import formatdate
from typing import Any

import pytest

from judge_serve.engines.http import HttpEngine, HttpEngineConfig
from judge_serve.judging import (
    AnswerMode,
    EngineError,
    EngineReply,
    InvalidReason,
    Item,
    Judge,
    JudgeCall,
    Judgment,
    RefusedInputError,
    judge_pair,
)
from judge_serve.judging.errors import (
    EngineTimeoutError,
    FatalError,
    MalformedAnswerError,
    MisconfiguredError,
    NoTokenProbabilitiesError,
    PromptTooLongError,
    RateLimitedError,
    TransientError,
    UnreachableError,
)
from tests.builders import JUDGE
from tests.contract.endpoints import (
    GOOD,
    REQUEST,
    TOO_LONG,
    Answer,
    Answering,
    Endpoint,
    complete,
    completion,
    json_answer,
)

KEY = "sk-very-secret-4711"


def ask(endpoint: Endpoint, answer: Answering, key: str | None = None, **config: Any) -> EngineReply:
    endpoint.answer = answer
    return complete(HttpEngine(HttpEngineConfig(base_url=endpoint.url, model="m", **config), key))


def failure(endpoint: Endpoint, answer: Answering, key: str | None = None, **config: Any) -> EngineError:
    with pytest.raises(EngineError) as caught:
        ask(endpoint, answer, key, **config)
    return caught.value


OK = Answer(json.dumps(completion(GOOD)).encode())


@pytest.mark.parametrize("slash", ["", "/"])
def test_http_posts_to_chat_completions_below_the_address(endpoint, slash):
    endpoint.answer = OK
    complete(HttpEngine(HttpEngineConfig(base_url=endpoint.url + slash, model="m")))
    assert endpoint.received[0].path == "/v1/chat/completions"


def test_http_sends_the_messages_unchanged(endpoint):
    ask(endpoint, OK)
    assert endpoint.received[0].body["messages"] == list(REQUEST.messages)


def test_http_sends_the_key_as_bearer(endpoint):
    ask(endpoint, OK, KEY)
    assert endpoint.received[0].headers["authorization"] == f"Bearer {KEY}"


def test_http_drops_the_line_break_of_a_key_read_from_a_file(endpoint):
    ask(endpoint, OK, f"{KEY}\n")
    assert endpoint.received[0].headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("key", [None, "", "\n"])
def test_http_without_a_key_sends_no_authorization(endpoint, key):
    ask(endpoint, OK, key)
    assert "authorization" not in endpoint.received[0].headers


@pytest.mark.parametrize("key", [f"{KEY}\x00", f"{KEY}\nx", f"{KEY}\u00e9", "\ud800"])
def test_http_refuses_an_impossible_key_without_showing_it(key):
    with pytest.raises(RefusedInputError, match="RELEVANCE_JUDGE_MODEL_KEY") as caught:
        HttpEngine(HttpEngineConfig(base_url="http://127.0.0.1:1/v1", model="m"), key)
    assert KEY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "answer",
    [
        Answer(f"Incorrect API key provided: {KEY}".encode(), 401),
        Answer(f"{TOO_LONG} Your key was {KEY}".encode(), 400),
        Answer(f"{KEY} ".encode() * 100, 500),
        Answer(KEY.encode()),
        Answer(b"{}", headers={"content-encoding": "gzip"}),
        Answer(b"{}", 429, {"retry-after": "1"}),
        Answer(b"{}", 302, {"location": "http://127.0.0.1:1/"}),
        Answer(json.dumps({"choices": KEY}).encode()),
        Answer(json.dumps({"error": f"your key {KEY} is no good"}).encode()),
    ],
)
def test_http_never_shows_the_key(endpoint, answer, caplog):
    caplog.set_level(logging.DEBUG)
    error = failure(endpoint, answer, KEY)
    assert KEY not in "".join(traceback.format_exception(error))
    assert KEY not in caplog.text
    assert KEY not in repr(pickle.loads(pickle.dumps(error)))


def test_http_429_may_pass_and_says_how_long_to_wait(endpoint):
    error = failure(endpoint, Answer(b"slow down", 429, {"retry-after": "2.5"}))
    assert isinstance(error, RateLimitedError)
    assert error.retry_after_s == 2.5
    assert "answered 429: slow down" in str(error)


@pytest.mark.parametrize(
    ("header", "wait_s"),
    [
        ("0", 0.0),
        ("-3", 0.0),
        ("nan", 0.0),
        ("inf", 0.0),
        ("1e400", 0.0),
        ("soon", 0.0),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 0.0),
        ("Sunday, 99 Nov 1994", 0.0),
        ("Sun, 06 Nov 99999 08:49:37 GMT", 0.0),
        ("", 0.0),
    ],
)
def test_http_reads_retry_after_without_trusting_it(endpoint, header, wait_s):
    error = failure(endpoint, Answer(b"", 503, {"retry-after": header}))
    assert isinstance(error, TransientError)
    assert error.retry_after_s == wait_s


def test_http_a_date_to_retry_at_is_read_by_the_clock_of_the_endpoint(endpoint):
    an_hour_fast = {"date": formatdate(time.time() + 3_600, usegmt=True)}
    at = formatdate(time.time() + 3_630, usegmt=True)
    error = failure(endpoint, Answer(b"", 429, {"retry-after": at, **an_hour_fast}))
    assert error.retry_after_s == pytest.approx(30.0, abs=2.0)


def test_http_a_date_to_retry_at_needs_no_clock_of_the_endpoint(endpoint):
    error = failure(endpoint, Answer(b"", 503, {"retry-after": formatdate(time.time() + 30, usegmt=True), "date": "x"}))
    assert error.retry_after_s == pytest.approx(30.0, abs=2.0)


def test_http_milliseconds_to_wait_are_read(endpoint):
    error = failure(endpoint, Answer(b"", 429, {"retry-after": "1", "retry-after-ms": "350"}))
    assert error.retry_after_s == pytest.approx(0.35)


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("ALL_PROXY", "socks5://me:secret@proxy:1080", "ALL_PROXY .socks5://.* SOCKS proxy.* pip install 'httpx"),
        ("HTTPS_PROXY", "socks4://me:secret@proxy:1080", "HTTPS_PROXY .socks4://.* write http://host:port"),
        ("HTTP_PROXY", "ftp://me:secret@proxy", "HTTP_PROXY .ftp://.* write http://host:port"),
        ("NO_PROXY", "localhost,[::1]", r"NO_PROXY holds \[::1\], .* without brackets"),
        ("NO_PROXY", "[fd00::1]:8000", "NO_PROXY holds .*, without brackets, port and network"),
        ("NO_PROXY", "fd00::/8", "NO_PROXY holds fd00::/8"),
    ],
)
def test_http_a_proxy_that_cannot_be_used_says_what_to_do(monkeypatch, variable, value, said):
    for name in ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv(variable, value)
    with pytest.raises(RefusedInputError, match=said) as caught:
        HttpEngine(HttpEngineConfig(base_url="https://judge.test/v1", model="m"))
    assert "secret" not in "".join(traceback.format_exception(caught.value, chain=False))


def test_http_addresses_beside_the_proxy_may_be_ipv6(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "localhost,::1,10.0.0.0/8,.example.com,fd00::7")
    asyncio.run(HttpEngine(HttpEngineConfig(base_url="http://[::1]:8000/v1", model="m")).close())


def test_http_a_key_may_stand_in_a_header_of_its_own_beside_a_query(endpoint):
    endpoint.answer = Answer(json.dumps(completion(GOOD)).encode())
    config = HttpEngineConfig(
        base_url=endpoint.url, model="m", key_header="api-key", query={"api-version": "2024-10-21", "a": "b c"}
    )
    assert complete(HttpEngine(config, KEY)) == GOOD
    received = endpoint.received[0]
    assert received.path == "/v1/chat/completions?api-version=2024-10-21&a=b+c"
    assert received.headers["api-key"] == KEY
    assert "authorization" not in received.headers


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_http_failures_of_the_server_may_pass(endpoint, status):
    error = failure(endpoint, Answer(b"oops", status))
    assert isinstance(error, TransientError)
    assert error.retry_after_s == 0.0


@pytest.mark.parametrize("status", [301, 400, 401, 402, 403, 404, 405, 422, 501])
def test_http_refusals_do_not_pass(endpoint, status):
    assert isinstance(failure(endpoint, Answer(b"no", status)), FatalError)


@pytest.mark.parametrize("status", [401, 403])
def test_http_refused_key_says_what_to_check(endpoint, status):
    assert "check RELEVANCE_JUDGE_MODEL_KEY" in str(failure(endpoint, Answer(b"no", status)))


def test_http_404_says_what_to_check(endpoint):
    error = failure(endpoint, Answer(b'{"error": "model m not found"}', 404))
    assert "check the model name after '#' and the address" in str(error)


def test_http_errors_name_the_endpoint(endpoint):
    assert f"endpoint {endpoint.url} answered 500" in str(failure(endpoint, Answer(b"", 500)))


def test_http_errors_stay_short(endpoint):
    assert len(str(failure(endpoint, Answer(b"x" * 100_000, 500)))) < 500


def test_http_context_error_is_found_behind_a_long_preamble(endpoint):
    assert isinstance(failure(endpoint, Answer(b"x " * 1_000 + TOO_LONG.encode(), 400)), PromptTooLongError)


def test_http_nobody_listening_may_pass(endpoint):
    endpoint.close()
    with pytest.raises(UnreachableError, match=r"cannot reach endpoint .*\(ConnectError\); check the address"):
        complete(HttpEngine(HttpEngineConfig(base_url=endpoint.url, model="m")))


def test_http_silence_ends_in_a_time_out(endpoint):
    error = failure(endpoint, Answer(b"{}", delay_s=10.0), timeout_s=0.05)
    assert isinstance(error, EngineTimeoutError)
    assert str(error).startswith(f"endpoint {endpoint.url} did not answer in 0.05 s (TimeoutError); check")


def test_http_a_trickling_answer_ends_in_a_time_out(endpoint):
    """Each byte comes in time, the whole does not."""
    started = time.monotonic()
    error = failure(endpoint, Answer(OK.body, byte_delay_s=0.05), timeout_s=0.2)
    assert isinstance(error, EngineTimeoutError)
    assert time.monotonic() - started < 2.0


def test_http_plain_http_behind_an_https_address_does_not_pass(endpoint):
    with pytest.raises(MisconfiguredError, match=r"does not speak TLS .*; write http:// or check the port"):
        complete(HttpEngine(HttpEngineConfig(base_url=endpoint.url.replace("http://", "https://"), model="m")))


def test_http_a_redirect_says_where_it_points_and_what_to_do(endpoint):
    error = failure(endpoint, Answer(b"", 308, {"location": "https://me:mine@judge.test/v2/chat/completions?a=b"}))
    assert isinstance(error, MisconfiguredError)
    assert str(error).endswith(
        "answered 308: it points to https://judge.test/v2/chat/completions; "
        "write the address that it points to, without /chat/completions"
    )


@pytest.mark.parametrize(
    "answer",
    [
        json_answer({"error": {"code": "content_filter", "message": "the prompt was filtered"}}, 400),
        json_answer({"error": {"code": 403, "message": "the input was flagged by moderation"}}, 403),
    ],
)
def test_http_a_refused_pair_is_a_judgment(endpoint, answer):
    endpoint.answer = answer
    judgment = judge_over_http(endpoint, JUDGE)
    assert (judgment.rating, judgment.invalid_reason) == (None, InvalidReason.REFUSAL)
    assert judgment.raw_reply == answer.body.decode()
    assert len(endpoint.received) == 1


@pytest.mark.parametrize("status", [400, 413, 422, 500])
def test_http_a_pair_that_is_too_long_is_a_judgment(endpoint, status):
    endpoint.answer = json_answer({"error": "the request exceeds the available context size"}, status)
    assert judge_over_http(endpoint, JUDGE).invalid_reason is InvalidReason.PROMPT_TOO_LONG
    assert len(endpoint.received) == 1


@pytest.mark.parametrize(
    "first",
    [
        json_answer({"error": {"message": "upstream overloaded", "code": 503}}),
        json_answer({"error": {"message": "something went wrong"}}),
        json_answer({"choices": []}),
        Answer(b"<html>busy</html>", headers={"content-type": "text/html"}),
        json_answer(completion(EngineReply('{"rating": 1, "explanation": "x"}', "error"))),
    ],
)
def test_http_a_success_that_holds_no_answer_is_asked_again(endpoint, first):
    good = json_answer(completion(EngineReply('{"rating": 4, "explanation": "x"}', "stop")))
    endpoint.answer = lambda _: first if len(endpoint.received) == 1 else good
    assert judge_over_http(endpoint, JUDGE).rating == 4
    assert len(endpoint.received) == 2


def test_http_a_short_key_changes_no_answer(endpoint):
    good = json_answer(completion(EngineReply('{"rating": 4, "explanation": "x"}', "stop")))
    assert ask(endpoint, good, "4").text == '{"rating": 4, "explanation": "x"}'


def test_http_hanging_up_early_may_pass(endpoint):
    error = failure(endpoint, Answer(b"{", headers={"content-length": "10", "connection": "close"}))
    assert isinstance(error, UnreachableError)


def test_http_a_garbled_encoding_may_pass(endpoint):
    error = failure(endpoint, Answer(b"no gzip", headers={"content-encoding": "gzip"}))
    assert isinstance(error, UnreachableError)
    assert "DecodingError" in str(error)


@pytest.mark.parametrize(
    "body", [b"", b"<html>welcome</html>", b"\xff\xfe", b"data: {}", b"[" * 100_000, b'{"a": ' + b"9" * 5_000 + b"}"]
)
def test_http_an_answer_that_is_not_json_may_pass(endpoint, body):
    error = failure(endpoint, Answer(body))
    assert "answered 200 without JSON; check the address" in str(error)
    assert isinstance(error, MalformedAnswerError)


@pytest.mark.parametrize("body", [b"{}", b"[]", b"null", b"4", b'"text"', b'{"choices": []}', b'{"choices": [null]}'])
def test_http_json_that_is_no_completion_may_pass(endpoint, body):
    error = failure(endpoint, Answer(body))
    assert "answered without a chat completion" in str(error)
    assert isinstance(error, MalformedAnswerError)


# --- expected mode over HTTP ---


@pytest.mark.parametrize(
    "logprobs",
    [
        None,
        {},
        {"content": None},
        {"content": []},
        {"content": [{"token": "4", "logprob": -0.1}]},
        {"content": [{"token": "4", "logprob": -0.1, "top_logprobs": []}]},
    ],
)
def test_an_endpoint_without_token_probabilities_cannot_judge_in_expected_mode(endpoint, logprobs):
    choice = {"message": {"content": "4"}, "finish_reason": "stop", "logprobs": logprobs}
    endpoint.answer = Answer(json.dumps({"choices": [choice]}).encode())
    judge = JUDGE.model_copy(update={"mode": AnswerMode.EXPECTED})
    with pytest.raises(NoTokenProbabilitiesError, match="no token probabilities, which mode 'expected' needs"):
        judge_over_http(endpoint, judge)
    assert len(endpoint.received) == 1


def test_expected_ratings_are_read_from_what_an_endpoint_sends(endpoint):
    alternatives = ((" 4", math.log(0.3)), ("4", math.log(0.3)), ("2\n", math.log(0.2)), ("44", math.log(0.1)))
    endpoint.answer = Answer(json.dumps(completion(replace(GOOD, first_token_logprobs=alternatives))).encode())
    judgment = judge_over_http(endpoint, JUDGE.model_copy(update={"mode": AnswerMode.EXPECTED}))
    assert judgment.expected_rating == pytest.approx((4 * 0.6 + 2 * 0.2) / 0.8)


def judge_over_http(endpoint: Endpoint, judge: Judge) -> Judgment:
    async def judge_once() -> Judgment:
        engine = HttpEngine(HttpEngineConfig(base_url=endpoint.url, model="m"))
        try:
            return await judge_pair(JudgeCall(judge, Item("q", "d", "q1", "d1")), engine)
        finally:
            await engine.close()

    return asyncio.run(judge_once())
