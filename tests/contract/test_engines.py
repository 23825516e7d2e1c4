"""One contract for every engine, then what is particular to Serve handles and to the scripted engine.

Each arrangement turns the same outcomes into what its engine really meets: a script, an HTTP answer on
loopback, a handle's return value, an outage on command.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import pickle
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from benchmarks.simulated_engine import SimulatedEngine, SimulatedEngineConfig
from benchmarks.simulated_serving import endpoint_process
from judge_serve.engines.http import HttpEngine, HttpEngineConfig
from judge_serve.engines.serve_handle import ServeHandleEngine
from judge_serve.judging import Engine, EngineError, EngineReply, EngineRequest
from judge_serve.judging.errors import (
    ContentRefusedError,
    EngineTimeoutError,
    MalformedAnswerError,
    MisconfiguredError,
    OverloadedError,
    PromptTooLongError,
    RateLimitedError,
    ServerError,
)
from tests.contract.endpoints import GOOD, REQUEST, TOO_LONG, Answer, Endpoint, complete, completion
from tests.fakes import FakeHandle, ScriptedEngine, rate_three

FLAGGED = "the prompt was flagged by the content filter"
SIMULATED = SimulatedEngineConfig(model="judge-model")


class Arrangement(ABC):
    """Makes an engine of one kind that meets an outcome; `calls` says how often it was asked."""

    @abstractmethod
    def engine(self, outcome: EngineReply | tuple[int, str]) -> Engine:
        """An engine that meets the outcome; a simulated one writes a reply of its own."""

    @abstractmethod
    def calls(self) -> int:
        """How often it was asked."""


class Scripted(Arrangement):
    def engine(self, outcome):
        answers = {
            (400, TOO_LONG): PromptTooLongError("too long"),
            (400, FLAGGED): ContentRefusedError("flagged"),
            (401, "who are you"): MisconfiguredError("no"),
            (429, "slow down"): RateLimitedError("slow down"),
            (503, "overloaded"): OverloadedError("busy"),
        }
        answer = outcome if isinstance(outcome, EngineReply) else answers[outcome]
        self.made = ScriptedEngine(lambda _request: answer, model="judge-model")
        return self.made

    def calls(self):
        return self.made.calls


class Http(Arrangement):
    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint

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


class Simulated(Arrangement):
    def engine(self, outcome):
        self.made = SimulatedEngine(SIMULATED)
        if not isinstance(outcome, EngineReply):
            status, message = outcome
            self.made.fail_next(1, status, message=message)
        return self.made

    def calls(self):
        return self.made.served + self.made.failed


class SimulatedHttp(Arrangement):
    def __init__(self, url: str) -> None:
        self.url = url
        self.commands = url.removesuffix("/v1") + "/simulated"
        self.calls_before = self.calls_so_far()

    def engine(self, outcome):
        if not isinstance(outcome, EngineReply):
            status, message = outcome
            httpx.post(
                f"{self.commands}/outage", json={"calls": 1, "status": status, "message": message}
            ).raise_for_status()
        return HttpEngine(HttpEngineConfig(base_url=self.url, model="judge-model"))

    def calls(self):
        return self.calls_so_far() - self.calls_before

    def calls_so_far(self):
        status = httpx.get(f"{self.commands}/status").json()
        return status["served"] + status["failed"]


@pytest.fixture(scope="module")
def simulated_url() -> Iterator[str]:
    with endpoint_process(SIMULATED) as url:
        yield url


# kind -> the fixture that it stands on
CARRYING = {Scripted: None, Http: "endpoint", Handle: None}
ALL = {**CARRYING, Simulated: None, SimulatedHttp: "simulated_url"}


def arrange(request: pytest.FixtureRequest) -> Arrangement:
    kind, fixture = request.param
    return kind(request.getfixturevalue(fixture)) if fixture else kind()


def name_of(param: tuple[type[Arrangement], str | None]) -> str:
    return param[0].__name__.lower()


@pytest.fixture(params=ALL.items(), ids=name_of)
def arranged(request) -> Arrangement:
    return arrange(request)


@pytest.fixture(params=CARRYING.items(), ids=name_of)
def carrying(request) -> Arrangement:
    """An engine that carries replies written elsewhere."""
    return arrange(request)


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
def test_a_reply_comes_back_unread(carrying, reply):
    assert complete(carrying.engine(reply)) == reply


def test_many_requests_can_run_together(arranged):
    async def complete_many():
        engine = arranged.engine(GOOD)
        try:
            return await asyncio.gather(*(engine.complete(REQUEST) for _ in range(20)))
        finally:
            await engine.close()

    assert len(set(asyncio.run(complete_many()))) == 1
    assert arranged.calls() == 20


def test_a_prompt_that_does_not_fit_is_said_so(arranged):
    with pytest.raises(PromptTooLongError):
        complete(arranged.engine((400, TOO_LONG)))


def test_an_overloaded_model_is_said_so(arranged):
    with pytest.raises(OverloadedError):
        complete(arranged.engine((503, "overloaded")))


def test_too_many_requests_are_counted_apart(arranged):
    with pytest.raises(RateLimitedError):
        complete(arranged.engine((429, "slow down")))


def test_a_refused_key_is_a_wrong_configuration(arranged):
    with pytest.raises(MisconfiguredError):
        complete(arranged.engine((401, "who are you")))


def test_a_refused_text_is_said_so(arranged):
    with pytest.raises(ContentRefusedError):
        complete(arranged.engine((400, FLAGGED)))


@pytest.mark.parametrize(
    "outcome", [GOOD, (503, "overloaded"), (429, "slow down"), (401, "who are you"), (400, TOO_LONG)]
)
def test_a_request_is_sent_once(arranged, outcome):
    with contextlib.suppress(EngineError):
        complete(arranged.engine(outcome))
    assert arranged.calls() == 1


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
    with pytest.raises(EngineTimeoutError, match=r"model 'm' on Ray Serve did not answer in 0\.02 s"):
        ask_handle(completion, delay_s=10.0, timeout_s=0.02)


def test_handle_silence_is_cancelled_in_the_model():
    handle = FakeHandle(completion, delay_s=10.0)
    with pytest.raises(EngineTimeoutError):
        complete(ServeHandleEngine(handle, "m", timeout_s=0.02))
    assert handle.num_cancelled == 1


def test_a_call_whose_caller_is_gone_is_cancelled_in_the_model():
    handle = FakeHandle(completion, delay_s=10.0)

    async def leave_early():
        task = asyncio.create_task(ServeHandleEngine(handle, "m").complete(REQUEST))
        await asyncio.sleep(0.01)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(leave_early())
    assert handle.num_cancelled == 1


def test_a_call_that_was_answered_is_not_cancelled():
    handle = FakeHandle(lambda _body: completion(GOOD))
    complete(ServeHandleEngine(handle, "m"))
    assert handle.num_cancelled == 0


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
    with pytest.raises(ServerError, match=rf"model 'm' on Ray Serve failed \({name}\)"):
        ask_handle(lambda _body: error)


def test_handle_answers_that_are_no_completion_may_pass():
    with pytest.raises(MalformedAnswerError, match="without a chat completion"):
        ask_handle(lambda _body: {})


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
