"""The simulated engine as an endpoint: a Ray Serve deployment, and a plain process that speaks the OpenAI chat API.

    python -m benchmarks.simulated_serving --port 0 --json-config '{"latency_median_s": 0.5, "slots": 64}'

prints `{"url", "model", "pid"}` as one line of JSON on stdout and serves on loopback until it is stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from benchmarks.outages import Outage
from benchmarks.simulated_engine import SimulatedEngine, SimulatedEngineConfig
from benchmarks.simulated_wire import read_chat_body, write_completion
from judge_serve.catalogue.served_model import deployment_name

if TYPE_CHECKING:
    from ray.serve.deployment import Application

LOOPBACK = "127.0.0.1"
STOP_TIMEOUT_S = 10.0


class OutageOrder(Outage):
    """An outage to begin now: for some seconds, or for the next calls."""

    seconds: float | None = Field(None, gt=0)
    calls: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _check_extent(self) -> OutageOrder:
        if (self.seconds is None) == (self.calls is None):
            raise ValueError("an outage lasts for 'seconds' or for 'calls'; give one of them")
        return self


class ServingArgs(BaseModel):
    """Arguments of `build` and `build_model`, as they stand in a Serve config file.

    Attributes:
        max_ongoing_requests: per replica, those in line for a slot included.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    engine: SimulatedEngineConfig = SimulatedEngineConfig()
    num_replicas: int = Field(1, ge=1)
    num_cpus: float = Field(0.1, ge=0)
    max_ongoing_requests: int = Field(256, ge=1)


class SimulatedModel:
    """Answers plain dictionaries as `judge_serve.serving.models.JudgeModel` does, without a model.

    Over a Serve handle, commands reach one replica; an outage of all replicas needs `outage_file`.
    """

    def __init__(self, config: SimulatedEngineConfig) -> None:
        self._engine = SimulatedEngine(config)

    async def complete(self, body: dict[str, Any]) -> dict[str, Any]:
        """Answer one chat-completions body: the completion, or `{"error": {code, message}}`."""
        try:
            model, request = read_chat_body(body)
        except ValidationError as error:
            return _error(400, str(error))
        if model != self._engine.model:
            return _error(404, f"model {model!r} is not served here, {self._engine.model!r} is")
        answer = await self._engine.answer(request)
        if isinstance(answer, Outage):
            return _error(answer.status, answer.message, answer.retry_after_s)
        return write_completion(answer, model)

    async def fail(self, order: dict[str, Any]) -> None:
        """Begin an outage, see `OutageOrder`."""
        wanted = OutageOrder.model_validate(order)
        how = (wanted.status, wanted.retry_after_s, wanted.message)
        if wanted.seconds is not None:
            self._engine.fail_for(wanted.seconds, *how)
        if wanted.calls is not None:
            self._engine.fail_next(wanted.calls, *how)

    async def recover(self) -> None:
        """End the outages commanded here."""
        self._engine.recover()

    async def status(self) -> dict[str, Any]:
        """The process, what it served, and the mean busy slots of every whole second as (second, busy) pairs."""
        engine = self._engine
        return {
            "pid": os.getpid(),
            "model": engine.model,
            "served": engine.served,
            "failed": engine.failed,
            "busy": engine.busy,
            "busy_slot_s": engine.busy_slot_s(),
            "utilization": [list(second) for second in engine.utilization()],
        }

    def __serve_build_asgi_app__(self) -> FastAPI:
        """What Serve asks for in `build`: the HTTP side, made on the replica so that nothing is pickled."""
        return build_api(self)


def build_api(model: SimulatedModel) -> FastAPI:
    """The OpenAI chat API over a simulated model, and the routes that command it."""
    api = FastAPI(title="simulated model")

    @api.post("/v1/chat/completions")
    async def chat_completions(body: dict[str, Any]) -> JSONResponse:
        answer = await model.complete(body)
        if "error" not in answer:
            return JSONResponse(answer)
        error = answer["error"]
        wait_s = error.get("retry_after_s")
        headers = {"Retry-After": f"{wait_s:g}"} if wait_s is not None and error["code"] in (429, 503) else {}
        return JSONResponse(answer, error["code"], headers)

    @api.get("/v1/models")
    async def models() -> dict[str, Any]:
        name = (await model.status())["model"]
        return {"object": "list", "data": [{"id": name, "object": "model"}]}

    @api.post("/simulated/outage", status_code=204)
    async def begin_outage(order: OutageOrder) -> None:
        await model.fail(order.model_dump())

    @api.delete("/simulated/outage", status_code=204)
    async def end_outage() -> None:
        await model.recover()

    @api.get("/simulated/status")
    async def status() -> dict[str, Any]:
        return await model.status()

    return api


def build_model(args: dict[str, Any]) -> Application:
    """The deployment alone, to be bound where a `JudgeModel` would be; reached by handles only."""
    return _bind(SimulatedModel, ServingArgs.model_validate(args))


def build(args: dict[str, Any]) -> Application:
    """Serve's application builder: the deployment as its own HTTP ingress."""
    from ray import serve

    return _bind(serve.ingress()(SimulatedModel), ServingArgs.model_validate(args))


@contextmanager
def endpoint_process(config: SimulatedEngineConfig) -> Iterator[str]:
    """A simulated endpoint in its own process, stopped at the end; yields its address, which ends in `/v1`."""
    command = [sys.executable, "-m", "benchmarks.simulated_serving", "--json-config", config.model_dump_json()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            if not line:
                raise RuntimeError("the simulated endpoint did not start; see its messages above")
            yield json.loads(line)["url"]
        finally:
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()


def main() -> None:
    """Serve a simulated model on loopback until stopped."""
    import uvicorn

    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulated_serving", description=main.__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--json-config", default="{}", help="a SimulatedEngineConfig as JSON")
    flags = parser.parse_args()
    try:
        config = SimulatedEngineConfig.model_validate_json(flags.json_config)
    except ValidationError as error:
        parser.error(str(error))
    with socket.create_server((LOOPBACK, flags.port), backlog=1_024) as listening:
        url = f"http://{LOOPBACK}:{listening.getsockname()[1]}/v1"
        print(json.dumps({"url": url, "model": config.model, "pid": os.getpid()}), flush=True)
        api = build_api(SimulatedModel(config))
        serving = uvicorn.Config(api, log_level="warning", access_log=False, timeout_graceful_shutdown=1)
        uvicorn.Server(serving).run(sockets=[listening])


def _bind(model: Any, args: ServingArgs) -> Application:
    from ray import serve

    deployment = serve.deployment(
        model,
        name=deployment_name(args.engine.model),
        num_replicas=args.num_replicas,
        max_ongoing_requests=args.max_ongoing_requests,
        ray_actor_options={"num_cpus": args.num_cpus},
    )
    return deployment.bind(args.engine)


def _error(code: int, message: str, retry_after_s: float | None = None) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "retry_after_s": retry_after_s}}


if __name__ == "__main__":
    main()
