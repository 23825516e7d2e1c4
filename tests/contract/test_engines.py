"""One contract for every engine, then what is particular to HTTP and to Serve handles.

Each arrangement turns the same outcomes into what its engine really meets: a script, an HTTP answer on
loopback, a handle's return value.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import pickle
import threading
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import pytest

from judge_serve.judging import Engine, EngineError, EngineReply, EngineRequest, PromptTooLongError, RefusedInputError
from judge_serve.serving.engines import HttpEngine, HttpEngineConfig, ServeHandleEngine
from tests.fakes import FakeHandle, ScriptedEngine, rate_three

KEY = "sk-very-secret-4711"
REQUEST = EngineRequest(({"role": "user", "content": "Is 2 < 3? \u00e9\U0001f600"},), max_tokens=16, seed=7)
TOO_LONG = "This model's maximum context length is 4096 tokens. However, you requested 9000 tokens."


def completion(reply: EngineReply) -> dict[str, Any]:
    """The chat completion that says what a reply says."""
    choice: dict[str, Any] = {"message": {"content": reply.text}, "finish_reason": reply.finish_reason}
    if reply.first_token_logprobs is not None:
        alternatives = [{"token": token, "logprob": logprob} for token, logprob in reply.first_token_logprobs]
        choice["logprobs"] = {"content": [{"token": "4", "logprob": -0.1, "top_logprobs": alternatives}]}
    usage = {"prompt_tokens": reply.prompt_tokens, "completion_tokens": reply.completion_tokens}
    return {"choices": [choice], "usage": usage}


class Answer(NamedTuple):
    """What the endpoint sends for one request."""

    body: bytes
    status: int = 200
    headers: dict[str, str] = {}  # noqa: RUF012
    delay_s: float = 0.0


class Received(NamedTuple):
    """What the endpoint was sent."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


class Endpoint:
    """A real HTTP server on loopback that gives one answer to everything and remembers what it got."""

    def __init__(self) -> None:
        self.answer = Answer(b"{}")
        self.received: list[Received] = []
        self._leaving = threading.Event()
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                endpoint.received.append(Received(self.path, headers, json.loads(body)))
                answer = endpoint.answer
                endpoint._leaving.wait(answer.delay_s)
                self.send_response(answer.status)
                for name, value in {"content-length": str(len(answer.body)), **answer.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, *_details: object) -> None:
                """Say nothing."""

        class Server(ThreadingHTTPServer):
            request_queue_size = 128

            def handle_error(self, *_details: object) -> None:
                """Callers that time out leave broken pipes."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        """Stop and wait for open requests."""
        self._leaving.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    running = Endpoint()
    yield running
    running.close()


def complete(engine: Engine, request: EngineRequest = REQUEST) -> EngineReply:
    async def complete_and_close() -> EngineReply:
        try:
            return await engine.complete(request)
        finally:
            await engine.close()

    return asyncio.run(complete_and_close())


# --- the contract ---


class Arrangement(ABC):
    """Makes an engine of one kind that meets an outcome; `calls` says how often it was asked."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint

    @abstractmethod
    def engine(self, outcome: EngineReply | tuple[int, str]) -> Engine:
        """An engine that meets the outcome."""

    @abstractmethod
    def calls(self) -> int:
        """How often it was asked."""


class Scripted(Arrangement):
    def engine(self, outcome):
        answers = {
            400: PromptTooLongError("too long"),
            401: EngineError("no", is_retryable=False),
            503: EngineError("busy"),
        }
        answer = outcome if isinstance(outcome, EngineReply) else answers[outcome[0]]
        self.made = ScriptedEngine(lambda _request: answer, model="judge-model")
        return self.made

    def calls(self):
        return self.made.calls


class Http(Arrangement):
    def engine(self, outcome):
        if isinstance(outcome, EngineReply):
            self.endpoint.answer = Answer(json.dumps(completion(outcome)).encode())
        else:
            status, message = outcome
            self.endpoint.answer = Answer(json.dumps({"error": {"message": message}}).encode(), status)
        return HttpEngine(HttpEngineConfig(base_url=self.endpoint.url, model="judge-model"))

    def calls(self):
        return len(self.endpoint.received)


class Handle(Arrangement):
    def engine(self, outcome):
        if isinstance(outcome, EngineReply):
            answer = completion(outcome)
        else:
            answer = {"error": {"code": outcome[0], "message": outcome[1]}}
        self.handle = FakeHandle(lambda _body: answer)
        return ServeHandleEngine(self.handle, "judge-model")

    def calls(self):
        return len(self.handle.bodies)


@pytest.fixture(params=[Scripted, Http, Handle], ids=lambda kind: kind.__name__.lower())
def arranged(request, endpoint) -> Arrangement:
    return request.param(endpoint)


GOOD = EngineReply("r\u00e9ply\n", "stop", prompt_tokens=120, completion_tokens=9)


def test_an_engine_names_its_model(arranged):
    engine = arranged.engine(GOOD)
    assert engine.model == "judge-model"
    asyncio.run(engine.close())


@pytest.mark.parametrize(
    "reply",
    [
        GOOD,
        EngineReply("", "length", 1, 0),
        EngineReply("4", "length", 5, 1, first_token_logprobs=(("4", -0.25), (" 5", -1.5))),
        EngineReply("\ud800\x00", "stop"),
    ],
    ids=["text", "empty", "logprobs", "unstorable"],
)
def test_a_reply_comes_back_unread(arranged, reply):
    assert complete(arranged.engine(reply)) == reply


def test_many_requests_can_run_together(arranged):
    async def complete_many():
        engine = arranged.engine(GOOD)
        try:
            return await asyncio.gather(*(engine.complete(REQUEST) for _ in range(20)))
        finally:
            await engine.close()

    assert asyncio.run(complete_many()) == [GOOD] * 20
    assert arranged.calls() == 20


def test_a_prompt_that_does_not_fit_is_said_so(arranged):
    with pytest.raises(PromptTooLongError) as caught:
        complete(arranged.engine((400, TOO_LONG)))
    assert not caught.value.is_retryable


def test_an_overloaded_model_is_a_passing_failure(arranged):
    with pytest.raises(EngineError) as caught:
        complete(arranged.engine((503, "overloaded")))
    assert caught.value.is_retryable
    assert not isinstance(caught.value, PromptTooLongError)


def test_a_refused_request_is_a_lasting_failure(arranged):
    with pytest.raises(EngineError) as caught:
        complete(arranged.engine((401, "who are you")))
    assert not caught.value.is_retryable


@pytest.mark.parametrize("outcome", [GOOD, (503, "overloaded"), (401, "who are you"), (400, TOO_LONG)])
def test_a_request_is_sent_once(arranged, outcome):
    with contextlib.suppress(EngineError):
        complete(arranged.engine(outcome))
    assert arranged.calls() == 1


# --- HTTP ---


def ask(endpoint: Endpoint, answer: Answer, key: str | None = None, **config: Any) -> EngineReply:
    endpoint.answer = answer
    return complete(HttpEngine(HttpEngineConfig(base_url=endpoint.url, model="m", **config), key))


def failure(endpoint: Endpoint, answer: Answer, key: str | None = None, **config: Any) -> EngineError:
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
    assert (error.is_retryable, error.retry_after_s) == (True, 2.5)
    assert "answered 429: slow down" in str(error)


@pytest.mark.parametrize(
    ("header", "wait_s"), [("0", 0.0), ("-3", 0.0), ("nan", 0.0), ("Wed, 21 Oct 2026 07:28:00 GMT", None), ("", None)]
)
def test_http_reads_retry_after_without_trusting_it(endpoint, header, wait_s):
    assert failure(endpoint, Answer(b"", 503, {"retry-after": header})).retry_after_s == wait_s


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_http_failures_of_the_server_may_pass(endpoint, status):
    error = failure(endpoint, Answer(b"oops", status))
    assert error.is_retryable
    assert error.retry_after_s is None


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 405, 413, 422, 501])
def test_http_refusals_do_not_pass(endpoint, status):
    assert not failure(endpoint, Answer(b"no", status)).is_retryable


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
    with pytest.raises(EngineError, match=r"cannot reach endpoint .*\(ConnectError\); check the address") as caught:
        complete(HttpEngine(HttpEngineConfig(base_url=endpoint.url, model="m")))
    assert caught.value.is_retryable


def test_http_silence_ends_in_a_time_out(endpoint):
    error = failure(endpoint, Answer(b"{}", delay_s=10.0), timeout_s=0.05)
    assert "ReadTimeout" in str(error)
    assert error.is_retryable


def test_http_hanging_up_early_may_pass(endpoint):
    error = failure(endpoint, Answer(b"{", headers={"content-length": "10", "connection": "close"}))
    assert error.is_retryable


def test_http_a_garbled_encoding_may_pass(endpoint):
    error = failure(endpoint, Answer(b"no gzip", headers={"content-encoding": "gzip"}))
    assert "DecodingError" in str(error)


@pytest.mark.parametrize(
    "body", [b"", b"<html>welcome</html>", b"\xff\xfe", b"data: {}", b"[" * 100_000, b'{"a": ' + b"9" * 5_000 + b"}"]
)
def test_http_an_answer_that_is_not_json_is_a_lasting_failure(endpoint, body):
    error = failure(endpoint, Answer(body))
    assert "answered 200 without JSON; check the address" in str(error)
    assert not error.is_retryable


@pytest.mark.parametrize("body", [b"{}", b"[]", b"null", b"4", b'"text"', b'{"choices": []}', b'{"choices": [null]}'])
def test_http_json_that_is_no_completion_is_a_lasting_failure(endpoint, body):
    error = failure(endpoint, Answer(body))
    assert "answered without a chat completion" in str(error)
    assert not error.is_retryable


# --- Serve handles ---


def ask_handle(script: Callable[[dict[str, Any]], Any], **options: float) -> EngineReply:
    delay_s = options.pop("delay_s", 0.0)
    return complete(ServeHandleEngine(FakeHandle(script, delay_s), "m", **options))


def test_handle_is_sent_the_body_of_a_vllm_model():
    handle = FakeHandle(lambda _body: completion(GOOD))
    complete(ServeHandleEngine(handle, "m"), EngineRequest(REQUEST.messages, 1, choices=("1", "2"), top_logprobs=20))
    assert handle.bodies == [
        {
            "model": "m",
            "messages": list(REQUEST.messages),
            "max_tokens": 1,
            "temperature": 0.0,
            "structured_outputs": {"choice": ["1", "2"]},
            "logprobs": True,
            "top_logprobs": 20,
        }
    ]


def test_handle_silence_ends_in_a_time_out():
    with pytest.raises(EngineError, match="model 'm' on Ray Serve did not answer") as caught:
        ask_handle(completion, delay_s=10.0, timeout_s=0.02)
    assert caught.value.is_retryable


@pytest.mark.parametrize("name", ["RayError", "RayActorError", "BackPressureError", "DeploymentUnavailableError"])
def test_handle_failures_of_ray_may_pass(name):
    import ray.exceptions
    import ray.serve.exceptions

    made = {
        "RayError": lambda: ray.exceptions.RayError("gone"),
        "RayActorError": lambda: ray.exceptions.RayActorError(),
        "BackPressureError": lambda: ray.serve.exceptions.BackPressureError(
            num_queued_requests=9, max_queued_requests=8
        ),
        "DeploymentUnavailableError": lambda: ray.serve.exceptions.DeploymentUnavailableError(
            ray.serve._private.common.DeploymentID(name="d")
        ),
    }
    error = made[name]()
    with pytest.raises(EngineError, match=rf"model 'm' on Ray Serve failed \({name}\)") as caught:
        ask_handle(lambda _body: error)
    assert caught.value.is_retryable


def test_handle_answers_that_are_no_completion_are_lasting_failures():
    with pytest.raises(EngineError, match="without a chat completion") as caught:
        ask_handle(lambda _body: {})
    assert not caught.value.is_retryable


# --- the scripted engine ---


def test_scripted_engine_can_be_carried_to_another_process():
    engine = pickle.loads(pickle.dumps(ScriptedEngine(rate_three, model="x")))
    assert complete(engine).text == '{"rating": 3, "explanation": "because"}'
    assert (engine.model, engine.calls, engine.is_closed) == ("x", 1, True)


def test_scripted_engine_fails_a_test_that_asks_too_often():
    engine = ScriptedEngine(["one"])
    complete(engine)
    with pytest.raises(AssertionError, match="one call more"):
        complete(engine)
