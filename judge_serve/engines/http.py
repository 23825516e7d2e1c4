"""An engine over HTTP: any OpenAI-compatible endpoint, and how it is reached."""

from __future__ import annotations

import asyncio
import json
import logging
import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, ConfigDict, Field

from judge_serve.engines.dialect import Dialect
from judge_serve.engines.error_bodies import ErrorBody, error_in, read_error
from judge_serve.engines.failures import connection_failure, no_answer_in, rule_of, status_failure
from judge_serve.engines.proxies import told_of_proxies
from judge_serve.engines.wire import from_chat_body, to_chat_body
from judge_serve.judging.engine import EngineReply, EngineRequest
from judge_serve.judging.errors import BadRequestError, MalformedAnswerError, RefusedInputError

logger = logging.getLogger(__name__)

MAX_LESSONS = 10  # refused parameters that one request may find out; each is sent again without it
MAX_IN_FLIGHT = 64  # calls under way at an endpoint of which nobody said what it bears
MIN_IN_FLIGHT = 4  # the fewest that are ever held back to, see `evaluation.pacing`
_MIN_SECRET_CHARS = 8  # shorter keys are placeholders, and could stand in any answer


class HttpEngineConfig(BaseModel):
    """How to reach an OpenAI-compatible endpoint; the key is passed apart and never stored.

    Attributes:
        base_url: what stands before `/chat/completions`, without credentials and query.
        key_header: the header that carries the key: as it is, or as bearer key in `Authorization`.
        query: what follows the path of every request after `?`, such as Azure's `api-version`.
        is_vllm: it understands vLLM's structured outputs; found out at the start of a session where it is false.
        is_reasoning: see `to_chat_body`.
        timeout_s: how long one request may take in all, to the last byte of its answer.
        max_in_flight: the most calls under way at once; see `evaluation.pacing`.
        dialect: what is known beforehand of the parameters that it takes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_url: str
    model: str = Field(min_length=1)
    key_header: str = Field("Authorization", pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")
    query: dict[str, str] = {}
    is_vllm: bool = False
    is_reasoning: bool = False
    timeout_s: float = Field(300.0, gt=0)
    connect_timeout_s: float = Field(10.0, gt=0)
    max_in_flight: int = Field(MAX_IN_FLIGHT, ge=MIN_IN_FLIGHT)
    dialect: Dialect = Dialect()

    def key_headers(self, api_key: str | None) -> dict[str, str]:
        """The headers that show a key.

        Raises: RefusedInputError if no header can hold it.
        """
        key = (api_key or "").strip()  # secrets read from files end in a line break
        if not (key.isascii() and key.isprintable()):
            raise RefusedInputError("RELEVANCE_JUDGE_MODEL_KEY holds characters that no key has; set it again")
        if not key:
            return {}
        return {self.key_header: f"Bearer {key}" if self.key_header.lower() == "authorization" else key}


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
        self._learned = config.dialect.as_dict()
        self._api_key = (api_key or "").strip()
        with told_of_proxies():
            self._client = httpx.AsyncClient(
                base_url=config.base_url.rstrip("/") + "/",
                headers=config.key_headers(api_key),
                params=config.query,
                timeout=httpx.Timeout(None, connect=config.connect_timeout_s),  # the whole has a bound of its own
                limits=httpx.Limits(max_connections=config.max_in_flight),
            )

    @property
    def model(self) -> str:
        """Name of the model that answers."""
        return self._config.model

    @property
    def dialect(self) -> Dialect:
        """What is known by now of the parameters that the endpoint takes."""
        return self._dialect

    @property
    def learned(self) -> dict[str, Any]:
        """What was found out of the endpoint, as JSON; empty where nothing is unusual."""
        return self._learned

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
        self._dialect, self._learned = learned, learned.as_dict()
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
    """How long an answer asks to wait: in milliseconds (OpenAI, Azure), seconds, or until a date by its own clock."""
    in_ms = _seconds(response.headers.get("retry-after-ms", ""))
    if in_ms is not None:
        return in_ms / 1_000.0
    said = response.headers.get("retry-after", "")
    in_s = _seconds(said)
    if in_s is not None:
        return in_s
    until = _moment(said)
    now = _moment(response.headers.get("date", "")) or datetime.now(UTC)
    return max(0.0, (until - now).total_seconds()) if until is not None else 0.0


def _seconds(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return max(0.0, value) if math.isfinite(value) else None


def _moment(text: str) -> datetime | None:
    """The moment of an HTTP date, None if it is none."""
    try:
        moment = parsedate_to_datetime(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
