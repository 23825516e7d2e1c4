"""The simulated endpoint: plain dictionaries as a `JudgeModel` answers them, and the OpenAI chat API over HTTP."""

import asyncio
import json
import os
import subprocess
import sys

import httpx
import pytest
from pydantic import ValidationError

from benchmarks.simulated_engine import SimulatedEngine, SimulatedEngineConfig
from benchmarks.simulated_serving import OutageOrder, SimulatedModel, build_api, endpoint_process
from judge_serve.engines.http import HttpEngine, HttpEngineConfig
from judge_serve.engines.wire import from_chat_body, to_chat_body
from judge_serve.judging import EngineRequest
from judge_serve.judging.errors import RateLimitedError

CONFIG = SimulatedEngineConfig(model="m", seed=5, malformed_rate=0.3)
REQUESTS = [EngineRequest(({"role": "user", "content": f"item {number}"},), 64) for number in range(20)]
BODY = to_chat_body(REQUESTS[0], "m", is_vllm=True)


def direct_replies():
    async def ask():
        engine = SimulatedEngine(CONFIG)
        return [await engine.complete(request) for request in REQUESTS]

    return asyncio.run(ask())


def call(model, method, path, **options):
    """One HTTP call of the model's routes, in this process."""

    async def send():
        transport = httpx.ASGITransport(build_api(model))
        async with httpx.AsyncClient(transport=transport, base_url="http://simulated") as http:
            return await http.request(method, path, **options)

    return asyncio.run(send())


# --- plain dictionaries ---


def test_a_body_is_answered_as_the_engine_answers():
    model = SimulatedModel(CONFIG)
    bodies = [to_chat_body(request, "m", is_vllm=True) for request in REQUESTS]
    answers = [asyncio.run(model.complete(body)) for body in bodies]
    assert [from_chat_body(answer, "here") for answer in answers] == direct_replies()


def test_a_body_that_is_no_chat_request_is_a_400():
    error = asyncio.run(SimulatedModel(CONFIG).complete({**BODY, "n": 3}))["error"]
    assert error["code"] == 400
    assert "n" in error["message"]


def test_another_model_is_a_404():
    error = asyncio.run(SimulatedModel(CONFIG).complete({**BODY, "model": "other"}))["error"]
    assert (error["code"], error["message"]) == (404, "model 'other' is not served here, 'm' is")


def test_an_outage_is_an_error_with_its_status():
    model = SimulatedModel(CONFIG)
    asyncio.run(model.fail({"calls": 1, "status": 429, "message": "slow down"}))
    error = asyncio.run(model.complete(BODY))["error"]
    assert (error["code"], error["message"]) == (429, "slow down")
    assert "choices" in asyncio.run(model.complete(BODY))


def test_the_status_names_the_process_and_counts():
    model = SimulatedModel(CONFIG)
    asyncio.run(model.complete(BODY))
    asyncio.run(model.fail({"calls": 1}))
    asyncio.run(model.complete(BODY))
    status = asyncio.run(model.status())
    assert (status["pid"], status["served"], status["failed"], status["busy"]) == (os.getpid(), 1, 1, 0)
    json.dumps(status, allow_nan=False)


@pytest.mark.parametrize("order", [{}, {"seconds": 1, "calls": 1}, {"seconds": 0}, {"calls": 0}, {"calls": 1, "x": 1}])
def test_an_outage_without_a_clear_extent_is_refused(order):
    with pytest.raises(ValidationError):
        OutageOrder.model_validate(order)


# --- HTTP ---


def test_http_lists_its_model():
    answer = call(SimulatedModel(CONFIG), "GET", "/v1/models").json()
    assert answer == {"object": "list", "data": [{"id": "m", "object": "model"}]}


@pytest.mark.parametrize(("status", "header"), [(503, "2.5"), (429, "2.5"), (500, None)])
def test_http_says_how_long_to_wait_where_waiting_helps(status, header):
    model = SimulatedModel(CONFIG)
    ordered = call(model, "POST", "/simulated/outage", json={"calls": 1, "status": status, "retry_after_s": 2.5})
    assert ordered.status_code == 204
    answer = call(model, "POST", "/v1/chat/completions", json=BODY)
    assert (answer.status_code, answer.headers.get("retry-after")) == (status, header)
    assert answer.json()["error"]["message"] == "simulated outage"


def test_http_outages_can_be_ended():
    model = SimulatedModel(CONFIG)
    call(model, "POST", "/simulated/outage", json={"seconds": 1_000})
    assert call(model, "POST", "/v1/chat/completions", json=BODY).status_code == 503
    assert call(model, "DELETE", "/simulated/outage").status_code == 204
    assert call(model, "POST", "/v1/chat/completions", json=BODY).status_code == 200


@pytest.mark.parametrize("body", [{**BODY, "n": 2}, {}])
def test_http_refuses_other_bodies(body):
    assert call(SimulatedModel(CONFIG), "POST", "/v1/chat/completions", json=body).status_code == 400


def test_http_refuses_unclear_outages():
    assert call(SimulatedModel(CONFIG), "POST", "/simulated/outage", json={}).status_code == 422


# --- the process ---


def test_a_process_answers_as_the_engine_does_and_ends_with_its_context():
    with endpoint_process(CONFIG) as url:
        assert url.startswith("http://127.0.0.1:")

        async def ask():
            engine = HttpEngine(HttpEngineConfig(base_url=url, model="m", is_vllm=True))
            try:
                return list(await asyncio.gather(*(engine.complete(request) for request in REQUESTS)))
            finally:
                await engine.close()

        assert asyncio.run(ask()) == direct_replies()
        status = httpx.get(url.removesuffix("/v1") + "/simulated/status").json()
        assert status["served"] == len(REQUESTS)
        assert status["pid"] != os.getpid()
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


def test_a_process_waits_in_the_engines_slots():
    slow = SimulatedEngineConfig(model="m", latency_median_s=0.2, slots=2)
    with endpoint_process(slow) as url:

        async def ask():
            loop = asyncio.get_running_loop()
            engine = HttpEngine(HttpEngineConfig(base_url=url, model="m"))
            started = loop.time()
            await asyncio.gather(*(engine.complete(request) for request in REQUESTS[:6]))
            await engine.close()
            return loop.time() - started

        assert asyncio.run(ask()) >= 0.6


def test_an_outage_reaches_a_process_through_its_file(tmp_path):
    file = tmp_path / "outage"
    file.write_text('{"status": 429, "retry_after_s": 1.5}', encoding="utf-8")
    with endpoint_process(CONFIG.model_copy(update={"outage_file": file})) as url:

        async def ask():
            engine = HttpEngine(HttpEngineConfig(base_url=url, model="m"))
            try:
                return await engine.complete(REQUESTS[0])
            finally:
                await engine.close()

        with pytest.raises(RateLimitedError, match="answered 429") as caught:
            asyncio.run(ask())
        assert caught.value.retry_after_s == 1.5
        file.unlink()
        assert asyncio.run(ask()).text


@pytest.mark.parametrize("config", ["{", '{"slots": 0}', '{"speed": 1}'])
def test_a_process_refuses_an_impossible_config(config):
    command = [sys.executable, "-m", "benchmarks.simulated_serving", "--json-config", config]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert "SimulatedEngineConfig" in done.stderr
