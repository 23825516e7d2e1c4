"""A session with a model: a running `serve` of it where there is one, an own Ray and vLLM otherwise."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import httpx

from cluster.endpoint.application import APP_NAME, LOOPBACK, free_port, running, serve_config
from cluster.endpoint.endpoint_file import KEY_VARIABLE
from cluster.endpoint.models import ModelChoice, connector
from cluster.endpoint.ray_cluster import ConnectedRay, attach, cluster_address, connected_ray, shipped_packages
from cluster.endpoint.state import read_state
from cluster.progress import Progress
from judge_serve.catalogue.served_model import ServedModel
from judge_serve.engines.dialect import Dialect
from judge_serve.engines.failures import connection_failure
from judge_serve.engines.http import HttpEngineConfig
from judge_serve.engines.probing import recognised
from judge_serve.engines.proxies import told_of_proxies
from judge_serve.judging.engine import EngineReply, EngineRequest
from judge_serve.judging.errors import RefusedInputError
from judge_serve.judging.retrying import RetryPolicy, complete_with_retry
from judge_serve.serving.embedded_model import ensure_embedded_model
from judge_serve.serving.home import models_dir
from optimize_workers.evaluation.workers import WorkerPool
from optimize_workers.reflection import complete_patiently

logger = logging.getLogger(__name__)
Result = TypeVar("Result")


class Session:
    """Workers of one judged model, and the reflection model where a search needs one."""

    def __init__(
        self, choice: ModelChoice, reflection: ModelChoice | None, url: str | None, progress: Progress
    ) -> None:
        self.choice = choice
        self.url = url
        self._progress = progress
        self.pool = WorkerPool(
            connector(choice),
            max_calls_in_flight=choice.max_calls_in_flight,
            least_calls_in_flight=choice.least_calls_in_flight,
            on_wait=progress.waiting,
        )
        self.reflection = reflection or choice
        self._reflection_engine = connector(self.reflection)()
        self._num_reflections = 0  # answered
        self._loop = asyncio.new_event_loop()  # of its own thread: a study reflects from several threads
        self._thread = threading.Thread(target=self._loop.run_forever, name="reflection", daemon=True)
        self._thread.start()

    @property
    def can_propose(self) -> bool:
        """Whether the reflection model is able to write instructions."""
        return not self.reflection.is_weak_writer

    @property
    def reflection_max_tokens(self) -> int:
        """Bound of a reflection's length."""
        return self.reflection.reflection_max_tokens

    def found(self) -> dict[str, Any]:
        """What the session knows by now of the endpoints that it asks, as `endpoint` and `reflection_endpoint`."""
        learned = self.pool.learned
        found: dict[str, Any] = {}
        if self.choice.endpoint is not None:
            found["endpoint"] = {
                **known_of(self.choice.endpoint, learned),
                "max_in_flight": self.choice.endpoint.max_in_flight,
                "in_flight": sum(one.get("in_flight", 0) for one in learned),
            }
        reflecting = self.reflection.endpoint
        if reflecting is not None and self.reflection is not self.choice and self._num_reflections:
            found["reflection_endpoint"] = known_of(reflecting, [getattr(self._reflection_engine, "learned", {})])
        return found

    def complete_reflection(self, request: EngineRequest) -> EngineReply:
        """Answer a request with the reflection model; see `complete_patiently`."""
        retry = RetryPolicy()

        def complete() -> EngineReply:
            return self._run(self._reflect(request, retry))

        return complete_patiently(complete, retry, self._progress.waiting, lambda: self._num_reflections)

    async def _reflect(self, request: EngineRequest, retry: RetryPolicy) -> EngineReply:
        reply = await complete_with_retry(self._reflection_engine, request, retry)
        self._num_reflections += 1  # in the one thread of the loop
        return reply

    def close(self) -> None:
        """Stop workers and connections."""
        self.pool.close()
        self._run(self._stop_reflecting())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _stop_reflecting(self) -> None:
        """Whoever waits for a reflection in a thread of an interrupted study is let go."""
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._reflection_engine.close()

    def _run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


def known_of(endpoint: HttpEngineConfig, learned: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """How an endpoint is spoken to, as JSON: what it refuses, known beforehand or found out by engines."""
    dialect = endpoint.dialect
    for one in learned:
        known = {name: value for name, value in one.items() if name in Dialect.model_fields}
        dialect = dialect.joined(Dialect.model_validate(known))
    return {"address": endpoint.base_url, "is_vllm": endpoint.is_vllm, "dialect": dialect.as_dict()}


@contextmanager
def open_session(
    choice: ModelChoice,
    home: Path,
    progress: Progress,
    *,
    reflection: ModelChoice | None = None,
    port: int = 0,
) -> Iterator[Session]:
    """Open a session; at the end everything that it started is stopped.

    Args:
        choice: the model that judges.
        home: where a running `serve` announces itself.
        progress: told what is waited for.
        reflection: the model that writes instructions; the judging model by default.
        port: HTTP port of an own endpoint, a free one by default.
    """
    cluster_address()  # one that is refused is refused before anything is prepared
    needed = [c.served for c in (choice, reflection) if c is not None and c.served is not None]
    models = list({model.name: model for model in needed}.values())
    for endpoint in (c.endpoint for c in (choice, reflection) if c is not None and c.endpoint is not None):
        progress.phase(f"reaching {endpoint.base_url}")
        check_endpoint(endpoint.base_url)
    if choice.endpoint is not None:
        known = choice._replace(endpoint=recognised(choice.endpoint, os.environ.get(KEY_VARIABLE)))
        choice, reflection = known, known if reflection is choice else reflection
    serve = read_state(home)
    with ExitStack() as stack:
        url = None
        if serve is not None and models and all(serve.serves(model) for model in models):
            progress.phase(f"using the running endpoint {serve.url}")
            attach(serve.ray_address)
            import ray

            stack.callback(ray.shutdown)
            url = serve.url
        else:
            prepare_models(models, progress)
            progress.phase("starting Ray" + (f" and vLLM with {', '.join(m.name for m in models)}" if models else ""))
            ray_here = stack.enter_context(connected_ray())
            check_gpus(models)
            if models:
                config, url = _application(models, ray_here, port or free_port())
                stack.enter_context(running(config, progress.waiting))
                (application,) = config["applications"]
                choice, reflection = _in_app(choice, reflection, application["name"])
        session = Session(choice, reflection, url, progress)
        stack.callback(session.close)
        yield session


def _application(models: Sequence[ServedModel], ray_here: ConnectedRay, port: int) -> tuple[dict[str, Any], str | None]:
    """What serves the models of a session, and its address; beside the applications of others it has none."""
    served = [model.model_dump() for model in models]
    if ray_here.is_own:
        return serve_config(served, None, host=LOOPBACK, port=port), f"http://{LOOPBACK}:{port}"
    name = f"{APP_NAME}-{uuid4().hex[:8]}"  # several commands may share a cluster
    env = shipped_packages()
    return serve_config(served, None, host=LOOPBACK, port=port, name=name, route_prefix=None, runtime_env=env), None


def _in_app(choice: ModelChoice, reflection: ModelChoice | None, name: str) -> tuple[ModelChoice, ModelChoice | None]:
    """The two models, in an application; one that is both stays one."""
    placed = choice._replace(app=name)
    if reflection is None or reflection is choice:
        return placed, reflection and placed
    return placed, reflection._replace(app=name)


def prepare_models(models: Sequence[ServedModel], progress: Progress) -> None:
    """Make the embedded model's folder before Ray starts, so that its errors are plain."""
    if any(model.source == "embedded" for model in models):
        progress.phase("preparing the embedded model (about 40 s the first time)")
        ensure_embedded_model(models_dir())


def check_endpoint(base_url: str) -> None:
    """Raise EngineError if nothing answers there; what it answers is judged later."""
    try:
        with told_of_proxies():
            client = httpx.Client(timeout=10.0)
        with client:
            client.get(base_url)
    except RefusedInputError:
        raise
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise connection_failure(error, f"endpoint {base_url}") from error


def check_gpus(models: Sequence[ServedModel]) -> None:
    """Raise RefusedInputError if the connected Ray has fewer GPUs than one replica of each model needs."""
    import ray

    needed = sum(model.gpus for model in models)
    found = int(ray.cluster_resources().get("GPU", 0))
    if needed > found:
        names = ", ".join(model.name for model in models if model.gpus)
        raise RefusedInputError(
            f"serving {names} needs {needed} GPU(s), Ray found {found}; "
            "use --model embedded or an endpoint http(s)://host/v1#model-name"
        )
