"""An engine over the handle of a model's deployment on Ray Serve."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from judge_serve.engines.failures import no_answer_in
from judge_serve.engines.wire import from_chat_body, to_chat_body
from judge_serve.judging.engine import EngineReply, EngineRequest
from judge_serve.judging.errors import ServerError

if TYPE_CHECKING:
    from ray.serve.handle import DeploymentHandle, DeploymentResponse


class ServeHandleEngine:
    """Engine over the handle of a `JudgeModel` deployment, from inside the Ray cluster."""

    def __init__(self, handle: DeploymentHandle, model: str, timeout_s: float = 600.0) -> None:
        self._handle = handle
        self._model = model
        self._timeout_s = timeout_s
        self._source = f"model {model!r} on Ray Serve"

    @property
    def model(self) -> str:
        """Name of the model that answers."""
        return self._model

    async def complete(self, request: EngineRequest) -> EngineReply:
        """See `Engine.complete`."""
        return from_chat_body(await self.ask(to_chat_body(request, self._model, is_vllm=True)), self._source)

    async def ask(self, body: dict[str, Any]) -> dict[str, Any]:
        """What the deployment answers a chat body, unread: the completion, or `{"error": {code, message}}`.

        A call that is not answered in time, or that nobody waits for any more, is cancelled in the model.

        Raises: EngineTimeoutError, or ServerError where Ray brought no answer.
        """
        from ray.exceptions import RayError
        from ray.serve.exceptions import RayServeException

        response = self._handle.complete.remote(body)
        try:
            async with asyncio.timeout(self._timeout_s):
                answer: dict[str, Any] = await response
        except TimeoutError as error:
            _cancel(response)
            raise no_answer_in(self._timeout_s, error, self._source) from error
        except asyncio.CancelledError:
            _cancel(response)
            raise
        except (RayError, RayServeException) as error:
            raise ServerError(f"{self._source} failed ({type(error).__name__})") from error
        return answer

    async def close(self) -> None:
        """Nothing to release: Serve owns the handle."""


def _cancel(response: DeploymentResponse[dict[str, Any]]) -> None:
    """Free the slot that a call holds in its model; vLLM stops generating for it."""
    from ray.exceptions import RayError
    from ray.serve.exceptions import RayServeException

    with contextlib.suppress(RayError, RayServeException):  # it failed meanwhile: nothing is left to cancel
        response.cancel()


def connect_serve_engine(app_name: str, deployment: str, model: str) -> ServeHandleEngine:
    """Engine for a deployment of a running application, from any process of its Ray cluster."""
    from ray import serve

    return ServeHandleEngine(serve.get_deployment_handle(deployment, app_name), model)
