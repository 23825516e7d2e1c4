"""An engine over the handle of a model's deployment on Ray Serve."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from judge_serve.engines.wire import from_chat_body, to_chat_body, to_engine_error
from judge_serve.judging.engine import EngineReply, EngineRequest
from judge_serve.judging.errors import EngineError

if TYPE_CHECKING:
    from ray.serve.handle import DeploymentHandle


class ServeHandleEngine:
    """Engine over the handle of a `JudgeModel` deployment, from inside the Ray cluster."""

    def __init__(self, handle: DeploymentHandle, model: str, timeout_s: float = 600.0) -> None:
        self._handle = handle
        self._model = model
        self._timeout_s = timeout_s

    @property
    def model(self) -> str:
        """Name of the model that answers."""
        return self._model

    async def complete(self, request: EngineRequest) -> EngineReply:
        """See `Engine.complete`."""
        from ray.exceptions import RayError
        from ray.serve.exceptions import RayServeException

        source = f"model {self._model!r} on Ray Serve"
        body = to_chat_body(request, self._model, is_vllm=True)
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await self._handle.complete.remote(body)
        except TimeoutError as error:
            raise EngineError(f"{source} did not answer in {self._timeout_s:.0f} s") from error
        except (RayError, RayServeException) as error:
            raise EngineError(f"{source} failed ({type(error).__name__})") from error
        if "error" in answer:
            raise to_engine_error(int(answer["error"]["code"]), str(answer["error"]["message"]), source)
        return from_chat_body(answer, source)

    async def close(self) -> None:
        """Nothing to release: Serve owns the handle."""


def connect_serve_engine(app_name: str, deployment: str, model: str) -> ServeHandleEngine:
    """Engine for a deployment of a running application, from any process of its Ray cluster."""
    from ray import serve

    return ServeHandleEngine(serve.get_deployment_handle(deployment, app_name), model)
