"""An engine over HTTP: any OpenAI-compatible endpoint."""

from __future__ import annotations

import httpx
from pydantic import BaseModel, ConfigDict, Field

from judge_serve.engines.failures import connection_failure, no_answer_in, status_failure
from judge_serve.engines.wire import from_chat_body, to_chat_body
from judge_serve.judging.engine import EngineReply, EngineRequest
from judge_serve.judging.errors import MalformedAnswerError, RefusedInputError


class HttpEngineConfig(BaseModel):
    """How to reach an OpenAI-compatible endpoint; the key is passed apart and never stored."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_url: str
    model: str
    is_vllm: bool = False
    is_reasoning: bool = False
    timeout_s: float = Field(300.0, gt=0)
    connect_timeout_s: float = Field(10.0, gt=0)
    max_connections: int = Field(256, ge=1)


class HttpEngine:
    """Engine over `POST {base_url}/chat/completions`; sends each request once."""

    def __init__(self, config: HttpEngineConfig, api_key: str | None = None) -> None:
        self._config = config
        self._api_key = (api_key or "").strip()  # secrets read from files end in a line break
        if not (self._api_key.isascii() and self._api_key.isprintable()):
            raise RefusedInputError("RELEVANCE_JUDGE_MODEL_KEY holds characters that no key has; set it again")
        headers = {"Authorization": f"Bearer {self._api_key}"} if self._api_key else {}
        self._client = httpx.AsyncClient(
            base_url=config.base_url.rstrip("/") + "/",
            headers=headers,
            timeout=httpx.Timeout(config.timeout_s, connect=config.connect_timeout_s),
            limits=httpx.Limits(max_connections=config.max_connections),
        )

    @property
    def model(self) -> str:
        """Name of the model that answers."""
        return self._config.model

    async def complete(self, request: EngineRequest) -> EngineReply:
        """See `Engine.complete`."""
        config = self._config
        source = f"endpoint {config.base_url}"
        body = to_chat_body(request, config.model, is_vllm=config.is_vllm, is_reasoning=config.is_reasoning)
        try:
            response = await self._client.post("chat/completions", json=body)
        except (httpx.ReadTimeout, httpx.WriteTimeout, httpx.PoolTimeout) as error:
            raise no_answer_in(config.timeout_s, error, source) from error
        except httpx.RequestError as error:
            raise connection_failure(error, source) from error
        if response.status_code != httpx.codes.OK:
            detail = response.text.replace(self._api_key, "***") if self._api_key else response.text
            raise status_failure(response.status_code, detail, source, _retry_after_s(response))
        try:
            answer = response.json()
        except (ValueError, RecursionError) as error:
            raise MalformedAnswerError(f"{source} answered 200 without JSON; check the address") from error
        return from_chat_body(answer, source)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def _retry_after_s(response: httpx.Response) -> float:
    try:
        return max(0.0, float(response.headers.get("retry-after", "")))
    except ValueError:
        return 0.0  # absent or an HTTP date, which model endpoints do not send
