"""An engine over HTTP: any OpenAI-compatible endpoint."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, ConfigDict, Field

from judge_serve.engines.dialect import Dialect
from judge_serve.engines.error_bodies import ErrorBody, error_in, read_error
from judge_serve.engines.failures import connection_failure, no_answer_in, rule_of, status_failure
from judge_serve.engines.wire import from_chat_body, to_chat_body
from judge_serve.judging.engine import EngineReply, EngineRequest
from judge_serve.judging.errors import BadRequestError, MalformedAnswerError, RefusedInputError

logger = logging.getLogger(__name__)

MAX_LESSONS = 6  # refused parameters that one request may find out; each is sent again without it
_MIN_SECRET_CHARS = 8  # shorter keys are placeholders, and could stand in any answer


class HttpEngineConfig(BaseModel):
    """How to reach an OpenAI-compatible endpoint; the key is passed apart and never stored.

    Attributes:
        timeout_s: how long one request may take in all, to the last byte of its answer.
        dialect: what is known beforehand of the parameters that it takes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_url: str
    model: str
    is_vllm: bool = False
    is_reasoning: bool = False
    timeout_s: float = Field(300.0, gt=0)
    connect_timeout_s: float = Field(10.0, gt=0)
    max_connections: int = Field(256, ge=1)
    dialect: Dialect = Dialect()


class _Answer(NamedTuple):
    """What came back, with the key taken out."""

    status: int
    text: str
    retry_after_s: float


class HttpEngine:
    """Engine over `POST {base_url}/chat/completions`.

    Sends each request once; again only where the endpoint refuses one of its parameters, which is then left out of all
    further requests too.
    """

    def __init__(self, config: HttpEngineConfig, api_key: str | None = None) -> None:
        self._config = config
        self._source = f"endpoint {config.base_url}"
        self._dialect = config.dialect
        self._api_key = (api_key or "").strip()  # secrets read from files end in a line break
        if not (self._api_key.isascii() and self._api_key.isprintable()):
            raise RefusedInputError("RELEVANCE_JUDGE_MODEL_KEY holds characters that no key has; set it again")
        headers = {"Authorization": f"Bearer {self._api_key}"} if self._api_key else {}
        self._client = httpx.AsyncClient(
            base_url=config.base_url.rstrip("/") + "/",
            headers=headers,
            timeout=httpx.Timeout(None, connect=config.connect_timeout_s),  # the whole has a bound of its own
            limits=httpx.Limits(max_connections=config.max_connections),
        )

    @property
    def model(self) -> str:
        """Name of the model that answers."""
        return self._config.model

    @property
    def dialect(self) -> Dialect:
        """What is known by now of the parameters that the endpoint takes."""
        return self._dialect

    async def complete(self, request: EngineRequest) -> EngineReply:
        """See `Engine.complete`."""
        config = self._config
        body = to_chat_body(request, config.model, is_vllm=config.is_vllm, is_reasoning=config.is_reasoning)
        for _ in range(MAX_LESSONS):
            said = self._dialect.say(body)
            answer = await self._send(said)
            if not self._learn(answer, said) or self._dialect.say(body) == said:
                return self._read(answer)
        return self._read(await self._send(self._dialect.say(body)))

    async def look_up(self, url: str) -> Any:
        """What the endpoint says in JSON at an address, relative to its base; None where it does not."""
        try:
            async with asyncio.timeout(self._config.connect_timeout_s):
                response = await self._client.get(url)
            return json.loads(response.content) if response.is_success else None
        except (TimeoutError, httpx.HTTPError, httpx.InvalidURL, ValueError, RecursionError):
            return None

    async def _send(self, body: dict[str, Any]) -> _Answer:
        """Send a body and wait for all of the answer."""
        config = self._config
        try:
            async with asyncio.timeout(config.timeout_s):
                response = await self._client.post("chat/completions", json=body)
        except TimeoutError as error:
            raise no_answer_in(config.timeout_s, error, self._source) from error
        except httpx.RequestError as error:
            raise connection_failure(error, self._source) from error
        # not response.text: the charset that a header names may be none for texts
        text = response.content.decode("utf-8-sig", "replace")
        if response.has_redirect_location:
            text = f"it points to {_address(response.headers.get('location', ''))}"
        return _Answer(response.status_code, self._without_key(text), _retry_after_s(response))

    def _learn(self, answer: _Answer, said: dict[str, Any]) -> bool:
        """Whether the answer refuses a parameter; it is left out of what is said from now on."""
        error = _refusal_in(answer)
        if error is None:
            return False
        learned = self._dialect.learned(error, said)
        if learned == self._dialect:
            return True  # another request may have found it out meanwhile
        logger.warning("%s refused a parameter; from now on %s", self._source, self._dialect.difference(learned))
        self._dialect = learned
        return True

    def _read(self, answer: _Answer) -> EngineReply:
        if answer.status != httpx.codes.OK:
            raise status_failure(answer.status, answer.text, self._source, answer.retry_after_s)
        try:
            body = json.loads(answer.text)
        except (ValueError, RecursionError) as error:
            raise MalformedAnswerError(f"{self._source} answered 200 without JSON; check the address") from error
        return from_chat_body(body, self._source)

    def _without_key(self, text: str) -> str:
        return text.replace(self._api_key, "***") if len(self._api_key) >= _MIN_SECRET_CHARS else text

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def _refusal_in(answer: _Answer) -> ErrorBody | None:
    """What an endpoint says that does not take requests of this form, be it in a 200."""
    status: int | None = answer.status
    error: ErrorBody | None
    if status == httpx.codes.OK:
        if '"error"' not in answer.text:  # nearly every answer: it is not read twice
            return None
        try:
            error = error_in(json.loads(answer.text))
        except (ValueError, RecursionError):
            return None
        status = error.status if error else None
    else:
        error = read_error(answer.text)
    return error if status is not None and error and rule_of(status, error).kind is BadRequestError else None


def _address(location: str) -> str:
    """Where a redirect points, without credentials and query."""
    try:
        parts = urlsplit(location)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
    except ValueError:
        return "no address"


def _retry_after_s(response: httpx.Response) -> float:
    try:
        return max(0.0, float(response.headers.get("retry-after", "")))
    except ValueError:
        return 0.0  # absent or an HTTP date, which model endpoints do not send
